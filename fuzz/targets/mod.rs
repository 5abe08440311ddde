//! What reads bytes from others, each as a function of arbitrary bytes that panics where a promise is broken: not only
//! that it ends well, but that what it gives and what it holds is bounded.
//!
//! Two callers share this: the fuzzing programs (`fuzz_targets`, with libFuzzer) and `tests/fuzz_corpus.rs`, which
//! `cargo test` runs over the kept inputs.

// Each program uses one of them.
#![allow(dead_code)]
// A broken promise is to panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

pub mod agent;
pub mod api;
pub mod cli;
pub mod dns;
pub mod expect;
pub mod http;
pub mod icmp;
mod operator;
pub mod regexp;
pub mod state;
pub mod yaml;

use maglev::probe::text::DETAIL_MAX;
use maglev::probe::{Code, Outcome};

/// One of them.
pub struct Target {
    /// Also the name of its folder in the corpus.
    pub name: &'static str,
    /// What to do with an input.
    pub run: fn(&[u8]),
    /// The longest input worth trying, in bytes: beyond the limits of what reads it.
    pub max: usize,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "agent", run: agent::run, max: 2 * 1024 },
    Target { name: "api", run: api::run, max: 8 * 1024 },
    Target { name: "cli", run: cli::run, max: 5 * 1024 },
    Target { name: "dns", run: dns::run, max: 5 * 1024 },
    Target { name: "expect", run: expect::run, max: 80 * 1024 },
    Target { name: "http", run: http::run, max: 100 * 1024 },
    Target { name: "icmp", run: icmp::run, max: 2 * 1024 },
    Target { name: "regexp", run: regexp::run, max: 4 * 1024 },
    Target { name: "state", run: state::run, max: 16 * 1024 },
    Target { name: "yaml", run: yaml::run, max: 16 * 1024 },
];

/// The first byte, as a choice, and the rest; 0 where there is none.
fn choice(data: &[u8]) -> (usize, &[u8]) {
    data.split_first().map_or((0, data), |(first, rest)| (usize::from(*first), rest))
}

/// What every probe promises of its outcome.
fn check_outcome(outcome: &Outcome, may_be: &[Code]) {
    assert!(may_be.contains(&outcome.code), "{outcome:?}");
    assert!(outcome.detail.len() <= DETAIL_MAX, "{} bytes of detail", outcome.detail.len());
    assert!(outcome.detail.bytes().all(|b| (0x20..0x7f).contains(&b)), "{outcome:?}");
}

/// Fit to be printed on a terminal, line by line.
fn check_text(text: &str, max: usize) {
    assert!(text.len() <= max, "{} bytes of text", text.len());
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
}
