//! What valid files say of the states beyond up and down: agents, tracks, slow start, panic, 404.

use std::time::Duration;

use maglev::config::{Agent, Backend, CheckKind, Frontend, Panic, PanicMode};

use crate::mark::{POOLS, check, frontends, good};

/// Backend `x` beside `ok`, which has nothing, and `heard`, which has an agent.
fn backend(body: &str) -> Backend {
    let text = format!(
        "maglev:\n  healthchecks: {{ping: {{type: icmp}}}}\n  backends:\n    ok: {{address: 192.0.2.8}}\n    heard: {{address: 192.0.2.9, agent: {{port: 9}}}}\n    x: {{address: 192.0.2.1, {body}}}\n"
    );
    (*good(&text).backends["x"]).clone()
}

fn agent(body: &str) -> Agent {
    (**backend(&format!("agent: {{{body}}}")).agent.as_ref().unwrap()).clone()
}

fn frontend(more: &str) -> Frontend {
    let text = frontends(&[("f", &format!("address: 192.0.2.1, {more}{POOLS}"))]);
    (*good(&text).frontends["f"]).clone()
}

#[test]
fn none_of_them_is_the_default() {
    let b = backend("");
    assert_eq!((b.track, b.agent, b.agent_track), (None, None, None));
    let b = backend("track: , agent: ~, agent-track: null");
    assert_eq!((b.track, b.agent, b.agent_track), (None, None, None));
    for nothing in ["", "slow-start: , panic: ~, "] {
        let f = frontend(nothing);
        assert_eq!((f.slow_start, f.panic), (None, None), "{nothing}");
    }
}

#[test]
fn agents() {
    let (s, ms) = (Duration::from_secs, Duration::from_millis);
    let default = Agent { port: 9777, address: None, interval: s(2), timeout: s(2), send: Vec::new() };
    assert_eq!(agent("port: 9777"), default);
    // The timeout follows the interval, up to its own default.
    let times = |body: &str| {
        let a = agent(&format!("port: 1, {body}"));
        (a.interval, a.timeout)
    };
    assert_eq!(times("interval: 500ms"), (ms(500), ms(500)));
    assert_eq!(times("interval: 1m"), (s(60), s(2)));
    assert_eq!(times("interval: 10ms, timeout: 1m"), (ms(10), s(60)));
    assert_eq!(times("timeout: 1ns"), (s(2), Duration::from_nanos(1)));
    let a = agent("port: 65535, address: '2001:db8::1', send: \"x\\r\\n\"");
    assert_eq!(a.address, Some("2001:db8::1".parse().unwrap()));
    assert_eq!((a.port, a.send.as_slice()), (65535, &b"x\r\n"[..]));
}

#[test]
fn an_agent_goes_with_a_healthcheck_and_with_a_track() {
    let b = backend("healthcheck: ping, agent: {port: 9}");
    assert!(b.healthcheck.is_some() && b.agent.is_some());
    let b = backend("track: ok, agent: {port: 9}");
    assert_eq!((b.track.as_deref(), b.agent.is_some()), (Some("ok"), true));
    let b = backend("track: ok, agent-track: heard");
    assert_eq!((b.track.as_deref(), b.agent_track.as_deref()), (Some("ok"), Some("heard")));
    let b = backend("healthcheck: ping, agent-track: heard");
    assert!(b.healthcheck.is_some() && b.agent_track.is_some());
}

#[test]
fn tracks_over_several_levels_and_in_any_order() {
    let config = good(
        "\
maglev:
  backends:
    a: {address: 192.0.2.1, track: b, agent-track: b}
    b: {address: '2001:db8::1', track: c, agent-track: c}
    c: {address: 192.0.2.3, agent: {port: 9}}
    d: {address: 192.0.2.4, track: b, agent-track: c}
",
    );
    let ties: Vec<_> =
        config.backends.values().map(|b| (b.track.as_deref(), b.agent_track.as_deref())).collect();
    let (b, c) = (Some("b"), Some("c"));
    assert_eq!(ties, [(b, b), (c, c), (None, None), (b, c)]);
    // Following one another's agents and states crosswise is no circle.
    let config = good(
        "maglev: {backends: {a: {address: 192.0.2.1, track: b, agent: {port: 9}}, b: {address: 192.0.2.2, agent-track: a}}}",
    );
    assert_eq!(config.backends["b"].agent_track.as_deref(), Some("a"));
}

#[test]
fn slow_start() {
    for (text, nanos) in [("60s", 60_000_000_000), ("1h", 3_600_000_000_000), ("1ns", 1)] {
        let f = frontend(&format!("slow-start: {text}, "));
        assert_eq!(f.slow_start, Some(Duration::from_nanos(nanos)), "{text}");
    }
}

#[test]
fn panics() {
    let (open, keep) = (PanicMode::FailOpen, PanicMode::KeepLast);
    for (text, threshold, mode) in [
        ("", 50, open),
        ("threshold: 1", 1, open),
        ("threshold: 100%", 100, open),
        ("threshold: 30 %, mode: keep-last", 30, keep),
        ("threshold: 50.0, mode: fail-open", 50, open),
        ("mode: keep-last", 50, keep),
    ] {
        let f = frontend(&format!("panic: {{{text}}}, "));
        assert_eq!(f.panic, Some(Panic { threshold, mode }), "{text}");
    }
}

#[test]
fn disable_on_404() {
    let read = |kind: &str, params: &str| {
        let config = good(&check(&format!("type: {kind}, port: 80, params: {{{params}}}")));
        let CheckKind::Http(http) = &config.healthchecks["h"].kind else { panic!("{config:?}") };
        http.disable_on_404
    };
    let trust_all = "insecure-skip-verify: true, ";
    assert!(!read("http", ""));
    assert!(!read("http", "disable-on-404: false, response-code: '200,404'"));
    assert!(read("http", "disable-on-404: true"));
    assert!(read("http", "disable-on-404: yes, response-code: '200-403,405-599'"));
    assert!(read("https", &format!("{trust_all}disable-on-404: true")));
}
