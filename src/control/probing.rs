//! The controller's side of probing: when a probe is ordered, what its result does, and the watch over the prober.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::backends::{Flight, Last};
use super::controller::Controller;
use super::event::Event;
use super::operator::{Finished, Ticket};
use super::schedule::Slot;
use super::view::ProbeView;
use crate::config::Healthcheck;
use crate::health;
use crate::probe::pace::{jittered, put_off};
use crate::probe::{Code, Job, Order, Outcome, ProbeId, Report, Task, Verdict};
use crate::time::{Now, Time};

/// No beat of the prober for so long, while a probe is due: stalled.
const PROBER_STALL: Duration = Duration::from_secs(3);
/// Why frozen, when the prober does not beat. It thaws by itself; nothing else does.
pub(super) const STALLED: &str = "the prober has stalled";
/// A probe that started this long after it was due counts as late.
const LATE: Duration = Duration::from_millis(100);
/// `SOCKERR` is logged once in so long for each backend.
const FAULT_LOG: Duration = Duration::from_secs(60);

impl Controller {
    /// A slot came up in the schedule.
    pub(super) fn probe_due(&mut self, now: Now, slot: Slot, due: Time) {
        let Some(b) = self.backends.get_mut(slot) else { return };
        let Some(check) = b.config.healthcheck.clone() else { return };
        if !b.health.checked() || b.in_flight.is_some() {
            return;
        }
        if let Some(at) = put_off(now.mono, due, &mut b.put_off, check.fast_interval, &mut self.rng) {
            self.stats.main_stalls += 1;
            self.schedule.set(slot, at);
            return;
        }
        self.start_probe(slot, &check, due);
    }

    pub(super) fn start_probe(&mut self, slot: Slot, check: &Arc<Healthcheck>, due: Time) {
        // The slot is in the id, so that a result finds its backend without a search.
        self.probes += 1;
        let id = ProbeId((self.probes << 32) | u64::from(slot));
        let Some(b) = self.backends.get_mut(slot) else { return };
        b.put_off = false;
        let standing = b.is_steady();
        b.in_flight = Some(Flight { id, standing: standing.then_some(due) });
        self.flying += 1;
        let job = Job { id, address: b.config.address, task: Task::Check(check.clone()), due, standing };
        self.stats.probes += 1;
        self.order(Order::Probe(job));
    }

    /// Probes now, or as soon as the probe under way is done, if the backend is one that is probed.
    pub(super) fn probe_soon(&mut self, now: Now, slot: Slot) {
        let Some(b) = self.backends.get(slot) else { return };
        if b.is_static() {
            self.settle_static(now, slot);
            return;
        }
        if b.config.healthcheck.is_some() && b.health.checked() && b.in_flight.is_none() {
            self.schedule.set(slot, now.mono);
        }
        self.ask_soon(now, slot, Duration::ZERO);
    }

    /// An operator's probe: even of a backend that is not probed otherwise; its result then changes nothing.
    pub(super) fn probe_for(&mut self, now: Now, slot: Slot, ticket: Ticket) {
        let Some(b) = self.backends.get_mut(slot) else { return };
        b.waiting.push(ticket);
        // It may be between two probes, or have one under way whose pass would be told when there is time.
        self.recall(slot);
        if let Some(b) = self.backends.get(slot)
            && b.in_flight.is_none()
            && let Some(check) = b.config.healthcheck.clone()
        {
            self.schedule.clear(slot);
            self.start_probe(slot, &check, now.mono);
        }
    }

    /// Probing stops; a result that is on its way will not count.
    pub(super) fn stop_probing(&mut self, now: Now, slot: Slot) {
        self.schedule.clear(slot);
        self.give_up(now, slot, "the backend was taken out of probing or its healthcheck edited");
        let Some(b) = self.backends.get_mut(slot) else { return };
        if let Some(flight) = b.in_flight.take() {
            self.cancel(flight);
        }
    }

    /// The prober is to forget a job.
    pub(super) fn cancel(&mut self, flight: Flight) {
        self.flying -= 1;
        self.order(Order::Cancel(flight.id));
    }

    /// The prober does not go on by itself; where it has a probe under way, nothing will be heard of that.
    /// Answers when its last probe began, if it was going on.
    pub(super) fn recall(&mut self, slot: Slot) -> Option<Time> {
        let b = self.backends.get_mut(slot)?;
        let flight = b.in_flight.take_if(|f| f.standing.is_some())?;
        self.cancel(flight);
        flight.standing
    }

    /// A backend that was steady is not any more, by a word on it: the next probe comes when it would have come, and then
    /// the controller sees to it again.
    pub(super) fn take_over(&mut self, now: Now, slot: Slot) {
        let Some(began) = self.recall(slot) else { return };
        let Some(b) = self.backends.get(slot).filter(|b| b.health.checked()) else { return };
        let Some(check) = &b.config.healthcheck else { return };
        let at = jittered(began, check.interval, check.jitter_percent, &mut self.rng);
        self.schedule.set(slot, at.max(now.mono));
    }

    /// Answers those who wait for a probe that will not end.
    pub(super) fn give_up(&mut self, now: Now, slot: Slot, why: &str) {
        let Some(b) = self.backends.get_mut(slot) else { return };
        for ticket in std::mem::take(&mut b.waiting) {
            let view = self.probe_view(slot, Code::SockErr, &format!("given up: {why}"), Duration::ZERO);
            self.finish(now, ticket, Finished::Probe(view));
        }
    }

    pub(super) fn report(&mut self, now: Now, report: Report) {
        let slot = (report.id.0 & u64::from(u32::MAX)) as Slot;
        if self.agent_report(now, slot, &report) {
            return;
        }
        let Some(b) = self.backends.get_mut(slot) else { return };
        if b.in_flight.is_none_or(|f| f.id != report.id) {
            return;
        }
        let mut waiting = Vec::new();
        if report.goes_on {
            b.in_flight = Some(Flight { id: report.id, standing: Some(report.started) });
            self.stats.probes += 1;
        } else {
            b.in_flight = None;
            self.flying -= 1;
            waiting = std::mem::take(&mut b.waiting);
        }
        let Outcome { code, detail } = report.outcome;
        let latency = report.finished.since(report.started);
        let late = report.started.since(report.due);
        self.stats.latest = self.stats.latest.max(late);
        self.stats.late += u64::from(late > LATE);
        self.stats.main_stalls += u64::from(report.put_off);
        for ticket in waiting {
            let view = self.probe_view(slot, code, &detail, latency);
            self.finish(now, ticket, Finished::Probe(view));
        }
        if self.frozen.is_some() {
            return;
        }
        self.stats.results.add(code);
        let Some(b) = self.backends.get_mut(slot) else { return };
        b.meters.probed(now.mono, code, latency);
        // It may have lain in the channel for a while.
        let ago = u64::try_from(now.mono.since(report.finished).as_millis()).unwrap_or(u64::MAX);
        let at_ms = now.wall_ms.saturating_sub(ago);
        if report.goes_on && b.is_steady() {
            // Nearly all results are such: a pass that changes nothing, of a probe that nobody here has to order anew.
            b.last = Some(Last { code, detail, latency, at_ms });
            b.tally.passes += 1;
            return;
        }
        b.last = Some(Last { code, detail: detail.clone(), latency, at_ms });
        let event = match code.verdict() {
            Verdict::Pass => {
                b.tally.passes += 1;
                Some(health::Event::Pass)
            }
            Verdict::Conditional => {
                let up = b.health.checks().vital() == health::Vital::Up;
                *(if up { &mut b.tally.passes } else { &mut b.tally.failures }) += 1;
                Some(health::Event::Conditional)
            }
            Verdict::Fail => {
                b.tally.failures += 1;
                Some(health::Event::Fail)
            }
            Verdict::OurFault => {
                b.tally.faults += 1;
                None
            }
        };
        match event {
            Some(event) => {
                b.guess = b.guess.saturating_sub(1);
                let _ = self.act(now, slot, event, code.as_str(), detail);
            }
            None => self.fault(now, slot, detail),
        }
        self.reschedule(slot, report.started, report.finished);
    }

    /// After a probe that ran from `started` to `finished`: from start to start, but not before it was done. (Not:
    /// not before now. What has waited for the main thread is overdue, and known by that.)
    pub(super) fn reschedule(&mut self, slot: Slot, started: Time, finished: Time) {
        let Some(b) = self.backends.get(slot) else { return };
        if !b.health.checked() || b.in_flight.is_some() {
            return;
        }
        let Some(check) = b.config.healthcheck.clone() else { return };
        let at = jittered(started, b.interval(&check), check.jitter_percent, &mut self.rng);
        self.schedule.set(slot, at.max(finished));
    }

    pub(super) fn fault(&mut self, now: Now, slot: Slot, detail: Cow<'static, str>) {
        let Some(b) = self.backends.get_mut(slot) else { return };
        b.faults_unlogged += 1;
        if b.fault_logged.is_some_and(|t| now.mono.since(t) < FAULT_LOG) {
            return;
        }
        b.fault_logged = Some(now.mono);
        let count = std::mem::take(&mut b.faults_unlogged);
        let backend = b.config.name.clone();
        self.event(Event::ProbeFault { backend, detail, count });
    }

    pub(super) fn probe_view(&self, slot: Slot, code: Code, detail: &str, latency: Duration) -> ProbeView {
        ProbeView {
            backend: self.backends.get(slot).map(|b| b.config.name.to_string()).unwrap_or_default(),
            code: code.as_str().to_owned(),
            detail: detail.to_owned(),
            latency_us: u64::try_from(latency.as_micros()).unwrap_or(u64::MAX),
            verdict: match code.verdict() {
                Verdict::Pass | Verdict::Conditional => "pass",
                Verdict::Fail => "fail",
                Verdict::OurFault => "none",
            }
            .to_owned(),
        }
    }

    pub(super) fn stall_deadline(&mut self) -> Option<Time> {
        if self.frozen.is_some() {
            return None;
        }
        let oldest = [self.schedule.earliest(), self.agents.earliest()].into_iter().flatten().min();
        let beat = self.stats.last_beat.unwrap_or(self.alive_since).max(self.alive_since);
        let limit = beat + PROBER_STALL;
        if self.flying > 0 { Some(limit) } else { oldest.map(|t| t.max(limit)) }
    }

    /// Whether all is frozen because the prober does not beat.
    pub fn prober_stalled(&self) -> bool {
        self.frozen.as_deref() == Some(STALLED)
    }

    /// Freezes when the prober has stopped beating though it should probe, thaws when it beats again.
    pub(super) fn watch_prober(&mut self, now: Now) {
        let beat = self.stats.last_beat.unwrap_or(self.alive_since).max(self.alive_since);
        let silent = now.mono.since(beat) >= PROBER_STALL;
        match &self.frozen {
            None => {
                if silent && self.stall_deadline().is_some_and(|t| now.mono >= t) {
                    self.freeze(STALLED);
                }
            }
            Some(why) => {
                if why == STALLED && !silent {
                    self.thaw(now);
                }
            }
        }
    }
}
