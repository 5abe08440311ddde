//! What a step does, and how steps are drawn.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::babble::babble;
use super::draft::{self, ADDRESSES, Draft};
use super::world::{Net, Voice};
use crate::control::BackendVerb;
use crate::lb::{LbError, Op, Settings};

/// A step.
#[derive(Clone, Debug)]
pub enum Deed {
    /// Time goes on to whatever comes next.
    Turn,
    /// An address answers so from now on.
    Net(IpAddr, Net),
    /// The agent at an address does so from now on.
    Voice(IpAddr, Voice),
    /// `set backend`
    Verb(String, BackendVerb),
    /// `set frontend … pool … backend … weight`, and whether with `flush`.
    Weight([String; 3], Option<u8>, bool),
    /// `flush frontend`
    Flush(String),
    /// `sync`
    Sync(Option<String>),
    /// `probe backend`
    Probe(String),
    /// `config reload`
    Reload(Arc<str>),
    /// `config reload` of a file with an error.
    BadReload,
    /// So many calls of `lb` fail.
    LbFails(usize, LbError),
    /// So many calls of `lb` are done, and their answers are lost.
    LbLoses(usize),
    /// So many dumps of `lb` fail.
    DumpsFail(usize),
    /// Somebody else is at `lb`.
    Meddle(Op),
    /// The prober gives signs of life, or none.
    Beats(bool),
    /// The prober is started anew.
    Restart,
    /// VPP's main thread stands still.
    Stall(Duration),
    /// What is cancelled was on its way already, or was not.
    Leaky(bool),
    /// The disk is full, or is not.
    Disk(bool),
    /// Each write of the state file takes so long.
    SlowDisk(Duration),
    /// VPP dies and starts again, with this file.
    Reborn(Arc<str>),
    /// An old report comes once more.
    Stray,
    /// All faults end, and who answered now so and now otherwise keeps to one of it.
    Calm,
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Deed::Turn => f.write_str("time goes on"),
            Deed::Net(a, net) => write!(f, "{a} is {net:?} to checks"),
            Deed::Voice(a, Voice::Says(line)) => write!(f, "the agent at {a} says {line:?}"),
            Deed::Voice(a, voice) => write!(f, "the agent at {a}: {voice:?}"),
            Deed::Verb(name, verb) => write!(f, "set backend {name} {}", verb.as_str()),
            Deed::Weight([x, p, b], weight, flush) => {
                let weight = weight.map_or_else(|| "default".to_owned(), |w| w.to_string());
                let flush = if *flush { " flush" } else { "" };
                write!(f, "set frontend {x} pool {p} backend {b} weight {weight}{flush}")
            }
            Deed::Flush(name) => write!(f, "flush frontend {name}"),
            Deed::Sync(None) => f.write_str("sync"),
            Deed::Sync(Some(name)) => write!(f, "sync frontend {name}"),
            Deed::Probe(name) => write!(f, "probe backend {name}"),
            Deed::Reload(yaml) => write!(f, "config reload of\n{yaml}"),
            Deed::BadReload => f.write_str("config reload of a file with an error"),
            Deed::LbFails(n, e) => write!(f, "lb fails {n} calls: {e}"),
            Deed::LbLoses(n) => write!(f, "lb loses {n} answers"),
            Deed::DumpsFail(n) => write!(f, "lb fails {n} dumps"),
            Deed::Meddle(op) => write!(f, "somebody else: {op}"),
            Deed::Beats(true) => f.write_str("the prober beats"),
            Deed::Beats(false) => f.write_str("the prober does not beat"),
            Deed::Restart => f.write_str("the prober is started anew"),
            Deed::Stall(d) => write!(f, "the main thread stands still for {d:?}"),
            Deed::Leaky(true) => f.write_str("what is cancelled from now on was on its way already"),
            Deed::Leaky(false) => f.write_str("what is cancelled from now on does not come"),
            Deed::Disk(true) => f.write_str("the disk is full"),
            Deed::Disk(false) => f.write_str("the disk has room"),
            Deed::SlowDisk(takes) => write!(f, "the disk takes {takes:?} for each write"),
            Deed::Reborn(yaml) => write!(f, "VPP dies and starts again with\n{yaml}"),
            Deed::Stray => f.write_str("an old report comes once more"),
            Deed::Calm => f.write_str("all is calm from now on"),
        }
    }
}

/// One in so many steps is not that time goes on.
const DEEDS: u32 = 5;

/// Milliseconds that a write takes.
const DISK: [u64; 7] = [0, 0, 3, 300, 999, 1700, 4000];

/// What there is to be done something to.
pub struct Scene<'a> {
    /// Frontend, pool and backend of every seat.
    pub seats: Vec<[String; 3]>,
    /// The VIPs of ours in `lb`.
    pub vips: Vec<crate::lb::VipKey>,
    /// The settings of `lb`.
    pub settings: Settings,
    /// What is configured.
    pub draft: &'a mut Draft,
}

/// Whether the next step is one that somebody does.
pub fn somebody_acts(chance: &mut fastrand::Rng) -> bool {
    chance.u32(..DEEDS) == 0
}

/// What somebody does next.
pub fn draw(chance: &mut fastrand::Rng, scene: &mut Scene<'_>) -> Deed {
    match chance.u32(..100) {
        0..=21 => {
            let net = if chance.bool() { Net::Good } else { any(chance, &Net::STEADY).unwrap_or(Net::Flaky) };
            let net = if chance.u32(..10) == 0 { Net::Flaky } else { net };
            Deed::Net(draft::address(chance.u8(..ADDRESSES)), net)
        }
        22..=34 => {
            let at = any(chance, &draft::voices()).unwrap_or_else(|| draft::address(0));
            Deed::Voice(at, voice(chance))
        }
        35..=57 => {
            let verb = any(chance, &BackendVerb::ALL).unwrap_or(BackendVerb::Enable);
            Deed::Verb(backend(chance, scene), verb)
        }
        58..=66 => weight(chance, scene),
        67 => Deed::Flush(frontend(chance, scene)),
        68 => Deed::Sync(chance.bool().then(|| frontend(chance, scene))),
        69..=71 => Deed::Probe(backend(chance, scene)),
        72..=77 => {
            *scene.draft = scene.draft.next(chance);
            Deed::Reload(scene.draft.yaml().into())
        }
        78 => Deed::BadReload,
        79..=81 => {
            let e = match chance.u32(..5) {
                0 => LbError::NoSuchEntry,
                1 => LbError::ValueExist,
                2 => LbError::NoAnswer("nothing came"),
                3 => LbError::InvalidArgument,
                _ => LbError::Other(-7),
            };
            Deed::LbFails(chance.usize(1..5), e)
        }
        82..=83 => Deed::LbLoses(chance.usize(1..4)),
        84 => Deed::DumpsFail(chance.usize(1..4)),
        85..=89 => meddle(chance, scene),
        90..=91 => Deed::Beats(chance.bool()),
        92 => Deed::Restart,
        93 => Deed::Stall(Duration::from_millis(chance.u64(500..8000))),
        94 => Deed::Leaky(chance.bool()),
        95 => Deed::Disk(chance.u32(..3) == 0),
        96 => Deed::SlowDisk(Duration::from_millis(any(chance, &DISK).unwrap_or(0))),
        97 => {
            if chance.u32(..3) == 0 {
                *scene.draft = scene.draft.next(chance);
            }
            Deed::Reborn(scene.draft.yaml().into())
        }
        _ => Deed::Stray,
    }
}

/// Now and then a wrong one.
fn backend(chance: &mut fastrand::Rng, scene: &Scene<'_>) -> String {
    format!("b{}", chance.usize(..=scene.draft.names()))
}

fn frontend(chance: &mut fastrand::Rng, scene: &Scene<'_>) -> String {
    let known = chance.choice(&scene.seats).filter(|_| true).map(|[f, _, _]| f.clone());
    if chance.u32(..10) == 0 { "nobody".to_owned() } else { known.unwrap_or_else(|| "f0-0".to_owned()) }
}

fn any<T: Clone>(chance: &mut fastrand::Rng, of: &[T]) -> Option<T> {
    chance.choice(of).cloned()
}

fn voice(chance: &mut fastrand::Rng) -> Voice {
    match chance.u32(..12) {
        0 => Voice::Refuses,
        1 => Voice::Silent,
        2 => Voice::Cuts,
        3 => Voice::Fault,
        4 => Voice::Babbles,
        5..=7 => Voice::Says("up ready 100%".to_owned()),
        _ => Voice::Says(String::from_utf8_lossy(&babble(chance)).into_owned()),
    }
}

fn weight(chance: &mut fastrand::Rng, scene: &Scene<'_>) -> Deed {
    let mut place = any(chance, &scene.seats).unwrap_or_else(|| ["f0-0", "p0", "b0"].map(str::to_owned));
    if chance.u32(..12) == 0
        && let Some(word) = place.get_mut(chance.usize(..3))
    {
        *word = "nobody".to_owned();
    }
    let weight = any(chance, &[None, None, Some(0), Some(1), Some(7), Some(60), Some(100)]).flatten();
    Deed::Weight(place, weight, chance.u32(..4) == 0)
}

fn meddle(chance: &mut fastrand::Rng, scene: &Scene<'_>) -> Deed {
    let address = draft::address(chance.u8(..ADDRESSES));
    let Some(vip) = any(chance, &scene.vips) else {
        return Deed::Meddle(Op::SetSettings(Settings { flow_timeout: 77, ..scene.settings }));
    };
    let (weight, flush, six) = (chance.u8(..=100), chance.bool(), chance.u32(..3) == 0);
    Deed::Meddle(match chance.u32(..8) {
        0 => Op::SetSettings(Settings { flow_timeout: chance.u32(1..100), ..scene.settings }),
        1 => Op::DelVip { vip },
        2 => Op::FlushVip { vip },
        3 => Op::AddServer { vip, address: draft::stranger(six), weight, flush },
        4 => Op::AddServer { vip, address, weight, flush },
        5 => Op::DelServer { vip, address, flush },
        _ => Op::SetWeight { vip, address, weight, flush },
    })
}
