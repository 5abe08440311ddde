//! `healthchecker` and `vpp.lb`.

use std::time::Duration;

use super::context::{Context, Map};
use super::scalar::format_duration;
use super::{Healthchecker, LbConfig};

/// The most that a count may be; far above sense, below what could overflow.
pub(super) const MAX_COUNT: u32 = 1_000_000;
/// Above zero.
pub(super) const ABOVE_ZERO: Duration = Duration::from_nanos(1);

/// `healthchecker`; what is wrong is reported and left at its default.
pub(super) fn healthchecker(ctx: &mut Context, map: &Map<'_>) -> Healthchecker {
    ctx.keys(map, &["transition-history", "netns", "max-in-flight", "max-agents-in-flight"]);
    let mut out = Healthchecker::default();
    for (key, count) in [
        ("transition-history", &mut out.transition_history),
        ("max-in-flight", &mut out.max_in_flight),
        ("max-agents-in-flight", &mut out.max_agents_in_flight),
    ] {
        if let Some(n) = map.get(key).and_then(|i| ctx.int(i, 1, MAX_COUNT)) {
            *count = n as usize;
        }
    }
    if let Some(item) = map.get("netns")
        && let Some(name) = ctx.text(item)
        && !name.is_empty()
    {
        // It becomes a file name below /run/netns.
        let bad = name.contains('/') || name.chars().any(char::is_control) || name.len() > 255;
        if bad || name == "." || name == ".." {
            ctx.error(item.pos(), "`netns` must be the name of a network namespace, not a path");
        } else {
            out.netns = Some(name.to_owned());
        }
    }
    out
}

/// `vpp`; what is wrong is reported and left at its default.
pub(super) fn vpp(ctx: &mut Context, map: &Map<'_>) -> LbConfig {
    ctx.keys(map, &["lb"]);
    match ctx.submap(map, "lb") {
        Some(lb_map) => lb(ctx, &lb_map),
        None => LbConfig::default(),
    }
}

fn lb(ctx: &mut Context, map: &Map<'_>) -> LbConfig {
    ctx.keys(
        map,
        &[
            "ipv4-src-address",
            "ipv6-src-address",
            "sync-interval",
            "sticky-buckets-per-core",
            "flow-timeout",
            "startup-min-delay",
            "startup-max-delay",
            "agent-weight-interval",
        ],
    );
    let mut out = LbConfig {
        ipv4_src_address: map.get("ipv4-src-address").and_then(|i| ctx.ipv4(i)),
        ipv6_src_address: map.get("ipv6-src-address").and_then(|i| ctx.ipv6(i)),
        ..LbConfig::default()
    };
    if let Some(d) = map.get("sync-interval").and_then(|i| ctx.duration(i, ABOVE_ZERO)) {
        out.sync_interval = d;
    }
    if let Some(d) = map.get("agent-weight-interval").and_then(|i| ctx.duration(i, Duration::ZERO)) {
        out.agent_weight_interval = d;
    }
    if let Some(n) = map.get("sticky-buckets-per-core").and_then(|i| ctx.power_of_two(i, 1 << 20)) {
        out.sticky_buckets_per_core = n;
    }
    if let Some(item) = map.get("flow-timeout")
        && let Some(d) = ctx.duration(item, Duration::ZERO)
    {
        if d.subsec_nanos() == 0 && (1..=120).contains(&d.as_secs()) {
            out.flow_timeout = d;
        } else {
            let is = format_duration(d);
            ctx.error(item.pos(), format!("`flow-timeout` must be whole seconds from 1s to 120s, not {is}"));
        }
    }
    let (min, max) = (map.get("startup-min-delay"), map.get("startup-max-delay"));
    let min_delay = min.map(|i| ctx.duration(i, Duration::ZERO));
    let max_delay = max.map(|i| ctx.duration(i, Duration::ZERO));
    out.startup_min_delay = min_delay.flatten().unwrap_or(out.startup_min_delay);
    out.startup_max_delay = max_delay.flatten().unwrap_or(out.startup_max_delay);
    // Not on top of another error in either.
    let both_read = min_delay != Some(None) && max_delay != Some(None);
    if both_read && out.startup_min_delay > out.startup_max_delay {
        let at = min.or(max).map_or(map.pos, |i| i.pos());
        let (min, max) = (format_duration(out.startup_min_delay), format_duration(out.startup_max_delay));
        ctx.error(at, format!("`startup-min-delay` ({min}) must be at most `startup-max-delay` ({max})"));
    }
    out
}
