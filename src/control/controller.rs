//! The controller: one value that owns all state, a function of (event, now) to orders and the next deadline. It
//! reads no clock, does no I/O, has no thread; tests drive it in virtual time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::agents::Restless;
use super::backends::Backends;
use super::event::{Event, LogLevel};
use super::frontends::Frontends;
use super::hands::Why;
use super::intent::Intentions;
use super::operator::{Finished, Ticket};
use super::probing::STALLED;
use super::problems::Problems;
use super::programmer::{LbAnswer, LbRequest, Programmer};
use super::schedule::{Schedule, Slot};
use super::state::{Gathering, Keeper, Snapshot};
use super::view::AgentCountsView;
use crate::Name;
use crate::balance::{Alarm, Shares, panic};
use crate::config::Config;
use crate::health::Limits;
use crate::lb::VipKey;
use crate::probe::{Order, Results, Told};
use crate::time::{Now, Time};

/// Why a frontend is weighed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Because {
    /// Something changed that the rule goes by.
    Rule,
    /// The same, and `lb` is to be looked at whatever comes of it.
    Anyway,
    /// An agent's word on weight.
    Agent,
}

/// An answer that nobody takes is dropped after so long.
/// Bytes of answers that nobody has taken: the oldest are dropped beyond.
const ANSWERS_MAX: usize = 16 << 20;
const TICKET_LIFE: Duration = Duration::from_secs(60);

/// What the probes have done so far.
#[derive(Clone, Debug, Default)]
pub struct ProbeStats {
    /// Ordered, or begun by the prober itself.
    pub probes: u64,
    /// Started more than 100 ms after they were due.
    pub late: u64,
    /// The latest start of all.
    pub latest: Duration,
    /// Put off after a stall.
    pub main_stalls: u64,
    /// By code.
    pub results: Results,
    /// Of all agents.
    pub agents: AgentCountsView,
    /// Of the last beat.
    pub in_flight: usize,
    /// Queries of agents under way.
    pub agents_in_flight: usize,
    /// Queries that wait for room.
    pub agents_waiting: usize,
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
    pub(super) problems: Problems,
    pub(super) schedule: Schedule,
    /// When each agent is asked next.
    pub(super) agents: Schedule,
    /// When those of which an agent alone decides are taken for up, if it says nothing.
    pub(super) silences: Schedule,
    /// Agents that flap.
    pub(super) restless: Restless,
    pub(super) rng: fastrand::Rng,
    /// Frontends to be looked at again at a time: start-up delays, holds.
    pub(super) timers: BTreeSet<(Time, Name)>,
    /// Removed backends that `lb` may still have servers of, by address.
    pub(super) removed: BTreeSet<(IpAddr, Slot)>,
    /// When the state file is written.
    pub(super) keeper: Keeper,
    /// What is to be written, while it is gathered.
    pub(super) gathering: Option<Gathering>,
    /// What it said at the start, until the first configuration.
    pub(super) remembered: Option<Snapshot>,
    /// False: `lb` is missing, and nothing is ever asked of it.
    lb_available: bool,
    /// Backends with a probe under way.
    pub(super) flying: usize,
    orders: VecDeque<Order>,
    events: VecDeque<Event>,
    answers: BTreeMap<Ticket, (Time, Finished)>,
    /// Bytes of them.
    answers_bytes: usize,
    tickets: u64,
    pub(super) probes: u64,
    pub(super) alive_since: Time,
    /// When the first configuration was applied: the start-up delays run from then.
    pub(super) first_load: Option<Time>,
    /// Configurations applied so far.
    pub(super) generation: u64,
    /// How many backends use each healthcheck of the running configuration.
    pub(super) check_users: BTreeMap<Name, u32>,
    /// While a configuration is applied: whose words have changed, and why. Nobody is judged before all have theirs.
    pub(super) deferred: Option<BTreeMap<Slot, Why>>,
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
            problems: Problems::default(),
            schedule: Schedule::default(),
            agents: Schedule::default(),
            restless: Restless::default(),
            silences: Schedule::default(),
            rng: fastrand::Rng::with_seed(seed),
            timers: BTreeSet::new(),
            removed: BTreeSet::new(),
            keeper: Keeper::default(),
            gathering: None,
            remembered: None,
            lb_available: true,
            flying: 0,
            orders: VecDeque::new(),
            events: VecDeque::new(),
            answers: BTreeMap::new(),
            answers_bytes: 0,
            tickets: 0,
            probes: 0,
            alive_since: now.mono,
            first_load: None,
            generation: 0,
            check_users: BTreeMap::new(),
            deferred: None,
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
        for vip in self.programmer.take_made() {
            // What was asked to be flushed went with the VIP that was there before, if there was one.
            if let Some(f) = self.by_vip.get(&vip).and_then(|n| self.frontends.get_mut(n)) {
                f.flush_once.clear();
            }
        }
        for (ticket, view) in self.programmer.take_finished() {
            self.finish(now, ticket, Finished::Sync(view));
        }
        self.reached(now);
        self.look_again();
        self.forget_removed();
        let late = self.programmer.adjust_problem(now.mono);
        self.problem(now, "agent-weights", late);
        let problem = self.programmer.memory_problem();
        self.problem(now, "lb-memory", problem);
    }

    /// The next moment at which [`Controller::poll`] or [`Controller::next_lb`] has something to do.
    pub fn deadline(&mut self) -> Time {
        let due = [self.schedule.earliest(), self.agents.earliest(), self.silences.earliest()];
        let mut at = due.into_iter().flatten().min().unwrap_or(Time::MAX);
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
        at.min(self.save_deadline())
    }

    /// Does what is due by `now`.
    pub fn poll(&mut self, now: Now) {
        self.watch_prober(now);
        self.ripen(now);
        if self.frozen.is_none() {
            while let Some((slot, due)) = self.schedule.pop(now.mono) {
                self.probe_due(now, slot, due);
            }
            while let Some((slot, due)) = self.agents.pop(now.mono) {
                self.agent_due(now, slot, due);
            }
            while let Some((slot, _)) = self.silences.pop(now.mono) {
                self.silent(now, slot);
            }
        }
        self.tell_restless(now);
        self.keeper.poll(now.mono);
        // Tickets are as old as their numbers are low, or nearly so.
        while self.answers.first_key_value().is_some_and(|(_, (at, _))| now.mono.since(*at) >= TICKET_LIFE) {
            self.drop_answer();
        }
    }

    /// Something the prober told.
    pub fn told(&mut self, now: Now, told: Told) {
        match told {
            Told::Beat { at, checks, agents } => {
                self.stats.last_beat = Some(at);
                self.stats.in_flight = checks.in_flight;
                self.stats.waiting = checks.waiting;
                self.stats.agents_in_flight = agents.in_flight;
                self.stats.agents_waiting = agents.waiting;
            }
            Told::Report(report) => {
                // After a stall of the main thread both are overdue: a panic must not freeze a weight that had climbed.
                self.ripen(now);
                self.report(now, report);
            }
        }
    }

    /// What time alone brings about: weights that climb, frontends that have waited for long enough.
    fn ripen(&mut self, now: Now) {
        while let Some((t, name)) = self.timers.first().cloned() {
            if t > now.mono {
                break;
            }
            self.timers.pop_first();
            self.reweigh(now, &name, Because::Rule);
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
            }
            self.give_up(now, slot, "the prober was started anew");
            self.flying -= 1;
            self.probe_soon(now, slot);
        }
        self.ask_anew(now);
        self.configure_prober();
        if self.prober_stalled() {
            self.thaw(now);
        }
    }

    /// No probes, no changes of state, no calls to `lb`, until [`Controller::thaw`].
    pub fn freeze(&mut self, why: &str) {
        // A stall ends by itself; whatever else freezes must outlast it.
        if self.frozen.is_none() || self.prober_stalled() && why != STALLED {
            self.frozen = Some(why.to_owned());
            let all: Vec<Slot> = self.backends.iter().map(|(slot, _)| slot).collect();
            for slot in all {
                self.recall(slot);
            }
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
            .filter(|(_, b)| b.health.checked() && b.in_flight.is_none())
            .filter_map(|(s, b)| Some((s, b.config.healthcheck.as_ref()?.fast_interval)))
            .collect();
        for (slot, fast) in probed {
            let at = now.mono + fast.mul_f64(self.rng.f64());
            self.schedule.set(slot, at);
        }
        self.thaw_agents(now);
        self.programmer.begin_anew();
    }

    /// Whether nothing is under way in `lb` that a change has set off.
    pub fn settled(&self) -> bool {
        self.config.is_none() || self.frozen.is_some() || !self.lb_available || self.programmer.settled()
    }

    /// What was set off and is not in `lb` yet, since when and why: the first three, and whether there is more.
    pub fn lacking(&self, now: Time) -> Vec<String> {
        self.intent(now).map_or_else(Vec::new, |intent| self.programmer.lacking(now, &intent, 3))
    }

    /// What `lb` should hold; none: nothing is configured.
    pub(super) fn intent(&self, now: Time) -> Option<Intentions<'_>> {
        let Controller { frontends, by_vip, backends, config, .. } = self;
        Some(Intentions { frontends, by_vip, backends, config: config.as_ref()?, now })
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
        self.answers_bytes = self.answers_bytes.saturating_add(finished.bytes());
        self.answers.insert(ticket, (now.mono, finished));
        while self.answers_bytes > ANSWERS_MAX && self.answers.len() > 1 {
            self.drop_answer();
        }
    }

    /// The answer behind a ticket, once.
    pub fn take(&mut self, ticket: Ticket) -> Option<Finished> {
        let (_, finished) = self.answers.remove(&ticket)?;
        self.answers_bytes = self.answers_bytes.saturating_sub(finished.bytes());
        Some(finished)
    }

    /// The oldest that nobody has taken.
    fn drop_answer(&mut self) {
        if let Some((_, (_, finished))) = self.answers.pop_first() {
            self.answers_bytes = self.answers_bytes.saturating_sub(finished.bytes());
        }
    }

    /// Orders and events that nobody has taken.
    pub(super) fn untaken(&self) -> usize {
        self.orders.len() + self.events.len()
    }

    /// Answers that nobody has taken.
    pub(super) fn answers(&self) -> usize {
        self.answers.len()
    }

    pub(super) fn event(&mut self, event: Event) {
        match &event {
            // All that the state file keeps is told when it changes; an operator's word is saved at once.
            Event::Operator { .. } => self.keeper.urge(),
            Event::Backend { .. } | Event::ConfigReload { ok: true, .. } => self.keeper.touch(),
            Event::Agent { .. } => self.keeper.touch(),
            Event::ConfigReload { ok: false, .. }
            | Event::Frontend { .. }
            | Event::Failover { .. }
            | Event::Panic { .. }
            | Event::Problem { .. }
            | Event::LbSync { .. }
            | Event::ProbeFault { .. }
            | Event::Engine { .. } => {}
        }
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
            let order = Order::Configure(c.healthchecker.clone());
            self.order(order);
        }
    }

    /// Applies the rule to a frontend; where anything came out different, `lb` is looked at.
    pub(super) fn reweigh(&mut self, now: Now, name: &Name, because: Because) {
        let Some(f) = self.frontends.get_mut(name) else { return };
        let (shares, state) = f.weigh(&self.backends, now.mono);
        let (was, was_active) = (f.state, f.active.clone());
        let active = f.pool_name(shares.active);
        let (mut changed, mut opened) = (shares != f.shares, false);
        if !f.open && f.may_open(&self.backends, now.mono) {
            f.open = true;
            (changed, opened) = (true, true);
        }
        // The VIP that it had before may go now, and goes after it.
        let replaced = f.replaces.take_if(|_| f.open);
        if !f.newcomers.is_empty() && !f.holds(&self.backends, now.mono) {
            f.newcomers.clear();
            changed = true;
        }
        let alarm = (f.shares.alarm, shares.alarm);
        let count = |a: Alarm| panic::count(&f.members(&self.backends, now.mono), a.mode);
        let over = alarm.0.filter(|_| alarm.1.is_none()).map(count);
        let weights = |s: &Shares| s.members.iter().map(|m| u32::from(m.weight)).sum::<u32>();
        let serves = changed && weights(&shares) > 0 && (opened || weights(&f.shares) == 0);
        let more = opened || !changed || shares.active != f.shares.active || state != f.state;
        let (mut adjusted, mut out) = (Vec::new(), Vec::new());
        let mut by_agent = because == Because::Agent && !more;
        for ((seat, before), after) in f.seats.iter().zip(&f.shares.members).zip(&shares.members) {
            if before != after
                && let Some(b) = self.backends.get(seat.slot)
            {
                let (had, has) = (before.weight > 0, after.weight > 0);
                by_agent &= had && has;
                adjusted.push(b.config.address);
                out.extend((had && !has).then_some(b.config.address));
            }
        }
        if because == Because::Anyway || serves {
            // After a reload, and while it had nobody to serve, `lb` may have what it does not want.
            let vip = f.config.vip;
            let weighs = |address: &IpAddr| self.programmer.weighs(&vip, *address);
            let seats = f.seats.iter().zip(&shares.members).filter(|(_, share)| share.weight == 0);
            let addresses = seats.filter_map(|(seat, _)| Some(self.backends.get(seat.slot)?.config.address));
            out.extend(addresses.filter(weighs));
        }
        f.last = panic::remember(&f.last, &shares);
        f.shares = shares;
        f.state = state;
        f.active = active.clone();
        let vip = f.config.vip;
        match (alarm, over) {
            ((None, Some(a)), _) => self.alarmed(name, a, true),
            (_, Some(a)) => self.alarmed(name, a, false),
            ((None | Some(_), None) | (Some(_), Some(_)), None) => {}
        }
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
        if let Some(old) = replaced {
            self.programmer.urge(old.address);
        }
        if by_agent {
            self.programmer.adjust(now.mono, vip, adjusted);
            return;
        }
        for server in adjusted {
            self.programmer.adjust_at_once(&vip, server);
        }
        if serves {
            self.programmer.serve(vip.address);
        } else if changed || because == Because::Anyway {
            self.programmer.urge(vip.address);
        }
        for server in out {
            self.programmer.out(server);
        }
    }

    fn alarmed(&mut self, frontend: &Name, alarm: Alarm, on: bool) {
        let Alarm { up, of, mode } = alarm;
        self.event(Event::Panic { frontend: frontend.clone(), mode: mode.as_str(), on, up, of });
    }

    /// Removed backends are forgotten when no server of theirs is left in `lb`: looked at are those of whom one has just left,
    /// since there may be thousands.
    fn forget_removed(&mut self) {
        for address in self.programmer.take_left() {
            // A VIP of this address may have waited for that.
            let first = VipKey { address, service: None };
            if self.by_vip.range(first..).next().is_some_and(|(vip, _)| vip.address == address) {
                self.programmer.urge(address);
            }
            let here = self.removed.range((address, 0)..).take_while(|(a, _)| *a == address);
            let here: Vec<Slot> = here.map(|(_, slot)| *slot).collect();
            for slot in here {
                self.forget_if_gone(address, slot);
            }
        }
    }

    /// Forgets a removed backend, unless a server of it is left in `lb`. Where another backend of that address has taken the
    /// seat, the server is that one's.
    pub(super) fn forget_if_gone(&mut self, address: IpAddr, slot: Slot) {
        let sits = |f: &super::frontends::Entry| {
            let seat = |s: Slot| self.backends.get(s).is_some_and(|b| b.config.address == address);
            f.seats.iter().any(|s| seat(s.slot))
        };
        let heir = |vip| self.by_vip.get(vip).and_then(|name| self.frontends.get(name)).is_some_and(sits);
        if !self.programmer.vips_with(address).any(|vip| !heir(vip)) {
            self.removed.remove(&(address, slot));
            self.backends.forget(slot);
        }
    }

    /// Limits of a backend's counter.
    pub(super) fn limits(b: &crate::config::Backend) -> Limits {
        Limits::of(b.healthcheck.as_deref())
    }
}
