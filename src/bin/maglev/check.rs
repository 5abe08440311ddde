//! `maglev check`

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use maglev::config::{self, Config, Issue, LoadError};

/// 0 valid, 1 unreadable or not YAML, 2 not valid.
pub fn check(file: &Path) -> ExitCode {
    let mut err = std::io::stderr().lock();
    match config::load(file) {
        Ok(parsed) => {
            print(&mut err, file, "warning: ", &parsed.warnings);
            let _ = writeln!(std::io::stdout(), "{}: valid: {}", file.display(), summary(&parsed.config));
            ExitCode::SUCCESS
        }
        Err(e) => {
            match &e {
                LoadError::Unreadable { .. } => {
                    let _ = writeln!(err, "{e}");
                }
                LoadError::Bad(errors) => {
                    print(&mut err, file, "", &errors.list);
                    print(&mut err, file, "warning: ", &errors.warnings);
                }
            }
            ExitCode::from(if e.not_yaml() { 1 } else { 2 })
        }
    }
}

fn print(err: &mut impl Write, file: &Path, before: &str, issues: &[Issue]) {
    for i in issues {
        let _ = writeln!(err, "{}:{}:{}: {before}{}", file.display(), i.line, i.column, i.message);
    }
}

fn summary(c: &Config) -> String {
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    format!(
        "{}, {}, {}",
        count(c.frontends.len(), "frontend"),
        count(c.backends.len(), "backend"),
        count(c.healthchecks.len(), "healthcheck")
    )
}
