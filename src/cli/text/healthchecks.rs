//! `show healthchecks [<h>]`

use super::super::layout::{Column, field, table, wrap};
use super::super::when;
use super::{count, list, or_dash};
use crate::control::view::HealthcheckView;

pub(in super::super) fn healthchecks(all: &[HealthcheckView]) -> String {
    const COLUMNS: [Column; 8] = [
        Column { head: "healthcheck", least: 11 },
        Column { head: "type", least: 5 },
        Column { head: "port", least: 5 },
        Column { head: "interval", least: 8 },
        Column { head: "timeout", least: 7 },
        Column { head: "rise", least: 4 },
        Column { head: "fall", least: 4 },
        Column { head: "backends", least: 0 },
    ];
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|h| {
            vec![
                h.name.clone(),
                h.kind.clone(),
                or_dash(h.port),
                when::exact(h.interval_ms),
                when::exact(h.timeout_ms),
                h.rise.to_string(),
                h.fall.to_string(),
                h.backends.len().to_string(),
            ]
        })
        .collect();
    table(&COLUMNS, &rows)
}

pub(in super::super) fn healthcheck(h: &HealthcheckView) -> String {
    let mut out = String::new();
    let o = &mut out;
    field(o, "healthcheck", &h.name);
    field(o, "type", &h.kind);
    field(o, "port", or_dash(h.port));
    field(o, "interval", when::exact(h.interval_ms));
    field(o, "fast-interval", when::exact(h.fast_interval_ms));
    field(o, "down-interval", when::exact(h.down_interval_ms));
    field(o, "timeout", when::exact(h.timeout_ms));
    field(o, "rise", h.rise);
    field(o, "fall", h.fall);
    field(o, "counter", &h.counter);
    field(o, "jitter", format!("{}%", h.jitter_percent));
    if let Some(a) = &h.source_ipv4 {
        field(o, "probe-ipv4-src", a);
    }
    if let Some(a) = &h.source_ipv6 {
        field(o, "probe-ipv6-src", a);
    }
    field(o, "silent is down", format!("after at most {}", when::exact(h.silent_bound_ms)));
    field(o, "refusing is down", format!("after at most {}", when::exact(h.refused_bound_ms)));
    if !h.params.is_empty() {
        out.push_str("params\n");
        for (k, v) in &h.params {
            out.push_str(&wrap(&format!("{k}: {v}"), 2, 6));
        }
    }
    out.push_str(&count(h.backends.len(), "backend"));
    out.push('\n');
    if !h.backends.is_empty() {
        out.push_str(&wrap(&list(&h.backends), 2, 2));
    }
    out
}
