//! The sessions on the CLI socket, all on the engine's thread.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use maglev::cli::{Answer, PENDING_LIMIT, Pending, Reply};
use maglev::control::Operator;
use maglev::time::Time;
use rustix::event::PollFlags;

use crate::session::{Request, Session};
use crate::shell;
use crate::socket::Socket;

/// Sessions at once.
pub const MAX_SESSIONS: usize = 16;
/// When all are taken, the one that was idle for longest makes room, if it was so for this long.
const IDLE: Duration = Duration::from_secs(60);
/// A client that takes nothing of its answer for so long is dropped.
const STUCK: Duration = Duration::from_secs(60);
/// After `accept` failed, as for want of descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);
/// Commands of one session between two turns of the engine.
const COMMANDS_A_TURN: usize = 4;

struct Client {
    stream: UnixStream,
    session: Session,
    pending: Option<(Pending, Time)>,
    /// The last byte in or out.
    active: Time,
    eof: bool,
    dead: bool,
}

pub struct Server {
    socket: Socket,
    clients: Vec<Client>,
    accept_after: Time,
}

impl Server {
    pub fn new(socket: Socket) -> Server {
        Server { socket, clients: Vec::new(), accept_after: Time::ZERO }
    }

    /// What to wait for: the listener, unless it is to rest, and the clients that can be served.
    pub fn interests(&mut self, now: Time) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        let mut out = Vec::with_capacity(self.clients.len().saturating_add(1));
        if now >= self.accept_after {
            out.push((self.socket.listener.as_fd(), PollFlags::IN));
        }
        for c in &mut self.clients {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, !c.eof && c.session.wants_input());
            flags.set(PollFlags::OUT, !c.session.output().is_empty());
            // One that only hangs up would be reported again and again.
            if !flags.is_empty() {
                out.push((c.stream.as_fd(), flags));
            }
        }
        out
    }

    /// The next moment at which [`Server::serve`] has something to do of itself.
    pub fn deadline(&mut self, now: Time) -> Option<Time> {
        let clients = self.clients.iter_mut().flat_map(|c| {
            let stuck = (!c.session.output().is_empty()).then(|| c.active + STUCK);
            [c.session.deadline(), c.pending.as_ref().map(|(_, at)| *at), stuck]
        });
        clients.flatten().chain((now < self.accept_after).then_some(self.accept_after)).min()
    }

    /// Takes new clients if there may be some, reads, carries out, writes; never blocks. True: there is more to do at
    /// once.
    pub fn serve(&mut self, now: Time, op: &mut dyn Operator, knocked: bool) -> bool {
        if knocked {
            self.accept(now);
        }
        let mut busy = false;
        for c in &mut self.clients {
            c.read(now, op);
            c.session.tick(now);
            busy |= c.carry_out(now, op);
            c.write(now);
        }
        self.clients.retain(|c| !c.dead);
        busy
    }

    /// A last word for all, and what can be sent without waiting.
    pub fn end(&mut self, now: Time) {
        for c in &mut self.clients {
            c.session.close();
            c.write(now);
        }
        self.clients.clear();
    }

    fn accept(&mut self, now: Time) {
        if now < self.accept_after {
            return;
        }
        // As many as there can be sessions: what is left over is reported again.
        for _ in 0..MAX_SESSIONS {
            match self.socket.listener.accept() {
                Ok((stream, _)) => self.admit(now, stream),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.accept_after = now + ACCEPT_AGAIN;
                    return;
                }
            }
        }
    }

    fn admit(&mut self, now: Time, mut stream: UnixStream) {
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        if self.clients.len() >= MAX_SESSIONS {
            let idlest = self
                .clients
                .iter()
                .enumerate()
                .filter(|(_, c)| c.pending.is_none())
                .min_by_key(|(_, c)| c.active);
            match idlest.map(|(i, c)| (i, c.active)) {
                Some((i, active)) if now.since(active) >= IDLE => drop(self.clients.swap_remove(i)),
                Some(_) | None => {
                    let _ = stream
                        .write(format!("error: {MAX_SESSIONS} sessions are open already\r\n\0").as_bytes());
                    return;
                }
            }
        }
        let session = Session::new(now, &shell::banner());
        self.clients.push(Client { stream, session, pending: None, active: now, eof: false, dead: false });
    }
}

impl Client {
    fn read(&mut self, now: Time, op: &dyn Operator) {
        if self.eof || !self.session.wants_input() {
            return;
        }
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => {
                self.eof = true;
                self.session.end_of_input(op);
            }
            Ok(n) => {
                self.active = now;
                self.session.receive(buffer.get(..n).unwrap_or_default(), op);
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => self.dead = true,
        }
    }

    fn carry_out(&mut self, now: Time, op: &mut dyn Operator) -> bool {
        if let Some((mut pending, until)) = self.pending.take() {
            let reply = pending.poll(op).or_else(|| (now >= until).then(|| pending.given_up(op)));
            match reply {
                Some(reply) => self.session.answer(&reply.text, op),
                None => {
                    self.pending = Some((pending, until));
                    return false;
                }
            }
        }
        for _ in 0..COMMANDS_A_TURN {
            match self.session.next_request() {
                None => return false,
                Some(Request::Quit) => {
                    self.session.close();
                    return false;
                }
                Some(Request::TooLong) => {
                    let text = format!("the line is longer than {} bytes", maglev::cli::MAX_LINE);
                    self.session.answer(&Reply::error(text).text, op);
                }
                Some(Request::Line(line)) if line.trim().is_empty() => self.session.answer("", op),
                Some(Request::Line(line)) => match shell::execute(&line, op) {
                    Answer::Done(reply) => self.session.answer(&reply.text, op),
                    Answer::Later(pending) => {
                        self.pending = Some((pending, now + PENDING_LIMIT));
                        return true;
                    }
                },
            }
        }
        true
    }

    fn write(&mut self, now: Time) {
        while !self.dead && !self.session.output().is_empty() {
            match self.stream.write(self.session.output()) {
                Ok(0) => self.dead = true,
                Ok(n) => {
                    self.active = now;
                    self.session.sent(n);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.dead = now.since(self.active) >= STUCK;
                    break;
                }
                Err(_) => self.dead = true,
            }
        }
        self.dead |= self.session.is_over();
    }
}
