use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::lab_agents::{Asked, Voice};
use crate::control::LogLevel;
use crate::control::controller::Controller;
use crate::control::journal::Journal;
use crate::control::programmer::{LbAnswer, LbRequest};
use crate::control::{Finished, Ticket};
use crate::lb::embedded::Embedded;
use crate::lb::{LoadBalancer, Op, VipKey};
use crate::probe::{Code, Job, Order, Outcome, ProbeId, Report, Task, Told, Verdict};
use crate::time::{Now, Time};

/// How an address answers.
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
    /// Answers 404 after 1 ms, to a check with `disable-on-404`.
    NotFound,
}

/// A probe that was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    pub at: Time,
    pub address: IpAddr,
    /// How long its pass may be kept back; in here it is.
    pub patience: Duration,
}

pub struct Lab {
    pub c: Controller,
    pub lb: Embedded,
    pub now: Time,
    pub net: BTreeMap<IpAddr, Net>,
    pub log: Vec<(Time, String)>,
    /// What the engine would log, with the ring behind it.
    pub journal: Journal,
    pub logged: Vec<(Time, LogLevel, String)>,
    pub started: Vec<Started>,
    /// What agents say, by their address.
    pub voices: BTreeMap<IpAddr, Voice>,
    /// Queries of agents.
    pub queries: Vec<Asked>,
    /// Orders other than probes and cancels.
    pub configured: Vec<Order>,
    /// (time, id) → report.
    pub coming: BTreeMap<(Time, ProbeId), Report>,
    next_beat: Time,
    pub beats: bool,
    /// What was written to `lb`, when.
    pub writes: Vec<(Time, Op)>,
    /// Requests of any kind.
    pub asked: usize,
    /// The state file, and when it was written.
    pub file: Option<Vec<u8>>,
    pub saves: Vec<Time>,
    /// Why it cannot be written.
    pub disk: Option<String>,
    /// Both clocks at a moment of the one that does not jump.
    pub clocks: fn(Time) -> Now,
    /// Called after each answer of `lb`.
    pub watch: Option<fn(&mut Lab)>,
    /// Servers that are not to lose their weight; for `watch`.
    pub watched: BTreeSet<(VipKey, IpAddr)>,
}

pub const START: Time = Time::from_millis(1000);

impl Lab {
    /// A controller with this configuration, applied at [`START`]; every address is good.
    pub fn new(yaml: &str) -> Lab {
        let mut lab = Lab::idle();
        lab.load(yaml);
        lab
    }

    pub fn idle() -> Lab {
        let now = START;
        Lab {
            c: Controller::new(wall(now), 7),
            lb: Embedded::new(),
            now,
            net: BTreeMap::new(),
            log: Vec::new(),
            journal: Journal::default(),
            logged: Vec::new(),
            started: Vec::new(),
            voices: BTreeMap::new(),
            queries: Vec::new(),
            configured: Vec::new(),
            coming: BTreeMap::new(),
            next_beat: now,
            beats: true,
            writes: Vec::new(),
            asked: 0,
            file: None,
            saves: Vec::new(),
            disk: None,
            clocks: wall,
            watch: None,
            watched: BTreeSet::new(),
        }
    }

    /// Another life: nothing is left but the state file and the network. Idle; `lb` is empty.
    pub fn reborn(&self) -> Lab {
        let mut lab = Lab::idle();
        lab.c.keep_state();
        if let Some(bytes) = &self.file {
            lab.c.remember(crate::control::state::Snapshot::decode(bytes).unwrap());
        }
        lab.file.clone_from(&self.file);
        lab.net.clone_from(&self.net);
        lab.voices.clone_from(&self.voices);
        lab
    }

    pub fn wall(&self) -> Now {
        (self.clocks)(self.now)
    }

    pub fn load(&mut self, yaml: &str) {
        let parsed = crate::config::parse(yaml).unwrap_or_else(|e| panic!("{e:?}\n{yaml}"));
        let now = self.wall();
        self.c.apply(now, parsed.config, "test.yaml", Vec::new());
        self.drain();
    }

    pub fn net(&mut self, address: &str, net: Net) {
        self.net.insert(ip(address), net);
    }

    /// Runs for so many milliseconds.
    pub fn run(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        let mut turns = 0u32;
        loop {
            turns += 1;
            assert!(turns < 2_000_000, "the controller does not come to rest");
            self.turn();
            let report = self.coming.keys().next().map_or(Time::MAX, |(t, _)| *t);
            let beat = if self.beats { self.next_beat } else { Time::MAX };
            let deadline = self.c.deadline();
            let next = report.min(beat).min(deadline).max(self.now);
            if next > until {
                break;
            }
            self.now = next;
        }
        self.now = until;
        self.turn();
    }

    /// Runs in steps of a millisecond until it is so, which is to be within a minute.
    pub fn until(&mut self, so: impl Fn(&Lab) -> bool) {
        let end = self.now + Duration::from_secs(60);
        while !so(self) {
            assert!(self.now < end, "it never comes about");
            self.run(1);
        }
    }

    /// What the engine does in a turn, and again until nothing is asked.
    pub fn turn(&mut self) {
        if self.beats && self.next_beat <= self.now {
            self.next_beat = self.now + Duration::from_secs(1);
            let now = self.wall();
            self.c.told(now, Told::Beat { at: self.now, in_flight: 0, waiting: 0 });
        }
        while let Some(entry) = self.coming.first_entry().filter(|e| e.key().0 <= self.now) {
            let report = entry.remove();
            let now = self.wall();
            self.c.told(now, Told::Report(report));
        }
        let now = self.wall();
        self.c.poll(now);
        self.save();
        self.drain();
        self.lb.set_now(self.now);
        let mut asked = 0;
        while self.ask() {
            asked += 1;
            assert!(asked < 100_000, "lb is asked without end");
            self.drain();
        }
    }

    /// The state file, if it is due; the disk takes no time.
    pub fn save(&mut self) {
        let now = self.wall();
        while let Some((generation, snapshot)) = self.c.save_due(now) {
            let result = match &self.disk {
                None => {
                    self.file = Some(snapshot.encode().unwrap());
                    self.saves.push(self.now);
                    Ok(())
                }
                Some(why) => Err(why.clone()),
            };
            self.c.state_saved(now, generation, result);
        }
    }

    /// One request to `lb`.
    pub fn ask(&mut self) -> bool {
        let now = self.wall();
        let Some(request) = self.c.next_lb(now) else { return false };
        self.asked += 1;
        let answer = match request {
            LbRequest::Settings => LbAnswer::Settings(self.lb.settings()),
            LbRequest::Vips => LbAnswer::Vips(self.lb.vips()),
            LbRequest::Servers(vip) => LbAnswer::Servers(self.lb.servers(&vip)),
            LbRequest::Apply(ops) => {
                self.writes.extend(ops.iter().map(|op| (self.now, *op)));
                LbAnswer::Apply(self.lb.apply(&ops))
            }
        };
        self.c.lb_answer(now, answer);
        if let Some(watch) = self.watch {
            watch(self);
        }
        true
    }

    pub fn drain(&mut self) {
        while let Some(order) = self.c.next_order() {
            match order {
                Order::Probe(job) => self.probe(job),
                Order::Cancel(id) => self.coming.retain(|(_, i), _| *i != id),
                other @ (Order::Configure { .. } | Order::Stop) => self.configured.push(other),
            }
        }
        while let Some(event) = self.c.next_event() {
            self.log.push((self.now, event.to_string()));
            let (now, logged) = (self.wall(), &mut self.logged);
            self.journal.tell(now, event, &mut |level, text| logged.push((now.mono, level, text.to_owned())));
        }
    }

    fn probe(&mut self, job: Job) {
        if let Task::Agent(agent) = &job.task {
            let (finished, report) = self.query(job.id, job.address, agent);
            self.coming.insert((finished, job.id), report);
            return;
        }
        self.started.push(Started { at: self.now, address: job.address, patience: job.patience });
        let (after, code, detail) = match self.net.get(&job.address).copied().unwrap_or(Net::Good) {
            Net::Good => (Duration::from_millis(1), Code::L4Ok, ""),
            Net::Refused => (Duration::from_millis(1), Code::L4Con, "connection refused"),
            Net::Silent => (job.task.timeout(), Code::L4Tout, ""),
            Net::Fault => (Duration::from_millis(1), Code::SockErr, "no route to host"),
            Net::NotFound => (Duration::from_millis(1), Code::L7Okc, "HTTP 404"),
        };
        let finished = self.now + after;
        let outcome = Outcome { code, detail: detail.into() };
        let waits = if code.verdict() == Verdict::Pass { job.patience } else { Duration::ZERO };
        let report = Report { id: job.id, started: self.now, finished, outcome, reply: None };
        self.coming.insert((finished + waits, job.id), report);
    }

    pub fn state(&self, backend: &str) -> String {
        self.c.backend(backend).unwrap().display
    }

    pub fn take(&mut self, ticket: Ticket) -> Finished {
        self.c.take(ticket).expect("the answer is there")
    }

    /// `address=weight` of each server of a VIP.
    pub fn weights(&mut self, vip: &str, port: u16) -> String {
        let vip = vip_tcp(vip, port);
        let mut all: Vec<_> = self.lb.servers(&vip).unwrap();
        all.sort_by_key(|s| s.address);
        let all = all.iter().map(|s| format!("{}={}", s.address, s.weight));
        all.collect::<Vec<_>>().join(" ")
    }

    /// The writes since the last call, as text.
    pub fn take_writes(&mut self) -> Vec<String> {
        self.writes.drain(..).map(|(_, op)| op.to_string()).collect()
    }

    /// The log lines since the last call that contain a word.
    pub fn take_log(&mut self, word: &str) -> Vec<String> {
        let all = std::mem::take(&mut self.log);
        all.into_iter().map(|(_, l)| l).filter(|l| l.contains(word)).collect()
    }

    /// Starts of probes to an address, in milliseconds after [`START`].
    pub fn starts(&self, address: &str) -> Vec<u64> {
        let a = ip(address);
        self.started.iter().filter(|s| s.address == a).map(|s| (s.at.0 - START.0) / 1_000_000).collect()
    }
}

pub fn ip(s: &str) -> IpAddr {
    s.parse().unwrap()
}

pub fn vip_tcp(address: &str, port: u16) -> VipKey {
    VipKey { address: ip(address), service: Some((crate::lb::Protocol::Tcp, port)) }
}

fn wall(mono: Time) -> Now {
    Now { mono, wall_ms: 1_790_000_000_000 + mono.0 / 1_000_000 }
}

/// Two pools: a, b first, c second; interval 1 s, fast 200 ms, down 2 s, timeout 500 ms, rise 2, fall 3, no jitter.
pub const BASIC: &str = "
maglev:
  vpp: {lb: {ipv4-src-address: 10.0.0.1, startup-max-delay: 10s}}
  healthchecks:
    tcp: {type: tcp, port: 80, interval: 1s, fast-interval: 200ms, down-interval: 2s, timeout: 500ms, jitter: 0}
  backends:
    a: {address: 10.1.0.1, healthcheck: tcp}
    b: {address: 10.1.0.2, healthcheck: tcp}
    c: {address: 10.1.0.3, healthcheck: tcp}
  frontends:
    web:
      address: 192.0.2.1
      protocol: tcp
      port: 80
      pools:
        - {name: first, backends: {a: {}, b: {weight: 50}}}
        - {name: second, backends: {c: {}}}
";
