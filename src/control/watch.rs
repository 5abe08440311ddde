//! What is kept of events for subscribers, until they are told.

use std::collections::VecDeque;

use super::event::Event;

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
#[derive(Debug, Default)]
pub struct Watched {
    on: bool,
    queue: VecDeque<Noted>,
}

impl Watched {
    /// Whether there is anyone to be told.
    pub fn set(&mut self, on: bool) {
        self.on = on;
        if !on {
            self.queue.clear();
        }
    }

    /// The event of that number happened at `at_ms`, milliseconds since the Unix epoch.
    pub fn push(&mut self, number: u64, at_ms: u64, event: &Event) {
        if !self.on {
            return;
        }
        if self.queue.len() >= MOST {
            self.queue.pop_front();
        }
        self.queue.push_back(Noted { number, at_ms, event: event.clone() });
    }

    /// Whether there is none to be told.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The next one to be told.
    pub fn pop(&mut self) -> Option<Noted> {
        self.queue.pop_front()
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
