//! Drives the controller: clocks, threads and `lb` in, orders and calls out. One turn never blocks, and asks `lb`
//! for one thing at most, so that VPP's workers run between two.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::clients::Clients;
use super::controller::Controller;
use super::event::{Event, LogLevel};
use super::journal::Journal;
use super::latency::Histogram;
use super::loader::{Hook, Loader, Purpose, Reply};
use super::loading::Underway;
use super::operator::{BackendVerb, Done, Finished, NameKind, Operator, Ticket, VerbError};
use super::revive::Replacement;
use super::show::millis;
use super::state::{Found, Saving, Store};
use super::stats::{LbCalls, Picture};
use super::view::{
    BackendView, CountersView, EventsView, FlowView, FrontendView, HealthcheckView, HeapView, LbCallsView,
    LbView, MemoryView, StatusView, VersionView,
};
use super::watch::Watched;
use crate::budget::Budgets;
use crate::clock;
use crate::lb::traffic::{ServerTraffic, VipTraffic};
use crate::lb::{LbError, LoadBalancer};
use crate::probe::{Prober, ProberOptions, TOLD_TOGETHER};
use crate::time::{Now, Time};

/// Both threads are joined within this at the end, together.
const STOP: Duration = Duration::from_millis(450);

/// Results of probes are taken up to so many in one turn: after a stall of VPP's main thread they may be very many.
const RESULTS: usize = TOLD_TOGETHER;

/// So many are taken before an operator's command is carried out; where there are more, main has just stood still.
const HEARD_FIRST: usize = 4 * TOLD_TOGETHER;

/// Where lines for the log go.
pub type Log = Box<dyn FnMut(LogLevel, &str)>;

/// How to start.
pub struct EngineOptions {
    /// The YAML file.
    pub config_path: PathBuf,
    /// Where the operator's words and the backends' states survive a restart; none: nowhere.
    pub state_path: Option<PathBuf>,
    /// CPUs for our threads; none: those the process may use.
    pub probe_cpus: Option<Vec<usize>>,
    /// Run first in each of our threads.
    pub thread_init: Option<Hook>,
    /// Called by our threads when the engine should take a turn.
    pub wake: Hook,
    /// Takes the log.
    pub log: Log,
    /// For `show version`.
    pub version: VersionView,
    /// How much memory the heap has that is ours alone; none: there is none, or it tells nothing.
    pub heap: fn() -> Option<HeapView>,
}

/// What a turn left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Until the next deadline; none: until woken.
    pub next: Option<Duration>,
    /// There is more to do: take another turn at once, after letting workers run.
    pub busy: bool,
}

/// The control plane, running.
pub struct Engine {
    pub(super) controller: Controller,
    pub(super) lb: Box<dyn LoadBalancer>,
    pub(super) prober: Option<Prober>,
    pub(super) replacement: Replacement,
    pub(super) loader: Loader,
    /// A check or reload is under way.
    pub(super) loading: bool,
    /// A configuration is being applied: until that is done nothing else may be done with the controller.
    pub(super) applying: Option<Underway>,
    pub(super) options: EngineOptions,
    /// What was wrong with the state file at the start.
    state_problem: Option<String>,
    started: Time,
    /// Calls to `lb` so far.
    calls: Histogram,
    journal: Journal,
    watched: Watched,
    pub(super) budgets: Budgets,
    pub(super) clients: Clients,
}

impl Engine {
    /// Starts the threads and asks for the configuration.
    ///
    /// # Errors
    /// The system has no thread or descriptor to give.
    pub fn start(options: EngineOptions, lb: Box<dyn LoadBalancer>) -> io::Result<Engine> {
        let now = clock::now();
        let budgets = Budgets::default();
        let loader = Loader::spawn(options.thread_init.clone(), options.wake.clone(), budgets.clone())?;
        let prober = Some(spawn_prober(&options, &budgets)?);
        let mut controller = Controller::new(now, now.wall_ms ^ now.mono.0);
        // The loader answers in this order: the first configuration finds what is remembered.
        if let Some(path) = &options.state_path {
            loader.restore(Store::beside_config(path.clone(), options.config_path.clone()));
            controller.keep_state();
        }
        loader.request(options.config_path.clone(), Purpose::Start, None);
        controller.programmer.set_threads(lb.threads());
        let mut engine = Engine {
            controller,
            lb,
            prober,
            replacement: Replacement::default(),
            loader,
            loading: true,
            applying: None,
            options,
            state_problem: None,
            started: now.mono,
            calls: Histogram::default(),
            journal: Journal::within(budgets.events.clone()),
            watched: Watched::within(budgets.queue.clone()),
            budgets,
            clients: Clients::default(),
        };
        if let Some(why) = engine.lb.unavailable() {
            engine.controller.without_lb();
            engine.log(Event::Engine { text: format!("programs nothing: {why}"), level: LogLevel::Error });
        }
        Ok(engine)
    }

    /// One turn: takes results, runs the controller, asks `lb` for one thing at most.
    pub fn turn(&mut self) -> Turn {
        const MORE: Turn = Turn { next: Some(Duration::ZERO), busy: true };
        if !self.apply_on() {
            return MORE;
        }
        let now = clock::now();
        let told = self.hear(now, RESULTS);
        while let Some(reply) = self.loader.try_recv() {
            match reply {
                Reply::Loaded(loaded) => self.loaded(now, *loaded),
                Reply::Restored(found) => self.restored(now, found),
                Reply::Saved(generation, result) => self.controller.state_written(now, generation, result),
            }
            if self.applying.is_some() {
                return MORE;
            }
        }
        self.controller.poll(now);
        self.watch_api_clients(now);
        self.revive(now);
        self.save();
        self.journal.poll(now.mono, &mut self.options.log);
        self.flush_out();
        let asked = self.ask_lb(now);
        self.flush_out();
        if asked || told == RESULTS {
            return MORE;
        }
        let revival = self.replacement.due(self.prober_trouble().is_some());
        let summary = self.journal.deadline().unwrap_or(Time::MAX);
        let next = match self.controller.deadline().min(revival).min(summary) {
            Time::MAX => None,
            at => Some(at.since(clock::mono())),
        };
        Turn { next, busy: false }
    }

    /// Takes what the prober has told, so much at most. Answers how much there was.
    fn hear(&mut self, now: Now, most: usize) -> usize {
        let mut told = 0;
        while let Some(one) = self.prober.as_ref().filter(|_| told < most).and_then(Prober::try_recv) {
            self.controller.told(now, one);
            told += 1;
        }
        told
    }

    /// No probes, no changes, no calls to `lb` from now on.
    pub fn freeze(&mut self, why: &str) {
        // Half applied it stays: whatever went wrong may go wrong again.
        self.applying = None;
        self.controller.freeze(why);
        self.flush_out();
    }

    /// Ends the threads, within a second; `lb` stays as it is. False when one did not end in time.
    pub fn stop(mut self) -> bool {
        self.finish_apply();
        if let Some((generation, snapshot)) = self.controller.save_last() {
            self.loader.save(generation, snapshot);
        }
        let prober = self.prober.take().is_none_or(|p| p.stop(STOP));
        self.loader.stop(STOP) && prober
    }

    /// Events for whoever is to be told of them.
    pub fn watched(&mut self) -> &mut Watched {
        &mut self.watched
    }

    /// All numbers, for the stats segment. False: not yet, since a configuration is being applied, or new names are made.
    pub fn repaint(&self, picture: &mut Picture) -> bool {
        if self.applying.is_some() {
            return false;
        }
        let calls = LbCalls { took: self.calls.summary(), longest_us: self.calls.longest_us() };
        self.controller.repaint(picture, calls)
    }

    /// Opens, updates or ends the problem `stats-segment`.
    pub fn stats_problem(&mut self, text: Option<String>) {
        self.controller.problem(clock::now(), "stats-segment", text);
        self.flush_out();
    }

    /// What memory may be taken for what, and is.
    pub fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    /// The controller, to look at.
    pub fn controller(&self) -> &Controller {
        &self.controller
    }

    fn ask_lb(&mut self, now: Now) -> bool {
        let Some(request) = self.controller.next_lb(now) else { return false };
        let answer = self.timed(|lb| request.ask(lb));
        self.controller.lb_answer(clock::now(), answer);
        true
    }

    fn timed<T>(&mut self, call: impl FnOnce(&mut dyn LoadBalancer) -> T) -> T {
        let before = clock::mono();
        let answer = call(self.lb.as_mut());
        self.calls.record(clock::mono().since(before));
        answer
    }

    /// Has the state file written, if that is due.
    fn save(&mut self) {
        if let Some((generation, snapshot)) = self.controller.save_due(clock::now()) {
            self.loader.save(generation, snapshot);
        }
    }

    fn restored(&mut self, now: Now, found: Found) {
        if let Some(snapshot) = found.snapshot {
            self.controller.remember(snapshot);
        }
        if let Some(problem) = &found.problem {
            let text = format!("state-file not read, start goes on without it: {problem}");
            self.controller.engine_event(LogLevel::Error, text);
            if found.blocked {
                self.controller.state_blocked(now, problem);
            }
        }
        self.state_problem = found.problem;
    }

    pub(super) fn flush_out(&mut self) {
        let orders = std::iter::from_fn(|| self.controller.next_order());
        match &self.prober {
            Some(p) => p.send_all(orders),
            // Nobody is there to hear them.
            None => orders.for_each(drop),
        }
        while let Some(event) = self.controller.next_event() {
            self.log(event);
        }
    }

    pub(super) fn log(&mut self, event: Event) {
        let now = clock::now();
        self.watched.push(self.journal.newest() + 1, now.wall_ms, &event);
        self.journal.tell(now, event, &mut self.options.log);
    }
}

pub(super) fn spawn_prober(options: &EngineOptions, budgets: &Budgets) -> io::Result<Prober> {
    let init = options.thread_init.clone();
    Prober::spawn(ProberOptions {
        cpus: options.probe_cpus.clone(),
        thread_init: init.map(|init| Box::new(move || init()) as Box<dyn FnOnce() + Send>),
        wake: Some(options.wake.clone()),
        bodies: Some(budgets.bodies.clone()),
        ..ProberOptions::default()
    })
}

impl Operator for Engine {
    fn applying(&self) -> bool {
        self.applying.is_some()
    }

    fn finish_reload(&mut self) {
        self.finish_apply();
        self.catch_up();
    }

    fn catch_up(&mut self) {
        if self.controller.frozen().is_none() {
            self.hear(clock::now(), HEARD_FIRST);
            self.flush_out();
        }
    }

    fn status(&self) -> StatusView {
        let now = clock::now();
        let mut s = self.controller.status(now);
        s.uptime_ms = millis(now.mono.since(self.started));
        s.config_path = self.options.config_path.display().to_string();
        s.state_file.path = self.options.state_path.as_ref().map(|p| p.display().to_string());
        s.state_file.problem.clone_from(&self.state_problem);
        s.lb.kind = self.lb.kind().to_owned();
        s.lb.unavailable = self.lb.unavailable();
        s.lb.threads = self.lb.threads();
        s.lb.calls = self.calls.summary().samples;
        s.lb.call_max_us = self.calls.longest_us();
        s.lb.call_mean_us = self.calls.mean_us();
        s.lb.call_total_us = self.calls.total_us();
        s.memory = MemoryView { heap: (self.options.heap)(), budgets: self.budgets.views() };
        s.api = self.clients.view;
        s.prober.running = self.prober.as_ref().is_some_and(Prober::alive);
        s
    }

    fn version(&self) -> VersionView {
        self.options.version.clone()
    }

    fn config_yaml(&self) -> Result<String, VerbError> {
        match self.controller.config() {
            Some(c) => Ok(crate::config::to_yaml(c)),
            None => Err(VerbError::Refused("no configuration is loaded".into())),
        }
    }

    fn frontends(&self) -> Vec<FrontendView> {
        self.controller.frontend_views()
    }

    fn frontend(&mut self, name: &str) -> Result<FrontendView, VerbError> {
        let mut view = self.controller.frontend(name)?;
        if view.programmed && self.lb.unavailable().is_none() {
            let vip = self.controller.vip_of(name)?;
            let servers = self.timed(|lb| lb.servers(&vip)).unwrap_or_default();
            let buckets: BTreeMap<String, u32> =
                servers.iter().map(|s| (s.address.to_string(), s.buckets)).collect();
            for b in view.pools.iter_mut().flat_map(|p| &mut p.backends) {
                b.buckets = buckets.get(&b.address).copied();
            }
        }
        Ok(view)
    }

    fn backends(&self) -> Vec<BackendView> {
        self.controller.backend_views()
    }

    fn backend(&self, name: &str) -> Result<BackendView, VerbError> {
        self.controller.backend(name)
    }

    fn healthchecks(&self) -> Vec<HealthcheckView> {
        self.controller.healthcheck_views()
    }

    fn healthcheck(&self, name: &str) -> Result<HealthcheckView, VerbError> {
        self.controller.healthcheck(name)
    }

    fn lb(&mut self, frontend: Option<&str>) -> Result<LbView, VerbError> {
        let only = match frontend {
            Some(name) => Some(self.controller.vip_of(name)?),
            None => None,
        };
        if let Some(why) = self.lb.unavailable() {
            return Err(LbError::Unavailable(why).into());
        }
        let kind = self.lb.kind().to_owned();
        let settings = self.timed(|lb| lb.settings())?;
        let records = self.timed(|lb| lb.vips())?;
        let mut vips = Vec::new();
        for r in records {
            let key = r.key();
            if only.is_some() && key != only {
                continue;
            }
            let servers = match &key {
                Some(k) => self.timed(|lb| lb.servers(k))?,
                None => Vec::new(),
            };
            vips.push(self.controller.lb_vip_view(&r, &servers));
        }
        Ok(LbView {
            kind,
            ip4_src: settings.ip4_src.to_string(),
            ip6_src: settings.ip6_src.to_string(),
            sticky_buckets_per_core: settings.sticky_buckets_per_core,
            flow_timeout_s: settings.flow_timeout,
            vips,
        })
    }

    fn events(&self, last: Option<usize>) -> EventsView {
        self.journal.view(last)
    }

    fn counters(&mut self) -> CountersView {
        let (traffic, lb_error) = match self.traffic() {
            Ok(t) => (t, None),
            Err(e) => (Vec::new(), Some(e.to_string())),
        };
        let mut view = self.controller.counters(clock::mono(), &traffic);
        view.lb_error = lb_error;
        view.lb_calls = LbCallsView {
            count: self.calls.summary().samples,
            failures: self.controller.status(clock::now()).lb.failures,
            mean_us: self.calls.mean_us(),
            max_us: self.calls.longest_us(),
            latency: self.calls.summary().into(),
        };
        view
    }

    fn flow(
        &mut self,
        frontend: &str,
        source: IpAddr,
        port: u16,
        destination_port: Option<u16>,
    ) -> Result<FlowView, VerbError> {
        let vip = self.controller.vip_of(frontend)?;
        if let Some(why) = self.lb.unavailable() {
            return Err(LbError::Unavailable(why).into());
        }
        self.programmed(frontend)?;
        let servers = self.timed(|lb| lb.servers(&vip))?;
        self.controller.flow_view(frontend, &servers, source, port, destination_port)
    }

    fn set_backend(&mut self, name: &str, verb: BackendVerb) -> Result<Done, VerbError> {
        let done = self.controller.set_backend(clock::now(), name, verb);
        self.save();
        self.flush_out();
        done
    }

    fn set_weight(
        &mut self,
        frontend: &str,
        pool: &str,
        backend: &str,
        weight: Option<u8>,
        flush: bool,
    ) -> Result<Done, VerbError> {
        let done = self.controller.set_weight(clock::now(), frontend, pool, backend, weight, flush);
        self.save();
        self.flush_out();
        done
    }

    fn flush(&mut self, frontend: &str) -> Result<Done, VerbError> {
        let vip = self.controller.vip_of(frontend)?;
        if let Some(why) = self.lb.unavailable() {
            return Err(LbError::Unavailable(why).into());
        }
        self.programmed(frontend)?;
        // lb flushes at random when the VIP is not there: ask it, not our memory.
        if !self.timed(|lb| lb.vips())?.iter().any(|r| r.key() == Some(vip)) {
            return Err(LbError::NoSuchEntry.into());
        }
        let ops = [crate::lb::Op::FlushVip { vip }];
        self.timed(|lb| lb.apply(&ops)).into_iter().collect::<Result<Vec<()>, _>>()?;
        self.controller.flushed(&vip);
        self.log(Event::Operator { text: format!("flush frontend {frontend}") });
        Ok(Done { changed: true, text: format!("frontend `{frontend}` flushed") })
    }

    fn probe(&mut self, backend: &str) -> Result<Ticket, VerbError> {
        let ticket = self.controller.probe(clock::now(), backend);
        self.flush_out();
        ticket
    }

    fn sync(&mut self, frontend: Option<&str>) -> Result<Ticket, VerbError> {
        let unavailable = self.lb.unavailable();
        self.controller.sync(clock::now(), frontend, unavailable)
    }

    fn config_check(&mut self, path: Option<&str>) -> Result<Ticket, VerbError> {
        let ticket = self.controller.ticket();
        let path = path.map_or_else(|| self.options.config_path.clone(), PathBuf::from);
        self.load(path, Purpose::Check(ticket))?;
        Ok(ticket)
    }

    fn config_reload(&mut self, force: bool) -> Result<Ticket, VerbError> {
        let ticket = self.controller.ticket();
        self.load(self.options.config_path.clone(), Purpose::Reload(ticket, force))?;
        Ok(ticket)
    }

    fn take(&mut self, ticket: Ticket) -> Option<Finished> {
        self.controller.take(ticket)
    }

    fn settled(&self) -> bool {
        self.controller.settled()
    }

    fn lacking(&self) -> Vec<String> {
        self.controller.lacking(clock::mono())
    }

    fn saving(&mut self) -> Option<Saving> {
        self.controller.saving(clock::now())
    }

    fn saved(&self, saving: Saving) -> Option<Result<(), String>> {
        self.controller.saved(clock::now(), saving)
    }

    fn names(&self, kind: NameKind) -> Vec<String> {
        self.controller.names(kind)
    }
}

impl Engine {
    /// What `lb` counts of our VIPs; of one that forwards no packets the buckets alone.
    fn traffic(&mut self) -> Result<Vec<VipTraffic>, LbError> {
        if let Some(why) = self.lb.unavailable() {
            return Err(LbError::Unavailable(why));
        }
        if let Some(all) = self.timed(|lb| lb.traffic())? {
            return Ok(all);
        }
        let mut all = Vec::new();
        for vip in self.controller.programmed_vips() {
            let servers = self.timed(|lb| lb.servers(&vip))?;
            let servers = servers
                .iter()
                .map(|s| ServerTraffic { address: s.address, buckets: s.buckets, flows: None })
                .collect();
            all.push(VipTraffic { vip, packets: None, servers });
        }
        Ok(all)
    }

    fn programmed(&self, frontend: &str) -> Result<(), VerbError> {
        if self.controller.frontend(frontend)?.programmed {
            return Ok(());
        }
        Err(VerbError::Refused(format!("frontend `{frontend}` is not programmed yet")))
    }
}
