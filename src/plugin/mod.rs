//! The boundary to VPP: the only home of `unsafe`, but for [`crate::lb::vpp`].
//!
//! C calls the `maglev_rs_*` of [`exports`]; each is guard → check of pointers → one call → encoding. Rust calls VPP
//! through the `maglev_shim_*` of the C in csrc/, and only with a [`MainThread`] token. The contract of both
//! directions is include/maglev_shim.h.

#![allow(unsafe_code)]

mod api;
mod api_exports;
mod commands;
mod exports;
mod guard;
mod heap;
mod log;
// Miri alone does without VPP's symbols.
#[cfg(all(test, miri))]
mod miri_tests;
mod panics;
mod registration;
mod reply;
mod rows;
mod start;
mod state;
mod stats_exports;
mod stays;
mod text;
mod threads;
mod token;

pub(crate) use text::from_parts as text_of;
pub use token::MainThread;

/// include/maglev_shim.h, bound.
#[allow(missing_docs, non_camel_case_types, non_upper_case_globals, dead_code, unreachable_pub)]
#[allow(clippy::all, clippy::undocumented_unsafe_blocks, clippy::multiple_unsafe_ops_per_block)]
pub(crate) mod shim {
    include!(concat!(env!("OUT_DIR"), "/shim.rs"));
}
