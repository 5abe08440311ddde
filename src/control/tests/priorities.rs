//! What goes first: a server that is to get no more packets, then a VIP that nobody serves, then the rest.

use std::fmt::Write;

use super::Lab;
use super::lab::{ip, vip_tcp};
use crate::control::BackendVerb;
use crate::lb::{LoadBalancer, Op, VipKey};

const OLD: usize = 30;
const NEW: usize = 200;

fn vip(n: usize) -> VipKey {
    vip_tcp(&format!("192.0.{}.{}", n / 200, n % 200), 80)
}

/// `n` frontends of an address each: a, b and d in the first pool, c in the second. `last` has a alone in the first.
fn config(n: usize, last: Option<usize>) -> String {
    let mut text = "
maglev:
  vpp: {lb: {ipv4-src-address: 10.0.0.1}}
  backends: {a: {address: 10.1.0.1}, b: {address: 10.1.0.2}, c: {address: 10.1.0.3}, d: {address: 10.1.0.4}}
  frontends:
"
    .to_owned();
    for i in 0..n {
        let first = if last == Some(i) { "a: {}" } else { "a: {}, b: {}, d: {}" };
        writeln!(
            text,
            "    f{i:03}: {{address: {}, protocol: tcp, port: 80, pools: [{{name: p, backends: {{{first}}}}}, \
             {{name: q, backends: {{c: {{}}}}}}]}}",
            vip(i).address
        )
        .unwrap();
    }
    text
}

/// With the old frontends in `lb`, and some of the new ones: the work on them is under way.
fn filling(last: Option<usize>) -> Lab {
    let mut lab = Lab::new(&config(OLD, last));
    lab.run(1000);
    lab.load(&config(OLD + NEW, last));
    let made = |lab: &mut Lab| lab.lb.vips().unwrap().len();
    while made(&mut lab) < OLD + 20 {
        lab.wake();
        assert!(lab.ask());
        lab.drain();
    }
    lab.take_writes();
    lab
}

fn disable(lab: &mut Lab, backend: &str) {
    let now = lab.wall();
    lab.c.set_backend(now, backend, BackendVerb::Disable).unwrap();
    lab.drain();
}

fn weight(lab: &mut Lab, vip: &VipKey, server: &str) -> Option<u8> {
    lab.lb.servers(vip).ok()?.iter().find(|s| s.address == ip(server)).map(|s| s.weight)
}

/// Requests until a server has no weight in any of the old VIPs.
fn until_out(lab: &mut Lab, server: &str) -> usize {
    for n in 0..1000 {
        if (0..OLD).all(|i| weight(lab, &vip(i), server).is_none_or(|w| w == 0)) {
            return n;
        }
        assert!(lab.ask());
        lab.drain();
    }
    panic!("{server} never goes");
}

#[test]
fn a_disabled_server_leaves_every_vip_before_anything_else_is_written() {
    let mut lab = filling(None);
    disable(&mut lab, "a");
    let asked = until_out(&mut lab, "10.1.0.1");
    let writes = std::mem::take(&mut lab.writes);
    let out = |op: &Op| matches!(op, Op::SetWeight { address, weight: 0, flush: false, .. } if *address == ip("10.1.0.1"));
    assert!(writes.iter().all(|(_, op)| out(op)), "neither a flush nor an add: {writes:?}");
    assert!(writes.len() >= OLD);
    assert!(asked <= 60, "a dump each, and several VIPs written at a time: {asked}");
    // What was interrupted goes on, and the flows follow.
    lab.turn();
    let flushes = |op: &Op| matches!(op, Op::SetWeight { address, weight: 0, flush: true, .. } if *address == ip("10.1.0.1"));
    let flushed = lab.writes.iter().filter(|(_, op)| flushes(op)).count();
    assert_eq!(flushed, OLD + 20, "each once");
    let made = lab.writes.iter().filter(|(_, op)| matches!(op, Op::AddVip { .. })).count();
    assert_eq!(made, NEW - 20);
    assert_eq!(lab.lb.vips().unwrap().len(), OLD + NEW);
    for i in 0..OLD + NEW {
        let expect = [("10.1.0.1", 0), ("10.1.0.2", 100), ("10.1.0.3", 0)];
        assert!(expect.iter().all(|(a, w)| weight(&mut lab, &vip(i), a) == Some(*w)), "{i}");
    }
}

#[test]
fn the_one_who_went_first_is_written_first() {
    let mut lab = filling(None);
    disable(&mut lab, "b");
    disable(&mut lab, "a");
    until_out(&mut lab, "10.1.0.2");
    let first = lab.writes.iter().filter(|(_, op)| matches!(op, Op::SetWeight { weight: 0, .. }));
    let first: Vec<bool> = first
        .map(|(_, op)| matches!(op, Op::SetWeight { address, .. } if *address == ip("10.1.0.2")))
        .collect();
    assert!(first.len() >= OLD && first.iter().take(OLD).all(|b| *b), "{first:?}");
}

#[test]
fn whoever_has_the_last_weight_goes_right_after_others_have_come_in() {
    let mut lab = filling(Some(7));
    let mut empty = 0;
    disable(&mut lab, "a");
    let mut asked = 0;
    while weight(&mut lab, &vip(7), "10.1.0.1") != Some(0) {
        assert!(lab.ask());
        lab.drain();
        asked += 1;
        let sum: u32 = lab.lb.servers(&vip(7)).unwrap().iter().map(|s| u32::from(s.weight)).sum();
        empty += usize::from(sum == 0);
    }
    assert_eq!(empty, 0);
    assert_eq!(weight(&mut lab, &vip(7), "10.1.0.3"), Some(100));
    let others = lab.writes.iter().filter(|(_, op)| op.adds_weight() && op.vip() != Some(vip(7))).count();
    assert_eq!(others, 0, "no add but those that it waits for");
    assert!(asked <= 80, "{asked}");
}

#[test]
fn a_frontend_that_nobody_serves_comes_before_other_changes() {
    let mut lab = Lab::new(&config(OLD, None));
    lab.run(1000);
    for b in ["a", "b", "c", "d"] {
        disable(&mut lab, b);
    }
    lab.run(1000);
    lab.take_writes();
    // Weights change everywhere; one frontend alone may get somebody to serve it.
    let now = lab.wall();
    for i in 0..OLD - 1 {
        lab.c.set_weight(now, &format!("f{i:03}"), "q", "c", Some(0), false).unwrap();
        lab.c.set_weight(now, &format!("f{i:03}"), "p", "a", Some(0), false).unwrap();
        lab.c.set_weight(now, &format!("f{i:03}"), "p", "b", Some(0), false).unwrap();
        lab.c.set_weight(now, &format!("f{i:03}"), "p", "d", Some(0), false).unwrap();
    }
    lab.c.sync(now, None, None).unwrap();
    lab.ask();
    lab.c.set_backend(now, "c", BackendVerb::Enable).unwrap();
    lab.turn();
    let first = lab.writes.iter().map(|(_, op)| op).find(|op| op.adds_weight()).copied();
    let v = vip(OLD - 1);
    assert_eq!(first, Some(Op::SetWeight { vip: v, address: ip("10.1.0.3"), weight: 100, flush: false }));
}

#[test]
fn a_vip_that_is_somebody_elses_by_now_is_left_alone() {
    let mut lab = Lab::new(&config(2, None));
    lab.run(1000);
    // Deleted and made again by hand, with our server in it.
    let other = vip(0);
    let add =
        Op::AddVip { vip: other, encap: crate::lb::Encap::Gre4, table_length: 16, src_ip_sticky: false };
    let server = |a: &str| Op::AddServer { vip: other, address: ip(a), weight: 9, flush: false };
    for op in [Op::DelVip { vip: other }, add, server("10.1.0.1"), server("10.1.0.2")] {
        lab.lb.meddle(&op).unwrap();
    }
    lab.take_writes();
    disable(&mut lab, "a");
    lab.ask();
    lab.ask();
    lab.drain();
    let writes = lab.take_writes();
    assert!(writes.iter().all(|w| !w.contains(&other.to_string())), "{writes:?}");
    lab.turn();
    assert!(
        lab.log.iter().any(|(_, l)| l.contains("deleted and made again by somebody else")),
        "{:?}",
        lab.log
    );
}

#[test]
fn a_weight_that_lb_does_not_take_is_planned_for_again() {
    let mut lab = Lab::new(&config(2, None));
    lab.run(1000);
    lab.take_writes();
    lab.lb.fail_next(2, crate::lb::LbError::NoAnswer("test"));
    disable(&mut lab, "a");
    lab.run(10_000);
    for i in 0..2 {
        assert_eq!(weight(&mut lab, &vip(i), "10.1.0.1"), Some(0));
    }
    assert!(lab.c.settled());
}

#[test]
fn what_is_believed_of_a_vip_after_a_lost_answer_is_nothing_to_go_by() {
    let mut lab = Lab::new(&config(1, Some(0)));
    lab.run(1000);
    // c comes in for a, which loses its weight; `lb` does it, and no answer comes.
    lab.lb.lose_answers(usize::MAX);
    disable(&mut lab, "a");
    lab.run(1500);
    assert_eq!(["10.1.0.1", "10.1.0.3"].map(|a| weight(&mut lab, &vip(0), a)), [Some(0), Some(100)]);
    lab.lb.lose_answers(0);
    // Back at once: as it is believed, a still has weight, so that c could go.
    let now = lab.wall();
    lab.c.set_backend(now, "a", BackendVerb::Enable).unwrap();
    lab.drain();
    while lab.ask() {
        lab.drain();
        let sum: u32 = lab.lb.servers(&vip(0)).unwrap().iter().map(|s| u32::from(s.weight)).sum();
        assert!(sum > 0, "{:?}", lab.writes);
    }
}
