//! The planner itself: what has to happen to each VIP, and in which steps.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::group::cut;
use super::nat::admit;
use super::room::make_room;
use super::{Actual, Costs, Live, Member, Note, Plan, Step, StepKind, Wanted, WantedServer};
use crate::lb::ledger::Ledger;
use crate::lb::types::{Encap, Op, VipKey};

/// What has to happen to a VIP.
pub(super) enum Task<'a> {
    Nothing,
    Foreign(&'static str),
    Leave(&'a Actual),
    Create(&'a Wanted),
    Recreate(&'a Wanted, &'a Actual, String),
    Update(&'a Wanted, &'a Actual),
}

fn task<'a>(m: &Member<'a>, ledger: &Ledger) -> Task<'a> {
    let ours = ledger.ours(&m.vip);
    match (m.wanted, m.actual) {
        (None, None) => Task::Nothing,
        (None, Some(actual)) => {
            if ours {
                Task::Leave(actual)
            } else {
                Task::Nothing
            }
        }
        (Some(wanted), None) => Task::Create(wanted),
        (Some(_), Some(_)) if !ours && !m.adopt => Task::Foreign("made by somebody else"),
        (Some(_), Some(Actual { encap: None, .. })) => {
            Task::Foreign("made by somebody else, of a kind that is not known")
        }
        (Some(_), Some(Actual { encap: Some(encap), .. })) if !ours && encap.is_nat() => {
            // VPP aborts when a NAT server is deleted and its port is used again.
            Task::Foreign("made by somebody else, with NAT, which cannot be deleted safely")
        }
        (Some(wanted), Some(actual)) => {
            let reasons = differs(&m.vip, wanted, actual, ledger);
            if reasons.is_empty() {
                Task::Update(wanted, actual)
            } else {
                Task::Recreate(wanted, actual, reasons.join(", "))
            }
        }
    }
}

/// Why a VIP that is there cannot be made what is wanted without making it anew; empty: it can.
pub(super) fn differs(vip: &VipKey, wanted: &Wanted, actual: &Actual, ledger: &Ledger) -> Vec<String> {
    let mut reasons = Vec::new();
    if !ledger.ours(vip) {
        reasons.push("found at first programming".to_owned());
    }
    if let Some(encap) = actual.encap.filter(|e| *e != wanted.encap) {
        reasons.push(format!("encap {encap} instead of {}", wanted.encap));
    }
    if let Some(sticky) = ledger.src_ip_sticky(vip).filter(|s| *s != wanted.src_ip_sticky) {
        reasons.push(format!("src-ip-sticky {sticky} instead of {}", wanted.src_ip_sticky));
    }
    if actual.table_length != wanted.table_length {
        let (have, want) = (actual.table_length, wanted.table_length);
        reasons.push(format!("new-flow-table-length {have} instead of {want}"));
    }
    reasons
}

/// Plans for any number of VIPs; those of one address should be planned for together, since `lb` refuses two encaps on
/// one address, and an all-port VIP beside per-port ones: where what comes clashes with what goes, all that goes is
/// deleted before anything is made. The VIPs of an address are planned for in the order of [`VipKey`].
pub fn plan(members: &[Member<'_>], ledger: &Ledger, costs: &Costs) -> Plan {
    let mut members = members.to_vec();
    members.sort_by_key(|m| m.vip);
    let mut admitted = admit(&members, ledger);
    make_room(&members, &mut admitted, ledger, costs.room);
    let notes = admitted.iter().filter_map(|a| a.note.clone()).collect();
    for (member, a) in members.iter_mut().zip(&admitted) {
        member.wanted = a.wanted.as_deref();
    }
    let plan = Plan { notes, ..Plan::default() };
    let mut planner = Planner { plan, parts: Default::default(), ledger, costs };
    for group in members.chunk_by(|a, b| a.vip.address == b.vip.address) {
        planner.plan.vips.extend(group.iter().map(|m| m.vip));
        let tasks: Vec<(VipKey, Task<'_>)> = group.iter().map(|m| (m.vip, task(m, ledger))).collect();
        let clash = tasks.iter().any(|(a, going)| tasks.iter().any(|(b, coming)| clash(a, going, b, coming)));
        if clash {
            planner.together(&tasks);
        } else {
            for (vip, task) in &tasks {
                planner.alone(*vip, task);
            }
        }
        planner.end_group();
    }
    planner.plan
}

/// Whether `lb` refuses to make what comes while what goes is there, on one address.
fn clash(a: &VipKey, going: &Task<'_>, b: &VipKey, coming: &Task<'_>) -> bool {
    let (Task::Leave(old) | Task::Recreate(_, old, _)) = going else { return false };
    let (Task::Create(new) | Task::Recreate(new, _, _)) = coming else { return false };
    let same_type = old.encap.is_some_and(|e| e.same_type(new.encap));
    a != b && (a.service.is_none() || b.service.is_none() || !same_type)
}

/// Parts of the plan for one address, in order.
#[derive(Clone, Copy)]
pub(super) enum Part {
    /// Servers that are to get no more packets, where others serve.
    Outs,
    /// VIPs that nobody else serves.
    Serve,
    /// What else adds weight.
    Adds,
    /// What takes it away, and flushes.
    Takes,
}

pub(super) struct Planner<'a> {
    plan: Plan,
    pub(super) parts: [Vec<Step>; 4],
    pub(super) ledger: &'a Ledger,
    pub(super) costs: &'a Costs,
}

impl Planner<'_> {
    /// All of a group is known: its parts, one after the other.
    fn end_group(&mut self) {
        let [outs, serve, adds, takes] = std::mem::take(&mut self.parts);
        let mut steps: Vec<Step> = outs.into_iter().chain(serve).chain(adds).chain(takes).collect();
        let outs: Vec<usize> =
            steps.iter().enumerate().filter(|(_, s)| s.kind == StepKind::Out).map(|(i, _)| i).collect();
        if let [only] = outs.as_slice() {
            // Their flows need not wait for others.
            let places = steps.get(*only).and_then(out_of);
            let is_flush = |s: &Step| s.kind == StepKind::Take && places.is_some() && out_of(s) == places;
            if let Some(flush) = steps.iter().position(is_flush) {
                let step = steps.remove(flush);
                if let Some(out) = steps.get_mut(*only) {
                    *out = step;
                }
            }
        }
        self.plan.steps.append(&mut steps);
    }

    pub(super) fn step(&mut self, part: Part, kind: StepKind, ops: Vec<Op>, bulk: bool) {
        if let (false, Some(steps)) = (ops.is_empty(), self.parts.get_mut(part as usize)) {
            steps.push(Step { ops, kind, bulk, former: Vec::new() });
        }
    }

    /// Ops on the servers of a VIP that is as `actual` says, and is left as it is after them.
    pub(super) fn cut(&mut self, part: Part, kind: StepKind, ops: Vec<Op>, actual: &mut Actual) {
        let together = !actual.encap.is_some_and(Encap::is_nat);
        for (ops, bulk) in cut(self.costs, ops, together, actual) {
            self.step(part, kind, ops, bulk);
        }
    }

    pub(super) fn alone(&mut self, vip: VipKey, task: &Task<'_>) {
        match task {
            Task::Nothing => {}
            Task::Foreign(why) => self.note(Note::Foreign { vip, reason: (*why).to_owned() }),
            // The two are not cut: a flow that begins between them would be remembered for a VIP that is gone.
            Task::Leave(_) => self.step(Part::Takes, StepKind::Leave, leave(vip), false),
            Task::Create(wanted) => {
                let adds = create(vip, wanted, None);
                let head = vec![add_vip(vip, wanted)];
                self.fill(Part::Serve, vip, StepKind::Create, head, adds, Live::new(), Flush::IfSlow);
            }
            Task::Recreate(wanted, actual, reason) => {
                self.note(Note::Recreate { vip, reason: reason.clone() });
                self.out_before(vip, wanted, actual);
                let head = vec![Op::FlushVip { vip }, Op::DelVip { vip }, add_vip(vip, wanted)];
                let live = Live::from([(vip, (*actual).clone())]);
                let adds = create(vip, wanted, Some(actual));
                let part = if actual.weights() > 0 { Part::Adds } else { Part::Serve };
                self.fill(part, vip, StepKind::Recreate, head, adds, live, Flush::IfSlow);
            }
            Task::Update(wanted, actual) => self.update(vip, wanted, actual),
        }
    }

    fn update(&mut self, vip: VipKey, wanted: &Wanted, actual: &Actual) {
        let Changes { adds, mut takes, holds_flows, weights } = changes(vip, wanted, actual, self.ledger);
        let empty = actual.weights() == 0 && weights > 0;
        let flush = (empty || self.ledger.owes_flush(&vip)) && weights > 0 && !holds_flows;
        if flush {
            takes.retain_mut(|op| !flushed_with_all(op, wanted, actual));
        }
        let mut now = actual.clone();
        if empty {
            let live = Live::from([(vip, actual.clone())]);
            adds.iter().for_each(|op| now.advance(op));
            let flush = if flush { Flush::Always } else { Flush::Never };
            self.fill(Part::Serve, vip, StepKind::Fill, Vec::new(), adds, live, flush);
        } else if flush
            || !self.all_flows_go(vip, wanted, actual, &adds, &takes)
            || !self.exchange(vip, &adds, &takes, actual)
        {
            let alone = weights > 0 && !serves_on(wanted, actual);
            let (outs, rest) = if weights > 0 { outs(takes, wanted, actual) } else { (Vec::new(), takes) };
            takes = rest;
            if !alone || !self.swap(&adds, &outs, &mut now) {
                let adds = if alone { self.first_in(adds, &mut now) } else { adds };
                self.cut(if alone { Part::Serve } else { Part::Outs }, StepKind::Out, outs, &mut now);
                self.cut(Part::Adds, StepKind::Add, adds, &mut now);
            }
            if flush {
                self.flush_after(Part::Adds, vip);
            }
        } else {
            return;
        }
        self.cut(Part::Takes, StepKind::Take, takes, &mut now);
    }

    /// `head` and `adds` under one barrier, if it may be held so long; the flush can stand apart.
    #[expect(clippy::too_many_arguments, reason = "one call for what is made, filled and recreated")]
    pub(super) fn fill(
        &mut self,
        part: Part,
        vip: VipKey,
        kind: StepKind,
        head: Vec<Op>,
        adds: Vec<Op>,
        live: Live,
        flush: Flush,
    ) {
        let made = head.iter().find_map(|op| match op {
            Op::AddVip { encap, table_length, .. } => {
                Some(Actual { encap: Some(*encap), table_length: *table_length, servers: BTreeMap::new() })
            }
            _ => None,
        });
        let Some(mut now) = made.or_else(|| live.get(&vip).cloned()) else { return };
        let bulk = self.costs.bulk && !now.encap.is_some_and(Encap::is_nat);
        let mut all: Vec<Op> = head.iter().chain(&adds).copied().collect();
        if flush == Flush::Always {
            all.push(Op::FlushVip { vip });
        }
        let estimate = self.costs.of(&all, bulk, &mut live.clone());
        if estimate <= self.costs.limit {
            if flush == Flush::Always {
                self.plan.flush_after.insert(vip);
            }
            self.step(part, kind, all, bulk);
            return;
        }
        let (flushes, rest): (Vec<Op>, Vec<Op>) =
            head.iter().copied().partition(|op| matches!(op, Op::FlushVip { .. }));
        let core: Vec<Op> = rest.iter().chain(&adds).copied().collect();
        self.step(part, StepKind::Flush, flushes, false);
        if self.costs.of(&core, bulk, &mut live.clone()) <= self.costs.limit {
            self.step(part, kind, core, bulk);
            if flush == Flush::Always {
                self.flush_after(part, vip);
            }
            return;
        }
        // What serves comes first, and with the VIP itself: that is never there without a server.
        let several = adds.iter().filter(|op| weighs(op)).count() > 1;
        let (weighty, others): (Vec<Op>, Vec<Op>) = adds.into_iter().partition(weighs);
        let adds = weighty.into_iter().chain(others).collect();
        let mut steps = cut(self.costs, adds, bulk, &mut now).into_iter();
        let (mut first, together) =
            if rest.is_empty() { Default::default() } else { steps.next().unwrap_or_default() };
        first.splice(..0, rest);
        self.step(part, kind, first, together);
        for (ops, together) in steps {
            self.step(part, StepKind::Add, ops, together);
        }
        if flush == Flush::Always || (several && flush == Flush::IfSlow) {
            self.flush_after(part, vip);
        }
        self.note(Note::InSteps { vip, estimate });
    }

    pub(super) fn flush_after(&mut self, part: Part, vip: VipKey) {
        self.plan.flush_after.insert(vip);
        self.step(part, StepKind::Flush, vec![Op::FlushVip { vip }], false);
    }

    pub(super) fn note(&mut self, note: Note) {
        self.plan.notes.push(note);
    }
}

/// Whether an op gives a server weight.
pub(super) fn weighs(op: &Op) -> bool {
    matches!(op, Op::AddServer { weight: 1.., .. } | Op::SetWeight { weight: 1.., .. })
}

/// Which servers lose their weight in a step, and whether nothing else happens in it; none: something else does.
fn out_of(step: &Step) -> Option<BTreeSet<(VipKey, IpAddr)>> {
    let place = |op: &Op| match *op {
        Op::SetWeight { vip, address, weight: 0, .. } => Some((vip, address)),
        _ => None,
    };
    step.ops.iter().map(place).collect()
}

/// Whether a server that has weight keeps some, so that what goes need not wait for what comes.
pub(super) fn serves_on(wanted: &Wanted, actual: &Actual) -> bool {
    actual.servers.iter().any(|(address, now)| {
        *now > 0 && wanted.servers.get(address).is_some_and(|server| server.keep || server.weight > 0)
    })
}

/// Of what takes something away: the weight of servers that are to get no more packets; and what is left, in which their flows
/// are.
fn outs(takes: Vec<Op>, wanted: &Wanted, actual: &Actual) -> (Vec<Op>, Vec<Op>) {
    let goes = |a: &IpAddr| wanted.servers.contains_key(a) && actual.servers.get(a).is_some_and(|w| *w > 0);
    let (mut outs, mut rest) = (Vec::new(), Vec::new());
    for op in takes {
        match op {
            Op::SetWeight { vip, address, weight: 0, flush } if goes(&address) => {
                outs.push(Op::SetWeight { vip, address, weight: 0, flush: false });
                if flush {
                    rest.push(op);
                }
            }
            _ => rest.push(op),
        }
    }
    (outs, rest)
}

/// Whether a VIP is flushed once it is filled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Flush {
    /// It was there before, without weight: `lb` remembers flows as having no server.
    Always,
    /// It is new: only when it is filled in steps, since the first servers then get the flows of all.
    IfSlow,
    /// A server at weight 0 holds flows that are to be kept.
    Never,
}

/// Whether nothing is left to be done for a server at weight 0 once the whole VIP was flushed. One that is not there is added
/// without a flush then.
fn flushed_with_all(op: &mut Op, wanted: &Wanted, actual: &Actual) -> bool {
    let (Op::SetWeight { address, weight: 0, flush, .. } | Op::AddServer { address, weight: 0, flush, .. }) =
        op
    else {
        return false;
    };
    let had_weight = actual.servers.get(address).is_some_and(|w| *w > 0);
    // What the operator has asked for is done to the letter.
    let asked_for = wanted.servers.get(address).is_some_and(|s| s.flush_once);
    if had_weight || asked_for {
        return false;
    }
    *flush = false;
    matches!(op, Op::SetWeight { .. })
}

pub(super) fn add_vip(vip: VipKey, w: &Wanted) -> Op {
    Op::AddVip { vip, encap: w.encap, table_length: w.table_length, src_ip_sticky: w.src_ip_sticky }
}

/// The servers of a new VIP. It has no flows, whatever they were before, so that no flush is needed.
pub(super) fn create(vip: VipKey, wanted: &Wanted, before: Option<&Actual>) -> Vec<Op> {
    let add = |(&address, server): (&IpAddr, &WantedServer)| {
        // With another encapsulation one that is to leave may be of the wrong family: then it leaves now.
        let fits = wanted.encap.takes(address);
        let kept = before.and_then(|actual| actual.servers.get(&address).copied());
        let weight = if server.keep { kept.filter(|_| fits)? } else { server.weight };
        Some(Op::AddServer { vip, address, weight, flush: false })
    };
    wanted.servers.iter().filter_map(add).collect()
}

/// A VIP that goes, with all flows; its servers go with it.
pub(super) fn leave(vip: VipKey) -> Vec<Op> {
    vec![Op::FlushVip { vip }, Op::DelVip { vip }]
}

/// What a VIP that stays needs.
struct Changes {
    adds: Vec<Op>,
    takes: Vec<Op>,
    /// A server that ends at weight 0 has flows that are to be kept.
    holds_flows: bool,
    /// The sum of weights at the end.
    weights: u32,
}

fn changes(vip: VipKey, wanted: &Wanted, actual: &Actual, ledger: &Ledger) -> Changes {
    let mut c = Changes { adds: Vec::new(), takes: Vec::new(), holds_flows: false, weights: 0 };
    let mut takes = BTreeMap::new();
    for (&address, server) in &wanted.servers {
        let now = actual.servers.get(&address).copied();
        // One that is there and was never heard of may hold flows. One that is not there may too, when it was deleted
        // behind our back: `lb` finds it again by its address. But one never heard of cannot, since the VIP is ours.
        let known = ledger.dirty(&vip, address);
        let dirty = now.map_or(known == Some(true), |w| w > 0 || known != Some(false));
        if server.keep {
            c.weights += u32::from(now.unwrap_or(0));
            c.holds_flows |= now == Some(0) && dirty;
            continue;
        }
        let weight = server.weight;
        let flush = server.flush_once || (weight == 0 && server.flush && dirty);
        c.weights += u32::from(weight);
        c.holds_flows |= weight == 0 && dirty && !flush;
        match now {
            None if flush && weight == 0 => {
                takes.insert(address, Op::AddServer { vip, address, weight, flush });
            }
            None => c.adds.push(Op::AddServer { vip, address, weight, flush }),
            Some(now) if weight > now => c.adds.push(Op::SetWeight { vip, address, weight, flush }),
            Some(now) if weight < now || flush => {
                takes.insert(address, Op::SetWeight { vip, address, weight, flush });
            }
            Some(_) => {}
        }
    }
    for &address in actual.servers.keys().filter(|a| !wanted.servers.contains_key(a)) {
        if !actual.encap.is_some_and(Encap::is_nat) {
            takes.insert(address, Op::DelServer { vip, address, flush: true });
            continue;
        }
        // Parked instead.
        let has_weight = actual.servers.get(&address).is_some_and(|w| *w > 0);
        if has_weight || ledger.dirty(&vip, address) != Some(false) {
            takes.insert(address, Op::SetWeight { vip, address, weight: 0, flush: true });
        }
    }
    c.takes = takes.into_values().collect();
    c
}
