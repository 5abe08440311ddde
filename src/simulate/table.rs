//! What docs/behaviour.md says comes of all words on a backend, as tables. It shares nothing with the code under test.

/// A word and whose it is: `checks`, `agent`, `operator`, `configuration`, or `via <name>` of the tracked backend.
pub type Word<'a> = (&'static str, &'a str);

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The bare state.
    pub state: &'static str,
    /// As shown.
    pub shown: String,
    /// Whose word it is.
    pub by: String,
    /// Somebody has taken it out, whatever else it is: panic leaves it alone.
    pub out: bool,
}

/// Of all words that are said; of two that say the same of a tracked backend, the nearer one's first.
pub fn verdict(words: &[Word<'_>]) -> Verdict {
    let said = |what: &str, by: &str| {
        words.iter().find(|(w, b)| *w == what && (*b == by || (by == "via" && b.starts_with("via "))))
    };
    let (state, by, shown) = FIRST_THAT_HOLDS
        .iter()
        .find_map(|(what, by, shown)| said(what, by).map(|(_, by)| (*what, *by, *shown)))
        .unwrap_or(("nothing", "nobody", "nothing"));
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
    /// No word on it.
    Nothing,
    /// A share.
    Percent(u128),
    /// In the configured weight's place.
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
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    /// It is in the second of the two pools.
    pub second_pool: bool,
    /// The other one is up.
    pub other_up: bool,
    /// As configured.
    pub flush_on_down: bool,
}

/// Active pool; weight and flush of the backend; weight of the other.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Index of the active pool.
    pub active: usize,
    /// Of the backend, in `lb`.
    pub weight: u128,
    /// Whether its flows go.
    pub flush: bool,
    /// Of the other one, in `lb`.
    pub other: u128,
}

/// Whether a backend in this state gets new flows, and whether it loses those that it has. None: there is no such state.
pub fn flows(state: &str, flush_on_down: bool) -> Option<(bool, bool)> {
    let (_, new, old) = FLOWS.iter().find(|(s, _, _)| *s == state)?;
    Some((*new, *old == Old::Flushed || (*old == Old::AsSaid && flush_on_down)))
}

/// What a frontend of two pools makes of it; none: there is no such state.
pub fn outcome(state: &str, weight: u128, scene: &Scene) -> Option<Outcome> {
    let (new_flows, flush) = flows(state, scene.flush_on_down)?;
    let able = new_flows && weight > 0;
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
    let (_, _, _, active, carries, other) = *row?;
    Some(Outcome {
        active,
        weight: if carries { weight } else { 0 },
        flush,
        other: if other { 100 } else { 0 },
    })
}
