//! What C calls for the stats segment; include/maglev_shim.h says what each does.
//!
//! What is written to is C's memory, which may not be initialised and which other processes read: it is written through the
//! pointer, and no reference to it is made.

use std::ffi::c_char;
use std::ptr::copy_nonoverlapping;

use super::guard;
use super::shim::{self, maglev_stats_plan_t, maglev_stats_room_t, maglev_stats_t};
use super::state::Life;
use crate::control::stats::{Picture, TABLES};
use crate::control::stats_plan::{self, ALIGN, MAX_METRICS, Plan, Room, VECTOR_HEADER};

/// The declarations of the header and the definitions here have the same types, or this does not compile.
const _: () = {
    let _ = [shim::maglev_rs_stats_metric, maglev_rs_stats_metric];
    let _ = [shim::maglev_rs_stats_take, maglev_rs_stats_take];
    let _ = [shim::maglev_rs_stats_plan, maglev_rs_stats_plan];
    let _ = [shim::maglev_rs_stats_name, maglev_rs_stats_name];
    let _ = [shim::maglev_rs_stats_fill, maglev_rs_stats_fill];
    assert!(TABLES.len() == shim::MAGLEV_STATS_N_TABLES as usize);
    assert!(MAX_METRICS == shim::MAGLEV_STATS_MAX_METRICS as usize);
    assert!(VECTOR_HEADER == shim::MAGLEV_STATS_VECTOR_HEADER as u64);
    assert!(ALIGN == shim::MAGLEV_STATS_VECTOR_ALIGN as u64);
};

/// # Safety
/// Both pointers are null or point to room for a pointer.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_stats_metric(
    table: u32,
    metric: u32,
    table_name: *mut *const c_char,
    metric_name: *mut *const c_char,
) -> i32 {
    let found = guard::run_plain(
        || {
            let table = TABLES.get(usize::try_from(table).ok()?)?;
            Some((table, table.metrics.get(usize::try_from(metric).ok()?)?))
        },
        || None,
    );
    let Some((table, metric)) = found else { return 0 };
    if table_name.is_null() || metric_name.is_null() {
        return 0;
    }
    // SAFETY: room for a pointer, as the caller promises.
    unsafe { table_name.write(table.name.as_ptr()) };
    // SAFETY: room for a pointer, as the caller promises.
    unsafe { metric_name.write(metric.as_ptr()) };
    1
}

/// # Safety
/// `out` is null or points to room for one.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_stats_take(out: *mut maglev_stats_t) -> i32 {
    if out.is_null() {
        return 0;
    }
    let (answer, taken) = guard::run(
        |_, state| {
            let mut taken = maglev_stats_t::default();
            let (Life::Running(engine), None) = (&state.life, &state.panicked) else {
                return (0, taken);
            };
            if !engine.repaint(&mut state.picture) {
                return (2, taken);
            }
            taken.generation = state.picture.generation;
            for (to, rows) in taken.n_rows.iter_mut().zip(&state.picture.tables) {
                *to = u32::try_from(rows.names.len()).unwrap_or(0);
            }
            (1, taken)
        },
        |_| (0, maglev_stats_t::default()),
    );
    // SAFETY: room for one, as the caller promises.
    unsafe { out.write(taken) };
    answer
}

/// # Safety
/// `room` is null or points to one, `out` is null or points to room for one.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_stats_plan(
    room: *const maglev_stats_room_t,
    beside: u8,
    out: *mut maglev_stats_plan_t,
) -> i32 {
    if room.is_null() || out.is_null() {
        return 0;
    }
    // SAFETY: one, as the caller promises.
    let room = unsafe { room.read() };
    let room = Room { size: room.size, largest: room.largest, directory: room.directory };
    let planned = guard::run(
        |_, state| {
            let (Life::Running(engine), None) = (&mut state.life, &state.panicked) else { return None };
            let plan = stats_plan::plan(room, &state.picture.demand());
            let problem = plan.problem();
            if problem.is_some() && beside != 0 {
                return None;
            }
            engine.stats_problem(problem);
            Some(plan)
        },
        |_| None,
    );
    let Some(plan) = planned else { return 0 };
    // SAFETY: room for one, as the caller promises.
    unsafe { out.write(encode(&plan)) };
    1
}

fn encode(plan: &Plan) -> maglev_stats_plan_t {
    let places = plan.places.map(|p| shim::maglev_stats_place_t {
        names_at: p.names_at,
        strings_at: p.strings_at,
        strings_end: p.strings_end,
        metrics_at: p.metrics_at,
    });
    let is_short = plan.problem().is_some().into();
    maglev_stats_plan_t { bytes: plan.bytes, reserve: plan.reserve, is_short, places }
}

/// # Safety
/// `out` is null or points to room for `size` bytes.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_stats_name(table: u32, row: u32, out: *mut u8, size: u32) -> u32 {
    if out.is_null() {
        return 0;
    }
    let copy = |p: &Picture| {
        let name = p.rows(table).and_then(|r| r.name(row)).unwrap_or_default();
        let n = name.len().min(usize::try_from(size).unwrap_or(0));
        // SAFETY: n is at most the name's length and at most the room, as the caller promises; it is C's memory, not ours.
        unsafe { copy_nonoverlapping(name.as_ptr(), out, n) };
        n
    };
    let written = guard::run(|_, state| copy(&state.picture), |_| 0);
    u32::try_from(written).unwrap_or(0)
}

/// # Safety
/// `out` is null or points to room for `n` numbers.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_stats_fill(table: u32, metric: u32, first: u32, out: *mut u64, n: u32) {
    let Ok(n) = usize::try_from(n) else { return };
    if out.is_null() {
        return;
    }
    let copied = guard::run(
        |_, state| {
            let numbers = state.picture.rows(table).map(|r| r.numbers(metric, first)).unwrap_or_default();
            let copied = numbers.len().min(n);
            // SAFETY: so many are there, and there is room for n, as the caller promises; it is C's memory, not ours.
            unsafe { copy_nonoverlapping(numbers.as_ptr(), out, copied) };
            copied
        },
        |_| 0,
    );
    // SAFETY: at most n, so many as there is room for.
    let rest = unsafe { out.add(copied) };
    // SAFETY: room for what is left of n.
    unsafe { std::ptr::write_bytes(rest, 0, n - copied) };
}
