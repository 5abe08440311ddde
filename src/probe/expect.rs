//! What a `tcp` check with `expect` reads: pure, bounded, fed in pieces.

use std::sync::Arc;

use super::held::{Held, no_room};
use super::text::fixed;
use super::types::{Code, Outcome};
use crate::budget::Budget;
use crate::config::Pattern;

/// Bytes of the answer that the regular expression sees.
pub const ANSWER_MAX: usize = 64 * 1024;

/// Bytes that one probe may scan while the answer grows. A stream has no end that says when to look, so the
/// expression is tried after each piece; a peer that sends byte by byte could make that quadratic. Beyond this it is
/// tried only when the peer closes, at the limit or at the deadline. An ordinary answer is far below.
pub const SCAN_MAX: usize = 256 * 1024;

/// The reader of one answer.
///
/// The expression is tried on what has come so far, as soon as it comes; so `$` means "at the end of some piece".
#[derive(Debug, Default)]
pub struct Expect {
    seen: Held,
    scanned: usize,
    /// Bytes have come since the expression was last tried.
    untried: bool,
}

impl Expect {
    /// One that holds what it must within that budget; without one, as [`Expect::default`], there is room for all.
    pub fn within(budget: &Arc<Budget>) -> Expect {
        Expect { seen: Held::within(budget), ..Expect::default() }
    }

    /// Takes the next bytes; the outcome once it is certain.
    pub fn push(&mut self, pattern: &Pattern, data: &[u8]) -> Option<Outcome> {
        let room = ANSWER_MAX.saturating_sub(self.seen.len());
        if !self.seen.push(data.get(..data.len().min(room)).unwrap_or_default()) {
            return Some(no_room());
        }
        self.untried = true;
        let full = self.seen.len() >= ANSWER_MAX;
        if (full || self.scanned + self.seen.len() <= SCAN_MAX) && self.matches(pattern) {
            return Some(fixed(Code::L7Ok, ""));
        }
        full.then(|| fixed(Code::L7Rsp, "answer does not match"))
    }

    /// The peer has closed.
    pub fn eof(&mut self, pattern: &Pattern) -> Outcome {
        // What matches the empty answer needs no answer.
        if (self.untried || self.seen.is_empty()) && self.matches(pattern) {
            fixed(Code::L7Ok, "")
        } else if self.seen.is_empty() {
            fixed(Code::L7Rsp, "closed without an answer")
        } else {
            fixed(Code::L7Rsp, "answer does not match")
        }
    }

    /// The deadline has come.
    pub fn timeout(&mut self, pattern: &Pattern) -> Outcome {
        if self.untried && self.matches(pattern) {
            fixed(Code::L7Ok, "")
        } else if self.seen.is_empty() {
            fixed(Code::L7Tout, "no answer in time")
        } else {
            fixed(Code::L7Tout, "no matching answer in time")
        }
    }

    fn matches(&mut self, pattern: &Pattern) -> bool {
        self.untried = false;
        self.scanned += self.seen.len();
        pattern.is_match(&self.seen)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(s: &str) -> Pattern {
        Pattern::new(s).unwrap()
    }

    #[test]
    fn matches_as_soon_as_it_can() {
        let (p, mut e) = (pattern(r"^220 .*ESMTP"), Expect::default());
        assert_eq!(e.push(&p, b"220 mail.exam"), None);
        assert_eq!(e.push(&p, b"ple ESMTP"), Some(fixed(Code::L7Ok, "")));
    }

    #[test]
    fn close_limit_and_deadline() {
        let p = pattern("yes");
        assert_eq!(Expect::default().eof(&p), fixed(Code::L7Rsp, "closed without an answer"));
        assert_eq!(Expect::default().timeout(&p), fixed(Code::L7Tout, "no answer in time"));
        let mut e = Expect::default();
        assert_eq!(e.push(&p, b"no"), None);
        assert_eq!(e.timeout(&p), fixed(Code::L7Tout, "no matching answer in time"));
        assert_eq!(e.eof(&p), fixed(Code::L7Rsp, "answer does not match"));
        assert_eq!(e.push(&p, &[b'n'; ANSWER_MAX]), Some(fixed(Code::L7Rsp, "answer does not match")));
        assert_eq!(e.seen.len(), ANSWER_MAX);
    }

    #[test]
    fn what_lies_beyond_the_limit_is_not_seen() {
        let (p, mut e) = (pattern("yes"), Expect::default());
        let mut data = vec![b'n'; ANSWER_MAX];
        data.extend_from_slice(b"yes");
        assert_eq!(e.push(&p, &data), Some(fixed(Code::L7Rsp, "answer does not match")));
    }

    #[test]
    fn byte_by_byte_costs_a_bounded_scan_and_is_still_found() {
        let (p, mut e) = (pattern("yes$"), Expect::default());
        for _ in 0..20_000 {
            assert_eq!(e.push(&p, b"n"), None);
        }
        assert!(e.scanned <= SCAN_MAX);
        for b in [b"y", b"e", b"s"] {
            assert_eq!(e.push(&p, b), None);
        }
        assert_eq!(e.timeout(&p), fixed(Code::L7Ok, ""));
    }

    #[test]
    fn an_answer_that_there_is_no_memory_for_says_nothing_about_the_backend() {
        let (p, full) = (pattern("yes"), Budget::new("bodies", 0));
        let mut e = Expect::within(&full);
        let outcome = (0..70).find_map(|_| e.push(&p, &[b'n'; 1000])).unwrap();
        assert_eq!(outcome.code, Code::SockErr);
        let mut e = Expect::within(&full);
        assert_eq!(e.push(&p, &[b'n'; 4000]), None);
        assert_eq!(e.push(&p, b"yes"), Some(fixed(Code::L7Ok, "")), "small answers have room");
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same(data in "[xyes]{0,60}", piece in 1usize..9) {
            // Without an anchor at the end, a match of a part is a match of the whole.
            let p = pattern("ye+s");
            let run = |piece: usize| {
                let mut e = Expect::default();
                data.as_bytes().chunks(piece).find_map(|d| e.push(&p, d)).unwrap_or_else(|| e.eof(&p))
            };
            prop_assert_eq!(run(piece), run(usize::MAX));
        }
    }
}
