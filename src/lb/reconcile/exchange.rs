//! Servers of a VIP that give way to others, so that the VIP is never without one.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::group::cut;
use super::planner::{Part, Planner, serves_on, weighs};
use super::{Actual, Live, Step, StepKind, Wanted};
use crate::lb::bulk::server;
use crate::lb::types::{Encap, Op, VipKey};

impl Planner<'_> {
    /// Servers that are to get no more packets do not wait until their VIP is recreated.
    pub(super) fn out_before(&mut self, vip: VipKey, wanted: &Wanted, actual: &Actual) {
        let goes = |a: &IpAddr| wanted.servers.get(a).is_some_and(|s| s.weight == 0 && !s.keep);
        let going = actual.servers.iter().filter(|(a, now)| **now > 0 && goes(a));
        let out = |(&address, _)| Op::SetWeight { vip, address, weight: 0, flush: false };
        if self.ledger.ours(&vip) && serves_on(wanted, actual) {
            let ops = going.map(out).collect();
            self.cut(Part::Outs, StepKind::Out, ops, &mut actual.clone());
        }
    }

    /// All that serve a VIP in exchange for others, in one step. False, and nothing is planned: that is not worth while.
    pub(super) fn swap(&mut self, adds: &[Op], outs: &[Op], actual: &mut Actual) -> bool {
        let ops: Vec<Op> = adds.iter().chain(outs).copied().collect();
        let together = !outs.is_empty() && !actual.encap.is_some_and(Encap::is_nat);
        if !together || self.costs.worth(&ops, actual).is_none() {
            return false;
        }
        self.in_one_step(Part::Serve, ops, actual);
        true
    }

    /// Servers that come in, and others that lose their weight to them.
    fn in_one_step(&mut self, part: Part, ops: Vec<Op>, actual: &mut Actual) {
        let goes = |op: &Op| match *op {
            Op::SetWeight { address, weight: 0, .. } => Some((address, *actual.servers.get(&address)?)),
            _ => None,
        };
        let former = ops.iter().filter_map(goes).collect();
        ops.iter().for_each(|op| actual.advance(op));
        if let (false, Some(steps)) = (ops.is_empty(), self.parts.get_mut(part as usize)) {
            steps.push(Step { ops, kind: StepKind::Exchange, bulk: true, former });
        }
    }

    /// Nobody of those that serve a VIP goes on: what has to come in before they go. Answers what need not.
    pub(super) fn first_in(&mut self, adds: Vec<Op>, actual: &mut Actual) -> Vec<Op> {
        let (weighty, others): (Vec<Op>, Vec<Op>) = adds.into_iter().partition(weighs);
        let together = !actual.encap.is_some_and(Encap::is_nat);
        let mut steps = cut(self.costs, weighty, together, &mut actual.clone()).into_iter();
        if let Some((ops, bulk)) = steps.next() {
            ops.iter().for_each(|op| actual.advance(op));
            self.step(Part::Serve, StepKind::Add, ops, bulk);
        }
        steps.flat_map(|(ops, _)| ops).chain(others).collect()
    }

    /// Whether no flow that a VIP has is to be kept, and it is several servers that have them: those that lose their last weight
    /// and are flushed, or leave. One walk over the flows then does for all of them.
    pub(super) fn all_flows_go(
        &self,
        vip: VipKey,
        wanted: &Wanted,
        actual: &Actual,
        adds: &[Op],
        takes: &[Op],
    ) -> bool {
        let mut go = BTreeSet::new();
        for op in takes {
            match *op {
                Op::SetWeight { address, weight: 0, flush: true, .. }
                    if !wanted.servers.get(&address).is_some_and(|server| server.flush_once) =>
                {
                    go.insert(address);
                }
                Op::DelServer { address, .. } => {
                    go.insert(address);
                }
                _ => return false,
            }
        }
        let dirty = |a: &IpAddr| self.ledger.dirty(&vip, *a) != Some(false);
        let asked_for =
            |op: &Op| matches!(op, Op::AddServer { flush: true, .. } | Op::SetWeight { flush: true, .. });
        go.len() > 1
            && !adds.iter().any(asked_for)
            && actual.servers.keys().all(|a| go.contains(a) || !dirty(a))
            && self.ledger.with_flows(&vip).all(|a| go.contains(&a))
    }

    /// All servers of a VIP in exchange for others, so that no flow is placed before the table is what it is to be: then who leaves
    /// may be flushed with the whole VIP, and those that come lose nothing. False, and nothing is planned: that would take too long.
    pub(super) fn exchange(&mut self, vip: VipKey, adds: &[Op], takes: &[Op], actual: &Actual) -> bool {
        if !self.costs.bulk || actual.encap.is_some_and(Encap::is_nat) {
            return false;
        }
        let weighs = |a: &IpAddr| actual.servers.get(a).is_some_and(|w| *w > 0);
        let outs = takes.iter().filter_map(server).filter(weighs);
        let outs = outs.map(|address| Op::SetWeight { vip, address, weight: 0, flush: false });
        let ops: Vec<Op> = adds.iter().copied().chain(outs).collect();
        let mut now = actual.clone();
        let takes_time = |bulk| self.costs.of(&ops, bulk, &mut Live::from([(vip, actual.clone())]));
        let (together, singly) = (takes_time(true), takes_time(false));
        if together > self.costs.limit && !self.costs.pays(together, singly) {
            return false;
        }
        self.in_one_step(if adds.is_empty() { Part::Takes } else { Part::Serve }, ops, &mut now);
        self.step(Part::Takes, StepKind::Flush, vec![Op::FlushVip { vip }], false);
        let leave = |op: &Op| match *op {
            Op::DelServer { address, .. } => Some(Op::DelServer { vip, address, flush: false }),
            _ => None,
        };
        self.cut(Part::Takes, StepKind::Take, takes.iter().filter_map(leave).collect(), &mut now);
        true
    }
}
