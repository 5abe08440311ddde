//! Steady backends: the prober goes on with them by itself, and what the controller does about that.

use super::lab::{BASIC, START};
use super::{Lab, Net};
use crate::control::{BackendVerb, Finished};
use crate::probe::{Order, Task, Told};
use crate::simulate::Happening;

/// Whether the job for `a` that was ordered or repeated last is a standing one.
fn stands(lab: &Lab) -> bool {
    let a = super::lab::ip("10.1.0.1");
    lab.started.iter().rev().find(|s| s.address == a).unwrap().standing
}

/// Orders of probes, all in all.
fn orders(lab: &Lab) -> u64 {
    lab.c.probes
}

#[test]
fn only_where_a_pass_changes_nothing() {
    let mut lab = Lab::new(BASIC);
    lab.run(400);
    assert_eq!((lab.starts("10.1.0.1").len(), stands(&lab)), (1, false), "was unknown");
    lab.run(5000);
    assert_eq!((lab.state("a").as_str(), stands(&lab)), ("up", true));
    lab.net("10.1.0.1", Net::Refused);
    lab.until(|lab| lab.state("a") != "up");
    assert!(lab.state("a").starts_with("up "), "{}", lab.state("a"));
    lab.run(200);
    assert!(!stands(&lab), "in doubt");
    lab.run(5000);
    assert_eq!((lab.state("a").as_str(), stands(&lab)), ("down", false));

    lab.net("10.1.0.1", Net::Good);
    let n = lab.starts("10.1.0.1").len();
    lab.log.clear();
    lab.run(10_000);
    let starts = lab.starts("10.1.0.1");
    let up = lab.log.iter().find(|(_, l)| l.contains("backend=a from=down to=up")).unwrap();
    assert_eq!((up.0.0 - START.0) / 1_000_000, starts[n + 1] + 1, "with the second pass, at once");
    assert_eq!((lab.state("a").as_str(), stands(&lab)), ("up", true));
}

#[test]
fn steady_backends_are_probed_at_their_interval_without_orders() {
    for (interval, starts) in [("10ms", 1000), ("80ms", 125), ("1s", 10)] {
        let yaml = BASIC.replace("interval: 1s, fast-interval: 200ms, down-interval: 2s, timeout: 500ms", "");
        let yaml = yaml.replace("port: 80, ,", &format!("port: 80, interval: {interval},"));
        let mut lab = Lab::new(&yaml);
        lab.run(5000);
        let (n, ordered, counted) = (lab.starts("10.1.0.1").len(), orders(&lab), lab.c.stats.probes);
        lab.run(10_000);
        assert_eq!(lab.starts("10.1.0.1").len() - n, starts, "{interval}");
        assert_eq!(orders(&lab), ordered, "{interval}");
        // Of each of the three what has not been told yet: a second's worth.
        let counted = (lab.c.stats.probes - counted) as usize;
        assert!((27 * starts / 10..=33 * starts / 10).contains(&counted), "{interval}: {counted}");
    }
}

#[test]
fn a_failure_is_heard_when_it_happens_with_the_passes_before_it() {
    let mut lab = Lab::new(BASIC);
    lab.run(5000);
    lab.net("10.1.0.1", Net::Refused);
    let n = lab.starts("10.1.0.1").len();
    lab.until(|lab| lab.state("a") != "up");
    let start = lab.starts("10.1.0.1")[n];
    assert!((lab.now.0 - START.0) / 1_000_000 <= start + 2);
    let view = lab.c.backend("a").unwrap();
    assert_eq!((view.passes, view.failures), (n as u64, 1));
}

#[test]
fn a_stopping_backend_is_heard_at_once() {
    let yaml = BASIC.replace("type: tcp, port: 80,", "type: http, port: 80, params: {disable-on-404: true},");
    let mut lab = Lab::new(&yaml);
    lab.run(5000);
    lab.net("10.1.0.1", Net::NotFound);
    let n = lab.starts("10.1.0.1").len();
    lab.until(|lab| lab.state("a") == "stopping");
    assert!((lab.now.0 - START.0) / 1_000_000 <= lab.starts("10.1.0.1")[n] + 2);
    lab.run(3000);
    assert!(!stands(&lab));
}

#[test]
fn an_operator_who_waits_is_answered_at_once_and_the_prober_goes_on_afterwards() {
    let mut lab = Lab::new(BASIC);
    lab.run(5500);
    assert!(stands(&lab));
    let now = lab.wall();
    let ticket = lab.c.probe(now, "a").unwrap();
    lab.run(1);
    assert!(!stands(&lab));
    assert!(matches!(lab.take(ticket), Finished::Probe(p) if p.code == "L4OK"));
    lab.run(1500);
    assert!(stands(&lab));
    // Never two at once: 1 s from start to start.
    let starts = lab.starts("10.1.0.1");
    lab.run(10_000);
    assert_eq!(lab.starts("10.1.0.1").len(), starts.len() + 10);
}

#[test]
fn who_is_taken_out_of_probing_is_probed_no_more() {
    for verb in [BackendVerb::Disable, BackendVerb::Pause] {
        let mut lab = Lab::new(BASIC);
        lab.run(5500);
        let now = lab.wall();
        lab.c.set_backend(now, "a", verb).unwrap();
        lab.turn();
        let n = lab.starts("10.1.0.1").len();
        lab.run(10_000);
        assert_eq!(lab.starts("10.1.0.1").len(), n, "{verb:?}");
        assert!(lab.resting.values().all(|job| job.address != super::lab::ip("10.1.0.1")));
    }
}

#[test]
fn a_health_by_force_has_the_interval_of_what_it_is_now() {
    // Full health: 1 s. Down: 2 s. The prober, left alone, would go on at 1 s.
    let mut lab = Lab::new(BASIC);
    lab.run(5000);
    assert!(stands(&lab));
    lab.net("10.1.0.1", Net::Refused);
    let now = lab.wall();
    lab.c.set_backend(now, "a", BackendVerb::HealthDown).unwrap();
    let n = lab.starts("10.1.0.1").len();
    lab.run(10_100);
    assert_eq!(lab.starts("10.1.0.1").len(), n + 5);
    // Word that changes nothing disturbs nothing.
    lab.net("10.1.0.1", Net::Good);
    lab.run(20_000);
    let (now, ordered) = (lab.wall(), orders(&lab));
    lab.c.set_backend(now, "a", BackendVerb::HealthUp).unwrap();
    lab.run(5000);
    assert_eq!((orders(&lab), stands(&lab)), (ordered, true));
}

#[test]
fn frozen_means_no_probes_and_thawed_all_of_them() {
    let mut lab = Lab::new(BASIC);
    lab.run(5000);
    lab.c.freeze("a test");
    lab.turn();
    let n = lab.started.len();
    lab.run(10_000);
    assert_eq!((lab.started.len(), lab.c.flying), (n, 0));
    let now = lab.wall();
    lab.c.thaw(now);
    lab.run(10_000);
    for a in ["10.1.0.1", "10.1.0.2", "10.1.0.3"] {
        assert!((10..=12).contains(&lab.starts(a).iter().filter(|t| **t >= 15_000).count()), "{a}");
    }
    assert_eq!(lab.c.flying, 3);
}

#[test]
fn another_healthcheck_ends_the_job_by_the_old_one_and_the_same_one_does_not() {
    let mut lab = Lab::new(BASIC);
    lab.run(5000);
    let ordered = orders(&lab);
    lab.load(&format!("{BASIC}\n"));
    lab.run(3000);
    assert_eq!(orders(&lab), ordered, "the same");
    lab.load(&BASIC.replace("interval: 1s,", "interval: 5s,"));
    lab.run(5);
    let by_new = |task: &Task| matches!(task, Task::Check(c) if c.interval.as_secs() == 5);
    assert!(lab.resting.len() == 3 && lab.resting.values().all(|job| by_new(&job.task)));
    lab.run(5000);
    let n = lab.starts("10.1.0.1").len();
    lab.run(50_000);
    assert_eq!(lab.starts("10.1.0.1").len(), n + 10);
}

#[test]
fn what_lay_in_the_channel_has_the_stamps_of_the_probe() {
    let mut lab = Lab::new(BASIC);
    lab.run(10_000);
    let (mut told, mut late) = (0, 0);
    lab.world.happened.clear();
    for _ in 0..3000 {
        let next = lab.world.next_moment();
        lab.now = next;
        if lab.world.is_idle() {
            continue;
        }
        lab.world.turn().unwrap();
        for (at, what) in std::mem::take(&mut lab.world.happened) {
            let Happening::Told(report, _) = what else { continue };
            let slot = (report.id.0 & 0xffff_ffff) as u32;
            let last = lab.c.backends.get(slot).unwrap().last.clone().unwrap();
            assert_eq!(last.latency.as_millis(), 1);
            let ended = report.finished.0 / 1_000_000 + 1_790_000_000_000;
            assert!(last.at_ms >= ended, "{} {ended}", last.at_ms);
            told += 1;
            late += u32::from(at.since(report.finished).as_millis() > 100);
        }
    }
    assert!(told > 100 && late > 10, "{told} {late}");
}

#[test]
fn who_was_put_off_is_counted() {
    let mut lab = Lab::new(BASIC);
    lab.run(5000);
    lab.until(|lab| !lab.coming.is_empty());
    let (_, mut report) = lab.world.coming.pop_first().unwrap();
    report.put_off = true;
    let (now, before) = (lab.wall(), lab.c.stats.main_stalls);
    lab.c.told(now, Told::Report(report));
    assert_eq!(lab.c.stats.main_stalls, before + 1);
}

#[test]
fn a_new_prober_begins_anew_with_all() {
    let mut lab = Lab::new(BASIC);
    lab.run(5500);
    lab.world.restart_prober();
    lab.run(1);
    let n = lab.started.len();
    let cancelled = |lab: &Lab| lab.configured.iter().filter(|o| matches!(o, Order::Cancel(_))).count();
    assert_eq!(cancelled(&lab), 0, "the new one knows of none");
    lab.run(10_000);
    assert_eq!((lab.started.len() - n, lab.c.flying), (30, 3));
}
