//! The controller in a world of its own, in virtual time: what the tests of the controller run in, and the simulator.
//!
//! * [`world`], [`disk`], [`foreign`]: `lb`, somebody else in it, network, agents, disk and clock, all in memory
//! * [`draft`], [`babble`], [`deed`]: configurations, what agents say, and steps, all at random
//! * [`table`], [`mind`], [`front`], [`model`], [`keep`]: what docs/behaviour.md says is to come of them, worked out anew
//! * [`agree`], [`books`], [`nat`], [`settled`]: whether the controller is of that mind, whether each call of `lb` was right, and
//!   whether `lb` is, once all is calm
//! * [`run`], [`life`]: a step, and a life of many

pub mod agree;
pub mod babble;
pub mod books;
pub mod broken;
pub mod deed;
pub mod disk;
pub mod draft;
pub mod foreign;
pub mod front;
pub mod keep;
pub mod life;
pub mod mind;
pub mod model;
pub mod nat;
pub mod run;
pub mod settled;
pub mod table;
pub mod world;

pub use broken::Broken;
pub use life::{Failure, live, live_with};
pub use run::{LIFE, RECENT, Simulator, Tally};
pub use world::{Happening, Net, Voice, World};

#[cfg(test)]
mod tests;
