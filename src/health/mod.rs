//! A backend's health: its checks' counter, the words of all hands on it, what comes of them, its history.

pub mod agent;
pub mod checks;
pub mod counter;
pub mod hands;
pub mod history;
pub mod standing;
pub mod state;

pub use checks::{Checks, Limits};
pub use counter::Counter;
pub use hands::{Author, Event, Health, Operator, Refusal, Taken};
pub use history::{History, Transition};
pub use standing::{By, Standing};
pub use state::{State, Vital};
