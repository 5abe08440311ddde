//! Answers of the commands that take a while.

use super::super::layout::clean;
use super::super::when;
use super::count;
use crate::control::view::{ConfigView, ProbeView, SyncView};

/// `nginx0: pass, L7OK HTTP 200, 1.20ms`
pub(in super::super) fn probe(v: &ProbeView) -> String {
    let detail = if v.detail.is_empty() { String::new() } else { format!(" {}", v.detail) };
    let verdict = match v.verdict.as_str() {
        "none" => "not judged",
        other => other,
    };
    clean(&format!("{}: {verdict}, {}{detail}, {}", v.backend, v.code, when::latency(v.latency_us)))
}

/// `2 frontends compared, 3 changes made`
pub(in super::super) fn sync(v: &SyncView) -> String {
    format!("{} compared, {}", count(v.frontends, "frontend"), writes(v.writes))
}

fn writes(n: u64) -> String {
    match n {
        0 => "nothing to change".into(),
        1 => "1 change made".into(),
        _ => format!("{n} changes made"),
    }
}

pub(in super::super) fn sync_failed(v: &SyncView) -> String {
    let mut out = format!(
        "error: {} compared, {}, {}\n",
        count(v.frontends, "frontend"),
        writes(v.writes),
        count(v.failures.len(), "failure")
    );
    lines(&mut out, "", &v.failures);
    out
}

pub(in super::super) fn config_good(v: &ConfigView, reload: bool) -> String {
    let what = if reload { "reloaded" } else { "valid" };
    let mut out = clean(&format!("{what}: {}", v.path));
    out.push('\n');
    if !v.summary.is_empty() {
        lines(&mut out, "", std::slice::from_ref(&v.summary));
    }
    lines(&mut out, "warning: ", &v.warnings);
    out
}

pub(in super::super) fn config_bad(v: &ConfigView, reload: bool) -> String {
    let kept = if reload { "; the running configuration is unchanged" } else { "" };
    let mut out = clean(&format!("error: {}: {}{kept}", v.path, count(v.errors.len(), "error")));
    out.push('\n');
    lines(&mut out, "", &v.errors);
    lines(&mut out, "warning: ", &v.warnings);
    out
}

fn lines(out: &mut String, before: &str, items: &[String]) {
    for item in items {
        out.push_str(before);
        out.push_str(&clean(item));
        out.push('\n');
    }
}
