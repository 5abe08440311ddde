//! A health-checked Maglev load balancer inside VPP.
//!
//! The crate is at once the VPP plugin (`cdylib`, feature `vpp`), a library for tests, and the control plane of
//! the standalone tool `maglev`. Where things are:
//!
//! * [`config`]: the YAML file, its schema, its errors
//! * [`health`]: a backend's counter and state machine
//! * [`balance`]: from backend states to weights
//! * [`budget`]: how much memory may be taken by what others can make large
//! * [`lb`]: VPP's `lb` plugin: what can be asked of it, the reconciler, the embedded twin
//! * [`probe`]: the prober thread and the probe types
//! * [`control`]: the controller that joins them, and the engine that drives it
//! * [`cli`]: the commands
//! * [`api`]: the binary API
//! * [`simulate`]: the controller in virtual time, and what must never happen there
//! * `plugin`: the boundary to VPP's C (feature `vpp`)

pub mod api;
pub mod balance;
pub mod budget;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod health;
pub mod lb;
pub mod nearest;
#[cfg(feature = "vpp")]
pub mod plugin;
pub mod probe;
pub mod simulate;
pub mod time;

/// A backend's, frontend's, pool's or healthcheck's name: `[A-Za-z0-9][A-Za-z0-9._:-]{0,62}`, never `json`.
pub type Name = std::sync::Arc<str>;
