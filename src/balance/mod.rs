//! From the states of a frontend's backends to the weights in `lb`: the only rule there is, as one pure function.

pub mod panic;
pub mod ramp;
pub mod weight;

use serde::Serialize;

pub use panic::Alarm;
pub use weight::weight;

use crate::config::Panic;
use crate::health::{Standing, State, Vital};

/// One backend of a frontend, as the rule sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Index of its pool.
    pub pool: usize,
    /// What [`weight`] made of it: 0–100.
    pub weight: u8,
    /// The state.
    pub state: State,
    /// Checks and agent together, whatever the other words.
    pub vital: Vital,
    /// It is disabled, paused, drained or stopping, whatever else it is.
    pub barred: bool,
    /// How far it has climbed after it was out, in percent: 1–100 (slow start).
    pub ramp: u8,
    /// The weight that it had last, as [`panic::remember`] says; none: it was not there.
    pub last: Option<u8>,
}

impl Member {
    /// Under nobody's word and at full weight; for those who have only that to say.
    pub fn new(pool: usize, weight: u8, standing: &Standing) -> Member {
        let Standing { state, vital, down: _, maint, paused, stopping, drain } = standing;
        Member {
            pool,
            weight,
            state: *state,
            vital: *vital,
            barred: maint.is_some() || paused.is_some() || stopping.is_some() || drain.is_some(),
            ramp: 100,
            last: None,
        }
    }

    /// A backend that is gone: it carries nothing.
    pub fn gone(pool: usize) -> Member {
        Member {
            pool,
            weight: 0,
            state: State::Removed,
            vital: Vital::Unknown,
            barred: true,
            ramp: 100,
            last: None,
        }
    }

    /// Whether it may carry new flows, would its pool be the active one.
    pub fn eligible(&self) -> bool {
        self.weight > 0 && self.state == State::Up
    }
}

/// What the rule depends on besides the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// A backend that goes down loses its flows.
    pub flush_on_down: bool,
    /// What to do when too few are up.
    pub panic: Option<Panic>,
    /// Too few were up before.
    pub begun: bool,
}

/// What the rule makes of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Share {
    /// The weight that `lb` shall have: 0–100.
    pub weight: u8,
    /// At weight 0: whether its flows shall be flushed.
    pub flush: bool,
}

/// The whole answer.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Shares {
    /// Index of the pool that carries new flows: the first with an eligible backend, else the first.
    pub active: usize,
    /// In the members' order.
    pub members: Vec<Share>,
    /// Too few are up, and the weights are not what the states alone would make of them, or will not follow them.
    pub alarm: Option<Alarm>,
}

/// Weighs `members`.
pub fn weigh(members: &[Member], rules: Rules) -> Shares {
    let alarm = panic::alarm(members, rules);
    if let Some(alarm) = alarm
        && let Some(shares) = panic::shares(members, rules, alarm)
    {
        return shares;
    }
    let active = members.iter().filter(|m| m.eligible()).map(|m| m.pool).min().unwrap_or(0);
    let share = |m: &Member| {
        let carries = m.eligible() && m.pool == active;
        Share { weight: if carries { ramp::apply(m.weight, m.ramp) } else { 0 }, flush: flush(m, rules) }
    };
    let members: Vec<Share> = members.iter().map(share).collect();
    // Where there was nothing to keep, these are what is kept from now on.
    let alarm = alarm.filter(|_| members.iter().any(|s| s.weight > 0));
    Shares { active, members, alarm }
}

/// Whether the flows of a member at weight 0 shall go.
pub(crate) fn flush(m: &Member, rules: Rules) -> bool {
    match m.state {
        State::Disabled => true,
        State::Down => rules.flush_on_down,
        // A removed backend is no member of any frontend; its servers leave by deletion.
        State::Unknown | State::Up | State::Paused | State::Stopping | State::Drain | State::Removed => false,
    }
}

/// A frontend's own state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FrontendState {
    /// None of its backends has left `unknown`.
    Unknown,
    /// Some backend has weight.
    Up,
    /// None has.
    Down,
}

impl FrontendState {
    /// As shown.
    pub fn as_str(self) -> &'static str {
        match self {
            FrontendState::Unknown => "unknown",
            FrontendState::Up => "up",
            FrontendState::Down => "down",
        }
    }

    /// From the members and what [`weigh`] made of them.
    pub fn of(members: &[Member], shares: &Shares) -> FrontendState {
        if members.iter().all(|m| m.state == State::Unknown) {
            FrontendState::Unknown
        } else if shares.members.iter().any(|s| s.weight > 0) {
            FrontendState::Up
        } else {
            FrontendState::Down
        }
    }
}

#[cfg(test)]
mod tests;
