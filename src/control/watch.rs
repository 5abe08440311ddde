//! What is kept of events for subscribers, until they are told.

use std::collections::VecDeque;
use std::sync::Arc;

use super::event::Event;
use crate::budget::{Budget, Budgets};

/// More than so many wait for nobody: the oldest goes, and its number is missing.
const MOST: usize = 4096;

/// An event with its number and wall-clock time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// That of `show events`: one more each time, so that a gap tells how many were lost.
    pub number: u64,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// What happened.
    pub event: Event,
}

/// Events on their way to subscribers. Keeps nothing while there are none.
#[derive(Debug)]
pub struct Watched {
    on: bool,
    queue: VecDeque<Noted>,
    /// Bytes of them, and how many they may be.
    bytes: usize,
    budget: Arc<Budget>,
}

impl Default for Watched {
    fn default() -> Self {
        Watched::within(Budgets::default().queue)
    }
}

impl Watched {
    /// For nobody yet; what waits takes no more than that budget.
    pub fn within(budget: Arc<Budget>) -> Watched {
        Watched { on: false, queue: VecDeque::new(), bytes: 0, budget }
    }

    /// Whether there is anyone to be told.
    pub fn set(&mut self, on: bool) {
        self.on = on;
        if !on {
            self.queue.clear();
            self.bytes = 0;
            self.budget.set(0);
        }
    }

    /// The event of that number happened at `at_ms`, milliseconds since the Unix epoch.
    pub fn push(&mut self, number: u64, at_ms: u64, event: &Event) {
        if !self.on {
            return;
        }
        let bytes = event.bytes();
        while self.queue.len() >= MOST || self.bytes.saturating_add(bytes) > self.budget.limit() {
            self.budget.count_refusal();
            if self.pop().is_none() {
                break;
            }
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.budget.set(self.bytes);
        self.queue.push_back(Noted { number, at_ms, event: event.clone() });
    }

    /// Whether there is none to be told.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The next one to be told.
    pub fn pop(&mut self) -> Option<Noted> {
        let first = self.queue.pop_front()?;
        self.bytes = self.bytes.saturating_sub(first.event.bytes());
        self.budget.set(self.bytes);
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Event {
        Event::Operator { text: text.into() }
    }

    #[test]
    fn nothing_is_kept_while_nobody_listens() {
        let mut w = Watched::default();
        w.push(1, 1, &said("a"));
        assert_eq!(w.pop(), None);
        w.set(true);
        w.push(2, 2, &said("b"));
        assert_eq!(w.pop(), Some(Noted { number: 2, at_ms: 2, event: said("b") }));
        w.push(3, 3, &said("c"));
        w.set(false);
        assert_eq!(w.pop(), None, "who comes later is not told what was before");
    }

    #[test]
    fn what_waits_has_a_limit_in_bytes_too() {
        let budget = Budget::new("queue", 100_000);
        let mut w = Watched::within(budget.clone());
        w.set(true);
        for n in 1..=30 {
            w.push(n, 0, &said(&"x".repeat(9_000)));
            assert!(budget.used() <= 100_000);
        }
        let numbers: Vec<u64> = std::iter::from_fn(|| w.pop()).map(|n| n.number).collect();
        assert_eq!(numbers.last(), Some(&30));
        assert!((8..=11).contains(&numbers.len()), "{numbers:?}");
        assert_eq!((budget.used(), budget.view().refused), (0, 30 - numbers.len() as u64));
        // One alone may be longer than all: it is told all the same.
        w.push(31, 0, &said(&"x".repeat(200_000)));
        assert_eq!(w.pop().map(|n| n.number), Some(31));
    }

    #[test]
    fn what_is_lost_leaves_a_gap_in_the_numbers() {
        let mut w = Watched::default();
        w.set(true);
        for i in 1..=MOST as u64 + 3 {
            w.push(i, 0, &said(&i.to_string()));
        }
        let numbers: Vec<u64> = std::iter::from_fn(|| w.pop()).map(|n| n.number).collect();
        assert_eq!(numbers.len(), MOST);
        assert_eq!(numbers.first(), Some(&4));
    }
}
