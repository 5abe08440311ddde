//! Configurations at random, each usually much like the one before it: backends come and go and exchange addresses,
//! healthchecks are edited, tracks are laid and taken up.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

/// Names that a backend can have: `b0` and so on.
pub const NAMES: usize = 7;
/// Addresses that a backend can have.
pub const ADDRESSES: u8 = 7;
/// Agents that stand apart from their backends.
const AGENTS: u8 = 2;
/// Protocol and port of the three VIPs, and which of the two addresses is theirs.
const VIPS: [(u8, &str); 3] = [(1, "protocol: tcp, port: 80, "), (1, "protocol: tcp, port: 81, "), (2, "")];
/// Kinds of healthchecks.
const CHECKS: [&str; 6] = [
    "type: tcp, port: 80, interval: 1s, fast-interval: 200ms, down-interval: 2s, timeout: 500ms",
    "type: tcp, port: 80, interval: 700ms, timeout: 300ms, rise: 1, fall: 1",
    "type: tcp, port: 80, interval: 1s, timeout: 300ms, rise: 4, fall: 2, jitter: 50, counter: haproxy",
    "type: http, port: 80, interval: 2s, fast-interval: 300ms, timeout: 400ms, rise: 3, fall: 5",
    "type: http, port: 80, interval: 800ms, timeout: 900ms, params: {disable-on-404: true}",
    "type: http, port: 80, interval: 1s, fast-interval: 300ms, timeout: 200ms, rise: 2, fall: 1, counter: haproxy, params: {disable-on-404: true}",
];
const AGENT_INTERVALS: [&str; 4] = ["300ms", "1s", "2s", "1500ms, timeout: 100ms"];
const WEIGHTS: [&str; 6] = ["", "weight: 0", "weight: 1", "weight: 3", "weight: 50", "weight: 100"];
const TABLES: [u32; 4] = [16, 64, 128, 256];
const SLOW: [&str; 4] = ["", "", "slow-start: 2s, ", "slow-start: 5s, "];
const PANIC: [&str; 7] = [
    "",
    "",
    "panic: {threshold: 50}, ",
    "panic: {threshold: 100, mode: fail-open}, ",
    "panic: {threshold: 34, mode: keep-last}, ",
    "panic: {threshold: 51, mode: keep-last}, ",
    "panic: {threshold: 100, mode: keep-last}, ",
];
const ENCAPS: [&str; 3] = ["gre", "gre4", "l3dsr, dscp: 7"];

/// The address of a backend.
pub fn address(n: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 1, 0, n + 1))
}

/// The address of an agent that stands apart.
pub fn agent_address(n: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 2, 0, n + 1))
}

/// All addresses at which an agent may be asked.
pub fn voices() -> Vec<IpAddr> {
    (0..ADDRESSES).map(address).chain((0..AGENTS).map(agent_address)).collect()
}

/// A configuration, as far as it changes.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    checks: [usize; 3],
    backends: Vec<Backend>,
    encaps: [usize; 2],
    frontends: [Option<Frontend>; 3],
    history: u8,
}

#[derive(Clone, Debug)]
struct Backend {
    name: usize,
    address: u8,
    enabled: bool,
    check: Option<usize>,
    agent: Option<Agent>,
    /// Of a lower name, if that is there: no circles.
    track: Option<usize>,
    /// Of a backend with an agent.
    share: Option<usize>,
}

#[derive(Clone, Debug)]
struct Agent {
    interval: usize,
    apart: Option<u8>,
}

#[derive(Clone, Debug)]
struct Frontend {
    name: usize,
    flush: bool,
    sticky: bool,
    table: u32,
    slow: usize,
    panic: usize,
    /// Name, and backends with their weights.
    pools: Vec<(usize, Vec<(usize, usize)>)>,
}

fn pick<T: Copy>(chance: &mut fastrand::Rng, of: &[T], or: T) -> T {
    chance.choice(of).copied().unwrap_or(or)
}

impl Draft {
    /// A first one.
    pub fn new(chance: &mut fastrand::Rng) -> Draft {
        let mut d = Draft { history: 5, ..Draft::default() };
        for c in &mut d.checks {
            *c = chance.usize(..CHECKS.len());
        }
        for e in &mut d.encaps {
            *e = chance.usize(..ENCAPS.len());
        }
        d.edit_backends(chance, 1);
        d.mend(chance, true);
        d
    }

    /// Another one, most of which is as before.
    pub fn next(&self, chance: &mut fastrand::Rng) -> Draft {
        let mut d = self.clone();
        match chance.u32(..5) {
            0 => {
                for c in &mut d.checks {
                    if chance.u32(..3) == 0 {
                        *c = chance.usize(..CHECKS.len());
                    }
                }
            }
            1 => {
                for e in &mut d.encaps {
                    if chance.u32(..3) == 0 {
                        *e = chance.usize(..ENCAPS.len());
                    }
                }
                d.history = chance.u8(1..8);
            }
            2 => d.exchange(chance),
            _ => d.edit_backends(chance, 3),
        }
        d.mend(chance, false);
        d
    }

    /// One of `one_in` backends becomes another, comes or goes.
    fn edit_backends(&mut self, chance: &mut fastrand::Rng, one_in: u32) {
        for name in 0..NAMES {
            if chance.u32(..one_in) > 0 {
                continue;
            }
            let before = self.backends.iter().position(|b| b.name == name);
            let before = before.map(|i| self.backends.remove(i));
            if chance.u32(..6) == 0 {
                continue;
            }
            let other = chance.u32(..5) == 0;
            let address = match &before {
                Some(b) if !other => b.address,
                Some(_) | None if other => chance.u8(..ADDRESSES),
                Some(_) | None => u8::try_from(name).unwrap_or(0),
            };
            let kind = chance.u32(..10);
            let agent = Agent {
                interval: chance.usize(..AGENT_INTERVALS.len()),
                apart: (chance.u32(..3) == 0).then(|| chance.u8(..AGENTS)),
            };
            self.backends.push(Backend {
                name,
                address,
                enabled: chance.u32(..8) > 0,
                check: matches!(kind, 0..=3 | 6 | 7).then(|| chance.usize(..self.checks.len())),
                agent: matches!(kind, 4..=6 | 9).then_some(agent),
                track: matches!(kind, 8 | 9).then(|| chance.usize(..=name)),
                share: matches!(kind, 2 | 3 | 7 | 8).then(|| chance.usize(..NAMES)),
            });
        }
        self.backends.sort_by_key(|b| b.name);
    }

    /// Two backends exchange their addresses, or their names.
    fn exchange(&mut self, chance: &mut fastrand::Rng) {
        let n = self.backends.len();
        if n < 2 {
            return;
        }
        let (i, j) = (chance.usize(..n), chance.usize(..n));
        let address = |d: &Draft, i: usize| d.backends.get(i).map_or(0, |b| b.address);
        let (a, b) = (address(self, i), address(self, j));
        for (at, address) in [(i, b), (j, a)] {
            if let Some(b) = self.backends.get_mut(at) {
                b.address = address;
            }
        }
    }

    /// What stays must still be possible; and frontends are edited now and then.
    fn mend(&mut self, chance: &mut fastrand::Rng, all: bool) {
        let names: BTreeSet<usize> = self.backends.iter().map(|b| b.name).collect();
        let voiced: BTreeSet<usize> =
            self.backends.iter().filter(|b| b.agent.is_some()).map(|b| b.name).collect();
        for b in &mut self.backends {
            b.track = b.track.filter(|t| names.contains(t) && *t < b.name);
            if b.track.is_some() {
                b.check = None;
            }
            // `mend` may take no agent away: those whose share is taken stay what they are.
            b.share = b.share.filter(|s| voiced.contains(s) && *s != b.name && b.agent.is_none());
        }
        for i in 0..self.frontends.len() {
            let Some(slot) = self.frontends.get(i) else { continue };
            let mut seen = BTreeSet::new();
            let members = slot.iter().flat_map(|f| &f.pools).flat_map(|p| &p.1);
            let address = |name: usize| self.backends.iter().find(|b| b.name == name).map(|b| b.address);
            let broken = members.map(|m| address(m.0)).any(|a| a.is_none_or(|a| !seen.insert(a)));
            if all || broken || chance.u32(..3) == 0 {
                let made = self.frontend(chance);
                if let Some(slot) = self.frontends.get_mut(i) {
                    *slot = made;
                }
            } else if chance.u32(..3) == 0 {
                self.tweak(chance, i);
            }
        }
    }

    /// The servers stay; what else there is becomes another.
    fn tweak(&mut self, chance: &mut fastrand::Rng, i: usize) {
        let Some(Some(f)) = self.frontends.get_mut(i) else { return };
        match chance.u32(..6) {
            0 => f.flush = !f.flush,
            1 => f.slow = chance.usize(..SLOW.len()),
            2 => f.panic = chance.usize(..PANIC.len()),
            3 => f.name = chance.usize(..2),
            4 => f.table = pick(chance, &TABLES, 64),
            _ => {
                for m in f.pools.iter_mut().flat_map(|p| &mut p.1) {
                    if chance.bool() {
                        m.1 = chance.usize(..WEIGHTS.len());
                    }
                }
            }
        }
    }

    fn frontend(&self, chance: &mut fastrand::Rng) -> Option<Frontend> {
        if self.backends.is_empty() || chance.u32(..8) == 0 {
            return None;
        }
        let mut left: Vec<&Backend> = self.backends.iter().collect();
        chance.shuffle(&mut left);
        let mut seen = BTreeSet::new();
        left.retain(|b| seen.insert(b.address));
        let mut pools = Vec::new();
        for p in 0..chance.usize(1..=3) {
            let n = chance.usize(1..=3).min(left.len());
            let mut members: Vec<(usize, usize)> =
                left.drain(..n).map(|b| (b.name, chance.usize(..WEIGHTS.len()))).collect();
            members.sort_unstable();
            // Sometimes under another name, so that pools are renamed and change places.
            pools.push((if chance.u32(..4) == 0 { p + 5 } else { p }, members));
            if left.is_empty() {
                break;
            }
        }
        Some(Frontend {
            name: chance.usize(..2),
            flush: chance.bool(),
            sticky: chance.u32(..4) == 0,
            table: pick(chance, &TABLES, 64),
            slow: chance.usize(..SLOW.len()),
            panic: chance.usize(..PANIC.len()),
            pools,
        })
    }

    /// As a file.
    pub fn yaml(&self) -> String {
        let mut s = String::from("maglev:\n");
        let _ = writeln!(s, "  healthchecker: {{transition-history: {}}}", self.history);
        s += "  vpp: {lb: {ipv4-src-address: 10.0.0.1, sync-interval: 5s, startup-max-delay: 4s, sticky-buckets-per-core: 16}}\n";
        s += "  healthchecks:\n";
        for (i, c) in self.checks.iter().enumerate() {
            let c = CHECKS.get(*c).copied().unwrap_or_default();
            let jitter = if c.contains("jitter") { "" } else { ", jitter: 0" };
            let _ = writeln!(s, "    h{i}: {{{c}{jitter}}}");
        }
        s += if self.backends.is_empty() { "  backends: {}\n" } else { "  backends:\n" };
        for b in &self.backends {
            let _ = write!(s, "    b{}: {{address: {}", b.name, address(b.address));
            if let Some(c) = b.check {
                let _ = write!(s, ", healthcheck: h{c}");
            }
            if let Some(a) = &b.agent {
                let interval = AGENT_INTERVALS.get(a.interval).copied().unwrap_or("1s");
                let _ = write!(s, ", agent: {{port: 99, interval: {interval}");
                if let Some(n) = a.apart {
                    let _ = write!(s, ", address: {}, send: \"b{}\"", agent_address(n), b.name);
                }
                s += "}";
            }
            if let Some(t) = b.track {
                let _ = write!(s, ", track: b{t}");
            }
            if let Some(t) = b.share {
                let _ = write!(s, ", agent-track: b{t}");
            }
            if !b.enabled {
                s += ", enabled: false";
            }
            s += "}\n";
        }
        let any = self.frontends.iter().any(Option::is_some);
        s += if any { "  frontends:\n" } else { "  frontends: {}\n" };
        for (i, (f, (n, service))) in self.frontends.iter().zip(VIPS).enumerate() {
            let Some(f) = f else { continue };
            let encap = self.encaps.get(usize::from(n) - 1).and_then(|e| ENCAPS.get(*e)).unwrap_or(&"gre");
            let Frontend { name, flush, sticky, table, .. } = f;
            let _ = write!(s, "    f{i}-{name}: {{address: 192.0.2.{n}, {service}encap: {encap}, ");
            let _ = write!(
                s,
                "flush-on-down: {flush}, src-ip-sticky: {sticky}, new-flow-table-length: {table}, "
            );
            s += SLOW.get(f.slow).copied().unwrap_or_default();
            s += PANIC.get(f.panic).copied().unwrap_or_default();
            s += "pools: [";
            for (p, members) in &f.pools {
                let _ = write!(s, "{{name: p{p}, backends: {{");
                for (b, weight) in members {
                    let _ = write!(s, "b{b}: {{{}}}, ", WEIGHTS.get(*weight).copied().unwrap_or_default());
                }
                s += "}}, ";
            }
            s += "]}\n";
        }
        s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_valid_and_most_of_it_is_as_it_was() {
        let mut chance = fastrand::Rng::with_seed(1);
        let mut draft = Draft::new(&mut chance);
        let (mut same, mut moved, mut edited, mut tracks, mut shares, mut agents) = (0, 0, 0, 0, 0, 0);
        let mut old = crate::config::parse(&draft.yaml()).unwrap().config;
        for _ in 0..500 {
            draft = draft.next(&mut chance);
            let new = match crate::config::parse(&draft.yaml()) {
                Ok(p) => p.config,
                Err(e) => panic!("{e:?}\n{}", draft.yaml()),
            };
            for (name, b) in &new.backends {
                tracks += usize::from(b.track.is_some());
                shares += usize::from(b.agent_track.is_some());
                agents += usize::from(b.agent.is_some());
                match old.backends.get(name) {
                    Some(o) if o == b => same += 1,
                    Some(o) if o.address != b.address => moved += 1,
                    Some(_) => edited += 1,
                    None => {}
                }
            }
            old = new;
        }
        for n in [same, moved, edited, tracks, shares, agents] {
            assert!(n > 100, "{same} {moved} {edited} {tracks} {shares} {agents}");
        }
    }
}
