//! The operator's verbs.

use super::controller::{Because, Controller};
use super::event::Event;
use super::operator::{Done, Finished, NameKind, Ticket, VerbError};
use super::view::SyncView;
use crate::Name;
use crate::health::{self, State};
use crate::lb::VipKey;
use crate::nearest::nearest;
use crate::time::Now;

impl Controller {
    /// `set frontend <f> pool <p> backend <b> weight <n>|default [flush]`
    ///
    /// # Errors
    /// A name is unknown.
    pub fn set_weight(
        &mut self,
        now: Now,
        frontend: &str,
        pool: &str,
        backend: &str,
        weight: Option<u8>,
        flush: bool,
    ) -> Result<Done, VerbError> {
        let Some(f) = self.frontends.get(frontend) else {
            return Err(self.unknown(NameKind::Frontend, frontend));
        };
        let name = f.config.name.clone();
        let Some(p) = f.config.pools.iter().position(|p| &*p.name == pool) else {
            let pools = f.config.pools.iter().map(|p| &*p.name);
            return Err(unknown("pool", pool, pools));
        };
        let in_pool = f.config.pools.get(p).map(|p| &p.backends);
        if !in_pool.is_some_and(|b| b.contains_key(backend)) {
            let names = in_pool.into_iter().flatten().map(|(n, _)| &**n);
            return Err(unknown("backend", backend, names));
        }
        let slot = self.backends.slot(backend);
        let Some(f) = self.frontends.get_mut(&name) else { return Err(unknown("frontend", frontend, [])) };
        let Some(seat) = f.seats.iter_mut().find(|s| s.pool == p && Some(s.slot) == slot) else {
            return Err(unknown("backend", backend, []));
        };
        let before = seat.overridden;
        seat.overridden = weight;
        let changed = before != weight;
        let configured = seat.configured;
        // Before it is programmed there are no flows.
        let flush = flush && self.programmer.is_programmed(&f.config.vip);
        if flush && let Some(address) = slot.and_then(|s| self.backends.get(s)).map(|b| b.config.address) {
            f.flush_once.insert(address);
        }
        let what = match weight {
            Some(w) => w.to_string(),
            None => format!("default ({configured})"),
        };
        let to = format!("frontend `{frontend}` pool `{pool}` backend `{backend}` weight {what}");
        if changed || flush {
            let also = if flush { " flush" } else { "" };
            let word = weight.map_or_else(|| "default".to_owned(), |w| w.to_string());
            self.event(Event::Operator {
                text: format!("set frontend {frontend} pool {pool} backend {backend} weight {word}{also}"),
            });
            self.reweigh(now, &name, if flush { Because::Anyway } else { Because::Rule });
        }
        let text = match (changed, flush) {
            (true, false) => to,
            (true, true) => format!("{to}, flows flushed"),
            (false, true) => format!("{to} already, flows flushed"),
            (false, false) => format!("{to} already: nothing to do"),
        };
        Ok(Done { changed: changed || flush, text })
    }

    /// `probe backend <b>`
    ///
    /// # Errors
    /// The name is unknown, or there is nothing to probe.
    pub fn probe(&mut self, now: Now, name: &str) -> Result<Ticket, VerbError> {
        let Some((slot, b)) = self.backends.find(name) else {
            return Err(self.unknown(NameKind::Backend, name));
        };
        if b.state() == State::Removed {
            return Err(VerbError::Refused(format!("backend `{name}` {}", health::Refusal::Removed)));
        }
        if let Some(other) = &b.config.track {
            let text = format!("backend `{name}` has no healthcheck: it tracks `{other}`, probe that");
            return Err(VerbError::Refused(text));
        }
        if b.config.healthcheck.is_none() {
            let what = if b.is_static() { "it is static" } else { "its agent alone decides" };
            return Err(VerbError::Refused(format!("backend `{name}` has no healthcheck: {what}")));
        }
        if let Some(why) = self.frozen() {
            return Err(VerbError::Refused(format!("frozen: {why}")));
        }
        let ticket = self.ticket();
        self.probe_for(now, slot, ticket);
        Ok(ticket)
    }

    /// `sync [frontend <f>]`
    ///
    /// # Errors
    /// The name is unknown, or nothing can be programmed.
    pub fn sync(
        &mut self,
        now: Now,
        frontend: Option<&str>,
        unavailable: Option<String>,
    ) -> Result<Ticket, VerbError> {
        let vip = match frontend {
            Some(name) => Some(self.vip_of(name)?),
            None => None,
        };
        if let Some(why) = unavailable {
            return Err(VerbError::Refused(format!("lb cannot be programmed: {why}")));
        }
        if let Some(why) = self.frozen() {
            return Err(VerbError::Refused(format!("frozen: {why}")));
        }
        if self.config.is_none() {
            return Err(VerbError::Refused("no configuration is loaded".into()));
        }
        let ticket = self.ticket();
        let addresses: Vec<_> = match vip {
            Some(vip) => vec![vip.address],
            None => self.frontends.values().map(|f| f.config.vip.address).collect(),
        };
        if addresses.is_empty() {
            let none = SyncView { frontends: 0, writes: 0, failures: Vec::new() };
            self.finish(now, ticket, Finished::Sync(none));
        }
        let count = if vip.is_some() { 1 } else { self.frontends.len() };
        self.programmer.sync_for(ticket, &addresses, vip.is_none(), count);
        Ok(ticket)
    }

    /// The VIP of a frontend.
    ///
    /// # Errors
    /// The name is unknown.
    pub fn vip_of(&self, name: &str) -> Result<VipKey, VerbError> {
        self.frontends.get(name).map(|f| f.config.vip).ok_or_else(|| self.unknown(NameKind::Frontend, name))
    }

    /// The error for a name that is not known.
    pub(super) fn unknown(&self, kind: NameKind, name: &str) -> VerbError {
        match kind {
            NameKind::Backend => unknown("backend", name, self.backends.names().map(|n| &**n)),
            NameKind::Frontend => unknown("frontend", name, self.frontends.keys().map(|n| &**n)),
            NameKind::Healthcheck => {
                let names = self.config.iter().flat_map(|c| c.healthchecks.keys());
                unknown("healthcheck", name, names.map(|n| &**n))
            }
        }
    }

    /// All names of a kind, sorted.
    pub fn names(&self, kind: NameKind) -> Vec<String> {
        let all = |n: &Name| n.to_string();
        match kind {
            NameKind::Backend => self.backends.names().map(all).collect(),
            NameKind::Frontend => self.frontends.keys().map(all).collect(),
            NameKind::Healthcheck => {
                self.config.iter().flat_map(|c| c.healthchecks.keys()).map(all).collect()
            }
        }
    }
}

fn unknown<'a>(kind: &'static str, name: &str, names: impl IntoIterator<Item = &'a str>) -> VerbError {
    let nearest = nearest(name, names, 3).into_iter().map(str::to_owned).collect();
    VerbError::Unknown { kind, name: name.to_owned(), nearest }
}
