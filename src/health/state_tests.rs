use super::*;
use crate::config::CounterKind;

fn health(state: State, value: u32, rise: u32, fall: u32, kind: CounterKind) -> Health {
    Health { state, counter: Counter::at(value, rise, fall, kind) }
}

/// One row of the table: event, state and counter before, state and counter after. rise 2, fall 3, so max 4.
type Row = (Event, State, u32, Result<(State, u32), Refusal>);

#[test]
fn every_event_in_every_state() {
    use Event::*;
    use State::*;
    let rows: &[Row] = &[
        // pass
        (Pass, Unknown, 1, Ok((Up, 2))),
        (Pass, Up, 2, Ok((Up, 3))),
        (Pass, Up, 3, Ok((Up, 4))),
        (Pass, Up, 4, Ok((Up, 4))),
        (Pass, Down, 0, Ok((Down, 1))),
        (Pass, Down, 1, Ok((Up, 2))),
        (Pass, Paused, 0, Ok((Paused, 0))),
        (Pass, Disabled, 4, Ok((Disabled, 4))),
        (Pass, Removed, 4, Ok((Removed, 4))),
        // fail
        (Fail, Unknown, 1, Ok((Down, 0))),
        (Fail, Up, 4, Ok((Up, 3))),
        (Fail, Up, 3, Ok((Up, 2))),
        (Fail, Up, 2, Ok((Down, 1))),
        (Fail, Down, 1, Ok((Down, 0))),
        (Fail, Down, 0, Ok((Down, 0))),
        (Fail, Paused, 0, Ok((Paused, 0))),
        (Fail, Disabled, 4, Ok((Disabled, 4))),
        (Fail, Removed, 4, Ok((Removed, 4))),
        // pause
        (Pause, Unknown, 1, Ok((Paused, 0))),
        (Pause, Up, 4, Ok((Paused, 0))),
        (Pause, Down, 1, Ok((Paused, 0))),
        (Pause, Paused, 0, Ok((Paused, 0))),
        (Pause, Disabled, 4, Err(Refusal::Disabled)),
        (Pause, Removed, 4, Err(Refusal::Removed)),
        // resume
        (Resume, Unknown, 1, Ok((Unknown, 1))),
        (Resume, Up, 3, Ok((Up, 3))),
        (Resume, Down, 1, Ok((Down, 1))),
        (Resume, Paused, 0, Ok((Unknown, 1))),
        (Resume, Disabled, 4, Err(Refusal::Disabled)),
        (Resume, Removed, 4, Err(Refusal::Removed)),
        // disable
        (Disable, Unknown, 1, Ok((Disabled, 1))),
        (Disable, Up, 4, Ok((Disabled, 4))),
        (Disable, Down, 0, Ok((Disabled, 0))),
        (Disable, Paused, 0, Ok((Disabled, 0))),
        (Disable, Disabled, 0, Ok((Disabled, 0))),
        (Disable, Removed, 4, Err(Refusal::Removed)),
        // enable
        (Enable, Unknown, 1, Ok((Unknown, 1))),
        (Enable, Up, 3, Ok((Up, 3))),
        (Enable, Down, 0, Ok((Down, 0))),
        (Enable, Paused, 0, Ok((Paused, 0))),
        (Enable, Disabled, 4, Ok((Unknown, 1))),
        (Enable, Removed, 4, Err(Refusal::Removed)),
        // remove
        (Remove, Unknown, 1, Ok((Removed, 1))),
        (Remove, Up, 4, Ok((Removed, 4))),
        (Remove, Down, 0, Ok((Removed, 0))),
        (Remove, Paused, 0, Ok((Removed, 0))),
        (Remove, Disabled, 0, Ok((Removed, 0))),
        (Remove, Removed, 0, Ok((Removed, 0))),
    ];
    for &(event, state, value, ref want) in rows {
        let mut h = health(state, value, 2, 3, CounterKind::Linear);
        let before = h;
        let got = h.transition(event);
        match want {
            Ok((to, counter)) => {
                let change = if *to == state { Change::None } else { Change::To { from: state, to: *to } };
                assert_eq!(got, Ok(change), "{event:?} in {state:?} at {value}");
                assert_eq!(
                    (h.state, h.counter.value()),
                    (*to, *counter),
                    "{event:?} in {state:?} at {value}"
                );
            }
            Err(r) => {
                assert_eq!(got, Err(*r), "{event:?} in {state:?}");
                assert_eq!(h, before, "a refused word changes nothing");
            }
        }
    }
    for event in Event::ALL {
        for state in State::ALL {
            assert!(rows.iter().any(|r| r.0 == event && r.1 == state), "no row for {event:?} in {state:?}");
        }
    }
}

#[test]
fn unknown_and_any_failure_is_down_even_with_a_counter_to_spare() {
    let mut h = health(State::Unknown, 2, 3, 1, CounterKind::Linear);
    assert_eq!(h.transition(Event::Fail), Ok(Change::To { from: State::Unknown, to: State::Down }));
    assert_eq!(h.counter.value(), 1);
    let mut h = health(State::Unknown, 0, 1, 1, CounterKind::Linear);
    assert_eq!(h.transition(Event::Fail), Ok(Change::To { from: State::Unknown, to: State::Down }));
    assert_eq!(h.counter.value(), 0);
}

#[test]
fn first_seen_is_unknown_one_pass_short_of_up() {
    for rise in 1..5 {
        let h = Health::new(Counter::new(rise, 3, CounterKind::Linear));
        assert_eq!((h.state(), h.counter().value()), (State::Unknown, rise - 1));
    }
}

#[test]
fn rise_and_fall_count_from_the_ends() {
    for rise in 1..6 {
        for fall in 1..6 {
            let mut h = health(State::Down, 0, rise, fall, CounterKind::Linear);
            for i in 1..=rise {
                assert_eq!(h.state(), State::Down, "rise {rise}, pass {i}");
                h.transition(Event::Pass).unwrap();
            }
            assert_eq!(h.state(), State::Up);
            for _ in 0..10 {
                h.transition(Event::Pass).unwrap();
            }
            assert_eq!(h.counter().value(), rise + fall - 1);
            for i in 1..=fall {
                assert_eq!(h.state(), State::Up, "fall {fall}, failure {i}");
                h.transition(Event::Fail).unwrap();
            }
            assert_eq!(h.state(), State::Down);
        }
    }
}

#[test]
fn haproxy_counter_jumps_at_the_boundary() {
    let rows = [
        // state, value, event, state after, value after; rise 2, fall 3
        (State::Down, 1, Event::Pass, State::Up, 4),
        (State::Down, 0, Event::Pass, State::Down, 1),
        (State::Up, 4, Event::Fail, State::Up, 3),
        (State::Up, 2, Event::Fail, State::Down, 0),
        (State::Unknown, 1, Event::Pass, State::Up, 4),
        (State::Unknown, 1, Event::Fail, State::Down, 0),
    ];
    for (state, value, event, to, after) in rows {
        let mut h = health(state, value, 2, 3, CounterKind::Haproxy);
        assert_eq!(h.counter().value(), value);
        h.transition(event).unwrap();
        assert_eq!((h.state(), h.counter().value()), (to, after), "{event:?} in {state:?} at {value}");
    }
    // rise 3: unknown begins at 2, a failure there is a crossing too.
    let mut h = Health::new(Counter::new(3, 3, CounterKind::Haproxy));
    h.transition(Event::Fail).unwrap();
    assert_eq!((h.state(), h.counter().value()), (State::Down, 0));
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
        (State::Unknown, 1, 200),
        (State::Up, 4, 1000),
        (State::Up, 3, 200),
        (State::Up, 2, 200),
        (State::Down, 1, 200),
        (State::Down, 0, 5000),
    ];
    for (state, value, ms) in rows {
        let h = health(state, value, 2, 3, CounterKind::Linear);
        assert_eq!(h.interval(&check()).as_millis(), ms, "{state:?} {value}");
    }
    let h = health(State::Unknown, 0, 1, 3, CounterKind::Linear);
    assert_eq!(h.interval(&check()).as_millis(), 200, "unknown is fast even at counter 0");
}

#[test]
fn display_adds_progress_while_degraded() {
    let rows = [
        (State::Up, 4, "up"),
        (State::Up, 3, "up 3/4"),
        (State::Up, 2, "up 2/4"),
        (State::Down, 1, "down 1/4"),
        (State::Down, 0, "down"),
        (State::Unknown, 1, "unknown"),
        (State::Paused, 0, "paused"),
        (State::Disabled, 3, "disabled"),
        (State::Removed, 3, "removed"),
    ];
    for (state, value, text) in rows {
        assert_eq!(health(state, value, 2, 3, CounterKind::Linear).display(), text);
    }
}

#[test]
fn an_edited_healthcheck_keeps_the_state() {
    let to = Limits { rise: 3, fall: 5, kind: CounterKind::Linear };
    let rows = [
        (State::Up, 2, State::Up, 7),
        (State::Down, 1, State::Down, 0),
        (State::Unknown, 1, State::Unknown, 2),
        (State::Paused, 0, State::Paused, 0),
        (State::Disabled, 4, State::Disabled, 2),
    ];
    for (state, value, after, counter) in rows {
        let mut h = health(state, value, 2, 3, CounterKind::Linear);
        h.relimit(to);
        assert_eq!((h.state(), h.counter().value()), (after, counter), "{state:?}");
    }
}
