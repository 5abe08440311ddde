//! Who tracks whom, as the configuration says it by name.

use super::controller::Controller;
use super::hands::Why;
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

    /// How many it is with all that it follows, itself among them; none: it is not configured.
    pub(super) fn depth(&self, slot: Slot) -> Option<usize> {
        let b = self.backends.get(slot)?;
        (self.backends.slot(&b.config.name) == Some(slot)).then(|| self.backends.chain(b).count())
    }

    /// The configured backends; those that are followed before those that follow them, so that nobody passes through what
    /// never was.
    pub(super) fn by_depth(&self) -> Vec<Slot> {
        let depth = |(slot, b)| (self.backends.chain(b).count(), slot);
        let mut all: Vec<(usize, Slot)> = self.backends.configured().map(depth).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, slot)| slot).collect()
    }

    /// What a backend is told by its ties, once all are tied; or what else was said of it meanwhile.
    pub(super) fn inherit(&mut self, now: Now, slot: Slot, why: Option<Why>) {
        let Some(b) = self.backends.get(slot) else { return };
        let (code, detail) = why.unwrap_or_else(|| match &b.config.track {
            Some(name) => ("tracked", name.to_string().into()),
            None => ("config", "".into()),
        });
        self.restand(now, slot, code, detail);
    }

    /// Everybody's words take effect, and no frontend is judged: the caller does that, once all stand.
    pub(super) fn stand_all(&mut self, now: Now) {
        let mut whys = self.deferred.take().unwrap_or_default();
        let frontends = std::mem::take(&mut self.frontends);
        for slot in self.by_depth() {
            self.inherit(now, slot, whys.remove(&slot));
        }
        self.frontends = frontends;
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
