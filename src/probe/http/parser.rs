//! The answer to an `http` check, read in pieces.
//!
//! What comes out never depends on how the bytes were cut into pieces, and never more is held than one head and
//! one body at their limits.

use std::borrow::Cow;
use std::mem::MaybeUninit;
use std::sync::Arc;

use super::chunked::{Decoder, Fed};
use crate::budget::Budget;
use crate::config::HttpCheck;
use crate::probe::held::{Held, no_room};
use crate::probe::text::fixed;
use crate::probe::types::{Code, Outcome};

/// Bytes of one head: status line, headers, empty line.
pub const HEAD_MAX: usize = 16 * 1024;
/// Headers in one head.
pub const HEADERS_MAX: usize = 100;
/// Interim (1xx) responses before the final one.
pub const INTERIM_MAX: u32 = 16;
/// Bytes of a body that the regular expression sees.
pub const BODY_MAX: usize = 64 * 1024;

/// The reader of one response.
///
/// * A status outside the check's codes is `L7STS`, one inside `L7OK`, as soon as the head is whole.
/// * A 404 is `L7OKC` where the check says so, whatever its body.
/// * With a regular expression the body is read first: to its `Content-Length`, its last chunk or the close of the
///   connection, but no further than [`BODY_MAX`]; a miss is `L7RSP`.
/// * 1xx responses are skipped, but for 101, which nobody asked for and which is final.
/// * All else is `L7RSP`, but for a response that there is no memory for: `SOCKERR`.
#[derive(Debug, Default)]
pub struct Reader {
    state: State,
    /// The part of a head that came without its end.
    head: Held,
    scan: Scan,
    interim: u32,
    status: u16,
    body: Held,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Head,
    Length(u64),
    Chunked(Decoder),
    UntilClose,
    Done(Outcome),
}

enum Framing {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

impl Reader {
    /// One that holds what it must within that budget; without one, as [`Reader::default`], there is room for all.
    pub fn within(budget: &Arc<Budget>) -> Reader {
        Reader { head: Held::within(budget), body: Held::within(budget), ..Reader::default() }
    }

    /// Takes the next bytes of the connection; the outcome once it is certain, and the same one ever after.
    pub fn push(&mut self, check: &HttpCheck, data: &[u8]) -> Option<Outcome> {
        let outcome = self.advance(check, data);
        if let Some(o) = &outcome {
            self.state = State::Done(o.clone());
        }
        outcome
    }

    /// The peer has closed: what that makes of the response.
    pub fn eof(&mut self, check: &HttpCheck) -> Outcome {
        let outcome = match &self.state {
            State::Head if self.scan.count == 0 && self.interim == 0 => {
                fixed(Code::L7Rsp, "closed without a response")
            }
            State::Head => fixed(Code::L7Rsp, "closed within the headers"),
            State::Length(_) | State::Chunked(_) => fixed(Code::L7Rsp, "closed within the body"),
            State::UntilClose => self.judge_body(check),
            State::Done(o) => o.clone(),
        };
        self.state = State::Done(outcome.clone());
        outcome
    }

    /// Bytes held now: bounded by [`HEAD_MAX`] + [`BODY_MAX`].
    pub fn held(&self) -> usize {
        self.head.len() + self.body.len()
    }

    fn advance(&mut self, check: &HttpCheck, mut data: &[u8]) -> Option<Outcome> {
        loop {
            match &mut self.state {
                State::Done(o) => return Some(o.clone()),
                State::Head => match self.scan.feed(data) {
                    Scanned::More => {
                        return (!self.head.push(data)).then(no_room);
                    }
                    Scanned::Bad(why) => return Some(fixed(Code::L7Rsp, why)),
                    Scanned::End(n) => {
                        let (now, later) = data.split_at_checked(n)?;
                        data = later;
                        let framing = if self.head.is_empty() {
                            self.judge_head(check, now)
                        } else {
                            if !self.head.push(now) {
                                return Some(no_room());
                            }
                            let head = self.head.take();
                            self.judge_head(check, &head)
                        };
                        self.scan = Scan::default();
                        match framing {
                            Err(o) => return Some(o),
                            // Interim: another head follows.
                            Ok(None) => {}
                            Ok(Some(Framing::None)) => return Some(self.judge_body(check)),
                            Ok(Some(Framing::Length(0))) => return Some(self.judge_body(check)),
                            Ok(Some(Framing::Length(n))) => self.state = State::Length(n),
                            Ok(Some(Framing::Chunked)) => self.state = State::Chunked(Decoder::default()),
                            Ok(Some(Framing::UntilClose)) => self.state = State::UntilClose,
                        }
                    }
                },
                State::Length(left) => {
                    let want = usize::try_from(*left).unwrap_or(usize::MAX).min(data.len());
                    let Some(taken) = append(&mut self.body, data.get(..want).unwrap_or_default()) else {
                        return Some(no_room());
                    };
                    *left -= taken as u64;
                    let end = *left == 0 || self.body.len() >= BODY_MAX;
                    return end.then(|| self.judge_body(check));
                }
                State::Chunked(decoder) => {
                    return match decoder.feed(data, &mut self.body, BODY_MAX) {
                        Fed::More => None,
                        Fed::Done | Fed::Full => Some(self.judge_body(check)),
                        Fed::Bad => Some(fixed(Code::L7Rsp, "malformed chunked body")),
                        Fed::NoRoom => Some(no_room()),
                    };
                }
                State::UntilClose => {
                    if append(&mut self.body, data).is_none() {
                        return Some(no_room());
                    }
                    return (self.body.len() >= BODY_MAX).then(|| self.judge_body(check));
                }
            }
        }
    }

    /// A whole head: the outcome where it is certain, none after an interim response, else how the body ends.
    fn judge_head(&mut self, check: &HttpCheck, head: &[u8]) -> Result<Option<Framing>, Outcome> {
        let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        match config.parse_response_with_uninit_headers(&mut response, head, &mut headers) {
            Ok(httparse::Status::Complete(_)) => {}
            Err(httparse::Error::TooManyHeaders) => return Err(fixed(Code::L7Rsp, "too many headers")),
            Ok(httparse::Status::Partial) | Err(_) => return Err(fixed(Code::L7Rsp, "malformed response")),
        }
        self.status = response.code.unwrap_or(0);
        if (100..200).contains(&self.status) && self.status != 101 {
            self.interim += 1;
            if self.interim > INTERIM_MAX {
                return Err(fixed(Code::L7Rsp, "too many interim responses"));
            }
            return Ok(None);
        }
        if self.status == 404 && check.disable_on_404 {
            return Err(Outcome { code: Code::L7Okc, detail: Cow::Borrowed("HTTP 404") });
        }
        if !check.codes.iter().any(|(low, high)| (*low..=*high).contains(&self.status)) {
            return Err(Outcome { code: Code::L7Sts, detail: self.status_text() });
        }
        if check.regexp.is_none() {
            return Err(Outcome { code: Code::L7Ok, detail: self.status_text() });
        }
        framing(check, self.status, response.headers).map(Some)
    }

    fn judge_body(&mut self, check: &HttpCheck) -> Outcome {
        match &check.regexp {
            Some(p) if !p.is_match(&self.body) => fixed(Code::L7Rsp, "body does not match"),
            Some(_) | None => Outcome { code: Code::L7Ok, detail: self.status_text() },
        }
    }

    fn status_text(&self) -> Cow<'static, str> {
        match self.status {
            200 => Cow::Borrowed("HTTP 200"),
            503 => Cow::Borrowed("HTTP 503"),
            n => Cow::Owned(format!("HTTP {n:03}")),
        }
    }
}

/// Appends as far as a body may be long; how much it was. None: there is no memory for it.
fn append(body: &mut Held, data: &[u8]) -> Option<usize> {
    let n = data.len().min(BODY_MAX.saturating_sub(body.len()));
    body.push(data.get(..n).unwrap_or_default()).then_some(n)
}

/// How the body ends (RFC 9112, 6.3).
fn framing(check: &HttpCheck, status: u16, headers: &[httparse::Header<'_>]) -> Result<Framing, Outcome> {
    if check.method == "HEAD" || matches!(status, 101 | 204 | 304) {
        return Ok(Framing::None);
    }
    let values = |name: &'static str| {
        headers.iter().filter(move |h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value.trim_ascii())
    };
    if let Some(last) = values("transfer-encoding").next_back() {
        let coding = last.rsplit(|b| *b == b',').next().unwrap_or_default().trim_ascii();
        return Ok(if coding.eq_ignore_ascii_case(b"chunked") {
            Framing::Chunked
        } else {
            Framing::UntilClose
        });
    }
    let mut length = None;
    for value in values("content-length").flat_map(|v| v.split(|b| *b == b',')) {
        match (number(value.trim_ascii()), length) {
            (Some(n), None) => length = Some(n),
            (Some(n), Some(before)) if n == before => {}
            (Some(_), Some(_)) | (None, _) => return Err(fixed(Code::L7Rsp, "bad Content-Length")),
        }
    }
    Ok(length.map_or(Framing::UntilClose, Framing::Length))
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |n, b| {
        let digit = char::from(*b).to_digit(10)?;
        n.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Looks for the empty line that ends a head, so that a head is parsed once however slowly it comes.
#[derive(Debug, Default)]
struct Scan {
    /// Bytes so far.
    count: usize,
    line: Line,
}

#[derive(Clone, Copy, Debug, Default)]
enum Line {
    #[default]
    Within,
    Start,
    StartCr,
}

enum Scanned {
    More,
    /// So many bytes of this piece belong to the head.
    End(usize),
    Bad(&'static str),
}

impl Scan {
    fn feed(&mut self, data: &[u8]) -> Scanned {
        for (i, b) in data.iter().enumerate() {
            if b"HTTP/".get(self.count).is_some_and(|want| want != b) {
                return Scanned::Bad("not an HTTP response");
            }
            self.count += 1;
            if self.count > HEAD_MAX {
                return Scanned::Bad("headers too long");
            }
            self.line = match (self.line, b) {
                (Line::Start | Line::StartCr, b'\n') => return Scanned::End(i + 1),
                (Line::Within, b'\n') => Line::Start,
                (Line::Start, b'\r') => Line::StartCr,
                (Line::Within | Line::Start | Line::StartCr, _) => Line::Within,
            };
        }
        Scanned::More
    }
}

#[cfg(test)]
#[path = "parser_tests.rs"]
mod tests;
