//! What goes to the prober and what comes back.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::config::{Agent, Healthcheck, Healthchecker};
use crate::health::agent::Reply;
use crate::time::Time;

/// HAProxy's check codes (docs/behaviour.md, "Probes").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum Code {
    L4Ok,
    L4Tout,
    L4Con,
    L6Ok,
    L6Tout,
    L6Rsp,
    L7Ok,
    L7Okc,
    L7Tout,
    L7Rsp,
    L7Sts,
    SockErr,
}

impl Code {
    /// All of them, in the order of their numbers.
    pub const ALL: [Code; 12] = [
        Code::L4Ok,
        Code::L4Tout,
        Code::L4Con,
        Code::L6Ok,
        Code::L6Tout,
        Code::L6Rsp,
        Code::L7Ok,
        Code::L7Okc,
        Code::L7Tout,
        Code::L7Rsp,
        Code::L7Sts,
        Code::SockErr,
    ];

    /// As HAProxy writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::L4Ok => "L4OK",
            Code::L4Tout => "L4TOUT",
            Code::L4Con => "L4CON",
            Code::L6Ok => "L6OK",
            Code::L6Tout => "L6TOUT",
            Code::L6Rsp => "L6RSP",
            Code::L7Ok => "L7OK",
            Code::L7Okc => "L7OKC",
            Code::L7Tout => "L7TOUT",
            Code::L7Rsp => "L7RSP",
            Code::L7Sts => "L7STS",
            Code::SockErr => "SOCKERR",
        }
    }

    /// What it means for the backend.
    pub fn verdict(self) -> Verdict {
        match self {
            Code::L4Ok | Code::L6Ok | Code::L7Ok => Verdict::Pass,
            Code::L7Okc => Verdict::Conditional,
            Code::L4Tout
            | Code::L4Con
            | Code::L6Tout
            | Code::L6Rsp
            | Code::L7Tout
            | Code::L7Rsp
            | Code::L7Sts => Verdict::Fail,
            Code::SockErr => Verdict::OurFault,
        }
    }
}

/// How many probes have ended with each code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Results([u64; Code::ALL.len()]);

impl Results {
    /// One more.
    pub fn add(&mut self, code: Code) {
        if let Some(n) = self.0.get_mut(code as usize) {
            *n = n.saturating_add(1);
        }
    }

    /// Those that there have been, in the order of [`Code::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Code, u64)> + '_ {
        Code::ALL.into_iter().zip(self.0).filter(|(_, n)| *n > 0)
    }

    /// The same, as HAProxy writes the codes.
    pub fn shown(&self) -> Vec<(String, u64)> {
        self.iter().map(|(code, n)| (code.as_str().to_owned(), n)).collect()
    }
}

/// What a result does to the backend's counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// One up.
    Pass,
    /// A pass for the counter of a backend that is up, and it asks for no new flows; a failure for one that is not.
    Conditional,
    /// One down.
    Fail,
    /// Nothing: our own fault.
    OurFault,
}

/// Names one probe for as long as the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProbeId(pub u64);

/// One probe to be made, or one after the other.
#[derive(Clone, Debug)]
pub struct Job {
    /// Comes back with the result.
    pub id: ProbeId,
    /// To whom.
    pub address: IpAddr,
    /// How; its timeout runs from the moment the probe starts.
    pub task: Task,
    /// When it should start: now, or a little ago. The difference to the actual start is its lateness.
    pub due: Time,
    /// True: while it passes, the prober repeats it by itself, at the `interval` and `jitter` of its healthcheck, until it
    /// is cancelled. A pass after which it goes on may lie in the channel until the next beat, or until there are
    /// [`TOLD_TOGETHER`]; anything else ends the job and is told at once. Nothing for agents: they are always asked once.
    pub standing: bool,
}

/// So many things told wake the owner, even if each of them could wait for the next beat: what it has to take at once stays
/// short.
pub const TOLD_TOGETHER: usize = 256;

impl Job {
    /// One probe, and no more of itself.
    pub fn once(id: ProbeId, address: IpAddr, task: Task, due: Time) -> Job {
        Job { id, address, task, due, standing: false }
    }
}

/// What a probe is for.
#[derive(Clone, Debug)]
pub enum Task {
    /// A healthcheck.
    Check(Arc<Healthcheck>),
    /// To ask an agent. The address is the agent's.
    Agent(Arc<Agent>),
}

impl Task {
    /// One deadline, from start to last byte.
    pub fn timeout(&self) -> Duration {
        match self {
            Task::Check(check) => check.timeout,
            Task::Agent(agent) => agent.timeout,
        }
    }
}

/// What the prober is told.
#[derive(Clone, Debug)]
pub enum Order {
    /// Make a probe, at once or as soon as there is room.
    Probe(Job),
    /// Forget a job; no result comes, unless it is already on its way.
    Cancel(ProbeId),
    /// Of a new configuration. `netns`, if there is none: back to the process's own.
    Configure(Healthchecker),
    /// End the thread; probes in flight are dropped.
    Stop,
}

/// One finished probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Of which job.
    pub id: ProbeId,
    /// When it should have started.
    pub due: Time,
    /// The prober's own stamp of the start: before the socket was made.
    pub started: Time,
    /// The prober's own stamp of the end: when it learned what decided it.
    pub finished: Time,
    /// The result; of an agent's query `L7OK` when there was a line.
    pub outcome: Outcome,
    /// That line.
    pub reply: Option<Box<Reply>>,
    /// The job goes on: another result will come.
    pub goes_on: bool,
    /// It was put off once after a stall: see [`super::pace::put_off`].
    pub put_off: bool,
}

/// A code and a few words, at most 120 bytes of printable ASCII whatever the peer sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// HAProxy's code.
    pub code: Code,
    /// `HTTP 503`, `connection refused`; may be empty.
    pub detail: Cow<'static, str>,
}

/// What the prober tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A result.
    Report(Report),
    /// Once a second: the thread lives. With what it has in hand.
    Beat {
        /// The prober's stamp.
        at: Time,
        /// Probes.
        checks: InHand,
        /// Queries of agents.
        agents: InHand,
    },
}

/// What the prober has in hand of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InHand {
    /// Under way.
    pub in_flight: usize,
    /// That wait for room, under `max-in-flight` or `max-agents-in-flight`.
    pub waiting: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_counted_by_code() {
        let mut results = Results::default();
        assert_eq!(results.iter().count(), 0);
        for (i, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, i, "{code:?}");
            (0..=i).for_each(|_| results.add(code));
        }
        let numbers: Vec<u64> = results.iter().map(|(_, n)| n).collect();
        assert_eq!(numbers, (1..=12).collect::<Vec<u64>>());
        assert_eq!(results.shown().first(), Some(&("L4OK".to_owned(), 1)));
    }

    #[test]
    fn verdicts() {
        let of = |v: Verdict| {
            Code::ALL.into_iter().filter(|c| c.verdict() == v).map(Code::as_str).collect::<Vec<_>>()
        };
        assert_eq!(of(Verdict::Pass), ["L4OK", "L6OK", "L7OK"]);
        assert_eq!(of(Verdict::Conditional), ["L7OKC"]);
        assert_eq!(of(Verdict::Fail), ["L4TOUT", "L4CON", "L6TOUT", "L6RSP", "L7TOUT", "L7RSP", "L7STS"]);
        assert_eq!(of(Verdict::OurFault), ["SOCKERR"]);
    }
}
