//! Ops on servers of one VIP, cut into steps: put together where that takes less time, and no barrier too long.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::estimate::{Sums, flushes};
use super::{Actual, Costs};
use crate::lb::types::Op;

/// The ops of a step, and whether they are put together.
pub(super) type Cut = (Vec<Op>, bool);

/// Those of one command come together; what adds most comes first.
type Kind = (Reverse<u8>, bool, bool);

fn kind(op: &Op) -> Kind {
    match *op {
        Op::AddServer { weight, flush, .. } | Op::SetWeight { weight, flush, .. } => {
            (Reverse(weight), flush, false)
        }
        Op::DelServer { flush, .. } => (Reverse(0), flush, true),
        Op::SetSettings(_) | Op::AddVip { .. } | Op::DelVip { .. } | Op::FlushVip { .. } => {
            (Reverse(0), false, true)
        }
    }
}

/// Steps that do `ops`, all of one VIP that is as `actual` says; leaves that as it is after them. `together`: they may be put
/// together.
pub(super) fn cut(costs: &Costs, ops: Vec<Op>, together: bool, actual: &mut Actual) -> Vec<Cut> {
    if !together || !costs.bulk || ops.len() < 2 {
        ops.iter().for_each(|op| actual.advance(op));
        return ops.into_iter().map(|op| (vec![op], false)).collect();
    }
    let mut groups: BTreeMap<Kind, Vec<Op>> = BTreeMap::new();
    for op in ops {
        groups.entry(kind(&op)).or_default().push(op);
    }
    let mut out = Vec::new();
    let (mut step, mut sums) = (Vec::new(), Sums::default());
    for mut group in groups.into_values() {
        let alone = Sums::of(&group, actual);
        let both = sums.clone().and(&alone);
        let fits = |sums: &Sums, actual: &Actual| {
            costs.sums(sums, actual.weights(), actual.table_length) <= costs.limit
        };
        if fits(&both, actual) {
            step.append(&mut group);
            sums = both;
            continue;
        }
        close(costs, std::mem::take(&mut step), actual, &mut out);
        sums = Sums::default();
        if fits(&alone, actual) {
            (step, sums) = (group, alone);
            continue;
        }
        while !group.is_empty() {
            // As many as fit, if it is their flows that take so long; otherwise each part would take about as long as all.
            let (mut these, weights) = (Sums::default(), actual.weights());
            let fits = |op: &&Op| {
                these.add(op, actual);
                costs.sums(&these, weights, actual.table_length) <= costs.limit
            };
            let n = if group.iter().any(flushes) {
                group.iter().take_while(fits).count().max(1)
            } else {
                group.len()
            };
            let rest = group.split_off(n.min(group.len()));
            close(costs, std::mem::replace(&mut group, rest), actual, &mut out);
        }
    }
    close(costs, step, actual, &mut out);
    out
}

/// Puts `ops` together, or does not.
fn close(costs: &Costs, ops: Vec<Op>, actual: &mut Actual, out: &mut Vec<Cut>) {
    let together = costs.worth(&ops, actual).is_some();
    ops.iter().for_each(|op| actual.advance(op));
    if together {
        out.push((ops, true));
    } else {
        out.extend(ops.into_iter().map(|op| (vec![op], false)));
    }
}
