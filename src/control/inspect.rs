//! What the controller holds, for those who watch over it from outside; they can change nothing.

use super::backends::Backends;
use super::controller::Controller;
use super::frontends::Frontends;
use super::programmer::Programmer;

/// How much of everything is kept that comes and goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Backends that have left the configuration and not yet `lb`.
    pub removed: usize,
    /// Entries of the three schedules, dead ones too.
    pub scheduled: usize,
    /// Frontends that are to be looked at again at a time.
    pub timers: usize,
    /// Orders and events that nobody has taken.
    pub untaken: usize,
    /// Answers that nobody has taken.
    pub answers: usize,
    /// Queues, retries, errors and waiters of the programmer.
    pub programmer: usize,
    /// Backends with a probe under way, and agents that are being asked.
    pub flying: usize,
}

impl Controller {
    /// The backends, removed ones too.
    pub fn backends(&self) -> &Backends {
        &self.backends
    }

    /// The frontends.
    pub fn frontends(&self) -> &Frontends {
        &self.frontends
    }

    /// The memory of what `lb` holds.
    pub fn programmer(&self) -> &Programmer {
        &self.programmer
    }

    /// How much is kept.
    pub fn sizes(&self) -> Sizes {
        let schedules = [&self.schedule, &self.agents, &self.silences];
        Sizes {
            removed: self.removed.len(),
            scheduled: schedules.iter().map(|s| s.size()).sum(),
            timers: self.timers.len(),
            untaken: self.untaken(),
            answers: self.answers(),
            programmer: self.programmer.size(),
            flying: self.flying,
        }
    }
}
