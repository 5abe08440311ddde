//! What was done to `lb` and cannot be read back from it: which VIPs are ours, with which sticky flag they were made, and
//! which servers may hold flows.
//!
//! A server is *dirty* from its first weight above 0 until its flows are flushed: only then can there be flows to
//! flush. Whatever is in doubt is dirty: a needless flush of a server that is to be flushed costs one call, a missing one
//! leaves clients on a dead server.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::reconcile::{Actual, Plan};
use super::types::{Encap, LbError, Op, VipKey};

/// The memory of one life of the plugin. It starts empty: what is found in `lb` then was not made by us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Ours alone.
    vips: BTreeMap<VipKey, Memory>,
    /// VIPs that are to be filled in steps once they are made, and flushed then.
    filling: BTreeSet<VipKey>,
    /// Every (server, target port) that was ever in a NAT VIP of ours, and in which; none: in one that is gone.
    nat_keys: BTreeMap<(IpAddr, u16), Option<VipKey>>,
    /// Target ports of NAT VIPs that are not ours.
    foreign_nat: BTreeSet<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Memory {
    encap: Encap,
    src_ip_sticky: bool,
    owes_flush: bool,
    /// `lb`'s index of it, once seen.
    index: Option<u32>,
    servers: BTreeMap<IpAddr, Seen>,
    /// The VIP of this name before, where the answer to the add was lost: it may still be that one that is there.
    before: Option<Box<Memory>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    weight: u8,
    dirty: bool,
}

impl Memory {
    /// A dump that tells nothing new, as most do. What was in the VIP before is claimed, too.
    fn as_seen(&self, actual: &Actual) -> bool {
        let same = |((a, seen), (b, weight)): ((&IpAddr, &Seen), (&IpAddr, &u8))| {
            a == b && seen.weight == *weight && (seen.dirty || *weight == 0)
        };
        self.servers.len() == actual.servers.len() && self.servers.iter().zip(&actual.servers).all(same)
    }
}

impl Ledger {
    /// Whether we made this VIP.
    pub fn ours(&self, vip: &VipKey) -> bool {
        self.vips.contains_key(vip)
    }

    /// All VIPs that we made and that were there when last seen.
    pub fn all_ours(&self) -> impl Iterator<Item = &VipKey> {
        self.vips.keys()
    }

    /// Those of one address, in order.
    pub fn ours_at(&self, address: IpAddr) -> impl Iterator<Item = &VipKey> {
        let first = VipKey { address, service: None };
        self.vips.range(first..).map(|(k, _)| k).take_while(move |k| k.address == address)
    }

    /// The flag with which we made this VIP; none where we did not.
    pub fn src_ip_sticky(&self, vip: &VipKey) -> Option<bool> {
        self.vips.get(vip).map(|m| m.src_ip_sticky)
    }

    /// The encapsulation with which we made this VIP; none where we did not.
    pub fn made_as(&self, vip: &VipKey) -> Option<Encap> {
        self.vips.get(vip).map(|m| m.encap)
    }

    /// Notes the index under which `lb` has a VIP of ours. False: it is another than before, so somebody has deleted our VIP and
    /// made one of the same name. That one is not ours.
    #[must_use]
    pub fn seen_at(&mut self, vip: &VipKey, index: Option<u32>) -> bool {
        if !self.settle_doubt(vip, index) {
            self.forget(vip);
            return false;
        }
        let (Some(memory), Some(index)) = (self.vips.get_mut(vip), index) else { return true };
        if *memory.index.get_or_insert(index) == index {
            return true;
        }
        self.forget(vip);
        false
    }

    /// After an add whose answer was lost: whether the VIP from before the add is still there, or the new one. False: that cannot be
    /// told, and neither its encapsulation nor its flag is known.
    fn settle_doubt(&mut self, vip: &VipKey, index: Option<u32>) -> bool {
        let Some(memory) = self.vips.get_mut(vip) else { return true };
        let Some(before) = memory.before.take() else { return true };
        match (before.index, index) {
            (Some(old), Some(now)) => {
                if old == now {
                    *memory = *before;
                }
                true
            }
            (None, _) | (_, None) => false,
        }
    }

    /// Whether `server` may be added to `vip`, a NAT VIP with `target_port`. `lb` keeps one entry a (server, target port)
    /// however many VIPs have it, and VPP aborts when the second is collected; so each belongs to one VIP for good. In
    /// that VIP it may come again, since `lb` then finds the entry it had.
    ///
    /// # Errors
    /// Who has it, in words.
    pub fn nat_free(&self, vip: &VipKey, server: IpAddr, target_port: u16) -> Result<(), String> {
        match self.nat_keys.get(&(server, target_port)) {
            Some(Some(owner)) if owner == vip => Ok(()),
            Some(Some(owner)) => Err(format!("{owner} has it")),
            Some(None) => Err("a VIP that was deleted had it".to_owned()),
            None if self.foreign_nat.contains(&target_port) => {
                Err("a NAT VIP made by somebody else has the target port".to_owned())
            }
            None => Ok(()),
        }
    }

    /// Notes the target ports of all NAT VIPs that are not ours.
    pub fn foreign_nat(&mut self, target_ports: BTreeSet<u16>) {
        self.foreign_nat = target_ports;
    }

    /// The VIP is gone: what it had can never be used again.
    fn forget(&mut self, vip: &VipKey) {
        self.vips.remove(vip);
        for owner in self.nat_keys.values_mut().filter(|o| o.as_ref() == Some(vip)) {
            *owner = None;
        }
    }

    /// The server is or was in the VIP.
    fn claim(&mut self, vip: &VipKey, server: IpAddr) {
        if let Some(port) = self.made_as(vip).and_then(Encap::target_port) {
            self.claim_key(vip, server, port);
        }
    }

    /// The VIP has the key, unless another one had it before.
    fn claim_key(&mut self, vip: &VipKey, server: IpAddr, target_port: u16) {
        self.nat_keys.entry((server, target_port)).or_insert(Some(*vip));
    }

    /// Whether a server may hold flows, going by what was done and seen before: none for a server that was never heard
    /// of in this VIP.
    pub fn dirty(&self, vip: &VipKey, server: IpAddr) -> Option<bool> {
        self.vips.get(vip)?.servers.get(&server).map(|s| s.dirty)
    }

    /// Servers of a VIP of ours that may hold flows, in use or not.
    pub(super) fn with_flows(&self, vip: &VipKey) -> impl Iterator<Item = IpAddr> {
        let servers = self.vips.get(vip).into_iter().flat_map(|memory| &memory.servers);
        servers.filter(|(_, seen)| seen.dirty).map(|(address, _)| *address)
    }

    /// Whether a flush of the whole VIP was begun by a plan and has not happened yet.
    pub(super) fn owes_flush(&self, vip: &VipKey) -> bool {
        self.vips.get(vip).is_some_and(|m| m.owes_flush)
    }

    /// Whether nothing that was begun on this VIP of ours is still to come.
    pub fn owes_nothing(&self, vip: &VipKey) -> bool {
        self.ours(vip) && !self.owes_flush(vip) && !self.filling.contains(vip)
    }

    /// Notes a dump of one VIP; `None`: it is not there (any more). Call it before planning.
    pub fn observed(&mut self, vip: &VipKey, actual: Option<&Actual>) {
        let Some(actual) = actual else {
            // `lb` gives a VIP that is made again a new index, and flows belong to indices: it begins clean.
            self.forget(vip);
            return;
        };
        let Some(memory) = self.vips.get_mut(vip) else { return };
        if memory.as_seen(actual) {
            return;
        }
        // As `lb` has it: after an add without an answer it may still be the one from before.
        if let Some(port) = actual.encap.and_then(Encap::target_port) {
            actual.servers.keys().for_each(|server| self.claim_key(vip, *server, port));
        }
        let Some(memory) = self.vips.get_mut(vip) else { return };
        for seen in memory.servers.values_mut() {
            // Gone behind our back or not: `lb` lets the flows of a deleted server live on, so dirty it stays.
            seen.weight = 0;
        }
        for (&server, &weight) in &actual.servers {
            let before = memory.servers.get(&server).is_none_or(|s| s.dirty);
            memory.servers.insert(server, Seen { weight, dirty: before || weight > 0 });
        }
    }

    /// Notes that a plan is about to be carried out. Call it for every plan, empty ones too.
    pub fn begin(&mut self, plan: &Plan) {
        for vip in &plan.vips {
            let flush = plan.flush_after.contains(vip);
            let made = |op: &Op| matches!(op, Op::AddVip { vip: v, .. } if v == vip);
            let made = plan.steps.iter().flat_map(|s| &s.ops).any(made);
            if flush && made {
                self.filling.insert(*vip);
            } else {
                self.filling.remove(vip);
            }
            if let Some(memory) = self.vips.get_mut(vip) {
                memory.owes_flush = flush && !made;
            }
        }
    }

    /// Notes `lb`'s answer to an op.
    pub fn answered(&mut self, op: &Op, answer: &Result<(), LbError>) {
        match answer {
            Ok(()) => self.applied(op),
            Err(LbError::NoAnswer(_)) => self.perhaps_applied(op),
            Err(
                LbError::NoSuchEntry
                | LbError::ValueExist
                | LbError::InvalidArgument
                | LbError::InvalidAddressFamily
                | LbError::InvalidMemorySize
                | LbError::NoRoom
                | LbError::Held
                | LbError::Other(_)
                | LbError::Unavailable(_),
            ) => {}
        }
    }

    /// Notes an op that `lb` has done.
    pub fn applied(&mut self, op: &Op) {
        match *op {
            Op::SetSettings(_) => {}
            Op::AddVip { vip, encap, src_ip_sticky, .. } => {
                let owes_flush = self.filling.remove(&vip);
                let servers = BTreeMap::new();
                let memory = Memory { encap, src_ip_sticky, owes_flush, index: None, servers, before: None };
                self.vips.insert(vip, memory);
            }
            Op::DelVip { vip } => self.forget(&vip),
            Op::AddServer { vip, address, weight, flush } => {
                self.claim(&vip, address);
                self.weighs(vip, address, weight, flush, false);
            }
            Op::SetWeight { vip, address, weight, flush } => self.weighs(vip, address, weight, flush, true),
            Op::DelServer { vip, address, flush } => {
                if let Some(memory) = self.vips.get_mut(&vip) {
                    if flush {
                        memory.servers.remove(&address);
                    } else if let Some(seen) = memory.servers.get_mut(&address) {
                        seen.weight = 0;
                    }
                }
            }
            Op::FlushVip { vip } => {
                if let Some(memory) = self.vips.get_mut(&vip) {
                    memory.owes_flush = false;
                    for seen in memory.servers.values_mut() {
                        seen.dirty = seen.weight > 0;
                    }
                }
            }
        }
    }

    /// `unheard`: whether a server never heard of before counts as dirty.
    fn weighs(&mut self, vip: VipKey, server: IpAddr, weight: u8, flush: bool, unheard: bool) {
        let Some(memory) = self.vips.get_mut(&vip) else { return };
        let before = memory.servers.get(&server).map_or(unheard, |s| s.dirty);
        let dirty = weight > 0 || (before && !flush);
        memory.servers.insert(server, Seen { weight, dirty });
    }

    /// Notes an op that `lb` may have done: its answer was lost.
    fn perhaps_applied(&mut self, op: &Op) {
        match *op {
            // If it is there at the next dump, it is ours, or it is the one from before that was to be deleted, as its index then
            // tells; if not, that dump removes it from here.
            Op::AddVip { vip, encap, src_ip_sticky, .. } => {
                let mut before = self.vips.remove(&vip).map(Box::new);
                // Twice the same, and neither seen: it makes no difference which it is.
                if before.as_ref().is_some_and(|b| {
                    b.index.is_none() && (b.encap, b.src_ip_sticky) == (encap, src_ip_sticky)
                }) {
                    before = before.and_then(|b| b.before);
                }
                self.applied(op);
                if let Some(memory) = self.vips.get_mut(&vip) {
                    memory.before = before;
                }
            }
            Op::AddServer { vip, address, weight, .. } | Op::SetWeight { vip, address, weight, .. } => {
                self.claim(&vip, address);
                let known = self.vips.get(&vip).is_some_and(|m| m.servers.contains_key(&address));
                // One that comes so is known from now on: a flush of the whole VIP is one of it, too.
                if weight > 0 || !known {
                    self.weighs(vip, address, weight, false, true);
                }
            }
            Op::SetSettings(_) | Op::DelVip { .. } | Op::DelServer { .. } | Op::FlushVip { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lb::types::{Encap, Protocol};

    fn ip(s: &str) -> IpAddr {
        s.parse().unwrap()
    }

    fn vip() -> VipKey {
        VipKey { address: ip("192.0.2.1"), service: Some((Protocol::Tcp, 80)) }
    }

    fn actual(servers: &[(&str, u8)]) -> Actual {
        let servers = servers.iter().map(|&(a, w)| (ip(a), w)).collect();
        Actual { encap: Some(Encap::Gre4), table_length: 16, servers }
    }

    fn made() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.applied(&Op::AddVip { vip: vip(), encap: Encap::Gre4, table_length: 16, src_ip_sticky: true });
        ledger
    }

    fn add(weight: u8, flush: bool) -> Op {
        Op::AddServer { vip: vip(), address: ip("10.0.0.1"), weight, flush }
    }

    fn set(weight: u8, flush: bool) -> Op {
        Op::SetWeight { vip: vip(), address: ip("10.0.0.1"), weight, flush }
    }

    fn del(flush: bool) -> Op {
        Op::DelServer { vip: vip(), address: ip("10.0.0.1"), flush }
    }

    #[test]
    fn a_server_is_dirty_from_its_first_weight_until_it_is_flushed() {
        let flush_vip = Op::FlushVip { vip: vip() };
        for (ops, dirty) in [
            (vec![], None),
            (vec![add(0, false)], Some(false)),
            (vec![add(1, false)], Some(true)),
            (vec![add(1, false), set(0, false)], Some(true)),
            (vec![add(1, false), set(0, true)], Some(false)),
            (vec![add(0, false), set(5, true)], Some(true)),
            (vec![add(1, false), del(true)], None),
            (vec![add(1, false), del(true), add(0, false)], Some(false)),
            (vec![add(1, false), del(false)], Some(true)),
            (vec![add(1, false), del(false), add(0, false)], Some(true)),
            (vec![add(1, false), del(false), add(0, true)], Some(false)),
            (vec![add(1, false), flush_vip], Some(true)),
            (vec![add(1, false), set(0, false), flush_vip], Some(false)),
            (vec![set(0, false)], Some(true)),
        ] {
            let mut ledger = made();
            ops.iter().for_each(|op| ledger.applied(op));
            assert_eq!(ledger.dirty(&vip(), ip("10.0.0.1")), dirty, "{ops:?}");
        }
    }

    #[test]
    fn a_server_seen_with_weight_or_unheard_of_is_dirty() {
        let mut ledger = made();
        ledger.applied(&add(0, false));
        ledger.observed(&vip(), Some(&actual(&[("10.0.0.1", 0), ("10.0.0.2", 0)])));
        assert_eq!(ledger.dirty(&vip(), ip("10.0.0.1")), Some(false));
        assert_eq!(ledger.dirty(&vip(), ip("10.0.0.2")), Some(true));
        ledger.observed(&vip(), Some(&actual(&[("10.0.0.1", 3)])));
        ledger.observed(&vip(), Some(&actual(&[])));
        assert_eq!(ledger.dirty(&vip(), ip("10.0.0.1")), Some(true), "its flows outlive it");
        ledger.applied(&Op::FlushVip { vip: vip() });
        assert_eq!(ledger.dirty(&vip(), ip("10.0.0.1")), Some(false));
    }

    #[test]
    fn ours_is_what_we_made_and_what_is_still_there() {
        let mut ledger = Ledger::default();
        ledger.observed(&vip(), Some(&actual(&[("10.0.0.1", 3)])));
        assert_eq!((ledger.ours(&vip()), ledger.src_ip_sticky(&vip())), (false, None));
        ledger.applied(&set(3, false));
        assert_eq!(ledger.all_ours().count(), 0);
        let mut ledger = made();
        assert_eq!((ledger.ours(&vip()), ledger.src_ip_sticky(&vip())), (true, Some(true)));
        ledger.observed(&vip(), None);
        assert!(!ledger.ours(&vip()));
        let mut ledger = made();
        ledger.applied(&Op::DelVip { vip: vip() });
        assert!(!ledger.ours(&vip()));
    }

    #[test]
    fn a_vip_of_ours_under_another_index_is_somebody_elses() {
        assert!(Ledger::default().seen_at(&vip(), Some(7)), "not ours");
        let mut ledger = made();
        assert!(ledger.seen_at(&vip(), None) && ledger.seen_at(&vip(), Some(7)));
        assert!(ledger.seen_at(&vip(), Some(7)) && ledger.seen_at(&vip(), None) && ledger.ours(&vip()));
        assert!(!ledger.seen_at(&vip(), Some(8)) && !ledger.ours(&vip()));
        let mut again = made();
        assert!(again.seen_at(&vip(), Some(8)), "made anew by us");
    }

    #[test]
    fn after_an_add_without_an_answer_the_index_tells_which_vip_is_there() {
        let add =
            |src_ip_sticky| Op::AddVip { vip: vip(), encap: Encap::Gre4, table_length: 16, src_ip_sticky };
        let lost = Err(LbError::NoAnswer("test"));
        // The delete and the add were both lost: whether there is the old VIP, whose flag is true, or the new one.
        for (seen, sticky) in [(Some(7), Some(true)), (Some(8), Some(false)), (None, None)] {
            let mut ledger = made();
            assert!(ledger.seen_at(&vip(), Some(7)));
            ledger.answered(&set(1, false), &Ok(()));
            ledger.answered(&Op::DelVip { vip: vip() }, &lost);
            ledger.answered(&add(false), &lost);
            assert_eq!(ledger.seen_at(&vip(), seen), sticky.is_some());
            assert_eq!(ledger.src_ip_sticky(&vip()), sticky, "index {seen:?}");
            let dirty = (sticky == Some(true)).then_some(true);
            assert_eq!(ledger.dirty(&vip(), ip("10.0.0.1")), dirty, "flows belong to an index");
            assert!(ledger.seen_at(&vip(), seen), "and that is settled");
        }
        // Made twice without an answer: alike, it makes no difference; otherwise nobody knows.
        for (first, known) in [(false, true), (true, false)] {
            let mut ledger = Ledger::default();
            ledger.answered(&add(first), &lost);
            ledger.answered(&add(false), &lost);
            assert_eq!(ledger.seen_at(&vip(), Some(7)), known);
            assert_eq!(ledger.src_ip_sticky(&vip()), known.then_some(false));
        }
    }

    #[test]
    fn a_nat_key_belongs_to_one_vip_for_good() {
        let nat = |port| VipKey { address: ip("192.0.2.1"), service: Some((Protocol::Udp, port)) };
        let made = |ledger: &mut Ledger, vip| {
            let encap = Encap::Nat4 { target_port: 53 };
            ledger.applied(&Op::AddVip { vip, encap, table_length: 16, src_ip_sticky: false });
        };
        let add = |vip, n| Op::AddServer { vip, address: ip(n), weight: 0, flush: false };
        let (a, b) = (nat(1), nat(2));
        let mut ledger = Ledger::default();
        made(&mut ledger, a);
        made(&mut ledger, b);
        assert_eq!(
            (ledger.made_as(&a), ledger.made_as(&vip())),
            (Some(Encap::Nat4 { target_port: 53 }), None)
        );
        let free = |ledger: &Ledger, vip: &VipKey, n| ledger.nat_free(vip, ip(n), 53).is_ok();
        assert!(free(&ledger, &a, "10.0.0.1") && free(&ledger, &b, "10.0.0.1"));
        ledger.answered(&add(a, "10.0.0.1"), &Err(LbError::InvalidAddressFamily));
        assert!(free(&ledger, &b, "10.0.0.1"), "refused, so it has no key");
        ledger.answered(&add(a, "10.0.0.1"), &Err(LbError::NoAnswer("test")));
        assert!(free(&ledger, &a, "10.0.0.1") && !free(&ledger, &b, "10.0.0.1"), "perhaps it has");
        assert!(ledger.nat_free(&b, ip("10.0.0.1"), 54).is_ok(), "another target port is another key");
        ledger.applied(&add(b, "10.0.0.2"));
        assert!(!free(&ledger, &a, "10.0.0.2"));
        // Somebody else's hand in our VIP counts too; so does the deletion of all of it.
        let seen = Actual { encap: Some(Encap::Nat4 { target_port: 53 }), ..actual(&[("10.0.0.3", 1)]) };
        ledger.observed(&a, Some(&seen));
        assert!(free(&ledger, &a, "10.0.0.3") && !free(&ledger, &b, "10.0.0.3"));
        ledger.observed(&a, None);
        made(&mut ledger, a);
        assert!(
            !free(&ledger, &a, "10.0.0.1")
                && !free(&ledger, &b, "10.0.0.1")
                && !free(&ledger, &a, "10.0.0.3")
        );
        assert!(free(&ledger, &a, "10.0.0.4"));
        ledger.foreign_nat([53].into());
        assert!(!free(&ledger, &a, "10.0.0.4") && free(&ledger, &b, "10.0.0.2"));
    }

    #[test]
    fn servers_of_the_vip_from_before_use_up_no_nat_key() {
        let lost = Err(LbError::NoAnswer("test"));
        let mut ledger = made();
        assert!(ledger.seen_at(&vip(), Some(7)));
        let encap = Encap::Nat4 { target_port: 53 };
        let add = Op::AddVip { vip: vip(), encap, table_length: 16, src_ip_sticky: false };
        ledger.answered(&Op::DelVip { vip: vip() }, &lost);
        ledger.answered(&add, &lost);
        // The dump comes before the look at the index: it is the old one that is there.
        ledger.observed(&vip(), Some(&actual(&[("10.0.0.1", 3)])));
        assert!(ledger.seen_at(&vip(), Some(7)));
        ledger.answered(&Op::DelVip { vip: vip() }, &Ok(()));
        ledger.answered(&add, &Ok(()));
        assert_eq!(ledger.nat_free(&vip(), ip("10.0.0.1"), 53), Ok(()));
        let seen = Actual { encap: Some(encap), ..actual(&[("10.0.0.1", 3)]) };
        ledger.observed(&vip(), Some(&seen));
        ledger.answered(&Op::DelVip { vip: vip() }, &Ok(()));
        assert!(ledger.nat_free(&vip(), ip("10.0.0.1"), 53).is_err());
    }

    #[test]
    fn a_refused_op_changes_nothing_and_a_lost_answer_leaves_what_is_safe() {
        let add_vip = Op::AddVip { vip: vip(), encap: Encap::Gre4, table_length: 16, src_ip_sticky: false };
        let (refused, lost) = (Err(LbError::ValueExist), Err(LbError::NoAnswer("test")));
        let mut ledger = Ledger::default();
        ledger.answered(&add_vip, &refused);
        assert!(!ledger.ours(&vip()));
        ledger.answered(&add_vip, &lost);
        assert!(ledger.ours(&vip()), "else it would be foreign for ever");
        ledger.answered(&add(3, false), &refused);
        assert_eq!(ledger.dirty(&vip(), ip("10.0.0.1")), None);
        ledger.answered(&add(3, false), &lost);
        ledger.answered(&set(0, true), &lost);
        ledger.answered(&del(true), &lost);
        ledger.answered(&Op::FlushVip { vip: vip() }, &lost);
        assert_eq!(ledger.dirty(&vip(), ip("10.0.0.1")), Some(true));
        ledger.answered(&Op::DelVip { vip: vip() }, &lost);
        assert!(ledger.ours(&vip()));
    }

    #[test]
    fn a_server_that_came_by_a_lost_answer_is_clean_after_a_flush_of_its_vip() {
        let mut ledger = made();
        ledger.answered(&add(0, false), &Err(LbError::NoAnswer("test")));
        assert_eq!(ledger.dirty(&vip(), ip("10.0.0.1")), Some(true), "in doubt");
        ledger.applied(&Op::FlushVip { vip: vip() });
        ledger.observed(&vip(), Some(&actual(&[("10.0.0.1", 0)])));
        assert_eq!(ledger.dirty(&vip(), ip("10.0.0.1")), Some(false));
    }
}
