//! What is put together does what the single writes do.

use super::*;
use crate::lb::embedded::{Command as Fault, Embedded};
use crate::lb::{Encap, LoadBalancer, Protocol};

fn vip(port: u16) -> VipKey {
    VipKey { address: [192, 0, 2, 1].into(), service: Some((Protocol::Tcp, port)) }
}

fn ip(n: u16) -> IpAddr {
    let [a, b] = n.to_be_bytes();
    [10, 0, a, b].into()
}

fn add_vip(port: u16) -> Op {
    Op::AddVip { vip: vip(port), encap: Encap::Gre4, table_length: 256, src_ip_sticky: false }
}

fn add(n: u16, weight: u8) -> Op {
    Op::AddServer { vip: vip(80), address: ip(n), weight, flush: false }
}

fn set(n: u16, weight: u8, flush: bool) -> Op {
    Op::SetWeight { vip: vip(80), address: ip(n), weight, flush }
}

fn del(n: u16) -> Op {
    Op::DelServer { vip: vip(80), address: ip(n), flush: true }
}

/// A VIP with servers 1 to 6 of weights 10 to 60.
fn six() -> Embedded {
    let mut lb = Embedded::new();
    let mut ops = vec![add_vip(80)];
    ops.extend((1u8..=6).map(|n| add(u16::from(n), n * 10)));
    assert!(lb.apply(&ops).iter().all(Result::is_ok));
    lb
}

/// What a VIP is: weights, and where each place of its table points.
fn is(lb: &Embedded) -> (Vec<(IpAddr, u8)>, Vec<Option<IpAddr>>) {
    let mut weights = lb.weights(&vip(80));
    weights.sort_unstable();
    let table = lb.table(&vip(80)).unwrap();
    (weights, (0..256).map(|place| table.server_for(place)).collect())
}

fn rebuilds(lb: &mut Embedded, ops: &[Op]) -> (Vec<Result<(), LbError>>, u64) {
    let before = lb.work().rebuilds;
    let done = lb.apply_bulk(ops, &[]);
    (done, lb.work().rebuilds - before)
}

#[test]
fn the_table_is_that_of_single_writes_and_takes_few_rebuilds() {
    for (ops, most) in [
        // All out: deleted, and added at 0.
        ((1..=6).map(|n| set(n, 0, false)).collect::<Vec<_>>(), 2),
        // Two weights and a server that goes.
        (vec![set(1, 7, false), set(2, 9, false), set(3, 7, false), set(4, 9, false), set(5, 7, false)], 3),
        (vec![set(1, 7, true), set(2, 7, true), set(3, 7, true), del(4), del(5)], 2),
        // New ones alone, and with others.
        ((10..30).map(|n| add(n, 50)).collect(), 1),
        ((10..30).map(|n| add(n, 50)).chain((1..=6).map(|n| set(n, 0, false))).collect(), 3),
        ((1..=5).map(del).collect(), 1),
        // No gain: each by itself.
        (vec![set(1, 0, false)], 1),
        (vec![set(1, 1, false), set(2, 2, false)], 2),
        // More than a command takes.
        ((10..10 + 2 * MOST as u16).map(|n| add(n, 1)).collect(), 2),
    ] {
        let (mut together, mut single) = (six(), six());
        let (done, n) = rebuilds(&mut together, &ops);
        assert_eq!(done, single.apply(&ops), "{ops:?}");
        assert!(done.iter().all(Result::is_ok), "{ops:?}");
        assert_eq!((n, is(&together)), (most, is(&single)), "{ops:?}");
    }
}

#[test]
fn parts_are_of_one_vip_and_name_no_server_twice() {
    let other = Op::AddServer { vip: vip(81), address: ip(9), weight: 1, flush: false };
    let ops = [add_vip(81), other, add(7, 5), add(8, 5), add(9, 5), add(7, 6), Op::FlushVip { vip: vip(80) }];
    let sizes: Vec<usize> = parts(&ops)
        .iter()
        .map(|part| match part {
            Part::Single(_) => 1,
            Part::Together(ops, commands) => {
                assert_eq!(commands.len(), 1);
                ops.len()
            }
        })
        .collect();
    assert_eq!(sizes, [1, 1, 3, 1, 1]);
}

#[test]
fn a_command_that_is_not_as_expected_costs_nothing_and_is_told_once() {
    let ops: Vec<Op> = (1..=4).map(|n| set(n, 0, false)).chain([del(5), add(7, 3), add(8, 3)]).collect();
    let mut single = six();
    single.apply(&ops);
    for fault in [Fault::Refused, Fault::Idle, Fault::DeletesOnly] {
        let mut lb = six();
        lb.set_command(fault);
        assert!(lb.apply_bulk(&ops, &[]).iter().all(Result::is_ok), "{fault:?}");
        assert_eq!(is(&lb), is(&single), "{fault:?}");
        let said = lb.take_remark().unwrap();
        assert!(said.starts_with("lb's command for many servers is not used any more"), "{said}");
        assert_eq!(lb.take_remark(), None);
        // From now on one by one.
        lb.set_command(Fault::Good);
        let again: Vec<Op> = (1..=4).map(|n| set(n, 9, false)).collect();
        assert_eq!(rebuilds(&mut lb, &again), (vec![Ok(()); 4], 4), "{fault:?}");
    }
}

#[test]
fn what_lb_refuses_singly_too_is_refused_and_the_rest_is_done() {
    let mut lb = six();
    // One that is not there, one of the wrong family.
    let stranger =
        Op::AddServer { vip: vip(80), address: "2001:db8::1".parse().unwrap(), weight: 5, flush: false };
    for (bad, why) in [(set(99, 1, false), LbError::NoSuchEntry), (stranger, LbError::InvalidAddressFamily)] {
        let ops: Vec<Op> = (1..=4).map(|n| set(n, 33, false)).chain([bad]).collect();
        let done = lb.apply_bulk(&ops, &[]);
        assert_eq!(done, [Ok(()), Ok(()), Ok(()), Ok(()), Err(why)], "{bad:?}");
        assert!(lb.weights(&vip(80)).iter().filter(|(_, w)| *w == 33).count() == 4);
        assert_eq!(lb.take_remark(), None, "it was right");
        lb.apply(&(1..=4).map(|n| set(n, 1, false)).collect::<Vec<_>>());
    }
    // One that is there already, with a new one; alone it would get the weight, and that is all that is wanted.
    let done = lb.apply_bulk(&[add(6, 5), add(9, 5), add(10, 5)], &[]);
    assert_eq!(done, [Err(LbError::ValueExist), Ok(()), Ok(())]);
    let ops: Vec<Op> = (1..=4).map(|n| set(n, 44, false)).collect();
    assert_eq!(rebuilds(&mut lb, &ops), (vec![Ok(()); 4], 2), "and is still used");
}

#[test]
fn a_vip_that_was_not_made_gets_nothing() {
    let mut lb = six();
    let ops = [add_vip(80), add(11, 1), add(12, 1), add(13, 1)];
    let done = lb.apply_bulk(&ops, &[]);
    assert_eq!(done[0], Err(LbError::ValueExist));
    assert!(done[1..].iter().all(|answer| *answer == Err(LbError::NoSuchEntry)));
    assert_eq!(lb.weights(&vip(80)).len(), 6);
}

#[test]
fn one_line_names_all_servers_of_which_the_same_is_said() {
    let ops = [
        add_vip(80),
        add(1, 5),
        add(3, 6),
        add(2, 5),
        set(1, 0, true),
        set(2, 0, true),
        set(3, 0, false),
        del(4),
        del(5),
    ];
    let said = [
        "vip=192.0.2.1:80/tcp add encap=gre4 length=256",
        "vip=192.0.2.1:80/tcp add-server servers=10.0.0.1,10.0.0.2 weight=5",
        "vip=192.0.2.1:80/tcp add-server server=10.0.0.3 weight=6",
        "vip=192.0.2.1:80/tcp set-weight servers=10.0.0.1,10.0.0.2 weight=0 flush",
        "vip=192.0.2.1:80/tcp set-weight server=10.0.0.3 weight=0",
        "vip=192.0.2.1:80/tcp delete-server servers=10.0.0.4,10.0.0.5 flush",
    ];
    assert_eq!(lines(&ops), said);
}

#[test]
fn servers_keep_their_weight_where_what_comes_in_for_them_cannot() {
    let stranger = |n| Op::AddServer {
        vip: vip(80),
        address: [0x2001, 0xdb8, 0, 0, 0, 0, 0, n].into(),
        weight: 9,
        flush: false,
    };
    let former: Vec<(IpAddr, u8)> = (1u8..=6).map(|n| (ip(u16::from(n)), n * 10)).collect();
    let ops: Vec<Op> = (1..=3).map(stranger).chain((1..=6).map(|n| set(n, 0, false))).collect();
    for fault in [Fault::Good, Fault::Refused, Fault::Idle, Fault::DeletesOnly] {
        let (mut lb, before) = (six(), is(&six()));
        lb.set_command(fault);
        let done = lb.apply_bulk(&ops, &former);
        assert!(
            done[..3].iter().all(|answer| *answer == Err(LbError::InvalidAddressFamily)),
            "{fault:?} {done:?}"
        );
        assert!(done[3..].iter().all(|answer| *answer == Err(LbError::Held)), "{fault:?} {done:?}");
        assert_eq!(is(&lb), before, "{fault:?}");
    }
    // And lose it where it can, or nobody waits for it.
    let mut lb = six();
    let fits: Vec<Op> = (7..=9).map(|n| add(n, 9)).chain((1..=6).map(|n| set(n, 0, false))).collect();
    assert_eq!(lb.apply_bulk(&fits, &former), vec![Ok(()); 9]);
    let mut lb = six();
    assert!(lb.apply_bulk(&ops, &[])[3..].iter().all(Result::is_ok));
}
