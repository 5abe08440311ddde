//! The state machine of one backend: one function, no clock, every (event, state) pair spelled out.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Counter;
use crate::config::Healthcheck;

/// What a backend is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not probed yet, or not since an operator's `enable` or `resume`.
    Unknown,
    /// The counter is at `rise` or above.
    Up,
    /// It is below.
    Down,
    /// By the operator: no probes, no new flows, old ones kept.
    Paused,
    /// By the operator or the configuration: no probes, no new flows, old ones flushed.
    Disabled,
    /// Gone from the configuration; forgotten when no server of it is left in `lb`.
    Removed,
}

impl State {
    /// All of them.
    pub const ALL: [State; 6] =
        [State::Unknown, State::Up, State::Down, State::Paused, State::Disabled, State::Removed];

    /// As shown.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Unknown => "unknown",
            State::Up => "up",
            State::Down => "down",
            State::Paused => "paused",
            State::Disabled => "disabled",
            State::Removed => "removed",
        }
    }

    /// Whether a backend in this state is probed.
    pub fn probed(self) -> bool {
        match self {
            State::Unknown | State::Up | State::Down => true,
            State::Paused | State::Disabled | State::Removed => false,
        }
    }
}

/// What can happen to a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A probe passed.
    Pass,
    /// A probe failed by the backend's fault.
    Fail,
    /// Operator.
    Pause,
    /// Operator.
    Resume,
    /// Operator, or `enabled: false` at the start.
    Disable,
    /// Operator.
    Enable,
    /// Gone from the configuration.
    Remove,
}

impl Event {
    /// All of them.
    pub const ALL: [Event; 7] =
        [Event::Pass, Event::Fail, Event::Pause, Event::Resume, Event::Disable, Event::Enable, Event::Remove];
}

/// What an event did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The state is another now.
    To {
        /// The state before.
        from: State,
        /// The state now.
        to: State,
    },
    /// The state is the same; the counter may have moved.
    None,
}

/// Why an operator's word was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// `pause` or `resume` of a disabled backend.
    #[error("is disabled (enable it first)")]
    Disabled,
    /// Any word to a backend that is gone from the configuration.
    #[error("is removed from the configuration")]
    Removed,
}

/// State and counter of one backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    state: State,
    counter: Counter,
}

impl Health {
    /// First seen: `unknown`, one pass short of up.
    pub fn new(counter: Counter) -> Health {
        Health { state: State::Unknown, counter }
    }

    /// As an earlier life has left it: up at the maximum, down at 0.
    pub fn restored(state: State, check: Limits) -> Health {
        let mut health = Health { state, counter: check.counter() };
        health.relimit(check);
        health
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// The counter.
    pub fn counter(&self) -> &Counter {
        &self.counter
    }

    /// The backend stays, its healthcheck became another: up goes to the new maximum, down to 0, unknown begins
    /// anew; the words of the operator stand.
    pub fn relimit(&mut self, check: Limits) {
        let Limits { rise, fall, kind } = check;
        match self.state {
            State::Up => self.counter.relimit(rise, fall, kind, true),
            State::Down | State::Paused => self.counter.relimit(rise, fall, kind, false),
            State::Unknown | State::Disabled | State::Removed => {
                self.counter = Counter::new(rise, fall, kind);
            }
        }
    }

    /// The one way the state changes.
    ///
    /// # Errors
    /// Operator's words alone are refused, and then nothing has changed.
    pub fn transition(&mut self, event: Event) -> Result<Change, Refusal> {
        let from = self.state;
        let to = match (event, from) {
            (Event::Pass, State::Unknown | State::Up | State::Down) => {
                self.counter.pass();
                match (from, self.counter.is_up()) {
                    (_, true) => State::Up,
                    (same, false) => same,
                }
            }
            (Event::Fail, State::Unknown) => {
                self.counter.fail();
                if self.counter_jumps() {
                    self.counter.to_zero();
                }
                State::Down
            }
            (Event::Fail, State::Up | State::Down) => {
                self.counter.fail();
                if self.counter.is_up() { State::Up } else { State::Down }
            }
            (Event::Pass | Event::Fail, State::Paused | State::Disabled | State::Removed) => from,

            (Event::Pause, State::Unknown | State::Up | State::Down) => {
                self.counter.to_zero();
                State::Paused
            }
            (Event::Pause, State::Paused) => State::Paused,
            (Event::Resume, State::Paused) | (Event::Enable, State::Disabled) => {
                self.counter.reset();
                State::Unknown
            }
            (Event::Resume, State::Unknown | State::Up | State::Down) => from,
            (Event::Pause | Event::Resume, State::Disabled) => return Err(Refusal::Disabled),
            (Event::Enable, State::Unknown | State::Up | State::Down | State::Paused) => from,
            (Event::Disable, State::Unknown | State::Up | State::Down | State::Paused | State::Disabled) => {
                State::Disabled
            }
            (Event::Pause | Event::Resume | Event::Enable | Event::Disable, State::Removed) => {
                return Err(Refusal::Removed);
            }
            (
                Event::Remove,
                State::Unknown | State::Up | State::Down | State::Paused | State::Disabled | State::Removed,
            ) => State::Removed,
        };
        self.state = to;
        Ok(if from == to { Change::None } else { Change::To { from, to } })
    }

    /// In `unknown` a failure goes to down whatever the counter says, which is a crossing too.
    fn counter_jumps(&self) -> bool {
        self.counter.kind() == crate::config::CounterKind::Haproxy
    }

    /// The time from the start of the last probe to the start of the next, before jitter: `unknown` fast, full
    /// health the interval, counter 0 the down interval, else fast.
    pub fn interval(&self, check: &Healthcheck) -> Duration {
        if self.state == State::Unknown {
            check.fast_interval
        } else if self.counter.value() == self.counter.max() {
            check.interval
        } else if self.counter.value() == 0 {
            check.down_interval
        } else {
            check.fast_interval
        }
    }

    /// The state with its progress while degraded: `up 3/4`, `down 1/4`.
    pub fn display(&self) -> String {
        let (value, max) = (self.counter.value(), self.counter.max());
        match self.state {
            State::Up if value < max => format!("up {value}/{max}"),
            State::Down if value > 0 => format!("down {value}/{max}"),
            State::Unknown | State::Up | State::Down | State::Paused | State::Disabled | State::Removed => {
                self.state.as_str().to_owned()
            }
        }
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
    pub kind: crate::config::CounterKind,
}

impl Limits {
    /// Of a healthcheck; without one (a static backend) the first synthetic pass is enough.
    pub fn of(check: Option<&Healthcheck>) -> Limits {
        match check {
            Some(c) => Limits { rise: c.rise, fall: c.fall, kind: c.counter },
            None => Limits { rise: 1, fall: 1, kind: crate::config::CounterKind::Linear },
        }
    }

    /// A fresh counter.
    pub fn counter(self) -> Counter {
        Counter::new(self.rise, self.fall, self.kind)
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
