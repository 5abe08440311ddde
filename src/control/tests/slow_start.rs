//! Slow start, step by step in `lb`; docs/behaviour.md, "From state to weights".

use super::agents::set;
use super::lab::{BASIC, ip};
use super::{Lab, Net};
use crate::control::BackendVerb::{self, *};
use crate::lb::Op;
use crate::time::Time;

const A: &str = "10.1.0.1";
/// When each step begins, in milliseconds, and what it makes of a weight of 100.
const CLIMB: [(u64, u8); 7] =
    [(0, 1), (10_000, 2), (20_000, 5), (30_000, 10), (40_000, 20), (50_000, 50), (60_000, 100)];

fn slow(time: &str) -> String {
    BASIC.replace("      pools:", &format!("      slow-start: {time}\n      pools:"))
}

/// With an agent for `a`, which is asked each second.
fn with_agent() -> String {
    let agent = "10.1.0.1, healthcheck: tcp, agent: {port: 5555, interval: 1s, timeout: 500ms}";
    slow("60s").replace("10.1.0.1, healthcheck: tcp", agent)
}

fn settled(yaml: &str) -> Lab {
    let mut lab = Lab::new(yaml);
    lab.says(A, "up ready 100%");
    lab.run(5000);
    lab.writes.clear();
    lab
}

/// Weights written to a server since the last call: when, and which.
fn written(lab: &mut Lab, server: &str) -> Vec<(Time, u8)> {
    let of = |(at, op): (Time, Op)| match op {
        Op::AddServer { address, weight, .. } | Op::SetWeight { address, weight, .. }
            if address == ip(server) =>
        {
            Some((at, weight))
        }
        _ => None,
    };
    lab.writes.drain(..).filter_map(of).collect()
}

/// The same, in milliseconds since the first weight above 0, to the nearest ten.
fn climb(lab: &mut Lab, server: &str) -> Vec<(u64, u8)> {
    let all = written(lab, server).into_iter().skip_while(|(_, w)| *w == 0);
    let all: Vec<_> = all.collect();
    let since = |at: Time| (at.since(all[0].0).as_micros() as u64 + 5000) / 10_000 * 10;
    all.iter().map(|(at, w)| (since(*at), *w)).collect()
}

fn down(lab: &mut Lab) {
    lab.net(A, Net::Refused);
    lab.run(5000);
    assert_eq!(lab.state("a"), "down");
}

/// Its checks pass again: runs to the moment at which it is up.
fn back(lab: &mut Lab) {
    lab.net(A, Net::Good);
    lab.until(|l| l.state("a").starts_with("up"));
}

fn a_weight(lab: &mut Lab) -> u8 {
    let all = lab.weights("192.0.2.1", 80);
    all.split(' ').find_map(|w| w.strip_prefix("10.1.0.1=")).unwrap().parse().unwrap()
}

#[test]
fn seven_steps_evenly_over_the_time_and_one_rebuild_each() {
    let mut lab = settled(&slow("60s"));
    down(&mut lab);
    lab.net(A, Net::Good);
    lab.run(200_000);
    let all: Vec<_> = lab.writes.iter().map(|(_, op)| op.to_string()).collect();
    assert_eq!(all.len(), 8, "one write takes it out, seven bring it back: {all:?}");
    assert_eq!(climb(&mut lab, A), CLIMB);
}

#[test]
fn steps_that_change_no_weight_cost_nothing() {
    for (weight, want) in [
        (1, vec![(0, 1)]),
        (2, vec![(0, 1), (60_000, 2)]),
        (30, vec![(0, 1), (20_000, 2), (30_000, 3), (40_000, 6), (50_000, 15), (60_000, 30)]),
    ] {
        let mut lab = settled(&slow("60s").replace("a: {}", &format!("a: {{weight: {weight}}}")));
        down(&mut lab);
        lab.net(A, Net::Good);
        lab.run(100_000);
        assert_eq!(climb(&mut lab, A), want, "of {weight}");
    }
}

#[test]
fn at_the_start_it_does_not_climb() {
    let mut lab = Lab::new(&slow("60s"));
    lab.run(100_000);
    assert_eq!(climb(&mut lab, A), [(0, 100)]);
    // But one that was down at first does.
    let mut lab = Lab::new(&slow("60s"));
    lab.net(A, Net::Refused);
    lab.run(5000);
    lab.net(A, Net::Good);
    lab.run(100_000);
    assert_eq!(climb(&mut lab, A), CLIMB);
}

#[test]
fn who_climbs_and_who_does_not() {
    // What is said to it, and what takes that back.
    let verbs: [(BackendVerb, BackendVerb, bool); 5] = [
        (Disable, Enable, true),
        (HealthDown, HealthUp, true),
        (Drain, Ready, false),
        (Pause, Resume, false),
        (HealthStopping, HealthUp, false),
    ];
    for (out, back, climbs) in verbs {
        let mut lab = settled(&slow("60s"));
        set(&mut lab, "a", out).unwrap();
        lab.turn();
        assert_eq!(a_weight(&mut lab), 0, "{out:?}");
        set(&mut lab, "a", back).unwrap();
        lab.run(100_000);
        let want = if climbs { CLIMB.to_vec() } else { vec![(0, 100)] };
        assert_eq!(climb(&mut lab, A), want, "{out:?}");
    }
    let words = [
        ("down", "up", true),
        ("maint", "ready", true),
        ("drain", "ready", false),
        ("0%", "100%", false),
        ("weight:0", "100%", false),
    ];
    for (out, back, climbs) in words {
        let mut lab = settled(&with_agent());
        lab.says(A, out);
        lab.run(1500);
        assert_eq!(a_weight(&mut lab), 0, "{out}");
        lab.says(A, back);
        lab.run(100_000);
        let want = if climbs { CLIMB.to_vec() } else { vec![(0, 100)] };
        assert_eq!(climb(&mut lab, A), want, "{out}");
    }
}

#[test]
fn a_weight_of_nothing_and_a_failover_are_no_absence() {
    let mut lab = settled(&slow("60s"));
    for weight in [Some(0), None] {
        let now = lab.wall();
        lab.c.set_weight(now, "web", "first", "a", weight, false).unwrap();
        lab.run(1000);
    }
    assert_eq!(written(&mut lab, A).iter().map(|w| w.1).collect::<Vec<_>>(), [0, 100]);
    // The standby takes over at its full weight, and whoever comes back to the first pool climbs.
    lab.net(A, Net::Refused);
    lab.net("10.1.0.2", Net::Refused);
    lab.run(5000);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=0 10.1.0.2=0 10.1.0.3=100");
    back(&mut lab);
    lab.turn();
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=1 10.1.0.2=0 10.1.0.3=0");
}

#[test]
fn the_climb_begins_when_its_health_is_back_whatever_else_is_said() {
    // Taken out for 25 s from the moment that its health is back: then it is at the third step, and goes on from there.
    let mut lab = settled(&slow("60s"));
    down(&mut lab);
    set(&mut lab, "a", Drain).unwrap();
    lab.net(A, Net::Good);
    lab.until(|l| !l.state("a").starts_with("down"));
    lab.writes.clear();
    lab.run(25_000);
    assert_eq!((lab.state("a").as_str(), written(&mut lab, A)), ("drain", vec![]));
    set(&mut lab, "a", Ready).unwrap();
    lab.run(100_000);
    assert_eq!(climb(&mut lab, A), [(0, 5), (5000, 10), (15_000, 20), (25_000, 50), (35_000, 100)]);
}

#[test]
fn a_word_in_the_middle_of_a_climb() {
    // Who says so after 25 s, who takes it back after 10 s more, and what it has then.
    let rows: [(BackendVerb, BackendVerb, u8); 4] =
        [(Drain, Ready, 10), (Pause, Resume, 10), (Disable, Enable, 1), (HealthDown, HealthUp, 1)];
    for (out, again, want) in rows {
        let mut lab = settled(&slow("60s"));
        down(&mut lab);
        back(&mut lab);
        lab.run(25_000);
        assert_eq!(a_weight(&mut lab), 5);
        // Checks that count for nothing, for `health down` to stand.
        lab.net(A, Net::Fault);
        set(&mut lab, "a", out).unwrap();
        lab.run(10_000);
        assert_eq!(a_weight(&mut lab), 0, "{out:?}");
        lab.net(A, Net::Good);
        set(&mut lab, "a", again).unwrap();
        lab.run(5);
        assert_eq!(a_weight(&mut lab), want, "{out:?}");
    }
}

#[test]
fn down_again_it_begins_again() {
    let mut lab = settled(&slow("60s"));
    for _ in 0..3 {
        down(&mut lab);
        lab.writes.clear();
        back(&mut lab);
        lab.run(42_000);
        assert_eq!(climb(&mut lab, A), CLIMB[..5]);
    }
    // No step of an earlier climb is left over.
    lab.run(60_000);
    assert_eq!(climb(&mut lab, A), [(0, 50), (10_000, 100)]);
}

#[test]
fn paused_while_it_was_down_it_climbs_all_the_same() {
    let mut lab = settled(&slow("60s"));
    down(&mut lab);
    set(&mut lab, "a", Pause).unwrap();
    lab.run(3000);
    lab.net(A, Net::Good);
    lab.writes.clear();
    set(&mut lab, "a", Resume).unwrap();
    lab.run(100_000);
    assert_eq!(climb(&mut lab, A), CLIMB);
}

#[test]
fn each_step_is_of_the_weight_that_it_has_then() {
    let mut lab = settled(&with_agent());
    down(&mut lab);
    back(&mut lab);
    lab.run(31_000);
    assert_eq!(a_weight(&mut lab), 10);
    lab.says(A, "50%");
    lab.run(1100);
    assert_eq!(a_weight(&mut lab), 5, "10 % of 50");
    let now = lab.wall();
    lab.c.set_weight(now, "web", "first", "a", Some(40), false).unwrap();
    lab.turn();
    assert_eq!(a_weight(&mut lab), 2, "10 % of half of 40");
    lab.run(8000);
    assert_eq!(a_weight(&mut lab), 4, "20 % of it");
    lab.says(A, "1%");
    lab.run(1100);
    assert_eq!(a_weight(&mut lab), 1, "never below 1");
    lab.says(A, "0%");
    lab.run(1100);
    assert_eq!(a_weight(&mut lab), 0, "but nothing of nothing");
    lab.says(A, "200%");
    lab.run(20_000);
    assert_eq!(a_weight(&mut lab), 80, "the end of the climb does not wait for anybody");
}

#[test]
fn each_frontend_has_its_own_time() {
    let web2 = "    quick: {address: 192.0.2.2, protocol: tcp, port: 80, slow-start: 6s,\n            pools: [{name: p, backends: {a: {}}}]}\n    plain: {address: 192.0.2.3, protocol: tcp, port: 80, pools: [{name: p, backends: {a: {}}}]}\n";
    let yaml = slow("60s").replace("  frontends:\n", &format!("  frontends:\n{web2}"));
    let mut lab = settled(&yaml);
    down(&mut lab);
    back(&mut lab);
    for (wait, web, quick) in [(0, 1, 1), (1001, 1, 2), (3000, 1, 20), (2000, 1, 100), (4000, 2, 100)] {
        lab.run(wait);
        let each = ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
            .map(|vip| lab.weights(vip, 80).split(' ').next().unwrap().to_owned());
        assert_eq!(each, [web, quick, 100].map(|w| format!("10.1.0.1={w}")));
    }
}

#[test]
fn a_reload_that_changes_the_time_counts_from_the_moment_it_came_back() {
    // The file of before and after; what it has after 25 s, right after the reload, and 10 s later.
    let rows: [(&str, &str, [u8; 3]); 5] = [
        (&slow("60s"), &slow("30s"), [5, 50, 100]),
        (&slow("60s"), &slow("600s"), [5, 1, 1]),
        (&slow("60s"), BASIC, [5, 100, 100]),
        (BASIC, &slow("60s"), [100, 5, 10]),
        (&slow("20s"), &slow("60s"), [100, 5, 10]),
    ];
    for (i, (before, after, want)) in rows.into_iter().enumerate() {
        let mut lab = settled(before);
        down(&mut lab);
        back(&mut lab);
        lab.run(25_000);
        let mut got = vec![a_weight(&mut lab)];
        lab.load(after);
        lab.turn();
        got.push(a_weight(&mut lab));
        lab.run(10_000);
        got.push(a_weight(&mut lab));
        assert_eq!(got, want, "row {i}");
    }
}

#[test]
fn whoever_follows_climbs_with_the_one_it_follows() {
    let yaml = slow("60s").replace("10.1.0.2, healthcheck: tcp", "10.1.0.2, track: a");
    let mut lab = settled(&yaml);
    for (out, again) in [(Disable, Enable), (HealthDown, HealthUp)] {
        set(&mut lab, "a", out).unwrap();
        lab.run(1);
        lab.writes.clear();
        set(&mut lab, "a", again).unwrap();
        lab.run(41_000);
        assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=20 10.1.0.2=10 10.1.0.3=0", "{out:?}");
    }
    set(&mut lab, "a", Drain).unwrap();
    lab.run(1);
    set(&mut lab, "a", Ready).unwrap();
    lab.run(1);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=20 10.1.0.2=10 10.1.0.3=0");
}
