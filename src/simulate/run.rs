//! The simulator: random steps in a world of its own, and after each of them all that docs/behaviour.md promises.

mod disk;
mod story;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::agree::agree;
use super::babble::babble;
use super::books::Books;
use super::broken::{Broken, broken};
use super::deed::{Deed, Scene, draw, somebody_acts};
use super::draft::{Draft, stranger};
use super::foreign;
use super::keep::Waiting;
use super::mind::Taken;
use super::model::Model;
use super::nat::alive;
use super::settled::settled;
use super::world::{Happening, Net, START, Voice, World};
use crate::config::{Config, parse};
use crate::control::programmer::LbRequest;
use crate::control::{Done, Ticket, VerbError};
use crate::lb::bulk::{Part, parts};
use crate::lb::{LbError, LoadBalancer, Op};
use crate::probe::{Report, Told};
use crate::time::Time;

/// Steps of one seed; then the next one begins.
pub const LIFE: u64 = 50_000;
/// Steps that are remembered, for who wants to know how it came.
pub const RECENT: usize = 40;
/// Steps between two calms.
const STORM: u64 = 1500;
/// How long it takes until nothing of a storm is left: retries of the disk are 32 s apart at most.
const CALM: Duration = Duration::from_secs(34);
/// How long it then has to be quiet: two syncs and a little.
const QUIET: Duration = Duration::from_secs(11);
/// Time goes on by so much at most.
const TICK: Duration = Duration::from_secs(1);
/// What is shown and not used is compared at every so many steps.
const WHOLE: u64 = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Until this step.
    Storm(u64),
    Calm(Time),
    Quiet(Time),
}

/// A step that was done.
#[derive(Debug)]
struct Past {
    step: u64,
    at: Time,
    deed: Deed,
    happened: Vec<(Time, Happening)>,
}

/// What was done and seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Steps that somebody did.
    pub deeds: u64,
    /// Configurations applied.
    pub reloads: u64,
    /// Lives of VPP.
    pub lives: u64,
    /// Results of probes and agents.
    pub results: u64,
    /// Calls of `lb`, dumps too.
    pub calls: u64,
    /// Changes of `lb`.
    pub writes: u64,
    /// Of these, such as put several servers together.
    pub together: u64,
    /// Times that all was calm and as it should be.
    pub calms: u64,
    /// Deaths of VPP in the middle of a write of the state file.
    pub deaths_in_write: u64,
    /// Those of them after which the new file was there.
    pub deaths_after_rename: u64,
    /// Virtual time, in seconds.
    pub seconds: u64,
}

impl Tally {
    /// Together with another one.
    pub fn add(&mut self, other: &Tally) {
        let Tally { deeds, reloads, lives, results, calls, writes, together, calms, .. } = other;
        let Tally { deaths_in_write, deaths_after_rename, seconds, .. } = other;
        self.deaths_in_write += deaths_in_write;
        self.deaths_after_rename += deaths_after_rename;
        self.deeds += deeds;
        self.reloads += reloads;
        self.lives += lives;
        self.results += results;
        self.calls += calls;
        self.writes += writes;
        self.together += together;
        self.calms += calms;
        self.seconds += seconds;
    }
}

/// See above.
#[derive(Debug)]
pub struct Simulator {
    /// The controller and all around it.
    pub world: World,
    /// What it should be.
    pub model: Model,
    /// What `lb` was asked.
    pub books: Books,
    /// So far.
    pub tally: Tally,
    chance: fastrand::Rng,
    draft: Draft,
    step: u64,
    phase: Phase,
    recent: VecDeque<Past>,
    /// How many of them are remembered.
    tell: usize,
    pending: BTreeMap<Ticket, Time>,
    /// Verbs that wait for the disk.
    waiting: Vec<Waiting>,
    owes_save: bool,
    old: Option<Report>,
}

impl Simulator {
    /// A world of this seed; the same seed makes the same world, and the same steps.
    pub fn new(seed: u64) -> Simulator {
        let mut chance = fastrand::Rng::with_seed(seed);
        let draft = Draft::new(&mut chance);
        let mut world = World::new(START, chance.u64(..));
        world.c.keep_state();
        let mut sim = Simulator {
            world,
            model: Model::default(),
            books: Books::default(),
            tally: Tally { lives: 1, ..Tally::default() },
            chance,
            draft,
            step: 0,
            phase: Phase::Storm(STORM),
            recent: VecDeque::new(),
            tell: RECENT,
            pending: BTreeMap::new(),
            waiting: Vec::new(),
            owes_save: false,
            old: None,
        };
        foreign::put(&mut sim.world, &mut sim.books);
        sim
    }

    /// Remembers so many last steps for [`Simulator::story`]; at least one.
    pub fn tell(&mut self, steps: usize) {
        self.tell = steps.max(1);
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// One more.
    ///
    /// # Errors
    /// A rule does not hold.
    pub fn step(&mut self) -> Result<(), Broken> {
        let deed = self.next_deed();
        self.recent.push_back(Past {
            step: self.step,
            at: self.world.now,
            deed: deed.clone(),
            happened: Vec::new(),
        });
        if self.recent.len() > self.tell {
            self.recent.pop_front();
        }
        self.step += 1;
        let done = self.carry_out(&deed);
        self.world.drain();
        let replayed = self.replay();
        // What the controller did wrong comes before what it answered.
        replayed?;
        done?;
        alive(&self.world.lb)?;
        agree(&self.model, &self.world, self.step.is_multiple_of(WHOLE))?;
        self.sizes()?;
        self.change_phase()
    }

    fn next_deed(&mut self) -> Deed {
        if self.step == 0 {
            return Deed::Reload(self.draft.yaml().into());
        }
        match self.phase {
            Phase::Storm(until) if self.step >= until => Deed::Calm,
            Phase::Storm(_) if somebody_acts(&mut self.chance) => {
                let seats = self.model.fronts.values().flat_map(|f| {
                    let seat = |(pool, name, _): (usize, &crate::Name, u8)| {
                        let pool = f.config.pools.get(pool).map(|p| p.name.to_string());
                        [f.config.name.to_string(), pool.unwrap_or_default(), name.to_string()]
                    };
                    f.config.members().map(seat).collect::<Vec<_>>()
                });
                let mut scene = Scene {
                    seats: seats.collect(),
                    vips: self.books.vips.keys().copied().collect(),
                    settings: self.books.settings,
                    draft: &mut self.draft,
                };
                draw(&mut self.chance, &mut scene)
            }
            Phase::Storm(_) | Phase::Calm(_) | Phase::Quiet(_) => Deed::Turn,
        }
    }

    fn carry_out(&mut self, deed: &Deed) -> Result<(), Broken> {
        self.tally.deeds += u64::from(!matches!(deed, Deed::Turn));
        let (now, wall) = (self.world.now, self.world.wall());
        match deed {
            Deed::Turn => return self.turn(),
            Deed::Net(a, net) => {
                self.world.net.insert(*a, *net);
            }
            Deed::Voice(a, voice) => {
                self.world.voices.insert(*a, voice.clone());
            }
            Deed::Verb(name, verb) => {
                let done = self.world.c.set_backend(wall, name, *verb);
                let taken = self.model.verb(name, *verb, now);
                self.owes_save |= taken == Taken::Changed;
                self.world.drain();
                let is = answer(&done);
                if is != taken {
                    return broken("verbs", format!("`{deed}` was {is:?}, and not {taken:?}: {done:?}"));
                }
                if taken != Taken::Refused {
                    self.wait_for_disk(taken == Taken::Changed)?;
                }
            }
            Deed::Weight([f, p, b], weight, flush) => {
                let done = self.world.c.set_weight(wall, f, p, b, *weight, *flush);
                let place = (f.as_str().into(), p.as_str().into(), b.as_str().into());
                let changed = self.model.weight(place, *weight, now);
                self.world.drain();
                if done.is_ok() != changed.is_some() {
                    return broken("verbs", format!("`{deed}` was {done:?}"));
                }
                self.owes_save |= changed == Some(true);
                self.owe_flush(f, b, *flush && done.is_ok());
                if done.is_ok() {
                    self.wait_for_disk(changed == Some(true))?;
                }
            }
            Deed::Flush(name) => self.flush(name),
            Deed::Sync(name) => {
                if let Ok(ticket) = self.world.c.sync(wall, name.as_deref(), None) {
                    self.pending.insert(ticket, now);
                }
            }
            Deed::Probe(name) => {
                if let Ok(ticket) = self.world.c.probe(wall, name) {
                    self.pending.insert(ticket, now);
                    self.model.wanted.insert(name.as_str().into());
                }
                self.world.drain();
            }
            Deed::Reload(yaml) => {
                let config = read(yaml)?;
                self.tally.reloads += 1;
                let told = self.world.apply(config.clone(), "simulated.yaml").words;
                // What is known of addresses that nobody serves from any more is forgotten.
                let c = &self.world.c;
                self.model.looping.retain(|a| c.backends().looping(*a).is_some());
                let ended = self.model.apply(&Arc::new(config), now);
                if told != ended {
                    let what = format!("{ended} words of the operator end, {told} are told");
                    return broken("no word ends in silence", what);
                }
            }
            Deed::BadReload => self.world.c.config_failed("simulated.yaml", vec!["an error".into()]),
            Deed::LbFails(n, e) => self.world.lb.fail_next(*n, e.clone()),
            Deed::LbLoses(n) => self.world.lb.lose_answers(*n),
            Deed::DumpsFail(n) => self.world.lb.fail_dumps(*n, LbError::NoAnswer("nothing came")),
            Deed::Meddle(op) => {
                // A flush of what is not there would be one at random.
                let there = op.vip().is_none_or(|vip| self.world.lb.counters(&vip).is_some());
                let survived = self.books.is_survived(op, |a| [false, true].map(stranger).contains(&a));
                if there && survived && self.world.lb.meddle(op).is_ok() {
                    self.books.meddled(op);
                }
            }
            Deed::Beats(on) => self.world.beats = *on,
            Deed::Restart => {
                self.model.prober_restarted();
                self.world.restart_prober();
            }
            Deed::Stall(d) => {
                self.world.now = now + *d;
                return self.turned();
            }
            Deed::Leaky(on) => self.world.leaky = *on,
            Deed::Disk(full) => {
                self.world.disk.error = full.then(|| "no space left on device".to_owned());
            }
            Deed::SlowDisk(takes) => self.world.disk.takes = *takes,
            Deed::Reborn(yaml) => return self.reborn(yaml),
            Deed::Stray => {
                if let Some(report) = self.old.clone() {
                    self.world.c.told(wall, Told::Report(report));
                    self.world.drain();
                }
            }
            Deed::Calm => self.calm(),
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<(), Broken> {
        let tick = self.world.now + TICK;
        let next = self.world.next_moment().min(tick);
        self.world.now = next;
        let before = self.recent.back().map_or(next, |p| p.at);
        self.tally.seconds += (next.0 / 1_000_000_000) - (before.0 / 1_000_000_000);
        // The prober may have gone on by itself, and nobody is woken.
        if next < tick && self.world.is_idle() { Ok(()) } else { self.turned() }
    }

    fn turned(&mut self) -> Result<(), Broken> {
        match self.world.turn() {
            Ok(()) => Ok(()),
            Err(e) => broken("the controller comes to rest", e.to_string()),
        }
    }

    /// The model follows what has happened; and what follows from a turn is looked at.
    fn replay(&mut self) -> Result<(), Broken> {
        let happened = std::mem::take(&mut self.world.happened);
        let mut result = Ok(());
        for (at, what) in &happened {
            result = self.model.replay(&self.world, *at, what);
            match what {
                Happening::Asked(request, answer) if result.is_ok() => {
                    self.tally.calls += 1;
                    self.tally.writes += u64::from(!request.ops().is_empty());
                    let parts = if let LbRequest::Bulk(ops, _) = request { parts(ops) } else { Vec::new() };
                    let together = parts.iter().any(|part| matches!(part, Part::Together(..)));
                    self.tally.together += u64::from(together);
                    result = self.books.asked(&self.model, *at, request, answer);
                }
                Happening::Told(report, _) => {
                    self.tally.results += 1;
                    if report.id.0.is_multiple_of(7) {
                        self.old = Some(report.clone());
                    }
                }
                Happening::Asked(..)
                | Happening::Ordered(_)
                | Happening::Repeated(_)
                | Happening::Polled
                | Happening::Event(..)
                | Happening::Saving
                | Happening::Saved(_) => {}
            }
            if result.is_err() {
                break;
            }
        }
        let turned = self.recent.back().is_some_and(|p| matches!(p.deed, Deed::Turn | Deed::Stall(_)));
        if let Some(past) = self.recent.back_mut() {
            past.happened = happened;
        }
        result?;
        self.model.catch_up(&self.world, self.world.now)?;
        self.books.see(&self.world.lb);
        let c = &mut self.world.c;
        self.pending.retain(|ticket, _| c.take(*ticket).is_none());
        self.heed_disk(turned)
    }

    fn sizes(&self) -> Result<(), Broken> {
        let s = self.world.c.sizes();
        let most = [
            (s.untaken, 0, "orders and events"),
            (s.answers, 0, "answers"),
            (s.scheduled, 3 * (64 + 4 * 32), "entries of the schedules"),
            (s.timers, 4096, "timers"),
            (s.programmer, 256, "things that the programmer has to do"),
            (s.removed, 256, "removed backends"),
        ];
        if s.flying != self.model.flying() {
            let what = format!("{} probes count as under way, and {} are", s.flying, self.model.flying());
            return broken("what is under way is counted", what);
        }
        match most.iter().find(|(is, most, _)| is > most) {
            Some((is, _, what)) => broken("nothing grows without bound", format!("there are {is} {what}")),
            None => Ok(()),
        }
    }

    fn change_phase(&mut self) -> Result<(), Broken> {
        let now = self.world.now;
        match self.phase {
            Phase::Calm(until) if now >= until => {
                settled(&mut self.world, &self.model, &mut self.books, &self.pending)?;
                self.books.quiet = true;
                self.phase = Phase::Quiet(now + QUIET);
            }
            Phase::Quiet(until) if now >= until => {
                settled(&mut self.world, &self.model, &mut self.books, &self.pending)?;
                self.books.quiet = false;
                self.tally.calms += 1;
                self.phase = Phase::Storm(self.step + STORM);
            }
            Phase::Storm(_) | Phase::Calm(_) | Phase::Quiet(_) => {}
        }
        Ok(())
    }

    fn calm(&mut self) {
        let world = &mut self.world;
        world.lb.heal();
        (world.disk.error, world.disk.takes) = (None, Duration::ZERO);
        (world.beats, world.leaky) = (true, false);
        for net in world.net.values_mut().filter(|n| **n == Net::Flaky) {
            *net = if self.chance.bool() { Net::Good } else { Net::Refused };
        }
        for voice in world.voices.values_mut().filter(|v| **v == Voice::Babbles) {
            *voice = Voice::Says(String::from_utf8_lossy(&babble(&mut self.chance)).into_owned());
        }
        self.phase = Phase::Calm(world.now + CALM);
    }

    fn reborn(&mut self, yaml: &str) -> Result<(), Broken> {
        let config = read(yaml)?;
        let now = self.world.now + Duration::from_secs(3);
        self.tally.lives += 1;
        self.tally.reloads += 1;
        self.tally.deaths_in_write += u64::from(self.world.disk.is_busy());
        let in_place = self.world.cut_off(self.chance.bool());
        self.tally.deaths_after_rename += u64::from(in_place);
        self.model.wrote(in_place);
        self.world = self.world.reborn(now, self.chance.u64(..));
        self.books = Books::default();
        (self.old, self.owes_save) = (None, false);
        self.pending.clear();
        self.waiting.clear();
        foreign::put(&mut self.world, &mut self.books);
        self.world.apply(config.clone(), "simulated.yaml");
        self.model.reborn(&Arc::new(config), now);
        self.model.recall(&self.world, now);
        Ok(())
    }

    fn owe_flush(&mut self, frontend: &str, backend: &str, flush: bool) {
        let Ok(vip) = self.world.c.vip_of(frontend) else { return };
        let address = self.model.minds.get(backend).map(|m| m.config.address);
        if let Some(address) = address.filter(|_| flush && self.world.c.programmer().is_programmed(&vip)) {
            self.books.owed.insert((vip, address));
        }
    }

    /// As the engine does it.
    fn flush(&mut self, frontend: &str) {
        let Ok(vip) = self.world.c.vip_of(frontend) else { return };
        let there = self.world.lb.vips().is_ok_and(|all| all.iter().any(|r| r.key() == Some(vip)));
        if !there || !self.world.c.programmer().is_programmed(&vip) {
            return;
        }
        let op = Op::FlushVip { vip };
        match self.world.lb.apply(&[op]).into_iter().next() {
            Some(Ok(())) => {
                self.books.done(&op);
                self.world.c.flushed(&vip);
            }
            Some(Err(LbError::NoAnswer(_))) => self.books.meddled(&op),
            Some(Err(_)) | None => {}
        }
    }

    /// The file that is configured.
    pub fn yaml(&self) -> String {
        self.draft.yaml()
    }
}

fn read(yaml: &str) -> Result<Config, Broken> {
    match parse(yaml) {
        Ok(parsed) => Ok(parsed.config),
        Err(e) => broken("what the simulator makes is valid", format!("{e:?}\n{yaml}")),
    }
}

fn answer(done: &Result<Done, VerbError>) -> Taken {
    match done {
        Ok(Done { changed: true, .. }) => Taken::Changed,
        Ok(Done { changed: false, .. }) => Taken::Already,
        Err(VerbError::Unknown { .. } | VerbError::Refused(_) | VerbError::Lb(_)) => Taken::Refused,
    }
}
