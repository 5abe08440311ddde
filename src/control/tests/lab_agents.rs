//! Agents in the laboratory: at each address one, which says what the test has it say.

use std::net::IpAddr;
use std::time::Duration;

use super::lab::{Lab, ip};
use crate::config::Agent;
use crate::health::agent::parse;
use crate::probe::{Code, Outcome, ProbeId, Report};
use crate::time::Time;

/// What the agent at an address does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Voice {
    /// Answers with this line after 1 ms.
    Says(String),
    /// Refuses after 1 ms.
    Refuses,
    /// Never answers: the query fails when its timeout is over.
    Silent,
}

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

    /// A query begins. Where the test has set nothing, nobody listens.
    pub fn query(&mut self, id: ProbeId, address: IpAddr, agent: &Agent) -> (Time, Report) {
        self.queries.push(Asked { at: self.now, address });
        let (after, code, detail, reply) = match self.voices.get(&address) {
            Some(Voice::Says(line)) => {
                (Duration::from_millis(1), Code::L7Ok, "", Some(Box::new(parse(line.as_bytes()))))
            }
            Some(Voice::Refuses) | None => {
                (Duration::from_millis(1), Code::L4Con, "connection refused", None)
            }
            Some(Voice::Silent) => (agent.timeout, Code::L7Tout, "", None),
        };
        let finished = self.now + after;
        let outcome = Outcome { code, detail: detail.into() };
        (finished, Report { id, started: self.now, finished, outcome, reply })
    }

    /// When the agent at an address was asked, in milliseconds after the configuration was applied.
    pub fn asked_at(&self, address: &str) -> Vec<u64> {
        let a = ip(address);
        let all = self.queries.iter().filter(|q| q.address == a);
        all.map(|q| (q.at.0 - super::lab::START.0) / 1_000_000).collect()
    }
}
