//! Servers that are to get no more packets: their weight goes to 0 in every VIP before anything else is written, the oldest
//! first, whatever work is under way. Their flows are flushed afterwards, with the rest of what changed.
//!
//! It is cheaper than a plan: that the VIPs still are ours is looked up, and the weights of several are written under one barrier. A
//! VIP is dumped before only where one other server would be left, or a write has failed since it was dumped: then what is
//! believed of it does not do. A VIP whose last weight it is waits for others to come in first ([`Class::Out`]).

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use super::work::and_unanswered;
use super::{LbRequest, Programmer};
use crate::control::event::Event;
use crate::control::intent::Intentions;
use crate::control::queue::Class;
use crate::lb::reconcile::Actual;
use crate::lb::{AsRecord, Encap, LbError, Op, VipKey};

/// So many VIPs are written to under one barrier, while that takes no longer than [`TOGETHER_FOR`].
const TOGETHER: usize = 16;
const TOGETHER_FOR: Duration = Duration::from_micros(500);
/// So many members of frontends are looked at in one go.
const WALK: usize = 20_000;

/// A server in a VIP.
type Place = (VipKey, IpAddr);

/// What is asked of `lb` for it.
#[derive(Debug, Default, PartialEq, Eq)]
enum Asked {
    #[default]
    Nothing,
    /// The servers of these VIPs, the first of them now.
    Dump(VecDeque<VipKey>, Vec<Place>),
    /// Whether all these VIPs still are ours.
    Look(Vec<Place>),
    /// Their weights.
    Write(Vec<Op>),
}

/// See above.
#[derive(Debug, Default)]
pub(super) struct Outs {
    order: VecDeque<IpAddr>,
    members: BTreeSet<IpAddr>,
    /// The first server's VIP that was looked at last.
    at: Option<VipKey>,
    asked: Asked,
}

impl Outs {
    /// Nothing is left to do.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.asked == Asked::Nothing
    }

    /// A request of this kind is under way.
    pub(super) fn asked(&self) -> bool {
        self.asked != Asked::Nothing
    }

    /// Servers that wait, the oldest first.
    pub(super) fn servers(&self) -> impl Iterator<Item = IpAddr> {
        self.order.iter().copied()
    }

    /// How many they are.
    pub(super) fn size(&self) -> usize {
        self.order.len()
    }

    /// What was asked is asked again.
    pub(super) fn begin_anew(&mut self) {
        self.asked = Asked::Nothing;
        self.at = None;
    }

    fn next_server(&mut self) {
        if let Some(server) = self.order.pop_front() {
            self.members.remove(&server);
        }
        self.at = None;
    }
}

/// What is to become of a server in a VIP.
enum Fate {
    /// Its weight is what it is to be.
    Stays,
    /// It goes.
    Goes {
        /// Fewer than two other servers go on serving: what is believed of the VIP does not do.
        thin: bool,
        /// Its flows, too.
        flush: bool,
        /// It would be a forwarding loop: all of it goes at once.
        looping: bool,
    },
    /// It goes when others have come in.
    Waits,
}

impl Programmer {
    /// A server has no weight any more in some frontend.
    pub fn out(&mut self, server: IpAddr) {
        let outs = &mut self.outs;
        if outs.order.front() == Some(&server) {
            // VIPs that were looked at may be among them.
            outs.at = None;
        }
        if outs.members.insert(server) {
            outs.order.push_back(server);
        }
    }

    /// What is to be asked before anything else.
    pub(super) fn out_request(&mut self, intent: &Intentions<'_>) -> Option<LbRequest> {
        if self.outs.asked == Asked::Nothing && self.listed {
            let (dump, places) = self.gather(intent);
            if !places.is_empty() {
                self.outs.asked = Asked::Dump(dump, places);
            }
        }
        if let Asked::Dump(dump, places) = &mut self.outs.asked
            && dump.is_empty()
        {
            self.outs.asked = Asked::Look(std::mem::take(places));
        }
        match &self.outs.asked {
            Asked::Nothing => None,
            Asked::Dump(dump, _) => dump.front().map(|vip| LbRequest::Servers(*vip)),
            Asked::Look(seats) => {
                Some(LbRequest::Look(Vec::new(), seats.iter().map(|(vip, _)| *vip).collect()))
            }
            Asked::Write(ops) => Some(LbRequest::Apply(ops.clone())),
        }
    }

    /// The next servers in VIPs that are to go, by what is believed: so many as stand under one barrier; and the VIPs of them that are to
    /// be dumped first.
    fn gather(&mut self, intent: &Intentions<'_>) -> (VecDeque<VipKey>, Vec<Place>) {
        let (mut dump, mut seats) = (VecDeque::new(), Vec::new());
        let (mut takes, mut left) = (Duration::ZERO, WALK);
        while let Some(server) = self.outs.order.front().copied() {
            if seats.len() >= TOGETHER || takes >= TOGETHER_FOR || left == 0 {
                break;
            }
            let Some(vip) = self.vips.with_after(server, self.outs.at).copied() else {
                self.outs.next_server();
                continue;
            };
            self.outs.at = Some(vip);
            left = left.saturating_sub(1 + intent.frontend(&vip).map_or(0, |f| f.seats.len()));
            let doubtful = self.doubtful.contains(&vip);
            let fate = self.fate(&vip, server, intent);
            match fate {
                Fate::Stays if !doubtful => {}
                Fate::Waits if !doubtful => self.waiting.push(Class::Out, vip.address),
                Fate::Stays | Fate::Waits | Fate::Goes { .. } => {
                    if let Some(actual) = self.vips.get(&vip) {
                        takes += self.costs.rebuild(actual.weights(), actual.table_length);
                    }
                    let thin = matches!(fate, Fate::Goes { thin: true, .. });
                    if (doubtful || thin) && dump.back() != Some(&vip) {
                        dump.push_back(vip);
                    }
                    seats.push((vip, server));
                }
            }
        }
        (dump, seats)
    }

    /// What is to be written, by what `lb` has.
    fn out_ops(&mut self, seats: &[Place], intent: &Intentions<'_>) -> Vec<Op> {
        let (mut ops, mut flushes) = (Vec::new(), false);
        for &(vip, address) in seats {
            match self.fate(&vip, address, intent) {
                Fate::Stays => {}
                Fate::Waits => self.waiting.push(Class::Out, vip.address),
                Fate::Goes { flush, looping, .. } => {
                    let Some(actual) = self.vips.get(&vip) else { continue };
                    ops.push(if looping && !actual.encap.is_some_and(Encap::is_nat) {
                        Op::DelServer { vip, address, flush: true }
                    } else {
                        Op::SetWeight { vip, address, weight: 0, flush: looping }
                    });
                    flushes = flush;
                }
            }
        }
        // The only one: its flows need not wait for others.
        if let ([Op::SetWeight { flush, vip, .. }], true) =
            (ops.as_mut_slice(), flushes && self.outs.members.is_empty())
            && let Some(actual) = self.vips.get(vip)
            && self.costs.rebuild(actual.weights(), actual.table_length) + self.costs.flush()
                <= self.costs.limit
        {
            *flush = true;
        }
        ops
    }

    fn fate(&self, vip: &VipKey, server: IpAddr, intent: &Intentions<'_>) -> Fate {
        let now = |actual: &Actual| actual.servers.get(&server).is_some_and(|w| *w > 0);
        let sure = !self.unsure.contains(&vip.address)
            && self.job.iter().chain(&self.suspended).all(|j| j.address != vip.address || !j.unsure);
        let (true, true, Some(actual)) = (sure, self.ledger.ours(vip), self.vips.get(vip)) else {
            return Fate::Stays;
        };
        let Some(f) = intent.frontend(vip).filter(|f| f.open) else { return Fate::Stays };
        if !now(actual) {
            return Fate::Stays;
        }
        let looping = intent.backends.looping(server).is_some();
        let (mut own, mut others, mut wanted) = (None, 0u32, 0u32);
        for (seat, share) in f.seats.iter().zip(&f.shares.members) {
            let Some(b) = intent.backends.get(seat.slot) else { continue };
            let address = b.config.address;
            if address == server {
                own = Some(if looping { (0, true) } else { (share.weight, share.flush) });
            } else {
                let weight = if intent.backends.looping(address).is_some() { 0 } else { share.weight };
                wanted += u32::from(weight);
                others += u32::from(weight > 0 && actual.servers.get(&address).is_some_and(|w| *w > 0));
            }
            if own.is_some() && others > 1 {
                break;
            }
        }
        match own {
            // Of one that has left the configuration a plan takes care.
            None | Some((1.., _)) => Fate::Stays,
            Some((0, flush)) if others > 0 || wanted == 0 => {
                let flush = flush && self.ledger.dirty(vip, server) != Some(false);
                Fate::Goes { thin: others < 2, flush, looping }
            }
            Some((0, _)) => Fate::Waits,
        }
    }

    /// The servers of a VIP; without them it waits for a plan.
    pub(super) fn outs_dumped(&mut self, r: Result<Vec<AsRecord>, LbError>, events: &mut VecDeque<Event>) {
        let Asked::Dump(vips, seats) = &mut self.outs.asked else { return };
        let Some(vip) = vips.pop_front() else { return };
        match r {
            Ok(records) => self.seen(&vip, &records),
            Err(e) => {
                seats.retain(|(v, _)| *v != vip);
                self.waiting.push(Class::Out, vip.address);
                self.complain(format!("vip={vip} dump failed: {e}"), events);
            }
        }
        if matches!(&self.outs.asked, Asked::Dump(_, seats) if seats.is_empty()) {
            self.outs.asked = Asked::Nothing;
        }
    }

    /// The VIPs are looked up: to those that are not ours any more nothing is written.
    pub(super) fn outs_looked(
        &mut self,
        intent: &Intentions<'_>,
        indices: &[(VipKey, Option<u32>)],
        events: &mut VecDeque<Event>,
    ) {
        let Asked::Look(mut seats) = std::mem::take(&mut self.outs.asked) else { return };
        for (vip, index) in indices {
            self.index_seen(vip, *index, events);
        }
        seats.retain(|(vip, _)| !indices.contains(&(*vip, None)) && self.ledger.ours(vip));
        let ops = self.out_ops(&seats, intent);
        if !ops.is_empty() {
            self.outs.asked = Asked::Write(ops);
        }
    }

    /// Written, or not: what failed is planned for with the rest of its address, which is urged with every change.
    pub(super) fn outs_written(&mut self, results: Vec<Result<(), LbError>>, events: &mut VecDeque<Event>) {
        let Asked::Write(ops) = std::mem::take(&mut self.outs.asked) else { return };
        for (op, result) in ops.into_iter().zip(and_unanswered(results)) {
            self.ledger.answered(&op, &result);
            if let Some(vip) = op.vip() {
                for job in self.job.iter_mut().chain(&mut self.suspended).filter(|j| j.address == vip.address)
                {
                    job.again = true;
                    job.doubt |= result.is_err();
                }
            }
            match result {
                Ok(()) => self.written(&op, events),
                Err(e) => {
                    self.refused(&op, &e, events);
                }
            }
        }
    }
}
