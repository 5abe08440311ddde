//! Weights that only an agent's percentage has changed. They may change with every reply of every agent, and each write stops
//! the workers for a rebuild of the table; so they are put together: for an address at most once in an interval, and all of them
//! for no more than a twentieth of the time. Whatever else changes at the address leaves them as they are in `lb`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::Programmer;
use crate::control::queue::Class;
use crate::lb::reconcile::{Actual, Wanted, WantedServer};
use crate::lb::{Op, VipKey};
use crate::time::Time;

/// After so much of `lb`'s time others have it for [`REST`] times as long.
const SPELL: Duration = Duration::from_millis(1);
const REST: u32 = 19;
/// Weights that wait for so much longer than they would have to are a problem.
const LATE: Duration = Duration::from_secs(10);

/// See above.
#[derive(Debug, Default)]
pub(super) struct Adjusts {
    pub(super) interval: Duration,
    /// Servers whose weight waits.
    soft: BTreeMap<VipKey, BTreeSet<IpAddr>>,
    /// Servers whose turn it is and that were not written to yet: a newer weight takes the place of the older one, so that each
    /// gets its turn however often it changes.
    round: BTreeMap<VipKey, BTreeSet<IpAddr>>,
    /// The addresses of their VIPs, by when it is their turn.
    turns: BTreeSet<(Time, IpAddr)>,
    /// Addresses whose turn it is: more important work on them does not take its place.
    due: BTreeSet<IpAddr>,
    /// When an address had its turn.
    last: BTreeMap<IpAddr, Time>,
    /// When an address had its turn last.
    newest: Option<Time>,
    /// The next spell begins.
    at: Time,
    /// Of the spell under way.
    spent: Duration,
    /// That is a problem.
    behind: bool,
}

impl Adjusts {
    /// Addresses and servers that wait, and what is remembered.
    pub(super) fn size(&self) -> usize {
        self.turns.len() + self.last.len() + self.due.len()
    }

    /// When there is something to do.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.turns.first().map(|(at, _)| *at)
    }

    /// When more may be written.
    pub(super) fn at(&self) -> Time {
        self.at
    }

    fn waits(&self, address: IpAddr) -> bool {
        self.soft
            .range(VipKey { address, service: None }..)
            .next()
            .is_some_and(|(vip, _)| vip.address == address)
    }
}

impl Programmer {
    /// Weights of these servers are others by an agent's word alone.
    pub fn adjust(&mut self, now: Time, vip: VipKey, servers: impl IntoIterator<Item = IpAddr>) {
        let a = &mut self.adjusts;
        let now_on = |server: &IpAddr| a.round.get(&vip).is_some_and(|round| round.contains(server));
        let servers: Vec<IpAddr> = servers.into_iter().filter(|server| !now_on(server)).collect();
        if servers.is_empty() {
            return;
        }
        if !a.waits(vip.address) {
            let turn = a.last.get(&vip.address).map_or(now, |last| now.max(*last + a.interval));
            a.turns.insert((turn, vip.address));
        }
        a.soft.entry(vip).or_default().extend(servers);
    }

    /// The weight of a server is another for some other reason, too.
    pub fn adjust_at_once(&mut self, vip: &VipKey, server: IpAddr) {
        if let Some(servers) = self.adjusts.soft.get_mut(vip) {
            servers.remove(&server);
        }
    }

    /// Whatever waits at these addresses is to be written with what is written next there.
    pub(super) fn adjust_now(&mut self, addresses: &BTreeSet<IpAddr>) {
        let a = &mut self.adjusts;
        a.soft.retain(|vip, _| !addresses.contains(&vip.address));
        a.turns.retain(|(_, address)| !addresses.contains(address));
        a.due.retain(|address| !addresses.contains(address));
    }

    /// A weight was written.
    pub(super) fn adjust_written(&mut self, vip: &VipKey, server: IpAddr) {
        if let Some(round) = self.adjusts.round.get_mut(vip) {
            round.remove(&server);
        }
    }

    /// Work on an address has ended; it may have been other work.
    pub(super) fn adjust_goes_on(&mut self, address: IpAddr) {
        self.adjusts.round.retain(|vip, _| vip.address != address);
        if self.adjusts.due.contains(&address) {
            self.waiting.push(Class::Adjust, address);
        }
    }

    /// Addresses whose turn it is.
    pub(super) fn adjusts_due(&mut self, now: Time) {
        while let Some((_, address)) = self.adjusts.turns.first().copied().filter(|(at, _)| *at <= now) {
            self.adjusts.turns.pop_first();
            self.adjusts.due.insert(address);
            self.waiting.push(Class::Adjust, address);
        }
    }

    /// The turn of an address.
    pub(super) fn adjust_begins(&mut self, now: Time, address: IpAddr) {
        let first = VipKey { address, service: None };
        let here: Vec<VipKey> = self
            .adjusts
            .soft
            .range(first..)
            .map(|(vip, _)| *vip)
            .take_while(|v| v.address == address)
            .collect();
        for vip in here {
            if let Some(servers) = self.adjusts.soft.remove(&vip) {
                self.adjusts.round.entry(vip).or_default().extend(servers);
            }
        }
        self.adjusts.due.remove(&address);
        self.adjusts.last.insert(address, now);
        self.adjusts.newest = Some(now);
    }

    /// Forgets turns that make no difference any more.
    pub(super) fn adjusts_forget(&mut self, now: Time) {
        let interval = self.adjusts.interval;
        self.adjusts.last.retain(|_, at| now.since(*at) < interval);
    }

    /// Has written these for an agent's sake.
    pub(super) fn adjust_spends(&mut self, now: Time, ops: &[Op], bulk: bool) {
        let a = &mut self.adjusts;
        let actual = |op: &Op| op.vip().and_then(|vip| self.vips.get(&vip));
        // Several that are put together are of one VIP.
        a.spent += match ops.first().and_then(actual).filter(|_| bulk) {
            Some(vip) => self.costs.together(ops, vip),
            None => {
                let vips = ops.iter().filter_map(actual);
                vips.map(|vip| self.costs.rebuild(vip.weights(), vip.table_length)).sum()
            }
        };
        if a.spent >= SPELL {
            a.at = now + a.spent * REST;
            a.spent = Duration::ZERO;
        }
    }

    /// Leaves what waits as it is, but for a server that is written to anyhow.
    pub(super) fn soften(&self, vip: &VipKey, wanted: &mut Wanted, actual: Option<&Actual>) {
        let (Some(soft), Some(actual)) = (self.adjusts.soft.get(vip), actual) else { return };
        let made = (actual.encap, actual.table_length, self.ledger.src_ip_sticky(vip));
        // One that is recreated is written to anyhow.
        if made != (Some(wanted.encap), wanted.table_length, Some(wanted.src_ip_sticky)) {
            return;
        }
        for server in soft {
            if let (Some(WantedServer { weight: weight @ 1.., flush_once: false, .. }), Some(now @ 1..)) =
                (wanted.servers.get_mut(server), actual.servers.get(server))
            {
                *weight = *now;
            }
        }
    }

    /// Whether the weight of a server waits for its turn, or has it and is not written yet.
    pub(super) fn waits_for_turn(&self, vip: &VipKey, server: IpAddr) -> bool {
        let Adjusts { soft, round, .. } = &self.adjusts;
        [soft, round].iter().any(|all| all.get(vip).is_some_and(|servers| servers.contains(&server)))
    }

    /// Whether weights of a VIP wait.
    pub(super) fn adjusts(&self, vip: &VipKey) -> bool {
        self.adjusts.soft.get(vip).is_some_and(|servers| !servers.is_empty())
    }

    /// What an operator must be told, if weights wait for too long: until none waits.
    pub fn adjust_problem(&mut self, now: Time) -> Option<String> {
        let at_work = self.job.iter().chain(&self.suspended).any(|j| j.class == Class::Adjust);
        let begun = at_work || self.waiting.has(Class::Adjust);
        let a = &mut self.adjusts;
        let since = now.since(a.newest?);
        a.behind = begun && since > a.interval * 10 + LATE || a.behind && (begun || !a.turns.is_empty());
        a.behind.then(|| {
            let n = a.soft.values().map(BTreeSet::len).sum::<usize>();
            format!(
                "agents change weights faster than lb takes them without holding up packets: those of the last {} s are not \
                 all written, {n} newer ones wait",
                since.as_secs()
            )
        })
    }
}
