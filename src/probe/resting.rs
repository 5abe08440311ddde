//! Standing jobs between two probes of theirs.

use std::collections::BTreeMap;
use std::time::Duration;

use super::pace::{jittered, put_off};
use super::types::{Job, ProbeId, Task};
use crate::config::Healthcheck;
use crate::time::Time;

/// A job that waits for its probe.
pub(super) struct Wanted {
    pub job: Job,
    /// It was put off once after a stall.
    pub put_off: bool,
}

/// By the moment of the next probe. Moments lie on a grid, so that there are far fewer of them than jobs; and a job that is
/// cancelled is looked for among those of its moment alone.
pub(super) struct Resting {
    moments: BTreeMap<Time, Vec<Wanted>>,
    rng: fastrand::Rng,
}

impl Resting {
    pub(super) fn new(seed: u64) -> Resting {
        Resting { moments: BTreeMap::new(), rng: fastrand::Rng::with_seed(seed) }
    }

    /// A probe that ran from `started` to `finished` has passed. The next is due from start to start, but not before this
    /// one was done; answers when. None: it is no job that goes on.
    pub(super) fn rest(&mut self, mut job: Job, started: Time, finished: Time) -> Option<Time> {
        let check = standing(&job)?;
        job.due = jittered(started, check.interval, check.jitter_percent, &mut self.rng).max(finished);
        Some(self.put(Wanted { job, put_off: false }))
    }

    /// Takes out a job whose moment has come. What is overdue since a stall is put off once, over its fast
    /// interval.
    pub(super) fn pop_due(&mut self, now: Time) -> Option<Due> {
        let mut first = self.moments.first_entry().filter(|e| *e.key() <= now)?;
        let wanted = first.get_mut().pop();
        if first.get().is_empty() {
            first.remove();
        }
        let mut wanted = wanted?;
        let Wanted { job, put_off: already } = &mut wanted;
        let spread = standing(job).map_or(Duration::ZERO, |check| check.fast_interval);
        Some(match put_off(now, job.due, already, spread, &mut self.rng) {
            Some(at) => {
                job.due = at;
                Due::Later(job.id, self.put(wanted))
            }
            None => Due::Now(wanted),
        })
    }

    /// The earliest moment.
    pub(super) fn next(&self) -> Option<Time> {
        self.moments.first_key_value().map(|(at, _)| *at)
    }

    /// Takes out one that is due then.
    pub(super) fn remove(&mut self, due: Time, id: ProbeId) {
        if let Some(all) = self.moments.get_mut(&due) {
            all.retain(|w| w.job.id != id);
            if all.is_empty() {
                self.moments.remove(&due);
            }
        }
    }

    fn put(&mut self, wanted: Wanted) -> Time {
        let due = wanted.job.due;
        self.moments.entry(due).or_default().push(wanted);
        due
    }
}

/// What becomes of a job whose moment has come.
pub(super) enum Due {
    /// Its probe is to start.
    Now(Wanted),
    /// It was put off until then.
    Later(ProbeId, Time),
}

/// The healthcheck by which a job goes on, if it is one that does.
pub(super) fn standing(job: &Job) -> Option<&Healthcheck> {
    match &job.task {
        Task::Check(check) if job.standing => Some(check),
        Task::Check(_) | Task::Agent(_) => None,
    }
}

#[cfg(test)]
#[path = "resting_tests.rs"]
mod tests;
