//! The backends the controller knows, and what it knows of each.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::agents::AgentSide;
use super::cursor::after;
use super::meters::Meters;
use super::operator::Ticket;
use super::schedule::Slot;
use super::state::Saved;
use crate::Name;
use crate::config::{Backend, Healthcheck};
use crate::health::agent::AgentWeight;
use crate::health::{Health, History, Standing, State, Vital};
use crate::lb::Reach;
use crate::probe::{Code, ProbeId};
use crate::time::Time;

/// The code of a transition by `health up`, `health down` or `health stopping`.
pub const FORCED: &str = "forced";

/// One backend.
#[derive(Debug)]
pub struct Entry {
    /// As configured; for a removed one as it last was.
    pub config: Arc<Backend>,
    /// What its checks, its agent and the operator say.
    pub health: Health,
    /// What comes of it, together with what it inherits.
    pub standing: Standing,
    /// Asking its agent, if it has one.
    pub agent: Option<Box<AgentSide>>,
    /// Who it follows, and who follows it.
    pub links: Links,
    /// Its checks were on when last looked at.
    pub checked: bool,
    /// It was down or disabled since it was last up.
    pub out: bool,
    /// When it came back from that.
    pub back_at: Option<Time>,
    /// Its last transitions.
    pub history: History,
    /// The frontends that have it in a pool.
    pub frontends: Vec<Name>,
    /// The probe under way, or the standing job, if any: never more than one.
    pub in_flight: Option<Flight>,
    /// Who waits for the result of that probe.
    pub waiting: Vec<Ticket>,
    /// Its state is a guess from the state file: so many results, unless one changes it, until it counts as seen.
    pub guess: u32,
    /// Its probe was put off once after a stall of the main thread.
    pub put_off: bool,
    /// What was last saved of it.
    pub saved: Option<Saved>,
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

/// The backends that one is tied to, by slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// `track`
    pub tracks: Option<Slot>,
    /// Those that track this one.
    pub trackers: Vec<Slot>,
    /// The one whose agent's share it takes, through all levels of `agent-track`.
    pub share_of: Option<Slot>,
    /// Those that take the share of this one's agent.
    pub sharers: Vec<Slot>,
}

/// A job that the prober has in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flight {
    /// Comes back with the result.
    pub id: ProbeId,
    /// The prober goes on by itself while it passes: since the probe that it began then, as far as is known.
    pub standing: Option<Time>,
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
    /// When the probe ended, milliseconds since the Unix epoch.
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
        self.standing.state
    }

    /// From the start of a probe by `check` to the start of the next, before jitter.
    pub fn interval(&self, check: &Healthcheck) -> Duration {
        if self.guess > 0 { check.fast_interval } else { self.health.checks().interval(check) }
    }

    /// Whether a pass changes nothing, and nobody waits for one: the prober may go on by itself until there is another
    /// result.
    pub fn is_steady(&self) -> bool {
        self.health.checked() && self.health.checks().full() && self.guess == 0 && self.waiting.is_empty()
    }

    /// Nobody is asked about it: up without being probed.
    pub fn is_static(&self) -> bool {
        self.config.is_static()
    }

    /// Its agent alone decides.
    pub fn by_agent_alone(&self) -> bool {
        self.config.agent.is_some() && self.config.healthcheck.is_none() && self.config.track.is_none()
    }

    /// Its agent alone decides, and has not: what is known, if anything, was found by checks or by a backend it followed
    /// that it has no more. The operator's `health down` and `health stopping` are no such thing: they stand until the agent's
    /// next word.
    pub fn waits_for_agent(&self) -> bool {
        self.by_agent_alone()
            && self.health.checked()
            && match self.health.checks().vital() {
                Vital::Unknown => true,
                Vital::Down => !self.health.checks().forced(),
                Vital::Up => self.health.checks().stopping() && !self.health.checks().forced(),
            }
    }

    /// The state as shown: with its author, with progress while degraded, and with what it rests on where no check
    /// does. A tracker's progress is that of the backend it follows.
    pub fn display(&self, backends: &Backends) -> String {
        match self.state() {
            State::Up | State::Down if self.standing.display() == self.state().as_str() => {}
            State::Up
            | State::Down
            | State::Unknown
            | State::Paused
            | State::Disabled
            | State::Removed
            | State::Stopping
            | State::Drain => return self.standing.display(),
        }
        let root = backends.root(self);
        if self.state() == State::Up && root.is_static() {
            "up unchecked".to_owned()
        } else if self.state() == State::Up && root.by_agent_alone() {
            match &root.agent {
                Some(a) if a.heard => "up".to_owned(),
                _ if root.health.operator().muted.is_some() => "up agent muted".to_owned(),
                _ => "up agent silent".to_owned(),
            }
        } else if root.health.checks().vital() == self.standing.vital {
            root.health.checks().display()
        } else {
            // Down by the agent of the one it follows: the checks have nothing to count.
            self.standing.display()
        }
    }

    /// What an agent says of its weight: its own, or the share of the one that it takes it from.
    pub fn agent_weight(&self, backends: &Backends) -> Option<AgentWeight> {
        match self.links.share_of {
            None => self.health.agent().weight,
            Some(from) => match backends.get(from)?.health.agent().weight {
                Some(AgentWeight::Share(percent)) => Some(AgentWeight::Share(percent)),
                Some(AgentWeight::Absolute(_)) | None => None,
            },
        }
    }

    /// Whether checks and agent, or the one it follows, have nothing to say yet.
    pub fn unheard(&self) -> bool {
        self.standing.vital == Vital::Unknown
    }
}

/// A table whose slots stay put while a backend lives.
#[derive(Debug, Default)]
pub struct Backends {
    slots: Vec<Option<Entry>>,
    free: Vec<Slot>,
    /// The configured ones.
    by_name: BTreeMap<Name, Slot>,
    /// Addresses that are a forwarding loop: a server with one gets no weight.
    loops: BTreeMap<IpAddr, (Reach, bool)>,
}

impl Backends {
    /// Where packets to an address go, as last looked at.
    pub fn reach(&self, address: IpAddr) -> Reach {
        self.loops.get(&address).map_or(Reach::Away, |(reach, _)| *reach)
    }

    /// Why a server of this address would be a forwarding loop; none: it would not.
    pub fn looping(&self, address: IpAddr) -> Option<&'static str> {
        self.reach(address).loops()
    }

    /// All addresses of backends in frontends that would be, ascending.
    pub fn loops(&self) -> impl Iterator<Item = (IpAddr, &'static str)> {
        let served = self.loops.iter().filter(|(_, (_, serves))| *serves);
        served.filter_map(|(address, (reach, _))| Some((*address, reach.loops()?)))
    }

    /// Notes where packets to an address go, and whether a backend in a frontend has it: one that has left the configuration may
    /// still be held in `lb`.
    pub fn set_reach(&mut self, address: IpAddr, reach: Reach, serves: bool) {
        match reach {
            Reach::Away => self.loops.remove(&address),
            Reach::Local | Reach::Vip => self.loops.insert(address, (reach, serves)),
        };
    }

    /// Forgets what is known of addresses that no backend in a frontend has: nobody looks at them any more.
    pub fn forget_loops(&mut self) {
        if self.loops.is_empty() {
            return;
        }
        let serving = self.iter().filter(|(_, b)| !b.frontends.is_empty());
        let is: BTreeSet<IpAddr> = serving.map(|(_, b)| b.config.address).collect();
        self.loops.retain(|address, _| is.contains(address));
    }

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

    /// A backend, the one that it tracks, the one that this tracks, and so on.
    pub fn chain<'a>(&'a self, of: &'a Entry) -> impl Iterator<Item = &'a Entry> {
        let next = |b: &&Entry| self.get(b.links.tracks?);
        // Tracking has no circles; but a mistake here must not hang VPP's main thread.
        std::iter::successors(Some(of), next).take(self.slots.len())
    }

    /// The one whose checks and agent decide on a backend: itself, or the last that it tracks.
    pub fn root<'a>(&'a self, of: &'a Entry) -> &'a Entry {
        self.chain(of).last().unwrap_or(of)
    }

    /// The configured ones, sorted by name.
    pub fn configured(&self) -> impl Iterator<Item = (Slot, &Entry)> {
        self.by_name.values().filter_map(|s| Some((*s, self.get(*s)?)))
    }

    /// The configured names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.by_name.keys()
    }

    /// The configured one whose name is the first behind that one; none: the first of all.
    pub fn named_after(&self, last: Option<&Name>) -> Option<(Name, Slot)> {
        after(&self.by_name, last).map(|(n, s)| (n.clone(), *s))
    }

    /// No slot is as high as this.
    pub fn end(&self) -> Slot {
        Slot::try_from(self.slots.len()).unwrap_or(Slot::MAX)
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
