//! How long the prober may keep a pass to itself. In the laboratory it always does.

use std::time::Duration;

use super::lab::{BASIC, START};
use super::{Lab, Net};
use crate::control::Finished;

/// The patience with the probe of `a` that was ordered last.
fn last(lab: &Lab) -> Duration {
    let a = super::lab::ip("10.1.0.1");
    lab.started.iter().rev().find(|s| s.address == a).unwrap().patience
}

const MS: fn(u64) -> Duration = Duration::from_millis;

#[test]
fn only_passes_that_change_nothing_wait() {
    let mut lab = Lab::new(BASIC);
    lab.run(400);
    assert_eq!(lab.starts("10.1.0.1").len(), 1);
    assert_eq!(last(&lab), Duration::ZERO, "was unknown");
    lab.run(5000);
    assert_eq!((lab.state("a").as_str(), last(&lab)), ("up", MS(5)));
    lab.net("10.1.0.1", Net::Refused);
    for _ in 0..1100 {
        if lab.state("a") == "up" {
            lab.run(1);
        }
    }
    assert!(lab.state("a").starts_with("up "), "{}", lab.state("a"));
    lab.run(200);
    assert_eq!(last(&lab), Duration::ZERO, "in doubt");
    lab.run(5000);
    assert_eq!((lab.state("a").as_str(), last(&lab)), ("down", Duration::ZERO));

    // Up again, and no later for the patience with those at full health.
    lab.net("10.1.0.1", Net::Good);
    let n = lab.starts("10.1.0.1").len();
    lab.log.clear();
    lab.run(10_000);
    let starts = lab.starts("10.1.0.1");
    let up = lab.log.iter().find(|(_, l)| l.contains("backend=a from=down to=up")).unwrap();
    assert_eq!((up.0.0 - START.0) / 1_000_000, starts[n + 1] + 1, "with the second pass");
    assert_eq!((lab.state("a").as_str(), last(&lab)), ("up", MS(5)));
}

#[test]
fn a_stopping_backend_is_heard_at_once() {
    let yaml = BASIC.replace("type: tcp, port: 80,", "type: http, port: 80, params: {disable-on-404: true},");
    let mut lab = Lab::new(&yaml);
    lab.run(5000);
    lab.net("10.1.0.1", Net::NotFound);
    lab.run(3000);
    assert_eq!((lab.state("a").as_str(), last(&lab)), ("stopping", Duration::ZERO));
}

#[test]
fn an_operator_who_waits_is_answered_at_once() {
    let mut lab = Lab::new(BASIC);
    lab.run(5500);
    let now = lab.wall();
    let ticket = lab.c.probe(now, "a").unwrap();
    lab.run(1);
    assert_eq!(last(&lab), Duration::ZERO);
    assert!(matches!(lab.take(ticket), Finished::Probe(p) if p.code == "L4OK"));
}

#[test]
fn patience_does_not_slow_probing_down() {
    for (interval, patience, starts) in [("10ms", Duration::from_micros(625), 1000), ("80ms", MS(5), 125)] {
        let yaml = BASIC.replace("interval: 1s, fast-interval: 200ms, down-interval: 2s, timeout: 500ms", "");
        let yaml = yaml.replace("port: 80, ,", &format!("port: 80, interval: {interval},"));
        let mut lab = Lab::new(&yaml);
        lab.run(5000);
        let n = lab.starts("10.1.0.1").len();
        lab.run(10_000);
        assert_eq!(last(&lab), patience, "{interval}");
        assert_eq!(lab.starts("10.1.0.1").len() - n, starts, "{interval}");
    }
}

#[test]
fn what_is_late_for_patience_has_the_probes_own_latency() {
    let mut lab = Lab::new(BASIC);
    lab.run(10_000);
    let view = lab.c.backend("a").unwrap();
    assert_eq!((view.state.as_str(), view.last_latency_us), ("up", Some(1000)));
}
