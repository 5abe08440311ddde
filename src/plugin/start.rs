//! The start at the process node's first run, and the turns after it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::shim::maglev_start_t;
use super::state::{Life, State};
use super::threads::{self, Cpus, SignalsBlocked};
use super::token::MainThread;
use super::{guard, log, panics, reply, text};
use crate::control::LogLevel;
use crate::control::engine::{Engine, EngineOptions, Turn};
use crate::control::view::VersionView;
use crate::lb::vpp::VppLb;

/// The stanza and what is known of VPP, decoded.
pub(super) struct Start {
    config_path: PathBuf,
    state_path: PathBuf,
    probe_cpus: Vec<usize>,
    worker_cpus: Vec<usize>,
    main_cpu: usize,
    wake_fd: i32,
    running_in: String,
}

impl Start {
    /// # Safety
    /// The strings and arrays in `from` are as include/maglev_shim.h says, and `wake_fd` is open.
    pub(super) unsafe fn decode(from: &maglev_start_t) -> Start {
        // SAFETY: a C string, as the contract says.
        let config_path = unsafe { text::from_c(from.config_path) }.into();
        // SAFETY: a C string, as the contract says.
        let state_path = unsafe { text::from_c(from.state_path) }.into();
        // SAFETY: an array of that length, as the contract says.
        let probe_cpus = unsafe { text::numbers(from.probe_cpus, from.n_probe_cpus) };
        // SAFETY: an array of that length, as the contract says.
        let worker_cpus = unsafe { text::numbers(from.worker_cpus, from.n_worker_cpus) };
        // SAFETY: a C string, as the contract says.
        let running_in = unsafe { text::from_c(from.running_in) };
        Start {
            config_path,
            state_path,
            probe_cpus,
            worker_cpus,
            main_cpu: usize::try_from(from.main_cpu).unwrap_or(usize::MAX),
            wake_fd: from.wake_fd,
            running_in,
        }
    }
}

/// Starts the engine; on an error the reason is kept for the commands, and logged.
pub(super) fn start(main: MainThread, state: &mut State, from: Start) -> bool {
    match engine(main, from) {
        Ok(mut engine) => {
            engine.watched().set(state.api.watching);
            reply::set_budget(engine.budgets().answers.clone());
            state.life = Life::Running(Box::new(engine));
            true
        }
        Err(why) => {
            log::line(main, LogLevel::Error, &format!("not started: {why}"));
            state.life = Life::Failed(why);
            false
        }
    }
}

fn engine(main: MainThread, from: Start) -> Result<Engine, String> {
    // SAFETY: C made the eventfd just before, and has not closed it.
    unsafe { threads::set_wake_fd(from.wake_fd) }.map_err(|e| format!("wake-up descriptor: {e}"))?;
    if let Some(limit) = crate::probe::raise_file_limit() {
        log::line(main, LogLevel::Debug, &format!("limit of open files: {limit}"));
    }
    let lb = VppLb::open(main);
    let version = VersionView {
        maglev: env!("CARGO_PKG_VERSION").to_owned(),
        built_for: Some(env!("MAGLEV_VPP_VERSION").to_owned()),
        running_in: Some(from.running_in),
        lb_messages: lb.messages(),
    };
    log::line(
        main,
        LogLevel::Debug,
        &format!("config {}, state-file {}", from.config_path.display(), from.state_path.display()),
    );
    let cpus = Cpus::choose(&from.probe_cpus, from.main_cpu, &from.worker_cpus);
    let options = EngineOptions {
        config_path: from.config_path,
        state_path: Some(from.state_path),
        probe_cpus: (!from.probe_cpus.is_empty()).then_some(from.probe_cpus),
        thread_init: Some(threads::thread_init(cpus)),
        wake: Arc::new(threads::wake),
        log: Box::new(move |at, text| log::line(main, at, text)),
        version,
        heap: super::heap::view,
    };
    // A thread runs with its maker's signals until its own first line.
    let blocked = SignalsBlocked::now();
    let engine = Engine::start(options, Box::new(lb)).map_err(|e| e.to_string());
    drop(blocked);
    engine
}

/// What the process node does next.
pub(super) const IDLE: Turn = Turn { next: None, busy: false };

/// One turn, unless frozen.
#[allow(clippy::panic, reason = "asked for by `maglev test panic turn`")]
pub(super) fn turn(state: &mut State) -> Turn {
    if state.panicked.is_some() {
        return IDLE;
    }
    let Life::Running(engine) = &mut state.life else { return IDLE };
    if std::mem::take(&mut state.panic_in_turn) {
        panic!("asked for by `maglev test panic turn`");
    }
    engine.turn()
}

/// A panic in a thread of ours has the same consequences as one on main.
pub(super) fn heed_other_threads() {
    if let (Some(main), Some(why)) = (MainThread::at_entry_point(), panics::take()) {
        guard::freeze(main, &why);
    }
}

/// Seconds as C has them; negative: only when woken.
pub(super) fn seconds(next: Option<Duration>) -> f64 {
    next.map_or(-1.0, |d| d.as_secs_f64())
}

/// Ends the engine's threads; `lb` stays as it is.
pub(super) fn stop(main: MainThread, state: &mut State) {
    state.pending.clear();
    match std::mem::replace(&mut state.life, Life::Stopped) {
        Life::Running(engine) => {
            if !engine.stop() {
                log::line(main, LogLevel::Warning, "a thread did not end in time");
            }
        }
        Life::Loaded | Life::Failed(_) | Life::Stopped => {}
    }
}
