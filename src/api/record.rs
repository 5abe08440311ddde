//! What `maglev_event` carries.

use super::desk::Started;
use super::retval;
use crate::cli;
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

/// One event, as subscribers are told it; what a kind does not have is empty or 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What happened.
    pub kind: Kind,
    /// How loud the log said it.
    pub level: LogLevel,
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Of a result.
    pub ticket: u64,
    /// Of a result, one of [`retval`].
    pub retval: i32,
    /// Of a probe, microseconds.
    pub latency_us: u64,
    /// The backend or frontend.
    pub name: String,
    /// State or pool.
    pub before: String,
    /// State, pool or verdict.
    pub after: String,
    /// Of a transition or a probe.
    pub code: String,
    /// For people.
    pub text: String,
}

impl Record {
    /// Of what the log says.
    pub fn of_event(at_ms: u64, event: &Event) -> Record {
        let mut r = Record::new(Kind::Engine, event.level(), at_ms, event.to_string());
        match event {
            Event::Backend { backend, from, to, code, .. } => {
                r.kind = Kind::Backend;
                r.name = backend.to_string();
                r.before = from.map_or("", State::as_str).to_owned();
                r.after = to.as_str().to_owned();
                r.code = (*code).to_owned();
            }
            Event::Frontend { frontend, from, to, .. } => {
                r.kind = Kind::Frontend;
                r.name = frontend.to_string();
                r.before = from.as_str().to_owned();
                r.after = to.as_str().to_owned();
            }
            Event::Failover { frontend, from, to } => {
                r.kind = Kind::Failover;
                r.name = frontend.to_string();
                r.before = from.to_string();
                r.after = to.to_string();
            }
            Event::ProbeFault { backend, .. } => {
                r.kind = Kind::ProbeFault;
                r.name = backend.to_string();
                r.code = "SOCKERR".to_owned();
            }
            Event::Agent { backend, .. } => {
                r.kind = Kind::Agent;
                r.name = backend.to_string();
            }
            Event::Panic { frontend, on, .. } => {
                r.kind = Kind::Panic;
                r.name = frontend.to_string();
                r.after = if *on { "begins" } else { "ends" }.to_owned();
            }
            Event::Problem { kind, begins, .. } => {
                r.kind = Kind::Problem;
                r.name = (*kind).to_owned();
                r.after = if *begins { "begins" } else { "ends" }.to_owned();
            }
            Event::LbSync { .. } => r.kind = Kind::LbSync,
            Event::Operator { .. } => r.kind = Kind::Operator,
            Event::ConfigReload { .. } => r.kind = Kind::Config,
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
        r.retval = match (reply.ok, finished) {
            (true, _) => retval::OK,
            (false, Finished::Config(_)) => retval::INVALID_VALUE,
            (false, Finished::Sync(_) | Finished::Probe(_)) => retval::UNSPECIFIED,
        };
        if let Finished::Probe(v) = finished {
            r.name.clone_from(&v.backend);
            r.after.clone_from(&v.verdict);
            r.code.clone_from(&v.code);
            r.latency_us = v.latency_us;
        }
        r
    }

    /// Of something that was started and has not ended in time.
    pub(super) fn of_silence(ticket: Ticket, at_ms: u64, what: Started) -> Record {
        let text = "no answer in time; it may still be carried out".to_owned();
        let mut r = Record::new(what.kind(), LogLevel::Error, at_ms, text);
        r.ticket = ticket.0;
        r.retval = retval::RESPONSE_NOT_READY;
        r
    }

    fn new(kind: Kind, level: LogLevel, at_ms: u64, text: String) -> Record {
        let none = String::new;
        Record {
            kind,
            level,
            at_ms,
            ticket: 0,
            retval: retval::OK,
            latency_us: 0,
            name: none(),
            before: none(),
            after: none(),
            code: none(),
            text: shortened(text),
        }
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
