//! Panic, for every frontend of three backends in every condition, against the table of docs/behaviour.md.

use maglev::balance::{Member, Rules, weigh};
use maglev::config::{Panic, PanicMode};
use maglev::health::{Event, Standing};

use crate::{DISABLE, health};

/// What the threshold takes a backend for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counts {
    Well,
    Dead,
    /// Well for what has not begun, dead for what is to end.
    Unknown,
    NotAtAll,
}

/// What is done to a backend; what it counts for; whether panic may use it; whether it carries without a panic.
const CONDITIONS: [(&[Event], Counts, bool, bool); 10] = [
    (&[], Counts::Unknown, false, false),
    (&[Event::Pass], Counts::Well, true, true),
    (&[Event::Fail], Counts::Dead, true, false),
    (&[Event::Pass, Event::Conditional], Counts::Well, false, false),
    (&[Event::Pass, Event::Drain], Counts::Well, false, false),
    (&[Event::Drain], Counts::Unknown, false, false),
    (&[Event::Fail, Event::Drain], Counts::Dead, false, false),
    (&[Event::Pass, DISABLE], Counts::NotAtAll, false, false),
    (&[Event::Fail, Event::Pause], Counts::NotAtAll, false, false),
    (&[Event::Pass, DISABLE, Event::Enable], Counts::Unknown, false, false),
];

/// Weights of the three, and those that they had last.
const WEIGHT: [u8; 3] = [10, 20, 30];
const LAST: [u8; 3] = [7, 0, 30];

#[test]
fn every_three_backends_with_every_threshold() {
    let all: Vec<Standing> = CONDITIONS.iter().map(|c| Standing::of(&health(&[c.0]), None)).collect();
    let (mut rows, mut panics) = (0, [0, 0]);
    for nth in 0..CONDITIONS.len().pow(3) {
        let which = [nth % 10, nth / 10 % 10, nth / 100];
        let members: [Member; 3] = std::array::from_fn(|i| Member {
            last: Some(LAST[i]),
            ..Member::new(0, WEIGHT[i], &all[which[i]])
        });
        let counts = which.map(|w| CONDITIONS[w].1);
        let of = counts.iter().filter(|c| **c != Counts::NotAtAll).count();
        let number = |what: Counts| counts.iter().filter(|c| **c == what).count();
        for (threshold, mode, begun) in [1, 33, 34, 50, 51, 66, 67, 100]
            .into_iter()
            .flat_map(|t| [PanicMode::FailOpen, PanicMode::KeepLast].map(|m| (t, m)))
            .flat_map(|(t, m)| [false, true].map(|b| (t, m, b)))
        {
            let panic = Some(Panic { threshold, mode });
            let got = weigh(&members, Rules { flush_on_down: true, panic, begun });
            let well = number(Counts::Well) + if begun { 0 } else { number(Counts::Unknown) };
            // In the terms of the table: percent of those that count.
            let too_few = of > 0 && (well as f64) / (of as f64) * 100.0 < f64::from(threshold) - 1e-9;
            let used: [u8; 3] = std::array::from_fn(|i| match (CONDITIONS[which[i]].2, mode) {
                (false, _) => 0,
                (true, PanicMode::FailOpen) => WEIGHT[i],
                (true, PanicMode::KeepLast) => LAST[i],
            });
            let ruled: [u8; 3] = std::array::from_fn(|i| if CONDITIONS[which[i]].3 { WEIGHT[i] } else { 0 });
            let want = if too_few && used != [0; 3] { used } else { ruled };
            let told = format!("{which:?} {panic:?} begun: {begun}");
            assert_eq!(got.members.iter().map(|s| s.weight).collect::<Vec<_>>(), want, "{told}");
            let panicking = too_few && want != [0; 3];
            assert_eq!(got.alarm.is_some(), panicking, "{told}");
            if let Some(alarm) = got.alarm {
                assert_eq!((alarm.up, alarm.of), (number(Counts::Well), of), "{told}");
            }
            rows += 1;
            panics[usize::from(begun)] += usize::from(panicking);
        }
    }
    assert_eq!(rows, 1000 * 32);
    assert!(panics[0] > 1000 && panics[1] > panics[0], "{panics:?}");
}
