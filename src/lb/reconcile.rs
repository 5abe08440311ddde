//! From what is wanted of `lb` and what is there to the calls between the two. Pure: no clock, no `lb`.
//!
//! The order, over all VIPs of an address: servers that are to get no more packets, where others go on serving (their weight
//! alone, their flows later); then VIPs that have nobody else to serve: themselves, what adds weight, and who then is to go;
//! then what else adds weight; then what takes it away, and flushes. Within each by VIP and ascending address. So a failover
//! never passes through an empty VIP, and two machines with one configuration build the same tables. Each op is a step of its
//! own, so that the workers run between two; creating, filling and recreating a VIP is one step while it is estimated at no
//! more than [`BARRIER_LIMIT`].
//!
//! What fails midway is not undone: the caller goes on ([`super::run::Run`] holds back what a failed op has made
//! harmful), and plans again from a fresh dump. A plan is made from what is there alone, so that it picks up wherever
//! the last one ended.

mod clash;
mod estimate;
mod exchange;
mod group;
mod nat;
mod planner;
mod room;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

pub use estimate::{BARRIER_LIMIT, Costs};
pub use planner::plan;

use super::types::{AsRecord, Encap, LbError, LoadBalancer, Op, Settings, VipKey, VipRecord};

/// What a VIP should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// How its packets travel.
    pub encap: Encap,
    /// Power of two, 1 to 65536.
    pub table_length: u32,
    /// Hash the source address alone.
    pub src_ip_sticky: bool,
    /// Its servers; what is in `lb` and not here is deleted.
    pub servers: BTreeMap<IpAddr, WantedServer>,
}

/// What a server of a VIP should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct WantedServer {
    /// 0–100
    pub weight: u8,
    /// At weight 0: its flows are to go. (Without meaning at another weight.) Done once, while the server is dirty.
    pub flush: bool,
    /// Flush its flows now, at whatever weight, dirty or not: the operator's `weight … flush`. Done with every plan, so
    /// clear it when `lb` has answered.
    pub flush_once: bool,
    /// A server that is to leave, but not yet: it is left as it is in `lb`, and not added where it is not there.
    pub keep: bool,
}

/// What a VIP is, by `lb`'s dumps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actual {
    /// None: one that we cannot make.
    pub encap: Option<Encap>,
    /// Length of the new-flow table.
    pub table_length: u32,
    /// Weights of the servers in use.
    pub servers: BTreeMap<IpAddr, u8>,
}

impl Actual {
    /// From the two dumps.
    pub fn new(vip: &VipRecord, servers: &[AsRecord]) -> Actual {
        let servers = servers.iter().map(|s| (s.address, s.weight)).collect();
        Actual { encap: vip.encap, table_length: vip.table_length, servers }
    }

    /// The sum of its servers' weights.
    pub fn weights(&self) -> u32 {
        self.servers.values().map(|&w| u32::from(w)).sum()
    }

    /// An op on one of its servers is done.
    fn advance(&mut self, op: &Op) {
        match *op {
            Op::AddServer { address, weight, .. } | Op::SetWeight { address, weight, .. } => {
                self.servers.insert(address, weight);
            }
            Op::DelServer { address, .. } => {
                self.servers.remove(&address);
            }
            Op::SetSettings(_) | Op::AddVip { .. } | Op::DelVip { .. } | Op::FlushVip { .. } => {}
        }
    }
}

/// One VIP to plan for.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// Which.
    pub vip: VipKey,
    /// What it should be; none: it should not be, if it is ours.
    pub wanted: Option<&'a Wanted>,
    /// What it is; none: it is not there.
    pub actual: Option<&'a Actual>,
    /// It is wanted and was never programmed in this life of the plugin: if there is one that is not ours, it is
    /// recreated as ours. Otherwise it is foreign, and left alone.
    pub adopt: bool,
}

/// What a step is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepKind {
    /// Makes a VIP, with its servers when all fit under one barrier.
    Create,
    /// Deletes a VIP and makes it anew, or all that clash on one address.
    Recreate,
    /// Gives weight to a VIP that had none.
    Fill,
    /// Takes the weight of a server that is to get no more packets.
    Out,
    /// Adds a server or weight.
    Add,
    /// All servers of a VIP for others.
    Exchange,
    /// Takes a server, weight or flows away.
    Take,
    /// Flushes a VIP.
    Flush,
    /// Removes a VIP that is no longer wanted.
    Leave,
}

/// Ops that run under one barrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// In order; never empty.
    pub ops: Vec<Op>,
    /// What for.
    pub kind: StepKind,
    /// Those to several servers of a VIP are put together ([`crate::lb::bulk`]).
    pub bulk: bool,
    /// Servers that lose their weight to those that come in, and what they weigh.
    pub former: Vec<(IpAddr, u8)>,
}

impl Step {
    /// Does it, under one barrier: one answer an op.
    pub fn apply(&self, lb: &mut impl LoadBalancer) -> Vec<Result<(), LbError>> {
        if self.bulk { lb.apply_bulk(&self.ops, &self.former) } else { lb.apply(&self.ops) }
    }
}

/// What should be logged, or shown on the frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The VIP is recreated, and its flows are lost.
    Recreate {
        /// Which.
        vip: VipKey,
        /// In words.
        reason: String,
    },
    /// The VIP is created, filled or recreated in several steps, between which packets meet a table that is not full.
    InSteps {
        /// Which.
        vip: VipKey,
        /// How long one step would have held the barrier.
        estimate: Duration,
    },
    /// The VIP is wanted, but what is there is not ours: nothing is done.
    Foreign {
        /// Which.
        vip: VipKey,
        /// In words.
        reason: String,
    },
    /// Not all that is wanted of the VIP can be had in this life of VPP, because of NAT.
    Refused {
        /// Which.
        vip: VipKey,
        /// In words.
        reason: String,
    },
    /// The VIP cannot be made, or made anew, for want of memory.
    NoRoom {
        /// Which.
        vip: VipKey,
        /// In words.
        reason: String,
    },
}

impl Note {
    /// The VIP that is not as it is wanted, if this note says so.
    pub fn unmet(&self) -> Option<&VipKey> {
        match self {
            Note::Foreign { vip, .. } | Note::Refused { vip, .. } | Note::NoRoom { vip, .. } => Some(vip),
            Note::Recreate { .. } | Note::InSteps { .. } => None,
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Recreate { vip, reason } => write!(f, "recreating {vip}: {reason}"),
            Note::InSteps { vip, estimate } => {
                write!(f, "{vip} in steps: {} ms under one barrier would be too long", estimate.as_millis())
            }
            Note::Foreign { vip, reason } => write!(f, "{vip} left alone: {reason}"),
            Note::Refused { vip, reason } | Note::NoRoom { vip, reason } => {
                write!(f, "{vip} cannot be as configured before VPP is restarted: {reason}")
            }
        }
    }
}

/// The way from actual to wanted.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Plan {
    /// In order.
    pub steps: Vec<Step>,
    /// For the log.
    pub notes: Vec<Note>,
    /// All VIPs that were planned for.
    pub(super) vips: Vec<VipKey>,
    /// Those that are flushed once they are filled.
    pub(super) flush_after: BTreeSet<VipKey>,
}

impl Plan {
    /// Nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Every op of every step.
    pub fn ops(&self) -> impl Iterator<Item = &Op> {
        self.steps.iter().flat_map(|s| &s.ops)
    }

    /// Why this VIP is recreated, if it is.
    pub fn recreate_reason(&self, key: &VipKey) -> Option<&str> {
        self.notes.iter().find_map(|note| match note {
            Note::Recreate { vip, reason } if vip == key => Some(reason.as_str()),
            Note::Recreate { .. }
            | Note::InSteps { .. }
            | Note::Foreign { .. }
            | Note::Refused { .. }
            | Note::NoRoom { .. } => None,
        })
    }
}

/// VIPs as they are believed to be.
pub(crate) type Live = BTreeMap<VipKey, Actual>;

/// What a VIP is once `op` is done to it.
pub(crate) fn advance(live: &mut Live, op: &Op) {
    match *op {
        Op::SetSettings(_) | Op::FlushVip { .. } => {}
        Op::AddVip { vip, encap, table_length, .. } => {
            live.insert(vip, Actual { encap: Some(encap), table_length, servers: BTreeMap::new() });
        }
        Op::DelVip { vip } => {
            live.remove(&vip);
        }
        Op::AddServer { vip, .. } | Op::SetWeight { vip, .. } | Op::DelServer { vip, .. } => {
            if let Some(actual) = live.get_mut(&vip) {
                actual.advance(op);
            }
        }
    }
}

/// The one call that makes `lb`'s own settings what is wanted, or none where they are. What is not wanted in
/// particular stays as it is. A change of the bucket count makes every VIP's flows lose their stickiness.
pub fn settings(
    actual: &Settings,
    ip4_src: Option<std::net::Ipv4Addr>,
    ip6_src: Option<std::net::Ipv6Addr>,
    sticky_buckets_per_core: u32,
    flow_timeout: u32,
) -> Option<Op> {
    let wanted = Settings {
        ip4_src: ip4_src.unwrap_or(actual.ip4_src),
        ip6_src: ip6_src.unwrap_or(actual.ip6_src),
        sticky_buckets_per_core,
        flow_timeout,
    };
    (wanted != *actual).then_some(Op::SetSettings(wanted))
}
