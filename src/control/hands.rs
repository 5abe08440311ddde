//! Words on a backend, from whatever hand, and all that follows from them: history, log, schedule, those that track it,
//! frontends.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::backends::Entry;
use super::controller::{Because, Controller};
use super::event::Event;
use super::schedule::Slot;
use crate::balance::ramp;
use crate::health::{self, Refusal, Standing, State, Taken, Transition, Vital};
use crate::time::Now;

/// What a transition is told with: the code, and a few words.
pub(super) type Why = (&'static str, Cow<'static, str>);

impl Controller {
    /// Lets an event act on a backend, and all that follows from it.
    ///
    /// # Errors
    /// As [`health::Health::take`].
    pub(super) fn act(
        &mut self,
        now: Now,
        slot: Slot,
        event: health::Event,
        code: &'static str,
        detail: Cow<'static, str>,
    ) -> Result<Taken, Refusal> {
        let Some(b) = self.backends.get_mut(slot) else { return Ok(Taken::Already) };
        let found = |b: &Entry| {
            let checks = b.health.checks();
            (checks.vital(), checks.stopping(), checks.forced())
        };
        let before = found(b);
        let taken = b.health.take(event, now.wall_ms)?;
        let unsteady = b.in_flight.is_some_and(|f| f.standing.is_some()) && !b.is_steady();
        if found(b) != before {
            // Beneath another's word it may be no change of state; the state file keeps it all the same.
            self.keeper.touch();
        }
        if taken == Taken::Changed {
            self.restand(now, slot, code, detail);
        }
        if unsteady {
            self.take_over(now, slot);
        }
        Ok(taken)
    }

    /// What `f` has to say of backends, in however many steps, counts as one: nobody is judged in between, where a backend
    /// is what it never was (panic would end, pools change).
    pub(super) fn at_once<T>(&mut self, now: Now, f: impl FnOnce(&mut Controller) -> T) -> T {
        if self.deferred.is_some() {
            return f(self);
        }
        self.deferred = Some(BTreeMap::new());
        let result = f(self);
        for (slot, (code, detail)) in self.deferred.take().unwrap_or_default() {
            self.restand(now, slot, code, detail);
        }
        result
    }

    /// A backend's words may be others than before: what comes of them is worked out anew, for those that track it
    /// too.
    pub(super) fn restand(&mut self, now: Now, slot: Slot, code: &'static str, detail: Cow<'static, str>) {
        if let Some(deferred) = &mut self.deferred {
            deferred.insert(slot, (code, detail));
            return;
        }
        let mut todo: VecDeque<(Slot, Why)> = VecDeque::from([(slot, (code, detail))]);
        let mut frontends = BTreeSet::new();
        // Ends: tracking has no circles, and who stands as before passes nothing on.
        while let Some((slot, why)) = todo.pop_front() {
            let Some(b) = self.backends.get(slot) else { continue };
            let tracked = b.links.tracks.and_then(|t| self.backends.get(t));
            let new = Standing::of(&b.health, tracked.map(|t| (&t.config.name, &t.standing)));
            if !self.stands(now, slot, new, why) {
                continue;
            }
            let Some(b) = self.backends.get(slot) else { continue };
            let told: Cow<'static, str> = format!("{}: {}", b.config.name, b.display(&self.backends)).into();
            todo.extend(b.links.trackers.iter().map(|t| (*t, ("tracked", told.clone()))));
            frontends.extend(b.frontends.iter().cloned());
        }
        // Not before all stand: a frontend would be judged on half of its backends, and panic too late.
        for f in frontends {
            self.reweigh(now, &f, Because::Rule);
        }
    }

    /// A backend stands so from now on. True when it stood otherwise.
    fn stands(&mut self, now: Now, slot: Slot, new: Standing, (code, detail): Why) -> bool {
        let Some(b) = self.backends.get_mut(slot) else { return false };
        let checked = b.health.checked();
        let was_checked = std::mem::replace(&mut b.checked, checked);
        let (from, to, vital) = (b.standing.state, new.state, new.vital);
        let changed = b.standing != new;
        b.standing = new;
        let mut back = false;
        if matches!(to, State::Down | State::Disabled) {
            b.out = true;
            b.back_at = None;
        } else if vital == Vital::Up && b.out {
            b.out = false;
            b.back_at = Some(now.mono);
            back = true;
        }
        if from != to {
            b.guess = 0;
            self.record(now, slot, Some(from), to, code, detail);
        }
        if changed {
            self.keeper.touch();
        }
        if back {
            self.climb(now, slot);
        }
        if to == State::Removed {
            self.stop_asking(slot);
        }
        if was_checked && !checked {
            self.stop_probing(now, slot);
        } else if checked && !was_checked {
            self.probe_soon(now, slot);
        }
        changed
    }

    /// A transition into the history and the log.
    pub(super) fn record(
        &mut self,
        now: Now,
        slot: Slot,
        from: Option<State>,
        to: State,
        code: &'static str,
        detail: Cow<'static, str>,
    ) {
        let Some(b) = self.backends.get_mut(slot) else { return };
        b.meters.transitions += u64::from(from.is_some());
        b.history.push(Transition { from, to, at_ms: now.wall_ms, code, detail: detail.clone() });
        let backend = b.config.name.clone();
        self.event(Event::Backend { backend, from, to, code, detail });
    }

    /// A backend of which nobody is asked passes a synthetic probe at once.
    pub(super) fn settle_static(&mut self, now: Now, slot: Slot) {
        // Whatever checks or an agent have found before: they are gone.
        let other = |c: &health::Checks| c.vital() != Vital::Up || c.stopping();
        if self.backends.get(slot).is_some_and(|b| b.is_static() && other(b.health.checks())) {
            let _ = self.act(now, slot, health::Event::Pass, "static", "".into());
        }
    }

    /// Its frontends with a slow start are looked at again at each step that is still to come.
    pub(super) fn climb(&mut self, now: Now, slot: Slot) {
        let Some(b) = self.backends.get(slot) else { return };
        let Some(back) = b.back_at else { return };
        for name in &b.frontends {
            let Some(f) = self.frontends.get(name) else { continue };
            for step in f.config.slow_start.into_iter().flat_map(ramp::steps) {
                let at = back + step;
                if at > now.mono {
                    self.timers.insert((at, name.clone()));
                }
            }
        }
    }
}
