use super::*;

fn m(pool: usize, weight: u8, state: State) -> Member {
    let (vital, barred) = match state {
        State::Up => (Vital::Up, false),
        State::Down => (Vital::Down, false),
        State::Unknown | State::Removed => (Vital::Unknown, false),
        State::Paused | State::Disabled => (Vital::Unknown, true),
        State::Stopping | State::Drain => (Vital::Up, true),
    };
    Member { pool, weight, state, vital, barred, ramp: 100, last: None }
}

fn rules(flush_on_down: bool) -> Rules {
    Rules { flush_on_down, panic: None, begun: false }
}

fn one(s: &Shares, i: usize) -> (u8, bool) {
    (s.members[i].weight, s.members[i].flush)
}

#[test]
fn state_to_weight_and_flush_row_by_row() {
    // (state, in the active pool, flush_on_down) → (weight, flush); the other member keeps the pools as said.
    let rows = [
        (State::Up, true, true, (70, false)),
        (State::Up, true, false, (70, false)),
        (State::Up, false, true, (0, false)),
        (State::Unknown, true, true, (0, false)),
        (State::Unknown, false, true, (0, false)),
        (State::Paused, true, true, (0, false)),
        (State::Paused, false, true, (0, false)),
        (State::Down, true, true, (0, true)),
        (State::Down, true, false, (0, false)),
        (State::Down, false, true, (0, true)),
        (State::Down, false, false, (0, false)),
        (State::Disabled, true, true, (0, true)),
        (State::Disabled, true, false, (0, true)),
        (State::Disabled, false, false, (0, true)),
        (State::Stopping, true, true, (0, false)),
        (State::Stopping, false, true, (0, false)),
        (State::Drain, true, true, (0, false)),
        (State::Drain, false, true, (0, false)),
    ];
    for (state, active, flush_on_down, want) in rows {
        let pool = if active { 0 } else { 1 };
        let members = [m(0, 100, State::Up), m(pool, 70, state)];
        let s = weigh(&members, rules(flush_on_down));
        assert_eq!(s.active, 0);
        assert_eq!(one(&s, 1), want, "{state:?} active={active} flush_on_down={flush_on_down}");
        assert_eq!(one(&s, 0), (100, false));
    }
}

#[test]
fn the_first_pool_with_an_eligible_backend_is_active() {
    use State::*;
    let rows: &[(&[Member], usize, &[u8])] = &[
        (&[m(0, 100, Up), m(1, 100, Up)], 0, &[100, 0]),
        (&[m(0, 100, Down), m(1, 100, Up)], 1, &[0, 100]),
        (&[m(0, 0, Up), m(1, 50, Up)], 1, &[0, 50]),
        (&[m(0, 100, Paused), m(1, 100, Disabled), m(2, 7, Up)], 2, &[0, 0, 7]),
        (&[m(0, 100, Down), m(1, 100, Down)], 0, &[0, 0]),
        (&[m(0, 100, Unknown), m(1, 100, Up)], 1, &[0, 100]),
        (&[m(0, 100, Down), m(0, 1, Up), m(1, 100, Up)], 0, &[0, 1, 0]),
        (&[], 0, &[]),
    ];
    for (members, active, weights) in rows {
        let s = weigh(members, rules(true));
        assert_eq!(s.active, *active, "{members:?}");
        assert_eq!(s.members.iter().map(|x| x.weight).collect::<Vec<_>>(), *weights, "{members:?}");
    }
}

#[test]
fn frontend_state_rules() {
    use State::*;
    let rows: &[(&[Member], FrontendState)] = &[
        (&[m(0, 100, Unknown), m(1, 100, Unknown)], FrontendState::Unknown),
        (&[m(0, 100, Unknown), m(1, 100, Up)], FrontendState::Up),
        (&[m(0, 100, Unknown), m(1, 100, Down)], FrontendState::Down),
        (&[m(0, 100, Paused)], FrontendState::Down),
        (&[m(0, 0, Up)], FrontendState::Down),
        (&[m(0, 100, Up)], FrontendState::Up),
    ];
    for (members, want) in rows {
        assert_eq!(FrontendState::of(members, &weigh(members, rules(true))), *want, "{members:?}");
    }
}
