//! What NAT forbids: `lb` aborts VPP once a NAT server or VIP is deleted and its (server, target port) is used again, so
//! neither is ever deleted. What is to go is parked at weight 0; what is wanted and cannot be had is refused, in words.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Actual, Member, Note, Wanted};
use crate::lb::ledger::Ledger;
use crate::lb::types::{Encap, VipKey};

/// Servers that a note names; of more only the number is told.
const NAMED: usize = 3;

/// What can be had of what is wanted of one VIP.
pub(super) struct Admitted<'a> {
    pub(super) wanted: Option<Cow<'a, Wanted>>,
    pub(super) note: Option<Note>,
}

/// One answer a member, in their order.
pub(super) fn admit<'a>(members: &[Member<'a>], ledger: &Ledger) -> Vec<Admitted<'a>> {
    let mut claims = BTreeMap::new();
    members.iter().map(|m| one(m, ledger, &mut claims)).collect()
}

/// Who takes which (server, target port) with this plan.
type Claims = BTreeMap<(IpAddr, u16), VipKey>;

fn one<'a>(m: &Member<'a>, ledger: &Ledger, claims: &mut Claims) -> Admitted<'a> {
    let there = m.actual.filter(|_| ledger.ours(&m.vip));
    let nat = there.filter(|a| a.encap.is_some_and(Encap::is_nat));
    match (m.wanted, nat) {
        (None, Some(actual)) => parked(actual, m.vip, ledger),
        (Some(wanted), Some(actual)) => stays(wanted, actual, m.vip, ledger, claims),
        (Some(wanted), None) => {
            // One that is there and not ours is for the planner to judge.
            let free = if m.actual.is_none() { address_is_free(m.vip, wanted, ledger) } else { Ok(()) };
            match free {
                Err(reason) => Admitted { wanted: None, note: Some(Note::Refused { vip: m.vip, reason }) },
                Ok(()) if wanted.encap.is_nat() => new(wanted, m.vip, ledger, claims),
                Ok(()) => Admitted { wanted: Some(Cow::Borrowed(wanted)), note: None },
            }
        }
        (None, None) => Admitted { wanted: None, note: None },
    }
}

/// A NAT VIP that is not wanted: it stays as it is, without servers that have weight.
fn parked<'a>(actual: &Actual, vip: VipKey, ledger: &Ledger) -> Admitted<'a> {
    let wanted = actual.encap.map(|encap| Wanted {
        encap,
        table_length: actual.table_length,
        src_ip_sticky: ledger.src_ip_sticky(&vip).unwrap_or(false),
        servers: BTreeMap::new(),
    });
    Admitted { wanted: wanted.map(Cow::Owned), note: None }
}

/// A NAT VIP that is there stays what it was made; its servers follow what is wanted as far as they can.
fn stays<'a>(
    wanted: &'a Wanted,
    actual: &Actual,
    vip: VipKey,
    ledger: &Ledger,
    claims: &mut Claims,
) -> Admitted<'a> {
    let sticky = ledger.src_ip_sticky(&vip).unwrap_or(wanted.src_ip_sticky);
    let encap = actual.encap.unwrap_or(wanted.encap);
    let mut reasons = Vec::new();
    if encap != wanted.encap {
        reasons.push(format!("encap stays {encap} instead of {}", wanted.encap));
    }
    if sticky != wanted.src_ip_sticky {
        reasons.push(format!("src-ip-sticky stays {sticky}"));
    }
    if actual.table_length != wanted.table_length {
        let (have, want) = (actual.table_length, wanted.table_length);
        reasons.push(format!("new-flow-table-length stays {have} instead of {want}"));
    }
    let here = actual.servers.keys().copied().collect();
    let refused = refused(wanted, encap, &here, vip, ledger, claims);
    if reasons.is_empty() && refused.is_empty() {
        return Admitted { wanted: Some(Cow::Borrowed(wanted)), note: None };
    }
    reasons.extend(told(&refused));
    let mut less = without(wanted, &refused);
    (less.encap, less.table_length, less.src_ip_sticky) = (encap, actual.table_length, sticky);
    let note = Note::Refused { vip, reason: reasons.join(", ") };
    Admitted { wanted: Some(Cow::Owned(less)), note: Some(note) }
}

/// A NAT VIP that is to be made. Without a server that it may have it is not: it could never be deleted.
fn new<'a>(wanted: &'a Wanted, vip: VipKey, ledger: &Ledger, claims: &mut Claims) -> Admitted<'a> {
    let refused = refused(wanted, wanted.encap, &BTreeSet::new(), vip, ledger, claims);
    let mut less = without(wanted, &refused);
    // One that is to leave leaves now, since it could not later.
    less.servers.retain(|_, s| !s.keep);
    if wanted.servers.is_empty() {
        let reason = "all of its servers would be forwarding loops".to_owned();
        return Admitted { wanted: None, note: Some(Note::Refused { vip, reason }) };
    }
    if refused.is_empty() {
        return Admitted { wanted: Some(Cow::Owned(less)), note: None };
    }
    let wanted = (!less.servers.is_empty()).then_some(Cow::Owned(less));
    let reason = told(&refused).collect::<Vec<_>>().join(", ");
    Admitted { wanted, note: Some(Note::Refused { vip, reason }) }
}

/// `lb` wants VIPs of one address to be of one type, and an all-port VIP to be alone there; a NAT VIP never goes.
fn address_is_free(vip: VipKey, wanted: &Wanted, ledger: &Ledger) -> Result<(), String> {
    for other in ledger.ours_at(vip.address).filter(|other| **other != vip) {
        if let Some(encap) = ledger.made_as(other).filter(|e| e.is_nat())
            && (vip.service.is_none() || !encap.same_type(wanted.encap))
        {
            return Err(format!("the address has {other} with encap {encap}, which stays parked"));
        }
    }
    Ok(())
}

/// The servers that `vip` cannot have, and why; the others are claimed for it.
fn refused(
    wanted: &Wanted,
    encap: Encap,
    here: &BTreeSet<IpAddr>,
    vip: VipKey,
    ledger: &Ledger,
    claims: &mut Claims,
) -> Vec<(IpAddr, String)> {
    let mut out = Vec::new();
    for (&server, _) in wanted.servers.iter().filter(|(a, s)| !here.contains(a) && !s.keep) {
        let port = encap.target_port().unwrap_or(0);
        let why = match claims.get(&(server, port)) {
            Some(owner) => Err(format!("{owner} has it")),
            None if !encap.takes(server) => Err(format!("it does not fit {}", encap.as_str())),
            None => ledger.nat_free(&vip, server, port).map_err(|why| format!("{why} (target port {port})")),
        };
        match why {
            Ok(()) => {
                claims.insert((server, port), vip);
            }
            Err(why) => out.push((server, why)),
        }
    }
    out
}

fn without(wanted: &Wanted, refused: &[(IpAddr, String)]) -> Wanted {
    let mut less = wanted.clone();
    for (server, _) in refused {
        less.servers.remove(server);
    }
    less
}

fn told(refused: &[(IpAddr, String)]) -> impl Iterator<Item = String> {
    let more = refused.len().saturating_sub(NAMED);
    let named = refused.iter().take(NAMED).map(|(server, why)| format!("no server {server}: {why}"));
    named.chain((more > 0).then(|| format!("and {more} more servers")))
}
