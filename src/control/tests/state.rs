//! What a restart keeps; docs/behaviour.md, "State file".

use super::lab::{BASIC, START, vip_tcp};
use super::stats::so_many;
use super::{Lab, Net};
use crate::control::BackendVerb;
use crate::control::state::{Snapshot, Written};
use crate::lb::{LoadBalancer, Op};

/// [`BASIC`] with a state file, all up and saved.
fn settled(yaml: &str) -> Lab {
    let mut lab = Lab::idle();
    lab.c.keep_state();
    lab.load(yaml);
    lab.run(5000);
    lab
}

fn set(lab: &mut Lab, backend: &str, verb: BackendVerb) {
    let now = lab.wall();
    lab.c.set_backend(now, backend, verb).unwrap();
    lab.turn();
}

fn weigh(lab: &mut Lab, pool: &str, backend: &str, weight: Option<u8>) {
    let now = lab.wall();
    lab.c.set_weight(now, "web", pool, backend, weight, false).unwrap();
    lab.turn();
}

/// Another life with this file; the configuration is loaded, no time has passed.
fn restart(lab: &Lab, yaml: &str) -> Lab {
    let mut next = lab.reborn();
    next.load(yaml);
    next.turn();
    next
}

fn states(lab: &Lab) -> String {
    let all: Vec<String> = ["a", "b", "c"].iter().map(|b| format!("{b} {}", lab.state(b))).collect();
    all.join(", ")
}

#[test]
fn the_first_programming_is_the_old_one() {
    let mut lab = settled(BASIC);
    weigh(&mut lab, "first", "b", Some(7));
    set(&mut lab, "c", BackendVerb::Disable);
    let before = lab.weights("192.0.2.1", 80);
    let mut next = restart(&lab, BASIC);
    assert_eq!(next.weights("192.0.2.1", 80), before, "at once, before any probe");
    assert!(next.started.iter().all(|s| s.at >= START));
    assert_eq!(states(&next), "a up, b up, c disabled");
    assert_eq!(next.take_log("backend-transition"), Vec::<String>::new(), "nothing has changed");
    assert_eq!(
        next.c.frontend("web").unwrap().state,
        "up",
        "and no frontend was ever thought to be without servers"
    );
    next.take_writes();
    next.run(20_000);
    assert_eq!(next.take_writes(), Vec::<String>::new(), "nor will anything, while nothing does");
    assert_eq!(next.weights("192.0.2.1", 80), before);
}

#[test]
fn what_died_meanwhile_goes_down_after_its_full_fall_and_the_others_never_leave() {
    let lab = settled(BASIC);
    let mut next = lab.reborn();
    next.net("10.1.0.1", Net::Refused);
    next.load(BASIC);
    next.run(10_000);
    let starts = next.starts("10.1.0.1");
    let (first, at) = (starts[0], next.writes.iter().find(|(_, op)| lowers(op, "10.1.0.1")).unwrap().0);
    assert!(first <= 3, "probed at once: {starts:?}");
    assert_eq!(starts[1..3], [first + 200, first + 400], "then at fast-interval");
    assert_eq!((at.0 - START.0) / 1_000_000, first + 401, "fall applies in full");
    for good in ["10.1.0.2", "10.1.0.3"] {
        assert!(!next.writes.iter().any(|(_, op)| lowers(op, good)), "{good} is well");
    }
    assert_eq!(next.weights("192.0.2.1", 80), "10.1.0.1=0 10.1.0.2=50 10.1.0.3=0");
}

fn lowers(op: &Op, server: &str) -> bool {
    matches!(op, Op::SetWeight { address, weight: 0, .. } | Op::DelServer { address, .. } if *address == super::lab::ip(server))
}

#[test]
fn a_restored_down_takes_its_full_rise() {
    let mut lab = settled(BASIC);
    lab.net("10.1.0.1", Net::Refused);
    lab.run(10_000);
    assert_eq!(states(&lab), "a down, b up, c up");
    let mut next = lab.reborn();
    next.net("10.1.0.1", Net::Good);
    next.load(BASIC);
    next.turn();
    assert_eq!(next.weights("192.0.2.1", 80), "10.1.0.1=0 10.1.0.2=50 10.1.0.3=0");
    assert_eq!(next.c.backend("a").unwrap().counter, 0);
    next.run(150);
    assert_eq!(next.state("a"), "down 1/4");
    next.run(200);
    assert_eq!(next.state("a"), "up 2/4");
}

#[test]
fn a_guess_is_probed_at_fast_interval_until_it_is_seen() {
    // Up: rise passes. Down: fall failures. Then at the pace of its counter.
    let mut lab = settled(BASIC);
    lab.net("10.1.0.1", Net::Refused);
    lab.run(10_000);
    let mut next = restart(&lab, BASIC);
    next.run(6000);
    let pace = |a: &str| next.starts(a).windows(2).map(|w| w[1] - w[0]).take(4).collect::<Vec<_>>();
    assert_eq!(pace("10.1.0.2"), [200, 1000, 1000, 1000]);
    assert_eq!(pace("10.1.0.1"), [200, 200, 2000, 2000]);
}

#[test]
fn our_own_fault_confirms_nothing() {
    let lab = settled(BASIC);
    let mut next = lab.reborn();
    next.net("10.1.0.1", Net::Fault);
    next.load(BASIC);
    next.run(2000);
    assert_eq!(states(&next), "a up, b up, c up");
    let starts = next.starts("10.1.0.1");
    assert!(starts.windows(2).all(|w| w[1] - w[0] == 200), "{starts:?}");
}

#[test]
fn many_are_not_probed_in_one_moment() {
    let mut yaml = String::from(
        "
maglev:
  vpp: {lb: {ipv4-src-address: 10.0.0.1}}
  healthchecks: {tcp: {type: tcp, port: 80, interval: 1s, fast-interval: 200ms, jitter: 0}}
  backends:
",
    );
    for i in 0..1000 {
        yaml.push_str(&format!("    b{i}: {{address: 10.2.{}.{}, healthcheck: tcp}}\n", i / 250, i % 250));
    }
    let mut next = settled(&yaml).reborn();
    next.load(&yaml);
    next.run(5);
    assert!((1..200).contains(&next.started.len()), "{}", next.started.len());
    next.run(195);
    assert!(next.started.len() >= 1000, "within a fast interval: {}", next.started.len());
}

#[test]
fn words_stand_while_what_they_belong_to_does() {
    let disabled = "a disabled, b up, c up";
    let enabled = "a unknown, b up, c up";
    let a = "a: {address: 10.1.0.1, healthcheck: tcp}";
    let rows: [(&str, String, &str); 7] = [
        ("as it was", BASIC.to_owned(), disabled),
        ("another healthcheck", BASIC.replace("port: 80, interval: 1s", "port: 81, interval: 3s"), disabled),
        ("another weight", BASIC.replace("a: {}, b", "a: {weight: 3}, b"), disabled),
        ("another address", BASIC.replace("10.1.0.1,", "10.1.0.9,"), enabled),
        ("no healthcheck", BASIC.replace(a, "a: {address: 10.1.0.1}"), disabled),
        (
            "still enabled",
            BASIC.replace(a, "a: {address: 10.1.0.1, healthcheck: tcp, enabled: true}"),
            disabled,
        ),
        (
            "disabled by the file",
            BASIC.replace(a, "a: {address: 10.1.0.1, healthcheck: tcp, enabled: false}"),
            disabled,
        ),
    ];
    for (what, yaml, want) in rows {
        let mut lab = settled(BASIC);
        set(&mut lab, "a", BackendVerb::Disable);
        assert_eq!(states(&restart(&lab, &yaml)), want, "{what}");
    }
}

#[test]
fn enable_and_disable_belong_to_enabled_pause_does_not() {
    use BackendVerb::{Disable, Enable, Pause};
    let off = BASIC.replace(
        "a: {address: 10.1.0.1, healthcheck: tcp}",
        "a: {address: 10.1.0.1, healthcheck: tcp, enabled: false}",
    );
    type Row<'a> = (&'a str, &'a [BackendVerb], &'a str, &'a str);
    let rows: [Row<'_>; 8] = [
        (BASIC, &[Disable], BASIC, "disabled"),
        (&off, &[Enable], &off, "up"),
        (BASIC, &[], &off, "disabled"),
        (&off, &[], BASIC, "unknown"),
        (&off, &[Enable], BASIC, "up"),
        (BASIC, &[Pause], BASIC, "paused"),
        (BASIC, &[Pause], &off, "disabled"),
        (&off, &[Enable, Pause], BASIC, "paused"),
    ];
    for (i, (before, verbs, after, want)) in rows.into_iter().enumerate() {
        let mut lab = settled(before);
        for verb in verbs {
            set(&mut lab, "a", *verb);
            lab.run(2000);
        }
        assert_eq!(restart(&lab, after).state("a"), want, "row {i}");
    }
}

#[test]
fn a_weight_stands_while_the_weight_it_overrode_does() {
    let rows = [
        ("as it was", BASIC.to_owned(), true),
        ("another healthcheck", BASIC.replace("port: 80, interval: 1s", "port: 81, interval: 3s"), true),
        ("another backend's weight", BASIC.replace("a: {}, b", "a: {weight: 3}, b"), true),
        ("its configured weight", BASIC.replace("b: {weight: 50}", "b: {weight: 51}"), false),
        ("another pool", BASIC.replace("name: first", "name: one"), false),
        ("another frontend", BASIC.replace("    web:", "    shop:"), false),
        ("another address", BASIC.replace("10.1.0.2,", "10.1.0.9,"), false),
        ("gone", BASIC.replace(", b: {weight: 50}", ""), false),
    ];
    for (what, yaml, stands) in rows {
        let mut lab = settled(BASIC);
        weigh(&mut lab, "first", "b", Some(7));
        let next = restart(&lab, &yaml);
        let is = next.c.snapshot().weights;
        assert_eq!(is.len(), usize::from(stands), "{what}: {is:?}");
        assert!(is.iter().all(|w| (w.weight, w.configured) == (7, 50)));
    }
    // Default is a word too.
    let mut lab = settled(BASIC);
    weigh(&mut lab, "first", "b", Some(7));
    weigh(&mut lab, "first", "b", None);
    assert_eq!(restart(&lab, BASIC).c.snapshot().weights, []);
}

#[test]
fn an_edited_healthcheck_keeps_up_and_down() {
    let mut lab = settled(BASIC);
    lab.net("10.1.0.1", Net::Refused);
    lab.run(10_000);
    let next = restart(&lab, &BASIC.replace("timeout: 500ms,", "timeout: 500ms, rise: 5, fall: 6,"));
    let counter = |b: &str| (next.c.backend(b).unwrap().counter, next.c.backend(b).unwrap().counter_max);
    assert_eq!(
        (states(&next).as_str(), counter("a"), counter("b")),
        ("a down, b up, c up", (0, 10), (10, 10))
    );
    // Without a healthcheck it is up, whatever it was.
    let next =
        restart(&lab, &BASIC.replace("a: {address: 10.1.0.1, healthcheck: tcp}", "a: {address: 10.1.0.1}"));
    assert_eq!(next.state("a"), "up unchecked");
}

#[test]
fn a_new_backend_beside_known_ones_is_waited_for() {
    let lab = settled(BASIC);
    let more = BASIC
        .replace("  frontends:", "    d: {address: 10.1.0.4, healthcheck: tcp}\n  frontends:")
        .replace("a: {}, b", "a: {}, d: {}, b");
    let mut next = restart(&lab, &more);
    assert!(next.lb.servers(&vip_tcp("192.0.2.1", 80)).is_err() || next.weights("192.0.2.1", 80).is_empty());
    next.run(1100);
    assert_eq!(next.weights("192.0.2.1", 80), "10.1.0.1=100 10.1.0.2=50 10.1.0.3=0 10.1.0.4=100");
}

#[test]
fn startup_min_delay_holds_for_known_ones_too() {
    let yaml = BASIC.replace("startup-max-delay: 10s", "startup-min-delay: 2s, startup-max-delay: 10s");
    let mut next = restart(&settled(&yaml), &yaml);
    next.run(1900);
    assert_eq!(next.lb.vips().unwrap(), []);
    next.run(200);
    assert_eq!(next.weights("192.0.2.1", 80), "10.1.0.1=100 10.1.0.2=50 10.1.0.3=0");
}

#[test]
fn the_reason_and_the_history_survive() {
    let mut lab = settled(BASIC);
    lab.net("10.1.0.1", Net::Refused);
    lab.run(10_000);
    set(&mut lab, "b", BackendVerb::Pause);
    let next = restart(&lab, BASIC);
    for b in ["a", "b", "c"] {
        assert_eq!(next.c.backend(b).unwrap().transitions, lab.c.backend(b).unwrap().transitions, "{b}");
        assert_eq!(next.c.backend(b).unwrap().since_ms, lab.c.backend(b).unwrap().since_ms, "{b}");
    }
    assert_eq!(next.c.backend("a").unwrap().transitions[0].detail, "connection refused");
}

#[test]
fn nothing_is_written_before_the_first_configuration() {
    let lab = settled(BASIC);
    let mut next = lab.reborn();
    let now = next.wall();
    next.c.config_failed("test.yaml", vec!["bad".into()]);
    assert!(next.c.set_backend(now, "a", BackendVerb::Disable).is_err());
    next.run(10_000);
    assert_eq!((next.saves.len(), &next.file), (0, &lab.file), "what is good is not written over");
    next.load(BASIC);
    next.turn();
    assert_eq!(states(&next), "a up, b up, c up", "and is there when a reload recovers");
    assert_eq!(next.saves.len(), 1);
}

#[test]
fn a_word_is_saved_at_once_and_everything_else_once_a_second_at_most() {
    let mut lab = settled(BASIC);
    lab.run(60_000);
    let quiet = lab.saves.len();
    lab.run(60_000);
    assert_eq!(lab.saves.len(), quiet, "a quiet system writes nothing");
    set(&mut lab, "a", BackendVerb::Disable);
    set(&mut lab, "b", BackendVerb::Disable);
    assert_eq!(lab.saves[quiet..], [lab.now, lab.now]);
    // Flapping: every transition is a change.
    let yaml = BASIC.replace("timeout: 500ms,", "timeout: 500ms, rise: 1, fall: 1,");
    lab.load(
        &yaml.replace("interval: 1s", "interval: 100ms").replace("down-interval: 2s", "down-interval: 100ms"),
    );
    for i in 0..200 {
        lab.net("10.1.0.3", if i % 2 == 0 { Net::Refused } else { Net::Good });
        lab.run(170);
    }
    let gaps: Vec<_> = lab.saves[quiet + 1..].windows(2).map(|w| w[1].since(w[0])).collect();
    assert!(gaps.len() > 10 && gaps.iter().all(|g| g.as_millis() >= 1000), "{gaps:?}");
    lab.run(2000);
    let file = Snapshot::decode(lab.file.as_ref().unwrap()).unwrap();
    assert_eq!(file, lab.c.snapshot(), "the last state is never left unsaved");
}

#[test]
fn a_verb_answers_that_it_is_not_saved_and_the_log_says_so_once() {
    let mut lab = settled(BASIC);
    let good = lab.file.clone();
    lab.take_log("");
    lab.disk.error = Some("/x: no space left on device".into());
    let now = lab.wall();
    lab.c.set_backend(now, "a", BackendVerb::Disable).unwrap();
    let saving = lab.c.saving(now).unwrap();
    assert_eq!(lab.c.saved(now, saving), None);
    lab.turn();
    assert_eq!(lab.c.saved(now, saving), Some(Err("/x: no space left on device".into())));
    assert_eq!(lab.state("a"), "disabled", "done all the same");
    set(&mut lab, "b", BackendVerb::Pause);
    lab.run(600_000);
    assert_eq!(lab.take_log("state-file"), ["engine state-file not saved: /x: no space left on device"]);
    let view = lab.c.status(lab.wall()).state_file;
    assert_eq!(view.error.as_deref(), Some("/x: no space left on device"));
    assert_eq!(lab.file, good);
    lab.disk.error = None;
    lab.run(33_000);
    assert_eq!(lab.take_log("state-file"), ["engine state-file saved again"]);
    assert_eq!(Snapshot::decode(lab.file.as_ref().unwrap()).unwrap(), lab.c.snapshot());
    let now = lab.wall();
    assert_eq!((lab.c.saving(now), lab.c.status(now).state_file.error), (None, None));
}

#[test]
fn what_is_remembered_serves_the_first_configuration_alone() {
    let mut lab = settled(BASIC);
    set(&mut lab, "a", BackendVerb::Disable);
    let without =
        BASIC.replace("    a: {address: 10.1.0.1, healthcheck: tcp}\n", "").replace("a: {}, b", "b");
    let mut next = restart(&lab, &without);
    next.run(5000);
    next.load(BASIC);
    next.run(5000);
    assert!(next.state("a").starts_with("up"), "a backend that left has no words: {}", next.state("a"));
}

#[test]
fn removed_backends_are_not_kept() {
    let mut lab = settled(BASIC);
    lab.load(
        &BASIC
            .replace("    c: {address: 10.1.0.3, healthcheck: tcp}\n", "")
            .replace("        - {name: second, backends: {c: {}}}\n", ""),
    );
    lab.turn();
    let names: Vec<_> = lab.c.snapshot().backends.into_iter().map(|b| b.name.clone()).collect();
    assert_eq!(names, ["a", "b"]);
}

/// Whatever happened: what is saved, restored and saved again is the same, and `lb` is programmed from it as it was.
#[test]
fn saved_restored_and_saved_again_is_the_same() {
    for seed in 0..150u64 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut lab = settled(BASIC);
        for _ in 0..rng.usize(..25) {
            let (name, address) = [("a", "10.1.0.1"), ("b", "10.1.0.2"), ("c", "10.1.0.3")][rng.usize(..3)];
            match rng.u32(..5) {
                0..=1 => lab.net(address, [Net::Good, Net::Refused, Net::Silent, Net::Fault][rng.usize(..4)]),
                2..=3 => {
                    use BackendVerb::{Disable, Enable, Pause, Resume};
                    let now = lab.wall();
                    let _ = lab.c.set_backend(now, name, [Disable, Enable, Pause, Resume][rng.usize(..4)]);
                }
                _ => {
                    let pool = if name == "c" { "second" } else { "first" };
                    weigh(&mut lab, pool, name, [None, Some(0), Some(1), Some(77)][rng.usize(..4)]);
                }
            }
            lab.run(rng.u64(1..3000));
        }
        // A backend that an operator has just freed is unknown, and waited for.
        lab.run(3000);
        let saved = lab.c.snapshot();
        assert_eq!(Snapshot::decode(lab.file.as_ref().unwrap()).as_ref(), Ok(&saved), "seed {seed}");
        let mut next = restart(&lab, BASIC);
        assert_eq!(next.c.snapshot(), saved, "seed {seed}");
        let known = saved.backends.iter().all(|b| b.state != crate::health::State::Unknown);
        if known {
            assert_eq!(next.weights("192.0.2.1", 80), lab.weights("192.0.2.1", 80), "seed {seed}");
        }
    }
}

/// Saves that are due now, after so many calls each.
fn gathered(lab: &mut Lab) -> (usize, u64, Snapshot) {
    let now = lab.wall();
    let done = |n| lab.c.save_due(now).map(|(generation, snapshot)| (n, generation, snapshot));
    (1..100).find_map(done).expect("a save is due")
}

#[test]
fn much_is_gathered_in_pieces_and_what_changes_meanwhile_is_in_the_next_file() {
    let mut lab = settled(&so_many("a", 1200));
    lab.run(5000);
    let now = lab.wall();
    assert_eq!(lab.c.save_due(now), None, "all is saved");
    lab.c.set_backend(now, "a0", BackendVerb::Drain).unwrap();
    assert_eq!((lab.c.save_due(now), lab.c.deadline()), (None, crate::time::Time::ZERO));
    // One that is in it already, and one that is still to come.
    lab.c.set_backend(now, "a1", BackendVerb::Drain).unwrap();
    lab.c.set_backend(now, "a999", BackendVerb::Drain).unwrap();
    let (calls, first, snapshot) = gathered(&mut lab);
    assert!(calls > 1);
    assert_eq!(snapshot.backends.len(), 1200);
    let drained = |s: &Snapshot| -> Vec<String> {
        s.backends.iter().filter(|b| b.words.drain.is_some()).map(|b| b.name.clone()).collect()
    };
    assert_eq!(drained(&snapshot), ["a0", "a999"]);
    lab.c.state_saved(now, first, Ok(()));
    let (_, second, snapshot) = gathered(&mut lab);
    assert_eq!((drained(&snapshot), second > first), (vec!["a0".into(), "a1".into(), "a999".into()], true));
    assert_eq!(snapshot, lab.c.snapshot());
    lab.c.state_saved(now, second, Ok(()));
    assert_eq!(lab.c.save_due(now), None);
}

#[test]
fn a_file_is_of_one_configuration_and_the_last_one_is_whole() {
    let mut lab = settled(&so_many("a", 1200));
    lab.run(5000);
    for last in [false, true] {
        let now = lab.wall();
        let verb = if last { BackendVerb::Ready } else { BackendVerb::Drain };
        lab.c.set_backend(now, "a0", verb).unwrap();
        assert_eq!(lab.c.save_due(now), None);
        let (generation, snapshot) = if last {
            lab.c.save_last().expect("what was begun is done")
        } else {
            let config = crate::config::parse(&so_many("a", 1100)).unwrap().config;
            lab.c.apply(now, config, "x", Vec::new());
            let (_, generation, snapshot) = gathered(&mut lab);
            (generation, snapshot)
        };
        assert_eq!(snapshot, lab.c.snapshot(), "{last}");
        lab.c.state_saved(now, generation, Ok(()));
        lab.run(5000);
    }
    assert_eq!(lab.c.save_last(), None, "all is saved");
}

/// What an operator has to act on: nothing is saved, or not all of it.
#[test]
fn what_is_not_saved_or_left_out_is_a_problem_until_all_is_saved() {
    let mut lab = Lab::idle();
    lab.c.keep_state();
    let now = lab.wall();
    let problem = |lab: &Lab| lab.c.status(now).problems.first().map(|p| (p.kind.clone(), p.text.clone()));
    let is = |text: &str| Some(("state-file".to_owned(), text.to_owned()));
    lab.c.state_blocked(now, "process 7 has it");
    assert_eq!(problem(&lab), is("not read, not saved: process 7 has it"));
    lab.c.state_written(now, 1, Err("process 7 has it".into()));
    assert_eq!(problem(&lab), is("not saved: process 7 has it"));
    let notes = vec!["without the history: too long".to_owned()];
    lab.c.state_written(now, 2, Ok(Written { notes }));
    assert_eq!(problem(&lab), is("saved without the history: too long"));
    lab.c.state_written(now, 3, Ok(Written::default()));
    assert_eq!(problem(&lab), None);
}
