//! Commands typed in vppctl.

use std::env;
use std::ffi::{CStr, CString};
use std::thread;

use once_cell::sync::Lazy;

use super::reply::Told;
use super::state::{Life, State};
use super::stays;
use super::threads::{self, Cpus};
use super::token::MainThread;
use crate::cli::{self, Answer};
use crate::control::Operator;
use crate::lb::vpp::Barrier;

/// For tests: `maglev test …` works where VPP was started with this at 1.
const TEST_VARIABLE: &str = "MAGLEV_TEST";

/// Of all answers that nobody has taken yet; the oldest goes first.
const MOST_PENDING: usize = 256;

/// Paths and their help, for VPP's CLI.
static PATHS: Lazy<Vec<(CString, CString)>> = Lazy::new(|| {
    cli::registered()
        .into_iter()
        .filter_map(|(path, help)| Some((CString::new(path).ok()?, CString::new(help).ok()?)))
        .collect()
});

/// The i-th path and its help.
pub(super) fn path(index: usize) -> Option<(&'static CStr, &'static CStr)> {
    PATHS.get(index).map(|(path, help)| (path.as_c_str(), help.as_c_str()))
}

/// Carries out one line; `may_wait`: whoever asks can be told later.
pub(super) fn execute(main: MainThread, state: &mut State, line: &str, may_wait: bool) -> Told {
    if let Some(told) = test_command(main, state, line) {
        return told;
    }
    let shows = is_show(line);
    if let (Some(why), false) = (&state.panicked, shows) {
        return frozen(why);
    }
    let engine = match &mut state.life {
        Life::Running(engine) => engine.as_mut(),
        Life::Loaded => return Told::error("maglev is starting; try again"),
        Life::Failed(why) => return Told::error(&format!("maglev could not be started: {why}")),
        Life::Stopped => return Told::error("VPP is about to exit"),
    };
    if !may_wait {
        engine.finish_reload();
    }
    let answer = cli::execute(line, engine);
    if !shows {
        // What was ordered is to begin at once, not at the next deadline.
        threads::wake();
    }
    match answer {
        Answer::Done(reply) => Told::Done(reply),
        Answer::Later(pending) => {
            while state.pending.len() >= MOST_PENDING {
                state.pending.pop_first();
            }
            state.last_ticket = state.last_ticket.wrapping_add(1);
            let told = still_pending(state.last_ticket, &pending, engine);
            state.pending.insert(state.last_ticket, pending);
            told
        }
    }
}

/// What is shown changes nothing, and stays to be seen after a panic. VPP has made the first words whole.
fn is_show(line: &str) -> bool {
    line.starts_with("maglev show") || line.starts_with("show maglev")
}

fn frozen(why: &str) -> Told {
    Told::error(&format!("frozen after {why}"))
}

/// Asks for an answer again.
pub(super) fn poll(state: &mut State, ticket: u64) -> Told {
    if let Some(why) = &state.panicked {
        return frozen(why);
    }
    let Life::Running(engine) = &mut state.life else { return Told::error("VPP is about to exit") };
    let Some(pending) = state.pending.get_mut(&ticket) else {
        return Told::error("the answer was dropped: too many commands wait at once");
    };
    let waited = pending.waits_to_begin();
    let answer = pending.poll(engine.as_mut());
    if waited && (answer.is_some() || !pending.waits_to_begin()) {
        // As in `execute`.
        threads::wake();
    }
    match answer {
        Some(reply) => {
            state.pending.remove(&ticket);
            Told::Done(reply)
        }
        None => still_pending(ticket, pending, engine.as_ref()),
    }
}

/// Nobody waits any more: what is to be said of it then.
pub(super) fn abandon(state: &mut State, ticket: u64) -> Told {
    let pending = state.pending.remove(&ticket);
    match (pending, &state.life) {
        (Some(pending), Life::Running(engine)) => Told::Done(pending.given_up(engine.as_ref())),
        _ => Told::error("the answer was dropped: too many commands wait at once"),
    }
}

fn still_pending(ticket: u64, pending: &cli::Pending, op: &dyn Operator) -> Told {
    Told::Pending { ticket, text: pending.meanwhile(op).text }
}

/// `maglev test panic [turn|thread|barrier]`: a panic in this command, in the process node's next turn, in a thread of
/// ours, or with the workers at the barrier. `maglev test stays`: how long we stayed on the main thread since last asked.
#[allow(clippy::panic, reason = "asked for")]
fn test_command(main: MainThread, state: &mut State, line: &str) -> Option<Told> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let ["maglev", "test", what @ ("panic" | "stays"), rest @ ..] = words.as_slice() else { return None };
    if env::var_os(TEST_VARIABLE).is_none_or(|v| v != "1") {
        return None;
    }
    if *what == "stays" {
        return Some(Told::Done(cli::Reply { ok: true, text: stays::take(main) }));
    }
    let text = match rest {
        [] => panic!("asked for by `maglev test panic`"),
        ["turn"] => {
            state.panic_in_turn = true;
            threads::wake();
            "the next turn panics\n"
        }
        ["thread"] => {
            let init = threads::thread_init(Cpus::choose(&[], usize::MAX, &[]));
            let made = thread::Builder::new().name("maglev-test".into()).spawn(move || {
                init();
                panic!("asked for by `maglev test panic thread`");
            });
            if let Err(e) = made {
                return Some(Told::error(&e.to_string()));
            }
            "a thread panics\n"
        }
        ["barrier"] => {
            let _held = Barrier::hold(main);
            panic!("asked for by `maglev test panic barrier`");
        }
        _ => return Some(Told::error("maglev test panic [turn|thread|barrier]")),
    };
    Some(Told::Done(cli::Reply { ok: true, text: text.into() }))
}
