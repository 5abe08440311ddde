//! The text renderers: plain, sorted as the views are, at most 80 columns.

mod backends;
mod counters;
mod events;
mod frontends;
mod healthchecks;
mod lb;
mod status;
mod verbs;

pub(super) use backends::{backend, backends};
pub(super) use counters::counters;
pub(super) use events::events;
pub(super) use frontends::{frontend, frontends};
pub(super) use healthchecks::{healthcheck, healthchecks};
pub(super) use lb::{flow, lb};
pub(super) use status::{status, version};
pub(super) use verbs::{config_bad, config_good, probe, sync, sync_failed};

use crate::control::view::AgentCountsView;

/// `a, b, c`
fn list<S: AsRef<str>>(items: &[S]) -> String {
    items.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

/// `1 backend`, `2 backends`
fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

fn yes(b: bool) -> &'static str {
    if b { "yes" } else { "no" }
}

/// `443`, or `any` of an all-port VIP.
fn or_any(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "any".into(), |v| v.to_string())
}

/// None while no agent was asked.
fn agents(counts: &AgentCountsView) -> Option<String> {
    let AgentCountsView { queries, replies, failures } = counts;
    (*queries > 0).then(|| format!("queries {queries}, replies {replies}, failures {failures}"))
}

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".into(), |v| v.to_string())
}
