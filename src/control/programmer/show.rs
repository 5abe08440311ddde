//! What can be said of `lb` without asking it.

use std::net::IpAddr;

use super::Programmer;
use crate::control::frontends::Frontends;
use crate::control::view::LbStatusView;
use crate::lb::reconcile::Actual;
use crate::lb::{Encap, VipKey};

impl Programmer {
    /// Whether the VIP is in `lb`, and ours.
    pub fn is_programmed(&self, vip: &VipKey) -> bool {
        self.ledger.ours(vip) && self.vips.contains_key(vip)
    }

    /// Whether a VIP is ours.
    pub fn is_ours(&self, vip: &VipKey) -> bool {
        self.ledger.ours(vip)
    }

    /// How much waits to be done, told or taken.
    pub fn size(&self) -> usize {
        let queues = self.waiting.size()
            + self.outs.size()
            + self.suspended.len()
            + self.adjusts.size()
            + self.since.len()
            + self.doubtful.len()
            + self.stuck.len();
        let rest = self.retries.len()
            + self.errors.len()
            + self.waiters.len()
            + self.unsaid.len()
            + self.unsure.len();
        queues + rest + self.finished.len() + self.flushed.len() + self.made.len()
    }

    /// The last failure on a VIP, until all went well once.
    pub fn error(&self, vip: &VipKey) -> Option<String> {
        self.errors.get(vip).cloned()
    }

    /// Whether a VIP is ours and NAT: then it and its servers are parked where others would be deleted.
    pub fn parks(&self, vip: &VipKey) -> bool {
        self.ledger.made_as(vip).is_some_and(Encap::is_nat)
    }

    /// Table length and sticky flag of a VIP of ours, as it is in `lb`.
    pub fn shape(&self, vip: &VipKey) -> Option<(u32, bool)> {
        Some((self.ours(vip)?.table_length, self.ledger.src_ip_sticky(vip)?))
    }

    fn ours(&self, vip: &VipKey) -> Option<&Actual> {
        self.vips.get(vip).filter(|_| self.ledger.ours(vip))
    }

    /// The VIPs of ours that have this server in use: with NAT one without weight may stay for ever.
    pub fn vips_with(&self, address: IpAddr) -> impl Iterator<Item = &VipKey> {
        let in_use = move |v: &Actual| {
            let nat = v.encap.is_some_and(Encap::is_nat);
            v.servers.get(&address).is_some_and(|w| *w > 0 || !nat)
        };
        let has = move |k: &&VipKey| self.ledger.ours(k) && self.vips.get(k).is_some_and(in_use);
        self.vips.with(address).filter(has)
    }

    /// The servers of a VIP of ours that the configuration has no more and that are to leave it.
    pub fn leaving(&self, vip: &VipKey) -> impl Iterator<Item = IpAddr> {
        let nat = self.parks(vip);
        let gone = move |(a, w): (&IpAddr, &u8)| (*w > 0 || !nat).then_some(*a);
        self.ours(vip).into_iter().flat_map(move |v| v.servers.iter().filter_map(gone))
    }

    /// Syncs, and calls that failed, so far.
    pub fn tally(&self) -> (u64, u64) {
        (self.syncs, self.failures)
    }

    /// For `show status`.
    pub fn status(&self, frontends: &Frontends) -> LbStatusView {
        let failing = frontends.values().filter(|f| self.errors.contains_key(&f.config.vip));
        LbStatusView {
            last_sync_ms: self.last_sync_ms,
            syncs: self.syncs,
            failures: self.failures,
            failing: failing.map(|f| f.config.name.to_string()).collect(),
            lost_tables: self.lost().tables,
            lost_bytes: self.lost().bytes,
            ..LbStatusView::default()
        }
    }
}
