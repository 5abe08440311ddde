//! A configuration is made the running one step by step, so that a large one does not hold VPP's main thread for long. It
//! is atomic all the same: between two steps nothing else may be done with the controller.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use super::controller::Controller;
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

/// What is still to be done, in the order of these. Each stage is begun when the one before it is done.
#[derive(Debug)]
enum Stage {
    /// What the old configuration said of a backend goes; it may be one that leaves.
    Clear(VecDeque<Slot>),
    /// A backend of the new one stays, inherits, or is new.
    Keep(VecDeque<Arc<Backend>>),
    /// Nobody has inherited from it.
    Remove(VecDeque<Slot>),
    /// A new backend's first words, unless the state file may have others.
    Introduce(VecDeque<Slot>),
    /// Who follows whom is said anew.
    Untie(VecDeque<Slot>),
    Tie(VecDeque<Slot>),
    Inherit(VecDeque<Slot>),
    /// The frontends.
    Seat(VecDeque<Arc<Frontend>>),
    /// A new backend's first probe.
    Greet(VecDeque<Slot>),
    Climb(VecDeque<Slot>),
    Reweigh(VecDeque<Name>),
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
    old_frontends: Frontends,
    old_by_vip: BTreeMap<VipKey, Name>,
    leaving: BTreeMap<IpAddr, Vec<Slot>>,
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
        self.timers.clear();
        // Nobody is judged before all have their words.
        self.deferred = Some(BTreeMap::new());
        let configured = self.backends.configured().map(|(slot, _)| slot);
        let stage = Stage::Clear(configured.chain(self.removed.iter().copied()).collect());
        Applying {
            now,
            new: Arc::new(new),
            path: path.to_owned(),
            warnings,
            start,
            stage,
            old_frontends: std::mem::take(&mut self.frontends),
            old_by_vip: std::mem::take(&mut self.by_vip),
            leaving: BTreeMap::new(),
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
            Stage::Clear(todo) => match todo.pop_front() {
                Some(slot) => self.clear(a, slot),
                None => a.stage = Stage::Keep(a.new.backends.values().cloned().collect()),
            },
            Stage::Keep(todo) => match todo.pop_front() {
                Some(b) => self.keep(a, &b),
                None => {
                    let gone = std::mem::take(&mut a.leaving);
                    a.stage = Stage::Remove(gone.into_values().flatten().collect());
                }
            },
            Stage::Remove(todo) => match todo.pop_front() {
                Some(slot) => {
                    a.summary.backends.removed += 1;
                    self.remove(a.now, slot);
                }
                None => {
                    a.retired = self.config.replace(a.new.clone());
                    // What the state file remembers comes before what the configuration says.
                    let known = self.remembered.is_some();
                    let newborn = a.newborn.iter().copied().filter(|_| !known).collect();
                    a.stage = Stage::Introduce(newborn);
                }
            },
            Stage::Introduce(todo) => match todo.pop_front() {
                Some(slot) => self.introduce(a.now, slot),
                None => a.stage = Stage::Untie(self.backends.iter().map(|(slot, _)| slot).collect()),
            },
            Stage::Untie(todo) => match todo.pop_front() {
                Some(slot) => self.untie(slot),
                None => a.stage = Stage::Tie(self.configured()),
            },
            Stage::Tie(todo) => match todo.pop_front() {
                Some(slot) => self.tie(slot),
                None => {
                    a.whys = self.deferred.take().unwrap_or_default();
                    a.stage = Stage::Inherit(self.by_depth().into());
                }
            },
            Stage::Inherit(todo) => match todo.pop_front() {
                Some(slot) => self.inherit(a.now, slot, a.whys.remove(&slot)),
                None => a.stage = Stage::Seat(a.new.frontends.values().cloned().collect()),
            },
            Stage::Seat(todo) => match todo.pop_front() {
                Some(f) => self.seat_frontend(a, &f),
                None => self.seated(a),
            },
            Stage::Greet(todo) => match todo.pop_front() {
                Some(slot) => self.greet(a, slot),
                None => a.stage = Stage::Climb(self.backends.iter().map(|(slot, _)| slot).collect()),
            },
            Stage::Climb(todo) => match todo.pop_front() {
                Some(slot) => self.climb(a.now, slot),
                None => a.stage = Stage::Reweigh(self.frontends.keys().cloned().collect()),
            },
            Stage::Reweigh(todo) => match todo.pop_front() {
                Some(name) => self.reweigh(a.now, &name, true),
                None => {
                    self.applied(a);
                    a.stage = Stage::Done;
                }
            },
            Stage::Done => {
                let _frontends = std::mem::take(&mut a.old_frontends);
                let retired = Retired { _config: a.retired.take(), _frontends };
                return Some(Applied { summary: a.summary, retired });
            }
        }
        None
    }

    fn configured(&self) -> VecDeque<Slot> {
        self.backends.configured().map(|(slot, _)| slot).collect()
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
        if let Some(slot) = self.backends.slot(&b.name) {
            a.summary.backends.changed += usize::from(self.keep_backend(a.now, slot, b));
        } else if let Some(slot) = self.heir(&mut a.leaving, b) {
            a.summary.backends.changed += 1;
            self.backends.rename(slot, b.name.clone());
            if let Some(e) = self.backends.get_mut(slot) {
                e.health.forget_operator();
            }
            self.restand(a.now, slot, "inherited", "without the operator's words".into());
            // It may have been muted.
            self.ask_soon(a.now, slot, std::time::Duration::ZERO);
            self.keep_backend(a.now, slot, b);
        } else {
            a.summary.backends.added += 1;
            let cap = a.new.healthchecker.transition_history;
            a.newborn.push(self.backends.insert(first_seen(b.clone(), cap)));
        }
    }

    fn seat_frontend(&mut self, a: &mut Applying, f: &Arc<Frontend>) {
        let before = a.old_by_vip.get(&f.vip).and_then(|name| a.old_frontends.get(name));
        match before {
            None => a.summary.frontends.added += 1,
            Some(b) => a.summary.frontends.changed += usize::from(b.config != *f),
        }
        let entry = self.seat(a.now.mono, f, before, a.start, &a.new);
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
        for w in &a.warnings {
            self.engine_event(LogLevel::Warning, format!("config {w}"));
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
        }
        let probed = |b: &Backend| b.enabled && b.healthcheck.is_some();
        let newborn = a.newborn.iter().filter_map(|s| self.backends.get(*s));
        a.probed = (newborn.filter(|b| probed(&b.config)).count(), 0);
        a.stage = Stage::Greet(a.newborn.iter().copied().collect());
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
        self.removed.insert(slot);
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
        self.programmer.configure(new.lb.sync_interval);
        for vip in a.old_by_vip.keys() {
            self.programmer.urge(vip.address);
        }
        self.programmer.sync_all();
        self.programmer.cause(Cause::Event);
    }
}
