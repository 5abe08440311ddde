//! The probe engine: one thread, thousands of probes in flight, absolute deadlines.
//!
//! It is given [`Order`]s, tells [`Told`]s, and decides nothing: what a result means for a backend is the
//! controller's business. Where things are:
//!
//! * [`prober`]: the thread, and how to talk to it
//! * `engine`: its loop: starts, readiness, deadlines, results
//! * `stream`: what goes over TCP: connect, send, read
//! * [`expect`]: what a `tcp` check reads, [`http`]: what an `http` check writes and reads (pure)
//! * [`agent`]: what an agent says (pure)
//! * [`held`]: what peers send, within the memory that all probes have together
//! * `tls`: what lies between the two where a check uses TLS (pure)
//! * `datagram`: the probes over UDP; [`dns`]: what a `dns` check asks and is told (pure)
//! * [`icmp`]: echo packets (pure), and the sockets they travel on
//! * `netns`: the network namespace of the thread; `room`: how many descriptors it may use
//! * `jobs`: what waits, what is under way, what rests until its next probe; [`pace`]: from one start to the next
//! * [`text`]: words for errors, and what peers send made fit to print

pub mod agent;
mod datagram;
pub mod dns;
mod doorbell;
mod engine;
mod entropy;
pub mod expect;
pub mod held;
pub mod http;
pub mod icmp;
mod jobs;
mod netns;
pub mod pace;
pub mod prober;
mod room;
mod stream;
pub mod text;
mod timers;
mod tls;
pub mod types;

// What `doorbell` takes it from.
use std::sync::atomic;

pub use prober::{Abandoned, Prober, ProberOptions};
pub use room::raise_file_limit;
pub use types::*;
