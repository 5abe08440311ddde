//! The controller in a world of its own, in virtual time: what the tests of the controller run in, and the simulator.
//!
//! * [`world`]: `lb`, network, agents, disk and clock, all in memory
//! * [`babble`]: what agents say

pub mod babble;
pub mod world;

pub use world::{Happening, Net, Voice, World};
