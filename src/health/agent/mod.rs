//! What an agent says of a backend, word by word, and what stands of it until it says otherwise.

mod parse;

use serde::{Deserialize, Serialize};

pub use parse::{LINE_MAX, UNKNOWN_MAX, WORD_MAX, parse};

/// An agent's word on health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentHealth {
    /// Nothing against it; never overrules failing checks.
    Up,
    /// Down.
    Down,
    /// Down, with another word.
    Stopped,
    /// Down, with another word.
    Fail,
}

impl AgentHealth {
    /// The agent's word.
    pub fn as_str(self) -> &'static str {
        match self {
            AgentHealth::Up => "up",
            AgentHealth::Down => "down",
            AgentHealth::Stopped => "stopped",
            AgentHealth::Fail => "fail",
        }
    }

    /// Whether the backend may be up.
    pub fn is_up(self) -> bool {
        match self {
            AgentHealth::Up => true,
            AgentHealth::Down | AgentHealth::Stopped | AgentHealth::Fail => false,
        }
    }
}

/// An agent's word on administration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentAdmin {
    /// Neither of the others.
    Ready,
    /// No new flows; existing ones stay.
    Drain,
    /// Disabled.
    Maint,
}

impl AgentAdmin {
    /// The agent's word.
    pub fn as_str(self) -> &'static str {
        match self {
            AgentAdmin::Ready => "ready",
            AgentAdmin::Drain => "drain",
            AgentAdmin::Maint => "maint",
        }
    }
}

/// An agent's word on weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentWeight {
    /// `N%`, `weight:N%`: of the configured (or the operator's) weight, in percent. May be above 100.
    Share(u32),
    /// `weight:N`: in the configured weight's place, 0–100, in every pool.
    Absolute(u8),
}

impl std::fmt::Display for AgentWeight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AgentWeight::Share(n) => write!(f, "{n}%"),
            AgentWeight::Absolute(n) => write!(f, "weight:{n}"),
        }
    }
}

/// One line of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Its last word on health, if it had one.
    pub health: Option<AgentHealth>,
    /// Its last word on administration.
    pub admin: Option<AgentAdmin>,
    /// Its last word on weight.
    pub weight: Option<AgentWeight>,
    /// What followed `#`: printable ASCII, at most 120 bytes.
    pub description: String,
    /// Words that mean nothing, in order: printable ASCII, at most 8 of at most 32 bytes.
    pub unknown: Vec<String>,
}

/// What stands of an agent's words: each class until the agent says another of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentWords {
    /// None: it has not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<AgentHealth>,
    /// None: it has not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<AgentAdmin>,
    /// None: it has not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<AgentWeight>,
}

impl std::fmt::Display for AgentWords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words = [
            self.health.map(|h| h.as_str().to_owned()),
            self.admin.map(|a| a.as_str().to_owned()),
            self.weight.map(|w| w.to_string()),
        ];
        let words: Vec<String> = words.into_iter().flatten().collect();
        f.write_str(if words.is_empty() { "no word" } else { "" })?;
        f.write_str(&words.join(" "))
    }
}

impl AgentWords {
    /// A reply changes the classes that it has a word of, and no other.
    pub fn hear(&mut self, reply: &Reply) {
        self.health = reply.health.or(self.health);
        self.admin = reply.admin.or(self.admin);
        self.weight = reply.weight.or(self.weight);
    }

    /// Whether it says down.
    pub fn is_down(&self) -> bool {
        self.health.is_some_and(|h| !h.is_up())
    }
}
