//! Every order in which threads can take their steps, and everything that a processor may show them meanwhile, for what
//! wakes a thread of ours: `make models`.
//!
//! The code under test is that of the crate, with loom's atomics. What surrounds it is modelled: a channel that gives no
//! more than the doorbell promises for it (relaxed slots), and an eventfd on which a thread sleeps. When all has been sent
//! and the thread sleeps, nothing may be left for it.

#![cfg(test)]

use loom::sync::atomic;

#[path = "../../../src/probe/doorbell.rs"]
mod doorbell;

mod owner;
mod prober;

/// An eventfd, with the epoll or the loop of VPP that waits for it.
struct Eventfd(atomic::AtomicBool);

impl Eventfd {
    fn new() -> Eventfd {
        Eventfd(atomic::AtomicBool::new(false))
    }

    fn write(&self) {
        self.0.swap(true, atomic::Ordering::AcqRel);
    }

    /// False: who waits for it goes on sleeping.
    fn ready(&self) -> bool {
        self.0.swap(false, atomic::Ordering::AcqRel)
    }
}

/// All orders of the steps of `body` with at most three interruptions of a thread.
fn check(body: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(body);
}
