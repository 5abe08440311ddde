use super::Lab;
use super::agents::AGENTS;
use super::lab::BASIC;
use super::lab_agents::Voice;
use crate::control::BackendVerb;
use crate::control::latency::Summary;
use crate::control::stats::{LbCalls, Picture, TABLES};
use crate::control::stats_plan::name_bytes;
use crate::control::view::AgentCountsView;

fn value(p: &Picture, table: usize, row: &str, metric: &str) -> u64 {
    let rows = &p.tables[table];
    let row = rows.names.iter().position(|n| n == row).unwrap();
    let metric = TABLES[table].metrics.iter().position(|m| m.to_str() == Ok(metric)).unwrap();
    rows.values[metric][row]
}

fn picture(lab: &Lab, calls: LbCalls) -> Picture {
    let mut p = Picture::EMPTY;
    while !lab.c.repaint(&mut p, calls) {}
    p
}

#[test]
fn a_picture_has_every_number_in_its_place() {
    let mut lab = Lab::new(BASIC);
    lab.run(5000);
    let now = lab.wall();
    lab.c.set_backend(now, "b", BackendVerb::Disable).unwrap();
    lab.run(100);
    let took = Summary { samples: 9, p50_us: 8, p99_us: 60 };
    let p = picture(&lab, LbCalls { took, longest_us: 70 });
    for (table, rows) in TABLES.iter().zip(&p.tables) {
        assert_eq!(rows.values.len(), table.metrics.len());
        assert!(rows.values.iter().all(|v| v.len() == rows.names.len()));
    }
    assert_eq!(p.tables[0].names, ["a", "b", "c"]);
    let demand = p.demand();
    for ((rows, bytes), table) in demand.rows.iter().zip(demand.names).zip(&p.tables) {
        assert_eq!(*rows, table.names.len() as u64);
        assert_eq!(bytes, table.names.iter().map(|n| name_bytes(n.len())).sum::<u64>());
    }
    assert_eq!(p.tables[2].names, ["web/first/a", "web/first/b", "web/second/c"]);
    assert_eq!((value(&p, 0, "a", "state"), value(&p, 0, "b", "state")), (1, 4));
    assert_eq!((value(&p, 0, "a", "counter"), value(&p, 0, "a", "latency-us")), (4, 1000));
    assert_eq!(value(&p, 0, "a", "pass"), lab.c.backend("a").unwrap().passes);
    assert_eq!((value(&p, 0, "a", "transitions"), value(&p, 0, "b", "transitions")), (1, 2));
    assert_eq!(["state", "serving", "total"].map(|m| value(&p, 1, "web", m)), [1, 1, 3]);
    assert_eq!(["weight", "effective"].map(|m| value(&p, 2, "web/first/b", m)), [50, 0]);
    let engine = |m: &str| value(&p, 3, "engine", m);
    assert_eq!(["lb-calls", "lb-call-p50-us", "lb-call-p99-us"].map(engine), [9, 8, 60]);
    assert_eq!(["lb-call-max-us", "late"].map(engine), [70, 0]);
    for (cause, n) in lab.c.programmer.syncs_by_cause() {
        assert_eq!(engine(&format!("syncs-{cause}")), n);
    }
    assert!(engine("syncs-event") > 0);
}

#[test]
fn queries_of_agents_are_counted_for_each_and_for_all() {
    let mut lab = Lab::new(AGENTS);
    lab.says("10.1.0.1", "up ready 100%");
    lab.voice("10.1.0.3", Voice::Refuses);
    lab.run(5000);
    let p = picture(&lab, LbCalls::default());
    let counts =
        |row: &str| ["agent-queries", "agent-replies", "agent-failures"].map(|m| value(&p, 0, row, m));
    let ([asked, replied, 0], [tried, 0, failed]) = (counts("a"), counts("c")) else {
        panic!("{:?} {:?}", counts("a"), counts("c"))
    };
    assert!((5..=7).contains(&asked) && (replied..=replied + 1).contains(&asked), "{asked} {replied}");
    assert!((4..=7).contains(&tried) && (failed..=failed + 1).contains(&tried), "{tried} {failed}");
    assert_eq!(counts("b"), [0; 3], "it has none");
    let (view, status) = (lab.c.counters(lab.now, &[]), lab.c.status(lab.wall()));
    let one = |queries, replies, failures| AgentCountsView { queries, replies, failures };
    let of: Vec<_> = view.backends.iter().map(|b| b.agent).collect();
    assert_eq!(of, [Some(one(asked, replied, 0)), None, Some(one(tried, 0, failed))]);
    assert_eq!(view.agents, one(asked + tried, replied, failed));
    assert_eq!(status.agents, view.agents);
}

#[test]
fn places_change_with_the_generation_alone() {
    let mut lab = Lab::new(BASIC);
    let one = picture(&lab, LbCalls::default());
    lab.run(10_000);
    let two = picture(&lab, LbCalls::default());
    assert_eq!(one.generation, two.generation);
    assert!(one.generation > 0, "the names were made");
    for (a, b) in one.tables.iter().zip(&two.tables) {
        assert_eq!(a.names, b.names);
    }
}

#[test]
fn the_generation_is_another_when_a_name_is_and_not_before() {
    let mut lab = Lab::new(BASIC);
    let mut p = picture(&lab, LbCalls::default());
    let first = p.generation;
    // A reload that changes no name.
    lab.load(&BASIC.replace("interval: 1s", "interval: 3s"));
    assert!(lab.c.repaint(&mut p, LbCalls::default()));
    assert_eq!(p.generation, first);
    let z = BASIC.replace("    a: {address", "    z: {address").replace("{a: {}", "{z: {}");
    for (yaml, names) in [
        (z.as_str(), &["b", "c", "z"][..]),
        (BASIC, &["a", "b", "c"]),
        (
            &BASIC
                .replace(", b: {weight: 50}", "")
                .replace("    b: {address: 10.1.0.2, healthcheck: tcp}\n", ""),
            &["a", "c"],
        ),
    ] {
        let before = p.generation;
        lab.load(yaml);
        assert!(lab.c.repaint(&mut p, LbCalls::default()));
        assert_eq!(
            (p.generation, &p.tables[0].names[..]),
            (before + 1, &names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()[..])
        );
        assert_eq!(p.tables, picture(&lab, LbCalls::default()).tables);
    }
}

/// 700 backends in as many frontends: 2,100 names and that of the engine.
fn many(first: &str) -> String {
    so_many(first, 700)
}

/// Backends that are not checked, each in a frontend of its own.
pub(super) fn so_many(first: &str, n: usize) -> String {
    use std::fmt::Write as _;
    let mut text = String::from("maglev:\n  vpp: {lb: {ipv4-src-address: 10.0.0.1}}\n  backends:\n");
    for i in 0..n {
        writeln!(text, "    {first}{i}: {{address: 10.1.{}.{}}}", i / 250, i % 250 + 1).unwrap();
    }
    text += "  frontends:\n";
    for i in 0..n {
        writeln!(text, "    f{i}: {{address: 192.0.{}.{}, protocol: tcp, port: 80, pools: [{{name: p, backends: {{{first}{i}: {{}}}}}}]}}", i / 250, i % 250 + 1).unwrap();
    }
    text
}

#[test]
fn many_names_are_made_in_pieces_also_when_the_next_reload_comes_in_between() {
    let mut lab = Lab::new(&many("a"));
    let mut p = Picture::EMPTY;
    let calls = LbCalls::default();
    let mut turns = 1;
    while !lab.c.repaint(&mut p, calls) {
        turns += 1;
        assert_eq!(p.generation, 0, "nobody is to read it yet");
    }
    assert_eq!((turns, p.generation), (3, 1));
    assert_eq!(p.tables, picture(&lab, calls).tables);

    lab.load(&many("b"));
    assert!(!lab.c.repaint(&mut p, calls));
    // Back to the names of before, some of which are overwritten: nobody may take them for what they were.
    lab.load(&many("a"));
    while !lab.c.repaint(&mut p, calls) {}
    assert_eq!(p.generation, 2);
    assert_eq!(p.tables, picture(&lab, calls).tables);
}

#[test]
fn many_numbers_are_painted_in_pieces_also_when_a_reload_comes_in_between() {
    let mut lab = Lab::new(&so_many("a", 2500));
    let mut p = picture(&lab, LbCalls::default());
    let now = lab.wall();
    lab.c.set_backend(now, "a0", BackendVerb::Disable).unwrap();
    lab.c.set_backend(now, "a999", BackendVerb::Disable).unwrap();
    let mut turns = 1;
    while !lab.c.repaint(&mut p, LbCalls::default()) {
        turns += 1;
    }
    assert!((2..9).contains(&turns), "{turns}");
    assert_eq!(["a0", "a1", "a999"].map(|b| value(&p, 0, b, "state")), [4, 1, 4]);
    assert_eq!(p.tables, picture(&lab, LbCalls::default()).tables);
    assert!(!lab.c.repaint(&mut p, LbCalls::default()));
    lab.load(&so_many("a", 2400));
    while !lab.c.repaint(&mut p, LbCalls::default()) {}
    assert_eq!(p.tables, picture(&lab, LbCalls::default()).tables);
}

#[test]
fn names_that_are_gone_are_dropped_in_pieces() {
    let mut lab = Lab::new(&so_many("a", 4500));
    let mut p = picture(&lab, LbCalls::default());
    lab.load(BASIC);
    let (mut turns, mut before) = (1, 13_501);
    while !lab.c.repaint(&mut p, LbCalls::default()) {
        turns += 1;
        let now = p.tables.iter().map(|t| t.names.len()).sum::<usize>();
        assert!(before - now <= 4000, "{before} {now}");
        before = now;
    }
    assert_eq!((turns, p.generation), (4, 2));
    assert_eq!(p.tables, picture(&lab, LbCalls::default()).tables);
}

#[test]
fn a_picture_painted_over_is_as_a_new_one_and_keeps_its_names() {
    let mut lab = Lab::new(BASIC);
    let mut p = picture(&lab, LbCalls::default());
    let place = |p: &Picture| p.tables.iter().map(|t| t.names.as_ptr() as usize).collect::<Vec<_>>();
    let before = place(&p);
    lab.net("10.1.0.1", super::Net::Refused);
    lab.run(10_000);
    assert!(lab.c.repaint(&mut p, LbCalls::default()));
    assert_eq!(p.tables, picture(&lab, LbCalls::default()).tables);
    assert_eq!((value(&p, 0, "a", "state"), place(&p)), (2, before), "no name was made again");
    lab.load(&BASIC.replace("    a: {address", "    z: {address").replace("{a: {}", "{z: {}"));
    assert!(lab.c.repaint(&mut p, LbCalls::default()));
    assert_eq!(p.tables, picture(&lab, LbCalls::default()).tables);
    // Before the first configuration there is the engine alone.
    let idle = picture(&Lab::idle(), LbCalls::default());
    assert_eq!(idle.tables.map(|t| t.names.len()), [0, 0, 0, 1]);
}

#[test]
fn numbers_are_read_from_a_row_on_and_there_are_none_behind_the_last() {
    let lab = Lab::new(BASIC);
    let p = picture(&lab, LbCalls::default());
    assert_eq!(p.rows(1).unwrap().numbers(2, 0), [3]);
    let weights = p.rows(2).unwrap().numbers(0, 0);
    assert_eq!((weights.len(), p.rows(2).unwrap().numbers(0, 1)), (3, &weights[1..]));
    for (metric, first) in [(99, 0), (2, 1), (2, 2), (2, u32::MAX), (u32::MAX, u32::MAX)] {
        assert!(p.rows(1).unwrap().numbers(metric, first).is_empty(), "{metric} {first}");
    }
    assert!(p.rows(9).is_none() && p.rows(0).unwrap().name(99).is_none());
}
