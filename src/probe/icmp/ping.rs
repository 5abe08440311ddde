//! A probe on an ICMP datagram ("ping") socket of its own.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{Ipv4RecvErr, Ipv6RecvErr};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, sockopt};

use super::packet::{self, Heard, Token};
use crate::probe::text::{errno, fixed, our_fault};
use crate::probe::types::{Code, Outcome};

/// One echo request under way. The kernel chooses the identifier and hands over only what comes from the peer.
pub(in crate::probe) struct Ping {
    fd: OwnedFd,
    v4: bool,
    seq: u16,
    token: Token,
}

impl Ping {
    /// Sends the request.
    pub(super) fn start(
        address: IpAddr,
        source: Option<IpAddr>,
        seq: u16,
        token: Token,
    ) -> Result<Ping, Outcome> {
        let v4 = address.is_ipv4();
        let (family, protocol, kind) = if v4 {
            (AddressFamily::INET, ipproto::ICMP, packet::V4_ECHO_REQUEST)
        } else {
            (AddressFamily::INET6, ipproto::ICMPV6, packet::V6_ECHO_REQUEST)
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = rustix::net::socket_with(family, SocketType::DGRAM, flags, Some(protocol))
            .map_err(|e| our_fault("icmp socket", e))?;
        // Without it the kernel keeps "host unreachable" and its like to itself. It matches errors by identifier and
        // addresses, not by token: the weaker proof of an unprivileged socket.
        let _ = if v4 { setsockopt(&fd, Ipv4RecvErr, &true) } else { setsockopt(&fd, Ipv6RecvErr, &true) };
        if let Some(source) = source {
            rustix::net::bind(&fd, &SocketAddr::new(source, 0)).map_err(|e| our_fault("bind", e))?;
        }
        rustix::net::connect(&fd, &SocketAddr::new(address, 0)).map_err(|e| our_fault("connect", e))?;
        match rustix::net::send(&fd, &packet::echo(kind, 0, seq, token), SendFlags::empty()) {
            Ok(_) => Ok(Ping { fd, v4, seq, token }),
            Err(e @ Errno::CONNREFUSED) => Err(errno(Code::L4Con, e)),
            Err(e) => Err(our_fault("send", e)),
        }
    }

    /// What to watch, by edges: an error that was told may stay queued.
    pub(in crate::probe) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Something has come. What it makes of the probe, if anything.
    pub(in crate::probe) fn on_event(&mut self, buf: &mut [u8]) -> Option<Outcome> {
        loop {
            match rustix::net::recv(&self.fd, &mut *buf, RecvFlags::empty()) {
                Ok((n, _)) => {
                    let message = buf.get(..n).unwrap_or_default();
                    let heard =
                        if self.v4 { packet::hear_v4_message(message) } else { packet::hear_v6(message) };
                    match heard {
                        Some(Heard::Reply { seq, token, .. }) if seq == self.seq && token == self.token => {
                            return Some(fixed(Code::L4Ok, ""));
                        }
                        Some(Heard::Reply { .. } | Heard::Error { .. }) | None => {}
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    return match sockopt::socket_error(&self.fd) {
                        Ok(Ok(())) => None,
                        Ok(Err(e)) | Err(e) => Some(errno(Code::L4Con, e)),
                    };
                }
                // The connected socket tells ICMP errors about its request.
                Err(e) => return Some(errno(Code::L4Con, e)),
            }
        }
    }
}
