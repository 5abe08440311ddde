//! VPP's `lb` plugin as this project sees it: VIPs, application servers (ASs), weights.

pub mod types;

pub use types::*;
