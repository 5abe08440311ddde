//! From the states of a frontend's backends to the weights in `lb`: the only rule there is, as one pure function.

use serde::Serialize;

use crate::health::State;

/// One backend of a frontend, as the rule sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Index of its pool.
    pub pool: usize,
    /// The operator's override, else the configured weight: 0–100.
    pub weight: u8,
    /// Its state.
    pub state: State,
}

impl Member {
    /// Whether it may carry new flows, would its pool be the active one.
    pub fn eligible(&self) -> bool {
        self.weight > 0 && self.state == State::Up
    }
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
}

/// Weighs `members`, given the frontend's `flush_on_down`.
pub fn weigh(members: &[Member], flush_on_down: bool) -> Shares {
    let active = members.iter().filter(|m| m.eligible()).map(|m| m.pool).min().unwrap_or(0);
    let share = |m: &Member| Share {
        weight: if m.eligible() && m.pool == active { m.weight } else { 0 },
        flush: match m.state {
            State::Disabled => true,
            State::Down => flush_on_down,
            // A removed backend is no member of any frontend; its servers leave by deletion.
            State::Unknown | State::Up | State::Paused | State::Removed => false,
        },
    };
    Shares { active, members: members.iter().map(share).collect() }
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
