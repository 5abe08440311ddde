//! What the controller has to tell: one line each, in the log and to whoever watches.

use std::borrow::Cow;
use std::fmt;

use crate::Name;
use crate::balance::FrontendState;
use crate::health::State;

/// As VPP's log has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For developers.
    Debug,
    /// The course of things.
    Info,
    /// What an operator should see.
    Notice,
    /// Something is not as it should be.
    Warning,
    /// Something does not work.
    Error,
}

impl LogLevel {
    /// `notice`
    pub fn as_str(self) -> &'static str {
        match self {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Notice => "notice",
            LogLevel::Warning => "warning",
            LogLevel::Error => "error",
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Event {
    Backend {
        backend: Name,
        from: Option<State>,
        to: State,
        code: &'static str,
        detail: Cow<'static, str>,
    },
    Frontend {
        frontend: Name,
        from: FrontendState,
        to: FrontendState,
        /// Name of the active pool.
        pool: Name,
    },
    /// The active pool is another.
    Failover {
        frontend: Name,
        from: Name,
        to: Name,
    },
    /// `lb` was written to, or refused.
    LbSync {
        text: String,
        failed: bool,
    },
    /// What an agent says that it did not say before, and that it fails or is back.
    Agent {
        backend: Name,
        text: String,
        level: LogLevel,
    },
    /// Too few backends of a frontend are up, or no longer too few.
    Panic {
        frontend: Name,
        /// `fail-open`, `keep-last`.
        mode: &'static str,
        on: bool,
        up: usize,
        of: usize,
    },
    /// An operator's verb that changed something.
    Operator {
        text: String,
    },
    ConfigReload {
        text: String,
        ok: bool,
    },
    /// `SOCKERR`, once a minute.
    ProbeFault {
        backend: Name,
        detail: Cow<'static, str>,
        count: u64,
    },
    /// A lasting problem begins or ends ([`super::Controller::problem`]).
    Problem {
        /// One word that scripts match.
        kind: &'static str,
        detail: String,
        begins: bool,
    },
    /// Frozen or thawed, stalled, idle.
    Engine {
        text: String,
        level: LogLevel,
    },
}

impl Event {
    /// The word that its line begins with.
    pub fn kind(&self) -> &'static str {
        match self {
            Event::Backend { .. } => "backend-transition",
            Event::Frontend { .. } => "frontend-transition",
            Event::Failover { .. } => "frontend-failover",
            Event::LbSync { .. } => "lb-sync",
            Event::Agent { .. } => "agent",
            Event::Panic { .. } => "frontend-panic",
            Event::Operator { .. } => "operator",
            Event::ConfigReload { .. } => "config-reload",
            Event::ProbeFault { .. } => "probe-fault",
            Event::Problem { .. } => "problem",
            Event::Engine { .. } => "engine",
        }
    }

    /// Bytes that it takes, about; names are shared.
    pub fn bytes(&self) -> usize {
        let own = |text: &Cow<'static, str>| match text {
            Cow::Borrowed(_) => 0,
            Cow::Owned(s) => s.capacity(),
        };
        let of_its_own = match self {
            Event::Backend { detail, .. } | Event::ProbeFault { detail, .. } => own(detail),
            Event::Problem { detail, .. } => detail.capacity(),
            Event::LbSync { text, .. }
            | Event::Agent { text, .. }
            | Event::Operator { text }
            | Event::ConfigReload { text, .. }
            | Event::Engine { text, .. } => text.capacity(),
            Event::Frontend { .. } | Event::Failover { .. } | Event::Panic { .. } => 0,
        };
        size_of::<Event>().saturating_add(of_its_own)
    }

    /// How loud.
    pub fn level(&self) -> LogLevel {
        match self {
            Event::Backend { to: State::Down, .. } => LogLevel::Warning,
            Event::Frontend { to: FrontendState::Down, .. } => LogLevel::Warning,
            Event::Backend { .. }
            | Event::Frontend { .. }
            | Event::Failover { .. }
            | Event::Operator { .. } => LogLevel::Notice,
            Event::LbSync { failed, .. } => {
                if *failed {
                    LogLevel::Error
                } else {
                    LogLevel::Info
                }
            }
            Event::ConfigReload { ok, .. } => {
                if *ok {
                    LogLevel::Notice
                } else {
                    LogLevel::Error
                }
            }
            Event::ProbeFault { .. } => LogLevel::Warning,
            Event::Problem { begins: true, .. } => LogLevel::Warning,
            Event::Problem { begins: false, .. } => LogLevel::Notice,
            Event::Panic { on: true, .. } => LogLevel::Error,
            Event::Panic { on: false, .. } => LogLevel::Notice,
            Event::Engine { level, .. } | Event::Agent { level, .. } => *level,
        }
    }
}

/// `key=value` with quotes around what has spaces, quotes or nothing in it.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind())?;
        match self {
            Event::Backend { backend, from, to, code, detail } => {
                let from = from.map_or("-", State::as_str);
                write!(f, "backend={backend} from={from} to={} code={code}", to.as_str())?;
                if detail.is_empty() { Ok(()) } else { write!(f, " detail={}", Quoted(detail)) }
            }
            Event::Frontend { frontend, from, to, pool } => {
                write!(f, "frontend={frontend} from={} to={} pool={pool}", from.as_str(), to.as_str())
            }
            Event::Failover { frontend, from, to } => {
                write!(f, "frontend={frontend} from={from} to={to}")
            }
            Event::Agent { backend, text, .. } => write!(f, "backend={backend} {text}"),
            Event::Panic { frontend, mode, on, up, of } => {
                let word = if *on { "begins" } else { "ends" };
                write!(f, "frontend={frontend} {word} mode={mode} up={up}/{of}")
            }
            Event::Problem { kind, detail, begins } => {
                let word = if *begins { "begins" } else { "ends" };
                write!(f, "{word} kind={kind} detail={}", Quoted(detail))
            }
            Event::LbSync { text, .. } => write!(f, "{text}"),
            Event::Operator { text } => write!(f, "{text}"),
            Event::ConfigReload { text, .. } => write!(f, "{text}"),
            Event::ProbeFault { backend, detail, count } => {
                write!(f, "backend={backend} code=SOCKERR count={count} detail={}", Quoted(detail))
            }
            Event::Engine { text, .. } => write!(f, "{text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_as_scripts_expect_them() {
        let e = Event::Backend {
            backend: "nginx0".into(),
            from: Some(State::Up),
            to: State::Down,
            code: "L7STS",
            detail: "HTTP 503".into(),
        };
        assert_eq!(
            e.to_string(),
            r#"backend-transition backend=nginx0 from=up to=down code=L7STS detail="HTTP 503""#
        );
        let e = Event::Backend {
            backend: "a".into(),
            from: None,
            to: State::Unknown,
            code: "start",
            detail: "".into(),
        };
        assert_eq!(e.to_string(), "backend-transition backend=a from=- to=unknown code=start");
        let e = Event::ProbeFault { backend: "a".into(), detail: "no \"x\"\n".into(), count: 3 };
        assert_eq!(
            e.to_string(),
            r#"probe-fault backend=a code=SOCKERR count=3 detail="no \"x\"\n""#,
            "nothing that a peer sends can break a line"
        );
    }
}
