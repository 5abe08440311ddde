//! The three hands on a backend (its checks, its agent, the operator), each with its own words: none can change or
//! clear another's. What comes of them together is [`super::Standing`].

use serde::{Deserialize, Serialize};

use super::agent::{AgentAdmin, AgentWords, Reply};
use super::{Checks, Limits, Standing};

/// What the checks found, or the operator said. An agent speaks through [`Health::hear`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A probe passed.
    Pass,
    /// A probe got a 404 with `disable-on-404`: a pass while up, a failure otherwise.
    Conditional,
    /// A probe failed by the backend's fault.
    Fail,
    /// Operator: no probes, weight 0.
    Pause,
    /// Operator: takes `pause` back.
    Resume,
    /// Operator, or `enabled: false`: maintenance.
    Disable(Author),
    /// Takes `disable` back.
    Enable,
    /// Operator: no new flows.
    Drain,
    /// Operator: takes `drain` back.
    Ready,
    /// Operator: the agent is neither asked nor heard.
    Mute,
    /// Operator: takes `mute` back.
    Unmute,
    /// Operator: up, the counter at its maximum.
    ForceUp,
    /// Operator: down, the counter at 0.
    ForceDown {
        /// A healthcheck goes on from there: if it has already found the same, the word changes nothing.
        checked: bool,
    },
    /// Operator: as after a 404 with `disable-on-404`.
    ForceStopping {
        /// As above.
        checked: bool,
    },
    /// Gone from the configuration.
    Remove,
}

impl Event {
    /// All of them.
    pub const ALL: [Event; 15] = [
        Event::Pass,
        Event::Conditional,
        Event::Fail,
        Event::Pause,
        Event::Resume,
        Event::Disable(Author::Operator),
        Event::Enable,
        Event::Drain,
        Event::Ready,
        Event::Mute,
        Event::Unmute,
        Event::ForceUp,
        Event::ForceDown { checked: true },
        Event::ForceStopping { checked: true },
        Event::Remove,
    ];
}

/// Who disabled a backend on the operator's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Author {
    /// By a command.
    Operator,
    /// By `enabled: false`.
    Configuration,
}

impl Author {
    /// As shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Author::Operator => "operator",
            Author::Configuration => "configuration",
        }
    }
}

/// A word of the operator: since when it stands, in milliseconds since the Unix epoch.
pub type Since = Option<u64>;

/// The operator's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operator {
    /// Maintenance, and by whose word.
    pub disabled: Option<(u64, Author)>,
    /// No probes, no new flows.
    pub paused: Since,
    /// No new flows.
    pub drain: Since,
    /// The agent is not heard.
    pub muted: Since,
}

/// Why an operator's word was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// `pause`, `resume` or `health` of a disabled backend.
    #[error("is disabled (enable it first)")]
    Disabled,
    /// `pause` or `health` of a backend that its agent has disabled.
    #[error("is disabled by its agent (mute that, or wait for its `ready`)")]
    DisabledByAgent,
    /// `health` of a paused backend.
    #[error("is paused (resume it first)")]
    Paused,
    /// `health stopping` of a backend that is not up.
    #[error("is not up: only a backend that is up can be stopping")]
    NotUp,
    /// Any word to a backend that is gone from the configuration.
    #[error("is removed from the configuration")]
    Removed,
}

/// Whether a word changed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is now as was said, and was not before.
    Changed,
    /// It was so already, or the event does not count now.
    Already,
}

/// All hands' words on one backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    checks: Checks,
    operator: Operator,
    agent: AgentWords,
    /// When a word of the agent last changed, milliseconds since the Unix epoch.
    agent_since: u64,
    removed: bool,
}

impl Health {
    /// First seen: `unknown`, nobody has said anything.
    pub fn new(limits: Limits) -> Health {
        Health::restored(Checks::new(limits), Operator::default(), AgentWords::default(), 0)
    }

    /// As an earlier life has left it.
    pub fn restored(checks: Checks, operator: Operator, agent: AgentWords, agent_since: u64) -> Health {
        Health { checks, operator, agent, agent_since, removed: false }
    }

    /// The checks' hand.
    pub fn checks(&self) -> &Checks {
        &self.checks
    }

    /// The operator's hand.
    pub fn operator(&self) -> &Operator {
        &self.operator
    }

    /// The agent's words that count: none while it is muted.
    pub fn agent(&self) -> AgentWords {
        if self.operator.muted.is_some() { AgentWords::default() } else { self.agent }
    }

    /// When a word of the agent last changed, milliseconds since the Unix epoch.
    pub fn agent_since(&self) -> u64 {
        self.agent_since
    }

    /// Gone from the configuration.
    pub fn removed(&self) -> bool {
        self.removed
    }

    /// Whether the agent says `maint`, and is heard.
    pub fn agent_maint(&self) -> bool {
        self.agent().admin == Some(AgentAdmin::Maint)
    }

    /// Whether checks are run.
    pub fn checked(&self) -> bool {
        !self.removed
            && self.operator.disabled.is_none()
            && self.operator.paused.is_none()
            && !self.agent_maint()
    }

    /// The healthcheck became another; all words stand.
    pub fn relimit(&mut self, limits: Limits) {
        self.checks.relimit(limits);
        if self.operator.paused.is_some() {
            self.checks.forget();
        }
    }

    /// It followed another backend, and now has checks of its own: they go on from what it was.
    pub fn adopt(&mut self, followed: &Standing, limits: Limits) {
        self.checks = Checks::restored(followed.vital, followed.stopping.is_some(), limits);
        if self.operator.paused.is_some() {
            self.checks.forget();
        }
    }

    /// There is no agent any more.
    pub fn forget_agent(&mut self) {
        let was = self.checked();
        self.agent = AgentWords::default();
        self.rearm(was);
    }

    /// The operator's words do not pass to an heir; nor do those that its configuration had.
    pub fn forget_operator(&mut self) {
        let was = self.checked();
        self.operator = Operator::default();
        self.checks.unforce();
        self.rearm(was);
    }

    /// An agent's reply: each class of words that it has one of. True when a word is another now. A muted agent is
    /// not heard.
    pub fn hear(&mut self, reply: &Reply, at_ms: u64) -> bool {
        if self.removed || self.operator.muted.is_some() {
            return false;
        }
        let (was, before) = (self.checked(), self.agent);
        self.agent.hear(reply);
        self.rearm(was);
        let changed = self.agent != before;
        if changed {
            self.agent_since = at_ms;
        }
        changed
    }

    /// The one way in for checks and operator; `at_ms` is now, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// Operator's words alone are refused, and then nothing has changed.
    pub fn take(&mut self, event: Event, at_ms: u64) -> Result<Taken, Refusal> {
        if self.removed {
            return match event {
                Event::Pass | Event::Conditional | Event::Fail | Event::Remove => Ok(Taken::Already),
                Event::Pause
                | Event::Resume
                | Event::Disable(_)
                | Event::Enable
                | Event::Drain
                | Event::Ready
                | Event::Mute
                | Event::Unmute
                | Event::ForceUp
                | Event::ForceDown { .. }
                | Event::ForceStopping { .. } => Err(Refusal::Removed),
            };
        }
        let (was, before) = (self.checked(), *self);
        match event {
            Event::Pass | Event::Conditional | Event::Fail if !was => return Ok(Taken::Already),
            Event::Pass => self.checks.pass(),
            Event::Conditional => self.checks.conditional(),
            Event::Fail => self.checks.fail(),
            Event::Pause => match (self.operator.disabled, self.agent_maint(), self.operator.paused) {
                (Some(_), _, _) => return Err(Refusal::Disabled),
                (None, true, None) => return Err(Refusal::DisabledByAgent),
                (None, _, Some(_)) => {}
                (None, false, None) => {
                    self.operator.paused = Some(at_ms);
                    self.checks.forget();
                }
            },
            Event::Resume => {
                if self.operator.disabled.is_some() {
                    return Err(Refusal::Disabled);
                }
                self.operator.paused = None;
            }
            Event::Disable(author) => {
                if self.operator.disabled.is_none() {
                    self.operator.disabled = Some((at_ms, author));
                    // Disabling is the stronger word of the same hand, and `enable` leads out of both.
                    self.operator.paused = None;
                }
            }
            Event::Enable => self.operator.disabled = None,
            Event::Drain => {
                self.operator.drain.get_or_insert(at_ms);
            }
            Event::Ready => self.operator.drain = None,
            Event::Mute => {
                self.operator.muted.get_or_insert(at_ms);
                // What it said does not come back with `unmute`: it is asked anew.
                self.agent = AgentWords::default();
            }
            Event::Unmute => self.operator.muted = None,
            Event::ForceUp => {
                self.may_force()?;
                self.checks.force_up();
            }
            Event::ForceDown { checked } => {
                self.may_force()?;
                self.checks.force_down(checked);
            }
            Event::ForceStopping { checked } => {
                self.may_force()?;
                if !self.checks.force_stopping(checked) {
                    return Err(Refusal::NotUp);
                }
            }
            Event::Remove => self.removed = true,
        }
        self.rearm(was);
        Ok(if *self == before { Taken::Already } else { Taken::Changed })
    }

    /// Forced health needs checks that count on from there.
    fn may_force(&self) -> Result<(), Refusal> {
        if self.operator.disabled.is_some() {
            Err(Refusal::Disabled)
        } else if self.operator.paused.is_some() {
            Err(Refusal::Paused)
        } else if self.agent_maint() {
            Err(Refusal::DisabledByAgent)
        } else {
            Ok(())
        }
    }

    /// When checks begin to run again they begin anew.
    fn rearm(&mut self, was_checked: bool) {
        if !was_checked && self.checked() {
            self.checks.reset();
        }
    }
}

#[cfg(test)]
#[path = "hands_tests.rs"]
mod tests;
