//! The controller that joins health, balance and `lb`, and the engine that drives it.

pub mod operator;
pub mod view;

pub use operator::*;
