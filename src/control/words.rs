//! The operator's words on a backend: `set backend <b> …`.

use super::backends::{Entry, FORCED};
use super::controller::{Because, Controller};
use super::event::Event;
use super::operator::{BackendVerb, Done, NameKind, VerbError};
use super::schedule::Slot;
use crate::health::{self, Author, By, Refusal, State, Taken};
use crate::time::{Now, Time};

impl Controller {
    /// `set backend <b> <verb>`
    ///
    /// # Errors
    /// The name is unknown, or the verb is refused.
    pub fn set_backend(&mut self, now: Now, name: &str, verb: BackendVerb) -> Result<Done, VerbError> {
        let Some((slot, b)) = self.backends.find(name) else {
            return Err(self.unknown(NameKind::Backend, name));
        };
        if let Some(why) = refused(b, verb) {
            return Err(VerbError::Refused(format!("backend `{name}` {why}")));
        }
        let taken = match verb {
            // Of whom nobody else knows is up at once, whatever the agent's words have covered.
            BackendVerb::AgentMute => self.at_once(now, |c| c.said(now, slot, verb)),
            _ => self.said(now, slot, verb),
        };
        let taken = taken.map_err(|r| VerbError::Refused(format!("backend `{name}` {r}")))?;
        match taken {
            Taken::Changed => {
                if verb == BackendVerb::AgentMute {
                    self.shares_changed(now, slot, Because::Rule);
                }
                self.event(Event::Operator { text: format!("set backend {name} {}", verb.as_str()) });
                let text = format!("backend `{name}` {}{}", done(verb), self.but(slot, verb));
                Ok(Done { changed: true, text })
            }
            Taken::Already => {
                let text = format!("backend `{name}` {}", self.already(slot, verb));
                Ok(Done { changed: false, text })
            }
        }
    }

    /// The word, and what it sets off.
    fn said(&mut self, now: Now, slot: Slot, verb: BackendVerb) -> Result<Taken, Refusal> {
        let checked = self.backends.get(slot).is_some_and(|b| b.config.healthcheck.is_some());
        let (event, code) = word(verb, checked);
        let taken = self.act(now, slot, event, code, "by the operator".into())?;
        if taken == Taken::Changed {
            self.followed(now, slot, verb);
        }
        Ok(taken)
    }

    /// What a word sets off beyond the states.
    fn followed(&mut self, now: Now, slot: Slot, verb: BackendVerb) {
        match verb {
            BackendVerb::AgentMute => {
                self.stop_asking(slot);
                if let Some(side) = self.backends.get_mut(slot).and_then(|b| b.agent.as_mut()) {
                    side.failing = None;
                    side.heard = false;
                    side.description.clear();
                }
                // Nobody else is left who could say what the backend is.
                self.ask_soon(now, slot, std::time::Duration::ZERO);
            }
            BackendVerb::AgentUnmute => self.ask_soon(now, slot, std::time::Duration::ZERO),
            BackendVerb::HealthUp | BackendVerb::HealthDown | BackendVerb::HealthStopping => {
                // The counter is another, and so is the interval; the next probe is soon, whatever the last interval was.
                let due = self.schedule.due(slot);
                if due.is_some_and(|t: Time| t > now.mono)
                    && let Some(b) = self.backends.get(slot)
                    && let Some(check) = &b.config.healthcheck
                {
                    let at = now.mono + b.interval(check);
                    self.schedule.set(slot, due.map_or(at, |t| t.min(at)));
                }
            }
            BackendVerb::Enable
            | BackendVerb::Disable
            | BackendVerb::Pause
            | BackendVerb::Resume
            | BackendVerb::Drain
            | BackendVerb::Ready => {}
        }
    }

    /// What keeps the backend from being what the verb's name promises.
    fn but(&self, slot: Slot, verb: BackendVerb) -> String {
        let Some(b) = self.backends.get(slot) else { return String::new() };
        let as_hoped = match verb {
            BackendVerb::Disable => b.state() == State::Disabled,
            BackendVerb::Pause => b.state() == State::Paused,
            BackendVerb::Drain => b.state() == State::Drain,
            BackendVerb::Enable | BackendVerb::Resume => matches!(b.state(), State::Unknown | State::Up),
            BackendVerb::Ready | BackendVerb::HealthUp => b.state() == State::Up,
            BackendVerb::HealthDown => b.state() == State::Down,
            BackendVerb::HealthStopping => b.state() == State::Stopping,
            BackendVerb::AgentMute | BackendVerb::AgentUnmute => true,
        };
        if as_hoped { String::new() } else { format!("; it is {}", b.display(&self.backends)) }
    }

    fn already(&self, slot: Slot, verb: BackendVerb) -> String {
        let Some(b) = self.backends.get(slot) else { return String::new() };
        let shown = b.display(&self.backends);
        let maint_of_another = !matches!(b.standing.maint, None | Some(By::Operator | By::Configuration));
        let drain_of_another = !matches!(b.standing.drain, None | Some(By::Operator | By::Configuration));
        match verb {
            BackendVerb::Disable => "is disabled already".to_owned(),
            BackendVerb::Pause => "is paused already".to_owned(),
            BackendVerb::Drain => format!("is drained already ({shown})"),
            BackendVerb::Enable if maint_of_another => {
                format!("is not disabled by the operator: it is {shown}")
            }
            BackendVerb::Enable => format!("is enabled already ({shown})"),
            BackendVerb::Resume => format!("is resumed already ({shown})"),
            BackendVerb::Ready if drain_of_another => {
                format!("is not drained by the operator: it is {shown}")
            }
            BackendVerb::Ready => format!("is ready already ({shown})"),
            BackendVerb::HealthUp | BackendVerb::HealthDown | BackendVerb::HealthStopping => {
                format!("has that health already ({shown})")
            }
            BackendVerb::AgentMute => "has its agent muted already".to_owned(),
            BackendVerb::AgentUnmute => "has its agent unmuted already".to_owned(),
        }
    }
}

/// The event of a verb, and the code of the transition that it may cause. `checked`: the backend has a healthcheck.
fn word(verb: BackendVerb, checked: bool) -> (health::Event, &'static str) {
    match verb {
        BackendVerb::Enable => (health::Event::Enable, "enabled"),
        BackendVerb::Disable => (health::Event::Disable(Author::Operator), "disabled"),
        BackendVerb::Pause => (health::Event::Pause, "paused"),
        BackendVerb::Resume => (health::Event::Resume, "resumed"),
        BackendVerb::Drain => (health::Event::Drain, "drain"),
        BackendVerb::Ready => (health::Event::Ready, "ready"),
        BackendVerb::HealthUp => (health::Event::ForceUp, FORCED),
        BackendVerb::HealthDown => (health::Event::ForceDown { checked }, FORCED),
        BackendVerb::HealthStopping => (health::Event::ForceStopping { checked }, FORCED),
        BackendVerb::AgentMute => (health::Event::Mute, "muted"),
        BackendVerb::AgentUnmute => (health::Event::Unmute, "unmuted"),
    }
}

fn done(verb: BackendVerb) -> &'static str {
    match verb {
        BackendVerb::Enable => "enabled",
        BackendVerb::Disable => "disabled",
        BackendVerb::Pause => "paused",
        BackendVerb::Resume => "resumed",
        BackendVerb::Drain => "drained",
        BackendVerb::Ready => "ready",
        BackendVerb::HealthUp => "forced up",
        BackendVerb::HealthDown => "forced down",
        BackendVerb::HealthStopping => "forced to stopping",
        BackendVerb::AgentMute => "has its agent muted",
        BackendVerb::AgentUnmute => "has its agent unmuted",
    }
}

/// Why a verb makes no sense for a backend of this configuration, or under another's word.
fn refused(b: &Entry, verb: BackendVerb) -> Option<String> {
    if b.health.removed() {
        return None;
    }
    match verb {
        BackendVerb::HealthUp | BackendVerb::HealthDown | BackendVerb::HealthStopping => {
            if let Some(other) = &b.config.track {
                return Some(format!("tracks `{other}`: set the health of that"));
            }
            if b.is_static() {
                return Some(
                    "has no checks that would count on from there: use `disable` or `drain`".to_owned(),
                );
            }
            if verb == BackendVerb::HealthStopping
                && b.by_agent_alone()
                && b.health.operator().muted.is_some()
            {
                return Some("has its agent muted: nobody would bring it back, use `drain`".to_owned());
            }
            None
        }
        BackendVerb::AgentMute | BackendVerb::AgentUnmute => {
            b.config.agent.is_none().then(|| match &b.config.agent_track {
                Some(other) => format!("has no agent: it takes the share of `{other}`'s"),
                None => "has no agent".to_owned(),
            })
        }
        BackendVerb::Pause => match (&b.standing.maint, b.health.operator().paused) {
            (Some(By::Via(other)), None) => Some(format!("is disabled via `{other}`")),
            (Some(By::Via(_)), Some(_))
            | (Some(By::Checks | By::Agent | By::Operator | By::Configuration) | None, _) => None,
        },
        BackendVerb::Resume
        | BackendVerb::Enable
        | BackendVerb::Disable
        | BackendVerb::Drain
        | BackendVerb::Ready => None,
    }
}
