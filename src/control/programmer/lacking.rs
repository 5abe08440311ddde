//! What is not in `lb` yet, since when, and what it waits for.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::Programmer;
use crate::control::intent::Intentions;
use crate::control::queue::Class;
use crate::lb::VipKey;
use crate::time::Time;

/// So many VIPs are looked at for those who wait: who waits asks again and again.
const LOOK_AT: usize = 16;

/// What of a VIP is not as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// Which.
    pub vip: VipKey,
    /// A server, with the weight that it has and is to have; none: it is not there, or not to be. None at all: the VIP itself.
    pub server: Option<(IpAddr, Option<u8>, Option<u8>)>,
    /// The VIP itself is to go.
    pub leaves: bool,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.server, self.leaves) {
            (Some((a, Some(is), Some(due))), _) => write!(f, "server={a} has weight {is} instead of {due}"),
            (Some((a, None, Some(due))), _) => write!(f, "server={a} of weight {due} is not there"),
            (Some((a, is, None)), _) => write!(f, "server={a} of weight {} is still there", is.unwrap_or(0)),
            (None, true) => f.write_str("is still there"),
            (None, false) => f.write_str("is not there"),
        }
    }
}

impl Programmer {
    /// The time of the last request.
    pub fn clock(&self) -> Time {
        self.clock
    }

    /// Whether anything of a VIP is known not to be in `lb`.
    pub fn may_lack(&self, vip: &VipKey) -> bool {
        self.since.contains_key(&vip.address)
            || self.adjusts(vip)
            || self.waiting.class_of(&vip.address).is_some()
            || self.suspended.iter().chain(&self.job).any(|j| j.address == vip.address)
    }

    /// What a VIP lacks, by what was seen of it last.
    pub fn lacks(&self, vip: &VipKey, intent: &Intentions<'_>) -> Vec<Lack> {
        let itself = |leaves| vec![Lack { vip: *vip, server: None, leaves }];
        let actual = self.vips.get(vip).filter(|_| self.ledger.ours(vip));
        let Some(f) = intent.frontend(vip) else {
            // A NAT VIP stays for good.
            return if actual.is_some() && !self.parks(vip) { itself(true) } else { Vec::new() };
        };
        if !f.open {
            return Vec::new();
        }
        let Some(actual) = actual else { return itself(false) };
        let seats = f.seats.iter().zip(&f.shares.members).filter_map(|(seat, share)| {
            let address = intent.backends.get(seat.slot)?.config.address;
            let due = if intent.backends.looping(address).is_some() { None } else { Some(share.weight) };
            Some((address, actual.servers.get(&address).copied(), due))
        });
        let differs = seats.filter(|(_, is, due)| {
            is != due && !(self.parks(vip) && is.is_none_or(|w| w == 0) && due.is_none())
        });
        differs.map(|server| Lack { vip: *vip, server: Some(server), leaves: false }).collect()
    }

    /// What was set off and is not in `lb`, but for weights that wait for their turn: at most so many, and whether there may be more.
    pub fn lacking(&self, now: Time, intent: &Intentions<'_>, most: usize) -> Vec<String> {
        let mut all = Vec::new();
        let at_work = self.job.iter().chain(self.suspended.iter().rev()).map(|j| j.address);
        let outs = self.outs.servers().flat_map(|server| self.vips.with(server)).map(|vip| vip.address);
        let waiting = self.waiting.iter(|class| class < Class::Adjust);
        let held = self.held.iter().copied();
        let retried = self.retries.keys().copied();
        let mut seen = Vec::new();
        let mut left = LOOK_AT;
        for address in outs.chain(at_work).chain(waiting).chain(held).chain(retried).take(LOOK_AT) {
            if seen.contains(&address) {
                continue;
            }
            seen.push(address);
            for vip in self.keys(address, intent).into_iter().take(left) {
                left -= 1;
                for lack in self.lacks(&vip, intent).iter().filter(|lack| !self.is_adjusted(lack)) {
                    if all.len() >= most {
                        all.push("and more".to_owned());
                        return all;
                    }
                    all.push(format!("vip={vip} {lack}{}", self.why(now, lack)));
                }
            }
        }
        all
    }

    fn is_adjusted(&self, lack: &Lack) -> bool {
        lack.server.is_some_and(|(server, ..)| self.waits_for_turn(&lack.vip, server))
    }

    /// Since when it is not as it is to be, and why: begins with a comma or a colon, or is empty.
    pub fn why(&self, now: Time, lack: &Lack) -> String {
        if self.is_adjusted(lack) {
            return ": weights that agents change are put together".to_owned();
        }
        let (vip, address) = (&lack.vip, lack.vip.address);
        let since =
            self.since.get(&address).map(|at| now.since(*at)).filter(|d| *d >= Duration::from_secs(1));
        let since = since.map_or_else(String::new, |d| format!(", for {} s", d.as_secs()));
        let why = if let (Some(error), Some(retry)) = (self.errors.get(vip), self.retries.get(&address)) {
            match retry.at.since(now) {
                _ if retry.at == Time::MAX => format!(": {error}; it is tried again now"),
                d => format!(": {error}; tried again in {} s", d.as_secs_f64().ceil()),
            }
        } else if !self.listed || self.held.contains(&address) {
            ": lb's VIPs have to be listed first".to_owned()
        } else if self.job.as_ref().is_some_and(|j| j.address == address) {
            ": it is being written".to_owned()
        } else if self.suspended.iter().any(|j| j.address == address && j.class < Class::Adjust) {
            ": more important changes came in between".to_owned()
        } else if let Some(before) =
            self.waiting.class_of(&address).filter(|c| *c < Class::Adjust).and(self.waiting.before(&address))
        {
            match before {
                0 => ": it comes next".to_owned(),
                1 => ": 1 address comes before it".to_owned(),
                n => format!(": {n} addresses come before it"),
            }
        } else {
            String::new()
        };
        format!("{since}{why}")
    }

    /// The weight of a server of ours in `lb`, as it was seen or written last.
    pub fn weight_in_lb(&self, vip: &VipKey, server: IpAddr) -> Option<u8> {
        self.vips.get(vip).filter(|_| self.ledger.ours(vip))?.servers.get(&server).copied()
    }
}
