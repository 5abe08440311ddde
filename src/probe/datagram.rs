//! The probes over UDP: one datagram out, and what comes back.
//!
//! | what happens | `udp` without `expect` | `udp` with it | `dns` |
//! |---|---|---|---|
//! | the answer | `L7OK` | `L7OK`, or `L7RSP` where it does not match | `L7OK`, `L7STS`, `L7RSP` |
//! | the deadline, and nothing came | `L4OK` | `L4TOUT` | `L4TOUT` |
//! | the deadline, and only answers to something else came | – | – | `L7TOUT` |
//! | ICMP unreachable | `L4CON` | `L4CON` | `L4CON` |
//!
//! Each probe has a socket of its own, connected, on a port that the kernel chooses at random: a datagram from another
//! address, or to an earlier probe, does not reach it.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{Ipv4RecvErr, Ipv6RecvErr};
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

use super::dns;
use super::text::{errno, fixed, our_fault};
use super::types::{Code, Outcome};
use crate::config::{CheckKind, Healthcheck};

/// Datagrams read at one event. More wait for the next, so that a flood keeps no other probe waiting.
const READS_AN_EVENT: usize = 32;

/// One probe over UDP.
pub(super) struct Datagram {
    fd: OwnedFd,
    check: Arc<Healthcheck>,
    /// Of the question, for `dns`.
    id: u16,
    /// Something came that was no answer.
    strays: bool,
}

impl Datagram {
    /// Makes the socket and sends. `id` is a fresh random number.
    ///
    /// # Errors
    /// The outcome, where it is certain now: our own fault, or a refusal that the kernel knew at once.
    pub(super) fn start(check: &Arc<Healthcheck>, address: IpAddr, id: u16) -> Result<Datagram, Outcome> {
        let dns_query;
        let payload: &[u8] = match &check.kind {
            CheckKind::Udp(udp) => &udp.send,
            CheckKind::Dns(d) => {
                dns_query = dns::query(d, id).ok_or(fixed(Code::SockErr, "bad name in the configuration"))?;
                &dns_query
            }
            CheckKind::Tcp(_) | CheckKind::Http(_) | CheckKind::Icmp => {
                return Err(our_fault("udp", Errno::PROTOTYPE));
            }
        };
        let v4 = address.is_ipv4();
        let family = if v4 { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = rustix::net::socket_with(family, SocketType::DGRAM, flags, None)
            .map_err(|e| our_fault("socket", e))?;
        // Without it the kernel keeps "host unreachable" and its like to itself.
        let _ = if v4 { setsockopt(&fd, Ipv4RecvErr, &true) } else { setsockopt(&fd, Ipv6RecvErr, &true) };
        let source = match address {
            IpAddr::V4(_) => check.probe_ipv4_src.map(IpAddr::V4),
            IpAddr::V6(_) => check.probe_ipv6_src.map(IpAddr::V6),
        };
        if let Some(source) = source {
            rustix::net::bind(&fd, &SocketAddr::new(source, 0)).map_err(|e| our_fault("bind", e))?;
        }
        let peer = SocketAddr::new(address, check.port);
        rustix::net::connect(&fd, &peer).map_err(|e| our_fault("connect", e))?;
        loop {
            match rustix::net::send(&fd, payload, SendFlags::NOSIGNAL) {
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(e @ Errno::CONNREFUSED) => return Err(errno(Code::L4Con, e)),
                Err(e) => return Err(our_fault("send", e)),
            }
        }
        Ok(Datagram { fd, check: check.clone(), id, strays: false })
    }

    /// What to watch, by levels.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Something has come. What it makes of the probe, if anything.
    pub(super) fn on_event(&mut self, flags: EventFlags, buf: &mut [u8]) -> Option<Outcome> {
        for _ in 0..READS_AN_EVENT {
            match rustix::net::recv(&self.fd, &mut *buf, RecvFlags::empty()) {
                Ok((n, _)) => {
                    if let Some(outcome) = self.judge(buf.get(..n).unwrap_or_default()) {
                        return Some(outcome);
                    }
                    self.strays = true;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    return match sockopt::socket_error(&self.fd) {
                        Ok(Err(e)) | Err(e) => Some(errno(Code::L4Con, e)),
                        // An error without a number: its level would never fall.
                        Ok(Ok(())) if flags.contains(EventFlags::ERR) => {
                            Some(fixed(Code::L4Con, "unreachable"))
                        }
                        Ok(Ok(())) => None,
                    };
                }
                // The connected socket tells ICMP errors about its datagram.
                Err(e) => return Some(errno(Code::L4Con, e)),
            }
        }
        None
    }

    /// The deadline has come.
    pub(super) fn on_timeout(&self) -> Outcome {
        match &self.check.kind {
            CheckKind::Udp(udp) if udp.expect.is_none() => fixed(Code::L4Ok, "no answer, no ICMP error"),
            _ if self.strays => fixed(Code::L7Tout, "only answers to other questions in time"),
            _ => fixed(Code::L4Tout, "no answer in time"),
        }
    }

    fn judge(&self, datagram: &[u8]) -> Option<Outcome> {
        match &self.check.kind {
            CheckKind::Dns(d) => dns::judge(d, self.id, datagram),
            CheckKind::Udp(udp) => Some(match &udp.expect {
                Some(pattern) if !pattern.is_match(datagram) => fixed(Code::L7Rsp, "answer does not match"),
                Some(_) | None => fixed(Code::L7Ok, ""),
            }),
            CheckKind::Tcp(_) | CheckKind::Http(_) | CheckKind::Icmp => None,
        }
    }
}
