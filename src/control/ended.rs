//! Operator's words that end because the configuration changed. Each is logged as an event: an operator who is not told assumes that
//! the word still applies (docs/behaviour.md, "Reload").

use std::collections::BTreeSet;

use super::backends::Entry;
use super::controller::Controller;
use super::event::Event;
use super::frontends::Entry as Frontend;
use super::operator::BackendVerb;
use super::schedule::Slot;
use super::state::snapshot::{SavedBackend, SavedWeight};
use crate::health::{Author, State, Vital};

/// The operator's forced health, if it still applies. It does not while checks are stopped: they restart from `unknown`.
pub(super) fn forced(b: &Entry) -> Option<BackendVerb> {
    let checks = b.health.checks();
    match checks.vital() {
        _ if !checks.forced() || !b.health.checked() || b.config.track.is_some() => None,
        Vital::Down => Some(BackendVerb::HealthDown),
        Vital::Up if checks.stopping() => Some(BackendVerb::HealthStopping),
        Vital::Up | Vital::Unknown => None,
    }
}

/// The operator's words that stand for a backend, as the verbs that said them.
fn standing(b: &Entry) -> Vec<BackendVerb> {
    let o = b.health.operator();
    let words = [
        o.disabled.filter(|(_, by)| *by == Author::Operator).map(|_| BackendVerb::Disable),
        o.paused.map(|_| BackendVerb::Pause),
        o.drain.map(|_| BackendVerb::Drain),
        o.muted.map(|_| BackendVerb::AgentMute),
        forced(b),
    ];
    words.into_iter().flatten().collect()
}

/// The same of a backend in the state file.
fn saved(b: &SavedBackend) -> Vec<BackendVerb> {
    let w = &b.words;
    let forced = match b.state {
        State::Down => Some(BackendVerb::HealthDown),
        State::Stopping => Some(BackendVerb::HealthStopping),
        State::Unknown | State::Up | State::Paused | State::Disabled | State::Removed | State::Drain => None,
    };
    let words = [
        w.disabled.filter(|d| d.by == Author::Operator).map(|_| BackendVerb::Disable),
        w.paused.map(|_| BackendVerb::Pause),
        w.drain.map(|_| BackendVerb::Drain),
        w.muted.map(|_| BackendVerb::AgentMute),
        forced.filter(|_| w.forced),
    ];
    words.into_iter().flatten().collect()
}

impl Controller {
    fn word_ended(&mut self, backend: &str, verb: BackendVerb, why: &str) {
        let text = format!("ends: set backend {backend} {} ({why})", verb.as_str());
        self.event(Event::Operator { text });
    }

    fn weight_ended(&mut self, place: [&str; 3], weight: u8, why: &str) {
        let [frontend, pool, backend] = place;
        let text =
            format!("ends: set frontend {frontend} pool {pool} backend {backend} weight {weight} ({why})");
        self.event(Event::Operator { text });
    }

    /// All words on a backend that leaves or gets a new name end. How many there were.
    pub(super) fn words_ended(&mut self, slot: Slot, why: &str) -> usize {
        let Some(b) = self.backends.get(slot) else { return 0 };
        let (words, name) = (standing(b), b.config.name.clone());
        for verb in &words {
            self.word_ended(&name, *verb, why);
        }
        words.len()
    }

    /// The operator's weights in a frontend of the configuration before, as far as none of its name has taken them over. How
    /// many there were.
    pub(super) fn weights_ended(&mut self, old: &Frontend) -> usize {
        if old.seats.iter().all(|s| s.overridden.is_none()) {
            return 0;
        }
        let name = &old.config.name;
        let new = self.frontends.get(name);
        // A backend may sit in several pools of a frontend only once: the slot is enough.
        let stands: BTreeSet<Slot> =
            new.iter().flat_map(|f| &f.seats).filter(|s| s.overridden.is_some()).map(|s| s.slot).collect();
        let mut ended = Vec::new();
        for seat in &old.seats {
            let Some(weight) = seat.overridden.filter(|_| !stands.contains(&seat.slot)) else { continue };
            let pool = old.pool_name(seat.pool);
            let why = match new {
                None => "the frontend is gone",
                Some(f) => {
                    let here =
                        |s: &&super::frontends::Seat| s.name == seat.name && f.pool_name(s.pool) == pool;
                    match f.seats.iter().find(here) {
                        Some(s) if s.slot == seat.slot => "the configured weight is another",
                        Some(_) => "the backend has another address",
                        None => "the backend is gone from the pool",
                    }
                }
            };
            ended.push((pool.clone(), seat.name.clone(), weight, why));
        }
        for (pool, backend, weight, why) in &ended {
            self.weight_ended([name, pool, backend], *weight, why);
        }
        ended.len()
    }

    /// The same for what the state file says of backends that the file of this start does not have, or not so.
    pub(super) fn saved_words_ended<'a>(&mut self, gone: impl Iterator<Item = &'a SavedBackend>) -> usize {
        let mut n = 0;
        for b in gone {
            for verb in saved(b) {
                n += 1;
                self.word_ended(&b.name, verb, "the backend is gone, or has another address");
            }
        }
        n
    }

    /// The same for a weight.
    pub(super) fn saved_weight_ended(&mut self, w: &SavedWeight) {
        let why = "its place is gone, or the configured weight is another";
        self.weight_ended([&w.frontend, &w.pool, &w.backend], w.weight, why);
    }
}
