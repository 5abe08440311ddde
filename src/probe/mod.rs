//! The probe engine (SPEC §4): one thread, thousands of probes in flight, absolute deadlines.

pub mod types;

pub use types::*;
