//! What NAT has used up in this life of VPP: each (server, target port) belongs for good to the VIP that had it first
//! (docs/behaviour.md, "NAT").

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::books::Books;
use super::broken::{Broken, broken};
use super::draft::may_be_vip;
use super::front::{Due, Front, Seat};
use crate::lb::embedded::Embedded;
use crate::lb::{Encap, Op, VipKey};

/// Who had a (server, target port).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner {
    /// None: a VIP that was deleted by somebody else.
    vip: Option<VipKey>,
    /// False: an answer was lost, and perhaps it never had it.
    sure: bool,
}

/// See above.
#[derive(Clone, Debug, Default)]
pub struct Nat {
    owners: BTreeMap<(IpAddr, u16), Owner>,
    /// Target ports of VIPs of somebody else.
    pub foreign: BTreeSet<u16>,
}

/// Whether a VIP can have a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum May {
    /// It has or can get it.
    Yes,
    /// Not before VPP is restarted.
    No,
    /// An answer was lost: either is right.
    Either,
}

impl Nat {
    /// Whether a VIP of this encapsulation can have a server.
    pub fn may(&self, vip: &VipKey, encap: Encap, server: IpAddr) -> May {
        let Some(port) = encap.target_port() else { return May::Yes };
        match self.owners.get(&(server, port)) {
            _ if !encap.takes(server) => May::No,
            Some(o) if o.vip == Some(*vip) => May::Yes,
            Some(o) if o.sure => May::No,
            Some(_) => May::Either,
            None if self.foreign.contains(&port) => May::No,
            None => May::Yes,
        }
    }

    /// A VIP has this server, or perhaps.
    pub fn claim(&mut self, vip: &VipKey, encap: Encap, server: IpAddr, sure: bool) {
        let Some(port) = encap.target_port() else { return };
        let owner = Owner { vip: Some(*vip), sure };
        let known = self.owners.entry((server, port)).or_insert(owner);
        if sure && (!known.sure || known.vip == Some(*vip)) {
            *known = owner;
        }
    }

    /// A VIP that is gone had this server, perhaps.
    pub fn claim_of_gone(&mut self, encap: Encap, server: IpAddr) {
        let Some(port) = encap.target_port() else { return };
        self.owners.entry((server, port)).or_insert(Owner { vip: None, sure: false });
    }

    /// A VIP is gone; what it had stays used up.
    pub fn gone(&mut self, vip: &VipKey) {
        for o in self.owners.values_mut().filter(|o| o.vip == Some(*vip)) {
            o.vip = None;
        }
    }
}

impl Books {
    /// The encapsulation of a VIP that is there, if it is NAT.
    pub fn nat_of(&self, vip: &VipKey) -> Option<Encap> {
        self.vips.get(vip)?.made.map(|m| m.0).filter(|e| e.is_nat())
    }

    /// Another NAT VIP on the address keeps this one from being made.
    pub fn is_blocked(&self, vip: &VipKey, encap: Encap) -> bool {
        let others = self.vips.keys().filter(|k| k.address == vip.address && *k != vip);
        others.filter_map(|k| self.nat_of(k)).any(|e| vip.service.is_none() || !e.same_type(encap))
    }

    /// Whether a VIP, as it is or would be made, can have a server.
    pub fn may(&self, vip: &VipKey, wanted: Encap, server: IpAddr) -> May {
        self.nat.may(vip, self.nat_of(vip).unwrap_or(wanted), server)
    }

    /// Whether NAT leaves a frontend with nothing at all: then its VIP is not made, and one of another kind leaves.
    pub fn is_denied(&self, vip: &VipKey, front: &Front, looping: &BTreeSet<IpAddr>) -> bool {
        let encap = front.config.encap;
        let has = |s: &Seat| !looping.contains(&s.address) && self.may(vip, encap, s.address) == May::Yes;
        let none = || !front.seats.iter().any(has);
        self.nat_of(vip).is_none() && (self.is_blocked(vip, encap) || (encap.is_nat() && none()))
    }

    /// Whether an operation of the controller's keeps to what NAT allows.
    pub(super) fn judge_nat(&self, op: &Op) -> Result<(), Broken> {
        let never = "a NAT server or VIP is never deleted";
        let used = "nothing else may have what NAT once had";
        match *op {
            Op::DelVip { vip } | Op::DelServer { vip, .. } if self.nat_of(&vip).is_some() => {
                broken(never, op.to_string())
            }
            Op::AddVip { vip, encap, .. } if self.is_blocked(&vip, encap) => broken(used, op.to_string()),
            Op::AddServer { vip, address, .. } => {
                let Some(made) = self.vips.get(&vip).and_then(|v| v.made) else { return Ok(()) };
                if !made.0.takes(address) {
                    return broken("servers fit the VIP that they are in", format!("{op} with {}", made.0));
                }
                match self.nat.may(&vip, made.0, address) {
                    May::Yes | May::Either => Ok(()),
                    May::No => broken(used, format!("{op} with {}", made.0)),
                }
            }
            Op::AddVip { .. }
            | Op::DelVip { .. }
            | Op::DelServer { .. }
            | Op::SetWeight { .. }
            | Op::FlushVip { .. }
            | Op::SetSettings(_) => Ok(()),
        }
    }

    /// Whether somebody else may do this without VPP's death: what would mix up two entries of NAT is not played. Nor is a
    /// server of the configuration's added, which the controller could not know of.
    pub fn is_survived(&self, op: &Op, stranger: impl Fn(IpAddr) -> bool) -> bool {
        if let Op::AddServer { address, .. } | Op::SetWeight { address, .. } = op
            && may_be_vip(*address)
        {
            return false;
        }
        let Op::AddServer { vip, address, .. } = op else { return true };
        let Some(encap) = self.nat_of(vip) else { return true };
        let Some(port) = encap.target_port() else { return true };
        match self.nat.owners.get(&(*address, port)) {
            Some(owner) => owner.vip == Some(*vip),
            None => stranger(*address),
        }
    }
}

/// Whether VPP is alive: `lb` was not asked for anything that kills it, now or once it collects what was deleted.
///
/// # Errors
/// It would not be.
pub fn alive(lb: &Embedded) -> Result<(), Broken> {
    let (clashes, aborts, deadly) = (lb.snat_clashes(), lb.snat_aborts(), lb.deadly_calls());
    if clashes + aborts + deadly == 0 {
        return Ok(());
    }
    let what =
        format!("{clashes} NAT entries shared, {aborts} deleted twice, {deadly} calls that end VPP at once");
    broken("VPP stays alive", what)
}

/// What can be had of a frontend.
#[derive(Debug)]
pub struct Had {
    /// Servers with their weights. Others are parked: at weight 0.
    pub servers: BTreeMap<IpAddr, u8>,
    /// Servers that may be there or not.
    pub either: BTreeSet<IpAddr>,
    /// Something cannot be had before VPP is restarted.
    pub unmet: bool,
}

/// What a VIP can have of what is wanted of it.
pub fn can_have<'a>(
    books: &Books,
    vip: &VipKey,
    due: impl Iterator<Item = (&'a Seat, Due)>,
    encap: Encap,
) -> Had {
    let mut had = Had { servers: BTreeMap::new(), either: BTreeSet::new(), unmet: false };
    for (seat, due) in due {
        match books.may(vip, encap, seat.address) {
            May::Yes => {
                had.servers.insert(seat.address, due.weight);
            }
            May::No => had.unmet = true,
            May::Either => {
                had.servers.insert(seat.address, due.weight);
                had.either.insert(seat.address);
            }
        }
    }
    had
}
