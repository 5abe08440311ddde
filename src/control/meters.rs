//! What is counted of each backend, and the counters as a view.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::controller::Controller;
use super::latency::Window;
use super::show::millis;
use super::view::{
    BackendCountersView, CountersView, LatencyView, ProbeCountersView, ServingView, VipCountersView,
};
use crate::lb::VipKey;
use crate::lb::traffic::{ServerTraffic, VipTraffic};
use crate::probe::{Code, Results, Verdict};
use crate::time::Time;

/// Of one backend, since it was first seen.
#[derive(Debug, Default)]
pub struct Meters {
    /// Probes by result.
    pub results: Results,
    /// Changes of its state.
    pub transitions: u64,
    /// How long probes took that say something of the backend.
    window: Window,
}

impl Meters {
    /// A probe has ended.
    pub fn probed(&mut self, now: Time, code: Code, took: Duration) {
        self.results.add(code);
        match code.verdict() {
            Verdict::Pass | Verdict::Conditional | Verdict::Fail => self.window.record(now, took),
            // It did not get as far as the backend.
            Verdict::OurFault => {}
        }
    }

    /// Of the last minute's probes.
    pub fn latency(&self, now: Time) -> LatencyView {
        self.window.summary(now).into()
    }
}

impl Controller {
    /// The VIPs that are ours and in `lb`.
    pub fn programmed_vips(&self) -> Vec<VipKey> {
        self.by_vip.keys().filter(|k| self.programmer.is_programmed(k)).copied().collect()
    }

    /// All of `show counters` that the controller knows; `traffic` is what `lb` counts of our VIPs.
    pub fn counters(&self, now: Time, traffic: &[VipTraffic]) -> CountersView {
        let ours: Vec<(&VipTraffic, &crate::Name)> = traffic
            .iter()
            .filter(|t| self.programmer.is_ours(&t.vip))
            .filter_map(|t| Some((t, self.by_vip.get(&t.vip)?)))
            .collect();
        let vips = ours
            .iter()
            .filter_map(|(t, name)| Some((t.packets?, t, name)))
            .map(|(p, t, name)| VipCountersView {
                frontend: name.to_string(),
                vip: t.vip.to_string(),
                existing: p.existing,
                first: p.first,
                untracked: p.untracked,
                no_server: p.no_server,
            })
            .collect();
        let mut by_frontend: BTreeMap<&crate::Name, BTreeMap<IpAddr, &ServerTraffic>> = BTreeMap::new();
        for (t, name) in &ours {
            by_frontend.entry(*name).or_default().extend(t.servers.iter().map(|s| (s.address, s)));
        }
        let serving = |b: &super::backends::Entry| {
            let mut all: Vec<ServingView> = b
                .frontends
                .iter()
                .filter_map(|name| Some((name, by_frontend.get(name)?.get(&b.config.address)?)))
                .map(|(f, s)| ServingView { frontend: f.to_string(), buckets: s.buckets, flows: s.flows })
                .collect();
            all.sort_by(|a, b| a.frontend.cmp(&b.frontend));
            all
        };
        CountersView {
            vips,
            backends: self
                .backends
                .sorted()
                .into_iter()
                .map(|(_, b)| BackendCountersView {
                    backend: b.config.name.to_string(),
                    address: b.config.address.to_string(),
                    results: b.meters.results.shown(),
                    latency: b.meters.latency(now),
                    transitions: b.meters.transitions,
                    agent: b.agent.as_ref().map(|a| a.counts),
                    serving: serving(b),
                })
                .collect(),
            syncs: self.programmer.syncs_by_cause().map(|(c, n)| (c.to_owned(), n)).to_vec(),
            probes: ProbeCountersView {
                ordered: self.stats.probes,
                results: self.stats.results.shown(),
                late: self.stats.late,
                latest_ms: millis(self.stats.latest),
                main_stalls: self.stats.main_stalls,
            },
            agents: self.stats.agents,
            ..CountersView::default()
        }
    }
}
