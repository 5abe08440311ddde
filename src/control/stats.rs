//! What is published to VPP's stats segment: a picture of all numbers, as tables of rows and metrics.

use std::ffi::CStr;

use super::controller::Controller;
use super::latency::Summary;
use super::show::micros;
use crate::balance::FrontendState;
use crate::health::State;

/// One table: its name, and its metrics in the order of [`Rows::values`].
#[derive(Debug)]
pub struct Table {
    /// As in `/maglev/<name>/…`.
    pub name: &'static CStr,
    /// As in `/maglev/…/<metric>`.
    pub metrics: &'static [&'static CStr],
}

/// All tables, in the order of [`Picture::tables`]. docs/stats.md says what each number means.
pub static TABLES: [Table; 4] = [
    Table {
        name: c"backends",
        metrics: &[c"state", c"counter", c"pass", c"fail", c"sockerr", c"latency-us", c"transitions"],
    },
    Table { name: c"frontends", metrics: &[c"state", c"serving", c"total"] },
    Table { name: c"members", metrics: &[c"weight", c"effective"] },
    Table {
        name: c"engine",
        metrics: &[
            c"in-flight",
            c"waiting",
            c"probes",
            c"late",
            c"main-stalls",
            c"syncs",
            c"lb-calls",
            c"lb-failures",
            c"lb-call-p50-us",
            c"lb-call-p99-us",
            c"lb-call-max-us",
            c"syncs-event",
            c"syncs-interval",
            c"syncs-operator",
            c"syncs-reload",
            c"syncs-retry",
        ],
    },
];

/// The rows of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// A backend, a frontend, `frontend/pool/backend`, `engine`.
    pub names: Vec<String>,
    /// By metric, then by row.
    pub values: Vec<Vec<u64>>,
}

impl Rows {
    /// Without values, and without names where those are not what they were.
    fn begin(&mut self, table: &Table, same_names: bool) {
        if !same_names {
            self.names.clear();
        }
        self.values.resize_with(table.metrics.len(), Vec::new);
        self.values.iter_mut().for_each(Vec::clear);
    }

    /// A row; its name is asked for where there is none yet.
    fn push<const N: usize>(&mut self, name: impl FnOnce() -> String, row: [u64; N]) {
        let n = self.values.first().map_or(0, Vec::len);
        if self.names.len() == n {
            self.names.push(name());
        }
        for (metric, value) in self.values.iter_mut().zip(row) {
            metric.push(value);
        }
    }
}

/// All tables at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// While this is the same, so are all names and their places.
    pub generation: u64,
    /// In the order of [`TABLES`].
    pub tables: [Rows; 4],
}

impl Picture {
    /// No rows.
    pub const EMPTY: Picture = {
        const NONE: Rows = Rows { names: Vec::new(), values: Vec::new() };
        Picture { generation: 0, tables: [NONE; 4] }
    };

    /// The rows of a table.
    pub fn rows(&self, table: u32) -> Option<&Rows> {
        self.tables.get(usize::try_from(table).ok()?)
    }
}

impl Rows {
    /// The name of a row.
    pub fn name(&self, row: u32) -> Option<&str> {
        Some(self.names.get(usize::try_from(row).ok()?)?.as_str())
    }

    /// One metric of all rows; what `out` has room for beyond them becomes 0.
    pub fn fill(&self, metric: u32, out: &mut [u64]) {
        let values = usize::try_from(metric).ok().and_then(|m| self.values.get(m));
        let values = values.map(Vec::as_slice).unwrap_or_default();
        for (to, from) in out.iter_mut().zip(values.iter().copied().chain(std::iter::repeat(0))) {
            *to = from;
        }
    }
}

/// Calls to `lb`, as the engine counts them.
#[derive(Clone, Copy, Debug, Default)]
pub struct LbCalls {
    /// How many, and how long most of them took.
    pub took: Summary,
    /// Of the longest, in microseconds.
    pub longest_us: u64,
}

impl Controller {
    /// The numbers of the configured backends and frontends, by name, and of the engine, in the place of those of an
    /// earlier picture. Its names stay while they are the same: to make those of thousands of rows anew each second
    /// would keep VPP's main thread for milliseconds.
    pub fn picture(&self, calls: LbCalls, picture: &mut Picture) {
        let Picture { generation, tables } = picture;
        // Of no picture at all there is not even the name of the engine's row.
        let same = *generation == self.generation && tables.iter().any(|t| !t.names.is_empty());
        *generation = self.generation;
        for (rows, table) in tables.iter_mut().zip(&TABLES) {
            rows.begin(table, same);
        }
        let [backends, frontends, members, engine] = tables;
        for (name, b) in self.backends.configured() {
            let latency = b.last.as_ref().map_or(0, |l| micros(l.latency));
            backends.push(
                || name.to_string(),
                [
                    state(b.state()),
                    u64::from(b.health.checks().counter().value()),
                    b.tally.passes,
                    b.tally.failures,
                    b.tally.faults,
                    latency,
                    b.meters.transitions,
                ],
            );
        }
        for (name, f) in &self.frontends {
            let state = match f.state {
                FrontendState::Unknown => 0,
                FrontendState::Up => 1,
                FrontendState::Down => 2,
            };
            frontends.push(|| name.to_string(), [state, f.serving() as u64, f.seats.len() as u64]);
            for (seat, share) in f.seats.iter().zip(&f.shares.members) {
                let name = || format!("{name}/{}/{}", f.pool_name(seat.pool), seat.name);
                members.push(name, [u64::from(seat.set_weight()), u64::from(share.weight)]);
            }
        }
        let lb = self.programmer.status(&self.frontends);
        let [event, interval, operator, reload, retry] = self.programmer.syncs_by_cause().map(|(_, n)| n);
        engine.push(
            || "engine".to_owned(),
            [
                self.stats.in_flight as u64,
                self.stats.waiting as u64,
                self.stats.probes,
                self.stats.late,
                self.stats.main_stalls,
                lb.syncs,
                calls.took.samples,
                lb.failures,
                calls.took.p50_us,
                calls.took.p99_us,
                calls.longest_us,
                event,
                interval,
                operator,
                reload,
                retry,
            ],
        );
    }
}

/// `state` of a backend as a number.
fn state(s: State) -> u64 {
    match s {
        State::Unknown => 0,
        State::Up => 1,
        State::Down => 2,
        State::Paused => 3,
        State::Disabled => 4,
        State::Removed => 5,
        State::Stopping => 6,
        State::Drain => 7,
    }
}
