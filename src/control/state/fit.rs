//! Writes the state file's content, and leaves out what makes it too long: history before states, states before an agent's
//! words, and an operator's words never. Nothing is made in memory: the content is written twice, once to be measured.

use std::io::{self, BufWriter, Write};
use std::net::IpAddr;

use serde::{Serialize, Serializer};

use super::snapshot::{
    Bad, FORMAT, SIZE_MAX, SavedBackend, SavedTransition, SavedWeight, SavedWords, Snapshot, VERSION, damaged,
};
use crate::health::State;

/// What is collected before it is written, in bytes.
const BUFFER: usize = 64 << 10;

/// What is left out. Each leaves out what those before it do, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cut {
    /// Nothing.
    #[default]
    Nothing,
    /// The history of each backend beyond the newest five transitions.
    HistoryBeyond5,
    /// The same beyond the newest two.
    HistoryBeyond2,
    /// The same beyond the newest.
    HistoryBeyond1,
    /// All history.
    History,
    /// Backends on which nobody has said a word: they start anew.
    States,
    /// What agents have said.
    Agents,
}

impl Cut {
    const ALL: [Cut; 7] = [
        Cut::Nothing,
        Cut::HistoryBeyond5,
        Cut::HistoryBeyond2,
        Cut::HistoryBeyond1,
        Cut::History,
        Cut::States,
        Cut::Agents,
    ];

    /// What is left out, in words.
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            Cut::Nothing => None,
            Cut::HistoryBeyond5 => Some("the history beyond the newest five transitions of each backend"),
            Cut::HistoryBeyond2 => Some("the history beyond the newest two transitions of each backend"),
            Cut::HistoryBeyond1 => Some("the history beyond the newest transition of each backend"),
            Cut::History => Some("the history"),
            Cut::States => Some("the history, and the states of backends on which there are no words"),
            Cut::Agents => Some("the history, the states of backends and the agents' words"),
        }
    }

    /// Transitions kept of a backend.
    fn history(self) -> usize {
        match self {
            Cut::Nothing => usize::MAX,
            Cut::HistoryBeyond5 => 5,
            Cut::HistoryBeyond2 => 2,
            Cut::HistoryBeyond1 => 1,
            Cut::History | Cut::States | Cut::Agents => 0,
        }
    }

    /// What is written of a backend, if anything.
    fn of(self, b: &SavedBackend) -> Option<Kept<'_>> {
        let SavedBackend { name, address, enabled, state, words, history } = b;
        let mut words = *words;
        if self >= Cut::Agents {
            words.agent = None;
        }
        let spoken_of = !words.is_none() || matches!(state, State::Disabled | State::Paused);
        let history = history.get(..self.history()).unwrap_or(history);
        let kept = Kept { name, address: *address, enabled: *enabled, state: *state, words, history };
        (self < Cut::States || spoken_of).then_some(kept)
    }
}

/// [`SavedBackend`], with what is left of its history.
#[derive(Serialize)]
struct Kept<'a> {
    name: &'a str,
    address: IpAddr,
    enabled: bool,
    state: State,
    #[serde(skip_serializing_if = "SavedWords::is_none")]
    words: SavedWords,
    history: &'a [SavedTransition],
}

/// [`Snapshot`], with what is left of it.
#[derive(Serialize)]
struct Left<'a> {
    #[serde(serialize_with = "backends")]
    backends: (&'a Snapshot, Cut),
    weights: &'a [SavedWeight],
}

fn backends<S: Serializer>((snapshot, cut): &(&Snapshot, Cut), to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(snapshot.backends.iter().filter_map(|b| cut.of(b)))
}

/// A snapshot as it fits into a file.
#[derive(Clone, Copy, Debug)]
pub struct Fit<'a> {
    snapshot: &'a Snapshot,
    /// What is left out.
    pub cut: Cut,
    /// Of the state.
    pub(super) crc32c: u32,
    /// Bytes of the state.
    length: usize,
}

impl<'a> Fit<'a> {
    /// The snapshot, less what has to be left out of a file of [`SIZE_MAX`] bytes.
    ///
    /// # Errors
    /// [`Bad::Long`]: the operator's words alone are too long.
    pub fn new(snapshot: &'a Snapshot) -> Result<Fit<'a>, Bad> {
        Fit::within(snapshot, SIZE_MAX)
    }

    /// Bytes of the whole file.
    pub(super) fn size(&self) -> usize {
        self.head().len().saturating_add(self.length).saturating_add(TAIL.len())
    }

    pub(super) fn within(snapshot: &'a Snapshot, max: usize) -> Result<Fit<'a>, Bad> {
        for cut in Cut::ALL {
            let fit = Fit::measure(snapshot, cut)?;
            if fit.size() <= max {
                return Ok(fit);
            }
        }
        Err(Bad::Long)
    }

    pub(super) fn measure(snapshot: &'a Snapshot, cut: Cut) -> Result<Fit<'a>, Bad> {
        let mut out = BufWriter::with_capacity(BUFFER, Measure::default());
        let left = Left { backends: (snapshot, cut), weights: &snapshot.weights };
        serde_json::to_writer(&mut out, &left).map_err(damaged)?;
        // What it is written to cannot fail.
        let Measure { length, crc32c } = out.into_inner().unwrap_or_default();
        Ok(Fit { snapshot, cut, crc32c, length })
    }

    fn head(&self) -> String {
        let crc32c = self.crc32c;
        format!("{{\"format\":\"{FORMAT}\",\"version\":{VERSION},\"crc32c\":{crc32c},\"state\":")
    }

    /// Writes the file's content.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn write(&self, to: impl Write) -> io::Result<()> {
        let mut out = BufWriter::with_capacity(BUFFER, to);
        out.write_all(self.head().as_bytes())?;
        let left = Left { backends: (self.snapshot, self.cut), weights: &self.snapshot.weights };
        serde_json::to_writer(&mut out, &left)?;
        out.write_all(TAIL)?;
        out.flush()
    }
}

const TAIL: &[u8] = b"}\n";

impl Snapshot {
    /// The file's bytes.
    ///
    /// # Errors
    /// As [`Fit::new`].
    pub fn encode(&self) -> Result<Vec<u8>, Bad> {
        let (fit, mut bytes) = (Fit::new(self)?, Vec::new());
        fit.write(&mut bytes).map_err(|e| Bad::Damaged(e.to_string()))?;
        Ok(bytes)
    }
}

/// Counts, and forgets.
#[derive(Default)]
struct Measure {
    length: usize,
    crc32c: u32,
}

impl Write for Measure {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.length += bytes.len();
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "fit_tests.rs"]
mod tests;
