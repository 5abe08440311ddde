//! The probe engine: one thread, thousands of probes in flight, absolute deadlines.
//!
//! It is given [`Order`]s, tells [`Told`]s, and decides nothing: what a result means for a backend is the
//! controller's business. Where things are:
//!
//! * [`prober`]: the thread, and how to talk to it
//! * `engine`: its loop: starts, readiness, deadlines, results
//! * `stream`: the probes over TCP: connect, send, read
//! * [`expect`]: what a `tcp` check reads, [`http`]: what an `http` check writes and reads (pure)
//! * [`icmp`]: echo packets (pure), and the sockets they travel on
//! * `netns`: the network namespace of the thread
//! * [`text`]: words for errors, and what peers send made fit to print

mod engine;
mod entropy;
pub mod expect;
pub mod http;
pub mod icmp;
mod netns;
pub mod prober;
mod stream;
pub mod text;
mod timers;
pub mod types;

pub use prober::{Abandoned, Prober, ProberOptions};
pub use types::*;
