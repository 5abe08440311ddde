//! Panic, from the checks to `lb`; docs/behaviour.md, "From state to weights".

use super::agents::set;
use super::lab::with_tcp;
use super::{Lab, Net};
use crate::control::BackendVerb::{self, *};

/// Four checked servers in the first pool, one in the second; `a` has an agent too. Below half: panic.
const FIVE: &str = with_tcp!(
    "
  backends:
    a: {address: 10.1.0.1, healthcheck: tcp, agent: {port: 5555, interval: 1s, timeout: 500ms}}
    b: {address: 10.1.0.2, healthcheck: tcp}
    c: {address: 10.1.0.3, healthcheck: tcp}
    d: {address: 10.1.0.4, healthcheck: tcp}
    e: {address: 10.1.0.5, healthcheck: tcp}
  frontends:
    web:
      address: 192.0.2.1
      protocol: tcp
      port: 80
      panic: {threshold: 50, mode: fail-open}
      pools:
        - {name: first, backends: {a: {weight: 10}, b: {weight: 20}, c: {weight: 30}, d: {weight: 40}}}
        - {name: second, backends: {e: {weight: 50}}}
"
);

fn keep_last() -> String {
    FIVE.replace("fail-open", "keep-last")
}

fn calm() -> String {
    FIVE.replace("      panic: {threshold: 50, mode: fail-open}\n", "")
}

fn settled(yaml: &str) -> Lab {
    let mut lab = Lab::new(yaml);
    lab.says("10.1.0.1", "up ready 100%");
    lab.run(5000);
    assert_eq!(weights(&mut lab), "10 20 30 40 0");
    lab.take_writes();
    lab.log.clear();
    lab
}

fn net(lab: &mut Lab, backends: &str, net: Net) {
    for b in backends.chars() {
        let n = b as u32 - 'a' as u32 + 1;
        lab.net(&format!("10.1.0.{n}"), net);
    }
    lab.run(6000);
}

/// In the order of the names.
fn weights(lab: &mut Lab) -> String {
    let all = lab.weights("192.0.2.1", 80);
    let all = all.split(' ').map(|w| w.split('=').nth(1).unwrap());
    all.collect::<Vec<_>>().join(" ")
}

fn panics(lab: &mut Lab) -> Vec<String> {
    lab.take_log("frontend-panic")
}

fn flushes(lab: &mut Lab) -> Vec<String> {
    lab.take_writes().into_iter().filter(|w| w.ends_with(" flush")).collect()
}

#[test]
fn fail_open_begins_below_the_threshold_and_ends_at_it() {
    let mut lab = settled(FIVE);
    net(&mut lab, "ab", Net::Refused);
    assert_eq!((weights(&mut lab), panics(&mut lab)), ("0 0 30 40 0".into(), vec![]), "three of five are up");
    assert_eq!(flushes(&mut lab).len(), 2);
    net(&mut lab, "c", Net::Refused);
    assert_eq!(weights(&mut lab), "10 20 30 40 0", "as if all were up");
    assert_eq!(panics(&mut lab), ["frontend-panic frontend=web begins mode=fail-open up=2/5"]);
    assert_eq!(flushes(&mut lab), Vec::<String>::new(), "it keeps its weight and its flows");
    // The whole first pool, and the second as well: nothing changes any more.
    net(&mut lab, "de", Net::Refused);
    assert_eq!((weights(&mut lab), panics(&mut lab)), ("10 20 30 40 0".into(), vec![]));
    assert_eq!(lab.take_writes(), Vec::<String>::new());
    net(&mut lab, "e", Net::Good);
    net(&mut lab, "d", Net::Good);
    assert_eq!((weights(&mut lab), panics(&mut lab)), ("10 20 30 40 0".into(), vec![]));
    net(&mut lab, "b", Net::Good);
    assert_eq!(weights(&mut lab), "0 20 0 40 0");
    assert_eq!(panics(&mut lab), ["frontend-panic frontend=web ends mode=fail-open up=3/5"]);
    assert_eq!(flushes(&mut lab).len(), 2, "who is down in earnest loses its flows now");
}

#[test]
fn it_is_shown_while_it_lasts() {
    for yaml in [FIVE.to_owned(), keep_last()] {
        let mut lab = settled(&yaml);
        let shown = |lab: &Lab| lab.c.frontend("web").unwrap().panic.unwrap();
        let mode = if yaml.contains("keep-last") { "keep-last" } else { "fail-open" };
        assert_eq!(shown(&lab), format!("{mode} below 50%"));
        net(&mut lab, "abc", Net::Refused);
        assert_eq!(shown(&lab), format!("{mode} below 50%, IN FORCE: 2/5 up"));
        net(&mut lab, "c", Net::Good);
        assert_eq!(shown(&lab), format!("{mode} below 50%"));
    }
}

/// The second pool is well, but the first gets the flows: a standby that is a fifth of all cannot be it.
#[test]
fn fail_open_prefers_the_first_pool_to_a_standby_that_is_well() {
    let mut lab = settled(FIVE);
    net(&mut lab, "abcd", Net::Refused);
    assert_eq!(weights(&mut lab), "10 20 30 40 0");
    assert_eq!(lab.c.frontend("web").unwrap().state, "up");
    // With a threshold that it can meet, it fails over.
    let mut lab = settled(&FIVE.replace("threshold: 50", "threshold: 20"));
    net(&mut lab, "abcd", Net::Refused);
    assert_eq!((weights(&mut lab), panics(&mut lab)), ("0 0 0 0 50".into(), vec![]));
}

#[test]
fn maintenance_is_not_counted_drain_and_stopping_are() {
    // On a, b and c, while d and e go down; then of how many are how many up, if it panics.
    type Row<'a> = (&'a [(&'a str, BackendVerb)], Option<&'a str>);
    let rows: [Row<'_>; 8] = [
        (&[], None),
        (&[("a", Drain), ("b", Drain), ("c", Drain)], None),
        (&[("a", HealthStopping)], None),
        (&[("a", Disable)], None),
        (&[("a", Disable), ("b", Disable)], Some("up=1/3")),
        (&[("a", Pause), ("b", Disable)], Some("up=1/3")),
        (&[("a", Disable), ("b", Disable), ("c", Disable)], Some("up=0/2")),
        (&[("a", Disable), ("b", Drain)], None),
    ];
    for (verbs, want) in rows {
        let mut lab = settled(FIVE);
        for (backend, verb) in verbs {
            set(&mut lab, backend, *verb).unwrap();
        }
        net(&mut lab, "de", Net::Refused);
        let want: Vec<_> = want
            .into_iter()
            .map(|w| format!("frontend-panic frontend=web begins mode=fail-open {w}"))
            .collect();
        assert_eq!(panics(&mut lab), want, "{verbs:?}");
    }
    // By the agent it is the same: in maint it does not count, in drain it does.
    for (word, want) in [("maint", Some("up=1/3")), ("drain", None), ("down", Some("up=1/4"))] {
        let mut lab = settled(FIVE);
        lab.says("10.1.0.1", word);
        set(&mut lab, "b", Disable).unwrap();
        net(&mut lab, "de", Net::Refused);
        let want: Vec<_> = want
            .into_iter()
            .map(|w| format!("frontend-panic frontend=web begins mode=fail-open {w}"))
            .collect();
        assert_eq!(panics(&mut lab), want, "{word}");
    }
}

#[test]
fn who_has_no_weight_is_not_counted() {
    let mut lab = settled(FIVE);
    let now = lab.wall();
    for (pool, b) in [("first", "a"), ("first", "b"), ("second", "e")] {
        lab.c.set_weight(now, "web", pool, b, Some(0), false).unwrap();
    }
    net(&mut lab, "ab", Net::Refused);
    assert_eq!(panics(&mut lab), Vec::<String>::new());
    net(&mut lab, "c", Net::Refused);
    assert_eq!((weights(&mut lab), panics(&mut lab)), ("0 0 0 40 0".into(), vec![]), "one of two");
    net(&mut lab, "d", Net::Refused);
    assert_eq!(weights(&mut lab), "0 0 30 40 0");
    assert_eq!(panics(&mut lab), ["frontend-panic frontend=web begins mode=fail-open up=0/2"]);
}

#[test]
fn whoever_was_taken_out_is_never_used_by_whatever_hand() {
    // The verb, and what takes it back; both modes; the weight of `a`, which is down.
    for (out, back) in [(Disable, Enable), (Pause, Resume), (Drain, Ready)] {
        for yaml in [FIVE.to_owned(), keep_last()] {
            let mut lab = settled(&yaml);
            net(&mut lab, "abcde", Net::Refused);
            let before = weights(&mut lab);
            set(&mut lab, "b", out).unwrap();
            lab.run(5000);
            let mut want: Vec<&str> = before.split(' ').collect();
            want[1] = "0";
            assert_eq!(weights(&mut lab), want.join(" "), "{out:?}");
            set(&mut lab, "b", back).unwrap();
            lab.run(5000);
            assert_eq!(weights(&mut lab), before, "{back:?}");
            assert_eq!(panics(&mut lab).len(), 1, "it lasts");
        }
    }
    for (word, weight) in [("maint", 0), ("drain", 0), ("0%", 0), ("down", 10), ("50%", 5)] {
        let mut lab = settled(FIVE);
        net(&mut lab, "abcde", Net::Refused);
        lab.says("10.1.0.1", word);
        lab.run(2000);
        assert_eq!(weights(&mut lab), format!("{weight} 20 30 40 0"), "{word}");
    }
}

#[test]
fn with_all_of_the_first_pool_taken_out_the_second_is_used() {
    let mut lab = settled(FIVE);
    net(&mut lab, "abcde", Net::Refused);
    for b in ["a", "b", "c", "d"] {
        set(&mut lab, b, Drain).unwrap();
    }
    lab.turn();
    assert_eq!(weights(&mut lab), "0 0 0 0 50");
    assert_eq!(lab.c.frontend("web").unwrap().pool, "second");
    assert_eq!(lab.take_log("failover"), ["frontend-failover frontend=web from=first to=second"]);
    set(&mut lab, "e", Drain).unwrap();
    lab.turn();
    assert_eq!(weights(&mut lab), "0 0 0 0 0", "nobody is left");
    assert_eq!(lab.c.frontend("web").unwrap().state, "down");
    assert_eq!(
        panics(&mut lab).last().unwrap(),
        "frontend-panic frontend=web ends mode=fail-open up=0/5",
        "there is nothing that it could do"
    );
}

#[test]
fn keep_last_keeps_the_weights_of_the_moment_before() {
    let mut lab = settled(&keep_last());
    net(&mut lab, "ab", Net::Refused);
    assert_eq!(weights(&mut lab), "0 0 30 40 0");
    lab.take_writes();
    net(&mut lab, "cde", Net::Refused);
    assert_eq!(weights(&mut lab), "0 0 30 40 0", "a and b were out before it began");
    assert_eq!(lab.take_writes(), Vec::<String>::new());
    assert_eq!(panics(&mut lab), ["frontend-panic frontend=web begins mode=keep-last up=2/5"]);
    // Up again, but below the threshold: it stays as it was.
    net(&mut lab, "ab", Net::Good);
    assert_eq!(weights(&mut lab), "0 0 30 40 0");
    net(&mut lab, "c", Net::Good);
    assert_eq!(weights(&mut lab), "10 20 30 0 0");
    assert_eq!(panics(&mut lab), ["frontend-panic frontend=web ends mode=keep-last up=3/5"]);
    assert_eq!(flushes(&mut lab), ["vip=192.0.2.1:80/tcp set-weight server=10.1.0.4 weight=0 flush"]);
}

#[test]
fn keep_last_keeps_what_a_slow_start_had_reached() {
    let yaml = keep_last().replace("      panic:", "      slow-start: 60s\n      panic:");
    let mut lab = settled(&yaml);
    net(&mut lab, "d", Net::Refused);
    lab.net("10.1.0.4", Net::Good);
    lab.until(|l| l.state("d").starts_with("up"));
    lab.run(41_000);
    assert_eq!(weights(&mut lab), "10 20 30 8 0");
    net(&mut lab, "ab", Net::Refused);
    lab.take_writes();
    net(&mut lab, "c", Net::Refused);
    assert_eq!(weights(&mut lab), "0 0 30 8 0");
    lab.run(60_000);
    assert_eq!(weights(&mut lab), "0 0 30 8 0", "no step while it lasts");
    assert_eq!(lab.take_writes(), Vec::<String>::new());
    net(&mut lab, "a", Net::Good);
    assert_eq!(weights(&mut lab), "1 0 0 40 0", "it has climbed meanwhile, and the other begins to");
}

/// An operator's weight is no hand against anybody: it counts at the next chance, but it does not unfreeze.
#[test]
fn a_weight_that_is_set_meanwhile() {
    for (yaml, while_it_lasts) in [(FIVE.to_owned(), "10 20 30 7 0"), (keep_last(), "0 0 30 40 0")] {
        let mut lab = settled(&yaml);
        net(&mut lab, "ab", Net::Refused);
        net(&mut lab, "c", Net::Refused);
        let now = lab.wall();
        lab.c.set_weight(now, "web", "first", "d", Some(7), false).unwrap();
        lab.turn();
        assert_eq!(weights(&mut lab), while_it_lasts);
        lab.c.set_weight(now, "web", "first", "d", Some(0), false).unwrap();
        lab.turn();
        assert!(weights(&mut lab).ends_with(" 0 0"), "0 is one");
    }
}

#[test]
fn a_reload_changes_the_rules_in_the_middle() {
    // What is loaded while a, b and c are down; the weights before and then, and what is told.
    let ends = |mode: &str| vec![format!("frontend-panic frontend=web ends mode={mode} up=2/5")];
    let (open, kept, over) = ("10 20 30 40 0", "0 0 30 40 0", "0 0 0 40 0");
    let less = |yaml: &str| yaml.replace("d: {weight: 40}", "d: {weight: 4}");
    type Row<'a> = (String, &'a str, String, &'a str, Vec<String>);
    let rows: [Row; 8] = [
        (FIVE.into(), open, keep_last(), open, vec![]),
        (keep_last(), kept, FIVE.into(), open, vec![]),
        (FIVE.into(), open, calm(), over, ends("fail-open")),
        (keep_last(), kept, calm(), over, ends("keep-last")),
        (FIVE.into(), open, FIVE.replace("50, mode", "40, mode"), over, ends("fail-open")),
        (FIVE.into(), open, FIVE.replace("50, mode", "41, mode"), open, vec![]),
        (FIVE.into(), open, less(FIVE), "10 20 30 4 0", vec![]),
        (keep_last(), kept, less(&keep_last()), kept, vec![]),
    ];
    for (i, (first, before, second, then, told)) in rows.into_iter().enumerate() {
        let mut lab = settled(&first);
        net(&mut lab, "ab", Net::Refused);
        net(&mut lab, "c", Net::Refused);
        assert_eq!(weights(&mut lab), before, "row {i}");
        lab.log.clear();
        lab.take_writes();
        lab.load(&second);
        lab.run(3000);
        assert_eq!((weights(&mut lab).as_str(), panics(&mut lab)), (then, told), "row {i}");
        // Whoever is down in earnest, and had weight until now.
        let lost = before.split(' ').zip(then.split(' ')).filter(|(b, t)| *b != "0" && *t == "0").count();
        assert_eq!(flushes(&mut lab).len(), lost, "row {i}");
    }
}

#[test]
fn a_reload_begins_it_too() {
    for (yaml, want) in [(FIVE.to_owned(), "10 20 30 40 0"), (keep_last(), "0 0 0 40 0")] {
        let mut lab = settled(&calm());
        net(&mut lab, "abc", Net::Refused);
        assert_eq!(weights(&mut lab), "0 0 0 40 0");
        lab.load(&yaml);
        lab.run(3000);
        assert_eq!(weights(&mut lab), want);
        assert_eq!(panics(&mut lab).len(), 1);
    }
}

#[test]
fn who_leaves_with_a_reload_is_not_counted_and_loses_its_weight() {
    for yaml in [FIVE.to_owned(), keep_last()] {
        let mut lab = settled(&yaml);
        net(&mut lab, "abc", Net::Refused);
        lab.load(&yaml.replace("a: {weight: 10}, ", ""));
        lab.run(100);
        assert_eq!(weights(&mut lab), "0 0 40 0", "two of four are enough");
        assert_eq!(panics(&mut lab).len(), 2);
    }
}

#[test]
fn a_frontend_that_starts_with_most_of_its_servers_dead() {
    for (yaml, want) in [(FIVE.to_owned(), "10 20 30 40 0"), (keep_last(), "0 0 0 40 0")] {
        let mut lab = Lab::new(&yaml);
        for b in ["10.1.0.1", "10.1.0.2", "10.1.0.3"] {
            lab.net(b, Net::Refused);
        }
        lab.run(5000);
        assert_eq!(weights(&mut lab), want, "where nothing is kept the rule applies");
        assert_eq!(panics(&mut lab).len(), 1);
        // And so it does where nobody at all is up.
        let mut lab = Lab::new(&yaml);
        for b in ["10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.5"] {
            lab.net(b, Net::Refused);
        }
        lab.run(5000);
        let nobody = if yaml.contains("fail-open") { want } else { "0 0 0 0 0" };
        assert_eq!(weights(&mut lab), nobody);
    }
}

#[test]
fn whoever_is_enabled_meanwhile_does_not_end_it_for_a_moment() {
    for (yaml, before) in [(FIVE.to_owned(), "0 0 30 40 0"), (keep_last(), "0 0 0 40 0")] {
        let mut lab = settled(&yaml);
        for b in ["a", "b"] {
            set(&mut lab, b, Disable).unwrap();
        }
        net(&mut lab, "c", Net::Refused);
        net(&mut lab, "d", Net::Refused);
        assert_eq!((weights(&mut lab).as_str(), panics(&mut lab).len()), (before, 1), "one of three");
        // Their probes come to nothing: they stay unknown. With them three of five would be up.
        net(&mut lab, "ab", Net::Fault);
        lab.take_writes();
        for b in ["a", "b"] {
            set(&mut lab, b, Enable).unwrap();
            lab.run(1000);
            assert_eq!((lab.state(b).as_str(), weights(&mut lab).as_str()), ("unknown", before));
        }
        net(&mut lab, "a", Net::Good);
        assert_eq!((panics(&mut lab), lab.state("a").as_str()), (vec![], "up"), "two of five are too few");
        net(&mut lab, "b", Net::Good);
        assert_eq!(panics(&mut lab).len(), 1);
        assert_eq!(weights(&mut lab), "10 20 0 0 0");
    }
}

#[test]
fn a_reload_that_brings_many_neither_begins_nor_ends_it() {
    let more = |yaml: &str| {
        let backends: String =
            (6..=11).map(|i| format!("    x{i:02}: {{address: 10.1.0.{i}, healthcheck: tcp}}\n")).collect();
        let seats: String = (6..=11).map(|i| format!(", x{i:02}: {{weight: 1}}")).collect();
        yaml.replace("  frontends:", &format!("{backends}  frontends:"))
            .replace("d: {weight: 40}", &format!("d: {{weight: 40}}{seats}"))
    };
    for yaml in [FIVE.to_owned(), keep_last()] {
        let mut lab = settled(&yaml);
        for i in 6..=11 {
            lab.net(&format!("10.1.0.{i}"), Net::Fault);
        }
        // Three of five are up; with the six new ones three of eleven are known to be.
        net(&mut lab, "ab", Net::Refused);
        lab.load(&more(&yaml));
        lab.run(20_000);
        assert_eq!(panics(&mut lab), Vec::<String>::new());
        lab.load(&yaml);
        lab.run(100);
        net(&mut lab, "c", Net::Refused);
        assert_eq!(panics(&mut lab).len(), 1);
        let before = weights(&mut lab);
        lab.load(&more(&yaml));
        lab.run(5000);
        // The old ones in their order, then the new ones.
        let kept = before.rsplit_once(' ').unwrap().0;
        assert_eq!(weights(&mut lab), format!("{kept} 0{}", " 0".repeat(6)));
        assert_eq!(panics(&mut lab), Vec::<String>::new(), "it goes on until they are known");
        for i in 6..=11 {
            lab.net(&format!("10.1.0.{i}"), Net::Good);
        }
        lab.run(5000);
        assert_eq!(panics(&mut lab).len(), 1);
    }
}
