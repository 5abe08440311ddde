//! What stands between C and everything else: no panic passes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::shim;
use super::state::{self, Life, State};
use super::token::MainThread;
use super::{log, panics};
use crate::control::LogLevel;

/// Runs `body` with the state; `refused` instead, when that panics or cannot be done: it gets the reason.
pub(super) fn run<T>(body: impl FnOnce(MainThread, &mut State) -> T, refused: impl FnOnce(&str) -> T) -> T {
    let Some(main) = MainThread::at_entry_point() else {
        return refused("called outside VPP's main thread");
    };
    let _held = SignalsHeld::now(main);
    let ran = catch_unwind(AssertUnwindSafe(|| state::borrow(main).map(|mut s| body(main, &mut s))));
    match ran {
        Ok(Some(value)) => value,
        Ok(None) => refused("called while another call was under way"),
        Err(_) => {
            let why = panics::take().unwrap_or_else(|| "no message".into());
            freeze(main, &why);
            refused(&format!("frozen after a panic: {why}"))
        }
    }
}

/// Signals held back from the main thread until this is dropped (csrc/signals.c says why).
struct SignalsHeld(MainThread);

impl SignalsHeld {
    fn now(main: MainThread) -> SignalsHeld {
        // SAFETY: on the main thread, as the token says.
        unsafe { shim::maglev_shim_signals_hold() };
        SignalsHeld(main)
    }
}

impl Drop for SignalsHeld {
    fn drop(&mut self) {
        // SAFETY: on the main thread, as the token in it says; held once for each value.
        unsafe { shim::maglev_shim_signals_release() };
    }
}

/// As [`run`], for what needs no state.
pub(super) fn run_plain<T>(body: impl FnOnce() -> T, refused: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| refused())
}

/// After the first panic, in whatever thread of ours: said once, no more turns, `lb` stays as it is.
pub(super) fn freeze(main: MainThread, why: &str) {
    let why = format!("a panic: {why}");
    let said = catch_unwind(AssertUnwindSafe(|| {
        let Some(mut state) = state::borrow(main) else { return false };
        if state.panicked.is_some() {
            return true;
        }
        state.panicked = Some(why.clone());
        state.pending.clear();
        match &mut state.life {
            // It logs that it is frozen, unless it is so already.
            Life::Running(engine) if engine.controller().frozen().is_none() => {
                engine.freeze(&why);
                true
            }
            Life::Running(_) | Life::Loaded | Life::Failed(_) | Life::Stopped => false,
        }
    }));
    if !said.unwrap_or(false) {
        // What the engine's own freezing may have left; the first one is what counts.
        panics::take();
        log::line(main, LogLevel::Error, &format!("frozen: {why}; lb stays as it is"));
    }
}
