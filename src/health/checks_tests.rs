use super::*;

fn checks(vital: Vital, value: u32, rise: u32, fall: u32, kind: CounterKind) -> Checks {
    Checks::at(vital, false, Counter::at(value, rise, fall, kind))
}

/// A result, and what it is called in a failed assertion.
type Result = (&'static str, fn(&mut Checks));
const PASS: Result = ("pass", Checks::pass);
const FAIL: Result = ("fail", Checks::fail);
const CONDITIONAL: Result = ("404", Checks::conditional);

#[test]
fn every_result_in_every_state() {
    use Vital::*;
    // rise 2, fall 3, so max 4. result, state, stopping, counter → state, stopping, counter
    type Row = (Result, Vital, bool, u32, (Vital, bool, u32));
    let rows: &[Row] = &[
        (PASS, Unknown, false, 1, (Up, false, 2)),
        (PASS, Up, false, 2, (Up, false, 3)),
        (PASS, Up, false, 4, (Up, false, 4)),
        (PASS, Up, true, 3, (Up, false, 4)),
        (PASS, Down, false, 0, (Down, false, 1)),
        (PASS, Down, false, 1, (Up, false, 2)),
        (FAIL, Unknown, false, 1, (Down, false, 0)),
        (FAIL, Up, false, 4, (Up, false, 3)),
        (FAIL, Up, false, 2, (Down, false, 1)),
        (FAIL, Up, true, 4, (Up, true, 3)),
        (FAIL, Up, true, 2, (Down, false, 1)),
        (FAIL, Down, false, 1, (Down, false, 0)),
        (FAIL, Down, false, 0, (Down, false, 0)),
        (CONDITIONAL, Unknown, false, 1, (Down, false, 0)),
        (CONDITIONAL, Up, false, 4, (Up, true, 4)),
        (CONDITIONAL, Up, false, 2, (Up, true, 3)),
        (CONDITIONAL, Up, true, 3, (Up, true, 4)),
        (CONDITIONAL, Down, false, 1, (Down, false, 0)),
    ];
    for &((word, result), vital, stopping, value, want) in rows {
        let mut c = Checks::at(vital, stopping, Counter::at(value, 2, 3, CounterKind::Linear));
        result(&mut c);
        let got = (c.vital(), c.stopping(), c.counter().value());
        assert_eq!(got, want, "{word} in {vital:?} at {value}, stopping {stopping}");
    }
}

#[test]
fn unknown_and_any_failure_is_down_even_with_a_counter_to_spare() {
    let mut c = checks(Vital::Unknown, 2, 3, 1, CounterKind::Linear);
    c.fail();
    assert_eq!((c.vital(), c.counter().value()), (Vital::Down, 1));
    let mut c = checks(Vital::Unknown, 0, 1, 1, CounterKind::Linear);
    c.fail();
    assert_eq!((c.vital(), c.counter().value()), (Vital::Down, 0));
}

#[test]
fn first_seen_is_unknown_one_pass_short_of_up() {
    for rise in 1..5 {
        let c = Checks::new(Limits { rise, fall: 3, kind: CounterKind::Linear });
        assert_eq!((c.vital(), c.counter().value()), (Vital::Unknown, rise - 1));
    }
}

#[test]
fn rise_and_fall_count_from_the_ends() {
    for rise in 1..6 {
        for fall in 1..6 {
            let mut c = checks(Vital::Down, 0, rise, fall, CounterKind::Linear);
            for i in 1..=rise {
                assert_eq!(c.vital(), Vital::Down, "rise {rise}, pass {i}");
                c.pass();
            }
            assert_eq!(c.vital(), Vital::Up);
            for _ in 0..10 {
                c.pass();
            }
            assert_eq!(c.counter().value(), rise + fall - 1);
            for i in 1..=fall {
                assert_eq!(c.vital(), Vital::Up, "fall {fall}, failure {i}");
                c.fail();
            }
            assert_eq!(c.vital(), Vital::Down);
        }
    }
}

#[test]
fn haproxy_counter_jumps_at_the_boundary() {
    let rows = [
        // state, value, result, state after, value after; rise 2, fall 3
        (Vital::Down, 1, PASS, Vital::Up, 4),
        (Vital::Down, 0, PASS, Vital::Down, 1),
        (Vital::Up, 4, FAIL, Vital::Up, 3),
        (Vital::Up, 2, FAIL, Vital::Down, 0),
        (Vital::Unknown, 1, PASS, Vital::Up, 4),
        (Vital::Unknown, 1, FAIL, Vital::Down, 0),
        (Vital::Unknown, 1, CONDITIONAL, Vital::Down, 0),
    ];
    for (vital, value, (word, result), to, after) in rows {
        let mut c = checks(vital, value, 2, 3, CounterKind::Haproxy);
        result(&mut c);
        assert_eq!((c.vital(), c.counter().value()), (to, after), "{word} in {vital:?} at {value}");
    }
    // rise 3: unknown begins at 2, a failure there is a crossing too.
    let mut c = Checks::new(Limits { rise: 3, fall: 3, kind: CounterKind::Haproxy });
    c.fail();
    assert_eq!((c.vital(), c.counter().value()), (Vital::Down, 0));
}

fn check() -> Healthcheck {
    let ms = Duration::from_millis;
    Healthcheck {
        name: "c".into(),
        kind: crate::config::CheckKind::Icmp,
        port: 0,
        interval: ms(1000),
        fast_interval: ms(200),
        down_interval: ms(5000),
        timeout: ms(500),
        rise: 2,
        fall: 3,
        counter: CounterKind::Linear,
        jitter_percent: 0.0,
        probe_ipv4_src: None,
        probe_ipv6_src: None,
    }
}

#[test]
fn next_interval_by_state_and_counter() {
    let rows = [
        (Vital::Unknown, 1, 200),
        (Vital::Up, 4, 1000),
        (Vital::Up, 3, 200),
        (Vital::Up, 2, 200),
        (Vital::Down, 1, 200),
        (Vital::Down, 0, 5000),
    ];
    for (vital, value, ms) in rows {
        let c = checks(vital, value, 2, 3, CounterKind::Linear);
        assert_eq!(c.interval(&check()).as_millis(), ms, "{vital:?} {value}");
    }
    let c = checks(Vital::Unknown, 0, 1, 3, CounterKind::Linear);
    assert_eq!(c.interval(&check()).as_millis(), 200, "unknown is fast even at counter 0");
}

#[test]
fn display_adds_progress_while_degraded() {
    let rows = [
        (Vital::Up, false, 4, "up"),
        (Vital::Up, false, 3, "up 3/4"),
        (Vital::Up, false, 2, "up 2/4"),
        (Vital::Up, true, 4, "stopping"),
        (Vital::Up, true, 3, "stopping 3/4"),
        (Vital::Down, false, 1, "down 1/4"),
        (Vital::Down, false, 0, "down"),
        (Vital::Unknown, false, 1, "unknown"),
    ];
    for (vital, stopping, value, text) in rows {
        let c = Checks::at(vital, stopping, Counter::at(value, 2, 3, CounterKind::Linear));
        assert_eq!(c.display(), text);
    }
}

#[test]
fn an_edited_healthcheck_keeps_the_state() {
    let to = Limits { rise: 3, fall: 5, kind: CounterKind::Linear };
    let rows = [
        (Vital::Up, true, 2, 7),
        (Vital::Up, false, 2, 7),
        (Vital::Down, false, 1, 0),
        (Vital::Unknown, false, 1, 2),
    ];
    for (vital, stopping, value, counter) in rows {
        let mut c = Checks::at(vital, stopping, Counter::at(value, 2, 3, CounterKind::Linear));
        c.relimit(to);
        assert_eq!((c.vital(), c.stopping(), c.counter().value()), (vital, stopping, counter), "{vital:?}");
    }
}

#[test]
fn forced_health_counts_on_from_the_end() {
    let mut c = checks(Vital::Down, 0, 2, 3, CounterKind::Linear);
    c.force_up();
    assert_eq!((c.vital(), c.counter().value()), (Vital::Up, 4));
    for _ in 0..3 {
        assert_eq!(c.vital(), Vital::Up, "fall applies in full");
        c.fail();
    }
    assert_eq!(c.vital(), Vital::Down);
    c.force_up();
    assert!(c.force_stopping(true));
    c.force_down(true);
    assert_eq!((c.vital(), c.stopping(), c.counter().value()), (Vital::Down, false, 0));
    assert!(!c.force_stopping(true), "only what is up can be stopping");
    c.pass();
    assert_eq!(c.vital(), Vital::Down, "rise applies in full");
    c.pass();
    assert_eq!(c.vital(), Vital::Up);
}
