//! The controller that joins health, balance and `lb`, and the engine that drives it.

pub mod agents;
pub mod applying;
pub mod backends;
mod clients;
pub mod controller;
mod cursor;
mod ended;
pub mod engine;
pub mod event;
mod explain;
pub mod frontends;
mod hands;
pub mod inspect;
pub mod intent;
pub mod journal;
pub mod latency;
mod links;
pub mod loader;
mod loading;
mod loops;
mod loss;
pub mod meters;
mod naming;
pub mod operator;
mod probing;
mod problems;
pub mod programmer;
pub mod queue;
pub mod reload;
mod revive;
pub mod rows;
pub mod schedule;
pub mod show;
pub mod state;
pub mod stats;
pub mod stats_plan;
pub mod verbs;
pub mod view;
pub mod watch;
mod words;

#[cfg(test)]
mod tests;

pub use controller::Controller;
pub use engine::{Engine, EngineOptions, Turn};
pub use event::{Event, LogLevel};
pub use operator::*;
