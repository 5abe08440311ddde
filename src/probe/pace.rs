//! When the next probe starts.

use std::time::Duration;

use crate::time::Time;

/// The coarsest grid of [`jittered`]: 2^22 ns, 4.2 ms.
const GRID_MAX: u64 = 1 << 22;

/// `interval` after `started`, `percent` to both sides, uniform over the points of a grid of time.
///
/// The grid is common to all backends (that of a shorter interval has the points of a longer one's, too), so that many
/// fall due at one moment, and the threads wake once for all of them. It is far finer than the jitter, so that starts
/// stay spread; without jitter there is none.
pub fn jittered(started: Time, interval: Duration, percent: f64, rng: &mut fastrand::Rng) -> Time {
    let spread = interval.mul_f64((percent / 100.0).clamp(0.0, 0.5));
    let earliest = started + interval.saturating_sub(spread);
    let latest = earliest + spread + spread;
    let at = Time(rng.u64(earliest.0..=latest.0));
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

/// A probe that is more overdue than this waited for a thread that stood still, and others with it.
const STALL: Duration = Duration::from_secs(1);

/// Such probes are not all to start in one moment: each is put off once, and they are spread over a time. When, for one that is.
pub fn put_off(
    now: Time,
    due: Time,
    already: &mut bool,
    spread: Duration,
    rng: &mut fastrand::Rng,
) -> Option<Time> {
    if *already || now.since(due) <= STALL {
        return None;
    }
    *already = true;
    Some(now + spread.mul_f64(rng.f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
