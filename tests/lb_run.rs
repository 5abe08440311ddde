//! Carrying out a plan against an `lb` that refuses: what is held back, and that the next plan makes up for it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod lb_support;

use std::time::Duration;

use lb_support::*;
use maglev::lb::reconcile::{Costs, Wanted, plan};
use maglev::lb::run::Run;
use maglev::lb::{Encap, LbError, Op};

/// A driver whose VIP has these servers, made by us.
fn made(servers: &[(u8, u8)]) -> Driver {
    let mut driver = Driver { costs: Costs { bulk: false, ..Costs::default() }, ..Driver::default() };
    let all: Vec<_> = servers.iter().map(|&(n, weight)| (n, w(weight))).collect();
    assert!(driver.reconcile(&[(vip(), wanted(&all))].into()).failures.is_empty());
    driver.lb.take_log();
    driver
}

fn sent(driver: &mut Driver) -> Vec<Op> {
    driver.lb.take_log().into_iter().map(|call| call.op).collect()
}

#[test]
fn the_last_weight_is_not_taken_away_when_an_add_failed() {
    let goal = [(vip(), wanted(&[(1, flushed()), (2, flushed()), (3, w(100))]))].into();
    for error in [LbError::Other(-1), LbError::NoAnswer("test")] {
        let mut driver = made(&[(1, 100), (2, 100), (3, 0)]);
        driver.lb.fail_next(1, error.clone());
        let done = driver.reconcile(&goal);
        assert_eq!(done.failures, [(set(3, 100), error)]);
        assert_eq!(sent(&mut driver), [set(3, 100), set(1, 0), set_flush(1, 0)], "but not the last one's");
        assert!(driver.reconcile(&goal).failures.is_empty());
        assert_eq!(sent(&mut driver), [set(3, 100), set_flush(2, 0)]);
        assert!(driver.reconcile(&goal).plan.is_empty());
    }
}

#[test]
fn a_lost_answer_to_what_takes_weight_counts_as_done() {
    let mut driver = made(&[(1, 100), (2, 100), (3, 0)]);
    let goal = [(vip(), wanted(&[(1, flushed()), (2, flushed()), (3, w(100))]))].into();
    driver.lb.fail_next(1, LbError::Other(-1));
    driver.reconcile_watched(&goal, |_, lb| lb.lose_answers(1));
    assert_eq!(sent(&mut driver), [set(3, 100), set(1, 0), set_flush(1, 0)]);
    assert_eq!(dump(&mut driver.lb, &vip()).unwrap().weights(), 100);
}

#[test]
fn a_delete_and_a_lowering_are_guarded_too_and_a_failed_add_of_no_weight_guards_nothing() {
    for (to, held) in [(wanted(&[(2, w(100))]), true), (wanted(&[(1, w(3)), (2, w(100))]), false)] {
        let mut driver = made(&[(1, 100)]);
        driver.lb.fail_next(1, LbError::Other(-1));
        driver.reconcile(&[(vip(), to)].into());
        assert_eq!(sent(&mut driver).len(), if held { 1 } else { 2 });
    }
    let mut driver = made(&[(1, 100)]);
    driver.lb.fail_next(1, LbError::Other(-1));
    driver.reconcile(&[(vip(), wanted(&[(1, flushed()), (2, w(0))]))].into());
    assert_eq!(sent(&mut driver), [add(2, 0), set_flush(1, 0)]);
}

#[test]
fn after_a_vip_failed_nothing_more_is_sent_to_it_but_to_others() {
    let mut driver = Driver {
        costs: Costs { limit: Duration::ZERO, bulk: false, ..Costs::default() },
        ..Driver::default()
    };
    let other = key("192.0.2.2", 80);
    let want = wanted(&[(1, w(1)), (2, w(1))]);
    let goal = [(vip(), want.clone()), (other, want)].into();
    driver.lb.fail_next(1, LbError::Other(-5));
    let done = driver.reconcile(&goal);
    // Its first server is in the same step, and was not sent.
    assert_eq!(done.failures, [(add_vip(), LbError::Other(-5)), (add(1, 1), LbError::NoSuchEntry)]);
    let sent = sent(&mut driver);
    assert_eq!(sent[0], add_vip());
    assert!(sent.len() == 5 && sent[1..].iter().all(|op| op.vip() == Some(other)), "{sent:?}");
    assert!(driver.reconcile(&goal).failures.is_empty());
    assert!(driver.reconcile(&goal).plan.is_empty());
}

#[test]
fn a_failed_delete_leaves_the_old_vip_serving() {
    let mut driver = made(&[(1, 100)]);
    let goal = [(vip(), Wanted { table_length: 16, ..wanted(&[(1, w(100))]) })].into();
    driver.lb.fail_when(|op| matches!(op, Op::DelVip { .. }).then_some(LbError::Other(-2)));
    for limit in [Duration::ZERO, Duration::from_secs(1)] {
        driver.costs.limit = limit;
        driver.reconcile(&goal);
        assert_eq!(dump(&mut driver.lb, &vip()), Some(actual(&[(1, 100)])));
    }
    driver.lb.heal();
    driver.reconcile(&goal);
    assert_eq!(dump(&mut driver.lb, &vip()).unwrap().table_length, 16);
    assert!(driver.reconcile(&goal).plan.is_empty());
}

#[test]
fn a_flush_that_failed_is_made_up_for_once() {
    let mut driver = made(&[(1, 0)]);
    let goal = [(vip(), wanted(&[(1, w(100))]))].into();
    driver.lb.fail_when(|op| matches!(op, Op::FlushVip { .. }).then_some(LbError::Other(-2)));
    driver.reconcile(&goal);
    driver.lb.heal();
    sent(&mut driver);
    driver.reconcile(&goal);
    assert_eq!(sent(&mut driver), [flush_vip()]);
    assert!(driver.reconcile(&goal).plan.is_empty());
}

#[test]
fn a_fill_that_was_cut_short_is_flushed_when_it_is_full() {
    let mut driver = Driver {
        costs: Costs { limit: Duration::ZERO, bulk: false, ..Costs::default() },
        ..Driver::default()
    };
    let want = wanted(&[(1, w(1)), (2, w(1)), (3, w(1))]);
    let goal = [(vip(), want.clone())].into();
    // The VIP and its first server only; then something else came up.
    let members = [member(Some(&want), None)];
    let mut run = Run::start(plan(&members, &driver.ledger, &driver.costs), &members, &mut driver.ledger);
    let step = run.next_step().unwrap();
    let answers = step.apply(&mut driver.lb);
    run.answered(&step, &answers, &mut driver.ledger);
    assert_eq!((run.done(), sent(&mut driver)), (2, vec![add_vip(), add(1, 1)]));
    driver.reconcile(&goal);
    assert_eq!(sent(&mut driver), [add(2, 1), add(3, 1), flush_vip()]);
    assert!(driver.reconcile(&goal).plan.is_empty());
}

#[test]
fn a_flush_does_not_come_before_there_is_weight() {
    let mut driver = made(&[(1, 0)]);
    driver.costs.limit = Duration::ZERO;
    let goal = [(vip(), wanted(&[(1, w(100))]))].into();
    driver.lb.fail_next(1, LbError::Other(-1));
    driver.reconcile(&goal);
    assert_eq!(sent(&mut driver), [set(1, 100)]);
    driver.reconcile(&goal);
    assert_eq!(sent(&mut driver), [set(1, 100), flush_vip()]);
}

#[test]
fn answers_that_are_missing_count_as_failures() {
    let (want, mut driver) = (wanted(&[(1, w(1))]), Driver::default());
    let members = [member(Some(&want), None)];
    let plan = plan(&members, &driver.ledger, &driver.costs);
    let mut run = Run::start(plan, &members, &mut driver.ledger);
    let step = run.next_step().unwrap();
    run.answered(&step, &[], &mut driver.ledger);
    assert_eq!((run.failures().len(), run.done(), run.next_step()), (2, 0, None));
}

#[test]
fn an_adopted_vip_may_be_of_another_encapsulation_than_its_neighbours_at_one_address() {
    let mut driver = Driver::default();
    let (a, b) = (key("192.0.2.1", 80), key("192.0.2.1", 443));
    for vip in [a, b] {
        let op = Op::AddVip { vip, encap: Encap::Gre6, table_length: 16, src_ip_sticky: true };
        driver.lb.meddle(&op).unwrap();
    }
    let want = wanted(&[(1, w(1))]);
    let goal = [(a, want.clone()), (b, want)].into();
    let done = driver.reconcile(&goal);
    assert_eq!(done.failures, []);
    assert_eq!(
        done.plan.recreate_reason(&a),
        Some(
            "found at first programming, encap gre6 instead of gre4, new-flow-table-length 16 instead of 1024"
        )
    );
    assert!(driver.reconcile(&goal).plan.is_empty());
}
