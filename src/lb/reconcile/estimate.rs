//! How long `lb`'s calls hold the worker barrier, from measurements of VPP 26.10.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Actual, Live, advance};
use crate::lb::bulk::{Part, parts, server};
use crate::lb::types::Op;

/// The longest that the barrier is held for a step of several ops, unless [`Costs`] say otherwise.
pub const BARRIER_LIMIT: Duration = Duration::from_millis(5);

/// What the cost of a call depends on, and how much is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Costs {
    /// `lb`'s sticky buckets per core.
    pub sticky_buckets: u32,
    /// Threads that forward: workers, or main where there are none. Each has a flow table of its own.
    pub threads: u32,
    /// A step of several ops may take so long; default [`BARRIER_LIMIT`].
    pub limit: Duration,
    /// Bytes of memory that are left for VIPs to be made; all there can be where no bound is known.
    pub room: u64,
    /// `lb`'s command for many servers does what it should.
    pub bulk: bool,
}

/// To read a server's address in a command, and to find it in the VIP: 0.2 ms for 200 of 200.
const NAMED: Duration = Duration::from_nanos(1_500);

/// Ops of one VIP are put together, however long that holds the barrier, where single writes took so many times as long.
const FAR_LESS: u32 = 4;

/// Whether an op drops the flows of a server.
pub(super) fn flushes(op: &Op) -> bool {
    matches!(
        op,
        Op::AddServer { flush: true, .. }
            | Op::SetWeight { flush: true, .. }
            | Op::DelServer { flush: true, .. }
    )
}

/// What several servers of a VIP cost, put together.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    /// Such as are deleted, their flows kept.
    kept: u32,
    /// Such as are deleted with their flows.
    flushed: u32,
    /// What both weigh.
    goes: u32,
    /// How many come in with which weight, and whether their flows go.
    puts: BTreeMap<(u8, bool), u32>,
}

impl Sums {
    pub(super) fn of(ops: &[Op], actual: &Actual) -> Sums {
        let mut sums = Sums::default();
        ops.iter().for_each(|op| sums.add(op, actual));
        sums
    }

    pub(super) fn add(&mut self, op: &Op, actual: &Actual) {
        match *op {
            Op::AddServer { weight, flush, .. } => *self.puts.entry((weight, flush)).or_default() += 1,
            Op::SetWeight { address, flush, .. } | Op::DelServer { address, flush, .. } => {
                *(if flush { &mut self.flushed } else { &mut self.kept }) += 1;
                self.goes += u32::from(actual.servers.get(&address).copied().unwrap_or(0));
                if let Op::SetWeight { weight, .. } = *op {
                    *self.puts.entry((weight, false)).or_default() += 1;
                }
            }
            Op::SetSettings(_) | Op::AddVip { .. } | Op::DelVip { .. } | Op::FlushVip { .. } => {}
        }
    }

    pub(super) fn and(mut self, more: &Sums) -> Sums {
        self.kept += more.kept;
        self.flushed += more.flushed;
        self.goes += more.goes;
        for (what, n) in &more.puts {
            *self.puts.entry(*what).or_default() += n;
        }
        self
    }
}

impl Default for Costs {
    fn default() -> Self {
        Costs { sticky_buckets: 65_536, threads: 1, limit: BARRIER_LIMIT, room: u64::MAX, bulk: true }
    }
}

impl Costs {
    /// A walk over every thread's flow table for the flows of one server: 6 ns a bucket, all of whose four entries are in use.
    pub fn flush(&self) -> Duration {
        self.walk(6)
    }

    /// The same for all flows of a VIP, to which every entry may belong: 20 ns.
    pub fn flush_vip(&self) -> Duration {
        self.walk(20)
    }

    fn walk(&self, bucket_ns: u64) -> Duration {
        Duration::from_nanos(bucket_ns)
            .saturating_mul(self.sticky_buckets)
            .saturating_mul(self.threads.max(1))
    }

    /// A rebuild of a new-flow table: 5 µs, 87 ns a unit of weight, 17 ns an entry; a tenth of that an entry where no
    /// server has weight.
    pub fn rebuild(&self, weights: u32, table_length: u32) -> Duration {
        let entries = u64::from(table_length).saturating_mul(17);
        let entries = if weights == 0 { entries / 10 } else { entries };
        Duration::from_nanos(5_000 + u64::from(weights).saturating_mul(87) + entries)
    }

    /// All of `ops`, done in order, `bulk` or not, to VIPs that are as `live` says; leaves `live` as it is after them.
    pub(super) fn of(&self, ops: &[Op], bulk: bool, live: &mut Live) -> Duration {
        let parts = if bulk { parts(ops) } else { ops.iter().map(Part::Single).collect() };
        let mut all = Duration::ZERO;
        for part in parts {
            all += match part {
                Part::Single(op) => self.one(op, live),
                Part::Together(ops, _) => {
                    let actual = ops.first().and_then(Op::vip).and_then(|vip| live.get(&vip));
                    let takes = actual.map_or(Duration::ZERO, |actual| self.together(ops, actual));
                    ops.iter().for_each(|op| advance(live, op));
                    takes
                }
            };
        }
        all
    }

    /// Several servers of a VIP that is so, put together.
    pub fn together(&self, ops: &[Op], actual: &Actual) -> Duration {
        self.sums(&Sums::of(ops, actual), actual.weights(), actual.table_length)
    }

    /// How long `ops`, all on servers of a VIP that is so, take when put together, if that is worth while.
    pub fn worth(&self, ops: &[Op], actual: &Actual) -> Option<Duration> {
        let fewer = self.bulk && parts(ops).len() < ops.len();
        let singly = || self.of_servers(ops, &mut actual.clone());
        Some(self.together(ops, actual)).filter(|together| fewer && self.pays(*together, singly()))
    }

    /// `ops`, all on servers of a VIP that is so, one by one; leaves it as it is after them.
    pub(super) fn of_servers(&self, ops: &[Op], actual: &mut Actual) -> Duration {
        let mut weights = actual.weights();
        let one = |op: &Op| {
            let weight = |actual: &Actual| {
                server(op).and_then(|a| actual.servers.get(&a)).map_or(0, |weight| u32::from(*weight))
            };
            weights -= weight(actual);
            actual.advance(op);
            weights += weight(actual);
            let flush = if flushes(op) { self.flush() } else { Duration::ZERO };
            self.rebuild(weights, actual.table_length) + flush
        };
        ops.iter().map(one).sum()
    }

    /// Whether what takes so long `together` is better done so than `singly`.
    pub(super) fn pays(&self, together: Duration, singly: Duration) -> bool {
        together < singly && (together <= self.limit || together * FAR_LESS <= singly)
    }

    /// The same, with `weights` in the VIP before.
    pub(super) fn sums(&self, sums: &Sums, weights: u32, table_length: u32) -> Duration {
        let mut weights = weights.saturating_sub(sums.goes);
        let deletes = u32::from(sums.kept > 0) + u32::from(sums.flushed > 0);
        let mut all = self.rebuild(weights, table_length).saturating_mul(deletes)
            + self.flush().saturating_mul(sums.flushed)
            + NAMED.saturating_mul(sums.kept + sums.flushed);
        for ((weight, flush), n) in &sums.puts {
            weights = weights.saturating_add(u32::from(*weight).saturating_mul(*n));
            all += self.rebuild(weights, table_length) + NAMED.saturating_mul(*n);
            if *flush {
                all += self.flush().saturating_mul(*n);
            }
        }
        all
    }

    fn one(&self, op: &Op, live: &mut Live) -> Duration {
        let flush = match op {
            Op::AddServer { flush, .. } | Op::DelServer { flush, .. } | Op::SetWeight { flush, .. } => *flush,
            Op::FlushVip { .. } => return self.flush_vip(),
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
        // A full table: 0.3 ms for one server, 1.2 for a VIP that has all of it.
        assert_eq!(Costs::default().flush().as_micros(), 393);
        assert_eq!(Costs::default().flush_vip().as_micros(), 1_310);
        assert_eq!(few(4).flush().as_micros(), 24);
        assert_eq!(few(0).flush().as_micros(), 6);
    }
}
