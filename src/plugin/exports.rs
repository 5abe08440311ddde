//! What C calls. Each is guard → check of pointers → one call → encoding; include/maglev_shim.h says what they do.

use std::ffi::{c_char, c_int};

use super::reply::{self, Told};
use super::shim::{self, maglev_reply_t, maglev_start_t, maglev_turn_t};
use super::token::MainThread;
use super::{commands, guard, heap, panics, start, text};

/// The declarations of the header and the definitions here have the same types, or this does not compile.
const _: () = {
    let _ = [shim::maglev_rs_init, maglev_rs_init];
    let _ = [shim::maglev_rs_start, maglev_rs_start];
    let _ = [shim::maglev_rs_turn, maglev_rs_turn];
    let _ = [shim::maglev_rs_stop, maglev_rs_stop];
    let _ = [shim::maglev_rs_cli_path, maglev_rs_cli_path];
    let _ = [shim::maglev_rs_cli, maglev_rs_cli];
    let _ = [shim::maglev_rs_cli_poll, maglev_rs_cli_poll];
    let _ = [shim::maglev_rs_cli_abandon, maglev_rs_cli_abandon];
    let _ = [shim::maglev_rs_reply_free, maglev_rs_reply_free];
};

/// # Safety
/// Called once, on VPP's main thread, before the others.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_init() {
    guard::run_plain(
        || {
            heap::init();
            MainThread::declare();
            panics::install_hook();
        },
        || (),
    );
}

/// # Safety
/// `from` is null or as include/maglev_shim.h says.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_start(from: *const maglev_start_t) -> c_int {
    let started = guard::run(
        |main, state| {
            // SAFETY: null or a start block, as the caller promises.
            let Some(from) = (unsafe { from.as_ref() }) else { return false };
            // SAFETY: as the caller promises.
            let from = unsafe { start::Start::decode(from) };
            start::start(main, state, from)
        },
        |_| false,
    );
    if started { 0 } else { -1 }
}

/// # Safety
/// `turn` is null or points to room for a turn block; it may be uninitialised, as with all that is written to.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_turn(turn: *mut maglev_turn_t) {
    start::heed_other_threads();
    let taken = guard::run(|_, state| start::turn(state), |_| start::IDLE);
    if !turn.is_null() {
        let taken = maglev_turn_t { next: start::seconds(taken.next), busy: taken.busy.into() };
        // SAFETY: room for a turn block, as the caller promises.
        unsafe { turn.write(taken) };
    }
}

/// # Safety
/// Called on VPP's main thread.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_stop() {
    guard::run(start::stop, |_| ());
}

/// # Safety
/// The pointers are null or point to pointers.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_cli_path(
    index: u32,
    path: *mut *const c_char,
    help: *mut *const c_char,
) -> i32 {
    let found = guard::run_plain(|| usize::try_from(index).ok().and_then(commands::path), || None);
    let Some((p, h)) = found.filter(|_| !path.is_null() && !help.is_null()) else { return 0 };
    // SAFETY: a pointer's place, as the caller promises.
    unsafe { path.write(p.as_ptr()) };
    // SAFETY: a pointer's place, as the caller promises.
    unsafe { help.write(h.as_ptr()) };
    1
}

/// # Safety
/// `line` is null or points to `length` bytes, `reply` is null or points to a reply that holds nothing.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_cli(
    line: *const c_char,
    length: u64,
    may_wait: u8,
    reply: *mut maglev_reply_t,
) {
    let told = guard::run(
        |main, state| {
            // SAFETY: so many bytes, as the caller promises.
            let line = unsafe { text::from_parts(line, length) };
            commands::execute(main, state, &line, may_wait != 0).for_reader(may_wait != 0)
        },
        Told::error,
    );
    // SAFETY: null or a reply, as the caller promises.
    unsafe { give(told, reply) }
}

/// # Safety
/// `reply` is null or points to a reply that holds nothing.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_cli_poll(ticket: u64, reply: *mut maglev_reply_t) {
    let told = guard::run(|_, state| commands::poll(state, ticket).for_reader(true), Told::error);
    // SAFETY: null or a reply, as the caller promises.
    unsafe { give(told, reply) }
}

/// # Safety
/// `reply` is null or points to a reply that holds nothing.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_cli_abandon(ticket: u64, reply: *mut maglev_reply_t) {
    let told = guard::run(|_, state| commands::abandon(state, ticket).for_reader(true), Told::error);
    // SAFETY: null or a reply, as the caller promises.
    unsafe { give(told, reply) }
}

/// # Safety
/// `reply` is null, or points to a reply that one of the above has filled, or that is all zero.
// SAFETY: the name is ours by its prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn maglev_rs_reply_free(reply: *mut maglev_reply_t) {
    guard::run_plain(
        || {
            // SAFETY: null or a reply, as the caller promises.
            let Some(reply) = (unsafe { reply.as_mut() }) else { return };
            // SAFETY: filled by `give` or all zero, as the caller promises.
            unsafe { reply::free(reply) }
        },
        || (),
    );
}

/// # Safety
/// `reply` is null or points to a reply that holds nothing.
unsafe fn give(told: Told, reply: *mut maglev_reply_t) {
    if !reply.is_null() {
        // SAFETY: room for a reply, as the caller promises; what was there held nothing.
        unsafe { reply.write(told.encode()) };
    }
}
