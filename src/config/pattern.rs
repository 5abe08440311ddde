//! Regular expressions of a configuration: bounded in size, in the time that a match takes, and in memory, all of them
//! together.
//!
//! The engine is that of the crate `regex`, without its cover: that one tells nobody how much memory an expression takes, and
//! keeps the scratch memory of every expression that was ever used, up to some 2 MiB each.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use regex_automata::Input;
use regex_automata::meta::{BuildError, Cache, Config, Regex};
use regex_automata::util::syntax;
use regex_syntax::hir::{Hir, HirKind};

use crate::budget::{Budget, Budgets, EXPRESSIONS_OF_ONE, Reservation, size};

/// Bytes that one compiled regular expression may take.
const REGEX_SIZE: usize = 1 << 20;
/// Places of one regular expression, repetitions written out, that a match may be in at once. Each costs about half a
/// millisecond in 64 KiB of what a hostile server makes for it, and the prober has one thread.
const MAX_POSITIONS: usize = 1024;
/// What an expression takes besides what its engine tells.
const OVERHEAD: usize = 4 << 10;

/// A compiled regular expression (linear-time engine), equal when its source is.
#[derive(Clone)]
pub struct Pattern {
    /// As written in the file.
    pub source: String,
    compiled: Arc<Compiled>,
}

/// Shared by all checks that have the expression.
struct Compiled {
    regex: Regex,
    /// Of [`Budgets::expressions`].
    _size: Reservation,
    /// The engine's scratch memory between two matches.
    kept: Mutex<Option<Kept>>,
    matching: Arc<Budget>,
}

struct Kept {
    cache: Cache,
    /// Of [`Budgets::matching`].
    size: Reservation,
}

/// Why there is no [`Pattern`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The expression alone is too large, or a match could take too long.
    #[error("too large")]
    TooLarge,
    /// No regular expression, in words.
    #[error("{0}")]
    Malformed(String),
    /// All expressions of the configuration together.
    #[error("all regular expressions together take more than {}", size(EXPRESSIONS_OF_ONE))]
    TooManyBytes,
    /// This configuration and those that were before it, which are still in use.
    #[error("no memory for it beside the expressions of the configurations before; try again")]
    NoRoom,
}

impl Pattern {
    /// Compiles an expression on its own.
    ///
    /// # Errors
    /// It is malformed or too large.
    pub fn new(source: &str) -> Result<Pattern, PatternError> {
        Patterns::new(&Budgets::default()).compile(source)
    }

    /// Whether it matches anywhere in `bytes`.
    pub fn is_match(&self, bytes: &[u8]) -> bool {
        self.compiled.is_match(bytes)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.source).finish()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Compiled {
    fn is_match(&self, bytes: &[u8]) -> bool {
        let input = Input::new(bytes).earliest(true);
        let Some(mut kept) = self.kept.try_lock() else {
            // Another thread matches; only the prober's does so usually.
            return self.regex.search_half_with(&mut self.regex.create_cache(), &input).is_some();
        };
        if let Some(k) = kept.as_mut() {
            let found = self.regex.search_half_with(&mut k.cache, &input).is_some();
            if !k.size.resize(k.cache.memory_usage().saturating_add(OVERHEAD)) {
                *kept = None;
            }
            return found;
        }
        let mut cache = self.regex.create_cache();
        let found = self.regex.search_half_with(&mut cache, &input).is_some();
        let size = self.matching.reserve(cache.memory_usage().saturating_add(OVERHEAD));
        *kept = size.map(|size| Kept { cache, size });
        found
    }
}

/// Compiles the expressions of one configuration.
pub(super) struct Patterns {
    expressions: Arc<Budget>,
    matching: Arc<Budget>,
    /// Bytes that those of this configuration take so far, and may take.
    spent: usize,
    most: usize,
}

impl Patterns {
    pub(super) fn new(budgets: &Budgets) -> Patterns {
        Patterns {
            expressions: budgets.expressions.clone(),
            matching: budgets.matching.clone(),
            spent: 0,
            most: EXPRESSIONS_OF_ONE.min(budgets.expressions.limit()),
        }
    }

    /// Compiles an expression that is neither too large nor too slow.
    pub(super) fn compile(&mut self, source: &str) -> Result<Pattern, PatternError> {
        if let Ok(hir) = regex_syntax::ParserBuilder::new().utf8(false).build().parse(source)
            && positions(&hir) > MAX_POSITIONS
        {
            return Err(PatternError::TooLarge);
        }
        self.build(source, syntax::Config::new().utf8(false), source)
    }

    /// Compiles what matches these bytes alone; `source` is how they are written in the file.
    pub(super) fn literal(&mut self, source: &str, bytes: &[u8]) -> Result<Pattern, PatternError> {
        let literal: String = bytes.iter().map(|b| format!("\\x{b:02x}")).collect();
        self.build(&literal, syntax::Config::new().utf8(false).unicode(false), source)
    }

    fn build(
        &mut self,
        expression: &str,
        syntax: syntax::Config,
        source: &str,
    ) -> Result<Pattern, PatternError> {
        // What is full stays so: to compile hundreds more for nothing would take the loader's time.
        if self.spent >= self.most {
            return Err(PatternError::TooManyBytes);
        }
        let limits = Config::new()
            .nfa_size_limit(Some(REGEX_SIZE))
            .hybrid_cache_capacity(REGEX_SIZE)
            .utf8_empty(false);
        let made = Regex::builder().configure(limits).syntax(syntax).build(expression);
        let regex = made.map_err(|e| words(&e))?;
        let bytes = regex.memory_usage().saturating_add(source.len()).saturating_add(OVERHEAD);
        self.spent = self.spent.saturating_add(bytes);
        if self.spent > self.most {
            self.expressions.count_refusal();
            return Err(PatternError::TooManyBytes);
        }
        let size = self.expressions.reserve(bytes).ok_or(PatternError::NoRoom)?;
        let compiled =
            Compiled { regex, _size: size, kept: Mutex::new(None), matching: self.matching.clone() };
        Ok(Pattern { source: source.to_owned(), compiled: Arc::new(compiled) })
    }
}

fn words(e: &BuildError) -> PatternError {
    if e.size_limit().is_some() {
        return PatternError::TooLarge;
    }
    let text = e.syntax_error().map_or_else(|| e.to_string(), ToString::to_string);
    PatternError::Malformed(last_line(&text))
}

/// The reason in a regexp error, which is a drawing over several lines that ends with it.
fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or_default().trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// In how many places of the expression, repetitions written out, a match may be at once. Recursion is bounded by the
/// parser's nesting limit.
fn positions(hir: &Hir) -> usize {
    let sum = |all: &[Hir]| all.iter().map(positions).fold(0, usize::saturating_add);
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) | HirKind::Class(_) => 1,
        HirKind::Literal(literal) => literal.0.len(),
        HirKind::Capture(inner) => positions(&inner.sub).saturating_add(1),
        HirKind::Repetition(r) => {
            let times = r.max.unwrap_or(r.min.saturating_add(1)).max(1);
            positions(&r.sub).saturating_mul(usize::try_from(times).unwrap_or(usize::MAX))
        }
        HirKind::Concat(all) | HirKind::Alternation(all) => sum(all),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As large as one may be, or nearly so; each number is another expression.
    fn large(n: usize) -> String {
        format!(r"\w{{20}}x{n}")
    }

    fn budgets(expressions: usize, matching: usize) -> Budgets {
        Budgets {
            expressions: Budget::new("expressions", expressions),
            matching: Budget::new("matching", matching),
            ..Budgets::default()
        }
    }

    #[test]
    fn what_an_expression_takes_is_counted_until_its_last_use_ends() {
        let budgets = Budgets::default();
        let mut patterns = Patterns::new(&budgets);
        let small = patterns.compile("^OK$").unwrap();
        let of_small = budgets.expressions.used();
        let first = patterns.compile(&large(1)).unwrap();
        assert!(budgets.expressions.used() > 20 * of_small, "{of_small} {}", budgets.expressions.used());
        let other = first.clone();
        drop((first, patterns));
        assert!(budgets.expressions.used() > 20 * of_small);
        drop(other);
        assert_eq!(budgets.expressions.used(), of_small);
        drop(small);
        assert_eq!(budgets.expressions.used(), 0);
    }

    #[test]
    fn all_expressions_of_a_configuration_together_have_a_limit() {
        let budgets = budgets(4 << 20, 1 << 20);
        let mut patterns = Patterns::new(&budgets);
        let made: Vec<_> = (0..100).map(|n| patterns.compile(&large(n))).collect();
        let good = made.iter().filter(|p| p.is_ok()).count();
        assert!((1..100).contains(&good), "{good}");
        for p in &made[good..] {
            assert_eq!(p.as_ref().err(), Some(&PatternError::TooManyBytes));
        }
        assert!(budgets.expressions.used() <= 4 << 20);
    }

    #[test]
    fn a_configuration_waits_for_those_before_it() {
        let budgets = budgets(1 << 20, 1 << 20);
        let held = budgets.expressions.reserve((1 << 20) - 100).unwrap();
        assert_eq!(Patterns::new(&budgets).compile("a").err(), Some(PatternError::NoRoom));
        drop(held);
        assert!(Patterns::new(&budgets).compile("a").is_ok());
    }

    #[test]
    fn scratch_memory_is_kept_as_long_as_there_is_room_and_matches_are_the_same_without() {
        for room in [0, 100 << 10, 8 << 20] {
            let budgets = budgets(64 << 20, room);
            let mut patterns = Patterns::new(&budgets);
            let all: Vec<_> =
                (0..20).map(|n| patterns.compile(&format!("[a-q][^u-z]{{{n}}}x")).unwrap()).collect();
            for _ in 0..3 {
                for (n, p) in all.iter().enumerate() {
                    let body = format!("zza{}xzz", "b".repeat(n));
                    assert!(p.is_match(body.as_bytes()), "{n}");
                    assert!(!p.is_match(b"zzzz"));
                    assert!(budgets.matching.used() <= room);
                }
            }
            assert_eq!(budgets.matching.used() > 0, room > 0);
            drop(all);
            assert_eq!(budgets.matching.used(), 0);
        }
    }

    #[test]
    fn bytes_are_matched_as_they_are() {
        let mut patterns = Patterns::new(&Budgets::default());
        let p = patterns.literal("0x00ff2e", b"\x00\xff.").unwrap();
        assert!(p.is_match(b"a\x00\xff.b") && !p.is_match(b"\x00\xffx"));
        assert_eq!(p.source, "0x00ff2e");
    }
}
