//! What goes over TCP, the questions to agents too: connect, then perhaps TLS, then perhaps send, then perhaps read.
//!
//! | what happens | before the handshake is done | before that of TLS is | after it |
//! |---|---|---|---|
//! | the deadline | `L4TOUT` | `L6TOUT` | `L7TOUT` |
//! | an error from the network: refused, reset, unreachable | `L4CON`, the errno in words | `L6RSP`, the same | `L7RSP`, the same |
//! | an error of `socket`, `bind`, `connect`, `send` itself | `SOCKERR`, the call and the errno | `SOCKERR` | `SOCKERR` |
//! | an error of TLS | – | `L6RSP` in words | `L6RSP` |
//!
//! HAProxy has `SOCKERR` for a connection that breaks after the handshake. Here that code never counts against a
//! backend, and a reset is the backend's doing; so it is `L7RSP`, as HAProxy has it for an answer that is cut short.
//! What came before the break is judged first: a complete answer passes. A check that ends with the handshake has
//! no layer 7: a reset that is seen with its completion is `L4CON`.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

use super::agent::Line;
use super::expect::Expect;
use super::http;
use super::jobs::Kept;
use super::text::{errno, fixed, our_fault, printable};
use super::tls::{Heard, Session};
use super::types::{Code, Outcome};
use crate::budget::Budget;
use crate::config::{Agent, CheckKind, Healthcheck, Pattern, Tls};
use crate::health::agent::Reply;

/// Where Linux takes source ports from by default. A probe of an own address there may meet itself (below).
const FIRST_EPHEMERAL_PORT: u16 = 32768;

/// The longest request that is kept with a socket.
const KEPT_REQUEST: usize = 512;

/// What is watched, once and for all: an edge at each change, so that a probe costs one `epoll_ctl`.
pub(super) fn interest() -> EventFlags {
    EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET
}

/// What follows the handshake.
enum Talk {
    /// Nothing: it is the check.
    Connect,
    /// Bytes to send, no answer to read.
    Send,
    Expect(Expect),
    Http(Box<http::Reader>),
    Agent(Line),
}

/// One probe over TCP.
pub(super) struct Stream {
    fd: OwnedFd,
    /// None: an agent is asked.
    check: Option<Arc<Healthcheck>>,
    peer: SocketAddr,
    /// It was there before this probe, and the event loop knows it.
    kept: bool,
    connected: bool,
    /// What goes out as it is: with TLS records, a few at a time, else all of the request.
    request: Vec<u8>,
    sent: usize,
    talk: Talk,
    tls: Option<Box<Session>>,
    /// An error of the connection after the handshake: told when all that came before it is read.
    broken: Option<Errno>,
}

impl Stream {
    /// Begins a check: makes the socket, or takes the one that the last probe of the same job has left, and begins the
    /// handshake. What the peer sends is held within `bodies`.
    ///
    /// # Errors
    /// The outcome, where it is certain now: our own fault, or a refusal that the kernel knew at once.
    pub(super) fn start(
        check: &Arc<Healthcheck>,
        address: IpAddr,
        kept: Option<Kept>,
        bodies: &Arc<Budget>,
    ) -> Result<Stream, Outcome> {
        let (kept, request) = match kept {
            Some(kept) => (Some(kept.fd), kept.request.into_vec()),
            None => (None, Vec::new()),
        };
        let talk = match &check.kind {
            CheckKind::Tcp(t) if t.expect.is_some() => Talk::Expect(Expect::within(bodies)),
            CheckKind::Tcp(t) if !t.send.is_empty() => Talk::Send,
            CheckKind::Tcp(_) => Talk::Connect,
            CheckKind::Http(_) => Talk::Http(Box::new(http::Reader::within(bodies))),
            CheckKind::Icmp | CheckKind::Udp(_) | CheckKind::Dns(_) => {
                return Err(our_fault("tcp", Errno::PROTOTYPE));
            }
        };
        let request = if request.is_empty() { what_is_sent(check, address)? } else { request };
        let (tls, request) = match wants_tls(&check.kind) {
            None => (None, request),
            Some(tls) => (Some(Box::new(Session::new(tls, address, request, bodies)?)), Vec::new()),
        };
        let source = match address {
            IpAddr::V4(_) => check.probe_ipv4_src.map(IpAddr::V4),
            IpAddr::V6(_) => check.probe_ipv6_src.map(IpAddr::V6),
        };
        let peer = SocketAddr::new(address, check.port);
        Stream::connect(peer, source, Some(check.clone()), talk, request, tls, kept)
    }

    /// Begins to ask an agent.
    ///
    /// # Errors
    /// As [`Stream::start`].
    pub(super) fn ask(agent: &Agent, address: IpAddr) -> Result<Stream, Outcome> {
        let peer = SocketAddr::new(address, agent.port);
        Stream::connect(peer, None, None, Talk::Agent(Line::default()), agent.send.clone(), None, None)
    }

    #[allow(clippy::too_many_arguments)] // each of them once, from the two above
    fn connect(
        peer: SocketAddr,
        source: Option<IpAddr>,
        check: Option<Arc<Healthcheck>>,
        talk: Talk,
        request: Vec<u8>,
        tls: Option<Box<Session>>,
        kept: Option<OwnedFd>,
    ) -> Result<Stream, Outcome> {
        // The handshake's last ACK then rides on the request, or on the reset where nothing follows: one packet less,
        // as HAProxy does it. Not where the peer is to speak first, since it would wait for the ACK. Where the
        // option is not to be had the probe works all the same.
        let quiet = tls.is_some() || matches!(talk, Talk::Connect) || !request.is_empty();
        let dial = |fd: &OwnedFd| {
            if quiet {
                let _ = sockopt::set_tcp_quickack(fd, false);
            }
            match rustix::net::connect(fd, &peer) {
                Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(()),
                Err(e) => Err(e),
            }
        };
        // One that cannot be used again says nothing about the backend: a new one does.
        let kept = kept.filter(|fd| dial(fd).is_ok());
        let (fd, kept) = match kept {
            Some(fd) => (fd, true),
            None => {
                let fd = open(peer, source)?;
                match dial(&fd) {
                    Ok(()) => (fd, false),
                    Err(e @ Errno::CONNREFUSED) => return Err(errno(Code::L4Con, e)),
                    Err(e) => return Err(our_fault("connect", e)),
                }
            }
        };
        Ok(Stream { fd, check, peer, kept, connected: false, request, sent: 0, talk, tls, broken: None })
    }

    /// What to watch.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Whether the event loop watches it already.
    pub(super) fn is_kept(&self) -> bool {
        self.kept
    }

    /// Something has changed. What it makes of the probe, once that is certain. `buf` is scratch space.
    pub(super) fn on_event(&mut self, flags: EventFlags, buf: &mut [u8]) -> Option<Outcome> {
        if flags.intersects(EventFlags::ERR | EventFlags::HUP) {
            match sockopt::socket_error(&self.fd) {
                Ok(Ok(())) => {}
                Ok(Err(e)) | Err(e) => self.broken = Some(e),
            }
        }
        if !self.connected {
            match self.broken {
                // These two come only after a handshake: the peer has reset what it had accepted.
                Some(Errno::CONNRESET | Errno::PIPE) => self.connected = true,
                Some(e @ Errno::TIMEDOUT) => return Some(errno(Code::L4Tout, e)),
                Some(e) => return Some(errno(Code::L4Con, e)),
                None if !flags.contains(EventFlags::OUT) => return None,
                None => {
                    self.connected = true;
                    if self.met_itself() {
                        return Some(errno(Code::L4Con, Errno::CONNREFUSED));
                    }
                }
            }
        }
        match (&self.talk, &self.tls, self.broken) {
            (Talk::Connect, None, None) => return Some(fixed(Code::L4Ok, "")),
            (Talk::Connect, None, Some(e)) => return Some(errno(Code::L4Con, e)),
            (Talk::Connect | Talk::Send | Talk::Expect(_) | Talk::Http(_) | Talk::Agent(_), _, _) => {}
        }
        if self.broken.is_none()
            && let Some(outcome) = self.write()
        {
            return Some(outcome);
        }
        let readable = EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        if self.broken.is_some() || flags.intersects(readable) {
            return self.read(flags, buf);
        }
        None
    }

    /// What an agent has said, after an outcome that there was a line.
    pub(super) fn take_reply(&mut self) -> Option<Box<Reply>> {
        match &mut self.talk {
            Talk::Agent(line) => line.take_reply(),
            Talk::Connect | Talk::Send | Talk::Expect(_) | Talk::Http(_) => None,
        }
    }

    /// The deadline has come.
    pub(super) fn on_timeout(&mut self) -> Outcome {
        match &mut self.talk {
            _ if !self.connected => fixed(Code::L4Tout, "connection timed out"),
            _ if self.tls.as_ref().is_some_and(|s| s.is_handshaking()) => {
                fixed(Code::L6Tout, "TLS handshake not done in time")
            }
            Talk::Connect => fixed(Code::L6Tout, "TLS handshake not done in time"),
            Talk::Send => fixed(Code::L7Tout, "could not send in time"),
            Talk::Expect(expect) => match self.check.as_ref().and_then(|c| wants_expect(&c.kind)) {
                Some(pattern) => expect.timeout(pattern),
                None => fixed(Code::L7Tout, ""),
            },
            Talk::Agent(line) => line.timeout(),
            Talk::Http(_) => fixed(Code::L7Tout, "no complete response in time"),
        }
    }

    /// Ends the connection: aborts what is open, so that there is no TIME_WAIT here and no half-closed connection there. The
    /// socket and the request, if they are to be kept for the next probe of the same backend and can be.
    ///
    /// Kept, it spares the kernel a sixth of the work of a probe. A TCP socket that is connected to "unspecified" is
    /// dissolved (connect(2)): the peer is reset just so, and the socket is as if new, but for its sequence numbers, which go
    /// on where they were. So it is never used for another peer, which could tell them to itself otherwise.
    pub(super) fn leave(mut self, keep: Option<u32>) -> Option<Kept> {
        if !self.connected || self.broken.is_some() {
            return None;
        }
        // All was sent: a peer that speaks TLS is told that this is no error.
        if let Some(tls) = &mut self.tls
            && self.sent == self.request.len()
            && !tls.is_handshaking()
        {
            self.request.clear();
            tls.farewell(&mut self.request);
            let _ = rustix::net::send(&self.fd, &self.request, SendFlags::NOSIGNAL);
        }
        if let Some(world) = keep
            && rustix::net::connect_unspec(&self.fd).is_ok()
        {
            // With TLS it is what went out last, and no request; a long one is made anew each time.
            let keep = self.tls.is_none() && self.request.len() <= KEPT_REQUEST;
            let request = if keep { self.request } else { Vec::new() };
            return Some(Kept { fd: self.fd, world, request: request.into() });
        }
        let _ = sockopt::set_socket_linger(&self.fd, Some(Duration::ZERO));
        None
    }

    /// A connect from an ephemeral port to the same port of the same address, where nobody listens, succeeds: TCP
    /// allows a simultaneous open with oneself. That is no backend.
    fn met_itself(&self) -> bool {
        self.peer.port() >= FIRST_EPHEMERAL_PORT
            && rustix::net::getsockname(&self.fd)
                .ok()
                .and_then(|own| SocketAddr::try_from(own).ok())
                .is_some_and(|own| own.ip() == self.peer.ip() && own.port() == self.peer.port())
    }

    /// Sends what can be sent.
    fn write(&mut self) -> Option<Outcome> {
        loop {
            let Some(rest) = self.request.get(self.sent..).filter(|rest| !rest.is_empty()) else {
                let Some(tls) = &mut self.tls else { break };
                self.request.clear();
                self.sent = 0;
                tls.refill(&mut self.request);
                if self.request.is_empty() {
                    break;
                }
                continue;
            };
            match rustix::net::send(&self.fd, rest, SendFlags::NOSIGNAL) {
                Ok(n) => self.sent += n,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return None,
                Err(e @ (Errno::NOBUFS | Errno::NOMEM | Errno::PERM | Errno::ACCESS)) => {
                    return Some(our_fault("send", e));
                }
                // The peer is gone; it may have said why.
                Err(e) => {
                    self.broken = Some(e);
                    return None;
                }
            }
        }
        match (&self.talk, &self.tls) {
            (_, Some(tls)) if tls.is_handshaking() => None,
            (Talk::Connect, Some(_)) => Some(fixed(Code::L6Ok, "")),
            (Talk::Send, _) => Some(fixed(Code::L7Ok, "")),
            (Talk::Connect | Talk::Expect(_) | Talk::Http(_) | Talk::Agent(_), _) => None,
        }
    }

    /// Reads what there is. Ends since each reader does, after less than 1 MiB, and TLS after 4.
    fn read(&mut self, flags: EventFlags, buf: &mut [u8]) -> Option<Outcome> {
        let closing = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        loop {
            match rustix::net::recv(&self.fd, &mut *buf, RecvFlags::empty()) {
                Ok((0, _)) => {
                    return Some(match self.broken {
                        Some(e) => errno(self.bad(), e),
                        None => self.eof(),
                    });
                }
                Ok((n, _)) => {
                    if let Some(outcome) = self.hear(buf.get(..n).unwrap_or_default()) {
                        return Some(outcome);
                    }
                    // A short read has emptied the queue; an edge comes when there is more. Not when an end was
                    // announced with these bytes: its edge is this one.
                    if n < buf.len() && self.broken.is_none() && !flags.intersects(closing) {
                        return None;
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    return self.broken.map(|e| errno(self.bad(), e));
                }
                Err(e) => return Some(errno(self.bad(), self.broken.unwrap_or(e))),
            }
        }
    }

    /// The code for an answer that breaks off.
    fn bad(&self) -> Code {
        let handshaking = self.tls.as_ref().is_some_and(|s| s.is_handshaking());
        if handshaking { Code::L6Rsp } else { Code::L7Rsp }
    }

    /// Takes bytes as they come from the socket.
    fn hear(&mut self, data: &[u8]) -> Option<Outcome> {
        let Some(mut tls) = self.tls.take() else { return self.push(data) };
        let outcome = tls.feed(data, &mut |heard| match heard {
            Heard::Data(data) => self.push(data),
            Heard::End => Some(self.eof()),
        });
        self.tls = Some(tls);
        if outcome.is_some() {
            // What TLS has to say about it, an alert perhaps: the peer's log then tells why.
            if self.broken.is_none() {
                let _ = self.write();
            }
            return outcome;
        }
        // The handshake goes on, or is done and the request goes out.
        if self.broken.is_none() { self.write() } else { None }
    }

    fn push(&mut self, data: &[u8]) -> Option<Outcome> {
        match (&mut self.talk, self.check.as_ref().map(|c| &c.kind)) {
            (Talk::Http(reader), Some(CheckKind::Http(h))) => reader.push(h, data),
            (Talk::Expect(expect), Some(kind)) => expect.push(wants_expect(kind)?, data),
            (Talk::Agent(line), _) => line.push(data),
            // Not asked for: the answer to a check that only sends.
            (Talk::Connect | Talk::Send | Talk::Http(_) | Talk::Expect(_), _) => None,
        }
    }

    fn eof(&mut self) -> Outcome {
        if self.tls.as_ref().is_some_and(|s| s.is_handshaking()) {
            return fixed(Code::L6Rsp, super::tls::CLOSED);
        }
        match (&mut self.talk, self.check.as_ref().map(|c| &c.kind)) {
            (Talk::Http(reader), Some(CheckKind::Http(h))) => reader.eof(h),
            (Talk::Expect(expect), Some(kind)) if let Some(p) = wants_expect(kind) => expect.eof(p),
            (Talk::Agent(line), _) => line.eof(),
            (Talk::Connect | Talk::Send | Talk::Http(_) | Talk::Expect(_), _) => {
                fixed(Code::L7Rsp, "closed by the peer")
            }
        }
    }
}

/// The bytes of a check's request, in the clear; empty where it has none.
fn what_is_sent(check: &Healthcheck, address: IpAddr) -> Result<Vec<u8>, Outcome> {
    match &check.kind {
        CheckKind::Tcp(t) => Ok(t.send.clone()),
        CheckKind::Http(h) => http::request::build(h, address, check.port)
            .map_err(|e| Outcome { code: Code::SockErr, detail: printable(e.to_string().as_bytes()).into() }),
        CheckKind::Icmp | CheckKind::Udp(_) | CheckKind::Dns(_) => Ok(Vec::new()),
    }
}

fn open(peer: SocketAddr, source: Option<IpAddr>) -> Result<OwnedFd, Outcome> {
    let family = if peer.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = rustix::net::socket_with(family, SocketType::STREAM, flags, None)
        .map_err(|e| our_fault("socket", e))?;
    if let Some(source) = source {
        // Without it each bound socket takes a port of the source address for itself, and they run out; a
        // kernel that lacks it (none since 4.2) still binds.
        let _ = nix::sys::socket::setsockopt(&fd, nix::sys::socket::sockopt::IpBindAddressNoPort, &true);
        rustix::net::bind(&fd, &SocketAddr::new(source, 0)).map_err(|e| our_fault("bind", e))?;
    }
    Ok(fd)
}

/// The TLS of a check, if it uses it.
fn wants_tls(kind: &CheckKind) -> Option<&Tls> {
    match kind {
        CheckKind::Tcp(t) => t.tls.as_ref(),
        CheckKind::Http(h) => h.tls.as_ref(),
        CheckKind::Icmp | CheckKind::Udp(_) | CheckKind::Dns(_) => None,
    }
}

/// What the answer to a check must match, if it has to.
fn wants_expect(kind: &CheckKind) -> Option<&Pattern> {
    match kind {
        CheckKind::Tcp(t) => t.expect.as_ref(),
        CheckKind::Http(_) | CheckKind::Icmp | CheckKind::Udp(_) | CheckKind::Dns(_) => None,
    }
}
