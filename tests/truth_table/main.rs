//! The whole product of everybody's words on a backend, against the tables of docs/behaviour.md (`maglev::simulate::table`).
#![allow(clippy::expect_used, clippy::indexing_slicing)] // helpers of tests are tests

mod panic;

use maglev::Name;
use maglev::balance::{FrontendState, Member, Rules, weigh, weight};
use maglev::config::CounterKind;
use maglev::health::agent::{AgentAdmin, AgentHealth, AgentWeight, Reply};
use maglev::health::{Author, Event, Health, Limits, Standing};
use maglev::simulate::table::{self as oracle, Says, Scene, Verdict};

type Word = oracle::Word<'static>;

/// What is done to a backend, and the words that then stand.
type Row = (&'static [Event], &'static [Word]);

const DISABLE: Event = Event::Disable(Author::Operator);

const CHECKS: [Row; 7] = [
    (&[], &[("unknown", "checks")]),
    (&[Event::Pass], &[("up", "checks")]),
    (&[Event::Pass, Event::Conditional], &[("up", "checks"), ("stopping", "checks")]),
    (&[Event::Fail], &[("down", "checks")]),
    (&[Event::ForceUp], &[("up", "checks")]),
    (&[Event::Pass, Event::ForceDown { checked: true }], &[("down", "checks")]),
    (&[Event::ForceUp, Event::ForceStopping { checked: true }], &[("up", "checks"), ("stopping", "checks")]),
];

const OPERATOR: [Row; 9] = [
    (&[], &[]),
    (&[Event::Drain], &[("drain", "operator")]),
    (&[DISABLE], &[("disabled", "operator")]),
    (&[Event::Disable(Author::Configuration)], &[("disabled", "configuration")]),
    (&[Event::Pause], &[("paused", "operator")]),
    (&[Event::Drain, DISABLE], &[("drain", "operator"), ("disabled", "operator")]),
    (&[Event::Drain, Event::Pause], &[("drain", "operator"), ("paused", "operator")]),
    (&[Event::Drain, Event::Ready], &[]),
    (&[Event::Pause, DISABLE], &[("disabled", "operator")]),
];

const ADMIN: [(Option<AgentAdmin>, &[Word]); 4] = [
    (None, &[]),
    (Some(AgentAdmin::Ready), &[]),
    (Some(AgentAdmin::Drain), &[("drain", "agent")]),
    (Some(AgentAdmin::Maint), &[("disabled", "agent")]),
];

const HEALTH: [(Option<AgentHealth>, &[Word]); 5] = [
    (None, &[]),
    (Some(AgentHealth::Up), &[]),
    (Some(AgentHealth::Down), &[("down", "agent")]),
    (Some(AgentHealth::Stopped), &[("down", "agent")]),
    (Some(AgentHealth::Fail), &[("down", "agent")]),
];

const WEIGHT: [(Option<AgentWeight>, Says); 7] = [
    (None, Says::Nothing),
    (Some(AgentWeight::Share(0)), Says::Percent(0)),
    (Some(AgentWeight::Share(1)), Says::Percent(1)),
    (Some(AgentWeight::Share(50)), Says::Percent(50)),
    (Some(AgentWeight::Share(150)), Says::Percent(150)),
    (Some(AgentWeight::Absolute(0)), Says::Instead(0)),
    (Some(AgentWeight::Absolute(40)), Says::Instead(40)),
];

const CONFIGURED: [u8; 5] = [0, 1, 3, 70, 100];
const OVERRIDE: [Option<u8>; 3] = [None, Some(0), Some(33)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mute {
    No,
    /// What is said then is not heard.
    Before,
    /// What was said is forgotten.
    After,
    /// Nor does it come back with `unmute`.
    Undone,
}

fn health(events: &[&[Event]]) -> Health {
    let mut h = Health::new(Limits { rise: 1, fall: 1, kind: CounterKind::Linear });
    for event in events.iter().copied().flatten() {
        h.take(*event, 0).expect("not refused in this order");
    }
    h
}

fn said(mut h: Health, admin: Option<AgentAdmin>, health: Option<AgentHealth>) -> Health {
    h.hear(&Reply { admin, health, ..Reply::default() }, 0);
    h
}

/// A tracked backend, and the words that it hands on.
struct Tracked {
    name: Name,
    standing: Standing,
    hands_on: Vec<Word>,
}

/// All kinds of tracked backends: `r` alone, and `m`, which tracks `r`.
fn tracked() -> Vec<Option<Tracked>> {
    const UP: &[Event] = &[Event::Pass];
    let (r, m): (Name, Name) = ("r".into(), "m".into());
    let roots: Vec<(Health, &[Word])> = vec![
        (health(&[]), &[("unknown", "checks")]),
        (health(&[UP]), &[("up", "checks")]),
        (health(&[&[Event::Fail]]), &[("down", "via r")]),
        (health(&[UP, &[Event::Drain]]), &[("up", "checks"), ("drain", "via r")]),
        (health(&[&[Event::Fail, Event::Drain]]), &[("down", "via r"), ("drain", "via r")]),
        (health(&[UP, &[DISABLE]]), &[("up", "checks"), ("disabled", "via r")]),
        (health(&[UP, &[Event::Disable(Author::Configuration)]]), &[("up", "checks"), ("disabled", "via r")]),
        (health(&[UP, &[Event::Conditional]]), &[("up", "checks"), ("stopping", "via r")]),
        (health(&[UP, &[Event::Pause]]), &[("unknown", "checks"), ("paused", "via r")]),
        (
            health(&[UP, &[Event::Drain, Event::Pause]]),
            &[("unknown", "checks"), ("paused", "via r"), ("drain", "via r")],
        ),
        (said(health(&[UP]), Some(AgentAdmin::Maint), None), &[("up", "checks"), ("disabled", "via r")]),
        (said(health(&[UP]), Some(AgentAdmin::Drain), None), &[("up", "checks"), ("drain", "via r")]),
        (said(health(&[UP]), None, Some(AgentHealth::Fail)), &[("down", "via r")]),
        (said(health(&[UP, &[Event::Conditional]]), None, Some(AgentHealth::Fail)), &[("down", "via r")]),
    ];
    // What `m` says itself: nothing, drain, disabled, by its agent down.
    let middles: Vec<(Health, &[Word])> = vec![
        (health(&[]), &[]),
        (health(&[UP, &[Event::Drain]]), &[("drain", "via m")]),
        (health(&[&[Event::Fail], &[DISABLE]]), &[("disabled", "via m")]),
        (said(health(&[]), None, Some(AgentHealth::Down)), &[("down", "via m")]),
    ];
    let mut all = vec![None];
    for (root, words) in &roots {
        let root = Standing::of(root, None);
        for (middle, own) in &middles {
            // Two say down: that is one word, and whose it is says the first.
            let both_down = own.iter().chain(*words).filter(|(w, _)| *w == "down").count() > 1;
            let standing = Standing::of(middle, Some((&r, &root)));
            let own = if both_down { &[][..] } else { own };
            let hands_on = own.iter().chain(*words).copied().collect();
            all.push(Some(Tracked { name: m.clone(), standing, hands_on }));
        }
        all.push(Some(Tracked { name: r.clone(), standing: root, hands_on: words.to_vec() }));
    }
    all
}

/// One backend under everybody's words.
#[derive(Clone, Copy, Debug)]
struct Hands {
    checks: Row,
    operator: Row,
    admin: (Option<AgentAdmin>, &'static [Word]),
    health: (Option<AgentHealth>, &'static [Word]),
    mute: Mute,
    removed: bool,
}

impl Hands {
    fn all() -> Vec<Hands> {
        let mut all = Vec::new();
        for checks in CHECKS {
            for operator in OPERATOR {
                for admin in ADMIN {
                    for health in HEALTH {
                        for mute in [Mute::No, Mute::Before, Mute::After, Mute::Undone] {
                            for removed in [false, true] {
                                all.push(Hands { checks, operator, admin, health, mute, removed });
                            }
                        }
                    }
                }
            }
        }
        all
    }

    fn real(&self, weight: Option<AgentWeight>) -> Health {
        let mut h = health(&[self.checks.0, self.operator.0]);
        if self.mute == Mute::Before {
            h.take(Event::Mute, 0).expect("never refused");
        }
        h.hear(&Reply { admin: self.admin.0, health: self.health.0, weight, ..Reply::default() }, 0);
        if matches!(self.mute, Mute::After | Mute::Undone) {
            h.take(Event::Mute, 0).expect("never refused");
        }
        if self.mute == Mute::Undone {
            h.take(Event::Unmute, 0).expect("never refused");
        }
        if self.removed {
            h.take(Event::Remove, 0).expect("never refused");
        }
        h
    }

    fn words(&self, tracked: Option<&Tracked>) -> Vec<Word> {
        let mut words = self.operator.1.to_vec();
        if self.mute == Mute::No {
            words.extend(self.admin.1.iter().chain(self.health.1));
        }
        // No checks ran while the agent said maint; where the mute ends that, they begin anew.
        let unprobed = self.operator.1.iter().any(|(w, _)| *w == "disabled" || *w == "paused");
        let forgotten = matches!(self.mute, Mute::After | Mute::Undone);
        let anew = forgotten && self.admin.0 == Some(AgentAdmin::Maint) && !unprobed;
        match tracked {
            Some(t) => words.extend(&t.hands_on),
            None if anew => words.push(("unknown", "checks")),
            None => words.extend(self.checks.1),
        }
        if self.removed {
            words.push(("removed", "configuration"));
        }
        words
    }
}

/// What of a row is about weights and pools.
#[derive(Clone, Copy, Debug)]
struct Place {
    agent: usize,
    configured: u8,
    overridden: Option<u8>,
    second_pool: bool,
    other_up: bool,
    flush_on_down: bool,
}

fn places() -> Vec<Place> {
    let mut all = Vec::new();
    for agent in 0..WEIGHT.len() {
        for configured in CONFIGURED {
            for overridden in OVERRIDE {
                for bits in 0..8u8 {
                    let (second_pool, other_up) = (bits & 1 > 0, bits & 2 > 0);
                    let flush_on_down = bits & 4 > 0;
                    all.push(Place { agent, configured, overridden, second_pool, other_up, flush_on_down });
                }
            }
        }
    }
    all
}

/// The row in full, where it failed.
fn told(hands: &Hands, tracked: Option<&Tracked>, place: &Place) -> String {
    let via = tracked.map(|t| (&t.name, &t.hands_on));
    format!("{hands:?}\ntracks {via:?}\n{place:?} {:?}", WEIGHT[place.agent].0)
}

fn check(hands: &Hands, tracked: Option<&Tracked>, want: &Verdict, place: &Place, others: &[Standing; 2]) {
    let (said, says) = WEIGHT[place.agent];
    let health = hands.real(said);
    let standing = Standing::of(&health, tracked.map(|t| (&t.name, &t.standing)));
    let w = weight(place.overridden, health.agent().weight, place.configured);
    let mine = Member::new(usize::from(place.second_pool), w, &standing);
    let got = Verdict {
        state: standing.state.as_str(),
        shown: standing.display(),
        by: standing.by().to_string(),
        out: mine.barred,
    };
    assert_eq!(got, *want, "{}", told(hands, tracked, place));

    let says = if hands.mute == Mute::No { says } else { Says::Nothing };
    let exact = oracle::weight(place.overridden.map(u128::from), says, u128::from(place.configured));
    assert_eq!(u128::from(w), exact, "{}", told(hands, tracked, place));

    let other = Member::new(usize::from(!place.second_pool), 100, &others[usize::from(place.other_up)]);
    let members = [mine, other];
    let shares = weigh(&members, Rules { flush_on_down: place.flush_on_down, panic: None, begun: false });
    let Place { second_pool, other_up, flush_on_down, .. } = *place;
    let scene = Scene { second_pool, other_up, flush_on_down };
    let expect = oracle::outcome(want.state, exact, &scene).expect("every state has its row");
    let got = oracle::Outcome {
        active: shares.active,
        weight: u128::from(shares.members[0].weight),
        flush: shares.members[0].flush,
        other: u128::from(shares.members[1].weight),
    };
    assert_eq!(got, expect, "{}", told(hands, tracked, place));
    let carries = expect.weight > 0 || expect.other > 0;
    let frontend = if carries { FrontendState::Up } else { FrontendState::Down };
    assert_eq!(FrontendState::of(&members, &shares), frontend, "{}", told(hands, tracked, place));
}

fn others() -> [Standing; 2] {
    [Event::Fail, Event::Pass].map(|e| Standing::of(&health(&[&[e]]), None))
}

/// Every combination of words, own and inherited; of weights and pools one after the other of all there are.
#[test]
fn every_word_with_every_other() {
    let (hands, tracked, places, others) = (Hands::all(), tracked(), places(), others());
    let mut turn = places.iter().cycle();
    let mut rows = 0;
    for h in &hands {
        for t in &tracked {
            let want = oracle::verdict(&h.words(t.as_ref()));
            // 71 tracked (or none) and 840 places have no divisor in common: each meets each in the end.
            let Some(place) = turn.next() else { return };
            check(h, t.as_ref(), &want, place, &others);
            rows += 1;
        }
    }
    assert_eq!(rows, 7 * 9 * 4 * 5 * 4 * 2 * 71);
}

/// Every weight in every pool with everything that a backend can be shown as.
#[test]
fn every_weight_in_every_pool_in_every_state() {
    let (tracked, others) = (tracked(), others());
    let mut seen = std::collections::BTreeMap::<String, u8>::new();
    let mut rows = 0;
    for (i, h) in Hands::all().iter().enumerate() {
        for t in tracked.iter().skip(i % 7).step_by(7) {
            let want = oracle::verdict(&h.words(t.as_ref()));
            // Twice each, muted and not.
            let times = seen.entry(format!("{} {} {:?}", want.shown, want.by, h.mute)).or_default();
            if *times >= 2 {
                continue;
            }
            *times += 1;
            for place in places() {
                check(h, t.as_ref(), &want, &place, &others);
                rows += 1;
            }
        }
    }
    assert!(rows > 50_000, "{rows} rows of {seen:?}");
    for shown in [
        "up",
        "unknown",
        "down",
        "down by agent",
        "stopping",
        "drain",
        "drain by agent",
        "drain via r",
        "drain via m",
        "paused",
        "paused via r",
        "disabled",
        "disabled by agent",
        "disabled via r",
        "disabled via m",
        "removed",
    ] {
        assert!(seen.keys().any(|k| k.starts_with(&format!("{shown} "))), "{shown} in {seen:?}");
    }
}
