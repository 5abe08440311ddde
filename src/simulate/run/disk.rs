//! Operators and the disk.

use super::Simulator;
use crate::simulate::broken::{Broken, broken};
use crate::simulate::deed::Deed;
use crate::simulate::keep::waits;

impl Simulator {
    /// An operator's word goes to the disk at once, or as soon as that is done with what it was given before; and who waits is
    /// answered.
    pub(super) fn heed_disk(&mut self, turned: bool) -> Result<(), Broken> {
        let now = self.world.now;
        // A disk that was full is tried again later, and with the next word.
        let full = self.world.disk.error.is_some();
        self.owes_save = self.owes_save && !full && !self.model.is_saved() && !self.model.is_being_saved();
        if turned && self.owes_save && !self.world.disk.is_busy() {
            let what = format!("at {now:?} it is not in the file, and nothing is written");
            return broken("an operator's word is saved at once", what);
        }
        let (c, wall) = (&self.world.c, self.world.wall());
        let on_time = self.recent.back().is_some_and(|p| matches!(p.deed, Deed::Turn));
        let mut result = Ok(());
        self.waiting.retain(|w| {
            let told = c.saved(wall, w.saving);
            match self.model.told(w, now, on_time, told.as_ref()) {
                Ok(done) => !done,
                Err(e) => {
                    result = Err(e);
                    false
                }
            }
        });
        result
    }

    pub(super) fn wait_for_disk(&mut self, changed: bool) -> Result<(), Broken> {
        let wall = self.world.wall();
        self.waiting.extend(waits(&mut self.world.c, &mut self.model, wall, changed)?);
        Ok(())
    }
}
