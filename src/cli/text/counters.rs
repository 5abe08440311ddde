//! `show counters`

use super::super::layout::{Column, field, table, wrap};
use super::super::when;
use super::{agents, list, or_dash};
use crate::control::view::{BackendCountersView, CountersView, LatencyView, VipCountersView};

pub(in super::super) fn counters(v: &CountersView) -> String {
    let mut out = String::new();
    let o = &mut out;
    if let Some(e) = &v.lb_error {
        field(o, "lb", e);
    }
    field(o, "syncs", pairs(&v.syncs));
    let calls = &v.lb_calls;
    let times = if calls.count == 0 {
        String::new()
    } else {
        format!(
            ", mean {}, {}, longest {}",
            when::latency(calls.mean_us),
            percentiles(&calls.latency),
            when::latency(calls.max_us)
        )
    };
    field(o, "lb calls", format!("{}, failed {}{times}", calls.count, calls.failures));
    let p = &v.probes;
    field(o, "probes", p.ordered);
    field(o, "results", pairs(&p.results));
    let worst = if p.late == 0 { String::new() } else { format!(", at most {}", when::span(p.latest_ms)) };
    field(o, "late starts", format!("{}{worst}", p.late));
    field(o, "main stalls", p.main_stalls);
    if let Some(text) = agents(&v.agents) {
        field(o, "agents", text);
    }
    if !v.vips.is_empty() {
        o.push('\n');
        o.push_str(&vips(&v.vips));
    }
    o.push('\n');
    o.push_str(&backends(&v.backends));
    o.push('\n');
    for b in &v.backends {
        let line = format!(
            "{}  transitions {}  results {}{}",
            b.backend,
            b.transitions,
            if b.results.is_empty() { "-".to_owned() } else { pairs(&b.results) },
            b.agent.as_ref().and_then(agents).map_or_else(String::new, |text| format!("  agent {text}"))
        );
        o.push_str(&wrap(&line, 0, 4));
    }
    out
}

fn vips(all: &[VipCountersView]) -> String {
    const COLUMNS: [Column; 5] = [
        Column { head: "frontend", least: 10 },
        Column { head: "existing", least: 12 },
        Column { head: "first", least: 12 },
        Column { head: "untracked", least: 9 },
        Column { head: "no server", least: 9 },
    ];
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|v| {
            let mut row = vec![v.frontend.clone()];
            row.extend([v.existing, v.first, v.untracked, v.no_server].map(|n| n.to_string()));
            row
        })
        .collect();
    table(&COLUMNS, &rows)
}

/// A line for each frontend that a backend is in; p50 and p99 are of the last minute's probes.
fn backends(all: &[BackendCountersView]) -> String {
    const COLUMNS: [Column; 6] = [
        Column { head: "backend", least: 10 },
        Column { head: "frontend", least: 10 },
        Column { head: "buckets", least: 7 },
        Column { head: "flows", least: 7 },
        Column { head: "p50", least: 8 },
        Column { head: "p99", least: 0 },
    ];
    let mut rows: Vec<Vec<String>> = Vec::new();
    for b in all {
        let latency =
            [or_dash(b.latency.p50_us.map(when::latency)), or_dash(b.latency.p99_us.map(when::latency))];
        let mut row = |f: String, buckets: String, flows: String| {
            let [p50, p99] = latency.clone();
            rows.push(vec![b.backend.clone(), f, buckets, flows, p50, p99]);
        };
        if b.serving.is_empty() {
            row("-".into(), "-".into(), "-".into());
        }
        for s in &b.serving {
            row(s.frontend.clone(), s.buckets.to_string(), or_dash(s.flows));
        }
    }
    table(&COLUMNS, &rows)
}

fn percentiles(l: &LatencyView) -> String {
    format!("p50 {}, p99 {}", or_dash(l.p50_us.map(when::latency)), or_dash(l.p99_us.map(when::latency)))
}

/// `event 3, interval 7`
fn pairs(all: &[(String, u64)]) -> String {
    let all: Vec<String> = all.iter().map(|(what, n)| format!("{what} {n}")).collect();
    list(&all)
}
