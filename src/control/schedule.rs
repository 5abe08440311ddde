//! When each backend is probed next.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::time::Time;

/// A slot of the backend table.
pub type Slot = u32;

/// A heap of deadlines, at most one live one a slot: setting a slot again leaves a dead entry behind, which is
/// told by its serial number and thrown away when it comes up.
#[derive(Debug, Default)]
pub struct Schedule {
    heap: BinaryHeap<Reverse<(Time, u64, Slot)>>,
    /// By slot: serial and time of the live entry.
    live: Vec<Option<(u64, Time)>>,
    serial: u64,
    count: usize,
}

impl Schedule {
    /// `slot` is due at `at`, and no more at any other time.
    pub fn set(&mut self, slot: Slot, at: Time) {
        self.clear(slot);
        self.serial += 1;
        let i = slot as usize;
        if self.live.len() <= i {
            self.live.resize(i + 1, None);
        }
        if let Some(l) = self.live.get_mut(i) {
            *l = Some((self.serial, at));
            self.count += 1;
        }
        self.heap.push(Reverse((at, self.serial, slot)));
        // Dead entries are bounded, so that an operator who toggles one backend for ever costs no memory.
        if self.heap.len() > 64 + 4 * self.count {
            let live = &self.live;
            self.heap.retain(|Reverse((_, serial, slot))| is_live(live, *slot, *serial));
        }
    }

    /// `slot` is not due any more.
    pub fn clear(&mut self, slot: Slot) {
        if let Some(l) = self.live.get_mut(slot as usize)
            && l.take().is_some()
        {
            self.count -= 1;
        }
    }

    /// Entries, dead ones too.
    pub fn size(&self) -> usize {
        self.heap.len()
    }

    /// When `slot` is due; none: never.
    pub fn due(&self, slot: Slot) -> Option<Time> {
        self.live.get(slot as usize).copied().flatten().map(|(_, at)| at)
    }

    /// The earliest deadline.
    pub fn earliest(&mut self) -> Option<Time> {
        while let Some(&Reverse((at, serial, slot))) = self.heap.peek() {
            if is_live(&self.live, slot, serial) {
                return Some(at);
            }
            self.heap.pop();
        }
        None
    }

    /// Takes the earliest slot that is due by `now`, with its deadline.
    pub fn pop(&mut self, now: Time) -> Option<(Slot, Time)> {
        let at = self.earliest()?;
        if at > now {
            return None;
        }
        let Reverse((at, _, slot)) = self.heap.pop()?;
        self.clear(slot);
        Some((slot, at))
    }
}

fn is_live(live: &[Option<(u64, Time)>], slot: Slot, serial: u64) -> bool {
    live.get(slot as usize).copied().flatten().is_some_and(|(s, _)| s == serial)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earliest_first_and_a_slot_once() {
        let mut s = Schedule::default();
        s.set(0, Time(30));
        s.set(1, Time(10));
        s.set(2, Time(20));
        s.set(0, Time(5));
        s.clear(2);
        assert_eq!((s.due(0), s.due(2)), (Some(Time(5)), None));
        assert_eq!(s.earliest(), Some(Time(5)));
        assert_eq!(s.pop(Time(4)), None);
        assert_eq!(s.pop(Time(100)), Some((0, Time(5))));
        assert_eq!(s.pop(Time(100)), Some((1, Time(10))));
        assert_eq!(s.pop(Time(100)), None);
        assert_eq!(s.earliest(), None);
    }

    #[test]
    fn dead_entries_are_bounded() {
        let mut s = Schedule::default();
        for i in 0..100_000u64 {
            s.set((i % 3) as Slot, Time(i));
        }
        assert!(s.heap.len() <= 64 + 4 * 3 + 1, "{}", s.heap.len());
        assert_eq!(s.pop(Time(u64::MAX)), Some((1, Time(99_997))));
    }
}
