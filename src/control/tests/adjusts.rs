//! Agents' weights: put together, for no more than a share of the time, and never in the way of anything else.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;

use super::Lab;
use super::lab::vip_tcp;
use crate::control::{BackendVerb, Finished};
use crate::lb::{LoadBalancer, Op};

const N: usize = 40;

/// Frontends at two addresses: one with 40 backends that have agents, asked five times a second, and s; one with s and t. The first has a table
/// of this length.
fn storm(length: u32, more: &str) -> Lab {
    storm_of(N, length, more)
}

fn storm_of(n: usize, length: u32, more: &str) -> Lab {
    let mut text = format!(
        "
maglev:
  vpp: {{lb: {{ipv4-src-address: 10.0.0.1{more}}}}}
  backends:
    s: {{address: 10.2.0.1}}
    t: {{address: 10.2.0.2}}
"
    );
    for i in 0..n {
        writeln!(
            text,
            "    b{i:02}: {{address: 10.1.{}.{}, agent: {{port: 5555, interval: 200ms, timeout: 100ms}}}}",
            i / 200,
            i % 200
        )
        .unwrap();
    }
    let all: Vec<String> = (0..n).map(|i| format!("b{i:02}: {{}}")).collect();
    writeln!(
        text,
        "  frontends:
    many: {{address: 192.0.2.1, protocol: tcp, port: 80, new-flow-table-length: {length}, pools: [{{name: p, backends: {{s: {{}}, {}}}}}]}}
    few: {{address: 192.0.2.9, protocol: tcp, port: 80, pools: [{{name: p, backends: {{s: {{}}, t: {{}}}}}}]}}",
        all.join(", ")
    )
    .unwrap();
    let mut lab = Lab::new(&text);
    for i in 0..n {
        lab.says(&format!("10.1.{}.{}", i / 200, i % 200), "up 50%");
    }
    lab.run(20_000);
    assert_eq!(
        lab.lb.servers(&vip_tcp("192.0.2.1", 80)).unwrap().iter().filter(|s| s.weight == 50).count(),
        n
    );
    lab.take_writes();
    lab
}

/// All agents say other weights each 200 ms.
fn blow(lab: &mut Lab, ms: u64) {
    blow_of(N as u64, lab, ms);
}

fn blow_of(many: u64, lab: &mut Lab, ms: u64) {
    for n in 0..ms / 100 {
        for i in 0..many {
            lab.says(
                &format!("10.1.{}.{}", i / 200, i % 200),
                &format!("up {}%", 10 + (n * 7 + i * 13) % 80),
            );
        }
        lab.run(100);
    }
}

/// How often the weight of the one that was written most often was.
fn most_often(lab: &Lab) -> usize {
    let mut times: BTreeMap<IpAddr, usize> = BTreeMap::new();
    for (_, op) in &lab.writes {
        if let Op::SetWeight { address, .. } = op {
            *times.entry(*address).or_default() += 1;
        }
    }
    times.into_values().max().unwrap_or(0)
}

/// Each server has the weight that its agent said last.
fn as_said(lab: &mut Lab) {
    let view = lab.c.frontend("many").unwrap();
    for s in lab.lb.servers(&vip_tcp("192.0.2.1", 80)).unwrap() {
        let member = view.pools[0].backends.iter().find(|b| b.address == s.address.to_string()).unwrap();
        assert_eq!((s.weight, member.in_lb), (member.effective, Some(s.weight)), "{}", member.name);
    }
    assert_eq!(view.lacks, [] as [&str; 0]);
}

#[test]
fn a_weight_that_changes_once_is_written_at_once() {
    let mut lab = storm(1024, "");
    lab.says("10.1.0.7", "up 20%");
    lab.run(200);
    assert_eq!(lab.take_writes(), ["vip=192.0.2.1:80/tcp set-weight server=10.1.0.7 weight=20"]);
}

#[test]
fn weights_that_change_often_are_put_together_and_the_last_ones_are_written() {
    let mut lab = storm(16, "");
    blow(&mut lab, 10_000);
    let times = most_often(&lab);
    assert!((8..=11).contains(&times), "once a second, in ten: {times}");
    // Each gets its turn, the last by address too.
    let last = lab
        .writes
        .iter()
        .filter(|(_, op)| matches!(op, Op::SetWeight { address, .. } if address.to_string() == "10.1.0.39"));
    assert!(last.count() >= 6);
    lab.run(5_000);
    as_said(&mut lab);
    // As they come, where the operator says so.
    let mut lab = storm(16, ", agent-weight-interval: 0s");
    blow(&mut lab, 10_000);
    assert!(most_often(&lab) > 20, "{}", most_often(&lab));
}

#[test]
fn they_take_a_twentieth_of_the_time_at_most_and_a_lag_is_told() {
    // A rebuild takes more than a millisecond: one write, then 19 times as long none.
    let mut lab = storm(65_536, "");
    blow(&mut lab, 15_000);
    let writes = lab.writes.iter().filter(|(_, op)| matches!(op, Op::SetWeight { .. })).count();
    assert!((250..=650).contains(&writes), "of 1.15 to 1.5 ms each, in 15 s: {writes}");
    assert!(lab.take_log("agent-weights").is_empty(), "a round takes less than two seconds");
}

#[test]
fn whoever_dies_in_the_storm_leaves_at_once_and_a_verb_does_not_wait_for_it() {
    let mut lab = storm(65_536, "");
    blow(&mut lab, 3_000);
    lab.take_writes();
    let now = lab.wall();
    lab.c.set_backend(now, "s", BackendVerb::Disable).unwrap();
    // What is told of is what was set off, and not the agents' weights that wait beside it.
    let lacking = lab.c.lacking(lab.now);
    assert_eq!(lacking.len(), 2, "{lacking:?}");
    assert!(
        lacking.iter().all(|l| l.contains(" server=10.2.0.1 has weight 100 instead of 0")),
        "{lacking:?}"
    );
    let lacks = lab.c.frontend("many").unwrap().lacks;
    let put_together = lacks.iter().filter(|l| l.ends_with(": weights that agents change are put together"));
    assert_eq!((lacks.len() > 1, put_together.count()), (true, lacks.len() - 1), "{lacks:?}");
    lab.turn();
    assert!(lab.c.settled(), "what the agents want is nothing that the verb has set off");
    let mut writes = lab.take_writes();
    assert_eq!(writes[0], "vip=192.0.2.1:80/tcp set-weight server=10.2.0.1 weight=0");
    // What is left of a round of weights may go with the flush.
    writes.retain(|w| !w.starts_with("vip=192.0.2.1:80/tcp set-weight server=10.1."));
    assert_eq!(
        writes,
        [
            "vip=192.0.2.1:80/tcp set-weight server=10.2.0.1 weight=0",
            "vip=192.0.2.9:80/tcp set-weight server=10.2.0.1 weight=0 flush",
            "vip=192.0.2.1:80/tcp set-weight server=10.2.0.1 weight=0 flush",
        ]
    );
    // An operator's weight, too.
    lab.c.set_weight(now, "many", "p", "b03", Some(3), false).unwrap();
    lab.turn();
    assert_eq!(lab.take_writes(), ["vip=192.0.2.1:80/tcp set-weight server=10.1.0.3 weight=3"]);
    assert!(lab.c.settled());
}

#[test]
fn a_sync_writes_them_all() {
    let mut lab = storm(16, ", agent-weight-interval: 1h");
    blow(&mut lab, 2_000);
    lab.take_writes();
    let now = lab.wall();
    let ticket = lab.c.sync(now, Some("many"), None).unwrap();
    lab.turn();
    let Finished::Sync(view) = lab.take(ticket) else { panic!() };
    assert!(view.writes as usize > N / 2, "{view:?}");
    // A sync of another frontend does not, nor does it take their turn.
    let mut lab = storm(16, ", agent-weight-interval: 5s");
    blow(&mut lab, 2_000);
    let now = lab.wall();
    lab.c.sync(now, Some("few"), None).unwrap();
    lab.turn();
    assert!(!lab.c.frontend("many").unwrap().lacks.is_empty());
    lab.run(6_000);
    as_said(&mut lab);
}

#[test]
fn who_says_another_weight_each_time_is_told_of_until_that_ends() {
    let mut lab = storm(16, "");
    blow(&mut lab, 6_000);
    let told = lab.take_log("problem");
    assert!(told[0].contains("agent-flapping"), "{told:?}");
    let text =
        lab.c.status(lab.wall()).problems.into_iter().find(|p| p.kind == "agent-flapping").unwrap().text;
    assert_eq!(text, "another weight with each of 20 replies: b00, b01, b02 and 37 more");
    lab.run(2_000);
    assert_eq!(lab.c.status(lab.wall()).problems.len(), 0);
    assert_eq!(lab.take_log("problem").len(), 1, "its end");
}

#[test]
fn weights_that_lb_refuses_are_written_when_it_takes_them() {
    let mut lab = storm(65_536, "");
    lab.lb.fail_when(|op| {
        matches!(op, Op::SetWeight { weight: 1.., .. }).then_some(crate::lb::LbError::Other(-1))
    });
    blow(&mut lab, 30_000);
    lab.lb.heal();
    lab.run(60_000);
    as_said(&mut lab);
    assert!(lab.c.settled());
    assert_eq!(lab.c.status(lab.wall()).problems.len(), 0);
}

#[test]
fn weights_that_cannot_be_written_in_time_are_a_problem_until_they_are() {
    // 450 rebuilds of 2 to 3 ms, and 19 times as long between them.
    let mut lab = storm_of(450, 65_536, ", agent-weight-interval: 100ms");
    blow_of(450, &mut lab, 14_000);
    let told = lab.take_log("agent-weights");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("faster than lb takes them"), "{told:?}");
    for i in 0..450 {
        lab.says(&format!("10.1.{}.{}", i / 200, i % 200), "up 50%");
    }
    lab.run(90_000);
    as_said(&mut lab);
    let told = lab.take_log("agent-weights");
    assert_eq!(told.len(), 1, "its end: {told:#?}");
}

#[test]
fn work_on_the_same_address_that_never_ends_does_not_take_their_place() {
    let mut lab = storm(16, "");
    // One call fails for ever, and is tried again and again.
    let stuck: std::net::IpAddr = "10.1.0.0".parse().unwrap();
    lab.lb.fail_when(move |op| match op {
        Op::SetWeight { address, .. } if *address == stuck => Some(crate::lb::LbError::Other(-1)),
        _ => None,
    });
    let now = lab.wall();
    lab.c.set_weight(now, "many", "p", "b00", Some(1), false).unwrap();
    for _ in 0..10 {
        blow(&mut lab, 1_000);
        let now = lab.wall();
        lab.c.sync(now, Some("many"), None).unwrap();
        lab.run(50);
    }
    blow(&mut lab, 3_000);
    lab.run(5_000);
    let view = lab.c.frontend("many").unwrap();
    let late: Vec<_> = view.lacks.iter().filter(|l| !l.contains("server=10.1.0.0 ")).collect();
    assert!(late.is_empty(), "{late:?}");
}
