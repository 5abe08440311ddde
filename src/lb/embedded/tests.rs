//! Each of `lb`'s answers, and what it does with flows.

use super::*;
use crate::lb::{Encap, Protocol};

fn ip(s: &str) -> IpAddr {
    s.parse().unwrap()
}

fn key(address: &str, port: u16) -> VipKey {
    VipKey { address: ip(address), service: (port != 0).then_some((Protocol::Tcp, port)) }
}

fn add_vip(vip: VipKey, encap: Encap, table_length: u32) -> Op {
    Op::AddVip { vip, encap, table_length, src_ip_sticky: false }
}

fn add(vip: VipKey, server: &str, weight: u8) -> Op {
    Op::AddServer { vip, address: ip(server), weight, flush: false }
}

fn del(vip: VipKey, server: &str, flush: bool) -> Op {
    Op::DelServer { vip, address: ip(server), flush }
}

fn weight(vip: VipKey, server: &str, weight: u8, flush: bool) -> Op {
    Op::SetWeight { vip, address: ip(server), weight, flush }
}

fn one(lb: &mut Embedded, op: Op) -> Result<(), LbError> {
    let answers = lb.apply(&[op]);
    assert_eq!(answers.len(), 1);
    answers[0].clone()
}

/// A VIP 192.0.2.1:80 with servers 10.0.0.1 and 10.0.0.2 at these weights.
fn pair(a: u8, b: u8) -> (Embedded, VipKey) {
    let (mut lb, vip) = (Embedded::new(), key("192.0.2.1", 80));
    let ops = [add_vip(vip, Encap::Gre4, 1024), add(vip, "10.0.0.1", a), add(vip, "10.0.0.2", b)];
    assert_eq!(lb.apply(&ops), [Ok(()), Ok(()), Ok(())]);
    (lb, vip)
}

fn flow(vip: &VipKey, n: u16) -> Flow {
    Flow::to_vip(vip, ip("198.51.100.7"), n, 80).unwrap()
}

fn at(seconds: u64) -> Time {
    Time::from_millis(seconds * 1000)
}

#[test]
fn it_starts_as_lb_does() {
    let mut lb = Embedded::new();
    let s = lb.settings().unwrap();
    assert_eq!((s.ip4_src, s.ip6_src), ("255.255.255.255".parse().unwrap(), [0xff; 16].into()));
    assert_eq!((s.sticky_buckets_per_core, s.flow_timeout), (1024, 40));
    assert_eq!((lb.vips().unwrap(), lb.kind(), lb.unavailable()), (vec![], "embedded", None));
    assert_eq!(lb.servers(&key("192.0.2.1", 80)).unwrap(), []);
}

#[test]
fn settings_want_a_power_of_two_and_all_ones_leaves_them() {
    let mut lb = Embedded::new();
    let s = lb.settings().unwrap();
    for sticky_buckets_per_core in [0, 3, 1000] {
        let op = Op::SetSettings(Settings { sticky_buckets_per_core, ..s });
        assert_eq!(one(&mut lb, op), Err(LbError::InvalidMemorySize));
    }
    assert_eq!(lb.settings().unwrap(), s);
    let ip4_src = "10.9.9.9".parse().unwrap();
    let keep = Settings { ip4_src, sticky_buckets_per_core: u32::MAX, flow_timeout: u32::MAX, ..s };
    assert_eq!(one(&mut lb, Op::SetSettings(keep)), Ok(()));
    assert_eq!(lb.settings().unwrap(), Settings { ip4_src, ..s });
}

#[test]
fn what_clashes_on_one_address_is_refused() {
    let (gre4, gre6, dsr) = (Encap::Gre4, Encap::Gre6, Encap::L3dsr { dscp: 7 });
    let exists = Err(LbError::ValueExist);
    for (have, ask, answer) in [
        ((80, gre4), (80, gre4), exists.clone()),
        ((80, gre4), (80, gre6), exists.clone()),
        ((80, gre4), (443, gre4), Ok(())),
        ((80, gre4), (443, gre6), Err(LbError::InvalidArgument)),
        ((80, gre4), (443, dsr), Err(LbError::InvalidArgument)),
        ((80, dsr), (443, Encap::L3dsr { dscp: 8 }), Ok(())),
        ((80, gre4), (0, gre4), exists.clone()),
        ((0, gre4), (80, gre4), exists.clone()),
        ((0, gre4), (0, gre4), exists.clone()),
        ((0, gre4), (0, gre6), exists),
    ] {
        let mut lb = Embedded::new();
        one(&mut lb, add_vip(key("192.0.2.1", have.0), have.1, 16)).unwrap();
        assert_eq!(one(&mut lb, add_vip(key("192.0.2.1", ask.0), ask.1, 16)), answer, "{have:?} {ask:?}");
        assert_eq!(one(&mut lb, add_vip(key("192.0.2.2", ask.0), ask.1, 16)), Ok(()));
    }
}

#[test]
fn what_would_end_vpp_is_refused_and_counted() {
    let mut lb = Embedded::new();
    let settings = lb.settings().unwrap();
    let nat = Encap::Nat4 { target_port: 53 };
    for (n, op) in [
        Op::SetSettings(Settings { sticky_buckets_per_core: 0, ..settings }),
        add_vip(key("192.0.2.1", 80), Encap::Gre4, 0),
        add_vip(key("192.0.2.1", 0), nat, 16),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(one(&mut lb, op).is_err());
        assert_eq!(lb.deadly_calls(), n as u64 + 1, "{op}");
    }
    assert_eq!(one(&mut lb, add_vip(key("192.0.2.1", 80), Encap::Gre4, 3)), Err(LbError::InvalidMemorySize));
    assert_eq!((lb.vips().unwrap(), lb.deadly_calls()), (vec![], 3));
}

#[test]
fn a_table_length_that_is_no_power_of_two_is_refused() {
    let mut lb = Embedded::new();
    for length in [0, 3, 1000, 131_072] {
        let op = add_vip(key("192.0.2.1", 80), Encap::Gre4, length);
        assert_eq!(one(&mut lb, op), Err(LbError::InvalidMemorySize), "{length}");
    }
    assert_eq!(lb.vips().unwrap(), []);
    for (port, length) in [(1, 1), (2, 65_536)] {
        one(&mut lb, add_vip(key("192.0.2.1", port), Encap::Gre4, length)).unwrap();
    }
    assert_eq!(lb.vips().unwrap().iter().map(|v| v.table_length).collect::<Vec<_>>(), [1, 65_536]);
}

#[test]
fn a_servers_family_is_the_encapsulations() {
    let bad = Err(LbError::InvalidAddressFamily);
    for (vip, encap, v4, v6) in [
        ("192.0.2.1", Encap::Gre4, Ok(()), bad.clone()),
        ("192.0.2.1", Encap::Gre6, bad.clone(), Ok(())),
        ("192.0.2.1", Encap::L3dsr { dscp: 1 }, Ok(()), bad.clone()),
        ("2001:db8::1", Encap::Gre4, Ok(()), bad.clone()),
        ("2001:db8::1", Encap::Gre6, bad, Ok(())),
    ] {
        let (mut lb, vip) = (Embedded::new(), key(vip, 80));
        one(&mut lb, add_vip(vip, encap, 16)).unwrap();
        assert_eq!(one(&mut lb, add(vip, "10.0.0.1", 1)), v4, "{vip} {encap:?}");
        assert_eq!(one(&mut lb, add(vip, "2001:db8::2", 1)), v6, "{vip} {encap:?}");
    }
}

#[test]
fn what_is_not_there_is_no_such_entry() {
    let gone = Err(LbError::NoSuchEntry);
    let (mut lb, vip) = pair(1, 1);
    let other = key("192.0.2.1", 443);
    for op in [
        Op::DelVip { vip: other },
        add(other, "10.0.0.1", 1),
        del(other, "10.0.0.1", true),
        weight(other, "10.0.0.1", 1, false),
        del(vip, "10.0.0.3", true),
        weight(vip, "10.0.0.3", 1, false),
    ] {
        assert_eq!(one(&mut lb, op), gone, "{op:?}");
    }
    assert_eq!(one(&mut lb, add(vip, "10.0.0.1", 1)), Err(LbError::ValueExist));
    assert_eq!((one(&mut lb, Op::FlushVip { vip: other }), lb.stray_flushes()), (gone.clone(), 0));
    assert_eq!((lb.meddle(&Op::FlushVip { vip: other }), lb.stray_flushes()), (Ok(()), 1));
    // One that was deleted lingers: it has no weight to set, but can be deleted again.
    assert_eq!(one(&mut lb, del(vip, "10.0.0.1", false)), Ok(()));
    assert_eq!(one(&mut lb, weight(vip, "10.0.0.1", 1, false)), gone);
    assert_eq!(one(&mut lb, del(vip, "10.0.0.1", false)), Ok(()));
}

#[test]
fn dumps_tell_vips_and_servers_in_use_with_their_buckets() {
    let (mut lb, vip) = pair(100, 50);
    let all = key("2001:db8::1", 0);
    one(&mut lb, add_vip(all, Encap::L3dsr { dscp: 3 }, 16)).unwrap();
    let vips = lb.vips().unwrap();
    assert_eq!(vips.iter().map(VipRecord::key).collect::<Vec<_>>(), [Some(vip), Some(all)]);
    assert_eq!((vips[0].prefix_len, vips[0].protocol, vips[0].port), (32, 6, 80));
    assert_eq!((vips[1].prefix_len, vips[1].protocol, vips[1].port), (128, 255, 0));
    assert_eq!(vips[1].encap, Some(Encap::Gre6), "lb has no l3dsr for IPv6, and takes GRE6");
    let servers = lb.servers(&vip).unwrap();
    assert_eq!(
        servers.iter().map(|s| (s.address, s.weight)).collect::<Vec<_>>(),
        [(ip("10.0.0.1"), 100), (ip("10.0.0.2"), 50)]
    );
    assert_eq!(servers.iter().map(|s| s.buckets).sum::<u32>(), 1024);
    assert_eq!(servers[0].buckets, lb.table(&vip).unwrap().buckets(ip("10.0.0.1")));
    one(&mut lb, del(vip, "10.0.0.1", false)).unwrap();
    one(&mut lb, Op::DelVip { vip: all }).unwrap();
    assert_eq!(lb.servers(&vip).unwrap().len(), 1);
    assert_eq!(lb.servers(&vip).unwrap()[0].buckets, 1024);
    assert_eq!((lb.vips().unwrap().len(), lb.dumps()), (1, 5));
}

#[test]
fn a_prefix_or_nat_vip_of_somebody_else_is_dumped_and_has_no_key() {
    let mut lb = Embedded::new();
    let prefix = VipRecord {
        address: ip("10.1.2.3"),
        prefix_len: 8,
        protocol: 255,
        port: 0,
        encap: Some(Encap::Gre4),
        table_length: 64,
    };
    let nat =
        VipRecord { address: ip("10.0.0.0"), prefix_len: 32, protocol: 17, port: 53, encap: None, ..prefix };
    lb.meddle_vip(&prefix).unwrap();
    lb.meddle_vip(&nat).unwrap();
    lb.meddle_server(&prefix, ip("10.9.0.1"), 7).unwrap();
    let normal = VipRecord { address: ip("10.0.0.0"), ..prefix };
    assert_eq!(lb.vips().unwrap(), [normal, nat]);
    assert_eq!(normal.key(), None);
    assert_eq!(lb.servers_of(&prefix), [AsRecord { address: ip("10.9.0.1"), weight: 7, buckets: 64 }]);
    assert_eq!(lb.take_log(), []);
}

#[test]
fn a_flow_stays_on_its_server_when_weight_goes_without_flush() {
    let (mut lb, vip) = pair(100, 0);
    let a = Some(ip("10.0.0.1"));
    assert_eq!(lb.packet(&vip, &flow(&vip, 1), at(0)), a);
    lb.apply(&[weight(vip, "10.0.0.2", 100, false), weight(vip, "10.0.0.1", 0, false)]);
    assert_eq!(lb.packet(&vip, &flow(&vip, 1), at(39)), a, "kept");
    assert_eq!(lb.packet(&vip, &flow(&vip, 2), at(39)), Some(ip("10.0.0.2")), "new");
    assert_eq!(lb.flows(&vip, ip("10.0.0.1")), 1);
    one(&mut lb, weight(vip, "10.0.0.1", 0, true)).unwrap();
    assert_eq!(lb.packet(&vip, &flow(&vip, 1), at(40)), Some(ip("10.0.0.2")), "flushed");
    assert_eq!(lb.counters(&vip), Some(Counters { next: 1, first: 3, untracked: 0, no_server: 0 }));
}

#[test]
fn a_deleted_servers_flows_go_on_until_they_are_flushed_or_idle() {
    for flush in [false, true] {
        let (mut lb, vip) = pair(100, 0);
        lb.packet(&vip, &flow(&vip, 1), at(0));
        lb.apply(&[weight(vip, "10.0.0.2", 1, false), del(vip, "10.0.0.1", flush)]);
        let expect = if flush { "10.0.0.2" } else { "10.0.0.1" };
        assert_eq!(lb.packet(&vip, &flow(&vip, 1), at(30)), Some(ip(expect)));
        assert_eq!(lb.packet(&vip, &flow(&vip, 1), at(70)), Some(ip("10.0.0.2")), "idle for 40 s");
    }
}

#[test]
fn a_server_added_again_has_its_old_flows_unless_flushed() {
    for flush in [false, true] {
        let (mut lb, vip) = pair(100, 0);
        lb.packet(&vip, &flow(&vip, 1), at(0));
        lb.apply(&[weight(vip, "10.0.0.2", 1, false), del(vip, "10.0.0.1", false)]);
        one(&mut lb, Op::AddServer { vip, address: ip("10.0.0.1"), weight: 0, flush }).unwrap();
        assert_eq!(lb.flows(&vip, ip("10.0.0.1")), usize::from(!flush));
    }
}

#[test]
fn a_flush_of_the_vip_takes_all_its_flows_and_no_others() {
    let (mut lb, vip) = pair(100, 0);
    let other = key("192.0.2.1", 443);
    lb.apply(&[add_vip(other, Encap::Gre4, 16), add(other, "10.0.0.1", 1)]);
    lb.packet(&vip, &flow(&vip, 1), at(0));
    lb.packet(&other, &flow(&other, 1), at(0));
    one(&mut lb, Op::FlushVip { vip }).unwrap();
    assert_eq!((lb.flows(&vip, ip("10.0.0.1")), lb.flows(&other, ip("10.0.0.1"))), (0, 1));
    assert_eq!(lb.stray_flushes(), 0);
}

#[test]
fn without_weight_packets_are_counted_and_dropped() {
    let (mut lb, vip) = pair(0, 0);
    for n in 0..6 {
        assert_eq!(lb.packet(&vip, &flow(&vip, 1), at(n)), None);
    }
    // Each packet takes one of the bucket's four entries; `lb` counts the rest as untracked.
    assert_eq!(lb.counters(&vip), Some(Counters { no_server: 4, untracked: 2, ..Counters::default() }));
    one(&mut lb, weight(vip, "10.0.0.2", 1, false)).unwrap();
    assert_eq!(lb.packet(&vip, &flow(&vip, 1), at(6)), Some(ip("10.0.0.2")));
    assert_eq!(lb.flows(&vip, ip("10.0.0.2")), 0, "served, but not kept while the bucket is full");
    one(&mut lb, Op::FlushVip { vip }).unwrap();
    assert_eq!(lb.packet(&vip, &flow(&vip, 1), at(60)), Some(ip("10.0.0.2")));
    assert_eq!(lb.flows(&vip, ip("10.0.0.2")), 1);
}

#[test]
fn a_vip_that_is_not_there_takes_no_packets() {
    let (mut lb, vip) = pair(1, 1);
    let packet = flow(&vip, 1);
    assert!(lb.packet(&vip, &packet, at(0)).is_some());
    one(&mut lb, Op::DelVip { vip }).unwrap();
    assert_eq!((lb.packet(&vip, &packet, at(0)), lb.new_flow(&vip, &packet)), (None, None));
    assert_eq!((lb.counters(&vip), lb.table(&vip).is_none()), (None, true));
}

#[test]
fn a_new_vip_of_an_old_key_begins_without_flows() {
    let (mut lb, vip) = pair(100, 0);
    lb.packet(&vip, &flow(&vip, 1), at(0));
    lb.apply(&[Op::DelVip { vip }, add_vip(vip, Encap::Gre4, 16), add(vip, "10.0.0.2", 1)]);
    assert_eq!(lb.packet(&vip, &flow(&vip, 1), at(1)), Some(ip("10.0.0.2")));
    assert_eq!(lb.flows(&vip, ip("10.0.0.1")), 0);
}

#[test]
fn a_new_bucket_count_throws_all_flows_away() {
    let (mut lb, vip) = pair(100, 0);
    lb.packet(&vip, &flow(&vip, 1), at(0));
    let s = lb.settings().unwrap();
    one(&mut lb, Op::SetSettings(Settings { flow_timeout: 10, ..s })).unwrap();
    lb.packet(&vip, &flow(&vip, 2), at(1));
    assert_eq!(lb.flows(&vip, ip("10.0.0.1")), 2, "a new lifetime alone does not");
    one(&mut lb, Op::SetSettings(Settings { sticky_buckets_per_core: 64, ..s })).unwrap();
    lb.packet(&vip, &flow(&vip, 2), at(1));
    assert_eq!(lb.flows(&vip, ip("10.0.0.1")), 1);
}

#[test]
fn what_was_deleted_is_forgotten_within_two_minutes_once_no_flow_names_it() {
    let (mut lb, vip) = pair(1, 1);
    one(&mut lb, del(vip, "10.0.0.1", true)).unwrap();
    lb.set_now(at(1000));
    assert_eq!(one(&mut lb, del(vip, "10.0.0.1", true)), Err(LbError::NoSuchEntry));

    let (mut lb, vip) = pair(1, 0);
    lb.packet(&vip, &flow(&vip, 1), at(0));
    one(&mut lb, del(vip, "10.0.0.1", false)).unwrap();
    lb.set_now(at(1000));
    assert_eq!(one(&mut lb, del(vip, "10.0.0.1", true)), Ok(()), "an entry names it, though timed out");
}

#[test]
fn after_a_failed_add_of_a_vip_its_other_ops_are_not_sent() {
    let (mut lb, vip) = pair(1, 1);
    let other = key("192.0.2.2", 80);
    lb.take_log();
    let ops = [
        add_vip(vip, Encap::Gre4, 16),
        weight(vip, "10.0.0.1", 0, false),
        Op::DelVip { vip },
        add_vip(other, Encap::Gre4, 16),
        add(other, "10.0.0.1", 1),
    ];
    let gone = Err(LbError::NoSuchEntry);
    assert_eq!(lb.apply(&ops), [Err(LbError::ValueExist), gone.clone(), gone, Ok(()), Ok(())]);
    assert_eq!(lb.servers(&vip).unwrap()[0].weight, 1);
    let log = lb.take_log();
    assert_eq!(log.iter().map(|c| c.op).collect::<Vec<_>>(), [ops[0], ops[3], ops[4]]);
    assert!(log.iter().all(|c| c.batch == 2));
}

#[test]
fn failures_strike_as_asked() {
    let (mut lb, vip) = pair(1, 1);
    lb.fail_next(2, LbError::Other(-7));
    let ops = [weight(vip, "10.0.0.1", 5, false); 3];
    assert_eq!(lb.apply(&ops), [Err(LbError::Other(-7)), Err(LbError::Other(-7)), Ok(())]);
    lb.fail_when(|op| matches!(op, Op::DelServer { .. }).then_some(LbError::NoAnswer("test")));
    assert_eq!(one(&mut lb, del(vip, "10.0.0.1", true)), Err(LbError::NoAnswer("test")));
    assert_eq!(one(&mut lb, weight(vip, "10.0.0.1", 6, false)), Ok(()));
    lb.lose_answers(1);
    assert_eq!(one(&mut lb, weight(vip, "10.0.0.1", 7, false)), Err(LbError::NoAnswer("lost")));
    assert_eq!(lb.servers(&vip).unwrap()[0].weight, 7, "done all the same");
    lb.fail_dumps(1, LbError::Other(1));
    assert_eq!(lb.vips(), Err(LbError::Other(1)));
    assert!(lb.vips().is_ok());
    lb.heal();
    assert_eq!(one(&mut lb, del(vip, "10.0.0.1", true)), Ok(()));
    lb.set_unavailable(Some("lb is not loaded".into()));
    let unavailable = LbError::Unavailable("lb is not loaded".into());
    assert_eq!(one(&mut lb, del(vip, "10.0.0.2", true)), Err(unavailable.clone()));
    assert_eq!((lb.settings(), lb.unavailable()), (Err(unavailable), Some("lb is not loaded".into())));
}
