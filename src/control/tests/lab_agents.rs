//! Agents in the laboratory: at each address one, which says what the test has it say.

use std::net::IpAddr;

use super::lab::{Lab, ip};
pub use crate::simulate::Voice;
use crate::time::Time;

/// A query that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    pub at: Time,
    pub address: IpAddr,
}

impl Lab {
    /// From now on the agent at this address answers with this line.
    pub fn says(&mut self, address: &str, line: &str) {
        self.voices.insert(ip(address), Voice::Says(line.to_owned()));
    }

    /// From now on the agent at this address does so.
    pub fn voice(&mut self, address: &str, voice: Voice) {
        self.voices.insert(ip(address), voice);
    }

    /// When the agent at an address was asked, in milliseconds after the configuration was applied.
    pub fn asked_at(&self, address: &str) -> Vec<u64> {
        let a = ip(address);
        let all = self.queries.iter().filter(|q| q.address == a);
        all.map(|q| (q.at.0 - super::lab::START.0) / 1_000_000).collect()
    }
}
