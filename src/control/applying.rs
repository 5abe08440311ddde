//! A configuration is made the running one step by step, so that a large one does not hold VPP's main thread for long. It
//! is atomic all the same: between two steps nothing else may be done with the controller.

use std::collections::btree_map::{IntoKeys, IntoValues};
use std::collections::{BTreeMap, BTreeSet};
use std::iter::Flatten;
use std::net::IpAddr;
use std::ops::Bound;
use std::sync::Arc;

use super::controller::{Because, Controller};
use super::cursor::after;
use super::ended::forced;
use super::event::{Event, LogLevel};
use super::frontends::Frontends;
use super::hands::Why;
use super::programmer::Cause;
use super::reload::{Summary, first_seen};
use super::schedule::Slot;
use crate::Name;
use crate::config::{Backend, Config, Frontend};
use crate::health::{self, Author, State};
use crate::lb::VipKey;
use crate::time::{Now, Time};

/// Warnings of one file that become events and lines of the log; a file may cause 10,000.
const WARNINGS_TOLD: usize = 20;

/// How far it has come, in the order of these. Each stage is begun when the one before it is done, and none begins with a list
/// of all there is: to make one of tens of thousands takes milliseconds.
#[derive(Debug)]
enum Stage {
    /// What the old configuration said of a backend goes; it may be one that leaves. By name, then those
    /// removed before.
    Clear(Option<Name>),
    ClearRemoved(Option<(IpAddr, Slot)>),
    /// A backend of the new one stays, inherits, or is new. By name.
    Keep(Option<Name>),
    /// Nobody has inherited from it.
    Remove(Flatten<IntoValues<IpAddr, Vec<Slot>>>),
    /// A new backend's first words, unless the state file may have others. So many of them have theirs.
    Introduce(usize),
    /// Who follows whom is said anew. By slot, then by name.
    Untie(Slot),
    Tie(Option<Name>),
    /// Those who follow nobody. By slot.
    Inherit(Slot),
    /// The others, so that who is followed comes before who follows: how many that is, and the slot.
    InheritOn(BTreeSet<(usize, Slot)>),
    /// The frontends, by name.
    Seat(Option<Name>),
    /// What the operator has said of weights in those before, by name.
    Weights(Option<Name>),
    /// A new backend's first probe. So many have theirs.
    Greet(usize),
    /// By slot.
    Climb(Slot),
    /// The frontends, by name.
    Reweigh(Option<Name>),
    /// The VIPs that there were before are looked at, too.
    Urge(IntoKeys<VipKey, Name>),
    /// Removed ones of whom nothing is in `lb`; the others are looked at when that changes.
    Forget(Option<(IpAddr, Slot)>),
    Done,
}

/// A configuration that is being applied.
#[derive(Debug)]
pub struct Applying {
    now: Now,
    new: Arc<Config>,
    path: String,
    warnings: Vec<String>,
    /// When the first configuration was loaded.
    start: Time,
    stage: Stage,
    old_timers: BTreeSet<(Time, Name)>,
    old_frontends: Frontends,
    old_by_vip: BTreeMap<VipKey, Name>,
    leaving: BTreeMap<IpAddr, Vec<Slot>>,
    /// Those who follow somebody.
    deep: BTreeSet<(usize, Slot)>,
    /// How many backends use each healthcheck.
    check_users: BTreeMap<Name, u32>,
    /// Backends that are new, and of which nothing is remembered.
    newborn: Vec<Slot>,
    /// What was said of backends while nobody was judged.
    whys: BTreeMap<Slot, Why>,
    /// New backends to be probed, and how many of them have their first probe.
    probed: (usize, usize),
    summary: Summary,
    /// The configuration before, once it is not needed any more.
    retired: Option<Arc<Config>>,
}

/// What a configuration that was applied leaves.
#[derive(Debug)]
pub struct Applied {
    /// What it changed.
    pub summary: Summary,
    /// What was before it. To free that takes milliseconds: not to be done on VPP's main thread.
    pub retired: Retired,
}

/// What a configuration before has left.
#[derive(Debug)]
pub struct Retired {
    _config: Option<Arc<Config>>,
    _frontends: Frontends,
    _timers: BTreeSet<(Time, Name)>,
}

impl From<Config> for Retired {
    fn from(config: Config) -> Retired {
        Retired { _config: Some(Arc::new(config)), _frontends: Frontends::new(), _timers: BTreeSet::new() }
    }
}

/// Its checks run from the start.
fn probed(b: &Backend) -> bool {
    b.enabled && b.healthcheck.is_some()
}

fn next_removed(all: &BTreeSet<(IpAddr, Slot)>, last: Option<(IpAddr, Slot)>) -> Option<(IpAddr, Slot)> {
    let from = last.map_or(Bound::Unbounded, Bound::Excluded);
    all.range((from, Bound::Unbounded)).next().copied()
}

impl Controller {
    /// Makes `new` the running configuration.
    pub fn apply(&mut self, now: Now, new: Config, path: &str, warnings: Vec<String>) -> Summary {
        let mut applying = self.begin_apply(now, new, path, warnings);
        loop {
            if let Some(applied) = self.apply_step(&mut applying) {
                return applied.summary;
            }
        }
    }

    /// Begins to make `new` the running configuration; until [`Controller::apply_step`] has said that it is done, nothing
    /// else may be done with the controller.
    pub fn begin_apply(&mut self, now: Now, new: Config, path: &str, warnings: Vec<String>) -> Applying {
        self.programmer.cause(Cause::Reload);
        let start = *self.first_load.get_or_insert(now.mono);
        self.generation += 1;
        let timers = std::mem::take(&mut self.timers);
        // Nobody is judged before all have their words.
        self.deferred = Some(BTreeMap::new());
        Applying {
            now,
            new: Arc::new(new),
            path: path.to_owned(),
            warnings,
            start,
            stage: Stage::Clear(None),
            old_timers: timers,
            old_frontends: std::mem::take(&mut self.frontends),
            old_by_vip: std::mem::take(&mut self.by_vip),
            leaving: BTreeMap::new(),
            deep: BTreeSet::new(),
            check_users: BTreeMap::new(),
            newborn: Vec::new(),
            whys: BTreeMap::new(),
            probed: (0, 0),
            summary: Summary::default(),
            retired: None,
        }
    }

    /// The next step: one backend, or one frontend. Some: that was the last.
    pub fn apply_step(&mut self, a: &mut Applying) -> Option<Applied> {
        match &mut a.stage {
            Stage::Clear(last) => match self.backends.named_after(last.as_ref()) {
                Some((name, slot)) => {
                    *last = Some(name);
                    self.clear(a, slot);
                }
                None => a.stage = Stage::ClearRemoved(None),
            },
            Stage::ClearRemoved(last) => match next_removed(&self.removed, *last) {
                Some(this) => {
                    *last = Some(this);
                    self.clear(a, this.1);
                }
                None => a.stage = Stage::Keep(None),
            },
            Stage::Keep(last) => match after(&a.new.backends, last.as_ref()) {
                Some((name, b)) => {
                    let b = b.clone();
                    *last = Some(name.clone());
                    self.keep(a, &b);
                }
                None => {
                    let gone = std::mem::take(&mut a.leaving);
                    a.stage = Stage::Remove(gone.into_values().flatten());
                }
            },
            Stage::Remove(todo) => match todo.next() {
                Some(slot) => {
                    a.summary.backends.removed += 1;
                    a.summary.words += self.words_ended(slot, "the backend is gone, or has another address");
                    self.remove(a.now, slot);
                }
                None => {
                    a.retired = self.config.replace(a.new.clone());
                    self.check_users = std::mem::take(&mut a.check_users);
                    a.stage = Stage::Introduce(0);
                }
            },
            // What the state file remembers comes before what the configuration says.
            Stage::Introduce(n) => match a.newborn.get(*n).filter(|_| self.remembered.is_none()) {
                Some(slot) => {
                    *n += 1;
                    self.introduce(a.now, *slot);
                }
                None => a.stage = Stage::Untie(0),
            },
            Stage::Untie(slot) => {
                let this = *slot;
                if this < self.backends.end() {
                    *slot += 1;
                    self.untie(this);
                } else {
                    a.stage = Stage::Tie(None);
                }
            }
            Stage::Tie(last) => match self.backends.named_after(last.as_ref()) {
                Some((name, slot)) => {
                    *last = Some(name);
                    self.tie(slot);
                }
                None => {
                    a.whys = self.deferred.take().unwrap_or_default();
                    a.stage = Stage::Inherit(0);
                }
            },
            Stage::Inherit(slot) => {
                let this = *slot;
                if this < self.backends.end() {
                    *slot += 1;
                    match self.depth(this) {
                        None => {}
                        Some(1) => self.inherit(a.now, this, a.whys.remove(&this)),
                        Some(depth) => {
                            a.deep.insert((depth, this));
                        }
                    }
                } else {
                    a.stage = Stage::InheritOn(std::mem::take(&mut a.deep));
                }
            }
            Stage::InheritOn(todo) => match todo.pop_first() {
                Some((_, slot)) => self.inherit(a.now, slot, a.whys.remove(&slot)),
                None => a.stage = Stage::Seat(None),
            },
            Stage::Seat(last) => match after(&a.new.frontends, last.as_ref()) {
                Some((name, f)) => {
                    let f = f.clone();
                    *last = Some(name.clone());
                    self.seat_frontend(a, &f);
                }
                None => a.stage = Stage::Weights(None),
            },
            Stage::Weights(last) => match after(&a.old_frontends, last.as_ref()) {
                Some((name, f)) => {
                    *last = Some(name.clone());
                    a.summary.words += self.weights_ended(f);
                }
                None => self.seated(a),
            },
            Stage::Greet(n) => match a.newborn.get(*n).copied() {
                Some(slot) => {
                    *n += 1;
                    self.greet(a, slot);
                }
                None => a.stage = Stage::Climb(0),
            },
            Stage::Climb(slot) => {
                let this = *slot;
                if this < self.backends.end() {
                    *slot += 1;
                    self.climb(a.now, this);
                } else {
                    a.stage = Stage::Reweigh(None);
                }
            }
            Stage::Reweigh(last) => match after(&self.frontends, last.as_ref()).map(|(name, _)| name.clone())
            {
                Some(name) => {
                    *last = Some(name.clone());
                    self.reweigh(a.now, &name, Because::Anyway);
                }
                None => {
                    self.applied(a);
                    a.stage = Stage::Urge(std::mem::take(&mut a.old_by_vip).into_keys());
                }
            },
            Stage::Urge(todo) => match todo.next() {
                Some(vip) => self.programmer.urge(vip.address),
                None => {
                    self.programmer.sync_all();
                    self.programmer.cause(Cause::Event);
                    a.stage = Stage::Forget(None);
                }
            },
            Stage::Forget(last) => match next_removed(&self.removed, *last) {
                Some((address, slot)) => {
                    *last = Some((address, slot));
                    self.forget_if_gone(address, slot);
                }
                None => a.stage = Stage::Done,
            },
            Stage::Done => {
                let retired = Retired {
                    _config: a.retired.take(),
                    _frontends: std::mem::take(&mut a.old_frontends),
                    _timers: std::mem::take(&mut a.old_timers),
                };
                return Some(Applied { summary: a.summary, retired });
            }
        }
        None
    }

    fn clear(&mut self, a: &mut Applying, slot: Slot) {
        let Some(b) = self.backends.get_mut(slot) else { return };
        b.frontends.clear();
        b.history.set_cap(a.new.healthchecker.transition_history);
        let (name, address) = (b.config.name.clone(), b.config.address);
        let stays = a.new.backends.get(&name).is_some_and(|n| n.address == address);
        if !stays && self.backends.slot(&name) == Some(slot) {
            self.backends.unname(slot);
            a.leaving.entry(address).or_default().push(slot);
        }
    }

    fn keep(&mut self, a: &mut Applying, b: &Arc<Backend>) {
        if let Some(check) = &b.healthcheck {
            *a.check_users.entry(check.name.clone()).or_default() += 1;
        }
        if let Some(slot) = self.backends.slot(&b.name) {
            a.summary.backends.changed += usize::from(self.keep_backend(a.now, slot, b));
        } else if let Some(slot) = self.heir(&mut a.leaving, b) {
            a.summary.backends.changed += 1;
            a.summary.words += self.words_ended(slot, &format!("the backend's name is {} now", b.name));
            self.backends.rename(slot, b.name.clone());
            let mut was = None;
            if let Some(e) = self.backends.get_mut(slot) {
                was = forced(e).map(|_| e.state());
                e.health.forget_operator();
            }
            self.restand(a.now, slot, "inherited", "without the operator's words".into());
            // It may have been muted.
            self.ask_soon(a.now, slot, std::time::Duration::ZERO);
            self.keep_backend(a.now, slot, b);
            if let Some(state) = was.filter(|s| self.backends.get(slot).is_some_and(|b| b.state() == *s)) {
                // It is as before, but nobody's word says so any more.
                let why = "without the operator's words".into();
                self.record(a.now, slot, Some(state), state, "inherited", why);
            }
        } else {
            a.summary.backends.added += 1;
            let cap = a.new.healthchecker.transition_history;
            a.probed.0 += usize::from(probed(b));
            a.newborn.push(self.backends.insert(first_seen(b.clone(), cap)));
        }
    }

    fn seat_frontend(&mut self, a: &mut Applying, f: &Arc<Frontend>) {
        let before = a.old_by_vip.get(&f.vip).and_then(|name| a.old_frontends.get(name));
        match before {
            None => a.summary.frontends.added += 1,
            Some(b) => a.summary.frontends.changed += usize::from(b.config != *f),
        }
        let namesake = a.old_frontends.get(&f.name);
        let entry = self.seat(a.now.mono, f, before, namesake, a.start, &a.new);
        for seat in &entry.seats {
            if let Some(b) = self.backends.get_mut(seat.slot) {
                b.frontends.push(f.name.clone());
            }
        }
        for t in [entry.not_before, entry.at_latest, entry.hold_until] {
            if t > a.now.mono {
                self.timers.insert((t, f.name.clone()));
            }
        }
        self.by_vip.insert(f.vip, f.name.clone());
        self.frontends.insert(f.name.clone(), entry);
    }

    fn seated(&mut self, a: &mut Applying) {
        let gone = |vip| !self.by_vip.contains_key(vip);
        a.summary.frontends.removed = a.old_by_vip.keys().filter(|vip| gone(vip)).count();
        self.config_status.loaded_ms = Some(a.now.wall_ms);
        self.config_status.errors.clear();
        for w in a.warnings.iter().take(WARNINGS_TOLD) {
            self.engine_event(LogLevel::Warning, format!("config {w}"));
        }
        if let Some(more @ 1..) = a.warnings.len().checked_sub(WARNINGS_TOLD) {
            let text = format!("config has {more} more warnings: `maglev config check` lists all");
            self.engine_event(LogLevel::Warning, text);
        }
        self.config_status.warnings = std::mem::take(&mut a.warnings);
        self.configure_prober();
        if self.remembered.is_some() {
            self.deferred = Some(BTreeMap::new());
            a.newborn = self.restore(a.now, std::mem::take(&mut a.newborn));
            for slot in &a.newborn {
                self.introduce(a.now, *slot);
            }
            self.stand_all(a.now);
            let fresh = a.newborn.iter().filter_map(|s| self.backends.get(*s));
            a.probed.0 = fresh.filter(|b| probed(&b.config)).count();
        }
        a.stage = Stage::Greet(0);
    }

    /// Nobody has inherited from it.
    fn remove(&mut self, now: Now, slot: Slot) {
        // Those that tracked it are judged by what the new configuration says of them.
        self.untie(slot);
        // The operator may have had it probed though its checks do not run.
        self.stop_probing(now, slot);
        let others = self.deferred.take();
        let _ = self.act(now, slot, health::Event::Remove, "removed", "".into());
        self.deferred = others;
        if let Some(b) = self.backends.get(slot) {
            self.removed.insert((b.config.address, slot));
        }
    }

    /// First words: of the configuration, or of one that nobody is asked about.
    fn introduce(&mut self, now: Now, slot: Slot) {
        let Some(enabled) = self.backends.get(slot).map(|b| b.config.enabled) else { return };
        self.record(now, slot, None, State::Unknown, "start", "".into());
        if enabled {
            self.settle_static(now, slot);
        } else {
            let why = "by the configuration".into();
            let disable = health::Event::Disable(Author::Configuration);
            let _ = self.act(now, slot, disable, "disabled", why);
        }
    }

    /// First probes and queries are spread, each over its own interval.
    fn greet(&mut self, a: &mut Applying, slot: Slot) {
        let Some(b) = self.backends.get(slot) else { return };
        let interval = b.config.healthcheck.as_ref().filter(|_| b.config.enabled).map(|c| c.interval);
        if let Some(interval) = interval {
            let (all, nth) = a.probed;
            let share = (nth as f64 + self.rng.f64()) / all as f64;
            a.probed = (all, nth + 1);
            self.schedule.set(slot, a.now.mono + interval.mul_f64(share.clamp(0.0, 1.0)));
        }
        let interval = self.backends.get(slot).and_then(|b| Some(b.config.agent.as_ref()?.interval));
        if let Some(interval) = interval {
            let after = interval.mul_f64(self.rng.f64());
            self.ask_soon(a.now, slot, after);
        }
    }

    fn applied(&mut self, a: &Applying) {
        let Applying { new, path, summary, .. } = a;
        self.event(Event::ConfigReload { text: format!("path={path} {summary}"), ok: true });
        self.programmer.configure(new.lb.sync_interval, new.lb.agent_weight_interval);
        self.backends.forget_loops();
        self.tell_loops(a.now);
    }
}
