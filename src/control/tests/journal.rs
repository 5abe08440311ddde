use super::lab::BASIC;
use super::{Lab, Net};
use crate::control::event::Event;
use crate::control::journal::{Journal, KEPT, LINES};
use crate::control::view::EventFields;
use crate::control::{BackendVerb, LogLevel};
use crate::health::State;
use crate::time::{Now, Time};

fn at(ms: u64) -> Now {
    Now { mono: Time::from_millis(ms), wall_ms: 1_790_000_000_000 + ms }
}

fn backend(n: usize, to: State) -> Event {
    Event::Backend {
        backend: format!("b{n}").as_str().into(),
        from: Some(State::Unknown),
        to,
        code: "L4CON",
        detail: "connection refused".into(),
    }
}

/// The lines that so many events at so many milliseconds leave in the log, with their milliseconds.
fn lines(journal: &mut Journal, ms: u64, events: impl IntoIterator<Item = Event>) -> Vec<(LogLevel, String)> {
    let mut out = Vec::new();
    for e in events {
        journal.tell(at(ms), e, &mut |level, text| out.push((level, text.to_owned())));
    }
    out
}

#[test]
fn the_ring_keeps_the_last_thousand_and_says_how_many_it_dropped() {
    let mut j = Journal::default();
    assert_eq!(j.view(None), Default::default());
    for n in 0..KEPT {
        lines(&mut j, n as u64, [backend(n, State::Up)]);
    }
    let v = j.view(None);
    assert_eq!((v.dropped, v.kept, v.events.len()), (0, KEPT, KEPT));
    for n in KEPT..KEPT + 250 {
        lines(&mut j, n as u64, [backend(n, State::Up)]);
    }
    let v = j.view(None);
    assert_eq!((v.dropped, v.kept, v.events.len()), (250, KEPT, KEPT));
    let numbers: Vec<u64> = v.events.iter().map(|e| e.sequence).collect();
    assert_eq!(numbers, (251..=1250).collect::<Vec<u64>>());
    assert_eq!(v.events[0].at_ms, 1_790_000_000_250);
    assert!(v.events[999].text.contains("backend=b1249 "), "{}", v.events[999].text);
    for (last, first) in [(1, 1250), (10, 1241), (1000, 251), (5000, 251)] {
        assert_eq!(j.view(Some(last)).events[0].sequence, first, "last {last}");
    }
}

#[test]
fn an_event_is_told_in_a_line_and_in_typed_fields() {
    let mut j = Journal::default();
    let event = Event::Backend {
        backend: "nginx0".into(),
        from: Some(State::Up),
        to: State::Down,
        code: "L7STS",
        detail: "HTTP 503".into(),
    };
    lines(&mut j, 5, [event, Event::LbSync { text: "vip=192.0.2.1 flush".into(), failed: true }]);
    let v = serde_json::to_value(j.view(None)).unwrap();
    assert_eq!(
        v["events"][0],
        serde_json::json!({
            "sequence": 1, "at_ms": 1_790_000_000_005u64, "kind": "backend-transition", "level": "warning",
            "text": "backend-transition backend=nginx0 from=up to=down code=L7STS detail=\"HTTP 503\"",
            "backend": "nginx0", "from": "up", "to": "down", "code": "L7STS", "detail": "HTTP 503",
        })
    );
    assert_eq!(
        v["events"][1],
        serde_json::json!({
            "sequence": 2, "at_ms": 1_790_000_000_005u64, "kind": "lb-sync", "level": "error",
            "text": "lb-sync vip=192.0.2.1 flush", "failed": true,
        })
    );
}

#[test]
fn a_mass_failure_is_summed_up_once_a_second_and_the_ring_has_it_all() {
    let mut j = Journal::default();
    let all = (0..400).map(|n| backend(n, if n % 4 == 3 { State::Up } else { State::Down }));
    let logged = lines(&mut j, 1000, all);
    assert_eq!(logged.len() as u64, LINES);
    assert!(logged.iter().all(|(_, l)| l.starts_with("backend-transition backend=b")));
    assert_eq!(j.view(None).events.len(), 400);
    // Another kind is not held up by it, nor is an operator's word.
    let other = [
        Event::Engine { text: "frozen".into(), level: LogLevel::Error },
        Event::Operator { text: "set backend a pause".into() },
        Event::LbSync { text: "x".into(), failed: false },
    ];
    assert_eq!(lines(&mut j, 1500, other).len(), 3);
    assert_eq!(j.deadline(), Some(Time::from_millis(2000)));
    let mut out = Vec::new();
    j.poll(Time::from_millis(1999), &mut |level, text| out.push((level, text.to_owned())));
    assert!(out.is_empty());
    j.poll(Time::from_millis(2000), &mut |level, text| out.push((level, text.to_owned())));
    let summary = "backend-transition summary: 300 more in this second, 225 down, 75 up";
    assert_eq!(out, [(LogLevel::Warning, summary.to_owned())]);
    assert_eq!(j.deadline(), None);
    // In the next second lines are logged again.
    let logged = lines(&mut j, 2100, (0..150).map(|n| backend(n, State::Up)));
    assert_eq!(logged.len() as u64, LINES);
    // Without a poll in between the next event brings the summary, in its place.
    let logged = lines(&mut j, 9000, [backend(1, State::Down)]);
    assert_eq!(logged[0].1, "backend-transition summary: 50 more in this second, 50 up");
    assert_eq!(logged[0].0, LogLevel::Notice);
    assert_eq!(logged.len(), 2);
}

#[test]
fn a_hundred_a_second_are_all_logged() {
    let mut j = Journal::default();
    for second in 0..5 {
        let logged = lines(&mut j, second * 1000, (0..100).map(|n| backend(n, State::Down)));
        assert_eq!(logged.len(), 100, "second {second}");
    }
    assert_eq!(j.deadline(), None);
}

#[test]
fn events_of_a_failure_and_they_survive_a_reload() {
    let mut lab = Lab::new(BASIC);
    lab.run(5000);
    lab.net("10.1.0.1", Net::Refused);
    lab.run(5000);
    let kinds = |lab: &Lab, kind: &str| {
        let v = lab.journal.view(None);
        v.events.into_iter().filter(|e| e.kind == kind).map(|e| e.text).collect::<Vec<_>>()
    };
    let down = "backend-transition backend=a from=up to=down code=L4CON detail=\"connection refused\"";
    assert_eq!(kinds(&lab, "backend-transition").last().map(String::as_str), Some(down));
    assert!(kinds(&lab, "lb-sync").last().unwrap().ends_with("set-weight server=10.1.0.1 weight=0 flush"));
    let before = lab.journal.view(None);
    lab.load(BASIC);
    let now = lab.wall();
    lab.c.set_backend(now, "b", BackendVerb::Disable).unwrap();
    lab.run(10);
    let after = lab.journal.view(None);
    assert_eq!(after.events[..before.events.len()], before.events[..], "what was told stays told");
    assert_eq!(kinds(&lab, "config-reload").len(), 2);
    assert_eq!(kinds(&lab, "operator"), ["operator set backend b disable"]);
    let failover = after.events.iter().find(|e| e.kind == "frontend-failover").unwrap();
    assert_eq!(
        failover.fields,
        EventFields::Failover { frontend: "web".into(), from_pool: "first".into(), to_pool: "second".into() }
    );
    // What is logged is what is in the ring, line for line.
    let lines: Vec<&str> = lab.logged.iter().map(|(_, _, l)| l.as_str()).collect();
    assert_eq!(lines, after.events.iter().map(|e| e.text.as_str()).collect::<Vec<_>>());
}

#[test]
fn counters_tell_results_latency_transitions_and_what_set_off_the_syncs() {
    let mut lab = Lab::new(BASIC);
    lab.run(5000);
    lab.net("10.1.0.1", Net::Refused);
    lab.net("10.1.0.2", Net::Fault);
    lab.run(5000);
    let v = lab.c.counters(lab.now, &[]);
    let [a, b, c] = [0, 1, 2].map(|i| &v.backends[i]);
    assert_eq!((a.transitions, b.transitions, c.transitions), (2, 1, 1), "the start is no transition");
    let n = |b: &crate::control::view::BackendCountersView, code: &str| {
        b.results.iter().find(|(c, _)| c == code).map_or(0, |(_, n)| *n)
    };
    assert!(n(a, "L4OK") >= 2 && n(a, "L4CON") >= 3, "{a:?}");
    assert!(n(b, "SOCKERR") > 0 && n(b, "L4CON") == 0, "{b:?}");
    assert_eq!(a.latency.samples, n(a, "L4OK") + n(a, "L4CON"));
    assert_eq!(b.latency.samples, n(b, "L4OK"), "what was our own fault says nothing of the backend");
    let p50 = a.latency.p50_us.unwrap();
    assert!((875..=1125).contains(&p50), "{p50}");
    let sum: u64 = v.backends.iter().flat_map(|b| &b.results).map(|(_, n)| n).sum();
    assert_eq!(sum, v.probes.results.iter().map(|(_, n)| n).sum::<u64>());
    assert!(v.probes.ordered >= sum);
    // All that is silent for a minute is forgotten.
    lab.c.freeze("test");
    lab.run(75_000);
    assert_eq!(lab.c.counters(lab.now, &[]).backends[0].latency.p50_us, None);
}

fn syncs(lab: &Lab) -> String {
    let all = lab.c.counters(lab.now, &[]).syncs;
    all.iter().filter(|(_, n)| *n > 0).map(|(c, n)| format!("{c} {n}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_sync_is_counted_for_what_set_it_off() {
    let mut lab = Lab::new(BASIC);
    lab.run(5000);
    let start = syncs(&lab);
    assert!(!start.contains("operator") && !start.contains("interval"), "{start}");
    let count = |lab: &Lab, cause: &str| {
        let all = lab.c.counters(lab.now, &[]).syncs;
        all.into_iter().find(|(c, _)| c == cause).unwrap().1
    };
    let [e, i, o, r] = ["event", "interval", "operator", "reload"];
    let before = [e, i, o, r].map(|c| count(&lab, c));
    let grown = |lab: &Lab| {
        let mut out = [0; 4];
        for ((to, c), b) in out.iter_mut().zip([e, i, o, r]).zip(before) {
            *to = count(lab, c) - b;
        }
        out
    };
    lab.run(30_000);
    assert_eq!(grown(&lab), [0, 1, 0, 0], "the interval");
    let now = lab.wall();
    lab.c.set_backend(now, "a", BackendVerb::Pause).unwrap();
    lab.run(10);
    assert_eq!(grown(&lab), [1, 1, 0, 0], "a change");
    let now = lab.wall();
    lab.c.sync(now, Some("web"), None).unwrap();
    lab.run(10);
    assert_eq!(grown(&lab), [1, 1, 1, 0], "the operator");
    lab.load(BASIC);
    lab.run(10);
    assert_eq!(grown(&lab)[..3], [1, 1, 1], "a reload");
    assert!(grown(&lab)[3] >= 1);
}

#[test]
fn a_failed_call_is_retried_and_counted_so() {
    use crate::lb::{LbError, LoadBalancer};
    let mut lab = Lab::new(BASIC);
    lab.run(5000);
    // Somebody deletes the server behind our back: the next write fails, and is made good.
    let vip = super::lab::vip_tcp("192.0.2.1", 80);
    let done = lab.lb.apply(&[crate::lb::Op::DelVip { vip }]);
    assert_eq!(done, [Ok::<(), LbError>(())]);
    lab.net("10.1.0.1", Net::Refused);
    lab.run(10_000);
    assert!(syncs(&lab).contains("retry"), "{}", syncs(&lab));
}

#[test]
fn what_lb_counts_is_told_for_our_vips_by_their_names() {
    use crate::lb::traffic::{Packets, ServerTraffic, VipTraffic};
    let mut lab = Lab::new(BASIC);
    lab.run(5000);
    let server = |a: &str, buckets, flows| ServerTraffic { address: super::lab::ip(a), buckets, flows };
    let ours = VipTraffic {
        vip: super::lab::vip_tcp("192.0.2.1", 80),
        packets: Some(Packets { existing: 4, first: 3, untracked: 2, no_server: 1 }),
        servers: vec![server("10.1.0.1", 683, Some(7)), server("10.1.0.99", 1, Some(1))],
    };
    let foreign = VipTraffic { vip: super::lab::vip_tcp("192.0.2.77", 80), ..ours.clone() };
    let v = lab.c.counters(lab.now, &[foreign, ours]);
    assert_eq!(v.vips.len(), 1, "foreign VIPs are not ours to tell of");
    let web = &v.vips[0];
    assert_eq!(
        (web.frontend.as_str(), web.existing, web.first, web.untracked, web.no_server),
        ("web", 4, 3, 2, 1)
    );
    let a = &v.backends[0].serving;
    assert_eq!((a.len(), a[0].frontend.as_str(), a[0].buckets, a[0].flows), (1, "web", 683, Some(7)));
    assert!(v.backends[1].serving.is_empty());
    assert_eq!(lab.c.programmed_vips(), [super::lab::vip_tcp("192.0.2.1", 80)]);
}
