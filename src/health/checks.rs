//! The checks' hand: the counter, what it has come to, and whether the server asks for no new flows.

use std::time::Duration;

use super::{Counter, Vital};
use crate::config::{CounterKind, Healthcheck};

/// What the checks of one backend have found. No clock, no words of anybody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checks {
    vital: Vital,
    stopping: bool,
    /// Down or stopping by the operator's word, and no check or agent has spoken since.
    forced: bool,
    counter: Counter,
}

impl Checks {
    /// First seen: `unknown`, one pass short of up.
    pub fn new(limits: Limits) -> Checks {
        Checks { vital: Vital::Unknown, stopping: false, forced: false, counter: limits.counter() }
    }

    /// As an earlier life has left it: up at the maximum, down at 0. `stopping` counts for one that is up alone.
    pub fn restored(vital: Vital, stopping: bool, limits: Limits) -> Checks {
        let mut checks = Checks {
            vital,
            stopping: stopping && vital == Vital::Up,
            forced: false,
            counter: limits.counter(),
        };
        checks.relimit(limits);
        checks
    }

    /// With any counter, for table tests.
    #[cfg(test)]
    pub fn at(vital: Vital, stopping: bool, counter: Counter) -> Checks {
        Checks { vital, stopping, forced: false, counter }
    }

    /// What they have come to.
    pub fn vital(&self) -> Vital {
        self.vital
    }

    /// Up, and the server asks for no new flows.
    pub fn stopping(&self) -> bool {
        self.stopping
    }

    /// Down or stopping by the operator's word, and no check or agent has spoken since.
    pub fn forced(&self) -> bool {
        self.forced
    }

    /// With the operator's word of an earlier life; it counts only for one that is down or stopping.
    #[must_use]
    pub fn with_forced(self, forced: bool) -> Checks {
        Checks { forced: forced && (self.vital == Vital::Down || self.stopping), ..self }
    }

    /// The operator's word ends; what it is stays.
    pub(super) fn unforce(&mut self) {
        self.forced = false;
    }

    /// The counter.
    pub fn counter(&self) -> &Counter {
        &self.counter
    }

    /// Up at full health: a pass changes nothing.
    pub fn full(&self) -> bool {
        self.vital == Vital::Up && !self.stopping && self.counter.value() == self.counter.max()
    }

    /// The healthcheck became another: up goes to the new maximum, down to 0, unknown begins anew.
    pub fn relimit(&mut self, limits: Limits) {
        let Limits { rise, fall, kind } = limits;
        match self.vital {
            Vital::Up => self.counter.relimit(rise, fall, kind, true),
            Vital::Down => self.counter.relimit(rise, fall, kind, false),
            Vital::Unknown => self.counter = limits.counter(),
        }
    }

    /// Begins anew: unknown, one pass short of up.
    pub(super) fn reset(&mut self) {
        self.counter.reset();
        self.forced = false;
        self.vital = Vital::Unknown;
        self.stopping = false;
    }

    /// As far from up as can be, and nothing known (pause).
    pub(super) fn forget(&mut self) {
        self.counter.to_zero();
        self.forced = false;
        self.vital = Vital::Unknown;
        self.stopping = false;
    }

    /// A probe passed: one up, and whoever was stopping is back.
    pub(super) fn pass(&mut self) {
        self.forced = false;
        self.counter.pass();
        self.stopping = false;
        if self.counter.is_up() {
            self.vital = Vital::Up;
        }
    }

    /// The server answered that it wants no new flows (404 with `disable-on-404`): a pass while up, else a failure.
    pub(super) fn conditional(&mut self) {
        match self.vital {
            Vital::Up => {
                self.forced = false;
                self.counter.pass();
                self.stopping = true;
            }
            Vital::Unknown | Vital::Down => self.fail(),
        }
    }

    /// A probe failed by the backend's fault: one down; in `unknown` down whatever the counter says.
    pub(super) fn fail(&mut self) {
        self.forced = false;
        self.counter.fail();
        let up = match self.vital {
            Vital::Unknown => {
                if self.counter.kind() == CounterKind::Haproxy {
                    // A crossing too.
                    self.counter.to_zero();
                }
                false
            }
            Vital::Up | Vital::Down => self.counter.is_up(),
        };
        if !up {
            self.vital = Vital::Down;
            self.stopping = false;
        }
    }

    /// By the operator: up, at the maximum.
    pub(super) fn force_up(&mut self) {
        self.counter.to_max();
        self.forced = false;
        self.vital = Vital::Up;
        self.stopping = false;
    }

    /// By the operator: down, at 0. `checked`: a check goes on, and what it has already found is not the operator's word.
    pub(super) fn force_down(&mut self, checked: bool) {
        let found = self.vital == Vital::Down && self.counter.value() == 0;
        self.counter.to_zero();
        self.forced |= !(checked && found);
        self.vital = Vital::Down;
        self.stopping = false;
    }

    /// By the operator: as after a 404; `checked` as above. False when it is not up.
    pub(super) fn force_stopping(&mut self, checked: bool) -> bool {
        if self.vital != Vital::Up {
            return false;
        }
        self.forced |= !(checked && self.stopping);
        self.stopping = true;
        true
    }

    /// The time from the start of the last probe to the start of the next, before jitter: `unknown` fast, full
    /// health the interval, counter 0 the down interval, else fast.
    pub fn interval(&self, check: &Healthcheck) -> Duration {
        if self.vital == Vital::Unknown {
            check.fast_interval
        } else if self.counter.value() == self.counter.max() {
            check.interval
        } else if self.counter.value() == 0 {
            check.down_interval
        } else {
            check.fast_interval
        }
    }

    /// With its progress while degraded: `up 3/4`, `down 1/4`.
    pub fn display(&self) -> String {
        let (value, max) = (self.counter.value(), self.counter.max());
        let word = if self.stopping { "stopping" } else { self.vital.as_str() };
        let degraded = match self.vital {
            Vital::Unknown => false,
            Vital::Up => value < max,
            Vital::Down => value > 0,
        };
        if degraded { format!("{word} {value}/{max}") } else { word.to_owned() }
    }
}

/// What of a healthcheck the counter depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `rise`
    pub rise: u32,
    /// `fall`
    pub fall: u32,
    /// `counter`
    pub kind: CounterKind,
}

impl Limits {
    /// Of a healthcheck; without one the first pass is enough, be it synthetic or an agent's word.
    pub fn of(check: Option<&Healthcheck>) -> Limits {
        match check {
            Some(c) => Limits { rise: c.rise, fall: c.fall, kind: c.counter },
            None => Limits { rise: 1, fall: 1, kind: CounterKind::Linear },
        }
    }

    /// A fresh counter.
    pub fn counter(self) -> Counter {
        Counter::new(self.rise, self.fall, self.kind)
    }
}

#[cfg(test)]
#[path = "checks_tests.rs"]
mod tests;
