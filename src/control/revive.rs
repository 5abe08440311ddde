//! A prober that has died or stalled is replaced by a new one, at most once a minute. A stalled thread cannot be ended from
//! outside: it is abandoned, and ends by itself once it gets on.

use std::time::Duration;

use super::engine::{Engine, spawn_prober};
use super::event::{Event, LogLevel};
use crate::probe::{Abandoned, Prober};
use crate::time::{Now, Time};

/// A prober is replaced at most once in so long.
const RESTART: Duration = Duration::from_secs(60);
/// So many abandoned threads may still hang; with one more the machine has another trouble than ours, and all stays
/// frozen until one of them ends.
const HANGING_MAX: usize = 4;

/// When the prober was replaced last, and what became of those before it.
#[derive(Default)]
pub(super) struct Replacement {
    last: Option<Time>,
    hanging: Vec<Abandoned>,
}

impl Replacement {
    /// When a prober in trouble may be replaced; never, if it is not in trouble.
    pub(super) fn due(&self, trouble: bool) -> Time {
        match (trouble, self.last) {
            (false, _) => Time::MAX,
            (true, None) => Time::ZERO,
            (true, Some(last)) => last + RESTART,
        }
    }

    /// Whether it may be replaced now; if so, not again for a while.
    fn take(&mut self, now: Time) -> bool {
        if now < self.due(true) {
            return false;
        }
        self.last = Some(now);
        self.hanging.retain(|h| !h.ended());
        self.hanging.len() < HANGING_MAX
    }
}

impl Engine {
    /// What is wrong with the prober, if anything.
    pub(super) fn prober_trouble(&self) -> Option<&'static str> {
        match &self.prober {
            Some(p) if !p.alive() => Some("died"),
            Some(_) if self.controller.prober_stalled() => Some("stalled"),
            Some(_) => None,
            None => Some("died"),
        }
    }

    /// Replaces a prober in trouble. What the old one had under way is lost, and what it may still tell counts for
    /// nothing.
    pub(super) fn revive(&mut self, now: Now) {
        let Some(trouble) = self.prober_trouble() else { return };
        if !self.replacement.take(now.mono) {
            return;
        }
        let complaint = self.prober.as_ref().and_then(Prober::complaint);
        let why = complaint.map_or_else(String::new, |c| format!(": {c}"));
        match spawn_prober(&self.options, &self.budgets) {
            Ok(new) => {
                if let Some(old) = self.prober.replace(new) {
                    self.replacement.hanging.push(old.abandon());
                }
                let text = format!("the prober had {trouble} and was started anew{why}");
                self.log(Event::Engine { text, level: LogLevel::Error });
                self.controller.prober_restarted(now);
            }
            Err(e) => {
                let text = format!("the prober has {trouble}{why}; it cannot be started anew: {e}");
                self.log(Event::Engine { text, level: LogLevel::Error });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_a_minute_at_most_and_only_in_trouble() {
        let at = Time::from_millis;
        let mut r = Replacement::default();
        assert_eq!(r.due(false), Time::MAX);
        assert!(r.take(at(5_000)), "the first time at once");
        assert!(!r.take(at(5_001)) && !r.take(at(64_999)));
        assert_eq!((r.due(true), r.due(false)), (at(65_000), Time::MAX));
        assert!(r.take(at(65_000)));
        assert!(!r.take(at(66_000)));
    }
}
