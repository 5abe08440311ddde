//! The full sync: `lb`'s settings, then the list of its VIPs, then each address as routine work.

use std::collections::VecDeque;
use std::net::IpAddr;

use super::{BACKOFF, Full, LbRequest, Programmer, Retry};
use crate::control::event::Event;
use crate::control::intent::Intentions;
use crate::control::queue::Class;
use crate::lb::{Encap, LbError, Op, Settings, VipKey, VipRecord};
use crate::time::{Now, Time};

impl Programmer {
    pub(super) fn full_request(&mut self, now: Time) -> Option<LbRequest> {
        let retry = self.settings_retry.is_some_and(|r| r.at <= now);
        if self.full == Full::Idle && (self.full_due <= now || retry) {
            self.full = Full::ReadSettings;
            self.full_due = now + self.interval;
            self.causes.full_begun();
        }
        match self.full {
            Full::Idle => None,
            Full::ReadSettings => Some(LbRequest::Settings),
            Full::WriteSettings(s) => Some(LbRequest::Apply(vec![Op::SetSettings(s)])),
            Full::ListVips => Some(LbRequest::Vips),
            Full::Measure => Some(LbRequest::Heap),
        }
    }

    pub(super) fn settings_read(
        &mut self,
        now: Now,
        intent: &Intentions<'_>,
        r: Result<Settings, LbError>,
        events: &mut VecDeque<Event>,
    ) {
        self.full = Full::ListVips;
        match r {
            Ok(is) => {
                self.costs.sticky_buckets = is.sticky_buckets_per_core;
                let wanted = intent.settings(&is);
                let waits = self.settings_retry.is_some_and(|r| now.mono < r.at);
                if wanted != is && !waits {
                    if self.listed && wanted.sticky_buckets_per_core != is.sticky_buckets_per_core {
                        let text = "sticky-buckets-per-core changes: the flows of every VIP lose their \
                                    stickiness"
                            .to_owned();
                        events.push_back(Event::LbSync { text, failed: false });
                    }
                    self.full = Full::WriteSettings(wanted);
                } else if wanted == is {
                    self.settings_retry = None;
                }
            }
            Err(e) => self.complain(format!("reading lb's settings failed: {e}"), events),
        }
    }

    pub(super) fn settings_written(
        &mut self,
        now: Now,
        s: Settings,
        results: Vec<Result<(), LbError>>,
        events: &mut VecDeque<Event>,
    ) {
        self.full = Full::ListVips;
        let result = results.into_iter().next().unwrap_or(Err(LbError::NoAnswer("lb_conf")));
        let what = format!(
            "settings ip4-src={} ip6-src={} buckets={} timeout={}",
            s.ip4_src, s.ip6_src, s.sticky_buckets_per_core, s.flow_timeout
        );
        match result {
            Ok(()) => {
                self.costs.sticky_buckets = s.sticky_buckets_per_core;
                self.settings_retry = None;
                events.push_back(Event::LbSync { text: what, failed: false });
            }
            Err(e) => {
                let wait = self.settings_retry.map_or(BACKOFF, |r| r.wait * 2).min(self.interval);
                self.settings_retry = Some(Retry { at: now.mono + wait, wait });
                self.complain(format!("{what} failed: {e}"), events);
            }
        }
    }

    pub(super) fn vips_listed(
        &mut self,
        now: Now,
        intent: &Intentions<'_>,
        r: Result<Vec<VipRecord>, LbError>,
        events: &mut VecDeque<Event>,
    ) {
        self.full = Full::Idle;
        let records = match r {
            Ok(r) => r,
            Err(e) => {
                self.unlisted = true;
                self.full_due = now.mono + BACKOFF.min(self.interval);
                return self.complain(format!("listing lb's VIPs failed: {e}"), events);
            }
        };
        let mut listed: Vec<(VipKey, VipRecord)> = Vec::with_capacity(records.len());
        let mut nameless = Vec::new();
        for record in records {
            match record.key() {
                Some(key) => listed.push((key, record)),
                None => nameless.push(record),
            }
        }
        // Of two of one name the later counts.
        listed.sort_by_key(|(key, _)| *key);
        let gone = self.vips.list(&listed);
        self.memory.lost(gone);
        self.adjusts_forget(now.mono);
        self.doubtful.retain(|vip| self.vips.contains_key(vip));
        self.stuck.retain(|vip, _| intent.by_vip.contains_key(vip));
        // A VIP of ours that is gone took its flows along.
        let gone: Vec<VipKey> = without(self.ledger.all_ours(), self.vips.keys()).copied().collect();
        for key in gone {
            self.ledger.observed(&key, None);
        }
        let foreign =
            without(self.vips.keys(), self.ledger.all_ours()).filter_map(|k| self.vips.get(k)?.encap);
        let foreign = foreign.chain(nameless.iter().filter_map(|r| r.encap));
        let foreign = foreign.filter_map(Encap::target_port).collect();
        self.ledger.foreign_nat(foreign);
        if self.memory.tells() {
            self.full = Full::Measure;
        }
        self.listed = true;
        self.unlisted = false;
        self.unsure.clear();
        for address in std::mem::take(&mut self.held) {
            self.waiting.push(Class::Change, address);
        }
        self.syncs += 1;
        self.last_sync_ms = Some(now.wall_ms);
        let ours = self.ledger.all_ours().map(|k| k.address);
        let mut all: Vec<IpAddr> = intent.addresses().into_iter().chain(ours).collect();
        all.sort();
        all.dedup();
        for address in &all {
            self.waiting.push(Class::Routine, *address);
        }
        // What has left meanwhile is not listed, and nobody works on it.
        let jobs: Vec<IpAddr> = self.job.iter().chain(&self.suspended).map(|j| j.address).collect();
        let waiting = &self.waiting;
        for w in &mut self.waiters {
            w.after_listing = false;
            w.left.retain(|a| waiting.class_of(a).is_some() || jobs.contains(a));
        }
        self.serve_waiters(None, 0, &[]);
    }
}

/// Those of `all` that are not in `others`, both ascending.
fn without<'a>(
    all: impl Iterator<Item = &'a VipKey>,
    others: impl Iterator<Item = &'a VipKey>,
) -> impl Iterator<Item = &'a VipKey> {
    let mut others = others.peekable();
    all.filter(move |key| {
        while others.next_if(|other| other < key).is_some() {}
        others.peek() != Some(key)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lb::Protocol;

    #[test]
    fn what_is_in_one_list_and_not_in_the_other() {
        let keys = |ports: &[u16]| -> Vec<VipKey> {
            let vip = |p| VipKey { address: [192, 0, 2, 1].into(), service: Some((Protocol::Tcp, p)) };
            ports.iter().map(|p| vip(*p)).collect()
        };
        for (all, others, left) in [
            (&[][..], &[][..], &[][..]),
            (&[1, 2, 3], &[], &[1, 2, 3]),
            (&[], &[1], &[]),
            (&[1, 2, 3], &[1, 2, 3], &[]),
            (&[1, 3, 5], &[0, 2, 3, 4, 9], &[1, 5]),
            (&[7, 8], &[1, 2, 7], &[8]),
        ] {
            let (all, others) = (keys(all), keys(others));
            assert_eq!(without(all.iter(), others.iter()).copied().collect::<Vec<_>>(), keys(left));
        }
    }
}
