//! The disk: a write of the state file takes its time, and VPP may die before the file is in its place.

use std::time::Duration;

use super::world::{Happening, World};
use crate::time::Time;

/// A write under way.
#[derive(Debug)]
pub struct Writing {
    generation: u64,
    bytes: Result<Vec<u8>, String>,
    /// When the disk answers.
    done: Time,
}

/// The file's folder.
#[derive(Debug, Default)]
pub struct Disk {
    /// Why nothing can be written.
    pub error: Option<String>,
    /// From a write's begin to its end; 0: no turn of the engine lies between.
    pub takes: Duration,
    /// In order. The controller is to give one at a time.
    writing: std::collections::VecDeque<Writing>,
}

impl Disk {
    /// Whether a write is under way.
    pub fn is_busy(&self) -> bool {
        !self.writing.is_empty()
    }

    /// When it answers next.
    pub fn answers(&self) -> Time {
        self.writing.front().map_or(Time::MAX, |w| w.done)
    }
}

impl World {
    /// What the disk has answered by now, and the next write, if it is due.
    pub fn save(&mut self) {
        let now = self.wall();
        loop {
            self.written();
            let Some((generation, snapshot)) = self.c.save_due(now) else { return };
            self.note(Happening::Saving);
            let bytes = snapshot.encode().map_err(|e| e.to_string());
            let begins = self.disk.writing.back().map_or(self.now, |w| w.done);
            self.disk.writing.push_back(Writing { generation, bytes, done: begins + self.disk.takes });
        }
    }

    /// Tells the controller what the disk has answered.
    pub(super) fn written(&mut self) {
        let now = self.wall();
        while self.disk.answers() <= self.now
            && let Some(w) = self.disk.writing.pop_front()
        {
            let result = match &self.disk.error {
                None => w.bytes,
                Some(why) => Err(why.clone()),
            };
            let result = result.map(|bytes| self.file = Some(bytes));
            self.note(Happening::Saved(result.is_ok()));
            self.c.state_saved(now, w.generation, result);
        }
    }

    /// VPP dies. The write under way had put its file into its place before, and could not tell it any more (`in_place`), or
    /// had not. Answers whether it had.
    pub fn cut_off(&mut self, in_place: bool) -> bool {
        let bytes = self.disk.writing.drain(..).next().and_then(|w| w.bytes.ok());
        match bytes.filter(|_| in_place && self.disk.error.is_none()) {
            Some(bytes) => self.file = Some(bytes),
            None => return false,
        }
        true
    }
}
