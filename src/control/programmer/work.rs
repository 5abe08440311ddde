//! The work on one address: dump, plan, run the plan step by step.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use super::{BACKOFF, FRESH, Job, LbRequest, Look, PATIENCE, Programmer, ROUTINE_PACE, Retry, TURN};
use crate::control::backends::Entry as Backend;
use crate::control::event::Event;
use crate::control::frontends::Entry as Frontend;
use crate::control::intent::{Intent, Intentions};
use crate::control::queue::Class;
use crate::health::State;
use crate::lb::reconcile::{Actual, Member, Note, Plan, Wanted, plan};
use crate::lb::run::Run;
use crate::lb::{AsRecord, LbError, Op, VipKey, bulk};
use crate::time::Time;

/// A VIP, what it should be and what it is.
type Item = (VipKey, Option<Wanted>, Option<Actual>);

fn member((vip, wanted, actual): &Item) -> Member<'_> {
    Member { vip: *vip, wanted: wanted.as_ref(), actual: actual.as_ref(), adopt: true }
}

/// The answers to several calls, and that none came for those that are missing.
pub(super) fn and_unanswered(results: Vec<Result<(), LbError>>) -> impl Iterator<Item = Result<(), LbError>> {
    let unanswered = std::iter::repeat_with(|| Err(LbError::NoAnswer("fewer answers than calls")));
    results.into_iter().chain(unanswered)
}

/// What `lb` has done.
pub(super) fn told(done: &[Op], events: &mut VecDeque<Event>) {
    events.extend(bulk::lines(done).into_iter().map(|text| Event::LbSync { text, failed: false }));
}

impl Job {
    /// Goes on, in this class if it is a more important one. But for a pause of its own, what was dumped before may not be what is
    /// there by now.
    fn resumed(mut self, class: Class) -> Job {
        if self.interrupted || class < self.class {
            self.dumped.clear();
        }
        self.class = self.class.min(class);
        self.again = true;
        self.interrupted = false;
        (self.steps, self.rests) = (0, false);
        self
    }
}

impl Programmer {
    pub(super) fn begin(&mut self, now: Time, intent: &Intentions<'_>) -> Option<()> {
        // Nothing is planned before the VIPs were listed once; the full sync is due until then.
        if !self.listed {
            return None;
        }
        let due: Vec<IpAddr> = self.retries.iter().filter(|(_, r)| r.at <= now).map(|(a, _)| *a).collect();
        for address in due {
            if let Some(r) = self.retries.get_mut(&address) {
                r.at = Time::MAX;
            }
            self.causes.retried(address);
            self.waiting.push(Class::Change, address);
        }
        self.adjusts_due(now);
        let (class, address) = loop {
            let may = |class| self.may_at(class) <= now;
            // What was interrupted goes on when nothing more important waits.
            let goes_on = |job: &Job| !job.rests && self.may_go_on_at(job) <= now;
            let on = (self.suspended.iter().enumerate().filter(|(_, job)| goes_on(job)))
                .min_by_key(|(_, job)| job.class)
                .map(|(i, job)| (i, job.class));
            if let Some((i, class)) = on
                && self.waiting.best(may).is_none_or(|best| best >= class)
            {
                let job = self.suspended.remove(i);
                self.job = Some(job.resumed(class));
                return Some(());
            }
            let (adjust_at, routine_at) = (self.may_at(Class::Adjust), self.routine_at);
            let (class, address) = self.waiting.pop(|class| match class {
                Class::Out | Class::Serve | Class::Change => true,
                Class::Adjust => adjust_at <= now,
                Class::Routine => routine_at <= now,
            })?;
            if class == Class::Adjust {
                self.adjust_begins(now, address);
            }
            if let Some(i) = self.suspended.iter().position(|j| j.address == address) {
                let job = self.suspended.remove(i);
                self.job = Some(job.resumed(class));
                return Some(());
            }
            if !self.unsure.contains(&address) {
                break (class, address);
            }
            self.held.insert(address);
            self.full_due = self.full_due.min(now);
        };
        self.causes.begun(&address, class == Class::Routine);
        self.job = Some(Job {
            address,
            class,
            dump: self.to_dump(address, intent),
            dumped: BTreeMap::new(),
            doubt: false,
            interrupted: false,
            steps: 0,
            rests: false,
            now,
            asked: None,
            look: None,
            run: None,
            running: None,
            blind: false,
            again: false,
            stale: false,
            unsure: false,
            notes: Vec::new(),
            writes: 0,
            failures: Vec::new(),
        });
        Some(())
    }

    /// More important work comes before what is under way, which goes on after it; and what agents want rests between two spells. Work
    /// of one class goes in turns: no address keeps the others waiting for long.
    pub(super) fn make_room(&mut self, now: Time) {
        let Some(job) = &self.job else { return };
        let better = self.waiting.best(|class| class < job.class && self.may_at(class) <= now).is_some();
        let rests = self.may_go_on_at(job) > now;
        let turn = job.steps >= TURN
            && self.waiting.has(job.class)
            && job.run.as_ref().is_none_or(|run| !run.flushes_next());
        if !better && !rests && !turn {
            return;
        }
        if let Some(mut job) = self.job.take() {
            job.interrupted |= better;
            if !better && !rests {
                job.rests = true;
                self.waiting.push(job.class, job.address);
            }
            self.suspended.push(job);
        }
    }

    /// The VIPs of an address that are there and concern us.
    pub(super) fn to_dump(&self, address: IpAddr, intent: &Intentions<'_>) -> VecDeque<VipKey> {
        self.keys(address, intent)
            .into_iter()
            .filter(|k| self.vips.contains_key(k))
            .filter(|k| self.ledger.ours(k) || matches!(intent.of(k, None), Intent::Have(_)))
            .collect()
    }

    pub(super) fn keys(&self, address: IpAddr, intent: &Intentions<'_>) -> Vec<VipKey> {
        let ours = self.ledger.ours_at(address).copied();
        let mut all: Vec<VipKey> = intent.vips_at(address).chain(ours).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Whether nothing is to be done on an address.
    fn met(&self, address: IpAddr, intent: &Intentions<'_>) -> bool {
        let met = |vip: VipKey| {
            let actual = self.vips.get(&vip).filter(|_| !self.adjusts(&vip));
            actual.is_some_and(|a| intent.met(&vip, a, &self.ledger))
        };
        intent.vips_at(address).all(met)
            && self.ledger.ours_at(address).all(|vip| intent.by_vip.contains_key(vip))
    }

    pub(super) fn job_request(&mut self, now: Time, intent: &Intentions<'_>) -> Option<LbRequest> {
        let job = self.job.as_ref()?;
        if job.again && job.unsure {
            // Not on what was listed before.
            return None;
        }
        if job.again {
            // `lb` counts the table for each server of a dump: for what goes on for long, with one weight after the other, that would
            // take as long as the writes.
            let fresh = if job.class == Class::Adjust { self.interval.max(FRESH) } else { FRESH };
            let known = |key: &VipKey| job.dumped.get(key).is_some_and(|at| now.since(*at) < fresh);
            let doubt = job.doubt || job.blind;
            let mut dump = self.to_dump(job.address, intent);
            dump.retain(|key| doubt || !known(key));
            let job = self.job.as_mut()?;
            job.again = false;
            job.doubt = false;
            job.run = None;
            // After a pause of its own all has been looked at.
            let looked = job.class == Class::Adjust && dump.is_empty();
            job.look = looked.then(Look::default);
            job.dump = dump;
        }
        let job = self.job.as_mut()?;
        job.now = now;
        if let Some(key) = job.dump.pop_front() {
            job.asked = Some(key);
            return Some(LbRequest::Servers(key));
        }
        if job.blind {
            return None;
        }
        if let Some(look) = self.look(intent) {
            return Some(look);
        }
        let job = self.job.as_mut()?;
        if job.run.is_none() {
            let address = job.address;
            if self.met(address, intent) {
                self.stuck.retain(|vip, _| vip.address != address);
                debug_assert!(
                    self.planned(address, intent).is_some_and(|p| p.is_empty() && p.notes.is_empty())
                );
                return None;
            }
            if self.wants_measure(now, address, intent) {
                return Some(LbRequest::Heap);
            }
            let (run, notes) = self.plan(address, intent);
            let job = self.job.as_mut()?;
            job.run = Some(run);
            job.notes = notes;
        }
        let job = self.job.as_mut()?;
        let step = job.run.as_mut()?.next_step()?;
        job.steps += 1;
        let ops = step.ops.clone();
        let request =
            if step.bulk { LbRequest::Bulk(ops, step.former.clone()) } else { LbRequest::Apply(ops) };
        job.running = Some(step);
        Some(request)
    }

    /// The plan for an address, begun, and what is to be said of it.
    pub(super) fn plan(&mut self, address: IpAddr, intent: &Intentions<'_>) -> (Run, Vec<String>) {
        let mut items = self.items(address, intent);
        self.hold_vips(address, &mut items);
        let members: Vec<Member<'_>> = items.iter().map(member).collect();
        self.costs.room = self.memory.room();
        let plan = plan(&members, &self.ledger, &self.costs);
        self.memory.planned(address, &plan);
        let adds = |vip: &VipKey| plan.ops().any(|op| op.adds_weight() && op.vip() == Some(*vip));
        self.stuck.retain(|vip, _| vip.address != address || adds(vip));
        let told_once = |n: &Note| matches!(n, Note::Refused { .. } | Note::NoRoom { .. });
        let logged = |n: &&Note| !told_once(n);
        let notes = plan.notes.iter().filter(logged).map(ToString::to_string).collect();
        for note in &plan.notes {
            if let Some(vip) = note.unmet() {
                self.unmet(*vip, note.to_string(), told_once(note));
            }
        }
        let mut run = Run::start(plan, &members, &mut self.ledger);
        run.let_go(self.of_no_use(address, intent));
        (run, notes)
    }

    /// Servers that are down or disabled while others have failed to be added again and again: the last weight of their VIP is of no use
    /// to anybody then.
    fn of_no_use(&self, address: IpAddr, intent: &Intentions<'_>) -> BTreeSet<(VipKey, IpAddr)> {
        let mut all = BTreeSet::new();
        let stuck = |vip: &VipKey| {
            let tried = self.stuck.get(vip).filter(|(_, last)| self.is_again(*last, intent.now));
            tried.is_some_and(|(since, _)| intent.now.since(*since) >= PATIENCE)
        };
        for vip in intent.vips_at(address).filter(stuck) {
            let seats = intent.frontend(&vip).into_iter().flat_map(|f| &f.seats);
            let useless = |b: &&Backend| matches!(b.state(), State::Down | State::Disabled);
            let backends = seats.filter_map(|seat| intent.backends.get(seat.slot)).filter(useless);
            all.extend(backends.map(|b| (vip, b.config.address)));
        }
        all
    }

    /// Whether what is tried now is one of the attempts of which that was the last one.
    fn is_again(&self, last: Time, now: Time) -> bool {
        now.since(last) <= self.interval.max(BACKOFF) * 2
    }

    /// A VIP is not made while its address is still a server with weight or flows: `lb` would send their packets to itself. What is left
    /// there leaves by itself, since no valid file has it.
    fn hold_vips(&mut self, address: IpAddr, items: &mut Vec<Item>) {
        let is_made = |(_, wanted, actual): &Item| wanted.is_none() || actual.is_some();
        if items.iter().all(is_made) {
            return;
        }
        let parked = |vip: &VipKey| self.ledger.dirty(vip, address) == Some(false);
        let with = self.vips.with(address).filter(|vip| !parked(vip)).chain(self.vips.perhaps_with(address));
        let Some(vip) = with.min().copied() else { return };
        self.waiting.push(Class::Change, vip.address);
        for (held, ..) in items.extract_if(.., |item| !is_made(item)) {
            let text = format!("vip={held} waits: {address} is still a server of vip={vip}");
            self.unmet(held, text, true);
        }
    }

    /// A VIP cannot be as it is intended. `told_once`: logged when it begins, not at every attempt.
    fn unmet(&mut self, vip: VipKey, text: String, told_once: bool) {
        let Some(job) = &mut self.job else { return };
        if told_once && self.errors.get(&vip) != Some(&text) {
            self.unsaid.push(text.clone());
        }
        job.failures.push((Some(vip), text));
    }

    /// The VIPs of an address with what they should be and what they are; but for those that are not to be touched.
    fn items(&self, address: IpAddr, intent: &Intentions<'_>) -> Vec<Item> {
        let mut items = Vec::new();
        for vip in self.keys(address, intent) {
            let actual = self.vips.get(&vip).cloned();
            match intent.of(&vip, actual.as_ref()) {
                Intent::Wait => {}
                Intent::Drop if self.stays(&vip, intent) => {}
                Intent::Have(wanted) if self.waits_for_newcomers(&vip, &wanted, intent) => {}
                Intent::Have(mut wanted) => {
                    self.soften(&vip, &mut wanted, actual.as_ref());
                    items.push((vip, Some(wanted), actual));
                }
                Intent::Drop => items.push((vip, None, actual)),
            }
        }
        items
    }

    /// A VIP that is no longer configured stays while what replaces it may not be programmed yet: another VIP at its address, which `lb`
    /// may not take beside it, or the one that its frontend has now.
    fn stays(&self, vip: &VipKey, intent: &Intentions<'_>) -> bool {
        let serves = self.vips.get(vip).is_some_and(|actual| actual.weights() > 0);
        serves
            && (intent.vips_at(vip.address).any(|new| intent.frontend(&new).is_some_and(|f| !f.open))
                || intent.frontends.values().any(|f| f.replaces == Some(*vip) && !f.open))
    }

    /// A VIP that has to be recreated, for servers none of which is known yet, stays as it is until they are.
    fn waits_for_newcomers(&self, vip: &VipKey, wanted: &Wanted, intent: &Intentions<'_>) -> bool {
        let serves = self.ledger.ours(vip) && self.vips.get(vip).is_some_and(|actual| actual.weights() > 0);
        let holds = |f: &&Frontend| f.holds(intent.backends, intent.now) && !self.is_made(vip, &f.config);
        serves
            && intent.frontend(vip).filter(holds).is_some()
            && wanted.servers.values().all(|server| server.weight == 0)
    }

    /// The plan for an address, whatever comes of it; none while one of its VIPs is not to be touched.
    fn planned(&self, address: IpAddr, intent: &Intentions<'_>) -> Option<Plan> {
        let items = self.items(address, intent);
        let members: Vec<Member<'_>> = items.iter().map(member).collect();
        let all = members.len() == self.keys(address, intent).len();
        all.then(|| plan(&members, &self.ledger, &self.costs))
    }

    pub(super) fn servers_dumped(&mut self, r: Result<Vec<AsRecord>, LbError>, events: &mut VecDeque<Event>) {
        let Some(job) = &mut self.job else { return };
        let Some(key) = job.asked.take() else { return };
        match r {
            Ok(records) => {
                job.dumped.insert(key, job.now);
                self.seen(&key, &records);
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

    /// `lb` has these servers in a VIP.
    pub(super) fn seen(&mut self, vip: &VipKey, records: &[AsRecord]) {
        self.doubtful.remove(vip);
        let servers = records.iter().map(|r| (r.address, r.weight)).collect();
        self.ledger.observed(vip, self.vips.set_servers(vip, servers));
    }

    pub(super) fn step_done(&mut self, results: Vec<Result<(), LbError>>, events: &mut VecDeque<Event>) {
        let Some(mut job) = self.job.take() else { return };
        for note in job.notes.drain(..) {
            events.push_back(Event::LbSync { text: note, failed: false });
        }
        if let (Some(step), Some(run)) = (job.running.take(), job.run.as_mut()) {
            run.answered(&step, &results, &mut self.ledger);
            let mut done = Vec::new();
            for (op, result) in step.ops.iter().zip(and_unanswered(results)) {
                if result.is_ok() {
                    done.push(*op);
                }
                self.op_done(&mut job, op, result, events);
            }
            told(&done, events);
            if job.class == Class::Adjust {
                self.adjust_spends(job.now, &step.ops, step.bulk);
            }
        }
        self.job = Some(job);
    }

    fn op_done(&mut self, job: &mut Job, op: &Op, result: Result<(), LbError>, events: &mut VecDeque<Event>) {
        let Err(e) = result else {
            job.writes += 1;
            if let Some(vip) = op.vip().filter(|_| op.adds_weight()) {
                self.stuck.remove(&vip);
            }
            if let Op::AddVip { vip, .. } = *op {
                // Its index is to be known before somebody else can be at it.
                job.look.get_or_insert_default().vips.push_back(vip);
                job.dumped.insert(vip, job.now);
            }
            return self.written(op);
        };
        if e == LbError::Held {
            // It is as it was; of what has failed is told.
            return;
        }
        if let (Op::AddServer { vip, address, .. }, LbError::NoAnswer(_)) = (op, &e) {
            self.vips.perhaps(vip, *address);
        }
        if let Some(vip) = op.vip().filter(|_| op.adds_weight()) {
            let since = self.stuck.get(&vip).filter(|(_, last)| self.is_again(*last, job.now));
            let since = since.map_or(job.now, |(since, _)| *since);
            self.stuck.insert(vip, (since, job.now));
        }
        // Somebody else may have been at lb: the list of VIPs could be out of date.
        let vip = matches!(op, Op::AddVip { .. } | Op::DelVip { .. });
        job.doubt = true;
        job.unsure |= vip && matches!(e, LbError::NoAnswer(_));
        job.stale |= matches!(e, LbError::NoSuchEntry | LbError::ValueExist | LbError::NoAnswer(_));
        job.failures.push((op.vip(), self.refused(op, &e, events)));
    }

    /// `lb` has not done it, or did not say so: what it has of that VIP is not known. Answers what was told.
    pub(super) fn refused(&mut self, op: &Op, e: &LbError, events: &mut VecDeque<Event>) -> String {
        self.doubtful.extend(op.vip());
        let text = format!("{op} failed: {e}");
        self.complain(text.clone(), events);
        text
    }

    /// `lb` has done it.
    pub(super) fn written(&mut self, op: &Op) {
        if let Op::SetWeight { vip, address, .. } = *op {
            self.adjust_written(&vip, address);
        }
        match *op {
            Op::SetWeight { vip, address, flush: true, .. }
            | Op::AddServer { vip, address, flush: true, .. } => {
                self.flushed.push((vip, address));
            }
            Op::AddVip { vip, table_length, .. } => {
                self.memory.made(table_length);
                self.made.push(vip);
            }
            Op::DelVip { vip } => {
                self.doubtful.remove(&vip);
                self.memory.lost(self.vips.get(&vip).map(|actual| actual.table_length));
                self.unmade.push(vip.address);
            }
            Op::SetSettings(_)
            | Op::SetWeight { .. }
            | Op::AddServer { .. }
            | Op::DelServer { .. }
            | Op::FlushVip { .. } => {}
        }
        self.vips.advance(op);
    }

    pub(super) fn end_job(&mut self, now: Time) {
        let Some(job) = self.job.take() else { return };
        if job.unsure {
            self.unsure.insert(job.address);
        }
        if job.again {
            self.waiting.push(job.class.min(Class::Change), job.address);
        }
        self.adjust_goes_on(job.address);
        let here = VipKey { address: job.address, service: None };
        let stale: Vec<VipKey> =
            self.errors.range(here..).map(|(k, _)| *k).take_while(|k| k.address == job.address).collect();
        for k in stale {
            self.errors.remove(&k);
        }
        if job.failures.is_empty() {
            if !job.again {
                self.since.remove(&job.address);
            }
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
        if job.class == Class::Routine && job.writes == 0 {
            self.routine_at = now + ROUTINE_PACE;
        }
        self.serve_waiters(Some(job.address), job.writes, &texts);
    }

    pub(super) fn serve_waiters(&mut self, done: Option<IpAddr>, writes: u64, failures: &[String]) {
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

    pub(super) fn complain(&mut self, text: String, events: &mut VecDeque<Event>) {
        self.failures += 1;
        events.push_back(Event::LbSync { text, failed: true });
    }
}
