//! What the prober tells, and its owner, VPP's main thread.

use std::collections::VecDeque;

use loom::sync::{Arc, Mutex};
use loom::thread;

use super::{Eventfd, check};

/// What the owner takes a turn, of `RESULTS`.
const A_TURN: usize = 2;

/// Whether to wake the owner of what was told, in a turn of the prober's.
type Wakes = fn(queue: &VecDeque<usize>) -> bool;

/// A prober that tells `each` things in each of `turns`, and an owner that takes them as `Engine::turn` does.
fn run(turns: usize, each: usize, wakes: Wakes) {
    check(move || {
        let told = Arc::new((Mutex::new(VecDeque::new()), Eventfd::new()));
        let prober = {
            let told = told.clone();
            thread::spawn(move || {
                for turn in 0..turns {
                    for n in 0..each {
                        told.0.lock().unwrap().push_back(turn * each + n);
                    }
                    if wakes(&told.0.lock().unwrap()) {
                        told.1.write();
                    }
                }
            })
        };
        let mut owner = Owner { next: 0, more: true };
        // It sleeps once, twice, when all is told.
        owner.run(&told);
        owner.run(&told);
        prober.join().unwrap();
        owner.run(&told);
        assert_eq!(owner.next, turns * each, "left lying");
    });
}

struct Owner {
    next: usize,
    more: bool,
}

impl Owner {
    /// Until it would sleep.
    fn run(&mut self, told: &(Mutex<VecDeque<usize>>, Eventfd)) {
        while self.more || told.1.ready() {
            let mut taken = 0;
            while taken < A_TURN
                && let Some(one) = { told.0.lock().unwrap().pop_front() }
            {
                assert_eq!(one, self.next);
                self.next += 1;
                taken += 1;
            }
            // As many as a turn takes: there may be more, and it comes again by itself.
            self.more = taken == A_TURN;
        }
    }
}

#[test]
fn the_owner_is_woken_for_all_that_it_has_not_taken() {
    run(1, 3, |queue| !queue.is_empty());
    run(3, 1, |queue| !queue.is_empty());
    run(2, 2, |queue| !queue.is_empty());
}

#[test]
#[should_panic(expected = "left lying")]
fn not_so_if_it_were_woken_for_the_first_alone() {
    run(3, 1, |queue| queue.len() == 1 && queue[0] == 0);
}
