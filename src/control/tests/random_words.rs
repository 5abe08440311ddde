//! Random words of all hands, random networks, reloads and restarts: at each moment everything is as one would work it out
//! from scratch, and once all is well and nobody says a word all serve as configured.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::lab_agents::Voice;
use super::{Lab, Net};
use crate::balance::FrontendState;
use crate::control::BackendVerb;
use crate::health::{Standing, State, Vital};
use crate::lb::{LoadBalancer, Op, VipKey};

/// All kinds of backends, each of the two kinds of panic, with flush-on-down and without.
const ALL: &str = "
maglev:
  vpp: {lb: {ipv4-src-address: 10.0.0.1, startup-max-delay: 10s}}
  healthchecks:
    web: {type: http, params: {path: /, disable-on-404: true}, port: 80, interval: 1s, fast-interval: 200ms, timeout: 500ms}
  backends:
    a: {address: 10.1.0.1, healthcheck: web, agent: {port: 99, interval: 1s, timeout: 500ms}}
    b: {address: 10.1.0.2, agent: {port: 99, interval: 1s, timeout: 500ms}}
    c: {address: 10.1.0.3, healthcheck: web, agent-track: a}
    s: {address: 10.1.0.4}
    t: {address: 10.1.0.5, track: a}
    u: {address: 10.1.0.6, track: t, agent: {port: 99, interval: 1s, timeout: 500ms}}
    g: {address: 10.1.0.7, track: s}
  frontends:
    one:
      address: 192.0.2.1
      protocol: tcp
      port: 80
      slow-start: 14s
      panic: {threshold: 50, mode: fail-open}
      pools: [{name: first, backends: {a: {weight: 50}, b: {}, t: {weight: 3}}}, {name: second, backends: {c: {}, u: {weight: 40}}}]
    two:
      address: 192.0.2.2
      protocol: tcp
      port: 80
      flush-on-down: false
      panic: {threshold: 60, mode: keep-last}
      pools: [{name: only, backends: {b: {weight: 20}, c: {weight: 30}, s: {weight: 9}, g: {}}}]
";

const NAMES: [&str; 7] = ["a", "b", "c", "s", "t", "u", "g"];

fn files() -> Vec<String> {
    let edits = [
        ("panic: {threshold: 50, mode: fail-open}", "panic: {threshold: 50, mode: keep-last}"),
        ("      panic: {threshold: 60, mode: keep-last}\n", ""),
        ("slow-start: 14s", "slow-start: 3s"),
        ("      slow-start: 14s\n", ""),
        ("10.1.0.1, healthcheck: web, agent", "10.1.0.1, agent"),
        ("b: {address: 10.1.0.2,", "b: {address: 10.1.0.2, healthcheck: web,"),
        ("t: {address: 10.1.0.5, track: a}", "t: {address: 10.1.0.5, track: c}"),
        ("t: {address: 10.1.0.5, track: a}", "t: {address: 10.1.0.5, healthcheck: web}"),
        ("c: {address: 10.1.0.3, healthcheck: web, agent-track: a}", "c: {address: 10.1.0.3, track: s}"),
        ("agent-track: a", "agent-track: b"),
        (", agent: {port: 99, interval: 1s, timeout: 500ms}}\n    g:", "}\n    g:"),
        ("b: {weight: 20}", "b: {weight: 0}"),
        ("a: {address: 10.1.0.1, ", "a: {address: 10.1.0.1, enabled: false, "),
        ("c: {address: 10.1.0.3", "c: {address: 10.1.0.33"),
        (", {name: second, backends: {c: {}, u: {weight: 40}}}", ""),
        ("flush-on-down: false", "flush-on-down: true"),
    ];
    edits.map(|(from, to)| ALL.replace(from, to)).to_vec()
}

/// Everything that follows from something else is as one would work it out now.
fn consistent(lab: &Lab, told: &str) {
    for (_, b) in lab.c.backends.iter().filter(|(_, b)| !b.health.removed()) {
        let tracked = b.links.tracks.and_then(|t| lab.c.backends.get(t));
        assert_eq!(tracked.map(|t| &t.config.name), b.config.track.as_ref(), "{told}");
        let standing = Standing::of(&b.health, tracked.map(|t| (&t.config.name, &t.standing)));
        assert_eq!(b.standing, standing, "{told} {}", b.config.name);
        assert!(b.in_flight.is_none() || b.health.checked(), "{told} {} is probed", b.config.name);
        if b.is_static() && b.health.checked() {
            assert_eq!(b.standing.vital, Vital::Up, "{told} {}", b.config.name);
        }
    }
    for (name, f) in &lab.c.frontends {
        let (shares, state) = f.weigh(&lab.c.backends, lab.now);
        assert_eq!((&shares, state), (&f.shares, f.state), "{told} {name}");
        let members = f.members(&lab.c.backends, lab.now);
        for (m, s) in members.iter().zip(&shares.members) {
            let serves = s.weight > 0;
            assert!(!(serves && (m.barred || m.vital == Vital::Unknown)), "{told} {name} {m:?}");
            assert!(!serves || m.state == State::Up || shares.alarm.is_some(), "{told} {name} {m:?}");
        }
        let any = shares.members.iter().any(|s| s.weight > 0);
        assert!(any || !members.iter().any(|m| m.eligible()), "{told} {name}: somebody could serve");
        assert!(!any || state == FrontendState::Up, "{told} {name}");
    }
}

/// Who may hold flows, from the writes to `lb` alone.
#[derive(Default)]
struct Ledger {
    dirty: BTreeSet<(VipKey, IpAddr)>,
    weight: BTreeMap<(VipKey, IpAddr), u8>,
}

impl Ledger {
    fn read(&mut self, lab: &mut Lab, told: &str) {
        for (_, op) in lab.writes.drain(..) {
            match op {
                Op::AddServer { vip, address, weight, flush }
                | Op::SetWeight { vip, address, weight, flush } => {
                    let key = (vip, address);
                    let before = self.weight.insert(key, weight);
                    assert!(before != Some(weight) || flush, "{told}: {op} is so already");
                    if flush {
                        assert!(self.dirty.remove(&key), "{told}: {op} has nothing to flush");
                        assert_eq!(weight, 0, "{told}: {op}");
                    }
                    if weight > 0 {
                        self.dirty.insert(key);
                    }
                }
                Op::DelServer { vip, address, .. } => {
                    self.weight.remove(&(vip, address));
                    self.dirty.remove(&(vip, address));
                }
                Op::DelVip { vip } => {
                    self.weight.retain(|(v, _), _| *v != vip);
                    self.dirty.retain(|(v, _)| *v != vip);
                }
                Op::FlushVip { vip } => {
                    let weight = &self.weight;
                    let serves = |key: &(VipKey, IpAddr)| weight.get(key).is_some_and(|w| *w > 0);
                    self.dirty.retain(|key| key.0 != vip || serves(key));
                }
                Op::SetSettings(_) | Op::AddVip { .. } => {}
            }
        }
    }

    /// `lb` has what is wanted, and nobody holds flows that are to be flushed.
    fn agrees(&self, lab: &mut Lab, told: &str) {
        let world = &mut lab.world;
        for f in world.c.frontends.values().filter(|f| f.open) {
            let servers = world.lb.servers(&f.config.vip).unwrap();
            for (seat, share) in f.seats.iter().zip(&f.shares.members) {
                let address = world.c.backends.get(seat.slot).unwrap().config.address;
                let is = servers.iter().find(|s| s.address == address).map(|s| s.weight);
                assert_eq!(is, Some(share.weight), "{told} {} {}", f.config.name, seat.name);
                let dirty = self.dirty.contains(&(f.config.vip, address));
                assert!(
                    !(share.flush && share.weight == 0 && dirty),
                    "{told} {} {}",
                    f.config.name,
                    seat.name
                );
            }
        }
    }
}

/// Beginning and end of panics take turns.
fn panics(lab: &mut Lab, on: &mut BTreeMap<String, bool>, told: &str) {
    for line in lab.take_log("frontend-panic") {
        let frontend = line.split(' ').nth(1).unwrap().to_owned();
        let begins = line.contains(" begins ");
        assert_ne!(on.insert(frontend, begins).unwrap_or(false), begins, "{told}: {line}");
    }
}

fn step(lab: &mut Lab, rng: &mut fastrand::Rng, yaml: &mut String, files: &[String]) -> String {
    let name = NAMES[rng.usize(..NAMES.len())];
    let address = format!("10.1.0.{}", rng.u32(1..8));
    let now = lab.wall();
    match rng.u32(..14) {
        0..=3 => {
            let net = [Net::Good, Net::Refused, Net::Silent, Net::Fault, Net::NotFound][rng.usize(..5)];
            lab.net(&address, net);
            format!("{address} {net:?}")
        }
        4..=6 => {
            let lines =
                ["up", "down", "ready", "drain", "maint", "50%", "0%", "100%", "weight:7", "up ready 100%"];
            let line = lines[rng.usize(..lines.len())];
            match rng.u32(..5) {
                0 => lab.voice(&address, Voice::Silent),
                1 => lab.voice(&address, Voice::Refuses),
                _ => lab.says(&address, line),
            }
            format!("{address} says {line}")
        }
        7..=10 => {
            let verb = BackendVerb::ALL[rng.usize(..BackendVerb::ALL.len())];
            let _ = lab.c.set_backend(now, name, verb);
            format!("{name} {verb:?}")
        }
        11 => {
            let weight = [None, Some(0), Some(5), Some(100)][rng.usize(..4)];
            let all = [("one", "first"), ("one", "second"), ("two", "only")];
            let (frontend, pool) = all[rng.usize(..3)];
            let _ = lab.c.set_weight(now, frontend, pool, name, weight, false);
            format!("{name} {weight:?}")
        }
        _ => {
            *yaml = if rng.bool() { ALL.to_owned() } else { files[rng.usize(..files.len())].clone() };
            lab.load(yaml);
            "load".to_owned()
        }
    }
}

#[test]
fn all_is_as_worked_out_from_scratch_and_ends_well() {
    let files = files();
    for seed in 0..60u64 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut yaml = ALL.to_owned();
        let mut lab = Lab::idle();
        lab.c.keep_state();
        lab.load(&yaml);
        let (mut ledger, mut on) = (Ledger::default(), BTreeMap::new());
        for nth in 0..60 {
            let what = if rng.u32(..25) == 0 {
                lab.run(2000);
                lab = lab.reborn();
                (ledger, on) = Default::default();
                lab.load(&yaml);
                "restart".to_owned()
            } else {
                step(&mut lab, &mut rng, &mut yaml, &files)
            };
            let told = format!("seed {seed} step {nth}: {what}");
            lab.turn();
            consistent(&lab, &told);
            let most = [50, 1500, 6000][rng.usize(..3)];
            lab.run(rng.u64(1..most));
            consistent(&lab, &told);
            ledger.read(&mut lab, &told);
            ledger.agrees(&mut lab, &told);
            panics(&mut lab, &mut on, &told);
        }
        // All is well, and each word is taken back.
        lab.load(ALL);
        for n in 1..=7 {
            lab.net(&format!("10.1.0.{n}"), Net::Good);
            lab.says(&format!("10.1.0.{n}"), "up ready 100%");
        }
        for name in NAMES {
            use BackendVerb::{AgentUnmute, Enable, Ready, Resume};
            for verb in [Enable, Resume, Ready, AgentUnmute] {
                let now = lab.wall();
                let _ = lab.c.set_backend(now, name, verb);
            }
            for (frontend, pool) in [("one", "first"), ("one", "second"), ("two", "only")] {
                let now = lab.wall();
                let _ = lab.c.set_weight(now, frontend, pool, name, None, false);
            }
        }
        lab.run(40_000);
        let told = format!("seed {seed} in the end");
        consistent(&lab, &told);
        assert_eq!(
            NAMES.map(|n| lab.state(n)),
            ["up", "up", "up", "up unchecked", "up", "up", "up unchecked"],
            "{told}"
        );
        assert_eq!(
            lab.weights("192.0.2.1", 80),
            "10.1.0.1=50 10.1.0.2=100 10.1.0.3=0 10.1.0.5=3 10.1.0.6=0",
            "{told}"
        );
        assert_eq!(lab.weights("192.0.2.2", 80), "10.1.0.2=20 10.1.0.3=30 10.1.0.4=9 10.1.0.7=100", "{told}");
        ledger.read(&mut lab, &told);
        panics(&mut lab, &mut on, &told);
        assert!(on.values().all(|on| !on), "{told}");
        lab.run(60_000);
        assert_eq!(lab.take_writes(), Vec::<String>::new(), "{told}: at rest nothing is written");
    }
}
