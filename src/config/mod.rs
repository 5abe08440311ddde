//! The configuration file: schema, parsing, validation, and the way back to YAML.
//!
//! [`parse`] reads a text in three steps: `yaml` makes a tree that knows every line and column; one file per section
//! of the schema (`global_keys`, `healthcheck` with `params`, `backend`, `frontend`) reads it into drafts in which
//! each value is either good or was complained about; `cross` checks what needs several of them. All add to one list of
//! issues in `context` and go on, so that a file's errors come out at once.

pub mod model;
pub mod scalar;

mod backend;
mod context;
mod cross;
mod emit;
mod file;
mod frontend;
mod global_keys;
mod healthcheck;
mod issue;
mod load;
mod loops;
mod params;
mod pattern;
mod settled;
mod tls;
mod yaml;

pub use emit::{text_or_hex, to_yaml};
pub use issue::{Errors, Issue, Pos};
pub use load::{LoadError, Parsed, load, parse, parse_bytes, parse_within, read};
pub use model::*;
pub use pattern::{Pattern, PatternError};
pub use settled::{Patience, Pause};
pub use tls::{MAX_CA_FILE, Tls, Trust, TrustFrom, server_name};
pub use yaml::{MAX_DEPTH, MAX_INPUT, MAX_NODES, MAX_TEXT};
