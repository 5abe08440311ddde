//! A control plane of fixed views, that notes what it was told to do.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::control::view::{
    AgentCountsView, BackendView, ConfigView, CountersView, EventsView, FlowView, FrontendView, HandView,
    HealthcheckView, HeapView, LbServerView, LbStatusView, LbView, LbVipView, MemberView, MembershipView,
    MemoryView, PoolView, ProbeView, ProberView, StateFileView, StatusView, SyncView, TiesView,
    TransitionView, VersionView,
};
use crate::control::{BackendVerb, Done, Finished, NameKind, Operator, Ticket, VerbError};
use crate::lb::Protocol;
use crate::nearest::nearest;

/// Now, in the fake's time.
pub(crate) const NOW: u64 = 1_800_000_000_000;

pub(crate) struct Fake {
    pub frontends: Vec<FrontendView>,
    pub backends: Vec<BackendView>,
    pub healthchecks: Vec<HealthcheckView>,
    pub status: StatusView,
    pub lb: LbView,
    pub events: EventsView,
    pub counters: CountersView,
    pub server: Option<String>,
    pub config_ok: bool,
    pub sync_failures: Vec<String>,
    pub told: Vec<String>,
    pub answers: BTreeMap<Ticket, Finished>,
    /// Empty-handed polls before an answer is there.
    pub delay: u32,
    /// `lb` has not followed, and what of it is missing.
    pub unsettled: bool,
    pub lacking: Vec<String>,
    /// It is asked so often before a configuration is applied.
    pub applying: std::cell::Cell<u32>,
    /// The last reload was `force`.
    pub forced: bool,
}

pub(super) fn member(name: &str, address: &str, effective: u8, state: &str) -> MemberView {
    MemberView {
        name: name.into(),
        address: address.into(),
        weight: 100,
        overridden: false,
        effective,
        state: state.into(),
        in_lb: Some(effective),
        buckets: Some(u32::from(effective) * 5),
        disabled: state == "disabled",
    }
}

fn frontend(name: &str, address: &str, pools: Vec<PoolView>) -> FrontendView {
    FrontendView {
        name: name.into(),
        description: "The shop".into(),
        address: address.into(),
        protocol: Some(Protocol::Tcp),
        port: Some(443),
        state: "up".into(),
        pool: pools[0].name.clone(),
        serving: 3,
        total: 4,
        encap: "gre4".into(),
        table_length: 1024,
        src_ip_sticky: false,
        flush_on_down: true,
        slow_start: None,
        panic: None,
        in_panic: false,
        programmed: true,
        error: None,
        pools,
        lacks: vec![],
        leaving: vec![],
    }
}

fn backend(name: &str, address: &str, state: &str) -> BackendView {
    BackendView {
        name: name.into(),
        address: address.into(),
        healthcheck: Some("http".into()),
        state: state.into(),
        display: state.into(),
        counter: 4,
        counter_max: 4,
        rise: 2,
        fall: 3,
        since_ms: NOW - 310_000,
        last_code: Some("L7OK".into()),
        last_detail: "HTTP 200".into(),
        last_latency_us: Some(1204),
        last_probe_ms: Some(NOW - 800),
        passes: 155,
        failures: 3,
        sockerrs: 0,
        verdict: "by its checks: L7OK HTTP 200".into(),
        hands: Vec::new(),
        ties: Default::default(),
        waits_for: None,
        transitions: vec![
            TransitionView {
                at_ms: NOW - 310_000,
                from: "down".into(),
                to: "up".into(),
                code: "L7OK".into(),
                detail: "HTTP 200".into(),
            },
            TransitionView {
                at_ms: NOW - 400_000,
                from: "up".into(),
                to: "down".into(),
                code: "L7STS".into(),
                detail: "HTTP 503".into(),
            },
        ],
        frontends: vec![MembershipView {
            frontend: "web".into(),
            pool: "primary".into(),
            pool_active: true,
            weight: 100,
            configured: 100,
            overridden: false,
            with_agent: 100,
            effective: 100,
            why: String::new(),
        }],
    }
}

fn healthcheck(name: &str) -> HealthcheckView {
    HealthcheckView {
        name: name.into(),
        kind: "http".into(),
        port: Some(80),
        interval_ms: 1000,
        fast_interval_ms: 200,
        down_interval_ms: 5000,
        timeout_ms: 1500,
        rise: 2,
        fall: 3,
        counter: "linear".into(),
        jitter_percent: 10.0,
        source_ipv4: None,
        source_ipv6: None,
        params: vec![("path".into(), "/healthz".into()), ("response-code".into(), "200-204,301".into())],
        silent_bound_ms: 5600,
        refused_bound_ms: 1590,
        backends: vec!["nginx0".into(), "nginx1".into()],
    }
}

impl Fake {
    pub fn new() -> Fake {
        let primary = PoolView {
            name: "primary".into(),
            active: true,
            backends: vec![
                member("nginx0", "10.0.0.1", 100, "up"),
                member("nginx1", "10.0.0.2", 100, "up 3/4"),
                member("weight", "10.0.0.4", 0, "disabled"),
            ],
        };
        let backup = PoolView {
            name: "backup".into(),
            active: false,
            backends: vec![member("spare", "10.0.0.3", 0, "up unchecked")],
        };
        let lb = LbView {
            kind: "embedded".into(),
            ip4_src: "192.0.2.1".into(),
            ip6_src: "2001:db8::1".into(),
            sticky_buckets_per_core: 65536,
            flow_timeout_s: 40,
            vips: vec![
                LbVipView {
                    vip: "192.0.2.10:443/tcp".into(),
                    frontend: Some("web".into()),
                    foreign: false,
                    parked: false,
                    encap: "gre4".into(),
                    table_length: 1024,
                    servers: vec![LbServerView {
                        address: "10.0.0.1".into(),
                        backend: Some("nginx0".into()),
                        parked: false,
                        weight: 100,
                        buckets: 512,
                    }],
                },
                LbVipView {
                    vip: "198.51.100.0/24".into(),
                    frontend: None,
                    foreign: true,
                    parked: false,
                    encap: "nat4".into(),
                    table_length: 4,
                    servers: vec![],
                },
            ],
        };
        let status = StatusView {
            state: "running".into(),
            reason: None,
            problems: vec![],
            uptime_ms: 3_600_000,
            config_path: "/etc/vpp/maglev.yaml".into(),
            config_loaded_ms: Some(NOW - 3_600_000),
            config_errors: vec![],
            config_warnings: vec!["12:3: key `metrics` has no meaning here".into()],
            lb: LbStatusView {
                kind: "embedded".into(),
                unavailable: None,
                threads: 1,
                last_sync_ms: Some(NOW - 12_000),
                syncs: 120,
                calls: 14,
                failures: 0,
                call_max_us: 83,
                call_mean_us: 35,
                call_total_us: 0,
                failing: vec![],
                lost_tables: 0,
                lost_bytes: 0,
            },
            prober: ProberView {
                running: true,
                last_beat_ms_ago: Some(300),
                in_flight: 1,
                waiting: 0,
                agents_in_flight: 1,
                agents_waiting: 4,
                probes: 4000,
                late: 0,
                latest_ms: 2,
                main_stalls: 0,
                results: vec![("L7OK".into(), 3990), ("L7STS".into(), 10)],
                netns: None,
            },
            agents: AgentCountsView { queries: 61, replies: 58, failures: 2 },
            backends: vec![("up".into(), 3), ("disabled".into(), 1)],
            frontends: vec![("up".into(), 2)],
            memory: MemoryView {
                heap: Some(HeapView { used: 35 << 20, most: 64 << 20 }),
                budgets: crate::budget::Budgets::default().views(),
            },
            api: None,
            state_file: StateFileView {
                path: Some("/var/lib/vpp/maglev-state.json".into()),
                saved_ms: Some(NOW - 60_000),
                error: None,
                problem: None,
            },
        };
        Fake {
            frontends: vec![
                frontend("dns", "2001:db8::53", vec![primary.clone()]),
                frontend("web", "192.0.2.10", vec![primary, backup]),
            ],
            backends: vec![
                backend("nginx0", "10.0.0.1", "up"),
                backend("nginx1", "10.0.0.2", "up"),
                backend("spare", "10.0.0.3", "up"),
                backend("weight", "10.0.0.4", "disabled"),
            ],
            healthchecks: vec![healthcheck("http")],
            status,
            lb,
            events: super::fake_counts::events(),
            counters: super::fake_counts::counters(),
            server: Some("10.0.0.1".into()),
            config_ok: true,
            sync_failures: vec![],
            told: vec![],
            answers: BTreeMap::new(),
            delay: 0,
            unsettled: false,
            lacking: Vec::new(),
            forced: false,
            applying: std::cell::Cell::new(0),
        }
    }

    /// The longest and nastiest of everything that is legal.
    pub fn extreme() -> Fake {
        let name = |c: char| c.to_string().repeat(63);
        let address = "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff";
        let mut f = Fake::new();
        let pool = PoolView {
            name: name('p'),
            active: true,
            backends: (1..=63)
                .flat_map(|n| {
                    ["up 1000000/2000000", "up unchecked", "disabled", "up"].map(|state| MemberView {
                        name: "b".repeat(n),
                        buckets: Some(65536),
                        overridden: true,
                        ..member("", address, 100, state)
                    })
                })
                .collect(),
        };
        f.frontends = vec![
            FrontendView {
                description: format!(
                    "{} {} \u{1b}[2J\u{6f22}\u{5b57}\nsecond",
                    "d".repeat(200),
                    "words ".repeat(40)
                ),
                state: "unknown".into(),
                panic: Some("keep-last below 100%, IN FORCE: 100000/100000 up".into()),
                in_panic: true,
                port: Some(65535),
                serving: 100_000,
                total: 100_000,
                error: Some("e ".repeat(200)),
                leaving: vec![name('l'), name('m')],
                ..frontend(&name('f'), address, vec![pool])
            },
            FrontendView { protocol: None, port: None, ..f.frontends[1].clone() },
        ];
        f.backends = vec![BackendView {
            healthcheck: Some(name('h')),
            display: "down 1000000/2000000".into(),
            last_detail: "x".repeat(120),
            last_latency_us: Some(u64::MAX),
            since_ms: 0,
            verdict: "z".repeat(200),
            hands: ["checks", "agent", "operator", "inherited"]
                .map(|hand| HandView {
                    hand,
                    says: "w".repeat(150),
                    since_ms: Some(0),
                    detail: "d".repeat(120),
                })
                .into(),
            ties: TiesView {
                tracks: Some(name('t')),
                tracked_by: vec![name('u'); 20],
                agent_track: Some(name('t')),
                agent_tracked_by: vec![name('u'); 20],
            },
            waits_for: Some("operator enable, ".repeat(9)),
            transitions: vec![
                TransitionView {
                    at_ms: 0,
                    from: "unknown".into(),
                    to: "disabled".into(),
                    code: "SOCKERR".into(),
                    detail: "y".repeat(120),
                };
                5
            ],
            frontends: vec![MembershipView {
                frontend: name('f'),
                pool: name('p'),
                pool_active: true,
                weight: 100,
                configured: 100,
                overridden: false,
                with_agent: 100,
                effective: 100,
                why: String::new(),
            }],
            ..backend(&name('b'), address, "down")
        }];
        f.healthchecks = vec![HealthcheckView {
            interval_ms: u64::MAX,
            timeout_ms: 1_234_567_890_123,
            rise: u32::MAX,
            fall: u32::MAX,
            source_ipv4: Some("255.255.255.255".into()),
            source_ipv6: Some(address.into()),
            params: vec![
                ("response-regexp".into(), "(a|b)".repeat(100)),
                ("headers".into(), "\u{0}\u{7f}".into()),
            ],
            backends: (0..300).map(|i| format!("{}{i}", "b".repeat(60))).collect(),
            ..healthcheck(&name('h'))
        }];
        f.lb.ip6_src = address.into();
        f.lb.vips[0].vip = format!("[{address}]:65535/tcp");
        f.lb.vips[0].frontend = Some(name('f'));
        f.lb.vips[0].servers[0] = LbServerView {
            address: address.into(),
            backend: Some(name('b')),
            parked: false,
            weight: 100,
            buckets: 65536,
        };
        f.status.reason = Some("r".repeat(300));
        f.status.config_path = format!("/{}", "long/".repeat(50));
        f.status.config_errors = vec!["c ".repeat(200); 3];
        f.status.lb.unavailable = Some("u ".repeat(100));
        f.status.lb.failing = vec![name('f'), name('g')];
        (f.status.lb.lost_tables, f.status.lb.lost_bytes) = (u64::MAX, u64::MAX);
        f.status.lb.calls = u64::MAX;
        f.status.lb.call_max_us = u64::MAX;
        f.status.agents = AgentCountsView { queries: u64::MAX, replies: u64::MAX, failures: u64::MAX };
        f.status.prober.netns = Some("n".repeat(255));
        f.status.prober.late = u64::MAX;
        f.status.prober.results = (0..12).map(|i| (format!("SOCKERR{i}"), u64::MAX)).collect();
        super::fake_counts::make_extreme(&mut f.events, &mut f.counters);
        f.server = None;
        f
    }

    fn unknown(&self, kind: &'static str, name: &str, names: &[String]) -> VerbError {
        let near = nearest(name, names.iter().map(String::as_str), 3);
        VerbError::Unknown { kind, name: name.into(), nearest: near.into_iter().map(str::to_owned).collect() }
    }

    fn check_frontend(&self, name: &str) -> Result<&FrontendView, VerbError> {
        self.frontends
            .iter()
            .find(|f| f.name == name)
            .ok_or_else(|| self.unknown("frontend", name, &self.names(NameKind::Frontend)))
    }

    fn done(&mut self, text: String) -> Result<Done, VerbError> {
        self.told.push(text.clone());
        Ok(Done { changed: true, text })
    }

    fn ticket(&mut self, finished: Finished) -> Result<Ticket, VerbError> {
        let ticket = Ticket(self.answers.len() as u64 + 1);
        self.answers.insert(ticket, finished);
        Ok(ticket)
    }

    fn config(&mut self, path: &str, applied: bool) -> Result<Ticket, VerbError> {
        let ok = self.config_ok;
        self.ticket(Finished::Config(ConfigView {
            path: path.into(),
            ok,
            applied: ok && applied,
            errors: if ok { vec![] } else { vec![format!("{path}:3:5: unknown key `intervall`")] },
            warnings: vec![format!("{path}:9:1: key `metrics` has no meaning here")],
            summary: if ok { "2 backends added, 1 removed, 0 changed".into() } else { String::new() },
        }))
    }
}

impl Operator for Fake {
    fn applying(&self) -> bool {
        self.applying.get() > 0 && self.applying.replace(self.applying.get() - 1) > 0
    }
    fn catch_up(&mut self) {}

    fn finish_reload(&mut self) {
        self.applying.set(0);
    }
    fn status(&self) -> StatusView {
        self.status.clone()
    }
    fn version(&self) -> VersionView {
        VersionView {
            maglev: "0.1.0".into(),
            built_for: None,
            running_in: Some("26.10-rc0~123-g0123456789abcdef".into()),
            lb_messages: vec!["lb_as_set_weight_01234567".into(); 3],
        }
    }
    fn config_yaml(&self) -> Result<String, VerbError> {
        if self.config_ok {
            Ok("maglev:\n  frontends:\n    web:\n      port: 443\n".into())
        } else {
            Err(VerbError::Refused("no configuration is loaded".into()))
        }
    }
    fn frontends(&self) -> Vec<FrontendView> {
        self.frontends.clone()
    }
    fn frontend(&mut self, name: &str) -> Result<FrontendView, VerbError> {
        self.check_frontend(name).cloned()
    }
    fn backends(&self) -> Vec<BackendView> {
        self.backends.clone()
    }
    fn backend(&self, name: &str) -> Result<BackendView, VerbError> {
        let found = self.backends.iter().find(|b| b.name == name);
        found.cloned().ok_or_else(|| self.unknown("backend", name, &self.names(NameKind::Backend)))
    }
    fn healthchecks(&self) -> Vec<HealthcheckView> {
        self.healthchecks.clone()
    }
    fn healthcheck(&self, name: &str) -> Result<HealthcheckView, VerbError> {
        let found = self.healthchecks.iter().find(|h| h.name == name);
        found.cloned().ok_or_else(|| self.unknown("healthcheck", name, &self.names(NameKind::Healthcheck)))
    }
    fn lb(&mut self, frontend: Option<&str>) -> Result<LbView, VerbError> {
        if let Some(f) = frontend {
            self.check_frontend(f)?;
        }
        Ok(self.lb.clone())
    }
    fn events(&self, last: Option<usize>) -> EventsView {
        let mut v = self.events.clone();
        if let Some(n) = last {
            v.events.drain(..v.events.len().saturating_sub(n));
        }
        v
    }
    fn counters(&mut self) -> CountersView {
        self.counters.clone()
    }
    fn flow(
        &mut self,
        frontend: &str,
        source: IpAddr,
        port: u16,
        destination_port: Option<u16>,
    ) -> Result<FlowView, VerbError> {
        self.check_frontend(frontend)?;
        self.told.push(format!("flow to {destination_port:?}"));
        Ok(FlowView {
            frontend: frontend.into(),
            source: source.to_string(),
            source_port: port,
            server: self.server.clone(),
            backend: self.server.as_ref().map(|_| "nginx0".into()),
            bucket: 17,
            table_length: 1024,
        })
    }
    fn set_backend(&mut self, name: &str, verb: BackendVerb) -> Result<Done, VerbError> {
        self.backend(name)?;
        self.done(format!("backend `{name}` {}d", verb.as_str()))
    }
    fn set_weight(
        &mut self,
        frontend: &str,
        pool: &str,
        backend: &str,
        weight: Option<u8>,
        flush: bool,
    ) -> Result<Done, VerbError> {
        self.check_frontend(frontend)?;
        self.done(format!("{frontend} {pool} {backend} {weight:?} {flush}"))
    }
    fn flush(&mut self, frontend: &str) -> Result<Done, VerbError> {
        self.check_frontend(frontend)?;
        self.done(format!("flushed {frontend}"))
    }
    fn probe(&mut self, backend: &str) -> Result<Ticket, VerbError> {
        self.backend(backend)?;
        self.ticket(Finished::Probe(ProbeView {
            backend: backend.into(),
            code: "L7OK".into(),
            detail: "HTTP 200".into(),
            latency_us: 1204,
            verdict: "pass".into(),
        }))
    }
    fn sync(&mut self, frontend: Option<&str>) -> Result<Ticket, VerbError> {
        if let Some(f) = frontend {
            self.check_frontend(f)?;
        }
        let failures = self.sync_failures.clone();
        self.ticket(Finished::Sync(SyncView { frontends: 2, writes: 1, failures }))
    }
    fn config_check(&mut self, path: Option<&str>) -> Result<Ticket, VerbError> {
        self.config(path.unwrap_or("/etc/vpp/maglev.yaml"), false)
    }
    fn config_reload(&mut self, force: bool) -> Result<Ticket, VerbError> {
        self.forced = force;
        self.config("/etc/vpp/maglev.yaml", true)
    }
    fn settled(&self) -> bool {
        !self.unsettled
    }
    fn lacking(&self) -> Vec<String> {
        self.lacking.clone()
    }
    fn take(&mut self, ticket: Ticket) -> Option<Finished> {
        if self.delay > 0 {
            self.delay -= 1;
            return None;
        }
        self.answers.remove(&ticket)
    }
    fn names(&self, kind: NameKind) -> Vec<String> {
        match kind {
            NameKind::Backend => self.backends.iter().map(|b| b.name.clone()).collect(),
            NameKind::Frontend => self.frontends.iter().map(|f| f.name.clone()).collect(),
            NameKind::Healthcheck => self.healthchecks.iter().map(|h| h.name.clone()).collect(),
        }
    }
}
