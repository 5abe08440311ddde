//! The world around a controller: an `lb` in memory, a network and agents that are only tables, a disk, a clock that goes
//! as far as it is told. Nothing in it is left to chance but what its seed gives.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::babble::babble;
use super::disk::Disk;
use crate::config::{Agent, CheckKind, Config, Healthcheck};
use crate::control::controller::Controller;
use crate::control::event::Event;
use crate::control::programmer::{LbAnswer, LbRequest};
use crate::control::reload::Summary;
use crate::control::state::Snapshot;
use crate::health::agent::parse;
use crate::lb::embedded::{Command, Embedded};
use crate::probe::pace::jittered;
use crate::probe::{Code, InHand, Job, Order, Outcome, ProbeId, Report, Task, Told, Verdict};
use crate::time::{Now, Time};

/// When a world begins.
pub const START: Time = Time::from_millis(1000);
/// The wall clock when the monotonic one is at its start, in milliseconds since the Unix epoch.
const WALL: u64 = 1_790_000_000_000;
/// From one sign of life of the prober to the next.
const BEAT: Duration = Duration::from_secs(1);
/// How long an answer takes that is no timeout.
const ANSWER: Duration = Duration::from_millis(1);
/// More requests to `lb` in one turn than any turn can need.
const ASKED_MAX: usize = 100_000;

/// How an address answers to checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Net {
    /// Passes after 1 ms.
    Good,
    /// Refuses after 1 ms.
    Refused,
    /// Never answers: fails when the timeout is over.
    Silent,
    /// Our own fault.
    Fault,
    /// Answers 404 after 1 ms: a failure but for a check with `disable-on-404`.
    NotFound,
    /// Passes at the last moment before the timeout is over.
    Slow,
    /// Passes, and what it answers is told a second time, later.
    Twice,
    /// Any of these, each time another.
    Flaky,
}

impl Net {
    /// All that answer the same way each time.
    pub const STEADY: [Net; 7] =
        [Net::Good, Net::Refused, Net::Silent, Net::Fault, Net::NotFound, Net::Slow, Net::Twice];
}

/// What the agent at an address does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Voice {
    /// Answers with this line after 1 ms.
    Says(String),
    /// Refuses after 1 ms.
    Refuses,
    /// Never answers: the query fails when its timeout is over.
    Silent,
    /// Hangs up before its line is at an end.
    Cuts,
    /// Our own fault.
    Fault,
    /// Says anything, each time another.
    Babbles,
}

/// What has happened between the controller and its world.
#[derive(Clone, Debug)]
pub enum Happening {
    /// The controller gave an order to the prober.
    Ordered(Order),
    /// The prober begins the next probe of a standing job.
    Repeated(Job),
    /// The prober told this; and whether all was frozen at that moment.
    Told(Report, bool),
    /// The controller looked at what was due.
    Polled,
    /// The controller told this.
    Event(Now, Event),
    /// A request to `lb`, and what came of it.
    Asked(LbRequest, LbAnswer),
    /// The controller gave what the state file is to hold.
    Saving,
    /// The disk has answered: whether it holds what it was given first of what it has not answered yet.
    Saved(bool),
}

/// The controller keeps asking for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("lb is asked without end")]
pub struct Restless;

/// See above.
#[derive(Debug)]
pub struct World {
    /// What it is all about.
    pub c: Controller,
    /// Its `lb`.
    pub lb: Embedded,
    /// The clock.
    pub now: Time,
    /// Both clocks at a moment of the one that does not jump.
    pub clocks: fn(Time) -> Now,
    /// How addresses answer; those that are not in it are good.
    pub net: BTreeMap<IpAddr, Net>,
    /// What agents say, by their address; at those that are not in it nobody listens.
    pub voices: BTreeMap<IpAddr, Voice>,
    /// Reports of the prober that are on their way, by when their probes end; those of one moment in their order.
    pub coming: BTreeMap<(Time, u64), Report>,
    /// Standing jobs between two probes of theirs, by the moment of the next.
    pub resting: BTreeMap<(Time, ProbeId), Job>,
    /// Whether the prober gives signs of life.
    pub beats: bool,
    /// What is cancelled was on its way already, and is told all the same.
    pub leaky: bool,
    /// The state file.
    pub file: Option<Vec<u8>>,
    /// What it is on.
    pub disk: Disk,
    /// What has happened since somebody last took it, in order; and when.
    pub happened: Vec<(Time, Happening)>,
    next_beat: Time,
    reports: u64,
    chance: fastrand::Rng,
}

impl World {
    /// A controller without a configuration, at `now`.
    pub fn new(now: Time, seed: u64) -> World {
        let mut chance = fastrand::Rng::with_seed(seed);
        let mut lb = Embedded::new();
        // In one VPP of four it is not the command that is known.
        lb.set_command(match chance.u8(..12) {
            0 => Command::Refused,
            1 => Command::Idle,
            2 => Command::DeletesOnly,
            _ => Command::Good,
        });
        World {
            c: Controller::new(wall(now), seed),
            lb,
            now,
            clocks: wall,
            net: BTreeMap::new(),
            voices: BTreeMap::new(),
            coming: BTreeMap::new(),
            resting: BTreeMap::new(),
            reports: 0,
            beats: true,
            leaky: false,
            file: None,
            disk: Disk::default(),
            happened: Vec::new(),
            next_beat: now,
            chance,
        }
    }

    /// Another life, from `now` on: nothing is left but the state file, the network and the agents. `lb` is empty.
    pub fn reborn(&self, now: Time, seed: u64) -> World {
        let mut next = World::new(now, seed);
        next.c.keep_state();
        // A file that is not believed is one that is not there.
        if let Some(snapshot) = self.file.as_ref().and_then(|bytes| Snapshot::decode(bytes).ok()) {
            next.c.remember(snapshot);
        }
        next.file.clone_from(&self.file);
        next.net.clone_from(&self.net);
        next.voices.clone_from(&self.voices);
        next
    }

    /// Both clocks.
    pub fn wall(&self) -> Now {
        (self.clocks)(self.now)
    }

    /// Makes `config` the running one.
    pub fn apply(&mut self, config: Config, path: &str) -> Summary {
        let now = self.wall();
        let summary = self.c.apply(now, config, path, Vec::new());
        self.drain();
        summary
    }

    /// What the engine does in a turn before it turns to `lb`.
    pub fn wake(&mut self) {
        self.repeat();
        if self.beats && self.next_beat <= self.now {
            self.next_beat = self.now + BEAT;
            let now = self.wall();
            self.c
                .told(now, Told::Beat { at: self.now, checks: InHand::default(), agents: InHand::default() });
        }
        while let Some(entry) = self.coming.first_entry().filter(|e| e.key().0 <= self.now) {
            let report = entry.remove();
            let now = self.wall();
            self.note(Happening::Told(report.clone(), self.c.frozen().is_some()));
            self.c.told(now, Told::Report(report));
            self.drain();
        }
        self.written();
        let now = self.wall();
        self.c.poll(now);
        self.note(Happening::Polled);
        self.drain();
        self.save();
        self.drain();
        self.lb.set_now(self.now);
    }

    /// Whether nobody wakes the engine now: the prober has begun what was due, and the passes that it has, if any, lie there
    /// until its next beat or the controller's next deadline.
    pub fn is_idle(&mut self) -> bool {
        self.repeat();
        self.told_at().min(self.c.deadline()) > self.now
    }

    /// When the prober or the disk wakes the engine.
    fn told_at(&self) -> Time {
        let urgent = self.coming.iter().find(|(_, r)| !r.goes_on).map_or(Time::MAX, |((t, _), _)| *t);
        let beat = if self.beats { self.next_beat } else { Time::MAX };
        urgent.min(beat).min(self.disk.answers())
    }

    /// Standing jobs go on. On a thread of its own: that nobody has looked at it for a while is nothing to it.
    fn repeat(&mut self) {
        while let Some(entry) = self.resting.first_entry().filter(|e| e.key().0 <= self.now) {
            let job = entry.remove();
            if self.beats {
                self.happened.push((job.due, Happening::Repeated(job.clone())));
                self.probe(&job, job.due);
            } else {
                // Until it gets on.
                let again = self.now + BEAT;
                self.resting.insert((again, job.id), Job { due: again, ..job });
            }
        }
    }

    /// What the engine does in a turn, and again until nothing is asked of `lb`.
    ///
    /// # Errors
    /// There is no end of that.
    pub fn turn(&mut self) -> Result<(), Restless> {
        self.wake();
        for _ in 0..ASKED_MAX {
            if !self.ask() {
                return Ok(());
            }
            self.drain();
        }
        Err(Restless)
    }

    /// The next moment at which a turn has something to do.
    pub fn next_moment(&mut self) -> Time {
        let repeat = self.resting.keys().next().map_or(Time::MAX, |(t, _)| *t);
        repeat.min(self.told_at()).min(self.c.deadline()).max(self.now)
    }

    /// One request to `lb`; false: there is none.
    pub fn ask(&mut self) -> bool {
        let now = self.wall();
        let Some(request) = self.c.next_lb(now) else { return false };
        let answer = request.ask(&mut self.lb);
        self.note(Happening::Asked(request, answer.clone()));
        self.c.lb_answer(now, answer);
        true
    }

    /// Carries out what the controller has ordered, and hears what it has to tell.
    pub fn drain(&mut self) {
        while let Some(order) = self.c.next_order() {
            match &order {
                Order::Probe(job) => self.probe(job, self.now),
                Order::Cancel(id) => {
                    self.resting.retain(|(_, i), _| i != id);
                    if !self.leaky {
                        self.coming.retain(|_, r| r.id != *id);
                    }
                }
                Order::Configure { .. } | Order::Stop => {}
            }
            self.note(Happening::Ordered(order));
        }
        while let Some(event) = self.c.next_event() {
            let now = self.wall();
            self.note(Happening::Event(now, event));
        }
    }

    /// The prober is a new one: what the old one had in hand is lost.
    pub fn restart_prober(&mut self) {
        self.coming.clear();
        self.resting.clear();
        self.beats = true;
        self.next_beat = self.now;
        let now = self.wall();
        self.c.prober_restarted(now);
        self.drain();
    }

    pub(super) fn note(&mut self, what: Happening) {
        self.happened.push((self.now, what));
    }

    /// A probe that starts at `started`.
    fn probe(&mut self, job: &Job, started: Time) {
        let (after, code, detail, line) = match &job.task {
            Task::Check(check) => {
                let mut net = self.net.get(&job.address).copied().unwrap_or(Net::Good);
                if net == Net::Flaky {
                    net = self.chance.choice(Net::STEADY).unwrap_or(Net::Good);
                }
                let (after, code, detail) = found(net, check);
                if net == Net::Twice {
                    let later = after + Duration::from_millis(self.chance.u64(0..5000));
                    self.report(job, started, later, code, detail, None);
                }
                (after, code, detail, None)
            }
            Task::Agent(agent) => self.query(job.address, agent),
        };
        let report = self.report(job, started, after, code, detail, line);
        if let (true, Task::Check(check)) = (report.1, &job.task) {
            let due = jittered(started, check.interval, check.jitter_percent, &mut self.chance).max(report.0);
            self.resting.insert((due, job.id), Job { due, ..job.clone() });
        }
    }

    fn query(&mut self, address: IpAddr, agent: &Agent) -> (Duration, Code, &'static str, Option<Vec<u8>>) {
        match self.voices.get(&address) {
            Some(Voice::Says(line)) => (ANSWER, Code::L7Ok, "", Some(line.clone().into_bytes())),
            Some(Voice::Babbles) => (ANSWER, Code::L7Ok, "", Some(babble(&mut self.chance))),
            Some(Voice::Refuses) | None => (ANSWER, Code::L4Con, "connection refused", None),
            Some(Voice::Cuts) => (ANSWER, Code::L7Rsp, "closed without a line end", None),
            Some(Voice::Fault) => (ANSWER, Code::SockErr, "no route to host", None),
            Some(Voice::Silent) => (agent.timeout, Code::L7Tout, "", None),
        }
    }

    /// A report goes on its way. Answers when the probe was done, and whether its job goes on.
    fn report(
        &mut self,
        job: &Job,
        started: Time,
        after: Duration,
        code: Code,
        detail: &'static str,
        line: Option<Vec<u8>>,
    ) -> (Time, bool) {
        let finished = started + after;
        let outcome = Outcome { code, detail: detail.into() };
        let reply = line.map(|l| Box::new(parse(&l)));
        let goes_on = job.standing && code.verdict() == Verdict::Pass;
        self.reports += 1;
        self.coming.insert(
            (finished, self.reports),
            Report { id: job.id, due: job.due, started, finished, outcome, reply, goes_on, put_off: false },
        );
        (finished, goes_on)
    }
}

/// What a check finds at an address: how long it takes, and what comes of it.
fn found(net: Net, check: &Healthcheck) -> (Duration, Code, &'static str) {
    match net {
        Net::Good | Net::Twice | Net::Flaky => (ANSWER, Code::L4Ok, ""),
        Net::Slow => (check.timeout.saturating_sub(ANSWER), Code::L4Ok, ""),
        Net::Refused => (ANSWER, Code::L4Con, "connection refused"),
        Net::Silent => (check.timeout, Code::L4Tout, ""),
        Net::Fault => (ANSWER, Code::SockErr, "no route to host"),
        Net::NotFound => match &check.kind {
            CheckKind::Http(http) if http.disable_on_404 => (ANSWER, Code::L7Okc, "HTTP 404"),
            CheckKind::Http(_)
            | CheckKind::Tcp(_)
            | CheckKind::Icmp
            | CheckKind::Udp(_)
            | CheckKind::Dns(_) => (ANSWER, Code::L7Sts, "HTTP 404"),
        },
    }
}

/// Both clocks of every world.
pub fn wall(mono: Time) -> Now {
    Now { mono, wall_ms: WALL + mono.0 / 1_000_000 }
}
