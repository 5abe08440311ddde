//! Proof that the code at hand runs on VPP's main thread.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicI32, Ordering};

/// Needed to call VPP. Made at the entry points from C alone; cannot be sent to another thread.
///
/// VPP's own idea of a thread is of no use here: in a thread that it does not know, its thread index reads as main's.
#[derive(Clone, Copy, Debug)]
pub struct MainThread(PhantomData<*const ()>);

static MAIN: AtomicI32 = AtomicI32::new(0);

impl MainThread {
    /// Makes the calling thread main for good; for `maglev_rs_init`.
    pub(super) fn declare() {
        MAIN.store(current(), Ordering::Relaxed);
    }

    /// The token, if this is the thread that was declared. For entry points from C only.
    pub(super) fn at_entry_point() -> Option<MainThread> {
        (MAIN.load(Ordering::Relaxed) == current()).then_some(MainThread(PhantomData))
    }
}

fn current() -> i32 {
    rustix::thread::gettid().as_raw_nonzero().get()
}
