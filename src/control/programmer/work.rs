//! The work on one address: dump, plan, run the plan step by step.

use std::collections::VecDeque;
use std::net::IpAddr;

use super::{BACKOFF, Job, LbRequest, Programmer, ROUTINE_PACE, Retry};
use crate::control::event::Event;
use crate::control::intent::{Intent, Intentions};
use crate::lb::reconcile::{Actual, Member, Note, Plan, Wanted, plan};
use crate::lb::run::Run;
use crate::lb::{AsRecord, LbError, Op, VipKey};
use crate::time::Time;

/// A VIP, what it should be and what it is.
type Item = (VipKey, Option<Wanted>, Option<Actual>);

fn member((vip, wanted, actual): &Item) -> Member<'_> {
    Member { vip: *vip, wanted: wanted.as_ref(), actual: actual.as_ref(), adopt: true }
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
            self.urgent.push(address);
        }
        let (address, routine) = loop {
            let (address, routine) = match self.urgent.pop() {
                Some(a) => {
                    self.routine.remove(&a);
                    (a, false)
                }
                None if self.routine_at <= now => (self.routine.pop()?, true),
                None => return None,
            };
            if !self.unsure.contains(&address) {
                break (address, routine);
            }
            self.held.insert(address);
            self.full_due = self.full_due.min(now);
        };
        self.causes.begun(&address, routine);
        self.job = Some(Job {
            address,
            routine,
            dump: self.to_dump(address, intent),
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
        let met = |vip: VipKey| self.vips.get(&vip).is_some_and(|a| intent.met(&vip, a, &self.ledger));
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
            let dump = self.to_dump(job.address, intent);
            let job = self.job.as_mut()?;
            job.again = false;
            job.run = None;
            job.look = None;
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
        if let Some(look) = self.look(intent) {
            return Some(look);
        }
        let job = self.job.as_mut()?;
        if job.run.is_none() {
            let address = job.address;
            if self.met(address, intent) {
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
        let ops = step.ops.clone();
        job.running = Some(step);
        Some(LbRequest::Apply(ops))
    }

    /// The plan for an address, begun, and what is to be said of it.
    pub(super) fn plan(&mut self, address: IpAddr, intent: &Intentions<'_>) -> (Run, Vec<String>) {
        let mut items = self.items(address, intent);
        self.hold_vips(address, &mut items);
        let members: Vec<Member<'_>> = items.iter().map(member).collect();
        self.costs.room = self.memory.room();
        let plan = plan(&members, &self.ledger, &self.costs);
        self.memory.planned(address, &plan);
        let told_once = |n: &Note| matches!(n, Note::Refused { .. } | Note::NoRoom { .. });
        let logged = |n: &&Note| !told_once(n);
        let notes = plan.notes.iter().filter(logged).map(ToString::to_string).collect();
        for note in &plan.notes {
            if let Some(vip) = note.unmet() {
                self.unmet(*vip, note.to_string(), told_once(note));
            }
        }
        (Run::start(plan, &members, &mut self.ledger), notes)
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
        self.urgent.push(vip.address);
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
                Intent::Have(wanted) => items.push((vip, Some(wanted), actual)),
                Intent::Drop => items.push((vip, None, actual)),
            }
        }
        items
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
                let servers = records.iter().map(|r| (r.address, r.weight)).collect();
                self.ledger.observed(&key, self.vips.set_servers(&key, servers));
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

    pub(super) fn step_done(&mut self, results: Vec<Result<(), LbError>>, events: &mut VecDeque<Event>) {
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
                    if let Op::AddVip { vip, table_length, .. } = op {
                        self.memory.made(table_length);
                        self.made.push(vip);
                        // Its index is to be known before somebody else can be at it.
                        job.look.get_or_insert_default().vips.push_back(vip);
                    }
                    if let Op::DelVip { vip } = op {
                        self.memory.lost(self.vips.get(&vip).map(|actual| actual.table_length));
                        self.unmade.push(vip.address);
                    }
                    self.vips.advance(&op);
                    events.push_back(Event::LbSync { text: op.to_string(), failed: false });
                }
                Err(e) => {
                    self.failures += 1;
                    if let (Op::AddServer { vip, address, .. }, LbError::NoAnswer(_)) = (&op, &e) {
                        self.vips.perhaps(vip, *address);
                    }
                    let text = format!("{op} failed: {e}");
                    // Somebody else may have been at lb: the list of VIPs could be out of date.
                    let vip = matches!(op, Op::AddVip { .. } | Op::DelVip { .. });
                    job.unsure |= vip && matches!(e, LbError::NoAnswer(_));
                    job.stale |=
                        matches!(e, LbError::NoSuchEntry | LbError::ValueExist | LbError::NoAnswer(_));
                    job.failures.push((op.vip(), text.clone()));
                    events.push_back(Event::LbSync { text, failed: true });
                }
            }
        }
    }

    pub(super) fn end_job(&mut self, now: Time) {
        let Some(job) = self.job.take() else { return };
        if job.unsure {
            self.unsure.insert(job.address);
        }
        if job.again {
            self.urgent.push(job.address);
        }
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
