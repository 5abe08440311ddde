//! The prober's thread, and how to talk to it.

use std::any::Any;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use parking_lot::Mutex;
use rustix::event::{EventfdFlags, eventfd};
use rustix::thread::{CpuSet, sched_setaffinity};

use super::doorbell::Rung;
use super::engine::Engine;
use super::text::{printable, words};
use super::types::{Order, Told};
use crate::budget::{Budget, Budgets};

/// The thread's name, as `ps -L` shows it.
pub const THREAD_NAME: &str = "maglev-probe";

/// How the prober's thread is to be.
#[derive(Default)]
pub struct ProberOptions {
    /// CPUs the thread may run on; none: those of the thread that spawns it. CPUs that do not exist are left out;
    /// when none is left the thread runs where it was born, and [`Prober::complaint`] says so.
    pub cpus: Option<Vec<usize>>,
    /// Called on the prober's thread after results or a beat were put into the channel, at most once a turn of its
    /// loop: at once, but for passes of standing jobs, which may lie there until the next beat. It must not block.
    pub wake: Option<Arc<dyn Fn() + Send + Sync>>,
    /// Called first of all on the thread: the place for a signal mask and a scheduling policy, for which no safe
    /// call exists. A spawner that must not let a signal slip in before it blocks signals itself around the spawn,
    /// since a thread inherits its mask.
    pub thread_init: Option<Box<dyn FnOnce() + Send>>,
    /// So many things told and not taken are kept; then beats are left out and standing jobs are not probed, since nobody is
    /// listening. None: 100,000.
    pub untaken_max: Option<usize>,
    /// The memory of what peers send to all probes; none: one of the default size.
    pub bodies: Option<Arc<Budget>>,
    /// Never use raw sockets for ICMP, even where they are permitted.
    pub unprivileged_ping: bool,
}

/// An eventfd that is rung at most once until it is answered.
pub(super) struct Doorbell {
    fd: OwnedFd,
    rung: Rung,
}

impl Doorbell {
    fn new() -> io::Result<Doorbell> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Doorbell { fd, rung: Rung::new() })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn ring(&self) {
        if self.rung.ring() {
            // It fails only when the counter is full, after 2^64 rings.
            let _ = rustix::io::write(&self.fd, &1_u64.to_ne_bytes());
        }
    }

    /// To be called before the orders are taken: one sent after that rings anew.
    pub(super) fn answered(&self) {
        self.rung.answered();
    }
}

/// What thread and owner share.
struct Shared {
    alive: AtomicBool,
    complaint: Mutex<Option<String>>,
}

/// The handle of a running prober. Dropping it tells the thread to end, but does not wait for it.
pub struct Prober {
    orders: Sender<Order>,
    told: Receiver<Told>,
    doorbell: Arc<Doorbell>,
    shared: Arc<Shared>,
    /// Disconnected when the thread is about to return.
    ended: Receiver<()>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Prober {
    /// Starts the thread.
    ///
    /// # Errors
    /// No descriptor for its epoll or eventfd, or no thread.
    pub fn spawn(options: ProberOptions) -> io::Result<Prober> {
        let (orders, orders_in) = unbounded();
        let (told_out, told) = unbounded();
        let (ended_out, ended) = unbounded::<()>();
        let doorbell = Arc::new(Doorbell::new()?);
        let shared = Arc::new(Shared { alive: AtomicBool::new(true), complaint: Mutex::new(None) });
        let ProberOptions { cpus, wake, thread_init, untaken_max, bodies, unprivileged_ping } = options;
        let bodies = bodies.unwrap_or_else(|| Budgets::default().bodies);

        let body = {
            let (doorbell, shared) = (doorbell.clone(), shared.clone());
            move || {
                let last_wake = wake.clone();
                let result = catch_unwind(AssertUnwindSafe(|| {
                    if let Some(init) = thread_init {
                        init();
                    }
                    if let Some(cpus) = cpus
                        && let Err(why) = pin(&cpus)
                    {
                        shared.complain(why);
                    }
                    // Here, not in `spawn`: the namespace is this thread's.
                    let engine = Engine::new(
                        doorbell,
                        orders_in,
                        told_out,
                        wake,
                        untaken_max,
                        unprivileged_ping,
                        bodies,
                    );
                    engine.and_then(Engine::run)
                }));
                match result {
                    Ok(Ok(())) => {}
                    Ok(Err(e)) => shared.complain(format!("prober: {}", words(e))),
                    Err(panic) => shared.complain(format!("prober panicked: {}", message(&*panic))),
                }
                shared.alive.store(false, Ordering::Release);
                // So that its end is noticed. If that is what panicked, so be it.
                let _ = catch_unwind(AssertUnwindSafe(|| last_wake.iter().for_each(|wake| wake())));
                drop(ended_out);
            }
        };
        let thread = std::thread::Builder::new().name(THREAD_NAME.into()).spawn(body)?;
        Ok(Prober { orders, told, doorbell, shared, ended, thread: Mutex::new(Some(thread)) })
    }

    /// Hands an order over; never blocks. Ignored when the thread has ended. The identifier of a probe that waits
    /// or flies must not be used again: such a second order is dropped.
    pub fn send(&self, order: Order) {
        if self.orders.send(order).is_ok() {
            self.doorbell.ring();
        }
    }

    /// As [`Prober::send`] each of them, but the thread is woken once, after the last: else it would take the first,
    /// go back to sleep, and be woken again for the others.
    pub fn send_all(&self, orders: impl IntoIterator<Item = Order>) {
        let mut sent = false;
        for order in orders {
            sent |= self.orders.send(order).is_ok();
        }
        if sent {
            self.doorbell.ring();
        }
    }

    /// The next thing told, if there is one.
    pub fn try_recv(&self) -> Option<Told> {
        self.told.try_recv().ok()
    }

    /// The channel behind [`Prober::try_recv`], to wait on it where waiting is allowed.
    pub fn receiver(&self) -> &Receiver<Told> {
        &self.told
    }

    /// False once the thread has ended, in whatever way: stopped, panicked, or no event loop to be had.
    pub fn alive(&self) -> bool {
        self.shared.alive.load(Ordering::Acquire)
    }

    /// What the thread has to say about itself: why it ended other than by [`Prober::stop`], or that it could not
    /// be put on its CPUs.
    pub fn complaint(&self) -> Option<String> {
        self.shared.complaint.lock().clone()
    }

    /// Lets go of a thread that does not beat any more: it ends by itself as soon as it gets on, and nobody hears what
    /// it may still have to tell.
    pub fn abandon(self) -> Abandoned {
        Abandoned(self.shared.clone())
    }

    /// Ends the thread and joins it; probes in flight are dropped. False when it did not end within `patience`, and
    /// then it is left alone; may be called again.
    pub fn stop(&self, patience: Duration) -> bool {
        self.send(Order::Stop);
        if self.ended.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            return false;
        }
        match self.thread.lock().take() {
            // It is past its last statement. Its panic was caught within.
            Some(thread) => thread.join().is_ok(),
            None => true,
        }
    }
}

/// A prober that was left to itself; see [`Prober::abandon`].
pub struct Abandoned(Arc<Shared>);

impl Abandoned {
    /// Whether its thread has ended.
    pub fn ended(&self) -> bool {
        !self.0.alive.load(Ordering::Acquire)
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.send(Order::Stop);
    }
}

impl Shared {
    fn complain(&self, why: String) {
        *self.complaint.lock() = Some(printable(why.as_bytes()));
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(s), _) => s,
        (None, Some(s)) => s,
        (None, None) => "no message",
    }
}

/// Puts the calling thread on those of `cpus` that exist.
fn pin(cpus: &[usize]) -> Result<(), String> {
    let mut set = CpuSet::new();
    for cpu in cpus.iter().filter(|cpu| **cpu < CpuSet::MAX_CPU) {
        set.set(*cpu);
    }
    sched_setaffinity(None, &set).map_err(|e| format!("cannot run on CPUs {cpus:?}: {}", words(e)))
}
