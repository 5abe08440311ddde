use proptest::prelude::*;

use super::*;
use crate::config::Pattern;

fn check(regexp: &str) -> HttpCheck {
    let regexp = (!regexp.is_empty()).then(|| Pattern::new(regexp).unwrap());
    HttpCheck { regexp, codes: vec![(200, 204), (301, 301)], ..HttpCheck::default() }
}

/// The outcome, after the close if that is what it takes, or none and whether a close would give one.
fn read(check: &HttpCheck, data: &[u8], piece: usize) -> (Option<Outcome>, Outcome) {
    let mut r = Reader::default();
    for p in data.chunks(piece.max(1)) {
        if let Some(o) = r.push(check, p) {
            assert_eq!(r.push(check, b"more"), Some(o.clone()), "an outcome is final");
            return (Some(o.clone()), r.eof(check));
        }
        assert!(r.held() <= HEAD_MAX + BODY_MAX);
    }
    (None, r.eof(check))
}

fn said(o: &Outcome) -> String {
    format!("{} {}", o.code.as_str(), o.detail)
}

#[test]
fn table() {
    // Response, regular expression, outcome before the close ("" for none yet), outcome at the close.
    let rows: &[(&str, &str, &str, &str)] = &[
        ("HTTP/1.1 200 OK\r\n\r\n", "", "L7OK HTTP 200", "L7OK HTTP 200"),
        ("HTTP/1.0 204 No Content\n\n", "", "L7OK HTTP 204", "L7OK HTTP 204"),
        ("HTTP/1.1 301\r\n\r\n", "", "L7OK HTTP 301", "L7OK HTTP 301"),
        ("HTTP/1.1 503 Gone fishing\r\n\r\n", "", "L7STS HTTP 503", "L7STS HTTP 503"),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n", "x", "L7STS HTTP 404", "L7STS HTTP 404"),
        ("HTTP/1.1 000 x\r\n\r\n", "", "L7STS HTTP 000", "L7STS HTTP 000"),
        ("HTTP/1.1 200 OK\r\nA: b\r\n", "", "", "L7RSP closed within the headers"),
        ("", "", "", "L7RSP closed without a response"),
        ("SSH-2.0-OpenSSH_9\r\n", "", "L7RSP not an HTTP response", "L7RSP not an HTTP response"),
        ("\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "", "L7RSP not an HTTP response", "L7RSP not an HTTP response"),
        ("HTTP/1.1 abc\r\n\r\n", "", "L7RSP malformed response", "L7RSP malformed response"),
        ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "", "L7RSP malformed response", "L7RSP malformed response"),
        // Interim responses.
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            "",
            "L7OK HTTP 200",
            "L7OK HTTP 200",
        ),
        ("HTTP/1.1 100 Continue\r\n\r\n", "", "", "L7RSP closed within the headers"),
        ("HTTP/1.1 101 Switching\r\n\r\n", "", "L7STS HTTP 101", "L7STS HTTP 101"),
        // Bodies: by length.
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "^hello$", "L7OK HTTP 200", "L7OK HTTP 200"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, I go on",
            "^hello$",
            "L7OK HTTP 200",
            "L7OK HTTP 200",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhellx",
            "hello",
            "L7RSP body does not match",
            "L7RSP body does not match",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", "hell", "", "L7RSP closed within the body"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "^$", "L7OK HTTP 200", "L7OK HTTP 200"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\nContent-Length: 5\r\n\r\nhello",
            "hello",
            "L7OK HTTP 200",
            "L7OK HTTP 200",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "x",
            "L7RSP bad Content-Length",
            "L7RSP bad Content-Length",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "x",
            "L7RSP bad Content-Length",
            "L7RSP bad Content-Length",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "x",
            "L7RSP bad Content-Length",
            "L7RSP bad Content-Length",
        ),
        // A length that does not matter is not looked at.
        ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "", "L7OK HTTP 200", "L7OK HTTP 200"),
        // Bodies: until the close.
        ("HTTP/1.1 200 OK\r\n\r\nhello", "^hello$", "", "L7OK HTTP 200"),
        ("HTTP/1.1 200 OK\r\n\r\nhello", "^hell$", "", "L7RSP body does not match"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nhello", "hello", "", "L7OK HTTP 200"),
        // Bodies: chunked, which beats a length.
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
            "^hello$",
            "L7OK HTTP 200",
            "L7OK HTTP 200",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n",
            "hello",
            "",
            "L7RSP closed within the body",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello",
            "hello",
            "L7RSP malformed chunked body",
            "L7RSP malformed chunked body",
        ),
        // No body.
        ("HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", "^$", "L7OK HTTP 204", "L7OK HTTP 204"),
    ];
    for (data, regexp, before, at_close) in rows {
        for piece in [1, 2, 7, usize::MAX] {
            let (open, closed) = read(&check(regexp), data.as_bytes(), piece);
            assert_eq!(open.map(|o| said(&o)).unwrap_or_default(), *before, "{data:?} {regexp:?}");
            assert_eq!(said(&closed), *at_close, "{data:?} {regexp:?}");
        }
    }
}

#[test]
fn a_404_that_disables() {
    let rows: &[(&str, &str, &str)] = &[
        ("HTTP/1.1 404 Not Found\r\n\r\n", "", "L7OKC HTTP 404"),
        ("HTTP/1.0 404\n\n", "x", "L7OKC HTTP 404"),
        // Its body is not looked at, nor is what announces it.
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello", "^bye$", "L7OKC HTTP 404"),
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n",
            "x",
            "L7OKC HTTP 404",
        ),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: -1\r\n\r\n", "x", "L7OKC HTTP 404"),
        (
            "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "x",
            "L7OKC HTTP 404",
        ),
        ("HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\ngarbage", "x", "L7OKC HTTP 404"),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\n", "", "L7OKC HTTP 404"),
        // The head must be whole and well.
        ("HTTP/1.1 404 Not Found\r\n", "", "L7RSP closed within the headers"),
        ("HTTP/1.1 404 Not Found\r\nno colon\r\n\r\n", "", "L7RSP malformed response"),
        // The other codes are as ever.
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "", "L7STS HTTP 403"),
        ("HTTP/1.1 410 Gone\r\n\r\n", "", "L7STS HTTP 410"),
        ("HTTP/1.1 200 OK\r\n\r\n", "", "L7OK HTTP 200"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "^bye$", "L7RSP body does not match"),
    ];
    for (data, regexp, want) in rows {
        for piece in [1, 2, 7, usize::MAX] {
            let c = HttpCheck { disable_on_404: true, ..check(regexp) };
            assert_eq!(said(&read(&c, data.as_bytes(), piece).1), *want, "{data:?} {regexp:?}");
            // Without it, 404 is a code as any other.
            let want = want.replace("L7OKC", "L7STS");
            assert_eq!(said(&read(&check(regexp), data.as_bytes(), piece).1), want, "{data:?} {regexp:?}");
        }
    }
    // As soon as the head is whole.
    let c = HttpCheck { disable_on_404: true, ..check("x") };
    let open = read(&c, b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n", 3).0;
    assert_eq!(said(&open.unwrap()), "L7OKC HTTP 404");
    let head = HttpCheck { method: "HEAD".into(), ..c };
    assert_eq!(said(&read(&head, b"HTTP/1.1 404 Not Found\r\n\r\n", 3).0.unwrap()), "L7OKC HTTP 404");
}

#[test]
fn head_requests_have_no_body() {
    let c = HttpCheck { method: "HEAD".into(), ..check("^$") };
    let (o, _) = read(&c, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 3);
    assert_eq!(o.unwrap().code, Code::L7Ok);
}

#[test]
fn a_head_ends_at_its_limit() {
    let head = |n: usize| {
        let mut d = b"HTTP/1.1 200 OK\r\nX: ".to_vec();
        d.resize(n - 4, b'x');
        d.extend_from_slice(b"\r\n\r\n");
        d
    };
    for piece in [1, 1000, usize::MAX] {
        assert_eq!(said(&read(&check(""), &head(HEAD_MAX), piece).1), "L7OK HTTP 200");
        assert_eq!(said(&read(&check(""), &head(HEAD_MAX + 1), piece).1), "L7RSP headers too long");
    }
}

#[test]
fn headers_are_counted() {
    let head = |n: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(n));
    assert_eq!(said(&read(&check(""), head(HEADERS_MAX).as_bytes(), 99).1), "L7OK HTTP 200");
    assert_eq!(said(&read(&check(""), head(HEADERS_MAX + 1).as_bytes(), 99).1), "L7RSP too many headers");
}

#[test]
fn interim_responses_are_counted() {
    let flood = |n: u32| "HTTP/1.1 100 Continue\r\n\r\n".repeat(n as usize) + "HTTP/1.1 200 OK\r\n\r\n";
    assert_eq!(said(&read(&check(""), flood(INTERIM_MAX).as_bytes(), 5).1), "L7OK HTTP 200");
    let o = read(&check(""), flood(INTERIM_MAX + 1).as_bytes(), 5).1;
    assert_eq!(said(&o), "L7RSP too many interim responses");
}

#[test]
fn a_giant_body_is_judged_at_the_cap() {
    for head in ["Content-Length: 999999\r\n", "", "Transfer-Encoding: chunked\r\n"] {
        let mut data = format!("HTTP/1.1 200 OK\r\n{head}\r\n").into_bytes();
        if head.starts_with('T') {
            data.extend_from_slice(b"fffff\r\n");
        }
        let start = data.len();
        data.resize(start + BODY_MAX, b'x');
        data.extend_from_slice(b"late");
        for piece in [4096, usize::MAX] {
            assert_eq!(said(&read(&check("x"), &data, piece).0.unwrap()), "L7OK HTTP 200");
            let o = read(&check("late"), &data, piece).0.unwrap();
            assert_eq!(said(&o), "L7RSP body does not match");
        }
    }
}

/// Bytes that look enough like HTTP to get far.
fn like_http() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        4 => Just(&b"HTTP/1.1 200 OK\r\n"[..]),
        1 => Just(&b"HTTP/1.1 100 Continue\r\n\r\n"[..]),
        1 => Just(&b"HTTP/1.1 503 No\r\n"[..]),
        2 => Just(&b"Content-Length: 5\r\n"[..]),
        2 => Just(&b"Transfer-Encoding: chunked\r\n"[..]),
        4 => Just(&b"\r\n"[..]),
        2 => Just(&b"\n"[..]),
        2 => Just(&b"5\r\nhello\r\n"[..]),
        2 => Just(&b"0\r\n\r\n"[..]),
        1 => Just(&b"\xff"[..]),
        1 => Just(&b"hello"[..]),
    ];
    proptest::collection::vec(word, 0..12).prop_map(|w| w.concat())
}

proptest! {
    #[test]
    fn any_bytes_any_split_same_outcome(
        data in prop_oneof![like_http(), proptest::collection::vec(any::<u8>(), 0..300)],
        prefix in any::<bool>(), pieces in 1usize..40, body in any::<bool>(),
    ) {
        let mut all = if prefix { b"HTTP/1.1 200 OK\r\n".to_vec() } else { Vec::new() };
        all.extend_from_slice(&data);
        let c = check(if body { "h.*o" } else { "" });
        let whole = read(&c, &all, usize::MAX);
        prop_assert_eq!(read(&c, &all, pieces), whole.clone());
        prop_assert_eq!(read(&c, &all, 1), whole.clone());
        prop_assert!(whole.1.detail.len() <= crate::probe::text::DETAIL_MAX);
    }
}

#[test]
fn a_response_that_there_is_no_memory_for_says_nothing_about_the_backend() {
    let full = crate::budget::Budget::new("bodies", 0);
    let check = check("yes");
    let body = "n".repeat(BODY_MAX);
    let header = format!("HTTP/1.1 200 OK\r\nX: {}\r\n", "x".repeat(HEAD_MAX - 100));
    for (first, then) in [
        ("HTTP/1.1 200 OK\r\n\r\n".to_owned(), body.clone()),
        (format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY_MAX}\r\n\r\n"), body.clone()),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            format!("{BODY_MAX:x}\r\n{body}"),
        ),
        ("HTTP/1.1 ".to_owned(), header.replacen("HTTP/1.1 ", "", 1)),
    ] {
        let mut r = Reader::within(&full);
        assert_eq!(r.push(&check, first.as_bytes()), None);
        let outcome = then.as_bytes().chunks(1000).find_map(|p| r.push(&check, p)).unwrap();
        assert_eq!(outcome.code.verdict(), crate::probe::Verdict::OurFault, "{outcome:?}");
        assert!(outcome.detail.contains("no memory left"), "{outcome:?}");
        assert_eq!(r.push(&check, b"yes"), Some(outcome.clone()), "an outcome is final");
        assert_eq!(r.eof(&check), outcome);
    }
    // What honest servers send has room all the same.
    let mut r = Reader::within(&full);
    let small = format!("HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n{}yes", "n".repeat(2997));
    let outcome = small.as_bytes().chunks(100).find_map(|p| r.push(&check, p)).unwrap();
    assert_eq!(said(&outcome), "L7OK HTTP 200");
}
