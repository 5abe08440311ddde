//! What `lb` should hold, from what the controller knows: the bridge to the reconciler.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::backends::Backends;
use super::frontends::{Entry, Frontends};
use crate::Name;
use crate::config::Config;
use crate::lb::ledger::Ledger;
use crate::lb::reconcile::{Actual, Wanted, WantedServer};
use crate::lb::{Settings, VipKey};
use crate::time::Time;

/// A view of the controller at one moment.
#[derive(Clone, Copy)]
pub struct Intentions<'a> {
    /// All frontends.
    pub frontends: &'a Frontends,
    /// The frontend of each VIP.
    pub by_vip: &'a BTreeMap<VipKey, Name>,
    /// All backends.
    pub backends: &'a Backends,
    /// The running configuration.
    pub config: &'a Config,
    /// The moment.
    pub now: Time,
}

/// What is intended for a VIP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// It is configured, but its backends are not known yet: not to be touched.
    Wait,
    /// It shall be so.
    Have(Wanted),
    /// It is not configured.
    Drop,
}

impl Intentions<'_> {
    /// The configured VIPs of an address, in order.
    pub fn vips_at(&self, address: IpAddr) -> impl Iterator<Item = VipKey> {
        self.by_vip
            .range(VipKey { address, service: None }..)
            .map(|(k, _)| *k)
            .take_while(move |k| k.address == address)
    }

    /// The addresses of all configured VIPs, ascending, each once.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let mut all: Vec<IpAddr> = self.by_vip.keys().map(|k| k.address).collect();
        all.dedup();
        all
    }

    /// The frontend of a VIP.
    pub fn frontend(&self, vip: &VipKey) -> Option<&Entry> {
        self.frontends.get(self.by_vip.get(vip)?)
    }

    /// What is intended for a VIP, given what `lb` has of it.
    pub fn of(&self, vip: &VipKey, actual: Option<&Actual>) -> Intent {
        let Some(f) = self.frontend(vip) else { return Intent::Drop };
        if !f.open {
            return Intent::Wait;
        }
        let mut servers = BTreeMap::new();
        for (seat, share) in f.seats.iter().zip(&f.shares.members) {
            if let Some(b) = self.backends.get(seat.slot)
                // Its flows would loop, too: it leaves with a flush.
                && self.backends.looping(b.config.address).is_none()
            {
                let address = b.config.address;
                servers.insert(
                    address,
                    WantedServer {
                        weight: share.weight,
                        flush: share.flush,
                        flush_once: f.flush_once.contains(&address),
                        keep: false,
                    },
                );
            }
        }
        if let Some(actual) = actual
            && f.holds(self.backends, self.now)
        {
            // Nor is one held whose address is to be a VIP: that waits for it to leave.
            let may_stay =
                |a: &IpAddr| self.backends.looping(*a).is_none() && self.vips_at(*a).next().is_none();
            for address in actual.servers.keys().filter(|a| may_stay(a)) {
                servers.entry(*address).or_insert(WantedServer {
                    weight: 0,
                    flush: false,
                    flush_once: false,
                    keep: true,
                });
            }
        }
        Intent::Have(Wanted {
            encap: f.config.encap,
            table_length: f.config.table_length,
            src_ip_sticky: f.config.src_ip_sticky,
            servers,
        })
    }

    /// Whether `lb` has this VIP of ours as it is intended, so that a plan for it is empty. That is what most comparisons
    /// find, at a fraction of what a plan costs.
    pub fn met(&self, vip: &VipKey, actual: &Actual, ledger: &Ledger) -> bool {
        let Some(f) = self.frontend(vip) else { return false };
        let made = (actual.encap, actual.table_length, ledger.src_ip_sticky(vip));
        let c = &f.config;
        // An address sits but once in a frontend.
        f.open
            && f.flush_once.is_empty()
            && made == (Some(c.encap), c.table_length, Some(c.src_ip_sticky))
            && f.seats.len() == actual.servers.len()
            && f.shares.members.len() == f.seats.len()
            && ledger.owes_nothing(vip)
            && f.seats.iter().zip(&f.shares.members).all(|(seat, share)| {
                let Some(b) = self.backends.get(seat.slot) else { return false };
                let address = b.config.address;
                if self.backends.looping(address).is_some() {
                    return false;
                }
                let flush = share.flush && share.weight == 0 && ledger.dirty(vip, address) != Some(false);
                actual.servers.get(&address) == Some(&share.weight) && !flush
            })
    }

    /// `lb`'s settings as they should be: what the configuration leaves unset stays as it is.
    pub fn settings(&self, now: &Settings) -> Settings {
        let lb = &self.config.lb;
        Settings {
            ip4_src: lb.ipv4_src_address.unwrap_or(now.ip4_src),
            ip6_src: lb.ipv6_src_address.unwrap_or(now.ip6_src),
            sticky_buckets_per_core: lb.sticky_buckets_per_core,
            flow_timeout: u32::try_from(lb.flow_timeout.as_secs()).unwrap_or(u32::MAX),
        }
    }
}
