use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use super::*;

const MS: fn(u64) -> Time = Time::from_millis;

fn check(yaml: &str) -> Arc<Healthcheck> {
    let yaml = format!("maglev: {{healthchecks: {{c: {{type: tcp, port: 80, {yaml}}}}}}}");
    crate::config::parse(&yaml).unwrap().config.healthchecks["c"].clone()
}

fn job(id: u64, check: &Arc<Healthcheck>, standing: bool) -> Job {
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Job { id: ProbeId(id), address, task: Task::Check(check.clone()), due: Time::ZERO, standing }
}

fn now(due: Option<Due>) -> (u64, Time, bool) {
    match due {
        Some(Due::Now(w)) => (w.job.id.0, w.job.due, w.put_off),
        Some(Due::Later(..)) => panic!("put off"),
        None => panic!("nothing is due"),
    }
}

#[test]
fn the_next_is_due_from_start_to_start_but_not_before_this_one_is_done() {
    let check = check("interval: 1s, timeout: 3s, jitter: 0");
    let mut resting = Resting::new(1);
    assert_eq!(resting.rest(job(1, &check, true), MS(100), MS(101)), Some(MS(1100)));
    assert_eq!(resting.rest(job(2, &check, true), MS(100), MS(2900)), Some(MS(2900)));
    assert_eq!(resting.next(), Some(MS(1100)));
    assert!(resting.pop_due(MS(1099)).is_none());
    assert_eq!(now(resting.pop_due(MS(1100))), (1, MS(1100), false));
    assert_eq!(now(resting.pop_due(MS(3000))), (2, MS(2900), false));
    assert_eq!(resting.next(), None);
}

#[test]
fn the_interval_is_jittered() {
    let check = check("interval: 1s, jitter: 10");
    let mut resting = Resting::new(1);
    let dues: BTreeSet<Time> =
        (0..1000).map(|id| resting.rest(job(id, &check, true), MS(0), MS(1)).unwrap()).collect();
    assert!(dues.first() >= Some(&MS(900)) && dues.last() <= Some(&MS(1100)), "{dues:?}");
    // 200 ms hold 47 or 48 points of a grid of 4.2 ms.
    assert!((47..=48).contains(&dues.len()), "{}", dues.len());
}

#[test]
fn who_is_asked_once_does_not_rest() {
    let mut resting = Resting::new(1);
    assert_eq!(resting.rest(job(1, &check("interval: 1s"), false), MS(0), MS(1)), None);
    let agent = crate::config::parse("maglev: {backends: {a: {address: 10.0.0.1, agent: {port: 1}}}}");
    let agent = agent.unwrap().config.backends["a"].agent.clone().unwrap();
    let asked = Job { task: Task::Agent(agent), ..job(2, &check("interval: 1s"), true) };
    assert_eq!(resting.rest(asked, MS(0), MS(1)), None);
    assert_eq!(resting.next(), None);
}

#[test]
fn what_is_taken_out_never_comes() {
    let check = check("interval: 1s, jitter: 0");
    let mut resting = Resting::new(1);
    for id in 0..4 {
        resting.rest(job(id, &check, true), MS(id / 2), MS(2));
    }
    resting.remove(MS(1000), ProbeId(0));
    resting.remove(MS(1001), ProbeId(2));
    resting.remove(MS(1001), ProbeId(3));
    resting.remove(MS(1000), ProbeId(3)); // not that moment
    resting.remove(MS(5), ProbeId(1)); // nor that
    assert_eq!(now(resting.pop_due(MS(1500))), (1, MS(1000), false));
    assert_eq!(resting.next(), None);
}

#[test]
fn after_a_stall_what_is_overdue_is_spread_over_its_fast_interval_once() {
    let check = check("interval: 1s, fast-interval: 500ms, jitter: 0");
    let mut resting = Resting::new(1);
    for id in 0..100 {
        resting.rest(job(id, &check, true), MS(0), MS(1));
    }
    // One second overdue is not too much.
    assert_eq!(now(resting.pop_due(MS(2000))).1, MS(1000));
    let after = MS(2001);
    let mut dues = BTreeSet::new();
    for _ in 0..99 {
        let Some(Due::Later(_, at)) = resting.pop_due(after) else { panic!("not put off") };
        assert!(at >= after && at <= after + Duration::from_millis(500), "{at:?}");
        dues.insert(at);
    }
    assert!(dues.len() > 90, "spread");
    assert!(resting.pop_due(after).is_none());
    // A second stall does not put them off again.
    for _ in 0..99 {
        assert!(now(resting.pop_due(MS(60_000))).2);
    }
    assert_eq!(resting.next(), None);
}
