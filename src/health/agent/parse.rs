//! What an agent's line means (docs/behaviour.md, "Agents: what is asked and what a reply may say").

use super::{AgentAdmin, AgentHealth, AgentWeight, Reply};
use crate::probe::text::{printable, printable_within};

/// The longest line of an agent, in bytes, without its end.
pub const LINE_MAX: usize = 1024;
/// Words without a meaning that are kept of a line.
pub const UNKNOWN_MAX: usize = 8;
/// Bytes that are kept of each; a longer one ends in `...`.
pub const WORD_MAX: usize = 32;

const HEALTH: [AgentHealth; 4] =
    [AgentHealth::Up, AgentHealth::Down, AgentHealth::Stopped, AgentHealth::Fail];
const ADMIN: [AgentAdmin; 3] = [AgentAdmin::Ready, AgentAdmin::Drain, AgentAdmin::Maint];
/// The largest weight that `lb` is given.
const WEIGHT_MAX: u8 = 100;

/// Reads a line: what came before its CR or LF, at most [`LINE_MAX`] bytes. Takes whatever bytes there are, in linear
/// time, and keeps a bounded part of them.
pub fn parse(line: &[u8]) -> Reply {
    let mut parts = line.splitn(2, |b| *b == b'#');
    let words = parts.next().unwrap_or_default();
    let description = parts.next().unwrap_or_default();
    let mut reply = Reply { description: printable(description.trim_ascii()), ..Reply::default() };
    for word in words.split(|b| b" \t,".contains(b)).filter(|w| !w.is_empty()) {
        let is = |known: &str| word.eq_ignore_ascii_case(known.as_bytes());
        if let Some(health) = HEALTH.into_iter().find(|h| is(h.as_str())) {
            reply.health = Some(health);
        } else if let Some(admin) = ADMIN.into_iter().find(|a| is(a.as_str())) {
            reply.admin = Some(admin);
        } else if let Some(weight) = weight(word) {
            reply.weight = Some(weight);
        } else if reply.unknown.len() < UNKNOWN_MAX {
            reply.unknown.push(printable_within(word, WORD_MAX));
        }
    }
    reply
}

/// `N%`, `weight:N%` or `weight:N`. A bare number says neither, so it is nothing.
fn weight(word: &[u8]) -> Option<AgentWeight> {
    let named = word.split_at_checked(7).filter(|(name, _)| name.eq_ignore_ascii_case(b"weight:"));
    let number = named.map_or(word, |(_, number)| number);
    match number.strip_suffix(b"%") {
        Some(percent) => decimal(percent).map(AgentWeight::Share),
        None => {
            named?;
            let n = u8::try_from(decimal(number)?).ok()?;
            (n <= WEIGHT_MAX).then_some(AgentWeight::Absolute(n))
        }
    }
}

/// Decimal digits and nothing else; the largest number for one beyond it.
fn decimal(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u32, |n, b| {
        let digit = char::from(*b).to_digit(10)?;
        Some(n.saturating_mul(10).saturating_add(digit))
    })
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
