//! The raw sockets that all ICMP probes share.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, sockopt};
use socket2::SockRef;

use super::ping::Ping;
use super::{filter, packet};
use crate::probe::entropy::Entropy;
use crate::probe::text::{fixed, our_fault};
use crate::probe::types::{Code, Outcome};
use packet::{Heard, Proof, Token};

/// Room for packets in a socket, each way; a probe takes less than 1 KiB of it.
const QUEUE: usize = 4 * 1024 * 1024;

/// Sockets of one family and source. More than one is needed when the send queue of one is full: requests to dead
/// neighbours wait there for an address for seconds.
const SOCKETS_MAX: usize = 32;

/// Packets taken from one socket in one go; the rest come at the next turn.
const PACKETS_A_TURN: usize = 512;

/// One probe on a shared socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::probe) struct Handle {
    socket: u32,
    seq: u16,
}

/// A request under way.
pub(in crate::probe) enum Sent {
    /// On a shared raw socket.
    Shared(Handle),
    /// On a socket of its own.
    Own(Ping),
}

struct Waiting {
    key: u64,
    address: IpAddr,
    token: Token,
    checksum: u16,
}

struct Raw {
    fd: OwnedFd,
    v4: bool,
    source: Option<IpAddr>,
    ident: u16,
    waiting: HashMap<u16, Waiting>,
    /// No new probe may use it: the namespace has changed.
    retired: bool,
    /// Ticks since it was last used.
    idle: u32,
}

/// All of them.
pub(in crate::probe) struct Sockets {
    raw: HashMap<u32, Raw>,
    next: u32,
    entropy: Entropy,
    /// Raw sockets are not permitted here.
    unprivileged: bool,
    always_unprivileged: bool,
}

impl Sockets {
    /// None yet. `unprivileged`: never try raw ones.
    pub(in crate::probe) fn new(unprivileged: bool) -> Sockets {
        Sockets {
            raw: HashMap::new(),
            next: 0,
            entropy: Entropy::new(),
            unprivileged,
            always_unprivileged: unprivileged,
        }
    }

    /// Sends an echo request for the probe called `key`. `watch` is called with each new shared socket and its
    /// number, to have it watched for input.
    ///
    /// # Errors
    /// The outcome, where it is certain now.
    pub(in crate::probe) fn send(
        &mut self,
        key: u64,
        address: IpAddr,
        source: Option<IpAddr>,
        watch: &mut dyn FnMut(BorrowedFd<'_>, u32) -> Result<(), Errno>,
    ) -> Result<Sent, Outcome> {
        let token: Token = self.entropy.bytes().map_err(|e| our_fault("getrandom", e))?;
        if !self.unprivileged {
            match self.send_shared(key, address, source, token, watch) {
                Ok(handle) => return Ok(Sent::Shared(handle)),
                Err(Failed::NotPermitted) => self.unprivileged = true,
                Err(Failed::Outcome(o)) => return Err(o),
            }
        }
        let seq = self.entropy.number().map_err(|e| our_fault("getrandom", e))?;
        Ping::start(address, source, seq, token).map(Sent::Own)
    }

    fn send_shared(
        &mut self,
        key: u64,
        address: IpAddr,
        source: Option<IpAddr>,
        token: Token,
        watch: &mut dyn FnMut(BorrowedFd<'_>, u32) -> Result<(), Errno>,
    ) -> Result<Handle, Failed> {
        let v4 = address.is_ipv4();
        let mut usable: Vec<u32> = (self.raw.iter())
            .filter(|(_, r)| !r.retired && r.v4 == v4 && r.source == source)
            .map(|(n, _)| *n)
            .collect();
        usable.sort_unstable();
        for number in &usable {
            let Some(raw) = self.raw.get_mut(number) else { continue };
            match raw.send(key, address, token, &mut self.entropy) {
                Ok(seq) => return Ok(Handle { socket: *number, seq }),
                Err(Errno::AGAIN) => {}
                Err(e) => return Err(Failed::Outcome(our_fault("send", e))),
            }
        }
        if usable.len() >= SOCKETS_MAX {
            return Err(Failed::Outcome(our_fault("send", Errno::NOBUFS)));
        }
        let ident = self.entropy.number().map_err(|e| Failed::Outcome(our_fault("getrandom", e)))?;
        let raw = Raw::open(v4, source, ident)?;
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        watch(raw.fd.as_fd(), number).map_err(|e| Failed::Outcome(our_fault("epoll", e)))?;
        let raw = self.raw.entry(number).or_insert(raw);
        match raw.send(key, address, token, &mut self.entropy) {
            Ok(seq) => Ok(Handle { socket: number, seq }),
            Err(e) => Err(Failed::Outcome(our_fault("send", e))),
        }
    }

    /// The probe has ended: whatever still comes for it is not heard.
    pub(in crate::probe) fn forget(&mut self, handle: Handle) {
        let Some(raw) = self.raw.get_mut(&handle.socket) else { return };
        raw.waiting.remove(&handle.seq);
        if raw.retired && raw.waiting.is_empty() {
            self.raw.remove(&handle.socket);
        }
    }

    /// Socket `number` has input: tells the outcome of each probe that it decides. The probe must then be
    /// forgotten.
    pub(in crate::probe) fn receive(&mut self, number: u32, buf: &mut [u8], told: &mut Vec<(u64, Outcome)>) {
        if let Some(raw) = self.raw.get_mut(&number) {
            raw.receive(buf, told);
        }
    }

    /// The thread has changed its namespace: no new probe on the sockets of the old one.
    pub(in crate::probe) fn moved(&mut self) {
        self.unprivileged = self.always_unprivileged;
        for raw in self.raw.values_mut() {
            raw.retired = true;
        }
        self.raw.retain(|_, raw| !raw.waiting.is_empty());
    }

    /// Once a second: closes what has not been used for a minute.
    pub(in crate::probe) fn tick(&mut self) {
        self.raw.retain(|_, raw| {
            raw.idle += 1;
            !raw.waiting.is_empty() || raw.idle <= 60
        });
    }
}

enum Failed {
    NotPermitted,
    Outcome(Outcome),
}

impl Raw {
    fn open(v4: bool, source: Option<IpAddr>, ident: u16) -> Result<Raw, Failed> {
        let (family, protocol) =
            if v4 { (AddressFamily::INET, ipproto::ICMP) } else { (AddressFamily::INET6, ipproto::ICMPV6) };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = match rustix::net::socket_with(family, SocketType::RAW, flags, Some(protocol)) {
            Ok(fd) => fd,
            Err(Errno::PERM | Errno::ACCESS) => return Err(Failed::NotPermitted),
            Err(e) => return Err(Failed::Outcome(our_fault("icmp socket", e))),
        };
        let program = if v4 { filter::v4(ident) } else { filter::v6(ident) };
        // What fails here costs time, not truth: every packet is judged again.
        let _ = SockRef::from(&fd).attach_filter(&program);
        if sockopt::set_socket_recv_buffer_size_force(&fd, QUEUE).is_err() {
            let _ = sockopt::set_socket_recv_buffer_size(&fd, QUEUE);
        }
        if sockopt::set_socket_send_buffer_size_force(&fd, QUEUE).is_err() {
            let _ = sockopt::set_socket_send_buffer_size(&fd, QUEUE);
        }
        if let Some(source) = source {
            rustix::net::bind(&fd, &SocketAddr::new(source, 0))
                .map_err(|e| Failed::Outcome(our_fault("bind", e)))?;
        }
        Ok(Raw { fd, v4, source, ident, waiting: HashMap::new(), retired: false, idle: 0 })
    }

    /// Sends one request; its sequence number.
    fn send(&mut self, key: u64, address: IpAddr, token: Token, entropy: &mut Entropy) -> Result<u16, Errno> {
        if self.waiting.len() >= 32768 {
            return Err(Errno::AGAIN);
        }
        let mut seq = entropy.number()?;
        // Half of the numbers are free at least, so this ends soon.
        while self.waiting.contains_key(&seq) {
            seq = entropy.number()?;
        }
        let kind = if self.v4 { packet::V4_ECHO_REQUEST } else { packet::V6_ECHO_REQUEST };
        let request = packet::echo(kind, self.ident, seq, token);
        loop {
            match rustix::net::sendto(&self.fd, &request, SendFlags::empty(), &SocketAddr::new(address, 0)) {
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(e) => return Err(e),
            }
        }
        let [_, _, c0, c1, ..] = request;
        let checksum = u16::from_be_bytes([c0, c1]);
        self.idle = 0;
        self.waiting.insert(seq, Waiting { key, address, token, checksum });
        Ok(seq)
    }

    fn receive(&mut self, buf: &mut [u8], told: &mut Vec<(u64, Outcome)>) {
        for _ in 0..PACKETS_A_TURN {
            match rustix::net::recvfrom(&self.fd, &mut *buf, RecvFlags::empty()) {
                Ok((n, _, Some(from))) => {
                    let Ok(from) = SocketAddr::try_from(from) else { continue };
                    let packet = buf.get(..n).unwrap_or_default();
                    let heard = if self.v4 { packet::hear_v4(packet) } else { packet::hear_v6(packet) };
                    told.extend(heard.and_then(|h| self.judge(h, from.ip())));
                }
                Ok((_, _, None)) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    fn judge(&self, heard: Heard, from: IpAddr) -> Option<(u64, Outcome)> {
        match heard {
            Heard::Reply { ident, seq, token } => {
                let w = self.waiting.get(&seq)?;
                let ours = ident == self.ident && token == w.token && from == w.address;
                ours.then(|| (w.key, fixed(Code::L4Ok, "")))
            }
            Heard::Error { why, to, ident, seq, proof } => {
                let w = self.waiting.get(&seq)?;
                let proven = match proof {
                    Proof::Token(token) => token == w.token,
                    Proof::Checksum(checksum) => checksum == w.checksum,
                };
                let ours = ident == self.ident && to == w.address && proven;
                ours.then(|| (w.key, fixed(Code::L4Con, why)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw() -> Raw {
        // Any descriptor will do: nothing is sent.
        let fd = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None).unwrap();
        let address = IpAddr::from([192, 0, 2, 1]);
        let waiting = Waiting { key: 5, address, token: [1; 8], checksum: 77 };
        let waiting = HashMap::from([(9, waiting)]);
        Raw { fd, v4: true, source: None, ident: 7, waiting, retired: false, idle: 0 }
    }

    #[test]
    fn a_reply_must_be_of_this_socket_this_probe_and_this_address() {
        let (raw, to, other) = (raw(), IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let good = Heard::Reply { ident: 7, seq: 9, token: [1; 8] };
        assert_eq!(raw.judge(good, to), Some((5, fixed(Code::L4Ok, ""))));
        assert_eq!(raw.judge(good, other), None);
        for (ident, seq, token) in [(8, 9, [1; 8]), (7, 10, [1; 8]), (7, 9, [2; 8])] {
            assert_eq!(raw.judge(Heard::Reply { ident, seq, token }, to), None);
        }
    }

    #[test]
    fn an_error_must_quote_this_probe() {
        let (raw, to, router) = (raw(), IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 254]));
        let with = |to, seq, proof| {
            raw.judge(Heard::Error { why: "no route to host", to, ident: 7, seq, proof }, router)
        };
        let told = Some((5, fixed(Code::L4Con, "no route to host")));
        assert_eq!(with(to, 9, Proof::Token([1; 8])), told);
        assert_eq!(with(to, 9, Proof::Checksum(77)), told);
        assert_eq!(with(to, 9, Proof::Token([2; 8])), None);
        assert_eq!(with(to, 9, Proof::Checksum(78)), None);
        assert_eq!(with(to, 8, Proof::Token([1; 8])), None);
        assert_eq!(with(router, 9, Proof::Token([1; 8])), None);
    }

    #[test]
    fn the_filters_pass_answers_to_this_socket_and_nothing_else() {
        for (address, request) in [
            (IpAddr::from([127, 0, 0, 1]), packet::V4_ECHO_REQUEST),
            (IpAddr::from(std::net::Ipv6Addr::LOCALHOST), packet::V6_ECHO_REQUEST),
        ] {
            let open = |ident| Raw::open(address.is_ipv4(), None, ident);
            let (Ok(mine), Ok(other)) = (open(0x1234), open(0x4321)) else {
                eprintln!("skipped: no raw ICMP sockets here");
                return;
            };
            let to = SocketAddr::new(address, 0);
            for ident in [0x4321, 0x1234, 0x9999] {
                let p = packet::echo(request, ident, 1, [3; 8]);
                rustix::net::sendto(&mine.fd, &p, SendFlags::empty(), &to).unwrap();
            }
            // Loopback delivers within the send. Requests and replies to others have come by, too.
            for (raw, ident) in [(&mine, 0x1234), (&other, 0x4321)] {
                let mut buf = [0; 256];
                let (n, _) = rustix::net::recv(&raw.fd, &mut buf[..], RecvFlags::empty()).unwrap();
                let heard = if raw.v4 { packet::hear_v4(&buf[..n]) } else { packet::hear_v6(&buf[..n]) };
                assert_eq!(heard, Some(Heard::Reply { ident, seq: 1, token: [3; 8] }));
                let next = rustix::net::recv(&raw.fd, &mut buf[..], RecvFlags::empty());
                assert_eq!(next, Err(Errno::AGAIN));
            }
        }
    }
}
