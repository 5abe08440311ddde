//! Log lines on standard error.

use std::io::Write;

use maglev::cli::when;
use maglev::clock;
use maglev::control::LogLevel;

/// How important a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Level {
    /// For developers
    Debug,
    /// The course of things
    Info,
    /// What an operator should see
    Notice,
    /// Something is not as it should be
    Warning,
    /// Something does not work
    Error,
}

impl From<LogLevel> for Level {
    fn from(level: LogLevel) -> Level {
        match level {
            LogLevel::Debug => Level::Debug,
            LogLevel::Info => Level::Info,
            LogLevel::Notice => Level::Notice,
            LogLevel::Warning => Level::Warning,
            LogLevel::Error => Level::Error,
        }
    }
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Notice => "notice",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

/// `2026-11-23T06:43:31.250Z notice   text`. A closed standard error is no reason to stop.
pub fn line(level: Level, text: &str) {
    let at = when::iso(clock::now().wall_ms);
    let _ = writeln!(std::io::stderr(), "{at} {:<8} {text}", level.as_str());
}
