//! A regular expression out of the configuration, on a body that a hostile server made for it.
//!
//! Two bytes: the expression's length. One: how often the rest is repeated.

use maglev::config::{CheckKind, HttpCheck, parse};
use maglev::probe::expect::{ANSWER_MAX, Expect};
use maglev::probe::http::Reader;
use maglev::probe::http::parser::BODY_MAX;

use super::choice;

pub fn run(data: &[u8]) {
    let (high, data) = choice(data);
    let (low, data) = choice(data);
    let (times, data) = choice(data);
    let (source, seed) = data.split_at((high * 256 + low).min(data.len()));
    let Ok(source) = std::str::from_utf8(source) else { return };
    // As JSON it is YAML, whatever it has.
    let quoted = serde_json::to_string(source).unwrap();
    let text =
        format!("maglev: {{healthchecks: {{h: {{type: tcp, port: 1, params: {{expect: {quoted}}}}}}}}}");
    let Ok(parsed) = parse(&text) else { return };
    let Some(CheckKind::Tcp(check)) = parsed.config.healthchecks.values().next().map(|h| &h.kind) else {
        panic!("another kind")
    };
    let pattern = check.expect.as_ref().expect("it was configured");
    assert_eq!(pattern.source, source);

    let body = seed.repeat(1 << (times % 17));
    let body = &body[..body.len().min(BODY_MAX + 1)];
    let found = pattern.is_match(&body[..body.len().min(BODY_MAX)]);
    let http = HttpCheck { regexp: Some(pattern.clone()), ..HttpCheck::default() };
    let mut reader = Reader::default();
    let early = reader.push(&http, b"HTTP/1.1 200 OK\r\n\r\n").or_else(|| reader.push(&http, body));
    let outcome = early.unwrap_or_else(|| reader.eof(&http));
    assert_eq!(outcome.code.as_str(), if found { "L7OK" } else { "L7RSP" });

    // In pieces: tried again and again, within limits.
    assert_eq!(ANSWER_MAX, BODY_MAX);
    let mut expect = Expect::default();
    let early = body.chunks(1 + times).find_map(|part| expect.push(pattern, part));
    let _ = early.unwrap_or_else(|| expect.eof(pattern));
}
