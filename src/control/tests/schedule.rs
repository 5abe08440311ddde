use super::lab::{BASIC, START};
use super::{Lab, Net};
use crate::time::Time;

#[test]
fn first_probes_are_spread_over_the_interval_and_the_first_pass_is_up() {
    let mut lab = Lab::new(BASIC);
    lab.run(1001);
    let first: Vec<u64> = ["10.1.0.1", "10.1.0.2", "10.1.0.3"].iter().map(|a| lab.starts(a)[0]).collect();
    assert!(
        first[0] <= 333 && (333..=667).contains(&first[1]) && (666..=1000).contains(&first[2]),
        "{first:?}"
    );
    let a = lab.starts("10.1.0.1");
    assert_eq!((a[1] - a[0], a[2] - a[1]), (200, 200), "fast until the counter is at its maximum");
    let first_up = lab.log.iter().find(|(_, l)| l.contains("backend=a from=unknown to=up")).unwrap();
    assert_eq!((first_up.0.0 - START.0) / 1_000_000, a[0] + 1, "one pass is enough");
    lab.run(3000);
    assert_eq!((lab.state("a"), lab.state("b"), lab.state("c")), ("up".into(), "up".into(), "up".into()));
}

#[test]
fn intervals_run_from_start_to_start_by_state() {
    let mut lab = Lab::new(BASIC);
    lab.run(5000);
    let n = lab.starts("10.1.0.1").len();
    lab.net("10.1.0.1", Net::Refused);
    lab.run(10_000);
    let starts = lab.starts("10.1.0.1");
    let gaps: Vec<u64> = starts.windows(2).skip(n - 1).map(|w| w[1] - w[0]).collect();
    // the failing one after a full interval; then fast until counter 0; then the down interval.
    assert_eq!(gaps[..6], [1000, 200, 200, 200, 2000, 2000], "{starts:?}");
    assert_eq!(lab.state("a"), "down");
}

#[test]
fn a_probe_that_outlasts_its_interval_delays_the_next_which_starts_at_once() {
    let mut lab = Lab::new(BASIC);
    lab.run(5000);
    let n = lab.starts("10.1.0.1").len();
    lab.net("10.1.0.1", Net::Silent);
    lab.run(4000);
    let starts = lab.starts("10.1.0.1");
    let gaps: Vec<u64> = starts.windows(2).skip(n - 1).map(|w| w[1] - w[0]).collect();
    // timeout 500 ms is longer than the fast interval of 200 ms.
    assert_eq!(gaps[..4], [1000, 500, 500, 500], "{starts:?}");
}

#[test]
fn the_published_bounds_hold() {
    for (jitter, seed_shift) in [(0, 0), (10, 137), (50, 411)] {
        for shift in 0..20 {
            let yaml = BASIC.replace("jitter: 0", &format!("jitter: {jitter}"));
            let mut lab = Lab::new(&yaml);
            let check = lab.c.config().unwrap().healthchecks["tcp"].clone();
            for (net, bound) in [(Net::Silent, check.silent_bound()), (Net::Refused, check.refused_bound())] {
                lab.net("10.1.0.1", Net::Good);
                lab.run(10_000 + shift * 53 + seed_shift);
                assert_eq!(lab.state("a"), "up");
                lab.net("10.1.0.1", net);
                let killed = lab.now;
                lab.log.clear();
                lab.run(10_000);
                let down = lab.log.iter().find(|(_, l)| l.contains("backend=a from=up to=down")).unwrap();
                let took = down.0.since(killed);
                assert!(took <= bound, "{net:?}, jitter {jitter}: {took:?} > {bound:?}");
            }
        }
    }
}

#[test]
fn jitter_stays_within_its_percentage_and_uses_it() {
    let mut lab = Lab::new(&BASIC.replace("jitter: 0", "jitter: 20"));
    lab.run(400_000);
    let starts = lab.starts("10.1.0.1");
    let gaps: Vec<u64> = starts.windows(2).skip(5).map(|w| w[1] - w[0]).collect();
    assert!(gaps.iter().all(|g| (799..=1201).contains(g)), "{gaps:?}");
    assert!(gaps.iter().any(|g| *g < 850) && gaps.iter().any(|g| *g > 1150), "{gaps:?}");
}

#[test]
fn our_own_fault_never_changes_a_state_and_is_logged_once_a_minute() {
    let mut lab = Lab::new(BASIC);
    lab.run(5000);
    lab.log.clear();
    lab.net("10.1.0.1", Net::Fault);
    lab.run(100_000);
    assert_eq!(lab.state("a"), "up");
    let faults = lab.take_log("probe-fault backend=a");
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].contains("count=1 ") && faults[1].contains("count=60 "), "{faults:?}");
    let view = lab.c.backend("a").unwrap();
    assert!(view.sockerrs >= 99 && view.failures == 0, "{view:?}");
}

#[test]
fn a_static_backend_is_up_at_once_and_never_probed() {
    let yaml = BASIC.replace("a: {address: 10.1.0.1, healthcheck: tcp}", "a: {address: 10.1.0.1}");
    let mut lab = Lab::new(&yaml);
    assert_eq!(lab.state("a"), "up unchecked");
    lab.run(5000);
    assert_eq!(lab.starts("10.1.0.1"), Vec::<u64>::new());
    assert_eq!(lab.c.backend("a").unwrap().healthcheck, None);
}

#[test]
fn transitions_are_kept_newest_first_and_capped() {
    let mut lab = Lab::new(&BASIC.replace("maglev:", "maglev:\n  healthchecker: {transition-history: 3}"));
    lab.run(5000);
    for net in [Net::Refused, Net::Good, Net::Refused] {
        lab.net("10.1.0.1", net);
        lab.run(10_000);
    }
    let view = lab.c.backend("a").unwrap();
    let all: Vec<String> =
        view.transitions.iter().map(|t| format!("{} {} {} {}", t.from, t.to, t.code, t.detail)).collect();
    assert_eq!(
        all,
        ["up down L4CON connection refused", "down up L4OK ", "up down L4CON connection refused"]
    );
    let mut lab = Lab::new(BASIC);
    lab.run(1000);
    let t = lab.c.backend("a").unwrap().transitions;
    assert_eq!((t[1].from.as_str(), t[1].to.as_str(), t[1].code.as_str()), ("-", "unknown", "start"));
}

#[test]
fn a_stalled_main_thread_spreads_what_is_overdue() {
    // Down, so that the controller orders each of their probes.
    let mut lab = Lab::new(BASIC);
    for address in ["10.1.0.1", "10.1.0.2", "10.1.0.3"] {
        lab.net(address, Net::Refused);
    }
    lab.run(5000);
    let before = lab.started.len();
    // Nobody calls for 10 s; the prober beats on.
    lab.now = Time(lab.now.0 + 10_000_000_000);
    let stalled = lab.now;
    lab.run(300);
    let starts: Vec<u64> =
        lab.started[before..].iter().take(3).map(|s| s.at.since(stalled).as_millis() as u64).collect();
    assert!(starts.iter().all(|s| *s <= 200), "within a fast interval: {starts:?}");
    assert!(starts.iter().any(|s| *s > 0), "not in one burst: {starts:?}");
    assert_eq!(lab.c.status(lab.wall()).prober.main_stalls, 3);
    assert_eq!((lab.state("a"), lab.c.frozen()), ("down".into(), None));
}

#[test]
fn steady_backends_are_probed_through_a_stall_of_the_main_thread() {
    let mut lab = Lab::new(BASIC);
    lab.run(5000);
    let before = lab.started.len();
    lab.now = Time(lab.now.0 + 10_000_000_000);
    lab.run(300);
    let starts: Vec<u64> =
        lab.started[before..].iter().map(|s| s.at.since(START).as_millis() as u64).collect();
    assert!((30..=33).contains(&starts.len()), "{starts:?}");
    assert!(
        starts.windows(4).all(|w| (900..=1100).contains(&(w[3] - w[0]))),
        "each once a second: {starts:?}"
    );
    let status = lab.c.status(lab.wall());
    assert_eq!((status.prober.main_stalls, status.prober.late), (0, 0));
    assert_eq!((lab.state("a"), lab.c.frozen()), ("up".into(), None));
}

#[test]
fn a_prober_that_stops_beating_freezes_and_thaws() {
    let mut lab = Lab::new(BASIC);
    lab.run(5000);
    lab.beats = false;
    lab.net("10.1.0.1", Net::Refused);
    lab.run(3500);
    assert_eq!(lab.c.frozen(), Some("the prober has stalled"));
    let probes = lab.started.len();
    lab.take_writes();
    lab.run(60_000);
    assert_eq!(lab.started.len(), probes, "frozen: no probes");
    assert_eq!(lab.take_writes(), Vec::<String>::new(), "frozen: lb stays as it is");
    lab.beats = true;
    lab.run(5000);
    assert_eq!((lab.c.frozen(), lab.state("a").as_str()), (None, "down"));
    let said = lab.take_log("engine");
    assert!(said.iter().any(|l| l.contains("frozen: the prober has stalled")), "{said:?}");
    assert!(said.iter().any(|l| l.contains("thawed")), "{said:?}");
}

#[test]
fn a_restarted_prober_loses_no_backend() {
    let mut lab = Lab::new(BASIC);
    lab.net("10.1.0.1", Net::Silent);
    lab.run(900);
    let now = lab.wall();
    lab.c.prober_restarted(now);
    lab.net("10.1.0.1", Net::Good);
    lab.run(5000);
    assert_eq!(lab.state("a"), "up");
    assert!(START < lab.now);
}

#[test]
fn a_result_that_comes_late_or_twice_counts_for_nothing() {
    use crate::probe::{Code, Outcome, ProbeId, Report, Told};
    let mut lab = Lab::new(BASIC);
    lab.run(5000);
    let before = lab.c.backend("a").unwrap();
    for id in [0, 1, 1 << 32, (9 << 32) | 77, u64::MAX] {
        let outcome = Outcome { code: Code::L4Con, detail: "".into() };
        let (id, at) = (ProbeId(id), lab.now);
        let report = |goes_on| Report {
            id,
            due: at,
            started: at,
            finished: at,
            outcome: outcome.clone(),
            reply: None,
            goes_on,
            put_off: false,
        };
        let now = lab.wall();
        lab.c.told(now, Told::Report(report(false)));
        lab.c.told(now, Told::Report(report(true)));
    }
    assert_eq!(lab.c.backend("a").unwrap(), before);
}
