//! Lasting problems: conditions that an operator has to do something about. `show status` lists them first.

use std::collections::BTreeMap;

use super::controller::Controller;
use super::event::Event;
use super::view::ProblemView;
use crate::time::Now;

/// A problem that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Problem {
    /// When it began, milliseconds since the Unix epoch.
    since_ms: u64,
    text: String,
}

/// The open problems, by kind: one of each kind at most.
#[derive(Debug, Default)]
pub(super) struct Problems(BTreeMap<&'static str, Problem>);

impl Problems {
    /// All open problems, ordered by kind.
    pub(super) fn views(&self) -> Vec<ProblemView> {
        let view = |(kind, p): (&&'static str, &Problem)| ProblemView {
            kind: (*kind).to_owned(),
            since_ms: p.since_ms,
            text: p.text.clone(),
        };
        self.0.iter().map(view).collect()
    }
}

impl Controller {
    /// Opens the problem `kind` or updates its text (`Some`), or ends it (`None`). `kind` is one word (`stats-segment`) and
    /// part of the interface: scripts match it. Beginning and end are events; a new text alone is not, since it may hold
    /// a number that changes all the time.
    pub fn problem(&mut self, now: Now, kind: &'static str, text: Option<String>) {
        match text {
            Some(text) => match self.problems.0.get_mut(kind) {
                Some(p) => p.text = text,
                None => {
                    self.event(Event::Problem { kind, detail: text.clone(), begins: true });
                    self.problems.0.insert(kind, Problem { since_ms: now.wall_ms, text });
                }
            },
            None => {
                if let Some(p) = self.problems.0.remove(kind) {
                    self.event(Event::Problem { kind, detail: p.text, begins: false });
                }
            }
        }
    }
}
