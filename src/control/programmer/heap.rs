//! The memory that `lb`'s tables take: what was lost, and what is left.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::Programmer;
use crate::config::{Config, Frontend};
use crate::control::intent::Intentions;
use crate::lb::memory::{self, Need};
use crate::lb::reconcile::{Note, Plan};
use crate::lb::{Heap, VipKey};
use crate::time::Time;

/// How long a measurement counts.
const FRESH: Duration = Duration::from_secs(1);
/// Lost tables are a problem from this share of the heap on.
const MUCH: u64 = 64;

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// When it was last measured, and how much there was then; none: no bound is known.
    heap: Option<(Time, Option<Heap>)>,
    /// Bytes of tables made since then.
    spent: u64,
    /// Tables of VIPs that were deleted, by whomever: `lb` never frees them.
    lost: Lost,
    /// VIPs that there was no room for.
    refused: BTreeSet<VipKey>,
    /// Something was lost since last measured.
    news: bool,
}

/// Tables that `lb` never frees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// How many.
    pub tables: u64,
    /// All together.
    pub bytes: u64,
}

impl Memory {
    /// VIPs with tables of these lengths are gone.
    pub(super) fn lost(&mut self, lengths: impl IntoIterator<Item = u32>) {
        for length in lengths {
            self.lost.tables += 1;
            self.lost.bytes += memory::table(length);
            self.news = true;
        }
    }

    /// A VIP was made.
    pub(super) fn made(&mut self, table_length: u32) {
        self.spent += memory::table(table_length);
    }

    /// What is left for VIPs to be made.
    pub(super) fn room(&self) -> u64 {
        match self.heap {
            Some((_, Some(heap))) => memory::room(&heap).saturating_sub(self.spent),
            Some((_, None)) | None => u64::MAX,
        }
    }

    /// Whether there may be something new to be told.
    pub(super) fn tells(&self) -> bool {
        self.news || !self.refused.is_empty()
    }

    pub(super) fn planned(&mut self, address: IpAddr, plan: &Plan) {
        self.refused.retain(|vip| vip.address != address);
        let refused = plan.notes.iter().filter_map(|note| match note {
            Note::NoRoom { vip, .. } => Some(*vip),
            Note::Recreate { .. } | Note::InSteps { .. } | Note::Foreign { .. } | Note::Refused { .. } => {
                None
            }
        });
        self.refused.extend(refused);
    }
}

impl Programmer {
    pub(super) fn measured(&mut self, now: Time, heap: Option<Heap>) {
        self.memory.heap = Some((now, heap));
        self.memory.spent = 0;
        self.memory.news = false;
        if self.full == super::Full::Measure {
            self.full = super::Full::Idle;
        }
    }

    /// Whether a VIP of this address may have to be made, and the memory has to be measured before.
    pub(super) fn wants_measure(&self, now: Time, address: IpAddr, intent: &Intentions<'_>) -> bool {
        if self.memory.heap.is_some_and(|(at, _)| now.since(at) < FRESH && at <= now) {
            return false;
        }
        let open = |vip: &VipKey| intent.frontend(vip).filter(|f| f.open);
        intent.vips_at(address).any(|vip| open(&vip).is_some_and(|f| !self.is_made(&vip, &f.config)))
    }

    /// Whether a VIP of ours is there, made as it is configured.
    pub(super) fn is_made(&self, vip: &VipKey, f: &Frontend) -> bool {
        let same = (f.table_length, f.src_ip_sticky);
        self.shape(vip) == Some(same)
            && self.vips.get(vip).is_some_and(|actual| actual.encap == Some(f.encap))
    }

    /// What `config` takes of `lb`'s memory that is not there yet, with `running` before it.
    pub fn need(&self, config: &Config, running: Option<&Config>, threads: u32) -> Need {
        let mut need = Need::default();
        for f in config.frontends.values().filter(|f| !self.is_made(&f.vip, f)) {
            let servers = f.pools.iter().map(|p| p.backends.len()).sum();
            need.add(f.table_length, servers, self.vips.contains_key(&f.vip));
        }
        let buckets = config.lb.sticky_buckets_per_core;
        if running.is_none_or(|r| r.lb.sticky_buckets_per_core != buckets) {
            need.add_flows(buckets, threads);
        }
        need
    }

    /// Tables that `lb` never frees, so far.
    pub fn lost(&self) -> Lost {
        self.memory.lost
    }

    /// What an operator must be told of the memory, if anything.
    pub fn memory_problem(&self) -> Option<String> {
        let Memory { heap: Some((_, Some(heap))), lost, refused, .. } = &self.memory else { return None };
        if lost.bytes < heap.size / MUCH && refused.is_empty() {
            return None;
        }
        let refused = match refused.len() {
            0 => String::new(),
            n => format!("; no room for {n} VIPs"),
        };
        Some(format!(
            "lb never frees the tables of deleted VIPs: {} so far, {}; {} of VPP's heap are left for tables{refused}; \
             only a restart of VPP gives it back",
            lost.tables,
            memory::size(lost.bytes),
            memory::size(self.memory.room()),
        ))
    }
}
