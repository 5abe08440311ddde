//! The controller against the embedded `lb` and a network that is only a table, in virtual time.

mod adjusts;
mod agents;
mod journal;
mod lab;
mod lab_agents;
mod loops;

mod clocks;
mod explain;
mod forced;
mod moving;
mod nat;
mod panics;
mod priorities;
mod problems;
mod programming;
mod random;
mod random_words;
mod reload;
mod reload_prop;
mod reload_words;
mod review;
mod rows;
mod schedule;
mod silent;
mod simulated;
mod slow_disk;
mod slow_start;
mod standing;
mod state;
mod stats;
mod stats_plan;
mod stopping;
mod tracks;
mod verbs;
mod words;

use lab::{Lab, Net};
