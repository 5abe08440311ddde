//! The answer to a `tcp` check with `expect`. The first byte chooses the expression, the second how it comes in pieces.

use maglev::config::Pattern;
use maglev::probe::Code;
use maglev::probe::expect::{ANSWER_MAX, Expect};

use super::{check_outcome, choice};

pub fn run(data: &[u8]) {
    // None of them says how the answer must end, so that the pieces do not matter.
    const PATTERNS: [&str; 4] = ["ye+s", "^220 .*ESMTP", "(?-u)\\xff{3}", ""];
    let (kind, data) = choice(data);
    let (piece, data) = choice(data);
    let source = PATTERNS[kind % PATTERNS.len()];
    let pattern = Pattern::new(source).unwrap();
    let read = |piece: usize, end: fn(&mut Expect, &Pattern) -> maglev::probe::Outcome| {
        let mut expect = Expect::default();
        data.chunks(piece)
            .find_map(|part| expect.push(&pattern, part))
            .unwrap_or_else(|| end(&mut expect, &pattern))
    };
    let whole = read(usize::MAX, Expect::eof);
    check_outcome(&whole, &[Code::L7Ok, Code::L7Rsp]);
    assert_eq!(read(piece + 1, Expect::eof), whole);
    let seen = &data[..data.len().min(ANSWER_MAX)];
    assert_eq!(whole.code == Code::L7Ok, pattern.is_match(seen), "{source}");
    let late = read(piece + 1, Expect::timeout);
    check_outcome(&late, &[Code::L7Ok, Code::L7Rsp, Code::L7Tout]);
    // The empty answer is none until the peer has closed.
    assert!((late.code == Code::L7Ok) == (whole.code == Code::L7Ok) || data.is_empty());
}
