//! A first-in first-out queue of addresses, each at most once.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;

/// See above.
#[derive(Debug, Default)]
pub struct Queue {
    order: VecDeque<IpAddr>,
    members: BTreeSet<IpAddr>,
}

impl Queue {
    /// To the end, unless it is in already.
    pub fn push(&mut self, a: IpAddr) {
        if self.members.insert(a) {
            self.order.push_back(a);
        }
    }

    /// The first.
    pub fn pop(&mut self) -> Option<IpAddr> {
        while let Some(a) = self.order.pop_front() {
            if self.members.remove(&a) {
                return Some(a);
            }
        }
        None
    }

    /// Out of it, wherever it is. What is left behind in the order is skipped by [`Queue::pop`]; a later push of
    /// the same address may then come up at the old place, which is the better one.
    pub fn remove(&mut self, a: &IpAddr) {
        self.members.remove(a);
    }

    /// Entries, those too that were taken out of it.
    pub fn size(&self) -> usize {
        self.order.len()
    }

    /// Nothing in it.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_in_first_out_and_each_once() {
        let [a, b, c] = [1, 2, 3].map(|n| IpAddr::from([10, 0, 0, n]));
        let mut q = Queue::default();
        for x in [a, b, a, c] {
            q.push(x);
        }
        q.remove(&b);
        assert_eq!((q.pop(), q.pop(), q.is_empty(), q.pop()), (Some(a), Some(c), true, None));
    }
}
