//! The state file's content. JSON, with a version and a checksum, so that a damaged file is never believed.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::fit::{Cut, Fit};
use crate::health::agent::{AgentWeight, AgentWords};
use crate::health::{Author, State};
use crate::probe::text::printable_within;

/// What the file says it is.
pub(super) const FORMAT: &str = "maglev-state";
/// The only version that is read and written.
pub(super) const VERSION: u32 = 1;
/// Transitions kept of a backend, however many `transition-history` keeps in memory.
pub const HISTORY_MAX: usize = 10;
/// No file is read or written beyond this, in bytes.
pub const SIZE_MAX: usize = 64 << 20;
/// Bytes of what is said of a damaged file.
const WRONG_MAX: usize = 300;

/// All that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// By name.
    pub backends: Vec<Arc<SavedBackend>>,
    /// The operator's weights, by frontend, pool and backend.
    pub weights: Vec<SavedWeight>,
}

/// One backend: its name and address are what it is known by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedBackend {
    /// As configured.
    pub name: String,
    /// As configured.
    pub address: IpAddr,
    /// `enabled` of the configuration, to which enable and disable belong.
    pub enabled: bool,
    /// `disabled` and `paused` are the operator's words, or the configuration's; else what its checks found, or those of
    /// the one it tracks.
    pub state: State,
    /// What `state` alone does not say; a file of before there were other words has none of it.
    #[serde(default, skip_serializing_if = "SavedWords::is_none")]
    pub words: SavedWords,
    /// Newest first, at most [`HISTORY_MAX`].
    pub history: Vec<SavedTransition>,
}

/// The words on a backend. Each `since` is in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedWords {
    /// With [`State::Disabled`] alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<SavedDisabled>,
    /// Since when; with [`State::Paused`] alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<u64>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<u64>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted: Option<u64>,
    /// `health down`, and nobody has spoken since; with [`State::Down`] alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forced: bool,
    /// `up`, `down` or `stopping`: what the checks had found of one that is disabled or paused now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beneath: Option<State>,
    /// Never of a muted one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<SavedAgent>,
}

/// The word `disable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedDisabled {
    /// Since when.
    pub since_ms: u64,
    /// Whose word it is.
    pub by: Author,
}

/// The words of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedAgent {
    /// When one of them last changed.
    pub since_ms: u64,
    /// One of each class at most, one in all at least.
    pub words: AgentWords,
}

impl SavedWords {
    pub(super) fn is_none(&self) -> bool {
        *self == SavedWords::default()
    }

    /// What is wrong with them, beside a state.
    fn wrong(&self, state: State) -> Option<&'static str> {
        let SavedWords { disabled, paused, drain: _, muted, forced, beneath, agent } = self;
        let words = agent.map(|a| a.words);
        if disabled.is_some() && state != State::Disabled {
            Some("has a word that disables it, and is not disabled")
        } else if paused.is_some() && state != State::Paused {
            Some("has a word that pauses it, and is not paused")
        } else if *forced && state != State::Down {
            Some("has a word that forces it down, and is not down")
        } else if beneath.is_some() && !matches!(state, State::Disabled | State::Paused) {
            Some("has two states")
        } else if beneath.is_some_and(|s| !matches!(s, State::Up | State::Down | State::Stopping)) {
            Some("has a state beneath that checks do not find")
        } else if agent.is_some() && muted.is_some() {
            Some("has words of a muted agent")
        } else if words == Some(AgentWords::default()) {
            Some("has an agent's words, and none in them")
        } else if words.is_some_and(|w| matches!(w.weight, Some(AgentWeight::Absolute(n)) if n > 100)) {
            Some("has a weight of its agent above 100")
        } else {
            None
        }
    }
}

/// One change of state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedTransition {
    /// None: the backend was first seen.
    pub from: Option<State>,
    /// The state from then on.
    pub to: State,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// HAProxy's check code, or the verb.
    pub code: String,
    /// A few words; may be empty.
    pub detail: String,
}

/// An operator's weight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedWeight {
    /// The frontend's name.
    pub frontend: String,
    /// The pool's name.
    pub pool: String,
    /// The backend's name.
    pub backend: String,
    /// The backend's address.
    pub address: IpAddr,
    /// The configured weight that it overrode, 0–100.
    pub configured: u8,
    /// The weight, 0–100.
    pub weight: u8,
}

/// Why a file is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Bad {
    /// Cut short, not JSON, or not of this shape.
    #[error("damaged: {0}")]
    Damaged(String),
    /// JSON of something else.
    #[error("not a state file of maglev")]
    Foreign,
    /// Written by another version of the plugin.
    #[error("version {0}, and this maglev reads version {VERSION} alone")]
    Version(u32),
    /// It reads well, but is not what was written.
    #[error("damaged: the checksum is wrong")]
    Checksum,
    /// More than [`SIZE_MAX`].
    #[error("longer than {} MiB", SIZE_MAX >> 20)]
    Long,
}

#[derive(Deserialize)]
struct Header {
    format: String,
    version: u32,
}

#[derive(Deserialize)]
struct Body {
    /// CRC32C of `state` as [`Snapshot`] writes it; white space does not count.
    crc32c: u32,
    state: Snapshot,
}

impl Snapshot {
    /// What a file says, whatever it is.
    ///
    /// # Errors
    /// Why it is not to be believed.
    pub fn decode(bytes: &[u8]) -> Result<Snapshot, Bad> {
        if bytes.len() > SIZE_MAX {
            return Err(Bad::Long);
        }
        let json: serde::de::IgnoredAny = serde_json::from_slice(bytes).map_err(damaged)?;
        let _ = json;
        let Ok(header) = serde_json::from_slice::<Header>(bytes) else { return Err(Bad::Foreign) };
        if header.format != FORMAT {
            return Err(Bad::Foreign);
        }
        if header.version != VERSION {
            return Err(Bad::Version(header.version));
        }
        let body: Body = serde_json::from_slice(bytes).map_err(damaged)?;
        if body.crc32c != body.state.checksum()? {
            return Err(Bad::Checksum);
        }
        body.state.check()?;
        Ok(body.state)
    }

    /// Whether bytes that cannot be believed are a state file all the same, of another version or damaged.
    pub(super) fn is_ours(bytes: &[u8]) -> bool {
        let ours = |h: Header| h.format == FORMAT;
        begins_ours(bytes) || serde_json::from_slice(bytes).is_ok_and(ours)
    }

    fn checksum(&self) -> Result<u32, Bad> {
        Ok(Fit::measure(self, Cut::Nothing)?.crc32c)
    }

    /// What the types alone do not rule out.
    fn check(&self) -> Result<(), Bad> {
        for b in &self.backends {
            let why = match b.state {
                State::Removed => Some("is saved as removed"),
                State::Drain => Some("is saved as drained, which is a word and no state of its checks"),
                State::Unknown
                | State::Up
                | State::Down
                | State::Paused
                | State::Disabled
                | State::Stopping => b.words.wrong(b.state),
            };
            if let Some(why) = why {
                return Err(wrong(&format!("backend {:?} {why}", b.name)));
            }
        }
        if let Some(w) = self.weights.iter().find(|w| w.weight > 100 || w.configured > 100) {
            return Err(wrong(&format!("a weight of {:?} is above 100", w.backend)));
        }
        Ok(())
    }
}

/// Whether a file that begins with these bytes is a state file, whole or not, damaged or not; so is an empty one. White space does
/// not count, a quarter of the first bytes may be wrong, and whoever has formatted it may have sorted the keys.
pub(super) fn begins_ours(bytes: &[u8]) -> bool {
    let begin = format!("{{\"format\":\"{FORMAT}\"").into_bytes();
    let black = bytes.iter().copied().filter(|b| !b.is_ascii_whitespace());
    let is: Vec<u8> = black.take(4 * begin.len()).collect();
    if is.len() < begin.len() {
        return begin.starts_with(&is);
    }
    let wrong = is.iter().zip(&begin).filter(|(a, b)| a != b).count();
    let key = begin.get(1..).unwrap_or_default();
    wrong <= begin.len() / 4 || is.starts_with(b"{") && is.windows(key.len()).any(|w| w == key)
}

pub(super) fn damaged(e: serde_json::Error) -> Bad {
    wrong(&e.to_string())
}

/// For one line of the log: the file's own words may be in it, and it may be anybody's.
fn wrong(what: &str) -> Bad {
    Bad::Damaged(printable_within(what.as_bytes(), WRONG_MAX))
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
