//! The controller: one value that owns all state, a function of (event, now) to orders and the next deadline. It
//! reads no clock, does no I/O, has no thread; tests drive it in virtual time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::backends::{Backends, Flight, Last};
use super::event::{Event, LogLevel};
use super::frontends::Frontends;
use super::intent::Intentions;
use super::operator::{Finished, Ticket};
use super::programmer::{LbAnswer, LbRequest, Programmer};
use super::schedule::{Schedule, Slot};
use super::view::ProbeView;
use crate::Name;
use crate::config::{Config, Healthcheck};
use crate::health::{self, Change, Limits, State, Transition};
use crate::lb::VipKey;
use crate::probe::{Code, Job, Order, Outcome, ProbeId, Report, Told, Verdict};
use crate::time::{Now, Time};

/// A probe that is this much overdue waited for VPP's main thread, not for the prober.
const MAIN_STALL: Duration = Duration::from_secs(1);
/// No beat of the prober for so long, while a probe is due: stalled.
const PROBER_STALL: Duration = Duration::from_secs(3);
/// A probe that started this long after it was due counts as late.
const LATE: Duration = Duration::from_millis(100);
/// `SOCKERR` is logged once in so long for each backend.
const FAULT_LOG: Duration = Duration::from_secs(60);
/// An answer that nobody takes is dropped after so long.
const TICKET_LIFE: Duration = Duration::from_secs(60);

/// What the probes have done so far.
#[derive(Clone, Debug, Default)]
pub struct ProbeStats {
    /// Orders sent.
    pub probes: u64,
    /// Started more than 100 ms after they were due.
    pub late: u64,
    /// The latest start of all.
    pub latest: Duration,
    /// Put off after a stall of the main thread.
    pub main_stalls: u64,
    /// By code.
    pub results: BTreeMap<Code, u64>,
    /// Of the last beat.
    pub in_flight: usize,
    /// Of the last beat.
    pub waiting: usize,
    /// Of the last beat.
    pub last_beat: Option<Time>,
}

/// What became of configuration files.
#[derive(Clone, Debug, Default)]
pub struct ConfigStatus {
    /// When the running one was loaded, milliseconds since the Unix epoch.
    pub loaded_ms: Option<u64>,
    /// Of the last load, if it failed.
    pub errors: Vec<String>,
    /// Of the running one.
    pub warnings: Vec<String>,
}

/// All state of the control plane.
#[derive(Debug)]
pub struct Controller {
    pub(super) config: Option<Arc<Config>>,
    pub(super) config_status: ConfigStatus,
    pub(super) backends: Backends,
    pub(super) frontends: Frontends,
    /// The frontend of each VIP.
    pub(super) by_vip: BTreeMap<VipKey, Name>,
    pub(super) programmer: Programmer,
    pub(super) stats: ProbeStats,
    pub(super) frozen: Option<String>,
    pub(super) schedule: Schedule,
    pub(super) rng: fastrand::Rng,
    /// Frontends to be looked at again at a time: start-up delays, holds.
    pub(super) timers: BTreeSet<(Time, Name)>,
    /// Removed backends that `lb` may still have servers of.
    pub(super) removed: BTreeSet<Slot>,
    /// False: `lb` is missing, and nothing is ever asked of it.
    lb_available: bool,
    /// Backends with a probe under way.
    flying: usize,
    orders: VecDeque<Order>,
    events: VecDeque<Event>,
    answers: BTreeMap<Ticket, (Time, Finished)>,
    tickets: u64,
    probes: u64,
    alive_since: Time,
}

impl Controller {
    /// Without a configuration; `seed` feeds the jitter.
    pub fn new(now: Now, seed: u64) -> Controller {
        Controller {
            config: None,
            config_status: ConfigStatus::default(),
            backends: Backends::default(),
            frontends: Frontends::new(),
            by_vip: BTreeMap::new(),
            programmer: Programmer::default(),
            stats: ProbeStats::default(),
            frozen: None,
            schedule: Schedule::default(),
            rng: fastrand::Rng::with_seed(seed),
            timers: BTreeSet::new(),
            removed: BTreeSet::new(),
            lb_available: true,
            flying: 0,
            orders: VecDeque::new(),
            events: VecDeque::new(),
            answers: BTreeMap::new(),
            tickets: 0,
            probes: 0,
            alive_since: now.mono,
        }
    }

    /// There is no `lb` in this process, and there will be none.
    pub fn without_lb(&mut self) {
        self.lb_available = false;
    }

    /// The next thing for the prober, in order.
    pub fn next_order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    /// The next thing to be told, in order.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next thing to ask of `lb`; [`Controller::lb_answer`] wants the answer before there is another.
    pub fn next_lb(&mut self, now: Now) -> Option<LbRequest> {
        if self.frozen.is_some() || !self.lb_available {
            return None;
        }
        let Controller { programmer, frontends, by_vip, backends, config, .. } = self;
        let config = config.as_ref()?;
        let intent = Intentions { frontends, by_vip, backends, config, now: now.mono };
        let request = programmer.next(now.mono, &intent);
        self.collect(now);
        request
    }

    /// What `lb` said to the last request.
    pub fn lb_answer(&mut self, now: Now, answer: LbAnswer) {
        let Controller { programmer, frontends, by_vip, backends, config, events, .. } = self;
        if let Some(config) = config.as_ref() {
            let intent = Intentions { frontends, by_vip, backends, config, now: now.mono };
            programmer.answer(now, &intent, answer, events);
        }
        self.collect(now);
    }

    /// What the programmer has finished.
    fn collect(&mut self, now: Now) {
        for (vip, address) in self.programmer.take_flushed() {
            let name = self.by_vip.get(&vip);
            if let Some(f) = name.and_then(|n| self.frontends.get_mut(n)) {
                f.flush_once.remove(&address);
            }
        }
        for (ticket, view) in self.programmer.take_finished() {
            self.finish(now, ticket, Finished::Sync(view));
        }
        self.forget_removed();
    }

    /// The next moment at which [`Controller::poll`] or [`Controller::next_lb`] has something to do.
    pub fn deadline(&mut self) -> Time {
        let mut at = self.schedule.next().unwrap_or(Time::MAX);
        if self.frozen.is_some() {
            at = Time::MAX;
        }
        if let Some((t, _)) = self.timers.first() {
            at = at.min(*t);
        }
        if self.config.is_some() && self.frozen.is_none() && self.lb_available {
            at = at.min(self.programmer.deadline());
        }
        if let Some(t) = self.stall_deadline() {
            at = at.min(t);
        }
        at
    }

    /// Does what is due by `now`.
    pub fn poll(&mut self, now: Now) {
        self.watch_prober(now);
        while let Some((t, name)) = self.timers.first().cloned() {
            if t > now.mono {
                break;
            }
            self.timers.pop_first();
            self.reweigh(now, &name, false);
        }
        if self.frozen.is_none() {
            while let Some((slot, due)) = self.schedule.pop(now.mono) {
                self.probe_due(now, slot, due);
            }
        }
        self.answers.retain(|_, (at, _)| now.mono.since(*at) < TICKET_LIFE);
    }

    /// Something the prober told.
    pub fn told(&mut self, now: Now, told: Told) {
        match told {
            Told::Beat { at, in_flight, waiting } => {
                self.stats.last_beat = Some(at);
                self.stats.in_flight = in_flight;
                self.stats.waiting = waiting;
            }
            Told::Report(report) => self.report(now, report),
        }
    }

    /// The prober is a new thread: whatever the old one had in hand is lost.
    pub fn prober_restarted(&mut self, now: Now) {
        self.stats.last_beat = None;
        self.alive_since = now.mono;
        let lost: Vec<Slot> =
            self.backends.iter().filter(|(_, b)| b.in_flight.is_some()).map(|(s, _)| s).collect();
        for slot in lost {
            if let Some(b) = self.backends.get_mut(slot) {
                b.in_flight = None;
                b.waiting.clear();
            }
            self.flying -= 1;
            self.probe_soon(now, slot);
        }
        self.configure_prober();
    }

    /// No probes, no changes of state, no calls to `lb`, until [`Controller::thaw`].
    pub fn freeze(&mut self, why: &str) {
        if self.frozen.is_none() {
            self.frozen = Some(why.to_owned());
            self.engine_event(LogLevel::Error, format!("frozen: {why}; lb stays as it is"));
        }
    }

    /// Goes on: all probed backends anew, spread over their fast interval, and a full sync.
    pub fn thaw(&mut self, now: Now) {
        let Some(why) = self.frozen.take() else { return };
        self.engine_event(LogLevel::Notice, format!("thawed, was frozen: {why}"));
        let probed: Vec<(Slot, Duration)> = self
            .backends
            .iter()
            .filter(|(_, b)| b.state().probed() && b.in_flight.is_none())
            .filter_map(|(s, b)| Some((s, b.config.healthcheck.as_ref()?.fast_interval)))
            .collect();
        for (slot, fast) in probed {
            let at = now.mono + fast.mul_f64(self.rng.f64());
            self.schedule.set(slot, at);
        }
        self.programmer.sync_all();
    }

    /// Why frozen, if so.
    pub fn frozen(&self) -> Option<&str> {
        self.frozen.as_deref()
    }

    /// The running configuration.
    pub fn config(&self) -> Option<&Arc<Config>> {
        self.config.as_ref()
    }

    /// A new ticket.
    pub fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// The answer behind a ticket is there.
    pub fn finish(&mut self, now: Now, ticket: Ticket, finished: Finished) {
        self.answers.insert(ticket, (now.mono, finished));
    }

    /// The answer behind a ticket, once.
    pub fn take(&mut self, ticket: Ticket) -> Option<Finished> {
        self.answers.remove(&ticket).map(|(_, f)| f)
    }

    pub(super) fn event(&mut self, event: Event) {
        self.events.push_back(event);
    }

    pub(super) fn engine_event(&mut self, level: LogLevel, text: String) {
        self.events.push_back(Event::Engine { text, level });
    }

    pub(super) fn order(&mut self, order: Order) {
        self.orders.push_back(order);
    }

    pub(super) fn configure_prober(&mut self) {
        if let Some(c) = &self.config {
            let order = Order::Configure {
                netns: c.healthchecker.netns.clone(),
                max_in_flight: c.healthchecker.max_in_flight,
            };
            self.order(order);
        }
    }

    /// A slot came up in the schedule.
    fn probe_due(&mut self, now: Now, slot: Slot, due: Time) {
        let Some(b) = self.backends.get_mut(slot) else { return };
        let Some(check) = b.config.healthcheck.clone() else { return };
        if !b.state().probed() || b.in_flight.is_some() {
            return;
        }
        if now.mono.since(due) > MAIN_STALL && !b.put_off {
            // All are overdue at once: without this they would start as one burst.
            b.put_off = true;
            self.stats.main_stalls += 1;
            let at = now.mono + check.fast_interval.mul_f64(self.rng.f64());
            self.schedule.set(slot, at);
            return;
        }
        self.start_probe(slot, &check, due);
    }

    fn start_probe(&mut self, slot: Slot, check: &Arc<Healthcheck>, due: Time) {
        // The slot is in the id, so that a result finds its backend without a search.
        self.probes += 1;
        let id = ProbeId((self.probes << 32) | u64::from(slot));
        let Some(b) = self.backends.get_mut(slot) else { return };
        b.put_off = false;
        b.in_flight = Some(Flight { id, due });
        self.flying += 1;
        let job = Job { id, address: b.config.address, check: check.clone(), due };
        self.stats.probes += 1;
        self.order(Order::Probe(job));
    }

    /// Probes now, or as soon as the probe under way is done, if the backend is one that is probed.
    pub(super) fn probe_soon(&mut self, now: Now, slot: Slot) {
        let Some(b) = self.backends.get(slot) else { return };
        if b.is_static() {
            self.settle_static(now, slot);
        } else if b.state().probed() && b.in_flight.is_none() {
            self.schedule.set(slot, now.mono);
        }
    }

    /// An operator's probe: even of a backend that is not probed otherwise; its result then changes nothing.
    pub(super) fn probe_for(&mut self, now: Now, slot: Slot, ticket: Ticket) {
        let Some(b) = self.backends.get_mut(slot) else { return };
        b.waiting.push(ticket);
        if b.in_flight.is_none()
            && let Some(check) = b.config.healthcheck.clone()
        {
            self.schedule.clear(slot);
            self.start_probe(slot, &check, now.mono);
        }
    }

    /// Probing stops; a result that is on its way will not count.
    pub(super) fn stop_probing(&mut self, slot: Slot) {
        self.schedule.clear(slot);
        let Some(b) = self.backends.get_mut(slot) else { return };
        b.waiting.clear();
        if let Some(flight) = b.in_flight.take() {
            self.flying -= 1;
            self.order(Order::Cancel(flight.id));
        }
    }

    fn report(&mut self, now: Now, report: Report) {
        let slot = (report.id.0 & u64::from(u32::MAX)) as Slot;
        let Some(b) = self.backends.get_mut(slot) else { return };
        let Some(flight) = b.in_flight.take_if(|f| f.id == report.id) else { return };
        self.flying -= 1;
        let waiting = std::mem::take(&mut b.waiting);
        let Outcome { code, detail } = report.outcome;
        let latency = report.finished.since(report.started);
        let late = report.started.since(flight.due);
        self.stats.latest = self.stats.latest.max(late);
        self.stats.late += u64::from(late > LATE);
        for ticket in waiting {
            let view = self.probe_view(slot, code, &detail, latency);
            self.finish(now, ticket, Finished::Probe(view));
        }
        if self.frozen.is_some() {
            return;
        }
        *self.stats.results.entry(code).or_default() += 1;
        let Some(b) = self.backends.get_mut(slot) else { return };
        b.last = Some(Last { code, detail: detail.clone(), latency, at_ms: now.wall_ms });
        let event = match code.verdict() {
            Verdict::Pass => {
                b.tally.passes += 1;
                Some(health::Event::Pass)
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
                let _ = self.transition(now, slot, event, code.as_str(), detail);
            }
            None => self.fault(now, slot, detail),
        }
        self.reschedule(now, slot, report.started);
    }

    /// After a probe that started at `started`: from start to start.
    fn reschedule(&mut self, now: Now, slot: Slot, started: Time) {
        let Some(b) = self.backends.get(slot) else { return };
        let Some(check) = b.config.healthcheck.clone() else { return };
        if !b.state().probed() || b.in_flight.is_some() {
            return;
        }
        let at = started + jittered(b.health.interval(&check), check.jitter_percent, &mut self.rng);
        self.schedule.set(slot, at.max(now.mono));
    }

    fn fault(&mut self, now: Now, slot: Slot, detail: std::borrow::Cow<'static, str>) {
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

    fn probe_view(&self, slot: Slot, code: Code, detail: &str, latency: Duration) -> ProbeView {
        ProbeView {
            backend: self.backends.get(slot).map(|b| b.config.name.to_string()).unwrap_or_default(),
            code: code.as_str().to_owned(),
            detail: detail.to_owned(),
            latency_us: u64::try_from(latency.as_micros()).unwrap_or(u64::MAX),
            verdict: match code.verdict() {
                Verdict::Pass => "pass",
                Verdict::Fail => "fail",
                Verdict::OurFault => "none",
            }
            .to_owned(),
        }
    }

    /// Lets an event act on a backend, and all that follows from it: history, log, frontends, schedule.
    ///
    /// # Errors
    /// As [`health::Health::transition`].
    pub(super) fn transition(
        &mut self,
        now: Now,
        slot: Slot,
        event: health::Event,
        code: &'static str,
        detail: std::borrow::Cow<'static, str>,
    ) -> Result<Change, health::Refusal> {
        let Some(b) = self.backends.get_mut(slot) else { return Ok(Change::None) };
        let change = b.health.transition(event)?;
        let Change::To { from, to } = change else { return Ok(change) };
        self.record(now, slot, Some(from), to, code, detail);
        if !to.probed() {
            self.stop_probing(slot);
        } else if !from.probed() {
            self.probe_soon(now, slot);
        }
        let frontends = self.backends.get(slot).map(|b| b.frontends.clone()).unwrap_or_default();
        for f in frontends {
            self.reweigh(now, &f, false);
        }
        Ok(change)
    }

    /// A transition into the history and the log.
    pub(super) fn record(
        &mut self,
        now: Now,
        slot: Slot,
        from: Option<State>,
        to: State,
        code: &'static str,
        detail: std::borrow::Cow<'static, str>,
    ) {
        let Some(b) = self.backends.get_mut(slot) else { return };
        b.history.push(Transition { from, to, at_ms: now.wall_ms, code, detail: detail.clone() });
        let backend = b.config.name.clone();
        self.event(Event::Backend { backend, from, to, code, detail });
    }

    /// A backend without healthcheck passes a synthetic probe at once.
    pub(super) fn settle_static(&mut self, now: Now, slot: Slot) {
        if self.backends.get(slot).is_some_and(|b| b.is_static() && b.state() == State::Unknown) {
            let _ = self.transition(now, slot, health::Event::Pass, "static", "".into());
        }
    }

    /// Applies the rule to a frontend; where anything came out different, or `anyway`, `lb` is looked at.
    pub(super) fn reweigh(&mut self, now: Now, name: &Name, anyway: bool) {
        let Some(f) = self.frontends.get_mut(name) else { return };
        let (shares, state) = f.weigh(&self.backends);
        let (was, was_active) = (f.state, f.active.clone());
        let active = f.pool_name(shares.active);
        let mut changed = shares != f.shares;
        if !f.open && f.may_open(&self.backends, now.mono) {
            f.open = true;
            changed = true;
        }
        if !f.newcomers.is_empty() && !f.holds(&self.backends, now.mono) {
            f.newcomers.clear();
            changed = true;
        }
        f.shares = shares;
        f.state = state;
        f.active = active.clone();
        let address = f.config.vip.address;
        if was != state {
            self.event(Event::Frontend {
                frontend: name.clone(),
                from: was,
                to: state,
                pool: active.clone(),
            });
        }
        if was_active != active {
            self.event(Event::Failover { frontend: name.clone(), from: was_active, to: active });
        }
        if changed || anyway {
            self.programmer.urge(address);
        }
    }

    /// Removed backends are forgotten when no server of them is left in `lb`.
    fn forget_removed(&mut self) {
        let Controller { removed, backends, programmer, .. } = self;
        removed.retain(|slot| {
            let stays = backends.get(*slot).is_some_and(|b| programmer.has_server(b.config.address));
            if !stays {
                backends.forget(*slot);
            }
            stays
        });
    }

    fn stall_deadline(&mut self) -> Option<Time> {
        if self.frozen.is_some() {
            return None;
        }
        let oldest = self.schedule.next();
        let beat = self.stats.last_beat.unwrap_or(self.alive_since).max(self.alive_since);
        let limit = beat + PROBER_STALL;
        if self.flying > 0 { Some(limit) } else { oldest.map(|t| t.max(limit)) }
    }

    /// Freezes when the prober has stopped beating though it should probe, thaws when it beats again.
    fn watch_prober(&mut self, now: Now) {
        const STALLED: &str = "the prober has stalled";
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

    /// Limits of a backend's counter.
    pub(super) fn limits(b: &crate::config::Backend) -> Limits {
        Limits::of(b.healthcheck.as_deref())
    }
}

/// `interval`, `percent` to both sides, uniform.
pub(super) fn jittered(interval: Duration, percent: f64, rng: &mut fastrand::Rng) -> Duration {
    let spread = (percent / 100.0).clamp(0.0, 0.5);
    interval.mul_f64(1.0 + spread * (2.0 * rng.f64() - 1.0))
}
