//! How many descriptors the prober may use, and for what.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::process::{Resource, getrlimit, setrlimit};

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
    /// Probes under way.
    pub flights: usize,
    /// A socket is kept between two probes where its descriptor is below. The kernel gives the lowest that is free, so that this
    /// bounds how many are kept.
    keep_below: u64,
}

impl Room {
    /// By what is configured, and the process's own limit now.
    pub(super) fn new(max_in_flight: usize) -> Room {
        let descriptors = getrlimit(Resource::Nofile).current;
        Room {
            flights: effective_limit(max_in_flight, descriptors),
            keep_below: keep_below(max_in_flight, descriptors),
        }
    }

    /// Whether there is room to keep that.
    pub(super) fn keeps(&self, fd: BorrowedFd<'_>) -> bool {
        u64::try_from(fd.as_raw_fd()).is_ok_and(|fd| fd < self.keep_below)
    }
}

/// How many probes may fly: as configured, but never so many that the process runs out of descriptors.
fn effective_limit(configured: usize, descriptors: Option<u64>) -> usize {
    let room = match descriptors {
        None => usize::MAX,
        Some(n) => usize::try_from(n.saturating_sub(SPARE_DESCRIPTORS)).unwrap_or(usize::MAX).max(16),
    };
    configured.clamp(1, room)
}

/// What neither probes nor the rest of the process may come to need.
fn keep_below(configured: usize, descriptors: Option<u64>) -> u64 {
    let flying = effective_limit(configured, descriptors) as u64;
    descriptors.map_or(KEPT_MAX, |n| n.saturating_sub(SPARE_DESCRIPTORS).saturating_sub(flying).min(KEPT_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_leaves_descriptors_to_others_but_never_starves() {
        assert_eq!(effective_limit(4096, Some(1_048_576)), 4096);
        assert_eq!(effective_limit(4096, Some(1024)), 512);
        assert_eq!(effective_limit(4096, Some(520)), 16);
        assert_eq!(effective_limit(4096, Some(3)), 16);
        assert_eq!(effective_limit(5, Some(520)), 5);
        assert_eq!(effective_limit(0, None), 1);
    }

    #[test]
    fn what_is_kept_leaves_descriptors_to_probes_and_to_others() {
        for (configured, descriptors, kept) in [
            (4096, None, 16_384),
            (4096, Some(524_288), 16_384),
            (4096, Some(8192), 3584),
            (4096, Some(4608), 0),
            (100, Some(1024), 412),
            (4096, Some(1024), 0),
            (4096, Some(3), 0),
        ] {
            assert_eq!(keep_below(configured, descriptors), kept, "{configured} {descriptors:?}");
        }
    }
}
