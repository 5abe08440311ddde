//! VPP's `lb` plugin as this project sees it: VIPs, application servers (ASs), weights.

pub mod types;
#[cfg(feature = "vpp")]
pub mod vpp;
pub mod wire;

pub use types::*;
