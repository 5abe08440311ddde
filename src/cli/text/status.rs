//! `show status`, `show version`

use super::super::layout::{field, wrap};
use super::super::when;
use super::{agents, list, or_dash};
use crate::budget::size;
use crate::control::view::{
    ApiClientsView, LbStatusView, MemoryView, ProberView, StateFileView, StatusView, VersionView,
};
use crate::lb::memory;

/// What needs an operator's hand comes first.
pub(in super::super) fn status(v: &StatusView, now: u64) -> String {
    let mut out = String::new();
    let o = &mut out;
    for p in &v.problems {
        field(o, "problem", format!("{}: {} (for {})", p.kind, p.text, when::age(p.since_ms, now)));
    }
    field(o, "state", &v.state);
    if let Some(r) = &v.reason {
        field(o, "reason", r);
    }
    if let Some(u) = &v.lb.unavailable {
        field(o, "lb unavailable", u);
    }
    if !v.lb.failing.is_empty() {
        field(o, "lb failing", list(&v.lb.failing));
    }
    if !v.prober.running {
        field(o, "prober", "not running");
    }
    if let Some(e) = &v.state_file.error {
        field(o, "state not saved", e);
    }
    field(o, "frontends", by_state(&v.frontends));
    field(o, "backends", by_state(&v.backends));
    field(o, "uptime", when::span(v.uptime_ms));
    field(o, "config", &v.config_path);
    field(o, "config loaded", v.config_loaded_ms.map_or_else(|| "never".into(), |t| when::at(t, now)));
    for e in &v.config_errors {
        field(o, "config error", e);
    }
    for w in &v.config_warnings {
        field(o, "config warning", w);
    }
    state_file(o, &v.state_file, now);
    lb(o, &v.lb, now);
    prober(o, &v.prober);
    if let Some(text) = agents(&v.agents) {
        let (in_flight, waiting) = (v.prober.agents_in_flight, v.prober.agents_waiting);
        field(o, "agents", format!("{text}, {in_flight} in flight, {waiting} waiting"));
    }
    if let Some(a) = &v.api {
        field(o, "api", api(a));
    }
    memory(o, &v.memory);
    out
}

fn memory(o: &mut String, m: &MemoryView) {
    if let Some(h) = &m.heap {
        field(o, "heap", format!("own, {} mapped, at most {}", size(h.used), size(h.most)));
    }
    let parts: Vec<String> = m
        .budgets
        .iter()
        .map(|b| {
            let refused = if b.refused == 0 { String::new() } else { format!(" ({} refused)", b.refused) };
            format!("{} {} of {}{refused}", b.name, size(b.used), size(b.limit))
        })
        .collect();
    if !parts.is_empty() {
        field(o, "memory", list(&parts));
    }
}

fn api(a: &ApiClientsView) -> String {
    let ApiClientsView { subscribers, events_lost, replies_dropped, unread_bytes, kept_bytes } = a;
    format!(
        "{subscribers} {}, {events_lost} events lost, {replies_dropped} replies dropped, {unread_bytes} bytes unread, \
         {kept_bytes} kept",
        if *subscribers == 1 { "subscriber" } else { "subscribers" }
    )
}

fn state_file(o: &mut String, s: &StateFileView, now: u64) {
    field(o, "state file", or_dash(s.path.as_deref()));
    if s.path.is_some() {
        field(o, "state saved", s.saved_ms.map_or_else(|| "never".into(), |t| when::at(t, now)));
    }
    if let Some(p) = &s.problem {
        field(o, "state not read", p);
    }
}

fn lb(o: &mut String, lb: &LbStatusView, now: u64) {
    let threads = if lb.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", lb.threads) };
    field(o, "lb", format!("{}, {threads}", lb.kind));
    field(o, "lb last sync", lb.last_sync_ms.map_or_else(|| "never".into(), |t| when::at(t, now)));
    field(o, "lb syncs", lb.syncs);
    let times = if lb.calls == 0 {
        String::new()
    } else {
        format!(", mean {}, longest {}", when::latency(lb.call_mean_us), when::latency(lb.call_max_us))
    };
    field(o, "lb calls", format!("{}, failed {}{times}", lb.calls, lb.failures));
    if lb.lost_tables > 0 {
        let lost = format!("{}, {}", lb.lost_tables, memory::size(lb.lost_bytes));
        field(o, "lb lost tables", lost);
    }
}

fn prober(o: &mut String, p: &ProberView) {
    if p.running {
        let beat = p
            .last_beat_ms_ago
            .map_or_else(|| "no beat yet".into(), |ms| format!("beat {} ago", when::span(ms)));
        field(o, "prober", format!("running, {beat}"));
    }
    field(o, "netns", p.netns.as_deref().unwrap_or("-"));
    field(o, "probes", format!("{} done, {} in flight, {} waiting", p.probes, p.in_flight, p.waiting));
    let worst = if p.late == 0 { String::new() } else { format!(", at most {}", when::span(p.latest_ms)) };
    field(o, "late starts", format!("{}{worst}", p.late));
    field(o, "main stalls", p.main_stalls);
    let results: Vec<String> = p.results.iter().map(|(code, n)| format!("{code} {n}")).collect();
    field(o, "results", list(&results));
}

/// `5: 3 up, 2 down`
fn by_state(counts: &[(String, usize)]) -> String {
    let total: usize = counts.iter().map(|(_, n)| n).sum();
    let parts: Vec<String> = counts.iter().map(|(state, n)| format!("{n} {state}")).collect();
    if parts.is_empty() { total.to_string() } else { format!("{total}: {}", list(&parts)) }
}

pub(in super::super) fn version(v: &VersionView) -> String {
    let mut out = String::new();
    let o = &mut out;
    field(o, "maglev", &v.maglev);
    field(o, "built for VPP", or_dash(v.built_for.as_deref()));
    field(o, "running in VPP", or_dash(v.running_in.as_deref()));
    if !v.lb_messages.is_empty() {
        out.push_str("messages of lb\n");
        for m in &v.lb_messages {
            out.push_str(&wrap(m, 2, 6));
        }
    }
    out
}
