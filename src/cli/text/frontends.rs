//! `show frontends [<f>]`

use super::super::layout::{Column, WIDTH, field, table, width, wrap};
use super::{list, or_any, or_dash, yes};
use crate::control::view::{FrontendView, MemberView};

/// So much of what is not in `lb` yet is told one by one.
const LACKS: usize = 5;

pub(in super::super) fn frontends(all: &[FrontendView]) -> String {
    const COLUMNS: [Column; 7] = [
        Column { head: "frontend", least: 9 },
        Column { head: "address", least: 16 },
        Column { head: "proto", least: 5 },
        Column { head: "port", least: 4 },
        Column { head: "state", least: 5 },
        Column { head: "pool", least: 7 },
        Column { head: "backends", least: 0 },
    ];
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|f| {
            vec![
                f.name.clone(),
                f.address.clone(),
                or_any(f.protocol.map(|p| p.as_str())),
                or_any(f.port),
                f.state.clone(),
                f.pool.clone(),
                format!("{}/{}{}", f.serving, f.total, if f.in_panic { " [panic]" } else { "" }),
            ]
        })
        .collect();
    table(&COLUMNS, &rows)
}

pub(in super::super) fn frontend(f: &FrontendView) -> String {
    let mut out = String::new();
    let o = &mut out;
    field(o, "frontend", &f.name);
    if !f.description.is_empty() {
        field(o, "description", &f.description);
    }
    field(o, "address", &f.address);
    field(o, "protocol", or_any(f.protocol.map(|p| p.as_str())));
    field(o, "port", or_any(f.port));
    field(o, "state", &f.state);
    field(o, "active pool", &f.pool);
    field(o, "serving", format!("{} of {} backends", f.serving, f.total));
    field(o, "programmed", yes(f.programmed));
    if let Some(e) = &f.error {
        field(o, "error", e);
    }
    for lack in f.lacks.iter().take(LACKS) {
        field(o, "not in lb yet", lack);
    }
    if let Some(more @ 1..) = f.lacks.len().checked_sub(LACKS) {
        field(o, "not in lb yet", format!("and {more} more"));
    }
    field(o, "encap", &f.encap);
    field(o, "table length", f.table_length);
    field(o, "src-ip-sticky", yes(f.src_ip_sticky));
    field(o, "flush-on-down", yes(f.flush_on_down));
    if let Some(seconds) = f.slow_start {
        field(o, "slow-start", format!("{seconds} s"));
    }
    if let Some(panic) = &f.panic {
        field(o, "panic", panic);
    }
    let overridden: Vec<String> = f
        .pools
        .iter()
        .flat_map(|p| {
            p.backends.iter().filter(|m| m.overridden).map(|m| format!("{} in pool {}", m.name, p.name))
        })
        .collect();
    if !overridden.is_empty() {
        field(o, "weight overrides", list(&overridden));
    }
    if !f.leaving.is_empty() {
        field(o, "leaving", list(&f.leaving));
    }
    for p in &f.pools {
        out.push_str(&wrap(&format!("pool {}{}", p.name, if p.active { " (active)" } else { "" }), 0, 4));
        for m in &p.backends {
            out.push_str(&member(m));
        }
    }
    out
}

/// The line that scripts match. It is one line wherever that fits into 80 columns, which is so for every name of up to
/// 16 characters as long as the counter has at most four digits; else the name has a line of its own. The mark moves
/// below the line before the line is broken.
fn member(m: &MemberView) -> String {
    let rest = format!(
        "weight {}  effective {}  state {}  buckets {}",
        m.weight,
        m.effective,
        m.state,
        or_dash(m.buckets)
    );
    let line = format!("  {}  {rest}", m.name);
    let mark = if m.disabled { "  [disabled]" } else { "" };
    if width(&line).saturating_add(mark.len()) <= WIDTH {
        return format!("{line}{mark}\n");
    }
    let mut out = if width(&line) <= WIDTH {
        format!("{line}\n")
    } else {
        format!("{}{}", wrap(&m.name, 2, 2), wrap(&rest, 4, 6))
    };
    if m.disabled {
        out.push_str("    [disabled]\n");
    }
    out
}
