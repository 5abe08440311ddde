//! Rules on the state file and the disk: each in a world where it does not hold.

use std::time::Duration;

use super::super::Happening;
use super::super::keep::{Waiting, waits};
use super::super::model::Model;
use super::super::world::{START, World};
use super::*;

const ANSWERS: &str = "a verb answers when its word is on the disk, or after a second";

fn drained(sim: &mut Simulator) -> (crate::Name, BackendVerb) {
    let (name, mind) = sim.model.minds.iter().next().unwrap();
    (name.clone(), if mind.drain { BackendVerb::Ready } else { BackendVerb::Drain })
}

/// A verb that was taken, by controller and model, and waits for the disk.
fn waiting(sim: &mut Simulator) -> Waiting {
    let (name, verb) = drained(sim);
    let wall = sim.world.wall();
    sim.world.c.set_backend(wall, &name, verb).unwrap();
    sim.model.verb(&name, verb, wall.mono);
    waits(&mut sim.world.c, &mut sim.model, wall, true).unwrap().expect("it is not saved yet")
}

#[test]
fn every_answer_to_who_waits_for_the_disk_can_be_wrong() {
    let mut sim = calm(everything);
    let w = waiting(&mut sim);
    let at = |ms| w.since + Duration::from_millis(ms);
    let (saved, not) = (Ok(()), Err("full".to_owned()));
    let told = |sim: &Simulator, ms, turned, told| sim.model.told(&w, at(ms), turned, told);
    assert_eq!(told(&sim, 0, true, None), Ok(false));
    assert_eq!(rule(told(&sim, 0, true, Some(&saved))), ANSWERS);
    assert_eq!(rule(told(&sim, 999, true, Some(&not))), ANSWERS);
    assert_eq!(told(&sim, 1000, true, Some(&not)), Ok(true));
    assert_eq!(rule(told(&sim, 1011, true, Some(&not))), ANSWERS);
    assert_eq!(told(&sim, 1011, false, Some(&not)), Ok(true), "the main thread stood still");
    assert_eq!(rule(told(&sim, 1010, false, None)), ANSWERS);
    // The disk has failed, or has not.
    for ok in [false, true] {
        let now = w.since;
        assert_eq!(sim.model.replay(&sim.world, now, &Happening::Saving), Ok(()));
        assert_eq!(sim.model.replay(&sim.world, now, &Happening::Saved(ok)), Ok(()));
        assert_eq!(told(&sim, 1, true, Some(if ok { &saved } else { &not })), Ok(true));
    }
}

#[test]
fn two_writes_at_once_are_seen() {
    let mut sim = calm(everything);
    let now = sim.world.now;
    assert_eq!(sim.model.replay(&sim.world, now, &Happening::Saving), Ok(()));
    let again = sim.model.replay(&sim.world, now, &Happening::Saving);
    assert_eq!(rule(again), "one write is under way at most");
}

#[test]
fn a_verb_that_waits_for_nothing_though_it_is_not_saved_is_seen() {
    let yaml = "maglev: {backends: {b0: {address: 10.1.0.1}}, frontends: {}}";
    let config = crate::config::parse(yaml).unwrap().config;
    // Nobody has told this controller that there is a state file.
    let (mut world, mut model) = (World::new(START, 1), Model::default());
    world.apply(config.clone(), "test.yaml");
    model.apply(&std::sync::Arc::new(config), world.now);
    let wall = world.wall();
    world.c.set_backend(wall, "b0", BackendVerb::Drain).unwrap();
    model.verb("b0", BackendVerb::Drain, wall.mono);
    assert_eq!(rule(waits(&mut world.c, &mut model, wall, true)), ANSWERS);
}

#[test]
fn a_death_in_the_middle_of_a_write_is_lived_through_with_the_old_file_and_with_the_new() {
    let (mut deaths, mut new) = (0, 0);
    for seed in 100..130 {
        let tally = live(seed, 3000).unwrap_or_else(|f| panic!("{f}"));
        deaths += tally.deaths_in_write;
        new += tally.deaths_after_rename;
        if new > 0 && deaths > new {
            return;
        }
    }
    panic!("{deaths} deaths, {new} of them with the new file");
}
