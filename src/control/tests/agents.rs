//! Agents: what they say, and what comes of it in `lb`.

use std::time::Duration;

use super::lab::with_tcp;
use super::lab_agents::Voice;
use super::{Lab, Net};
use crate::control::BackendVerb;

/// One pool; a has checks and an agent, which is asked each second; b has neither; c has an agent alone.
pub const AGENTS: &str = with_tcp!(
    "
  backends:
    a: {address: 10.1.0.1, healthcheck: tcp, agent: {port: 5555, interval: 1s, timeout: 500ms}}
    b: {address: 10.1.0.2}
    c: {address: 10.1.0.3, agent: {port: 5555, interval: 1s, timeout: 500ms}}
  frontends:
    web:
      address: 192.0.2.1
      protocol: tcp
      port: 80
      pools:
        - {name: first, backends: {a: {weight: 80}, b: {weight: 10}, c: {weight: 50}}}
"
);

const A: &str = "10.1.0.1";
const C: &str = "10.1.0.3";

pub fn set(lab: &mut Lab, backend: &str, verb: BackendVerb) -> Result<String, String> {
    let now = lab.wall();
    let r = lab.c.set_backend(now, backend, verb);
    lab.drain();
    r.map(|d| d.text).map_err(|e| e.to_string())
}

fn ready() -> Lab {
    let mut lab = Lab::new(AGENTS);
    lab.says(A, "up ready 100%");
    lab.says(C, "up");
    lab.run(5000);
    assert_eq!((lab.state("a").as_str(), lab.state("c").as_str()), ("up", "up"));
    lab.take_writes();
    lab.log.clear();
    lab
}

fn a_weight(lab: &mut Lab) -> u8 {
    let all = lab.weights("192.0.2.1", 80);
    all.split(' ').find_map(|w| w.strip_prefix("10.1.0.1=")).unwrap().parse().unwrap()
}

/// Until a query of a's agent is under way.
fn until_asked(lab: &mut Lab) {
    let asked = lab.asked_at(A).len();
    let until = lab.now + Duration::from_secs(3);
    while lab.asked_at(A).len() == asked {
        assert!(lab.now < until, "it is not asked");
        // Time stands still for the writes to lb that are due at once.
        lab.now = lab.now.max(lab.c.deadline().min(lab.now + Duration::from_millis(1)));
        lab.turn();
    }
}

#[test]
fn every_word_reaches_lb() {
    // What it says, a's weight in lb, a's state, and whether its flows go.
    let rows = [
        ("up", 80, "up", false),
        ("50%", 40, "up", false),
        ("1%", 1, "up", false),
        ("0%", 0, "up", false),
        ("weight:30%", 24, "up", false),
        ("weight:30", 30, "up", false),
        ("weight:0", 0, "up", false),
        ("200%", 100, "up", false),
        ("drain", 0, "drain by agent", false),
        ("maint", 0, "disabled by agent", true),
        ("down", 0, "down by agent", true),
        ("stopped", 0, "down by agent", true),
        ("fail", 0, "down by agent", true),
        ("down maint", 0, "disabled by agent", true),
        ("drain down", 0, "down by agent", true),
    ];
    for (line, weight, state, flush) in rows {
        let mut lab = ready();
        lab.says(A, line);
        lab.run(1500);
        assert_eq!((a_weight(&mut lab), lab.state("a").as_str()), (weight, state), "{line}");
        let flushes = lab.take_writes().iter().filter(|w| w.contains("flush")).count();
        assert_eq!(flushes, usize::from(flush), "{line}");
        lab.says(A, "ready up 100%");
        lab.run(3000);
        assert_eq!((a_weight(&mut lab), lab.state("a").as_str()), (80, "up"), "after {line}");
        assert!(lab.take_writes().iter().all(|w| !w.contains("flush")), "after {line}");
    }
}

#[test]
fn classes_of_words_stand_alone() {
    let mut lab = ready();
    for (line, weight, state) in [
        ("50%", 40, "up"),
        ("drain", 0, "drain by agent"),
        ("down", 0, "down by agent"),
        ("up", 0, "drain by agent"),
        ("ready", 40, "up"),
        ("", 40, "up"),
        ("100%", 80, "up"),
    ] {
        lab.says(A, line);
        lab.run(1500);
        assert_eq!((a_weight(&mut lab), lab.state("a").as_str()), (weight, state), "{line:?}");
    }
}

#[test]
fn under_its_maint_it_is_asked_but_not_checked_and_its_ready_brings_it_back() {
    let mut lab = ready();
    lab.says(A, "maint");
    lab.run(1500);
    let (checks, asked) = (lab.starts(A).len(), lab.asked_at(A).len());
    lab.run(10_000);
    assert_eq!(lab.starts(A).len(), checks, "no checks");
    assert_eq!(lab.asked_at(A).len(), asked + 10, "but questions");
    lab.says(A, "ready");
    lab.run(1100);
    assert!(lab.starts(A).len() > checks);
    assert!(lab.state("a").starts_with("up"), "{}", lab.state("a"));
}

#[test]
fn its_up_does_not_overrule_the_checks() {
    let mut lab = ready();
    lab.net(A, Net::Refused);
    lab.run(5000);
    assert_eq!((a_weight(&mut lab), lab.state("a").as_str()), (0, "down"));
}

#[test]
fn a_failure_changes_nothing_and_is_told_once() {
    for voice in [Voice::Refuses, Voice::Silent] {
        let mut lab = ready();
        lab.says(A, "50%");
        lab.run(1500);
        lab.take_log("");
        lab.voice(A, voice.clone());
        lab.run(5000);
        assert_eq!((a_weight(&mut lab), lab.state("a").as_str()), (40, "up"), "{voice:?}");
        let log = lab.take_log("agent backend=a");
        assert_eq!(log.len(), 1, "{log:?}");
        assert!(log[0].contains("failed code=") && log[0].ends_with("its words stand"), "{log:?}");
        lab.says(A, "50%");
        lab.run(1500);
        let log = lab.take_log("agent backend=a");
        assert_eq!(log.len(), 1, "{log:?}");
        assert!(log[0].starts_with("agent backend=a answers again after "), "{log:?}");
    }
}

#[test]
fn words_without_meaning_are_told_once_and_the_rest_applies() {
    let mut lab = ready();
    lab.says(A, "17 50% nonsense");
    lab.run(5500);
    assert_eq!(a_weight(&mut lab), 40);
    let log = lab.take_log("unknown words");
    assert_eq!(log, ["agent backend=a unknown words=\"17 nonsense\", the rest applies"]);
    lab.says(A, "other");
    lab.run(3000);
    assert_eq!(lab.take_log("unknown words").len(), 1, "others are told");
    // Shown while it says them.
    let shown = |lab: &Lab| {
        let hands = lab.c.backend("a").unwrap().hands;
        hands.iter().any(|h| h.says.starts_with("unknown words"))
    };
    assert!(shown(&lab));
    lab.says(A, "up");
    lab.run(1100);
    assert!(!shown(&lab));
}

#[test]
fn alone_it_decides() {
    for (line, state) in [
        ("up", "up"),
        ("ready", "up"),
        ("50%", "up"),
        ("", "up"),
        ("nonsense", "up"),
        ("down", "down by agent"),
        ("maint", "disabled by agent"),
        ("drain", "drain by agent"),
    ] {
        let mut lab = Lab::new(AGENTS);
        assert_eq!(lab.state("c"), "unknown");
        lab.says(C, line);
        // The first questions are spread over the interval.
        lab.run(1002);
        assert_eq!(lab.state("c"), state, "{line:?}");
    }
}

#[test]
fn alone_and_silent_it_is_up_after_the_start_up_delay() {
    let mut lab = Lab::new(AGENTS);
    lab.voice(C, Voice::Silent);
    lab.run(9_999);
    assert_eq!(lab.state("c"), "unknown");
    lab.run(2);
    assert_eq!(lab.state("c"), "up agent silent");
    assert!(lab.weights("192.0.2.1", 80).contains("10.1.0.3=50"));
    lab.says(C, "down");
    lab.run(2000);
    assert_eq!(lab.state("c"), "down by agent");
    lab.says(C, "up");
    lab.run(2000);
    assert_eq!(lab.state("c"), "up");
}

#[test]
fn mute_drops_the_reply_on_its_way_and_all_words_and_unmute_asks_at_once() {
    let mut lab = ready();
    lab.says(A, "drain 10%");
    lab.run(1500);
    assert_eq!(lab.state("a"), "drain by agent");
    lab.says(A, "maint");
    until_asked(&mut lab);
    set(&mut lab, "a", BackendVerb::AgentMute).unwrap();
    let asked = lab.asked_at(A).len();
    lab.run(10_000);
    assert_eq!((a_weight(&mut lab), lab.state("a").as_str()), (80, "up"), "as if it had never spoken");
    assert_eq!(lab.asked_at(A).len(), asked, "a muted agent is not asked");
    lab.says(A, "20%");
    set(&mut lab, "a", BackendVerb::AgentUnmute).unwrap();
    assert_eq!(a_weight(&mut lab), 80, "what it said before does not come back");
    let at = lab.now;
    lab.run(2);
    assert_eq!(lab.queries.iter().rev().find(|q| q.address == super::lab::ip(A)).unwrap().at, at);
    assert_eq!(a_weight(&mut lab), 16);
}

#[test]
fn alone_and_muted_it_counts_as_up() {
    let mut lab = Lab::new(AGENTS);
    lab.says(C, "down");
    lab.run(3000);
    set(&mut lab, "c", BackendVerb::AgentMute).unwrap();
    lab.run(10);
    assert_eq!(lab.state("c"), "up agent muted");
    assert!(lab.weights("192.0.2.1", 80).contains("10.1.0.3=50"));
    let mut lab = Lab::new(AGENTS);
    lab.voice(C, Voice::Silent);
    lab.run(300);
    set(&mut lab, "c", BackendVerb::AgentMute).unwrap();
    lab.run(10);
    assert_eq!(lab.state("c"), "up agent muted");
}

#[test]
fn one_address_speaks_for_many() {
    let agent = "agent: {address: 10.9.0.1, port: 5555, interval: 1s, timeout: 500ms}";
    let yaml = AGENTS.replace("agent: {port: 5555, interval: 1s, timeout: 500ms}", agent);
    let mut lab = Lab::new(&yaml);
    lab.says("10.9.0.1", "50%");
    lab.run(5000);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=40 10.1.0.2=10 10.1.0.3=25");
    set(&mut lab, "a", BackendVerb::AgentMute).unwrap();
    lab.says("10.9.0.1", "drain");
    lab.run(2000);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=80 10.1.0.2=10 10.1.0.3=0");
    assert!(lab.asked_at(A).is_empty() && lab.asked_at(C).is_empty());
}

#[test]
fn frozen_nothing_is_asked_and_nothing_heard_and_after_the_thaw_both() {
    let mut lab = ready();
    lab.voice(A, Voice::Silent);
    lab.run(1100);
    lab.says(A, "50%");
    lab.c.freeze("test");
    let asked = lab.queries.len();
    lab.run(10_000);
    assert_eq!((lab.queries.len(), a_weight(&mut lab)), (asked, 80));
    let now = lab.wall();
    lab.c.thaw(now);
    lab.run(1100);
    assert_eq!(a_weight(&mut lab), 40);
    lab.run(3000);
    assert!(lab.c.flying <= 2, "{}", lab.c.flying);
}

#[test]
fn a_new_prober_asks_anew() {
    let mut lab = ready();
    lab.voice(A, Voice::Silent);
    until_asked(&mut lab);
    lab.says(A, "50%");
    lab.coming.clear();
    assert!(lab.c.flying > 0);
    let now = lab.wall();
    lab.c.prober_restarted(now);
    assert_eq!(lab.c.flying, 0);
    let at = lab.now;
    lab.run(5);
    assert_eq!(lab.queries.iter().rev().find(|q| q.address == super::lab::ip(A)).unwrap().at, at);
    assert_eq!(a_weight(&mut lab), 40);
}

#[test]
fn after_a_stall_of_the_main_thread_agents_are_spread() {
    let agent = "agent: {port: 5555, interval: 10s, timeout: 500ms}";
    let backends: String =
        (1..=50).map(|i| format!("    x{i}: {{address: 10.2.0.{i}, {agent}}}\n")).collect();
    let pool: Vec<String> = (1..=50).map(|i| format!("x{i}: {{}}")).collect();
    let yaml = AGENTS.replace("  frontends:\n", &format!("{backends}  frontends:\n"));
    let yaml = yaml.replace("c: {weight: 50}", &format!("c: {{weight: 50}}, {}", pool.join(", ")));
    let mut lab = Lab::new(&yaml);
    lab.run(9_000);
    lab.queries.clear();
    // The main thread does nothing for 20 s; the prober beats on.
    lab.now = lab.now + Duration::from_secs(20);
    let resumed = lab.now;
    lab.run(0);
    let burst = lab.queries.iter().filter(|q| q.at == resumed).count();
    assert!(burst <= 2, "{burst} at once");
    lab.run(10_000);
    let begun = lab.queries.iter().filter(|q| q.address.to_string().starts_with("10.2.")).count();
    assert!((50..=110).contains(&begun), "{begun}");
}
