//! The prober's thread: many probes, limits, orders, its end.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod probe_support;

use std::collections::HashSet;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use maglev::clock;
use maglev::probe::{Code, InHand, Job, Order, ProbeId, Prober, ProberOptions, Task, Told};
use probe_support::*;

#[test]
fn two_thousand_at_once_all_finish() {
    let rig = Rig::new();
    let good = serve(V4, |mut c| {
        request(&mut c);
        let _ = c.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
    });
    let (_held, closed) = closed_port(V4);
    let silent = silent(V4);
    let checks = [
        (http(good, 15_000), Code::L7Ok),
        (tcp(closed, 15_000), Code::L4Con),
        (tcp(silent.port, 1000), Code::L4Tout),
    ];
    let mut wanted = std::collections::HashMap::new();
    for n in 0..2000 {
        // 200 good ones: each costs the server below a thread.
        let (check, code) = &checks[if n % 10 == 0 { 0 } else { 1 + n % 2 }];
        wanted.insert(rig.order(V4, check), *code);
    }
    while !wanted.is_empty() {
        let r = rig.report();
        assert_eq!(wanted.remove(&r.id), Some(code(&r)), "{r:?}");
        if code(&r) == Code::L4Tout {
            assert_at_deadline(&r, 1000);
        }
    }
}

#[test]
fn above_max_in_flight_jobs_wait_their_turn() {
    let rig = Rig::new();
    rig.configure(None, 2);
    let silent = silent(V4);
    let check = tcp(silent.port, 150);
    let ids: Vec<ProbeId> = (0..6).map(|_| rig.order(V4, &check)).collect();
    let reports: Vec<_> = (0..6).map(|_| rig.report()).collect();
    assert_eq!(reports.iter().map(|r| r.id).collect::<HashSet<_>>(), ids.iter().copied().collect());
    // Never three at once: each starts when the last but one has ended, at once, and in order.
    for (r, later) in reports.iter().zip(reports.iter().skip(2)) {
        assert!(later.started >= r.finished, "{r:?} {later:?}");
        assert!(later.started.since(r.finished) < SLACK, "{r:?} {later:?}");
    }
    let mut by_start = reports.clone();
    // Neighbours may share a stamp.
    by_start.sort_by_key(|r| (r.started, r.id));
    assert_eq!(by_start.iter().map(|r| r.id).collect::<Vec<_>>(), ids);
}

#[test]
fn agents_that_do_not_answer_delay_no_check() {
    let rig = Rig::new();
    // Of each kind one at a time.
    rig.configure(None, 1);
    let silent = silent(V4);
    let (_held, closed) = closed_port(V4);
    let agent = agent(silent.port, 20_000, "");
    let asked: Vec<ProbeId> = (0..500).map(|_| rig.send(V4, Task::Agent(agent.clone()))).collect();
    while !matches!(rig.told(), Told::Beat { agents: InHand { in_flight: 1, waiting: 499 }, .. }) {}
    // Nor do checks that do not answer delay an agent: what waits, waits for its own kind.
    for _ in 0..50 {
        let r = rig.probe(V4, &tcp(closed, 5000));
        assert_eq!(code(&r), Code::L4Con);
    }
    let checks: Vec<ProbeId> = (0..5).map(|_| rig.order(V4, &tcp(silent.port, 20_000))).collect();
    asked.iter().for_each(|id| rig.0.send(Order::Cancel(*id)));
    while !matches!(
        rig.told(),
        Told::Beat {
            checks: InHand { in_flight: 1, waiting: 4 },
            agents: InHand { in_flight: 0, waiting: 0 },
            ..
        }
    ) {}
    let id = rig.send(V4, Task::Agent(self::agent(closed, 5000, "")));
    assert_eq!(rig.report().id, id);
    checks.iter().for_each(|id| rig.0.send(Order::Cancel(*id)));
}

#[test]
fn beats_tell_what_is_in_hand() {
    let rig = Rig::new();
    rig.configure(None, 3);
    let silent = silent(V4);
    let check = tcp(silent.port, 10_000);
    for _ in 0..10 {
        rig.order(V4, &check);
    }
    let mut times = Vec::new();
    while times.len() < 3 {
        if let Told::Beat { at, checks: InHand { in_flight, waiting }, .. } = rig.told() {
            if (in_flight, waiting) == (3, 7) {
                times.push(at);
            } else {
                assert!(times.is_empty(), "{in_flight} {waiting}");
            }
        }
    }
    for (a, b) in times.iter().zip(times.iter().skip(1)) {
        let gap = b.since(*a);
        assert!(gap >= Duration::from_millis(990) && gap < Duration::from_secs(1) + SLACK, "{gap:?}");
    }
}

#[test]
fn a_cancelled_probe_says_nothing_waiting_or_flying() {
    let rig = Rig::new();
    rig.configure(None, 1);
    let silent = silent(V4);
    let (_held, closed) = closed_port(V4);
    let flying = rig.order(V4, &tcp(silent.port, 10_000));
    let waiting = rig.order(V4, &tcp(silent.port, 10_000));
    let last = rig.order(V4, &tcp(closed, 10_000));
    // So that the first is certain to fly.
    while !matches!(rig.told(), Told::Beat { checks: InHand { in_flight: 1, .. }, .. }) {}
    rig.0.send(Order::Cancel(waiting));
    rig.0.send(Order::Cancel(flying));
    rig.0.send(Order::Cancel(ProbeId(u64::MAX))); // never ordered: nothing happens
    let r = rig.report();
    assert_eq!((r.id, code(&r)), (last, Code::L4Con));
    // The number is free again.
    rig.0.send(Order::Probe(Job::once(flying, V4, Task::Check(tcp(closed, 500)), clock::mono())));
    assert_eq!(rig.report().id, flying);
}

#[test]
fn orders_that_come_together_are_all_carried_out() {
    let rig = Rig::new();
    let (_held, closed) = closed_port(V4);
    let check = tcp(closed, 5000);
    // Far above what a prober shares with the others: no number of another test.
    let ids: Vec<ProbeId> = (0..5000).map(|n| ProbeId(u64::MAX / 2 + n)).collect();
    let job = |id: &ProbeId| Job::once(*id, V4, Task::Check(check.clone()), clock::mono());
    rig.0.send_all([]);
    rig.0.send_all(ids.iter().map(|id| Order::Probe(job(id))));
    let mut wanted: HashSet<ProbeId> = ids.into_iter().collect();
    while !wanted.is_empty() {
        let r = rig.report();
        assert!(wanted.remove(&r.id) && code(&r) == Code::L4Con, "{r:?}");
    }
    assert!(rig.0.stop(PATIENCE));
    rig.0.send_all([Order::Stop]); // nobody hears it any more: no harm
}

#[test]
fn an_identifier_in_use_is_not_probed_twice() {
    let rig = Rig::new();
    let silent = silent(V4);
    let job = Job::once(ProbeId(u64::MAX - 1), V4, Task::Check(tcp(silent.port, 100)), clock::mono());
    rig.0.send(Order::Probe(job.clone()));
    rig.0.send(Order::Probe(job.clone()));
    assert_eq!(rig.report().id, job.id);
    let (_held, closed) = closed_port(V4);
    let next = rig.order(V4, &tcp(closed, 500));
    assert_eq!(rig.report().id, next);
}

#[test]
fn stop_ends_the_thread_with_probes_in_flight() {
    let rig = Rig::new();
    let silent = silent(V4);
    for _ in 0..500 {
        rig.order(V4, &tcp(silent.port, 60_000));
    }
    while !matches!(rig.told(), Told::Beat { checks: InHand { in_flight: 500, .. }, .. }) {}
    let before = clock::mono();
    assert!(rig.0.alive());
    assert!(rig.0.stop(Duration::from_secs(1)));
    assert!(clock::mono().since(before) < Duration::from_secs(1));
    assert!(!rig.0.alive());
    assert_eq!(rig.0.complaint(), None);
    // What comes after that has no effect and does no harm.
    rig.order(V4, &tcp(1, 100));
    assert!(rig.0.stop(Duration::from_secs(1)));
}

#[test]
fn the_owner_is_woken_for_results_and_not_for_each() {
    let wakes = Arc::new(AtomicUsize::new(0));
    let counter = wakes.clone();
    let wake = move || {
        counter.fetch_add(1, Ordering::SeqCst);
        // A slow owner: results gather meanwhile.
        std::thread::sleep(Duration::from_millis(1));
    };
    let rig = Rig::with(ProberOptions { wake: Some(Arc::new(wake)), ..Default::default() });
    let (_held, closed) = closed_port(V4);
    let check = tcp(closed, 5000);
    for _ in 0..1000 {
        rig.order(V4, &check);
    }
    for _ in 0..1000 {
        assert_eq!(code(&rig.report()), Code::L4Con);
    }
    let n = wakes.load(Ordering::SeqCst);
    assert!(n > 0 && n <= 500, "{n} wake-ups for 1,000 results");
}

#[test]
fn a_panic_in_the_thread_is_seen_and_not_more() {
    // Panics of that thread are meant: not for the test's output.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().name() != Some("maglev-probe") {
            hook(info);
        }
    }));
    let init = Box::new(|| panic!("forced"));
    let rig = Rig::with(ProberOptions { thread_init: Some(init), ..Default::default() });
    assert!(rig.0.stop(PATIENCE));
    assert!(!rig.0.alive());
    assert_eq!(rig.0.complaint().as_deref(), Some("prober panicked: forced"));
    rig.order(V4, &tcp(1, 100));
    assert_eq!(rig.0.try_recv(), None);

    // In the loop, and once more in the last call of the same hook.
    let rig = Rig::with(ProberOptions { wake: Some(Arc::new(|| panic!("again"))), ..Default::default() });
    // Nothing is taken: where there is nothing to take nobody is woken.
    let limit = clock::mono() + PATIENCE;
    while rig.0.alive() && clock::mono() < limit {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(!rig.0.alive());
    assert_eq!(rig.0.complaint().as_deref(), Some("prober panicked: again"));
    assert!(rig.0.stop(PATIENCE));
    let _ = std::panic::take_hook();
}

#[test]
fn the_thread_has_its_name_its_hook_and_its_cpus() {
    let (tell, told) = std::sync::mpsc::channel();
    let init = move || tell.send(std::thread::current().name().map(str::to_string)).unwrap();
    let pinned = Arc::new(AtomicBool::new(false));
    let seen = pinned.clone();
    let wake = move || {
        let set = rustix::thread::sched_getaffinity(None).unwrap();
        seen.store(set.count() == 1 && set.is_set(0), Ordering::SeqCst);
    };
    let rig = Rig::with(ProberOptions {
        cpus: Some(vec![0, 1_000_000]),
        wake: Some(Arc::new(wake)),
        thread_init: Some(Box::new(init)),
        ..Default::default()
    });
    assert_eq!(told.recv_timeout(PATIENCE).unwrap().as_deref(), Some("maglev-probe"));
    // The hook comes after the beat is in the channel: two beats, and it was there after the first.
    rig.told();
    rig.told();
    assert!(pinned.load(Ordering::SeqCst));
    assert_eq!(rig.0.complaint(), None);
}

#[test]
fn cpus_that_do_not_exist_are_a_complaint_not_an_end() {
    let rig = Rig::with(ProberOptions { cpus: Some(vec![1_000_000]), ..Default::default() });
    rig.told();
    assert!(rig.0.alive());
    let complaint = rig.0.complaint().unwrap();
    assert_eq!(complaint, "cannot run on CPUs [1000000]: invalid argument");
}

#[test]
fn dropping_the_handle_ends_the_thread() {
    let ended = Arc::new(());
    let held = ended.clone();
    let wake = Arc::new(move || drop(held.clone()));
    drop(Prober::spawn(ProberOptions { wake: Some(wake), ..Default::default() }).unwrap());
    let start = clock::mono();
    while Arc::strong_count(&ended) > 1 {
        assert!(clock::mono().since(start) < PATIENCE);
        std::thread::sleep(Duration::from_millis(5));
    }
}
