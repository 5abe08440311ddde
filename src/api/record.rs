//! What `maglev_event` carries.

use super::desk::Started;
use super::retval;
use crate::balance::FrontendState;
use crate::cli;
use crate::config::PanicMode;
use crate::control::{Event, Finished, LogLevel, Ticket};
use crate::health::State;

/// The longest text of an event, in bytes; a bad file can have any number of errors.
const MOST_TEXT: usize = 8192;

/// `maglev_event_kind`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Kind {
    Backend = 0,
    Frontend = 1,
    Failover = 2,
    LbSync = 3,
    Operator = 4,
    Config = 5,
    ProbeFault = 6,
    Engine = 7,
    ProbeResult = 8,
    SyncResult = 9,
    ConfigResult = 10,
    Agent = 11,
    Panic = 12,
    Problem = 13,
}

/// `maglev_verdict`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Verdict {
    None = 0,
    Pass = 1,
    Fail = 2,
}

/// One event, as subscribers are told it; what a kind does not have is empty, false or 0 (`maglev_event_kind` says what each
/// has).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Record {
    pub kind: Kind,
    /// How loud the log said it.
    pub level: LogLevel,
    /// The number that `show events` has for it; 0 of a result, which is not among those.
    pub sequence: u64,
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Of a result.
    pub ticket: u64,
    /// Of a result, one of [`retval`].
    pub retval: i32,
    /// The backend, the frontend, or the problem's kind.
    pub name: String,
    pub backend_from: Option<State>,
    pub backend_to: Option<State>,
    pub frontend_from: Option<FrontendState>,
    pub frontend_to: Option<FrontendState>,
    pub pool_from: String,
    pub pool_to: String,
    /// Of a transition or a probe.
    pub code: String,
    pub failed: bool,
    pub begins: bool,
    pub panic_mode: Option<PanicMode>,
    pub up: u32,
    pub of: u32,
    pub count: u64,
    pub verdict: Verdict,
    /// Of a probe, microseconds.
    pub latency_us: u64,
    /// A few words, where the kind has some apart from its line.
    pub detail: String,
    /// For people.
    pub text: String,
}

impl Record {
    /// Of what the log says, with its number there.
    pub fn of_event(sequence: u64, at_ms: u64, event: &Event) -> Record {
        let mut r = Record::new(Kind::Engine, event.level(), at_ms, event.to_string());
        r.sequence = sequence;
        match event {
            Event::Backend { backend, from, to, code, detail } => {
                r.kind = Kind::Backend;
                r.name = backend.to_string();
                r.backend_from = *from;
                r.backend_to = Some(*to);
                r.code = (*code).to_owned();
                r.detail = detail.to_string();
            }
            Event::Frontend { frontend, from, to, pool } => {
                r.kind = Kind::Frontend;
                r.name = frontend.to_string();
                r.frontend_from = Some(*from);
                r.frontend_to = Some(*to);
                r.pool_to = pool.to_string();
            }
            Event::Failover { frontend, from, to } => {
                r.kind = Kind::Failover;
                r.name = frontend.to_string();
                r.pool_from = from.to_string();
                r.pool_to = to.to_string();
            }
            Event::ProbeFault { backend, detail, count } => {
                r.kind = Kind::ProbeFault;
                r.name = backend.to_string();
                r.code = "SOCKERR".to_owned();
                r.count = *count;
                r.detail = detail.to_string();
            }
            Event::Agent { backend, text, .. } => {
                r.kind = Kind::Agent;
                r.name = backend.to_string();
                r.detail.clone_from(text);
            }
            Event::Panic { frontend, mode, on, up, of } => {
                r.kind = Kind::Panic;
                r.name = frontend.to_string();
                r.begins = *on;
                r.panic_mode = PanicMode::ALL.into_iter().find(|m| m.as_str() == *mode);
                r.up = super::count(*up);
                r.of = super::count(*of);
            }
            Event::Problem { kind, detail, begins } => {
                r.kind = Kind::Problem;
                r.name = (*kind).to_owned();
                r.begins = *begins;
                r.detail.clone_from(detail);
            }
            Event::LbSync { failed, .. } => {
                r.kind = Kind::LbSync;
                r.failed = *failed;
            }
            Event::Operator { text } => {
                r.kind = Kind::Operator;
                r.detail.clone_from(text);
            }
            Event::ConfigReload { ok, .. } => {
                r.kind = Kind::Config;
                r.failed = !*ok;
            }
            Event::Engine { .. } => r.kind = Kind::Engine,
        }
        r
    }

    /// Of something that was started and has ended.
    pub(super) fn of_result(ticket: Ticket, at_ms: u64, what: Started, finished: &Finished) -> Record {
        let reply = cli::finished(finished, what == Started::Reload);
        let text = reply.text.strip_prefix("error: ").unwrap_or(&reply.text);
        let level = if reply.ok { LogLevel::Notice } else { LogLevel::Error };
        let mut r = Record::new(what.kind(), level, at_ms, text.to_owned());
        r.ticket = ticket.0;
        r.failed = !reply.ok;
        r.retval = match (reply.ok, finished) {
            (true, _) => retval::OK,
            (false, Finished::Config(_)) => retval::INVALID_VALUE,
            (false, Finished::Sync(_) | Finished::Probe(_)) => retval::UNSPECIFIED,
        };
        match finished {
            Finished::Probe(v) => {
                r.name.clone_from(&v.backend);
                r.verdict = match v.verdict.as_str() {
                    "pass" => Verdict::Pass,
                    "fail" => Verdict::Fail,
                    _ => Verdict::None,
                };
                r.code.clone_from(&v.code);
                r.latency_us = v.latency_us;
                r.detail.clone_from(&v.detail);
            }
            Finished::Sync(v) => r.count = v.writes,
            Finished::Config(v) => r.count = v.errors.len() as u64,
        }
        r
    }

    /// Of something that was started and has not ended in time.
    pub(super) fn of_silence(ticket: Ticket, at_ms: u64, what: Started) -> Record {
        let text = "no answer in time; it may still be carried out".to_owned();
        let mut r = Record::new(what.kind(), LogLevel::Error, at_ms, text);
        r.ticket = ticket.0;
        r.failed = true;
        r.retval = retval::RESPONSE_NOT_READY;
        r
    }

    fn new(kind: Kind, level: LogLevel, at_ms: u64, text: String) -> Record {
        let none = String::new;
        Record {
            kind,
            level,
            sequence: 0,
            at_ms,
            ticket: 0,
            retval: retval::OK,
            name: none(),
            backend_from: None,
            backend_to: None,
            frontend_from: None,
            frontend_to: None,
            pool_from: none(),
            pool_to: none(),
            code: none(),
            failed: false,
            begins: false,
            panic_mode: None,
            up: 0,
            of: 0,
            count: 0,
            verdict: Verdict::None,
            latency_us: 0,
            detail: none(),
            text: shortened(text),
        }
    }

    /// About what it takes of memory, in bytes.
    pub(super) fn size(&self) -> usize {
        let texts = [&self.name, &self.pool_from, &self.pool_to, &self.code, &self.detail, &self.text];
        size_of::<Record>() + texts.iter().map(|t| t.capacity()).sum::<usize>()
    }
}

impl Started {
    fn kind(self) -> Kind {
        match self {
            Started::Probe => Kind::ProbeResult,
            Started::Sync => Kind::SyncResult,
            Started::Check | Started::Reload => Kind::ConfigResult,
        }
    }
}

/// Without the line end; whole lines up to [`MOST_TEXT`], and that there were more.
fn shortened(mut text: String) -> String {
    text.truncate(text.trim_end().len());
    if text.len() <= MOST_TEXT {
        return text;
    }
    let mut end = MOST_TEXT;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let head = text.get(..end).unwrap_or_default();
    let head = head.rfind('\n').and_then(|at| head.get(..at)).unwrap_or(head);
    let more = text.lines().count().saturating_sub(head.lines().count());
    format!("{head}\n... and {more} more lines")
}
