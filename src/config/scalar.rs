//! Single values: Go's durations, YAML 1.2's numbers, lists of HTTP codes. All pure.

use std::time::Duration;

/// Go's `time.ParseDuration`: a sequence of decimal numbers, each with a unit of `ns us µs ms s m h`; or `0`.
///
/// # Errors
/// What is wrong with it, to follow the text in a sentence.
pub fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    let rest = text.strip_prefix('+').unwrap_or(text);
    if text.starts_with('-') {
        return Err("is negative");
    }
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err("is empty");
    }
    let mut total: u128 = 0;
    let mut rest = rest;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err("is no duration such as `500ms`, `2s` or `1m30s`");
        }
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end).unwrap_or((after, ""));
        let unit = match unit {
            "" => return Err("has no unit, as in `500ms` or `2s`"),
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err("has a unit other than ns, us, ms, s, m, h"),
        };
        total = total
            .checked_add(scale(whole, fraction, unit).ok_or("is too long")?)
            .filter(|t| *t <= i64::MAX as u128)
            .ok_or("is too long")?;
        rest = after;
    }
    let nanos = u64::try_from(total).map_err(|_| "is too long")?;
    Ok(Duration::from_nanos(nanos))
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// `whole.fraction` units of so many nanoseconds, cut off below one nanosecond.
fn scale(whole: &str, fraction: &str, unit: u128) -> Option<u128> {
    let mut total = 0;
    for digit in whole.bytes() {
        total = u128::checked_mul(total, 10)?.checked_add(u128::from(digit - b'0'))?;
        if total > i64::MAX as u128 {
            return None;
        }
    }
    let mut total = total.checked_mul(unit)?;
    // More digits than this are below a nanosecond even of an hour.
    let (mut part, mut whole) = (0, 1);
    for digit in fraction.bytes().take(18) {
        part = part * 10 + u128::from(digit - b'0');
        whole *= 10;
    }
    total += part * unit / whole;
    Some(total)
}

/// The duration as Go would print it, exactly: `1m30s`, `500ms`, `0s`.
pub fn format_duration(d: Duration) -> String {
    let nanos = d.as_nanos();
    let second = 1_000_000_000;
    if nanos == 0 {
        return "0s".into();
    }
    if nanos < second {
        let (unit, name) = match nanos {
            1_000_000.. => (1_000_000, "ms"),
            1_000.. => (1_000, "us"),
            _ => (1, "ns"),
        };
        return format!("{}{name}", decimal(nanos, unit));
    }
    let (hours, minutes) = (nanos / (3600 * second), nanos / (60 * second) % 60);
    let seconds = nanos % (60 * second);
    let mut out = String::new();
    if hours > 0 {
        out += &format!("{hours}h");
    }
    if minutes > 0 {
        out += &format!("{minutes}m");
    }
    if seconds > 0 {
        out += &format!("{}s", decimal(seconds, second));
    }
    out
}

fn decimal(value: u128, unit: u128) -> String {
    let (whole, part) = (value / unit, value % unit);
    if part == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    format!("{whole}.{}", format!("{part:0width$}").trim_end_matches('0'))
}

/// An integer of YAML 1.2's core schema (decimal, `0x`, `0o`).
pub fn parse_int(text: &str) -> Option<i128> {
    let (digits, radix) = match (text.strip_prefix("0x"), text.strip_prefix("0o")) {
        (Some(hex), _) => (hex, 16),
        (_, Some(octal)) => (octal, 8),
        (None, None) => (text.strip_prefix(['+', '-']).unwrap_or(text), 10),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    // What is too long for 128 bits is out of any range.
    let value = i128::from_str_radix(digits, radix).unwrap_or(i128::MAX);
    Some(if text.starts_with('-') { -value } else { value })
}

/// A boolean: YAML 1.2's `true` and `false`, and what a Go daemon's YAML reads as one besides (`yes`, `off`, ...).
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "false" | "False" | "FALSE" | "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// A percentage: `10`, `10.5`, `10%`, `10 %`.
pub fn parse_percent(text: &str) -> Option<f64> {
    let number = text.strip_suffix('%').map_or(text, str::trim_end);
    let plain = number.chars().all(|c| c.is_ascii_digit() || c == '.');
    if !plain || !number.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    number.parse().ok()
}

/// HTTP status codes: `200`, `200-204,301`. Inclusive ranges in the order given.
///
/// # Errors
/// What is wrong with it, to follow the text in a sentence.
pub fn parse_codes(text: &str) -> Result<Vec<(u16, u16)>, &'static str> {
    let code = |word: &str| {
        let word = word.trim();
        let digits = word.len() == 3 && word.bytes().all(|b| b.is_ascii_digit());
        word.parse::<u16>().ok().filter(|c| digits && (100..=599).contains(c))
    };
    let mut codes = Vec::new();
    for item in text.split(',') {
        let (low, high) = item.split_once('-').unwrap_or((item, item));
        match (code(low), code(high)) {
            (Some(low), Some(high)) if low <= high => codes.push((low, high)),
            (Some(_), Some(_)) => return Err("has a range that runs backwards"),
            (_, _) => return Err("is no list of codes from 100 to 599 such as `200` or `200-204,301`"),
        }
    }
    Ok(codes)
}

/// The codes as [`parse_codes`] reads them.
pub fn format_codes(codes: &[(u16, u16)]) -> String {
    let words: Vec<String> = codes
        .iter()
        .map(|(low, high)| if low == high { low.to_string() } else { format!("{low}-{high}") })
        .collect();
    words.join(",")
}

/// The default `new-flow-table-length`: the smallest power of two that is at least 1024 and twice the largest pool's
/// sum of weights, at most 65536.
pub fn default_table_length(largest_sum: u64) -> u32 {
    let wanted = largest_sum.saturating_mul(2).clamp(1024, 65536);
    u32::try_from(wanted.next_power_of_two()).unwrap_or(65536)
}

/// Whether the name may name something: `[A-Za-z0-9][A-Za-z0-9._:-]{0,62}`, and not `json`, which ends commands.
pub fn is_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
    text.len() <= 63
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && text.bytes().all(inner)
        && text != "json"
}
