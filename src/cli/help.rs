//! Help and completion, both derived from the table.

use once_cell::sync::Lazy;

use super::matching::{Keyword, flat, keyword, keywords_at, narrow};
use super::table::{Arg, Part, Row, TABLE, args, usage};
use super::{Reply, layout, line, verbs};
use crate::control::{BackendVerb, NameKind, Operator};

static USAGES: Lazy<Vec<String>> = Lazy::new(|| {
    TABLE.iter().map(|row| if row.path == ["help"] { "help [<words>]".into() } else { usage(row) }).collect()
});

/// Every command's leading keywords with its usage, for registration with a command line that has its own parser.
///
/// A path begins with `maglev`; every show is there twice, as `maglev show X` and as `show maglev X`. A path, a blank
/// and the rest that the user typed make a line for [`super::execute`].
pub fn paths() -> Vec<(Vec<&'static str>, &'static str)> {
    let mut out = Vec::new();
    for (row, usage) in TABLE.iter().zip(USAGES.iter()) {
        let (first, rest) = row.path.split_first().map_or(("", row.path), |(f, r)| (*f, r));
        out.push(([&["maglev", first], rest].concat(), usage.as_str()));
        if first == "show" {
            out.push(([&[first, "maglev"], rest].concat(), usage.as_str()));
        }
    }
    out
}

/// The topic of a line that asks for help: `help [words]`, `?` as the last word or at its end, or nothing at all.
pub(super) fn asked(words: &[&str]) -> Option<Vec<String>> {
    let owned = |w: &[&str]| w.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    let Some((last, front)) = words.split_last() else { return Some(Vec::new()) };
    if let Some(word) = last.strip_suffix('?') {
        let mut topic = owned(front);
        if !word.is_empty() {
            topic.push(word.to_owned());
        }
        if topic.first().is_some_and(|w| is_help(w)) {
            topic.remove(0);
        }
        return Some(topic);
    }
    let (first, topic) = words.split_first()?;
    is_help(first).then(|| owned(topic))
}

fn is_help(word: &str) -> bool {
    word == "?"
        || matches!(keyword(word, &keywords_at(&TABLE.iter().collect::<Vec<_>>(), 0)), Keyword::One("help"))
}

/// Help on the commands that begin with the words of `line`; all of them for an empty one.
pub fn help(line: &str) -> String {
    match line::words(line) {
        Ok(words) => {
            reply(&asked(&words).unwrap_or_else(|| words.iter().map(|w| (*w).to_owned()).collect())).text
        }
        Err(e) => Reply::error(e).text,
    }
}

pub(super) fn reply(topic: &[String]) -> Reply {
    let words: Vec<&str> = topic.iter().map(String::as_str).collect();
    let (mut rows, _) = match narrow(&words) {
        Ok(found) => found,
        // `sh?`, `s?`: everything that the last word begins.
        Err(e) => match beginning(&words) {
            Some(rows) => (rows, 0),
            None => return Reply::error(e),
        },
    };
    if words.is_empty() {
        rows = TABLE.iter().collect();
    }
    let mut out = String::new();
    for row in &rows {
        out.push_str(&entry(row));
    }
    if let [row] = rows.as_slice() {
        for a in args(row) {
            out.push_str(&layout::wrap(&format!("{}: {}", a.usage(), a.help()), 4, 8));
            if a == Arg::VerbWord {
                for verb in BackendVerb::ALL {
                    let line = format!("{}: {}", verb.as_str(), verbs::help(verb));
                    out.push_str(&layout::wrap(&line, 8, 10));
                }
            }
        }
        if row.json {
            out.push_str("    json: the same as one JSON document\n");
        }
    } else {
        out.push_str("Keywords may be shortened to a unique prefix; names must be given in full.\n");
    }
    Reply::done(out)
}

fn beginning(words: &[&str]) -> Option<Vec<&'static Row>> {
    let (last, front) = words.split_last()?;
    let (mut rows, depth) = narrow(front).ok()?;
    rows.retain(|r| r.path.get(depth).is_some_and(|k| k.starts_with(last)));
    (!rows.is_empty()).then_some(rows)
}

/// The usage, and behind or below it the help.
fn entry(row: &Row) -> String {
    const COLUMN: usize = 34;
    let usage = TABLE
        .iter()
        .position(|r| r.path == row.path)
        .and_then(|i| USAGES.get(i))
        .cloned()
        .unwrap_or_else(|| usage(row));
    if usage.len() < COLUMN {
        return format!("{usage:<COLUMN$}{}\n", row.help);
    }
    let mut out = layout::wrap(&usage, 0, 6);
    out.push_str(&layout::wrap(row.help, COLUMN, COLUMN));
    out
}

/// What the last word of `line` can become; the word after it, when the line ends in a blank. Sorted, each once.
///
/// Keywords, and the names that fit at that place. Nothing for a line that is wrong before.
pub fn complete(line: &str, op: &dyn Operator) -> Vec<String> {
    let cut = line.rfind([' ', '\t']).map_or(0, |i| i.saturating_add(1));
    let (front, last) = line.split_at_checked(cut).unwrap_or((line, ""));
    let Ok(words) = line::words(front) else { return Vec::new() };
    let mut out = candidates(&words, op);
    let typed = front.split_ascii_whitespace().count();
    if typed == 0 || (typed == 1 && words.first().is_some_and(|w| "show".starts_with(w) && w.len() > 1)) {
        out.push("maglev".into());
    }
    out.retain(|c| c.starts_with(last));
    out.sort();
    out.dedup();
    out
}

fn candidates(words: &[&str], op: &dyn Operator) -> Vec<String> {
    let words =
        if words.first().is_some_and(|w| is_help(w)) { words.get(1..).unwrap_or_default() } else { words };
    let Ok((rows, depth)) = narrow(words) else { return Vec::new() };
    let keys = keywords_at(&rows, depth);
    if !keys.is_empty() {
        return keys.iter().map(|k| (*k).to_owned()).collect();
    }
    let [row] = rows.as_slice() else { return Vec::new() };
    let rest = words.get(depth..).unwrap_or_default();
    let parts = flat(row.rest);
    let mut out = Vec::new();
    let optional = match parts.get(rest.len()) {
        Some((Part::Key(k), optional)) => {
            out.push((*k).to_owned());
            *optional
        }
        Some((Part::Arg(a), optional)) => {
            out.extend(values(*a, rest, op));
            *optional
        }
        Some((Part::Opt(_), _)) => false,
        None => rest.len() == parts.len(),
    };
    // Where a group of optional words may begin, the line may also end.
    let group_begins = rest.len() == parts.len()
        || !rest.len().checked_sub(1).and_then(|i| parts.get(i)).is_some_and(|(_, o)| *o);
    if row.json && optional && group_begins && rest.last() != Some(&"json") {
        out.push("json".into());
    }
    out
}

fn values(a: Arg, before: &[&str], op: &dyn Operator) -> Vec<String> {
    let owned = |v: &[&str]| v.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    // Of `set frontend <f> pool <p> backend <b>`.
    let frontend = || before.first().and_then(|f| op.frontends().into_iter().find(|v| v.name == *f));
    match a {
        Arg::Backend => match (before.get(1), before.get(2)) {
            (Some(_), Some(pool)) => frontend()
                .and_then(|f| f.pools.into_iter().find(|p| p.name == *pool))
                .map(|p| p.backends.into_iter().map(|b| b.name).collect())
                .unwrap_or_default(),
            (_, _) => op.names(NameKind::Backend),
        },
        Arg::Frontend => op.names(NameKind::Frontend),
        Arg::Healthcheck => op.names(NameKind::Healthcheck),
        Arg::Pool => frontend().map(|f| f.pools.into_iter().map(|p| p.name).collect()).unwrap_or_default(),
        Arg::Verb => owned(&verbs::first()),
        Arg::VerbWord => before.get(1).map(|verb| owned(&verbs::second(verb))).unwrap_or_default(),
        Arg::Weight => vec!["default".into()],
        Arg::Address | Arg::Port | Arg::DestinationPort | Arg::Path | Arg::Count => Vec::new(),
    }
}
