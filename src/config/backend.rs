//! `backends`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::context::{At, Context, Item, Map};
use super::global_keys::ABOVE_ZERO;
use super::healthcheck::{DEFAULT_INTERVAL, Healthchecks, MIN_INTERVAL, duration_or};
use super::issue::{Pos, clip, quote};
use super::{Backend, Healthcheck};
use crate::Name;

/// A backend as far as it could be read.
pub(super) struct Draft {
    address: Option<At<IpAddr>>,
    healthcheck: Option<Option<Arc<Healthcheck>>>,
    enabled: Option<bool>,
    track: Option<At<Name>>,
    agent_track: Option<At<Name>>,
    has_agent: bool,
}

/// Every name in the section.
pub(super) type Backends = BTreeMap<Name, Draft>;

impl Draft {
    /// Its address, if valid, and where that stands.
    pub(super) fn address(&self) -> Option<At<IpAddr>> {
        self.address
    }

    /// The backend, if all of it is valid.
    pub(super) fn build(&self, name: &Name) -> Option<Backend> {
        Some(Backend {
            name: Name::clone(name),
            address: self.address?.value,
            healthcheck: self.healthcheck.clone()?,
            enabled: self.enabled?,
            track: None,
            agent: None,
            agent_track: None,
        })
    }
}

/// The section `backends`.
pub(super) fn backends(ctx: &mut Context, map: &Map<'_>, checks: &Healthchecks) -> Backends {
    let mut all = Backends::new();
    for entry in map.entries {
        let name = ctx.name(entry.pos, "backend", &entry.key);
        let Some(map) = ctx.map(entry) else { continue };
        let draft = backend(ctx, &map, &entry.key, checks);
        if let Some(name) = name {
            all.insert(name, draft);
        }
    }
    references(ctx, &all);
    all
}

fn backend(ctx: &mut Context, map: &Map<'_>, name: &str, checks: &Healthchecks) -> Draft {
    ctx.keys(map, &["address", "healthcheck", "enabled", "track", "agent", "agent-track"]);
    let address = match map.get("address") {
        Some(item) => ctx.address(item).map(|value| At { pos: item.pos(), value }),
        None => {
            ctx.error(map.pos, format!("backend `{}` lacks `address`", clip(name)));
            None
        }
    };
    let healthcheck = match map.get("healthcheck") {
        None => Some(None),
        Some(item) => healthcheck(ctx, item, checks),
    };
    let enabled = map.get("enabled").map_or(Some(true), |i| ctx.bool(i));
    let mut track = None;
    if let Some(item) = map.get("track") {
        track = ctx.text(item).map(|t| At { pos: item.pos(), value: Name::from(t) });
        if map.get("healthcheck").is_some() {
            ctx.error(item.key_pos, "a backend with `track` takes no `healthcheck` of its own");
        }
        ctx.unsupported(item.key_pos, "track");
    }
    let agent_item = map.get("agent");
    if let Some(item) = agent_item {
        if let Some(map) = ctx.map_node("agent", item.key_pos, item.node) {
            agent(ctx, &map);
        }
        ctx.unsupported(item.key_pos, "agent");
    }
    let mut agent_track = None;
    if let Some(item) = map.get("agent-track") {
        agent_track = ctx.text(item).map(|t| At { pos: item.pos(), value: Name::from(t) });
        if agent_item.is_some() {
            ctx.error(item.key_pos, "a backend with `agent-track` takes no `agent` of its own");
        }
        ctx.unsupported(item.key_pos, "agent-track");
    }
    Draft { address, healthcheck, enabled, track, agent_track, has_agent: agent_item.is_some() }
}

fn healthcheck(ctx: &mut Context, item: Item<'_>, checks: &Healthchecks) -> Option<Option<Arc<Healthcheck>>> {
    let text = ctx.text(item)?;
    if let Some(check) = checks.get(text) {
        return Some(Some(Arc::clone(check.as_ref()?)));
    }
    // The Go daemon, too, takes an empty name for none.
    if text.is_empty() {
        return Some(None);
    }
    let hint = ctx.hint(text, checks.keys().map(|n| &**n));
    ctx.error(item.pos(), format!("unknown healthcheck {}{hint}", quote(text)));
    None
}

fn agent(ctx: &mut Context, map: &Map<'_>) {
    ctx.keys(map, &["port", "address", "interval", "timeout", "send"]);
    match map.get("port") {
        Some(item) => {
            ctx.int(item, 1, 65535);
        }
        None => ctx.error(map.pos, "`agent` lacks `port`"),
    }
    if let Some(item) = map.get("address") {
        ctx.address(item);
    }
    let interval = duration_or(ctx, map, "interval", MIN_INTERVAL, Some(DEFAULT_INTERVAL));
    let _: Option<Duration> = duration_or(ctx, map, "timeout", ABOVE_ZERO, interval);
    if let Some(item) = map.get("send") {
        ctx.text(item);
    }
}

/// What `track` and `agent-track` name, once all backends are read.
fn references(ctx: &mut Context, all: &Backends) {
    for draft in all.values() {
        if let Some(to) = &draft.track {
            exists(ctx, all, to);
        }
        if let Some(to) = &draft.agent_track
            && exists(ctx, all, to)
            && all.get(&to.value).is_some_and(|b| !b.has_agent)
        {
            ctx.error(to.pos, format!("backend {} has no `agent` to track", quote(&to.value)));
        }
    }
    for (pos, path) in loops(all) {
        ctx.error(pos, format!("`track` runs in a circle: {}", clip(&path)));
    }
}

fn exists(ctx: &mut Context, all: &Backends, to: &At<Name>) -> bool {
    let known = all.contains_key(&to.value);
    if !known {
        let hint = ctx.hint(&to.value, all.keys().map(|n| &**n));
        ctx.error(to.pos, format!("unknown backend {}{hint}", quote(&to.value)));
    }
    known
}

/// Each circle of `track` once, where its first member by name has the key.
fn loops(all: &Backends) -> Vec<(Pos, String)> {
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut found = Vec::new();
    for start in all.keys() {
        let mut path: Vec<&str> = Vec::new();
        let mut on_path: BTreeSet<&str> = BTreeSet::new();
        let mut at: &str = start;
        // Ends: each step adds a name to the path, or stops.
        while !done.contains(at) && on_path.insert(at) {
            path.push(at);
            let Some(next) = all.get(at).and_then(|b| b.track.as_ref()) else { break };
            if on_path.contains(&*next.value) {
                let circle = path.iter().skip_while(|n| **n != &*next.value).copied();
                let names: Vec<&str> = circle.chain([&*next.value]).collect();
                found.push((next.pos, names.join(" → ")));
                break;
            }
            at = &next.value;
        }
        done.extend(path);
    }
    found
}
