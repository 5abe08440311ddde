//! VIPs of one address that `lb` cannot have at once: what goes, and what comes in its place.

use std::collections::BTreeMap;

use super::group::{Cut, cut};
use super::planner::{Flush, Part, Planner, Task, add_vip, create, leave, weighs};
use super::{Actual, Live, Note, StepKind, Wanted};
use crate::lb::types::{Encap, Op, VipKey};

/// VIPs that clash are exchanged under one barrier of so many times the limit: all packets to their address are lost meanwhile otherwise.
const AT_ONCE: u32 = 4;

impl Planner<'_> {
    /// VIPs of one address that clash: what stays, then all that goes, then all that comes.
    pub(super) fn together(&mut self, tasks: &[(VipKey, Task<'_>)]) {
        let (mut going, mut live, mut coming) = (Vec::new(), Live::new(), Vec::new());
        for (vip, task) in tasks {
            let vip = *vip;
            match task {
                Task::Nothing | Task::Foreign(_) | Task::Update(..) => self.alone(vip, task),
                Task::Leave(actual) => {
                    live.insert(vip, (*actual).clone());
                    going.push((StepKind::Leave, vip));
                }
                Task::Create(wanted) => coming.push((vip, *wanted, create(vip, wanted, None))),
                Task::Recreate(wanted, actual, reason) => {
                    self.note(Note::Recreate { vip, reason: reason.clone() });
                    self.out_before(vip, wanted, actual);
                    live.insert(vip, (*actual).clone());
                    going.push((StepKind::Recreate, vip));
                    coming.push((vip, *wanted, create(vip, wanted, Some(actual))));
                }
            }
        }
        let nat = coming.iter().any(|(_, wanted, _)| wanted.encap.is_nat())
            || live.values().any(|actual| actual.encap.is_some_and(Encap::is_nat));
        let bulk = self.costs.bulk && !nat;
        let made = coming.iter().flat_map(|(vip, wanted, adds)| {
            std::iter::once(add_vip(*vip, wanted)).chain(adds.iter().copied())
        });
        let all: Vec<Op> = going.iter().flat_map(|(_, vip)| leave(*vip)).chain(made).collect();
        let estimate = self.costs.of(&all, bulk, &mut live.clone());
        if estimate <= self.costs.limit {
            self.step(Part::Serve, StepKind::Recreate, all, bulk);
            return;
        }
        // Flows go first; then one barrier takes what goes, and brings what comes with as many servers as time allows.
        for (_, vip) in &going {
            self.step(Part::Serve, StepKind::Flush, vec![Op::FlushVip { vip: *vip }], false);
        }
        let gone = going.iter().map(|(_, vip)| Op::DelVip { vip: *vip });
        for most in [usize::MAX, 1] {
            let (mut core, mut rest) = (gone.clone().collect::<Vec<_>>(), Vec::new());
            for (vip, wanted, adds) in &coming {
                core.push(add_vip(*vip, wanted));
                let (first, others) = self.first_of(wanted, adds, bulk, most);
                core.extend(first);
                rest.push((*vip, others));
            }
            if self.costs.of(&core, bulk, &mut live.clone()) <= self.costs.limit * AT_ONCE {
                self.step(Part::Serve, StepKind::Recreate, core, bulk);
                for (vip, (others, several)) in rest {
                    for (ops, together) in others {
                        self.step(Part::Serve, StepKind::Add, ops, together);
                    }
                    if several {
                        self.flush_after(Part::Serve, vip);
                    }
                    self.note(Note::InSteps { vip, estimate });
                }
                return;
            }
        }
        for (kind, vip) in going {
            self.step(Part::Serve, kind, vec![Op::DelVip { vip }], false);
        }
        for (vip, wanted, adds) in coming {
            let head = vec![add_vip(vip, wanted)];
            self.fill(Part::Serve, vip, StepKind::Create, head, adds, Live::new(), Flush::IfSlow);
        }
    }

    /// Of the servers of a VIP that is made: those, `most` of them, that are to be there with the VIP itself; and steps for the others, and
    /// whether some of these have weight.
    fn first_of(&self, wanted: &Wanted, adds: &[Op], bulk: bool, most: usize) -> (Vec<Op>, (Vec<Cut>, bool)) {
        let (encap, servers) = (Some(wanted.encap), BTreeMap::new());
        let mut now = Actual { encap, table_length: wanted.table_length, servers };
        let (mut first, mut others): (Vec<Op>, Vec<Op>) = adds.iter().copied().partition(weighs);
        if first.len() > 1 {
            let mut steps = cut(self.costs, first, bulk, &mut now.clone()).into_iter().map(|(ops, _)| ops);
            first = steps.next().unwrap_or_default();
            let cut_off = first.split_off(most.min(first.len()));
            others = cut_off.into_iter().chain(steps.flatten()).chain(others).collect();
        }
        first.iter().for_each(|op| now.advance(op));
        let several = others.iter().any(weighs);
        (first, (cut(self.costs, others, bulk, &mut now), several))
    }
}
