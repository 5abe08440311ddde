//! Orders for the prober's thread.

use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::sync::Arc;
use loom::thread;

use super::doorbell::Rung;
use super::{Eventfd, check};

/// What is there of a doorbell, also of one that does not work.
trait Bell: Send + Sync + 'static {
    fn new() -> Self;
    fn ring(&self) -> bool;
    fn answered(&self);
}

impl Bell for Rung {
    fn new() -> Rung {
        Rung::new()
    }
    fn ring(&self) -> bool {
        Rung::ring(self)
    }
    fn answered(&self) {
        Rung::answered(self);
    }
}

/// Answered by a store: does not see what was sent before a ring that found the flag set.
struct Stored(AtomicBool);

impl Bell for Stored {
    fn new() -> Stored {
        Stored(AtomicBool::new(false))
    }
    fn ring(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
    fn answered(&self) {
        self.0.store(false, Ordering::Release);
    }
}

/// When the thread answers: the right order of things, and the wrong one.
#[derive(Clone, Copy)]
enum Answer {
    BeforeTaking,
    AfterTaking,
}

struct Shared<B> {
    bell: B,
    /// Orders that were sent: 1; 0 before. Relaxed: what makes them visible is the doorbell.
    orders: Vec<AtomicUsize>,
    eventfd: Eventfd,
}

impl<B: Bell> Shared<B> {
    fn send(&self, order: usize) {
        self.orders[order].store(1, Ordering::Relaxed);
        if self.bell.ring() {
            self.eventfd.write();
        }
    }
}

/// The thread, as `Engine::run` has it.
struct Taker {
    taken: Vec<usize>,
    more: bool,
}

impl Taker {
    /// Until it would sleep; takes `most` orders a turn.
    fn run<B: Bell>(&mut self, shared: &Shared<B>, most: usize, answer: Answer) {
        while self.more || shared.eventfd.ready() {
            if let Answer::BeforeTaking = answer {
                shared.bell.answered();
            }
            let mut room = most;
            for (order, times) in shared.orders.iter().zip(&mut self.taken) {
                if room > 0 && *times == 0 && order.load(Ordering::Relaxed) == 1 {
                    *times += 1;
                    room -= 1;
                }
            }
            self.more = room == 0;
            if let Answer::AfterTaking = answer {
                shared.bell.answered();
            }
        }
    }
}

/// `senders` threads with `each` orders, one that takes `most` of them a turn.
fn run<B: Bell>(senders: usize, each: usize, most: usize, answer: Answer) {
    check(move || {
        let shared = Arc::new(Shared {
            bell: B::new(),
            orders: (0..senders * each).map(|_| AtomicUsize::new(0)).collect(),
            eventfd: Eventfd::new(),
        });
        let threads: Vec<_> = (0..senders)
            .map(|sender| {
                let shared = shared.clone();
                thread::spawn(move || (0..each).for_each(|n| shared.send(sender * each + n)))
            })
            .collect();
        let mut taker = Taker { taken: vec![0; senders * each], more: true };
        // It sleeps once, twice, when all is sent.
        taker.run(&shared, most, answer);
        taker.run(&shared, most, answer);
        threads.into_iter().for_each(|t| t.join().unwrap());
        taker.run(&shared, most, answer);
        assert!(taker.taken.iter().all(|times| *times == 1), "left lying: {:?}", taker.taken);
    });
}

#[test]
fn no_order_is_left_lying() {
    run::<Rung>(1, 3, 100, Answer::BeforeTaking);
    run::<Rung>(2, 1, 100, Answer::BeforeTaking);
    run::<Rung>(2, 2, 100, Answer::BeforeTaking);
}

#[test]
fn nor_when_there_are_more_than_a_turn_takes() {
    run::<Rung>(1, 3, 1, Answer::BeforeTaking);
    run::<Rung>(2, 1, 1, Answer::BeforeTaking);
}

#[test]
#[should_panic(expected = "left lying")]
fn who_answers_after_taking_misses_some() {
    run::<Rung>(1, 2, 100, Answer::AfterTaking);
}

#[test]
#[should_panic(expected = "left lying")]
fn so_does_who_answers_with_a_store() {
    run::<Stored>(1, 2, 100, Answer::BeforeTaking);
}
