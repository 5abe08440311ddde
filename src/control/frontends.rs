//! The frontends the controller knows: who is in them, what the rule makes of it, when they may be programmed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::backends::Backends;
use super::schedule::Slot;
use crate::Name;
use crate::balance::{FrontendState, Member, Rules, Shares, ramp, weigh, weight};
use crate::config::Frontend;
use crate::health::State;
use crate::lb::VipKey;
use crate::time::Time;

/// One backend in one pool.
#[derive(Clone, Debug)]
pub struct Seat {
    /// Which backend.
    pub slot: Slot,
    /// Its name, to which words of the operator belong.
    pub name: Name,
    /// Index of the pool.
    pub pool: usize,
    /// As configured.
    pub configured: u8,
    /// The operator's word, with the configured weight it overrode.
    pub overridden: Option<u8>,
}

impl Seat {
    /// The configured weight, or the operator's instead.
    pub fn set_weight(&self) -> u8 {
        self.overridden.unwrap_or(self.configured)
    }

    /// The weight that counts, before any state.
    pub fn weight(&self, backends: &Backends) -> u8 {
        if self.looping(backends).is_some() {
            return 0;
        }
        let agent = backends.get(self.slot).and_then(|b| b.agent_weight(backends));
        weight(self.overridden, agent, self.configured)
    }

    /// Why its server would be a forwarding loop; none: it would not.
    pub fn looping(&self, backends: &Backends) -> Option<&'static str> {
        backends.looping(backends.get(self.slot)?.config.address)
    }
}

/// One frontend.
#[derive(Debug)]
pub struct Entry {
    /// As configured.
    pub config: Arc<Frontend>,
    /// Pools in order, names sorted within.
    pub seats: Vec<Seat>,
    /// What the rule made of the seats last, in their order.
    pub shares: Shares,
    /// The weights of that time, by seat; over a reload those of seats that are the same. None: there was no such seat.
    pub last: Vec<Option<u8>>,
    /// Name of the pool that was active then.
    pub active: Name,
    /// Its own state.
    pub state: FrontendState,
    /// False until its backends are known, or the start-up delay is over; then true for good.
    pub open: bool,
    /// Not programmed before, whatever is known.
    pub not_before: Time,
    /// Programmed then, even if some backend is still unknown.
    pub at_latest: Time,
    /// The VIP that the frontend of this name had before, while that stays until this one may be programmed.
    pub replaces: Option<VipKey>,
    /// Servers that left the configuration stay in `lb` until these are known, or [`Entry::hold_until`].
    pub newcomers: Vec<Slot>,
    /// End of that wait.
    pub hold_until: Time,
    /// Servers whose flows the operator wants flushed once (`set … weight n flush`).
    pub flush_once: BTreeSet<IpAddr>,
}

impl Entry {
    /// The seats as the rule takes them.
    pub fn members(&self, backends: &Backends, now: Time) -> Vec<Member> {
        let member = |(i, s): (usize, &Seat)| {
            let Some(b) = backends.get(s.slot) else { return Member::gone(s.pool) };
            let ramp = match (self.config.slow_start, b.back_at) {
                (Some(slow_start), Some(back)) => ramp::percent(now.since(back), slow_start),
                (None, _) | (_, None) => 100,
            };
            let last = self.last.get(i).copied().flatten();
            let member = Member::new(s.pool, s.weight(backends), &b.standing);
            let barred = member.barred || s.looping(backends).is_some();
            Member { ramp, last, barred, ..member }
        };
        self.seats.iter().enumerate().map(member).collect()
    }

    /// Applies the rule. Answers the new shares and state without keeping them.
    pub fn weigh(&self, backends: &Backends, now: Time) -> (Shares, FrontendState) {
        let members = self.members(backends, now);
        let rules = Rules {
            flush_on_down: self.config.flush_on_down,
            panic: self.config.panic,
            begun: self.shares.alarm.is_some(),
        };
        let shares = weigh(&members, rules);
        let state = FrontendState::of(&members, &shares);
        (shares, state)
    }

    /// Whether it may be programmed: each backend known, or the delay over; never before the least delay.
    pub fn may_open(&self, backends: &Backends, now: Time) -> bool {
        now >= self.not_before && (now >= self.at_latest || self.known(backends))
    }

    /// Whether each of its backends has left `unknown`.
    pub fn known(&self, backends: &Backends) -> bool {
        self.seats.iter().all(|s| backends.get(s.slot).is_none_or(|b| b.state() != State::Unknown))
    }

    /// Whether servers that left the configuration are still wanted in `lb`.
    pub fn holds(&self, backends: &Backends, now: Time) -> bool {
        now < self.hold_until
            && self.newcomers.iter().any(|s| backends.get(*s).is_some_and(|b| b.state() == State::Unknown))
    }

    /// Name of a pool.
    pub fn pool_name(&self, pool: usize) -> Name {
        self.config.pools.get(pool).map_or_else(|| "-".into(), |p| p.name.clone())
    }

    /// Backends that carry weight now.
    pub fn serving(&self) -> usize {
        self.shares.members.iter().filter(|s| s.weight > 0).count()
    }
}

/// All frontends, by name.
pub type Frontends = BTreeMap<Name, Entry>;
