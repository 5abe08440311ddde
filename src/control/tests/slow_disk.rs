//! A disk that takes its time; docs/behaviour.md, "State file".

use std::time::Duration;

use super::lab::BASIC;
use super::{Lab, Net};
use crate::control::BackendVerb;
use crate::control::state::Saving;
use crate::time::Time;

/// All up and saved; from now on each write takes 4 s.
fn slow() -> Lab {
    let mut lab = Lab::idle();
    lab.c.keep_state();
    lab.load(BASIC);
    lab.run(5000);
    lab.disk.takes = Duration::from_secs(4);
    lab
}

/// A verb, what it waits for, and when it has waited for a second.
fn verb(lab: &mut Lab, backend: &str, verb: BackendVerb) -> (Saving, Time) {
    let now = lab.wall();
    lab.c.set_backend(now, backend, verb).unwrap();
    let saving = lab.c.saving(now).unwrap();
    lab.turn();
    (saving, now.mono + Duration::from_secs(1))
}

#[test]
fn each_of_several_verbs_hears_after_a_second_that_the_disk_has_not_answered() {
    let mut lab = slow();
    let first = verb(&mut lab, "a", BackendVerb::Drain);
    lab.run(600);
    let second = verb(&mut lab, "b", BackendVerb::Drain);
    for (saving, end) in [first, second] {
        // Nobody else wakes the engine in time.
        lab.beats = false;
        let woken = lab.c.deadline();
        assert!(woken <= end + Duration::from_millis(10), "woken at {woken:?}, not at {end:?}");
        lab.beats = true;
        lab.run(end.since(lab.now).as_millis() as u64 - 20);
        assert_eq!(lab.c.saved(lab.wall(), saving), None);
        lab.run(30);
        let told = lab.c.saved(lab.wall(), saving).unwrap();
        assert!(told.unwrap_err().contains("within a second"));
    }
}

#[test]
fn verbs_that_come_while_the_disk_is_busy_are_all_in_the_next_write() {
    let mut lab = slow();
    lab.disk.takes = Duration::from_millis(400);
    let (first, _) = verb(&mut lab, "a", BackendVerb::Drain);
    lab.run(100);
    let (second, _) = verb(&mut lab, "b", BackendVerb::Drain);
    let (third, _) = verb(&mut lab, "a", BackendVerb::Ready);
    lab.net("10.1.0.3", Net::Refused);
    let told = |lab: &Lab| [first, second, third].map(|s| lab.c.saved(lab.wall(), s));
    lab.run(250);
    assert_eq!(told(&lab), [None, None, None]);
    lab.run(100);
    assert_eq!(told(&lab), [Some(Ok(())), None, None]);
    lab.run(300);
    assert_eq!(told(&lab), [Some(Ok(())), None, None]);
    lab.run(100);
    assert_eq!(told(&lab), [Some(Ok(())), Some(Ok(())), Some(Ok(()))]);
}

#[test]
fn a_death_in_the_middle_of_a_write_leaves_the_old_file_or_the_new_one() {
    for new in [false, true] {
        let mut lab = slow();
        verb(&mut lab, "a", BackendVerb::Drain);
        lab.run(100);
        assert_eq!(lab.cut_off(new), new);
        let mut next = lab.reborn();
        next.load(BASIC);
        next.run(2000);
        assert_eq!(next.state("a") == "drain", new, "{}", next.state("a"));
    }
}
