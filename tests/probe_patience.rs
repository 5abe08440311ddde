//! When the prober wakes its owner: at once for what may change something, later for a pass that may wait.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod probe_support;

use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use maglev::clock;
use maglev::config::Healthcheck;
use maglev::probe::{Code, Job, Order, ProbeId, ProberOptions, Task, Told};
use maglev::time::Time;
use probe_support::*;

/// Long against what a busy machine does by itself, and short against the second between two beats.
const WAIT: Duration = Duration::from_millis(400);

/// A prober, and the moments when it woke its owner.
fn rig() -> (Rig, Receiver<Time>) {
    let (tell, woken) = channel();
    let wake = move || {
        let _ = tell.send(clock::mono());
    };
    (Rig::with(ProberOptions { wake: Some(Arc::new(wake)), ..Default::default() }), woken)
}

/// Orders a probe right after a beat, when everything was taken that there was. Taken before its wake, a beat would wake
/// nobody, and the next wake be that of another beat.
fn order(rig: &Rig, woken: &Receiver<Time>, id: u64, task: Task, patience: Duration) {
    let mut beaten = false;
    while !beaten {
        woken.recv_timeout(PATIENCE).unwrap();
        while let Some(told) = rig.0.try_recv() {
            beaten |= matches!(told, Told::Beat { .. });
        }
    }
    rig.0.send(Order::Probe(Job { id: ProbeId(id), address: V4, task, due: clock::mono(), patience }));
}

/// How long after its end the owner was woken for the one result there is.
fn waited(rig: &Rig, woken: &Receiver<Time>, wanted: Code) -> Duration {
    let at = woken.recv_timeout(PATIENCE).unwrap();
    let Some(Told::Report(report)) = rig.0.try_recv() else { panic!("woken for nothing, or for a beat") };
    assert_eq!(code(&report), wanted, "{report:?}");
    at.since(report.finished)
}

fn good() -> Arc<Healthcheck> {
    let port = serve(V4, |mut c| {
        request(&mut c);
        let _ = c.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    http(port, 5000)
}

#[test]
fn a_pass_waits_for_its_patience_and_no_longer() {
    let (rig, woken) = rig();
    let check = Task::Check(good());
    order(&rig, &woken, 1, check.clone(), WAIT);
    let waited_for = waited(&rig, &woken, Code::L7Ok);
    assert!(waited_for >= WAIT && waited_for < WAIT + SLACK, "{waited_for:?}");
    order(&rig, &woken, 2, check, Duration::ZERO);
    assert!(waited(&rig, &woken, Code::L7Ok) < SLACK);
}

#[test]
fn whatever_is_not_a_pass_is_told_at_once_with_the_passes_that_wait() {
    let (rig, woken) = rig();
    let (_held, closed) = closed_port(V4);
    let refused = Task::Check(tcp(closed, 5000));
    order(&rig, &woken, 1, refused.clone(), WAIT);
    assert!(waited(&rig, &woken, Code::L4Con) < SLACK);

    // A pass lies there; what comes 50 ms later takes it along.
    order(&rig, &woken, 2, Task::Check(good()), WAIT);
    std::thread::sleep(Duration::from_millis(50));
    rig.0.send(Order::Probe(Job {
        id: ProbeId(3),
        address: V4,
        task: refused,
        due: clock::mono(),
        patience: WAIT,
    }));
    assert!(waited(&rig, &woken, Code::L7Ok) < WAIT);
    assert_eq!(code(&rig.report()), Code::L4Con);

    let silent = silent(V4);
    order(&rig, &woken, 4, Task::Check(tcp(silent.port, 20)), WAIT);
    assert!(waited(&rig, &woken, Code::L4Tout) < SLACK);
}

#[test]
fn a_line_of_an_agent_is_told_at_once() {
    let (rig, woken) = rig();
    let port = serve(V4, |mut c| {
        let _ = c.write_all(b"up\n");
    });
    order(&rig, &woken, 1, Task::Agent(agent(port, 5000, "")), WAIT);
    assert!(waited(&rig, &woken, Code::L7Ok) < SLACK);
}

#[test]
fn for_what_was_taken_already_nobody_is_woken() {
    let (rig, woken) = rig();
    order(&rig, &woken, 1, Task::Check(good()), WAIT);
    assert_eq!(code(&rig.report()), Code::L7Ok);
    // The next beat comes a second after the last.
    assert_eq!(woken.recv_timeout(WAIT + Duration::from_millis(100)), Err(RecvTimeoutError::Timeout));
    assert!(woken.recv_timeout(PATIENCE).is_ok());
}
