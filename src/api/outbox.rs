//! What subscribers are told, kept once for all of them: each has its own place in it. Who falls too far behind loses the oldest,
//! and is told how many.

use std::collections::VecDeque;

use super::Record;

/// So many records are kept at most.
pub const MOST_RECORDS: usize = 8192;
/// So many bytes at most, whatever the number of subscribers.
pub const MOST_BYTES: usize = 4 << 20;

/// Events and results, in order, each with its position; positions grow by one.
#[derive(Debug, Default)]
pub struct Outbox {
    kept: VecDeque<(u64, Record)>,
    /// Of the next record.
    next: u64,
    /// Of all that is kept.
    bytes: usize,
    /// The newest event's number.
    number: Option<u64>,
}

impl Outbox {
    /// With nothing in it.
    pub const fn new() -> Outbox {
        Outbox { kept: VecDeque::new(), next: 0, bytes: 0, number: None }
    }

    /// Adds a record. Where its number is not the next one, events were lost on the way here: they take their positions.
    pub fn push(&mut self, record: Record) {
        if record.sequence > 0 {
            let lost = self.number.map_or(0, |n| record.sequence.saturating_sub(n + 1));
            self.next += lost;
            self.number = Some(record.sequence);
        }
        self.bytes += record.size();
        self.kept.push_back((self.next, record));
        self.next += 1;
        while self.kept.len() > MOST_RECORDS || self.bytes > MOST_BYTES {
            let Some((_, gone)) = self.kept.pop_front() else { return };
            self.bytes = self.bytes.saturating_sub(gone.size());
        }
    }

    /// The position behind the newest.
    pub fn end(&self) -> u64 {
        self.next
    }

    /// The first record at that position or behind it, with its own.
    pub fn from(&self, position: u64) -> Option<(u64, &Record)> {
        let i = self.kept.partition_point(|(p, _)| *p < position);
        self.kept.get(i).map(|(p, r)| (*p, r))
    }

    /// What is kept, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets all: nobody subscribes any more.
    pub fn clear(&mut self) {
        self.kept = VecDeque::new();
        self.bytes = 0;
        self.number = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Event;

    fn event(number: u64, text: String) -> Record {
        Record::of_event(number, 0, &Event::Operator { text })
    }

    fn positions(o: &Outbox, mut from: u64) -> Vec<(u64, u64)> {
        let mut all = Vec::new();
        while let Some((p, r)) = o.from(from) {
            all.push((p, r.sequence));
            from = p + 1;
        }
        all
    }

    #[test]
    fn each_reads_at_its_own_place() {
        let mut o = Outbox::new();
        for n in 7..10 {
            o.push(event(n, n.to_string()));
        }
        assert_eq!(positions(&o, 0), [(0, 7), (1, 8), (2, 9)]);
        assert_eq!(positions(&o, 2), [(2, 9)]);
        assert_eq!((o.from(o.end()), o.end()), (None, 3));
    }

    #[test]
    fn what_was_lost_before_it_came_here_takes_its_positions() {
        let mut o = Outbox::new();
        o.push(event(1, "a".into()));
        o.push(event(5, "b".into()));
        assert_eq!(positions(&o, 0), [(0, 1), (4, 5)], "three are missing");
    }

    #[test]
    fn it_is_bounded_in_number_and_in_bytes() {
        let mut o = Outbox::new();
        for n in 1..=MOST_RECORDS as u64 + 10 {
            o.push(event(n, "x".into()));
        }
        assert_eq!(o.from(0).map(|(p, r)| (p, r.sequence)), Some((10, 11)), "the oldest went");
        assert!(o.bytes() <= MOST_BYTES);
        for n in 0..2000 {
            o.push(event(20_000 + n, "y".repeat(8000)));
            assert!(o.bytes() <= MOST_BYTES, "{}", o.bytes());
        }
        let kept = positions(&o, 0).len();
        assert!((100..1000).contains(&kept), "{kept}");
        o.clear();
        assert_eq!((o.bytes(), o.from(0)), (0, None));
    }
}
