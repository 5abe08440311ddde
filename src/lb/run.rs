//! A plan while it is carried out, one step at a time, against an `lb` that may refuse.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use super::ledger::Ledger;
use super::reconcile::{Live, Member, Plan, Step, StepKind, advance};
use super::types::{LbError, Op, VipKey};

/// A plan under way. It holds back what earlier failures have made harmful:
///
/// * after a failed attempt to add weight, the op that would take a VIP's last weight away ([`Run::let_go`]: unless that is
///   of no use);
/// * after a failed attempt to make or delete a VIP, all its further ops;
/// * after a failed attempt to add weight, the flush of a VIP that still has none: it would come too early;
/// * after a failed exchange of servers, the flush of the VIP that was to follow, and after a failed flush the deletion of
///   servers that relies on it.
///
/// What is held back comes again with the next plan, made from a fresh dump.
#[derive(Clone, Debug, Default)]
pub struct Run {
    steps: VecDeque<Step>,
    live: Live,
    failed: BTreeMap<VipKey, Failed>,
    failures: Vec<(Op, LbError)>,
    done: u64,
    let_go: BTreeSet<(VipKey, IpAddr)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Failed {
    add: bool,
    vip: bool,
    exchange: bool,
    flush: bool,
}

impl Run {
    /// Begins `plan`, which was made for `members`.
    pub fn start(plan: Plan, members: &[Member<'_>], ledger: &mut Ledger) -> Run {
        ledger.begin(&plan);
        let live = members.iter().filter_map(|m| Some((m.vip, m.actual?.clone()))).collect();
        Run { steps: plan.steps.into(), live, ..Run::default() }
    }

    /// These servers may lose the last weight of their VIP though others could not be added.
    pub fn let_go(&mut self, servers: BTreeSet<(VipKey, IpAddr)>) {
        self.let_go = servers;
    }

    /// The next step, less what is held back; none when the plan is at its end. Answer it with [`Run::answered`].
    pub fn next_step(&mut self) -> Option<Step> {
        while let Some(mut step) = self.steps.pop_front() {
            // One that makes VIPs is decided upon as a whole: what it needs it does itself.
            if !step.ops.iter().any(|op| matches!(op, Op::AddVip { .. } | Op::DelVip { .. })) {
                self.hold_back(&mut step);
            } else if let [op] = step.ops.as_slice()
                && !self.allows(op)
            {
                continue;
            }
            step.ops.retain(|op| !op.vip().is_some_and(|vip| self.failed(&vip).vip));
            if !step.ops.is_empty() {
                return Some(step);
            }
        }
        None
    }

    /// Whether a flush of a whole VIP is next, which belongs to what was done before.
    pub fn flushes_next(&self) -> bool {
        self.steps.front().is_some_and(|step| step.kind == StepKind::Flush)
    }

    /// Takes from a step what may not be sent after the ops before it.
    fn hold_back(&self, step: &mut Step) {
        step.former.retain(|(address, _)| {
            !step.ops.iter().any(|op| op.vip().is_some_and(|vip| self.let_go.contains(&(vip, *address))))
        });
        let mut live = Live::new();
        for vip in step.ops.iter().filter_map(Op::vip) {
            if self.failed.contains_key(&vip)
                && !live.contains_key(&vip)
                && let Some(actual) = self.live.get(&vip)
            {
                live.insert(vip, actual.clone());
            }
        }
        step.ops.retain(|op| {
            let allowed = self.allows_in(&live, op);
            if allowed {
                advance(&mut live, op);
            }
            allowed
        });
    }

    /// Whether `op` may be sent, alone and now.
    pub fn allows(&self, op: &Op) -> bool {
        self.allows_in(&self.live, op)
    }

    fn allows_in(&self, live: &Live, op: &Op) -> bool {
        let Some(vip) = op.vip() else { return true };
        let failed = self.failed(&vip);
        if failed.vip {
            return false;
        }
        if failed.exchange && matches!(op, Op::FlushVip { .. } | Op::DelServer { flush: false, .. })
            || failed.flush && matches!(op, Op::DelServer { flush: false, .. })
        {
            return false;
        }
        let Some(actual) = live.get(&vip) else { return true };
        let (address, weight) = match *op {
            Op::SetWeight { address, weight, .. } => (address, weight),
            Op::DelServer { address, .. } => (address, 0),
            Op::FlushVip { .. } => return actual.weights() > 0 || !failed.add,
            Op::SetSettings(_) | Op::AddVip { .. } | Op::DelVip { .. } | Op::AddServer { .. } => return true,
        };
        let now = u32::from(actual.servers.get(&address).copied().unwrap_or(0));
        let last = weight == 0 && now > 0 && actual.weights() == now;
        !(failed.add && last) || self.let_go.contains(&(vip, address))
    }

    /// Notes `lb`'s answers to the step's ops, one each, here and in the ledger.
    pub fn answered(&mut self, step: &Step, answers: &[Result<(), LbError>], ledger: &mut Ledger) {
        for (i, op) in step.ops.iter().enumerate() {
            let answer = answers.get(i).cloned().unwrap_or(Err(LbError::NoAnswer("fewer answers than ops")));
            ledger.answered(op, &answer);
            match answer {
                Ok(()) => {
                    self.done += 1;
                    advance(&mut self.live, op);
                }
                Err(error) => {
                    self.fail(op);
                    if let (StepKind::Exchange, Some(vip)) = (step.kind, op.vip()) {
                        self.failed.entry(vip).or_default().exchange = true;
                    }
                    // A lost answer: for the guard, what takes weight away counts as done, what adds it does not.
                    if matches!(error, LbError::NoAnswer(_)) && self.takes(op) {
                        advance(&mut self.live, op);
                    }
                    // What was held back is as it was.
                    if error != LbError::Held {
                        self.failures.push((*op, error));
                    }
                }
            }
        }
    }

    fn takes(&self, op: &Op) -> bool {
        match *op {
            Op::SetWeight { vip, address, weight, .. } => {
                self.live.get(&vip).and_then(|a| a.servers.get(&address)).is_some_and(|&now| weight < now)
            }
            Op::DelServer { .. } => true,
            Op::SetSettings(_)
            | Op::AddVip { .. }
            | Op::DelVip { .. }
            | Op::AddServer { .. }
            | Op::FlushVip { .. } => false,
        }
    }

    fn failed(&self, vip: &VipKey) -> Failed {
        self.failed.get(vip).copied().unwrap_or_default()
    }

    fn fail(&mut self, op: &Op) {
        let Some(vip) = op.vip() else { return };
        let failed = self.failed.entry(vip).or_default();
        match *op {
            Op::AddVip { .. } | Op::DelVip { .. } => failed.vip = true,
            Op::AddServer { weight, .. } => failed.add |= weight > 0,
            Op::SetWeight { address, weight, .. } => {
                let now = self.live.get(&vip).and_then(|a| a.servers.get(&address)).copied().unwrap_or(0);
                failed.add |= weight > now;
            }
            Op::FlushVip { .. } => failed.flush = true,
            Op::SetSettings(_) | Op::DelServer { .. } => {}
        }
    }

    /// Ops that `lb` has done.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// What `lb` refused so far.
    pub fn failures(&self) -> &[(Op, LbError)] {
        &self.failures
    }
}
