//! The wall clock is only shown: whatever it does, the same happens at the same time.

use super::lab::BASIC;
use super::{Lab, Net};
use crate::control::BackendVerb;
use crate::time::{Now, Time};

const YEAR_MS: u64 = 365 * 86_400_000;

/// A wall clock that jumps a year ahead, to the beginning of time, to its end, and stands still.
fn jumping(mono: Time) -> Now {
    let ms = mono.0 / 1_000_000;
    let wall_ms = match ms / 700 % 6 {
        0 => 1_790_000_000_000 + ms,
        1 => 1_790_000_000_000 + YEAR_MS + ms,
        2 => 0,
        3 => u64::MAX,
        4 => 1_790_000_000_000 - YEAR_MS,
        _ => 1_700_000_000_000 - ms * 50,
    };
    Now { mono, wall_ms }
}

/// [`BASIC`] with slow start and panic: what waits for something.
fn config() -> String {
    BASIC.replace("protocol: tcp\n", "protocol: tcp\n      slow-start: 10s\n      panic: {threshold: 30}\n")
}

/// Deaths, verbs, a reload, a full disk, a restart; all that came of it but the time of day.
fn life(clocks: fn(Time) -> Now) -> Vec<String> {
    let mut told = Vec::new();
    let mut lab = Lab::idle();
    lab.clocks = clocks;
    lab.c.keep_state();
    for after_restart in [false, true] {
        lab.load(&config());
        for (net, ms) in [(Net::Good, 5000), (Net::Silent, 9000), (Net::Good, 15_000), (Net::Refused, 7000)] {
            lab.net("10.1.0.1", net);
            lab.run(ms);
            for verb in [BackendVerb::Disable, BackendVerb::Enable, BackendVerb::Drain, BackendVerb::Ready] {
                let now = lab.wall();
                lab.c.set_backend(now, "b", verb).unwrap();
                lab.disk.error = (verb == BackendVerb::Drain).then(|| "no space left on device".to_owned());
                lab.run(1300);
            }
        }
        lab.load(&config().replace("interval: 1s", "interval: 900ms"));
        let now = lab.wall();
        lab.c.set_backend(now, "c", BackendVerb::Pause).unwrap();
        lab.run(3000);
        told.push(format!("{after_restart} {} {}", lab.state("a"), lab.weights("192.0.2.1", 80)));
        told.extend(lab.log.drain(..).map(|(at, line)| format!("{at:?} {line}")));
        told.extend(lab.writes.drain(..).map(|(at, op)| format!("{at:?} {op}")));
        told.extend(lab.started.drain(..).map(|s| format!("{s:?}")));
        told.extend(lab.saves.drain(..).map(|at| format!("saved {at:?}")));
        lab = lab.reborn();
        lab.clocks = clocks;
    }
    told
}

#[test]
fn a_clock_that_jumps_changes_nothing_but_what_is_shown() {
    let steady = life(|mono| Now { mono, wall_ms: 1_790_000_000_000 + mono.0 / 1_000_000 });
    let jumped = life(jumping);
    assert!(steady.len() > 300, "{}", steady.len());
    for (one, other) in steady.iter().zip(&jumped) {
        assert_eq!(one, other);
    }
    assert_eq!(steady.len(), jumped.len());
}
