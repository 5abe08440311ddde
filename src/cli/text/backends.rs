//! `show backends [<b>]`

use super::super::layout::{Column, field, table, wrap};
use super::super::when;
use super::or_dash;
use crate::control::view::BackendView;

pub(in super::super) fn backends(all: &[BackendView], now: u64) -> String {
    const COLUMNS: [Column; 7] = [
        Column { head: "backend", least: 9 },
        Column { head: "address", least: 15 },
        Column { head: "healthcheck", least: 9 },
        Column { head: "state", least: 8 },
        Column { head: "for", least: 5 },
        Column { head: "last", least: 7 },
        Column { head: "latency", least: 0 },
    ];
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|b| {
            vec![
                b.name.clone(),
                b.address.clone(),
                or_dash(b.healthcheck.as_deref()),
                b.display.clone(),
                when::age(b.since_ms, now),
                or_dash(b.last_code.as_deref()),
                or_dash(b.last_latency_us.map(when::latency)),
            ]
        })
        .collect();
    table(&COLUMNS, &rows)
}

pub(in super::super) fn backend(b: &BackendView, now: u64) -> String {
    let mut out = String::new();
    let o = &mut out;
    field(o, "backend", &b.name);
    field(o, "address", &b.address);
    field(o, "healthcheck", b.healthcheck.as_deref().unwrap_or("none"));
    field(o, "state", &b.display);
    field(o, "since", when::at(b.since_ms, now));
    field(o, "because", &b.verdict);
    if let Some(w) = &b.waits_for {
        field(o, "waits for", w);
    }
    hands(o, b, now);
    ties(o, b);
    if b.healthcheck.is_some() {
        field(o, "counter", format!("{} of {} (rise {}, fall {})", b.counter, b.counter_max, b.rise, b.fall));
        let result =
            b.last_code.as_deref().map_or_else(|| "none yet".into(), |c| format!("{c} {}", b.last_detail));
        field(o, "last result", result.trim_end());
        field(o, "last probe", or_dash(b.last_probe_ms.map(|t| when::at(t, now))));
        field(o, "latency", or_dash(b.last_latency_us.map(when::latency)));
        field(
            o,
            "probes",
            format!("{} passed, {} failed, {} could not be made", b.passes, b.failures, b.sockerrs),
        );
    }
    out.push_str(if b.frontends.is_empty() { "in no frontend\n" } else { "in frontends\n" });
    for m in &b.frontends {
        let line = format!(
            "{} pool {}{}  weight {}{}{}  effective {}{}",
            m.frontend,
            m.pool,
            if m.pool_active { " (active)" } else { "" },
            m.weight,
            if m.overridden { format!(" (override of {})", m.configured) } else { String::new() },
            if m.with_agent == m.weight { String::new() } else { format!("  with agent {}", m.with_agent) },
            m.effective,
            if m.why.is_empty() { String::new() } else { format!("  ({})", m.why) }
        );
        out.push_str(&wrap(&line, 2, 6));
    }
    out.push_str(if b.transitions.is_empty() { "no transitions\n" } else { "transitions, newest first\n" });
    for t in &b.transitions {
        let line = format!(
            "{} ({} ago)  {} -> {}  {} {}",
            when::iso(t.at_ms),
            when::age(t.at_ms, now),
            t.from,
            t.to,
            t.code,
            t.detail
        );
        out.push_str(&wrap(&line, 2, 6));
    }
    out
}

/// What each hand says, and since when.
fn hands(o: &mut String, b: &BackendView, now: u64) {
    for h in &b.hands {
        let since = h.since_ms.map_or_else(String::new, |t| format!(" for {}", when::age(t, now)));
        let detail = if h.detail.is_empty() { String::new() } else { format!(" ({})", h.detail) };
        field(o, h.hand, format!("{}{since}{detail}", h.says));
    }
}

fn ties(o: &mut String, b: &BackendView) {
    let t = &b.ties;
    if let Some(name) = &t.tracks {
        field(o, "tracks", name);
    }
    if !t.tracked_by.is_empty() {
        field(o, "tracked by", t.tracked_by.join(", "));
    }
    if let Some(name) = &t.agent_track {
        field(o, "agent-track", name);
    }
    if !t.agent_tracked_by.is_empty() {
        field(o, "share goes to", t.agent_tracked_by.join(", "));
    }
}
