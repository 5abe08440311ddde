//! A backend's health: its counter, its state, its history.

pub mod agent;
pub mod counter;
pub mod history;
pub mod state;

pub use counter::Counter;
pub use history::{History, Transition};
pub use state::{Change, Event, Health, Limits, Refusal, State};
