//! What C calls for the binary API; include/maglev_shim.h says what each does.

use super::shim::{
    self, maglev_api_answer_t, maglev_api_backend_t, maglev_api_clients_t, maglev_api_event_t,
    maglev_api_frontend_t, maglev_api_healthcheck_t, maglev_api_member_t, maglev_api_status_t, maglev_name_t,
    maglev_rows_t,
};
use super::state::State;
use super::{api, guard, rows, text};
use crate::api::retval;
use crate::clock;
use crate::control::rows::END;

/// The declarations of the header and the definitions here have the same types, or this does not compile.
const _: () = {
    let _ = [shim::maglev_rs_api_status, maglev_rs_api_status];
    let _ = [shim::maglev_rs_api_rows, maglev_rs_api_rows];
    let _ = [shim::maglev_rs_api_cursor, maglev_rs_api_cursor];
    let _ = [shim::maglev_rs_api_next_backend, maglev_rs_api_next_backend];
    let _ = [shim::maglev_rs_api_next_frontend, maglev_rs_api_next_frontend];
    let _ = [shim::maglev_rs_api_next_member, maglev_rs_api_next_member];
    let _ = [shim::maglev_rs_api_next_healthcheck, maglev_rs_api_next_healthcheck];
    let _ = [shim::maglev_rs_api_set_backend, maglev_rs_api_set_backend];
    let _ = [shim::maglev_rs_api_set_weight, maglev_rs_api_set_weight];
    let _ = [shim::maglev_rs_api_flush_frontend, maglev_rs_api_flush_frontend];
    let _ = [shim::maglev_rs_api_probe, maglev_rs_api_probe];
    let _ = [shim::maglev_rs_api_sync, maglev_rs_api_sync];
    let _ = [shim::maglev_rs_api_config_check, maglev_rs_api_config_check];
    let _ = [shim::maglev_rs_api_config_reload, maglev_rs_api_config_reload];
    let _ = [shim::maglev_rs_api_watch, maglev_rs_api_watch];
    let _ = [shim::maglev_rs_api_gather, maglev_rs_api_gather];
    let _ = [shim::maglev_rs_api_event, maglev_rs_api_event];
    let _ = [shim::maglev_rs_api_clients, maglev_rs_api_clients];
};

/// # Safety
/// `out` is null or points to room for a status block, which may be uninitialised.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_status(out: *mut maglev_api_status_t) {
    // SAFETY: null or a status block, as the caller promises.
    unsafe { give(out, |state| Some(api::status(state))) };
}

/// # Safety
/// `only` is as include/maglev_shim.h says.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_rows(
    table: maglev_rows_t::Type,
    only: maglev_name_t,
    cursor: u64,
) -> i32 {
    // SAFETY: so many bytes, as the caller promises.
    let only = unsafe { text::from_parts(only.data, only.length) };
    guard::run(|_, state| rows::begin(state, table, &only, cursor), |_| retval::BUG)
}

/// # Safety
/// Called on VPP's main thread.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_cursor() -> u64 {
    guard::run(|_, state| rows::cursor(state), |_| END)
}

/// # Safety
/// `out` is null or points to room for one, which may be uninitialised.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_next_backend(out: *mut maglev_api_backend_t) -> i32 {
    // SAFETY: null or room for one, as the caller promises.
    unsafe { give(out, rows::next_backend) }
}

/// # Safety
/// `out` is null or points to room for one, which may be uninitialised.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_next_frontend(out: *mut maglev_api_frontend_t) -> i32 {
    // SAFETY: null or room for one, as the caller promises.
    unsafe { give(out, rows::next_frontend) }
}

/// # Safety
/// `out` is null or points to room for one, which may be uninitialised.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_next_member(out: *mut maglev_api_member_t) -> i32 {
    // SAFETY: null or room for one, as the caller promises.
    unsafe { give(out, rows::next_member) }
}

/// # Safety
/// `out` is null or points to room for one, which may be uninitialised.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_next_healthcheck(out: *mut maglev_api_healthcheck_t) -> i32 {
    // SAFETY: null or room for one, as the caller promises.
    unsafe { give(out, rows::next_healthcheck) }
}

/// # Safety
/// `backend` is as include/maglev_shim.h says, `out` is null or points to room for an answer, which may be uninitialised.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_set_backend(
    backend: maglev_name_t,
    verb: u8,
    out: *mut maglev_api_answer_t,
) {
    // SAFETY: so many bytes, as the caller promises.
    let backend = unsafe { text::from_parts(backend.data, backend.length) };
    // SAFETY: null or an answer, as the caller promises.
    unsafe { answer(out, |state| api::verb(state, |desk, op| desk.set_backend(op, &backend, verb))) }
}

/// # Safety
/// The names are as include/maglev_shim.h says, `out` is null or points to room for an answer, which may be uninitialised.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_set_weight(
    frontend: maglev_name_t,
    pool: maglev_name_t,
    backend: maglev_name_t,
    is_default: u8,
    weight: u8,
    flush: u8,
    out: *mut maglev_api_answer_t,
) {
    // SAFETY: so many bytes, as the caller promises.
    let frontend = unsafe { text::from_parts(frontend.data, frontend.length) };
    // SAFETY: so many bytes, as the caller promises.
    let pool = unsafe { text::from_parts(pool.data, pool.length) };
    // SAFETY: so many bytes, as the caller promises.
    let backend = unsafe { text::from_parts(backend.data, backend.length) };
    let names = (frontend.as_str(), pool.as_str(), backend.as_str());
    let weight = (is_default == 0).then_some(weight);
    // SAFETY: null or an answer, as the caller promises.
    unsafe {
        answer(out, |state| api::verb(state, |desk, op| desk.set_weight(op, names, weight, flush != 0)));
    }
}

/// # Safety
/// `frontend` is as include/maglev_shim.h says, `out` is null or points to room for an answer, which may be uninitialised.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_flush_frontend(
    frontend: maglev_name_t,
    out: *mut maglev_api_answer_t,
) {
    // SAFETY: so many bytes, as the caller promises.
    let frontend = unsafe { text::from_parts(frontend.data, frontend.length) };
    // SAFETY: null or an answer, as the caller promises.
    unsafe { answer(out, |state| api::verb(state, |desk, op| desk.flush(op, &frontend))) }
}

/// # Safety
/// `backend` is as include/maglev_shim.h says, `out` is null or points to room for an answer, which may be uninitialised.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_probe(backend: maglev_name_t, out: *mut maglev_api_answer_t) {
    // SAFETY: so many bytes, as the caller promises.
    let backend = unsafe { text::from_parts(backend.data, backend.length) };
    // SAFETY: null or an answer, as the caller promises.
    unsafe { answer(out, |state| api::verb(state, |desk, op| desk.probe(op, clock::now(), &backend))) }
}

/// # Safety
/// `frontend` is as include/maglev_shim.h says, `out` is null or points to room for an answer, which may be uninitialised.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_sync(frontend: maglev_name_t, out: *mut maglev_api_answer_t) {
    // SAFETY: so many bytes, as the caller promises.
    let frontend = unsafe { text::from_parts(frontend.data, frontend.length) };
    // SAFETY: null or an answer, as the caller promises.
    unsafe { answer(out, |state| api::verb(state, |desk, op| desk.sync(op, clock::now(), &frontend))) }
}

/// # Safety
/// `path` is as include/maglev_shim.h says, `out` is null or points to room for an answer, which may be uninitialised.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_config_check(path: maglev_name_t, out: *mut maglev_api_answer_t) {
    // SAFETY: so many bytes, as the caller promises.
    let path = unsafe { text::from_parts(path.data, path.length) };
    // SAFETY: null or an answer, as the caller promises.
    unsafe { answer(out, |state| api::verb(state, |desk, op| desk.check(op, clock::now(), &path))) }
}

/// # Safety
/// `out` is null or points to room for an answer, which may be uninitialised.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_config_reload(force: u8, out: *mut maglev_api_answer_t) {
    // SAFETY: null or an answer, as the caller promises.
    unsafe { answer(out, |state| api::verb(state, |desk, op| desk.reload(op, clock::now(), force != 0))) }
}

/// # Safety
/// Called on VPP's main thread.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_watch(on: u8) {
    guard::run(|_, state| api::watch(state, on != 0), |_| ());
}

/// # Safety
/// `end` is null or points to room for a number, which may be uninitialised.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_gather(end: *mut u64) -> i32 {
    let (at, more) = guard::run(|_, state| api::gather(state), |_| (0, false));
    if !end.is_null() {
        // SAFETY: room for a number, as the caller promises.
        unsafe { end.write(at) };
    }
    more.into()
}

/// # Safety
/// `out` is null or points to room for an event, which may be uninitialised.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_event(position: u64, out: *mut maglev_api_event_t) -> i32 {
    // SAFETY: null or room for an event, as the caller promises.
    unsafe { give(out, |state| api::event(state, position)) }
}

/// # Safety
/// `clients` is null or points to counts.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_clients(clients: *const maglev_api_clients_t) {
    // SAFETY: null or counts, as the caller promises.
    let Some(clients) = (unsafe { clients.as_ref() }) else { return };
    guard::run(|_, state| api::clients(state, *clients), |_| ());
}

/// Hands out what `make` makes: 1, or 0 if there is nothing. C has not initialised what `out` points to.
///
/// # Safety
/// `out` is null or points to room for a `T`.
unsafe fn give<T>(out: *mut T, make: impl FnOnce(&mut State) -> Option<T>) -> i32 {
    let Some(made) = guard::run(|_, state| make(state), |_| None).filter(|_| !out.is_null()) else {
        return 0;
    };
    // SAFETY: room for a `T`, as the caller promises; nothing of what was there is read or dropped.
    unsafe { out.write(made) };
    1
}

/// Hands out an answer, whatever happens. As [`give`].
///
/// # Safety
/// `out` is null or points to room for an answer.
unsafe fn answer(out: *mut maglev_api_answer_t, make: impl FnOnce(&mut State) -> maglev_api_answer_t) {
    let made = guard::run(|_, state| make(state), api::void);
    if !out.is_null() {
        // SAFETY: room for an answer, as the caller promises.
        unsafe { out.write(made) };
    }
}
