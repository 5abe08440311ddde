//! A new configuration takes the place of the old one, all at once. A backend is its name and address: while those
//! stay, it keeps its state, its history, the operator's words and its place in the schedule.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::backends::{Entry as BackendEntry, Links, Tally};
use super::controller::Controller;
use super::event::Event;
use super::frontends::{Entry, Seat};
use super::schedule::Slot;
use crate::balance::{FrontendState, Shares};
use crate::config::{Backend, Config, Frontend};
use crate::health::{self, Author, Health, History, Standing, State};
use crate::lb::VipKey;
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
    /// Words of the operator that have ended by it; each is an event.
    pub words: usize,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Summary { backends: b, frontends: x, words } = self;
        write!(
            f,
            "backends: {} added, {} removed, {} changed; frontends: {} added, {} removed, {} changed",
            b.added, b.removed, b.changed, x.added, x.removed, x.changed
        )?;
        match words {
            0 => Ok(()),
            1 => write!(f, "; 1 word of the operator ended: see `show events`"),
            n => write!(f, "; {n} words of the operator ended: see `show events`"),
        }
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

    /// A leaving backend with the address, healthcheck and agent of a new name, that is neither disabled nor paused: its
    /// health passes on.
    pub(super) fn heir(&self, leaving: &mut BTreeMap<IpAddr, Vec<Slot>>, b: &Backend) -> Option<Slot> {
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
    pub(super) fn keep_backend(&mut self, now: Now, slot: Slot, new: &Arc<Backend>) -> bool {
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
            self.probe_soon(now, slot);
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

    /// A frontend's entry; `before` is what the same VIP had, `namesake` what the same name had: to that the operator's
    /// words belong.
    pub(super) fn seat(
        &self,
        now: Time,
        f: &Arc<Frontend>,
        before: Option<&Entry>,
        namesake: Option<&Entry>,
        start: Time,
        new: &Config,
    ) -> Entry {
        // A pool may have thousands; an address sits but once in a frontend.
        let sat: BTreeMap<Slot, usize> =
            before.iter().flat_map(|b| b.seats.iter().enumerate()).map(|(i, s)| (s.slot, i)).collect();
        let said: BTreeMap<Slot, &Seat> = namesake
            .iter()
            .flat_map(|n| &n.seats)
            .filter(|s| s.overridden.is_some())
            .map(|s| (s.slot, s))
            .collect();
        let seats: Vec<Seat> = f
            .members()
            .filter_map(|(pool, name, configured)| {
                let slot = self.backends.slot(name)?;
                let seat = Seat { slot, name: name.clone(), pool, configured, overridden: None };
                let overridden = namesake.zip(said.get(&slot)).and_then(|(n, old)| word(n, old, f, &seat));
                Some(Seat { overridden, ..seat })
            })
            .collect();
        let max = new.lb.startup_max_delay;
        let gone = |vip: &VipKey| *vip != f.vip && new.frontends.values().all(|n| n.vip != *vip);
        let replaces =
            namesake.and_then(|n| if n.config.vip == f.vip { n.replaces } else { Some(n.config.vip) });
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
            replaces: replaces.filter(gone),
            newcomers: Vec::new(),
            hold_until: now,
            flush_once: BTreeSet::new(),
        };
        let Some(b) = before else { return entry };
        entry.shares = b.shares.clone();
        let last = |s: &Seat| sat.get(&s.slot).and_then(|i| b.last.get(*i).copied().flatten());
        entry.last = entry.seats.iter().map(last).collect();
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
        let address = |s: &Seat| self.backends.get(s.slot).map(|b| b.config.address);
        let sits = |a: &&IpAddr| entry.seats.iter().any(|s| address(s) == Some(**a));
        entry.flush_once = b.flush_once.iter().filter(sits).copied().collect();
        let unknown = |s: &Slot| self.backends.get(*s).is_some_and(|e| e.state() == State::Unknown);
        let slots: BTreeSet<Slot> = entry.seats.iter().map(|s| s.slot).collect();
        let fresh: Vec<Slot> =
            slots.iter().filter(|s| !sat.contains_key(s)).copied().filter(unknown).collect();
        let new_ones = !fresh.is_empty();
        let waited = b.newcomers.iter().copied().filter(|s| slots.contains(s));
        entry.newcomers = fresh.into_iter().chain(waited.filter(unknown)).collect();
        if !entry.newcomers.is_empty() {
            // Those who are waited for already must not make others wait for longer.
            entry.hold_until = if new_ones { now + max } else { b.hold_until };
        }
        entry
    }
}

/// The operator's weight stands in the frontend of its name, whatever the VIP, while the configured weight is the one it
/// overrode; like all words it does not pass to an heir.
fn word(namesake: &Entry, old: &Seat, f: &Frontend, new: &Seat) -> Option<u8> {
    let same = old.name == new.name
        && old.configured == new.configured
        && f.pools.get(new.pool).is_some_and(|p| p.name == namesake.pool_name(old.pool));
    old.overridden.filter(|_| same)
}

pub(super) fn first_seen(b: Arc<Backend>, cap: usize) -> BackendEntry {
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
