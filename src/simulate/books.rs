//! What `lb` was asked to do, and whether it may have been: every single call is judged by what the model wants at that
//! moment, and by what `lb` holds.

mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::broken::{Broken, broken};
use super::front::Front;
use super::model::Model;
use super::nat::{May, Nat};
use crate::control::programmer::{LbAnswer, LbRequest};
use crate::lb::{Encap, LbError, Op, Settings, VipKey};
use crate::time::Time;

/// For so long the last weight of a VIP stays while others cannot be added.
const PATIENCE: Duration = Duration::from_secs(15);

/// Whether a server has flows that it must not lose, or must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flows {
    /// None: it had no weight since it was flushed.
    Clean,
    /// It had weight.
    Dirty,
    /// Somebody else was at it, or an answer was lost.
    Unsure,
}

/// A server, as `lb` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// 0–100; none: it was deleted, and its flows may live on.
    pub weight: Option<u8>,
    /// See there.
    pub flows: Flows,
}

/// A VIP, as `lb` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vip {
    /// As it was made; none: by somebody else.
    pub made: Option<(Encap, u32, bool)>,
    /// Its servers.
    pub servers: BTreeMap<IpAddr, Server>,
}

impl Vip {
    fn weights(&self) -> u32 {
        self.servers.values().filter_map(|s| s.weight).map(u32::from).sum()
    }
}

/// See above.
#[derive(Clone, Debug)]
pub struct Books {
    /// Foreign ones are not in it.
    pub vips: BTreeMap<VipKey, Vip>,
    /// Servers that the operator wants flushed at whatever weight.
    pub owed: BTreeSet<(VipKey, IpAddr)>,
    /// Since when all that was to add weight to a VIP has failed.
    pub failing: BTreeMap<VipKey, Time>,
    /// VIPs at which something failed or somebody meddled: what is written may be what is there.
    pub doubts: BTreeSet<VipKey>,
    /// That was only now.
    pub unseen: bool,
    /// VIPs of somebody else.
    pub foreign: BTreeSet<VipKey>,
    /// With those that have no such key: so many.
    pub foreigners: usize,
    /// What NAT has used up.
    pub nat: Nat,
    /// As what each VIP was last asked to be made; it may be gone since, and the controller not know that yet.
    pub asked_as: BTreeMap<VipKey, Encap>,
    /// As `lb` had them first.
    pub settings: Settings,
    /// Nothing is to be written: all is calm.
    pub quiet: bool,
    /// When the settings were last read: a sync began.
    pub synced: Option<Time>,
}

/// What the embedded `lb` says of an answer that was lost: it has done what was asked.
const LOST: &str = "lost";

impl Default for Books {
    fn default() -> Self {
        let settings = Settings {
            ip4_src: Ipv4Addr::BROADCAST,
            ip6_src: Ipv6Addr::UNSPECIFIED,
            sticky_buckets_per_core: 16,
            flow_timeout: 40,
        };
        Books {
            vips: BTreeMap::new(),
            owed: BTreeSet::new(),
            failing: BTreeMap::new(),
            doubts: BTreeSet::new(),
            unseen: false,
            foreign: BTreeSet::new(),
            foreigners: 0,
            nat: Nat::default(),
            asked_as: BTreeMap::new(),
            settings,
            quiet: false,
            synced: None,
        }
    }
}

impl Books {
    /// A request of the controller, and what came of it.
    ///
    /// # Errors
    /// It should not have been asked.
    pub fn asked(
        &mut self,
        model: &Model,
        at: Time,
        request: &LbRequest,
        answer: &LbAnswer,
    ) -> Result<(), Broken> {
        if matches!(request, LbRequest::Settings) {
            let every = model.config().map(|c| c.lb.sync_interval);
            if let (true, Some(last), Some(every)) = (self.quiet, self.synced, every)
                && at.since(last) < every
            {
                let what = format!("a sync began {:?} after the last", at.since(last));
                return broken("a quiet system only dumps, once in a sync-interval", what);
            }
            self.synced = Some(at);
        }
        let (LbRequest::Apply(ops), LbAnswer::Apply(answers)) = (request, answer) else { return Ok(()) };
        if let (true, Some(op)) = (self.quiet, ops.first()) {
            return broken("a quiet system writes nothing", op.to_string());
        }
        let before: BTreeMap<VipKey, u32> = self.vips.iter().map(|(k, v)| (*k, v.weights())).collect();
        let deleted: BTreeSet<VipKey> =
            ops.iter().filter_map(|op| if let Op::DelVip { vip } = op { Some(*vip) } else { None }).collect();
        let mut unsent = BTreeSet::new();
        for (i, op) in ops.iter().enumerate() {
            // What comes after a VIP that could not be made is not sent.
            if op.vip().is_some_and(|vip| unsent.contains(&vip)) {
                self.doubt(op);
                continue;
            }
            if let (Op::AddVip { vip, .. }, Some(Err(_))) = (op, answers.get(i)) {
                unsent.insert(*vip);
            }
            self.judge(model, at, op, &before, &deleted)?;
            if let Op::AddVip { vip, encap, .. } = op {
                self.asked_as.insert(*vip, *encap);
            }
            match answers.get(i) {
                Some(Ok(())) => {
                    if op.adds_weight() {
                        op.vip().map(|vip| self.failing.remove(&vip));
                    }
                    self.done(op);
                }
                Some(Err(e @ LbError::NoAnswer(LOST))) => {
                    self.claim_perhaps(op, e);
                    self.perhaps(op);
                    self.doubt(op);
                }
                Some(Err(e)) => {
                    if let Some(vip) = op.vip().filter(|_| op.adds_weight()) {
                        self.failing.entry(vip).or_insert(at);
                    }
                    self.claim_perhaps(op, e);
                    self.doubt(op);
                }
                None => self.doubt(op),
            }
        }
        for (vip, before) in before {
            let (Some(now), Some(front)) = (self.vips.get(&vip), model.fronts.get(&vip)) else { continue };
            let encap = front.config.encap;
            let can = |a: IpAddr| self.may(&vip, encap, a) == May::Yes;
            let wanted = front.seats.iter().zip(&front.due).any(|(s, d)| d.weight > 0 && can(s.address));
            // What another NAT VIP of the address was to have, and could not be given, nobody had planned with.
            let astray = encap.is_nat() && self.doubts.iter().any(|d| d.address == vip.address && *d != vip);
            // Adds have failed for long, and the server that is left is of no use.
            let in_vain = self.failing.get(&vip).is_some_and(|since| at.since(*since) >= PATIENCE);
            if wanted && before > 0 && now.weights() == 0 && !deleted.contains(&vip) && !astray && !in_vain {
                return broken("a failover never passes through an empty VIP", vip.to_string());
            }
        }
        Ok(())
    }

    fn judge(
        &self,
        model: &Model,
        at: Time,
        op: &Op,
        before: &BTreeMap<VipKey, u32>,
        deleted: &BTreeSet<VipKey>,
    ) -> Result<(), Broken> {
        let Some(vip) = op.vip() else { return Ok(()) };
        if self.foreign.contains(&vip) {
            return broken("foreign VIPs are never touched", op.to_string());
        }
        let front = model.fronts.get(&vip);
        if front.is_some_and(|f| !f.open) {
            return broken("a frontend waits until its backends are known", op.to_string());
        }
        self.judge_nat(op)?;
        self.judge_loop(op)?;
        let here = self.vips.get(&vip);
        let doubt = self.doubts.contains(&vip);
        match *op {
            Op::SetSettings(_) => Ok(()),
            Op::AddVip { encap, table_length, src_ip_sticky, .. } => {
                let made = (encap, table_length, src_ip_sticky);
                match front.map(shape) {
                    Some(shape) if shape == made => Ok(()),
                    Some(_) | None => broken("VIPs are as configured", op.to_string()),
                }
            }
            Op::DelVip { .. } => {
                let as_wanted = here.zip(front).is_some_and(|(h, f)| h.made == Some(shape(f)));
                if as_wanted && !doubt { broken("VIPs that are right stay", op.to_string()) } else { Ok(()) }
            }
            Op::DelServer { address, flush, .. } => {
                // A VIP that NAT denies leaves as a whole.
                let stays = front.filter(|f| !self.is_denied(&vip, f, &model.looping));
                let loops = model.looping.contains(&address);
                if stays.is_some_and(|f| f.at(address).is_some()) && !loops {
                    broken("configured servers stay in lb", op.to_string())
                } else if stays.is_some_and(|f| f.holds(at)) && !model.comes_back(address) {
                    broken("nobody leaves before newcomers are known", op.to_string())
                } else if !flush {
                    broken("who leaves loses its flows", op.to_string())
                } else {
                    Ok(())
                }
            }
            Op::SetWeight { address, weight: 0, flush, .. }
                if self.nat_of(&vip).is_some() && front.is_none_or(|f| f.at(address).is_none()) =>
            {
                let server = here.and_then(|h| h.servers.get(&address));
                if front.is_some_and(|f| f.holds(at)) && !model.comes_back(address) {
                    broken("nobody leaves before newcomers are known", op.to_string())
                } else if !flush {
                    broken("who leaves loses its flows", op.to_string())
                } else if !doubt && server.is_some_and(|s| s.weight == Some(0) && s.flows == Flows::Clean) {
                    broken("a clean server is never flushed", op.to_string())
                } else {
                    Ok(())
                }
            }
            Op::AddServer { address, weight, flush, .. } | Op::SetWeight { address, weight, flush, .. } => {
                let Some((_, due)) = front.and_then(|f| f.at(address)) else {
                    // One that has left the configuration comes back with a VIP that is made anew, while others are waited
                    // for.
                    let kept = front.is_some_and(|f| f.holds(at)) && deleted.contains(&vip);
                    let rule = "servers in lb are those of the configuration";
                    return if kept { Ok(()) } else { broken(rule, op.to_string()) };
                };
                if weight != due.weight {
                    let what = format!("{op}, and {} is right", due.weight);
                    return broken("weights in lb are what the rule gives", what);
                }
                let server = here.and_then(|h| h.servers.get(&address));
                let same = server.is_some_and(|s| s.weight == Some(weight));
                if same && !flush && !doubt {
                    return broken("what is so already is not written", op.to_string());
                }
                self.may_flush(&vip, address, flush, weight, due.flush, op)
            }
            Op::FlushVip { .. } => {
                let empty = before.get(&vip).is_none_or(|w| *w == 0) || doubt;
                let kept = here.zip(front).and_then(|(h, f)| {
                    let keeps = |(a, s): (&IpAddr, &Server)| {
                        let due = f.at(*a)?.1;
                        let goes = due.flush || self.owed.contains(&(vip, *a));
                        let keeps = due.weight == 0 && !goes && s.flows == Flows::Dirty;
                        keeps.then_some(*a)
                    };
                    h.servers.iter().find_map(keeps)
                });
                if deleted.contains(&vip) {
                    Ok(())
                } else if !empty {
                    broken("a VIP with weight is not flushed as a whole", op.to_string())
                } else if let Some(a) = kept {
                    broken("flows that are to be kept are kept", format!("{op}: those of {a}"))
                } else {
                    Ok(())
                }
            }
        }
    }

    /// Whether `lb` would send packets to itself: VPP dies of the first.
    fn judge_loop(&self, op: &Op) -> Result<(), Broken> {
        let loops = match *op {
            Op::AddVip { vip, .. } => {
                let weighs =
                    |v: &Vip| v.servers.get(&vip.address).is_some_and(|s| s.weight.is_some_and(|w| w > 0));
                self.vips.values().any(weighs)
            }
            Op::AddServer { address, weight: 1.., .. } | Op::SetWeight { address, weight: 1.., .. } => {
                self.vips.keys().any(|vip| vip.address == address)
            }
            Op::AddServer { .. }
            | Op::SetWeight { .. }
            | Op::DelVip { .. }
            | Op::DelServer { .. }
            | Op::FlushVip { .. }
            | Op::SetSettings(_) => false,
        };
        if loops { broken("lb sends nothing to itself", op.to_string()) } else { Ok(()) }
    }

    fn may_flush(
        &self,
        vip: &VipKey,
        address: IpAddr,
        flush: bool,
        weight: u8,
        wanted: bool,
        op: &Op,
    ) -> Result<(), Broken> {
        if !flush || self.owed.contains(&(*vip, address)) {
            return Ok(());
        }
        if weight > 0 || !wanted {
            return broken(
                "flows are flushed of who is disabled, or down with flush-on-down",
                op.to_string(),
            );
        }
        let server = self.vips.get(vip).and_then(|h| h.servers.get(&address));
        match server.map(|s| s.flows) {
            Some(Flows::Clean) | None => {
                if self.doubts.contains(vip) {
                    Ok(())
                } else {
                    broken("a clean server is never flushed", op.to_string())
                }
            }
            Some(Flows::Dirty | Flows::Unsure) => Ok(()),
        }
    }
}

fn shape(f: &Front) -> (Encap, u32, bool) {
    (f.config.encap, f.config.table_length, f.config.src_ip_sticky)
}
