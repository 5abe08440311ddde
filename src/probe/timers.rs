//! Deadlines of the probes in flight.

use std::collections::BTreeSet;

use crate::time::Time;

/// A set of (moment, slot), taken out in order of time. An entry is removed when its probe ends, so that it never
/// holds more than there are probes in flight, however long their timeouts.
#[derive(Default)]
pub(super) struct Timers(BTreeSet<(Time, u32)>);

impl Timers {
    pub(super) fn insert(&mut self, at: Time, slot: u32) {
        self.0.insert((at, slot));
    }

    pub(super) fn remove(&mut self, at: Time, slot: u32) {
        self.0.remove(&(at, slot));
    }

    /// The earliest moment.
    pub(super) fn next(&self) -> Option<Time> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Takes out the earliest entry whose moment has come.
    pub(super) fn pop_due(&mut self, now: Time) -> Option<u32> {
        if self.next()? > now {
            return None;
        }
        self.0.pop_first().map(|(_, slot)| slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_out_in_order_and_not_early() {
        let mut t = Timers::default();
        for (ms, slot) in [(30, 1), (10, 2), (20, 3), (10, 4)] {
            t.insert(Time::from_millis(ms), slot);
        }
        assert_eq!(t.next(), Some(Time::from_millis(10)));
        assert_eq!(t.pop_due(Time::from_millis(9)), None);
        let due: Vec<u32> = std::iter::from_fn(|| t.pop_due(Time::from_millis(20))).collect();
        assert_eq!(due, [2, 4, 3]);
        assert_eq!(t.next(), Some(Time::from_millis(30)));
    }

    #[test]
    fn a_removed_entry_never_comes() {
        let mut t = Timers::default();
        t.insert(Time::from_millis(1), 7);
        t.insert(Time::from_millis(1), 8);
        t.remove(Time::from_millis(1), 7);
        t.remove(Time::from_millis(5), 8); // not that moment: no effect
        assert_eq!(t.pop_due(Time::MAX), Some(8));
        assert_eq!(t.pop_due(Time::MAX), None);
        assert_eq!(t.next(), None);
    }
}
