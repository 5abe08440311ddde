//! Brings `lb` to what is intended: level-triggered, one address at a time, one request at a time.
//!
//! The frontends of one address are one piece of work, since `lb` wants one encapsulation for all of them. A piece
//! of work dumps what `lb` has, plans, and runs the plan step by step; when the intention changes underway it
//! begins again with a fresh dump after the step it is at.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use super::event::Event;
use super::frontends::Frontends;
use super::intent::{Intent, Intentions};
use super::operator::Ticket;
use super::queue::Queue;
use super::view::{LbStatusView, SyncView};
use crate::lb::ledger::Ledger;
use crate::lb::reconcile::{Actual, Costs, Member, Step, plan};
use crate::lb::run::Run;
use crate::lb::{AsRecord, LbError, Op, Settings, VipKey, VipRecord};
use crate::time::{Now, Time};

/// Between two pieces of routine work, so that a full sync of many VIPs leaves the main thread and the workers
/// room.
const ROUTINE_PACE: Duration = Duration::from_millis(1);
/// First wait after a failure; doubles up to the sync interval.
const BACKOFF: Duration = Duration::from_secs(1);

/// Something to ask of `lb`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LbRequest {
    /// Its settings.
    Settings,
    /// All VIPs.
    Vips,
    /// The servers of one VIP.
    Servers(VipKey),
    /// Changes, in order, under one barrier.
    Apply(Vec<Op>),
}

/// What `lb` said to the request of the same name.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum LbAnswer {
    Settings(Result<Settings, LbError>),
    Vips(Result<Vec<VipRecord>, LbError>),
    Servers(Result<Vec<AsRecord>, LbError>),
    Apply(Vec<Result<(), LbError>>),
}

/// How far a full sync is. The VIPs themselves are routine work after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
enum Full {
    #[default]
    Idle,
    ReadSettings,
    WriteSettings(Settings),
    ListVips,
}

/// A VIP as `lb` was last seen to have it.
#[derive(Clone, Debug)]
struct Vip {
    record: VipRecord,
    servers: BTreeMap<IpAddr, u8>,
}

/// The work on one address.
#[derive(Debug)]
struct Job {
    address: IpAddr,
    routine: bool,
    /// Still to be dumped.
    dump: VecDeque<VipKey>,
    /// The dump under way.
    asked: Option<VipKey>,
    /// The plan, once all is dumped.
    run: Option<Run>,
    /// The step under way.
    running: Option<Step>,
    /// A dump failed: nothing is planned on what is not known.
    blind: bool,
    /// The intention changed underway.
    again: bool,
    /// An answer told that the list of VIPs is out of date.
    stale: bool,
    /// To be logged with the first step.
    notes: Vec<String>,
    writes: u64,
    failures: Vec<(Option<VipKey>, String)>,
}

#[derive(Clone, Copy, Debug)]
struct Retry {
    at: Time,
    wait: Duration,
}

/// Someone waits for a sync.
#[derive(Debug)]
struct Waiter {
    ticket: Ticket,
    /// Counts only what is begun after the next full sync has listed the VIPs.
    after_listing: bool,
    left: BTreeSet<IpAddr>,
    view: SyncView,
}

/// The memory of what `lb` holds, and the work to be done on it.
#[derive(Debug, Default)]
pub struct Programmer {
    interval: Duration,
    full: Full,
    full_due: Time,
    /// The VIPs have been listed at least once.
    listed: bool,
    vips: BTreeMap<VipKey, Vip>,
    ledger: Ledger,
    urgent: Queue,
    routine: Queue,
    routine_at: Time,
    job: Option<Job>,
    retries: BTreeMap<IpAddr, Retry>,
    settings_retry: Option<Retry>,
    errors: BTreeMap<VipKey, String>,
    waiters: Vec<Waiter>,
    finished: Vec<(Ticket, SyncView)>,
    flushed: Vec<(VipKey, IpAddr)>,
    costs: Costs,
    last_sync_ms: Option<u64>,
    syncs: u64,
    failures: u64,
}

impl Programmer {
    /// How many threads forward: each has a flow table to be flushed.
    pub fn set_threads(&mut self, threads: u32) {
        self.costs.threads = threads;
    }

    /// The period of the full sync.
    pub fn configure(&mut self, interval: Duration) {
        self.interval = interval;
    }

    /// The frontends of an address are to be looked at, at once.
    pub fn urge(&mut self, address: IpAddr) {
        match &mut self.job {
            Some(job) if job.address == address => job.again = true,
            _ => self.urgent.push(address),
        }
    }

    /// Everything is to be looked at, soon.
    pub fn sync_all(&mut self) {
        self.full_due = Time::ZERO;
    }

    /// The same for an operator who waits for it; `count` is what they will be told.
    pub fn sync_for(&mut self, ticket: Ticket, addresses: &[IpAddr], full: bool, count: usize) {
        let left: BTreeSet<IpAddr> = addresses.iter().copied().collect();
        if left.is_empty() {
            return;
        }
        if full {
            self.sync_all();
        }
        for a in &left {
            self.urge(*a);
        }
        let view = SyncView { frontends: count, writes: 0, failures: Vec::new() };
        self.waiters.push(Waiter { ticket, after_listing: full, left, view });
    }

    /// Syncs that have been finished for their waiters.
    pub fn take_finished(&mut self) -> Vec<(Ticket, SyncView)> {
        std::mem::take(&mut self.finished)
    }

    /// Servers whose flows were flushed.
    pub fn take_flushed(&mut self) -> Vec<(VipKey, IpAddr)> {
        std::mem::take(&mut self.flushed)
    }

    /// All flows of a VIP were flushed by the operator.
    pub fn note_flush(&mut self, vip: &VipKey) {
        self.ledger.applied(&Op::FlushVip { vip: *vip });
    }

    /// When there is something to ask next.
    pub fn deadline(&self) -> Time {
        if self.job.is_some() || self.full != Full::Idle || !self.urgent.is_empty() {
            return Time::ZERO;
        }
        let mut at = self.full_due;
        if !self.routine.is_empty() {
            at = at.min(self.routine_at);
        }
        for r in self.retries.values().chain(&self.settings_retry) {
            at = at.min(r.at);
        }
        at
    }

    /// The next thing to ask.
    pub fn next(&mut self, now: Time, intent: &Intentions<'_>) -> Option<LbRequest> {
        loop {
            if self.job.is_none() {
                if let Some(request) = self.full_request(now) {
                    return Some(request);
                }
                self.begin(now, intent)?;
            }
            if let Some(request) = self.job_request(intent) {
                return Some(request);
            }
            self.end_job(now);
        }
    }

    /// The answer to it.
    pub fn answer(
        &mut self,
        now: Now,
        intent: &Intentions<'_>,
        answer: LbAnswer,
        events: &mut VecDeque<Event>,
    ) {
        match answer {
            LbAnswer::Settings(r) => self.settings_read(now, intent, r, events),
            LbAnswer::Vips(r) => self.vips_listed(now, intent, r, events),
            LbAnswer::Servers(r) => self.servers_dumped(r, events),
            LbAnswer::Apply(results) => {
                if let Full::WriteSettings(s) = self.full {
                    self.settings_written(now, s, results, events);
                } else {
                    self.step_done(results, events);
                }
            }
        }
    }

    // ---- the full sync: settings, then the list of VIPs, then each address as routine work

    fn full_request(&mut self, now: Time) -> Option<LbRequest> {
        let retry = self.settings_retry.is_some_and(|r| r.at <= now);
        if self.full == Full::Idle && (self.full_due <= now || retry) {
            self.full = Full::ReadSettings;
            self.full_due = now + self.interval;
        }
        match self.full {
            Full::Idle => None,
            Full::ReadSettings => Some(LbRequest::Settings),
            Full::WriteSettings(s) => Some(LbRequest::Apply(vec![Op::SetSettings(s)])),
            Full::ListVips => Some(LbRequest::Vips),
        }
    }

    fn settings_read(
        &mut self,
        now: Now,
        intent: &Intentions<'_>,
        r: Result<Settings, LbError>,
        events: &mut VecDeque<Event>,
    ) {
        self.full = Full::ListVips;
        match r {
            Ok(is) => {
                self.costs.sticky_buckets = is.sticky_buckets_per_core;
                let wanted = intent.settings(&is);
                let waits = self.settings_retry.is_some_and(|r| now.mono < r.at);
                if wanted != is && !waits {
                    if self.listed && wanted.sticky_buckets_per_core != is.sticky_buckets_per_core {
                        let text = "sticky-buckets-per-core changes: the flows of every VIP lose their \
                                    stickiness"
                            .to_owned();
                        events.push_back(Event::LbSync { text, failed: false });
                    }
                    self.full = Full::WriteSettings(wanted);
                } else if wanted == is {
                    self.settings_retry = None;
                }
            }
            Err(e) => self.complain(format!("reading lb's settings failed: {e}"), events),
        }
    }

    fn settings_written(
        &mut self,
        now: Now,
        s: Settings,
        results: Vec<Result<(), LbError>>,
        events: &mut VecDeque<Event>,
    ) {
        self.full = Full::ListVips;
        let result = results.into_iter().next().unwrap_or(Err(LbError::NoAnswer("lb_conf")));
        let what = format!(
            "settings ip4-src={} ip6-src={} buckets={} timeout={}",
            s.ip4_src, s.ip6_src, s.sticky_buckets_per_core, s.flow_timeout
        );
        match result {
            Ok(()) => {
                self.costs.sticky_buckets = s.sticky_buckets_per_core;
                self.settings_retry = None;
                events.push_back(Event::LbSync { text: what, failed: false });
            }
            Err(e) => {
                let wait = self.settings_retry.map_or(BACKOFF, |r| r.wait * 2).min(self.interval);
                self.settings_retry = Some(Retry { at: now.mono + wait, wait });
                self.complain(format!("{what} failed: {e}"), events);
            }
        }
    }

    fn vips_listed(
        &mut self,
        now: Now,
        intent: &Intentions<'_>,
        r: Result<Vec<VipRecord>, LbError>,
        events: &mut VecDeque<Event>,
    ) {
        self.full = Full::Idle;
        let records = match r {
            Ok(r) => r,
            Err(e) => {
                self.full_due = now.mono + BACKOFF.min(self.interval);
                return self.complain(format!("listing lb's VIPs failed: {e}"), events);
            }
        };
        let mut before = std::mem::take(&mut self.vips);
        for record in records {
            if let Some(key) = record.key() {
                let servers = before.remove(&key).map(|v| v.servers).unwrap_or_default();
                self.vips.insert(key, Vip { record, servers });
            }
        }
        // A VIP of ours that is gone took its flows along.
        let gone: Vec<VipKey> =
            self.ledger.all_ours().filter(|k| !self.vips.contains_key(k)).copied().collect();
        for key in gone {
            self.ledger.observed(&key, None);
        }
        self.listed = true;
        self.syncs += 1;
        self.last_sync_ms = Some(now.wall_ms);
        let ours = self.ledger.all_ours().map(|k| k.address);
        let all: BTreeSet<IpAddr> = intent.addresses().into_iter().chain(ours).collect();
        for address in &all {
            self.routine.push(*address);
        }
        let nothing = all.is_empty();
        for w in &mut self.waiters {
            w.after_listing = false;
            if nothing {
                w.left.clear();
            }
        }
        self.serve_waiters(None, 0, &[]);
    }

    // ---- the work on one address

    fn begin(&mut self, now: Time, intent: &Intentions<'_>) -> Option<()> {
        if !self.listed {
            self.full_due = self.full_due.min(now);
            return None;
        }
        let due: Vec<IpAddr> = self.retries.iter().filter(|(_, r)| r.at <= now).map(|(a, _)| *a).collect();
        for address in due {
            if let Some(r) = self.retries.get_mut(&address) {
                r.at = Time::MAX;
            }
            self.urgent.push(address);
        }
        let (address, routine) = match self.urgent.pop() {
            Some(a) => {
                self.routine.remove(&a);
                (a, false)
            }
            None if self.routine_at <= now => (self.routine.pop()?, true),
            None => return None,
        };
        self.job = Some(Job {
            address,
            routine,
            dump: self.to_dump(address, intent),
            asked: None,
            run: None,
            running: None,
            blind: false,
            again: false,
            stale: false,
            notes: Vec::new(),
            writes: 0,
            failures: Vec::new(),
        });
        Some(())
    }

    /// The VIPs of an address that are there and concern us.
    fn to_dump(&self, address: IpAddr, intent: &Intentions<'_>) -> VecDeque<VipKey> {
        self.keys(address, intent)
            .into_iter()
            .filter(|k| self.vips.contains_key(k))
            .filter(|k| self.ledger.ours(k) || matches!(intent.of(k, None), Intent::Have(_)))
            .collect()
    }

    fn keys(&self, address: IpAddr, intent: &Intentions<'_>) -> BTreeSet<VipKey> {
        let ours = self.ledger.ours_at(address).copied();
        intent.vips_at(address).chain(ours).collect()
    }

    fn job_request(&mut self, intent: &Intentions<'_>) -> Option<LbRequest> {
        loop {
            let job = self.job.as_ref()?;
            if job.again {
                let dump = self.to_dump(job.address, intent);
                let job = self.job.as_mut()?;
                job.again = false;
                job.run = None;
                job.dump = dump;
            }
            let job = self.job.as_mut()?;
            if let Some(key) = job.dump.pop_front() {
                job.asked = Some(key);
                return Some(LbRequest::Servers(key));
            }
            if job.blind {
                return None;
            }
            if job.run.is_none() {
                let address = job.address;
                let (run, notes) = self.plan(address, intent);
                let job = self.job.as_mut()?;
                job.run = Some(run);
                job.notes = notes;
            }
            let job = self.job.as_mut()?;
            let step = job.run.as_mut()?.next_step()?;
            let ops = step.ops.clone();
            job.running = Some(step);
            return Some(LbRequest::Apply(ops));
        }
    }

    fn actual(&self, key: &VipKey) -> Option<Actual> {
        let vip = self.vips.get(key)?;
        Some(Actual {
            encap: vip.record.encap,
            table_length: vip.record.table_length,
            servers: vip.servers.clone(),
        })
    }

    /// The plan for an address, begun, and what is to be said of it.
    fn plan(&mut self, address: IpAddr, intent: &Intentions<'_>) -> (Run, Vec<String>) {
        let mut items = Vec::new();
        for vip in self.keys(address, intent) {
            let actual = self.actual(&vip);
            match intent.of(&vip, actual.as_ref()) {
                Intent::Wait => {}
                Intent::Have(wanted) => items.push((vip, Some(wanted), actual)),
                Intent::Drop => items.push((vip, None, actual)),
            }
        }
        let members: Vec<Member<'_>> = items
            .iter()
            .map(|(vip, wanted, actual)| Member {
                vip: *vip,
                wanted: wanted.as_ref(),
                actual: actual.as_ref(),
                adopt: true,
            })
            .collect();
        let plan = plan(&members, &self.ledger, &self.costs);
        let notes = plan.notes.iter().map(ToString::to_string).collect();
        (Run::start(plan, &members, &mut self.ledger), notes)
    }

    fn servers_dumped(&mut self, r: Result<Vec<AsRecord>, LbError>, events: &mut VecDeque<Event>) {
        let Some(job) = &mut self.job else { return };
        let Some(key) = job.asked.take() else { return };
        match r {
            Ok(records) => {
                if let Some(vip) = self.vips.get_mut(&key) {
                    vip.servers = records.iter().map(|r| (r.address, r.weight)).collect();
                }
                let actual = self.actual(&key);
                self.ledger.observed(&key, actual.as_ref());
            }
            Err(e) => {
                let text = format!("vip={key} dump failed: {e}");
                job.failures.push((Some(key), text.clone()));
                job.blind = true;
                job.dump.clear();
                self.complain(text, events);
            }
        }
    }

    fn step_done(&mut self, results: Vec<Result<(), LbError>>, events: &mut VecDeque<Event>) {
        let Some(job) = &mut self.job else { return };
        for note in job.notes.drain(..) {
            events.push_back(Event::LbSync { text: note, failed: false });
        }
        let (Some(step), Some(run)) = (job.running.take(), job.run.as_mut()) else { return };
        run.answered(&step, &results, &mut self.ledger);
        let unanswered = std::iter::repeat_with(|| Err(LbError::NoAnswer("fewer answers than calls")));
        for (op, result) in step.ops.into_iter().zip(results.into_iter().chain(unanswered)) {
            match result {
                Ok(()) => {
                    job.writes += 1;
                    if let Op::SetWeight { vip, address, flush: true, .. }
                    | Op::AddServer { vip, address, flush: true, .. } = op
                    {
                        self.flushed.push((vip, address));
                    }
                    mirror(&mut self.vips, &op);
                    events.push_back(Event::LbSync { text: op.to_string(), failed: false });
                }
                Err(e) => {
                    self.failures += 1;
                    let text = format!("{op} failed: {e}");
                    // Somebody else may have been at lb: the list of VIPs could be out of date.
                    job.stale |=
                        matches!(e, LbError::NoSuchEntry | LbError::ValueExist | LbError::NoAnswer(_));
                    job.failures.push((op.vip(), text.clone()));
                    events.push_back(Event::LbSync { text, failed: true });
                }
            }
        }
    }

    fn end_job(&mut self, now: Time) {
        let Some(job) = self.job.take() else { return };
        let here = VipKey { address: job.address, service: None };
        let stale: Vec<VipKey> =
            self.errors.range(here..).map(|(k, _)| *k).take_while(|k| k.address == job.address).collect();
        for k in stale {
            self.errors.remove(&k);
        }
        if job.failures.is_empty() {
            self.retries.remove(&job.address);
        } else {
            let wait = self.retries.get(&job.address).map_or(BACKOFF, |r| r.wait * 2);
            let wait = wait.min(self.interval.max(BACKOFF));
            self.retries.insert(job.address, Retry { at: now + wait, wait });
            if job.stale {
                self.full_due = self.full_due.min(now + wait);
            }
        }
        let mut texts = Vec::new();
        for (vip, text) in job.failures {
            if let Some(vip) = vip {
                self.errors.entry(vip).or_insert_with(|| text.clone());
            }
            texts.push(text);
        }
        if job.routine && job.writes == 0 {
            self.routine_at = now + ROUTINE_PACE;
        }
        self.serve_waiters(Some(job.address), job.writes, &texts);
    }

    fn serve_waiters(&mut self, done: Option<IpAddr>, writes: u64, failures: &[String]) {
        for w in self.waiters.iter_mut().filter(|w| !w.after_listing) {
            if done.is_some_and(|a| w.left.remove(&a)) {
                w.view.writes += writes;
                w.view.failures.extend_from_slice(failures);
            }
        }
        for w in self.waiters.extract_if(.., |w| !w.after_listing && w.left.is_empty()) {
            self.finished.push((w.ticket, w.view));
        }
    }

    fn complain(&mut self, text: String, events: &mut VecDeque<Event>) {
        self.failures += 1;
        events.push_back(Event::LbSync { text, failed: true });
    }

    // ---- to be shown

    /// Whether the VIP is in `lb`, and ours.
    pub fn is_programmed(&self, vip: &VipKey) -> bool {
        self.ledger.ours(vip) && self.vips.contains_key(vip)
    }

    /// Whether a VIP is ours.
    pub fn is_ours(&self, vip: &VipKey) -> bool {
        self.ledger.ours(vip)
    }

    /// The last failure on a VIP, until all went well once.
    pub fn error(&self, vip: &VipKey) -> Option<String> {
        self.errors.get(vip).cloned()
    }

    /// The servers that `lb` has for a VIP of ours.
    pub fn servers(&self, vip: &VipKey) -> impl Iterator<Item = IpAddr> {
        let ours = self.ledger.ours(vip);
        self.vips.get(vip).filter(|_| ours).into_iter().flat_map(|v| v.servers.keys().copied())
    }

    /// Whether any VIP of ours has this server.
    pub fn has_server(&self, address: IpAddr) -> bool {
        self.ledger.all_ours().filter_map(|k| self.vips.get(k)).any(|v| v.servers.contains_key(&address))
    }

    /// For `show status`.
    pub fn status(&self, frontends: &Frontends) -> LbStatusView {
        let failing = frontends.values().filter(|f| self.errors.contains_key(&f.config.vip));
        LbStatusView {
            last_sync_ms: self.last_sync_ms,
            syncs: self.syncs,
            failures: self.failures,
            failing: failing.map(|f| f.config.name.to_string()).collect(),
            ..LbStatusView::default()
        }
    }
}

/// What a successful op did to `lb`.
fn mirror(vips: &mut BTreeMap<VipKey, Vip>, op: &Op) {
    match *op {
        Op::AddVip { vip, encap, table_length, .. } => {
            let (protocol, port) = vip.service.map_or((255, 0), |(p, port)| (p.number(), port));
            let prefix_len = if vip.address.is_ipv4() { 32 } else { 128 };
            let record = VipRecord {
                address: vip.address,
                prefix_len,
                protocol,
                port,
                encap: Some(encap),
                table_length,
            };
            vips.insert(vip, Vip { record, servers: BTreeMap::new() });
        }
        Op::DelVip { vip } => {
            vips.remove(&vip);
        }
        Op::AddServer { vip, address, weight, .. } | Op::SetWeight { vip, address, weight, .. } => {
            if let Some(v) = vips.get_mut(&vip) {
                v.servers.insert(address, weight);
            }
        }
        Op::DelServer { vip, address, .. } => {
            if let Some(v) = vips.get_mut(&vip) {
                v.servers.remove(&address);
            }
        }
        Op::SetSettings(_) | Op::FlushVip { .. } => {}
    }
}
