use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use super::lab_agents::Asked;
use crate::control::LogLevel;
use crate::control::journal::Journal;
use crate::control::state::Snapshot;
use crate::control::{Finished, Ticket};
use crate::lb::{LoadBalancer, Op, VipKey};
use crate::probe::{Job, Order, Task};
use crate::simulate::Happening;
pub use crate::simulate::world::{Net, START, World};
use crate::time::Time;

/// A probe that was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    pub at: Time,
    pub address: IpAddr,
    /// The prober goes on by itself while it passes.
    pub standing: bool,
}

/// A [`World`], and what was seen of it.
pub struct Lab {
    pub world: World,
    pub log: Vec<(Time, String)>,
    /// What the engine would log, with the ring behind it.
    pub journal: Journal,
    pub logged: Vec<(Time, LogLevel, String)>,
    pub started: Vec<Started>,
    /// Queries of agents.
    pub queries: Vec<Asked>,
    /// Orders other than probes and cancels.
    pub configured: Vec<Order>,
    /// What was written to `lb`, when.
    pub writes: Vec<(Time, Op)>,
    /// Requests of any kind.
    pub asked: usize,
    /// When the state file was written.
    pub saves: Vec<Time>,
    /// Called after each answer of `lb`.
    pub watch: Option<fn(&mut Lab)>,
    /// Servers that are not to lose their weight; for `watch`.
    pub watched: BTreeSet<(VipKey, IpAddr)>,
}

impl Deref for Lab {
    type Target = World;
    fn deref(&self) -> &World {
        &self.world
    }
}

impl DerefMut for Lab {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.world
    }
}

impl Lab {
    /// A controller with this configuration, applied at [`START`]; every address is good.
    pub fn new(yaml: &str) -> Lab {
        let mut lab = Lab::idle();
        lab.load(yaml);
        lab
    }

    pub fn idle() -> Lab {
        Lab::of(World::new(START, 7))
    }

    fn of(world: World) -> Lab {
        Lab {
            world,
            log: Vec::new(),
            journal: Journal::default(),
            logged: Vec::new(),
            started: Vec::new(),
            queries: Vec::new(),
            configured: Vec::new(),
            writes: Vec::new(),
            asked: 0,
            saves: Vec::new(),
            watch: None,
            watched: BTreeSet::new(),
        }
    }

    /// Another life: nothing is left but the state file and the network. Idle; `lb` is empty.
    pub fn reborn(&self) -> Lab {
        if let Some(bytes) = &self.file {
            Snapshot::decode(bytes).unwrap();
        }
        Lab::of(self.world.reborn(START, 7))
    }

    pub fn load(&mut self, yaml: &str) {
        let parsed = crate::config::parse(yaml).unwrap_or_else(|e| panic!("{e:?}\n{yaml}"));
        self.world.apply(parsed.config, "test.yaml");
        self.absorb();
    }

    pub fn net(&mut self, address: &str, net: Net) {
        self.world.net.insert(ip(address), net);
    }

    /// Runs for so many milliseconds.
    pub fn run(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        let mut turns = 0u32;
        loop {
            turns += 1;
            assert!(turns < 2_000_000, "the controller does not come to rest");
            if turns == 1 || !self.world.is_idle() {
                self.turn();
            }
            let next = self.world.next_moment();
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
        self.world.wake();
        self.absorb();
        let mut asked = 0;
        while self.ask() {
            asked += 1;
            assert!(asked < 100_000, "lb is asked without end");
            self.drain();
        }
    }

    /// The state file, if it is due; the disk takes no time.
    pub fn save(&mut self) {
        self.world.save();
        self.absorb();
    }

    /// One request to `lb`.
    pub fn ask(&mut self) -> bool {
        let did = self.world.ask();
        self.absorb();
        if did && let Some(watch) = self.watch {
            watch(self);
        }
        did
    }

    pub fn drain(&mut self) {
        self.world.drain();
        self.absorb();
    }

    /// Takes down what has happened.
    fn absorb(&mut self) {
        for (at, what) in std::mem::take(&mut self.world.happened) {
            match what {
                Happening::Ordered(Order::Probe(Job { address, task: Task::Check(_), standing, .. }))
                | Happening::Repeated(Job { address, standing, .. }) => {
                    self.started.push(Started { at, address, standing });
                }
                Happening::Ordered(Order::Probe(Job { address, task: Task::Agent(_), .. })) => {
                    self.queries.push(Asked { at, address });
                }
                Happening::Ordered(other @ (Order::Configure { .. } | Order::Stop)) => {
                    self.configured.push(other);
                }
                Happening::Event(now, event) => {
                    self.log.push((at, event.to_string()));
                    let logged = &mut self.logged;
                    self.journal
                        .tell(now, event, &mut |level, text| logged.push((now.mono, level, text.to_owned())));
                }
                Happening::Asked(request, _) => {
                    self.asked += 1;
                    self.writes.extend(request.ops().iter().map(|op| (at, *op)));
                }
                Happening::Saved(true) => self.saves.push(at),
                Happening::Ordered(Order::Cancel(_))
                | Happening::Saving
                | Happening::Saved(false)
                | Happening::Told(..)
                | Happening::Polled => {}
            }
        }
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

/// A configuration with the healthcheck `tcp`: interval 1 s, fast 200 ms, down 2 s, timeout 500 ms, rise 2, fall 3, no
/// jitter; the rest of it begins on a new line.
macro_rules! with_tcp {
    ($rest:literal) => {
        concat!(
            "
maglev:
  vpp: {lb: {ipv4-src-address: 10.0.0.1, startup-max-delay: 10s}}
  healthchecks:
    tcp: {type: tcp, port: 80, interval: 1s, fast-interval: 200ms, down-interval: 2s, timeout: 500ms, jitter: 0}",
            $rest
        )
    };
}
pub(super) use with_tcp;

/// Two pools: a, b first, c second; interval 1 s, fast 200 ms, down 2 s, timeout 500 ms, rise 2, fall 3, no jitter.
pub const BASIC: &str = with_tcp!(
    "
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
"
);
