//! Slow start: a backend that was down or disabled climbs to its weight in a few steps, one table rebuild each.

use std::time::Duration;

/// The steps, in percent of the weight; the first at once, the last when the time is over, the others evenly between.
pub const STEPS: [u8; 7] = [1, 2, 5, 10, 20, 50, 100];

/// How far a backend has climbed so long after it came back, in percent.
pub fn percent(after: Duration, slow_start: Duration) -> u8 {
    let mut reached = 100;
    for (i, percent) in STEPS.iter().enumerate().rev() {
        if after >= step(i, slow_start) {
            return *percent;
        }
        reached = *percent;
    }
    reached
}

/// When a step begins, after the backend came back.
fn step(i: usize, slow_start: Duration) -> Duration {
    let (i, last) = (u32::try_from(i).unwrap_or(0), u32::try_from(STEPS.len() - 1).unwrap_or(1));
    slow_start * i / last
}

/// When the steps after the first begin, after the backend came back.
pub fn steps(slow_start: Duration) -> impl Iterator<Item = Duration> {
    (1..STEPS.len()).map(move |i| step(i, slow_start))
}

/// `percent` (1–100) of a weight, rounded half up, and never 0 of a weight above 0.
pub fn apply(weight: u8, percent: u8) -> u8 {
    if weight == 0 {
        return 0;
    }
    let rounded = (u16::from(weight) * u16::from(percent.min(100)) + 50) / 100;
    u8::try_from(rounded).unwrap_or(weight).clamp(1, weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seven_steps_evenly_spread() {
        let s = Duration::from_secs;
        let rows = [
            (0, 1),
            (9, 1),
            (10, 2),
            (19, 2),
            (20, 5),
            (30, 10),
            (40, 20),
            (50, 50),
            (59, 50),
            (60, 100),
            (10_000, 100),
        ];
        for (after, want) in rows {
            assert_eq!(percent(s(after), s(60)), want, "{after} s");
        }
        let all: Vec<u64> = steps(s(60)).map(|d| d.as_secs()).collect();
        assert_eq!(all, [10, 20, 30, 40, 50, 60]);
        assert_eq!(percent(Duration::ZERO, Duration::ZERO), 100);
    }

    #[test]
    fn each_step_is_seen_at_the_moment_it_begins() {
        for nanos in [1u64, 7, 999, 1_000_000_007, 60_000_000_000] {
            let slow = Duration::from_nanos(nanos);
            for (i, at) in steps(slow).enumerate() {
                assert!(percent(at, slow) >= STEPS[i + 1], "step {i} of {slow:?}");
            }
        }
    }

    #[test]
    fn never_below_one_never_above_the_weight() {
        for weight in 0..=100u8 {
            let mut before = 0;
            for percent in STEPS {
                let w = apply(weight, percent);
                assert!(w <= weight && w >= before && (weight == 0 || w >= 1));
                before = w;
            }
            assert_eq!(before, weight);
        }
        assert_eq!(apply(50, 5), 3, "2.5 half up");
    }
}
