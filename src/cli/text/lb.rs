//! `show lb`, `show flow`

use super::super::layout::{field, wrap};
use crate::control::view::{FlowView, LbView, LbVipView};

pub(in super::super) fn lb(v: &LbView) -> String {
    let mut out = String::new();
    let o = &mut out;
    field(o, "lb", &v.kind);
    field(o, "ip4 source", &v.ip4_src);
    field(o, "ip6 source", &v.ip6_src);
    field(o, "sticky buckets", format!("{} a core", v.sticky_buckets_per_core));
    field(o, "flow timeout", format!("{}s", v.flow_timeout_s));
    field(o, "vips", v.vips.len());
    for vip in &v.vips {
        out.push_str(&one(vip));
    }
    out
}

fn one(v: &LbVipView) -> String {
    let whose = match &v.frontend {
        Some(f) => format!("frontend {f}"),
        None if v.foreign => "foreign".into(),
        None if v.parked => "parked".into(),
        None => "-".into(),
    };
    let mut out = wrap(&format!("vip {}  {whose}  encap {}  table {}", v.vip, v.encap, v.table_length), 0, 4);
    for s in &v.servers {
        let nobody = if s.parked { "parked" } else { "-" };
        let whose = s.backend.as_ref().map_or_else(|| nobody.into(), |b| format!("backend {b}"));
        let line = format!("{}  weight {}  buckets {}  {whose}", s.address, s.weight, s.buckets);
        out.push_str(&wrap(&line, 2, 6));
    }
    out
}

pub(in super::super) fn flow(v: &FlowView) -> String {
    let mut out = String::new();
    let o = &mut out;
    field(o, "frontend", &v.frontend);
    field(o, "source", &v.source);
    field(o, "source port", v.source_port);
    field(o, "bucket", format!("{} of {}", v.bucket, v.table_length));
    match &v.server {
        Some(s) => {
            field(o, "server", s);
            field(o, "backend", v.backend.as_deref().unwrap_or("-"));
        }
        None => field(o, "server", "none has weight: the flow is dropped"),
    }
    out
}
