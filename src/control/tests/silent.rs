//! A backend whose agent alone decides, and that it finds down: by checks that are gone, by one that it followed, by an
//! earlier life. docs/behaviour.md, "The hands on a backend".

use super::lab::with_tcp;
use super::lab_agents::Voice;
use super::words::settled as settled_hands;
use super::{Lab, Net};
use crate::control::BackendVerb::{self, *};

/// `d` has checks and an agent, which is never heard; `startup-max-delay` is 10 s.
const BOTH: &str = with_tcp!(
    "
  backends:
    a: {address: 10.1.0.1, healthcheck: tcp}
    d: {address: 10.1.0.3, healthcheck: tcp, agent: {port: 99, interval: 1s, timeout: 500ms}}
  frontends:
    web: {address: 192.0.2.1, protocol: tcp, port: 80, pools: [{name: first, backends: {a: {}, d: {}}}]}
"
);

fn alone() -> String {
    BOTH.replace("10.1.0.3, healthcheck: tcp", "10.1.0.3")
}

fn set(lab: &mut Lab, verb: BackendVerb) {
    super::words::set(lab, "d", verb);
}

/// Down by its checks; nobody has heard of its agent.
fn down() -> Lab {
    let mut lab = Lab::idle();
    lab.c.keep_state();
    lab.voice("10.1.0.3", Voice::Silent);
    lab.net("10.1.0.3", Net::Refused);
    lab.load(BOTH);
    lab.run(5000);
    assert_eq!(lab.state("d"), "down");
    lab.log.clear();
    lab.take_writes();
    lab
}

fn weight(lab: &mut Lab) -> String {
    lab.weights("192.0.2.1", 80).split("10.1.0.3=").nth(1).unwrap().to_owned()
}

/// It stays down until the delay is over, from now on; then it is up.
fn waits(lab: &mut Lab) {
    lab.run(9_999);
    assert_eq!(lab.state("d"), "down");
    lab.run(2);
    assert_eq!((lab.state("d").as_str(), weight(lab).as_str()), ("up agent silent", "100"));
    assert_eq!(
        lab.take_log("backend=d from=down"),
        ["backend-transition backend=d from=down to=up code=agent detail=\"silent: taken for up\""]
    );
}

#[test]
fn after_a_reload_that_takes_its_checks_away() {
    let mut lab = down();
    lab.load(&alone());
    waits(&mut lab);
    // Its word counts when it comes.
    lab.says("10.1.0.3", "down");
    lab.run(2000);
    assert_eq!(lab.state("d"), "down by agent");
}

#[test]
fn after_a_restart() {
    let mut lab = down();
    lab.load(&alone());
    lab.run(1000);
    let mut next = lab.reborn();
    next.load(&alone());
    next.turn();
    assert_eq!(next.state("d"), "down", "as it was");
    waits(&mut next);
}

#[test]
fn after_a_reload_that_takes_away_whom_it_followed() {
    let mut lab = down();
    let follows = alone().replace("10.1.0.3,", "10.1.0.3, track: a,");
    lab.net("10.1.0.1", Net::Refused);
    lab.load(&follows);
    lab.run(5000);
    assert_eq!(lab.state("d"), "down");
    lab.log.clear();
    lab.load(&alone());
    waits(&mut lab);
}

#[test]
fn any_reply_in_time_ends_the_wait() {
    for (word, want) in [("up", "up"), ("50%", "up"), ("down", "down by agent"), ("drain", "drain by agent")]
    {
        let mut lab = down();
        lab.load(&alone());
        lab.run(3000);
        lab.says("10.1.0.3", word);
        lab.run(1500);
        assert_eq!(lab.state("d"), want, "{word}");
        lab.run(20_000);
        assert_eq!(lab.state("d"), want, "{word}");
    }
}

#[test]
fn muted_it_is_up_at_once() {
    let mut lab = down();
    lab.load(&alone());
    lab.run(3000);
    set(&mut lab, AgentMute);
    assert_eq!(lab.state("d"), "up agent muted");
    // And where it was muted before.
    let mut lab = down();
    set(&mut lab, AgentMute);
    lab.load(&alone());
    lab.run(10);
    assert_eq!((lab.state("d").as_str(), weight(&mut lab).as_str()), ("up agent muted", "100"));
    let mut next = lab.reborn();
    next.load(&alone());
    next.turn();
    assert_eq!(next.state("d"), "up agent muted");
}

#[test]
fn the_operators_down_is_waited_out_by_nobody() {
    // While nothing is known yet, and after its agent has spoken, all within the delay.
    for heard in [false, true] {
        let mut lab = Lab::idle();
        lab.voice("10.1.0.3", Voice::Silent);
        lab.load(&alone());
        lab.run(2000);
        if heard {
            lab.says("10.1.0.3", "up");
            lab.run(2000);
            lab.voice("10.1.0.3", Voice::Silent);
            lab.run(600);
            assert_eq!(lab.state("d"), "up");
        }
        lab.c.keep_state();
        set(&mut lab, HealthDown);
        lab.run(60_000);
        assert_eq!(lab.state("d"), "down", "heard: {heard}");
        // Nor by another file, another life, or by a verb that is not its twin.
        lab.load(&alone().replace("port: 99", "port: 98"));
        lab.run(60_000);
        assert_eq!(lab.state("d"), "down");
        set(&mut lab, AgentMute);
        lab.run(1000);
        for _ in 0..2 {
            lab = lab.reborn();
            lab.load(&alone());
            lab.run(60_000);
            assert_eq!(lab.state("d"), "down");
            let waits = lab.c.backend("d").unwrap().waits_for.unwrap();
            assert_eq!(waits, "operator health up");
        }
        set(&mut lab, AgentUnmute);
        lab.run(60_000);
        assert_eq!(lab.state("d"), "down");
        assert_eq!(lab.c.backend("d").unwrap().waits_for.unwrap(), "the agent's next reply");
        lab.says("10.1.0.3", "up");
        lab.run(2000);
        assert_eq!(lab.state("d"), "up", "but its next word counts");
    }
}

#[test]
fn paused_or_disabled_meanwhile_it_waits_anew() {
    for (out, back) in [(Disable, Enable), (Pause, Resume)] {
        let mut lab = down();
        lab.load(&alone());
        lab.run(5000);
        set(&mut lab, out);
        lab.run(20_000);
        let state = lab.state("d");
        assert_eq!(state, if out == Disable { "disabled" } else { "paused" });
        set(&mut lab, back);
        lab.run(9_990);
        assert_eq!(lab.state("d"), "unknown");
        lab.run(20);
        assert_eq!(lab.state("d"), "up agent silent");
    }
}

#[test]
fn a_climb_follows_as_after_any_down() {
    let slow = |yaml: &str| yaml.replace("port: 80, pools", "port: 80, slow-start: 60s, pools");
    let mut lab = down();
    lab.load(&slow(&alone()));
    lab.run(10_010);
    assert_eq!((lab.state("d").as_str(), weight(&mut lab).as_str()), ("up agent silent", "1"));
}

#[test]
fn whoever_was_heard_once_is_as_silent_as_another_after_that() {
    // Its agent speaks well of it, its checks are against it, and both end with the reload.
    let mut lab = settled_hands(super::words::HANDS);
    lab.net("10.1.0.3", Net::Refused);
    lab.voice("10.1.0.3", Voice::Silent);
    lab.run(5000);
    assert_eq!(lab.state("d"), "down");
    lab.load(&super::words::HANDS.replace("10.1.0.3, healthcheck: tcp, agent", "10.1.0.3, agent"));
    lab.run(10_010);
    assert_eq!(lab.state("d"), "up agent silent");
}
