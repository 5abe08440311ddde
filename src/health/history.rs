//! A backend's last transitions.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::State;

/// One change of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// None: the backend was first seen.
    pub from: Option<State>,
    /// The state from then on.
    pub to: State,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// HAProxy's check code, or `start`, `static`, `config`, `inherited`, `removed`, `tracked`, `agent`, `forced`, or a verb
    /// in the past tense.
    pub code: &'static str,
    /// A few words; may be empty.
    pub detail: Cow<'static, str>,
}

/// Newest first, at most as many as `healthchecker.transition-history` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    cap: usize,
    list: VecDeque<Transition>,
    changes: u64,
}

impl History {
    /// Empty; `cap` below 1 counts as 1.
    pub fn new(cap: usize) -> History {
        History { cap: cap.max(1), list: VecDeque::new(), changes: 0 }
    }

    /// Another cap; what is too old for it is dropped.
    pub fn set_cap(&mut self, cap: usize) {
        self.cap = cap.max(1);
        self.changes += u64::from(self.list.len() > self.cap);
        self.list.truncate(self.cap);
    }

    /// The newest from now on.
    pub fn push(&mut self, t: Transition) {
        self.list.truncate(self.cap - 1);
        self.list.push_front(t);
        self.changes += 1;
    }

    /// While this is the same, so is all that is in it.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Transition> {
        self.list.iter()
    }

    /// The newest.
    pub fn newest(&self) -> Option<&Transition> {
        self.list.front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t(at_ms: u64) -> Transition {
        Transition { from: None, to: State::Unknown, at_ms, code: "start", detail: "".into() }
    }

    #[test]
    fn newest_first_and_capped() {
        let mut h = History::new(2);
        for i in 0..5 {
            h.push(t(i));
        }
        assert_eq!(h.iter().map(|t| t.at_ms).collect::<Vec<_>>(), [4, 3]);
        assert_eq!(h.changes(), 5);
        h.set_cap(2);
        assert_eq!(h.changes(), 5, "nothing was dropped");
        h.set_cap(1);
        assert_eq!(h.iter().map(|t| t.at_ms).collect::<Vec<_>>(), [4]);
        assert_eq!(h.changes(), 6);
        h.set_cap(0);
        h.push(t(9));
        assert_eq!(h.iter().map(|t| t.at_ms).collect::<Vec<_>>(), [9]);
    }
}
