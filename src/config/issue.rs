//! What is wrong with a file, and where.

use std::fmt;

/// The most issues of each kind that are kept of one file; the rest is counted.
const MAX_ISSUES: usize = 10_000;

/// A place in the file: line and column, both from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pos {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl Pos {
    /// The start of the file.
    pub const START: Pos = Pos { line: 1, column: 1 };

    /// The place that follows this text.
    pub(super) fn after(text: &str) -> Pos {
        let last = text.rsplit('\n').next().unwrap_or_default();
        let bom = usize::from(last.starts_with('\u{feff}') && last.len() == text.len());
        Pos { line: text.matches('\n').count() + 1, column: last.chars().count() + 1 - bom }
    }
}

/// One error or warning. Shown as `line:column: message`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Issue {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// One line, without the position.
    pub message: String,
}

impl Issue {
    /// An issue at a place.
    pub fn new(pos: Pos, message: impl Into<String>) -> Issue {
        Issue { line: pos.line, column: pos.column, message: message.into() }
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

/// Why a text is no configuration: every error in it, by position.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Errors {
    /// The text is not YAML at all (or beyond the limits on YAML); false: it is, but not a valid configuration.
    pub not_yaml: bool,
    /// By position; never empty.
    pub list: Vec<Issue>,
    /// What would have been warned of besides, by position.
    pub warnings: Vec<Issue>,
}

/// One error a line.
impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, issue) in self.list.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{issue}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// A list of issues that a hostile file cannot grow without end.
#[derive(Debug, Default)]
pub(super) struct Issues {
    list: Vec<Issue>,
    more: usize,
}

impl Issues {
    /// Adds one.
    pub(super) fn push(&mut self, pos: Pos, message: impl Into<String>) {
        if self.list.len() < MAX_ISSUES {
            self.list.push(Issue::new(pos, message));
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    /// True when nothing was added.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All, by position; the last one says how many were dropped, if any were.
    pub(super) fn sorted(mut self) -> Vec<Issue> {
        self.list.sort_by_key(|i| (i.line, i.column));
        if self.more > 0 {
            let at = self.list.last().map_or(Pos::START, |i| Pos { line: i.line, column: i.column });
            self.list.push(Issue::new(at, format!("and {} more", self.more)));
        }
        self.list
    }
}

/// The text in backquotes: one line, control characters escaped, at most 60 characters of it.
pub(super) fn quote(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut out = String::from("`");
    for c in text.chars().take(SHOWN) {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    if text.chars().nth(SHOWN).is_some() {
        out.push('…');
    }
    out.push('`');
    out
}

/// As [`quote`], without the backquotes: for texts that bring their own.
pub(super) fn clip(text: &str) -> String {
    let quoted = quote(text);
    quoted.strip_prefix('`').and_then(|t| t.strip_suffix('`')).unwrap_or(&quoted).to_owned()
}
