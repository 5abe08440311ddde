//! A new configuration takes the place of the old one, all at once. A backend is its name and address: while those
//! stay, it keeps its state, its history, the operator's words and its place in the schedule.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::backends::{Entry as BackendEntry, Links, Tally};
use super::controller::Controller;
use super::event::Event;
use super::frontends::{Entry, Frontends, Seat};
use super::programmer::Cause;
use super::schedule::Slot;
use crate::Name;
use crate::balance::{FrontendState, Shares};
use crate::config::{Backend, Config, Frontend};
use crate::health::{self, Author, Health, History, Standing, State};
use crate::time::{Now, Time};

/// How many of what changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// New.
    pub added: usize,
    /// Gone.
    pub removed: usize,
    /// Edited.
    pub changed: usize,
}

/// What a reload did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Of backends.
    pub backends: Count,
    /// Of frontends.
    pub frontends: Count,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Summary { backends: b, frontends: x } = self;
        write!(
            f,
            "backends: {} added, {} removed, {} changed; frontends: {} added, {} removed, {} changed",
            b.added, b.removed, b.changed, x.added, x.removed, x.changed
        )
    }
}

impl Controller {
    /// A configuration could not be loaded: nothing changes but what `show status` says.
    pub fn config_failed(&mut self, path: &str, errors: Vec<String>) {
        let first = errors.first().cloned().unwrap_or_default();
        let more = errors.len().saturating_sub(1);
        let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        let kept = if self.config.is_some() { "nothing changed" } else { "idle" };
        self.config_status.errors = errors;
        self.event(Event::ConfigReload {
            text: format!("failed, {kept}: path={path} {first}{more}"),
            ok: false,
        });
    }

    /// Makes `new` the running configuration.
    pub fn apply(&mut self, now: Now, new: Config, path: &str, warnings: Vec<String>) -> Summary {
        self.programmer.cause(Cause::Reload);
        let start = *self.first_load.get_or_insert(now.mono);
        self.generation += 1;
        let new = Arc::new(new);
        let old_frontends = std::mem::take(&mut self.frontends);
        self.by_vip.clear();
        self.timers.clear();
        let mut summary = Summary::default();
        let newborn = self.apply_backends(now, &new, &mut summary);
        self.config = Some(new.clone());
        self.relink(now);
        self.apply_frontends(now, &new, &old_frontends, start, &mut summary);
        self.config_status.loaded_ms = Some(now.wall_ms);
        self.config_status.errors.clear();
        for w in &warnings {
            self.engine_event(super::event::LogLevel::Warning, format!("config {w}"));
        }
        self.config_status.warnings = warnings;
        self.configure_prober();
        let newborn = self.restore(now, newborn);
        self.settle(now, &newborn);
        self.event(Event::ConfigReload { text: format!("path={path} {summary}"), ok: true });
        self.programmer.configure(new.lb.sync_interval);
        for f in old_frontends.values() {
            self.programmer.urge(f.config.vip.address);
        }
        self.programmer.sync_all();
        self.programmer.cause(Cause::Event);
        summary
    }

    /// The backends; answers the slots of those that are new.
    fn apply_backends(&mut self, now: Now, new: &Config, summary: &mut Summary) -> Vec<Slot> {
        let cap = new.healthchecker.transition_history;
        let old: Vec<Slot> = self.backends.configured().map(|(slot, _)| slot).collect();
        for slot in old.iter().chain(&self.removed.clone()) {
            if let Some(b) = self.backends.get_mut(*slot) {
                b.frontends.clear();
                b.history.set_cap(cap);
            }
        }
        let stays = |b: &Backend| new.backends.get(&b.name).is_some_and(|n| n.address == b.address);
        let mut leaving: BTreeMap<IpAddr, Vec<Slot>> = BTreeMap::new();
        for slot in old {
            if let Some(b) = self.backends.get(slot).filter(|b| !stays(&b.config)) {
                leaving.entry(b.config.address).or_default().push(slot);
            }
        }
        for slot in leaving.values().flatten() {
            self.backends.unname(*slot);
        }
        let mut newborn = Vec::new();
        for b in new.backends.values() {
            if let Some(slot) = self.backends.slot(&b.name) {
                summary.backends.changed += usize::from(self.keep_backend(now, slot, b));
            } else if let Some(slot) = self.heir(&mut leaving, b) {
                summary.backends.changed += 1;
                self.backends.rename(slot, b.name.clone());
                if let Some(e) = self.backends.get_mut(slot) {
                    e.health.forget_operator();
                }
                self.restand(now, slot, "inherited", "without the operator's words".into());
                // It may have been muted.
                self.ask_soon(now, slot, Duration::ZERO);
                self.keep_backend(now, slot, b);
            } else {
                summary.backends.added += 1;
                newborn.push(self.backends.insert(first_seen(b.clone(), cap)));
            }
        }
        for slot in leaving.into_values().flatten() {
            summary.backends.removed += 1;
            let _ = self.act(now, slot, health::Event::Remove, "removed", "".into());
            self.removed.insert(slot);
        }
        newborn
    }

    /// A leaving backend with the address, healthcheck and agent of a new name, that is neither disabled nor paused: its
    /// health passes on.
    fn heir(&self, leaving: &mut BTreeMap<IpAddr, Vec<Slot>>, b: &Backend) -> Option<Slot> {
        let slots = leaving.get_mut(&b.address)?;
        let i = slots.iter().position(|s| {
            self.backends.get(*s).is_some_and(|e| {
                let (old, follows) = (&e.config, e.config.track.is_some() || b.track.is_some());
                e.health.checked() && !follows && old.healthcheck == b.healthcheck && old.agent == b.agent
            })
        })?;
        Some(slots.remove(i))
    }

    /// A backend that stays. True when anything of it was edited.
    fn keep_backend(&mut self, now: Now, slot: Slot, new: &Arc<Backend>) -> bool {
        let Some(b) = self.backends.get_mut(slot) else { return false };
        let old = std::mem::replace(&mut b.config, new.clone());
        if old == *new {
            return false;
        }
        if old.healthcheck != new.healthcheck || old.track.is_some() != new.track.is_some() {
            if old.track.is_some() && new.track.is_none() {
                // What it inherited is what is known of it.
                b.health.adopt(&b.standing, Self::limits(new));
            } else {
                b.health.relimit(Self::limits(new));
            }
            // What is under way asks by the old healthcheck.
            self.stop_probing(now, slot);
            if new.is_static() {
                let _ = self.act(now, slot, health::Event::Pass, "static", "".into());
            } else {
                self.probe_soon(now, slot);
            }
        }
        self.keep_agent(now, slot, &old);
        match (old.enabled, new.enabled) {
            (true, false) => {
                let disable = health::Event::Disable(Author::Configuration);
                let _ = self.act(now, slot, disable, "disabled", "by the configuration".into());
            }
            (false, true) => {
                let enable = health::Event::Enable;
                let _ = self.act(now, slot, enable, "enabled", "by the configuration".into());
            }
            (true, true) | (false, false) => {}
        }
        true
    }

    /// The agent of a backend that stays: its words stand while there is one, whoever that is.
    fn keep_agent(&mut self, now: Now, slot: Slot, old: &Backend) {
        let Some(b) = self.backends.get_mut(slot) else { return };
        let (was, is) = (&old.agent, b.config.agent.clone());
        if *was == is && old.address == b.config.address {
            return;
        }
        if is.is_none() {
            b.health.forget_agent();
            self.stop_asking(slot);
            if let Some(b) = self.backends.get_mut(slot) {
                b.agent = None;
            }
            self.restand(now, slot, "agent", "gone from the configuration".into());
            self.settle_static(now, slot);
            return;
        }
        if was.is_some() {
            // What is under way asks the old one.
            self.stop_asking(slot);
        } else {
            b.agent = Some(Box::default());
        }
        self.ask_soon(now, slot, Duration::ZERO);
    }

    fn apply_frontends(
        &mut self,
        now: Now,
        new: &Config,
        old: &Frontends,
        start: Time,
        summary: &mut Summary,
    ) {
        let by_vip: BTreeMap<_, _> = old.values().map(|f| (f.config.vip, f)).collect();
        for f in new.frontends.values() {
            let before = by_vip.get(&f.vip).copied();
            match before {
                None => summary.frontends.added += 1,
                Some(b) => summary.frontends.changed += usize::from(b.config != *f),
            }
            let entry = self.seat(now, f, before, start, new);
            for seat in &entry.seats {
                if let Some(b) = self.backends.get_mut(seat.slot) {
                    b.frontends.push(f.name.clone());
                }
            }
            for t in [entry.not_before, entry.at_latest, entry.hold_until] {
                if t > now.mono {
                    self.timers.insert((t, f.name.clone()));
                }
            }
            self.by_vip.insert(f.vip, f.name.clone());
            self.frontends.insert(f.name.clone(), entry);
        }
        summary.frontends.removed = old.values().filter(|f| !self.by_vip.contains_key(&f.config.vip)).count();
    }

    /// A frontend's entry; `before` is what the same VIP had.
    fn seat(&self, now: Now, f: &Arc<Frontend>, before: Option<&Entry>, start: Time, new: &Config) -> Entry {
        let seats: Vec<Seat> = f
            .members()
            .filter_map(|(pool, name, configured)| {
                let slot = self.backends.slot(name)?;
                let overridden = before.and_then(|b| word(b, f, pool, name, slot, configured));
                Some(Seat { slot, name: name.clone(), pool, configured, overridden })
            })
            .collect();
        let max = new.lb.startup_max_delay;
        let now = now.mono;
        let mut entry = Entry {
            config: f.clone(),
            seats,
            shares: Shares::default(),
            last: Vec::new(),
            active: f.pools.first().map_or_else(|| "-".into(), |p| p.name.clone()),
            state: FrontendState::Unknown,
            open: false,
            not_before: now.max(start + new.lb.startup_min_delay),
            at_latest: now + max,
            newcomers: Vec::new(),
            hold_until: now,
            flush_once: BTreeSet::new(),
        };
        let Some(b) = before else { return entry };
        entry.shares = b.shares.clone();
        entry.last = entry.seats.iter().map(|s| last_of(b, s)).collect();
        // A pool that only has another name now is no other pool.
        let (old_name, index) = (&b.active, b.config.pools.iter().position(|p| p.name == b.active));
        let new_name = index.and_then(|i| f.pools.get(i)).map(|p| &p.name);
        let renamed = new_name.filter(|n| {
            f.pools.iter().all(|p| p.name != *old_name) && b.config.pools.iter().all(|p| p.name != **n)
        });
        entry.active = renamed.unwrap_or(old_name).clone();
        entry.state = b.state;
        entry.open = b.open;
        entry.not_before = b.not_before;
        entry.at_latest = b.at_latest;
        entry.flush_once = b.flush_once.clone();
        let sits = |a: &IpAddr| {
            let address = |s: &Seat| self.backends.get(s.slot).map(|b| b.config.address);
            entry.seats.iter().any(|s| address(s) == Some(*a))
        };
        entry.flush_once.retain(sits);
        let sat = |s: &Seat| b.seats.iter().any(|o| o.slot == s.slot);
        let unknown = |s: &Slot| self.backends.get(*s).is_some_and(|e| e.state() == State::Unknown);
        let fresh: Vec<Slot> =
            entry.seats.iter().filter(|s| !sat(s)).map(|s| s.slot).filter(unknown).collect();
        let new_ones = !fresh.is_empty();
        let waited = b.newcomers.iter().copied().filter(|s| entry.seats.iter().any(|x| x.slot == *s));
        entry.newcomers = fresh.into_iter().chain(waited.filter(unknown)).collect();
        entry.newcomers.dedup();
        if !entry.newcomers.is_empty() {
            // Those who are waited for already must not make others wait for longer.
            entry.hold_until = if new_ones { now + max } else { b.hold_until };
        }
        entry
    }

    /// The first query of a new backend's agent, at some moment of its interval.
    pub(super) fn meet_agent(&mut self, now: Now, slot: Slot) {
        let interval = self.backends.get(slot).and_then(|b| Some(b.config.agent.as_ref()?.interval));
        if let Some(interval) = interval {
            let after = interval.mul_f64(self.rng.f64());
            self.ask_soon(now, slot, after);
        }
    }

    /// First words and first probes; those are spread, each over its own interval.
    fn settle(&mut self, now: Now, newborn: &[Slot]) {
        let probed = |c: &Controller, s: Slot| {
            c.backends.get(s).is_some_and(|b| b.config.enabled && b.config.healthcheck.is_some())
        };
        let all = newborn.iter().filter(|s| probed(self, **s)).count();
        let mut nth = 0usize;
        for &slot in newborn {
            let Some(b) = self.backends.get(slot) else { continue };
            let (enabled, interval) = (b.config.enabled, b.config.healthcheck.as_ref().map(|c| c.interval));
            self.record(now, slot, None, State::Unknown, "start", "".into());
            if !enabled {
                let why = "by the configuration".into();
                let disable = health::Event::Disable(Author::Configuration);
                let _ = self.act(now, slot, disable, "disabled", why);
            } else if let Some(interval) = interval {
                let share = (nth as f64 + self.rng.f64()) / all as f64;
                nth += 1;
                self.schedule.set(slot, now.mono + interval.mul_f64(share.clamp(0.0, 1.0)));
            } else {
                self.settle_static(now, slot);
            }
            self.meet_agent(now, slot);
        }
        for &slot in newborn {
            let tracks = self.backends.get(slot).and_then(|b| b.config.track.clone());
            if let Some(name) = tracks {
                self.restand(now, slot, "tracked", name.to_string().into());
            }
        }
        let climbing: Vec<Slot> = self.backends.iter().map(|(slot, _)| slot).collect();
        for slot in climbing {
            self.climb(now, slot);
        }
        let names: Vec<Name> = self.frontends.keys().cloned().collect();
        for name in names {
            self.reweigh(now, &name, true);
        }
    }
}

/// The operator's weight stands while the configured weight is the one it overrode; like all words it does not pass to
/// an heir.
fn word(before: &Entry, f: &Frontend, pool: usize, name: &Name, slot: Slot, configured: u8) -> Option<u8> {
    if before.config.name != f.name {
        return None;
    }
    let pool = f.pools.get(pool)?.name.clone();
    let same = |s: &&Seat| s.slot == slot && s.name == *name && s.configured == configured;
    before.seats.iter().filter(same).find(|s| before.pool_name(s.pool) == pool)?.overridden
}

/// The weight that a seat had last, in the pool of that name.
fn last_of(before: &Entry, seat: &Seat) -> Option<u8> {
    let i = before.seats.iter().position(|o| o.slot == seat.slot)?;
    before.last.get(i).copied().flatten()
}

fn first_seen(b: Arc<Backend>, cap: usize) -> BackendEntry {
    let health = Health::new(Controller::limits(&b));
    BackendEntry {
        standing: Standing::of(&health, None),
        agent: b.agent.is_some().then(Box::default),
        links: Links::default(),
        checked: true,
        out: false,
        back_at: None,
        health,
        config: b,
        history: History::new(cap),
        frontends: Vec::new(),
        in_flight: None,
        waiting: Vec::new(),
        guess: 0,
        put_off: false,
        saved: None,
        last: None,
        tally: Tally::default(),
        meters: Box::default(),
        fault_logged: None,
        faults_unlogged: 0,
    }
}
