//! From the controller to the state file's content, and back at the first configuration.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::file::Written;
use super::keeper::Saving;
use super::snapshot::{
    HISTORY_MAX, SavedAgent, SavedBackend, SavedDisabled, SavedTransition, SavedWeight, SavedWords, Snapshot,
};
use crate::Name;
use crate::control::backends::{Entry, FORCED};
use crate::control::controller::Controller;
use crate::control::event::LogLevel;
use crate::control::schedule::Slot;
use crate::control::view::StateFileView;
use crate::health::agent::AgentWords;
use crate::health::{self, Author, Checks, Health, Operator, Standing, State, Transition, Vital};
use crate::probe::Code;
use crate::time::{Now, Time};

/// Codes of transitions that no probe made.
const WORDS: [&str; 16] = [
    "start",
    "static",
    "enabled",
    "disabled",
    "paused",
    "resumed",
    "removed",
    "drain",
    "ready",
    FORCED,
    "muted",
    "unmuted",
    "tracked",
    "agent",
    "config",
    "inherited",
];
/// The problem's kind: the state file is not read, not saved, or not all of it is.
const STATE_FILE: &str = "state-file";
/// First probes of restored backends are spread over so much for each of them, a fast interval at most; first queries of
/// their agents too, an interval at most.
const SPREAD: Duration = Duration::from_millis(1);

impl Controller {
    /// From now on changes are to be saved.
    pub fn keep_state(&mut self) {
        self.keeper.switch_on();
    }

    /// What an earlier life has left, for the first configuration; nothing is saved before that.
    pub fn remember(&mut self, snapshot: Snapshot) {
        self.remembered = Some(snapshot);
    }

    /// What became of a save.
    pub fn state_saved(&mut self, now: Now, generation: u64, result: Result<(), String>) {
        if let Some(event) = self.keeper.wrote(now, generation, result) {
            self.event(event);
        }
    }

    /// As [`Controller::state_saved`], with what must be told of a file that was written.
    pub fn state_written(&mut self, now: Now, generation: u64, result: Result<Written, String>) {
        let (result, notes) = match result {
            Ok(written) => (Ok(()), written.notes),
            Err(why) => (Err(why), Vec::new()),
        };
        self.state_saved(now, generation, result);
        let problem = match self.keeper.error() {
            Some(why) => Some(format!("not saved: {why}")),
            None if notes.is_empty() => None,
            None => Some(format!("saved {}", notes.join("; "))),
        };
        self.problem(now, STATE_FILE, problem);
    }

    /// The file was not read at the start, and will not be written until that is mended.
    pub fn state_blocked(&mut self, now: Now, why: &str) {
        self.problem(now, STATE_FILE, Some(format!("not read, not saved: {why}")));
    }

    /// What an operator's verb has to wait for before its word is on the disk, if for anything.
    pub fn saving(&mut self, now: Now) -> Option<Saving> {
        self.config.as_ref()?;
        self.keeper.saving(now.mono)
    }

    /// Whether that has come about; none: not yet.
    pub fn saved(&self, now: Now, saving: Saving) -> Option<Result<(), String>> {
        self.keeper.verdict(now.mono, saving)
    }

    pub(in crate::control) fn save_deadline(&self) -> Time {
        if self.config.is_none() {
            Time::MAX
        } else if self.gathering.is_some() {
            Time::ZERO
        } else {
            self.keeper.deadline()
        }
    }

    /// All but the path and what was wrong with the file at the start.
    pub fn state_file(&self) -> StateFileView {
        StateFileView {
            path: None,
            saved_ms: self.keeper.saved_ms(),
            error: self.keeper.error().map(str::to_owned),
            problem: None,
        }
    }

    /// What is kept of the present state.
    pub fn snapshot(&self) -> Snapshot {
        let backends = self.backends.configured().map(|(_, b)| Arc::new(saved(b))).collect();
        Snapshot { backends, weights: self.saved_weights() }
    }

    pub(super) fn saved_weights(&self) -> Vec<SavedWeight> {
        let mut weights = Vec::new();
        for (name, f) in &self.frontends {
            for seat in &f.seats {
                if let (Some(weight), Some(b)) = (seat.overridden, self.backends.get(seat.slot)) {
                    weights.push(SavedWeight {
                        frontend: name.to_string(),
                        pool: f.pool_name(seat.pool).to_string(),
                        backend: b.config.name.to_string(),
                        address: b.config.address,
                        configured: seat.configured,
                        weight,
                    });
                }
            }
        }
        weights
    }

    /// Gives new backends what is remembered of them, and frontends their weights. Answers the backends of which
    /// nothing is.
    pub(in crate::control) fn restore(&mut self, now: Now, newborn: Vec<Slot>) -> Vec<Slot> {
        let Some(Snapshot { backends, weights }) = self.remembered.take() else { return newborn };
        let mut by_name: BTreeMap<String, Arc<SavedBackend>> =
            backends.into_iter().map(|b| (b.name.clone(), b)).collect();
        let (mut known, mut fresh) = (Vec::new(), Vec::new());
        for slot in newborn {
            let saved = self
                .backends
                .get(slot)
                .and_then(|b| by_name.remove(&*b.config.name).filter(|s| s.address == b.config.address));
            match saved {
                Some(saved) => known.push((slot, self.revive(slot, Arc::unwrap_or_clone(saved)))),
                None => fresh.push(slot),
            }
        }
        self.stand_restored(now, &known);
        let mut ended = self.saved_words_ended(by_name.values().map(Arc::as_ref));
        let mut kept = 0;
        for w in &weights {
            if self.reweight(w) {
                kept += 1;
            } else {
                ended += 1;
                self.saved_weight_ended(w);
            }
        }
        self.tell_restored(&known, kept, ended);
        // All have their words before any of them is judged: a frontend would be judged on half of its backends.
        for &(slot, enabled) in &known {
            self.reconsider(now, slot, enabled);
        }
        self.probe_restored(now, &known);
        self.ask_restored(now, &known);
        fresh
    }

    /// Gives a backend its words and what its checks found: up at the counter's maximum, down at 0. Answers `enabled` as
    /// it was.
    fn revive(&mut self, slot: Slot, saved: SavedBackend) -> bool {
        if let Some(b) = self.backends.get_mut(slot) {
            b.health = restored(&saved, b);
            if let Some(side) = b.agent.as_mut() {
                side.heard = b.health.agent() != AgentWords::default();
            }
            b.checked = b.health.checked();
            let counter = *b.health.checks().counter();
            b.guess = match b.health.checks().vital() {
                Vital::Up => counter.rise(),
                Vital::Down => counter.fall(),
                Vital::Unknown => 0,
            };
            for t in saved.history.into_iter().rev() {
                b.history.push(load(t));
            }
        }
        saved.enabled
    }

    /// What comes of the words, once all have theirs: nobody is judged by a tracked backend that has not.
    fn stand_restored(&mut self, now: Now, known: &[(Slot, bool)]) {
        for &(slot, _) in known {
            let Some(new) = self.standing_of(slot) else { continue };
            let Some(b) = self.backends.get_mut(slot) else { continue };
            let was = b.history.iter().next().map(|t| t.to);
            let to = new.state;
            b.out = match to {
                State::Down | State::Disabled => true,
                State::Unknown
                | State::Up
                | State::Paused
                | State::Removed
                | State::Stopping
                | State::Drain => new.vital != Vital::Up && was_out(b.history.iter().map(|t| t.to)),
            };
            b.standing = new;
            // The agent is gone, or the one it tracks is another or not known any more.
            if let Some(was) = was.filter(|was| *was != to) {
                let (code, detail) = match &b.config.track {
                    Some(name) => ("tracked", name.to_string()),
                    None => ("start", String::new()),
                };
                self.record(now, slot, Some(was), to, code, detail.into());
            }
        }
    }

    /// What a backend is by its own words and those of all that it tracks, whatever was thought of them so far.
    fn standing_of(&self, slot: Slot) -> Option<Standing> {
        let chain: Vec<&Entry> = self.backends.chain(self.backends.get(slot)?).collect();
        let mut at: Option<(&Name, Standing)> = None;
        for b in chain.into_iter().rev() {
            let standing = Standing::of(&b.health, at.as_ref().map(|(name, s)| (*name, s)));
            at = Some((&b.config.name, standing));
        }
        at.map(|(_, standing)| standing)
    }

    /// An operator's weight stands while the configured weight is the one it overrode.
    fn reweight(&mut self, w: &SavedWeight) -> bool {
        let Some(slot) = self.backends.slot(&w.backend) else { return false };
        if self.backends.get(slot).is_none_or(|b| b.config.address != w.address) {
            return false;
        }
        let Some(f) = self.frontends.get_mut(w.frontend.as_str()) else { return false };
        let Some(pool) = f.config.pools.iter().position(|p| *p.name == *w.pool) else { return false };
        let seat =
            f.seats.iter_mut().find(|s| s.pool == pool && s.slot == slot && s.configured == w.configured);
        match seat {
            Some(seat) => {
                seat.overridden = Some(w.weight);
                true
            }
            None => false,
        }
    }

    /// Where the configuration says another thing than when the state was saved.
    fn reconsider(&mut self, now: Now, slot: Slot, was_enabled: bool) {
        let Some(b) = self.backends.get(slot) else { return };
        let why = "by the configuration".into();
        match (was_enabled, b.config.enabled) {
            (true, false) => {
                let _ = self.act(now, slot, health::Event::Disable(Author::Configuration), "disabled", why);
            }
            (false, true) => {
                let _ = self.act(now, slot, health::Event::Enable, "enabled", why);
            }
            (true, true) | (false, false) => {}
        }
        self.settle_static(now, slot);
    }

    /// At once, but not all in the same moment.
    fn probe_restored(&mut self, now: Now, known: &[(Slot, bool)]) {
        let n = u32::try_from(known.len()).unwrap_or(u32::MAX);
        for &(slot, _) in known {
            let Some(b) = self.backends.get(slot).filter(|b| b.health.checked()) else { continue };
            let Some(check) = &b.config.healthcheck else { continue };
            let spread = check.fast_interval.min(SPREAD.saturating_mul(n));
            let at = now.mono + spread.mul_f64(self.rng.f64());
            self.schedule.set(slot, at);
        }
    }

    /// Their words stand until they answer; that is to be soon, but not in one moment.
    fn ask_restored(&mut self, now: Now, known: &[(Slot, bool)]) {
        let n = u32::try_from(known.len()).unwrap_or(u32::MAX);
        for &(slot, _) in known {
            let Some(b) = self.backends.get(slot) else { continue };
            let Some(agent) = &b.config.agent else { continue };
            let spread = agent.interval.min(SPREAD.saturating_mul(n));
            let after = spread.mul_f64(self.rng.f64());
            self.ask_soon(now, slot, after);
        }
    }

    fn tell_restored(&mut self, known: &[(Slot, bool)], weights: usize, ended: usize) {
        let mut states: BTreeMap<&str, usize> = BTreeMap::new();
        for (slot, _) in known {
            if let Some(b) = self.backends.get(*slot) {
                *states.entry(b.state().as_str()).or_default() += 1;
            }
        }
        let states: Vec<String> = states.iter().map(|(s, n)| format!("{s}={n}")).collect();
        let ended = if ended > 0 { format!(" words-ended={ended}") } else { String::new() };
        let text = format!(
            "state-file restored backends={} {} weights={weights}{ended}",
            known.len(),
            states.join(" ")
        );
        self.engine_event(LogLevel::Notice, text);
    }
}

pub(super) fn saved(b: &Entry) -> SavedBackend {
    SavedBackend {
        name: b.config.name.to_string(),
        address: b.config.address,
        enabled: b.config.enabled,
        state: saved_state(b),
        words: saved_words(b),
        history: b.history.iter().take(HISTORY_MAX).map(save).collect(),
    }
}

/// What the file says of a state: the operator's word where there is one, else what the checks found.
pub(super) fn saved_state(b: &Entry) -> State {
    let operator = b.health.operator();
    if operator.disabled.is_some() {
        State::Disabled
    } else if operator.paused.is_some() {
        State::Paused
    } else {
        found(b)
    }
}

/// What the checks found. Of a tracker what it inherits: that is what is known of it, should it have its own checks
/// next.
fn found(b: &Entry) -> State {
    let (vital, stopping) = match b.config.track {
        Some(_) => (b.standing.vital, b.standing.stopping.is_some()),
        None => (b.health.checks().vital(), b.health.checks().stopping()),
    };
    match vital {
        Vital::Up if stopping => State::Stopping,
        Vital::Up => State::Up,
        Vital::Down => State::Down,
        Vital::Unknown => State::Unknown,
    }
}

pub(super) fn saved_words(b: &Entry) -> SavedWords {
    let (operator, words) = (b.health.operator(), b.health.agent());
    let hidden = operator.disabled.is_some() || operator.paused.is_some();
    SavedWords {
        disabled: operator.disabled.map(|(since_ms, by)| SavedDisabled { since_ms, by }),
        paused: operator.paused.filter(|_| operator.disabled.is_none()),
        drain: operator.drain,
        muted: operator.muted,
        forced: b.health.checks().forced() && b.config.track.is_none() && !hidden,
        beneath: Some(found(b)).filter(|s| hidden && *s != State::Unknown),
        agent: (words != AgentWords::default())
            .then(|| SavedAgent { since_ms: b.health.agent_since(), words }),
    }
}

/// The reverse of [`saved_state`] and [`saved_words`], as far as the configuration still has what they are of.
fn restored(saved: &SavedBackend, b: &Entry) -> Health {
    let (limits, words) = (Controller::limits(&b.config), &saved.words);
    // A file of before there were words has the state alone.
    let since = saved.history.first().map_or(0, |t| t.at_ms);
    let author = if saved.enabled { Author::Operator } else { Author::Configuration };
    let mut operator = Operator { drain: words.drain, muted: words.muted, ..Operator::default() };
    let mut found = saved.state;
    match saved.state {
        State::Disabled => {
            operator.disabled = Some(words.disabled.map_or((since, author), |d| (d.since_ms, d.by)));
            found = words.beneath.unwrap_or(State::Unknown);
        }
        State::Paused => {
            operator.paused = Some(words.paused.unwrap_or(since));
            found = words.beneath.unwrap_or(State::Unknown);
        }
        State::Unknown | State::Up | State::Down | State::Removed | State::Stopping | State::Drain => {}
    }
    let vital = match found {
        State::Up | State::Stopping => Vital::Up,
        State::Down => Vital::Down,
        State::Unknown | State::Paused | State::Disabled | State::Removed | State::Drain => Vital::Unknown,
    };
    let checks = Checks::restored(vital, found == State::Stopping, limits).with_forced(words.forced);
    let agent = words.agent.filter(|_| b.config.agent.is_some() && operator.muted.is_none());
    let (agent, since) = agent.map_or((AgentWords::default(), 0), |a| (a.words, a.since_ms));
    Health::restored(checks, operator, agent, since)
}

/// Whether it was down or disabled since it was last up, by its history, the newest first.
fn was_out(history: impl Iterator<Item = State>) -> bool {
    for state in history {
        match state {
            State::Down | State::Disabled => return true,
            State::Up | State::Stopping => return false,
            State::Unknown | State::Paused | State::Removed | State::Drain => {}
        }
    }
    false
}

fn save(t: &Transition) -> SavedTransition {
    SavedTransition {
        from: t.from,
        to: t.to,
        at_ms: t.at_ms,
        code: t.code.to_owned(),
        detail: t.detail.to_string(),
    }
}

fn load(t: SavedTransition) -> Transition {
    let codes = Code::ALL.iter().map(|c| c.as_str()).chain(WORDS);
    // A code of a later version of ours: what it was is not known here, when and whence it came is.
    let code = codes.into_iter().find(|c| *c == t.code).unwrap_or("-");
    Transition { from: t.from, to: t.to, at_ms: t.at_ms, code, detail: t.detail.into() }
}
