//! The frontends of a draft: VIPs of both families and of every encapsulation, on four addresses.

use std::collections::BTreeSet;

use super::{Backend, Draft, IPV4, pick};

/// Addresses of VIPs.
pub(super) const ADDRESSES: usize = 4;
/// Frontends at most.
pub(super) const SLOTS: usize = 5;

/// The addresses, and whether they are IPv6.
pub(super) const VIPS: [(&str, bool); ADDRESSES] =
    [("192.0.2.1", false), ("192.0.2.2", false), ("2001:db8::1", true), ("2001:db8::2", true)];

/// What the second address of each family is in some configurations: one that backends have in others.
pub(super) const MOVED: [u8; 2] = [IPV4 - 1, super::ADDRESSES - 1];

/// What a frontend takes of its address. NAT wants UDP and a port.
#[derive(Clone, Copy)]
pub(super) struct Service {
    pub(super) words: &'static str,
    /// Of UDP.
    udp: Option<u16>,
}

const ALL_PORTS: Service = Service { words: "", udp: None };
const UDP_53: Service = Service { words: "protocol: udp, port: 53, ", udp: Some(53) };
const UDP_54: Service = Service { words: "protocol: udp, port: 54, ", udp: Some(54) };
const TCP_80: Service = Service { words: "protocol: tcp, port: 80, ", udp: None };
const TCP_81: Service = Service { words: "protocol: tcp, port: 81, ", udp: None };

/// Which address each frontend has, and what it may take of it, UDP first. An all-port VIP is alone on its address.
const PLACES: [(usize, [Service; 2]); SLOTS] = [
    (0, [UDP_53, TCP_80]),
    (0, [UDP_54, TCP_81]),
    (1, [UDP_53, ALL_PORTS]),
    (2, [UDP_54, TCP_80]),
    (3, [UDP_53, ALL_PORTS]),
];

/// How the packets of an address travel.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    pub(super) words: &'static str,
    /// The servers are IPv6.
    six: bool,
    nat: bool,
}

const fn kind(words: &'static str, six: bool, nat: bool) -> Kind {
    Kind { words, six, nat }
}

const KINDS_4: [Kind; 7] = [
    kind("gre", false, false),
    kind("gre", true, false),
    kind("gre4", false, false),
    kind("gre6", true, false),
    kind("l3dsr, dscp: 7", false, false),
    kind("nat4", false, true),
    kind("nat4", false, true),
];
const KINDS_6: [Kind; 7] = [
    kind("gre", false, false),
    kind("gre", true, false),
    kind("gre4", false, false),
    kind("gre6", true, false),
    kind("gre6", true, false),
    kind("nat6", true, true),
    kind("nat6", true, true),
];
/// `target-port` of a NAT frontend; none: the VIP's own. Somebody else has 55.
const TARGETS: [Option<u16>; 5] = [None, None, Some(53), Some(54), Some(55)];
const TABLES: [u32; 4] = [16, 64, 128, 256];
pub(super) const WEIGHTS: [&str; 6] =
    ["", "weight: 0", "weight: 1", "weight: 3", "weight: 50", "weight: 100"];
pub(super) const SLOW: [&str; 4] = ["", "", "slow-start: 2s, ", "slow-start: 5s, "];
pub(super) const PANIC: [&str; 7] = [
    "",
    "",
    "panic: {threshold: 50}, ",
    "panic: {threshold: 100, mode: fail-open}, ",
    "panic: {threshold: 34, mode: keep-last}, ",
    "panic: {threshold: 51, mode: keep-last}, ",
    "panic: {threshold: 100, mode: keep-last}, ",
];

#[derive(Clone, Debug)]
pub(super) struct Front {
    pub(super) name: usize,
    /// Index of its service, where its kind leaves a choice.
    service: usize,
    target: usize,
    pub(super) flush: bool,
    pub(super) sticky: bool,
    pub(super) table: u32,
    pub(super) slow: usize,
    pub(super) panic: usize,
    /// Name, and backends with their weights.
    pub(super) pools: Vec<(usize, Vec<(usize, usize)>)>,
}

impl Draft {
    /// The address of a frontend, and how its packets travel.
    pub(super) fn place(&self, slot: usize) -> (String, Kind) {
        let at = PLACES.get(slot).map_or(0, |p| p.0);
        let (address, six) = VIPS.get(at).copied().unwrap_or(("192.0.2.1", false));
        let address = match self.moved_to(at) {
            Some(moved) => super::address(moved).to_string(),
            None => address.to_owned(),
        };
        let kinds = if six { &KINDS_6 } else { &KINDS_4 };
        let kind = self.kinds.get(at).and_then(|k| kinds.get(*k)).copied();
        (address, kind.unwrap_or(kind_of_none()))
    }

    /// The backends' address that a VIP address is instead.
    fn moved_to(&self, at: usize) -> Option<u8> {
        let family = [1, 3].iter().position(|a| *a == at)?;
        MOVED.get(family).copied().filter(|_| self.moved.get(family) == Some(&true))
    }

    /// What a frontend takes of its address; with NAT also the target port, and whether it must be said.
    pub(super) fn service(&self, slot: usize, f: &Front) -> (Service, Option<u16>, bool) {
        let (_, kind) = self.place(slot);
        let choice = PLACES.get(slot).map_or([UDP_53, TCP_80], |p| p.1);
        let [udp, other] = choice;
        let service = if kind.nat || f.service == 0 { udp } else { other };
        let said = TARGETS.get(f.target).copied().flatten();
        (service, if kind.nat { said.or(service.udp) } else { None }, said.is_some())
    }

    /// The packets of one address in `one_in` travel another way.
    pub(super) fn edit_kinds(&mut self, chance: &mut fastrand::Rng, one_in: u32) {
        for k in &mut self.kinds {
            if chance.u32(..one_in) == 0 {
                *k = chance.usize(..KINDS_4.len());
            }
        }
        for moved in &mut self.moved {
            if chance.u32(..one_in) == 0 {
                *moved = chance.u32(..3) == 0;
            }
        }
    }

    pub(super) fn mend_fronts(&mut self, chance: &mut fastrand::Rng, all: bool) {
        for i in 0..SLOTS {
            let six = self.place(i).1.six;
            let Some(slot) = self.frontends.get(i) else { continue };
            let mut seen = BTreeSet::new();
            let members = slot.iter().flat_map(|f| &f.pools).flat_map(|p| &p.1);
            let address = |name: usize| self.backends.iter().find(|b| b.name == name).map(|b| b.address);
            let fits = |a: u8| (a >= IPV4) == six;
            let broken = members.map(|m| address(m.0)).any(|a| a.is_none_or(|a| !fits(a) || !seen.insert(a)));
            if all || broken || chance.u32(..3) == 0 {
                let made = self.frontend(chance, six);
                if let Some(slot) = self.frontends.get_mut(i) {
                    *slot = made;
                }
            } else if chance.u32(..3) == 0 {
                self.tweak(chance, i);
            }
        }
        self.part_vips();
        self.part_nat();
    }

    /// Removes from all pools the backends whose address is a VIP of this draft.
    fn part_vips(&mut self) {
        let slots = self.frontends.iter().enumerate().filter(|(_, f)| f.is_some());
        let taken: BTreeSet<u8> =
            slots.filter_map(|(i, _)| self.moved_to(PLACES.get(i).map_or(0, |p| p.0))).collect();
        let free = |name: usize| {
            self.backends.iter().find(|b| b.name == name).is_some_and(|b| !taken.contains(&b.address))
        };
        for slot in &mut self.frontends {
            let Some(f) = slot else { continue };
            for (_, members) in &mut f.pools {
                members.retain(|m| free(m.0));
            }
            f.pools.retain(|p| !p.1.is_empty());
            if f.pools.is_empty() {
                *slot = None;
            }
        }
    }

    /// With NAT a (server, target port) once over all frontends: the first has it.
    fn part_nat(&mut self) {
        let mut taken: BTreeSet<(u8, u16)> = BTreeSet::new();
        for i in 0..SLOTS {
            let Some(Some(f)) = self.frontends.get(i) else { continue };
            let (_, Some(port), _) = self.service(i, f) else { continue };
            let mut f = f.clone();
            let address = |name: usize| self.backends.iter().find(|b| b.name == name).map(|b| b.address);
            for (_, members) in &mut f.pools {
                members.retain(|m| address(m.0).is_some_and(|a| taken.insert((a, port))));
            }
            f.pools.retain(|p| !p.1.is_empty());
            if let Some(slot) = self.frontends.get_mut(i) {
                *slot = (!f.pools.is_empty()).then_some(f);
            }
        }
    }

    /// The servers stay; what else there is becomes another.
    fn tweak(&mut self, chance: &mut fastrand::Rng, i: usize) {
        let Some(Some(f)) = self.frontends.get_mut(i) else { return };
        match chance.u32(..8) {
            0 => f.flush = !f.flush,
            1 => f.slow = chance.usize(..SLOW.len()),
            2 => f.panic = chance.usize(..PANIC.len()),
            3 => f.name = chance.usize(..2),
            4 => f.table = pick(chance, &TABLES, 64),
            5 => f.service = 1 - f.service,
            6 => f.target = chance.usize(..TARGETS.len()),
            _ => {
                for m in f.pools.iter_mut().flat_map(|p| &mut p.1) {
                    if chance.bool() {
                        m.1 = chance.usize(..WEIGHTS.len());
                    }
                }
            }
        }
    }

    fn frontend(&self, chance: &mut fastrand::Rng, six: bool) -> Option<Front> {
        let mut left: Vec<&Backend> = self.backends.iter().filter(|b| (b.address >= IPV4) == six).collect();
        if left.is_empty() || chance.u32(..4) == 0 {
            return None;
        }
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
        Some(Front {
            name: chance.usize(..2),
            service: chance.usize(..2),
            target: chance.usize(..TARGETS.len()),
            flush: chance.bool(),
            sticky: chance.u32(..4) == 0,
            table: pick(chance, &TABLES, 64),
            slow: chance.usize(..SLOW.len()),
            panic: chance.usize(..PANIC.len()),
            pools,
        })
    }
}

const fn kind_of_none() -> Kind {
    kind("gre4", false, false)
}
