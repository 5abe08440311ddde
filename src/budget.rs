//! How much memory each thing may take that others can make large: a file, a peer, a client. What does not fit is refused
//! or cut, and says so; `show status` tells what is used of what.
//!
//! A [`Budget`] is a limit and a counter. Whoever is about to keep something takes a [`Reservation`], which gives its bytes
//! back when it is dropped. All of it works from any thread and never waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use serde::Serialize;

const MIB: usize = 1 << 20;

/// Compiled regular expressions of one configuration.
pub const EXPRESSIONS_OF_ONE: usize = 64 * MIB;
/// Trusted certificates of one configuration.
pub const CERTIFICATES_OF_ONE: usize = 32 * MIB;
/// One answer that is shown.
pub const ONE_ANSWER: usize = 64 * MIB;

/// A limit in bytes, and what is used of it.
#[derive(Debug)]
pub struct Budget {
    name: &'static str,
    limit: usize,
    used: AtomicUsize,
    most: AtomicUsize,
    refused: AtomicU64,
}

impl Budget {
    /// Nothing used yet.
    pub fn new(name: &'static str, limit: usize) -> Arc<Budget> {
        Arc::new(Budget {
            name,
            limit,
            used: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
        })
    }

    /// So many bytes, until the reservation is dropped; none where they would exceed the limit.
    pub fn reserve(self: &Arc<Self>, bytes: usize) -> Option<Reservation> {
        self.take(bytes).then(|| Reservation { budget: self.clone(), bytes })
    }

    /// The limit, in bytes.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Bytes used now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes that are left.
    pub fn left(&self) -> usize {
        self.limit.saturating_sub(self.used())
    }

    /// For what is counted elsewhere: so many bytes are used now.
    pub fn set(&self, bytes: usize) {
        self.used.store(bytes, Ordering::Relaxed);
        self.most.fetch_max(bytes, Ordering::Relaxed);
    }

    /// Something was refused or cut that was not asked for with [`Budget::reserve`].
    pub fn count_refusal(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Gives back what [`Reservation::leak`] has left behind.
    pub fn release(&self, bytes: usize) {
        self.give_back(bytes);
    }

    /// For `show status`.
    pub fn view(&self) -> BudgetView {
        BudgetView {
            name: self.name,
            used: self.used(),
            limit: self.limit,
            most: self.most.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }

    fn take(&self, bytes: usize) -> bool {
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|sum| *sum <= self.limit)
        });
        match taken {
            Ok(before) => {
                self.most.fetch_max(before.saturating_add(bytes), Ordering::Relaxed);
                true
            }
            Err(_) => {
                self.count_refusal();
                false
            }
        }
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Bytes of a budget, given back when this is dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Reservation {
    /// Changes it to so many bytes. False: they would exceed the limit, and it is as it was.
    #[must_use]
    pub fn resize(&mut self, bytes: usize) -> bool {
        if bytes > self.bytes {
            if !self.budget.take(bytes - self.bytes) {
                return false;
            }
        } else {
            self.budget.give_back(self.bytes - bytes);
        }
        self.bytes = bytes;
        true
    }

    /// Leaves the bytes reserved: where what they are for goes to C. [`Budget::release`] gives them back.
    pub fn leak(mut self) -> usize {
        // Nothing is left for the drop to give back.
        std::mem::take(&mut self.bytes)
    }

    /// How many they are.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

/// All budgets of one control plane.
#[derive(Clone, Debug)]
pub struct Budgets {
    /// Compiled expressions of all configurations in memory: the running one and one that is being read.
    pub expressions: Arc<Budget>,
    /// Trusted certificates of the same.
    pub certificates: Arc<Budget>,
    /// What matching keeps from one use of an expression to the next; where it is full it keeps nothing.
    pub matching: Arc<Budget>,
    /// What peers have sent to probes in flight, beyond what each probe has of its own.
    pub bodies: Arc<Budget>,
    /// Answers that are being read, and those that wait to be taken.
    pub answers: Arc<Budget>,
    /// The text of the state file, as it was last written.
    pub state: Arc<Budget>,
    /// The events of `show events`.
    pub events: Arc<Budget>,
    /// Events that wait to be handed to subscribers of the binary API.
    pub queue: Arc<Budget>,
    /// What clients of the binary API have not read: 16 MiB to sockets and 4 MiB in shared memory (csrc/api_send.c).
    pub api_clients: Arc<Budget>,
}

impl Default for Budgets {
    fn default() -> Self {
        Budgets {
            expressions: Budget::new("expressions", 2 * EXPRESSIONS_OF_ONE),
            certificates: Budget::new("certificates", 2 * CERTIFICATES_OF_ONE),
            matching: Budget::new("matching", 32 * MIB),
            bodies: Budget::new("bodies", 64 * MIB),
            answers: Budget::new("answers", 2 * ONE_ANSWER),
            state: Budget::new("state", 64 * MIB),
            events: Budget::new("events", MIB),
            queue: Budget::new("event queue", 4 * MIB),
            api_clients: Budget::new("api clients", 20 * MIB),
        }
    }
}

impl Budgets {
    /// For `show status`.
    pub fn views(&self) -> Vec<BudgetView> {
        let Budgets {
            expressions,
            certificates,
            matching,
            bodies,
            answers,
            state,
            events,
            queue,
            api_clients,
        } = self;
        [expressions, certificates, matching, bodies, answers, state, events, queue, api_clients]
            .map(|b| b.view())
            .into()
    }
}

/// One budget, as `show status` has it. Bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BudgetView {
    /// `bodies`
    pub name: &'static str,
    /// Now.
    pub used: usize,
    /// The most that may be.
    pub limit: usize,
    /// The most that ever was.
    pub most: usize,
    /// How often something did not fit.
    pub refused: u64,
}

/// `512 B`, `3 KiB`, `12 MiB`: rounded up to a whole unit, so that what is not empty is not shown as 0.
pub fn size(bytes: usize) -> String {
    const KIB: usize = 1 << 10;
    match bytes {
        0 => "0".to_owned(),
        1..KIB => format!("{bytes} B"),
        KIB..MIB => format!("{} KiB", bytes.div_ceil(KIB)),
        _ => format!("{} MiB", bytes.div_ceil(MIB)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_reserved_and_given_back() {
        let b = Budget::new("b", 100);
        let first = b.reserve(60).unwrap();
        assert!(b.reserve(41).is_none());
        let second = b.reserve(40).unwrap();
        assert_eq!((b.used(), b.left()), (100, 0));
        drop(first);
        assert_eq!(b.used(), 40);
        drop(second);
        assert_eq!(b.view(), BudgetView { name: "b", used: 0, limit: 100, most: 100, refused: 1 });
    }

    #[test]
    fn a_reservation_grows_as_far_as_the_limit_and_shrinks() {
        let b = Budget::new("b", 100);
        let mut r = b.reserve(10).unwrap();
        assert!(r.resize(100));
        assert!(!r.resize(101));
        assert_eq!((r.bytes(), b.used()), (100, 100));
        assert!(r.resize(1));
        assert_eq!(b.used(), 1);
    }

    #[test]
    fn what_is_leaked_stays_reserved_until_it_is_released() {
        let b = Budget::new("b", 100);
        let bytes = b.reserve(70).unwrap().leak();
        assert_eq!((bytes, b.used()), (70, 70));
        b.release(bytes);
        assert_eq!(b.used(), 0);
    }

    #[test]
    fn a_request_beyond_all_numbers_is_refused() {
        let b = Budget::new("b", usize::MAX);
        let _one = b.reserve(1).unwrap();
        assert!(b.reserve(usize::MAX).is_none());
        assert_eq!(b.used(), 1);
    }

    #[test]
    fn threads_never_exceed_a_limit_together() {
        let b = Budget::new("b", 1000);
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for _ in 0..10_000 {
                        let taken = b.reserve(300);
                        assert!(b.used() <= 1000);
                        drop(taken);
                    }
                });
            }
        });
        assert_eq!(b.used(), 0);
    }

    #[test]
    fn sizes_in_words() {
        for (bytes, text) in [
            (0, "0"),
            (1, "1 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1025, "2 KiB"),
            (MIB, "1 MiB"),
            (3 * MIB + 1, "4 MiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
