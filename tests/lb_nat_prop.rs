//! NAT: whatever is wanted, one goal after the other, no NAT server or VIP is ever deleted and no (server, target port)
//! is used by two VIPs, since VPP would abort; and what is wanted is reached, or the plan says why not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod lb_support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use lb_support::*;
use maglev::lb::reconcile::{Actual, Costs, Note, Wanted, WantedServer};
use maglev::lb::{Encap, LbError, LoadBalancer, Op, Protocol, VipKey, VipRecord};
use maglev::time::Time;
use proptest::prelude::*;

const ADDRESSES: [&str; 3] = ["192.0.2.1", "192.0.2.2", "2001:db8::1"];
const PORTS: [u16; 3] = [0, 53, 54];

#[derive(Clone, Debug)]
enum Action {
    /// A reload; and how each op of a first try goes, 0 being well.
    Goal(Goal, Vec<u8>),
    /// Somebody else's hand.
    Meddle(Op),
    /// Seconds pass, so that `lb` collects what was deleted.
    Wait(u64),
}

fn udp(address: &str, port: u16) -> VipKey {
    VipKey { address: ip(address), service: (port != 0).then_some((Protocol::Udp, port)) }
}

fn server_of(encap: Encap, n: u8) -> IpAddr {
    if encap.takes(srv(n)) { srv(n) } else { ip(&format!("2001:db8::{n}")) }
}

fn server() -> impl Strategy<Value = WantedServer> {
    prop_oneof![3 => Just(w(100)), 1 => Just(w(1)), 1 => Just(w(0)), 1 => Just(flushed()), 1 => Just(kept())]
}

/// All that is wanted of one address, as a valid configuration has it.
fn address_goal(address: &'static str) -> impl Strategy<Value = Goal> {
    let four = !address.contains(':');
    let nat = move |target_port| {
        if four { Encap::Nat4 { target_port } } else { Encap::Nat6 { target_port } }
    };
    let encap = prop_oneof![
        6 => Just(None),
        2 => Just(Some(if four { Encap::Gre4 } else { Encap::Gre6 })),
        1 => Just(Some(if four { Encap::L3dsr { dscp: 5 } } else { Encap::Gre4 })),
    ];
    let one = move |encap: Option<Encap>, port: u16| {
        let servers = proptest::collection::btree_map(1..=3u8, server(), 1..=3);
        let target = prop_oneof![Just(53u16), Just(54)];
        let length = prop_oneof![1 => Just(16u32), 8 => Just(64)];
        (servers, target, length, proptest::bool::weighted(0.05)).prop_map(
            move |(servers, target, table_length, src_ip_sticky)| {
                let encap = encap.unwrap_or_else(|| nat(target));
                let servers = servers.into_iter().map(|(n, s)| (server_of(encap, n), s)).collect();
                (udp(address, port), Wanted { encap, table_length, src_ip_sticky, servers })
            },
        )
    };
    let ports =
        prop_oneof![2 => Just(vec![]), 1 => Just(vec![0]), 4 => Just(vec![53]), 4 => Just(vec![53, 54])];
    (encap, ports).prop_flat_map(move |(encap, ports)| {
        // NAT takes no all-port VIP.
        let encap =
            if ports == [0] { encap.or(Some(if four { Encap::Gre4 } else { Encap::Gre6 })) } else { encap };
        let vips: Vec<_> = ports.into_iter().map(|p| one(encap, p)).collect();
        vips.prop_map(|vips| vips.into_iter().collect::<Goal>())
    })
}

fn goal() -> impl Strategy<Value = Goal> {
    ADDRESSES.map(address_goal).prop_map(|goals| {
        let mut all: Goal = goals.into_iter().flatten().collect();
        // A (backend, target port) comes once in a valid configuration.
        let mut taken = BTreeSet::new();
        for want in all.values_mut() {
            if let Some(port) = want.encap.target_port() {
                want.servers.retain(|a, _| taken.insert((*a, port)));
            }
        }
        all.retain(|_, w| !w.servers.is_empty());
        all
    })
}

fn action() -> impl Strategy<Value = Action> {
    let vip = (prop::sample::select(&ADDRESSES[..]), prop::sample::select(&PORTS[1..]));
    let meddle = (vip, 0..4u8, 1..=3u8, 0..=100u8).prop_map(|((a, p), what, n, weight)| {
        let vip = udp(a, p);
        let address = if vip.address.is_ipv4() { srv(n) } else { ip(&format!("2001:db8::{n}")) };
        match what {
            0 => Op::SetWeight { vip, address, weight, flush: false },
            1 => Op::DelServer { vip, address, flush: false },
            2 => Op::FlushVip { vip },
            _ => Op::DelVip { vip },
        }
    });
    prop_oneof![
        8 => (goal(), proptest::collection::vec(0..4u8, 0..4)).prop_map(|(g, t)| Action::Goal(g, t)),
        1 => meddle.prop_map(Action::Meddle),
        3 => (1..100u64).prop_map(Action::Wait),
    ]
}

fn look(driver: &mut Driver) -> BTreeMap<VipKey, Actual> {
    let keys = ADDRESSES.iter().flat_map(|a| PORTS.iter().map(|p| udp(a, *p)));
    keys.filter_map(|vip| Some((vip, dump(&mut driver.lb, &vip)?))).collect()
}

fn is_nat(actual: &Actual) -> bool {
    actual.encap.is_some_and(Encap::is_nat)
}

fn said(notes: &[Note]) -> BTreeSet<VipKey> {
    notes.iter().filter_map(Note::unmet).copied().collect()
}

/// No op that VPP does not survive.
fn check_ops(driver: &mut Driver, before: &BTreeMap<VipKey, Actual>) {
    let mut nat: BTreeSet<VipKey> = before.iter().filter(|(_, a)| is_nat(a)).map(|(k, _)| *k).collect();
    for call in driver.lb.take_log() {
        match call.op {
            Op::AddVip { vip, encap, .. } if encap.is_nat() => {
                nat.insert(vip);
            }
            Op::DelVip { vip } | Op::DelServer { vip, .. } => assert!(!nat.contains(&vip), "{:?}", call.op),
            Op::AddVip { .. }
            | Op::AddServer { .. }
            | Op::SetWeight { .. }
            | Op::FlushVip { .. }
            | Op::SetSettings(_) => {}
        }
    }
    assert_eq!(driver.lb.snat_clashes(), 0);
    assert_eq!(driver.lb.snat_aborts(), 0);
}

/// One try, during which ops fail as `troubles` say.
fn stumble(driver: &mut Driver, goal: &Goal, troubles: &[u8]) {
    let mut troubles = troubles.iter();
    let mut next = move |lb: &mut maglev::lb::embedded::Embedded| match troubles.next() {
        Some(1) => lb.fail_next(1, LbError::Other(-9)),
        Some(2) => lb.lose_answers(1),
        Some(3) => lb.fail_next(1, LbError::NoAnswer("test")),
        Some(_) | None => lb.heal(),
    };
    next(&mut driver.lb);
    driver.reconcile_watched(goal, |_, lb| next(lb));
    driver.lb.heal();
}

/// A reconcile without failures.
fn reach(driver: &mut Driver, goal: &Goal) {
    let before = look(driver);
    let done = driver.reconcile(goal);
    assert_eq!(done.failures, [], "{:?}", done.plan);
    check_ops(driver, &before);
    let said = said(&done.plan.notes);
    let after = look(driver);
    for (vip, want) in goal.iter().filter(|(vip, _)| !said.contains(vip)) {
        let is = &after[vip];
        assert_eq!((is.encap, is.table_length), (Some(want.encap), want.table_length));
        assert_eq!(driver.ledger.src_ip_sticky(vip), Some(want.src_ip_sticky));
        for (address, s) in want.servers.iter().filter(|(_, s)| !s.keep) {
            assert_eq!(is.servers.get(address), Some(&s.weight), "{vip} {address}");
        }
        for (address, weight) in is.servers.iter().filter(|(a, _)| !want.servers.contains_key(*a)) {
            assert!(is_nat(is) && *weight == 0, "{vip} {address} is neither gone nor parked");
        }
    }
    for (vip, is) in after.iter().filter(|(vip, _)| !goal.contains_key(vip)) {
        assert!(is_nat(is) && is.weights() == 0, "{vip} is neither gone nor parked");
    }
    // What is refused is refused for a reason: something of NAT was there, or is wanted.
    for vip in &said {
        let nat_here = after.iter().any(|(k, a)| k.address == vip.address && is_nat(a));
        assert!(nat_here || goal[vip].encap.is_nat(), "{:?}", done.plan.notes);
    }
    // Nothing is written that is already so, and it goes on saying what it cannot do.
    let again = driver.reconcile(goal);
    assert!(again.plan.is_empty(), "{:?}", again.plan);
    assert_eq!(said, self::said(&again.plan.notes));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_nat_server_or_vip_is_deleted_and_no_key_comes_twice(
        slow in any::<bool>(), actions in proptest::collection::vec(action(), 1..25)
    ) {
        let limit = if slow { Duration::ZERO } else { Duration::from_millis(5) };
        let mut driver = Driver { costs: Costs { limit, ..Costs::default() }, ..Driver::default() };
        let mut now = 0;
        for action in &actions {
            match action {
                Action::Goal(goal, troubles) => {
                    let before = look(&mut driver);
                    stumble(&mut driver, goal, troubles);
                    check_ops(&mut driver, &before);
                    reach(&mut driver, goal);
                }
                Action::Meddle(op) => {
                    let _refused_is_fine = driver.lb.meddle(op);
                    let found = look(&mut driver);
                    for vip in driver.ledger.all_ours().copied().collect::<Vec<_>>() {
                        driver.ledger.observed(&vip, found.get(&vip));
                    }
                }
                Action::Wait(s) => {
                    now += s;
                    driver.lb.set_now(Time(now * 1_000_000_000));
                }
            }
        }
        driver.lb.set_now(Time((now + 1000) * 1_000_000_000));
        prop_assert_eq!(driver.lb.snat_aborts(), 0);
    }
}

fn nat(port: u16, target_port: u16, servers: &[(u8, u8)]) -> (VipKey, Wanted) {
    let servers = servers.iter().map(|&(n, weight)| (srv(n), w(weight))).collect();
    let encap = Encap::Nat4 { target_port };
    (udp("192.0.2.1", port), Wanted { encap, table_length: 64, src_ip_sticky: false, servers })
}

fn goal_of(vips: &[(VipKey, Wanted)]) -> Goal {
    vips.iter().cloned().collect()
}

fn weights(driver: &mut Driver, vip: &VipKey) -> Vec<(IpAddr, u8)> {
    dump(&mut driver.lb, vip).unwrap().servers.into_iter().collect()
}

fn notes(driver: &mut Driver, goal: &Goal) -> Vec<String> {
    driver.reconcile(goal).plan.notes.iter().map(ToString::to_string).collect()
}

#[test]
fn a_server_that_leaves_is_parked_and_comes_back_by_weight() {
    let mut driver = Driver::default();
    let (vip, _) = nat(53, 53, &[]);
    let two = goal_of(&[nat(53, 53, &[(1, 100), (2, 100)])]);
    let one = goal_of(&[nat(53, 53, &[(1, 100)])]);
    for _ in 0..3 {
        assert_eq!(notes(&mut driver, &two), [] as [&str; 0]);
        assert_eq!(weights(&mut driver, &vip), [(srv(1), 100), (srv(2), 100)]);
        assert_eq!(notes(&mut driver, &one), [] as [&str; 0]);
        assert_eq!(weights(&mut driver, &vip), [(srv(1), 100), (srv(2), 0)]);
        assert_eq!(notes(&mut driver, &Goal::new()), [] as [&str; 0]);
        assert_eq!(weights(&mut driver, &vip), [(srv(1), 0), (srv(2), 0)]);
    }
    // Somebody gives a parked one weight: it is parked again, once.
    driver.lb.meddle(&Op::SetWeight { vip, address: srv(2), weight: 7, flush: false }).unwrap();
    assert_eq!(driver.reconcile(&one).plan.ops().count(), 2);
    assert_eq!(weights(&mut driver, &vip), [(srv(1), 100), (srv(2), 0)]);
    assert!(driver.reconcile(&one).plan.is_empty());
}

#[test]
fn what_cannot_be_had_is_said() {
    let (vip, want) = nat(53, 53, &[(1, 100), (2, 50)]);
    let first = goal_of(&[(vip, want.clone())]);
    let with = |change: fn(&mut Wanted)| {
        let mut want = want.clone();
        change(&mut want);
        goal_of(&[(vip, want)])
    };
    let other = udp("192.0.2.2", 53);
    let gre = Wanted { encap: Encap::Gre4, ..want.clone() };
    let http = key("192.0.2.1", 80);
    let all_ports = key("192.0.2.1", 0);
    let cases = [
        (with(|w| w.table_length = 16), "192.0.2.1:53/udp", "new-flow-table-length stays 64 instead of 16"),
        (with(|w| w.src_ip_sticky = true), "192.0.2.1:53/udp", "src-ip-sticky stays false"),
        (
            with(|w| w.encap = Encap::Nat4 { target_port: 54 }),
            "192.0.2.1:53/udp",
            "encap stays nat4 (target-port 53) instead of nat4 (target-port 54)",
        ),
        (
            goal_of(&[(vip, gre.clone())]),
            "192.0.2.1:53/udp",
            "encap stays nat4 (target-port 53) instead of gre4",
        ),
        (
            goal_of(&[(other, want.clone())]),
            "192.0.2.2:53/udp",
            "no server 10.0.0.1: 192.0.2.1:53/udp has it (target port 53), no server 10.0.0.2: 192.0.2.1:53/udp has it \
             (target port 53)",
        ),
        (
            goal_of(&[(http, gre.clone())]),
            "192.0.2.1:80/tcp",
            "the address has 192.0.2.1:53/udp with encap nat4 (target-port 53), which stays parked",
        ),
        (
            goal_of(&[(all_ports, gre.clone())]),
            "192.0.2.1",
            "the address has 192.0.2.1:53/udp with encap nat4 (target-port 53), which stays parked",
        ),
    ];
    for (goal, name, why) in cases {
        let mut driver = Driver::default();
        assert_eq!(notes(&mut driver, &first), [] as [&str; 0]);
        let expected = format!("{name} cannot be as configured before VPP is restarted: {why}");
        for _ in 0..2 {
            assert_eq!(notes(&mut driver, &goal), [expected.as_str()]);
        }
        let weight = if goal.contains_key(&vip) { 100 } else { 0 };
        assert_eq!(weights(&mut driver, &vip)[0], (srv(1), weight), "{why}");
        assert_eq!(notes(&mut driver, &first), [] as [&str; 0], "back is always possible");
        assert_eq!(weights(&mut driver, &vip), [(srv(1), 100), (srv(2), 50)]);
    }
}

#[test]
fn a_vip_deleted_by_hand_burns_its_keys() {
    let mut driver = Driver::default();
    let (vip, want) = nat(53, 53, &[(1, 100)]);
    let goal = goal_of(&[(vip, want)]);
    driver.reconcile(&goal);
    driver.lb.meddle(&Op::DelVip { vip }).unwrap();
    assert_eq!(
        notes(&mut driver, &goal),
        [
            "192.0.2.1:53/udp cannot be as configured before VPP is restarted: no server 10.0.0.1: a VIP that was deleted had \
          it (target port 53)"
        ]
    );
    assert_eq!(dump(&mut driver.lb, &vip), None, "an empty one would be of no use, and stay for ever");
    // With other servers it can be made.
    let (_, want) = nat(53, 53, &[(1, 100), (2, 100)]);
    assert_eq!(notes(&mut driver, &goal_of(&[(vip, want)])).len(), 1);
    assert_eq!(weights(&mut driver, &vip), [(srv(2), 100)]);
    assert_eq!(driver.lb.snat_clashes(), 0);
}

#[test]
fn a_nat_vip_of_somebody_else_is_left_alone_and_its_target_port_avoided() {
    let mut driver = Driver::default();
    let (vip, want) = nat(53, 53, &[(1, 100)]);
    let goal = goal_of(&[(vip, want.clone())]);
    let record = VipRecord {
        address: vip.address,
        prefix_len: 32,
        protocol: 17,
        port: 53,
        encap: Some(Encap::Nat4 { target_port: 53 }),
        table_length: 64,
    };
    driver.lb.meddle_vip(&record).unwrap();
    let left = "192.0.2.1:53/udp left alone: made by somebody else, with NAT, which cannot be deleted safely";
    assert_eq!(notes(&mut driver, &goal), [left]);
    driver.ledger.foreign_nat([53].into());
    let elsewhere = goal_of(&[(udp("192.0.2.2", 53), want)]);
    assert_eq!(
        notes(&mut driver, &elsewhere),
        [
            "192.0.2.2:53/udp cannot be as configured before VPP is restarted: no server 10.0.0.1: a NAT VIP made by somebody \
          else has the target port (target port 53)"
        ]
    );
}

#[test]
fn the_embedded_lb_counts_what_vpp_would_die_of() {
    let mut driver = Driver::default();
    let lb = &mut driver.lb;
    let make = |lb: &mut maglev::lb::embedded::Embedded, port| {
        let vip = udp("192.0.2.1", port);
        let encap = Encap::Nat4 { target_port: 53 };
        lb.meddle(&Op::AddVip { vip, encap, table_length: 16, src_ip_sticky: false }).unwrap();
        lb.meddle(&Op::AddServer { vip, address: srv(1), weight: 1, flush: false }).unwrap();
        vip
    };
    let (a, b) = (make(lb, 53), make(lb, 54));
    assert_eq!((lb.snat_clashes(), lb.snat_aborts()), (1, 0));
    for vip in [a, b] {
        lb.meddle(&Op::DelVip { vip }).unwrap();
    }
    lb.set_now(Time(200_000_000_000));
    assert_eq!(lb.snat_aborts(), 1);
    let all = Op::AddVip {
        vip: udp("192.0.2.1", 0),
        encap: Encap::Nat4 { target_port: 53 },
        table_length: 16,
        src_ip_sticky: false,
    };
    assert_eq!(lb.meddle(&all), Err(LbError::InvalidArgument));
    assert_eq!(lb.vips().unwrap(), []);
}
