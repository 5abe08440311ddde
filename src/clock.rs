//! The only place that reads a clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use once_cell::sync::Lazy;

use crate::time::{Now, Time};

static EPOCH: Lazy<Instant> = Lazy::new(start);

#[allow(clippy::disallowed_methods)]
fn start() -> Instant {
    Instant::now()
}

/// The process's monotonic clock; the same for all threads.
#[allow(clippy::disallowed_methods)]
pub fn mono() -> Time {
    Time::ZERO + Instant::now().saturating_duration_since(*EPOCH)
}

/// Both clocks.
#[allow(clippy::disallowed_methods)]
pub fn now() -> Now {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { mono: mono(), wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX) }
}
