//! What survives a restart: the operator's words and each backend's last state, in one JSON file.
//!
//! [`snapshot`] is the file's content, [`gather`] takes it from the controller, [`restore`] gives it back, [`keeper`] decides
//! when it is written, all without I/O; [`file`] reads and writes, on the loader's thread. The rules are in
//! docs/behaviour.md, "State file".

pub mod file;
pub mod gather;
pub mod keeper;
pub mod restore;
pub mod snapshot;

pub use file::{Found, Store};
pub use gather::{Gathering, Saved};
pub use keeper::{Keeper, Saving};
pub use snapshot::{Bad, Snapshot};
