//! What comes of all hands together: one pure function, the table of docs/behaviour.md, "The hands on a backend".

use super::agent::AgentAdmin;
use super::{Author, Health, State, Vital};
use crate::Name;

/// Whose word it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// Its checks'.
    Checks,
    /// Its agent's.
    Agent,
    /// A command.
    Operator,
    /// `enabled: false`.
    Configuration,
    /// That of somebody on a tracked backend: the one at which it was said.
    Via(Name),
}

impl From<Author> for By {
    fn from(author: Author) -> By {
        match author {
            Author::Operator => By::Operator,
            Author::Configuration => By::Configuration,
        }
    }
}

impl std::fmt::Display for By {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            By::Checks => f.write_str("checks"),
            By::Agent => f.write_str("agent"),
            By::Operator => f.write_str("operator"),
            By::Configuration => f.write_str("configuration"),
            By::Via(name) => write!(f, "via {name}"),
        }
    }
}

/// What a backend is, and which words it is under. What is inherited is in it: a tracker of this one needs no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The first that holds: removed, disabled, paused, down, stopping, drain, up, unknown.
    pub state: State,
    /// Checks and agent (or the tracked backend) together, whatever the other words.
    pub vital: Vital,
    /// Whose word makes it down, if it is.
    pub down: Option<By>,
    /// Maintenance, by the strongest: operator or configuration, agent, tracked backend.
    pub maint: Option<By>,
    /// Paused.
    pub paused: Option<By>,
    /// The server wants no new flows.
    pub stopping: Option<By>,
    /// Somebody wants no new flows on it.
    pub drain: Option<By>,
}

impl Standing {
    /// From a backend's own hands and, if it tracks one, that one's name and standing.
    pub fn of(health: &Health, tracked: Option<(&Name, &Standing)>) -> Standing {
        let (operator, agent) = (health.operator(), health.agent());
        let via = |word: fn(&Standing) -> &Option<By>| {
            let (name, standing) = tracked?;
            word(standing).as_ref().map(|by| match by {
                By::Via(root) => By::Via(root.clone()),
                By::Checks | By::Agent | By::Operator | By::Configuration => By::Via(name.clone()),
            })
        };
        let by_agent = |word: bool| word.then_some(By::Agent);
        let maint = operator
            .disabled
            .map(|(_, author)| By::from(author))
            .or_else(|| by_agent(agent.admin == Some(AgentAdmin::Maint)))
            .or_else(|| via(|s| &s.maint));
        let paused = operator.paused.map(|_| By::Operator).or_else(|| via(|s| &s.paused));
        let drain = operator
            .drain
            .map(|_| By::Operator)
            .or_else(|| by_agent(agent.admin == Some(AgentAdmin::Drain)))
            .or_else(|| via(|s| &s.drain));
        // Checks come first, so that `down by agent` means that nothing else is against it.
        let (found, found_down, stopping) = match tracked {
            Some((_, standing)) => (standing.vital, via(|s| &s.down), via(|s| &s.stopping)),
            None => {
                let checks = health.checks();
                let down = (checks.vital() == Vital::Down).then_some(By::Checks);
                (checks.vital(), down, checks.stopping().then_some(By::Checks))
            }
        };
        let down = found_down.or_else(|| by_agent(agent.is_down()));
        let vital = if down.is_some() { Vital::Down } else { found };
        let stopping = stopping.filter(|_| vital == Vital::Up);
        let state = if health.removed() {
            State::Removed
        } else if maint.is_some() {
            State::Disabled
        } else if paused.is_some() {
            State::Paused
        } else if down.is_some() {
            State::Down
        } else if stopping.is_some() {
            State::Stopping
        } else if drain.is_some() {
            State::Drain
        } else {
            match vital {
                Vital::Up => State::Up,
                Vital::Unknown | Vital::Down => State::Unknown,
            }
        };
        Standing { state, vital, down, maint, paused, stopping, drain }
    }

    /// Whose word makes the state what it is.
    pub fn by(&self) -> By {
        let word = match self.state {
            State::Disabled => &self.maint,
            State::Paused => &self.paused,
            State::Down => &self.down,
            State::Stopping => &self.stopping,
            State::Drain => &self.drain,
            State::Removed => return By::Configuration,
            State::Unknown | State::Up => return By::Checks,
        };
        word.clone().unwrap_or(By::Checks)
    }

    /// The state with its author where that is not the plain case: `disabled by agent`, `drain via a`. Down and
    /// stopping are followed, not said by anybody: they have no `via`.
    pub fn display(&self) -> String {
        let word = self.state.as_str();
        match (self.state, self.by()) {
            (State::Disabled | State::Drain | State::Down, By::Agent) => format!("{word} by agent"),
            (State::Disabled | State::Drain | State::Paused, By::Via(name)) => format!("{word} via {name}"),
            (
                State::Disabled | State::Drain | State::Down | State::Paused,
                By::Checks | By::Operator | By::Configuration | By::Agent | By::Via(_),
            )
            | (State::Unknown | State::Up | State::Removed | State::Stopping, _) => word.to_owned(),
        }
    }
}

#[cfg(test)]
#[path = "standing_tests.rs"]
mod tests;
