//! The lists of the binary API, one thin row at a time: a client reads them in slices, over any number of calls.
//!
//! A cursor is the number of the configuration (upper half) and the place of the next row (lower half); 0 begins. Within one
//! configuration a place belongs to one row for good: no row comes twice, and none that was there from begin to end is left
//! out. A cursor of another configuration is refused.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::controller::Controller;
use super::cursor::after;
use super::explain::waits_for;
use super::frontends::Entry as Frontend;
use super::show::{micros, millis, params};
use crate::Name;
use crate::balance::{Alarm, FrontendState};
use crate::config::{CheckKind, CounterKind, Panic};
use crate::health::State;
use crate::health::agent::AgentWeight;
use crate::lb::{Encap, VipKey};

/// The cursor behind the last row.
pub const END: u64 = u64::MAX;

/// Which list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Table {
    Backends,
    Frontends,
    Members,
    Healthchecks,
}

/// Why a list cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRows {
    /// The cursor is of another configuration, or none that was ever given.
    Stale,
    /// There is no backend, frontend or healthcheck of that name.
    Unknown,
}

/// A list that is being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    table: Table,
    generation: u32,
    /// Of the next row.
    place: u32,
    /// Only this one; of the members those of this frontend.
    only: Option<Name>,
    /// The entry before the next row; of the members the frontend that it is in.
    last: Option<Name>,
    /// Of the members: the next row's place within its frontend.
    seat: usize,
    done: bool,
}

impl Rows {
    /// Where to go on.
    pub fn cursor(&self) -> u64 {
        if self.done { END } else { u64::from(self.generation) << 32 | u64::from(self.place) }
    }

    fn end<T>(&mut self) -> Option<T> {
        self.done = true;
        None
    }
}

/// A backend.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct BackendRow {
    pub name: Name,
    pub address: IpAddr,
    pub healthcheck: Option<Name>,
    pub state: State,
    /// With progress: `up 3/4`.
    pub display: String,
    pub counter: u32,
    pub counter_max: u32,
    pub rise: u32,
    pub fall: u32,
    pub since_ms: u64,
    pub last_probe_ms: u64,
    pub last_latency_us: u64,
    pub last_code: &'static str,
    pub last_detail: String,
    pub passes: u64,
    pub failures: u64,
    pub faults: u64,
    pub tracks: Option<Name>,
    pub agent_track: Option<Name>,
    pub has_agent: bool,
    pub agent_muted: bool,
    pub agent_weight: Option<AgentWeight>,
    /// Empty: nothing.
    pub waits_for: String,
    /// Whose word the state is, and why.
    pub reason: String,
}

/// A frontend.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct FrontendRow {
    pub name: Name,
    pub description: String,
    pub vip: VipKey,
    pub state: FrontendState,
    pub pool: Name,
    pub serving: usize,
    pub total: usize,
    pub encap: Encap,
    pub table_length: u32,
    pub src_ip_sticky: bool,
    pub flush_on_down: bool,
    pub slow_start: Option<Duration>,
    pub panic: Option<Panic>,
    pub alarm: Option<Alarm>,
    pub programmed: bool,
    pub leaving: usize,
    pub error: String,
}

/// A backend in a pool of a frontend.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct MemberRow {
    pub frontend: Name,
    pub pool: Name,
    pub backend: Name,
    pub address: IpAddr,
    pub pool_active: bool,
    pub state: State,
    pub weight: u8,
    pub configured: u8,
    pub overridden: bool,
    pub with_agent: u8,
    pub effective: u8,
    pub why: String,
}

/// A healthcheck.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct HealthcheckRow<'a> {
    pub name: Name,
    pub kind: &'a CheckKind,
    pub port: u16,
    pub interval_ms: u64,
    pub fast_interval_ms: u64,
    pub down_interval_ms: u64,
    pub timeout_ms: u64,
    pub rise: u32,
    pub fall: u32,
    pub counter: CounterKind,
    pub jitter_percent: f64,
    pub source_ip4: Option<Ipv4Addr>,
    pub source_ip6: Option<Ipv6Addr>,
    pub silent_bound_ms: u64,
    pub refused_bound_ms: u64,
    /// How many backends use it.
    pub backends: u32,
    /// `path /healthz`, one a line.
    pub parameters: String,
}

impl Controller {
    /// The number of the running configuration, as cursors have it.
    pub fn config_number(&self) -> u32 {
        u32::try_from(self.generation & u64::from(u32::MAX)).unwrap_or(0)
    }

    /// Begins to read a list at a cursor; `only` is one name, or empty for all.
    ///
    /// # Errors
    /// As [`NoRows`].
    pub fn rows(&self, table: Table, only: &str, cursor: u64) -> Result<Rows, NoRows> {
        let generation = self.config_number();
        let place = u32::try_from(cursor & u64::from(u32::MAX)).unwrap_or(0);
        if cursor != 0 && (cursor >> 32 != u64::from(generation) || cursor == END) {
            return Err(NoRows::Stale);
        }
        let mut rows = Rows { table, generation, place, only: None, last: None, seat: 0, done: false };
        if !only.is_empty() {
            let name = match table {
                Table::Backends => self.backends.find(only).map(|(_, b)| b.config.name.clone()),
                Table::Frontends | Table::Members => self.frontends.get(only).map(|f| f.config.name.clone()),
                Table::Healthchecks => {
                    self.config.as_ref().and_then(|c| c.healthchecks.get(only)).map(|h| h.name.clone())
                }
            };
            rows.only = Some(name.ok_or(NoRows::Unknown)?);
            rows.last.clone_from(&rows.only);
            rows.seat = place as usize;
            return Ok(rows);
        }
        // What the first `place` rows were is worked out anew: nothing is kept for a client between two calls.
        let Some(passed) = (place as usize).checked_sub(1) else { return Ok(rows) };
        match table {
            Table::Backends => {}
            Table::Frontends => rows.last = self.frontends.keys().nth(passed).cloned(),
            Table::Healthchecks => {
                let checks = self.config.as_ref().map(|c| &c.healthchecks);
                rows.last = checks.and_then(|all| all.keys().nth(passed)).cloned();
            }
            Table::Members => {
                let mut left = place as usize;
                for (name, f) in &self.frontends {
                    rows.last = Some(name.clone());
                    rows.seat = left;
                    if left <= f.seats.len() {
                        return Ok(rows);
                    }
                    left -= f.seats.len();
                }
            }
        }
        // Behind the end: never given.
        let known = match table {
            Table::Backends => place <= self.backends.end(),
            Table::Frontends | Table::Healthchecks => rows.last.is_some(),
            Table::Members => false,
        };
        if known { Ok(rows) } else { Err(NoRows::Stale) }
    }

    /// The next backend, removed ones too.
    pub fn next_backend(&self, rows: &mut Rows) -> Option<BackendRow> {
        if let Some(name) = rows.only.clone() {
            if rows.place > 0 {
                return rows.end();
            }
            rows.place = 1;
            return self.backends.find(&name).map(|(slot, _)| slot).and_then(|slot| self.backend_row(slot));
        }
        while rows.place < self.backends.end() {
            let slot = rows.place;
            rows.place += 1;
            if let Some(row) = self.backend_row(slot) {
                return Some(row);
            }
        }
        rows.end()
    }

    fn backend_row(&self, slot: super::schedule::Slot) -> Option<BackendRow> {
        let b = self.backends.get(slot)?;
        let counter = b.health.checks().counter();
        let last = b.last.as_ref();
        Some(BackendRow {
            name: b.config.name.clone(),
            address: b.config.address,
            healthcheck: b.config.healthcheck.as_ref().map(|c| c.name.clone()),
            state: b.state(),
            display: b.display(&self.backends),
            counter: counter.value(),
            counter_max: counter.max(),
            rise: counter.rise(),
            fall: counter.fall(),
            since_ms: b.history.newest().map_or(0, |t| t.at_ms),
            last_probe_ms: last.map_or(0, |l| l.at_ms),
            last_latency_us: last.map_or(0, |l| micros(l.latency)),
            last_code: last.map_or("", |l| l.code.as_str()),
            last_detail: last.map(|l| l.detail.to_string()).unwrap_or_default(),
            passes: b.tally.passes,
            failures: b.tally.failures,
            faults: b.tally.faults,
            tracks: b.config.track.clone(),
            agent_track: b.config.agent_track.clone(),
            has_agent: b.config.agent.is_some(),
            agent_muted: b.health.operator().muted.is_some(),
            agent_weight: b.agent_weight(&self.backends),
            waits_for: waits_for(b, &self.backends).unwrap_or_default(),
            reason: self.verdict(b),
        })
    }

    /// The next frontend, by name.
    pub fn next_frontend(&self, rows: &mut Rows) -> Option<FrontendRow> {
        let f = match &rows.only {
            Some(_) if rows.place > 0 => None,
            Some(name) => self.frontends.get(name),
            None => after(&self.frontends, rows.last.as_ref()).map(|(_, f)| f),
        };
        let Some(f) = f else { return rows.end() };
        rows.place += 1;
        rows.last = Some(f.config.name.clone());
        Some(self.frontend_row(f))
    }

    fn frontend_row(&self, f: &Frontend) -> FrontendRow {
        let c = &f.config;
        let mut leaving: BTreeSet<IpAddr> = self.programmer.leaving(&c.vip).collect();
        if !leaving.is_empty() {
            for seat in &f.seats {
                if let Some(b) = self.backends.get(seat.slot) {
                    leaving.remove(&b.config.address);
                }
            }
        }
        FrontendRow {
            name: c.name.clone(),
            description: c.description.clone(),
            vip: c.vip,
            state: f.state,
            pool: f.active.clone(),
            serving: f.serving(),
            total: f.seats.len(),
            encap: c.encap,
            table_length: c.table_length,
            src_ip_sticky: c.src_ip_sticky,
            flush_on_down: c.flush_on_down,
            slow_start: c.slow_start,
            panic: c.panic,
            alarm: f.shares.alarm,
            programmed: self.programmer.is_programmed(&c.vip),
            leaving: leaving.len(),
            error: self.programmer.error(&c.vip).unwrap_or_default(),
        }
    }

    /// The next member: by frontend, in the order of its pools.
    pub fn next_member(&self, rows: &mut Rows) -> Option<MemberRow> {
        loop {
            let f = rows.last.as_ref().and_then(|name| self.frontends.get(name));
            if let Some(f) = f.filter(|f| rows.seat < f.seats.len()) {
                let row = self.member_row(f, rows.seat);
                rows.seat += 1;
                rows.place += 1;
                if row.is_some() {
                    return row;
                }
                continue;
            }
            match after(&self.frontends, rows.last.as_ref()).filter(|_| rows.only.is_none()) {
                Some((name, _)) => {
                    rows.last = Some(name.clone());
                    rows.seat = 0;
                }
                None => return rows.end(),
            }
        }
    }

    fn member_row(&self, f: &Frontend, i: usize) -> Option<MemberRow> {
        let seat = f.seats.get(i)?;
        let b = self.backends.get(seat.slot)?;
        let view = self.membership_view(f, i, b)?;
        Some(MemberRow {
            frontend: f.config.name.clone(),
            pool: f.pool_name(seat.pool),
            backend: b.config.name.clone(),
            address: b.config.address,
            pool_active: view.pool_active,
            state: b.state(),
            weight: view.weight,
            configured: view.configured,
            overridden: view.overridden,
            with_agent: view.with_agent,
            effective: view.effective,
            why: view.why,
        })
    }

    /// The next healthcheck, by name.
    pub fn next_healthcheck<'a>(&'a self, rows: &mut Rows) -> Option<HealthcheckRow<'a>> {
        let all = self.config.as_ref().map(|c| &c.healthchecks);
        let h = match &rows.only {
            Some(_) if rows.place > 0 => None,
            Some(name) => all.and_then(|all| all.get(name)),
            None => all.and_then(|all| after(all, rows.last.as_ref())).map(|(_, h)| h),
        };
        let Some(h) = h else { return rows.end() };
        rows.place += 1;
        rows.last = Some(h.name.clone());
        let parameters: Vec<String> = params(&h.kind).into_iter().map(|(k, v)| format!("{k} {v}")).collect();
        Some(HealthcheckRow {
            name: h.name.clone(),
            kind: &h.kind,
            port: h.port,
            interval_ms: millis(h.interval),
            fast_interval_ms: millis(h.fast_interval),
            down_interval_ms: millis(h.down_interval),
            timeout_ms: millis(h.timeout),
            rise: h.rise,
            fall: h.fall,
            counter: h.counter,
            jitter_percent: h.jitter_percent,
            source_ip4: h.probe_ipv4_src,
            source_ip6: h.probe_ipv6_src,
            silent_bound_ms: millis(h.silent_bound()),
            refused_bound_ms: millis(h.refused_bound()),
            backends: self.check_users.get(&h.name).copied().unwrap_or(0),
            parameters: parameters.join("\n"),
        })
    }
}
