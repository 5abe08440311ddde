//! What survives a restart: the operator's words and each backend's last state, in one JSON file.
//!
//! [`snapshot`] is the file's content, [`gather`] takes it from the controller, [`restore`] gives it back, [`keeper`] decides
//! when it is written, [`fit`] what of it fits, all without I/O; [`file`] reads and writes with the [`lock`], on the loader's thread. The rules are in
//! docs/behaviour.md, "State file".

pub mod file;
pub mod fit;
pub mod gather;
pub mod keeper;
pub mod lock;
pub mod restore;
pub mod snapshot;

pub use file::{Found, Store, Written};
pub use gather::{Gathering, Saved};
pub use keeper::{Keeper, Saving};
pub use lock::Lock;
pub use snapshot::{Bad, Snapshot};
