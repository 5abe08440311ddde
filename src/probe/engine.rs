//! The prober's loop: orders in, probes on their way, results out.
//!
//! A turn handles what is ready, then takes orders, then judges deadlines, then starts probes. Answers come before
//! deadlines, so that a stall of this thread is not held against a backend that has answered.
//!
//! A standing job is probed again and again as long as it passes, without its owner: healthy backends, which are nearly all of
//! them nearly always, cost the owner's thread no turn of its own.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use rustc_hash::FxHashMap;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;

use super::datagram::Datagram;
use super::entropy::Entropy;
use super::icmp::{Handle, Ping, Sent, Sockets};
use super::netns::Namespace;
use super::prober::Doorbell;
use super::resting::{Due, Resting, Wanted};
use super::stream::{Stream, interest};
use super::text::{our_fault, printable};
use super::timers::Timers;
use super::types::{Code, Job, Order, Outcome, ProbeId, Report, TOLD_TOGETHER, Task, Told, Verdict};
use crate::clock;
use crate::config::{CheckKind, Healthchecker};
use crate::health::agent::Reply;
use crate::time::Time;

/// Probes started in one turn of the loop, so that a burst of due ones never keeps the answers of others waiting.
const STARTS_A_TURN: usize = 32;

/// Orders taken in one turn, likewise.
const ORDERS_A_TURN: usize = 4096;

/// Results that may wait to be taken before beats are left out and standing jobs are not probed: nobody is listening.
const UNTAKEN_MAX: usize = 100_000;

const BEAT: Duration = Duration::from_secs(1);

/// Descriptors left to the rest of the process.
const SPARE_DESCRIPTORS: u64 = 512;

/// What an event is about, in its 64 bits: a slot's number below, above it a generation or one of these.
const WAKE: u64 = u64::MAX << 32;
const SHARED: u64 = (u64::MAX - 1) << 32;
const GENERATIONS: u32 = u32::MAX - 1;

enum Kind {
    Stream(Stream),
    Ping(Ping),
    SharedPing(Handle),
    Datagram(Datagram),
}

/// One probe under way.
struct Flight {
    wanted: Wanted,
    started: Time,
    deadline: Time,
    kind: Kind,
}

#[derive(Default)]
struct Slot {
    /// Tells an event of this flight from a late one of the flight before.
    generation: u32,
    flight: Option<Flight>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Waiting,
    Flying(u32),
    /// Between two probes of a standing job, until then.
    Resting(Time),
}

/// Everything the thread has.
pub(super) struct Engine {
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
    slots: Vec<Slot>,
    free: Vec<u32>,
    in_flight: usize,
    limit: usize,
    queue: VecDeque<Wanted>,
    resting: Resting,
    /// Jobs in `queue` that are not cancelled.
    waiting: usize,
    /// Looked at several times in each probe; nobody outside chooses the numbers, so that a quick hash will do.
    places: FxHashMap<ProbeId, Place>,
    timers: Timers,
    next_beat: Time,
    namespace: Namespace,
    sockets: Sockets,
    entropy: Entropy,
    buf: Vec<u8>,
    decided: Vec<(u64, Outcome)>,
}

/// How many probes may fly: as configured, but never so many that the process runs out of descriptors.
pub fn effective_limit(configured: usize, descriptors: Option<u64>) -> usize {
    let room = match descriptors {
        None => usize::MAX,
        Some(n) => usize::try_from(n.saturating_sub(SPARE_DESCRIPTORS)).unwrap_or(usize::MAX).max(16),
    };
    configured.clamp(1, room)
}

fn limit(configured: usize) -> usize {
    effective_limit(configured, rustix::process::getrlimit(rustix::process::Resource::Nofile).current)
}

impl Engine {
    pub(super) fn new(
        doorbell: Arc<Doorbell>,
        orders: Receiver<Order>,
        told: Sender<Told>,
        wake: Option<Arc<dyn Fn() + Send + Sync>>,
        untaken_max: Option<usize>,
        unprivileged_ping: bool,
    ) -> Result<Engine, Errno> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        // Edges: each ring is one, and the eventfd need never be read.
        epoll::add(&epoll, doorbell.fd(), EventData::new_u64(WAKE), EventFlags::IN | EventFlags::ET)?;
        let mut entropy = Entropy::new();
        let seed = u64::from_ne_bytes(entropy.bytes()?);
        Ok(Engine {
            epoll,
            doorbell,
            orders,
            told,
            wake,
            wake_at: None,
            unhurried: 0,
            untaken_max: untaken_max.unwrap_or(UNTAKEN_MAX),
            slots: Vec::new(),
            free: Vec::new(),
            in_flight: 0,
            limit: limit(Healthchecker::default().max_in_flight),
            queue: VecDeque::new(),
            resting: Resting::new(seed),
            waiting: 0,
            places: FxHashMap::default(),
            timers: Timers::default(),
            next_beat: Time::ZERO,
            namespace: Namespace::new(),
            sockets: Sockets::new(unprivileged_ping),
            entropy,
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
            // Room for all that can be ready, so that no deadline is judged before an answer that beat it.
            events.reserve(self.in_flight + 64);
            let timeout = self.timeout(more_orders);
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(e),
            }
            for event in &events {
                let (about, flags) = (event.data.u64(), event.flags);
                match about & WAKE {
                    WAKE => more_orders = true,
                    SHARED => self.on_shared(about),
                    _ => self.on_event(about, flags),
                }
            }
            if more_orders {
                match self.take_orders() {
                    Some(more) => more_orders = more,
                    None => return Ok(()),
                }
            }
            self.expire();
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
        } else if at <= clock::mono() {
            self.wake_at = None;
            self.unhurried = 0;
            if let Some(wake) = &self.wake {
                wake();
            }
        }
    }

    /// How long nothing can be due. Rounded up to a millisecond by `epoll_wait`, never down: it does not spin.
    fn timeout(&self, more_orders: bool) -> Timespec {
        let busy = more_orders || (self.waiting > 0 && self.in_flight < self.limit);
        let until = self.timers.next().map_or(self.next_beat, |t| t.min(self.next_beat));
        let until = self.wake_at.map_or(until, |t| t.min(until));
        let until = self.resting.next().filter(|_| self.is_heard()).map_or(until, |t| t.min(until));
        let wait = if busy { Duration::ZERO } else { until.since(clock::mono()).min(BEAT) };
        Timespec { tv_sec: i64::try_from(wait.as_secs()).unwrap_or(1), tv_nsec: wait.subsec_nanos().into() }
    }

    /// Takes orders; true when there may be more, none when it is time to end.
    fn take_orders(&mut self) -> Option<bool> {
        self.doorbell.answered();
        for _ in 0..ORDERS_A_TURN {
            match self.orders.try_recv() {
                Ok(Order::Probe(job)) => {
                    if let std::collections::hash_map::Entry::Vacant(place) = self.places.entry(job.id) {
                        place.insert(Place::Waiting);
                        self.waiting += 1;
                        self.queue.push_back(Wanted { job, put_off: false });
                    }
                }
                Ok(Order::Cancel(id)) => self.cancel(id),
                Ok(Order::Configure { netns, max_in_flight }) => {
                    self.limit = limit(max_in_flight);
                    if self.namespace.want(netns) {
                        self.sockets.moved();
                    }
                }
                Ok(Order::Stop) | Err(crossbeam_channel::TryRecvError::Disconnected) => return None,
                Err(crossbeam_channel::TryRecvError::Empty) => return Some(false),
            }
        }
        Some(true)
    }

    fn cancel(&mut self, id: ProbeId) {
        match self.places.remove(&id) {
            None => {}
            Some(Place::Waiting) => {
                self.waiting -= 1;
                // Its job stays in the queue until its turn, but not for ever if that never comes.
                if self.queue.len() > 2 * self.waiting + 64 {
                    self.queue.retain(|w| self.places.get(&w.job.id) == Some(&Place::Waiting));
                }
            }
            Some(Place::Flying(slot)) => drop(self.land(slot)),
            Some(Place::Resting(due)) => self.resting.remove(due, id),
        }
    }

    /// Whether somebody takes what is told.
    fn is_heard(&self) -> bool {
        self.told.len() < self.untaken_max
    }

    /// Standing jobs whose moment has come wait for their probe; not where what it told would pile up.
    fn rouse(&mut self) {
        if self.resting.next().is_none() || !self.is_heard() {
            return;
        }
        let now = clock::mono();
        while let Some(due) = self.resting.pop_due(now) {
            match due {
                Due::Now(wanted) => {
                    self.places.insert(wanted.job.id, Place::Waiting);
                    self.waiting += 1;
                    self.queue.push_back(wanted);
                }
                Due::Later(id, at) => {
                    self.places.insert(id, Place::Resting(at));
                }
            }
        }
    }

    fn start_some(&mut self) {
        let mut starts = 0;
        while starts < STARTS_A_TURN && self.in_flight < self.limit {
            let Some(wanted) = self.queue.pop_front() else { return };
            if self.places.get(&wanted.job.id) == Some(&Place::Waiting) {
                self.waiting -= 1;
                starts += 1;
                self.start(wanted);
            }
        }
    }

    fn start(&mut self, wanted: Wanted) {
        let job = &wanted.job;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let generation = self.slots.get(slot as usize).map_or(0, |s| s.generation);
        let key = u64::from(generation) << 32 | u64::from(slot);
        let started = clock::mono();
        match self.launch(job, key) {
            Ok(kind) => {
                let deadline = started + job.task.timeout();
                self.timers.insert(deadline, slot);
                self.places.insert(job.id, Place::Flying(slot));
                self.in_flight += 1;
                if let Some(s) = self.slots.get_mut(slot as usize) {
                    s.flight = Some(Flight { wanted, started, deadline, kind });
                }
            }
            Err(outcome) => {
                self.free.push(slot);
                self.over(wanted, started, outcome, None);
            }
        }
    }

    fn launch(&mut self, job: &Job, key: u64) -> Result<Kind, Outcome> {
        if let Some(why) = self.namespace.broken() {
            return Err(Outcome { code: Code::SockErr, detail: printable(why.as_bytes()).into() });
        }
        let epoll = self.epoll.as_fd();
        let data = EventData::new_u64(key);
        let fly = |stream: Stream| {
            epoll::add(epoll, stream.fd(), data, interest()).map_err(|e| our_fault("epoll", e))?;
            Ok(Kind::Stream(stream))
        };
        let check = match &job.task {
            Task::Check(check) => check,
            Task::Agent(agent) => return fly(Stream::ask(agent, job.address)?),
        };
        match &check.kind {
            CheckKind::Tcp(_) | CheckKind::Http(_) => fly(Stream::start(check, job.address)?),
            CheckKind::Udp(_) | CheckKind::Dns(_) => {
                let id = self.entropy.number().map_err(|e| our_fault("getrandom", e))?;
                let datagram = Datagram::start(check, job.address, id)?;
                epoll::add(epoll, datagram.fd(), data, EventFlags::IN).map_err(|e| our_fault("epoll", e))?;
                Ok(Kind::Datagram(datagram))
            }
            CheckKind::Icmp => {
                let source = match job.address {
                    IpAddr::V4(_) => check.probe_ipv4_src.map(IpAddr::V4),
                    IpAddr::V6(_) => check.probe_ipv6_src.map(IpAddr::V6),
                };
                let sent = self.sockets.send(key, job.address, source, &mut |fd, number| {
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
            self.finish(key, outcome);
        }
        self.decided = decided;
    }

    fn on_event(&mut self, key: u64, flags: EventFlags) {
        let (slot, generation) = split(key);
        let Some(s) = self.slots.get_mut(slot as usize) else { return };
        if s.generation != generation {
            return;
        }
        let outcome = match s.flight.as_mut().map(|f| &mut f.kind) {
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
        let now = clock::mono();
        while let Some(slot) = self.timers.pop_due(now) {
            let Some(s) = self.slots.get_mut(slot as usize) else { continue };
            let outcome = match s.flight.as_mut().map(|f| &mut f.kind) {
                Some(Kind::Stream(stream)) => stream.on_timeout(),
                Some(Kind::Datagram(datagram)) => datagram.on_timeout(),
                Some(Kind::Ping(_) | Kind::SharedPing(_)) => {
                    super::text::fixed(Code::L4Tout, "no echo reply in time")
                }
                None => continue,
            };
            let key = u64::from(s.generation) << 32 | u64::from(slot);
            self.finish(key, outcome);
        }
    }

    fn finish(&mut self, key: u64, outcome: Outcome) {
        let (slot, generation) = split(key);
        if self.slots.get(slot as usize).is_some_and(|s| s.generation == generation)
            && let Some(mut flight) = self.land(slot)
        {
            let reply = match &mut flight.kind {
                Kind::Stream(stream) => stream.take_reply(),
                Kind::Ping(_) | Kind::SharedPing(_) | Kind::Datagram(_) => None,
            };
            // Closed before anybody is told.
            let Flight { wanted, started, kind, .. } = flight;
            drop(kind);
            self.over(wanted, started, outcome, reply);
        }
    }

    /// Takes a flight out of its slot.
    fn land(&mut self, slot: u32) -> Option<Flight> {
        let s = self.slots.get_mut(slot as usize)?;
        let flight = s.flight.take()?;
        s.generation = (s.generation + 1) % GENERATIONS;
        self.free.push(slot);
        self.in_flight -= 1;
        self.timers.remove(flight.deadline, slot);
        if let Kind::SharedPing(handle) = &flight.kind {
            self.sockets.forget(*handle);
        }
        Some(flight)
    }

    /// A probe has ended: it is told, and a standing job that passed goes on.
    fn over(&mut self, wanted: Wanted, started: Time, outcome: Outcome, reply: Option<Box<Reply>>) {
        let finished = clock::mono();
        let Wanted { job, put_off } = wanted;
        let (id, due) = (job.id, job.due);
        let passed = outcome.code.verdict() == Verdict::Pass;
        let next = if passed { self.resting.rest(job, started, finished) } else { None };
        let report = Report { id, due, started, finished, outcome, reply, goes_on: next.is_some(), put_off };
        match next {
            Some(at) => {
                self.places.insert(id, Place::Resting(at));
                // What changes nothing may wait, but not too many of them.
                self.unhurried += 1;
                let wake_at = if self.unhurried < TOLD_TOGETHER { self.next_beat } else { finished };
                self.tell(Told::Report(report), wake_at);
            }
            None => {
                self.places.remove(&id);
                self.tell(Told::Report(report), finished);
            }
        }
    }

    /// Tells it; its owner is woken at that time if it has not taken it by then.
    fn tell(&mut self, what: Told, wake_at: Time) {
        // Nobody there any more: Stop is on its way, or the owner is gone and the channel tells so.
        let _ = self.told.send(what);
        self.wake_at = Some(self.wake_at.map_or(wake_at, |t| t.min(wake_at)));
    }

    /// The beat, and what else is looked after once a second.
    fn tick(&mut self) {
        let at = clock::mono();
        if at < self.next_beat {
            return;
        }
        self.next_beat = at + BEAT;
        if self.namespace.settle() {
            self.sockets.moved();
        }
        self.sockets.tick();
        if self.is_heard() {
            let beat = Told::Beat { at, in_flight: self.in_flight, waiting: self.waiting };
            self.tell(beat, at);
        }
    }
}

fn split(key: u64) -> (u32, u32) {
    let low = u32::try_from(key & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    (low, u32::try_from(key >> 32).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_leaves_descriptors_to_others_but_never_starves() {
        assert_eq!(effective_limit(4096, Some(1_048_576)), 4096);
        assert_eq!(effective_limit(4096, Some(1024)), 512);
        assert_eq!(effective_limit(4096, Some(520)), 16);
        assert_eq!(effective_limit(4096, Some(3)), 16);
        assert_eq!(effective_limit(5, Some(520)), 5);
        assert_eq!(effective_limit(0, None), 1);
    }

    #[test]
    fn keys_are_told_apart_from_the_loops_own() {
        for key in [0, u64::from(GENERATIONS - 1) << 32 | u64::from(u32::MAX)] {
            assert!(key & WAKE != WAKE && key & WAKE != SHARED);
        }
        assert_eq!(split(7 << 32 | 9), (9, 7));
    }
}
