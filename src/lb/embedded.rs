//! An `lb` in memory: what VPP's `lb` plugin answers to each call, the new-flow tables it builds, and where it would
//! send a packet. It forwards nothing. The standalone tool runs on it, and so do the tests, which can make it fail.
//!
//! It follows VPP's `lb.c` and `api.c` to their quirks, but where VPP would die: a table length or a bucket count of 0, and
//! NAT for all ports, are refused here and counted ([`Embedded::deadly_calls`]); a table longer than 65,536 is refused, too.

mod pool;
mod state;
mod sticky;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::net::IpAddr;

use super::bulk::{self, Bulk, Deed, Guard, Part, Servers, batch, parts};
use super::flow::Flow;
use super::maglev::Table;
use super::types::{AsRecord, Heap, LbError, LoadBalancer, Op, Reach, Settings, VipKey, VipRecord};
use crate::time::Time;
use state::{Id, Kind, State};

/// Calls kept in the log.
const LOG: usize = 65_536;

/// One call, as the log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Counts [`LoadBalancer::apply`]s: calls of one number shared a barrier.
    pub batch: u64,
    /// What was asked.
    pub op: Op,
    /// What was answered.
    pub answer: Result<(), LbError>,
}

/// A VIP's packet counters, as in VPP's stats segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counters {
    /// `packet from existing sessions`
    pub next: u64,
    /// `first session packet`
    pub first: u64,
    /// `untracked packet`: the bucket was full
    pub untracked: u64,
    /// `no server configured`: dropped
    pub no_server: u64,
}

/// What costs an `lb` time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Work {
    /// New-flow tables built for a change of servers.
    pub rebuilds: u64,
    /// Walks over the table of flows.
    pub walks: u64,
}

/// What is wrong with an `lb`'s command for many servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Command {
    /// Nothing.
    #[default]
    Good,
    /// It is not known.
    Refused,
    /// It says that all is well, and does nothing.
    Idle,
    /// It deletes, and does not add.
    DeletesOnly,
}

type Fault = Box<dyn FnMut(&Op) -> Option<LbError> + Send>;

/// An `lb` in memory. Knows the time only as [`Embedded::set_now`] and [`Embedded::packet`] tell it; it is used for the
/// lifetime of flows and of what was deleted.
#[derive(Default)]
pub struct Embedded {
    state: State,
    batch: u64,
    log: VecDeque<Call>,
    dumps: u64,
    fail_next: (usize, Option<LbError>),
    fail_dumps: (usize, Option<LbError>),
    lose_answers: usize,
    fault: Option<Fault>,
    unavailable: Option<String>,
    local: BTreeSet<IpAddr>,
    heap: Option<Heap>,
    bulk: Bulk,
    command: Command,
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Embedded {
    /// An `lb` as VPP starts it: no VIPs, 1,024 buckets, 40 s, all-ones source addresses.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells the time. What was deleted and has no flows left is forgotten by and by, as `lb` does once a minute.
    pub fn set_now(&mut self, now: Time) {
        self.state.set_now(now);
    }

    /// Where a packet goes, and remembers it as `lb` does: the server that the flow is kept on, else the new-flow
    /// table's. None: dropped, for want of a server or because the VIP is not there (which counts nothing).
    pub fn packet(&mut self, vip: &VipKey, flow: &Flow, now: Time) -> Option<IpAddr> {
        self.state.set_now(now);
        self.state.packet(Id::of(vip), flow)
    }

    /// The server that a new flow would get; changes nothing.
    pub fn new_flow(&self, vip: &VipKey, flow: &Flow) -> Option<IpAddr> {
        self.state.new_flow(Id::of(vip), flow)
    }

    /// A VIP's packet counters; none where there is no such VIP.
    pub fn counters(&self, vip: &VipKey) -> Option<Counters> {
        self.state.counters(Id::of(vip))
    }

    /// A VIP's new-flow table; none where there is no such VIP.
    pub fn table(&self, vip: &VipKey) -> Option<&Table> {
        self.state.table(Id::of(vip))
    }

    /// Live flows that a VIP keeps on a server, deleted ones included.
    pub fn flows(&self, vip: &VipKey, server: IpAddr) -> usize {
        self.state.flows(Id::of(vip), server)
    }

    /// Times that a VIP which was not there was flushed: `lb` answers 0 to that, and flushes at random.
    pub fn stray_flushes(&self) -> u64 {
        self.state.stray_flushes()
    }

    /// Times that a NAT server was added whose (address, target port) `lb` had in its SNAT map already, for another VIP or a
    /// deleted one. Replies of the two get mixed up, and VPP aborts when both have been deleted and are collected.
    pub fn snat_clashes(&self) -> u64 {
        self.state.snat_clashes()
    }

    /// Times that VPP would have aborted: a deleted NAT server was collected whose key was not in the SNAT map any more.
    pub fn snat_aborts(&self) -> u64 {
        self.state.snat_aborts()
    }

    /// Calls that end VPP at once: a table length or a bucket count of 0, NAT for all ports. They are refused here.
    pub fn deadly_calls(&self) -> u64 {
        self.state.deadly_calls()
    }

    /// Does `op` as somebody else would: it is not logged and no fault that was asked for strikes it.
    ///
    /// # Errors
    /// As `lb` has it.
    pub fn meddle(&mut self, op: &Op) -> Result<(), LbError> {
        self.state.apply(op)
    }

    /// Adds a VIP as somebody else would, of any kind: a prefix, any IP protocol, and with `encap` none one of another kind.
    ///
    /// # Errors
    /// As `lb` has it.
    pub fn meddle_vip(&mut self, vip: &VipRecord) -> Result<(), LbError> {
        let kind = vip.encap.map_or(Kind::Other, Kind::of);
        self.state.add_vip(Id::of_record(vip), kind, vip.table_length, false)
    }

    /// Adds a server to any VIP as somebody else would.
    ///
    /// # Errors
    /// As `lb` has it.
    pub fn meddle_server(&mut self, vip: &VipRecord, server: IpAddr, weight: u8) -> Result<(), LbError> {
        self.state.add_server(Id::of_record(vip), server, weight, false)
    }

    /// The servers of any VIP, as [`LoadBalancer::servers`] gives those of a host VIP. Not counted as a dump.
    pub fn servers_of(&self, vip: &VipRecord) -> Vec<AsRecord> {
        self.state.servers(Id::of_record(vip))
    }

    /// The weights of a VIP's servers. Not counted as a dump.
    pub fn weights(&self, vip: &VipKey) -> Vec<(IpAddr, u8)> {
        self.state.servers(Id::of(vip)).iter().map(|s| (s.address, s.weight)).collect()
    }

    /// The next `n` ops fail with `error`, and do nothing.
    pub fn fail_next(&mut self, n: usize, error: LbError) {
        self.fail_next = (n, Some(error));
    }

    /// The next `n` ops take effect, but are answered with [`LbError::NoAnswer`].
    pub fn lose_answers(&mut self, n: usize) {
        self.lose_answers = n;
    }

    /// Every op that `fault` has an error for fails with it, and does nothing. Replaces the last one given.
    pub fn fail_when(&mut self, fault: impl FnMut(&Op) -> Option<LbError> + Send + 'static) {
        self.fault = Some(Box::new(fault));
    }

    /// What is wrong with the command for many servers from now on.
    pub fn set_command(&mut self, command: Command) {
        self.command = command;
    }

    /// What has taken time so far.
    pub fn work(&self) -> Work {
        self.state.work()
    }

    /// No op fails any more but those that `lb` itself refuses.
    pub fn heal(&mut self) {
        (self.fail_next, self.fail_dumps, self.lose_answers, self.fault) = ((0, None), (0, None), 0, None);
    }

    /// The next `n` dumps (settings, VIPs, servers) fail with `error`.
    pub fn fail_dumps(&mut self, n: usize, error: LbError) {
        self.fail_dumps = (n, Some(error));
    }

    /// What [`LoadBalancer::unavailable`] says; also every call fails with it.
    pub fn set_unavailable(&mut self, why: Option<String>) {
        self.unavailable = why;
    }

    /// The addresses of the router itself: a server that has one of them is a forwarding loop.
    pub fn set_local(&mut self, local: BTreeSet<IpAddr>) {
        self.local = local;
    }

    /// From now on there is so much memory, and it fills as VPP's does: `lb` takes a table for each VIP, and frees none.
    pub fn set_heap(&mut self, heap: Option<Heap>) {
        self.heap = heap;
        self.state.count_tables();
    }

    /// Whether a process with that heap would have aborted.
    pub fn out_of_memory(&self) -> bool {
        self.heap.is_some_and(|h| self.state.tables() > h.free)
    }

    /// The calls since the last time, at most the newest 65,536.
    pub fn take_log(&mut self) -> Vec<Call> {
        self.log.drain(..).collect()
    }

    /// Dumps so far (settings, VIPs, servers).
    pub fn dumps(&self) -> u64 {
        self.dumps
    }

    fn dump(&mut self) -> Result<(), LbError> {
        if let Some(why) = &self.unavailable {
            return Err(LbError::Unavailable(why.clone()));
        }
        self.dumps += 1;
        strike(&mut self.fail_dumps).map_or(Ok(()), Err)
    }

    fn call(&mut self, op: &Op) -> Result<(), LbError> {
        if let Some(why) = &self.unavailable {
            return Err(LbError::Unavailable(why.clone()));
        }
        if let Some(error) = self.struck(op) {
            return Err(error);
        }
        let answer = self.state.apply(op);
        self.perhaps_lost(answer)
    }

    fn note(&mut self, op: &Op, answer: &Result<(), LbError>) {
        if self.log.len() >= LOG {
            self.log.pop_front();
        }
        self.log.push_back(Call { batch: self.batch, op: *op, answer: answer.clone() });
    }

    /// The error that was asked for, if one was.
    fn struck(&mut self, op: &Op) -> Option<LbError> {
        strike(&mut self.fail_next).or_else(|| self.fault.as_mut().and_then(|fault| fault(op)))
    }

    fn perhaps_lost(&mut self, answer: Result<(), LbError>) -> Result<(), LbError> {
        if self.lose_answers > 0 {
            self.lose_answers -= 1;
            return Err(LbError::NoAnswer("lost"));
        }
        answer
    }
}

fn strike(fault: &mut (usize, Option<LbError>)) -> Option<LbError> {
    let (left, error) = fault;
    *left = left.checked_sub(1)?;
    error.clone()
}

impl LoadBalancer for Embedded {
    fn unavailable(&self) -> Option<String> {
        self.unavailable.clone()
    }

    fn kind(&self) -> &'static str {
        "embedded"
    }

    fn settings(&mut self) -> Result<Settings, LbError> {
        self.dump()?;
        Ok(self.state.settings())
    }

    fn vips(&mut self) -> Result<Vec<VipRecord>, LbError> {
        self.dump()?;
        Ok(self.state.vips())
    }

    fn servers(&mut self, vip: &VipKey) -> Result<Vec<AsRecord>, LbError> {
        self.dump()?;
        Ok(self.state.servers(Id::of(vip)))
    }

    fn reach(&mut self, server: IpAddr) -> Reach {
        match () {
            () if self.local.contains(&server) => Reach::Local,
            () if self.state.has_vip_for(server) => Reach::Vip,
            () => Reach::Away,
        }
    }

    fn index(&mut self, vip: &VipKey) -> Option<u32> {
        self.state.index(vip)
    }

    fn heap(&mut self) -> Option<Heap> {
        let heap = self.heap?;
        let taken = self.state.tables();
        Some(Heap { free: heap.free.saturating_sub(taken), top: heap.top.saturating_sub(taken), ..heap })
    }

    fn apply(&mut self, ops: &[Op]) -> Vec<Result<(), LbError>> {
        self.batch += 1;
        batch(self, ops.iter().map(Part::Single).collect(), &[])
    }

    fn apply_bulk(&mut self, ops: &[Op], former: &[(IpAddr, u8)]) -> Vec<Result<(), LbError>> {
        self.batch += 1;
        batch(self, parts(ops), former)
    }

    fn take_remark(&mut self) -> Option<String> {
        self.bulk.take_remark()
    }
}

impl Servers for Embedded {
    fn command(&mut self, command: &bulk::Command) -> Result<(), LbError> {
        let id = Id::of(&command.vip);
        match (self.command, command.deed) {
            (Command::Refused, _) | (Command::DeletesOnly, Deed::Put(_)) => Err(LbError::Other(-1)),
            (Command::Idle, _) => Ok(()),
            (Command::Good | Command::DeletesOnly, Deed::Delete) => {
                self.state.delete_servers(id, &command.servers, command.flush)
            }
            (Command::Good, Deed::Put(weight)) => {
                match self.state.put_servers(id, &command.servers, weight, command.flush) {
                    // One of them is in use: all get the weight, one after the other, until one of them is not there.
                    Err(LbError::ValueExist) => command.servers.iter().try_for_each(|server| {
                        let (vip, address, flush) = (command.vip, *server, command.flush);
                        self.state.apply(&Op::SetWeight { vip, address, weight, flush })
                    }),
                    done => done,
                }
            }
        }
    }

    fn single(&mut self, op: &Op) -> Result<(), LbError> {
        self.state.apply(op)
    }

    fn servers_now(&mut self, vip: &VipKey) -> Result<Vec<AsRecord>, LbError> {
        Ok(self.state.servers(Id::of(vip)))
    }

    fn bulk(&mut self) -> &mut Bulk {
        &mut self.bulk
    }

    fn alone(&mut self, op: &Op) -> Result<(), LbError> {
        if matches!(op, Op::FlushVip { vip } if !self.state.has(vip)) {
            return Err(LbError::NoSuchEntry);
        }
        let answer = self.call(op);
        self.note(op, &answer);
        answer
    }

    /// What was asked to fail fails, and then all go one by one.
    fn together(
        &mut self,
        ops: &[Op],
        commands: &[bulk::Command],
        guard: &mut Guard<'_>,
    ) -> Vec<Result<(), LbError>> {
        let struck: Vec<Option<LbError>> = match &self.unavailable {
            Some(why) => ops.iter().map(|_| Some(LbError::Unavailable(why.clone()))).collect(),
            None => ops.iter().map(|op| self.struck(op)).collect(),
        };
        let done = if struck.iter().all(Option::is_none) {
            bulk::together(self, ops, commands, guard)
        } else {
            let one =
                |(op, e): (&Op, Option<LbError>)| guard.single(op, || e.map_or_else(|| self.single(op), Err));
            ops.iter().zip(struck).map(one).collect()
        };
        let answers: Vec<Result<(), LbError>> =
            done.into_iter().map(|answer| self.perhaps_lost(answer)).collect();
        for (op, answer) in ops.iter().zip(&answers).filter(|(_, answer)| **answer != Err(LbError::Held)) {
            self.note(op, answer);
        }
        answers
    }
}
