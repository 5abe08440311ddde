//! Standing jobs: the prober goes on by itself, and wakes its owner at once for what may change something, and later for
//! passes.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod probe_support;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use maglev::clock;
use maglev::config::Healthcheck;
use maglev::probe::{Code, Job, Order, ProbeId, ProberOptions, Report, TOLD_TOGETHER, Task, Told};
use maglev::time::Time;
use probe_support::*;

/// A prober, and the moments when it woke its owner.
fn rig() -> (Rig, Receiver<Time>) {
    let (tell, woken) = channel();
    let wake = move || {
        let _ = tell.send(clock::mono());
    };
    (Rig::with(ProberOptions { wake: Some(Arc::new(wake)), ..Default::default() }), woken)
}

/// A server that answers 200 while it is well, else 500; and how often it was asked.
fn server() -> (u16, Arc<AtomicBool>, Arc<AtomicUsize>) {
    let (well, asked) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let (tell, count) = (well.clone(), asked.clone());
    let port = serve(V4, move |mut c| {
        request(&mut c);
        count.fetch_add(1, Ordering::SeqCst);
        let status = if tell.load(Ordering::SeqCst) { "200 OK" } else { "500 No" };
        let _ = write!(c, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
    });
    (port, well, asked)
}

fn until_asked(asked: &AtomicUsize, times: usize) {
    while asked.load(Ordering::SeqCst) < times {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// An http check with an interval of so many milliseconds, without jitter.
fn every(port: u16, ms: u64) -> Arc<Healthcheck> {
    let yaml = format!(
        "maglev: {{healthchecks: {{c: {{type: http, port: {port}, interval: {ms}ms, timeout: 5s, jitter: 0}}}}}}"
    );
    maglev::config::parse(&yaml).unwrap().config.healthchecks.get("c").unwrap().clone()
}

/// What comes until the owner is woken, after that was waited for; without the beats.
fn woken_with(rig: &Rig, woken: &Receiver<Time>) -> (Time, Vec<Report>, bool) {
    let at = woken.recv_timeout(PATIENCE).unwrap();
    let (mut reports, mut beaten) = (Vec::new(), false);
    while let Some(told) = rig.0.try_recv() {
        match told {
            Told::Report(r) => reports.push(r),
            Told::Beat { .. } => beaten = true,
        }
    }
    (at, reports, beaten)
}

#[test]
fn while_it_passes_the_prober_goes_on_and_tells_with_the_beat() {
    let (rig, woken) = rig();
    let (port, _, asked) = server();
    rig.0.send(standing(ProbeId(7), V4, &every(port, 20)));
    let mut reports = Vec::new();
    while reports.len() < 100 {
        let (_, some, beaten) = woken_with(&rig, &woken);
        assert!(beaten || some.is_empty(), "woken for passes alone");
        reports.extend(some);
    }
    assert!(asked.load(Ordering::SeqCst) >= reports.len());
    for pair in reports.windows(2) {
        let [one, next] = pair else { panic!("two at a time") };
        assert_eq!((one.id, code(one), one.goes_on, one.put_off), (ProbeId(7), Code::L7Ok, true, false));
        // From start to start; a busy machine may start it later, but never before.
        assert_eq!(next.due, (one.started + Duration::from_millis(20)).max(one.finished));
        assert!(next.started >= next.due);
    }
}

#[test]
fn whatever_is_no_pass_is_told_at_once_with_the_passes_before_it_and_ends_the_job() {
    let (rig, woken) = rig();
    let (port, well, asked) = server();
    rig.0.send(standing(ProbeId(7), V4, &every(port, 20)));
    until_asked(&asked, 10);
    well.store(false, Ordering::SeqCst);
    let mut reports = Vec::new();
    let mut at = Time::ZERO;
    while reports.last().is_none_or(|r: &Report| r.goes_on) {
        let (woken_at, some, _) = woken_with(&rig, &woken);
        (at, _) = (woken_at, reports.extend(some));
    }
    let last = reports.last().unwrap();
    assert_eq!((code(last), last.goes_on), (Code::L7Sts, false));
    assert!(at.since(last.finished) < SLACK, "{:?}", at.since(last.finished));
    assert!(reports.iter().rev().skip(1).all(|r| r.goes_on && code(r) == Code::L7Ok));
    assert_eq!(asked.load(Ordering::SeqCst), reports.len());
    // It is over: nothing more until the owner says so.
    while !woken_with(&rig, &woken).2 {}
    assert_eq!(asked.load(Ordering::SeqCst), reports.len());
    rig.0.send(standing(ProbeId(7), V4, &every(port, 20)));
    assert!(!rig.report().goes_on);
}

#[test]
fn who_is_cancelled_between_two_probes_is_probed_no_more() {
    let (rig, woken) = rig();
    let (port, _, asked) = server();
    rig.0.send(standing(ProbeId(7), V4, &every(port, 20)));
    until_asked(&asked, 5);
    rig.0.send(Order::Cancel(ProbeId(7)));
    // Two beats: the order was taken, and what was under way is done.
    let mut beats = 0;
    while beats < 2 {
        beats += u32::from(woken_with(&rig, &woken).2);
    }
    let after = asked.load(Ordering::SeqCst);
    while !woken_with(&rig, &woken).2 {}
    assert_eq!(asked.load(Ordering::SeqCst), after);
    // Its number is free again.
    rig.0.send(standing(ProbeId(7), V4, &every(port, 20)));
    assert!(rig.report().goes_on);
}

#[test]
fn many_passes_are_not_left_for_the_beat() {
    let (rig, woken) = rig();
    let (port, ..) = server();
    // Ten jobs every 10 ms: a thousand a second.
    for id in 0..10 {
        rig.0.send(standing(ProbeId(id), V4, &every(port, 10)));
    }
    let (mut wakes, mut most, mut passes) = (0, 0, 0);
    while passes < 3000 {
        let (_, reports, beaten) = woken_with(&rig, &woken);
        wakes += u32::from(!beaten);
        most = most.max(reports.len());
        passes += reports.len();
        assert!(reports.iter().all(|r| r.goes_on), "{reports:?}");
    }
    assert!(wakes >= 3, "{wakes}");
    // This thread may be late, and find some more.
    assert!(most < 2 * TOLD_TOGETHER, "{most}");
}

#[test]
fn a_line_of_an_agent_is_told_at_once() {
    let (rig, woken) = rig();
    let port = serve(V4, |mut c| {
        let _ = c.write_all(b"up\n");
    });
    while !woken_with(&rig, &woken).2 {}
    let task = Task::Agent(agent(port, 5000, ""));
    rig.0.send(Order::Probe(Job { standing: true, ..Job::once(ProbeId(1), V4, task, clock::mono()) }));
    let (at, reports, _) = woken_with(&rig, &woken);
    let [report] = &*reports else { panic!("{reports:?}") };
    assert_eq!((code(report), report.goes_on), (Code::L7Ok, false));
    assert!(at.since(report.finished) < SLACK);
}

#[test]
fn for_what_was_taken_already_nobody_is_woken() {
    let (rig, woken) = rig();
    let (_held, closed) = closed_port(V4);
    while !woken_with(&rig, &woken).2 {}
    rig.0.send(Order::Probe(Job::once(ProbeId(1), V4, Task::Check(tcp(closed, 5000)), clock::mono())));
    let (_, reports, _) = woken_with(&rig, &woken);
    assert_eq!(reports.len(), 1);
    // The next beat comes a second after the last.
    assert_eq!(woken.recv_timeout(Duration::from_millis(400)), Err(RecvTimeoutError::Timeout));
    assert!(woken.recv_timeout(PATIENCE).is_ok());
}

#[test]
fn where_nobody_takes_what_is_told_it_does_not_pile_up() {
    let rig = Rig::with(ProberOptions { untaken_max: Some(500), ..Default::default() });
    let (port, _, asked) = server();
    let check = every(port, 10);
    for id in 0..10 {
        rig.0.send(standing(ProbeId(id), V4, &check));
    }
    // A thousand a second: all is quiet after half of one, but for the probes that were under way.
    let waiting = || rig.0.receiver().len();
    let mut last = (0, 0);
    for _ in 0..600 {
        std::thread::sleep(Duration::from_millis(100));
        let now = (waiting(), asked.load(Ordering::SeqCst));
        if now.0 >= 500 && now == last {
            break;
        }
        last = now;
    }
    assert!(waiting() >= 500 && waiting() <= 510, "{}", waiting());
    // Somebody does again: all go on.
    while rig.0.try_recv().is_some() {}
    let before = asked.load(Ordering::SeqCst);
    for _ in 0..100 {
        if asked.load(Ordering::SeqCst) > before {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("nothing is probed any more");
}
