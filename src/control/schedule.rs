//! When each backend is probed next.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::time::Time;

/// A slot of the backend table.
pub type Slot = u32;

/// The coarsest grid of [`jittered`]: 2^22 ns, 4.2 ms.
const GRID_MAX: u64 = 1 << 22;

/// `interval` after `started`, `percent` to both sides, uniform over the points of a grid of time.
///
/// The grid is common to all backends (that of a shorter interval has the points of a longer one's, too), so that many
/// fall due at one moment, and the threads wake once for all of them. It is far finer than the jitter, so that starts
/// stay spread; without jitter there is none.
pub(super) fn jittered(started: Time, interval: Duration, percent: f64, rng: &mut fastrand::Rng) -> Time {
    let spread = interval.mul_f64((percent / 100.0).clamp(0.0, 0.5));
    let earliest = started + interval.saturating_sub(spread);
    let reach = spread.mul_f64(2.0);
    let (at, latest) = (earliest + reach.mul_f64(rng.f64()), earliest + reach);
    let fine_enough = u64::try_from(spread.as_nanos() / 8).unwrap_or(u64::MAX).min(GRID_MAX);
    let Some(bits) = fine_enough.checked_ilog2() else { return at };
    let grid = 1u64 << bits;
    // To the nearest, so that the mean interval stays what it is; the reach holds 16 points and more.
    let nearest = at.0.saturating_add(grid / 2) & !(grid - 1);
    if nearest < earliest.0 {
        Time(nearest.saturating_add(grid))
    } else if nearest > latest.0 {
        Time(nearest.saturating_sub(grid))
    } else {
        Time(nearest)
    }
}

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
    fn jittered_starts_meet_on_a_grid_within_the_jitter() {
        let mut rng = fastrand::Rng::with_seed(7);
        for (interval_us, percent) in [
            (10_000, 10.0),
            (10_000, 50.0),
            (200_000, 10.0),
            (1_000_000, 10.0),
            (1_000_000, 50.0),
            (10_000, 0.1),
        ] {
            let interval = Duration::from_micros(interval_us);
            let spread = interval.mul_f64(percent / 100.0);
            let (mut sum, mut points) = (0.0, std::collections::BTreeSet::new());
            for i in 0..10_000u64 {
                let started = Time(1_000_000_007 * i);
                let at = jittered(started, interval, percent, &mut rng);
                let took = at.since(started);
                assert!(
                    took >= interval - spread && took <= interval + spread,
                    "{interval:?} {percent}: {took:?}"
                );
                sum += took.as_secs_f64();
                points.insert(at.0.trailing_zeros());
            }
            let mean = sum / 10_000.0 / interval.as_secs_f64();
            assert!((mean - 1.0).abs() < 0.02 * percent / 100.0, "{interval:?} {percent}: mean {mean}");
            let grid = 1u64 << points.first().unwrap();
            assert!(
                Duration::from_nanos(grid) > (spread / 17).min(Duration::from_millis(4)),
                "{interval:?}: {grid} ns"
            );
            assert!(grid <= GRID_MAX);
        }
    }

    #[test]
    fn without_jitter_a_start_is_where_it_belongs() {
        let mut rng = fastrand::Rng::with_seed(7);
        let at = jittered(Time(12_345), Duration::from_millis(10), 0.0, &mut rng);
        assert_eq!(at, Time(10_012_345));
        // Nor is there a grid where the jitter has no room for one.
        let at = jittered(Time(12_345), Duration::from_nanos(20), 10.0, &mut rng);
        assert!((12_363..=12_367).contains(&at.0), "{at:?}");
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
