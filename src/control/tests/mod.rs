//! The controller against the embedded `lb` and a network that is only a table, in virtual time.

mod journal;
mod lab;

mod explain;
mod nat;
mod programming;
mod random;
mod reload;
mod reload_prop;
mod reload_words;
mod review;
mod schedule;
mod state;
mod stats;
mod verbs;
mod words;

use lab::{Lab, Net};
