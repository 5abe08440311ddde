//! How many descriptors the prober may use, and for what.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::process::{Resource, getrlimit, setrlimit};

use super::jobs::Lanes;
use crate::config::Healthchecker;

/// Descriptors left to the rest of the process.
const SPARE_DESCRIPTORS: u64 = 512;

/// Sockets that standing jobs keep between their probes, at most: some 60 MiB of the kernel's memory.
const KEPT_MAX: u64 = 16 * 1024;

/// Raises the process's soft limit of open files to the hard one, as far as it may. The soft one afterwards; none: no limit.
pub fn raise_file_limit() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        let _ = setrlimit(Resource::Nofile, limit);
        limit = getrlimit(Resource::Nofile);
    }
    limit.current
}

/// What there is room for.
pub(super) struct Room {
    /// Probes and queries under way.
    pub flights: Lanes<usize>,
    /// A socket is kept between two probes where its descriptor is below. The kernel gives the lowest that is free, so that this
    /// bounds how many are kept.
    keep_below: u64,
}

impl Room {
    /// By what is configured, and the process's own limit now.
    pub(super) fn new(config: &Healthchecker) -> Room {
        let descriptors = getrlimit(Resource::Nofile).current;
        let flights = limits(config.max_in_flight, config.max_agents_in_flight, descriptors);
        Room { flights, keep_below: keep_below(flights, descriptors) }
    }

    /// Whether there is room to keep that.
    pub(super) fn keeps(&self, fd: BorrowedFd<'_>) -> bool {
        u64::try_from(fd.as_raw_fd()).is_ok_and(|fd| fd < self.keep_below)
    }
}

/// How many may fly: as configured, but never so many that the process runs out of descriptors. Where these are scarce agents get a
/// quarter of them at the most.
fn limits(checks: usize, agents: usize, descriptors: Option<u64>) -> Lanes<usize> {
    let room = match descriptors {
        None => usize::MAX,
        Some(n) => usize::try_from(n.saturating_sub(SPARE_DESCRIPTORS)).unwrap_or(usize::MAX).max(16),
    };
    let agents = agents.clamp(1, room / 4);
    Lanes { checks: checks.clamp(1, room - agents), agents }
}

/// What neither probes nor the rest of the process may come to need.
fn keep_below(flights: Lanes<usize>, descriptors: Option<u64>) -> u64 {
    let flying = flights.checks.saturating_add(flights.agents) as u64;
    descriptors.map_or(KEPT_MAX, |n| n.saturating_sub(SPARE_DESCRIPTORS).saturating_sub(flying).min(KEPT_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_leave_descriptors_to_others_but_never_starve() {
        for (checks, agents, descriptors, fly) in [
            (4096, 1024, Some(1_048_576), (4096, 1024)),
            (4096, 1024, Some(1024), (384, 128)),
            (4096, 1024, Some(520), (12, 4)),
            (4096, 1024, Some(3), (12, 4)),
            (5, 1024, Some(520), (5, 4)),
            (4096, 2, Some(1024), (510, 2)),
            (0, 0, None, (1, 1)),
            (1_000_000, 1_000_000, Some(4096), (2688, 896)),
        ] {
            let Lanes { checks: c, agents: a } = limits(checks, agents, descriptors);
            assert_eq!((c, a), fly, "{checks} {agents} {descriptors:?}");
        }
    }

    #[test]
    fn what_is_kept_leaves_descriptors_to_probes_and_to_others() {
        for (checks, descriptors, kept) in [
            (4096, None, 16_384),
            (4096, Some(524_288), 16_384),
            (4096, Some(8192), 2560),
            (4096, Some(5632), 0),
            (100, Some(1024), 284),
            (4096, Some(1024), 0),
            (4096, Some(3), 0),
        ] {
            let kept_now = keep_below(limits(checks, 1024, descriptors), descriptors);
            assert_eq!(kept_now, kept, "{checks} {descriptors:?}");
        }
    }
}
