//! The prober's jobs, from the order to the end: waiting for room, under way, resting between two probes.
//!
//! A job keeps its place in one table for as long as it lives, and is named by that place. So a healthy backend, which is probed
//! for months, costs no look-up by its identifier and is never moved.

use std::collections::hash_map::Entry as Known;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::pace::{jittered, put_off};
use super::types::{Job, ProbeId, Task};
use crate::config::Healthcheck;
use crate::time::Time;

/// Generations of a place, from 0: above them there is room for the keys of other things.
pub(super) const GENERATIONS: u32 = u32::MAX - 1;

/// Names a job while it lives: its place below, above that the place's generation. No two jobs have had the same, but for two of
/// one place with [`GENERATIONS`] others between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(pub u64);

impl Key {
    fn new(place: u32, generation: u32) -> Key {
        Key(u64::from(generation) << 32 | u64::from(place))
    }

    fn place(self) -> u32 {
        u32::try_from(self.0 & u64::from(u32::MAX)).unwrap_or(u32::MAX)
    }

    fn generation(self) -> u32 {
        u32::try_from(self.0 >> 32).unwrap_or(u32::MAX)
    }
}

/// What is asked. Each has a queue of its own, so that one never waits for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Checks,
    Agents,
}

impl Lane {
    fn of(task: &Task) -> Lane {
        match task {
            Task::Check(_) => Lane::Checks,
            Task::Agent(_) => Lane::Agents,
        }
    }
}

/// One thing for each of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lanes<T> {
    pub checks: T,
    pub agents: T,
}

impl<T> Lanes<T> {
    pub(super) fn of(&self, lane: Lane) -> &T {
        match lane {
            Lane::Checks => &self.checks,
            Lane::Agents => &self.agents,
        }
    }

    pub(super) fn of_mut(&mut self, lane: Lane) -> &mut T {
        match lane {
            Lane::Checks => &mut self.checks,
            Lane::Agents => &mut self.agents,
        }
    }
}

/// What a standing job keeps from one probe to the next.
pub(super) struct Kept {
    /// Its socket, connected to nothing.
    pub fd: OwnedFd,
    /// In which of the namespaces that the thread has been in.
    pub world: u32,
    /// What it sends, where that is the same each time.
    pub request: Box<[u8]>,
}

/// A probe that is to start.
pub(super) struct Start {
    pub key: Key,
    pub address: IpAddr,
    pub task: Task,
    pub kept: Option<Kept>,
}

enum State {
    /// No job is here. In a queue its number may still be.
    Free {
        queued: bool,
    },
    Waiting,
    /// Out of its queue.
    Starting,
    /// Under way, there.
    Flying(u32),
    Resting,
}

struct Place {
    generation: u32,
    state: State,
    job: Option<Job>,
    /// It was put off once after a stall.
    put_off: bool,
    kept: Option<Kept>,
    /// The next of those that rest until the same moment.
    next: Option<u32>,
}

/// All jobs. Moments of rest lie on a grid, so that there are far fewer of them than jobs; and a job that is cancelled is looked
/// for among those of its moment alone.
pub(super) struct Jobs {
    places: Vec<Place>,
    free: Vec<u32>,
    /// Nobody outside chooses the numbers, so that a quick hash will do.
    by_id: FxHashMap<ProbeId, u32>,
    queues: Lanes<VecDeque<u32>>,
    /// Places in `queues` that were not cancelled.
    waiting: Lanes<usize>,
    moments: BTreeMap<Time, u32>,
    rng: fastrand::Rng,
}

impl Jobs {
    pub(super) fn new(seed: u64) -> Jobs {
        Jobs {
            places: Vec::new(),
            free: Vec::new(),
            by_id: FxHashMap::default(),
            queues: Lanes::default(),
            waiting: Lanes::default(),
            moments: BTreeMap::new(),
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// Takes a job, which waits from now on. One whose identifier is here already is dropped.
    pub(super) fn add(&mut self, job: Job) {
        let Known::Vacant(known) = self.by_id.entry(job.id) else { return };
        let number = match self.free.pop() {
            Some(number) => number,
            // More jobs than a number can name: no memory holds them.
            None if self.places.len() >= u32::MAX as usize => return,
            None => {
                let state = State::Free { queued: false };
                self.places.push(Place {
                    generation: 0,
                    state,
                    job: None,
                    put_off: false,
                    kept: None,
                    next: None,
                });
                u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
            }
        };
        known.insert(number);
        if let Some(place) = self.places.get_mut(number as usize) {
            place.job = Some(job);
            place.put_off = false;
        }
        self.enqueue(number);
    }

    /// Ends a job by its identifier. Where its probe is, if it is under way.
    pub(super) fn cancel(&mut self, id: ProbeId) -> Option<u32> {
        let number = *self.by_id.get(&id)?;
        let lane = Lane::of(&self.places.get(number as usize)?.job.as_ref()?.task);
        match self.vacate(number)? {
            State::Flying(slot) => Some(slot),
            State::Waiting => {
                let waiting = self.waiting.of_mut(lane);
                *waiting -= 1;
                // It stays in the queue until its turn, but not for ever if that never comes.
                if self.queues.of(lane).len() > 2 * *waiting + 64 {
                    self.sweep(lane);
                }
                None
            }
            State::Free { .. } | State::Starting | State::Resting => None,
        }
    }

    /// Ends a job.
    pub(super) fn end(&mut self, key: Key) {
        if self.seen(key).is_some() {
            self.vacate(key.place());
        }
    }

    /// Jobs that wait for their probe.
    pub(super) fn waiting(&self, lane: Lane) -> usize {
        *self.waiting.of(lane)
    }

    /// The next that is to be probed. Where its probe is must be told, or the job be ended.
    pub(super) fn next_start(&mut self, lane: Lane) -> Option<Start> {
        while let Some(number) = self.queues.of_mut(lane).pop_front() {
            let Some(place) = self.places.get_mut(number as usize) else { continue };
            match place.state {
                State::Waiting => {
                    place.state = State::Starting;
                    *self.waiting.of_mut(lane) -= 1;
                    let key = Key::new(number, place.generation);
                    if let Some(job) = &place.job {
                        let (address, task) = (job.address, job.task.clone());
                        return Some(Start { key, address, task, kept: place.kept.take() });
                    }
                }
                State::Free { .. } => self.release(number),
                // In the queue is only what waits, or did.
                State::Starting | State::Flying(_) | State::Resting => {}
            }
        }
        None
    }

    /// The probe of a job is under way in that slot.
    pub(super) fn flies(&mut self, key: Key, slot: u32) {
        if let Some(place) = place_of(&mut self.places, key) {
            place.state = State::Flying(slot);
        }
    }

    /// Where the probe of a job is, if it is under way.
    pub(super) fn slot(&self, key: Key) -> Option<u32> {
        let place = self.seen(key)?;
        match place.state {
            State::Flying(slot) => Some(slot),
            State::Free { .. } | State::Waiting | State::Starting | State::Resting => None,
        }
    }

    /// The job, and whether it was put off once after a stall.
    pub(super) fn get(&self, key: Key) -> Option<(&Job, bool)> {
        let place = self.seen(key)?;
        Some((place.job.as_ref()?, place.put_off))
    }

    /// A probe that ran from `started` to `finished` has passed. The next is due from start to start, but not before this
    /// one was done; answers when. None: it is no job that goes on. What is kept is kept until then.
    pub(super) fn rest(
        &mut self,
        key: Key,
        started: Time,
        finished: Time,
        kept: Option<Kept>,
    ) -> Option<Time> {
        let place = place_of(&mut self.places, key)?;
        let job = place.job.as_mut()?;
        let check = standing(job)?;
        let at = jittered(started, check.interval, check.jitter_percent, &mut self.rng).max(finished);
        job.due = at;
        place.put_off = false;
        place.kept = kept;
        self.lay_down(key.place(), at);
        Some(at)
    }

    /// The earliest moment at which one that rests is due.
    pub(super) fn next_due(&self) -> Option<Time> {
        self.moments.first_key_value().map(|(at, _)| *at)
    }

    /// Those whose moment has come wait for their probe. What is overdue since a stall is put off once, over its fast interval.
    pub(super) fn rouse(&mut self, now: Time) {
        while let Some(mut first) = self.moments.first_entry().filter(|e| *e.key() <= now) {
            let number = *first.get();
            let Some(place) = self.places.get_mut(number as usize) else {
                first.remove();
                continue;
            };
            match place.next.take() {
                Some(next) => *first.get_mut() = next,
                None => drop(first.remove()),
            }
            let Some(job) = place.job.as_mut() else { continue };
            let spread = standing(job).map_or(Duration::ZERO, |check| check.fast_interval);
            match put_off(now, job.due, &mut place.put_off, spread, &mut self.rng) {
                Some(at) => {
                    job.due = at;
                    self.lay_down(number, at);
                }
                None => self.enqueue(number),
            }
        }
    }

    fn seen(&self, key: Key) -> Option<&Place> {
        self.places.get(key.place() as usize).filter(|p| p.generation == key.generation())
    }

    fn enqueue(&mut self, number: u32) {
        if let Some(place) = self.places.get_mut(number as usize)
            && let Some(job) = &place.job
        {
            let lane = Lane::of(&job.task);
            place.state = State::Waiting;
            *self.waiting.of_mut(lane) += 1;
            self.queues.of_mut(lane).push_back(number);
        }
    }

    fn lay_down(&mut self, number: u32, at: Time) {
        let next = self.moments.insert(at, number);
        if let Some(place) = self.places.get_mut(number as usize) {
            place.state = State::Resting;
            place.next = next;
        }
    }

    /// The job of a place is no more. What it was doing.
    fn vacate(&mut self, number: u32) -> Option<State> {
        let place = self.places.get_mut(number as usize)?;
        let job = place.job.take()?;
        place.generation = (place.generation + 1) % GENERATIONS;
        place.kept = None;
        let queued = matches!(place.state, State::Waiting);
        let was = std::mem::replace(&mut place.state, State::Free { queued });
        self.by_id.remove(&job.id);
        if matches!(was, State::Resting) {
            self.wake_up(number, job.due);
        }
        if !queued {
            self.free.push(number);
        }
        Some(was)
    }

    /// A place whose number has left the queue after its job did.
    fn release(&mut self, number: u32) {
        if let Some(place) = self.places.get_mut(number as usize)
            && matches!(place.state, State::Free { queued: true })
        {
            place.state = State::Free { queued: false };
            self.free.push(number);
        }
    }

    /// Takes what is cancelled out of a queue.
    fn sweep(&mut self, lane: Lane) {
        let mut queue = std::mem::take(self.queues.of_mut(lane));
        queue.retain(|number| {
            let waits = self.places.get(*number as usize).is_some_and(|p| matches!(p.state, State::Waiting));
            if !waits {
                self.release(*number);
            }
            waits
        });
        *self.queues.of_mut(lane) = queue;
    }

    /// Takes one out of those that rest until that moment.
    fn wake_up(&mut self, number: u32, due: Time) {
        let after = self.places.get_mut(number as usize).and_then(|p| p.next.take());
        let Some(first) = self.moments.get_mut(&due) else { return };
        if *first == number {
            match after {
                Some(after) => *first = after,
                None => drop(self.moments.remove(&due)),
            }
            return;
        }
        let mut before = *first;
        while let Some(place) = self.places.get_mut(before as usize) {
            match place.next {
                Some(next) if next == number => {
                    place.next = after;
                    return;
                }
                Some(next) => before = next,
                None => return,
            }
        }
    }
}

fn place_of(places: &mut [Place], key: Key) -> Option<&mut Place> {
    places.get_mut(key.place() as usize).filter(|p| p.generation == key.generation())
}

/// The healthcheck by which a job goes on, if it is one that does.
fn standing(job: &Job) -> Option<&Healthcheck> {
    match &job.task {
        Task::Check(check) if job.standing => Some(check),
        Task::Check(_) | Task::Agent(_) => None,
    }
}

#[cfg(test)]
#[path = "jobs_tests.rs"]
mod tests;
