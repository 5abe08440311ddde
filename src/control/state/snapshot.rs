//! The state file's content. JSON, with a version and a checksum, so that a damaged file is never believed.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::health::State;

/// What the file says it is.
const FORMAT: &str = "maglev-state";
/// The only version that is read and written.
const VERSION: u32 = 1;
/// Transitions kept of a backend, however many `transition-history` keeps in memory.
pub const HISTORY_MAX: usize = 10;
/// No file is read or written beyond this, in bytes.
pub const SIZE_MAX: usize = 64 << 20;

/// All that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// By name.
    pub backends: Vec<SavedBackend>,
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
    /// `disabled` and `paused` are the operator's words, or the configuration's.
    pub state: State,
    /// Newest first, at most [`HISTORY_MAX`].
    pub history: Vec<SavedTransition>,
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

#[derive(Serialize, Deserialize)]
struct Body<S> {
    format: String,
    version: u32,
    /// CRC32C of `state` as [`Snapshot`] writes it; white space does not count.
    crc32c: u32,
    state: S,
}

impl Snapshot {
    /// The file's bytes.
    ///
    /// # Errors
    /// [`Bad::Long`]; the rest cannot happen.
    pub fn encode(&self) -> Result<Vec<u8>, Bad> {
        self.encode_within(SIZE_MAX)
    }

    fn encode_within(&self, max: usize) -> Result<Vec<u8>, Bad> {
        let crc32c = self.checksum()?;
        let body = Body { format: FORMAT.to_owned(), version: VERSION, crc32c, state: self };
        let mut bytes = serde_json::to_vec(&body).map_err(damaged)?;
        bytes.push(b'\n');
        if bytes.len() > max { Err(Bad::Long) } else { Ok(bytes) }
    }

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
        let body: Body<Snapshot> = serde_json::from_slice(bytes).map_err(damaged)?;
        if body.crc32c != body.state.checksum()? {
            return Err(Bad::Checksum);
        }
        body.state.check()?;
        Ok(body.state)
    }

    fn checksum(&self) -> Result<u32, Bad> {
        Ok(crc32c::crc32c(&serde_json::to_vec(self).map_err(damaged)?))
    }

    /// What the types alone do not rule out.
    fn check(&self) -> Result<(), Bad> {
        if let Some(b) = self.backends.iter().find(|b| b.state == State::Removed) {
            return Err(Bad::Damaged(format!("backend {:?} is saved as removed", b.name)));
        }
        if let Some(w) = self.weights.iter().find(|w| w.weight > 100 || w.configured > 100) {
            return Err(Bad::Damaged(format!("a weight of {:?} is above 100", w.backend)));
        }
        Ok(())
    }
}

fn damaged(e: serde_json::Error) -> Bad {
    Bad::Damaged(e.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Snapshot {
        Snapshot {
            backends: vec![SavedBackend {
                name: "a".into(),
                address: "10.0.0.1".parse().unwrap(),
                enabled: true,
                state: State::Down,
                history: vec![SavedTransition {
                    from: Some(State::Up),
                    to: State::Down,
                    at_ms: 5,
                    code: "L7STS".into(),
                    detail: "HTTP 503 \"\\\u{7f}é".into(),
                }],
            }],
            weights: vec![SavedWeight {
                frontend: "web".into(),
                pool: "first".into(),
                backend: "a".into(),
                address: "10.0.0.1".parse().unwrap(),
                configured: 100,
                weight: 7,
            }],
        }
    }

    fn decode(text: &str) -> Result<Snapshot, Bad> {
        Snapshot::decode(text.as_bytes())
    }

    #[test]
    fn what_is_written_is_read() {
        for s in [sample(), Snapshot::default()] {
            assert_eq!(Snapshot::decode(&s.encode().unwrap()), Ok(s));
        }
    }

    #[test]
    fn cut_short_anywhere_it_is_bad() {
        let whole = sample().encode().unwrap();
        // The last byte is the line's end.
        for n in 0..whole.len() - 1 {
            assert!(matches!(Snapshot::decode(&whole[..n]), Err(Bad::Damaged(_))), "{n} bytes");
        }
    }

    #[test]
    fn a_changed_byte_anywhere_is_bad() {
        let whole = sample().encode().unwrap();
        for i in 0..whole.len() - 1 {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[i] ^= 1 << bit;
                assert!(Snapshot::decode(&bytes).is_err(), "byte {i} bit {bit}");
            }
        }
    }

    #[test]
    fn other_versions_and_other_files_are_told_apart() {
        let text = String::from_utf8(sample().encode().unwrap()).unwrap();
        for (version, n) in [("0", 0), ("2", 2), ("4294967295", u32::MAX)] {
            let other = text.replacen("\"version\":1", &format!("\"version\":{version}"), 1);
            assert_eq!(decode(&other), Err(Bad::Version(n)));
        }
        // A later version need not have this one's shape.
        assert_eq!(decode(r#"{"format":"maglev-state","version":2,"words":[]}"#), Err(Bad::Version(2)));
        for foreign in ["{}", "[]", "null", "7", "\"x\"", r#"{"version":1}"#, r#"{"format":"x","version":1}"#]
        {
            assert_eq!(decode(foreign), Err(Bad::Foreign), "{foreign}");
        }
        for damaged in ["", "{", "maglev:\n", r#"{"format":"maglev-state","version":1}"#] {
            assert!(matches!(decode(damaged), Err(Bad::Damaged(_))), "{damaged}");
        }
        assert!(matches!(decode(&"[".repeat(100_000)), Err(Bad::Damaged(_))), "too deep");
    }

    #[test]
    fn what_cannot_have_been_written_is_bad() {
        let mut s = sample();
        s.backends[0].state = State::Removed;
        assert!(matches!(Snapshot::decode(&s.encode().unwrap()), Err(Bad::Damaged(_))));
        let mut s = sample();
        s.weights[0].weight = 101;
        assert!(matches!(Snapshot::decode(&s.encode().unwrap()), Err(Bad::Damaged(_))));
    }

    #[test]
    fn its_size_is_bounded() {
        let whole = sample().encode().unwrap();
        assert_eq!(sample().encode_within(whole.len() - 1), Err(Bad::Long));
        assert_eq!(sample().encode_within(whole.len()), Ok(whole));
        assert_eq!(Snapshot::decode(&vec![b' '; SIZE_MAX + 1]), Err(Bad::Long));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(Snapshot::decode(&bytes).is_err());
        }

        #[test]
        fn random_damage_is_never_believed(at in 0usize..300, with in proptest::collection::vec(any::<u8>(), 1..9)) {
            let whole = sample().encode().unwrap();
            let mut bytes = whole.clone();
            let at = at % whole.len();
            bytes.splice(at..at, with.iter().copied());
            if let Ok(s) = Snapshot::decode(&bytes) {
                prop_assert_eq!(s, sample(), "white space alone may differ");
            }
        }
    }
}
