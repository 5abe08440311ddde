//! What is published to VPP's stats segment: a picture of all numbers, as tables of rows and metrics.

use std::ffi::CStr;

use super::backends::Entry as Backend;
use super::controller::Controller;
use super::cursor::after;
use super::latency::Summary;
use super::naming::Naming;
use super::show::micros;
use crate::Name;
use crate::balance::FrontendState;
use crate::health::State;

/// Rows of backends that are painted in one turn; four of members are as much work as one.
const ROWS: usize = 2_000;

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
        metrics: &[
            c"state",
            c"counter",
            c"pass",
            c"fail",
            c"sockerr",
            c"latency-us",
            c"transitions",
            c"agent-queries",
            c"agent-replies",
            c"agent-failures",
        ],
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

/// The rows of a table. The names are made once a configuration, the values once a second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// A backend, a frontend, `frontend/pool/backend`, `engine`.
    pub names: Vec<String>,
    /// By metric, then by row.
    pub values: Vec<Vec<u64>>,
}

impl Rows {
    /// No rows, with room for so many; the names stay.
    fn clear(&mut self, table: &Table) {
        self.values.resize_with(table.metrics.len(), Vec::new);
        for metric in &mut self.values {
            metric.clear();
            // To grow it would copy what is not needed any more.
            if metric.capacity() < self.names.len() {
                *metric = Vec::with_capacity(self.names.len());
            }
        }
    }

    fn push<const N: usize>(&mut self, row: [u64; N]) {
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
    pub(super) naming: Naming,
    painting: Painting,
}

/// How far the numbers have come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Painting {
    /// It is not done.
    begun: bool,
    /// The configuration that it is of, by its number.
    of: u64,
    /// Rows that are there.
    backends: usize,
    /// The frontend that was last.
    frontend: Option<Name>,
}

impl Picture {
    /// No rows.
    pub const EMPTY: Picture = {
        const NONE: Rows = Rows { names: Vec::new(), values: Vec::new() };
        const BLANK: Painting = Painting { begun: false, of: 0, backends: 0, frontend: None };
        Picture { generation: 0, tables: [NONE; 4], naming: Naming::NONE, painting: BLANK }
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

    /// The numbers of one metric from a row on; empty where there are none.
    pub fn numbers(&self, metric: u32, first: u32) -> &[u64] {
        let values = usize::try_from(metric).ok().and_then(|m| self.values.get(m));
        values.zip(usize::try_from(first).ok()).and_then(|(v, f)| v.get(f..)).unwrap_or_default()
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
    /// The numbers of the configured backends and frontends, by name, and of the engine: `picture` is made to show them
    /// as they are now. It runs each second on VPP's main thread, so that what stays is not made again, and in pieces where
    /// there is much of it. False: there is more to be done; it is to be called again, soon, and nobody is to read the picture
    /// before.
    pub fn repaint(&self, picture: &mut Picture, calls: LbCalls) -> bool {
        if !self.name_some(picture) || !self.paint_some(picture) {
            return false;
        }
        let Picture { tables: [_, _, _, engine], .. } = picture;
        let (syncs, failures) = self.programmer.tally();
        let [event, interval, operator, reload, retry] = self.programmer.syncs_by_cause().map(|(_, n)| n);
        engine.push([
            self.stats.in_flight as u64,
            self.stats.waiting as u64,
            self.stats.probes,
            self.stats.late,
            self.stats.main_stalls,
            syncs,
            calls.took.samples,
            failures,
            calls.took.p50_us,
            calls.took.p99_us,
            calls.longest_us,
            event,
            interval,
            operator,
            reload,
            retry,
        ]);
        true
    }

    /// Paints some rows of backends, frontends and members. True: all are painted, for this time.
    fn paint_some(&self, picture: &mut Picture) -> bool {
        let Picture { tables: [backends, frontends, members, engine], naming, painting, .. } = picture;
        if !painting.begun || painting.of != self.generation {
            for (rows, table) in [&mut *backends, frontends, members, engine].into_iter().zip(&TABLES) {
                rows.clear(table);
            }
            *painting = Painting { begun: true, of: self.generation, backends: 0, frontend: None };
        }
        let mut left = ROWS;
        while left > 0 {
            let Some(slot) = naming.slots.get(painting.backends) else { break };
            painting.backends += 1;
            left -= 1;
            backends.push(self.backends.get(*slot).map(backend).unwrap_or_default());
        }
        while left > 0 {
            let Some((name, f)) = after(&self.frontends, painting.frontend.as_ref()) else {
                painting.begun = false;
                return true;
            };
            let state = match f.state {
                FrontendState::Unknown => 0,
                FrontendState::Up => 1,
                FrontendState::Down => 2,
            };
            frontends.push([state, f.serving() as u64, f.seats.len() as u64]);
            for (seat, share) in f.seats.iter().zip(&f.shares.members) {
                members.push([u64::from(seat.set_weight()), u64::from(share.weight)]);
            }
            left = left.saturating_sub(f.seats.len() / 4 + 1);
            painting.frontend = Some(name.clone());
        }
        false
    }
}

/// The numbers of a backend.
fn backend(b: &Backend) -> [u64; 10] {
    let agent = b.agent.as_ref().map(|a| a.counts).unwrap_or_default();
    [
        state(b.state()),
        u64::from(b.health.checks().counter().value()),
        b.tally.passes,
        b.tally.failures,
        b.tally.faults,
        b.last.as_ref().map_or(0, |l| micros(l.latency)),
        b.meters.transitions,
        agent.queries,
        agent.replies,
        agent.failures,
    ]
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
