//! The state file's content is gathered in pieces, each a part of one turn: with tens of thousands of backends VPP's main
//! thread would wait for milliseconds.

use std::sync::Arc;

use super::restore::{saved, saved_state, saved_words};
use super::snapshot::{SavedBackend, Snapshot};
use crate::Name;
use crate::control::backends::Entry;
use crate::control::controller::Controller;
use crate::time::Now;

/// Records in one piece.
const RECORDS: usize = 500;

/// A save whose content is not complete yet. What changes meanwhile may be in it or not; it is in the next one, which is due
/// after any change.
#[derive(Debug)]
pub struct Gathering {
    /// Its number.
    generation: u64,
    /// The configuration that it is of, by its number.
    of: u64,
    /// The backend that was last.
    last: Option<Name>,
    backends: Vec<Arc<SavedBackend>>,
}

impl Controller {
    /// If the state is to be saved now: what, and its number for [`Controller::state_saved`]. Where there is much of it, some
    /// calls have nothing yet; [`Controller::deadline`] wants the next one at once.
    pub fn save_due(&mut self, now: Now) -> Option<(u64, Snapshot)> {
        // Before the first configuration nothing is known, and an empty state would be written over a good one.
        self.config.as_ref()?;
        let mut g = match self.gathering.take() {
            Some(g) if g.of == self.generation => g,
            // A file is of one configuration.
            Some(g) => self.gather(g.generation),
            None => {
                let generation = self.keeper.take_due(now.mono)?;
                self.gather(generation)
            }
        };
        if self.gather_some(&mut g, RECORDS) {
            return Some(self.gathered(g));
        }
        self.gathering = Some(g);
        None
    }

    /// As [`Controller::save_due`], at the end: whatever is not saved yet.
    pub fn save_last(&mut self) -> Option<(u64, Snapshot)> {
        self.config.as_ref()?;
        let begun = self.gathering.take().map(|g| g.generation);
        let generation = self.keeper.take_last().or(begun)?;
        let mut g = self.gather(generation);
        while !self.gather_some(&mut g, RECORDS) {}
        Some(self.gathered(g))
    }

    fn gather(&self, generation: u64) -> Gathering {
        Gathering { generation, of: self.generation, last: None, backends: Vec::new() }
    }

    /// True: that was all.
    fn gather_some(&mut self, g: &mut Gathering, records: usize) -> bool {
        for _ in 0..records {
            let Some((name, slot)) = self.backends.named_after(g.last.as_ref()) else { return true };
            g.last = Some(name);
            g.backends.extend(self.backends.get_mut(slot).map(Saved::renew));
        }
        false
    }

    fn gathered(&self, g: Gathering) -> (u64, Snapshot) {
        (g.generation, Snapshot { backends: g.backends, weights: self.saved_weights() })
    }
}

/// What was last saved of a backend. What has not changed since is not written down again.
#[derive(Debug)]
pub struct Saved {
    /// [`crate::health::History::changes`] then.
    changes: u64,
    record: Arc<SavedBackend>,
}

impl Saved {
    fn renew(b: &mut Entry) -> Arc<SavedBackend> {
        let same = b.saved.as_ref().filter(|s| {
            let SavedBackend { name, address, enabled, state, words, history: _ } = &*s.record;
            *name == *b.config.name
                && *address == b.config.address
                && *enabled == b.config.enabled
                && s.changes == b.history.changes()
                && *state == saved_state(b)
                && *words == saved_words(b)
        });
        if let Some(same) = same {
            debug_assert_eq!(*same.record, saved(b), "a change was missed");
            return same.record.clone();
        }
        let record = Arc::new(saved(b));
        b.saved = Some(Saved { changes: b.history.changes(), record: record.clone() });
        record
    }
}
