//! The response to an `http` check. The first byte chooses the check, the second how the response comes in pieces.

use maglev::config::{HttpCheck, Pattern};
use maglev::probe::held::Held;
use maglev::probe::http::Reader;
use maglev::probe::http::chunked::{Decoder, Fed};
use maglev::probe::http::parser::{BODY_MAX, HEAD_MAX};
use maglev::probe::{Code, Outcome};

use super::{check_outcome, choice};

const MAY_BE: &[Code] = &[Code::L7Ok, Code::L7Okc, Code::L7Sts, Code::L7Rsp];

pub fn run(data: &[u8]) {
    let (kind, data) = choice(data);
    let (piece, data) = choice(data);
    let check = check(kind);
    let whole = read(&check, data, usize::MAX);
    assert_eq!(read(&check, data, piece + 1), whole, "in pieces of {}", piece + 1);
    check_outcome(&whole.1, MAY_BE);
    chunked(data, piece);
}

fn check(kind: usize) -> HttpCheck {
    const PATTERNS: [&str; 4] = ["", "^ok", "h.*o", "(?s)a.*z$"];
    let source = PATTERNS[kind % PATTERNS.len()];
    let pattern = || Pattern::new(source).unwrap();
    HttpCheck {
        method: if kind & 4 == 0 { "GET" } else { "HEAD" }.into(),
        codes: if kind & 8 == 0 { vec![(200, 200)] } else { vec![(100, 299), (404, 404), (500, 599)] },
        regexp: (!source.is_empty()).then(pattern),
        ..HttpCheck::default()
    }
}

/// What was certain before the peer closed, and what is when it has.
fn read(check: &HttpCheck, data: &[u8], piece: usize) -> (Option<Outcome>, Outcome) {
    let mut reader = Reader::default();
    let mut early = None;
    for part in data.chunks(piece) {
        early = reader.push(check, part);
        assert!(reader.held() <= HEAD_MAX + BODY_MAX, "{} bytes held", reader.held());
        if let Some(outcome) = &early {
            // What comes later changes nothing.
            assert_eq!(reader.push(check, b"HTTP/1.1 200 OK\r\n\r\n").as_ref(), Some(outcome));
            break;
        }
    }
    let last = reader.eof(check);
    if let Some(outcome) = &early {
        assert_eq!(outcome, &last);
    }
    (early, last)
}

/// A chunked body alone gives the same in pieces, and never more than its cap.
fn chunked(data: &[u8], piece: usize) {
    let cap = piece * 16;
    let decode = |piece: usize| {
        let (mut decoder, mut body) = (Decoder::default(), Held::default());
        let end =
            data.chunks(piece).map(|part| decoder.feed(part, &mut body, cap)).find(|fed| *fed != Fed::More);
        assert!(body.len() <= cap);
        (end, body.to_vec())
    };
    assert_eq!(decode(piece + 1), decode(usize::MAX));
}
