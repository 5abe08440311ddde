//! Random chains of configurations, reloaded one upon the other at any moment: what stays is kept to the letter,
//! nothing healthy is ever without weight on the way, and the end is what a fresh start with the same states gives.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use super::{Lab, Net};
use crate::config::Config;
use crate::control::BackendVerb;
use crate::control::controller::Because;
use crate::control::view::BackendView;
use crate::health::State;
use crate::lb::{LoadBalancer, VipKey};
use crate::time::Time;

const VIPS: [(&str, u16); 3] = [("192.0.2.1", 80), ("192.0.2.1", 81), ("192.0.2.2", 80)];
const CHECKS: [&str; 4] = [
    "interval: 1s, fast-interval: 200ms, down-interval: 2s, timeout: 500ms",
    "interval: 700ms, timeout: 300ms, rise: 1, fall: 1",
    "interval: 1s, timeout: 300ms, rise: 4, fall: 2, jitter: 50, counter: haproxy",
    "interval: 3s, fast-interval: 300ms, timeout: 400ms, rise: 3, fall: 5",
];

/// A backend as it is configured: which name, which address, which healthcheck (none: static), enabled.
type Member = (usize, usize, Option<usize>, bool);

/// Backends of a pool with their weights (none: the default).
type Seats = Vec<(usize, Option<u8>)>;

/// A random file; `like` is the one before it, of which most is usually kept.
fn file(rng: &mut fastrand::Rng, like: Option<&Draft>) -> Draft {
    let mut d = like.cloned().unwrap_or_default();
    if like.is_none() || rng.u32(..4) == 0 {
        d.checks = [rng.usize(..4), rng.usize(..4)];
    }
    for name in 0..6 {
        if like.is_some() && rng.u32(..3) > 0 {
            continue;
        }
        d.backends.retain(|b| b.0 != name);
        if rng.u32(..5) > 0 {
            let address = if rng.u32(..4) == 0 { rng.usize(..6) } else { name };
            let check = [Some(0), Some(0), Some(1), None][rng.usize(..4)];
            d.backends.push((name, address, check, rng.u32(..6) > 0));
        }
    }
    d.backends.sort_unstable();
    for f in 0..3 {
        // What is kept must still be possible: each backend there, no address twice.
        let mut seen = BTreeSet::new();
        let members = d.frontends[f].iter().flat_map(|x| &x.pools).flat_map(|p| &p.1);
        let gone = members.map(|m| d.backends.iter().find(|b| b.0 == m.0)).any(|b| match b {
            Some(b) => !seen.insert(b.1),
            None => true,
        });
        if like.is_none() || gone || rng.u32(..2) == 0 {
            d.frontends[f] = frontend(rng, &d.backends);
        }
    }
    d
}

fn frontend(rng: &mut fastrand::Rng, backends: &[Member]) -> Option<Front> {
    if backends.is_empty() || rng.u32(..6) == 0 {
        return None;
    }
    let mut left: Vec<Member> = backends.to_vec();
    rng.shuffle(&mut left);
    let mut seen = BTreeSet::new();
    left.retain(|b| seen.insert(b.1));
    let mut pools = Vec::new();
    for p in 0..rng.usize(1..=3) {
        let n = rng.usize(1..=3).min(left.len());
        let members = left.drain(..n).map(|b| (b.0, [None, Some(0), Some(1), Some(50)][rng.usize(..4)]));
        let mut members: Vec<_> = members.collect();
        members.sort_unstable();
        // Sometimes under another name, so that pools are renamed and change places.
        pools.push((if rng.u32(..4) == 0 { p + 5 } else { p }, members));
        if left.is_empty() {
            break;
        }
    }
    Some(Front { name: rng.usize(..2), flush: rng.bool(), table: rng.u32(..4) == 0, pools })
}

#[derive(Clone, Default)]
struct Draft {
    checks: [usize; 2],
    backends: Vec<Member>,
    frontends: [Option<Front>; 3],
}

#[derive(Clone)]
struct Front {
    /// A frontend may get another name over the same VIP.
    name: usize,
    flush: bool,
    table: bool,
    pools: Vec<(usize, Seats)>,
}

impl Draft {
    fn yaml(&self) -> String {
        let mut s = "maglev:\n  vpp: {lb: {ipv4-src-address: 10.0.0.1, startup-max-delay: 5s}}\n".to_owned();
        s += "  healthchecks:\n";
        for (i, c) in self.checks.iter().enumerate() {
            let jitter = if CHECKS[*c].contains("jitter") { "" } else { ", jitter: 0" };
            writeln!(s, "    h{i}: {{type: tcp, port: 80, {}{jitter}}}", CHECKS[*c]).unwrap();
        }
        s += if self.backends.is_empty() { "  backends: {}\n" } else { "  backends:\n" };
        for (name, address, check, enabled) in &self.backends {
            let check = check.map_or_else(String::new, |c| format!(", healthcheck: h{c}"));
            writeln!(s, "    b{name}: {{address: 10.1.0.{}{check}, enabled: {enabled}}}", address + 1)
                .unwrap();
        }
        let any = self.frontends.iter().any(Option::is_some);
        s += if any { "  frontends:\n" } else { "  frontends: {}\n" };
        for (f, (address, port)) in self.frontends.iter().zip(VIPS) {
            let Some(f) = f else { continue };
            let name = format!("f{}-{}-{port}", f.name, &address[8..]);
            let table = if f.table { ", new-flow-table-length: 4096" } else { "" };
            let head = format!("address: {address}, protocol: tcp, port: {port}, flush-on-down: {}", f.flush);
            write!(s, "    {name}: {{{head}{table}, pools: [").unwrap();
            for (p, members) in &f.pools {
                write!(s, "{{name: p{p}, backends: {{").unwrap();
                for (b, weight) in members {
                    let weight = weight.map_or_else(String::new, |w| format!("weight: {w}"));
                    write!(s, "b{b}: {{{weight}}}, ").unwrap();
                }
                s += "}}, ";
            }
            s += "]}\n";
        }
        s
    }
}

/// What a backend is, as far as a reload may not touch it.
#[derive(Clone, Debug, PartialEq)]
struct Kept {
    view: BackendView,
    due: Option<Time>,
    in_flight: bool,
}

fn kept(lab: &Lab) -> BTreeMap<String, Kept> {
    let one = |n: &crate::Name| {
        let (slot, e) = lab.c.backends.find(n).unwrap();
        let mut view = lab.c.backend(n).unwrap();
        // Whose it is may change, and so may the order of things within; what it is may not.
        view.frontends.clear();
        let due = lab.c.schedule.due(slot);
        (n.to_string(), Kept { view, due, in_flight: e.in_flight.is_some() })
    };
    lab.c.backends.names().map(one).collect()
}

/// State and counter of each backend after a reload, by a plain reading of the rules.
fn promised(before: &BTreeMap<String, Kept>, old: &Config, new: &Config) -> BTreeMap<String, (String, u32)> {
    let leaves = |name: &str| {
        let was = &old.backends[name];
        new.backends.get(name).is_none_or(|n| n.address != was.address)
    };
    let mut heirs_of = BTreeSet::new();
    let mut all = BTreeMap::new();
    for (name, b) in &new.backends {
        let check = b.healthcheck.as_deref();
        let (rise, max) = check.map_or((1, 1), |c| (c.rise, c.rise + c.fall - 1));
        let fresh = match (check, b.enabled) {
            (_, false) => ("disabled".to_owned(), None),
            (None, true) => ("up".to_owned(), Some(1)),
            (Some(_), true) => ("unknown".to_owned(), Some(rise - 1)),
        };
        let before_it = match old.backends.get(name).filter(|o| o.address == b.address) {
            Some(o) => Some((o, &before[&**name])),
            None => old.backends.values().find_map(|o| {
                let k = &before[&*o.name];
                let probed = matches!(k.view.state.as_str(), "up" | "down" | "unknown");
                (leaves(&o.name) && o.address == b.address && o.healthcheck == b.healthcheck && probed)
                    .then(|| heirs_of.insert(o.name.clone()).then_some((o, k)))
                    .flatten()
            }),
        };
        let after = match before_it {
            None => fresh,
            Some((o, k)) => {
                let (mut state, mut counter) = (k.view.state.clone(), Some(k.view.counter));
                if o.healthcheck != b.healthcheck {
                    (state, counter) = match (state.as_str(), check) {
                        ("up" | "down" | "unknown", None) => ("up".to_owned(), Some(1)),
                        ("up", _) => (state, Some(max)),
                        ("down" | "paused", _) => (state, Some(0)),
                        _ => (state, Some(rise - 1)),
                    };
                }
                match (o.enabled, b.enabled) {
                    (true, false) => (state, counter) = ("disabled".to_owned(), None),
                    (false, true) if state == "disabled" => (state, counter) = fresh,
                    _ => {}
                }
                (state, counter)
            }
        };
        // A disabled backend's counter has no meaning.
        all.insert(name.to_string(), (after.0, after.1.unwrap_or(0)));
    }
    all
}

/// A fresh start on `yaml` at the moment of `of`, with the states of its backends and its operator's weights.
fn fresh_with_states(of: &Lab, yaml: &str) -> Lab {
    let mut lab = Lab::idle();
    lab.now = of.now;
    lab.net = of.net.clone();
    lab.load(yaml);
    let now = lab.wall();
    for name in lab.c.backends.names().cloned().collect::<Vec<_>>() {
        let (from, e) = of.c.backends.find(&name).unwrap();
        let due = if e.in_flight.is_some() { Some(lab.now) } else { of.c.schedule.due(from) };
        let (health, history) = (e.health, e.history.clone());
        let slot = lab.c.backends.slot(&name).unwrap();
        lab.c.stop_probing(now, slot);
        let entry = lab.c.backends.get_mut(slot).unwrap();
        (entry.health, entry.history) = (health, history);
        (entry.standing, entry.checked) = (e.standing.clone(), e.checked);
        (entry.out, entry.back_at) = (e.out, e.back_at);
        if let Some(at) = due {
            lab.c.schedule.set(slot, at);
        }
    }
    for f in of.c.frontends.values() {
        for s in f.seats.iter().filter(|s| s.overridden.is_some()) {
            let name = of.c.backends.get(s.slot).unwrap().config.name.clone();
            let pool = f.pool_name(s.pool);
            lab.c.set_weight(now, &f.config.name, &pool, &name, s.overridden, false).unwrap();
        }
    }
    for name in lab.c.frontends.keys().cloned().collect::<Vec<_>>() {
        lab.c.reweigh(now, &name, Because::Anyway);
    }
    lab.drain();
    lab.log.clear();
    lab
}

/// The frontends without what depends on when `lb` was asked.
fn frontends(lab: &Lab) -> Vec<crate::control::view::FrontendView> {
    let mut all = lab.c.frontend_views();
    for f in &mut all {
        (f.programmed, f.error) = (false, None);
        f.leaving.clear();
        f.lacks.clear();
        f.pools.iter_mut().flat_map(|p| &mut p.backends).for_each(|m| m.in_lb = None);
    }
    all
}

/// What `lb` has: each VIP with its table length and weights.
fn contents(lab: &mut Lab) -> BTreeMap<VipKey, (u32, BTreeMap<IpAddr, u8>)> {
    let mut all = BTreeMap::new();
    for v in lab.lb.vips().unwrap() {
        let key = v.key().unwrap();
        let servers = lab.lb.servers(&key).unwrap();
        all.insert(key, (v.table_length, servers.iter().map(|s| (s.address, s.weight)).collect()));
    }
    all
}

/// (VIP, server) that carry weight by the rules.
fn carrying(lab: &Lab) -> BTreeSet<(VipKey, IpAddr)> {
    let mut all = BTreeSet::new();
    for f in lab.c.frontends.values() {
        for (seat, share) in f.seats.iter().zip(&f.shares.members) {
            let b = lab.c.backends.get(seat.slot).unwrap();
            if share.weight > 0 && b.state() == State::Up {
                all.insert((f.config.vip, b.config.address));
            }
        }
    }
    all
}

/// (VIP, server) that carry weight in `lb`.
fn in_lb(lab: &mut Lab) -> BTreeSet<(VipKey, IpAddr)> {
    let all = contents(lab);
    let with = |(vip, (_, servers)): (VipKey, (u32, BTreeMap<IpAddr, u8>))| {
        servers.into_iter().filter(|(_, w)| *w > 0).map(move |(a, _)| (vip, a))
    };
    all.into_iter().flat_map(with).collect()
}

/// After each single call to `lb`: what carries weight by the rules, and has done so all the time, has it in `lb`.
fn watch(lab: &mut Lab) {
    let rules = carrying(lab);
    lab.watched.retain(|w| rules.contains(w));
    let has = in_lb(lab);
    let lost: Vec<_> = lab.watched.difference(&has).collect();
    assert!(lost.is_empty(), "healthy all the time, and without weight in lb: {lost:?}\n{:#?}", lab.writes);
}

fn operator(lab: &mut Lab, rng: &mut fastrand::Rng) {
    let now = lab.wall();
    let name = format!("b{}", rng.usize(..6));
    if rng.u32(..3) > 0 {
        use BackendVerb::{Disable, Enable, Pause, Resume};
        let _ = lab.c.set_backend(now, &name, [Disable, Enable, Pause, Resume][rng.usize(..4)]);
        return;
    }
    for f in lab.c.frontend_views() {
        for p in &f.pools {
            if p.backends.iter().any(|b| b.name == name) {
                let weight = [None, Some(0), Some(7)][rng.usize(..3)];
                lab.c.set_weight(now, &f.name, &p.name, &name, weight, rng.bool()).unwrap();
            }
        }
    }
}

fn chain(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut draft = file(&mut rng, None);
    let mut lab = Lab::new(&draft.yaml());
    lab.watch = Some(watch);
    for step in 0..rng.u32(2..6) {
        for _ in 0..rng.u32(..6) {
            let address = format!("10.1.0.{}", rng.usize(1..=6));
            let nets = [Net::Good, Net::Good, Net::Good, Net::Refused, Net::Silent, Net::Fault];
            lab.net(&address, nets[rng.usize(..6)]);
            if rng.u32(..4) == 0 {
                operator(&mut lab, &mut rng);
            }
            let ms = if rng.bool() { rng.u64(..50) } else { rng.u64(..8000) };
            lab.run(ms);
        }
        let (before, old) = (kept(&lab), lab.c.config().unwrap().clone());
        let held = in_lb(&mut lab);
        lab.writes.clear();
        draft = file(&mut rng, Some(&draft));
        let what = format!("seed {seed} step {step}\n{}", draft.yaml());
        lab.load(&draft.yaml());
        let new = lab.c.config().unwrap().clone();
        let after = kept(&lab);
        for (name, b) in &new.backends {
            if old.backends.get(name) == Some(b) {
                assert_eq!(after[&**name], before[&**name], "{what}: {name} was not edited");
            }
        }
        let is: BTreeMap<String, (String, u32)> = after
            .iter()
            .map(|(n, k)| {
                let counter = if k.view.state == "disabled" { 0 } else { k.view.counter };
                (n.clone(), (k.view.state.clone(), counter))
            })
            .collect();
        let mut promise = promised(&before, &old, &new);
        promise.values_mut().filter(|p| p.0 == "disabled").for_each(|p| p.1 = 0);
        assert_eq!(is, promise, "{what}");
        lab.watched = held.intersection(&carrying(&lab)).copied().collect();

        let mut fresh = fresh_with_states(&lab, &draft.yaml());
        assert_eq!(frontends(&lab), frontends(&fresh), "{what}: as a fresh start with these states");
        if rng.u32(..3) == 0 {
            for n in 1..=6 {
                let net = [Net::Good, Net::Good, Net::Refused, Net::Silent][rng.usize(..4)];
                lab.net(&format!("10.1.0.{n}"), net);
            }
            fresh.net = lab.net.clone();
            lab.run(90_000);
            fresh.run(90_000);
            assert!(lab.c.settled(), "{what}");
            assert_eq!(contents(&mut lab), contents(&mut fresh), "{what}");
            let shown = |l: &Lab| -> Vec<(String, String)> {
                l.c.backend_views().into_iter().map(|b| (b.name, b.display)).collect()
            };
            assert_eq!(shown(&lab), shown(&fresh), "{what}");
            assert_eq!(frontends(&lab), frontends(&fresh), "{what}");
            lab.take_writes();
            lab.run(60_000);
            assert_eq!(lab.take_writes(), Vec::<String>::new(), "{what}: at rest, nothing is written");
        }
    }
    assert_eq!(lab.lb.stray_flushes(), 0, "seed {seed}");
}

#[test]
fn reload_after_reload_is_as_a_fresh_start_with_the_same_states() {
    for seed in 0..60 {
        chain(seed);
    }
}

#[test]
fn the_generator_makes_what_it_is_meant_to() {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut draft = file(&mut rng, None);
    let (mut unchanged, mut moved, mut edited) = (0, 0, 0);
    for _ in 0..100 {
        let old = crate::config::parse(&draft.yaml()).unwrap().config;
        draft = file(&mut rng, Some(&draft));
        let new = crate::config::parse(&draft.yaml()).unwrap().config;
        for (name, b) in &new.backends {
            match old.backends.get(name) {
                Some(o) if o == b => unchanged += 1,
                Some(o) if o.address != b.address => moved += 1,
                Some(_) => edited += 1,
                None => {}
            }
        }
    }
    assert!(unchanged > 50 && moved > 20 && edited > 20, "{unchanged} {moved} {edited}");
}
