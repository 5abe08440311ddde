//! What must be so once all has been calm for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::books::{Books, Flows, Server, Vip};
use super::broken::{Broken, broken};
use super::foreign::untouched;
use super::front::{Due, Front, Seat};
use super::model::Model;
use super::nat::can_have;
use super::world::World;
use crate::control::Ticket;
use crate::lb::{LoadBalancer, VipKey, VipRecord};
use crate::time::Time;

/// `lb` holds what the rule gives, all that was to be flushed was, nobody waits for anything.
///
/// # Errors
/// It is not so.
pub fn settled(
    world: &mut World,
    model: &Model,
    books: &mut Books,
    pending: &BTreeMap<Ticket, Time>,
) -> Result<(), Broken> {
    let (rule, now) = ("once all is calm, lb is what the rule gives", world.now);
    let records = world.lb.vips().unwrap_or_default();
    let mut seen = BTreeSet::new();
    for record in &records {
        let Some(vip) = record.key().filter(|k| !books.foreign.contains(k)) else {
            untouched(world, record)?;
            continue;
        };
        seen.insert(vip);
        if books.nat_of(&vip).is_some() {
            nat(world, model, books, record, vip)?;
            continue;
        }
        let Some(front) = model.fronts.get(&vip) else {
            return broken(rule, format!("{vip} is there, and not configured"));
        };
        let (is, not) =
            ((record.encap, record.table_length), (front.config.encap, front.config.table_length));
        if is != (Some(not.0), not.1) {
            return broken(rule, format!("{vip} is {is:?}, and not {not:?}"));
        }
        let is: BTreeMap<IpAddr, u8> =
            world.lb.servers_of(record).iter().map(|s| (s.address, s.weight)).collect();
        let not: BTreeMap<IpAddr, u8> = due(model, front).map(|(s, d)| (s.address, d.weight)).collect();
        if is != not {
            return broken(rule, format!("{vip} has {is:?}, and not {not:?}"));
        }
        if let Some(error) = world.c.programmer().error(&vip) {
            return broken("what is mended is no error any more", format!("{vip}: {error}"));
        }
        let Some(book) = books.vips.get_mut(&vip) else {
            return broken(rule, format!("{vip} is there, and nobody has made it"));
        };
        book.servers.retain(|a, s| s.weight.is_none() || is.contains_key(a));
        for (a, w) in is {
            let server = book.servers.entry(a).or_insert(Server::unsure(None));
            server.weight = Some(w);
        }
        flushed(front, book, vip)?;
    }
    books.doubts.clear();
    books.vips.retain(|k, _| seen.contains(k));
    for (vip, front) in model.fronts.iter().filter(|(k, _)| !seen.contains(k)) {
        absent(world, model, books, vip, front)?;
    }
    let (foreign, of) = (records.len() - seen.len(), books.foreigners);
    if foreign != of {
        return broken("foreign VIPs are never touched", format!("there are {foreign} of {of}"));
    }
    // A NAT VIP stays for good.
    let serves = |a: &IpAddr| model.fronts.values().any(|f| f.at(*a).is_some());
    let freed = |a: &&IpAddr| serves(a) && seen.iter().all(|vip| vip.address != **a);
    if let Some(server) = model.looping.iter().find(freed) {
        return broken("who is a VIP no more gets weight again", server.to_string());
    }
    if let Some((ticket, since)) = pending.first_key_value() {
        let what = format!("{ticket:?} of {since:?} has no answer at {now:?}");
        return broken("who waits gets an answer", what);
    }
    if !model.is_saved() {
        return broken("what was said is saved in the end", format!("at {now:?} it is not in the file"));
    }
    let sizes = world.c.sizes();
    if sizes.removed > 0 {
        return broken("who has left lb is forgotten", format!("{} are not", sizes.removed));
    }
    if world.lb.stray_flushes() > 0 {
        return broken("no VIP is flushed that is not there", format!("{}", world.lb.stray_flushes()));
    }
    if let Some(why) = world.c.frozen() {
        return broken("a freeze ends", format!("at {now:?}: {why}"));
    }
    model.asked_lately(now)
}

/// What the seats are to have; none has who would be a forwarding loop.
pub(super) fn due<'a>(model: &'a Model, front: &'a Front) -> impl Iterator<Item = (&'a Seat, Due)> {
    let away = |s: &Seat| !model.looping.contains(&s.address);
    front.seats.iter().zip(front.due.iter().copied()).filter(move |(s, _)| away(s))
}

/// Whoever is to lose its flows has lost them.
fn flushed(front: &Front, book: &Vip, vip: VipKey) -> Result<(), Broken> {
    for (s, d) in front.seats.iter().zip(&front.due) {
        let flows = book.servers.get(&s.address).map(|s| s.flows);
        if d.weight == 0 && d.flush && flows == Some(Flows::Dirty) {
            let what = format!("{} in {vip} is {}, and still has its flows", s.name, s.state);
            return broken("who is to lose its flows loses them", what);
        }
    }
    Ok(())
}

/// What cannot be had before VPP is restarted is an error of the frontend, and nothing else is.
pub(super) fn said(world: &World, vip: &VipKey, unmet: bool) -> Result<(), Broken> {
    match (world.c.programmer().error(vip), unmet) {
        (Some(_), true) | (None, false) => Ok(()),
        (None, true) => {
            broken("what NAT forbids is an error", format!("{vip} is not as configured, and has none"))
        }
        (Some(error), false) => broken("what is mended is no error any more", format!("{vip}: {error}")),
    }
}

/// A NAT VIP stays what it was made; it has the servers that it can have, and all others are parked.
fn nat(
    world: &World,
    model: &Model,
    books: &mut Books,
    record: &VipRecord,
    vip: VipKey,
) -> Result<(), Broken> {
    let rule = "a NAT VIP stays as it was made, its servers as far as can be";
    let made = books.vips.get(&vip).and_then(|v| v.made);
    if made.map(|m| (Some(m.0), m.1)) != Some((record.encap, record.table_length)) {
        return broken(rule, format!("{vip} is {record:?}, and was made as {made:?}"));
    }
    let front = model.fronts.get(&vip);
    let had = front.map(|f| can_have(books, &vip, due(model, f), f.config.encap));
    let servers: BTreeMap<IpAddr, u8> =
        world.lb.servers_of(record).iter().map(|s| (s.address, s.weight)).collect();
    for (a, w) in &servers {
        let due = had.as_ref().and_then(|h| h.servers.get(a)).copied();
        if *w != due.unwrap_or(0) {
            let right = due.map_or_else(|| "is parked".to_owned(), |w| format!("should have {w}"));
            return broken(rule, format!("{a} in {vip} has {w}, and {right}"));
        }
    }
    let mut unmet = false;
    if let (Some(front), Some(had)) = (front, &had) {
        if let Some(a) = had.servers.keys().find(|a| !servers.contains_key(a) && !had.either.contains(a)) {
            return broken(rule, format!("{a} can be in {vip}, and is not"));
        }
        let missing = had.either.iter().any(|a| !servers.contains_key(a));
        let shape = (front.config.encap, front.config.table_length, front.config.src_ip_sticky);
        unmet = had.unmet || missing || made != Some(shape);
    }
    said(world, &vip, unmet)?;
    let Some(book) = books.vips.get_mut(&vip) else { return Ok(()) };
    for (a, w) in &servers {
        let server = book.servers.entry(*a).or_insert(Server::unsure(None));
        server.weight = Some(*w);
    }
    let parked = |a: &IpAddr| front.is_none_or(|f| f.at(*a).is_none());
    // One that somebody else has deleted cannot be flushed any more.
    let left = |a: &IpAddr, s: &Server| parked(a) && s.weight.is_some() && s.flows == Flows::Dirty;
    if let Some((a, _)) = book.servers.iter().find(|(a, s)| left(a, s)) {
        return broken("who leaves loses its flows", format!("{a} is parked in {vip}, and still has them"));
    }
    front.map_or(Ok(()), |f| flushed(f, book, vip))
}

/// A frontend that is configured and not in `lb`: NAT forbids it, which is said.
fn absent(world: &World, model: &Model, books: &Books, vip: &VipKey, front: &Front) -> Result<(), Broken> {
    if books.is_denied(vip, front, &model.looping) {
        return said(world, vip, true);
    }
    broken("once all is calm, lb is what the rule gives", format!("{vip} is configured, and not there"))
}
