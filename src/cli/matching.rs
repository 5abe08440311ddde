//! From words to a command and its arguments.

use super::line::quoted;
use super::table::{Arg, Part, Row, TABLE, usage};
use crate::nearest::{is_near, nearest};

/// What the user filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Args<'a> {
    /// By position; shorter where optional ones were left out.
    pub values: Vec<&'a str>,
    /// Optional keywords that were given.
    pub keys: Vec<&'static str>,
    /// The final `json`.
    pub json: bool,
}

/// A part and whether it begins, or belongs to, an optional group.
pub(super) fn flat(parts: &'static [Part]) -> Vec<(Part, bool)> {
    parts
        .iter()
        .flat_map(|p| match p {
            Part::Opt(inner) => inner.iter().map(|i| (*i, true)).collect(),
            Part::Key(_) | Part::Arg(_) => vec![(*p, false)],
        })
        .collect()
}

/// What a word means among keywords.
pub(super) enum Keyword {
    One(&'static str),
    Many(Vec<&'static str>),
    None,
}

/// An exact keyword, else the only one that `word` begins.
pub(super) fn keyword(word: &str, among: &[&'static str]) -> Keyword {
    if let Some(k) = among.iter().find(|k| **k == word) {
        return Keyword::One(k);
    }
    let found: Vec<&'static str> = among.iter().copied().filter(|k| k.starts_with(word)).collect();
    match found.as_slice() {
        [] => Keyword::None,
        [k] => Keyword::One(k),
        [_, _, ..] => Keyword::Many(found),
    }
}

/// The keywords that can stand at `depth` in the paths of `rows`, each once, in the table's order.
pub(super) fn keywords_at(rows: &[&'static Row], depth: usize) -> Vec<&'static str> {
    let mut out: Vec<&'static str> = Vec::new();
    for k in rows.iter().filter_map(|r| r.path.get(depth)) {
        if !out.contains(k) {
            out.push(k);
        }
    }
    out
}

/// The rows that the leading words leave, and how many of the words were keywords of their paths.
pub(super) fn narrow(words: &[&str]) -> Result<(Vec<&'static Row>, usize), String> {
    let mut rows: Vec<&'static Row> = TABLE.iter().collect();
    for (depth, word) in words.iter().enumerate() {
        let among = keywords_at(&rows, depth);
        if among.is_empty() {
            return Ok((rows, depth));
        }
        match keyword(word, &among) {
            Keyword::One(k) => rows.retain(|r| r.path.get(depth) == Some(&k)),
            Keyword::Many(list) => {
                return Err(format!("ambiguous word {} ({})", quoted(word), list.join(", ")));
            }
            Keyword::None => {
                let so_far: Vec<&str> =
                    rows.first().map(|r| r.path.iter().take(depth).copied().collect()).unwrap_or_default();
                let typed = [so_far.as_slice(), &[word]].concat().join(" ");
                return Err(format!("unknown command {}{}", quoted(&typed), hint(word, &among)));
            }
        }
    }
    Ok((rows, words.len()))
}

/// `(nearest: a, b)` where something is near, else what there is.
fn hint(word: &str, among: &[&'static str]) -> String {
    let near: Vec<&str> =
        nearest(word, among.iter().copied(), 3).into_iter().filter(|k| is_near(word, k)).collect();
    if near.is_empty() {
        format!(" (there are: {})", among.join(", "))
    } else {
        format!(" (nearest: {})", near.join(", "))
    }
}

/// The command of a line, and its arguments.
pub(super) fn find<'a>(words: &[&'a str]) -> Result<(&'static Row, Args<'a>), String> {
    let (rows, depth) = narrow(words)?;
    let row = match rows.as_slice() {
        [row] if row.path.len() == depth => *row,
        _ => {
            let next = keywords_at(&rows, depth).join(", ");
            let typed =
                rows.first().map(|r| r.path.get(..depth).unwrap_or_default().join(" ")).unwrap_or_default();
            return Err(format!("incomplete command {} (one of: {next})", quoted(&typed)));
        }
    };
    let rest = words.get(depth..).unwrap_or_default();
    Ok((row, fill(row, rest)?))
}

fn fill<'a>(row: &'static Row, words: &[&'a str]) -> Result<Args<'a>, String> {
    let mut args = Args::default();
    let mut words = words.iter().copied().peekable();
    // Inside an optional group that has begun, all of it is required.
    let mut begun = false;
    for (part, optional) in flat(row.rest) {
        let Some(word) = words.peek().copied() else {
            if optional && !begun {
                break;
            }
            return Err(missing(row, part));
        };
        if optional && !begun && row.json && is_json(word, part) {
            break;
        }
        begun |= optional;
        match part {
            Part::Key(k) => {
                if !k.starts_with(word) {
                    return Err(format!("expected `{k}`, not {}; usage: {}", quoted(word), usage(row)));
                }
                args.keys.push(k);
            }
            Part::Arg(_) => args.values.push(word),
            Part::Opt(_) => {}
        }
        words.next();
    }
    if row.json && words.peek().is_some_and(|w| "json".starts_with(w)) {
        args.json = true;
        words.next();
    }
    match words.next() {
        None => Ok(args),
        Some(word) => Err(format!("too many words, from {} on; usage: {}", quoted(word), usage(row))),
    }
}

/// `json` can be shortened where a name cannot stand.
fn is_json(word: &str, part: Part) -> bool {
    match part {
        Part::Arg(a) if a.is_name() => word == "json",
        Part::Key(k) => "json".starts_with(word) && !k.starts_with(word),
        Part::Arg(_) | Part::Opt(_) => "json".starts_with(word),
    }
}

fn missing(row: &Row, part: Part) -> String {
    let what = match part {
        Part::Key(k) => format!("`{k}`"),
        Part::Arg(Arg::Verb) => "a verb".to_owned(),
        Part::Arg(Arg::Weight) => "a weight".to_owned(),
        Part::Arg(a) => a.usage().to_owned(),
        Part::Opt(_) => "a word".to_owned(),
    };
    format!("missing {what}; usage: {}", usage(row))
}
