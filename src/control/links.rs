//! Who tracks whom, as the configuration says it by name.

use super::controller::Controller;
use super::schedule::Slot;
use crate::config::Backend;
use crate::time::Now;

impl Controller {
    /// Ties the backends together anew after a configuration was applied, and lets what is inherited take effect.
    pub(super) fn relink(&mut self, now: Now) {
        let slots: Vec<Slot> = self.backends.iter().map(|(s, _)| s).collect();
        let named: Vec<Slot> = self.backends.names().filter_map(|n| self.backends.slot(n)).collect();
        for slot in slots {
            if let Some(b) = self.backends.get_mut(slot) {
                b.links = super::backends::Links::default();
            }
        }
        for &slot in &named {
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
        self.stand_all(now);
    }

    /// Everybody's words take effect at once. Those that are followed come before those that follow them: nobody passes
    /// through what never was.
    pub(super) fn stand_all(&mut self, now: Now) {
        let mut deferred = self.deferred.take().unwrap_or_default();
        // Their frontends are judged by the caller, once all stand.
        let frontends = std::mem::take(&mut self.frontends);
        let named = self.backends.names().filter_map(|n| self.backends.slot(n));
        let mut named: Vec<(usize, Slot)> = named.map(|slot| (self.depth(slot), slot)).collect();
        named.sort_unstable();
        for (_, slot) in named {
            let Some(b) = self.backends.get(slot) else { continue };
            let (code, detail) = deferred.remove(&slot).unwrap_or_else(|| match &b.config.track {
                Some(name) => ("tracked", name.to_string().into()),
                None => ("config", "".into()),
            });
            self.restand(now, slot, code, detail);
        }
        self.frontends = frontends;
    }

    /// How many it tracks, one through the other.
    fn depth(&self, slot: Slot) -> usize {
        let mut at = slot;
        let mut depth = 0;
        // No circles, by the configuration; and never more steps than backends.
        for _ in self.backends.names() {
            match self.backends.get(at).and_then(|b| b.links.tracks) {
                Some(next) => (at, depth) = (next, depth + 1),
                None => break,
            }
        }
        depth
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
