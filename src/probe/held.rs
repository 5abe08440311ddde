//! What a peer has sent and a probe keeps until it can judge it: within a budget of all probes.
//!
//! A few bytes are every probe's own, so that what honest servers send has room whatever others do. What exceeds them is
//! taken from the budget, and a probe for which nothing is left there ends as our own fault: it says nothing about the backend.

use std::ops::Deref;
use std::sync::Arc;

use super::text::fixed;
use super::types::{Code, Outcome};
use crate::budget::{Budget, Reservation};

/// Bytes of one buffer that need no budget.
pub const OWN: usize = 4 << 10;
/// Bytes received in one TLS handshake that need none.
pub const OWN_TLS: usize = 16 << 10;

/// The least that is allocated.
const FIRST: usize = 256;

/// The outcome of a probe for which there is no room.
pub(super) fn no_room() -> Outcome {
    fixed(Code::SockErr, "no memory left for what servers send: budget `bodies`")
}

/// A count of bytes, of which only those above a part of its own need the budget.
#[derive(Debug, Default)]
pub(super) struct Share {
    budget: Option<Arc<Budget>>,
    taken: Option<Reservation>,
}

impl Share {
    pub(super) fn of(budget: &Arc<Budget>) -> Share {
        Share { budget: Some(budget.clone()), taken: None }
    }

    /// From now on so many bytes are held, of which `own` need no budget. False: there is no room.
    pub(super) fn hold(&mut self, bytes: usize, own: usize) -> bool {
        let beyond = bytes.saturating_sub(own);
        match (&mut self.taken, &self.budget) {
            (_, None) => true,
            (None, Some(_)) if beyond == 0 => true,
            (Some(taken), Some(_)) => taken.resize(beyond),
            (None, Some(budget)) => {
                self.taken = budget.reserve(beyond);
                self.taken.is_some()
            }
        }
    }
}

/// Bytes that are held.
#[derive(Debug, Default)]
pub struct Held {
    data: Vec<u8>,
    share: Share,
}

impl Held {
    /// None yet. Without a budget, as [`Held::default`], there is room for all.
    pub fn within(budget: &Arc<Budget>) -> Held {
        Held { data: Vec::new(), share: Share::of(budget) }
    }

    /// Takes these bytes. False: there is no room for them, and none of them was taken.
    #[must_use]
    pub fn push(&mut self, more: &[u8]) -> bool {
        let wanted = self.data.len().saturating_add(more.len());
        if wanted > self.data.capacity() {
            let capacity = wanted.next_power_of_two().max(FIRST);
            if !self.share.hold(capacity, OWN) {
                return false;
            }
            self.data.reserve_exact(capacity.saturating_sub(self.data.len()));
        }
        self.data.extend_from_slice(more);
        true
    }

    /// All of them; none are held afterwards, and what comes next may again be as much.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.share.taken = None;
        std::mem::take(&mut self.data)
    }
}

impl Deref for Held {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_need_no_budget() {
        let full = Budget::new("full", 0);
        let mut held = Held::within(&full);
        for _ in 0..OWN / 8 {
            assert!(held.push(b"12345678"));
        }
        assert!(!held.push(b"9"));
        assert_eq!(held.len(), OWN);
        assert_eq!(full.view().refused, 1);
    }

    #[test]
    fn what_is_allocated_is_what_is_counted() {
        let budget = Budget::new("bodies", 1 << 20);
        let mut held = Held::within(&budget);
        for _ in 0..64 {
            assert!(held.push(&[1; 1000]));
            assert_eq!(budget.used(), held.data.capacity().saturating_sub(OWN));
        }
        assert_eq!(budget.used(), (64 << 10) - OWN);
        drop(held);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn all_together_stay_below_the_limit_and_what_is_refused_is_not_taken() {
        let budget = Budget::new("bodies", 100 << 10);
        let mut all: Vec<Held> = (0..10).map(|_| Held::within(&budget)).collect();
        let taken = all.iter_mut().map(|h| usize::from(h.push(&[1; 30_000]))).sum::<usize>();
        assert_eq!(taken, 3, "32 KiB each, of which 4 are their own");
        assert_eq!(all.iter().map(|h| h.len()).sum::<usize>(), 3 * 30_000);
        all.remove(0);
        assert!(all[8].push(&[1; 30_000]), "who ends makes room");
    }

    #[test]
    fn a_handshake_has_a_share_of_its_own() {
        let budget = Budget::new("bodies", 1000);
        let mut share = Share::of(&budget);
        assert!(share.hold(OWN_TLS, OWN_TLS));
        assert!(share.hold(OWN_TLS + 1000, OWN_TLS));
        assert!(!share.hold(OWN_TLS + 1001, OWN_TLS));
        assert_eq!(budget.used(), 1000);
        drop(share);
        assert_eq!(budget.used(), 0);
    }
}
