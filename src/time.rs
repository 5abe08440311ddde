//! Time as the controller knows it: a number, handed in.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment on the process's monotonic clock, in nanoseconds since an arbitrary start.
///
/// All of the control plane takes it as an argument; only [`crate::clock`] reads a real clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub u64);

impl Time {
    /// The start of the clock.
    pub const ZERO: Time = Time(0);
    /// Later than anything: "never".
    pub const MAX: Time = Time(u64::MAX);

    /// A moment so many milliseconds after the start of the clock.
    pub const fn from_millis(ms: u64) -> Time {
        Time(ms.saturating_mul(1_000_000))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, d: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;
    fn sub(self, d: Duration) -> Time {
        Time(self.0.saturating_sub(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Time::MAX { write!(f, "never") } else { write!(f, "{:?}", Duration::from_nanos(self.0)) }
    }
}

/// A moment on both clocks: the monotonic one that decides, the wall clock that is only shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic.
    pub mono: Time,
    /// Milliseconds since the Unix epoch.
    pub wall_ms: u64,
}
