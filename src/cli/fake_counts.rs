//! Events and counters of the fake control plane.

use super::fake::NOW;
use crate::control::view::{
    AgentCountsView, BackendCountersView, CountersView, EventFields, EventView, EventsView, LatencyView,
    LbCallsView, ProbeCountersView, ServingView, VipCountersView,
};

pub(super) fn events() -> EventsView {
    let event = |sequence, kind, text: &str, fields| EventView {
        sequence,
        at_ms: NOW - 10_000 + sequence,
        kind,
        level: "notice",
        text: text.into(),
        fields,
    };
    EventsView {
        dropped: 41,
        kept: 3,
        events: vec![
            event(
                42,
                "backend-transition",
                "backend-transition backend=nginx0 from=up to=down code=L7STS detail=\"HTTP 503\"",
                EventFields::Backend {
                    backend: "nginx0".into(),
                    from: Some("up".into()),
                    to: "down".into(),
                    code: "L7STS".into(),
                    detail: "HTTP 503".into(),
                },
            ),
            event(43, "lb-sync", "lb-sync settings", EventFields::LbSync { failed: false }),
            event(44, "engine", "engine thawed", EventFields::Engine {}),
        ],
    }
}

pub(super) fn counters() -> CountersView {
    let latency = LatencyView { samples: 60, p50_us: Some(1152), p99_us: Some(3584) };
    CountersView {
        lb_error: None,
        vips: vec![VipCountersView {
            frontend: "web".into(),
            vip: "192.0.2.10:443/tcp".into(),
            existing: 12_345,
            first: 678,
            untracked: 9,
            no_server: 0,
        }],
        backends: vec![
            BackendCountersView {
                backend: "nginx0".into(),
                address: "10.0.0.1".into(),
                results: vec![("L7OK".into(), 155), ("L7STS".into(), 3)],
                latency,
                transitions: 2,
                agent: Some(AgentCountsView { queries: 61, replies: 58, failures: 2 }),
                serving: vec![ServingView { frontend: "web".into(), buckets: 512, flows: Some(17) }],
            },
            BackendCountersView {
                backend: "spare".into(),
                address: "10.0.0.3".into(),
                results: vec![],
                latency: LatencyView::default(),
                transitions: 1,
                agent: None,
                serving: vec![],
            },
        ],
        syncs: vec![("event".into(), 4), ("interval".into(), 7)],
        lb_calls: LbCallsView { count: 14, failures: 0, mean_us: 35, max_us: 83, latency },
        probes: ProbeCountersView {
            ordered: 158,
            results: vec![("L7OK".into(), 155), ("L7STS".into(), 3)],
            late: 1,
            latest_ms: 120,
            main_stalls: 0,
        },
        agents: AgentCountsView { queries: 61, replies: 58, failures: 2 },
    }
}

/// The longest of everything.
pub(super) fn make_extreme(events: &mut EventsView, counters: &mut CountersView) {
    events.dropped = u64::MAX;
    for e in &mut events.events {
        e.sequence = u64::MAX;
        e.text = format!("lb-sync {} {} \u{1b}[2J", "x".repeat(300), "words ".repeat(40));
    }
    let name = |c: char| c.to_string().repeat(63);
    counters.lb_error = Some("e ".repeat(200));
    let max = LatencyView { samples: u64::MAX, p50_us: Some(u64::MAX), p99_us: Some(u64::MAX) };
    counters.lb_calls = LbCallsView {
        count: u64::MAX,
        failures: u64::MAX,
        mean_us: u64::MAX,
        max_us: u64::MAX,
        latency: max,
    };
    counters.probes.late = u64::MAX;
    counters.probes.latest_ms = u64::MAX;
    counters.probes.results = (0..12).map(|i| (format!("SOCKERR{i}"), u64::MAX)).collect();
    counters.agents = AgentCountsView { queries: u64::MAX, replies: u64::MAX, failures: u64::MAX };
    for v in &mut counters.vips {
        v.frontend = name('f');
        (v.existing, v.first, v.untracked, v.no_server) = (u64::MAX, u64::MAX, u64::MAX, u64::MAX);
    }
    for b in &mut counters.backends {
        b.backend = name('b');
        b.latency = max;
        b.results = counters.probes.results.clone();
        b.transitions = u64::MAX;
        b.agent = Some(counters.agents);
        b.serving = vec![ServingView { frontend: name('f'), buckets: u32::MAX, flows: Some(u64::MAX) }; 3];
    }
}
