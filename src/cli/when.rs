//! Times and durations for people.

/// Milliseconds since the Unix epoch as ISO-8601 UTC: `2026-11-23T06:43:31.250Z`.
pub fn iso(ms: u64) -> String {
    let secs = ms / 1000;
    let (days, second) = (secs / 86_400, secs % 86_400);
    let (y, m, d) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{y:04}-{m:02}-{d:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1000)
}

/// Days since the epoch to year, month, day in the Gregorian calendar.
///
/// Counts in eras of 400 years that begin on March 1st, so that the leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let z = days.saturating_add(719_468);
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// A duration in at most two units: `250ms`, `3.2s`, `5m10s`, `2h3m`, `4d7h`.
pub fn span(ms: u64) -> String {
    let s = ms / 1000;
    match s {
        0 => format!("{ms}ms"),
        1..60 if ms % 1000 < 100 => format!("{s}s"),
        1..60 => format!("{s}.{}s", ms % 1000 / 100),
        60..3600 => two(s, 60, "m", 1, "s"),
        3600..86_400 => two(s, 3600, "h", 60, "m"),
        _ => two(s, 86_400, "d", 3600, "h"),
    }
}

fn two(s: u64, big: u64, big_unit: &str, small: u64, small_unit: &str) -> String {
    let rest = s % big / small;
    if rest == 0 {
        format!("{}{big_unit}", s / big)
    } else {
        format!("{}{big_unit}{rest}{small_unit}", s / big)
    }
}

/// A configured duration, exactly: `1500ms`, `2s`, `1m30s`.
pub(super) fn exact(ms: u64) -> String {
    match ms {
        0 => "0s".into(),
        _ if !ms.is_multiple_of(1000) => format!("{ms}ms"),
        _ if ms.is_multiple_of(60_000) => format!("{}m", ms / 60_000),
        60_000.. => format!("{}m{}s", ms / 60_000, ms / 1000 % 60),
        _ => format!("{}s", ms / 1000),
    }
}

/// How long ago `then` was at `now`; a clock that was set back makes it 0.
pub(super) fn age(then: u64, now: u64) -> String {
    span(now.saturating_sub(then))
}

/// ISO-8601 and age: `2026-11-23T06:43:31.250Z (5m10s ago)`.
pub(super) fn at(then: u64, now: u64) -> String {
    format!("{} ({} ago)", iso(then), age(then, now))
}

/// Microseconds as a latency: `85us`, `1.20ms`, `2.00s`.
pub(super) fn latency(us: u64) -> String {
    match us {
        0..1000 => format!("{us}us"),
        1000..1_000_000 => format!("{}.{:02}ms", us / 1000, us % 1000 / 10),
        _ => format!("{}.{:02}s", us / 1_000_000, us % 1_000_000 / 10_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_of_known_moments() {
        assert_eq!(iso(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(iso(951_868_799_999), "2000-02-29T23:59:59.999Z");
        assert_eq!(iso(1_709_251_200_000), "2024-03-01T00:00:00.000Z");
        assert_eq!(iso(1_735_689_599_000), "2024-12-31T23:59:59.000Z");
        assert_eq!(iso(4_102_444_800_000), "2100-01-01T00:00:00.000Z");
        assert!(iso(u64::MAX).ends_with('Z'));
    }

    #[test]
    fn spans_have_at_most_two_units() {
        for (ms, text) in [
            (0, "0ms"),
            (999, "999ms"),
            (1000, "1s"),
            (3250, "3.2s"),
            (59_999, "59.9s"),
            (60_000, "1m"),
            (310_000, "5m10s"),
            (7_380_000, "2h3m"),
            (370_800_000, "4d7h"),
        ] {
            assert_eq!(span(ms), text);
        }
    }

    #[test]
    fn exact_loses_nothing() {
        for (ms, text) in
            [(0, "0s"), (10, "10ms"), (1500, "1500ms"), (2000, "2s"), (60_000, "1m"), (90_000, "1m30s")]
        {
            assert_eq!(exact(ms), text);
        }
    }

    #[test]
    fn latencies() {
        for (us, text) in [(85, "85us"), (1204, "1.20ms"), (999_999, "999.99ms"), (2_000_000, "2.00s")] {
            assert_eq!(latency(us), text);
        }
    }

    #[test]
    fn age_of_the_future_is_zero() {
        assert_eq!(age(10, 5), "0ms");
    }
}
