//! When the state file is written: an operator's word at once, everything else at most once a second, a failure again
//! after a while. One write is under way at most. No clock, no I/O.

use std::collections::VecDeque;
use std::time::Duration;

use crate::control::event::{Event, LogLevel};
use crate::time::{Now, Time};

/// From the start of a write to the start of the next, unless an operator waits.
const SPACING: Duration = Duration::from_secs(1);
/// How long an operator's verb waits for its word to be on the disk.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// Waits end on multiples of this, so that there are few ends however many operators wait.
const GRID: u64 = 10_000_000;
/// The longest pause after a failure, in seconds.
const LONGEST_PAUSE: u64 = 32;

/// What an operator's verb waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saving {
    generation: u64,
    until: Time,
}

/// Knows what is new since the last write.
#[derive(Debug, Default)]
pub struct Keeper {
    on: bool,
    /// Counts changes.
    generation: u64,
    /// What the file holds.
    written: u64,
    /// The newest that could not be written.
    failed: u64,
    under_way: Option<u64>,
    /// An operator waits.
    urgent: bool,
    not_before: Time,
    /// When those operators who wait stop waiting, ascending.
    patience: VecDeque<Time>,
    failures: u32,
    saved_ms: Option<u64>,
    error: Option<String>,
}

impl Keeper {
    /// There is a file to write to.
    pub fn switch_on(&mut self) {
        self.on = true;
    }

    /// Something that is kept has changed.
    pub fn touch(&mut self) {
        self.generation += 1;
    }

    /// It was an operator's word.
    pub fn urge(&mut self) {
        self.touch();
        self.urgent = true;
    }

    /// If a write is due now, which generation; it is under way from then on.
    pub fn take_due(&mut self, now: Time) -> Option<u64> {
        if self.deadline() > now || self.under_way.is_some() {
            return None;
        }
        self.urgent = false;
        self.not_before = now + SPACING;
        self.under_way = Some(self.generation);
        self.under_way
    }

    /// At the end: what is new, however recently it was written and whatever is under way.
    pub fn take_last(&mut self) -> Option<u64> {
        if !self.on || self.generation == self.written || self.under_way == Some(self.generation) {
            return None;
        }
        self.under_way = Some(self.generation);
        self.under_way
    }

    /// What became of the write; what there is to tell.
    pub fn wrote(&mut self, now: Now, generation: u64, result: Result<(), String>) -> Option<Event> {
        self.under_way = None;
        match result {
            Ok(()) => {
                self.written = self.written.max(generation);
                self.saved_ms = Some(now.wall_ms);
                self.failures = 0;
                let again = self.error.take().is_some();
                again.then(|| event(LogLevel::Notice, "saved again".to_owned()))
            }
            Err(why) => {
                self.failed = self.failed.max(generation);
                let pause =
                    Duration::from_secs(1 << self.failures.min(5)).min(Duration::from_secs(LONGEST_PAUSE));
                self.failures = self.failures.saturating_add(1);
                self.not_before = now.mono + pause;
                let said = self.error.as_ref() == Some(&why);
                let told = (!said).then(|| event(LogLevel::Error, format!("not saved: {why}")));
                self.error = Some(why);
                told
            }
        }
    }

    /// When [`Keeper::take_due`] has something, or an operator has waited long enough.
    pub fn deadline(&self) -> Time {
        if !self.on || self.generation == self.written {
            Time::MAX
        } else if self.under_way.is_some() {
            self.patience.front().copied().unwrap_or(Time::MAX)
        } else if self.urgent {
            Time::ZERO
        } else {
            self.not_before
        }
    }

    /// Lets go of who has waited long enough.
    pub fn poll(&mut self, now: Time) {
        while self.patience.pop_front_if(|t| *t <= now).is_some() {}
    }

    /// What an operator's verb has to wait for; none: there is no file, or it holds all there is.
    pub fn saving(&mut self, now: Time) -> Option<Saving> {
        if !self.on || self.generation == self.written {
            return None;
        }
        let until = Time((now + PATIENCE).0.div_ceil(GRID).saturating_mul(GRID));
        if self.patience.back() != Some(&until) {
            self.patience.push_back(until);
        }
        // They wait for what is not on its way yet: a pause after a failure, or between two writes, is over.
        self.urgent |= self.under_way != Some(self.generation);
        Some(Saving { generation: self.generation, until })
    }

    /// Whether it has come about; none: not yet.
    pub fn verdict(&self, now: Time, saving: Saving) -> Option<Result<(), String>> {
        if self.written >= saving.generation {
            return Some(Ok(()));
        }
        if self.failed >= saving.generation
            && let Some(why) = &self.error
        {
            return Some(Err(why.clone()));
        }
        (now >= saving.until).then(|| Err("the disk has not answered within a second".to_owned()))
    }

    /// When the file was last written, milliseconds since the Unix epoch.
    pub fn saved_ms(&self) -> Option<u64> {
        self.saved_ms
    }

    /// Why the last write failed, until one succeeds.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }
}

fn event(level: LogLevel, text: String) -> Event {
    Event::Engine { text: format!("state-file {text}"), level }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Time {
        Time::from_millis(n)
    }

    fn at(n: u64) -> Now {
        Now { mono: ms(n), wall_ms: n }
    }

    fn on() -> Keeper {
        let mut k = Keeper::default();
        k.switch_on();
        k
    }

    #[test]
    fn without_a_file_nothing_is_due_and_nobody_waits() {
        let mut k = Keeper::default();
        k.urge();
        assert_eq!((k.take_due(ms(5000)), k.deadline(), k.saving(ms(5000))), (None, Time::MAX, None));
    }

    #[test]
    fn changes_are_saved_at_most_once_a_second_and_a_word_at_once() {
        let mut k = on();
        assert_eq!((k.take_due(ms(5000)), k.deadline()), (None, Time::MAX), "nothing is new");
        k.touch();
        assert_eq!(k.take_due(ms(5000)), Some(1), "after a quiet time at once");
        k.touch();
        assert_eq!((k.take_due(ms(5001)), k.deadline()), (None, Time::MAX), "one at a time");
        assert_eq!(k.wrote(at(5003), 1, Ok(())), None);
        assert_eq!((k.take_due(ms(5999)), k.deadline()), (None, ms(6000)));
        k.urge();
        assert_eq!(k.deadline(), Time::ZERO);
        assert_eq!(k.take_due(ms(5999)), Some(3), "an operator waits");
        k.wrote(at(6000), 3, Ok(()));
        assert_eq!((k.deadline(), k.saved_ms()), (Time::MAX, Some(6000)));
    }

    #[test]
    fn a_verb_hears_when_its_word_is_written_and_no_sooner() {
        let mut k = on();
        k.urge();
        let first = k.saving(ms(0)).unwrap();
        assert_eq!(k.take_due(ms(0)), Some(1));
        k.urge();
        let second = k.saving(ms(1)).unwrap();
        k.wrote(at(5), 1, Ok(()));
        assert_eq!((k.verdict(ms(5), first), k.verdict(ms(5), second)), (Some(Ok(())), None));
        assert_eq!(k.take_due(ms(5)), Some(2), "at once: an operator waits");
        k.wrote(at(9), 2, Err("full".into()));
        assert_eq!(k.verdict(ms(9), second), Some(Err("full".into())));
        k.touch();
        assert_eq!(k.take_due(ms(2000)), Some(3));
        k.wrote(at(2001), 3, Ok(()));
        assert_eq!(k.saving(ms(2001)), None, "all is written");
    }

    #[test]
    fn a_verb_waits_a_second_at_most() {
        let mut k = on();
        k.urge();
        let s = k.saving(ms(0)).unwrap();
        assert_eq!(k.take_due(ms(0)), Some(1));
        assert_eq!((k.deadline(), k.verdict(ms(999), s)), (ms(1000), None));
        assert!(matches!(k.verdict(ms(1000), s), Some(Err(_))));
        k.poll(ms(1000));
        assert_eq!(k.deadline(), Time::MAX, "nothing is done but to wait for the disk");
    }

    #[test]
    fn each_of_several_waits_a_second_at_most_and_few_ends_are_kept() {
        let mut k = on();
        k.urge();
        let first = k.saving(ms(0)).unwrap();
        assert_eq!(k.take_due(ms(0)), Some(1));
        for n in 0..1000 {
            k.urge();
            let _ = k.saving(Time::from_millis(500 + n / 10));
        }
        assert_eq!((k.deadline(), k.patience.len()), (ms(1000), 12));
        assert!(matches!(k.verdict(ms(1000), first), Some(Err(_))));
        k.poll(ms(1000));
        assert_eq!(k.deadline(), ms(1500));
        k.poll(ms(1600));
        assert_eq!(k.deadline(), Time::MAX);
    }

    #[test]
    fn a_verb_that_changes_nothing_is_not_left_to_wait_for_the_next_attempt() {
        let mut k = on();
        k.urge();
        for (at, pause) in [(0, 1), (1000, 2), (3000, 4)] {
            let generation = k.take_due(ms(at)).unwrap();
            k.wrote(Now { mono: ms(at), wall_ms: at }, generation, Err("full".into()));
            assert_eq!(k.deadline(), ms(at + pause * 1000));
        }
        // It finds what another hand has changed meanwhile.
        k.touch();
        let waits = k.saving(ms(3500)).unwrap();
        assert_eq!((k.verdict(ms(3500), waits), k.deadline()), (None, Time::ZERO));
        let generation = k.take_due(ms(3500)).unwrap();
        k.wrote(at(3501), generation, Ok(()));
        assert_eq!(k.verdict(ms(3501), waits), Some(Ok(())));
        // What it waits for is on its way: no other write follows.
        k.touch();
        let generation = k.take_due(ms(9000)).unwrap();
        assert!(k.saving(ms(9001)).is_some());
        k.wrote(at(9002), generation, Ok(()));
        assert_eq!(k.deadline(), Time::MAX);
    }

    #[test]
    fn a_failure_is_said_once_and_tried_again_ever_more_rarely() {
        let mut k = on();
        k.touch();
        let (mut now, mut pauses, mut told) = (0, vec![], 0);
        for _ in 0..8 {
            let generation = k.take_due(ms(now)).unwrap();
            told += usize::from(k.wrote(at(now), generation, Err("full".into())).is_some());
            pauses.push(k.deadline().since(ms(now)).as_secs());
            now = k.deadline().0 / 1_000_000;
        }
        assert_eq!((pauses, told, k.error()), (vec![1, 2, 4, 8, 16, 32, 32, 32], 1, Some("full")));
        let g = k.take_due(ms(now)).unwrap();
        assert!(k.wrote(at(now), g, Err("read-only".into())).is_some(), "another reason is said");
        k.urge();
        let g = k.take_due(ms(now)).expect("an operator's word is tried at once");
        assert!(k.wrote(at(now), g, Ok(())).is_some(), "so is its end");
        assert_eq!((k.error(), k.deadline()), (None, Time::MAX));
    }
}
