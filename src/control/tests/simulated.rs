//! What the simulator found; each as small as it can be.

use super::lab::{BASIC, ip};
use super::words::{HANDS, set, settled};
use super::{Lab, Net};
use crate::control::BackendVerb::{AgentMute, Disable, HealthDown, Pause};
use crate::control::Finished;
use crate::lb::{LoadBalancer, VipKey};

/// The transitions of one backend, so far.
fn transitions(lab: &Lab, backend: &str) -> Vec<String> {
    let of = format!("backend-transition backend={backend} ");
    lab.log.iter().filter_map(|(_, line)| Some(line.strip_prefix(&of)?.to_owned())).collect()
}

/// `address=weight` of each server of the all-port VIP.
fn weights(lab: &mut Lab) -> String {
    let vip = VipKey { address: ip("192.0.2.1"), service: None };
    let all = lab.lb.servers(&vip).unwrap();
    all.iter().map(|s| format!("{}={}", s.address, s.weight)).collect::<Vec<_>>().join(" ")
}

/// `m` tracks `a`, which is static, and is disabled; `t` tracks `m`.
const CHAIN: &str = "
maglev:
  vpp: {lb: {ipv4-src-address: 10.0.0.1, startup-max-delay: 4s}}
  backends:
    a: {address: 10.1.0.1}
    m: {address: 10.1.0.2, track: a, enabled: false}
    t: {address: 10.1.0.3, track: m}
  frontends:
    web:
      address: 192.0.2.1
      slow-start: 5s
      pools:
        - {name: first, backends: {t: {}}}
";

#[test]
fn who_follows_one_that_is_disabled_before_and_after_a_reload_stays_so_throughout() {
    let mut lab = Lab::new(CHAIN);
    lab.run(5000);
    lab.log.clear();
    // `m` is another backend now, and is disabled as the old one was.
    lab.load(&CHAIN.replace("10.1.0.2", "10.1.0.9"));
    assert_eq!(transitions(&lab, "t"), Vec::<String>::new());
    assert_eq!(lab.state("t"), "disabled via m");
}

#[test]
fn nobody_is_judged_by_whom_it_followed_before_a_reload() {
    let mut lab = Lab::new(CHAIN);
    lab.run(5000);
    lab.log.clear();
    // Its agent alone decides now, and says nothing.
    lab.load(&CHAIN.replace("track: a, enabled: false", "agent: {port: 99}"));
    assert_eq!(
        transitions(&lab, "m"),
        ["from=disabled to=unknown code=enabled detail=\"by the configuration\""]
    );
    assert_eq!(transitions(&lab, "t"), ["from=disabled to=unknown code=tracked detail=\"m: unknown\""]);
    lab.run(4000);
    assert_eq!(lab.state("t"), "up agent silent");
    // It climbs from now on, not from the reload.
    assert_eq!(weights(&mut lab), "10.1.0.3=1");
}

#[test]
fn one_that_nobody_is_asked_about_any_more_is_up_whatever_was_found_before() {
    let mut lab = settled(HANDS);
    set(&mut lab, "b", HealthDown);
    lab.load(&HANDS.replace("10.1.0.2, agent: {port: 99, interval: 60s}", "10.1.0.2"));
    assert_eq!(lab.state("b"), "up unchecked");
}

#[test]
fn one_whose_muted_agent_alone_decides_is_up_whatever_its_checks_found_before() {
    let mut lab = settled(HANDS);
    lab.net("10.1.0.3", Net::Refused);
    lab.run(5000);
    set(&mut lab, "d", AgentMute);
    assert_eq!(lab.state("d"), "down");
    lab.load(&HANDS.replace("10.1.0.3, healthcheck: tcp,", "10.1.0.3,"));
    assert_eq!(lab.state("d"), "up agent muted");
}

#[test]
fn the_flush_of_a_vip_is_that_of_each_of_its_servers() {
    let mut lab = Lab::new(BASIC);
    lab.run(5000);
    let now = lab.wall();
    lab.c.set_weight(now, "web", "second", "c", Some(0), false).unwrap();
    set(&mut lab, "a", Pause);
    set(&mut lab, "b", Pause);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=0 10.1.0.2=0 10.1.0.3=0");
    lab.take_writes();
    let now = lab.wall();
    lab.c.set_backend(now, "a", Disable).unwrap();
    lab.c.set_backend(now, "b", Disable).unwrap();
    lab.c.set_weight(now, "web", "second", "c", None, false).unwrap();
    lab.turn();
    let vip = "vip=192.0.2.1:80/tcp";
    let once = [format!("{vip} set-weight server=10.1.0.3 weight=100"), format!("{vip} flush")];
    assert_eq!(lab.take_writes(), once);
    lab.run(70_000);
    assert_eq!(lab.take_writes(), Vec::<String>::new());
}

#[test]
fn a_probe_of_a_paused_backend_that_leaves_is_answered_and_under_way_no_more() {
    let mut lab = Lab::new(BASIC);
    lab.run(5000);
    lab.net("10.1.0.1", Net::Silent);
    set(&mut lab, "a", Pause);
    let now = lab.wall();
    let ticket = lab.c.probe(now, "a").unwrap();
    lab.turn();
    lab.load(&BASIC.replace("10.1.0.1, ", "10.1.0.9, "));
    let Finished::Probe(view) = lab.take(ticket) else { panic!("another answer") };
    assert_eq!(view.verdict, "none");
    lab.run(5000);
    let flights = lab.c.backends.iter().filter(|(_, b)| b.in_flight.is_some()).count();
    assert_eq!(lab.c.flying, flights);
}

#[test]
fn after_a_restart_a_frontend_waits_for_who_is_enabled_with_it() {
    let mut lab = Lab::idle();
    lab.c.keep_state();
    let yaml = BASIC.replace("10.1.0.2, healthcheck: tcp", "10.1.0.2, healthcheck: tcp, enabled: false");
    lab.load(&yaml);
    lab.run(5000);
    lab.net("10.1.0.2", Net::Silent);
    let mut next = lab.reborn();
    // `a` is disabled now, and `b` enabled: of that one nothing is known yet.
    next.load(&BASIC.replace("10.1.0.1, healthcheck: tcp", "10.1.0.1, healthcheck: tcp, enabled: false"));
    next.run(100);
    assert_eq!((next.state("a"), next.state("b")), ("disabled".into(), "unknown".into()));
    assert_eq!(next.take_writes(), ["settings"], "the VIP is not made before `b` is known");
    next.run(2000);
    assert_eq!(next.weights("192.0.2.1", 80), "10.1.0.1=0 10.1.0.2=0 10.1.0.3=100");
}

/// keep-last; `a` climbs for 5 s.
const CLIMBING: &str = "
maglev:
  vpp: {lb: {ipv4-src-address: 10.0.0.1, startup-max-delay: 4s}}
  healthchecks:
    tcp: {type: tcp, port: 80, interval: 1s, timeout: 500ms, rise: 1, fall: 1, jitter: 0}
  backends:
    a: {address: 10.1.0.1, healthcheck: tcp}
    b: {address: 10.1.0.2, healthcheck: tcp}
  frontends:
    web:
      address: 192.0.2.1
      slow-start: 5s
      panic: {threshold: 51, mode: keep-last}
      pools:
        - {name: first, backends: {a: {}}}
        - {name: second, backends: {b: {}}}
";

#[test]
fn what_came_due_while_the_main_thread_stood_still_comes_before_what_is_told_then() {
    let mut lab = Lab::new(CLIMBING);
    lab.run(2_000);
    lab.net("10.1.0.1", Net::Refused);
    lab.run(2_000);
    lab.net("10.1.0.1", Net::Good);
    lab.net("10.1.0.2", Net::Silent);
    while lab.state("a") != "up" {
        lab.run(10);
    }
    assert_eq!(weights(&mut lab), "10.1.0.1=1 10.1.0.2=0");
    while lab.coming.is_empty() {
        lab.run(10);
    }
    lab.take_log("frontend-panic");
    // Six seconds later `a` would have climbed; and `b` is down, which is a panic.
    lab.now = lab.now + std::time::Duration::from_secs(6);
    lab.turn();
    lab.run(100);
    assert_eq!(
        (lab.state("b").as_str(), lab.take_log("frontend-panic frontend=web begins").len()),
        ("down", 1)
    );
    assert_eq!(
        weights(&mut lab),
        "10.1.0.1=100 10.1.0.2=0",
        "it would stay at 1 for as long as the panic lasts"
    );
}
