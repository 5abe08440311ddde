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

#[test]
fn an_address_with_many_changes_keeps_no_other_one_waiting_for_long() {
    let ports = |weight: u8, other: u8| {
        let mut text = "
maglev:
  vpp: {lb: {ipv4-src-address: 10.0.0.1}}
  backends: {a: {address: 10.1.0.1}, b: {address: 10.1.0.2}}
  frontends:
"
        .to_owned();
        for port in 1..=200 {
            writeln!(
                text,
                "    f{port:03}: {{address: 192.0.2.1, protocol: tcp, port: {port}, pools: [{{name: p, backends: \
                 {{a: {{weight: {weight}}}, b: {{weight: {weight}}}}}}}]}}"
            )
            .unwrap();
        }
        for i in 2..=4 {
            writeln!(
                text,
                "    g{i}: {{address: 192.0.2.{i}, protocol: tcp, port: 80, pools: [{{name: p, backends: \
                 {{a: {{weight: {other}}}, b: {{}}}}}}]}}"
            )
            .unwrap();
        }
        text
    };
    let mut lab = Lab::new(&ports(10, 10));
    lab.run(3000);
    lab.take_writes();
    lab.load(&ports(20, 20));
    lab.turn();
    let writes = lab.take_writes();
    let mut last = 0;
    for i in 2..=4 {
        let at = writes.iter().position(|w| w.starts_with(&format!("vip=192.0.2.{i}:80/tcp"))).unwrap();
        assert!(at <= 16 + i, "{i} is written to after {at} others of {}", writes.len());
        last = last.max(at);
    }
    assert_eq!(writes.len(), 403, "and nothing is written twice");
    assert!(writes[last + 1..].iter().all(|w| w.starts_with("vip=192.0.2.1:")));
}

/// Ten backends that follow `root`, and `more`, in two frontends, the second with that encapsulation; without more a second pool.
fn rack(encap: &str, more: &str) -> String {
    let mut text = "
maglev:
  vpp: {lb: {ipv4-src-address: 10.0.0.1}}
  backends:
    root: {address: 10.9.0.1}
    b0: {address: 10.2.0.1}
    b1: {address: 10.2.0.2}
"
    .to_owned();
    for n in 1..=10 {
        writeln!(text, "    a{n}: {{address: 10.1.0.{n}, track: root}}").unwrap();
    }
    text.push_str("  frontends:\n");
    let members: String = (1..=10).map(|n| format!("a{n}: {{}}, ")).collect();
    let second = if more.is_empty() { ", {name: q, backends: {b0: {}, b1: {}}}" } else { "" };
    for (name, address, encap) in [("web", "192.0.2.1", "gre4"), ("other", "192.0.2.2", encap)] {
        writeln!(
            text,
            "    {name}: {{address: {address}, protocol: udp, port: 53, encap: {encap}, pools: [{{name: p, backends: \
             {{{members}{more}}}}}{second}]}}"
        )
        .unwrap();
    }
    text
}

/// The writes that root's `word` leads to: their barriers, and the rebuilds and walks they take.
fn word(lab: &mut Lab, verb: BackendVerb) -> (Vec<String>, usize, u64, u64) {
    lab.take_writes();
    lab.lb.take_log();
    let before = lab.lb.work();
    let now = lab.wall();
    lab.c.set_backend(now, "root", verb).unwrap();
    lab.turn();
    let now = lab.lb.work();
    let batches: std::collections::BTreeSet<u64> = lab.lb.take_log().iter().map(|call| call.batch).collect();
    (lab.take_writes(), batches.len(), now.rebuilds - before.rebuilds, now.walks - before.walks)
}

#[test]
fn a_rack_leaves_all_its_vips_with_one_write_each_before_any_flow_is_flushed() {
    let mut lab = Lab::new(&rack("gre4", "b0: {}, b1: {}"));
    lab.run(3000);
    let (writes, batches, rebuilds, walks) = word(&mut lab, BackendVerb::Drain);
    assert_eq!(writes.len(), 20);
    assert!(writes.iter().all(|w| w.contains("set-weight") && w.ends_with(" weight=0")), "{writes:?}");
    assert_eq!((rebuilds, walks), (4, 0));
    assert!(batches <= 2, "{batches}");
    word(&mut lab, BackendVerb::Ready);
    let (writes, ..) = word(&mut lab, BackendVerb::Disable);
    assert!(writes[..20].iter().all(|w| w.ends_with(" weight=0")), "{writes:?}");
    assert!(writes[20..].iter().all(|w| w.ends_with(" weight=0 flush")) && writes.len() == 40, "{writes:?}");
}

#[test]
fn a_pool_fails_over_with_one_exchange_and_one_flush() {
    let mut lab = Lab::new(&rack("gre4", ""));
    lab.run(3000);
    let (writes, batches, rebuilds, walks) = word(&mut lab, BackendVerb::Disable);
    assert_eq!((writes.len(), batches, rebuilds, walks), (2 * 13, 4, 6, 2), "{writes:?}");
    let lines = lab.take_log("lb-sync");
    assert!(lines.iter().any(|l| l.contains("set-weight servers=10.2.0.1,10.2.0.2 weight=100")), "{lines:?}");
}

#[test]
fn nat_is_written_one_by_one_also_beside_what_is_put_together() {
    for more in ["", "b0: {}, b1: {}"] {
        let mut lab = Lab::new(&rack("nat4", more));
        lab.run(3000);
        for verb in [BackendVerb::Disable, BackendVerb::Enable, BackendVerb::Drain, BackendVerb::Ready] {
            let (writes, _, rebuilds, _) = word(&mut lab, verb);
            let nat = writes.iter().filter(|w| w.starts_with("vip=192.0.2.2:53")).count();
            assert!(nat >= 10 && rebuilds >= 10, "{verb:?} {rebuilds} {writes:?}");
        }
    }
}

#[test]
fn a_pool_that_nobody_can_come_in_for_keeps_its_weight_for_a_while_and_not_for_ever() {
    let mut lab = Lab::new(&rack("gre4", ""));
    lab.run(3000);
    lab.lb.fail_when(|op| {
        let second = matches!(op, Op::SetWeight { weight: 1.., address, .. } if address.to_string().starts_with("10.2."));
        second.then_some(crate::lb::LbError::Other(-9))
    });
    let (writes, ..) = word(&mut lab, BackendVerb::Disable);
    assert!(writes.iter().all(|w| w.contains("server=10.2.") || w.ends_with("weight=0")), "{writes:?}");
    let web = VipKey { address: ip("192.0.2.1"), service: Some((crate::lb::Protocol::Udp, 53)) };
    lab.run(10_000);
    assert_eq!(weight(&mut lab, &web, "10.1.0.7"), Some(100));
    lab.run(20_000);
    assert_eq!(weight(&mut lab, &web, "10.1.0.7"), Some(0));
    lab.lb.heal();
    lab.run(40_000);
    assert_eq!(weight(&mut lab, &web, "10.2.0.2"), Some(100));
}
