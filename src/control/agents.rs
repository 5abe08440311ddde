//! Asking agents: when, and what becomes of what they say.

use std::collections::BTreeSet;
use std::time::Duration;

use super::backends::{Flight, Last};
use super::controller::{Because, Controller};
use super::event::{Event, LogLevel};
use super::schedule::Slot;
use super::view::AgentCountsView;
use crate::health;
use crate::health::agent::Reply;
use crate::probe::pace::put_off;
use crate::probe::{Code, Job, Order, ProbeId, Report, Task};
use crate::time::{Now, Time};

/// Our side of one backend's agent.
#[derive(Debug, Default)]
pub struct AgentSide {
    /// The query under way, if any: never more than one.
    pub flight: Option<Flight>,
    /// It has answered since the backend was last of unknown state, and since it was muted.
    pub heard: bool,
    /// The last query's end.
    pub last: Option<Last>,
    /// The last reply's description; may be empty.
    pub description: String,
    /// When the last reply came, milliseconds since the Unix epoch.
    pub replied_ms: Option<u64>,
    /// Queries that failed since then, and when the first of them did, milliseconds since the Unix epoch.
    pub failing: Option<(u64, u64)>,
    /// Words without meaning in the last reply.
    pub unknown: Vec<String>,
    /// Those that were last told of.
    pub unknown_told: Vec<String>,
    /// Replies in a row each of which changed the weight.
    pub restless: u32,
    /// Since it was first asked.
    pub counts: AgentCountsView,
    /// Its query was put off once after a stall of the main thread.
    pub put_off: bool,
}

/// After so many replies in a row that change the weight it is told.
const RESTLESS: u32 = 20;
/// So many are named.
const NAMED: usize = 3;

/// Backends whose agents say another weight each time they are asked.
#[derive(Debug, Default)]
pub(super) struct Restless {
    slots: BTreeSet<Slot>,
    /// Others than were told of last.
    news: bool,
}

impl Restless {
    fn note(&mut self, slot: Slot, is: bool) {
        self.news |= if is { self.slots.insert(slot) } else { self.slots.remove(&slot) };
    }
}

impl Controller {
    /// Tells who flaps, where that has changed.
    pub(super) fn tell_restless(&mut self, now: Now) {
        if !std::mem::take(&mut self.restless.news) {
            return;
        }
        let n = self.restless.slots.len();
        let names: Vec<String> = (self.restless.slots.iter())
            .filter_map(|slot| Some(self.backends.get(*slot)?.config.name.to_string()))
            .take(NAMED)
            .collect();
        let more = n.saturating_sub(names.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let text = format!("another weight with each of {RESTLESS} replies: {}{more}", names.join(", "));
        self.problem(now, "agent-flapping", (n > 0).then_some(text));
    }

    /// An agent came up in the schedule.
    pub(super) fn agent_due(&mut self, now: Now, slot: Slot, due: Time) {
        let Some(b) = self.backends.get_mut(slot) else { return };
        let (Some(config), false) = (b.config.agent.clone(), b.health.removed()) else { return };
        let (None, Some(side)) = (b.health.operator().muted, b.agent.as_mut()) else { return };
        if side.flight.is_some() {
            return;
        }
        if let Some(at) = put_off(now.mono, due, &mut side.put_off, config.interval, &mut self.rng) {
            self.agents.set(slot, at);
            return;
        }
        side.put_off = false;
        self.probes += 1;
        let id = ProbeId((self.probes << 32) | u64::from(slot));
        side.flight = Some(Flight { id, standing: None });
        side.counts.queries += 1;
        self.flying += 1;
        self.stats.agents.queries += 1;
        let address = config.address.unwrap_or(b.config.address);
        self.order(Order::Probe(Job::once(id, address, Task::Agent(config), due)));
    }

    /// Asks now, or when the query under way is done; and waits for the answer no longer than for any other at the
    /// start, where nobody else knows of the backend, or nobody any more.
    pub(super) fn ask_soon(&mut self, now: Now, slot: Slot, after: Duration) {
        let wait = self.config.as_ref().map_or(Duration::ZERO, |c| c.lb.startup_max_delay);
        let Some(b) = self.backends.get_mut(slot) else { return };
        let alone = b.waits_for_agent();
        let muted = b.health.operator().muted.is_some();
        // Nobody else is left who could end it.
        let ends = alone || (b.by_agent_alone() && b.health.checked() && b.health.checks().stopping());
        let Some(side) = b.agent.as_mut() else { return };
        if alone {
            side.heard = false;
        }
        if muted {
            if ends {
                let _ = self.act(now, slot, health::Event::Pass, "agent", "muted".into());
            }
            return;
        }
        if side.flight.is_none() {
            self.agents.set(slot, now.mono + after);
        }
        if alone {
            self.silences.set(slot, now.mono + wait);
        }
    }

    /// An agent that alone decides has not answered for so long that the backend is taken for up.
    pub(super) fn silent(&mut self, now: Now, slot: Slot) {
        let waits = self.backends.get(slot).is_some_and(super::backends::Entry::waits_for_agent);
        if self.frozen.is_none() && waits {
            let _ = self.act(now, slot, health::Event::Pass, "agent", "silent: taken for up".into());
        }
    }

    /// A new prober: what the old one was asking is lost.
    pub(super) fn ask_anew(&mut self, now: Now) {
        let slots: Vec<Slot> =
            self.backends.iter().filter(|(_, b)| b.agent.is_some()).map(|(s, _)| s).collect();
        for slot in slots {
            let side = self.backends.get_mut(slot).and_then(|b| b.agent.as_mut());
            if side.is_some_and(|s| s.flight.take().is_some()) {
                self.flying -= 1;
                self.agents.set(slot, now.mono);
            }
        }
    }

    /// After a freeze, in which answers did not count: all are asked, spread over their interval.
    pub(super) fn thaw_agents(&mut self, now: Now) {
        let idle = |b: &super::backends::Entry| {
            b.health.operator().muted.is_none() && b.agent.as_ref().is_some_and(|a| a.flight.is_none())
        };
        let idle: Vec<(Slot, Duration)> = self
            .backends
            .iter()
            .filter(|(_, b)| !b.health.removed() && idle(b))
            .filter_map(|(s, b)| Some((s, b.config.agent.as_ref()?.interval)))
            .collect();
        for (slot, interval) in idle {
            let at = now.mono + interval.mul_f64(self.rng.f64());
            self.agents.set(slot, at);
        }
    }

    /// The agent is not asked any more; an answer on its way will not count.
    pub(super) fn stop_asking(&mut self, slot: Slot) {
        self.agents.clear(slot);
        self.silences.clear(slot);
        self.restless.note(slot, false);
        let Some(side) = self.backends.get_mut(slot).and_then(|b| b.agent.as_mut()) else { return };
        if let Some(flight) = side.flight.take() {
            self.cancel(flight);
        }
    }

    /// The end of a query. False: it is none of an agent.
    pub(super) fn agent_report(&mut self, now: Now, slot: Slot, report: &Report) -> bool {
        let Some(side) = self.backends.get_mut(slot).and_then(|b| b.agent.as_mut()) else { return false };
        if side.flight.take_if(|f| f.id == report.id).is_none() {
            return false;
        }
        self.flying -= 1;
        if self.frozen.is_some() {
            return true;
        }
        let outcome = &report.outcome;
        side.last = Some(Last {
            code: outcome.code,
            detail: outcome.detail.clone(),
            latency: report.finished.since(report.started),
            at_ms: now.wall_ms,
        });
        match &report.reply {
            Some(reply) => self.agent_said(now, slot, reply),
            None => self.agent_failed(now, slot, outcome.code, &outcome.detail),
        }
        let config = self.backends.get(slot).and_then(|b| b.config.agent.clone());
        let muted = self.backends.get(slot).is_some_and(|b| b.health.operator().muted.is_some());
        if let Some(config) = config.filter(|_| !muted) {
            self.agents.set(slot, (report.started + config.interval).max(report.finished));
        }
        true
    }

    fn agent_said(&mut self, now: Now, slot: Slot, reply: &Reply) {
        let Some(b) = self.backends.get_mut(slot) else { return };
        let before = b.health.agent();
        let changed = b.health.hear(reply, now.wall_ms);
        let words = b.health.agent();
        let alone = b.by_agent_alone();
        let name = b.config.name.clone();
        let Some(side) = b.agent.as_mut() else { return };
        side.counts.replies += 1;
        side.heard = true;
        side.description.clone_from(&reply.description);
        side.replied_ms = Some(now.wall_ms);
        let was_failing = side.failing.take();
        let strange = reply.unknown != side.unknown_told && !reply.unknown.is_empty();
        if strange {
            side.unknown_told.clone_from(&reply.unknown);
        }
        side.unknown.clone_from(&reply.unknown);
        side.restless = if before.weight == words.weight { 0 } else { side.restless.saturating_add(1) };
        let restless = side.restless >= RESTLESS;
        self.restless.note(slot, restless);
        self.stats.agents.replies += 1;
        if let Some((_, n)) = was_failing {
            let text = format!("answers again after {n} failures");
            self.event(Event::Agent { backend: name.clone(), text, level: LogLevel::Notice });
        }
        if strange {
            let text = format!("unknown words={:?}, the rest applies", reply.unknown.join(" "));
            self.event(Event::Agent { backend: name.clone(), text, level: LogLevel::Warning });
        }
        if changed {
            let also = if reply.description.is_empty() {
                String::new()
            } else {
                format!(" detail={:?}", reply.description)
            };
            let text = format!("{words}{also}");
            self.event(Event::Agent { backend: name.clone(), text, level: LogLevel::Notice });
        }
        let mut stands_otherwise = changed;
        if alone && let Some(b) = self.backends.get_mut(slot) {
            // Any reply but down is as good as a passed check; and down has a word of its own.
            stands_otherwise |= b.health.take(health::Event::Pass, now.wall_ms) == Ok(health::Taken::Changed);
        }
        // Most replies say what the one before has said.
        if stands_otherwise {
            let said =
                if reply.description.is_empty() { words.to_string() } else { reply.description.clone() };
            self.restand(now, slot, "agent", said.into());
        }
        if before.weight != words.weight {
            self.shares_changed(now, slot, Because::Agent);
        }
    }

    /// An agent's word on weight is another: for its own frontends, and for those of whoever takes its share.
    pub(super) fn shares_changed(&mut self, now: Now, slot: Slot, because: Because) {
        let Some(b) = self.backends.get(slot) else { return };
        let slots = std::iter::once(slot).chain(b.links.sharers.iter().copied());
        let names: std::collections::BTreeSet<_> =
            slots.filter_map(|s| self.backends.get(s)).flat_map(|b| b.frontends.iter().cloned()).collect();
        for name in names {
            self.reweigh(now, &name, because);
        }
    }

    fn agent_failed(&mut self, now: Now, slot: Slot, code: Code, detail: &str) {
        let Some(b) = self.backends.get_mut(slot) else { return };
        let name = b.config.name.clone();
        let Some(side) = b.agent.as_mut() else { return };
        side.counts.failures += 1;
        self.stats.agents.failures += 1;
        let (since, n) = side.failing.unwrap_or((now.wall_ms, 0));
        side.failing = Some((since, n + 1));
        if n == 0 {
            let text = format!("failed code={} detail={detail:?}, its words stand", code.as_str());
            self.event(Event::Agent { backend: name.clone(), text, level: LogLevel::Warning });
        }
    }
}
