//! When to wake a thread that takes what is sent to it, and when that is no use.

// Not of `std` directly: tests/loom takes this file as it is, with atomics of its own.
use super::atomic::{AtomicBool, Ordering};

/// Whether the thread was woken since it last began to take what was sent.
///
/// Nothing that is sent before [`Rung::ring`] is left lying: either the answer is true, and the thread is to be
/// woken, or it has yet to call [`Rung::answered`], and sees it then.
pub(super) struct Rung(AtomicBool);

impl Rung {
    pub(super) fn new() -> Rung {
        Rung(AtomicBool::new(false))
    }

    /// To be called after something was sent; true: wake the thread.
    pub(super) fn ring(&self) -> bool {
        // Release: who answers sees what was sent before.
        !self.0.swap(true, Ordering::AcqRel)
    }

    /// To be called by the thread before it takes what was sent: what is sent after that rings anew.
    pub(super) fn answered(&self) {
        // Not a store: only by reading what the ringing wrote does it see what was sent before that.
        self.0.swap(false, Ordering::AcqRel);
    }
}
