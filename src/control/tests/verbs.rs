use super::lab::BASIC;
use super::{Lab, Net};
use crate::control::{BackendVerb, Finished, VerbError};

fn set(lab: &mut Lab, backend: &str, verb: BackendVerb) -> Result<(bool, String), String> {
    let now = lab.wall();
    let r = lab.c.set_backend(now, backend, verb);
    lab.drain();
    r.map(|d| (d.changed, d.text)).map_err(|e| e.to_string())
}

#[test]
fn what_changes_nothing_says_so_and_succeeds() {
    use BackendVerb::*;
    let mut lab = Lab::new(BASIC);
    lab.run(5000);
    let rows = [
        (Enable, Ok((false, "backend `a` is enabled already (up)".to_owned()))),
        (Resume, Ok((false, "backend `a` is resumed already (up)".to_owned()))),
        (Pause, Ok((true, "backend `a` paused".to_owned()))),
        (Pause, Ok((false, "backend `a` is paused already".to_owned()))),
        (Enable, Ok((false, "backend `a` is enabled already (paused)".to_owned()))),
        (Disable, Ok((true, "backend `a` disabled".to_owned()))),
        (Disable, Ok((false, "backend `a` is disabled already".to_owned()))),
        (Pause, Err("backend `a` is disabled (enable it first)".to_owned())),
        (Resume, Err("backend `a` is disabled (enable it first)".to_owned())),
        (Enable, Ok((true, "backend `a` enabled".to_owned()))),
    ];
    for (verb, want) in rows {
        assert_eq!(set(&mut lab, "a", verb), want, "{verb:?}");
    }
    let log = lab.take_log("operator set");
    assert_eq!(
        log,
        ["operator set backend a pause", "operator set backend a disable", "operator set backend a enable"]
    );
}

#[test]
fn unknown_names_list_the_nearest_three() {
    let mut lab = Lab::new(BASIC);
    assert_eq!(
        set(&mut lab, "aa", BackendVerb::Pause),
        Err("unknown backend `aa` (nearest: a, b, c)".to_owned())
    );
    let now = lab.wall();
    let mut weight = |f, p, b| lab.c.set_weight(now, f, p, b, Some(1), false).map_err(|e| e.to_string());
    assert_eq!(weight("wed", "first", "a"), Err("unknown frontend `wed` (nearest: web)".to_owned()));
    assert_eq!(weight("web", "fist", "a"), Err("unknown pool `fist` (nearest: first, second)".to_owned()));
    assert_eq!(weight("web", "first", "c"), Err("unknown backend `c` (nearest: a, b)".to_owned()));
    let mut empty = Lab::idle();
    assert_eq!(set(&mut empty, "x", BackendVerb::Pause), Err("unknown backend `x`".to_owned()));
}

#[test]
fn pause_and_disable_stop_probes_and_their_end_probes_at_once() {
    for (stop, go, state) in [
        (BackendVerb::Pause, BackendVerb::Resume, "paused"),
        (BackendVerb::Disable, BackendVerb::Enable, "disabled"),
    ] {
        let mut lab = Lab::new(BASIC);
        lab.run(5000);
        set(&mut lab, "a", stop).unwrap();
        let n = lab.starts("10.1.0.1").len();
        lab.run(20_000);
        assert_eq!((lab.starts("10.1.0.1").len(), lab.state("a").as_str()), (n, state));
        let at = lab.now;
        set(&mut lab, "a", go).unwrap();
        lab.run(1);
        let last = lab.started.last().unwrap();
        assert_eq!((last.at, last.address), (at, super::lab::ip("10.1.0.1")), "probed at once");
        assert_eq!(lab.state("a"), "up 2/4", "one pass is enough out of unknown");
        let codes: Vec<_> = lab.c.backend("a").unwrap().transitions.iter().map(|t| t.code.clone()).collect();
        assert_eq!(codes.len(), 5, "the history is kept: {codes:?}");
    }
}

#[test]
fn a_result_on_its_way_into_a_pause_is_ignored() {
    let mut lab = Lab::new(BASIC);
    lab.run(5000);
    lab.net("10.1.0.1", Net::Silent);
    lab.run(1200);
    let failures = lab.c.backend("a").unwrap().failures;
    set(&mut lab, "a", BackendVerb::Pause).unwrap();
    lab.run(5000);
    let after = lab.c.backend("a").unwrap();
    assert_eq!((after.state.as_str(), after.failures), ("paused", failures));
}

#[test]
fn enabled_false_starts_disabled() {
    let yaml = BASIC.replace(
        "a: {address: 10.1.0.1, healthcheck: tcp}",
        "a: {address: 10.1.0.1, healthcheck: tcp, enabled: false}",
    );
    let mut lab = Lab::new(&yaml);
    assert_eq!(lab.state("a"), "disabled");
    lab.run(5000);
    assert!(lab.starts("10.1.0.1").is_empty());
    let t = lab.c.backend("a").unwrap().transitions;
    assert_eq!((t[0].code.as_str(), t[1].code.as_str()), ("disabled", "start"));
    set(&mut lab, "a", BackendVerb::Enable).unwrap();
    lab.run(10);
    assert_eq!(lab.state("a"), "up 2/4");
}

#[test]
fn probe_answers_with_the_result_and_shares_the_one_in_flight() {
    let mut lab = Lab::new(BASIC);
    lab.run(5000);
    let n = lab.started.len();
    let now = lab.wall();
    let one = lab.c.probe(now, "a").unwrap();
    let two = lab.c.probe(now, "a").unwrap();
    lab.run(5);
    let Finished::Probe(p) = lab.take(one) else { panic!() };
    assert_eq!(
        (p.backend.as_str(), p.code.as_str(), p.verdict.as_str(), p.latency_us),
        ("a", "L4OK", "pass", 1000)
    );
    assert!(matches!(lab.take(two), Finished::Probe(_)));
    assert_eq!(lab.started[n..].iter().filter(|s| s.address == super::lab::ip("10.1.0.1")).count(), 1);
    assert_eq!(lab.c.take(one), None, "an answer is given once");
}

#[test]
fn probe_of_a_paused_backend_shows_the_result_and_changes_nothing() {
    let mut lab = Lab::new(BASIC);
    lab.run(5000);
    set(&mut lab, "a", BackendVerb::Pause).unwrap();
    lab.net("10.1.0.1", Net::Refused);
    let now = lab.wall();
    let t = lab.c.probe(now, "a").unwrap();
    lab.run(5);
    let Finished::Probe(p) = lab.take(t) else { panic!() };
    assert_eq!(
        (p.code.as_str(), p.detail.as_str(), p.verdict.as_str()),
        ("L4CON", "connection refused", "fail")
    );
    let n = lab.starts("10.1.0.1").len();
    lab.run(20_000);
    assert_eq!((lab.state("a").as_str(), lab.starts("10.1.0.1").len()), ("paused", n));
}

#[test]
fn probe_and_sync_are_refused_with_a_reason() {
    let yaml = BASIC.replace("a: {address: 10.1.0.1, healthcheck: tcp}", "a: {address: 10.1.0.1}");
    let mut lab = Lab::new(&yaml);
    let now = lab.wall();
    let text = |r: Result<_, VerbError>| r.map(|_: crate::control::Ticket| ()).unwrap_err().to_string();
    assert_eq!(text(lab.c.probe(now, "a")), "backend `a` has no healthcheck: it is static");
    assert_eq!(text(lab.c.probe(now, "x")), "unknown backend `x` (nearest: a, b, c)");
    assert_eq!(text(lab.c.sync(now, Some("x"), None)), "unknown frontend `x` (nearest: web)");
    assert_eq!(
        text(lab.c.sync(now, None, Some("lb_plugin.so is not loaded".into()))),
        "lb cannot be programmed: lb_plugin.so is not loaded"
    );
    lab.c.freeze("test");
    assert_eq!(text(lab.c.probe(now, "b")), "frozen: test");
    assert_eq!(text(Lab::idle().c.sync(now, None, None)), "no configuration is loaded");
}

#[test]
fn an_answer_that_nobody_takes_is_dropped_after_a_minute() {
    let mut lab = Lab::new(BASIC);
    lab.run(5000);
    let now = lab.wall();
    let t = lab.c.probe(now, "a").unwrap();
    lab.run(62_000);
    assert_eq!(lab.c.take(t), None);
}
