//! What all hands have said of one backend, by a plain reading of docs/behaviour.md. Nothing of [`crate::health`] but its
//! vocabulary is used.

use std::sync::Arc;

use super::table::Says;
use crate::config::{Backend, CounterKind};
use crate::control::BackendVerb;
use crate::health::agent::{AgentAdmin, AgentWeight, Reply};
use crate::health::{Author, Vital};
use crate::probe::Verdict;
use crate::time::Time;

/// What the checks have found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Up, down or nothing yet.
    pub vital: Vital,
    /// Up, and the server wants no new flows.
    pub stopping: bool,
    /// From 0 to rise + fall - 1.
    pub count: u32,
}

/// Its agent's words, each until it says another of its class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// Whether its word on health was a bad one.
    pub down: Option<bool>,
    /// Its word on administration.
    pub admin: Option<AgentAdmin>,
    /// Its word on weight.
    pub weight: Option<AgentWeight>,
}

/// See above.
#[derive(Clone, Debug)]
pub struct Mind {
    /// As configured.
    pub config: Arc<Backend>,
    /// Its checks' hand.
    pub found: Found,
    /// The operator's hand.
    pub disabled: Option<Author>,
    /// The operator's hand.
    pub paused: bool,
    /// The operator's hand.
    pub drain: bool,
    /// The operator's hand.
    pub muted: bool,
    /// Its agent's hand.
    pub words: Words,
    /// It was down or disabled since it was last up.
    pub out: bool,
    /// When it came back from that.
    pub back_at: Option<Time>,
    /// Since when its agent has been waited for; and since when at the latest, should it have been asked anew.
    pub waits: (Time, Time),
    /// The operator's `health down` or `health stopping` made it what it is.
    pub forced: bool,
    /// `via <name>`: for those that track it.
    pub via: String,
}

/// Whether a verb is to change something, or be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It changes something.
    Changed,
    /// It was so already.
    Already,
    /// It makes no sense now.
    Refused,
}

impl Mind {
    /// Of which nothing is known yet.
    pub fn new(config: Arc<Backend>, now: Time) -> Mind {
        let via = format!("via {}", config.name);
        let disabled = (!config.enabled).then_some(Author::Configuration);
        let mut mind = Mind {
            config,
            found: Found { vital: Vital::Unknown, stopping: false, count: 0 },
            disabled,
            paused: false,
            drain: false,
            muted: false,
            words: Words::default(),
            out: false,
            back_at: None,
            waits: (now, now),
            forced: false,
            via,
        };
        mind.begin_anew(now);
        mind
    }

    /// rise, and the counter's maximum. Without a healthcheck the first result decides.
    fn limits(&self) -> (u32, u32) {
        self.config.healthcheck.as_ref().map_or((1, 1), |c| (c.rise, c.rise + c.fall - 1))
    }

    fn haproxy(&self) -> bool {
        self.config.healthcheck.as_ref().is_some_and(|c| c.counter == CounterKind::Haproxy)
    }

    /// Nobody is asked about it.
    pub fn is_static(&self) -> bool {
        let c = &self.config;
        c.healthcheck.is_none() && c.agent.is_none() && c.track.is_none()
    }

    /// Its agent alone decides.
    pub fn alone(&self) -> bool {
        let c = &self.config;
        c.healthcheck.is_none() && c.agent.is_some() && c.track.is_none()
    }

    /// Whether checks run.
    pub fn checked(&self) -> bool {
        self.disabled.is_none() && !self.paused && self.words.admin != Some(AgentAdmin::Maint)
    }

    /// Unknown, one pass short of up; static: up at once; by a muted agent alone: up.
    pub fn begin_anew(&mut self, now: Time) {
        self.found = Found { vital: Vital::Unknown, stopping: false, count: self.limits().0 - 1 };
        self.forced = false;
        self.waits = (now, now);
        self.settle();
    }

    /// Nothing is known of it that its agent or the operator has said.
    fn open(&self) -> bool {
        match self.found.vital {
            Vital::Unknown => true,
            Vital::Down => !self.forced,
            Vital::Up => self.found.stopping && !self.forced,
        }
    }

    /// Of whom nobody is asked, it is up.
    pub fn settle(&mut self) {
        if self.checked()
            && (self.is_static() || (self.alone() && self.muted && (self.open() || self.found.stopping)))
        {
            self.full(Vital::Up);
        }
    }

    /// The words that keep checks from running were others before.
    fn rearm(&mut self, was_checked: bool, now: Time) {
        if !was_checked && self.checked() {
            self.begin_anew(now);
        }
    }

    /// As an earlier life has left it. `was`: what it was, with all that it inherited.
    pub fn restored(saved: &Mind, was: (Vital, bool), config: Arc<Backend>, now: Time) -> Mind {
        let mut mind = Mind::new(config, now);
        (mind.disabled, mind.paused) = (saved.disabled, saved.paused);
        (mind.drain, mind.muted) = (saved.drain, saved.muted);
        if mind.config.agent.is_some() && !mind.muted {
            mind.words = saved.words;
        }
        let followed = saved.config.track.is_some();
        let (vital, stopping) = if followed { was } else { (saved.found.vital, saved.found.stopping) };
        mind.full(vital);
        mind.found.stopping = stopping && vital == Vital::Up;
        mind.forced = saved.forced && !followed && (vital == Vital::Down || mind.found.stopping);
        mind.enabled(saved.config.enabled, now);
        mind.settle();
        mind
    }

    /// `enabled` of the configuration was so before.
    fn enabled(&mut self, before: bool, now: Time) {
        let was = self.checked();
        match (before, self.config.enabled) {
            (true, false) if self.disabled.is_none() => {
                (self.disabled, self.paused) = (Some(Author::Configuration), false);
            }
            (false, true) => self.disabled = None,
            (true | false, _) => {}
        }
        self.rearm(was, now);
    }

    fn full(&mut self, vital: Vital) {
        let (rise, max) = self.limits();
        let count = match vital {
            Vital::Up => max,
            Vital::Down => 0,
            Vital::Unknown => rise - 1,
        };
        self.found = Found { vital, stopping: false, count };
        self.forced = false;
    }

    /// A result of its checks.
    pub fn result(&mut self, verdict: Verdict) {
        if !self.checked() {
            return;
        }
        let up = self.found.vital == Vital::Up;
        match verdict {
            Verdict::OurFault => {}
            Verdict::Pass => self.pass(false),
            Verdict::Conditional if up => self.pass(true),
            Verdict::Conditional | Verdict::Fail => self.fail(),
        }
    }

    /// Up, and another pass would change nothing.
    pub fn is_full(&self) -> bool {
        let full = Found { vital: Vital::Up, stopping: false, count: self.limits().1 };
        self.found == full
    }

    fn pass(&mut self, stopping: bool) {
        let (rise, max) = self.limits();
        let was = self.found;
        self.forced = false;
        let mut count = (was.count + 1).min(max);
        let up = was.vital == Vital::Up || count >= rise;
        if up && was.vital != Vital::Up && self.haproxy() {
            count = max;
        }
        self.found = Found { vital: if up { Vital::Up } else { was.vital }, stopping, count };
    }

    fn fail(&mut self) {
        let (rise, _) = self.limits();
        let was = self.found;
        self.forced = false;
        let mut count = was.count.saturating_sub(1);
        let down = was.vital != Vital::Up || count < rise;
        if down && was.vital != Vital::Down && self.haproxy() {
            count = 0;
        }
        let vital = if down { Vital::Down } else { Vital::Up };
        self.found = Found { vital, stopping: was.stopping && !down, count };
    }

    /// A reply of its agent.
    pub fn heard(&mut self, reply: &Reply, now: Time) {
        if self.muted {
            return;
        }
        let was = self.checked();
        if let Some(health) = reply.health {
            self.words.down = Some(!health.is_up());
        }
        self.words.admin = reply.admin.or(self.words.admin);
        self.words.weight = reply.weight.or(self.words.weight);
        self.rearm(was, now);
        if self.alone() && self.checked() {
            // Any reply but down; and that has its own word.
            self.pass(false);
        }
    }

    /// Its agent has been silent for long enough to be taken for up.
    pub fn silence(&mut self) {
        self.full(Vital::Up);
    }

    /// Whether it waits for its agent's first word.
    pub fn waiting(&self) -> bool {
        self.alone() && self.checked() && !self.muted && self.open()
    }

    /// An operator's verb; `disabled_via`: the backend that it tracks is disabled.
    pub fn verb(&mut self, verb: BackendVerb, disabled_via: bool, now: Time) -> Taken {
        let was = self.checked();
        let before = self.hands();
        let maint = self.words.admin == Some(AgentAdmin::Maint);
        let follows = self.config.track.is_some() || self.is_static();
        let forcible = !follows && was;
        match verb {
            BackendVerb::Enable => self.disabled = None,
            BackendVerb::Disable => {
                if self.disabled.is_none() {
                    (self.disabled, self.paused) = (Some(Author::Operator), false);
                }
            }
            BackendVerb::Pause if self.disabled.is_some() => return Taken::Refused,
            BackendVerb::Pause if self.paused => {}
            BackendVerb::Pause if maint || disabled_via => return Taken::Refused,
            BackendVerb::Pause => {
                self.paused = true;
                self.forced = false;
                self.found = Found { vital: Vital::Unknown, stopping: false, count: 0 };
            }
            BackendVerb::Resume if self.disabled.is_some() => return Taken::Refused,
            BackendVerb::Resume => self.paused = false,
            BackendVerb::Drain => self.drain = true,
            BackendVerb::Ready => self.drain = false,
            BackendVerb::HealthUp if forcible => self.full(Vital::Up),
            BackendVerb::HealthDown if forcible => {
                let (found, forced) = (self.found, self.forced);
                self.full(Vital::Down);
                // What its checks have found, and find again, is not the operator's word.
                self.forced = forced || self.alone() || found != self.found;
            }
            BackendVerb::HealthStopping if self.alone() && self.muted => return Taken::Refused,
            BackendVerb::HealthStopping if forcible && self.found.vital == Vital::Up => {
                self.forced |= self.alone() || !self.found.stopping;
                self.found.stopping = true;
            }
            BackendVerb::HealthUp | BackendVerb::HealthDown | BackendVerb::HealthStopping => {
                return Taken::Refused;
            }
            BackendVerb::AgentMute | BackendVerb::AgentUnmute if self.config.agent.is_none() => {
                return Taken::Refused;
            }
            BackendVerb::AgentMute => {
                self.muted = true;
                self.words = Words::default();
            }
            BackendVerb::AgentUnmute => self.muted = false,
        }
        let changed = self.hands() != before;
        self.rearm(was, now);
        match verb {
            // Nobody else is left who could say what it is.
            BackendVerb::AgentMute if changed => self.settle(),
            BackendVerb::AgentUnmute if changed => self.waits.1 = now,
            // The operator's word, for as long as the agent likes.
            BackendVerb::HealthDown | BackendVerb::HealthStopping if changed => self.waits.1 = Time::MAX,
            BackendVerb::AgentMute
            | BackendVerb::AgentUnmute
            | BackendVerb::Enable
            | BackendVerb::Disable
            | BackendVerb::Pause
            | BackendVerb::Resume
            | BackendVerb::Drain
            | BackendVerb::Ready
            | BackendVerb::HealthUp
            | BackendVerb::HealthDown
            | BackendVerb::HealthStopping => {}
        }
        if changed { Taken::Changed } else { Taken::Already }
    }

    fn hands(&self) -> (Found, bool, Option<Author>, bool, bool, bool, Words) {
        (self.found, self.forced, self.disabled, self.paused, self.drain, self.muted, self.words)
    }

    /// How many words of the operator stand, those on weights left out.
    pub fn operators_words(&self) -> usize {
        let forced = self.forced && self.checked() && self.config.track.is_none() && !self.is_static();
        let words = [self.disabled == Some(Author::Operator), self.paused, self.drain, self.muted, forced];
        words.iter().filter(|w| **w).count()
    }

    /// It passes to a new name: its health and its agent's words alone.
    pub fn inherit(&mut self) {
        (self.disabled, self.paused, self.drain, self.muted) = (None, false, false, false);
        self.forced = false;
    }

    /// It has another configuration from now on. `was`: what it was, with all that it inherited.
    pub fn edit(&mut self, new: &Arc<Backend>, was: (Vital, bool), now: Time) {
        let old = std::mem::replace(&mut self.config, new.clone());
        self.via = format!("via {}", new.name);
        let edited = old.healthcheck != new.healthcheck || old.track.is_some() != new.track.is_some();
        if edited {
            let (vital, stopping) = match old.track.is_some() && new.track.is_none() {
                true => was,
                false => (self.found.vital, self.found.stopping),
            };
            let forced = self.forced && (old.track.is_none() || new.track.is_some());
            self.full(vital);
            self.forced = forced;
            self.found.stopping = stopping && vital == Vital::Up;
            if self.paused {
                self.found = Found { vital: Vital::Unknown, stopping: false, count: 0 };
            }
        }
        if new.agent.is_none() {
            let was = self.checked();
            self.words = Words::default();
            self.rearm(was, now);
        }
        if edited {
            self.waits.0 = now;
        }
        self.settle();
        self.enabled(old.enabled, now);
        self.waits.1 = now;
    }

    /// Its own words, and what its checks have found; the order is that of strength within a kind.
    pub fn own(&self) -> Vec<(&'static str, &str)> {
        let mut words = Vec::with_capacity(6);
        match self.disabled {
            Some(Author::Operator) => words.push(("disabled", "operator")),
            Some(Author::Configuration) => words.push(("disabled", "configuration")),
            None => {}
        }
        if self.paused {
            words.push(("paused", "operator"));
        }
        if self.drain {
            words.push(("drain", "operator"));
        }
        match self.words.admin {
            Some(AgentAdmin::Maint) => words.push(("disabled", "agent")),
            Some(AgentAdmin::Drain) => words.push(("drain", "agent")),
            Some(AgentAdmin::Ready) | None => {}
        }
        if self.words.down == Some(true) {
            words.push(("down", "agent"));
        }
        if self.config.track.is_none() {
            words.push((self.found.vital.as_str(), "checks"));
            if self.found.stopping {
                words.push(("stopping", "checks"));
            }
        }
        words
    }

    /// What its agent says of its weight.
    pub fn says(&self) -> Says {
        match self.words.weight {
            None => Says::Nothing,
            Some(AgentWeight::Share(n)) => Says::Percent(u128::from(n)),
            Some(AgentWeight::Absolute(n)) => Says::Instead(u128::from(n)),
        }
    }
}
