//! Servers that are to get no more packets: their weight goes to 0 in every VIP before anything else is written, the oldest
//! first, whatever work is under way. Their flows are flushed afterwards, with the rest of what changed.
//!
//! It is cheaper than a plan: that the VIPs still are ours is looked up, and the weights of several are written under one barrier. A
//! VIP is dumped before only where one other server would be left, or a write has failed since it was dumped: then what is
//! believed of it does not do, unless the server is down, and of no use to the VIP anyway. A VIP whose last weight it is waits for
//! others to come in first ([`Class::Out`]).

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use super::work::{and_unanswered, told};
use super::{LbRequest, Programmer};
use crate::control::event::Event;
use crate::control::intent::Intentions;
use crate::control::queue::Class;
use crate::health::State;
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
    /// Their weights; several of a VIP together.
    Write(Vec<Op>, bool),
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

/// Servers of a VIP that are to go.
#[derive(Debug, Default)]
struct Leaving {
    servers: Vec<Leaver>,
    /// Not before others have come in.
    waits: bool,
    /// Fewer than two other servers go on serving, and one that goes may still be of use: what is believed of the VIP does not do.
    thin: bool,
}

#[derive(Clone, Copy, Debug)]
struct Leaver {
    address: IpAddr,
    /// Its flows go, too.
    flush: bool,
    /// It would be a forwarding loop: all of it goes at once.
    looping: bool,
}

/// The op by which a server goes.
fn leave(vip: VipKey, l: Leaver, nat: bool) -> Op {
    let Leaver { address, looping, .. } = l;
    if looping && !nat {
        Op::DelServer { vip, address, flush: true }
    } else {
        Op::SetWeight { vip, address, weight: 0, flush: looping }
    }
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

    /// Whether a server is believed to have weight in a VIP.
    pub fn weighs(&self, vip: &VipKey, server: IpAddr) -> bool {
        self.vips.get(vip).is_some_and(|actual| actual.servers.get(&server).is_some_and(|w| *w > 0))
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
            Asked::Write(ops, false) => Some(LbRequest::Apply(ops.clone())),
            Asked::Write(ops, true) => Some(LbRequest::Bulk(ops.clone(), Vec::new())),
        }
    }

    /// The next servers in VIPs that are to go, by what is believed: so many as stand under one barrier; and the VIPs of them that are to
    /// be dumped first. Those of one VIP go together.
    fn gather(&mut self, intent: &Intentions<'_>) -> (VecDeque<VipKey>, Vec<Place>) {
        let (mut dump, mut places, mut vips) = (VecDeque::new(), Vec::new(), BTreeSet::new());
        let (mut takes, mut left) = (Duration::ZERO, WALK);
        // NAT is not put together, nor with what is.
        let (mut together, mut nat) = (false, false);
        while let Some(server) = self.outs.order.front().copied() {
            if vips.len() >= TOGETHER || takes >= TOGETHER_FOR || left == 0 {
                break;
            }
            let Some(vip) = self.vips.with_after(server, self.outs.at).copied() else {
                self.outs.next_server();
                continue;
            };
            let before = self.outs.at.replace(vip);
            if places.contains(&(vip, server)) {
                continue;
            }
            left = left.saturating_sub(1 + intent.frontend(&vip).map_or(0, |f| f.seats.len()));
            let doubtful = self.doubtful.contains(&vip);
            let leaving = self.leavers(&vip, intent, |a| self.outs.members.contains(a));
            let leaves = leaving.servers.iter().any(|l| l.address == server);
            if leaves && leaving.waits && !doubtful {
                self.waiting.push(Class::Out, vip.address);
                continue;
            }
            if !leaves && !doubtful {
                continue;
            }
            let is_nat = self.is_nat(&vip);
            let all = self.leave_together(&vip, &leaving).filter(|_| leaves);
            if is_nat && together || all.is_some() && nat {
                self.outs.at = before;
                break;
            }
            (together, nat) = (together || all.is_some(), nat || is_nat);
            if (doubtful || leaving.thin) && dump.back() != Some(&vip) {
                dump.push_back(vip);
            }
            vips.insert(vip);
            if let Some(takes_for) = all {
                takes += takes_for;
                let new =
                    leaving.servers.iter().map(|l| (vip, l.address)).filter(|place| !places.contains(place));
                let new: Vec<Place> = new.collect();
                places.extend(new);
            } else {
                let rebuild = |actual: &Actual| self.costs.rebuild(actual.weights(), actual.table_length);
                takes += self.vips.get(&vip).map_or(Duration::ZERO, rebuild);
                places.push((vip, server));
            }
        }
        // Those of one VIP in a row.
        places.sort_unstable();
        (dump, places)
    }

    /// How long it takes to put them together; none: they go one by one.
    fn leave_together(&self, vip: &VipKey, leaving: &Leaving) -> Option<Duration> {
        let actual = self.vips.get(vip).filter(|_| !self.is_nat(vip))?;
        let ops: Vec<Op> = leaving.servers.iter().map(|l| leave(*vip, *l, false)).collect();
        self.costs.worth(&ops, actual)
    }

    /// What is to be written, by what `lb` has; and whether several servers of a VIP go together.
    fn out_ops(&mut self, places: &[Place], intent: &Intentions<'_>) -> (Vec<Op>, bool) {
        let (mut ops, mut flushes) = (Vec::new(), false);
        let (mut together, mut any_nat) = (false, false);
        for these in places.chunk_by(|a, b| a.0 == b.0) {
            let Some((vip, _)) = these.first().copied() else { continue };
            let among: BTreeSet<IpAddr> = these.iter().map(|(_, a)| *a).collect();
            let leaving = self.leavers(&vip, intent, |a| among.contains(a));
            if leaving.waits {
                self.waiting.push(Class::Out, vip.address);
                continue;
            }
            together |= self.leave_together(&vip, &leaving).is_some();
            let nat = self.is_nat(&vip);
            any_nat |= nat;
            ops.extend(leaving.servers.iter().map(|l| leave(vip, *l, nat)));
            flushes = leaving.servers.iter().any(|l| l.flush);
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
        (ops, together && !any_nat)
    }

    fn is_nat(&self, vip: &VipKey) -> bool {
        self.vips.get(vip).is_some_and(|actual| actual.encap.is_some_and(Encap::is_nat))
    }

    /// Which servers of a VIP, of those that are `out`, are to go.
    fn leavers(&self, vip: &VipKey, intent: &Intentions<'_>, out: impl Fn(&IpAddr) -> bool) -> Leaving {
        let sure = !self.unsure.contains(&vip.address)
            && self.job.iter().chain(&self.suspended).all(|j| j.address != vip.address || !j.unsure);
        let (true, true, Some(actual)) = (sure, self.ledger.ours(vip), self.vips.get(vip)) else {
            return Leaving::default();
        };
        let Some(f) = intent.frontend(vip).filter(|f| f.open) else { return Leaving::default() };
        let weighs = |a: &IpAddr| actual.servers.get(a).is_some_and(|w| *w > 0);
        let (mut servers, mut others, mut wanted, mut of_use) = (Vec::new(), 0u32, 0u32, false);
        // Of one that has left the configuration a plan takes care.
        for (seat, share) in f.seats.iter().zip(&f.shares.members) {
            let Some(b) = intent.backends.get(seat.slot) else { continue };
            let address = b.config.address;
            let looping = intent.backends.looping(address).is_some();
            let weight = if looping { 0 } else { share.weight };
            if weight == 0 && out(&address) && weighs(&address) {
                let flush = looping || share.flush && self.ledger.dirty(vip, address) != Some(false);
                servers.push(Leaver { address, flush, looping });
                of_use |= b.state() != State::Down;
            }
            wanted += u32::from(weight);
            others += u32::from(weight > 0 && weighs(&address));
        }
        Leaving {
            waits: others == 0 && wanted > 0 && !servers.is_empty(),
            thin: others < 2 && of_use,
            servers,
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
        let (ops, together) = self.out_ops(&seats, intent);
        if !ops.is_empty() {
            self.outs.asked = Asked::Write(ops, together);
        }
    }

    /// Written, or not: what failed is planned for with the rest of its address, which is urged with every change.
    pub(super) fn outs_written(&mut self, results: Vec<Result<(), LbError>>, events: &mut VecDeque<Event>) {
        let Asked::Write(ops, _) = std::mem::take(&mut self.outs.asked) else { return };
        let mut done = Vec::new();
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
                Ok(()) => {
                    self.written(&op);
                    done.push(op);
                }
                Err(e) => {
                    self.refused(&op, &e, events);
                }
            }
        }
        told(&done, events);
    }
}
