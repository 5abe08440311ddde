//! What C calls for the binary API; include/maglev_shim.h says what each does.

use super::shim::{
    self, maglev_api_answer_t, maglev_api_backend_t, maglev_api_event_t, maglev_api_frontend_t,
    maglev_api_healthcheck_t, maglev_api_member_t, maglev_api_status_t, maglev_name_t,
};
use super::state::State;
use super::{api, guard, text};
use crate::clock;

/// The declarations of the header and the definitions here have the same types, or this does not compile.
const _: () = {
    let _ = [shim::maglev_rs_api_status, maglev_rs_api_status];
    let _ = [shim::maglev_rs_api_dump_backends, maglev_rs_api_dump_backends];
    let _ = [shim::maglev_rs_api_dump_frontends, maglev_rs_api_dump_frontends];
    let _ = [shim::maglev_rs_api_dump_members, maglev_rs_api_dump_members];
    let _ = [shim::maglev_rs_api_dump_healthchecks, maglev_rs_api_dump_healthchecks];
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
    let _ = [shim::maglev_rs_api_next_event, maglev_rs_api_next_event];
};

/// # Safety
/// `out` is null or points to a status block.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_status(out: *mut maglev_api_status_t) {
    // SAFETY: null or a status block, as the caller promises.
    unsafe { give(out, |state| Some(api::status(state))) };
}

/// # Safety
/// `name` is as include/maglev_shim.h says.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_dump_backends(name: maglev_name_t) {
    // SAFETY: so many bytes, as the caller promises.
    let name = unsafe { text::from_parts(name.data, name.length) };
    guard::run(|_, state| api::dump_backends(state, &name), |_| ());
}

/// # Safety
/// `out` is null or points to room for one.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_next_backend(out: *mut maglev_api_backend_t) -> i32 {
    // SAFETY: null or room for one, as the caller promises.
    unsafe { give(out, api::next_backend) }
}

/// # Safety
/// `name` is as include/maglev_shim.h says.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_dump_frontends(name: maglev_name_t) {
    // SAFETY: so many bytes, as the caller promises.
    let name = unsafe { text::from_parts(name.data, name.length) };
    guard::run(|_, state| api::dump_frontends(state, &name), |_| ());
}

/// # Safety
/// `out` is null or points to room for one.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_next_frontend(out: *mut maglev_api_frontend_t) -> i32 {
    // SAFETY: null or room for one, as the caller promises.
    unsafe { give(out, api::next_frontend) }
}

/// # Safety
/// `name` is as include/maglev_shim.h says.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_dump_members(name: maglev_name_t) {
    // SAFETY: so many bytes, as the caller promises.
    let name = unsafe { text::from_parts(name.data, name.length) };
    guard::run(|_, state| api::dump_members(state, &name), |_| ());
}

/// # Safety
/// `out` is null or points to room for one.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_next_member(out: *mut maglev_api_member_t) -> i32 {
    // SAFETY: null or room for one, as the caller promises.
    unsafe { give(out, api::next_member) }
}

/// # Safety
/// `name` is as include/maglev_shim.h says.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_dump_healthchecks(name: maglev_name_t) {
    // SAFETY: so many bytes, as the caller promises.
    let name = unsafe { text::from_parts(name.data, name.length) };
    guard::run(|_, state| api::dump_healthchecks(state, &name), |_| ());
}

/// # Safety
/// `out` is null or points to room for one.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_next_healthcheck(out: *mut maglev_api_healthcheck_t) -> i32 {
    // SAFETY: null or room for one, as the caller promises.
    unsafe { give(out, api::next_healthcheck) }
}

/// # Safety
/// `backend` is as include/maglev_shim.h says, `out` is null or points to an answer.
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
/// The names are as include/maglev_shim.h says, `out` is null or points to an answer.
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
/// `frontend` is as include/maglev_shim.h says, `out` is null or points to an answer.
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
/// `backend` is as include/maglev_shim.h says, `out` is null or points to an answer.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_probe(backend: maglev_name_t, out: *mut maglev_api_answer_t) {
    // SAFETY: so many bytes, as the caller promises.
    let backend = unsafe { text::from_parts(backend.data, backend.length) };
    // SAFETY: null or an answer, as the caller promises.
    unsafe { answer(out, |state| api::verb(state, |desk, op| desk.probe(op, clock::now(), &backend))) }
}

/// # Safety
/// `frontend` is as include/maglev_shim.h says, `out` is null or points to an answer.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_sync(frontend: maglev_name_t, out: *mut maglev_api_answer_t) {
    // SAFETY: so many bytes, as the caller promises.
    let frontend = unsafe { text::from_parts(frontend.data, frontend.length) };
    // SAFETY: null or an answer, as the caller promises.
    unsafe { answer(out, |state| api::verb(state, |desk, op| desk.sync(op, clock::now(), &frontend))) }
}

/// # Safety
/// `path` is as include/maglev_shim.h says, `out` is null or points to an answer.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_config_check(path: maglev_name_t, out: *mut maglev_api_answer_t) {
    // SAFETY: so many bytes, as the caller promises.
    let path = unsafe { text::from_parts(path.data, path.length) };
    // SAFETY: null or an answer, as the caller promises.
    unsafe { answer(out, |state| api::verb(state, |desk, op| desk.check(op, clock::now(), &path))) }
}

/// # Safety
/// `out` is null or points to an answer.
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
/// `out` is null or points to an event block.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_api_next_event(out: *mut maglev_api_event_t) -> i32 {
    // SAFETY: null or an event block, as the caller promises.
    unsafe { give(out, api::next_event) }
}

/// Hands out what `make` makes: 1, or 0 if there is nothing.
///
/// # Safety
/// `out` is null or points to a `T`.
unsafe fn give<T>(out: *mut T, make: impl FnOnce(&mut State) -> Option<T>) -> i32 {
    let made = guard::run(|_, state| make(state), |_| None);
    // SAFETY: null or a `T`, as the caller promises.
    let (Some(made), Some(out)) = (made, unsafe { out.as_mut() }) else { return 0 };
    *out = made;
    1
}

/// Hands out an answer, whatever happens.
///
/// # Safety
/// `out` is null or points to an answer.
unsafe fn answer(out: *mut maglev_api_answer_t, make: impl FnOnce(&mut State) -> maglev_api_answer_t) {
    let made = guard::run(|_, state| make(state), api::void);
    // SAFETY: null or an answer, as the caller promises.
    if let Some(out) = unsafe { out.as_mut() } {
        *out = made;
    }
}
