//! What can be said of `lb` without asking it.

use std::net::IpAddr;

use super::Programmer;
use crate::control::frontends::Frontends;
use crate::control::view::LbStatusView;
use crate::lb::VipKey;

impl Programmer {
    /// Whether the VIP is in `lb`, and ours.
    pub fn is_programmed(&self, vip: &VipKey) -> bool {
        self.ledger.ours(vip) && self.vips.contains_key(vip)
    }

    /// Whether a VIP is ours.
    pub fn is_ours(&self, vip: &VipKey) -> bool {
        self.ledger.ours(vip)
    }

    /// The last failure on a VIP, until all went well once.
    pub fn error(&self, vip: &VipKey) -> Option<String> {
        self.errors.get(vip).cloned()
    }

    /// The servers that `lb` has for a VIP of ours.
    pub fn servers(&self, vip: &VipKey) -> impl Iterator<Item = IpAddr> {
        let ours = self.ledger.ours(vip);
        self.vips.get(vip).filter(|_| ours).into_iter().flat_map(|v| v.servers.keys().copied())
    }

    /// The VIPs of ours that have this server.
    pub fn vips_with(&self, address: IpAddr) -> impl Iterator<Item = &VipKey> {
        let has = move |k: &&VipKey| self.vips.get(*k).is_some_and(|v| v.servers.contains_key(&address));
        self.ledger.all_ours().filter(has)
    }

    /// For `show status`.
    pub fn status(&self, frontends: &Frontends) -> LbStatusView {
        let failing = frontends.values().filter(|f| self.errors.contains_key(&f.config.vip));
        LbStatusView {
            last_sync_ms: self.last_sync_ms,
            syncs: self.syncs,
            failures: self.failures,
            failing: failing.map(|f| f.config.name.to_string()).collect(),
            ..LbStatusView::default()
        }
    }
}
