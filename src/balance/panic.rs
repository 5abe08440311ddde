//! When too few backends are up, it is more likely that the checks are wrong than that all servers are.

use super::{Member, Rules, Share, Shares, flush};
use crate::config::{Panic, PanicMode};
use crate::health::{State, Vital};

/// Too few backends are up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// Those whose checks and agent are for them.
    pub up: usize,
    /// Those with weight, in all pools, but for the disabled and paused.
    pub of: usize,
    /// What is done about it.
    pub mode: PanicMode,
}

/// Whether fewer than the threshold are up. One of which nothing is known yet neither begins a panic nor ends one: a reload
/// that adds many must not look like a failure of many, nor an operator's `enable` like a recovery.
pub(super) fn alarm(members: &[Member], rules: Rules) -> Option<Alarm> {
    let Panic { threshold, mode } = rules.panic?;
    let (alarm, unknown) = counted(members, mode);
    let well = alarm.up + if rules.begun { 0 } else { unknown };
    (well * 100 < alarm.of * usize::from(threshold)).then_some(alarm)
}

/// How many are up, and of how many, whether that is too few or not.
pub fn count(members: &[Member], mode: PanicMode) -> Alarm {
    counted(members, mode).0
}

/// The same, and of how many nothing is known. Maintenance is no failure: what is disabled or paused does not count.
fn counted(members: &[Member], mode: PanicMode) -> (Alarm, usize) {
    let mut alarm = Alarm { up: 0, of: 0, mode };
    let mut unknown = 0;
    for m in members.iter().filter(|m| m.weight > 0) {
        let of = match m.state {
            State::Up | State::Stopping | State::Drain | State::Unknown | State::Down => 1,
            State::Paused | State::Disabled | State::Removed => 0,
        };
        alarm.of += of;
        match m.vital {
            Vital::Up => alarm.up += of,
            Vital::Unknown => unknown += of,
            Vital::Down => {}
        }
    }
    (alarm, unknown)
}

/// The weights then; none where there is nothing to be done, and the rule applies.
pub(super) fn shares(members: &[Member], rules: Rules, alarm: Alarm) -> Option<Shares> {
    match alarm.mode {
        PanicMode::FailOpen => fail_open(members, rules, alarm),
        PanicMode::KeepLast => keep_last(members, rules, alarm),
    }
}

/// The first pool as if all were up; but none that somebody took out. A pool in which all are taken out is passed over:
/// an operator has moved the traffic on purpose.
fn fail_open(members: &[Member], rules: Rules, alarm: Alarm) -> Option<Shares> {
    let open = |m: &Member| m.weight > 0 && !m.barred && m.vital != Vital::Unknown;
    let active = members.iter().filter(|m| open(m)).map(|m| m.pool).min()?;
    let weight = |m: &Member| if m.pool == active && open(m) { m.weight } else { 0 };
    Some(answer(members, rules, alarm, active, weight))
}

/// The weights of before; but none for what somebody has taken out since. Where there were none the rule is better than
/// nothing.
fn keep_last(members: &[Member], rules: Rules, alarm: Alarm) -> Option<Shares> {
    let kept = |m: &Member| {
        // Unknown is who was disabled or paused meanwhile: it waits for its first result.
        let out = m.barred || m.weight == 0 || m.vital == Vital::Unknown;
        if out { 0 } else { m.last.unwrap_or(0) }
    };
    let active = members.iter().filter(|m| kept(m) > 0).map(|m| m.pool).min()?;
    Some(answer(members, rules, alarm, active, kept))
}

fn answer(
    members: &[Member],
    rules: Rules,
    alarm: Alarm,
    active: usize,
    weight: impl Fn(&Member) -> u8,
) -> Shares {
    // One that is down and has weight all the same shall keep its flows.
    let share = |m: &Member| match weight(m) {
        0 => Share { weight: 0, flush: flush(m, rules) },
        weight => Share { weight, flush: false },
    };
    Shares { active, members: members.iter().map(share).collect(), alarm: Some(alarm) }
}

/// What to take for [`Member::last`] after `shares`, in the members' order. While too few are up, a weight that somebody
/// took away stays remembered: who is drained for a moment then gets it back.
pub fn remember(last: &[Option<u8>], shares: &Shares) -> Vec<Option<u8>> {
    let one = |(i, share): (usize, &Share)| {
        let before = last.get(i).copied().flatten().filter(|_| shares.alarm.is_some() && share.weight == 0);
        before.or(Some(share.weight))
    };
    shares.members.iter().enumerate().map(one).collect()
}

#[cfg(test)]
#[path = "panic_tests.rs"]
mod tests;
