//! How threads of ours live inside VPP, and how they wake its main thread.
//!
//! They inherit main's single CPU, its scheduling policy and its signals; all three are put right first thing.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use once_cell::sync::OnceCell;
use rustix::thread::{CpuSet, sched_setaffinity};

/// Left open: what a fault of the thread itself raises.
const FAULTS: [libc::c_int; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT, libc::SIGTRAP, libc::SIGSYS];

static WAKE: OnceCell<OwnedFd> = OnceCell::new();

/// Keeps a duplicate of the eventfd for [`wake`].
///
/// # Errors
/// There is no descriptor left.
///
/// # Safety
/// `fd` is open.
pub(super) unsafe fn set_wake_fd(fd: i32) -> io::Result<()> {
    // SAFETY: open for as long as this runs, as the caller promises.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    let own = rustix::io::fcntl_dupfd_cloexec(fd, 3)?;
    // A second call has lost: the first descriptor serves for good.
    let _ = WAKE.set(own);
    Ok(())
}

/// Makes the process node take a turn soon. From any thread; before the start it does nothing.
pub(super) fn wake() {
    if let Some(fd) = WAKE.get() {
        // Full means that it is awake already.
        let _ = rustix::io::write(fd, &1u64.to_ne_bytes());
    }
}

/// The CPUs for our threads.
#[derive(Clone, Debug)]
pub(super) struct Cpus {
    /// Tried in this order; the kernel refuses a set in which no CPU is allowed.
    choices: Vec<CpuSet>,
}

impl Cpus {
    /// `probe` where there is one; else all but main's and the workers', else all but the workers', else all.
    ///
    /// The kernel takes away what the process may not use.
    pub(super) fn choose(probe: &[usize], main: usize, workers: &[usize]) -> Cpus {
        let mut choices = Vec::new();
        if !probe.is_empty() {
            let mut set = CpuSet::new();
            probe.iter().filter(|c| **c < CpuSet::MAX_CPU).for_each(|c| set.set(*c));
            choices.push(set);
        }
        let mut all = CpuSet::new();
        (0..CpuSet::MAX_CPU).for_each(|c| all.set(c));
        let mut no_workers = all;
        workers.iter().filter(|c| **c < CpuSet::MAX_CPU).for_each(|c| no_workers.unset(*c));
        let mut neither = no_workers;
        if main < CpuSet::MAX_CPU {
            neither.unset(main);
        }
        choices.extend([neither, no_workers, all]);
        Cpus { choices }
    }
}

/// What each of our threads runs first.
pub(super) fn thread_init(cpus: Cpus) -> Arc<dyn Fn() + Send + Sync> {
    Arc::new(move || {
        block_signals();
        ordinary_scheduling();
        // Whatever the kernel says, the thread can work where it is.
        let _ = cpus.choices.iter().any(|set| sched_setaffinity(None, set).is_ok());
    })
}

/// Signals blocked until this is dropped: threads that are made meanwhile are born so.
pub(super) struct SignalsBlocked(libc::sigset_t);

impl SignalsBlocked {
    pub(super) fn now() -> SignalsBlocked {
        SignalsBlocked(block_signals())
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        // SAFETY: a set that the kernel itself gave; no old one is asked for.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut()) };
    }
}

/// Blocks all signals but [`FAULTS`] in this thread; the old mask.
fn block_signals() -> libc::sigset_t {
    let mut blocked = MaybeUninit::<libc::sigset_t>::uninit();
    let mut old = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: writes a set.
    unsafe { libc::sigfillset(blocked.as_mut_ptr()) };
    for fault in FAULTS {
        // SAFETY: the set is initialised, the signal exists.
        unsafe { libc::sigdelset(blocked.as_mut_ptr(), fault) };
    }
    // SAFETY: both sets live here; the first is initialised.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, blocked.as_ptr(), old.as_mut_ptr()) };
    // SAFETY: zeroed, an empty set, before the kernel wrote to it.
    unsafe { old.assume_init() }
}

fn ordinary_scheduling() {
    let param = libc::sched_param { sched_priority: 0 };
    // SAFETY: 0 is this thread; the parameter lives here. Giving up priority is never refused.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER, &param) };
}
