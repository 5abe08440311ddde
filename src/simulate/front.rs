//! What a frontend is to have in `lb`, by a plain reading of docs/behaviour.md: nothing of [`crate::balance`] is used.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::table;
use crate::Name;
use crate::config::{Frontend, PanicMode};
use crate::time::Time;

/// One backend in one pool, as it is at a moment.
#[derive(Clone, Debug)]
pub struct Seat {
    /// Whose.
    pub name: Name,
    /// Its address.
    pub address: IpAddr,
    /// Index of the pool.
    pub pool: usize,
    /// Before any state: 0–100.
    pub weight: u8,
    /// Its state, in words.
    pub state: &'static str,
    /// Somebody has taken it out.
    pub out: bool,
    /// Nothing is known of it.
    pub unheard: bool,
    /// Its checks and agent are for it.
    pub well: bool,
    /// When it came back from being down or disabled.
    pub back_at: Option<Time>,
}

/// What a seat is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// In `lb`.
    pub weight: u8,
    /// At weight 0: its flows are to go.
    pub flush: bool,
}

/// See above.
#[derive(Clone, Debug)]
pub struct Front {
    /// As configured.
    pub config: Arc<Frontend>,
    /// When it was first seen.
    pub since: Time,
    /// It may be programmed.
    pub open: bool,
    /// In the configuration's order.
    pub seats: Vec<Seat>,
    /// In the same order.
    pub due: Vec<Due>,
    /// Index of the active pool.
    pub active: usize,
    /// Too few are up: how many, of how many.
    pub alarm: Option<(usize, usize)>,
    /// The weights that `keep-last` keeps.
    pub last: BTreeMap<Name, u8>,
    /// Members of which nothing is known yet: until then, or [`Front::hold_until`], nobody leaves.
    pub newcomers: BTreeSet<Name>,
    /// The end of that wait.
    pub hold_until: Time,
}

impl Front {
    /// Not looked at yet.
    pub fn new(config: Arc<Frontend>, since: Time) -> Front {
        Front {
            config,
            since,
            open: false,
            seats: Vec::new(),
            due: Vec::new(),
            active: 0,
            alarm: None,
            last: BTreeMap::new(),
            newcomers: BTreeSet::new(),
            hold_until: since,
        }
    }

    /// The seat of an address, and what it is to have.
    pub fn at(&self, address: IpAddr) -> Option<(&Seat, Due)> {
        self.seats.iter().zip(&self.due).find(|(s, _)| s.address == address).map(|(s, d)| (s, *d))
    }

    /// Whether those that have left the configuration are still to stay.
    pub fn holds(&self, now: Time) -> bool {
        let unknown = |s: &Seat| s.state == "unknown" && self.newcomers.contains(&s.name);
        now < self.hold_until && self.seats.iter().any(unknown)
    }

    /// Applies the rule to `seats`.
    pub fn weigh(&mut self, seats: Vec<Seat>, now: Time, patience: Duration) {
        let able = |s: &Seat| s.weight > 0 && table::flows(s.state, false).is_some_and(|f| f.0);
        let slow = self.config.slow_start;
        let ramped = |s: &Seat| climb(s.weight, s.back_at.zip(slow).map(|(t, slow)| (now.since(t), slow)));
        let by_rule = |s: &Seat, active| if able(s) && s.pool == active { ramped(s) } else { 0 };
        let first = |who: &dyn Fn(&Seat) -> bool| seats.iter().filter(|s| who(s)).map(|s| s.pool).min();
        let mut alarm = self.alarming(&seats);
        let open = |s: &Seat| s.weight > 0 && !s.out && !s.unheard;
        let kept = |s: &Seat| if open(s) { self.last.get(&s.name).copied().unwrap_or(0) } else { 0 };
        let by_panic: Option<(usize, Vec<u8>)> = match (alarm, self.config.panic.map(|p| p.mode)) {
            (None, _) | (_, None) => None,
            (Some(_), Some(PanicMode::FailOpen)) => first(&open).map(|active| {
                let weight = |s: &Seat| if open(s) && s.pool == active { s.weight } else { 0 };
                (active, seats.iter().map(weight).collect())
            }),
            (Some(_), Some(PanicMode::KeepLast)) => {
                first(&|s| kept(s) > 0).map(|active| (active, seats.iter().map(kept).collect()))
            }
        };
        let (active, weights) = by_panic.unwrap_or_else(|| {
            let active = first(&able).unwrap_or(0);
            (active, seats.iter().map(|s| by_rule(s, active)).collect())
        });
        if weights.iter().all(|w| *w == 0) {
            // Panic has nothing to keep or to open.
            alarm = None;
        }
        let flush_on_down = self.config.flush_on_down;
        let flush = |s: &Seat, w: u8| w == 0 && table::flows(s.state, flush_on_down).is_some_and(|f| f.1);
        self.due = seats.iter().zip(&weights).map(|(s, w)| Due { weight: *w, flush: flush(s, *w) }).collect();
        self.last.retain(|name, _| seats.iter().any(|s| s.name == *name));
        for (s, w) in seats.iter().zip(&weights) {
            // While too few are up, a weight that was taken away stays remembered.
            if *w > 0 || alarm.is_none() || !self.last.contains_key(&s.name) {
                self.last.insert(s.name.clone(), *w);
            }
        }
        self.open |= now.since(self.since) >= patience || seats.iter().all(|s| s.state != "unknown");
        (self.seats, self.active, self.alarm) = (seats, active, alarm);
        if !self.holds(now) {
            self.newcomers.clear();
        }
    }

    fn alarming(&self, seats: &[Seat]) -> Option<(usize, usize)> {
        let threshold = usize::from(self.config.panic?.threshold);
        let counted: Vec<&Seat> =
            seats.iter().filter(|s| s.weight > 0 && !matches!(s.state, "disabled" | "paused")).collect();
        let up = counted.iter().filter(|s| s.well).count();
        // Those of which nothing is known neither begin it nor end it.
        let unknown = counted.iter().filter(|s| s.unheard).count();
        let enough = if self.alarm.is_some() { up } else { up + unknown };
        (enough * 100 < threshold * counted.len()).then_some((up, counted.len()))
    }

    /// Its own state.
    pub fn state(&self) -> &'static str {
        if self.seats.iter().all(|s| s.state == "unknown") {
            "unknown"
        } else if self.due.iter().any(|d| d.weight > 0) {
            "up"
        } else {
            "down"
        }
    }
}

/// A weight while it climbs: how long ago that began, and how long it takes.
fn climb(weight: u8, climbing: Option<(Duration, Duration)>) -> u8 {
    let Some((after, slow)) = climbing else { return weight };
    let sixths = (1..=6).filter(|i| after >= slow * *i / 6).count();
    let percent = [1u32, 2, 5, 10, 20, 50, 100].get(sixths).copied().unwrap_or(100);
    let part = (u32::from(weight) * percent + 50) / 100;
    u8::try_from(part).unwrap_or(weight).max(u8::from(weight > 0))
}
