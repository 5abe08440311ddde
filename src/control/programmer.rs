//! Brings `lb` to what is intended: level-triggered, one address at a time, one request at a time.
//!
//! The frontends of one address are one piece of work, since `lb` wants one encapsulation for all of them. A piece
//! of work dumps what `lb` has, plans, and runs the plan step by step; when the intention changes underway it
//! plans again after the step it is at. More important work ([`Class`]) comes in between two steps, and what it
//! interrupted goes on after it. Servers that are to get no more packets go before everything (`out`).

mod adjust;
mod cause;
mod full;
mod heap;
mod lacking;
mod look;
mod out;
mod show;
mod vips;
mod work;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use adjust::Adjusts;
pub use cause::Cause;
use cause::Causes;
use heap::Memory;
pub use lacking::Lack;
use out::Outs;
use vips::Vips;

use super::event::Event;
use super::intent::Intentions;
use super::operator::Ticket;
use super::queue::{CLASSES, Class, Waiting};
use super::view::SyncView;
use crate::lb::ledger::Ledger;
use crate::lb::reconcile::{Costs, Step};
use crate::lb::run::Run;
use crate::lb::{AsRecord, Heap, LbError, LoadBalancer, Op, Reach, Settings, VipKey, VipRecord};
use crate::time::{Now, Time};

/// Between two pieces of routine work, so that a full sync of many VIPs leaves the main thread and the workers
/// room.
const ROUTINE_PACE: Duration = Duration::from_millis(1);
/// A plan is made again without another dump while the last one is younger, and nothing has failed since.
const FRESH: Duration = Duration::from_secs(1);
/// After so many steps other work of the same class has its turn.
const TURN: u32 = 16;
/// For so long the last weight of a VIP is held for others that cannot be added.
const PATIENCE: Duration = Duration::from_secs(15);
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
    /// Where packets to these servers go, and which indices these VIPs have.
    Look(Vec<IpAddr>, Vec<VipKey>),
    /// How much memory is left.
    Heap,
    /// Changes, in order, under one barrier.
    Apply(Vec<Op>),
    /// The same, those to several servers of a VIP put together; and what servers weigh that keep it where what comes in for them
    /// cannot.
    Bulk(Vec<Op>, Vec<(IpAddr, u8)>),
}

impl LbRequest {
    /// What it changes, in order.
    pub fn ops(&self) -> &[Op] {
        match self {
            LbRequest::Apply(ops) | LbRequest::Bulk(ops, _) => ops,
            LbRequest::Settings
            | LbRequest::Vips
            | LbRequest::Servers(_)
            | LbRequest::Look(..)
            | LbRequest::Heap => &[],
        }
    }

    /// Asks it of `lb`.
    pub fn ask(&self, lb: &mut dyn LoadBalancer) -> LbAnswer {
        match self {
            LbRequest::Settings => LbAnswer::Settings(lb.settings()),
            LbRequest::Vips => LbAnswer::Vips(lb.vips()),
            LbRequest::Servers(vip) => LbAnswer::Servers(lb.servers(vip)),
            LbRequest::Look(servers, vips) => LbAnswer::Look(
                servers.iter().map(|a| (*a, lb.reach(*a))).collect(),
                vips.iter().map(|vip| (*vip, lb.index(vip))).collect(),
            ),
            LbRequest::Heap => LbAnswer::Heap(lb.heap()),
            LbRequest::Apply(ops) => LbAnswer::Apply(lb.apply(ops), None),
            LbRequest::Bulk(ops, former) => {
                let answers = lb.apply_bulk(ops, former);
                LbAnswer::Apply(answers, lb.take_remark())
            }
        }
    }
}

/// What `lb` said to the request of the same name.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum LbAnswer {
    Settings(Result<Settings, LbError>),
    Vips(Result<Vec<VipRecord>, LbError>),
    Servers(Result<Vec<AsRecord>, LbError>),
    Look(Vec<(IpAddr, Reach)>, Vec<(VipKey, Option<u32>)>),
    Heap(Option<Heap>),
    /// And why calls are put together no more, once.
    Apply(Vec<Result<(), LbError>>, Option<String>),
}

/// How far a full sync is. The VIPs themselves are routine work after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
enum Full {
    #[default]
    Idle,
    ReadSettings,
    WriteSettings(Settings),
    ListVips,
    Measure,
}

/// The work on one address.
#[derive(Debug)]
struct Job {
    address: IpAddr,
    class: Class,
    /// Still to be dumped.
    dump: VecDeque<VipKey>,
    /// When the VIPs were dumped, or made.
    dumped: BTreeMap<VipKey, Time>,
    /// Something failed since the dumps: what `lb` has is not what is believed.
    doubt: bool,
    /// More important work came in between.
    interrupted: bool,
    /// Steps since it was begun, or gone on with.
    steps: u32,
    /// It has had its turn, and waits for the next.
    rests: bool,
    /// The time of the last request.
    now: Time,
    /// The dump under way.
    asked: Option<VipKey>,
    /// Still to be looked at; none: that has not been found out yet.
    look: Option<Look>,
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
    /// Whether a VIP was made or deleted is not known: an answer was lost.
    unsure: bool,
    /// To be logged with the first step.
    notes: Vec<String>,
    writes: u64,
    failures: Vec<(Option<VipKey>, String)>,
}

/// What of an address is to be looked at beside its dumps.
#[derive(Debug, Default)]
struct Look {
    servers: VecDeque<IpAddr>,
    vips: VecDeque<VipKey>,
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
    vips: Vips,
    ledger: Ledger,
    waiting: Waiting,
    outs: Outs,
    adjusts: Adjusts,
    routine_at: Time,
    job: Option<Job>,
    /// Interrupted by more important work, or at rest.
    suspended: Vec<Job>,
    retries: BTreeMap<IpAddr, Retry>,
    /// VIPs to which nothing that adds weight could be written: since when, and when it was last tried.
    stuck: BTreeMap<VipKey, (Time, Time)>,
    /// VIPs of which a write has failed since they were dumped: what they have is not what is believed.
    doubtful: BTreeSet<VipKey>,
    /// Addresses with a VIP of which it is not known whether it was made or deleted: none is planned for before the VIPs are
    /// listed again.
    unsure: BTreeSet<IpAddr>,
    /// Those of them that wait for it.
    held: BTreeSet<IpAddr>,
    settings_retry: Option<Retry>,
    errors: BTreeMap<VipKey, String>,
    /// What a plan had to say the first time, though there may be nothing to write.
    unsaid: Vec<String>,
    waiters: Vec<Waiter>,
    finished: Vec<(Ticket, SyncView)>,
    memory: Memory,
    reached: Vec<(IpAddr, Reach)>,
    flushed: Vec<(VipKey, IpAddr)>,
    made: Vec<VipKey>,
    /// Addresses of VIPs that are not there any more.
    unmade: Vec<IpAddr>,
    /// The last attempt to list the VIPs failed.
    unlisted: bool,
    costs: Costs,
    last_sync_ms: Option<u64>,
    syncs: u64,
    failures: u64,
    causes: Causes,
    /// Since when the frontends of an address are known not to be as they should.
    since: BTreeMap<IpAddr, Time>,
    /// The time of the last request.
    clock: Time,
}

impl Programmer {
    /// How many threads there are. Those that forward, workers or main where there are none, each have a flow table to be flushed.
    pub fn set_threads(&mut self, threads: u32) {
        self.costs.threads = threads.saturating_sub(1).max(1);
    }

    /// The period of the full sync, and how often agents' weights are written at most.
    pub fn configure(&mut self, interval: Duration, agents: Duration) {
        self.interval = interval;
        self.adjusts.interval = agents;
    }

    /// The frontends of an address are to be looked at, at once.
    pub fn urge(&mut self, address: IpAddr) {
        self.urge_as(Class::Change, address);
    }

    /// The same, since a VIP there had no weight and is to have some.
    pub fn serve(&mut self, address: IpAddr) {
        self.urge_as(Class::Serve, address);
    }

    fn urge_as(&mut self, class: Class, address: IpAddr) {
        self.since.entry(address).or_insert(self.clock);
        match self.job.iter_mut().chain(&mut self.suspended).find(|j| j.address == address) {
            Some(job) => {
                job.again = true;
                if class < job.class {
                    self.waiting.push(class, address);
                }
            }
            None => {
                self.causes.urged(address);
                self.waiting.push(class, address);
            }
        }
    }

    /// Everything is to be looked at, soon.
    pub fn sync_all(&mut self) {
        self.causes.full_asked();
        self.full_due = Time::ZERO;
    }

    /// Everything is to be looked at before anything else is written: who knows what `lb` holds by now. Not between a
    /// request and its answer.
    pub fn begin_anew(&mut self) {
        for job in self.job.take().into_iter().chain(std::mem::take(&mut self.suspended)) {
            self.waiting.push(job.class.min(Class::Change), job.address);
        }
        self.outs.begin_anew();
        // The list comes first.
        self.full = Full::Idle;
        self.sync_all();
    }

    /// The same for an operator who waits for it; `count` is what they will be told.
    pub fn sync_for(&mut self, ticket: Ticket, addresses: &[IpAddr], full: bool, count: usize) {
        let left: BTreeSet<IpAddr> = addresses.iter().copied().collect();
        if left.is_empty() {
            return;
        }
        self.cause(Cause::Operator);
        self.adjust_now(&left);
        if full {
            self.sync_all();
        }
        for a in &left {
            self.urge(*a);
        }
        self.cause(Cause::Event);
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

    /// Servers that left a VIP, or have no weight in it any more, since last asked.
    pub fn take_left(&mut self) -> Vec<IpAddr> {
        self.vips.take_left()
    }

    /// VIPs that were made: they have no flows.
    pub fn take_made(&mut self) -> Vec<VipKey> {
        std::mem::take(&mut self.made)
    }

    /// Addresses of VIPs that are gone from `lb`: a server that has one was a forwarding loop. Perhaps more than once.
    pub fn take_unmade(&mut self) -> Vec<IpAddr> {
        std::mem::take(&mut self.unmade)
    }

    /// All flows of a VIP were flushed by the operator.
    pub fn note_flush(&mut self, vip: &VipKey) {
        self.ledger.applied(&Op::FlushVip { vip: *vip });
    }

    /// Whether no urgent work is left; retries of what has failed do not count, nor does what waits for a list of
    /// the VIPs that `lb` does not give.
    pub fn settled(&self) -> bool {
        self.unlisted && (!self.listed || !self.held.is_empty())
            || (self.waiting.best(|class| class < Class::Adjust).is_none()
                && self.outs.is_empty()
                && self.held.is_empty()
                && self.job.iter().chain(&self.suspended).all(|j| j.class >= Class::Adjust))
    }

    /// When there is something to ask next.
    pub fn deadline(&self) -> Time {
        if self.job.is_some() || self.outs.asked() || self.full != Full::Idle {
            return Time::ZERO;
        }
        let mut at = self.full_due;
        if !self.listed {
            return at;
        }
        if !self.outs.is_empty() {
            return Time::ZERO;
        }
        let waiting =
            (CLASSES.into_iter().filter(|class| self.waiting.has(*class)).map(|class| self.may_at(class)))
                .chain(self.suspended.iter().map(|job| self.may_go_on_at(job)));
        at = waiting.chain(self.adjusts.deadline()).fold(at, Time::min);
        for r in self.retries.values().chain(&self.settings_retry) {
            at = at.min(r.at);
        }
        at
    }

    /// When work of a class may begin.
    fn may_at(&self, class: Class) -> Time {
        match class {
            Class::Out | Class::Serve | Class::Change => Time::ZERO,
            Class::Adjust => self.adjusts.at(),
            Class::Routine => self.routine_at,
        }
    }

    /// When work that was interrupted may go on.
    fn may_go_on_at(&self, job: &Job) -> Time {
        if job.class == Class::Adjust { self.adjusts.at() } else { Time::ZERO }
    }

    /// The next thing to ask.
    pub fn next(&mut self, now: Time, intent: &Intentions<'_>) -> Option<LbRequest> {
        self.clock = now;
        if let Some(request) = self.out_request(intent) {
            return Some(request);
        }
        loop {
            self.make_room(now);
            if self.job.is_none() {
                if let Some(request) = self.full_request(now) {
                    return Some(request);
                }
                self.begin(now, intent)?;
            }
            if let Some(request) = self.job_request(now, intent) {
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
        for text in self.unsaid.drain(..) {
            events.push_back(Event::LbSync { text, failed: true });
        }
        match answer {
            LbAnswer::Settings(r) => self.settings_read(now, intent, r, events),
            LbAnswer::Vips(r) => self.vips_listed(now, intent, r, events),
            LbAnswer::Servers(r) if self.outs.asked() => self.outs_dumped(r, events),
            LbAnswer::Servers(r) => self.servers_dumped(r, events),
            LbAnswer::Look(_, indices) if self.outs.asked() => self.outs_looked(intent, &indices, events),
            LbAnswer::Look(reached, indices) => self.looked(intent, reached, &indices, events),
            LbAnswer::Heap(heap) => self.measured(now.mono, heap),
            LbAnswer::Apply(results, remark) => {
                if let Some(text) = remark {
                    self.costs.bulk = false;
                    events.push_back(Event::LbSync { text, failed: true });
                }
                if self.outs.asked() {
                    self.outs_written(results, events);
                } else if let Full::WriteSettings(s) = self.full {
                    self.settings_written(now, s, results, events);
                } else {
                    self.step_done(results, events);
                }
            }
        }
    }
}
