//! What all hands have said of all backends, and what is to come of it, by docs/behaviour.md alone: the controller must be
//! of the same mind after every step.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::broken::{Broken, broken};
use super::draft::may_be_vip;
use super::front::{Front, Seat};
use super::keep::Keep;
use super::mind::{Mind, Taken};
use super::table::{self, Says, Verdict, Word};
use super::world::{Happening, World};
use crate::Name;
use crate::config::{Backend, Config};
use crate::control::{BackendVerb, Event};
use crate::health::Vital;
use crate::lb::VipKey;
use crate::probe::{Order, ProbeId, Task};
use crate::time::Time;

/// Longer than the main thread ever stands still.
const STALL: Duration = Duration::from_secs(9);

/// What comes of all words on a backend.
#[derive(Clone, Debug)]
pub struct Shown {
    /// State, and whose word it is.
    pub verdict: Verdict,
    /// Checks and agent, or those of the one it tracks.
    pub vital: Vital,
    /// It, or the one it tracks, wants no new flows.
    pub stopping: bool,
}

/// An operator's weight: frontend, pool, backend.
pub type Place = (Name, Name, Name);

/// See above.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// By name.
    pub minds: BTreeMap<Name, Mind>,
    /// What comes of them.
    pub shown: BTreeMap<Name, Shown>,
    /// By VIP.
    pub fronts: BTreeMap<VipKey, Front>,
    /// The operator's weights.
    pub overrides: BTreeMap<Place, u8>,
    /// Backends of which the operator wants a probe, and perhaps gets one that would not be made otherwise.
    pub wanted: BTreeSet<Name>,
    /// Servers that are a VIP in `lb`, as far as that has been found out: they get no weight.
    pub looping: BTreeSet<IpAddr>,
    config: Option<Arc<Config>>,
    /// Under way: whose, and whether it asks an agent.
    flights: BTreeMap<ProbeId, (Name, bool)>,
    /// What the state file holds, and is to hold.
    pub keep: Keep,
    /// When each was last probed; and its agent asked.
    asked: BTreeMap<(Name, bool), Time>,
}

impl Model {
    /// The running configuration.
    pub fn config(&self) -> Option<&Arc<Config>> {
        self.config.as_ref()
    }

    /// A configuration takes the place of the one before. How many of the operator's words end by that.
    pub fn apply(&mut self, config: &Arc<Config>, now: Time) -> usize {
        let old = std::mem::take(&mut self.minds);
        let mut leaving: BTreeMap<IpAddr, Vec<Name>> = BTreeMap::new();
        let stays = |b: &Backend| config.backends.get(&b.name).is_some_and(|n| n.address == b.address);
        for m in old.values().filter(|m| !stays(&m.config)) {
            leaving.entry(m.config.address).or_default().push(m.config.name.clone());
        }
        let mut before: BTreeMap<Name, Name> = BTreeMap::new();
        for (name, b) in &config.backends {
            let from = match old.get(name).filter(|m| m.config.address == b.address) {
                Some(m) => Some((m, false)),
                None => heir(&mut leaving, &old, b).map(|m| (m, true)),
            };
            let mind = match from {
                None => Mind::new(b.clone(), now),
                Some((m, inherits)) => {
                    before.insert(name.clone(), m.config.name.clone());
                    let mut mind = m.clone();
                    if inherits {
                        mind.inherit();
                    }
                    if m.config != *b {
                        mind.edit(b, self.was(&m.config.name), now);
                    }
                    mind
                }
            };
            self.minds.insert(name.clone(), mind);
        }
        let stayed = |name: &Name| before.get(name) == Some(name);
        let gone = old.iter().filter(|(name, _)| !stayed(name));
        let mut ended: usize = gone.map(|(_, mind)| mind.operators_words()).sum();
        ended += self.overrides.len();
        self.overrides = self.kept_overrides(config, &stayed);
        ended -= self.overrides.len();
        self.flights.retain(|_, (name, _)| {
            let to = before.iter().find(|(_, from)| *from == name).map(|(to, _)| to.clone());
            to.map(|to| *name = to).is_some()
        });
        self.wanted.clear();
        self.config = Some(config.clone());
        self.show(now);
        self.seat(config, &before, now);
        self.weigh(now);
        ended
    }

    pub(super) fn was(&self, name: &Name) -> (Vital, bool) {
        self.shown.get(name).map_or((Vital::Unknown, false), |s| (s.vital, s.stopping))
    }

    /// A word on a weight stands while the weight it overrode is the same; and in the same place, whatever its VIP.
    fn kept_overrides(&self, new: &Config, stayed: &dyn Fn(&Name) -> bool) -> BTreeMap<Place, u8> {
        let Some(old) = &self.config else { return BTreeMap::new() };
        let configured = |c: &Config, (f, p, b): &Place| {
            let f = c.frontends.get(f)?;
            let pool = f.pools.iter().find(|x| x.name == *p)?;
            pool.backends.get(b).copied()
        };
        self.overrides
            .iter()
            .filter(|(place, _)| stayed(&place.2))
            .filter(|(place, _)| configured(old, place) == configured(new, place))
            .map(|(place, weight)| (place.clone(), *weight))
            .collect()
    }

    /// The frontends of a new configuration; a frontend is its VIP.
    fn seat(&mut self, config: &Config, before: &BTreeMap<Name, Name>, now: Time) {
        let mut old = std::mem::take(&mut self.fronts);
        let patience = config.lb.startup_max_delay;
        for f in config.frontends.values() {
            let mut front = Front::new(f.clone(), now);
            if let Some(was) = old.remove(&f.vip) {
                let sat = |name: &Name| {
                    let from = before.get(name)?;
                    was.seats.iter().find(|s| s.name == *from)
                };
                let unknown =
                    |name: &Name| self.shown.get(name).is_some_and(|s| s.verdict.state == "unknown");
                let members: Vec<&Name> = f.members().map(|(_, name, _)| name).collect();
                let fresh: BTreeSet<Name> =
                    members.iter().filter(|n| sat(n).is_none() && unknown(n)).map(|n| (*n).clone()).collect();
                let waited = members
                    .iter()
                    .filter(|n| before.get(**n).is_some_and(|from| was.newcomers.contains(from)))
                    .filter(|n| unknown(n))
                    .map(|n| (*n).clone());
                front.hold_until = if fresh.is_empty() { was.hold_until } else { now + patience };
                front.newcomers = waited.chain(fresh.iter().cloned()).collect();
                for name in members {
                    let last = sat(name).and_then(|s| was.last.get(&s.name));
                    if let Some(last) = last {
                        front.last.insert(name.clone(), *last);
                    }
                }
                (front.since, front.open, front.alarm) = (was.since, was.open, was.alarm);
            }
            self.fronts.insert(f.vip, front);
        }
    }

    /// Whether packets to this address would come back: a VIP of it is configured, or known to be in `lb`.
    pub fn comes_back(&self, address: IpAddr) -> bool {
        self.looping.contains(&address) || self.fronts.keys().any(|vip| vip.address == address)
    }

    /// Another life begins with this configuration.
    pub fn reborn(&mut self, config: &Arc<Config>, now: Time) {
        self.keep.writing = None;
        let saved = self.keep.file.clone().unwrap_or_default();
        let keep = std::mem::take(&mut self.keep);
        *self = Model { keep, ..Model::default() };
        for (name, b) in &config.backends {
            let mind = match saved.minds.get(name).filter(|(m, _)| m.config.address == b.address) {
                Some((mind, was)) => Mind::restored(mind, *was, b.clone(), now),
                None => Mind::new(b.clone(), now),
            };
            self.minds.insert(name.clone(), mind);
        }
        for ((f, p, b), (weight, over)) in &saved.overrides {
            let front = config.frontends.get(f);
            let pool = front.and_then(|f| f.pools.iter().find(|x| x.name == *p));
            let same = pool.and_then(|p| p.backends.get(b)) == Some(over);
            let here = saved.minds.get(b).map(|(m, _)| m.config.address);
            if same && here == config.backends.get(b).map(|b| b.address) {
                self.overrides.insert((f.clone(), p.clone(), b.clone()), *weight);
            }
        }
        self.config = Some(config.clone());
        self.show(now);
        self.seat(config, &BTreeMap::new(), now);
    }

    /// What is not in the file as such: who was out before, and is back at once since nobody is asked about it any more.
    pub fn recall(&mut self, world: &World, now: Time) {
        for (name, m) in &mut self.minds {
            if let Some((_, b)) = world.c.backends().find(name) {
                m.out = b.out;
                m.back_at = b.back_at.filter(|t| *t == now);
            }
        }
        self.weigh(now);
    }

    /// An operator's verb.
    pub fn verb(&mut self, name: &str, verb: BackendVerb, now: Time) -> Taken {
        let via = |s: &Shown| s.verdict.state == "disabled" && s.verdict.by.starts_with("via ");
        let disabled_via = self.shown.get(name).is_some_and(via);
        let Some(mind) = self.minds.get_mut(name) else { return Taken::Refused };
        let taken = mind.verb(verb, disabled_via, now);
        self.look(now);
        taken
    }

    /// An operator's weight: whether that is another than before; none: there is no such place.
    pub fn weight(&mut self, place: Place, weight: Option<u8>, now: Time) -> Option<bool> {
        let config = self.config.clone()?;
        let front = config.frontends.get(&place.0)?;
        front.pools.iter().find(|p| p.name == place.1)?.backends.get(&place.2)?;
        let before = match weight {
            Some(w) => self.overrides.insert(place, w),
            None => self.overrides.remove(&place),
        };
        self.look(now);
        Some(before != weight)
    }

    /// The prober is another: what the old one had in hand is lost.
    pub fn prober_restarted(&mut self) {
        self.flights.clear();
        self.wanted.clear();
    }

    /// Probes and queries under way.
    pub fn flying(&self) -> usize {
        self.flights.len()
    }

    /// Something happened between the controller and its world.
    ///
    /// # Errors
    /// It must not have.
    pub fn replay(&mut self, world: &World, at: Time, what: &Happening) -> Result<(), Broken> {
        match what {
            Happening::Ordered(Order::Probe(job)) => {
                let agent = matches!(job.task, Task::Agent(_));
                return self.ordered(world, at, job.id, agent);
            }
            Happening::Repeated(job) => return self.repeated(at, job.id),
            Happening::Ordered(Order::Cancel(id)) => {
                self.flights.remove(id);
            }
            Happening::Told(report, frozen) => {
                self.ripen(at);
                // Whatever is late, comes twice or was cancelled does not count.
                let Some((name, agent)) = self.flights.get(&report.id).cloned() else { return Ok(()) };
                if !report.goes_on {
                    self.flights.remove(&report.id);
                }
                self.wanted.remove(&name);
                let Some(mind) = self.minds.get_mut(&name).filter(|_| !frozen) else { return Ok(()) };
                match (&report.reply, agent) {
                    (Some(reply), true) => mind.heard(reply, at),
                    (None, true) => return Ok(()),
                    (_, false) => mind.result(report.outcome.code.verdict()),
                }
                self.look(at);
            }
            Happening::Polled => return self.polled(world, at),
            Happening::Event(_, Event::Backend { backend, code: "agent", detail, .. })
                if detail.starts_with("silent") =>
            {
                return self.silent(&backend.clone(), at);
            }
            Happening::Event(_, Event::LbSync { text, .. }) => {
                if let Some((server, loops)) = loop_told(text) {
                    return self.loops(server, loops, at);
                }
            }
            Happening::Asked(..) => return self.catch_up(world, at),
            Happening::Saving => {
                self.catch_up(world, at)?;
                return self.saving();
            }
            Happening::Saved(ok) => self.wrote(*ok),
            Happening::Event(..) | Happening::Ordered(Order::Configure { .. } | Order::Stop) => {}
        }
        Ok(())
    }

    /// It was found out whether a server is a VIP in `lb`.
    fn loops(&mut self, server: IpAddr, loops: bool, at: Time) -> Result<(), Broken> {
        if loops && !may_be_vip(server) {
            return broken("who is no VIP is no forwarding loop", server.to_string());
        }
        if loops {
            self.looping.insert(server);
        } else {
            self.looping.remove(&server);
        }
        self.look(at);
        Ok(())
    }

    fn ordered(&mut self, world: &World, at: Time, id: ProbeId, agent: bool) -> Result<(), Broken> {
        let slot = u32::try_from(id.0 & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        let name = world.c.backends().get(slot).map(|b| b.config.name.clone());
        let Some((name, mind)) = name.and_then(|n| Some((n.clone(), self.minds.get(&n)?))) else {
            return broken("probes", "a backend that is not configured is probed".to_owned());
        };
        if agent && (mind.muted || mind.config.agent.is_none()) {
            return broken("probes", format!("the agent of {name} is asked, and is muted or none"));
        }
        if !agent && !mind.checked() && !self.wanted.contains(&name) {
            return broken("probes", format!("{name} is probed, and somebody's word is against that"));
        }
        if self.flights.values().any(|f| *f == (name.clone(), agent)) {
            return broken("probes", format!("{name} is probed twice at once"));
        }
        self.asked.insert((name.clone(), agent), at);
        self.flights.insert(id, (name, agent));
        Ok(())
    }

    /// The prober goes on by itself with a backend of which the controller has not been heard since.
    fn repeated(&mut self, at: Time, id: ProbeId) -> Result<(), Broken> {
        let Some((name, agent)) = self.flights.get(&id).cloned() else {
            return broken("probes", "the prober goes on with what nobody wants any more".to_owned());
        };
        let steady = |m: &Mind| m.checked() && m.is_full();
        if agent || !self.minds.get(&name).is_some_and(steady) {
            return broken("probes", format!("the prober goes on with {name} by itself, which is in doubt"));
        }
        self.asked.insert((name, agent), at);
        Ok(())
    }

    /// Whether nobody is forgotten who is to be asked; after a calm.
    ///
    /// # Errors
    /// Somebody is.
    pub fn asked_lately(&self, now: Time) -> Result<(), Broken> {
        for (name, mind) in &self.minds {
            let check = mind.config.healthcheck.as_ref().filter(|_| mind.checked());
            let check = check.map(|c| c.interval.max(c.down_interval).mul_f64(1.6) + c.timeout);
            let agent = mind.config.agent.as_ref().filter(|_| !mind.muted).map(|a| a.interval + a.timeout);
            for (every, agent) in [(check, false), (agent, true)] {
                let Some(every) = every else { continue };
                let last = self.asked.get(&(name.clone(), agent)).copied().unwrap_or_default();
                if now.since(last) > every {
                    let what = if agent { "the agent of " } else { "" };
                    return broken("nobody is forgotten", format!("{what}{name} was asked last at {last:?}"));
                }
            }
        }
        Ok(())
    }

    /// Time has passed: agents that say nothing, weights that climb, frontends that have waited.
    fn polled(&mut self, world: &World, at: Time) -> Result<(), Broken> {
        let patience = self.patience();
        for (name, mind) in self.minds.iter_mut().filter(|(_, m)| m.waiting()) {
            if world.c.frozen().is_some() {
                mind.waits.1 = mind.waits.1.max(at);
            } else if at.since(mind.waits.1) > patience * 2 + STALL {
                return broken("silent agents", format!("{name} waits for its agent without end"));
            }
        }
        self.ripen(at);
        Ok(())
    }

    /// Weights that climb, and frontends that have waited.
    fn ripen(&mut self, at: Time) {
        let climbing = self.minds.values().any(|m| m.back_at.is_some());
        let waits = |f: &Front| !f.open || !f.newcomers.is_empty();
        if climbing || self.fronts.values().any(waits) {
            self.weigh(at);
        }
    }

    fn patience(&self) -> Duration {
        self.config.as_ref().map_or(Duration::ZERO, |c| c.lb.startup_max_delay)
    }

    /// An agent has said nothing for so long that its backend is taken for up.
    fn silent(&mut self, name: &Name, at: Time) -> Result<(), Broken> {
        let patience = self.patience();
        match self.minds.get_mut(name).filter(|m| m.waiting() && at.since(m.waits.0) >= patience) {
            Some(mind) => mind.silence(),
            None => return broken("silent agents", format!("{name} is taken for up, and need not be")),
        }
        self.look(at);
        Ok(())
    }

    /// The same where another word keeps that from being told.
    ///
    /// # Errors
    /// It was too early.
    pub fn catch_up(&mut self, world: &World, at: Time) -> Result<(), Broken> {
        let up = |name: &Name| {
            let b = world.c.backends().find(name);
            b.is_some_and(|(_, b)| b.health.checks().vital() == Vital::Up && !b.health.checks().stopping())
        };
        let late: Vec<Name> =
            self.minds.iter().filter(|(n, m)| m.waiting() && up(n)).map(|(n, _)| n.clone()).collect();
        late.iter().try_for_each(|name| self.silent(name, at))
    }

    /// What comes of all words now.
    fn look(&mut self, now: Time) {
        self.show(now);
        self.weigh(now);
    }

    fn show(&mut self, now: Time) {
        let mut all = BTreeMap::new();
        for (name, mind) in &self.minds {
            let words = self.words(mind);
            let verdict = table::verdict(&words);
            let has = |what: &str| words.iter().any(|w| w.0 == what);
            let vital = if has("down") {
                Vital::Down
            } else if has("up") {
                Vital::Up
            } else {
                Vital::Unknown
            };
            let stopping = has("stopping") && vital == Vital::Up;
            all.insert(name.clone(), Shown { verdict, vital, stopping });
        }
        self.shown = all;
        for (name, mind) in &mut self.minds {
            let Some(shown) = self.shown.get(name) else { continue };
            if matches!(shown.verdict.state, "down" | "disabled") {
                (mind.out, mind.back_at) = (true, None);
            } else if mind.out && shown.vital == Vital::Up {
                (mind.out, mind.back_at) = (false, Some(now));
            }
        }
    }

    /// All words on a backend, those included that it inherits.
    fn words<'a>(&'a self, mind: &'a Mind) -> Vec<Word<'a>> {
        let mut all = mind.own();
        let Some(tracked) = mind.config.track.as_ref().and_then(|t| self.minds.get(t)) else { return all };
        let theirs = self.words(tracked);
        // Of two that say down one counts: the checks before the agent.
        let down = theirs.iter().any(|(word, by)| *word == "down" && *by != "agent");
        for (word, by) in &theirs {
            match *word {
                "up" | "unknown" => all.push((word, by)),
                "down" if down && *by == "agent" => {}
                _ if by.starts_with("via ") => all.push((word, by)),
                _ => all.push((word, &tracked.via)),
            }
        }
        let dead = theirs.iter().any(|(word, _)| *word == "down");
        all.retain(|(word, _)| *word != "stopping" || !dead);
        all
    }

    fn weigh(&mut self, now: Time) {
        let Some(config) = &self.config else { return };
        let patience = config.lb.startup_max_delay;
        let (minds, shown, overrides, looping) = (&self.minds, &self.shown, &self.overrides, &self.looping);
        for front in self.fronts.values_mut() {
            let f = front.config.clone();
            let seat = |(pool, name, configured): (usize, &Name, u8)| {
                let (mind, shown) = (minds.get(name)?, shown.get(name)?);
                let says = says(minds, mind);
                let overridden = match overrides.is_empty() {
                    true => None,
                    false => {
                        let place = (f.name.clone(), f.pools.get(pool)?.name.clone(), name.clone());
                        overrides.get(&place).map(|w| u128::from(*w))
                    }
                };
                let weight = match looping.contains(&mind.config.address) {
                    true => 0,
                    false => table::weight(overridden, says, u128::from(configured)),
                };
                Some(Seat {
                    name: name.clone(),
                    address: mind.config.address,
                    pool,
                    weight: u8::try_from(weight).unwrap_or(u8::MAX),
                    state: shown.verdict.state,
                    out: shown.verdict.out,
                    unheard: shown.vital == Vital::Unknown,
                    well: shown.vital == Vital::Up,
                    back_at: mind.back_at,
                })
            };
            let seats = f.members().filter_map(seat).collect();
            front.weigh(seats, now, patience);
        }
    }
}

/// The server of which an event tells that it is a forwarding loop, or that it is none any more.
fn loop_told(text: &str) -> Option<(IpAddr, bool)> {
    let (server, told) = text.strip_prefix("server=")?.split_once(' ')?;
    let loops = told.starts_with("gets no weight: forwarding loop");
    (loops || told == "is no forwarding loop any more").then_some(())?;
    Some((server.parse().ok()?, loops))
}

/// What an agent says of a backend's weight: its own, or that of the one it takes the share of, which may take it from another.
fn says(minds: &BTreeMap<Name, Mind>, mind: &Mind) -> Says {
    let Some(other) = &mind.config.agent_track else { return mind.says() };
    match minds.get(other).map_or(Says::Nothing, |other| says(minds, other)) {
        share @ Says::Percent(_) => share,
        // Never what it says in the weight's place.
        Says::Nothing | Says::Instead(_) => Says::Nothing,
    }
}

/// The leaving backend whose health passes to a new name: of its address, with its healthcheck and agent, following nobody,
/// neither disabled nor paused.
fn heir<'a>(
    leaving: &mut BTreeMap<IpAddr, Vec<Name>>,
    old: &'a BTreeMap<Name, Mind>,
    b: &Backend,
) -> Option<&'a Mind> {
    let names = leaving.get_mut(&b.address)?;
    let fits = |m: &Mind| {
        m.checked()
            && m.config.track.is_none()
            && b.track.is_none()
            && m.config.healthcheck == b.healthcheck
            && m.config.agent == b.agent
    };
    let i = names.iter().position(|n| old.get(n).is_some_and(&fits))?;
    old.get(&names.remove(i))
}
