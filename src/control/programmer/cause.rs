//! What sets off a comparison with `lb`, counted.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Programmer;

/// Why the frontends of an address are compared with `lb`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cause {
    /// Something changed: a backend's state, an operator's word.
    #[default]
    Event,
    /// The sync interval is over.
    Interval,
    /// `maglev sync`.
    Operator,
    /// A configuration was loaded.
    Reload,
    /// A call had failed.
    Retry,
}

/// Comparisons so far, and what those to come are set off by.
#[derive(Debug, Default)]
pub(super) struct Causes {
    /// Of what is being set off now.
    now: Cause,
    urgent: BTreeMap<IpAddr, Cause>,
    /// Of the full sync that is due, and of the one whose routine work goes on.
    full_asked: Option<Cause>,
    full: Cause,
    counts: [u64; 5],
}

impl Causes {
    /// The first to urge an address is what sets it off.
    pub(super) fn urged(&mut self, address: IpAddr) {
        self.urgent.entry(address).or_insert(self.now);
    }

    pub(super) fn retried(&mut self, address: IpAddr) {
        self.urgent.entry(address).or_insert(Cause::Retry);
    }

    pub(super) fn full_asked(&mut self) {
        self.full_asked = Some(self.now);
    }

    pub(super) fn full_begun(&mut self) {
        self.full = self.full_asked.take().unwrap_or(Cause::Interval);
    }

    pub(super) fn begun(&mut self, address: &IpAddr, routine: bool) {
        let urgent = self.urgent.remove(address);
        let cause = if routine { self.full } else { urgent.unwrap_or_default() };
        let [event, interval, operator, reload, retry] = &mut self.counts;
        *match cause {
            Cause::Event => event,
            Cause::Interval => interval,
            Cause::Operator => operator,
            Cause::Reload => reload,
            Cause::Retry => retry,
        } += 1;
    }
}

impl Programmer {
    /// What is urged from now on is set off by this.
    pub fn cause(&mut self, cause: Cause) {
        self.causes.now = cause;
    }

    /// How often the frontends of an address were compared with `lb`, by what set it off.
    pub fn syncs_by_cause(&self) -> [(&'static str, u64); 5] {
        let [event, interval, operator, reload, retry] = self.causes.counts;
        [
            ("event", event),
            ("interval", interval),
            ("operator", operator),
            ("reload", reload),
            ("retry", retry),
        ]
    }
}
