//! One test for each rule of the way from wanted to actual, one write at a time; tests/lb_bulk.rs has what is put together.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod lb_support;

use std::time::Duration;

use lb_support::*;
use maglev::lb::embedded::Embedded;
use maglev::lb::ledger::Ledger;
use maglev::lb::reconcile::{
    Actual, Costs, Member, Note, Plan, StepKind, Wanted, WantedServer, plan, settings,
};
use maglev::lb::{Encap, LoadBalancer, Op, Settings, VipKey};

fn costs() -> Costs {
    Costs { bulk: false, ..Costs::default() }
}

fn plan_one(wanted: Option<&Wanted>, actual: Option<&Actual>, ledger: &Ledger) -> Plan {
    plan(&[member(wanted, actual)], ledger, &costs())
}

/// Wanted and actual of our VIP, what was done before, and the ops that it takes, each a step.
fn check(w: &Wanted, a: &Actual, before: &[Op], expect: &[Op]) {
    let plan = plan_one(Some(w), Some(a), &ledger(before));
    assert_eq!(steps(&plan), singly(expect), "{w:?} {a:?}");
    assert_eq!(plan.notes, []);
}

#[test]
fn nothing_is_written_that_is_already_so() {
    let a = actual(&[(1, 100), (2, 0)]);
    let before = [add(1, 100), add(2, 0)];
    check(&wanted(&[(1, w(100)), (2, w(0))]), &a, &before, &[]);
    check(&wanted(&[(1, w(100)), (2, flushed())]), &a, &before, &[]);
    assert!(plan_one(None, None, &Ledger::default()).is_empty());
    assert!(plan(&[], &Ledger::default(), &costs()).is_empty());
}

#[test]
fn a_new_vip_is_made_and_filled_under_one_barrier_by_ascending_address() {
    let mut wanted = wanted(&[(9, w(1)), (1, flushed()), (3, w(100)), (4, kept())]);
    wanted.encap = Encap::Gre6;
    let servers = wanted.servers.into_values().zip(1..);
    wanted.servers = servers.map(|(s, n)| (ip(&format!("2001:db8::{n}")), s)).collect();
    let plan = plan_one(Some(&wanted), None, &Ledger::default());
    let vip = vip();
    let add = |s, weight| Op::AddServer { vip, address: ip(s), weight, flush: false };
    let add_vip = Op::AddVip { vip, encap: Encap::Gre6, table_length: 1024, src_ip_sticky: false };
    let ops = vec![add_vip, add("2001:db8::1", 0), add("2001:db8::2", 100), add("2001:db8::4", 1)];
    assert_eq!(steps(&plan), [ops]);
    assert_eq!((plan.steps[0].kind, plan.notes), (StepKind::Create, vec![]));
}

#[test]
fn a_new_vip_that_takes_too_long_goes_in_steps_is_logged_and_flushed_once_full() {
    let mut wanted = wanted(&(1..=40).map(|n| (n, w(100))).collect::<Vec<_>>());
    wanted.table_length = 65_536;
    let plan = plan_one(Some(&wanted), None, &Ledger::default());
    let mut expect =
        vec![Op::AddVip { vip: vip(), encap: Encap::Gre4, table_length: 65_536, src_ip_sticky: false }];
    // It is never there without a server.
    let mut expect = vec![vec![expect.remove(0), add(1, 100)]];
    expect.extend((2..=40).map(|n| vec![add(n, 100)]));
    expect.push(vec![flush_vip()]);
    assert_eq!(steps(&plan), expect);
    let [note @ Note::InSteps { .. }] = plan.notes.as_slice() else { panic!("{:?}", plan.notes) };
    assert_eq!(note.to_string(), "192.0.2.1:80/tcp in steps: 52 ms under one barrier would be too long");
}

#[test]
fn first_who_gets_no_more_then_what_adds_weight_then_what_takes_it_each_by_ascending_address() {
    let v6 = ip("2001:db8::1");
    let mut want = wanted(&[(1, w(10)), (2, w(100)), (3, w(7)), (4, w(0)), (6, w(0))]);
    want.servers.insert(v6, w(5));
    let have = actual(&[(1, 100), (2, 50), (4, 9), (5, 3)]);
    let vip = vip();
    let add_v6 = Op::AddServer { vip, address: v6, weight: 5, flush: false };
    let expect = [set(4, 0), set(2, 100), add(3, 7), add(6, 0), add_v6, set(1, 10), del(5)];
    check(&want, &have, &[], &expect);
    let plan = plan_one(Some(&want), Some(&have), &ledger(&[]));
    let kinds: Vec<StepKind> = plan.steps.iter().map(|s| s.kind).collect();
    assert_eq!(kinds[..1], [StepKind::Out]);
    assert_eq!(kinds[1..5], [StepKind::Add; 4]);
    assert_eq!(kinds[5..], [StepKind::Take; 2]);
}

#[test]
fn the_dead_lose_their_weight_before_anything_is_added_and_their_flows_last() {
    let dead = |n| (n, flushed());
    let before = [add(1, 100), add(2, 100), add(3, 100)];
    let have = actual(&[(1, 100), (2, 100), (3, 100)]);
    let want = wanted(&[dead(1), dead(2), (3, w(100)), (4, w(100))]);
    let expect = [set(1, 0), set(2, 0), add(4, 100), set_flush(1, 0), set_flush(2, 0)];
    check(&want, &have, &before, &expect);
    // Of one alone there is nothing to wait for.
    check(
        &wanted(&[dead(1), (2, w(100)), (3, w(100)), (4, w(100))]),
        &have,
        &before,
        &[set_flush(1, 0), add(4, 100)],
    );
    // Where nobody is left to serve the weights may go with the flows.
    check(&wanted(&[dead(1), dead(2), dead(3)]), &have, &before, &[1, 2, 3].map(|n| set_flush(n, 0)));
}

#[test]
fn a_dead_server_loses_its_weight_in_all_vips_of_an_address_first() {
    let (a, b) = (key("192.0.2.1", 80), key("192.0.2.1", 443));
    let mut ledger = ledger(&[]);
    ledger.applied(&Op::AddVip { vip: b, encap: Encap::Gre4, table_length: 1024, src_ip_sticky: false });
    let want = wanted(&[(1, flushed()), (2, w(100)), (3, w(50))]);
    let have = actual(&[(1, 100), (2, 100)]);
    let members = [b, a].map(|vip| Member { vip, wanted: Some(&want), actual: Some(&have), adopt: false });
    let plan = plan(&members, &ledger, &costs());
    let weight =
        |vip, n: u8, weight, flush| Op::SetWeight { vip, address: [10, 0, 0, n].into(), weight, flush };
    let add = |vip| Op::AddServer { vip, address: [10, 0, 0, 3].into(), weight: 50, flush: false };
    let expect = [
        weight(a, 1, 0, false),
        weight(b, 1, 0, false),
        add(a),
        add(b),
        weight(a, 1, 0, true),
        weight(b, 1, 0, true),
    ];
    assert_eq!(plan.ops().copied().collect::<Vec<_>>(), expect);
}

#[test]
fn a_failover_gives_one_of_the_second_pool_weight_then_the_first_loses_it_then_the_others_come() {
    let want = wanted(&[(1, flushed()), (2, flushed()), (3, w(100)), (4, w(100))]);
    let have = actual(&[(1, 100), (2, 100), (3, 0), (4, 0)]);
    let before = [add(1, 100), add(2, 100), add(3, 0), add(4, 0)];
    check(
        &want,
        &have,
        &before,
        &[set(3, 100), set(1, 0), set(2, 0), set(4, 100), set_flush(1, 0), set_flush(2, 0)],
    );
}

#[test]
fn wanted_flush_and_dirty_is_one_write_of_0_with_flush_also_at_0() {
    let other = (2, w(100));
    for (have, before, expect) in [
        // (weight now, what was done before, ops)
        (100, vec![add(1, 100)], vec![set_flush(1, 0)]),
        (0, vec![add(1, 100), set(1, 0)], vec![set_flush(1, 0)]),
        (0, vec![add(1, 0)], vec![]),
        (0, vec![add(1, 100), set_flush(1, 0)], vec![]),
        (0, vec![add(1, 100), set(1, 0), flush_vip()], vec![]),
        // Somebody else put it there: who knows what flows it has.
        (0, vec![], vec![set_flush(1, 0)]),
    ] {
        let have = actual(&[(1, have), (2, 100)]);
        check(&wanted(&[(1, flushed()), other]), &have, &before, &expect);
    }
}

#[test]
fn drain_and_a_change_of_weight_flush_nothing() {
    let have = actual(&[(1, 100), (2, 100)]);
    check(&wanted(&[(1, w(0)), (2, w(100))]), &have, &[], &[set(1, 0)]);
    check(&wanted(&[(1, w(40)), (2, w(100))]), &have, &[], &[set(1, 40)]);
    // `flush` has no meaning at another weight than 0.
    let odd = WantedServer { flush: true, ..w(40) };
    check(&wanted(&[(1, odd), (2, w(100))]), &have, &[], &[set(1, 40)]);
}

#[test]
fn a_server_that_comes_back_is_flushed_only_where_flows_may_linger_and_must_go() {
    let other = (2, w(100));
    for (server, before, expect) in [
        (w(100), vec![], add(1, 100)),
        (w(0), vec![], add(1, 0)),
        (flushed(), vec![], add(1, 0)),
        // Deleted behind our back while it held flows: `lb` gives it its flows back.
        (w(100), vec![add(1, 100)], add(1, 100)),
        (w(0), vec![add(1, 100)], add(1, 0)),
        (flushed(), vec![add(1, 100)], add_flush(1, 0)),
        (flushed(), vec![add(1, 100), set(1, 0)], add_flush(1, 0)),
        (flushed(), vec![add(1, 100), set_flush(1, 0)], add(1, 0)),
        // Deleted by us, with flush.
        (flushed(), vec![add(1, 100), del(1)], add(1, 0)),
        (WantedServer { flush_once: true, ..w(7) }, vec![], add_flush(1, 7)),
    ] {
        let mut ledger = ledger(&[add(2, 100)]);
        before.iter().for_each(|op| ledger.applied(op));
        ledger.observed(&vip(), Some(&actual(&[(2, 100)])));
        let want = wanted(&[(1, server), other]);
        let plan = plan_one(Some(&want), Some(&actual(&[(2, 100)])), &ledger);
        assert_eq!(steps(&plan), singly(&[expect]), "{server:?} {before:?}");
    }
}

#[test]
fn an_operators_flush_comes_with_the_weight_whatever_it_is() {
    let once = |weight| WantedServer { flush_once: true, ..w(weight) };
    for (weight, expect) in [
        (80, vec![set_flush(1, 80), set(3, 1)]),
        (50, vec![set_flush(1, 50), set(3, 1)]),
        (20, vec![set_flush(1, 20), set(3, 1)]),
        (0, vec![set_flush(1, 0), set(3, 1)]),
    ] {
        let want = wanted(&[(1, once(weight)), (2, w(100)), (3, w(1))]);
        check(&want, &actual(&[(1, 50), (2, 100), (3, 9)]), &[], &expect);
    }
}

#[test]
fn a_server_that_leaves_is_deleted_once_with_flush_unless_it_is_to_stay_a_while() {
    let have = actual(&[(1, 100), (2, 100), (3, 0)]);
    check(&wanted(&[(1, w(100))]), &have, &[add(3, 0)], &[del(2), del(3)]);
    check(&wanted(&[(1, w(100)), (2, kept()), (3, kept()), (4, kept())]), &have, &[], &[]);
}

#[test]
fn a_frontend_that_leaves_is_flushed_and_takes_its_servers_with_it_under_one_barrier() {
    let have = actual(&[(2, 0), (1, 100)]);
    let plan = plan_one(None, Some(&have), &ledger(&[]));
    assert_eq!(steps(&plan), [[flush_vip(), del_vip()]]);
    assert!(plan.steps.iter().all(|s| s.kind == StepKind::Leave));
    assert!(plan_one(None, None, &ledger(&[])).is_empty());
}

#[test]
fn what_is_foreign_is_never_touched() {
    let have = actual(&[(1, 100)]);
    assert!(plan_one(None, Some(&have), &Ledger::default()).is_empty());
    let want = wanted(&[(1, w(1))]);
    let plan = plan_one(Some(&want), Some(&have), &Ledger::default());
    assert_eq!((plan.is_empty(), plan.notes.len()), (true, 1));
    assert_eq!(plan.notes[0].to_string(), "192.0.2.1:80/tcp left alone: made by somebody else");
}

#[test]
fn a_vip_found_at_first_programming_is_recreated_as_ours_unless_it_does_nat() {
    let want = wanted(&[(1, w(100))]);
    let mut have = actual(&[(1, 100)]);
    let adopt = |have: &Actual| {
        let member = Member { adopt: true, ..member(Some(&want), Some(have)) };
        plan(&[member], &Ledger::default(), &costs())
    };
    let found = adopt(&have);
    assert_eq!(steps(&found), [vec![flush_vip(), del_vip(), add_vip(), add(1, 100)]]);
    assert_eq!(found.recreate_reason(&vip()), Some("found at first programming"));
    have.encap = None;
    let nat = adopt(&have);
    assert!(nat.is_empty() && matches!(nat.notes.as_slice(), [Note::Foreign { .. }]));
    assert_eq!(nat.recreate_reason(&vip()), None);
}

#[test]
fn a_vip_that_memory_has_no_room_for_stays_or_is_not_made_and_one_that_stays_needs_none() {
    let wide = Wanted { table_length: 65_536, ..wanted(&[(1, w(7))]) };
    let same = wanted(&[(1, w(7))]);
    let have = actual(&[(1, 100)]);
    let of = |want: &Wanted, have: Option<&Actual>, adopt: bool, before: &Ledger, room: u64| {
        let member = Member { adopt, ..member(Some(want), have) };
        plan(&[member], before, &Costs { room, ..costs() })
    };
    let (ours, nobody) = (ledger(&[]), Ledger::default());
    let little = 65_536 * 4;
    // Of ours the weights follow all the same; what is not ours is left alone.
    let rows = [
        (of(&wide, Some(&have), false, &ours, little), vec![vec![set(1, 7)]], "so it stays as it is"),
        (of(&wide, Some(&have), true, &nobody, little), vec![], "so it is not made"),
        (of(&wide, None, true, &nobody, little), vec![], "so it is not made"),
    ];
    for (plan, ops, told) in rows {
        assert_eq!(steps(&plan), ops, "{told}");
        let [note @ Note::NoRoom { .. }] = plan.notes.as_slice() else { panic!("{:?}", plan.notes) };
        assert!(note.to_string().ends_with(told) && note.unmet() == Some(&vip()), "{note}");
    }
    // A server has its share; and what is there as it is wanted takes nothing.
    for (plan, made) in [
        (of(&wide, None, true, &nobody, little + 64 + 1024), true),
        (of(&wide, None, true, &nobody, little + 64 + 1023), false),
        (of(&same, Some(&have), false, &ours, 0), false),
    ] {
        assert_eq!(plan.ops().any(|op| matches!(op, Op::AddVip { .. })), made);
    }
    assert_eq!(of(&same, Some(&have), false, &ours, 0).notes, []);
}

#[test]
fn what_cannot_be_changed_in_place_recreates_the_vip_under_one_barrier() {
    let base = wanted(&[(1, w(100)), (2, flushed()), (3, kept()), (4, kept())]);
    let have = actual(&[(1, 50), (2, 0), (3, 9), (5, 7)]);
    for (want, reason) in [
        (Wanted { encap: Encap::Gre6, ..base.clone() }, "encap gre4 instead of gre6"),
        (Wanted { encap: Encap::L3dsr { dscp: 3 }, ..base.clone() }, "encap gre4 instead of l3dsr (dscp 3)"),
        (Wanted { table_length: 2048, ..base.clone() }, "new-flow-table-length 1024 instead of 2048"),
        (Wanted { src_ip_sticky: true, ..base.clone() }, "src-ip-sticky false instead of true"),
        (
            Wanted { src_ip_sticky: true, table_length: 16, ..base.clone() },
            "src-ip-sticky false instead of true, new-flow-table-length 1024 instead of 16",
        ),
    ] {
        let plan = plan_one(Some(&want), Some(&have), &ledger(&[add(2, 1)]));
        let Wanted { encap, table_length, src_ip_sticky, .. } = want;
        let made = Op::AddVip { vip: vip(), encap, table_length, src_ip_sticky };
        let mut ops = vec![flush_vip(), del_vip(), made, add(1, 100), add(2, 0)];
        // The one that is to leave stays a while, unless the new encapsulation is of another family.
        ops.extend((encap != Encap::Gre6).then(|| add(3, 9)));
        assert_eq!(steps(&plan), [ops]);
        assert_eq!(plan.recreate_reason(&vip()), Some(reason));
        assert_eq!(plan.steps[0].kind, StepKind::Recreate);
        assert_eq!(plan.notes[0].to_string(), format!("recreating 192.0.2.1:80/tcp: {reason}"));
    }
}

#[test]
fn a_recreation_that_takes_too_long_goes_in_steps() {
    let servers: Vec<_> = (1..=40).map(|n| (n, w(100))).collect();
    let mut want = wanted(&servers);
    want.table_length = 65_536;
    let have = actual(&[(1, 100)]);
    let plan = plan_one(Some(&want), Some(&have), &ledger(&[]));
    let made = Op::AddVip { vip: vip(), encap: Encap::Gre4, table_length: 65_536, src_ip_sticky: false };
    let mut expect = vec![vec![flush_vip()], vec![del_vip(), made, add(1, 100)]];
    expect.extend((2..=40).map(|n| vec![add(n, 100)]));
    expect.push(vec![flush_vip()]);
    assert_eq!(steps(&plan), expect);
    assert!(matches!(plan.notes.as_slice(), [Note::Recreate { .. }, Note::InSteps { .. }]));
}

#[test]
fn a_vip_that_gets_its_first_weight_is_flushed_once_under_the_same_barrier() {
    let want = wanted(&[(1, w(100)), (2, w(50)), (3, w(0)), (4, flushed())]);
    let before = [add(2, 0), add(4, 9), set(4, 0)];
    let plan = plan_one(Some(&want), Some(&actual(&[(2, 0), (4, 0), (5, 0)])), &ledger(&before));
    let fill = vec![add(1, 100), set(2, 50), add(3, 0), flush_vip()];
    // The flush of the VIP is that of 4, too.
    assert_eq!(steps(&plan), [fill, vec![del(5)]]);
    assert_eq!(plan.steps[0].kind, StepKind::Fill);
}

#[test]
fn a_first_weight_flushes_nothing_while_a_server_at_0_holds_flows_to_be_kept() {
    let have = actual(&[(1, 0), (2, 0)]);
    let held = [add(1, 0), add(2, 9), set(2, 0)];
    for holder in [w(0), kept()] {
        let plan = plan_one(Some(&wanted(&[(1, w(7)), (2, holder)])), Some(&have), &ledger(&held));
        assert_eq!(steps(&plan), [vec![set(1, 7)]]);
    }
    let clean = [add(1, 0), add(2, 9), set_flush(2, 0)];
    for (holder, before) in [(w(0), clean), (kept(), clean)] {
        let plan = plan_one(Some(&wanted(&[(1, w(7)), (2, holder)])), Some(&have), &ledger(&before));
        assert_eq!(steps(&plan), [vec![set(1, 7), flush_vip()]]);
    }
    // Deleted behind our back while it held flows, and still drained.
    let plan = plan_one(Some(&wanted(&[(1, w(7)), (2, w(0))])), Some(&actual(&[(1, 0)])), &ledger(&held));
    assert_eq!(steps(&plan), [vec![set(1, 7), add(2, 0)]]);
    // Its own flows stay with a server that gets weight again; the flush is for those that have none.
    let plan = plan_one(Some(&wanted(&[(1, w(0)), (2, w(7))])), Some(&have), &ledger(&held));
    assert_eq!(steps(&plan), [vec![set(2, 7), flush_vip()]]);
}

#[test]
fn a_large_fill_goes_in_steps_with_the_flush_after_all_adds() {
    let servers: Vec<_> = (1..=40).map(|n| (n, w(100))).collect();
    let (mut want, mut have) = (wanted(&servers), actual(&[]));
    (want.table_length, have.table_length) = (65_536, 65_536);
    let plan = plan_one(Some(&want), Some(&have), &ledger(&[]));
    let mut expect: Vec<Op> = (1..=40).map(|n| add(n, 100)).collect();
    expect.push(flush_vip());
    assert_eq!(steps(&plan), singly(&expect));
    assert!(matches!(plan.notes.as_slice(), [Note::InSteps { .. }]));
}

#[test]
fn a_flush_too_long_for_the_barrier_stands_apart_from_the_fill() {
    let costs = Costs { sticky_buckets: 1 << 20, threads: 2, ..costs() };
    let want = wanted(&[(1, w(100)), (2, w(100))]);
    let have = actual(&[]);
    let plan = plan(&[member(Some(&want), Some(&have))], &ledger(&[]), &costs);
    assert_eq!(steps(&plan), [vec![add(1, 100), add(2, 100)], vec![flush_vip()]]);
    assert_eq!(plan.notes, []);
}

#[test]
fn the_vips_of_an_address_change_their_encap_together() {
    let (a, b) = (key("192.0.2.1", 80), key("192.0.2.1", 443));
    let mut want = wanted(&[]);
    want.encap = Encap::Gre6;
    let have = actual(&[(1, 5)]);
    let mut ledger = ledger(&[]);
    ledger.applied(&Op::AddVip { vip: b, encap: Encap::Gre4, table_length: 1024, src_ip_sticky: false });
    let members = [b, a].map(|vip| Member { vip, wanted: Some(&want), actual: Some(&have), adopt: false });
    let new = |vip| Op::AddVip { vip, encap: Encap::Gre6, table_length: 1024, src_ip_sticky: false };
    let gone = |vip| [Op::FlushVip { vip }, Op::DelVip { vip }];
    let all = [&gone(a)[..], &gone(b), &[new(a), new(b)]].concat();
    let together = plan(&members, &ledger, &costs());
    assert_eq!(steps(&together), std::slice::from_ref(&all));
    assert_eq!(together.notes.len(), 2);
    // Too long for one barrier: the flows go first.
    let slow = plan(&members, &ledger, &Costs { sticky_buckets: 1 << 20, ..costs() });
    let flushes = [vec![Op::FlushVip { vip: a }], vec![Op::FlushVip { vip: b }]];
    let exchange = vec![Op::DelVip { vip: a }, Op::DelVip { vip: b }, new(a), new(b)];
    assert_eq!(steps(&slow), [&flushes[..], &[exchange]].concat());
}

#[test]
fn vips_that_clash_are_exchanged_at_once_with_as_many_servers_as_time_allows() {
    let (old, ports): (_, Vec<VipKey>) =
        (key("192.0.2.1", 0), (1..=4).map(|port| key("192.0.2.1", port)).collect());
    let mut want = wanted(&(1..=20).map(|n| (n, w(100))).collect::<Vec<_>>());
    want.table_length = 65_536;
    let have = Actual { table_length: 65_536, ..actual(&[(1, 100)]) };
    let mut ledger = ledger(&[]);
    ledger.applied(&Op::AddVip { vip: old, encap: Encap::Gre4, table_length: 65_536, src_ip_sticky: false });
    let mut members: Vec<Member<'_>> = ports
        .iter()
        .map(|vip| Member { vip: *vip, wanted: Some(&want), actual: None, adopt: true })
        .collect();
    members.push(Member { vip: old, wanted: None, actual: Some(&have), adopt: false });
    for (bulk, limit, with) in [(true, 5_000, 20), (false, 5_000, 1), (true, 1_320, 1)] {
        let costs = Costs { bulk, limit: Duration::from_micros(limit), ..Costs::default() };
        let plan = plan(&members, &ledger, &costs);
        let at_once = plan.steps.iter().find(|s| s.ops.contains(&Op::DelVip { vip: old })).unwrap();
        for vip in &ports {
            let made = at_once.ops.iter().filter(|op| op.vip() == Some(*vip)).count();
            assert_eq!(made, 1 + with, "{vip} {bulk} {limit}");
            let all = plan.ops().filter(|op| op.vip() == Some(*vip) && op.adds_weight()).count();
            assert_eq!(all, 21);
        }
    }
    // Where even that is too long, what goes goes first.
    let plan = plan(&members, &ledger, &Costs { limit: Duration::from_micros(100), ..Costs::default() });
    let alone = plan.steps.iter().find(|s| s.ops.contains(&Op::DelVip { vip: old })).unwrap();
    assert_eq!(alone.ops.len(), 1);
}

#[test]
fn what_leaves_an_address_makes_room_for_what_clashes_with_it_and_only_then() {
    let want = wanted(&[(1, w(1))]);
    let have = actual(&[(1, 1)]);
    let all_ports = key("192.0.2.1", 0);
    let (other_port, other_address) = (key("192.0.2.1", 443), key("192.0.2.9", 0));
    let first = |coming: VipKey, want: &Wanted| {
        let coming = Member { vip: coming, wanted: Some(want), actual: None, adopt: true };
        let plan = plan(&[coming, member(None, Some(&have))], &ledger(&[]), &costs());
        (plan.steps.len(), plan.steps[0].ops[0])
    };
    assert_eq!(first(all_ports, &want), (1, flush_vip()));
    let gre6 = Wanted { encap: Encap::Gre6, servers: Default::default(), ..want.clone() };
    assert_eq!(first(other_port, &gre6), (1, flush_vip()));
    // No clash: what is to serve comes first.
    let made = Op::AddVip { vip: other_port, encap: Encap::Gre4, table_length: 1024, src_ip_sticky: false };
    assert_eq!(first(other_port, &want), (2, made));
    assert_eq!(first(other_address, &gre6), (2, flush_vip()));
}

#[test]
fn settings_are_written_only_where_they_differ_and_what_is_unset_stays() {
    let have = Embedded::new().settings().unwrap();
    assert_eq!(settings(&have, None, None, 1024, 40), None);
    let ip4_src = "10.1.1.1".parse().unwrap();
    let with = |s: Settings| Some(Op::SetSettings(s));
    assert_eq!(settings(&have, Some(ip4_src), None, 1024, 40), with(Settings { ip4_src, ..have }));
    let more = Settings { sticky_buckets_per_core: 65_536, ..have };
    assert_eq!(settings(&have, None, Some(have.ip6_src), 65_536, 40), with(more));
    let longer = Settings { flow_timeout: 41, ..have };
    assert_eq!(settings(&have, None, None, 1024, 41), with(longer));
}
