//! What a restart keeps of the words of all hands; docs/behaviour.md, "State file".

use super::lab::with_tcp;
use super::{Lab, Net};
use crate::control::BackendVerb;
use crate::control::state::Snapshot;
use crate::health::agent::parse;
use crate::probe::{Code, Outcome, Report, Told};

/// `a` is checked, `b` and `d` have agents (`b` alone), `t` tracks `a`, and `u` tracks `t`; `s` is static.
pub const HANDS: &str = with_tcp!(
    "
  backends:
    a: {address: 10.1.0.1, healthcheck: tcp}
    b: {address: 10.1.0.2, agent: {port: 99, interval: 60s}}
    d: {address: 10.1.0.3, healthcheck: tcp, agent: {port: 99, interval: 60s}}
    s: {address: 10.1.0.4}
    t: {address: 10.1.0.5, track: a}
    u: {address: 10.1.0.6, track: t}
  frontends:
    web:
      address: 192.0.2.1
      protocol: tcp
      port: 80
      pools:
        - {name: first, backends: {a: {}, b: {}, d: {}, s: {}, t: {}, u: {}}}
"
);

pub fn set(lab: &mut Lab, backend: &str, verb: BackendVerb) {
    let now = lab.wall();
    lab.c.set_backend(now, backend, verb).unwrap();
    lab.turn();
}

/// The backend's agent is asked now, and answers this.
pub fn says(lab: &mut Lab, backend: &str, line: &str) {
    let slot = lab.c.backends.slot(backend).unwrap();
    let now = lab.now;
    lab.c.agents.set(slot, now);
    lab.turn();
    let id = lab.c.backends.get(slot).unwrap().agent.as_ref().unwrap().flight.expect("it is asked").id;
    let outcome = Outcome { code: Code::L7Ok, detail: "".into() };
    let reply = Some(Box::new(parse(line.as_bytes())));
    let (started, finished) = (lab.now, lab.now);
    let report =
        Report { id, due: started, started, finished, outcome, reply, goes_on: false, put_off: false };
    let now = lab.wall();
    lab.c.told(now, Told::Report(report));
    lab.turn();
}

/// When the backend's agent was asked or will be, in milliseconds from now.
pub fn asked_within(lab: &Lab, backend: &str, ms: u64) -> bool {
    let slot = lab.c.backends.slot(backend).unwrap();
    let flies = lab.c.backends.get(slot).unwrap().agent.as_ref().is_some_and(|a| a.flight.is_some());
    flies || lab.c.agents.due(slot).is_some_and(|t| t.since(lab.now).as_millis() <= u128::from(ms))
}

pub fn settled(yaml: &str) -> Lab {
    let mut lab = Lab::idle();
    lab.c.keep_state();
    lab.load(yaml);
    for b in ["b", "d"] {
        if lab.c.backend(b).is_ok() && yaml.contains("agent:") {
            says(&mut lab, b, "up ready");
        }
    }
    lab.run(5000);
    lab.log.clear();
    lab
}

fn restart(lab: &Lab, yaml: &str) -> Lab {
    let mut next = lab.reborn();
    next.load(yaml);
    next.turn();
    next
}

pub fn states(lab: &Lab) -> String {
    let all = lab.c.backend_views().into_iter().map(|b| format!("{} {}", b.name, b.display));
    all.collect::<Vec<_>>().join(", ")
}

const WEB: &str = "192.0.2.1";

/// After a restart all is as it was, at once, and nobody was told of any change.
fn as_it_was(mut lab: Lab, want: &str) -> Lab {
    lab.run(2000);
    assert_eq!(states(&lab), want, "before");
    let (weights, saved) = (lab.weights(WEB, 80), lab.c.snapshot());
    let mut next = restart(&lab, HANDS);
    assert_eq!(states(&next), want);
    assert_eq!(next.weights(WEB, 80), weights, "at once, before any probe or reply");
    assert_eq!(next.take_log("-transition backend"), Vec::<String>::new());
    assert_eq!(next.c.snapshot(), saved, "each with its since and its author");
    assert_eq!(next.c.frontend("web").unwrap().state, lab.c.frontend("web").unwrap().state);
    next
}

#[test]
fn trackers_stand_as_the_one_they_track_and_no_frontend_sees_half() {
    as_it_was(settled(HANDS), "a up, b up, d up, s up unchecked, t up, u up");
    let mut lab = settled(HANDS);
    lab.net("10.1.0.1", Net::Refused);
    lab.run(5000);
    let mut next = as_it_was(lab, "a down, b up, d up, s up unchecked, t down, u down");
    next.net("10.1.0.1", Net::Good);
    next.run(5000);
    assert_eq!(states(&next), "a up, b up, d up, s up unchecked, t up, u up");
}

#[test]
fn drain_pause_disable_and_mute_survive_each_alone_and_together() {
    let mut lab = settled(HANDS);
    set(&mut lab, "a", BackendVerb::Drain);
    set(&mut lab, "s", BackendVerb::Drain);
    set(&mut lab, "s", BackendVerb::Pause);
    set(&mut lab, "d", BackendVerb::AgentMute);
    set(&mut lab, "b", BackendVerb::Drain);
    set(&mut lab, "b", BackendVerb::Disable);
    let mut next = as_it_was(lab, "a drain, b disabled, d up, s paused, t drain via a, u drain via a");
    assert!(!asked_within(&next, "d", 600_000), "a muted agent is not asked");
    for (b, verb) in [
        ("a", BackendVerb::Ready),
        ("s", BackendVerb::Resume),
        ("b", BackendVerb::Enable),
        ("d", BackendVerb::AgentUnmute),
    ] {
        set(&mut next, b, verb);
    }
    assert!(asked_within(&next, "d", 0));
    says(&mut next, "b", "up");
    assert_eq!(states(&next), "a up, b drain, d up, s drain, t up, u up");
}

#[test]
fn stopping_starts_stopping_and_so_do_its_trackers() {
    let mut lab = settled(HANDS);
    set(&mut lab, "a", BackendVerb::HealthStopping);
    assert_eq!(lab.state("a"), "stopping");
    // The next pass takes it back: save it at once.
    lab.save();
    let next = restart(&lab, HANDS);
    assert_eq!(states(&next), "a stopping, b up, d up, s up unchecked, t stopping, u stopping");
    // Without a check nobody is left who could take it back.
    let next = restart(&lab, &HANDS.replace("10.1.0.1, healthcheck: tcp", "10.1.0.1"));
    assert_eq!(next.state("a"), "up unchecked");
}

#[test]
fn what_the_checks_found_lies_beneath_an_operators_word() {
    let mut lab = settled(HANDS);
    set(&mut lab, "a", BackendVerb::HealthStopping);
    set(&mut lab, "a", BackendVerb::Disable);
    let checks = |lab: &Lab| *lab.c.backends.find("a").unwrap().1.health.checks();
    let before = checks(&lab);
    assert!(before.stopping());
    let next = restart(&lab, HANDS);
    assert_eq!((checks(&next).vital(), checks(&next).stopping()), (before.vital(), true));
    assert_eq!(next.state("a"), "disabled");
}

#[test]
fn an_agents_words_stand_until_its_first_answer_and_it_is_asked_at_once() {
    for (words, b, d, serves) in [
        ("drain", "drain by agent", "drain by agent", false),
        ("maint", "disabled by agent", "disabled by agent", false),
        ("down", "down by agent", "down by agent", false),
        ("50%", "up", "up", true),
        ("weight:7", "up", "up", true),
    ] {
        let mut lab = settled(HANDS);
        says(&mut lab, "b", words);
        says(&mut lab, "d", words);
        let want = format!("a up, b {b}, d {d}, s up unchecked, t up, u up");
        let mut next = as_it_was(lab, &want);
        let weight =
            next.weights(WEB, 80).split(' ').find(|w| w.starts_with("10.1.0.2=")).unwrap().to_owned();
        assert_eq!(!weight.ends_with("=0"), serves, "{words}: {weight}");
        assert!(
            asked_within(&next, "b", 6) && asked_within(&next, "d", 6),
            "{words}: not after its interval"
        );
        says(&mut next, "b", "up ready 100%");
        says(&mut next, "d", "up ready 100%");
        next.run(3000);
        assert_eq!(states(&next), "a up, b up, d up, s up unchecked, t up, u up", "{words}");
    }
}

#[test]
fn an_agent_that_is_gone_has_left_no_word_and_history_says_so() {
    let mut lab = settled(HANDS);
    says(&mut lab, "d", "drain");
    says(&mut lab, "b", "down");
    lab.run(2000);
    let without = HANDS.replace(", agent: {port: 99, interval: 60s}", "");
    let mut next = restart(&lab, &without);
    assert_eq!(states(&next), "a up, b up unchecked, d up, s up unchecked, t up, u up");
    assert_eq!(
        next.take_log("backend-transition"),
        [
            "backend-transition backend=b from=down to=up code=start",
            "backend-transition backend=d from=drain to=up code=start"
        ]
    );
    next.run(2000);
    assert!(next.c.snapshot().backends.iter().all(|b| b.words.agent.is_none()));
}

#[test]
fn with_its_check_gone_it_is_as_it_was_until_its_agent_says() {
    let mut lab = settled(HANDS);
    lab.net("10.1.0.3", Net::Refused);
    lab.run(5000);
    let alone = HANDS.replace("10.1.0.3, healthcheck: tcp, agent", "10.1.0.3, agent");
    let mut next = restart(&lab, &alone);
    assert_eq!(next.state("d"), "down");
    assert!(asked_within(&next, "d", 6));
    says(&mut next, "d", "ready");
    assert_eq!(next.state("d"), "up");
}

#[test]
fn a_tracker_that_is_probed_next_goes_on_from_what_it_was() {
    let mut lab = settled(HANDS);
    lab.net("10.1.0.1", Net::Refused);
    lab.run(5000);
    let own = HANDS.replace("10.1.0.5, track: a", "10.1.0.5, healthcheck: tcp");
    let next = restart(&lab, &own);
    assert_eq!(
        (next.state("a"), next.state("t"), next.state("u")),
        ("down".into(), "down".into(), "down".into())
    );
    // And one that follows another now stands as that one at once.
    let other = HANDS.replace("10.1.0.5, track: a", "10.1.0.5, track: s");
    let mut next = restart(&lab, &other);
    assert_eq!((next.state("t"), next.state("u")), ("up unchecked".into(), "up unchecked".into()));
    assert_eq!(
        next.take_log("backend-transition"),
        [
            "backend-transition backend=t from=down to=up code=tracked detail=\"s\"",
            "backend-transition backend=u from=down to=up code=tracked detail=\"t\""
        ]
    );
}

#[test]
fn a_restart_ends_a_climb_but_what_was_down_climbs() {
    let slow = HANDS.replace("      pools:", "      slow-start: 60s\n      pools:");
    let mut lab = settled(&slow);
    lab.net("10.1.0.1", Net::Refused);
    set(&mut lab, "d", BackendVerb::Disable);
    lab.run(5000);
    set(&mut lab, "d", BackendVerb::Enable);
    says(&mut lab, "d", "up");
    lab.run(2000);
    assert!(lab.weights(WEB, 80).contains("10.1.0.3=1 "), "{}", lab.weights(WEB, 80));
    let mut next = restart(&lab, &slow);
    assert!(next.weights(WEB, 80).contains("10.1.0.3=100 "), "{}", next.weights(WEB, 80));
    next.net("10.1.0.1", Net::Good);
    next.run(5000);
    assert_eq!(next.state("a"), "up");
    assert!(next.weights(WEB, 80).contains("10.1.0.1=1 "), "{}", next.weights(WEB, 80));
}

/// A file of before there were words.
#[test]
fn a_file_without_words_still_reads() {
    let mut lab = settled(HANDS);
    set(&mut lab, "a", BackendVerb::Disable);
    set(&mut lab, "s", BackendVerb::Pause);
    let mut old = Snapshot::decode(lab.file.as_ref().unwrap()).unwrap();
    for b in &mut old.backends {
        std::sync::Arc::make_mut(b).words = Default::default();
    }
    let bytes = old.encode().unwrap();
    assert!(!String::from_utf8(bytes.clone()).unwrap().contains("words"));
    lab.file = Some(bytes);
    let next = restart(&lab, HANDS);
    let since = lab.c.backends.find("a").unwrap().1.health.operator().disabled;
    assert!(since.is_some());
    assert_eq!(next.c.backends.find("a").unwrap().1.health.operator().disabled, since);
    assert_eq!(next.state("s"), "paused");
}

/// Whatever was said: what is saved, restored and saved again is the same, and `lb` is programmed as it was.
#[test]
fn any_words_are_the_same_after_a_restart() {
    for seed in 0..150u64 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut lab = settled(HANDS);
        for _ in 0..rng.usize(..30) {
            let name = ["a", "b", "d", "s", "t", "u"][rng.usize(..6)];
            match rng.u32(..5) {
                0 => lab.net("10.1.0.1", [Net::Good, Net::Refused, Net::Silent][rng.usize(..3)]),
                1 => {
                    let name = ["b", "d"][rng.usize(..2)];
                    if lab.c.backends.find(name).unwrap().1.health.operator().muted.is_none() {
                        let lines =
                            ["up", "down", "drain", "maint", "ready", "30%", "weight:9", "stopped 0%"];
                        says(&mut lab, name, lines[rng.usize(..8)]);
                    }
                }
                _ => {
                    let now = lab.wall();
                    let verb = BackendVerb::ALL[rng.usize(..BackendVerb::ALL.len())];
                    let _ = lab.c.set_backend(now, name, verb);
                }
            }
            lab.run(rng.u64(1..3000));
        }
        // Whoever is unknown is waited for, and a forced state is over.
        lab.run(13_000);
        let saved = lab.c.snapshot();
        assert_eq!(Snapshot::decode(lab.file.as_ref().unwrap()).as_ref(), Ok(&saved), "seed {seed}");
        let mut next = restart(&lab, HANDS);
        assert_eq!(next.c.snapshot(), saved, "seed {seed}");
        let stands = |l: &Lab| -> Vec<_> { l.c.backends.iter().map(|(_, b)| b.standing.clone()).collect() };
        let known = stands(&lab).iter().all(|s| s.state != crate::health::State::Unknown);
        if known {
            assert_eq!(stands(&next), stands(&lab), "seed {seed}");
            assert_eq!(next.weights(WEB, 80), lab.weights(WEB, 80), "seed {seed}");
        }
    }
}
