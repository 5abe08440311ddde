//! `backends`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::context::{At, Context, Item, Map};
use super::global_keys::ABOVE_ZERO;
use super::healthcheck::{DEFAULT_INTERVAL, Healthchecks, MIN_INTERVAL, duration_or};
use super::issue::{clip, quote};
use super::{Agent, Backend, Healthcheck};
use crate::Name;

/// Names of a circle that are shown; of a longer one, only these.
const SHOWN: usize = 10;
/// A backend may follow another through so many levels of `track`, or of `agent-track`. What is shown of one walks them
/// all, on VPP's main thread and its small stack.
const LEVELS: usize = 16;

/// A backend as far as it could be read. In each value, none: it was wrong, and that was said.
pub(super) struct Draft {
    address: Option<At<IpAddr>>,
    healthcheck: Option<Option<Arc<Healthcheck>>>,
    enabled: Option<bool>,
    track: Option<Option<At<Name>>>,
    agent: Option<Option<Arc<Agent>>>,
    agent_track: Option<Option<At<Name>>>,
}

/// Every name in the section.
pub(super) type Backends = BTreeMap<Name, Draft>;

impl Draft {
    /// Its address, if valid, and where that stands.
    pub(super) fn address(&self) -> Option<At<IpAddr>> {
        self.address
    }

    /// Whether it is in service at the start.
    pub(super) fn enabled(&self) -> bool {
        self.enabled != Some(false)
    }

    /// Whether somebody is asked about it who may say that it is down: `all` are those that it may follow.
    pub(super) fn can_be_down(&self, all: &Backends) -> bool {
        let mut at = self;
        // A circle is an error of its own; here it must end all the same.
        for _ in 0..=all.len() {
            if !matches!(at.agent, Some(None)) || !matches!(at.healthcheck, Some(None)) {
                return true;
            }
            match at.tracks().and_then(|to| all.get(&to.value)) {
                Some(next) => at = next,
                None => return at.tracks().is_some(),
            }
        }
        true
    }

    /// The backend, if all of it is valid.
    pub(super) fn build(&self, name: &Name) -> Option<Backend> {
        Some(Backend {
            name: Name::clone(name),
            address: self.address?.value,
            healthcheck: self.healthcheck.clone()?,
            enabled: self.enabled?,
            track: self.track.as_ref()?.as_ref().map(|to| Name::clone(&to.value)),
            agent: self.agent.clone()?,
            agent_track: self.agent_track.as_ref()?.as_ref().map(|to| Name::clone(&to.value)),
        })
    }

    /// Whose state it follows.
    fn tracks(&self) -> Option<&At<Name>> {
        self.track.as_ref()?.as_ref()
    }

    /// Whose agent it listens to.
    fn tracks_agent(&self) -> Option<&At<Name>> {
        self.agent_track.as_ref()?.as_ref()
    }

    /// Whether it hears an agent, its own or another's, or what is written for one is wrong.
    fn hears_agent(&self) -> bool {
        let own = !matches!(self.agent, Some(None));
        own || !matches!(self.agent_track, Some(None))
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
    let track = other(ctx, map, "track", "healthcheck");
    let agent = match map.get("agent") {
        None => Some(None),
        Some(item) => match ctx.map_node("agent", item.key_pos, item.node) {
            Some(map) => agent(ctx, &map).map(|a| Some(Arc::new(a))),
            None => None,
        },
    };
    let agent_track = other(ctx, map, "agent-track", "agent");
    Draft { address, healthcheck, enabled, track, agent, agent_track }
}

/// The backend that a key names, and that what it stands for is not there as well.
fn other(ctx: &mut Context, map: &Map<'_>, key: &str, instead_of: &str) -> Option<Option<At<Name>>> {
    let Some(item) = map.get(key) else { return Some(None) };
    if map.get(instead_of).is_some() {
        ctx.error(item.key_pos, format!("a backend with `{key}` takes no `{instead_of}` of its own"));
    }
    ctx.text(item).map(|t| Some(At { pos: item.pos(), value: Name::from(t) }))
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

fn agent(ctx: &mut Context, map: &Map<'_>) -> Option<Agent> {
    ctx.keys(map, &["port", "address", "interval", "timeout", "send"]);
    let port = match map.get("port") {
        Some(item) => ctx.int(item, 1, 65535).and_then(|p| u16::try_from(p).ok()),
        None => {
            ctx.error(map.pos, "`agent` lacks `port`");
            None
        }
    };
    let address = map.get("address").map(|item| ctx.address(item));
    let interval = duration_or(ctx, map, "interval", MIN_INTERVAL, Some(DEFAULT_INTERVAL));
    let timeout = duration_or(ctx, map, "timeout", ABOVE_ZERO, interval.map(|i| i.min(DEFAULT_INTERVAL)));
    let send = map.get("send").map_or(Some(Vec::new()), |item| {
        let text = ctx.text(item)?;
        if text.len() > Agent::MAX_SEND {
            ctx.error(item.pos(), format!("`send` is longer than {} bytes", Agent::MAX_SEND));
            return None;
        }
        Some(text.as_bytes().to_vec())
    });
    if address == Some(None) {
        return None;
    }
    Some(Agent {
        port: port?,
        address: address.flatten(),
        interval: interval?,
        timeout: timeout?,
        send: send?,
    })
}

/// What `track` and `agent-track` name, once all backends are read.
fn references(ctx: &mut Context, all: &Backends) {
    for (own, draft) in all {
        if let Some(to) = draft.tracks() {
            exists(ctx, all, to, own);
        }
        if let Some(to) = draft.tracks_agent()
            && exists(ctx, all, to, own)
            && all.get(&to.value).is_some_and(|b| !b.hears_agent())
        {
            ctx.error(to.pos, format!("backend {} has no `agent` to track", quote(&to.value)));
        }
    }
    circles(ctx, all, "track", Draft::tracks);
    circles(ctx, all, "agent-track", Draft::tracks_agent);
}

fn exists(ctx: &mut Context, all: &Backends, to: &At<Name>, own: &Name) -> bool {
    let known = all.contains_key(&to.value);
    if !known {
        // The one that asks cannot be meant, however near its name is.
        let hint = ctx.hint(&to.value, all.keys().filter(|n| *n != own).map(|n| &**n));
        ctx.error(to.pos, format!("unknown backend {}{hint}", quote(&to.value)));
    }
    known
}

/// Reports each circle once, at the reference that closes it, and each chain of too many levels, at the first that is
/// too many.
fn circles(ctx: &mut Context, all: &Backends, key: &str, next: impl Fn(&Draft) -> Option<&At<Name>>) {
    // Of those looked at: how many levels each follows. One that leads into a circle has none.
    let mut levels: BTreeMap<&str, usize> = BTreeMap::new();
    for start in all.keys() {
        let mut path: Vec<(&str, &At<Name>)> = Vec::new();
        let mut on_path: BTreeSet<&str> = BTreeSet::new();
        let mut at: &str = start;
        let mut circular = false;
        // Ends: each step adds a name to the path, or stops.
        while !levels.contains_key(at) && on_path.insert(at) {
            let Some(next) = all.get(at).and_then(&next) else { break };
            path.push((at, next));
            if on_path.contains(&*next.value) {
                let circle = path.iter().map(|(n, _)| *n).skip_while(|n| **n != *next.value).collect();
                ctx.error(next.pos, format!("`{key}` runs in a circle: {}", drawn(circle)));
                circular = true;
                break;
            }
            at = &next.value;
        }
        let mut level = levels.get(at).copied().unwrap_or(0);
        levels.entry(at).or_insert(0);
        for (name, to) in path.into_iter().rev() {
            level += 1;
            if level == LEVELS + 1 && !circular {
                ctx.error(to.pos, format!("`{key}` goes through more than {LEVELS} levels"));
            }
            levels.insert(name, if circular { 0 } else { level });
        }
    }
}

/// The names of a circle, the first one again at the end: `a → b → a`.
fn drawn(circle: Vec<&str>) -> String {
    let mut shown: Vec<String> = circle.iter().take(SHOWN).map(|n| (*n).to_owned()).collect();
    let more = circle.len().saturating_sub(SHOWN);
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    shown.extend(circle.first().map(|n| (*n).to_owned()));
    shown.join(" → ")
}
