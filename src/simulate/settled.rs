//! What must be so once all has been calm for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::books::{Books, Flows, Server};
use super::broken::{Broken, broken};
use super::model::Model;
use super::world::World;
use crate::control::Ticket;
use crate::lb::{LoadBalancer, VipRecord};
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
            foreign(world, record)?;
            continue;
        };
        seen.insert(vip);
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
        let not: BTreeMap<IpAddr, u8> =
            front.seats.iter().zip(&front.due).map(|(s, d)| (s.address, d.weight)).collect();
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
            let server = book.servers.entry(a).or_insert(Server { weight: None, flows: Flows::Unsure });
            server.weight = Some(w);
        }
        for (s, d) in front.seats.iter().zip(&front.due) {
            let flows = book.servers.get(&s.address).map(|s| s.flows);
            if d.weight == 0 && d.flush && flows == Some(Flows::Dirty) {
                let what = format!("{} in {vip} is {}, and still has its flows", s.name, s.state);
                return broken("who is to lose its flows loses them", what);
            }
        }
    }
    books.doubts.clear();
    books.vips.retain(|k, _| seen.contains(k));
    if let Some(f) = model.fronts.iter().find(|(k, _)| !seen.contains(k)) {
        return broken(rule, format!("{} is configured, and not there", f.0));
    }
    let foreign = records.len() - seen.len();
    if foreign != 3 {
        return broken("foreign VIPs are never touched", format!("there are {foreign} of 3"));
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

fn foreign(world: &World, record: &VipRecord) -> Result<(), Broken> {
    let servers = world.lb.servers_of(record);
    if servers.len() == 1 && servers.iter().all(|s| s.weight == 10) {
        return Ok(());
    }
    broken("foreign VIPs are never touched", format!("{record:?} has {servers:?}"))
}
