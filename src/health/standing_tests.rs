use super::*;
use crate::config::CounterKind;
use crate::health::agent::{AgentHealth, Reply};
use crate::health::{Event, Limits};

fn up() -> Health {
    let mut h = Health::new(Limits { rise: 1, fall: 1, kind: CounterKind::Linear });
    h.take(Event::Pass, 0).unwrap();
    h
}

fn heard(mut h: Health, health: Option<AgentHealth>, admin: Option<AgentAdmin>) -> Health {
    h.hear(&Reply { health, admin, ..Reply::default() }, 0);
    h
}

fn took(mut h: Health, events: &[Event]) -> Health {
    for e in events {
        h.take(*e, 0).unwrap();
    }
    h
}

#[test]
fn shown_with_its_author() {
    use Event::*;
    let disable = Disable(Author::Operator);
    let rows: &[(Health, &str, By)] = &[
        (up(), "up", By::Checks),
        (took(up(), &[Fail]), "down", By::Checks),
        (took(up(), &[disable]), "disabled", By::Operator),
        (took(up(), &[Disable(Author::Configuration)]), "disabled", By::Configuration),
        (took(up(), &[Drain]), "drain", By::Operator),
        (took(up(), &[Drain, Fail]), "down", By::Checks),
        (took(up(), &[Drain, Pause]), "paused", By::Operator),
        (took(up(), &[Drain, disable]), "disabled", By::Operator),
        (took(up(), &[Conditional]), "stopping", By::Checks),
        (took(up(), &[Conditional, Drain]), "stopping", By::Checks),
        (took(up(), &[Drain, disable, Enable]), "drain", By::Operator),
        (took(up(), &[disable, Enable]), "unknown", By::Checks),
        (took(up(), &[disable, Remove]), "removed", By::Configuration),
        (heard(up(), Some(AgentHealth::Fail), None), "down by agent", By::Agent),
        (took(heard(up(), Some(AgentHealth::Fail), None), &[Fail]), "down", By::Checks),
        (took(heard(up(), Some(AgentHealth::Up), None), &[Fail]), "down", By::Checks),
        (heard(up(), None, Some(AgentAdmin::Maint)), "disabled by agent", By::Agent),
        (heard(up(), None, Some(AgentAdmin::Drain)), "drain by agent", By::Agent),
        (took(heard(up(), None, Some(AgentAdmin::Drain)), &[Drain]), "drain", By::Operator),
        (took(heard(up(), None, Some(AgentAdmin::Drain)), &[Drain, Ready]), "drain by agent", By::Agent),
        (took(heard(up(), Some(AgentHealth::Down), Some(AgentAdmin::Drain)), &[Mute]), "up", By::Checks),
    ];
    for (i, (h, shown, by)) in rows.iter().enumerate() {
        let s = Standing::of(h, None);
        assert_eq!((s.display().as_str(), s.by()), (*shown, by.clone()), "row {i}");
    }
}

#[test]
fn a_tracker_follows_and_names_the_one_at_which_it_was_said() {
    use Event::*;
    let (a, b): (Name, Name) = ("a".into(), "b".into());
    let own = up();
    let disable = Disable(Author::Operator);
    let rows: &[(Health, &str)] = &[
        (up(), "up"),
        (took(up(), &[Fail]), "down"),
        (took(up(), &[disable]), "disabled via a"),
        (took(up(), &[Pause]), "paused via a"),
        (took(up(), &[Drain]), "drain via a"),
        (took(up(), &[Conditional]), "stopping"),
        (took(up(), &[disable, Enable]), "unknown"),
        (heard(up(), None, Some(AgentAdmin::Maint)), "disabled via a"),
        (heard(up(), Some(AgentHealth::Down), None), "down"),
    ];
    for (root, shown) in rows {
        let first = Standing::of(root, None);
        let second = Standing::of(&own, Some((&a, &first)));
        assert_eq!(second.display(), *shown);
        let third = Standing::of(&own, Some((&b, &second)));
        assert_eq!(third.display(), *shown, "two levels");
    }
    // Its own words are its own.
    let first = Standing::of(&took(up(), &[Drain]), None);
    let second = Standing::of(&took(up(), &[disable]), Some((&a, &first)));
    assert_eq!((second.display().as_str(), second.drain), ("disabled", Some(By::Via(a.clone()))));
    let second =
        Standing::of(&heard(up(), Some(AgentHealth::Down), None), Some((&a, &Standing::of(&up(), None))));
    assert_eq!(second.display(), "down by agent", "an agent of its own");
}
