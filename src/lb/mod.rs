//! VPP's `lb` plugin as this project sees it: VIPs, application servers (ASs), weights.
//!
//! * [`types`]: its vocabulary and the trait [`LoadBalancer`]
//! * [`maglev`]: the new-flow table, position for position what VPP's `lb` builds
//! * [`flow`]: the hash that gives a flow its place in that table
//! * [`embedded`]: an `lb` in memory, for the standalone tool and for tests
//! * [`ledger`]: what was done to `lb` and cannot be read back from it
//! * [`memory`]: what its tables take of VPP's heap
//! * [`reconcile`]: from what is wanted and what is there to the calls between them
//! * [`run`]: those calls under way
//! * [`bulk`]: those to several servers of a VIP, put together
//! * [`traffic`]: what it counts
//! * [`wire`]: the peculiarities of VPP's `lb` API, without the API
//! * `vpp`: VPP's own `lb`, in-process (feature `vpp`)

pub mod bulk;
pub mod embedded;
pub mod flow;
pub mod ledger;
pub mod maglev;
pub mod memory;
pub mod reconcile;
pub mod run;
pub mod traffic;
pub mod types;
#[cfg(feature = "vpp")]
pub mod vpp;
pub mod wire;

pub use types::*;
