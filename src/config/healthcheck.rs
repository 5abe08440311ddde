//! `healthchecks`: what all types share. What differs by type is in [`super::params`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::context::{Context, Map};
use super::global_keys::{ABOVE_ZERO, MAX_COUNT};
use super::{CounterKind, Healthcheck, params};
use crate::Name;

/// The least that an interval may be.
pub(super) const MIN_INTERVAL: Duration = Duration::from_millis(10);
/// The default interval, and the most that the default timeout is.
pub(super) const DEFAULT_INTERVAL: Duration = Duration::from_secs(2);
/// The most jitter, in percent.
const MAX_JITTER: f64 = 50.0;
const TYPES: &[&str] = &["http", "https", "tcp", "icmp", "dns", "udp"];

/// Every name in the section, with its healthcheck where that is valid and can be run.
pub(super) type Healthchecks = BTreeMap<Name, Option<Arc<Healthcheck>>>;

/// The section `healthchecks`.
pub(super) fn healthchecks(ctx: &mut Context, map: &Map<'_>) -> Healthchecks {
    let mut all = Healthchecks::new();
    for entry in map.entries {
        let name = ctx.name(entry.pos, "healthcheck", &entry.key);
        let Some(map) = ctx.map(entry) else { continue };
        // Read even when the name is bad, for the other errors in it.
        let shown = name.clone().unwrap_or_else(|| Name::from(&*entry.key));
        let check = healthcheck(ctx, &map, &shown);
        if let Some(name) = name {
            all.insert(name, check.map(Arc::new));
        }
    }
    all
}

fn healthcheck(ctx: &mut Context, map: &Map<'_>, name: &Name) -> Option<Healthcheck> {
    ctx.keys(
        map,
        &[
            "type",
            "port",
            "interval",
            "fast-interval",
            "down-interval",
            "timeout",
            "rise",
            "fall",
            "counter",
            "jitter",
            "probe-ipv4-src",
            "probe-ipv6-src",
            "params",
        ],
    );
    let kind = match map.get("type") {
        Some(item) => ctx.word(item, TYPES),
        None => {
            ctx.error(map.pos, format!("healthcheck `{}` lacks `type`", super::issue::clip(name)));
            None
        }
    };
    let port = port(ctx, map, name, kind);
    let kind = params::params(ctx, map, kind);

    let interval = duration_or(ctx, map, "interval", MIN_INTERVAL, Some(DEFAULT_INTERVAL));
    let fast_interval = duration_or(ctx, map, "fast-interval", MIN_INTERVAL, interval);
    let down_interval = duration_or(ctx, map, "down-interval", MIN_INTERVAL, interval);
    let timeout = duration_or(ctx, map, "timeout", ABOVE_ZERO, interval.map(|i| i.min(DEFAULT_INTERVAL)));
    let rise = map.get("rise").map_or(Some(2), |i| ctx.int(i, 1, MAX_COUNT));
    let fall = map.get("fall").map_or(Some(3), |i| ctx.int(i, 1, MAX_COUNT));
    let counter = match map.get("counter") {
        None => Some(CounterKind::Linear),
        Some(item) => ctx.word(item, &["linear", "haproxy"]).map(|word| match word {
            "haproxy" => CounterKind::Haproxy,
            _ => CounterKind::Linear,
        }),
    };
    let jitter = map.get("jitter").map_or(Some(10.0), |i| ctx.percent(i, 0.0, MAX_JITTER));
    let probe_ipv4_src = map.get("probe-ipv4-src").map(|i| ctx.ipv4(i));
    let probe_ipv6_src = map.get("probe-ipv6-src").map(|i| ctx.ipv6(i));
    Some(Healthcheck {
        name: Name::clone(name),
        kind: kind?,
        port: port?,
        interval: interval?,
        fast_interval: fast_interval?,
        down_interval: down_interval?,
        timeout: timeout?,
        rise: rise?,
        fall: fall?,
        counter: counter?,
        jitter_percent: jitter?,
        probe_ipv4_src: probe_ipv4_src.unwrap_or_default(),
        probe_ipv6_src: probe_ipv6_src.unwrap_or_default(),
    })
}

fn port(ctx: &mut Context, map: &Map<'_>, name: &str, kind: Option<&str>) -> Option<u16> {
    let given = map.get("port");
    if let (Some("icmp"), Some(item)) = (kind, given) {
        ctx.warn(item.key_pos, "`port` has no meaning for type icmp");
    }
    if let Some(item) = given {
        let port = ctx.int(item, 1, 65535).and_then(|p| u16::try_from(p).ok());
        return if kind == Some("icmp") { port.map(|_| 0) } else { port };
    }
    match kind {
        Some("icmp") => Some(0),
        Some("dns") => Some(53),
        Some(kind) => {
            let name = super::issue::clip(name);
            ctx.error(map.pos, format!("healthcheck `{name}` lacks `port`, which type {kind} needs"));
            None
        }
        None => None,
    }
}

/// The duration under a key, else the default.
pub(super) fn duration_or(
    ctx: &mut Context,
    map: &Map<'_>,
    key: &str,
    low: Duration,
    default: Option<Duration>,
) -> Option<Duration> {
    map.get(key).map_or(default, |item| ctx.duration(item, low))
}
