//! The configuration file: schema, parsing, validation, and the difference between two configurations (SPEC §3).

pub mod model;

pub use model::*;
