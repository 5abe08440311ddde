//! The prober's loop: orders in, probes on their way, results out.
//!
//! A turn handles what is ready, then judges deadlines, then takes orders, then starts probes. Answers come before
//! deadlines, so that a stall of this thread is not held against a backend that has answered.
//!
//! A standing job is probed again and again as long as it passes, without its owner: healthy backends, which are nearly all of
//! them nearly always, cost the owner's thread no turn of its own.

use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;

use super::datagram::Datagram;
use super::entropy::Entropy;
use super::icmp::{Handle, Ping, Sent, Sockets};
use super::jobs::{GENERATIONS, Jobs, Kept, Key, Lane, Lanes, Start};
use super::netns::Namespace;
use super::prober::Doorbell;
use super::room::Room;
use super::stream::{Stream, interest};
use super::text::{our_fault, printable};
use super::timers::Timers;
use super::types::{Code, InHand, Order, Outcome, Report, TOLD_TOGETHER, Task, Told, Verdict};
use crate::budget::Budget;
use crate::clock;
use crate::config::{CheckKind, Healthchecker};
use crate::health::agent::Reply;
use crate::time::Time;

/// Probes started in one turn of the loop, so that a burst of due ones never keeps the answers of others waiting.
const STARTS_A_TURN: usize = 32;

/// Agents asked in one turn: the work of it is not to keep checks waiting.
const ASKED_A_TURN: usize = 8;

/// Probes that share the stamp of their start, one after the other: it is a tenth of a millisecond old at the most.
const STARTS_A_STAMP: usize = 8;

/// Events handled in one turn after which its stamp is too old to tell what is due.
const EVENTS_A_STAMP: usize = 16;

/// Orders taken in one turn, so that many of them do not keep answers waiting either.
const ORDERS_A_TURN: usize = 4096;

/// Results that may wait to be taken before beats are left out and standing jobs are not probed: nobody is listening.
const UNTAKEN_MAX: usize = 100_000;

const BEAT: Duration = Duration::from_secs(1);

/// What an event is about, in its 64 bits: a job's key, or something that no key has in its upper half.
const WAKE: u64 = u64::MAX << 32;
const SHARED: u64 = (u64::MAX - 1) << 32;
const _: () = assert!(((GENERATIONS as u64) << 32) <= SHARED);

enum Kind {
    Stream(Stream),
    Ping(Ping),
    SharedPing(Handle),
    Datagram(Datagram),
}

/// One probe under way.
struct Flight {
    key: Key,
    lane: Lane,
    started: Time,
    deadline: Time,
    kind: Kind,
}

/// Everything the thread has.
pub(super) struct Engine {
    /// Read when the kernel has told what is ready, and again where much was done since: a probe is a few dozen microseconds
    /// of work, of which the clock is not to be one.
    now: Time,
    epoll: OwnedFd,
    doorbell: Arc<Doorbell>,
    orders: Receiver<Order>,
    told: Sender<Told>,
    wake: Option<Arc<dyn Fn() + Send + Sync>>,
    /// When the owner is woken for what was told, if it has not come for it by then.
    wake_at: Option<Time>,
    /// Passes told since the owner was last woken, each of which could wait.
    unhurried: usize,
    untaken_max: usize,
    jobs: Jobs,
    slots: Vec<Option<Flight>>,
    free: Vec<u32>,
    in_flight: Lanes<usize>,
    room: Room,
    /// Counts the namespaces that the thread has been in: a socket stays in the one it was made in.
    world: u32,
    timers: Timers,
    next_beat: Time,
    namespace: Namespace,
    sockets: Sockets,
    entropy: Entropy,
    /// What peers may make all probes hold together.
    bodies: Arc<Budget>,
    buf: Vec<u8>,
    decided: Vec<(u64, Outcome)>,
}

impl Engine {
    pub(super) fn new(
        doorbell: Arc<Doorbell>,
        orders: Receiver<Order>,
        told: Sender<Told>,
        wake: Option<Arc<dyn Fn() + Send + Sync>>,
        untaken_max: Option<usize>,
        unprivileged_ping: bool,
        bodies: Arc<Budget>,
    ) -> Result<Engine, Errno> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        // Edges: each ring is one, and the eventfd need never be read.
        epoll::add(&epoll, doorbell.fd(), EventData::new_u64(WAKE), EventFlags::IN | EventFlags::ET)?;
        let mut entropy = Entropy::new();
        let seed = u64::from_ne_bytes(entropy.bytes()?);
        Ok(Engine {
            now: clock::mono(),
            epoll,
            doorbell,
            orders,
            told,
            wake,
            wake_at: None,
            unhurried: 0,
            untaken_max: untaken_max.unwrap_or(UNTAKEN_MAX),
            jobs: Jobs::new(seed),
            slots: Vec::new(),
            free: Vec::new(),
            in_flight: Lanes::default(),
            room: Room::new(&Healthchecker::default()),
            world: 0,
            timers: Timers::default(),
            next_beat: Time::ZERO,
            namespace: Namespace::new(),
            sockets: Sockets::new(unprivileged_ping),
            entropy,
            bodies,
            buf: vec![0; 16 * 1024],
            decided: Vec::new(),
        })
    }

    /// Runs until it is told to stop, or nobody is left who could tell it anything.
    pub(super) fn run(mut self) -> Result<(), Errno> {
        let mut events = Vec::new();
        let mut more_orders = true;
        loop {
            events.clear();
            // Room for all that can be ready, so that no deadline is judged before an answer that beat it: each probe under way, and
            // each kept socket, which tells once that it was dissolved.
            events.reserve(2 * self.slots.len() + 64);
            let timeout = self.timeout(more_orders);
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(e),
            }
            self.now = clock::mono();
            for event in &events {
                let (about, flags) = (event.data.u64(), event.flags);
                match about & WAKE {
                    WAKE => more_orders = true,
                    SHARED => self.on_shared(about),
                    _ => self.on_event(Key(about), flags),
                }
            }
            // By the moment at which the kernel said who has answered: who did so since is not late.
            self.expire();
            if events.len() > EVENTS_A_STAMP {
                self.now = clock::mono();
            }
            if more_orders {
                match self.take_orders() {
                    Some(more) => more_orders = more,
                    None => {
                        self.slots.drain(..).flatten().for_each(|f| drop(f.kind.leave(None)));
                        return Ok(());
                    }
                }
            }
            self.rouse();
            self.start_some();
            self.tick();
            self.wake_owner();
        }
    }

    /// Wakes whoever takes the results, where there is something to take and it is time.
    fn wake_owner(&mut self) {
        let Some(at) = self.wake_at else { return };
        if self.told.is_empty() {
            self.wake_at = None;
            self.unhurried = 0;
        } else if at <= self.now {
            self.wake_at = None;
            self.unhurried = 0;
            if let Some(wake) = &self.wake {
                wake();
            }
        }
    }

    /// How long nothing can be due. Rounded up to a millisecond by `epoll_wait`, never down: it does not spin.
    fn timeout(&self, more_orders: bool) -> Timespec {
        let busy = more_orders || self.may_start(Lane::Checks) || self.may_start(Lane::Agents);
        let until = self.timers.next().map_or(self.next_beat, |t| t.min(self.next_beat));
        let until = self.wake_at.map_or(until, |t| t.min(until));
        let until = self.jobs.next_due().filter(|_| self.is_heard()).map_or(until, |t| t.min(until));
        let wait = if busy { Duration::ZERO } else { until.since(self.now).min(BEAT) };
        Timespec { tv_sec: i64::try_from(wait.as_secs()).unwrap_or(1), tv_nsec: wait.subsec_nanos().into() }
    }

    /// Takes orders; true when there may be more, none when it is time to end.
    fn take_orders(&mut self) -> Option<bool> {
        self.doorbell.answered();
        for _ in 0..ORDERS_A_TURN {
            match self.orders.try_recv() {
                Ok(Order::Probe(job)) => self.jobs.add(job),
                Ok(Order::Cancel(id)) => {
                    if let Some(flight) = self.jobs.cancel(id).and_then(|slot| self.land(slot)) {
                        flight.kind.leave(None);
                    }
                }
                Ok(Order::Configure(config)) => {
                    self.room = Room::new(&config);
                    if self.namespace.want(config.netns) {
                        self.moved();
                    }
                }
                Ok(Order::Stop) | Err(crossbeam_channel::TryRecvError::Disconnected) => return None,
                Err(crossbeam_channel::TryRecvError::Empty) => return Some(false),
            }
        }
        Some(true)
    }

    /// The thread is in another namespace.
    fn moved(&mut self) {
        self.sockets.moved();
        self.world = self.world.wrapping_add(1);
    }

    /// Whether somebody takes what is told.
    fn is_heard(&self) -> bool {
        self.told.len() < self.untaken_max
    }

    /// Standing jobs whose moment has come wait for their probe; not where what it told would pile up.
    fn rouse(&mut self) {
        if self.jobs.next_due().is_some() && self.is_heard() {
            self.jobs.rouse(self.now);
        }
    }

    /// Whether somebody waits, and has room.
    fn may_start(&self, lane: Lane) -> bool {
        self.jobs.waiting(lane) > 0 && self.in_flight.of(lane) < self.room.flights.of(lane)
    }

    fn start_some(&mut self) {
        for (lane, most) in [(Lane::Checks, STARTS_A_TURN), (Lane::Agents, ASKED_A_TURN)] {
            for n in 0..most {
                if !self.may_start(lane) {
                    break;
                }
                let Some(start) = self.jobs.next_start(lane) else { break };
                if n % STARTS_A_STAMP == 0 {
                    self.now = clock::mono();
                }
                self.start(lane, start);
            }
        }
    }

    fn start(&mut self, lane: Lane, start: Start) {
        let Start { key, address, task, kept } = start;
        let started = self.now;
        let deadline = started + task.timeout();
        // A socket of another namespace would reach other hosts.
        let kept = kept.filter(|k| k.world == self.world);
        match self.launch(key, address, &task, kept) {
            Ok(kind) => {
                let slot = self.free.pop().unwrap_or_else(|| {
                    self.slots.push(None);
                    u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
                });
                self.timers.insert(deadline, slot);
                self.jobs.flies(key, slot);
                *self.in_flight.of_mut(lane) += 1;
                if let Some(s) = self.slots.get_mut(slot as usize) {
                    *s = Some(Flight { key, lane, started, deadline, kind });
                }
            }
            Err(outcome) => self.over(key, started, outcome, None, None),
        }
    }

    fn launch(
        &mut self,
        key: Key,
        address: IpAddr,
        task: &Task,
        kept: Option<Kept>,
    ) -> Result<Kind, Outcome> {
        if let Some(why) = self.namespace.broken() {
            return Err(Outcome { code: Code::SockErr, detail: printable(why.as_bytes()).into() });
        }
        let epoll = self.epoll.as_fd();
        let data = EventData::new_u64(key.0);
        let fly = |stream: Stream| {
            // A kept socket is watched already, under the same key.
            if !stream.is_kept() {
                epoll::add(epoll, stream.fd(), data, interest()).map_err(|e| our_fault("epoll", e))?;
            }
            Ok(Kind::Stream(stream))
        };
        let check = match task {
            Task::Check(check) => check,
            Task::Agent(agent) => return fly(Stream::ask(agent, address)?),
        };
        match &check.kind {
            CheckKind::Tcp(_) | CheckKind::Http(_) => fly(Stream::start(check, address, kept, &self.bodies)?),
            CheckKind::Udp(_) | CheckKind::Dns(_) => {
                let id = self.entropy.number().map_err(|e| our_fault("getrandom", e))?;
                let datagram = Datagram::start(check, address, id)?;
                epoll::add(epoll, datagram.fd(), data, EventFlags::IN).map_err(|e| our_fault("epoll", e))?;
                Ok(Kind::Datagram(datagram))
            }
            CheckKind::Icmp => {
                let source = match address {
                    IpAddr::V4(_) => check.probe_ipv4_src.map(IpAddr::V4),
                    IpAddr::V6(_) => check.probe_ipv6_src.map(IpAddr::V6),
                };
                let sent = self.sockets.send(key.0, address, source, &mut |fd, number| {
                    let data = EventData::new_u64(SHARED | u64::from(number));
                    epoll::add(epoll, fd, data, EventFlags::IN)
                })?;
                match sent {
                    Sent::Shared(handle) => Ok(Kind::SharedPing(handle)),
                    Sent::Own(ping) => {
                        epoll::add(epoll, ping.fd(), data, EventFlags::IN | EventFlags::ET)
                            .map_err(|e| our_fault("epoll", e))?;
                        Ok(Kind::Ping(ping))
                    }
                }
            }
        }
    }

    fn on_shared(&mut self, about: u64) {
        let mut decided = std::mem::take(&mut self.decided);
        let number = u32::try_from(about & !WAKE).unwrap_or(u32::MAX);
        self.sockets.receive(number, &mut self.buf, &mut decided);
        for (key, outcome) in decided.drain(..) {
            self.finish(Key(key), outcome);
        }
        self.decided = decided;
    }

    fn on_event(&mut self, key: Key, flags: EventFlags) {
        // Between two probes a kept socket tells that it is closed.
        let Some(slot) = self.jobs.slot(key) else { return };
        let outcome = match self.slots.get_mut(slot as usize).and_then(|s| s.as_mut()).map(|f| &mut f.kind) {
            Some(Kind::Stream(stream)) => stream.on_event(flags, &mut self.buf),
            Some(Kind::Ping(ping)) => ping.on_event(&mut self.buf),
            Some(Kind::Datagram(datagram)) => datagram.on_event(flags, &mut self.buf),
            Some(Kind::SharedPing(_)) | None => None,
        };
        if let Some(outcome) = outcome {
            self.finish(key, outcome);
        }
    }

    fn expire(&mut self) {
        while let Some(slot) = self.timers.pop_due(self.now) {
            let Some(flight) = self.slots.get_mut(slot as usize).and_then(|s| s.as_mut()) else { continue };
            let outcome = match &mut flight.kind {
                Kind::Stream(stream) => stream.on_timeout(),
                Kind::Datagram(datagram) => datagram.on_timeout(),
                Kind::Ping(_) | Kind::SharedPing(_) => {
                    super::text::fixed(Code::L4Tout, "no echo reply in time")
                }
            };
            let key = flight.key;
            self.finish(key, outcome);
        }
    }

    fn finish(&mut self, key: Key, outcome: Outcome) {
        let Some(mut flight) = self.jobs.slot(key).and_then(|slot| self.land(slot)) else { return };
        let (mut reply, mut keep) = (None, false);
        match &mut flight.kind {
            Kind::Stream(stream) => {
                reply = stream.take_reply();
                keep = outcome.code.verdict() == Verdict::Pass && self.room.keeps(stream.fd());
            }
            Kind::Ping(_) | Kind::SharedPing(_) | Kind::Datagram(_) => {}
        }
        let keep = keep && self.jobs.get(key).is_some_and(|(job, _)| job.standing);
        // Closed before anybody is told.
        let kept = flight.kind.leave(keep.then_some(self.world));
        self.over(key, flight.started, outcome, reply, kept);
    }

    /// Takes a flight out of its slot.
    fn land(&mut self, slot: u32) -> Option<Flight> {
        let flight = self.slots.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        *self.in_flight.of_mut(flight.lane) -= 1;
        self.timers.remove(flight.deadline, slot);
        if let Kind::SharedPing(handle) = &flight.kind {
            self.sockets.forget(*handle);
        }
        Some(flight)
    }

    /// A probe has ended: it is told, and a standing job that passed goes on.
    fn over(
        &mut self,
        key: Key,
        started: Time,
        outcome: Outcome,
        reply: Option<Box<Reply>>,
        kept: Option<Kept>,
    ) {
        let finished = self.now.max(started);
        let Some((job, put_off)) = self.jobs.get(key) else { return };
        let (id, due) = (job.id, job.due);
        let goes_on =
            outcome.code.verdict() == Verdict::Pass && self.jobs.rest(key, started, finished, kept).is_some();
        let wake_at = if goes_on {
            // What changes nothing may wait, but not too many of them.
            self.unhurried += 1;
            if self.unhurried < TOLD_TOGETHER { self.next_beat } else { finished }
        } else {
            self.jobs.end(key);
            finished
        };
        let report = Report { id, due, started, finished, outcome, reply, goes_on, put_off };
        self.tell(Told::Report(report), wake_at);
    }

    /// Tells it; its owner is woken at that time if it has not taken it by then.
    fn tell(&mut self, what: Told, wake_at: Time) {
        // Nobody there any more: Stop is on its way, or the owner is gone and the channel tells so.
        let _ = self.told.send(what);
        self.wake_at = Some(self.wake_at.map_or(wake_at, |t| t.min(wake_at)));
    }

    /// The beat, and what else is looked after once a second.
    fn tick(&mut self) {
        let at = self.now;
        if at < self.next_beat {
            return;
        }
        self.next_beat = at + BEAT;
        if self.namespace.settle() {
            self.moved();
        }
        self.sockets.tick();
        if self.is_heard() {
            let in_hand =
                |lane| InHand { in_flight: *self.in_flight.of(lane), waiting: self.jobs.waiting(lane) };
            let beat = Told::Beat { at, checks: in_hand(Lane::Checks), agents: in_hand(Lane::Agents) };
            self.tell(beat, at);
        }
    }
}

impl Kind {
    /// Ends the probe: what is open is closed, but for a socket of this world that is to be kept and can be.
    fn leave(self, keep: Option<u32>) -> Option<Kept> {
        match self {
            Kind::Stream(stream) => stream.leave(keep),
            Kind::Ping(_) | Kind::SharedPing(_) | Kind::Datagram(_) => None,
        }
    }
}
