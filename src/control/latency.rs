//! How long things took: counts in buckets that grow with the value, four to each doubling, so that a percentile is at
//! most an eighth off.

use std::time::Duration;

use crate::time::Time;

/// The last bucket takes all from 117 s on, and shows it as 125 s.
const BUCKETS: usize = 104;
/// One slot of a [`Window`].
const SLOT: Duration = Duration::from_secs(10);
/// The slot that is being filled, and the last minute's.
const SLOTS: usize = 7;

/// The bucket of so many microseconds.
fn bucket(us: u64) -> usize {
    if us < 4 {
        return us as usize;
    }
    let octave = us.ilog2();
    let quarter = (us >> (octave - 2)) & 3;
    (((octave - 1) * 4) as usize + quarter as usize).min(BUCKETS - 1)
}

/// The middle of a bucket, in microseconds.
fn middle(bucket: usize) -> u64 {
    if bucket < 4 {
        return bucket as u64;
    }
    let width = 1u64 << (bucket / 4 - 1);
    (4 + bucket as u64 % 4) * width + width / 2
}

/// What is to be said of many durations, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many.
    pub samples: u64,
    /// Half of them took no longer; 0 when there are none.
    pub p50_us: u64,
    /// All but one in a hundred took no longer.
    pub p99_us: u64,
}

fn summary(counts: &[u64]) -> Summary {
    let samples: u64 = counts.iter().sum();
    let at = |percent: u64| {
        let rank = (samples * percent).div_ceil(100);
        let mut seen = 0;
        let found = counts.iter().position(|n| {
            seen += n;
            seen >= rank && rank > 0
        });
        found.map_or(0, middle)
    };
    Summary { samples, p50_us: at(50), p99_us: at(99) }
}

fn whole_us(d: Duration) -> u64 {
    u64::try_from(d.as_micros()).unwrap_or(u64::MAX)
}

/// All durations since the start.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: [u64; BUCKETS],
    total: Duration,
    longest: Duration,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: [0; BUCKETS], total: Duration::ZERO, longest: Duration::ZERO }
    }
}

impl Histogram {
    /// One more.
    pub fn record(&mut self, took: Duration) {
        if let Some(n) = self.counts.get_mut(bucket(whole_us(took))) {
            *n += 1;
        }
        self.total = self.total.saturating_add(took);
        self.longest = self.longest.max(took);
    }

    /// Count and percentiles.
    pub fn summary(&self) -> Summary {
        summary(&self.counts)
    }

    /// Microseconds; 0 when there are none.
    pub fn mean_us(&self) -> u64 {
        whole_us(self.total).checked_div(self.counts.iter().sum()).unwrap_or(0)
    }

    /// All together, microseconds.
    pub fn total_us(&self) -> u64 {
        whole_us(self.total)
    }

    /// Microseconds.
    pub fn longest_us(&self) -> u64 {
        whole_us(self.longest)
    }
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Which ten seconds of the clock it counts.
    epoch: u64,
    counts: [u16; BUCKETS],
}

/// The durations of the last minute (and of up to ten seconds more), in under 1.5 KiB.
#[derive(Clone, Debug)]
pub struct Window {
    slots: [Slot; SLOTS],
}

impl Default for Window {
    fn default() -> Window {
        Window { slots: [Slot { epoch: 0, counts: [0; BUCKETS] }; SLOTS] }
    }
}

fn epoch(now: Time) -> u64 {
    now.0 / SLOT.as_nanos() as u64
}

impl Window {
    /// One more, that ended now.
    pub fn record(&mut self, now: Time, took: Duration) {
        let epoch = epoch(now);
        let Some(slot) = self.slots.get_mut(epoch as usize % SLOTS) else { return };
        if slot.epoch != epoch {
            *slot = Slot { epoch, counts: [0; BUCKETS] };
        }
        if let Some(n) = slot.counts.get_mut(bucket(whole_us(took))) {
            *n = n.saturating_add(1);
        }
    }

    /// Of the last minute.
    pub fn summary(&self, now: Time) -> Summary {
        let now = epoch(now);
        let mut counts = [0u64; BUCKETS];
        for slot in self.slots.iter().filter(|s| s.epoch <= now && s.epoch + SLOTS as u64 > now) {
            for (sum, n) in counts.iter_mut().zip(slot.counts) {
                *sum += u64::from(n);
            }
        }
        summary(&counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn every_duration_is_in_a_bucket_that_is_at_most_an_eighth_off() {
        for us in (0..5000u64).chain((0..27).flat_map(|n| [(1 << n) - 1, 1 << n, (1 << n) + 1])) {
            assert!(bucket(us) < BUCKETS);
            assert!(middle(bucket(us)).abs_diff(us) * 8 <= us, "{us} is shown as {}", middle(bucket(us)));
            assert!(bucket(us) <= bucket(us + 1), "{us}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_of_known_durations() {
        let mut h = Histogram::default();
        assert_eq!((h.summary(), h.mean_us()), (Summary::default(), 0));
        for _ in 0..98 {
            h.record(MS);
        }
        h.record(100 * MS);
        h.record(1000 * MS);
        let s = h.summary();
        assert_eq!(s.samples, 100);
        assert!((875..=1125).contains(&s.p50_us), "{s:?}");
        assert!((87_500..=112_500).contains(&s.p99_us), "{s:?}");
        assert_eq!((h.mean_us(), h.longest_us()), (11_980, 1_000_000));
        h.record(Duration::MAX);
        assert_eq!((h.summary().samples, h.longest_us()), (101, u64::MAX), "no overflow");
    }

    #[test]
    fn a_window_knows_the_last_minute_and_forgets_what_is_older() {
        let mut w = Window::default();
        let at = |s: u64| Time::from_millis(s * 1000);
        assert_eq!(w.summary(at(0)).samples, 0);
        w.record(at(5), 100 * MS);
        w.record(at(35), MS);
        for (second, samples) in [(5, 1), (35, 2), (65, 2), (69, 2), (70, 1), (95, 1), (99, 1), (100, 0)] {
            assert_eq!(w.summary(at(second)).samples, samples, "{second}");
        }
        assert!(w.summary(at(80)).p99_us < 2000, "the slow one is forgotten");
        // The place of an old slot is taken by a new one.
        w.record(at(75), MS);
        assert_eq!(w.summary(at(75)).samples, 2);
        w.record(at(100_000), MS);
        assert_eq!(w.summary(at(100_000)).samples, 1);
    }

    #[test]
    fn a_window_is_small_and_its_counts_do_not_overflow() {
        assert!(size_of::<Window>() <= 1536, "{}", size_of::<Window>());
        let mut w = Window::default();
        for _ in 0..70_000 {
            w.record(Time::ZERO, MS);
        }
        assert_eq!(w.summary(Time::ZERO).samples, 65_535);
    }
}
