//! The backends the controller knows, and what it knows of each.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::meters::Meters;
use super::operator::Ticket;
use super::schedule::Slot;
use crate::Name;
use crate::config::{Backend, Healthcheck};
use crate::health::{Health, History, State};
use crate::probe::{Code, ProbeId};
use crate::time::Time;

/// One backend.
#[derive(Debug)]
pub struct Entry {
    /// As configured; for a removed one as it last was.
    pub config: Arc<Backend>,
    /// State and counter.
    pub health: Health,
    /// Its last transitions.
    pub history: History,
    /// The frontends that have it in a pool.
    pub frontends: Vec<Name>,
    /// The probe under way, if any: never more than one.
    pub in_flight: Option<Flight>,
    /// Who waits for the result of that probe.
    pub waiting: Vec<Ticket>,
    /// Its state is a guess from the state file: so many results, unless one changes it, until it counts as seen.
    pub guess: u32,
    /// Its probe was put off once after a stall of the main thread.
    pub put_off: bool,
    /// The last result.
    pub last: Option<Last>,
    /// Probes by verdict since it was first seen.
    pub tally: Tally,
    /// What else is counted of it.
    pub meters: Box<Meters>,
    /// When a fault of ours was last logged, and how many came since.
    pub fault_logged: Option<Time>,
    /// Faults not logged since then.
    pub faults_unlogged: u64,
}

/// A probe under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flight {
    /// Comes back with the result.
    pub id: ProbeId,
    /// When it should have started.
    pub due: Time,
}

/// The last result of a probe.
#[derive(Clone, Debug)]
pub struct Last {
    /// HAProxy's code.
    pub code: Code,
    /// A few words.
    pub detail: Cow<'static, str>,
    /// From the start of the probe to its end, as the prober stamped them.
    pub latency: Duration,
    /// When the result came, milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// Results so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// The backend was well.
    pub passes: u64,
    /// It was not.
    pub failures: u64,
    /// `SOCKERR`: our own fault.
    pub faults: u64,
}

impl Entry {
    /// Its state.
    pub fn state(&self) -> State {
        self.health.state()
    }

    /// From the start of a probe by `check` to the start of the next, before jitter.
    pub fn interval(&self, check: &Healthcheck) -> Duration {
        if self.guess > 0 { check.fast_interval } else { self.health.interval(check) }
    }

    /// No healthcheck: up without being probed.
    pub fn is_static(&self) -> bool {
        self.config.healthcheck.is_none()
    }

    /// The state as shown: with progress, and `unchecked` for a static one that is up.
    pub fn display(&self) -> String {
        if self.is_static() && self.state() == State::Up {
            "up unchecked".to_owned()
        } else {
            self.health.display()
        }
    }
}

/// A table whose slots stay put while a backend lives.
#[derive(Debug, Default)]
pub struct Backends {
    slots: Vec<Option<Entry>>,
    free: Vec<Slot>,
    /// The configured ones.
    by_name: BTreeMap<Name, Slot>,
}

impl Backends {
    /// A configured backend's slot.
    pub fn slot(&self, name: &str) -> Option<Slot> {
        self.by_name.get(name).copied()
    }

    /// What is in a slot.
    pub fn get(&self, slot: Slot) -> Option<&Entry> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// What is in a slot.
    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut Entry> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// A configured backend; failing that, a removed one of that name.
    pub fn find(&self, name: &str) -> Option<(Slot, &Entry)> {
        match self.slot(name) {
            Some(s) => Some((s, self.get(s)?)),
            None => self.iter().find(|(_, e)| &*e.config.name == name),
        }
    }

    /// The configured names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.by_name.keys()
    }

    /// All, removed ones too, by slot.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &Entry)> {
        (0..).zip(&self.slots).filter_map(|(s, e)| Some((s, e.as_ref()?)))
    }

    /// All, removed ones too, by name; a configured one before removed ones of the same name.
    pub fn sorted(&self) -> Vec<(Slot, &Entry)> {
        let mut all: Vec<_> = self.iter().collect();
        all.sort_by(|(a, x), (b, y)| {
            let key = |s: &Slot, e: &Entry| self.by_name.get(&e.config.name) != Some(s);
            x.config.name.cmp(&y.config.name).then(key(a, x).cmp(&key(b, y))).then(a.cmp(b))
        });
        all
    }

    /// The configured backend with this address in one of the given frontends' pools, for showing `lb`'s servers
    /// by name.
    pub fn name_of(&self, frontend: &str, address: IpAddr) -> Option<&Name> {
        self.iter()
            .find(|(_, e)| e.config.address == address && e.frontends.iter().any(|f| &**f == frontend))
            .map(|(_, e)| &e.config.name)
    }

    /// Puts a configured backend into a slot of its own.
    pub fn insert(&mut self, entry: Entry) -> Slot {
        let name = entry.config.name.clone();
        let slot = match self.free.pop() {
            Some(s) => {
                if let Some(place) = self.slots.get_mut(s as usize) {
                    *place = Some(entry);
                }
                s
            }
            None => {
                self.slots.push(Some(entry));
                Slot::try_from(self.slots.len() - 1).unwrap_or(Slot::MAX)
            }
        };
        self.by_name.insert(name, slot);
        slot
    }

    /// The name belongs to no configured backend any more; the entry stays until [`Backends::forget`].
    pub fn unname(&mut self, slot: Slot) {
        if let Some(name) = self.get(slot).map(|e| e.config.name.clone())
            && self.by_name.get(&name) == Some(&slot)
        {
            self.by_name.remove(&name);
        }
    }

    /// Gives a kept entry a name again (its own, or its heir's).
    pub fn rename(&mut self, slot: Slot, name: Name) {
        self.by_name.insert(name, slot);
    }

    /// The slot is free.
    pub fn forget(&mut self, slot: Slot) -> Option<Entry> {
        self.unname(slot);
        let e = self.slots.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        Some(e)
    }
}
