//! Forced health, 404 and the order of words: what each does to state, schedule and flows.

use super::agents::set;
use super::lab::BASIC;
use super::words::HANDS;
use super::{Lab, Net};
use crate::control::BackendVerb::{self, *};

const A: &str = "10.1.0.1";

fn http() -> String {
    BASIC.replace(
        "tcp: {type: tcp, port: 80,",
        "tcp: {type: http, params: {path: /, disable-on-404: true}, port: 80,",
    )
}

/// Its flows are kept when it goes down.
fn kept(yaml: &str) -> String {
    yaml.replace("      pools:", "      flush-on-down: false\n      pools:")
}

fn settled(yaml: &str) -> Lab {
    let mut lab = Lab::new(yaml);
    lab.run(5000);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=100 10.1.0.2=50 10.1.0.3=0");
    lab.take_writes();
    lab.log.clear();
    lab
}

fn writes(lab: &mut Lab) -> Vec<String> {
    let all = lab.take_writes().into_iter();
    all.map(|w| w.replace("vip=192.0.2.1:80/tcp set-weight server=10.1.0.1 ", "")).collect()
}

/// When each of its states began, in milliseconds from now on, until `ms` are over.
fn course(lab: &mut Lab, ms: u64) -> Vec<(u64, String)> {
    let (from, mut seen) = (lab.now, vec![(0, lab.state("a"))]);
    for _ in 0..ms {
        lab.run(1);
        let state = lab.state("a");
        if seen.last().unwrap().1 != state {
            seen.push((lab.now.since(from).as_millis() as u64, state));
        }
    }
    seen
}

#[test]
fn what_refuses_forced_health_and_why() {
    // Backend, what is done before, the answer to each of the three; in the order up, down, stopping.
    let tracks = |b: &str, to: &str| format!("backend `{b}` tracks `{to}`: set the health of that");
    let is_static = "backend `s` has no checks that would count on from there: use `disable` or `drain`";
    let rows: [(&str, &[BackendVerb], [String; 3]); 7] = [
        ("t", &[], [0; 3].map(|_| tracks("t", "a"))),
        ("u", &[], [0; 3].map(|_| tracks("u", "t"))),
        ("s", &[], [0; 3].map(|_| is_static.to_owned())),
        ("s", &[Disable], [0; 3].map(|_| is_static.to_owned())),
        ("a", &[Disable], [0; 3].map(|_| "backend `a` is disabled (enable it first)".to_owned())),
        ("a", &[Pause], [0; 3].map(|_| "backend `a` is paused (resume it first)".to_owned())),
        ("a", &[Pause, Disable], [0; 3].map(|_| "backend `a` is disabled (enable it first)".to_owned())),
    ];
    for (backend, before, want) in rows {
        let mut lab = super::words::settled(HANDS);
        for verb in before {
            set(&mut lab, backend, *verb).unwrap();
        }
        lab.log.clear();
        let was = (lab.state(backend), lab.c.snapshot());
        let got = [HealthUp, HealthDown, HealthStopping].map(|v| set(&mut lab, backend, v).unwrap_err());
        assert_eq!(got, want, "{backend} {before:?}");
        assert_eq!((lab.state(backend), lab.c.snapshot()), was, "nothing has changed");
        assert_eq!(lab.log, []);
    }
    // By its agent's maintenance as well; and stopping where it is not up.
    let mut lab = super::words::settled(HANDS);
    super::words::says(&mut lab, "d", "maint");
    for verb in [HealthUp, HealthDown, HealthStopping] {
        let why = "backend `d` is disabled by its agent (mute that, or wait for its `ready`)";
        assert_eq!(set(&mut lab, "d", verb), Err(why.to_owned()));
    }
    set(&mut lab, "a", HealthDown).unwrap();
    let error = set(&mut lab, "a", HealthStopping).unwrap_err();
    assert!(error.starts_with("backend `a` is not up"), "{error}");
    assert_eq!(lab.state("a"), "down");
}

#[test]
fn forced_down_comes_up_after_rise_passes_and_forced_up_goes_down_after_fall_failures() {
    // rise 2, fall 3: the counter is 0 to 4. The next probe comes as it would have or an interval of the new state from
    // now, whichever is first; the one behind it after a fast interval.
    let mut lab = settled(BASIC);
    lab.take_writes();
    assert_eq!(set(&mut lab, "a", HealthDown), Ok("backend `a` forced down".into()));
    let seen = course(&mut lab, 5000);
    let states: Vec<&str> = seen.iter().map(|(_, s)| s.as_str()).collect();
    assert_eq!(states, ["down", "down 1/4", "up 2/4", "up 3/4", "up"]);
    assert!(seen[1].0 <= 1001, "{seen:?}");
    assert_eq!(seen[2].0 - seen[1].0, 200);
    assert_eq!(writes(&mut lab), ["weight=0 flush", "weight=100"]);
    lab.net(A, Net::Refused);
    lab.run(6000);
    lab.take_writes();
    assert_eq!(set(&mut lab, "a", HealthUp), Ok("backend `a` forced up".into()));
    let seen = course(&mut lab, 5000);
    let states: Vec<&str> = seen.iter().map(|(_, s)| s.as_str()).collect();
    assert_eq!(states, ["up", "up 3/4", "up 2/4", "down 1/4", "down"]);
    assert!(seen[1].0 <= 1001, "an interval, not the rest of a down interval: {seen:?}");
    assert_eq!(writes(&mut lab), ["weight=100", "weight=0 flush"]);
    let log = lab.take_log("backend-transition");
    assert_eq!(
        log.iter().filter(|l| l.contains("code=forced")).collect::<Vec<_>>(),
        [
            "backend-transition backend=a from=up to=down code=forced detail=\"by the operator\"",
            "backend-transition backend=a from=down to=up code=forced detail=\"by the operator\""
        ]
    );
}

#[test]
fn the_next_probe_is_no_further_off_than_the_interval_of_the_new_state() {
    // An interval, what it is at first and until when, the verb, and the time to the next probe at most.
    let rows = [
        (" interval: 1s", " interval: 60s", Net::Good, 62_000, HealthDown, 2000),
        ("down-interval: 2s", "down-interval: 60s", Net::Refused, 3000, HealthUp, 1000),
    ];
    for (from, to, net, settled, verb, most) in rows {
        let mut lab = Lab::new(&BASIC.replace(from, to));
        lab.net(A, net);
        lab.run(settled);
        let before = lab.starts(A).len();
        lab.run(500);
        set(&mut lab, "a", verb).unwrap();
        lab.run(most - 10);
        assert_eq!(lab.starts(A).len(), before, "{verb:?}: the next one was far off");
        lab.run(10);
        assert_eq!(lab.starts(A).len(), before + 1, "{verb:?}");
    }
}

#[test]
fn forced_to_where_it_is_the_counter_moves_all_the_same() {
    let mut lab = settled(BASIC);
    lab.net(A, Net::Refused);
    lab.until(|l| l.state("a") == "up 2/4");
    assert_eq!(set(&mut lab, "a", HealthUp), Ok("backend `a` forced up".into()));
    assert_eq!(lab.state("a"), "up", "three failures are needed anew");
    assert_eq!(set(&mut lab, "a", HealthUp), Ok("backend `a` has that health already (up)".into()));
    assert_eq!(writes(&mut lab), Vec::<String>::new());
}

#[test]
fn what_checks_have_found_is_not_forced() {
    let mut lab = settled(BASIC);
    lab.net(A, Net::Refused);
    lab.until(|l| l.state("a") == "down");
    assert_eq!(set(&mut lab, "a", HealthDown), Ok("backend `a` has that health already (down)".into()));
    // The operator has said nothing that a new name would not inherit.
    lab.log.clear();
    lab.load(&BASIC.replace("    a: {", "    z: {").replace("a: {}", "z: {}"));
    assert_eq!(lab.state("z"), "down");
    assert!(!lab.log.iter().any(|l| l.1.contains("without the operator's words")), "{:?}", lab.log);
}

#[test]
fn forced_health_lies_beneath_the_words_of_others() {
    let mut lab = super::words::settled(HANDS);
    super::words::says(&mut lab, "d", "down");
    assert_eq!(
        set(&mut lab, "d", HealthUp),
        Ok("backend `d` has that health already (down by agent)".into())
    );
    set(&mut lab, "d", HealthDown).unwrap();
    assert_eq!(lab.state("d"), "down");
    assert_eq!(set(&mut lab, "d", HealthUp), Ok("backend `d` forced up; it is down by agent".into()));
    super::words::says(&mut lab, "d", "up drain");
    assert_eq!(set(&mut lab, "d", HealthDown), Ok("backend `d` forced down".into()));
    assert_eq!(lab.state("d"), "down", "down comes before drain");
    assert_eq!(set(&mut lab, "d", HealthUp), Ok("backend `d` forced up; it is drain by agent".into()));
    set(&mut lab, "a", Drain).unwrap();
    assert_eq!(set(&mut lab, "a", HealthStopping), Ok("backend `a` forced to stopping".into()));
    assert_eq!(set(&mut lab, "a", Ready), Ok("backend `a` ready; it is stopping".into()));
}

/// An agent alone is what it counts on from: its next word.
#[test]
fn where_an_agent_alone_decides_forced_health_stands_until_its_next_word() {
    let mut lab = super::words::settled(HANDS);
    set(&mut lab, "b", HealthDown).unwrap();
    lab.run(30_000);
    assert_eq!(lab.state("b"), "down");
    super::words::says(&mut lab, "b", "50%");
    assert_eq!(lab.state("b"), "up", "any reply but down");
    set(&mut lab, "b", HealthStopping).unwrap();
    assert_eq!(lab.state("b"), "stopping");
    super::words::says(&mut lab, "b", "50%");
    assert_eq!(lab.state("b"), "up");
}

#[test]
fn one_word_after_another_flushes_once() {
    // Words, then the writes to lb of all of them; with flush-on-down and without.
    let (keep, flush) = ("weight=0", "weight=0 flush");
    let rows: [(&[BackendVerb], &[&str], &[&str]); 12] = [
        (&[Drain], &[keep], &[keep]),
        (&[Drain, Disable], &[keep, flush], &[keep, flush]),
        (&[Drain, Disable, Ready], &[keep, flush], &[keep, flush]),
        (&[Disable, Drain], &[flush], &[flush]),
        (&[Disable, Drain, Enable], &[flush], &[flush]),
        (&[Disable, Drain, Enable, Disable], &[flush], &[flush]),
        (&[Drain, HealthDown], &[keep, flush], &[keep]),
        (&[Drain, HealthDown, Disable], &[keep, flush], &[keep, flush]),
        (&[HealthDown, Disable], &[flush], &[keep, flush]),
        (&[HealthStopping, Drain, Pause, Disable], &[keep, flush], &[keep, flush]),
        (&[Pause, Resume], &[keep, "weight=100"], &[keep, "weight=100"]),
        (&[Disable, Enable, Disable], &[flush], &[flush]),
    ];
    for (verbs, with, without) in rows {
        for (yaml, want) in [(BASIC.to_owned(), with), (kept(BASIC), without)] {
            let mut lab = settled(&yaml);
            // No check that would speak between.
            if verbs != [Pause, Resume] {
                lab.net(A, Net::Fault);
            }
            for verb in verbs {
                set(&mut lab, "a", *verb).unwrap();
                lab.run(100);
            }
            lab.run(60_000);
            assert_eq!(writes(&mut lab), want, "{verbs:?}");
        }
    }
}

#[test]
fn disabled_while_it_was_drained_enable_leaves_the_drain() {
    for first in [[Drain, Disable], [Disable, Drain]] {
        let mut lab = settled(BASIC);
        for verb in first {
            set(&mut lab, "a", verb).unwrap();
            lab.run(100);
        }
        assert_eq!(lab.state("a"), "disabled");
        lab.run(1000);
        lab.take_writes();
        assert_eq!(set(&mut lab, "a", Enable), Ok("backend `a` enabled; it is drain".into()));
        lab.run(5000);
        assert_eq!((lab.state("a").as_str(), writes(&mut lab)), ("drain", vec![]));
        assert!(lab.c.backend("a").unwrap().counter > 1, "and it is checked meanwhile");
        assert_eq!(set(&mut lab, "a", Ready), Ok("backend `a` ready".into()));
        lab.turn();
        assert_eq!((lab.state("a").as_str(), writes(&mut lab)), ("up", vec!["weight=100".into()]));
    }
}

#[test]
fn a_404_counts_by_what_the_backend_is() {
    // What it answered before, what it is then, and what it is after the 404s.
    for (before, was, then) in
        [(Net::Good, "up", "stopping"), (Net::Refused, "down", "down"), (Net::Silent, "down", "down")]
    {
        let mut lab = settled(&http());
        lab.net(A, before);
        lab.run(8000);
        assert_eq!(lab.state("a"), was);
        lab.net(A, Net::NotFound);
        lab.run(8000);
        assert_eq!(lab.state("a"), then);
        let view = lab.c.backend("a").unwrap();
        assert_eq!((view.passes > 0, view.failures > 0), (true, before != Net::Good));
    }
    // In unknown it is a failure, at the start as after an enable.
    let mut lab = Lab::new(&http());
    lab.net(A, Net::NotFound);
    lab.run(2000);
    assert_eq!(lab.state("a"), "down");
    let mut lab = settled(&http());
    set(&mut lab, "a", Disable).unwrap();
    lab.net(A, Net::NotFound);
    set(&mut lab, "a", Enable).unwrap();
    lab.run(100);
    assert_eq!(lab.state("a"), "down");
}

#[test]
fn a_404_is_a_pass_for_the_counter_and_keeps_the_flows() {
    let mut lab = settled(&http());
    lab.net(A, Net::Refused);
    lab.until(|l| l.state("a") == "up 2/4");
    lab.net(A, Net::NotFound);
    let seen = course(&mut lab, 3000);
    let states: Vec<&str> = seen.iter().map(|(_, s)| s.as_str()).collect();
    assert_eq!(states, ["up 2/4", "stopping"]);
    assert_eq!(writes(&mut lab), ["weight=0"]);
    // Two failures on the way, then a pass: never down.
    lab.net(A, Net::Refused);
    lab.until(|l| l.c.backend("a").unwrap().counter == 2);
    lab.net(A, Net::Good);
    lab.run(3000);
    assert_eq!((lab.state("a").as_str(), writes(&mut lab)), ("up", vec!["weight=100".into()]));
    assert_eq!(
        lab.take_log("backend-transition"),
        [
            "backend-transition backend=a from=up to=stopping code=L7OKC detail=\"HTTP 404\"",
            "backend-transition backend=a from=stopping to=up code=L4OK"
        ]
    );
}

#[test]
fn stopping_and_then_dead_or_disabled_flushes_once() {
    for (yaml, dead, disabled) in [
        (http(), vec!["weight=0", "weight=0 flush"], vec!["weight=0", "weight=0 flush"]),
        (kept(&http()), vec!["weight=0"], vec!["weight=0", "weight=0 flush"]),
    ] {
        let mut lab = settled(&yaml);
        lab.net(A, Net::NotFound);
        lab.run(2000);
        lab.net(A, Net::Refused);
        lab.run(60_000);
        assert_eq!(
            (lab.state("a").as_str(), writes(&mut lab)),
            ("down", dead.iter().map(|w| w.to_string()).collect())
        );
        let mut lab = settled(&yaml);
        lab.net(A, Net::NotFound);
        lab.run(2000);
        set(&mut lab, "a", Disable).unwrap();
        lab.run(60_000);
        assert_eq!(writes(&mut lab), disabled);
        // Enabled, it has to pass first: a 404 is no way out of unknown.
        set(&mut lab, "a", Enable).unwrap();
        lab.run(5000);
        assert_eq!(lab.state("a"), "down");
        lab.net(A, Net::Good);
        lab.run(5000);
        assert_eq!(lab.state("a"), "up");
    }
}

#[test]
fn all_stopping_fails_over_and_the_frontend_is_down_only_when_nobody_is_left() {
    let mut lab = settled(&http());
    lab.net(A, Net::NotFound);
    lab.net("10.1.0.2", Net::NotFound);
    lab.run(2000);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=0 10.1.0.2=0 10.1.0.3=100");
    lab.net("10.1.0.3", Net::NotFound);
    lab.run(2000);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=0 10.1.0.2=0 10.1.0.3=0");
    assert_eq!(lab.c.frontend("web").unwrap().state, "down");
    assert!(lab.take_writes().iter().all(|w| !w.ends_with(" flush")), "all flows are kept");
}
