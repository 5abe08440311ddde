//! What a backend is, once every hand has had its word.

use serde::{Deserialize, Serialize};

/// What a backend is: the first of these that holds (docs/behaviour.md, "The hands on a backend").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not probed yet, or not since an operator's `enable` or `resume`.
    Unknown,
    /// Its checks pass, and nobody is against it.
    Up,
    /// Its checks fail, or its agent says so.
    Down,
    /// By the operator: no probes, no new flows, old ones kept.
    Paused,
    /// Maintenance: no probes, no new flows, old ones flushed.
    Disabled,
    /// Gone from the configuration; forgotten when no server of it is left in `lb`.
    Removed,
    /// Up, and asks for no new flows itself; old ones kept.
    Stopping,
    /// Up or unknown, and somebody wants no new flows on it; old ones kept.
    Drain,
}

impl State {
    /// All of them.
    pub const ALL: [State; 8] = [
        State::Unknown,
        State::Up,
        State::Down,
        State::Paused,
        State::Disabled,
        State::Removed,
        State::Stopping,
        State::Drain,
    ];

    /// As shown.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Unknown => "unknown",
            State::Up => "up",
            State::Down => "down",
            State::Paused => "paused",
            State::Disabled => "disabled",
            State::Removed => "removed",
            State::Stopping => "stopping",
            State::Drain => "drain",
        }
    }
}

/// What checks have found, or checks and agent together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vital {
    /// Nothing yet.
    Unknown,
    /// The counter is at `rise` or above.
    Up,
    /// It is below.
    Down,
}

impl Vital {
    /// All of them.
    pub const ALL: [Vital; 3] = [Vital::Unknown, Vital::Up, Vital::Down];

    /// As shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Vital::Unknown => "unknown",
            Vital::Up => "up",
            Vital::Down => "down",
        }
    }
}
