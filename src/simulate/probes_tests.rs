//! Rules on who is probed: each in a world where it does not hold.

use super::super::Happening;
use super::super::mind::Mind;
use super::*;
use crate::probe::{Job, Order, ProbeId, Task, Verdict};

#[test]
fn a_probe_that_must_not_be_is_seen() {
    let mut sim = calm(everything);
    let (slot, check, address) = sim
        .world
        .c
        .backends()
        .iter()
        .find_map(|(slot, b)| Some((slot, b.config.healthcheck.clone()?, b.config.address)))
        .unwrap();
    let job = |n: u64| {
        let id = ProbeId(n << 32 | u64::from(slot));
        Job::once(id, address, Task::Check(check.clone()), Time::ZERO)
    };
    let order = |n| Happening::Ordered(Order::Probe(job(n)));
    let name = sim.world.c.backends().get(slot).unwrap().config.name.clone();
    let now = sim.world.now;
    let mind = sim.model.minds.get_mut(&name).unwrap();
    (mind.paused, mind.disabled) = (false, None);
    mind.words = Default::default();
    // It may have one under way already.
    let _ = sim.model.replay(&sim.world, now, &order(1 << 30));
    assert_eq!(rule(sim.model.replay(&sim.world, now, &order(1 << 29))), "probes");
    sim.model.prober_restarted();
    assert_eq!(sim.model.replay(&sim.world, now, &order(1 << 28)), Ok(()));
    sim.model.prober_restarted();
    sim.model.minds.get_mut(&name).unwrap().paused = true;
    assert_eq!(rule(sim.model.replay(&sim.world, now, &order(1 << 27))), "probes");

    // The prober goes on by itself: with what is cancelled, and with whom another pass would change.
    sim.model.prober_restarted();
    let goes_on = Happening::Repeated(job(1 << 26));
    assert_eq!(rule(sim.model.replay(&sim.world, now, &goes_on)), "probes");
    let mind = sim.model.minds.get_mut(&name).unwrap();
    mind.paused = false;
    while !mind.is_full() {
        mind.result(Verdict::Pass);
    }
    let ordered = order(1 << 26);
    type Disturb = fn(&mut Mind);
    let disturbances: [(Disturb, bool); 4] = [
        (|_| {}, true),
        (|m| m.result(Verdict::Fail), false),
        (|m| m.result(Verdict::Conditional), false),
        (|m| m.paused = true, false),
    ];
    for (disturb, may) in disturbances {
        let before = sim.model.minds[&name].clone();
        assert_eq!(sim.model.replay(&sim.world, now, &ordered), Ok(()));
        disturb(sim.model.minds.get_mut(&name).unwrap());
        let seen = sim.model.replay(&sim.world, now, &goes_on);
        if may {
            assert_eq!(seen, Ok(()));
        } else {
            assert_eq!(rule(seen), "probes");
        }
        sim.model.minds.insert(name.clone(), before);
        sim.model.prober_restarted();
    }
}
