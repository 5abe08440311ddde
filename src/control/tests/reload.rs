use super::lab::BASIC;
use super::{Lab, Net};
use crate::control::BackendVerb;

fn settled() -> Lab {
    let mut lab = Lab::new(BASIC);
    lab.run(5000);
    lab.log.clear();
    lab
}

#[test]
fn the_same_file_again_changes_nothing() {
    let mut lab = settled();
    let before = (lab.c.backend_views(), lab.c.deadline());
    lab.take_writes();
    lab.load(BASIC);
    assert_eq!((lab.c.backend_views(), lab.take_log("transition").len()), (before.0, 0));
    lab.run(10);
    assert_eq!(lab.take_writes(), Vec::<String>::new());
}

#[test]
fn an_unchanged_backend_keeps_its_place_in_the_schedule() {
    let mut lab = settled();
    lab.run(300);
    let n = lab.starts("10.1.0.1").len();
    lab.load(&BASIC.replace("b: {weight: 50}", "b: {weight: 60}"));
    lab.run(3000);
    let starts = lab.starts("10.1.0.1");
    assert!(starts.windows(2).skip(n - 1).all(|w| w[1] - w[0] == 1000), "{starts:?}");
}

#[test]
fn an_edited_healthcheck_keeps_the_state_and_probes_at_once() {
    let mut lab = settled();
    lab.net("10.1.0.2", Net::Refused);
    lab.run(5000);
    assert_eq!((lab.state("a").as_str(), lab.state("b").as_str()), ("up", "down"));
    let (at, n) = (lab.now, lab.started.len());
    lab.load(&BASIC.replace("timeout: 500ms", "timeout: 400ms, rise: 3, fall: 5"));
    let view = lab.c.backend("a").unwrap();
    assert_eq!((view.state.as_str(), view.counter, view.counter_max), ("up", 7, 7));
    let view = lab.c.backend("b").unwrap();
    assert_eq!((view.state.as_str(), view.counter), ("down", 0));
    lab.run(1);
    assert_eq!(lab.started[n..].iter().filter(|s| s.at == at).count(), 3);
    assert!(!lab.take_log("transition").iter().any(|l| l.contains("backend=a")));
}

#[test]
fn another_address_is_another_backend() {
    let mut lab = settled();
    lab.load(&BASIC.replace("a: {address: 10.1.0.1", "a: {address: 10.1.0.9"));
    let log = lab.take_log("backend-transition");
    assert_eq!(
        log,
        [
            "backend-transition backend=a from=up to=removed code=removed",
            "backend-transition backend=a from=- to=unknown code=start"
        ]
    );
    let view = lab.c.backend("a").unwrap();
    assert_eq!(
        (view.state.as_str(), view.address.as_str(), view.transitions.len()),
        ("unknown", "10.1.0.9", 1)
    );
}

#[test]
fn a_new_name_with_an_old_address_and_healthcheck_inherits() {
    let mut lab = settled();
    lab.load(&BASIC.replace("    a: {address", "    z: {address").replace("{a: {}", "{z: {}"));
    let view = lab.c.backend("z").unwrap();
    assert_eq!((view.display.as_str(), view.address.as_str()), ("up", "10.1.0.1"));
    assert!(view.transitions.len() > 1, "history and all");
    assert!(lab.c.backend("a").is_err());
    assert_eq!(lab.take_log("backend-transition"), Vec::<String>::new());
}

#[test]
fn an_operators_word_does_not_pass_to_a_new_name() {
    let mut lab = settled();
    let now = lab.wall();
    lab.c.set_backend(now, "a", BackendVerb::Disable).unwrap();
    lab.load(&BASIC.replace("    a: {address", "    z: {address").replace("{a: {}", "{z: {}"));
    assert_eq!(lab.state("z"), "unknown");
}

#[test]
fn operators_words_stand_while_what_they_belong_to_stays() {
    let mut lab = settled();
    let now = lab.wall();
    lab.c.set_backend(now, "a", BackendVerb::Disable).unwrap();
    lab.c.set_backend(now, "b", BackendVerb::Pause).unwrap();
    lab.c.set_weight(now, "web", "second", "c", Some(7), false).unwrap();
    let weight = |lab: &Lab| lab.c.frontend("web").unwrap().pools[1].backends[0].weight;
    lab.load(&BASIC.replace("timeout: 500ms", "timeout: 400ms"));
    assert_eq!((lab.state("a").as_str(), lab.state("b").as_str(), weight(&lab)), ("disabled", "paused", 7));
    // The configured weight that was overridden becomes another: the override is gone.
    lab.load(&BASIC.replace("c: {}", "c: {weight: 80}"));
    assert_eq!(weight(&lab), 80);
    // `enabled` becomes another: the configuration speaks.
    lab.load(&BASIC.replace("10.1.0.1, healthcheck: tcp", "10.1.0.1, healthcheck: tcp, enabled: false"));
    assert_eq!(lab.state("a"), "disabled");
    lab.load(BASIC);
    assert_eq!(lab.state("a"), "unknown");
}

#[test]
fn healthcheck_taken_away_and_given_back() {
    let mut lab = settled();
    lab.net("10.1.0.1", Net::Refused);
    lab.run(5000);
    lab.load(&BASIC.replace("10.1.0.1, healthcheck: tcp", "10.1.0.1"));
    assert_eq!(lab.state("a"), "up unchecked");
    let n = lab.starts("10.1.0.1").len();
    lab.run(10_000);
    assert_eq!(lab.starts("10.1.0.1").len(), n);
    lab.load(BASIC);
    assert_eq!(lab.state("a"), "up");
    lab.run(3000);
    assert_eq!(lab.state("a"), "down");
}

#[test]
fn a_weight_change_never_touches_health() {
    let mut lab = settled();
    let before = lab.c.backend_views();
    lab.load(&BASIC.replace("b: {weight: 50}", "b: {weight: 1}"));
    let after = lab.c.backend_views();
    for (b, a) in before.iter().zip(&after) {
        assert_eq!((&b.display, b.counter, &b.transitions), (&a.display, a.counter, &a.transitions));
    }
}

#[test]
fn a_bad_file_changes_nothing_but_the_status() {
    let mut lab = settled();
    let before = (lab.c.backend_views(), lab.c.frontend_views());
    lab.c.config_failed("x.yaml", vec!["x.yaml:1:1: bad".into(), "x.yaml:2:1: worse".into()]);
    lab.drain();
    assert_eq!((lab.c.backend_views(), lab.c.frontend_views()), before);
    let s = lab.c.status(lab.wall());
    assert_eq!((s.state.as_str(), s.config_errors.len()), ("running", 2));
    assert_eq!(
        lab.take_log("config-reload"),
        ["config-reload failed, nothing changed: path=x.yaml x.yaml:1:1: bad (and 1 more)"]
    );
    lab.load(BASIC);
    assert!(lab.c.status(lab.wall()).config_errors.is_empty());
}

#[test]
fn a_removed_backend_is_forgotten_though_another_has_its_address() {
    let mut lab = settled();
    // Another name and healthcheck: another backend, which takes the server over as it is.
    let other = BASIC
        .replace("  backends:\n    a:", "    icmp: {type: icmp}\n  backends:\n    z:")
        .replace("10.1.0.1, healthcheck: tcp", "10.1.0.1, healthcheck: icmp")
        .replace("{a: {}", "{z: {}");
    lab.load(&other);
    assert!(lab.c.backend("a").is_err(), "the server is z's");
    lab.run(20_000);
    assert_eq!(lab.state("z"), "up");
}

#[test]
fn without_lb_a_removed_backend_is_forgotten_at_once() {
    let mut lab = Lab::idle();
    lab.c.without_lb();
    lab.load(BASIC);
    lab.run(5000);
    lab.load(&BASIC.replace("    a: {address: 10.1.0.1, healthcheck: tcp}\n", "").replace("a: {}, ", ""));
    lab.run(1);
    assert!(lab.c.backend("a").is_err());
}

#[test]
fn of_the_warnings_of_a_file_twenty_are_events_and_the_rest_is_counted() {
    for (n, lines) in [(0, 0), (3, 3), (20, 20), (21, 21), (5000, 21)] {
        let mut lab = settled();
        let warnings: Vec<String> =
            (1..=n).map(|i| format!("{i}:5: key `metrics` has no meaning here")).collect();
        let now = lab.wall();
        lab.c.apply(now, crate::config::parse(BASIC).unwrap().config, "test.yaml", warnings);
        lab.run(100);
        let told = lab.take_log("config ");
        assert_eq!(told.len(), lines, "{told:?}");
        assert_eq!(lab.c.status(lab.wall()).config_warnings.len(), n);
        if n > 20 {
            let last = format!("config has {} more warnings", n - 20);
            assert!(told.last().unwrap().contains(&last), "{told:?}");
        }
    }
}
