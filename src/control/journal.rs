//! What has happened: the last events, numbered, and their lines for the log, of which a mass failure gets no more than
//! somebody can read.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::event::{Event, LogLevel};
use super::view::{EventFields, EventView, EventsView};
use crate::budget::{Budget, Budgets};
use crate::health::State;
use crate::time::{Now, Time};

/// So many events are kept (docs/behaviour.md, "Events and the log").
pub const KEPT: usize = 1000;
/// So many lines of one kind are logged in one [`WINDOW`]; the rest is summed up.
pub const LINES: u64 = 100;
/// How long is counted, and how often is summed up.
pub const WINDOW: Duration = Duration::from_secs(1);

/// An event in the ring.
#[derive(Clone, Debug)]
struct Entry {
    at_ms: u64,
    event: Event,
}

/// The lines of one kind.
#[derive(Clone, Copy, Debug)]
struct Crowd {
    kind: &'static str,
    /// When the present window began.
    since: Time,
    /// Events in it.
    seen: u64,
    /// Those of them that were not logged, and some of what they said.
    unlogged: u64,
    up: u64,
    down: u64,
    failed: u64,
    /// The loudest of them.
    level: LogLevel,
}

/// The last events, and what of them goes to the log. It outlives every configuration.
#[derive(Debug)]
pub struct Journal {
    ring: VecDeque<Entry>,
    /// Bytes of the ring, and how many they may be.
    bytes: usize,
    budget: Arc<Budget>,
    /// Events that have left the ring; the oldest in it has the next number.
    dropped: u64,
    crowds: Vec<Crowd>,
}

impl Default for Journal {
    fn default() -> Self {
        Journal::within(Budgets::default().events)
    }
}

impl Journal {
    /// An empty one, which forgets its oldest events where they exceed that budget.
    pub fn within(budget: Arc<Budget>) -> Journal {
        Journal { ring: VecDeque::new(), bytes: 0, budget, dropped: 0, crowds: Vec::new() }
    }

    /// Keeps an event, and gives its line to `log`, unless it is one of too many.
    pub fn tell(&mut self, now: Now, event: Event, log: &mut dyn FnMut(LogLevel, &str)) {
        self.poll(now.mono, log);
        if self.may_log(now.mono, &event) {
            log(event.level(), &event.to_string());
        }
        if self.ring.len() == KEPT {
            self.forget();
        }
        self.bytes = self.bytes.saturating_add(event.bytes());
        self.ring.push_back(Entry { at_ms: now.wall_ms, event });
        while self.bytes > self.budget.limit() && self.ring.len() > 1 {
            self.budget.count_refusal();
            self.forget();
        }
        self.budget.set(self.bytes);
    }

    fn forget(&mut self) {
        if let Some(oldest) = self.ring.pop_front() {
            self.bytes = self.bytes.saturating_sub(oldest.event.bytes());
            self.dropped += 1;
        }
    }

    /// The number of the newest event, as [`Journal::view`] has it; 0: there was none yet.
    pub fn newest(&self) -> u64 {
        self.dropped + self.ring.len() as u64
    }

    fn may_log(&mut self, now: Time, event: &Event) -> bool {
        let kind = event.kind();
        if !comes_in_crowds(event) {
            return true;
        }
        let level = event.level();
        let i = match self.crowds.iter().position(|c| c.kind == kind) {
            Some(i) => i,
            None => {
                self.crowds.push(Crowd::new(kind, now));
                self.crowds.len() - 1
            }
        };
        let Some(c) = self.crowds.get_mut(i) else { return true };
        if now.since(c.since) >= WINDOW {
            *c = Crowd::new(kind, now);
        }
        c.seen += 1;
        if c.seen <= LINES {
            return true;
        }
        c.unlogged += 1;
        c.level = if c.unlogged == 1 { level } else { c.level.max(level) };
        match event {
            Event::Backend { to: State::Up, .. } => c.up += 1,
            Event::Backend { to: State::Down, .. } => c.down += 1,
            Event::Frontend { to: crate::balance::FrontendState::Up, .. } => c.up += 1,
            Event::Frontend { to: crate::balance::FrontendState::Down, .. } => c.down += 1,
            Event::LbSync { failed: true, .. } => c.failed += 1,
            Event::Backend { .. }
            | Event::Frontend { .. }
            | Event::Failover { .. }
            | Event::LbSync { .. }
            | Event::ProbeFault { .. }
            | Event::Agent { .. }
            | Event::Panic { .. }
            | Event::Problem { .. }
            | Event::Operator { .. }
            | Event::ConfigReload { .. }
            | Event::Engine { .. } => {}
        }
        false
    }

    /// When [`Journal::poll`] has a summary to give, if any.
    pub fn deadline(&self) -> Option<Time> {
        self.crowds.iter().filter(|c| c.unlogged > 0).map(|c| c.since + WINDOW).min()
    }

    /// Sums up what was not logged in windows that have ended.
    pub fn poll(&mut self, now: Time, log: &mut dyn FnMut(LogLevel, &str)) {
        for c in &mut self.crowds {
            if c.unlogged > 0 && now.since(c.since) >= WINDOW {
                log(c.level, &c.summary());
                *c = Crowd::new(c.kind, now);
            }
        }
    }

    /// The last `last` events, or all that are kept, oldest first.
    pub fn view(&self, last: Option<usize>) -> EventsView {
        let skip = last.map_or(0, |n| self.ring.len().saturating_sub(n));
        EventsView {
            dropped: self.dropped,
            kept: self.ring.len(),
            events: (self.dropped + 1..)
                .zip(&self.ring)
                .skip(skip)
                .map(|(sequence, e)| EventView {
                    sequence,
                    at_ms: e.at_ms,
                    kind: e.event.kind(),
                    level: e.event.level().as_str(),
                    text: e.event.to_string(),
                    fields: EventFields::of(&e.event),
                })
                .collect(),
        }
    }
}

impl Crowd {
    fn new(kind: &'static str, since: Time) -> Crowd {
        let level = LogLevel::Debug;
        Crowd { kind, since, seen: 0, unlogged: 0, up: 0, down: 0, failed: 0, level }
    }

    fn summary(&self) -> String {
        let mut out = format!("{} summary: {} more in this second", self.kind, self.unlogged);
        for (n, what) in [(self.down, "down"), (self.up, "up"), (self.failed, "failed")] {
            if n > 0 {
                out.push_str(&format!(", {n} {what}"));
            }
        }
        out
    }
}

/// One change in the world can set off thousands of these; the others come from somebody's hand, or once.
fn comes_in_crowds(event: &Event) -> bool {
    match event {
        Event::Backend { .. }
        | Event::Frontend { .. }
        | Event::Failover { .. }
        | Event::LbSync { .. }
        | Event::ProbeFault { .. }
        | Event::Agent { .. }
        | Event::Panic { .. } => true,
        Event::Operator { .. }
        | Event::ConfigReload { .. }
        | Event::Problem { .. }
        | Event::Engine { .. } => false,
    }
}

impl EventFields {
    fn of(event: &Event) -> EventFields {
        match event {
            Event::Backend { backend, from, to, code, detail } => EventFields::Backend {
                backend: backend.to_string(),
                from: from.map(|s| s.as_str().to_owned()),
                to: to.as_str().to_owned(),
                code: (*code).to_owned(),
                detail: detail.to_string(),
            },
            Event::Frontend { frontend, from, to, pool } => EventFields::Frontend {
                frontend: frontend.to_string(),
                from: from.as_str().to_owned(),
                to: to.as_str().to_owned(),
                pool: pool.to_string(),
            },
            Event::Failover { frontend, from, to } => EventFields::Failover {
                frontend: frontend.to_string(),
                from_pool: from.to_string(),
                to_pool: to.to_string(),
            },
            Event::Agent { backend, text, .. } => {
                EventFields::Agent { backend: backend.to_string(), said: text.clone() }
            }
            Event::Panic { frontend, mode, on, up, of } => EventFields::Panic {
                frontend: frontend.to_string(),
                mode: (*mode).to_owned(),
                begins: *on,
                up: *up,
                of: *of,
            },
            Event::Problem { kind, detail, begins } => {
                EventFields::Problem { problem: (*kind).to_owned(), begins: *begins, detail: detail.clone() }
            }
            Event::LbSync { failed, .. } => EventFields::LbSync { failed: *failed },
            Event::Operator { text } => EventFields::Operator { command: text.clone() },
            Event::ConfigReload { ok, .. } => EventFields::ConfigReload { ok: *ok },
            Event::ProbeFault { backend, detail, count } => EventFields::ProbeFault {
                backend: backend.to_string(),
                code: "SOCKERR".to_owned(),
                count: *count,
                detail: detail.to_string(),
            },
            Event::Engine { .. } => EventFields::Engine {},
        }
    }
}
