use super::*;
use crate::config::CounterKind;
use crate::health::Vital;
use crate::health::agent::AgentHealth;

const LIMITS: Limits = Limits { rise: 2, fall: 3, kind: CounterKind::Linear };

fn up() -> Health {
    let checks = Checks::restored(Vital::Up, false, LIMITS);
    Health::restored(checks, Operator::default(), AgentWords::default(), 0)
}

fn says(admin: Option<AgentAdmin>, health: Option<AgentHealth>) -> Reply {
    Reply { admin, health, ..Reply::default() }
}

#[test]
fn a_removed_backend_takes_no_word_and_counts_no_result() {
    for event in Event::ALL {
        let mut h = up();
        h.take(Event::Remove, 1).unwrap();
        let before = h;
        match event {
            Event::Pass | Event::Conditional | Event::Fail | Event::Remove => {
                assert_eq!(h.take(event, 2), Ok(Taken::Already), "{event:?}");
            }
            _ => assert_eq!(h.take(event, 2), Err(Refusal::Removed), "{event:?}"),
        }
        assert_eq!(h, before, "{event:?}");
        assert!(!h.hear(&says(Some(AgentAdmin::Drain), None), 3));
    }
}

#[test]
fn each_verb_has_its_twin_and_touches_no_other_word() {
    use Event::*;
    let pairs = [(Disable(Author::Operator), Enable), (Pause, Resume), (Drain, Ready), (Mute, Unmute)];
    for (on, off) in pairs {
        for (other, _) in pairs.iter().filter(|(other, _)| *other != on) {
            let mut h = up();
            if h.take(*other, 1).is_err() {
                continue;
            }
            let before = h.operator;
            if h.take(on, 2).is_err() {
                continue;
            }
            assert_eq!(h.take(on, 3), Ok(Taken::Already), "{on:?} twice");
            assert_eq!(h.take(off, 4), Ok(Taken::Changed), "{off:?}");
            assert_eq!(h.take(off, 5), Ok(Taken::Already), "{off:?} twice");
            let expect = if (on, *other) == (Disable(Author::Operator), Pause) {
                // `disable` takes `pause` back, as the stronger word of the same hand.
                Operator::default()
            } else {
                before
            };
            assert_eq!(h.operator, expect, "{on:?} then {off:?} on top of {other:?}");
        }
    }
}

#[test]
fn what_is_out_of_probing_ignores_results_and_begins_anew() {
    use Event::*;
    for (out, back) in [(Disable(Author::Operator), Enable), (Pause, Resume)] {
        let mut h = up();
        h.take(out, 1).unwrap();
        assert!(!h.checked());
        for result in [Pass, Fail, Conditional] {
            let before = h;
            assert_eq!(h.take(result, 2), Ok(Taken::Already));
            assert_eq!(h, before);
        }
        h.take(back, 3).unwrap();
        assert!(h.checked());
        assert_eq!((h.checks.vital(), h.checks.counter().value()), (Vital::Unknown, 1), "{back:?}");
    }
    let mut h = up();
    h.hear(&says(Some(AgentAdmin::Maint), None), 1);
    assert!(!h.checked());
    h.hear(&says(Some(AgentAdmin::Ready), None), 1);
    assert_eq!(h.checks.vital(), Vital::Unknown, "by the agent too");
    let mut h = up();
    h.hear(&says(Some(AgentAdmin::Maint), None), 1);
    h.take(Mute, 2).unwrap();
    assert!(h.checked());
    assert_eq!(h.checks.vital(), Vital::Unknown, "mute clears the agent's words");
}

#[test]
fn pause_counts_to_zero_and_is_refused_in_maintenance() {
    use Event::*;
    let mut h = up();
    h.take(Pause, 1).unwrap();
    assert_eq!(h.checks.counter().value(), 0);
    h.relimit(Limits { rise: 3, ..LIMITS });
    assert_eq!(h.checks.counter().value(), 0, "an edited healthcheck leaves it there");
    let mut h = up();
    h.take(Disable(Author::Operator), 1).unwrap();
    assert_eq!(h.take(Pause, 2), Err(Refusal::Disabled));
    assert_eq!(h.take(Resume, 2), Err(Refusal::Disabled));
    let mut h = up();
    h.hear(&says(Some(AgentAdmin::Maint), None), 1);
    assert_eq!(h.take(Pause, 2), Err(Refusal::DisabledByAgent));
    // But a word that stands can always be taken back by the hand that said it.
    let mut h = up();
    h.take(Pause, 1).unwrap();
    h.hear(&says(Some(AgentAdmin::Maint), None), 2);
    assert_eq!(h.take(Pause, 3), Ok(Taken::Already));
    assert_eq!(h.take(Resume, 3), Ok(Taken::Changed));
    assert!(h.operator.paused.is_none() && !h.checked());
}

#[test]
fn disable_takes_pause_back() {
    let mut h = up();
    h.take(Event::Pause, 1).unwrap();
    h.take(Event::Disable(Author::Operator), 2).unwrap();
    h.take(Event::Enable, 3).unwrap();
    assert!(h.checked(), "enable leads out of both");
}

#[test]
fn forced_health_is_refused_where_no_check_would_count_on() {
    use Event::*;
    for force in [ForceUp, ForceDown { checked: true }, ForceStopping { checked: true }] {
        let mut h = up();
        h.take(Disable(Author::Configuration), 1).unwrap();
        assert_eq!(h.take(force, 2), Err(Refusal::Disabled));
        let mut h = up();
        h.take(Pause, 1).unwrap();
        assert_eq!(h.take(force, 2), Err(Refusal::Paused));
        let mut h = up();
        h.hear(&says(Some(AgentAdmin::Maint), None), 1);
        assert_eq!(h.take(force, 2), Err(Refusal::DisabledByAgent));
    }
    let mut h = Health::new(LIMITS);
    assert_eq!(h.take(ForceStopping { checked: true }, 1), Err(Refusal::NotUp));
    assert_eq!(h.take(ForceUp, 1), Ok(Taken::Changed));
    assert_eq!(h.take(ForceUp, 1), Ok(Taken::Already));
    assert_eq!(h.take(ForceStopping { checked: true }, 1), Ok(Taken::Changed));
    assert!(h.checks.stopping());
    assert_eq!(h.take(Pass, 1), Ok(Taken::Changed));
    assert!(!h.checks.stopping(), "the next pass");
}

#[test]
fn a_muted_agent_is_not_heard() {
    let mut h = up();
    assert!(h.hear(&says(Some(AgentAdmin::Drain), Some(AgentHealth::Down)), 7));
    assert_eq!(h.agent_since(), 7);
    assert!(!h.hear(&says(Some(AgentAdmin::Drain), None), 8), "the same again");
    assert_eq!(h.agent_since(), 7);
    h.take(Event::Mute, 9).unwrap();
    assert_eq!(h.agent(), AgentWords::default());
    assert!(!h.hear(&says(None, Some(AgentHealth::Fail)), 10));
    h.take(Event::Unmute, 11).unwrap();
    assert_eq!(h.agent(), AgentWords::default(), "it is asked anew");
}

#[test]
fn a_reply_changes_the_classes_it_has_words_of_alone() {
    let mut h = up();
    h.hear(&says(Some(AgentAdmin::Drain), Some(AgentHealth::Stopped)), 1);
    h.hear(&Reply { weight: Some(crate::health::agent::AgentWeight::Share(50)), ..Reply::default() }, 2);
    let words = h.agent();
    assert_eq!((words.admin, words.health), (Some(AgentAdmin::Drain), Some(AgentHealth::Stopped)));
    h.hear(&says(None, Some(AgentHealth::Up)), 3);
    assert_eq!(h.agent().admin, Some(AgentAdmin::Drain), "up is not ready");
    h.hear(&says(Some(AgentAdmin::Ready), None), 4);
    assert_eq!(h.agent().health, Some(AgentHealth::Up));
}

#[test]
fn a_muted_agents_words_do_not_count_even_where_an_earlier_life_left_some() {
    let checks = Checks::restored(Vital::Up, false, LIMITS);
    let words = AgentWords {
        health: Some(AgentHealth::Down),
        admin: Some(AgentAdmin::Maint),
        ..AgentWords::default()
    };
    let muted = Operator { muted: Some(1), ..Operator::default() };
    let h = Health::restored(checks, muted, words, 0);
    assert_eq!(h.agent(), AgentWords::default());
    assert!(h.checked());
    assert_eq!(Standing::of(&h, None).display(), "up");
    let h = Health::restored(checks, Operator::default(), words, 0);
    assert_eq!(Standing::of(&h, None).display(), "disabled by agent");
}
