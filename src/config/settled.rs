//! A file that somebody may be writing at this moment. Written in place, it is a shorter file for as long as that takes, and
//! a shorter configuration may well be valid. Blocks: for the loader's thread alone.

use std::hash::{DefaultHasher, Hasher};
use std::path::Path;
use std::time::Duration;

use rustix::fs::Stat;

use super::file::{self, Unread};
use crate::clock;
use crate::time::Time;

/// Between two looks at a file that is being written.
const PAUSE: Duration = Duration::from_millis(50);
/// A file that was last changed so long ago, by the wall clock, is not being written.
const LONG_AGO_MS: i128 = 2_000;

/// How much is done to get a file that is not being written.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// A file that was changed within the last two seconds is believed once it has stayed the same for so long.
    pub quiet: Duration,
    /// After so long the answer is that it is being written.
    pub most: Duration,
}

impl Patience {
    /// For a configuration.
    pub const USUAL: Patience = Patience { quiet: Duration::from_millis(200), most: Duration::from_secs(3) };
    /// For the first configuration: nobody asks a second time.
    pub const AT_START: Patience =
        Patience { quiet: Duration::from_millis(200), most: Duration::from_secs(15) };
    /// For a file that a configuration names; there may be a hundred.
    pub const SHORT: Patience =
        Patience { quiet: Duration::from_millis(50), most: Duration::from_millis(200) };
}

/// What `pause` is called with, and whether to go on after it.
pub type Pause<'a> = &'a mut dyn FnMut(Duration) -> bool;

/// A pause in which the thread does nothing else.
pub fn sleep(time: Duration) -> bool {
    std::thread::sleep(time);
    true
}

/// What tells a file from another one, and from itself when it was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    place: (u64, u64),
    size: i64,
    changed_ns: i128,
}

impl Stamp {
    #[allow(clippy::useless_conversion, reason = "their types depend on the platform")]
    fn of(s: &Stat) -> Stamp {
        Stamp {
            place: (s.st_dev.into(), s.st_ino.into()),
            size: s.st_size.into(),
            changed_ns: i128::from(s.st_mtime) * 1_000_000_000 + i128::from(s.st_mtime_nsec),
        }
    }
}

/// The bytes of a regular file of at most `limit` bytes, of which nothing was changed while it was read. It is read at least
/// twice, and must be the same both times.
///
/// # Errors
/// As for [`file::regular`]; [`Unread::Changing`] when `patience` is over, or `pause` says that it is.
pub(super) fn settled(
    path: &Path,
    limit: usize,
    patience: Patience,
    pause: Pause<'_>,
) -> Result<Vec<u8>, Unread> {
    let begun = clock::mono();
    // The last whole reading, and when the first one like it was made.
    let mut last: Option<(Stamp, u64, Time)> = None;
    loop {
        let (before, bytes, after) = file::stamped(path, limit)?;
        let (stamp, now) = (Stamp::of(&before), clock::now());
        if stamp == Stamp::of(&after) {
            let mut hash = DefaultHasher::new();
            hash.write(&bytes);
            let hash = hash.finish();
            let same = last.filter(|(s, h, _)| (*s, *h) == (stamp, hash)).map(|(_, _, since)| since);
            let old = i128::from(now.wall_ms) * 1_000_000 - stamp.changed_ns >= LONG_AGO_MS * 1_000_000;
            match same {
                Some(since) if old || now.mono.since(since) >= patience.quiet => return Ok(bytes),
                Some(_) => {}
                None => {
                    last = Some((stamp, hash, now.mono));
                    if old {
                        continue;
                    }
                }
            }
        } else {
            last = None;
        }
        if now.mono.since(begun) >= patience.most || !pause(PAUSE) {
            return Err(Unread::Changing);
        }
    }
}

#[cfg(test)]
#[path = "settled_tests.rs"]
mod tests;
