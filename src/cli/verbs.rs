//! The verbs of `set backend`: one word, or two (`health up`).

use super::line::quoted;
use super::matching::{Keyword, keyword};
use crate::control::BackendVerb;

/// The first words, each once, in the order of the verbs.
pub(super) fn first() -> Vec<&'static str> {
    let mut out: Vec<&'static str> = Vec::new();
    for (word, _) in BackendVerb::ALL.map(split) {
        if !out.contains(&word) {
            out.push(word);
        }
    }
    out
}

/// What can follow a first word, which may be shortened; empty where nothing does.
pub(super) fn second(word: &str) -> Vec<&'static str> {
    let Keyword::One(begin) = keyword(word, &first()) else { return Vec::new() };
    BackendVerb::ALL.map(split).into_iter().filter(|(a, _)| *a == begin).filter_map(|(_, b)| b).collect()
}

fn split(verb: BackendVerb) -> (&'static str, Option<&'static str>) {
    match verb.as_str().split_once(' ') {
        Some((a, b)) => (a, Some(b)),
        None => (verb.as_str(), None),
    }
}

/// The verb of a word, and of the one behind it, if there is any. Both may be shortened.
///
/// # Errors
/// In words, to go behind `error: `.
pub(super) fn parse(word: &str, behind: Option<&str>) -> Result<BackendVerb, String> {
    let all = first();
    let begin = match keyword(word, &all) {
        Keyword::One(k) => k,
        Keyword::Many(list) => return Err(ambiguous(word, &list)),
        Keyword::None => {
            return Err(format!("unknown verb {} (one of: {})", quoted(word), all.join(", ")));
        }
    };
    let seconds = second(begin);
    let end = match behind {
        None if seconds.is_empty() => None,
        None => return Err(format!("missing a word behind `{begin}` (one of: {})", seconds.join(", "))),
        Some(extra) if seconds.is_empty() => {
            return Err(format!("too many words, from {} on: `{begin}` stands alone", quoted(extra)));
        }
        Some(word) => match keyword(word, &seconds) {
            Keyword::One(k) => Some(k),
            Keyword::Many(list) => return Err(ambiguous(word, &list)),
            Keyword::None => {
                let list = seconds.join(", ");
                return Err(format!("unknown word {} behind `{begin}` (one of: {list})", quoted(word)));
            }
        },
    };
    BackendVerb::ALL
        .into_iter()
        .find(|v| split(*v) == (begin, end))
        .ok_or_else(|| format!("unknown verb {}", quoted(word)))
}

fn ambiguous(word: &str, list: &[&str]) -> String {
    format!("ambiguous word {} ({})", quoted(word), list.join(", "))
}

/// One line for the help.
pub(super) fn help(verb: BackendVerb) -> &'static str {
    match verb {
        BackendVerb::Enable => "takes `disable` back; checks begin anew",
        BackendVerb::Disable => "maintenance: no checks, weight 0, flows are flushed",
        BackendVerb::Pause => "no checks, weight 0, flows stay",
        BackendVerb::Resume => "takes `pause` back; checks begin anew",
        BackendVerb::Drain => "weight 0, flows stay, checks go on",
        BackendVerb::Ready => "takes `drain` back",
        BackendVerb::HealthUp => "up now; checks count on from there",
        BackendVerb::HealthDown => "down now; checks count on from there",
        BackendVerb::HealthStopping => "up, but no new flows until the next pass",
        BackendVerb::AgentMute => "its agent is not asked, what it said is forgotten",
        BackendVerb::AgentUnmute => "its agent is asked again",
    }
}
