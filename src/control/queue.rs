//! Addresses that are to be worked on: first in, first out within a class, the more important class first.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;

/// What work is for, the most important first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A server that is to get no more packets has the last weight of a VIP: others come first, and then it goes.
    Out,
    /// A VIP has no weight, and is to have some.
    Serve,
    /// Anything else that has changed.
    Change,
    /// Weights that agents have changed.
    Adjust,
    /// Nothing is known to have changed.
    Routine,
}

/// All of them, in order.
pub const CLASSES: [Class; 5] = [Class::Out, Class::Serve, Class::Change, Class::Adjust, Class::Routine];

/// A first-in first-out queue of addresses, each at most once.
#[derive(Debug, Default)]
struct Queue {
    order: VecDeque<IpAddr>,
    members: BTreeSet<IpAddr>,
}

impl Queue {
    fn push(&mut self, a: IpAddr) {
        if self.members.insert(a) {
            self.order.push_back(a);
        }
    }

    fn pop(&mut self) -> Option<IpAddr> {
        while let Some(a) = self.order.pop_front() {
            if self.members.remove(&a) {
                return Some(a);
            }
        }
        None
    }
}

/// See above. Each address is in it once, in one class.
#[derive(Debug, Default)]
pub struct Waiting {
    queues: [Queue; 5],
}

impl Waiting {
    /// To the end of its class, unless it is in that class or a more important one already.
    pub fn push(&mut self, class: Class, a: IpAddr) {
        let (above, below) = self.queues.split_at_mut(class as usize);
        if above.iter().any(|q| q.members.contains(&a)) {
            return;
        }
        let Some((queue, below)) = below.split_first_mut() else { return };
        for q in below {
            // What is left behind in the order is skipped; a later push of the same address may then come up at the old
            // place, which is the better one.
            q.members.remove(&a);
        }
        queue.push(a);
    }

    /// The first of the most important class that `may` be taken.
    pub fn pop(&mut self, may: impl Fn(Class) -> bool) -> Option<(Class, IpAddr)> {
        CLASSES
            .into_iter()
            .zip(&mut self.queues)
            .find_map(|(class, q)| if may(class) { Some((class, q.pop()?)) } else { None })
    }

    /// The most important class with anything in it that `may` be taken.
    pub fn best(&self, may: impl Fn(Class) -> bool) -> Option<Class> {
        let mut all = CLASSES.into_iter().zip(&self.queues);
        all.find(|(class, q)| may(*class) && !q.members.is_empty()).map(|(class, _)| class)
    }

    /// Whether there is anything of this class.
    pub fn has(&self, class: Class) -> bool {
        self.queues.get(class as usize).is_some_and(|q| !q.members.is_empty())
    }

    /// The class that an address waits in.
    pub fn class_of(&self, a: &IpAddr) -> Option<Class> {
        CLASSES.into_iter().zip(&self.queues).find(|(_, q)| q.members.contains(a)).map(|(class, _)| class)
    }

    /// All of the classes that are asked for, in order.
    pub fn iter(&self, of: impl Fn(Class) -> bool) -> impl Iterator<Item = IpAddr> {
        let queues =
            CLASSES.into_iter().zip(&self.queues).filter(move |(class, _)| of(*class)).map(|(_, q)| q);
        queues.flat_map(|q| q.order.iter().copied().filter(|a| q.members.contains(a)))
    }

    /// How many are before this one, if it waits.
    pub fn before(&self, a: &IpAddr) -> Option<usize> {
        let class = self.class_of(a)?;
        let (above, at) = self.queues.split_at(class as usize);
        let q = at.first()?;
        let here = q.order.iter().take_while(|b| *b != a).filter(|b| q.members.contains(b)).count();
        Some(above.iter().map(|q| q.members.len()).sum::<usize>() + here)
    }

    /// Entries, those too that were taken out of it.
    pub fn size(&self) -> usize {
        self.queues.iter().map(|q| q.order.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: u8) -> IpAddr {
        [10, 0, 0, n].into()
    }

    fn all(w: &mut Waiting) -> Vec<(Class, IpAddr)> {
        std::iter::from_fn(|| w.pop(|_| true)).collect()
    }

    #[test]
    fn first_in_first_out_each_once_and_the_more_important_class_first() {
        let mut w = Waiting::default();
        for (class, n) in [
            (Class::Routine, 1),
            (Class::Change, 2),
            (Class::Change, 3),
            (Class::Change, 2),
            (Class::Out, 4),
            (Class::Serve, 3),
            (Class::Routine, 4),
        ] {
            w.push(class, ip(n));
        }
        w.push(Class::Change, ip(5));
        assert_eq!(
            (w.best(|_| true), w.class_of(&ip(3)), w.before(&ip(5))),
            (Some(Class::Out), Some(Class::Serve), Some(3))
        );
        let due =
            [(Class::Out, 4), (Class::Serve, 3), (Class::Change, 2), (Class::Change, 5), (Class::Routine, 1)];
        assert_eq!(all(&mut w), due.map(|(class, n)| (class, ip(n))));
        assert_eq!((w.best(|_| true), w.size()), (None, 0));
    }

    #[test]
    fn a_class_that_may_not_be_taken_is_passed_over() {
        let mut w = Waiting::default();
        w.push(Class::Routine, ip(1));
        assert_eq!(w.pop(|c| c != Class::Routine), None);
        assert!(w.has(Class::Routine) && !w.has(Class::Change));
        assert_eq!(w.pop(|_| true), Some((Class::Routine, ip(1))));
    }
}
