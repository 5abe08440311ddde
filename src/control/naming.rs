//! The names of the rows in the stats segment. They are made in pieces: after a reload there may be tens of thousands, and
//! VPP's main thread waits for each.

use super::controller::Controller;
use super::cursor::after;
use super::schedule::Slot;
use super::stats::{Picture, TABLES};
use super::stats_plan::{Demand, name_bytes};
use crate::Name;

/// So many are made in one turn, or as many as one frontend has backends.
const NAMES: usize = 1_000;
/// Names that are freed in one turn.
const DROPS: usize = 4 * NAMES;

/// The name of the engine's row.
const ENGINE: &str = "engine";

/// How far the names have come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Naming {
    /// The backends, in the order of their names.
    pub(super) slots: Vec<Slot>,
    /// The configuration that they are of, by its number.
    of: Option<u64>,
    done: bool,
    /// Names in their places.
    backends: usize,
    frontends: usize,
    members: usize,
    /// The backend that was last, and the frontend.
    backend: Option<Name>,
    last: Option<Name>,
    /// Some name is another than before.
    changed: bool,
    /// What the names of each table take in the stats segment.
    bytes: [u64; TABLES.len()],
}

impl Naming {
    pub(super) const NONE: Naming = Naming {
        slots: Vec::new(),
        of: None,
        done: false,
        backends: 0,
        frontends: 0,
        members: 0,
        backend: None,
        last: None,
        changed: false,
        bytes: [0; TABLES.len()],
    };
}

impl Picture {
    /// What the names and numbers take when all are published. Known once all names are made.
    pub fn demand(&self) -> Demand {
        let mut demand = Demand { names: self.naming.bytes, ..Demand::default() };
        for (rows, table) in demand.rows.iter_mut().zip(&self.tables) {
            *rows = table.names.len() as u64;
        }
        demand
    }
}

impl Controller {
    /// Makes some of the names, where they are not those of the running configuration. True: all are.
    pub(super) fn name_some(&self, picture: &mut Picture) -> bool {
        let Picture { generation, tables: [backends, frontends, members, engine], naming: n, .. } = picture;
        if n.of != Some(self.generation) {
            *n = Naming {
                of: Some(self.generation),
                slots: std::mem::take(&mut n.slots),
                // An earlier one that was not done has left its own names.
                changed: n.changed && !n.done,
                ..Naming::default()
            };
        }
        if n.done {
            return true;
        }
        if n.backends == 0 {
            n.slots.clear();
        }
        let mut left = NAMES;
        while left > 0 {
            let Some((name, slot)) = self.backends.named_after(n.backend.as_ref()) else { break };
            n.slots.push(slot);
            n.changed |= place(&mut backends.names, &mut n.backends, &name);
            let [bytes, ..] = &mut n.bytes;
            *bytes += name_bytes(name.len());
            n.backend = Some(name);
            left -= 1;
        }
        while left > 0 {
            let Some((name, f)) = after(&self.frontends, n.last.as_ref()) else {
                let mut drops = DROPS;
                for (names, rows) in [
                    (&mut backends.names, n.backends),
                    (&mut frontends.names, n.frontends),
                    (&mut members.names, n.members),
                ] {
                    let surplus = names.len().saturating_sub(rows);
                    let some = surplus.min(drops);
                    drops -= some;
                    n.changed |= surplus > 0;
                    names.truncate(names.len() - some);
                    if surplus > some {
                        return false;
                    }
                }
                n.changed |= place(&mut engine.names, &mut 0, ENGINE);
                let [.., bytes] = &mut n.bytes;
                *bytes = name_bytes(ENGINE.len());
                n.done = true;
                *generation += u64::from(n.changed);
                return true;
            };
            n.changed |= place(&mut frontends.names, &mut n.frontends, name);
            let [_, bytes, members_bytes, _] = &mut n.bytes;
            *bytes += name_bytes(name.len());
            for seat in &f.seats {
                let member = format!("{name}/{}/{}", f.pool_name(seat.pool), seat.name);
                n.changed |= place(&mut members.names, &mut n.members, &member);
                *members_bytes += name_bytes(member.len());
            }
            left = left.saturating_sub(f.seats.len() + 1);
            n.last = Some(name.clone());
        }
        false
    }
}

/// Puts a name where it belongs. True: it was not there.
fn place(names: &mut Vec<String>, at: &mut usize, name: &str) -> bool {
    let i = std::mem::replace(at, *at + 1);
    match names.get_mut(i) {
        Some(old) if old == name => return false,
        Some(old) => name.clone_into(old),
        None => names.push(name.to_owned()),
    }
    true
}
