//! ICMP echo, IPv4 and IPv6.
//!
//! Where raw sockets are permitted, one per family and source address is shared by all probes. A probe is told
//! from every other by the socket's random identifier, a random sequence number and 64 random bits in the payload,
//! and an answer must come from the address that was probed; so a late, duplicate or forged reply never counts for
//! another probe. Where raw sockets are not permitted each probe has an ICMP datagram ("ping") socket of its own,
//! if the kernel's `ping_group_range` lets it.
//!
//! Results in HAProxy's terms, which has no such check: an echo reply is `L4OK`, none in time `L4TOUT`, an ICMP
//! error about the request `L4CON`.

mod filter;
pub mod packet;
mod ping;
mod sockets;

pub(super) use ping::Ping;
pub(super) use sockets::{Handle, Sent, Sockets};
