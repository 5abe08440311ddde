//! What is written to several servers of one VIP, put together so that `lb` rebuilds the new-flow table few times.
//!
//! `lb`'s own command for servers takes many of them (its cli.c): a `del` of n is one rebuild, and so is adding n that are not in
//! use with one weight. So, under one barrier, n servers that are there get weight W by two rebuilds: deleted, and added with it;
//! `lb` finds each again by its address, with the flows that it has. The table is that of n single writes, position for position. Not for NAT: VPP
//! aborts when what was deleted there is collected.
//!
//! The command is text, without a version: [`Bulk`] looks at `lb` after the first, and does singly what a command has not done.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::types::{AsRecord, LbError, Op, VipKey};

/// So many servers are named in one command. `lb` compares each with each.
pub const MOST: usize = 500;

/// One command of `lb` for servers of one VIP, one rebuild of its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Which VIP.
    pub vip: VipKey,
    /// The servers, none of them twice. `lb` takes them from the last to the first.
    pub servers: Vec<IpAddr>,
    /// What becomes of them.
    pub deed: Deed,
    /// Their flows are dropped: one walk over every thread's flow table for each of them.
    pub flush: bool,
}

/// What becomes of the servers of a [`Command`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// All are deleted; none is where one of them was never there.
    Delete,
    /// None of them is in use, and all come in with this weight, 0–100.
    Put(u8),
}

/// Ops in a row that are done in one go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// By a message of its own.
    Single(&'a Op),
    /// Several servers of one VIP.
    Together(&'a [Op], Vec<Command>),
}

/// The server that an op is about.
pub(super) fn server(op: &Op) -> Option<IpAddr> {
    match *op {
        Op::AddServer { address, .. } | Op::DelServer { address, .. } | Op::SetWeight { address, .. } => {
            Some(address)
        }
        Op::SetSettings(_) | Op::AddVip { .. } | Op::DelVip { .. } | Op::FlushVip { .. } => None,
    }
}

/// How many of `ops`, from the first on, are about different servers of one VIP.
fn run(ops: &[Op]) -> usize {
    let mut seen = BTreeSet::new();
    let vip = ops.first().and_then(Op::vip);
    let one_more = |op: &&Op| op.vip() == vip && server(op).is_some_and(|a| seen.insert(a));
    ops.iter().take(MOST).take_while(one_more).count()
}

/// The commands that do what `ops` do, each about another server of one VIP: what is in use is deleted, then all that stays comes
/// in, by weight.
fn commands(vip: VipKey, ops: &[Op]) -> Vec<Command> {
    let mut all: BTreeMap<(Deed, bool), Vec<IpAddr>> = BTreeMap::new();
    let mut add = |deed, flush, address| all.entry((deed, flush)).or_default().push(address);
    for op in ops {
        match *op {
            Op::AddServer { address, weight, flush, .. } => add(Deed::Put(weight), flush, address),
            Op::DelServer { address, flush, .. } => add(Deed::Delete, flush, address),
            Op::SetWeight { address, weight, flush, .. } => {
                add(Deed::Delete, flush, address);
                add(Deed::Put(weight), false, address);
            }
            Op::SetSettings(_) | Op::AddVip { .. } | Op::DelVip { .. } | Op::FlushVip { .. } => {}
        }
    }
    let command = |((deed, flush), mut servers): (_, Vec<IpAddr>)| {
        // As if they had been added one after the other.
        servers.reverse();
        Command { vip, servers, deed, flush }
    };
    all.into_iter().map(command).collect()
}

/// `ops` in the parts that they are done in: together where that takes fewer rebuilds.
pub fn parts(ops: &[Op]) -> Vec<Part<'_>> {
    let (mut out, mut left) = (Vec::new(), ops);
    while let [first, ..] = left {
        let (these, rest) = left.split_at(run(left).max(1));
        left = rest;
        let commands = first.vip().filter(|_| these.len() > 1).map(|vip| commands(vip, these));
        match commands.filter(|commands| commands.len() < these.len()) {
            Some(commands) => out.push(Part::Together(these, commands)),
            None => out.extend(these.iter().map(Part::Single)),
        }
    }
    out
}

/// What was done to a server of a VIP, whichever it is.
type Kind = (u8, VipKey, u8, bool);

fn kind(op: &Op) -> Option<Kind> {
    match *op {
        Op::AddServer { vip, weight, flush, .. } => Some((0, vip, weight, flush)),
        Op::SetWeight { vip, weight, flush, .. } => Some((1, vip, weight, flush)),
        Op::DelServer { vip, flush, .. } => Some((2, vip, 0, flush)),
        Op::SetSettings(_) | Op::AddVip { .. } | Op::DelVip { .. } | Op::FlushVip { .. } => None,
    }
}

/// What has been done, for the log: one line for what was done to several servers of a VIP,
/// `vip=192.0.2.1:80/tcp set-weight servers=10.0.0.1,10.0.0.2 weight=0 flush`.
pub fn lines(ops: &[Op]) -> Vec<String> {
    let mut out = Vec::new();
    for these in ops.chunk_by(|a, b| server(a).is_some() && server(b).is_some() && a.vip() == b.vip()) {
        let mut groups: Vec<(Option<Kind>, Vec<&Op>)> = Vec::new();
        for op in these {
            match groups.iter_mut().find(|(of, _)| *of == kind(op)) {
                Some((_, group)) => group.push(op),
                None => groups.push((kind(op), vec![op])),
            }
        }
        out.extend(groups.iter().filter_map(|(_, group)| line(group)));
    }
    out
}

fn line(ops: &[&Op]) -> Option<String> {
    let first = *ops.first()?;
    let text = first.to_string();
    let Some(one) = server(first).filter(|_| ops.len() > 1) else { return Some(text) };
    let all: Vec<String> = ops.iter().filter_map(|op| server(op)).map(|a| a.to_string()).collect();
    Some(text.replacen(&format!("server={one}"), &format!("servers={}", all.join(",")), 1))
}

/// What is asked of an `lb` for it.
pub trait Servers {
    /// One command.
    ///
    /// # Errors
    /// [`LbError::NoRoom`]: not sent. Another one: it has done nothing, or nobody knows what.
    fn command(&mut self, command: &Command) -> Result<(), LbError>;

    /// One message.
    ///
    /// # Errors
    /// As [`LbError`] says.
    fn single(&mut self, op: &Op) -> Result<(), LbError>;

    /// The servers in use of a VIP.
    ///
    /// # Errors
    /// As [`LbError`] says.
    fn servers_now(&mut self, vip: &VipKey) -> Result<Vec<AsRecord>, LbError>;

    /// What is known of its command.
    fn bulk(&mut self) -> &mut Bulk;

    /// A [`Part::Single`]; one answer.
    ///
    /// # Errors
    /// As [`LbError`] says.
    fn alone(&mut self, op: &Op) -> Result<(), LbError> {
        self.single(op)
    }

    /// A [`Part::Together`]: one answer an op.
    fn together(
        &mut self,
        ops: &[Op],
        commands: &[Command],
        guard: &mut Guard<'_>,
    ) -> Vec<Result<(), LbError>>
    where
        Self: Sized,
    {
        together(self, ops, commands, guard)
    }
}

/// Writes several servers of a VIP by what `lb`'s [`Bulk`] knows.
pub fn together(
    lb: &mut impl Servers,
    ops: &[Op],
    commands: &[Command],
    guard: &mut Guard<'_>,
) -> Vec<Result<(), LbError>> {
    let mut bulk = std::mem::take(lb.bulk());
    let done = bulk.write(lb, ops, commands, guard);
    *lb.bulk() = bulk;
    done
}

/// All parts in order, under a barrier that is held if there are several; one answer an op. Ops on a VIP that could not be made are not
/// sent. `former`: as [`super::LoadBalancer::apply_bulk`] has it.
pub fn batch(
    lb: &mut impl Servers,
    parts: Vec<Part<'_>>,
    former: &[(IpAddr, u8)],
) -> Vec<Result<(), LbError>> {
    let mut guard = Guard::new(former);
    let mut not_made = BTreeSet::new();
    let mut answers = Vec::new();
    for part in parts {
        match part {
            Part::Single(op @ Op::AddVip { vip, .. }) => {
                let answer = guard.single(op, || lb.alone(op));
                if answer.is_ok() {
                    not_made.remove(vip)
                } else {
                    not_made.insert(*vip)
                };
                answers.push(answer);
            }
            Part::Single(op) if op.vip().is_some_and(|vip| not_made.contains(&vip)) => {
                answers.push(Err(LbError::NoSuchEntry));
            }
            Part::Single(op) => answers.push(guard.single(op, || lb.alone(op))),
            Part::Together(ops, _)
                if ops.first().and_then(Op::vip).is_some_and(|vip| not_made.contains(&vip)) =>
            {
                answers.extend(ops.iter().map(|_| Err(LbError::NoSuchEntry)));
            }
            Part::Together(ops, commands) => answers.extend(lb.together(ops, &commands, &mut guard)),
        }
    }
    answers
}

/// What is known of `lb`'s command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Trust {
    /// Nothing yet.
    #[default]
    Untried,
    /// It does what it should.
    Proven,
    /// It does not.
    Off,
}

/// Several servers of a VIP at a time, as long as `lb`'s command does what it should.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bulk {
    trust: Trust,
    remark: Option<String>,
}

/// Servers that keep their weight where nothing of what is to come in for them can.
#[derive(Clone, Copy, Debug)]
pub struct Guard<'a> {
    /// What they weigh.
    former: &'a [(IpAddr, u8)],
    /// Something that adds weight has failed.
    failed: bool,
    /// Something that adds weight is done.
    added: bool,
}

impl<'a> Guard<'a> {
    /// As [`super::LoadBalancer::apply_bulk`] has it.
    pub fn new(former: &'a [(IpAddr, u8)]) -> Self {
        Guard { former, failed: false, added: false }
    }

    /// What the server of an op keeps; none: the op is done.
    fn keeps(&self, op: &Op) -> Option<u8> {
        let holds = self.failed && !self.added;
        let former = self.former.iter().find(|(address, _)| holds && Some(*address) == server(op));
        former.map(|(_, weight)| *weight).filter(|_| !op.adds_weight())
    }

    /// Does an op with what `done` calls, unless it is held back.
    pub fn single(&mut self, op: &Op, done: impl FnOnce() -> Result<(), LbError>) -> Result<(), LbError> {
        let done = if self.keeps(op).is_some() { Err(LbError::Held) } else { done() };
        self.saw(op, &done);
        done
    }

    fn saw(&mut self, op: &Op, done: &Result<(), LbError>) {
        if op.adds_weight() {
            self.failed |= done.is_err();
            self.added |= done.is_ok();
        }
    }
}

impl Bulk {
    /// Does `ops`, all of one [`Part::Together`], under a barrier that is held: one answer each. What a command has not done is done
    /// singly.
    pub fn write(
        &mut self,
        lb: &mut impl Servers,
        ops: &[Op],
        commands: &[Command],
        guard: &mut Guard<'_>,
    ) -> Vec<Result<(), LbError>> {
        let Some(vip) = ops.first().and_then(Op::vip).filter(|_| self.trust != Trust::Off) else {
            return ops.iter().map(|op| guard.single(op, || lb.single(op))).collect();
        };
        let mut after = After::default();
        let mut refused = None;
        for command in commands {
            match lb.command(command) {
                Ok(()) => after.did(command),
                Err(e) => {
                    refused = Some(e);
                    break;
                }
            }
        }
        if refused.is_none() && self.trust == Trust::Proven {
            return ops.iter().map(|_| Ok(())).collect();
        }
        let Ok(now) = lb.servers_now(&vip) else {
            return ops.iter().map(|_| Err(LbError::NoAnswer("many servers at once"))).collect();
        };
        after.now = now.iter().map(|s| (s.address, s.weight)).collect();
        let left: Vec<Option<Op>> = ops.iter().map(|op| after.still_to_do(op)).collect();
        if refused.is_none() && left.iter().all(Option::is_none) {
            self.trust = Trust::Proven;
            return ops.iter().map(|_| Ok(())).collect();
        }
        let mut done = Vec::with_capacity(ops.len());
        for (op, left) in ops.iter().zip(&left) {
            done.push(match (guard.keeps(op), left) {
                (Some(weight), _) => {
                    // What was done to it is undone.
                    if let Some(back) = after.back(op, weight) {
                        let _ = lb.single(&back);
                    }
                    Err(LbError::Held)
                }
                (None, Some(left)) => guard.single(op, || lb.single(left)),
                (None, None) => {
                    guard.saw(op, &Ok(()));
                    Ok(())
                }
            });
        }
        // What `lb` refuses singly, too, it was right to refuse.
        if refused != Some(LbError::NoRoom) && done.iter().all(Result::is_ok) {
            let what = refused.map_or_else(|| "it has not done what it should".to_owned(), |e| e.to_string());
            self.trust = Trust::Off;
            self.remark = Some(format!(
                "lb's command for many servers is not used any more, they are written one by one: {what}"
            ));
        }
        done
    }

    /// Why nothing is put together any more, once.
    pub fn take_remark(&mut self) -> Option<String> {
        self.remark.take()
    }
}

/// What the commands have done so far, and what the VIP has then.
#[derive(Debug, Default)]
struct After {
    deleted: BTreeSet<IpAddr>,
    put: BTreeSet<IpAddr>,
    now: BTreeMap<IpAddr, u8>,
}

impl After {
    /// `lb` says that it has done this one.
    fn did(&mut self, command: &Command) {
        let these = match command.deed {
            Deed::Delete => &mut self.deleted,
            Deed::Put(_) => &mut self.put,
        };
        these.extend(&command.servers);
    }

    /// The op that gives the server of `op` this weight again; none: it has it.
    fn back(&self, op: &Op, weight: u8) -> Option<Op> {
        let (vip, address) = (op.vip()?, server(op)?);
        match self.now.get(&address) {
            Some(is) if *is == weight => None,
            Some(_) => Some(Op::SetWeight { vip, address, weight, flush: false }),
            None => Some(Op::AddServer { vip, address, weight, flush: false }),
        }
    }

    /// What is left to be done of an op; none: nothing.
    fn still_to_do(&self, op: &Op) -> Option<Op> {
        match *op {
            Op::AddServer { vip, address, weight, flush } if self.put.contains(&address) => {
                match self.now.get(&address) {
                    Some(is) if *is == weight => None,
                    Some(_) => Some(Op::SetWeight { vip, address, weight, flush }),
                    None => Some(*op),
                }
            }
            Op::SetWeight { vip, address, weight, flush } => {
                let deleted = self.deleted.contains(&address);
                match self.now.get(&address) {
                    Some(is) if *is == weight && (!flush || deleted) => None,
                    None if deleted => Some(Op::AddServer { vip, address, weight, flush }),
                    Some(_) | None => Some(*op),
                }
            }
            Op::DelServer { address, .. }
                if self.deleted.contains(&address) && !self.now.contains_key(&address) =>
            {
                None
            }
            Op::AddServer { .. }
            | Op::DelServer { .. }
            | Op::SetSettings(_)
            | Op::AddVip { .. }
            | Op::DelVip { .. }
            | Op::FlushVip { .. } => Some(*op),
        }
    }
}

#[cfg(test)]
mod tests;
