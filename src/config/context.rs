//! What the parts of the schema share: the lists of issues, and getters that check types and ranges.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::issue::{Issues, Pos, quote};
use super::pattern::{Pattern, PatternError, Patterns};
use super::scalar;
use super::tls::Trusts;
use super::yaml::{Body, Entry, Node, Scalar};
use crate::Name;
use crate::budget::Budgets;
use crate::nearest::suggestion;

/// The longest word for which a suggestion is looked for; no key or name is longer.
const MAX_HINT: usize = 64;
/// Letter comparisons that suggestions may cost over a whole file.
const HINT_BUDGET: u64 = 20_000_000;
/// Bytes that one regular expression may be long: compiling takes time even where the result is small enough.
const MAX_PATTERN: usize = 16 << 10;
/// Different regular expressions in one file.
const MAX_PATTERNS: usize = 1000;

/// A value and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<T> {
    /// Where.
    pub(super) pos: Pos,
    /// What.
    pub(super) value: T,
}

/// A mapping that is being read.
#[derive(Clone, Copy)]
pub(super) struct Map<'n> {
    /// Where the thing is named: its key, for "lacks" messages.
    pub(super) pos: Pos,
    /// In the file's order.
    pub(super) entries: &'n [Entry],
}

/// The value of a key; never null, which counts as not given.
#[derive(Clone, Copy)]
pub(super) struct Item<'n> {
    /// The key.
    pub(super) key: &'n str,
    /// Where the key stands.
    pub(super) key_pos: Pos,
    /// The value.
    pub(super) node: &'n Node,
}

impl<'n> Map<'n> {
    /// The value of a key, if it is given and not null.
    pub(super) fn get(&self, key: &str) -> Option<Item<'n>> {
        let entry = self.entries.iter().find(|e| &*e.key == key)?;
        Item::of(entry)
    }
}

impl<'n> Item<'n> {
    /// The value of an entry, unless it is null.
    pub(super) fn of(entry: &'n Entry) -> Option<Item<'n>> {
        let item = Item { key: &entry.key, key_pos: entry.pos, node: &entry.value };
        (!entry.value.is_null()).then_some(item)
    }

    /// Where the value stands.
    pub(super) fn pos(&self) -> Pos {
        self.node.pos
    }
}

/// Everything that reading a file gathers besides the values.
pub(super) struct Context {
    /// What makes the file invalid.
    pub(super) errors: Issues,
    /// What does not.
    pub(super) warnings: Issues,
    budget: u64,
    patterns: Patterns,
    /// By source; none: it was complained about.
    compiled: HashMap<String, Option<Pattern>>,
    /// There is no memory for more expressions, and that was said.
    out_of_room: bool,
    /// Whom the checks trust.
    pub(super) trusts: Trusts,
}

impl Context {
    /// Nothing yet; what is made is taken from those budgets.
    pub(super) fn new(budgets: &Budgets) -> Context {
        Context {
            errors: Issues::default(),
            warnings: Issues::default(),
            budget: HINT_BUDGET,
            patterns: Patterns::new(budgets),
            compiled: HashMap::new(),
            out_of_room: false,
            trusts: Trusts::new(budgets),
        }
    }

    /// An error at a place.
    pub(super) fn error(&mut self, pos: Pos, message: impl Into<String>) {
        self.errors.push(pos, message);
    }

    /// A warning at a place.
    pub(super) fn warn(&mut self, pos: Pos, message: impl Into<String>) {
        self.warnings.push(pos, message);
    }

    /// `, did you mean ...?`, or nothing.
    pub(super) fn hint<'a>(
        &mut self,
        word: &str,
        candidates: impl IntoIterator<Item = &'a str, IntoIter: Clone>,
    ) -> String {
        if word.len() > MAX_HINT || self.budget == 0 {
            return String::new();
        }
        let candidates = candidates.into_iter();
        let letters: u64 = candidates.clone().map(|c| c.len() as u64).sum();
        let cost = letters.saturating_mul(word.len() as u64);
        if cost > self.budget {
            // Counting the letters was work as well.
            self.budget = self.budget.saturating_sub(letters);
            return String::new();
        }
        self.budget -= cost;
        suggestion(word, candidates).map_or_else(String::new, |s| format!(", did you mean `{s}`?"))
    }

    /// Reports every key that is not one of `known`.
    pub(super) fn keys(&mut self, map: &Map<'_>, known: &[&str]) {
        for e in map.entries {
            if !known.contains(&&*e.key) {
                let hint = self.hint(&e.key, known.iter().copied());
                self.error(e.pos, format!("unknown key {}{hint}", quote(&e.key)));
            }
        }
    }

    /// A mapping; null is an empty one.
    pub(super) fn map<'n>(&mut self, entry: &'n Entry) -> Option<Map<'n>> {
        self.map_node(&entry.key, entry.pos, &entry.value)
    }

    /// The mapping under a key of a mapping; none when the key is not there or null.
    pub(super) fn submap<'n>(&mut self, map: &Map<'n>, key: &str) -> Option<Map<'n>> {
        let item = map.get(key)?;
        self.map_node(key, item.key_pos, item.node)
    }

    /// A mapping; null is an empty one.
    pub(super) fn map_node<'n>(&mut self, key: &str, pos: Pos, node: &'n Node) -> Option<Map<'n>> {
        match &node.body {
            Body::Map(entries) => Some(Map { pos, entries }),
            _ if node.is_null() => Some(Map { pos, entries: &[] }),
            Body::Seq(_) | Body::Scalar(_) => {
                self.error(node.pos, format!("{} must be a mapping, not {}", quote(key), describe(node)));
                None
            }
        }
    }

    /// Whether the text may name something; says so if not.
    pub(super) fn name(&mut self, pos: Pos, what: &str, text: &str) -> Option<Name> {
        if scalar::is_name(text) {
            return Some(Name::from(text));
        }
        let why = if text == "json" {
            "is a word of the commands"
        } else {
            "must be 1 to 63 letters, digits and `._:-`, the first a letter or digit"
        };
        self.error(pos, format!("the name {} of a {what} {why}", quote(text)));
        None
    }

    fn wrong(&mut self, item: Item<'_>, expected: &str) {
        let (key, is) = (quote(item.key), describe(item.node));
        self.error(item.pos(), format!("{key} must be {expected}, not {is}"));
    }

    fn scalar<'n>(&mut self, item: Item<'n>, expected: &str) -> Option<&'n Scalar> {
        if let Body::Scalar(s) = &item.node.body {
            return Some(s);
        }
        self.wrong(item, expected);
        None
    }

    /// Text. Numbers and the like count as text, as they do for the Go daemon.
    pub(super) fn text<'n>(&mut self, item: Item<'n>) -> Option<&'n str> {
        self.scalar(item, "text").map(|s| s.text.as_str())
    }

    /// Text that is not empty and without control characters.
    pub(super) fn line<'n>(&mut self, item: Item<'n>) -> Option<&'n str> {
        let text = self.text(item)?;
        if text.is_empty() || text.chars().any(char::is_control) {
            self.wrong(item, "text without control characters");
            return None;
        }
        Some(text)
    }

    /// An integer in a range, both ends included.
    pub(super) fn int(&mut self, item: Item<'_>, low: u32, high: u32) -> Option<u32> {
        let s = self.scalar(item, "an integer")?;
        let Some(value) = Some(s).filter(|s| s.plain).and_then(|s| scalar::parse_int(&s.text)) else {
            self.wrong(item, "an integer");
            return None;
        };
        let found = u32::try_from(value).ok().filter(|v| (low..=high).contains(v));
        if found.is_none() {
            self.wrong(item, &format!("from {low} to {high}"));
        }
        found
    }

    /// A power of two in a range, both ends included.
    pub(super) fn power_of_two(&mut self, item: Item<'_>, high: u32) -> Option<u32> {
        let value = self.int(item, 1, high)?;
        if !value.is_power_of_two() {
            self.wrong(item, "a power of two");
            return None;
        }
        Some(value)
    }

    /// `true` or `false`.
    pub(super) fn bool(&mut self, item: Item<'_>) -> Option<bool> {
        let s = self.scalar(item, "true or false")?;
        let found = Some(s).filter(|s| s.plain).and_then(|s| scalar::parse_bool(&s.text));
        if found.is_none() {
            self.wrong(item, "true or false");
        }
        found
    }

    /// A duration of at least `low`.
    pub(super) fn duration(&mut self, item: Item<'_>, low: Duration) -> Option<Duration> {
        let s = self.scalar(item, "a duration")?;
        match scalar::parse_duration(&s.text) {
            Ok(d) if d < low => {
                let low = if low <= Duration::from_nanos(1) {
                    "above 0".to_owned()
                } else {
                    format!("at least {}", scalar::format_duration(low))
                };
                self.wrong(item, &low);
                None
            }
            Ok(d) => Some(d),
            Err(why) => {
                self.error(item.pos(), format!("{}: {} {why}", quote(item.key), quote(&s.text)));
                None
            }
        }
    }

    /// A percentage in a range.
    pub(super) fn percent(&mut self, item: Item<'_>, low: f64, high: f64) -> Option<f64> {
        let s = self.scalar(item, "a percentage")?;
        let Some(value) = scalar::parse_percent(&s.text) else {
            self.wrong(item, "a percentage such as `10` or `10%`");
            return None;
        };
        if !(low..=high).contains(&value) {
            self.wrong(item, &format!("from {low} to {high} %"));
            return None;
        }
        Some(value)
    }

    /// A percentage without a fraction, in a range, both ends included.
    pub(super) fn whole_percent(&mut self, item: Item<'_>, low: u8, high: u8) -> Option<u8> {
        let value = self.percent(item, f64::from(low), f64::from(high))?;
        let found = (low..=high).find(|n| f64::from(*n) == value);
        if found.is_none() {
            self.wrong(item, "a whole number of percent");
        }
        found
    }

    /// One of a few words.
    pub(super) fn word(&mut self, item: Item<'_>, words: &[&'static str]) -> Option<&'static str> {
        let list = words.join(", ");
        let s = self.scalar(item, &format!("one of {list}"))?;
        let found = words.iter().find(|w| **w == s.text).copied();
        if found.is_none() {
            let hint = self.hint(&s.text, words.iter().copied());
            let key = quote(item.key);
            self.error(item.pos(), format!("{key} must be one of {list}, not {}{hint}", quote(&s.text)));
        }
        found
    }

    /// An address that a host can have.
    pub(super) fn address(&mut self, item: Item<'_>) -> Option<IpAddr> {
        let s = self.scalar(item, "an IPv4 or IPv6 address")?;
        let Ok(address) = s.text.parse::<IpAddr>() else {
            self.wrong(item, "an IPv4 or IPv6 address");
            return None;
        };
        self.usable(item, address)
    }

    /// An IPv4 address that a host can have.
    pub(super) fn ipv4(&mut self, item: Item<'_>) -> Option<Ipv4Addr> {
        let s = self.scalar(item, "an IPv4 address")?;
        let Ok(address) = s.text.parse::<Ipv4Addr>() else {
            self.wrong(item, "an IPv4 address");
            return None;
        };
        self.usable(item, address.into()).map(|_| address)
    }

    /// An IPv6 address that a host can have.
    pub(super) fn ipv6(&mut self, item: Item<'_>) -> Option<Ipv6Addr> {
        let s = self.scalar(item, "an IPv6 address")?;
        let Ok(address) = s.text.parse::<Ipv6Addr>() else {
            self.wrong(item, "an IPv6 address");
            return None;
        };
        self.usable(item, address.into()).map(|_| address)
    }

    fn usable(&mut self, item: Item<'_>, address: IpAddr) -> Option<IpAddr> {
        let why = match address {
            a if a.is_unspecified() => "the unspecified address",
            a if a.is_multicast() => "a multicast address",
            IpAddr::V4(a) if a.is_broadcast() => "the broadcast address",
            IpAddr::V4(_) | IpAddr::V6(_) => return Some(address),
        };
        self.error(
            item.pos(),
            format!("{} must be a host's address, and {address} is {why}", quote(item.key)),
        );
        None
    }

    /// A regular expression, compiled within a size limit.
    pub(super) fn pattern(&mut self, item: Item<'_>) -> Option<Pattern> {
        let source = self.text(item)?;
        if source.len() > MAX_PATTERN {
            let key = quote(item.key);
            self.error(item.pos(), format!("{key}: a regular expression longer than {MAX_PATTERN} bytes"));
            return None;
        }
        if !self.compiled.contains_key(source) {
            if self.compiled.len() >= MAX_PATTERNS {
                let message = format!("more than {MAX_PATTERNS} different regular expressions");
                self.error(item.pos(), message);
                return None;
            }
            let made = self.patterns.compile(source);
            let of_itself = !matches!(made, Err(PatternError::TooManyBytes | PatternError::NoRoom));
            let made = self.made(item, made);
            if of_itself {
                self.compiled.insert(source.to_owned(), made);
            }
        } else if self.compiled.get(source).is_some_and(Option::is_none) {
            self.error(item.pos(), format!("{}: bad regular expression {}", quote(item.key), quote(source)));
        }
        self.compiled.get(source)?.clone()
    }

    /// The pattern of these bytes, which are written in the file as the item's text.
    pub(super) fn literal(&mut self, item: Item<'_>, bytes: &[u8]) -> Option<Pattern> {
        let source = self.text(item)?;
        let made = self.patterns.literal(source, bytes);
        self.made(item, made)
    }

    fn made(&mut self, item: Item<'_>, made: Result<Pattern, PatternError>) -> Option<Pattern> {
        let (key, source) = (quote(item.key), self.text(item).map(quote).unwrap_or_default());
        match made {
            Ok(pattern) => return Some(pattern),
            Err(why @ (PatternError::TooLarge | PatternError::Malformed(_))) => {
                self.error(item.pos(), format!("{key}: bad regular expression {source}: {why}"));
            }
            // Said once: all that follow have the same reason.
            Err(why @ (PatternError::TooManyBytes | PatternError::NoRoom)) => {
                if !std::mem::replace(&mut self.out_of_room, true) {
                    self.error(item.pos(), format!("{key}: {why}"));
                }
            }
        }
        None
    }
}

/// What a node is, for "must be ..., not ...".
fn describe(node: &Node) -> String {
    match &node.body {
        Body::Scalar(s) => quote(&s.text),
        Body::Seq(_) => "a list".into(),
        Body::Map(_) => "a mapping".into(),
    }
}
