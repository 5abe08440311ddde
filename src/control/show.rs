//! The controller's state as views.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::backends::Entry as Backend;
use super::controller::Controller;
use super::explain::waits_for;
use super::frontends::{Entry as Frontend, Seat};
use super::operator::{NameKind, VerbError};
use super::schedule::Slot;
use super::view::{
    BackendView, FlowView, FrontendView, HealthcheckView, LbServerView, LbVipView, MemberView, PoolView,
    ProberView, StatusView, TransitionView,
};
use crate::Name;
use crate::config::{
    CheckKind, CounterKind, DnsCheck, Healthcheck, HttpCheck, TcpCheck, Tls, TrustFrom, UdpCheck, text_or_hex,
};
use crate::health::State;
use crate::lb::maglev::Table;
use crate::lb::{AsRecord, Encap, VipKey, VipRecord, flow};
use crate::time::Now;

/// Whole milliseconds.
pub fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

/// Whole microseconds.
pub fn micros(d: Duration) -> u64 {
    u64::try_from(d.as_micros()).unwrap_or(u64::MAX)
}

impl Controller {
    /// All of `show status` that the controller knows; the engine adds the rest.
    pub fn status(&self, now: Now) -> StatusView {
        let mut backends: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, b) in self.backends.iter() {
            *backends.entry(b.state().as_str()).or_default() += 1;
        }
        let mut frontends: BTreeMap<&str, usize> = BTreeMap::new();
        for f in self.frontends.values() {
            *frontends.entry(f.state.as_str()).or_default() += 1;
        }
        let count = |m: BTreeMap<&str, usize>| m.into_iter().map(|(k, n)| (k.to_owned(), n)).collect();
        let (state, reason) = match (&self.frozen, &self.config) {
            (Some(why), _) => ("frozen", Some(why.clone())),
            (None, None) => ("idle", Some("no configuration is loaded".to_owned())),
            (None, Some(_)) => ("running", None),
        };
        StatusView {
            state: state.to_owned(),
            reason,
            problems: self.problems.views(),
            config_loaded_ms: self.config_status.loaded_ms,
            config_errors: self.config_status.errors.clone(),
            config_warnings: self.config_status.warnings.clone(),
            lb: self.programmer.status(&self.frontends),
            prober: ProberView {
                running: true,
                last_beat_ms_ago: self.stats.last_beat.map(|t| millis(now.mono.since(t))),
                in_flight: self.stats.in_flight,
                waiting: self.stats.waiting,
                agents_in_flight: self.stats.agents_in_flight,
                agents_waiting: self.stats.agents_waiting,
                probes: self.stats.probes,
                late: self.stats.late,
                latest_ms: millis(self.stats.latest),
                main_stalls: self.stats.main_stalls,
                results: self.stats.results.shown(),
                netns: self.config.as_ref().and_then(|c| c.healthchecker.netns.clone()),
            },
            agents: self.stats.agents,
            backends: count(backends),
            frontends: count(frontends),
            state_file: self.state_file(),
            ..StatusView::default()
        }
    }

    /// All frontends, by name; buckets are not known here.
    pub fn frontend_views(&self) -> Vec<FrontendView> {
        self.frontends.values().map(|f| self.frontend_view(f)).collect()
    }

    /// One frontend.
    ///
    /// # Errors
    /// The name is unknown.
    pub fn frontend(&self, name: &str) -> Result<FrontendView, VerbError> {
        match self.frontends.get(name) {
            Some(f) => Ok(self.frontend_view(f)),
            None => Err(self.unknown(NameKind::Frontend, name)),
        }
    }

    /// What of a VIP is not in `lb` yet.
    fn lacks(&self, vip: &VipKey) -> Vec<String> {
        let now = self.programmer.clock();
        let Some(intent) = self.intent(now).filter(|_| self.programmer.may_lack(vip)) else {
            return Vec::new();
        };
        let all = self.programmer.lacks(vip, &intent);
        all.iter().map(|lack| format!("{lack}{}", self.programmer.why(now, lack))).collect()
    }

    fn frontend_view(&self, f: &Frontend) -> FrontendView {
        let c = &f.config;
        let mut pools: Vec<PoolView> = c
            .pools
            .iter()
            .enumerate()
            .map(|(i, p)| PoolView {
                name: p.name.to_string(),
                active: i == f.shares.active,
                backends: Vec::new(),
            })
            .collect();
        for (seat, share) in f.seats.iter().zip(&f.shares.members) {
            let (Some(b), Some(pool)) = (self.backends.get(seat.slot), pools.get_mut(seat.pool)) else {
                continue;
            };
            pool.backends.push(MemberView {
                name: b.config.name.to_string(),
                address: b.config.address.to_string(),
                weight: seat.set_weight(),
                overridden: seat.overridden.is_some(),
                effective: share.weight,
                state: b.display(&self.backends),
                in_lb: self.programmer.weight_in_lb(&c.vip, b.config.address),
                buckets: None,
                disabled: b.state() == State::Disabled,
            });
        }
        let seated = self.seated_names(f);
        FrontendView {
            name: c.name.to_string(),
            description: c.description.clone(),
            address: c.vip.address.to_string(),
            protocol: c.vip.service.map(|(p, _)| p),
            port: c.vip.service.map(|(_, p)| p),
            state: f.state.as_str().to_owned(),
            pool: f.active.to_string(),
            serving: f.serving(),
            total: f.seats.len(),
            encap: c.encap.as_str().to_owned(),
            table_length: c.table_length,
            src_ip_sticky: c.src_ip_sticky,
            flush_on_down: c.flush_on_down,
            slow_start: c.slow_start.map(|d| d.as_secs_f64()),
            panic: c.panic.map(|p| {
                let rule = format!("{} below {}%", p.mode.as_str(), p.threshold);
                match f.shares.alarm {
                    Some(a) => format!("{rule}, IN FORCE: {}/{} up", a.up, a.of),
                    None => rule,
                }
            }),
            in_panic: f.shares.alarm.is_some(),
            programmed: self.programmer.is_programmed(&c.vip),
            error: self.programmer.error(&c.vip).or_else(|| self.left_out(f)),
            lacks: self.lacks(&c.vip),
            pools,
            leaving: self
                .programmer
                .leaving(&c.vip)
                .filter(|a| !seated.contains_key(a))
                .map(|a| a.to_string())
                .collect(),
        }
    }

    /// The servers of a frontend that would be a forwarding loop, if there are any.
    fn left_out(&self, f: &Frontend) -> Option<String> {
        let address = |s: &Seat| Some(self.backends.get(s.slot)?.config.address);
        let one = |s: &Seat| Some(format!("{} is {}", address(s)?, s.looping(&self.backends)?));
        let all: Vec<String> = f.seats.iter().filter_map(one).collect();
        let (first, more) = (all.first()?, all.len() - 1);
        let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        Some(format!("left out as a forwarding loop: {first}{more}"))
    }

    /// The backends of a frontend by address.
    fn seated_names(&self, f: &Frontend) -> BTreeMap<IpAddr, Name> {
        let seats = f.seats.iter().filter_map(|s| self.backends.get(s.slot));
        seats.map(|b| (b.config.address, b.config.name.clone())).collect()
    }

    /// All backends, by name.
    pub fn backend_views(&self) -> Vec<BackendView> {
        self.backends.sorted().into_iter().map(|(s, b)| self.backend_view(s, b)).collect()
    }

    /// One backend.
    ///
    /// # Errors
    /// The name is unknown.
    pub fn backend(&self, name: &str) -> Result<BackendView, VerbError> {
        match self.backends.find(name) {
            Some((slot, b)) => Ok(self.backend_view(slot, b)),
            None => Err(self.unknown(NameKind::Backend, name)),
        }
    }

    fn backend_view(&self, slot: Slot, b: &Backend) -> BackendView {
        let counter = b.health.checks().counter();
        BackendView {
            name: b.config.name.to_string(),
            address: b.config.address.to_string(),
            healthcheck: b.config.healthcheck.as_ref().map(|c| c.name.to_string()),
            state: b.state().as_str().to_owned(),
            display: b.display(&self.backends),
            counter: counter.value(),
            counter_max: counter.max(),
            rise: counter.rise(),
            fall: counter.fall(),
            since_ms: b.history.newest().map_or(0, |t| t.at_ms),
            last_code: b.last.as_ref().map(|l| l.code.as_str().to_owned()),
            last_detail: b.last.as_ref().map(|l| l.detail.to_string()).unwrap_or_default(),
            last_latency_us: b.last.as_ref().map(|l| micros(l.latency)),
            last_probe_ms: b.last.as_ref().map(|l| l.at_ms),
            passes: b.tally.passes,
            failures: b.tally.failures,
            sockerrs: b.tally.faults,
            verdict: self.verdict(b),
            hands: self.hands_view(b),
            ties: self.ties_view(b),
            waits_for: waits_for(b, &self.backends),
            transitions: b
                .history
                .iter()
                .map(|t| TransitionView {
                    at_ms: t.at_ms,
                    from: t.from.map_or("-", State::as_str).to_owned(),
                    to: t.to.as_str().to_owned(),
                    code: t.code.to_owned(),
                    detail: t.detail.to_string(),
                })
                .collect(),
            frontends: b
                .frontends
                .iter()
                .filter_map(|name| self.frontends.get(name))
                .filter_map(|f| {
                    let i = f.seats.iter().position(|s| s.slot == slot)?;
                    self.membership_view(f, i, b)
                })
                .collect(),
        }
    }

    /// All healthchecks, by name.
    pub fn healthcheck_views(&self) -> Vec<HealthcheckView> {
        let checks = self.config.iter().flat_map(|c| c.healthchecks.values());
        checks.map(|h| self.healthcheck_view(h)).collect()
    }

    /// One healthcheck.
    ///
    /// # Errors
    /// The name is unknown.
    pub fn healthcheck(&self, name: &str) -> Result<HealthcheckView, VerbError> {
        match self.config.as_ref().and_then(|c| c.healthchecks.get(name)) {
            Some(h) => Ok(self.healthcheck_view(h)),
            None => Err(self.unknown(NameKind::Healthcheck, name)),
        }
    }

    fn healthcheck_view(&self, h: &Healthcheck) -> HealthcheckView {
        let users = self.config.iter().flat_map(|c| c.backends.values());
        HealthcheckView {
            name: h.name.to_string(),
            kind: h.kind.as_str().to_owned(),
            port: (h.port != 0).then_some(h.port),
            interval_ms: millis(h.interval),
            fast_interval_ms: millis(h.fast_interval),
            down_interval_ms: millis(h.down_interval),
            timeout_ms: millis(h.timeout),
            rise: h.rise,
            fall: h.fall,
            counter: match h.counter {
                CounterKind::Linear => "linear",
                CounterKind::Haproxy => "haproxy",
            }
            .to_owned(),
            jitter_percent: h.jitter_percent,
            source_ipv4: h.probe_ipv4_src.map(|a| a.to_string()),
            source_ipv6: h.probe_ipv6_src.map(|a| a.to_string()),
            params: params(&h.kind),
            silent_bound_ms: millis(h.silent_bound()),
            refused_bound_ms: millis(h.refused_bound()),
            backends: users
                .filter(|b| b.healthcheck.as_ref().is_some_and(|c| c.name == h.name))
                .map(|b| b.name.to_string())
                .collect(),
        }
    }
}

impl Controller {
    /// A VIP of `lb` with its servers, by our names where they are ours.
    pub fn lb_vip_view(&self, r: &VipRecord, servers: &[AsRecord]) -> LbVipView {
        let key = r.key();
        let frontend = key.as_ref().and_then(|k| self.by_vip.get(k));
        let ours = key.as_ref().is_some_and(|k| self.programmer.is_ours(k));
        let vip = match key {
            Some(k) => k.to_string(),
            None => format!("{}/{} proto {} port {}", r.address, r.prefix_len, r.protocol, r.port),
        };
        let parks = key.as_ref().is_some_and(|k| self.programmer.parks(k));
        let seated = frontend.and_then(|f| self.frontends.get(f)).map(|f| self.seated_names(f));
        let seated = seated.unwrap_or_default();
        LbVipView {
            vip,
            frontend: frontend.filter(|_| ours).map(ToString::to_string),
            foreign: !ours,
            parked: parks && frontend.is_none(),
            encap: r.encap.map_or("other", Encap::as_str).to_owned(),
            table_length: r.table_length,
            servers: servers
                .iter()
                .map(|s| LbServerView {
                    address: s.address.to_string(),
                    backend: seated.get(&s.address).map(ToString::to_string),
                    parked: parks && !seated.contains_key(&s.address),
                    weight: s.weight,
                    buckets: s.buckets,
                })
                .collect(),
        }
    }

    /// Where `lb`, with these servers, sends a new flow to a frontend.
    ///
    /// # Errors
    /// The name is unknown.
    pub fn flow_view(
        &self,
        frontend: &str,
        servers: &[AsRecord],
        source: IpAddr,
        port: u16,
        destination_port: Option<u16>,
    ) -> Result<FlowView, VerbError> {
        let Some(f) = self.frontends.get(frontend) else {
            return Err(self.unknown(NameKind::Frontend, frontend));
        };
        let c = &f.config;
        let any_port = match (c.vip.service, destination_port, c.src_ip_sticky) {
            (None, None, false) => {
                return Err(VerbError::Refused(format!(
                    "frontend `{frontend}` takes all ports: the server depends on the destination port too; \
                     give it behind the source port"
                )));
            }
            (None, port, _) => port.unwrap_or(0),
            (Some((_, own)), None, _) => own,
            (Some((_, own)), Some(port), _) if own == port => own,
            (Some((_, own)), Some(_), _) => {
                return Err(VerbError::Refused(format!("frontend `{frontend}` has port {own} alone")));
            }
        };
        let weights: Vec<(IpAddr, u8)> = servers.iter().map(|s| (s.address, s.weight)).collect();
        // A NAT VIP stays as it was made, whatever the configuration says since.
        let (table_length, sticky) =
            self.programmer.shape(&c.vip).unwrap_or((c.table_length, c.src_ip_sticky));
        let bucket = flow::bucket(&c.vip, sticky, table_length, source, port, any_port);
        let (Some(bucket), Ok(table)) = (bucket, Table::build(table_length, &weights)) else {
            return Err(VerbError::Refused(format!(
                "source {source} is of the wrong family for {}",
                c.vip.address
            )));
        };
        let server = table.server_at(bucket);
        Ok(FlowView {
            frontend: frontend.to_owned(),
            source: source.to_string(),
            source_port: port,
            server: server.map(|a| a.to_string()),
            backend: server.and_then(|a| self.seated_names(f).get(&a).map(ToString::to_string)),
            bucket,
            table_length,
        })
    }

    /// The operator flushed all flows of a VIP.
    pub fn flushed(&mut self, vip: &VipKey) {
        self.programmer.note_flush(vip);
    }
}

pub(super) fn params(kind: &CheckKind) -> Vec<(String, String)> {
    let own = |k: &str, v: String| (k.to_owned(), v);
    match kind {
        CheckKind::Icmp => Vec::new(),
        CheckKind::Tcp(TcpCheck { send, expect, tls }) => {
            let mut all = Vec::new();
            if !send.is_empty() {
                all.push(own("send", String::from_utf8_lossy(send).escape_debug().to_string()));
            }
            if let Some(e) = expect {
                all.push(own("expect", e.source.clone()));
            }
            if let Some(t) = tls {
                all.push(own("ssl", "true".into()));
                all.extend(tls_params(t));
            }
            all
        }
        CheckKind::Udp(UdpCheck { send, expect }) => {
            let mut all = Vec::new();
            if !send.is_empty() {
                all.push(own("send", text_or_hex(send).escape_debug().to_string()));
            }
            all.extend(expect.iter().map(|e| own("expect", e.source.clone())));
            all
        }
        CheckKind::Dns(dns) => {
            let mut all = vec![own("name", dns.name.clone()), own("qtype", dns.qtype_word().into())];
            all.extend(DnsCheck::rcode_word(dns.rcode).map(|word| own("rcode", word.into())));
            all.extend(dns.expect.iter().map(|e| own("expect", e.source.clone())));
            all
        }
        CheckKind::Http(HttpCheck { path, method, host, headers, codes, regexp, tls, disable_on_404 }) => {
            let mut all = vec![own("path", path.clone()), own("method", method.clone())];
            if let Some(h) = host {
                all.push(own("host", h.clone()));
            }
            all.extend(headers.iter().map(|(k, v)| own("header", format!("{k}: {v}"))));
            let codes = codes.iter().map(|(a, b)| if a == b { a.to_string() } else { format!("{a}-{b}") });
            all.push(own("response-code", codes.collect::<Vec<_>>().join(",")));
            if let Some(r) = regexp {
                all.push(own("response-regexp", r.source.clone()));
            }
            if *disable_on_404 {
                all.push(own("disable-on-404", "true".into()));
            }
            all.extend(tls.iter().flat_map(tls_params));
            all
        }
    }
}

/// What is verified, and against what.
fn tls_params(tls: &Tls) -> Vec<(String, String)> {
    let own = |k: &str, v: &str| (k.to_owned(), v.to_owned());
    let mut all = Vec::new();
    all.extend(tls.server_name.iter().map(|n| own("server-name", &n.to_str())));
    match tls.trust.from() {
        TrustFrom::Host => {}
        TrustFrom::File(path) => all.push(own("ca-file", path)),
        TrustFrom::Anyone => all.push(own("insecure-skip-verify", "true")),
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn params_are_shown_as_they_would_be_written() {
        for (check, shown) in [
            ("type: icmp", ""),
            ("type: tcp, port: 1, params: {expect: a}", "expect=a"),
            (
                "type: tcp, port: 1, params: {ssl: true, insecure-skip-verify: true}",
                "ssl=true insecure-skip-verify=true",
            ),
            (
                "type: https, port: 1, params: {server-name: a.example, insecure-skip-verify: true}",
                "path=/ method=GET response-code=200 server-name=a.example insecure-skip-verify=true",
            ),
            ("type: udp, port: 1", ""),
            ("type: udp, port: 1, params: {send: 0x00ff, expect: '0x01'}", "send=0x00ff expect=0x01"),
            ("type: dns, params: {name: a.example}", "name=a.example qtype=A rcode=NOERROR"),
            (
                "type: dns, params: {name: ., qtype: MX, rcode: REFUSED, expect: b}",
                "name=. qtype=MX rcode=REFUSED expect=b",
            ),
        ] {
            let text = format!("maglev: {{healthchecks: {{h: {{{check}}}}}}}");
            let config = crate::config::parse(&text).unwrap().config;
            let all = params(&config.healthchecks["h"].kind);
            let all: Vec<String> = all.iter().map(|(k, v)| format!("{k}={v}")).collect();
            assert_eq!(all.join(" "), shown, "{check}");
        }
    }
}
