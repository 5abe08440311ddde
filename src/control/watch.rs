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
    /// One more each time; a gap tells how many were lost.
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
    number: u64,
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
        Watched { on: false, number: 0, queue: VecDeque::new(), bytes: 0, budget }
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

    /// The next number, for something else that is told.
    pub fn number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// Something happened at `at_ms`, milliseconds since the Unix epoch.
    pub fn push(&mut self, at_ms: u64, event: &Event) {
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
        let number = self.number();
        self.bytes = self.bytes.saturating_add(bytes);
        self.budget.set(self.bytes);
        self.queue.push_back(Noted { number, at_ms, event: event.clone() });
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
        w.push(1, &said("a"));
        assert_eq!(w.pop(), None);
        w.set(true);
        w.push(2, &said("b"));
        assert_eq!(w.pop(), Some(Noted { number: 1, at_ms: 2, event: said("b") }));
        w.push(3, &said("c"));
        w.set(false);
        assert_eq!(w.pop(), None, "who comes later is not told what was before");
    }

    #[test]
    fn what_waits_has_a_limit_in_bytes_too() {
        let budget = Budget::new("queue", 100_000);
        let mut w = Watched::within(budget.clone());
        w.set(true);
        for _ in 0..30 {
            w.push(0, &said(&"x".repeat(9_000)));
            assert!(budget.used() <= 100_000);
        }
        let numbers: Vec<u64> = std::iter::from_fn(|| w.pop()).map(|n| n.number).collect();
        assert_eq!(numbers.last(), Some(&30));
        assert!((8..=11).contains(&numbers.len()), "{numbers:?}");
        assert_eq!((budget.used(), budget.view().refused), (0, 30 - numbers.len() as u64));
        // One alone may be longer than all: it is told all the same.
        w.push(0, &said(&"x".repeat(200_000)));
        assert_eq!(w.pop().map(|n| n.number), Some(31));
    }

    #[test]
    fn what_is_lost_leaves_a_gap_in_the_numbers() {
        let mut w = Watched::default();
        w.set(true);
        for i in 0..MOST + 3 {
            w.push(0, &said(&i.to_string()));
        }
        let numbers: Vec<u64> = std::iter::from_fn(|| w.pop()).map(|n| n.number).collect();
        assert_eq!(numbers.len(), MOST);
        assert_eq!(numbers.first(), Some(&4));
        assert_eq!(w.number(), MOST as u64 + 4);
    }
}
