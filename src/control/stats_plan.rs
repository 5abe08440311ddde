//! Which tables and metrics are published when VPP's stats segment has no room for all, and where each lies in the one block
//! of memory that holds them.
//!
//! VPP's allocator of that segment aborts when it is full, so that nothing is written before it is known to fit. C measures
//! the largest free piece; what fits beside a reserve for VPP itself is decided here.

use std::fmt;

use super::stats::TABLES;

/// Metrics of one table, at most.
pub const MAX_METRICS: usize = 16;
/// Bytes before the elements of a vector of VPP's, and before each name.
pub const VECTOR_HEADER: u64 = 8;
/// Vectors begin at a multiple of so many bytes.
pub const ALIGN: u64 = 64;

/// Bytes of one element of a vector: a number, or a pointer to a name.
const ELEMENT: u64 = 8;
/// What the allocator itself may take for the reserve and the block.
const OVERHEAD: u64 = 1024;
/// Metrics of a backend that stay longest: state, pass, fail.
const BACKEND_ESSENTIALS: [usize; 3] = [0, 2, 3];

const BACKENDS: usize = 0;
const MEMBERS: usize = 2;
const ENGINE: usize = 3;

/// The stats segment as it is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// `statseg { size … }`.
    pub size: u64,
    /// The largest piece that is free.
    pub largest: u64,
    /// VPP's directory of entries: it is copied when it grows.
    pub directory: u64,
}

/// What there is to publish, by table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// How many rows.
    pub rows: [u64; TABLES.len()],
    /// Bytes of all names: the sum of [`name_bytes`].
    pub names: [u64; TABLES.len()],
}

/// How much is published, from everything to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// Every table with every metric.
    All,
    /// All but the members.
    NoMembers,
    /// The same, and of backends the state and the results of probes alone.
    Essentials,
    /// Frontends and the engine.
    NoBackends,
    /// The engine alone.
    EngineAlone,
    /// Not even that.
    Nothing,
}

/// Where a table lies in the block; an offset of 0 is of what is not published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The vector of names.
    pub names_at: u64,
    /// The names themselves.
    pub strings_at: u64,
    /// Their end.
    pub strings_end: u64,
    /// The vector of each metric.
    pub metrics_at: [u64; MAX_METRICS],
}

/// What to publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How much of it all.
    pub extent: Extent,
    /// The block's size; 0: no block.
    pub bytes: u64,
    /// What must remain free in one piece.
    pub reserve: u64,
    /// By table.
    pub places: [Place; TABLES.len()],
    shortage: Option<Shortage>,
}

/// Why not all is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shortage {
    needed: u64,
    free: u64,
    /// The size that would do.
    size: u64,
}

/// What a name of so many bytes takes: its header, itself and a zero, rounded up.
pub fn name_bytes(length: usize) -> u64 {
    (VECTOR_HEADER + length as u64 + 1).next_multiple_of(ELEMENT)
}

/// What is left to VPP: a quarter of the segment, and at least what its directory takes while it grows to half as much again.
pub fn reserve(size: u64, directory: u64) -> u64 {
    (size / 4).max(directory.saturating_mul(2))
}

/// The most that fits.
pub fn plan(room: Room, demand: &Demand) -> Plan {
    let reserve = reserve(room.size, room.directory);
    let free = room.largest.saturating_sub(reserve);
    let (all, _) = lay_out(Extent::All, demand);
    let fitting = Extent::EVERY.into_iter().map(|e| (e, lay_out(e, demand)));
    let (extent, (bytes, places)) = fitting
        .into_iter()
        .find(|(_, (bytes, _))| bytes.saturating_add(OVERHEAD) <= free)
        .unwrap_or((Extent::Nothing, (0, Default::default())));
    let shortage = (extent != Extent::All).then(|| Shortage { needed: all, free, size: size_for(room, all) });
    Plan { extent, bytes, reserve, places, shortage }
}

impl Extent {
    const EVERY: [Extent; 6] = [
        Extent::All,
        Extent::NoMembers,
        Extent::Essentials,
        Extent::NoBackends,
        Extent::EngineAlone,
        Extent::Nothing,
    ];

    /// Is this metric of this table published?
    fn has(self, table: usize, metric: usize) -> bool {
        match self {
            Extent::All => true,
            Extent::NoMembers => table != MEMBERS,
            Extent::Essentials => {
                table != MEMBERS && (table != BACKENDS || BACKEND_ESSENTIALS.contains(&metric))
            }
            Extent::NoBackends => table != MEMBERS && table != BACKENDS,
            Extent::EngineAlone => table == ENGINE,
            Extent::Nothing => false,
        }
    }
}

impl fmt::Display for Extent {
    /// What is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Extent::All => "everything is published",
            Extent::NoMembers => "members are not published",
            Extent::Essentials => "members are not published, and of backends only state, pass and fail are",
            Extent::NoBackends => "members and backends are not published",
            Extent::EngineAlone => "only the engine's metrics are published",
            Extent::Nothing => "nothing is published",
        })
    }
}

impl Plan {
    /// The text of the problem `stats-segment`; none when everything is published.
    pub fn problem(&self) -> Option<String> {
        const KIB: u64 = 1 << 10;
        let Shortage { needed, free, size } = self.shortage?;
        Some(format!(
            "{}: VPP's stats segment has {} KiB for the plugin, {} KiB needed; set statseg {{ size {}m }}",
            self.extent,
            free / KIB,
            needed.div_ceil(KIB),
            size >> 20
        ))
    }
}

/// The block's size, and where everything lies in it.
fn lay_out(extent: Extent, demand: &Demand) -> (u64, [Place; TABLES.len()]) {
    let mut places = [Place::default(); TABLES.len()];
    let mut end = 0;
    let vector = |end: &mut u64, rows: u64| {
        let at = (*end + VECTOR_HEADER).next_multiple_of(ALIGN);
        *end = at + rows * ELEMENT;
        at
    };
    let tables = places.iter_mut().zip(&TABLES).zip(demand.rows.iter().zip(&demand.names));
    for (t, ((place, table), (rows, names))) in tables.enumerate() {
        if !(0..table.metrics.len()).any(|m| extent.has(t, m)) {
            continue;
        }
        place.names_at = vector(&mut end, *rows);
        place.strings_at = end;
        end += names;
        place.strings_end = end;
        for (m, at) in place.metrics_at.iter_mut().take(table.metrics.len()).enumerate() {
            if extent.has(t, m) {
                *at = vector(&mut end, *rows);
            }
        }
    }
    (end, places)
}

/// The smallest power of two, in MiB at least, that holds so much beside what VPP uses now and the reserve.
fn size_for(room: Room, all: u64) -> u64 {
    const LARGEST: u64 = 1 << 40;
    let used = room.size.saturating_sub(room.largest);
    let fits =
        |size: u64| used.saturating_add(reserve(size, room.directory)).saturating_add(all + OVERHEAD) <= size;
    let mut size = room.size.saturating_add(1).clamp(1 << 20, LARGEST).next_power_of_two();
    while size < LARGEST && !fits(size) {
        size *= 2;
    }
    size
}
