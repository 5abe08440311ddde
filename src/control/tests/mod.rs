//! The controller against the embedded `lb` and a network that is only a table, in virtual time.

mod lab;

mod programming;
mod random;
mod reload;
mod reload_prop;
mod review;
mod schedule;
mod verbs;

use lab::{Lab, Net};
