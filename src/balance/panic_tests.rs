use proptest::prelude::*;

use super::*;
use crate::balance::{ramp, weigh};

const MODES: [PanicMode; 2] = [PanicMode::FailOpen, PanicMode::KeepLast];

/// Up, down and so on without any other word.
fn m(pool: usize, weight: u8, state: State) -> Member {
    let (vital, barred) = match state {
        State::Up => (Vital::Up, false),
        State::Down => (Vital::Down, false),
        State::Unknown => (Vital::Unknown, false),
        State::Paused | State::Disabled | State::Removed => (Vital::Unknown, true),
        State::Stopping | State::Drain => (Vital::Up, true),
    };
    Member { pool, weight, state, vital, barred, ramp: 100, last: None }
}

/// The same with the weight that it had.
fn was(last: u8, member: Member) -> Member {
    Member { last: Some(last), ..member }
}

/// Under a word that keeps new flows away, and down all the same.
fn barred(member: Member) -> Member {
    Member { barred: true, ..member }
}

fn rules_of(threshold: u8, mode: PanicMode) -> Rules {
    Rules { flush_on_down: true, panic: Some(Panic { threshold, mode }), begun: false }
}

fn weights(shares: &Shares) -> Vec<u8> {
    shares.members.iter().map(|s| s.weight).collect()
}

#[test]
fn who_counts_for_the_alarm() {
    use State::*;
    // (members, threshold) → up, of; none: no alarm.
    type Row<'a> = (&'a [Member], u8, Option<(usize, usize)>);
    let rows: &[Row] = &[
        (&[], 50, None),
        (&[], 100, None),
        (&[m(0, 9, Up), m(0, 9, Down)], 50, None), // Exactly reached.
        (&[m(0, 9, Up), m(0, 9, Down)], 51, Some((1, 2))),
        (&[m(0, 9, Up), m(0, 9, Down), m(0, 9, Down)], 33, None),
        (&[m(0, 9, Up), m(0, 9, Down), m(0, 9, Down)], 34, Some((1, 3))),
        (&[m(0, 9, Up)], 100, None),
        (&[m(0, 9, Down)], 1, Some((0, 1))),
        // Maintenance is no failure.
        (&[m(0, 9, Up), m(0, 9, Disabled), m(0, 9, Paused), m(0, 9, Removed)], 100, None),
        (&[m(0, 9, Disabled), m(0, 9, Paused)], 100, None),
        (&[m(0, 9, Up), m(0, 9, Down), m(0, 9, Disabled), m(0, 9, Disabled)], 50, None),
        (&[m(0, 9, Down), m(0, 9, Disabled)], 50, Some((0, 1))),
        // Neither drain nor stopping is a failure.
        (&[m(0, 9, Drain), m(0, 9, Down)], 50, None),
        (&[m(0, 9, Stopping), m(0, 9, Down)], 50, None),
        (&[barred(m(0, 9, Down)), m(0, 9, Up)], 51, Some((1, 2))), // Drained, but down.
        // One without weight is none.
        (&[m(0, 9, Up), m(0, 0, Down), m(0, 0, Down)], 100, None),
        (&[m(0, 0, Up), m(0, 9, Down)], 50, Some((0, 1))),
        // All pools count.
        (&[m(0, 9, Down), m(1, 9, Up)], 50, None),
        (&[m(0, 9, Down), m(0, 9, Down), m(1, 9, Up)], 50, Some((1, 3))),
    ];
    for mode in MODES {
        for (i, (members, threshold, want)) in rows.iter().enumerate() {
            // Where all are known it is the same before as in the middle.
            for begun in [false, true] {
                let rules = Rules { begun, ..rules_of(*threshold, mode) };
                let got = alarm(members, rules);
                assert_eq!(got, want.map(|(up, of)| Alarm { up, of, mode }), "row {i}");
                let none = Rules { panic: None, ..rules };
                assert_eq!(alarm(members, none), None, "row {i}: not asked for");
            }
        }
    }
}

#[test]
fn the_unknown_neither_begins_it_nor_ends_it() {
    use State::*;
    let drained = Member { vital: Vital::Unknown, ..m(0, 9, Drain) };
    // (members, threshold) → whether it begins, whether it goes on, with how many up of how many.
    type Row<'a> = (&'a [Member], u8, bool, bool, (usize, usize));
    let rows: &[Row] = &[
        (&[m(0, 9, Unknown), m(0, 9, Down)], 50, false, true, (0, 2)),
        (&[m(0, 9, Unknown), m(0, 9, Down), m(0, 9, Down)], 50, true, true, (0, 3)),
        (&[m(0, 9, Unknown), m(0, 9, Up)], 50, false, false, (1, 2)),
        (&[m(0, 9, Unknown), m(0, 9, Up)], 51, false, true, (1, 2)),
        (&[m(0, 9, Unknown), m(0, 9, Unknown)], 100, false, true, (0, 2)),
        // Drained on its way out of maintenance, it is as unknown as without.
        (&[drained, m(0, 9, Down)], 50, false, true, (0, 2)),
        (&[drained, m(0, 9, Up)], 50, false, false, (1, 2)),
        // In a pool of its own, and without weight.
        (&[m(1, 9, Unknown), m(0, 9, Down)], 50, false, true, (0, 2)),
        (&[m(0, 0, Unknown), m(0, 9, Up)], 100, false, false, (1, 1)),
        // Nothing is known of the disabled and paused either, but they do not count.
        (&[m(0, 9, Disabled), m(0, 9, Paused), m(0, 9, Up)], 100, false, false, (1, 1)),
    ];
    for mode in MODES {
        for (i, (members, threshold, begins, goes_on, (up, of))) in rows.iter().enumerate() {
            for (begun, want) in [(false, begins), (true, goes_on)] {
                let got = alarm(members, Rules { begun, ..rules_of(*threshold, mode) });
                let want = want.then_some(Alarm { up: *up, of: *of, mode });
                assert_eq!(got, want, "row {i}, begun: {begun}");
            }
            assert_eq!(count(members, mode), Alarm { up: *up, of: *of, mode }, "row {i}");
        }
    }
}

#[test]
fn whoever_is_enabled_in_a_panic_does_not_end_it_for_a_moment() {
    use State::*;
    // Half would be up with the fourth, of which there is no result yet.
    let mut last = vec![Some(70), Some(0), Some(30), Some(0)];
    let mut begun = true;
    for (state, want) in [(Unknown, [70, 0, 30, 0]), (Down, [70, 0, 30, 0]), (Up, [0, 20, 0, 9])] {
        let mut members = [m(0, 70, Down), m(0, 20, Up), m(0, 30, Down), m(0, 9, state)];
        for (m, last) in members.iter_mut().zip(&last) {
            m.last = *last;
        }
        let shares = weigh(&members, Rules { begun, ..rules_of(50, PanicMode::KeepLast) });
        assert_eq!((weights(&shares), shares.alarm.is_some()), (want.to_vec(), state != Up), "{state:?}");
        begun = shares.alarm.is_some();
        last = remember(&last, &shares);
    }
}

#[test]
fn fail_open_takes_the_first_pool_as_if_all_were_up() {
    use State::*;
    // members → active pool, weights, whether panic does it
    let rows: &[(&[Member], usize, &[u8], bool)] = &[
        (&[m(0, 70, Down), m(0, 30, Down)], 0, &[70, 30], true),
        (&[m(0, 70, Up), m(0, 30, Down), m(0, 9, Down)], 0, &[70, 30, 9], true),
        // The first pool, although a backend of the second is up.
        (&[m(0, 70, Down), m(0, 30, Down), m(1, 50, Up)], 0, &[70, 30, 0], true),
        // Never what somebody took out, be it down as well; nor what is not known.
        (&[m(0, 70, Disabled), m(0, 30, Down), m(0, 9, Paused)], 0, &[0, 30, 0], true),
        (&[barred(m(0, 70, Down)), m(0, 30, Down)], 0, &[0, 30], true),
        (
            &[m(0, 70, Drain), m(0, 7, Stopping), m(0, 3, Down), m(0, 3, Down), m(0, 3, Down)],
            0,
            &[0, 0, 3, 3, 3],
            true,
        ),
        (&[m(0, 70, Unknown), m(0, 30, Down), m(0, 20, Down)], 0, &[0, 30, 20], true),
        // A pool that has none left is passed over.
        (&[m(0, 70, Disabled), barred(m(0, 30, Down)), m(1, 50, Down)], 1, &[0, 0, 50], true),
        (&[m(0, 0, Down), m(1, 50, Down)], 1, &[0, 50], true),
        (&[m(0, 70, Unknown), m(1, 50, Down), m(1, 40, Down)], 1, &[0, 50, 40], true),
        // Nothing is left at all.
        (&[barred(m(0, 70, Down)), barred(m(1, 30, Down))], 0, &[0, 0], false),
        (&[barred(m(0, 70, Down)), m(1, 30, Disabled)], 0, &[0, 0], false),
        // Enough are up: the rule.
        (&[m(0, 70, Down), m(1, 50, Up)], 1, &[0, 50], false),
    ];
    for (i, (members, active, want, panics)) in rows.iter().enumerate() {
        let got = weigh(members, rules_of(50, PanicMode::FailOpen));
        assert_eq!(
            (got.active, weights(&got).as_slice(), got.alarm.is_some()),
            (*active, *want, *panics),
            "row {i}"
        );
    }
    // It ends by itself; and slow start does not hold anybody back meanwhile.
    let climbing = Member { ramp: 1, ..m(0, 100, Up) };
    let got = weigh(&[climbing, m(0, 100, Down), m(0, 100, Down)], rules_of(50, PanicMode::FailOpen));
    assert_eq!(weights(&got), [100, 100, 100]);
    let got = weigh(&[climbing, m(0, 100, Up), m(0, 100, Down)], rules_of(50, PanicMode::FailOpen));
    assert_eq!((weights(&got), got.alarm), (vec![1, 100, 0], None));
}

#[test]
fn keep_last_keeps_what_nobody_took_out() {
    use State::*;
    let rows: &[(&[Member], usize, &[u8], bool)] = &[
        (&[was(70, m(0, 70, Down)), was(0, m(0, 30, Down))], 0, &[70, 0], true),
        // Down before it began: stays at 0 even if it is up now.
        (&[was(9, m(0, 9, Down)), was(0, m(0, 9, Up)), was(9, m(0, 9, Down))], 0, &[9, 0, 9], true),
        // A weight that climbed stays where it was.
        (&[was(2, m(0, 100, Down)), was(100, m(0, 100, Down))], 0, &[2, 100], true),
        // The standby that carried goes on.
        (&[was(0, m(0, 9, Down)), was(8, m(1, 8, Down))], 1, &[0, 8], true),
        // Taken out since; its weight set to 0 since; new since.
        (&[was(9, m(0, 9, Disabled)), was(9, m(0, 9, Down))], 0, &[0, 9], true),
        (&[was(9, barred(m(0, 9, Down))), was(9, m(0, 9, Down))], 0, &[0, 9], true),
        (&[was(9, m(0, 0, Down)), was(9, m(0, 9, Down))], 0, &[0, 9], true),
        (&[m(0, 9, Up), was(9, m(0, 9, Down)), was(9, m(0, 9, Down))], 0, &[0, 9, 9], true),
        // All that was kept is taken out: the rule gives weight to those that are up, and that is kept from now on.
        (
            &[was(9, m(0, 9, Disabled)), was(0, m(1, 8, Up)), was(0, m(1, 8, Down)), was(0, m(1, 8, Down))],
            1,
            &[0, 8, 0, 0],
            true,
        ),
        (&[was(9, barred(m(0, 9, Down))), was(0, m(0, 8, Up)), was(0, m(0, 7, Down))], 0, &[0, 8, 0], true),
        // Nothing is kept, and nothing is up.
        (&[was(9, m(0, 9, Disabled)), was(0, m(1, 8, Down))], 0, &[0, 0], false),
        (&[m(0, 9, Down)], 0, &[0], false),
        // Enough are up: the rule.
        (&[was(9, m(0, 9, Down)), was(0, m(1, 8, Up))], 1, &[0, 8], false),
    ];
    for (i, (members, active, want, panics)) in rows.iter().enumerate() {
        let got = weigh(members, rules_of(50, PanicMode::KeepLast));
        assert_eq!(
            (got.active, weights(&got).as_slice(), got.alarm.is_some()),
            (*active, *want, *panics),
            "row {i}"
        );
    }
}

#[test]
fn who_is_drained_for_a_moment_gets_its_kept_weight_back() {
    use State::*;
    let rules = rules_of(50, PanicMode::KeepLast);
    let mut last = vec![Some(70), Some(30)];
    let mut step = |members: [Member; 2]| {
        let mut members = members;
        for (m, last) in members.iter_mut().zip(&last) {
            m.last = *last;
        }
        let shares = weigh(&members, rules);
        last = remember(&last, &shares);
        (weights(&shares), last.clone())
    };
    assert_eq!(step([m(0, 70, Down), m(0, 30, Down)]).0, [70, 30]);
    assert_eq!(step([barred(m(0, 70, Down)), m(0, 30, Down)]), (vec![0, 30], vec![Some(70), Some(30)]));
    assert_eq!(step([m(0, 70, Down), m(0, 30, Down)]).0, [70, 30]);
    // Once it is over the rule's weights are the last ones.
    assert_eq!(step([m(0, 70, Up), m(0, 30, Down)]), (vec![70, 0], vec![Some(70), Some(0)]));
    assert_eq!(step([m(0, 70, Down), m(0, 30, Down)]).0, [70, 0]);
}

#[test]
fn who_is_disabled_for_a_moment_waits_for_its_first_result() {
    use State::*;
    let mut last = vec![Some(70), Some(30), Some(20)];
    for (state, want) in [(Down, 70), (Disabled, 0), (Unknown, 0), (Down, 70)] {
        let first = Member { last: last[0], ..m(0, 70, state) };
        let shares = weigh(
            &[first, was(30, m(0, 30, Down)), was(20, m(0, 20, Down))],
            rules_of(50, PanicMode::KeepLast),
        );
        assert_eq!(weights(&shares), [want, 30, 20], "{state:?}");
        last = remember(&last, &shares);
    }
}

#[test]
fn a_server_that_keeps_its_weight_keeps_its_flows() {
    use State::*;
    for mode in MODES {
        let members = [was(9, m(0, 9, Down)), was(9, m(0, 9, Disabled)), was(0, m(1, 9, Down))];
        let got = weigh(&members, rules_of(50, mode));
        assert_eq!(weights(&got), [9, 0, 0]);
        assert_eq!(got.members.iter().map(|s| s.flush).collect::<Vec<_>>(), [false, true, true], "{mode:?}");
        let got = weigh(&members, Rules { flush_on_down: false, ..rules_of(50, mode) });
        assert_eq!(got.members.iter().map(|s| s.flush).collect::<Vec<_>>(), [false, true, false], "{mode:?}");
    }
}

fn member() -> impl Strategy<Value = Member> {
    let state = prop::sample::select(State::ALL.as_slice());
    let step = prop::sample::select(ramp::STEPS.as_slice());
    let last = prop::option::of(prop_oneof![Just(0), 0..=100u8]);
    let weight = prop_oneof![Just(0), 1..=100u8];
    (0..3usize, weight, state, any::<bool>(), step, last).prop_map(
        |(pool, weight, state, out, ramp, last)| {
            let plain = m(pool, weight, state);
            // A word besides is possible where it does not show: in what is down.
            Member { barred: plain.barred || (out && state == State::Down), ramp, last, ..plain }
        },
    )
}

proptest! {
    #[test]
    fn panic_makes_nothing_worse(
        members in prop::collection::vec(member(), 0..8),
        threshold in 1..=100u8,
        mode in prop::sample::select(MODES.as_slice()),
        flush_on_down: bool,
        begun: bool,
    ) {
        let calm = Rules { flush_on_down, panic: None, begun };
        let rules = Rules { panic: Some(Panic { threshold, mode }), ..calm };
        let (plain, got) = (weigh(&members, calm), weigh(&members, rules));
        prop_assert_eq!(plain.alarm, None);
        prop_assert_eq!(got.members.len(), members.len());
        let any = |s: &Shares| s.members.iter().any(|x| x.weight > 0);
        prop_assert!(!any(&plain) || any(&got), "panic took all weight");
        if got.alarm.is_none() {
            prop_assert_eq!(&got, &plain);
        }
        for (m, s) in members.iter().zip(&got.members) {
            prop_assert!(s.weight <= 100);
            prop_assert!(s.weight == 0 || (!m.barred && m.weight > 0), "{:?}", m);
            if s.flush {
                prop_assert_eq!(s.weight, 0);
                prop_assert!(m.state == State::Disabled || (m.state == State::Down && flush_on_down));
            }
            prop_assert!(s.weight == 0 || m.vital != Vital::Unknown);
            if s.weight > 0 && mode == PanicMode::FailOpen {
                prop_assert_eq!(m.pool, got.active);
            }
        }
        // Begun it is asked no less for; and asked again, as it then has or has not begun, it says the same.
        if got.alarm.is_some() {
            let begun = Rules { begun: true, ..rules };
            prop_assert_eq!(weigh(&members, begun).alarm, got.alarm);
        }
        let rules = Rules { begun: got.alarm.is_some(), ..rules };
        let last: Vec<Option<u8>> = members.iter().map(|m| m.last).collect();
        let last = remember(&last, &got);
        let again: Vec<Member> = members.iter().zip(last).map(|(m, last)| Member { last, ..*m }).collect();
        prop_assert_eq!(weigh(&again, rules), got);
    }
}
