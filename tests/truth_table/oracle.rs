//! What docs/behaviour.md says comes of all words on a backend, as tables. It shares nothing with the code under test.

/// A word and whose it is: `checks`, `agent`, `operator`, `configuration`, or `via <name>` of the tracked backend.
pub type Word = (&'static str, &'static str);

/// Shown state, first that holds: word, whose, shown as. `via` stands for every `via <name>`.
const FIRST_THAT_HOLDS: &[(&str, &str, &str)] = &[
    ("removed", "configuration", "removed"),
    ("disabled", "operator", "disabled"),
    ("disabled", "configuration", "disabled"),
    ("disabled", "agent", "disabled by agent"),
    ("disabled", "via", "disabled via"),
    ("paused", "operator", "paused"),
    ("paused", "via", "paused via"),
    ("down", "checks", "down"),
    ("down", "via", "down"),
    ("down", "agent", "down by agent"),
    ("stopping", "checks", "stopping"),
    ("stopping", "via", "stopping"),
    ("drain", "operator", "drain"),
    ("drain", "agent", "drain by agent"),
    ("drain", "via", "drain via"),
    ("up", "checks", "up"),
    ("unknown", "checks", "unknown"),
];

/// What becomes of existing flows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Old {
    Kept,
    Flushed,
    /// As `flush-on-down` says.
    AsSaid,
}

/// State, new flows, existing flows.
const FLOWS: &[(&str, bool, Old)] = &[
    ("removed", false, Old::Kept),
    ("disabled", false, Old::Flushed),
    ("paused", false, Old::Kept),
    ("down", false, Old::AsSaid),
    ("stopping", false, Old::Kept),
    ("drain", false, Old::Kept),
    ("up", true, Old::Kept),
    ("unknown", false, Old::Kept),
];

/// What a backend is.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    pub state: &'static str,
    pub shown: String,
    pub by: String,
    /// Somebody has taken it out, whatever else it is: panic leaves it alone.
    pub out: bool,
}

/// Of all words that are said; of two that say the same of a tracked backend, the nearer one's first.
pub fn verdict(words: &[Word]) -> Verdict {
    let said = |what: &str, by: &str| {
        words.iter().find(|(w, b)| *w == what && (*b == by || (by == "via" && b.starts_with("via "))))
    };
    let (state, by, shown) = FIRST_THAT_HOLDS
        .iter()
        .find_map(|(what, by, shown)| said(what, by).map(|(_, by)| (*what, *by, *shown)))
        .expect("checks always say something");
    let has = |what: &str| words.iter().any(|(w, _)| *w == what);
    let shown = match shown.strip_suffix(" via") {
        Some(word) => format!("{word} {by}"),
        None => shown.to_owned(),
    };
    // Whoever is down is not stopping any more.
    let out = has("disabled") || has("paused") || has("drain") || (has("stopping") && !has("down"));
    Verdict { state, shown, by: by.to_owned(), out }
}

/// An agent's word on weight.
#[derive(Clone, Copy, Debug)]
pub enum Says {
    Nothing,
    Percent(u128),
    Instead(u128),
}

/// The operator's override, else the agent's `weight:N`, else the configured weight; times the agent's share: rounded half
/// up, at most 100, and never 0 of something.
pub fn weight(overridden: Option<u128>, agent: Says, configured: u128) -> u128 {
    let whole = match (overridden, agent) {
        (Some(n), _) => n,
        (None, Says::Instead(n)) => n,
        (None, Says::Nothing | Says::Percent(_)) => configured,
    };
    let hundredths = match agent {
        Says::Percent(p) => whole * p,
        Says::Nothing | Says::Instead(_) => whole * 100,
    };
    if hundredths == 0 {
        return 0;
    }
    // The greatest whole number that is not above the exact value and a half.
    (1..=100).rev().find(|n| n * 100 <= hundredths + 50).unwrap_or(1)
}

/// One backend in one pool, another one (weight 100) in the other.
pub struct Scene {
    pub second_pool: bool,
    pub other_up: bool,
    pub flush_on_down: bool,
}

/// Active pool; weight and flush of the backend; weight of the other.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    pub active: usize,
    pub weight: u128,
    pub flush: bool,
    pub other: u128,
}

pub fn outcome(state: &str, weight: u128, scene: &Scene) -> Outcome {
    let (_, new_flows, old) = FLOWS.iter().find(|(s, _, _)| *s == state).expect("every state has its row");
    let able = *new_flows && weight > 0;
    let flush = *old == Old::Flushed || (*old == Old::AsSaid && scene.flush_on_down);
    // In the second pool?, able?, other able? → active pool, does it carry?, does the other?
    let table = [
        (false, true, true, 0, true, false),
        (false, true, false, 0, true, false),
        (false, false, true, 1, false, true),
        (false, false, false, 0, false, false),
        (true, true, true, 0, false, true),
        (true, true, false, 1, true, false),
        (true, false, true, 0, false, true),
        (true, false, false, 0, false, false),
    ];
    let row = table.iter().find(|r| (r.0, r.1, r.2) == (scene.second_pool, able, scene.other_up));
    let (_, _, _, active, carries, other) = *row.expect("all eight are there");
    Outcome { active, weight: if carries { weight } else { 0 }, flush, other: if other { 100 } else { 0 } }
}
