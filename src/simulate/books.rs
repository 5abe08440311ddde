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
    /// Of which of its VIP's tables the first of its flows are, where it had none before.
    pub since: u64,
    /// All flows of its VIP were dropped while it had no weight, and it has had none since.
    pub flushed: bool,
}

impl Server {
    /// One of which nobody can be sure.
    pub fn unsure(weight: Option<u8>) -> Server {
        Server { weight, flows: Flows::Unsure, since: 0, flushed: false }
    }
}

/// A VIP, as `lb` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vip {
    /// As it was made; none: by somebody else.
    pub made: Option<(Encap, u32, bool)>,
    /// Its servers.
    pub servers: BTreeMap<IpAddr, Server>,
    /// How often a barrier was held that changed its table.
    pub tables: u64,
}

impl Vip {
    fn new(made: Option<(Encap, u32, bool)>) -> Vip {
        Vip { made, servers: BTreeMap::new(), tables: 0 }
    }

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
    /// Addresses at which something has failed since all was calm last: what is known of them may be out of date.
    pub clouded: BTreeSet<IpAddr>,
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
            clouded: BTreeSet::new(),
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
        if self.quiet {
            self.clouded.clear();
        }
        if let (LbRequest::Servers(vip), LbAnswer::Servers(Err(_))) = (request, answer) {
            self.clouded.insert(vip.address);
        }
        let (ops, LbAnswer::Apply(answers, _)) = (request.ops(), answer) else { return Ok(()) };
        if let (true, Some(op)) = (self.quiet, ops.first()) {
            return broken("a quiet system writes nothing", op.to_string());
        }
        let takes = |op: &Op| matches!(op, Op::SetWeight { weight: 0, .. } | Op::DelServer { .. });
        if let (Some(op), Some((vip, server))) =
            (ops.iter().find(|op| !takes(op)), self.goes_first(model, ops))
        {
            let what = format!("{op}, and {server} still has weight in {vip}");
            return broken("who is to get no more packets goes first", what);
        }
        let before: BTreeMap<VipKey, u32> = self.vips.iter().map(|(k, v)| (*k, v.weights())).collect();
        let deleted: BTreeSet<VipKey> =
            ops.iter().filter_map(|op| if let Op::DelVip { vip } = op { Some(*vip) } else { None }).collect();
        let mut unsent = BTreeSet::new();
        let changes = |op: &Op| !matches!(op, Op::FlushVip { .. });
        for vip in ops.iter().filter(|op| changes(op)).filter_map(Op::vip).collect::<BTreeSet<_>>() {
            self.vips.entry(vip).and_modify(|v| v.tables += 1);
        }
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
            if let (Some(vip), Some(Err(_)) | None) = (op.vip(), answers.get(i)) {
                self.clouded.insert(vip.address);
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
            // Somebody else has taken the others away, which cannot be known before it is looked at; and who goes is dead.
            let dead = self.doubts.contains(&vip)
                && ops.iter().filter(|op| op.vip() == Some(vip)).all(|op| match op {
                    Op::SetWeight { address, weight: 0, .. } => {
                        front.seats.iter().any(|s| s.address == *address && s.state == "down")
                    }
                    _ => false,
                });
            let excused = astray || in_vain || dead || deleted.contains(&vip);
            if wanted && before > 0 && now.weights() == 0 && !excused {
                return broken("a failover never passes through an empty VIP", vip.to_string());
            }
        }
        Ok(())
    }

    /// A server that is to get no more packets and has weight, where another one goes on serving, and `ops` do not take it out.
    fn goes_first(&self, model: &Model, ops: &[Op]) -> Option<(VipKey, IpAddr)> {
        let goes_now = |vip: &VipKey, server: IpAddr| {
            ops.iter().any(|op| match op {
                Op::SetWeight { vip: v, address, weight: 0, .. } | Op::DelServer { vip: v, address, .. } => {
                    (v, *address) == (vip, server)
                }
                Op::DelVip { vip: v } => v == vip,
                _ => false,
            })
        };
        let unclear = |vip: &VipKey| {
            self.clouded.contains(&vip.address)
                || self.doubts.iter().any(|doubt| doubt.address == vip.address)
        };
        self.vips.iter().find_map(|(vip, here)| {
            let front = model.fronts.get(vip).filter(|f| f.open && here.made.is_some() && !unclear(vip))?;
            let weighs = |a: &IpAddr| here.servers.get(a).is_some_and(|s| s.weight.is_some_and(|w| w > 0));
            let has = || front.seats.iter().zip(&front.due).filter(|(seat, _)| weighs(&seat.address));
            let (goes, _) = has().find(|(seat, due)| due.weight == 0 && !goes_now(vip, seat.address))?;
            has().any(|(_, due)| due.weight > 0).then_some((*vip, goes.address))
        })
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
                } else if !flush && !has_none(here, address) {
                    broken("who leaves loses its flows", op.to_string())
                } else {
                    Ok(())
                }
            }
            // Who leaves gets no more packets before its flows are dropped with all of the VIP's.
            Op::SetWeight { address, weight: 0, flush: false, .. }
                if self.nat_of(&vip).is_none()
                    && front.is_some_and(|f| {
                        f.at(address).is_none() && (!f.holds(at) || model.comes_back(address))
                    }) =>
            {
                Ok(())
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
                // A flow that was placed by the table of now goes where it was.
                let placed_now = |s: &Server, h: &Vip| s.flows == Flows::Clean || s.since == h.tables;
                let goes = |a: &IpAddr| {
                    front.and_then(|f| f.at(*a)).is_none_or(|(_, due)| due.weight == 0 && due.flush)
                };
                let new = here.is_some_and(|h| {
                    let mut weighty = h.servers.values().filter(|s| s.weight.is_some_and(|w| w > 0));
                    let mut of_use = h.servers.iter().filter(|(a, s)| s.flows != Flows::Clean && goes(a));
                    weighty.all(|s| placed_now(s, h)) && of_use.next().is_some()
                });
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
                } else if !empty && !new {
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

fn has_none(here: Option<&Vip>, address: IpAddr) -> bool {
    here.and_then(|h| h.servers.get(&address)).is_some_and(|s| s.flows == Flows::Clean || s.flushed)
}

fn shape(f: &Front) -> (Encap, u32, bool) {
    (f.config.encap, f.config.table_length, f.config.src_ip_sticky)
}
