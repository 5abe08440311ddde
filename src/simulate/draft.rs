//! Configurations at random, each usually much like the one before it: backends come and go and exchange addresses,
//! healthchecks are edited, chains of `track` and of `agent-track` are laid and taken up.

mod fronts;
mod yaml;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fronts::Front;

/// Names that a backend can have in most worlds: `b0` and so on.
const FEW: usize = 7;
/// As many as the longest chain takes: 16 levels.
const MANY: usize = 17;
/// One world in so many has so many.
const MANY_IN: u32 = 8;
/// Levels that `track` and `agent-track` go through at most.
const LEVELS: usize = 16;
/// Addresses that a backend can have.
pub const ADDRESSES: u8 = 11;
/// The first so many are IPv4.
const IPV4: u8 = 7;
/// Agents that stand apart from their backends.
const AGENTS: u8 = 2;
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

/// The address of a backend.
pub fn address(n: u8) -> IpAddr {
    if n < IPV4 {
        IpAddr::V4(Ipv4Addr::new(10, 1, 0, n + 1))
    } else {
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, u16::from(n - IPV4) + 1))
    }
}

/// The address of an agent that stands apart.
pub fn agent_address(n: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 2, 0, n + 1))
}

/// Whether a VIP has this address of a backend in some configurations.
pub fn may_be_vip(server: IpAddr) -> bool {
    fronts::MOVED.iter().any(|n| address(*n) == server)
}

/// An address that no backend ever has: somebody else's server, in either family.
pub fn stranger(six: bool) -> IpAddr {
    if six { IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 10)) } else { agent_address(9) }
}

/// All addresses at which an agent may be asked.
pub fn voices() -> Vec<IpAddr> {
    (0..ADDRESSES).map(address).chain((0..AGENTS).map(agent_address)).collect()
}

/// A configuration, as far as it changes.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// So many names there are.
    names: usize,
    checks: [usize; 3],
    backends: Vec<Backend>,
    /// The kind of each VIP address.
    kinds: [usize; fronts::ADDRESSES],
    /// Whether the second VIP address of each family is one that backends have, too.
    moved: [bool; 2],
    frontends: [Option<Front>; fronts::SLOTS],
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
    /// `agent-track`: of any name, if it leads to one with an agent.
    share: Option<usize>,
}

#[derive(Clone, Debug)]
struct Agent {
    interval: usize,
    apart: Option<u8>,
}

fn pick<T: Copy>(chance: &mut fastrand::Rng, of: &[T], or: T) -> T {
    chance.choice(of).copied().unwrap_or(or)
}

impl Draft {
    /// A first one.
    pub fn new(chance: &mut fastrand::Rng) -> Draft {
        let names = if chance.u32(..MANY_IN) == 0 { MANY } else { FEW };
        let mut d = Draft { names, history: 5, ..Draft::default() };
        for c in &mut d.checks {
            *c = chance.usize(..CHECKS.len());
        }
        d.edit_kinds(chance, 1);
        d.edit_backends(chance, 1);
        d.mend(chance, true);
        d
    }

    /// Names that a backend can have.
    pub fn names(&self) -> usize {
        self.names
    }

    /// Another one, most of which is as before.
    pub fn next(&self, chance: &mut fastrand::Rng) -> Draft {
        let mut d = self.clone();
        match chance.u32(..6) {
            0 => {
                for c in &mut d.checks {
                    if chance.u32(..3) == 0 {
                        *c = chance.usize(..CHECKS.len());
                    }
                }
            }
            1 => {
                d.edit_kinds(chance, 3);
                d.history = chance.u8(1..8);
            }
            2 => d.exchange(chance),
            3 => d.chain(chance),
            _ => d.edit_backends(chance, 3),
        }
        d.mend(chance, false);
        d
    }

    /// One of `one_in` backends becomes another, comes or goes.
    fn edit_backends(&mut self, chance: &mut fastrand::Rng, one_in: u32) {
        for name in 0..self.names {
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
                // Names of both families among the first few.
                Some(_) | None => u8::try_from(name * 3).unwrap_or(0) % ADDRESSES,
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
                share: matches!(kind, 2 | 3 | 7 | 8).then(|| chance.usize(..self.names)),
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

    /// A chain is laid through many or few: of `agent-track` in any order, up to one with an agent; or of `track`, each
    /// following the one before it.
    fn chain(&mut self, chance: &mut fastrand::Rng) {
        let share = chance.u32(..3) > 0;
        let all = chance.bool();
        let mut before = None;
        if share {
            let voiced: Vec<usize> =
                self.backends.iter().filter(|b| b.agent.is_some()).map(|b| b.name).collect();
            before = chance.choice(voiced);
            if before.is_none() {
                return;
            }
            chance.shuffle(&mut self.backends);
        }
        for b in &mut self.backends {
            if !all && chance.bool() {
                continue;
            }
            if share {
                // One with an agent ends a chain, it does not go on.
                if b.agent.is_none() {
                    (b.share, before) = (before, Some(b.name));
                }
            } else {
                (b.track, before) = (before, Some(b.name));
            }
        }
        self.backends.sort_by_key(|b| b.name);
    }

    /// Where `agent-track` of this backend leads to one with an agent, in so many levels as may be.
    fn leads(&self, b: &Backend) -> bool {
        let mut at = b;
        for _ in 0..LEVELS {
            let Some(next) = at.share.and_then(|s| self.backends.iter().find(|b| b.name == s)) else {
                return false;
            };
            if next.agent.is_some() {
                return true;
            }
            at = next;
        }
        false
    }

    /// What stays must still be possible; and frontends are edited now and then.
    fn mend(&mut self, chance: &mut fastrand::Rng, all: bool) {
        let names: BTreeSet<usize> = self.backends.iter().map(|b| b.name).collect();
        for b in &mut self.backends {
            b.track = b.track.filter(|t| names.contains(t) && *t < b.name);
            if b.track.is_some() {
                b.check = None;
            }
            // `mend` may take no agent away: those whose share is taken stay what they are.
            b.share = b.share.filter(|_| b.agent.is_none());
        }
        // Whoever leads nowhere is followed by nobody who leads anywhere.
        let lost: Vec<usize> = self.backends.iter().filter(|b| !self.leads(b)).map(|b| b.name).collect();
        for b in self.backends.iter_mut().filter(|b| lost.contains(&b.name)) {
            b.share = None;
        }
        self.mend_fronts(chance, all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// Backends that are `agent-track`ed through, up to the one with an agent.
    fn levels(c: &Config, name: &str) -> usize {
        let mut n = 0;
        let mut at = &c.backends[name];
        while let Some(next) = &at.agent_track {
            (n, at) = (n + 1, &c.backends[next]);
        }
        n
    }

    #[test]
    fn each_is_valid_and_most_of_it_is_as_it_was() {
        let mut seen: [usize; 16] = [0; 16];
        let mut longest = 0;
        for seed in 0..3 {
            let mut chance = fastrand::Rng::with_seed(seed);
            let mut draft = Draft::new(&mut chance);
            if seed == 2 {
                draft.names = MANY;
            }
            let mut old = crate::config::parse(&draft.yaml()).unwrap().config;
            for _ in 0..500 {
                draft = draft.next(&mut chance);
                let new = match crate::config::parse(&draft.yaml()) {
                    Ok(p) => p.config,
                    Err(e) => panic!("{e:?}\n{}", draft.yaml()),
                };
                for (name, b) in &new.backends {
                    let before = old.backends.get(name);
                    let level = levels(&new, name);
                    longest = longest.max(level);
                    for (n, is) in seen.iter_mut().zip([
                        b.track.is_some(),
                        b.agent.is_some(),
                        level > 0,
                        level > 1,
                        level > 1 && b.track.is_some(),
                        before.is_some_and(|o| o == b),
                        before.is_some_and(|o| o.address != b.address),
                        before.is_some_and(|o| o != b && o.address == b.address),
                    ]) {
                        *n += usize::from(is);
                    }
                }
                for f in new.frontends.values() {
                    let six = f.vip.address.is_ipv6();
                    let to_six = f.members().any(|(_, b, _)| new.backends[b].address.is_ipv6());
                    for (n, is) in seen.iter_mut().skip(8).zip([
                        six && to_six,
                        six && !to_six,
                        !six && to_six,
                        f.encap.as_str() == "nat4",
                        f.encap.as_str() == "nat6",
                        f.encap.target_port() == Some(55),
                        f.vip.service.is_none(),
                        old.frontends.values().any(|o| o.vip == f.vip && o.encap != f.encap),
                    ]) {
                        *n += usize::from(is);
                    }
                }
                old = new;
            }
        }
        assert!(seen.iter().all(|n| *n > 50), "{seen:?}");
        assert!((12..=LEVELS).contains(&longest), "{longest}");
    }
}
