//! Who tracks whom, as the configuration says it by name.

use super::controller::Controller;
use super::schedule::Slot;
use crate::config::Backend;
use crate::time::Now;

impl Controller {
    /// Before all are tied together anew.
    pub(super) fn untie(&mut self, slot: Slot) {
        if let Some(b) = self.backends.get_mut(slot) {
            b.links = super::backends::Links::default();
        }
    }

    /// Ties a configured backend to those that it names.
    pub(super) fn tie(&mut self, slot: Slot) {
        let tracks = self.named(slot, |b| b.track.as_deref());
        let share_of = self.agent_of(slot);
        if let Some(b) = self.backends.get_mut(slot) {
            b.links.tracks = tracks;
            b.links.share_of = share_of;
        }
        if let Some(t) = tracks.and_then(|t| self.backends.get_mut(t)) {
            t.links.trackers.push(slot);
        }
        if let Some(s) = share_of.and_then(|s| self.backends.get_mut(s)) {
            s.links.sharers.push(slot);
        }
    }

    /// What a backend is told by its ties, once all are tied.
    pub(super) fn inherit(&mut self, now: Now, slot: Slot) {
        let Some(b) = self.backends.get(slot) else { return };
        match &b.config.track {
            Some(name) => {
                let told = name.to_string();
                self.restand(now, slot, "tracked", told.into());
            }
            None => self.restand(now, slot, "config", "".into()),
        }
    }

    fn named(&self, slot: Slot, name: impl Fn(&Backend) -> Option<&str>) -> Option<Slot> {
        self.backends.slot(name(&self.backends.get(slot)?.config)?)
    }

    /// The backend at the end of `agent-track`, if there is such a thing: the one with an agent.
    fn agent_of(&self, slot: Slot) -> Option<Slot> {
        let mut at = self.named(slot, |b| b.agent_track.as_deref())?;
        // No circles, by the configuration; and never more steps than backends.
        for _ in self.backends.names() {
            match self.named(at, |b| b.agent_track.as_deref()) {
                Some(next) => at = next,
                None => break,
            }
        }
        Some(at)
    }
}
