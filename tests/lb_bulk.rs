//! What the planner puts together, and what it does not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod lb_support;

use std::time::Duration;

use lb_support::*;
use maglev::lb::embedded::Work;
use maglev::lb::reconcile::{Actual, Costs, Plan, StepKind, Wanted, WantedServer, plan};
use maglev::lb::{Encap, LbError, Op, VipKey};

const FIRST: std::ops::Range<u8> = 0..100;
const SECOND: std::ops::Range<u8> = 100..200;

fn pools(first: WantedServer, second: WantedServer) -> Wanted {
    let mut want = wanted(&FIRST.map(|n| (n, first)).chain(SECOND.map(|n| (n, second))).collect::<Vec<_>>());
    want.table_length = 32_768;
    want
}

fn goal(wanted: Wanted) -> Goal {
    Goal::from([(vip(), wanted)])
}

/// Steps and what they are for.
fn shape(plan: &Plan) -> Vec<(StepKind, usize, bool)> {
    plan.steps.iter().map(|s| (s.kind, s.ops.len(), s.bulk)).collect()
}

fn spent(driver: &mut Driver, goal: &Goal) -> (Plan, Work) {
    let before = driver.lb.work();
    let done = driver.reconcile(goal);
    assert_eq!(done.failures, []);
    let now = driver.lb.work();
    (done.plan, Work { rebuilds: now.rebuilds - before.rebuilds, walks: now.walks - before.walks })
}

#[test]
fn a_first_fill_is_one_step_with_a_rebuild_for_each_weight() {
    let mut driver = Driver::default();
    let (plan, work) = spent(&mut driver, &goal(pools(w(100), w(0))));
    assert_eq!(shape(&plan), [(StepKind::Create, 201, true)]);
    assert_eq!(work, Work { rebuilds: 2, walks: 0 });
}

#[test]
fn a_failover_is_one_exchange_and_one_flush() {
    let mut driver = Driver::default();
    driver.reconcile(&goal(pools(w(100), w(0))));
    let (plan, work) = spent(&mut driver, &goal(pools(flushed(), w(100))));
    assert_eq!(shape(&plan), [(StepKind::Exchange, 200, true), (StepKind::Flush, 1, false)]);
    assert_eq!(work, Work { rebuilds: 3, walks: 1 });
    // And back; those that are drained keep their flows, so that nothing is flushed.
    let (plan, work) = spent(&mut driver, &goal(pools(w(100), w(0))));
    assert_eq!(shape(&plan), [(StepKind::Exchange, 200, true)]);
    assert_eq!(work, Work { rebuilds: 3, walks: 0 });
}

#[test]
fn where_a_server_keeps_flows_those_of_others_are_flushed_one_by_one() {
    let mut driver = Driver::default();
    // No flow table to speak of.
    driver.costs.sticky_buckets = 16;
    driver.reconcile(&goal(pools(w(100), w(0))));
    let mut want = pools(flushed(), w(100));
    want.servers.insert(srv(0), w(0));
    let (plan, work) = spent(&mut driver, &goal(want));
    assert_eq!(shape(&plan)[0], (StepKind::Exchange, 200, true));
    assert_eq!(work.walks, 99);
}

#[test]
fn a_rack_that_dies_leaves_with_two_rebuilds_and_its_flows_follow_as_far_as_a_barrier_goes() {
    let rack = |dead: WantedServer| {
        let mut want = pools(w(100), w(100));
        want.servers.extend((0..40).map(|n| (srv(n), dead)));
        goal(want)
    };
    let mut driver = Driver::default();
    driver.reconcile(&rack(w(100)));
    let (plan, work) = spent(&mut driver, &rack(w(0)));
    assert_eq!(shape(&plan), [(StepKind::Out, 40, true)]);
    assert_eq!(work, Work { rebuilds: 2, walks: 0 });
    let mut driver = Driver::default();
    driver.reconcile(&rack(w(100)));
    let (plan, work) = spent(&mut driver, &rack(flushed()));
    assert_eq!(shape(&plan)[0], (StepKind::Out, 40, true));
    assert!(shape(&plan)[1..].iter().all(|(kind, ..)| *kind == StepKind::Take));
    assert_eq!(work.walks, 40);
    // Where the flow tables are small, all of it is one step.
    let mut driver =
        Driver { costs: Costs { sticky_buckets: 1024, ..Costs::default() }, ..Driver::default() };
    driver.reconcile(&rack(w(100)));
    let (plan, work) = spent(&mut driver, &rack(flushed()));
    assert_eq!(shape(&plan), [(StepKind::Take, 40, true)]);
    assert_eq!(work, Work { rebuilds: 2, walks: 40 });
}

#[test]
fn all_that_leave_for_others_leave_by_two_deletions_and_one_flush() {
    let mut driver = Driver::default();
    let of = |range: std::ops::Range<u8>| goal(wanted(&range.map(|n| (n, w(100))).collect::<Vec<_>>()));
    driver.reconcile(&of(FIRST));
    let (plan, work) = spent(&mut driver, &of(SECOND));
    let take = (StepKind::Take, 100, true);
    assert_eq!(shape(&plan), [(StepKind::Exchange, 200, true), (StepKind::Flush, 1, false), take]);
    assert_eq!(work, Work { rebuilds: 4, walks: 1 });
    assert!(plan.steps[2].ops.iter().all(|op| matches!(op, Op::DelServer { flush: false, .. })));
    // A frontend that leaves.
    let (plan, work) = spent(&mut driver, &Goal::new());
    assert_eq!(steps(&plan), [[flush_vip(), del_vip()]]);
    assert_eq!(work, Work { rebuilds: 0, walks: 1 });
}

#[test]
fn each_weight_is_a_group_and_steps_are_cut_where_a_barrier_would_be_too_long() {
    let want = |odd: u8, even: u8| {
        let servers = (0..200).map(|n| (n, w(if n % 2 == 0 { even } else { odd })));
        wanted(&servers.collect::<Vec<_>>())
    };
    let mut driver = Driver::default();
    driver.reconcile(&goal(want(10, 20)));
    let (plan, work) = spent(&mut driver, &goal(want(30, 40)));
    assert_eq!(shape(&plan), [(StepKind::Add, 200, true)]);
    assert_eq!(work, Work { rebuilds: 3, walks: 0 });
    driver.costs.limit = Duration::from_micros(1_700);
    let (plan, work) = spent(&mut driver, &goal(want(50, 60)));
    assert_eq!(shape(&plan), [(StepKind::Add, 100, true); 2]);
    assert_eq!(work, Work { rebuilds: 4, walks: 0 });
    // A group is not cut: that would make each half as long. It takes more than the limit where single writes took far longer.
    driver.costs.limit = Duration::from_micros(10);
    let (plan, _) = spent(&mut driver, &goal(want(70, 80)));
    assert_eq!(shape(&plan), [(StepKind::Add, 100, true); 2]);
    // Two or three are written singly then.
    let mut few = want(70, 80);
    few.servers.extend((0..3).map(|n| (srv(n), w(90))));
    let (plan, _) = spent(&mut driver, &goal(few));
    assert_eq!(shape(&plan), [(StepKind::Add, 1, false); 3]);
}

#[test]
fn one_or_two_are_written_singly_and_so_is_nat() {
    let mut driver = Driver::default();
    let (have, more) = (wanted(&[(1, w(9)), (2, w(9)), (3, w(9))]), [(1, w(10)), (2, w(10)), (3, w(9))]);
    driver.reconcile(&goal(have));
    let (plan, work) = spent(&mut driver, &goal(wanted(&more)));
    assert_eq!((shape(&plan), work.rebuilds), (vec![(StepKind::Add, 1, false); 2], 2));

    let nat = |weight| {
        let mut want = pools(w(weight), w(weight));
        want.encap = Encap::Nat4 { target_port: 53 };
        let vip = VipKey { address: ip("192.0.2.1"), service: Some((maglev::lb::Protocol::Udp, 53)) };
        Goal::from([(vip, want)])
    };
    let mut driver = Driver::default();
    for weight in [5, 6, 0] {
        let (plan, _) = spent(&mut driver, &nat(weight));
        assert!(plan.steps.iter().all(|s| !s.bulk), "{weight}");
    }
}

#[test]
fn who_goes_keeps_its_weight_and_flows_where_nobody_comes_in_for_it() {
    let mut driver = Driver::default();
    driver.reconcile(&goal(pools(w(100), w(0))));
    let refused = |op: &Op| matches!(op, Op::SetWeight { weight: 100, .. }).then_some(LbError::Other(-9));
    driver.lb.fail_when(refused);
    let work = driver.lb.work();
    let done = driver.reconcile(&goal(pools(flushed(), w(100))));
    assert_eq!(done.failures.len(), 100, "of those that come");
    assert!(done.failures.iter().all(|(_, e)| *e == LbError::Other(-9)), "and no flush");
    assert_eq!(driver.lb.work(), work, "nothing was done");
    driver.lb.heal();
    let (plan, _) = spent(&mut driver, &goal(pools(flushed(), w(100))));
    assert_eq!(shape(&plan), [(StepKind::Exchange, 200, true), (StepKind::Flush, 1, false)]);
}

#[test]
fn who_goes_goes_where_only_some_come_in_and_is_flushed_one_by_one_then() {
    let mut driver = Driver::default();
    driver.reconcile(&goal(pools(w(100), w(0))));
    let last = srv(SECOND.end - 1);
    driver.lb.fail_when(move |op| {
        matches!(op, Op::SetWeight { weight: 100, address, .. } if *address != last)
            .then_some(LbError::Other(-9))
    });
    driver.reconcile(&goal(pools(flushed(), w(100))));
    let weighs =
        |driver: &Driver| driver.lb.weights(&vip()).into_iter().filter(|(_, w)| *w > 0).collect::<Vec<_>>();
    assert_eq!(weighs(&driver), [(last, 100)]);
    driver.lb.heal();
    let (plan, work) = spent(&mut driver, &goal(pools(flushed(), w(100))));
    assert!(!plan.ops().any(|op| matches!(op, Op::FlushVip { .. })), "the one that came in has flows by now");
    assert_eq!((weighs(&driver).len(), work.walks), (100, 100));
}

#[test]
fn after_a_flush_that_failed_nobody_is_deleted_without_one() {
    let mut driver = Driver::default();
    let of = |range: std::ops::Range<u8>| goal(wanted(&range.map(|n| (n, w(100))).collect::<Vec<_>>()));
    driver.reconcile(&of(FIRST));
    driver.lb.fail_when(|op| matches!(op, Op::FlushVip { .. }).then_some(LbError::Other(-9)));
    let done = driver.reconcile(&of(SECOND));
    assert_eq!(done.failures, [(flush_vip(), LbError::Other(-9))]);
    assert_eq!(driver.lb.weights(&vip()).len(), 200, "they are there, without weight");
    driver.lb.heal();
    let (plan, work) = spent(&mut driver, &of(SECOND));
    assert!(plan.ops().all(|op| matches!(op, Op::DelServer { flush: true, .. })));
    assert_eq!(work.walks, 100, "those that came have flows by now");
}

#[test]
fn a_vip_made_anew_in_steps_is_never_there_without_a_server() {
    let mut want = pools(w(100), w(100));
    want.table_length = 65_536;
    let have = Actual { table_length: 1024, ..actual(&[(1, 100)]) };
    let costs = Costs { limit: Duration::from_millis(1), ..Costs::default() };
    let plan = plan(&[member(Some(&want), Some(&have))], &ledger(&[]), &costs);
    let made = plan.steps.iter().find(|s| s.ops.contains(&del_vip())).unwrap();
    assert!(made.ops.iter().any(|op| matches!(op, Op::AddServer { weight: 100, .. })), "{:?}", made.kind);
}
