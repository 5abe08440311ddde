//! How long `lb`'s calls hold the worker barrier, from measurements of VPP 26.10.

use std::time::Duration;

use super::{Live, advance};
use crate::lb::types::Op;

/// The longest that the barrier is held for a step of several ops, unless [`Costs`] say otherwise.
pub const BARRIER_LIMIT: Duration = Duration::from_millis(5);

/// What the cost of a call depends on, and how much is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Costs {
    /// `lb`'s sticky buckets per core.
    pub sticky_buckets: u32,
    /// Threads that forward, main included where it does: each has a flow table of its own.
    pub threads: u32,
    /// A step of several ops may take so long; default [`BARRIER_LIMIT`].
    pub limit: Duration,
    /// Bytes of memory that are left for VIPs to be made; all there can be where no bound is known.
    pub room: u64,
}

impl Default for Costs {
    fn default() -> Self {
        Costs { sticky_buckets: 65_536, threads: 1, limit: BARRIER_LIMIT, room: u64::MAX }
    }
}

impl Costs {
    /// A walk over every thread's flow table: 20 ns a bucket.
    pub fn flush(&self) -> Duration {
        Duration::from_nanos(20).saturating_mul(self.sticky_buckets).saturating_mul(self.threads.max(1))
    }

    /// A rebuild of a new-flow table: 5 µs, 87 ns a unit of weight, 17 ns an entry; a tenth of that an entry where no
    /// server has weight.
    pub fn rebuild(&self, weights: u32, table_length: u32) -> Duration {
        let entries = u64::from(table_length).saturating_mul(17);
        let entries = if weights == 0 { entries / 10 } else { entries };
        Duration::from_nanos(5_000 + u64::from(weights).saturating_mul(87) + entries)
    }

    /// All of `ops`, done in order to VIPs that are as `live` says; leaves `live` as it is after them.
    pub(super) fn of(&self, ops: &[Op], live: &mut Live) -> Duration {
        ops.iter().map(|op| self.one(op, live)).fold(Duration::ZERO, Duration::saturating_add)
    }

    fn one(&self, op: &Op, live: &mut Live) -> Duration {
        let flush = match op {
            Op::AddServer { flush, .. } | Op::DelServer { flush, .. } | Op::SetWeight { flush, .. } => *flush,
            Op::FlushVip { .. } => return self.flush(),
            Op::SetSettings(_) | Op::AddVip { .. } | Op::DelVip { .. } => false,
        };
        let Some(vip) = op.vip() else { return Duration::ZERO };
        let before = live.get(&vip).map_or(0, |a| a.table_length);
        advance(live, op);
        let (weights, length) =
            live.get(&vip).map_or((0, before), |actual| (actual.weights(), actual.table_length));
        self.rebuild(weights, length) + if flush { self.flush() } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rebuild_costs_what_was_measured() {
        let costs = Costs::default();
        // 100 servers of weight 100 and 65,536 entries: 2 ms; 400 servers: 4.6 ms.
        let measured = [(10_000, 1_900..2_100), (40_000, 4_500..4_700)];
        for (weights, range) in measured {
            let us = costs.rebuild(weights, 65_536).as_micros();
            assert!(range.contains(&us), "{weights}: {us}");
        }
        assert_eq!(costs.rebuild(0, 65_536).as_micros(), 116);
    }

    #[test]
    fn a_flush_costs_by_buckets_and_threads() {
        let few = |threads| Costs { sticky_buckets: 1024, threads, ..Costs::default() };
        assert_eq!(Costs::default().flush().as_micros(), 1_310);
        assert_eq!(few(4).flush().as_micros(), 81);
        assert_eq!(few(0).flush().as_micros(), 20);
    }
}
