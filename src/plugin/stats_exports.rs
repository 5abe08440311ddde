//! What C calls for the stats segment; include/maglev_shim.h says what each does.

use std::ffi::c_char;

use super::guard;
use super::shim::{self, maglev_stats_t};
use super::state::Life;
use crate::control::stats::{Picture, TABLES};

/// The declarations of the header and the definitions here have the same types, or this does not compile.
const _: () = {
    let _ = [shim::maglev_rs_stats_metric, maglev_rs_stats_metric];
    let _ = [shim::maglev_rs_stats_take, maglev_rs_stats_take];
    let _ = [shim::maglev_rs_stats_name, maglev_rs_stats_name];
    let _ = [shim::maglev_rs_stats_fill, maglev_rs_stats_fill];
    assert!(TABLES.len() == shim::MAGLEV_STATS_N_TABLES as usize);
};

/// # Safety
/// Both pointers are null or point to a pointer.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_stats_metric(
    table: u32,
    metric: u32,
    table_name: *mut *const c_char,
    metric_name: *mut *const c_char,
) -> i32 {
    // SAFETY: null or a pointer, as the caller promises.
    let table_name = unsafe { table_name.as_mut() };
    // SAFETY: null or a pointer, as the caller promises.
    let metric_name = unsafe { metric_name.as_mut() };
    guard::run_plain(
        || {
            let table = usize::try_from(table).ok().and_then(|t| TABLES.get(t));
            let metric = table.zip(usize::try_from(metric).ok()).and_then(|(t, m)| t.metrics.get(m));
            let (Some(table), Some(metric)) = (table, metric) else { return 0 };
            let (Some(to_table), Some(to_metric)) = (table_name, metric_name) else { return 0 };
            *to_table = table.name.as_ptr();
            *to_metric = metric.as_ptr();
            1
        },
        || 0,
    )
}

/// # Safety
/// `out` is null or points to room for one.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_stats_take(out: *mut maglev_stats_t) -> i32 {
    // SAFETY: null or room for one, as the caller promises.
    let out = unsafe { out.as_mut() };
    guard::run(
        |_, state| {
            let (Life::Running(engine), None, Some(out)) = (&state.life, &state.panicked, out) else {
                return 0;
            };
            if !engine.repaint(&mut state.picture) {
                return 2;
            }
            out.generation = state.picture.generation;
            for (to, rows) in out.n_rows.iter_mut().zip(&state.picture.tables) {
                *to = u32::try_from(rows.names.len()).unwrap_or(0);
            }
            1
        },
        |_| 0,
    )
}

/// # Safety
/// `out` is null or points to room for `size` bytes.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_stats_name(table: u32, row: u32, out: *mut u8, size: u32) -> u32 {
    let Ok(room) = usize::try_from(size) else { return 0 };
    if out.is_null() {
        return 0;
    }
    // SAFETY: so many bytes, as the caller promises; C has made them anew or filled them before.
    let out = unsafe { std::slice::from_raw_parts_mut(out, room) };
    let mut name = |p: &Picture| {
        let name = p.rows(table).and_then(|r| r.name(row)).unwrap_or_default();
        out.iter_mut().zip(name.bytes()).map(|(to, from)| *to = from).count()
    };
    let written = guard::run(|_, state| name(&state.picture), |_| 0);
    u32::try_from(written).unwrap_or(0)
}

/// # Safety
/// `out` is null or points to room for `n` numbers.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_stats_fill(table: u32, metric: u32, out: *mut u64, n: u32) {
    let Ok(n) = usize::try_from(n) else { return };
    if out.is_null() {
        return;
    }
    // SAFETY: so many numbers, as the caller promises; the segment's readers only read.
    let out = unsafe { std::slice::from_raw_parts_mut(out, n) };
    guard::run(
        |_, state| {
            if let Some(rows) = state.picture.rows(table) {
                rows.fill(metric, out);
            }
        },
        |_| (),
    );
}
