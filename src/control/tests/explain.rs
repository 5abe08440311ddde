//! `show backend` says why a backend is what it is, and what would bring it back.

use super::agents::AGENTS;
use super::lab_agents::Voice;
use super::reload_words::down;
use super::words::{HANDS, says, set, settled};
use super::{Lab, Net};
use crate::control::BackendVerb::{AgentMute, Disable, Drain, HealthStopping, Pause, Ready};
use crate::control::view::BackendView;

fn waits(lab: &Lab, backend: &str) -> String {
    lab.c.backend(backend).unwrap().waits_for.unwrap_or_default()
}

fn says_of(view: &BackendView, hand: &str) -> Vec<String> {
    view.hands.iter().filter(|h| h.hand == hand).map(|h| h.says.clone()).collect()
}

#[test]
fn nothing_stands_in_the_way_of_what_is_up() {
    let lab = settled(HANDS);
    for b in ["a", "b", "d", "s", "t", "u"] {
        assert_eq!(waits(&lab, b), "", "{b}");
    }
    let view = lab.c.backend("t").unwrap();
    assert_eq!(says_of(&view, "checks"), ["up, as a"]);
    assert_eq!(says_of(&view, "inherited"), ["no word"]);
    assert_eq!((view.ties.tracks.as_deref(), view.ties.tracked_by), (Some("a"), vec!["u".to_owned()]));
    assert_eq!(lab.c.backend("a").unwrap().ties.tracked_by, ["t"]);
    assert_eq!(says_of(&lab.c.backend("b").unwrap(), "agent"), ["up ready"]);
    assert_eq!(says_of(&lab.c.backend("s").unwrap(), "checks"), ["none: static"]);
    assert_eq!(says_of(&lab.c.backend("a").unwrap(), "agent"), Vec::<String>::new());
}

#[test]
fn every_hand_has_its_line_and_all_of_them_are_waited_for() {
    let mut lab = settled(HANDS);
    set(&mut lab, "d", Drain);
    says(&mut lab, "d", "maint down 50% # overloaded");
    set(&mut lab, "d", Disable);
    let view = lab.c.backend("d").unwrap();
    assert_eq!(view.display, "disabled");
    assert_eq!(view.verdict, "by the operator");
    assert_eq!(lab.c.backend("a").unwrap().verdict, "by its checks: L4OK");
    assert_eq!(says_of(&view, "operator"), ["disabled", "drain"]);
    assert_eq!(says_of(&view, "agent"), ["down maint 50%"]);
    assert_eq!(says_of(&view, "checks"), ["up, not running"]);
    assert!(view.hands.iter().filter(|h| h.hand == "operator").all(|h| h.since_ms.is_some()));
    assert!(view.hands.iter().any(|h| h.detail.contains("10.1.0.3:99: overloaded")), "{:?}", view.hands);
    assert_eq!(view.waits_for.unwrap(), "operator enable, agent ready, agent up, operator ready");
    let m = &view.frontends[0];
    assert_eq!((m.weight, m.configured, m.with_agent, m.effective), (100, 100, 50, 0));
    assert_eq!(m.why, "disabled");
    set(&mut lab, "d", AgentMute);
    let view = lab.c.backend("d").unwrap();
    assert_eq!(says_of(&view, "agent"), ["muted by the operator"]);
    assert_eq!(view.waits_for.unwrap(), "operator enable, operator ready");
}

#[test]
fn what_is_waited_for_word_by_word() {
    let mut lab = settled(HANDS);
    set(&mut lab, "a", Pause);
    assert_eq!(waits(&lab, "a"), "operator resume");
    assert_eq!(waits(&lab, "t"), "a: operator resume");
    assert_eq!(waits(&lab, "u"), "a: operator resume", "named once, by the one at which it was said");
    let mut lab = settled(HANDS);
    set(&mut lab, "a", HealthStopping);
    assert_eq!(waits(&lab, "a"), "the next pass");
    lab.net("10.1.0.1", Net::Refused);
    lab.run(5000);
    assert_eq!(waits(&lab, "a"), "2 more passes");
    set(&mut lab, "u", Drain);
    assert_eq!(waits(&lab, "u"), "a: 2 more passes, operator ready");
    set(&mut lab, "u", Ready);
    assert_eq!(waits(&lab, "u"), "a: 2 more passes");
    says(&mut lab, "b", "drain");
    assert_eq!(waits(&lab, "b"), "agent ready");
    says(&mut lab, "b", "ready 0%");
    assert_eq!(waits(&lab, "b"), "a weight above 0 from the agent");
}

#[test]
fn an_agents_failure_is_shown_beside_its_words() {
    let mut lab = Lab::new(AGENTS);
    lab.says("10.1.0.1", "drain # deploying");
    lab.says("10.1.0.3", "up");
    lab.run(3000);
    let view = lab.c.backend("a").unwrap();
    assert_eq!((&*view.display, &*view.verdict), ("drain by agent", "by its agent: deploying"));
    lab.voice("10.1.0.1", Voice::Refuses);
    lab.run(3000);
    let view = lab.c.backend("a").unwrap();
    assert_eq!(says_of(&view, "agent"), ["drain", "fails, 3 in a row"]);
    let fails = view.hands.iter().find(|h| h.says.starts_with("fails")).unwrap();
    assert_eq!(fails.detail, "L4CON connection refused; its words stand");
    assert!(fails.since_ms.is_some_and(|t| t + 1900 < lab.wall().wall_ms), "since the first of them");
    assert_eq!(view.verdict, "by its agent: deploying");
    lab.says("10.1.0.1", "");
    lab.run(1500);
    assert_eq!(says_of(&lab.c.backend("a").unwrap(), "agent"), ["drain"]);
}

#[test]
fn a_frontend_says_that_its_panic_is_in_force() {
    let yaml = HANDS.replace("      pools:", "      panic: {threshold: 60%, mode: fail-open}\n      pools:");
    let mut lab = settled(&yaml);
    let shown = |lab: &Lab| {
        let view = lab.c.frontend("web").unwrap();
        (view.in_panic, view.panic.unwrap())
    };
    assert_eq!(shown(&lab), (false, "fail-open below 60%".into()));
    down(&mut lab, "10.1.0.1");
    assert_eq!(shown(&lab), (true, "fail-open below 60%, IN FORCE: 3/6 up".into()));
    assert_eq!(lab.c.backend("a").unwrap().frontends[0].why, "panic fail-open");
}
