//! The binary API's requests: from the state to the structs of include/maglev_shim.h.

use std::ptr;

use super::shim::{
    self, maglev_api_answer_t, maglev_api_backend_t, maglev_api_clients_t, maglev_api_event_t,
    maglev_api_status_t, maglev_text_t,
};
use super::state::{Life, State};
use super::threads;
use crate::api::{self, Answer, Desk, Outbox, Record, cut, fixed, retval};
use crate::clock;
use crate::control::Operator;
use crate::control::engine::Engine;
use crate::control::rows::Rows;
use crate::control::view::{ApiClientsView, StatusView};

/// The numbers of the header are those of [`retval`], the sizes those of [`api`].
const _: () = {
    use shim::maglev_api_error_t as e;
    assert!(retval::UNSPECIFIED == e::MAGLEV_UNSPECIFIED);
    assert!(retval::NO_SUCH_ENTRY == e::MAGLEV_NO_SUCH_ENTRY);
    assert!(retval::INVALID_VALUE == e::MAGLEV_INVALID_VALUE);
    assert!(retval::FEATURE_DISABLED == e::MAGLEV_FEATURE_DISABLED);
    assert!(retval::INVALID_MEMORY_SIZE == e::MAGLEV_INVALID_MEMORY_SIZE);
    assert!(retval::INVALID_ARGUMENT == e::MAGLEV_INVALID_ARGUMENT);
    assert!(retval::RESPONSE_NOT_READY == e::MAGLEV_RESPONSE_NOT_READY);
    assert!(retval::VALUE_EXIST == e::MAGLEV_VALUE_EXIST);
    assert!(retval::INVALID_ADDRESS_FAMILY == e::MAGLEV_INVALID_ADDRESS_FAMILY);
    assert!(retval::INIT_FAILED == e::MAGLEV_INIT_FAILED);
    assert!(retval::LIMIT_EXCEEDED == e::MAGLEV_LIMIT_EXCEEDED);
    assert!(retval::EAGAIN == e::MAGLEV_EAGAIN);
    assert!(retval::BUSY == e::MAGLEV_BUSY);
    assert!(retval::BUG == e::MAGLEV_BUG);
    let _: fn(maglev_api_backend_t) -> [u8; api::NAME_SIZE] = |b| b.name;
};

pub(super) const NO_TEXT: maglev_text_t = maglev_text_t { data: ptr::null(), length: 0 };

/// So many events are taken in one turn.
const GATHERED: usize = 256;

/// `maglev_run_state` where there is no engine to ask.
const STARTING: u8 = 0;
const FROZEN: u8 = 3;
const FAILED: u8 = 4;

/// What the binary API keeps from one call to the next.
#[derive(Default)]
pub(super) struct Api {
    desk: Desk,
    /// There are subscribers, who may be there before the engine is.
    pub watching: bool,
    outbox: Outbox,
    /// The text that C reads now.
    said: String,
    /// The list that is being read.
    pub rows: Option<Rows>,
    /// Where to go on, while there is no such list.
    pub cursor: u64,
}

impl Api {
    pub(super) const fn new() -> Api {
        Api {
            desk: Desk::new(),
            watching: false,
            outbox: Outbox::new(),
            said: String::new(),
            rows: None,
            cursor: 0,
        }
    }

    /// Keeps a text for C until the next call.
    pub(super) fn say(&mut self, text: String) -> maglev_text_t {
        self.said = text;
        maglev_text_t { data: self.said.as_ptr().cast(), length: self.said.len() as u64 }
    }

    fn answer(&mut self, answer: Answer) -> maglev_api_answer_t {
        let Answer { retval, changed, ticket, text } = answer;
        maglev_api_answer_t { retval, changed: changed.into(), ticket, text: self.say(text) }
    }
}

/// The answer of a call that a panic, or the lack of a main thread, has made void.
pub(super) fn void(_why: &str) -> maglev_api_answer_t {
    maglev_api_answer_t { retval: retval::BUG, changed: 0, ticket: 0, text: NO_TEXT }
}

/// Lets the desk carry out a verb, unless there is nobody to do it.
pub(super) fn verb(
    state: &mut State,
    run: impl FnOnce(&mut Desk, &mut Engine) -> Answer,
) -> maglev_api_answer_t {
    let answer = match (&state.panicked, &mut state.life) {
        (Some(why), _) => Answer::refused(retval::BUG, format!("frozen after {why}")),
        // To bring it to its end would hold VPP's main thread for as long as that takes.
        (None, Life::Running(engine)) if engine.applying() => {
            Answer::refused(retval::EAGAIN, "a configuration is being applied; try again")
        }
        (None, Life::Running(engine)) => {
            engine.catch_up();
            let answer = run(&mut state.api.desk, engine);
            // What was ordered is to begin at once, not at the next deadline.
            threads::wake();
            answer
        }
        (None, Life::Loaded) => Answer::refused(retval::INIT_FAILED, "maglev is starting; try again"),
        (None, Life::Failed(why)) => {
            Answer::refused(retval::INIT_FAILED, format!("maglev could not be started: {why}"))
        }
        (None, Life::Stopped) => Answer::refused(retval::INIT_FAILED, "VPP is about to exit"),
    };
    state.api.answer(answer)
}

/// `maglev_status`
pub(super) fn status(state: &mut State) -> maglev_api_status_t {
    let (code, view, reason) = match (&mut state.life, &state.panicked) {
        (Life::Running(engine), panicked) => {
            let view = engine.status();
            let reason = panicked.as_ref().map(|why| format!("frozen after {why}"));
            let code = if reason.is_some() { FROZEN } else { api::run_state(&view.state) };
            let reason = reason.or_else(|| view.reason.clone()).unwrap_or_default();
            (code, view, reason)
        }
        (Life::Loaded, _) => (STARTING, StatusView::default(), "maglev is starting".to_owned()),
        (Life::Failed(why), _) => {
            (FAILED, StatusView::default(), format!("maglev could not be started: {why}"))
        }
        (Life::Stopped, _) => (FAILED, StatusView::default(), "VPP is about to exit".to_owned()),
    };
    let all = |of: &[(String, usize)]| api::count(of.iter().map(|(_, n)| n).sum());
    let up = |of: &[(String, usize)]| api::count(of.iter().filter(|(s, _)| s == "up").map(|(_, n)| n).sum());
    let (running, generation) = match &state.life {
        Life::Running(engine) => (true, engine.controller().config_number()),
        Life::Loaded | Life::Failed(_) | Life::Stopped => (false, 0),
    };
    maglev_api_status_t {
        state: code,
        lb_available: (running && view.lb.unavailable.is_none()).into(),
        prober_running: view.prober.running.into(),
        uptime_ms: view.uptime_ms,
        config_loaded_ms: view.config_loaded_ms.unwrap_or(0),
        config_errors: api::count(view.config_errors.len()),
        backends: all(&view.backends),
        backends_up: up(&view.backends),
        frontends: all(&view.frontends),
        frontends_up: up(&view.frontends),
        in_flight: api::count(view.prober.in_flight),
        probes: view.prober.probes,
        late: view.prober.late,
        syncs: view.lb.syncs,
        calls: view.lb.calls,
        failures: view.lb.failures,
        generation,
        problems: api::count(view.problems.len()),
        version: fixed(env!("CARGO_PKG_VERSION")),
        built_for: fixed(env!("MAGLEV_VPP_VERSION")),
        reason: state.api.say(reason),
    }
}

/// Whether events are to be kept.
pub(super) fn watch(state: &mut State, on: bool) {
    if let Life::Running(engine) = &mut state.life {
        engine.watched().set(on);
    }
    state.api.watching = on;
    if !on {
        state.api.outbox.clear();
    }
}

/// Takes new events, and what was started and has ended, among what subscribers are told. Answers the position behind
/// the newest, and whether there is more to be taken.
pub(super) fn gather(state: &mut State) -> (u64, bool) {
    let State { life, api, panicked, .. } = state;
    let Life::Running(engine) = life else { return (api.outbox.end(), false) };
    for _ in 0..GATHERED {
        let Some(noted) = engine.watched().pop() else { break };
        api.outbox.push(Record::of_event(noted.number, noted.at_ms, &noted.event));
    }
    if !engine.watched().is_empty() {
        return (api.outbox.end(), true);
    }
    if panicked.is_none() {
        let now = clock::now();
        while let Some(record) = api.desk.ended(engine.as_mut(), now) {
            // Without subscribers a result is lost.
            if api.watching {
                api.outbox.push(record);
            }
        }
    }
    (api.outbox.end(), false)
}

/// The first event at that position or behind it.
pub(super) fn event(state: &mut State, position: u64) -> Option<maglev_api_event_t> {
    let (position, r) = state.api.outbox.from(position)?;
    let text = r.text.clone();
    let mut out = maglev_api_event_t {
        position,
        sequence: r.sequence,
        time_ms: r.at_ms,
        kind: r.kind as u8,
        level: api::level(r.level),
        ticket: r.ticket,
        retval: r.retval,
        name: fixed(&r.name),
        backend_from: r.backend_from.map_or(0, api::backend_state),
        backend_to: r.backend_to.map_or(0, api::backend_state),
        first_seen: (r.backend_to.is_some() && r.backend_from.is_none()).into(),
        frontend_from: r.frontend_from.map_or(0, api::frontend_state),
        frontend_to: r.frontend_to.map_or(0, api::frontend_state),
        pool_from: fixed(&r.pool_from),
        pool_to: fixed(&r.pool_to),
        code: fixed(&r.code),
        failed: r.failed.into(),
        begins: r.begins.into(),
        panic_mode: api::panic_mode(r.panic_mode),
        up: r.up,
        of: r.of,
        count: r.count,
        verdict: r.verdict as u8,
        latency_us: r.latency_us,
        detail: cut(&r.detail),
        text: NO_TEXT,
    };
    out.text = state.api.say(text);
    Some(out)
}

/// How the clients do.
pub(super) fn clients(state: &mut State, of: maglev_api_clients_t) {
    let maglev_api_clients_t { subscribers, events_lost, replies_dropped, unread_bytes } = of;
    let kept_bytes = state.api.outbox.bytes() as u64;
    if let Life::Running(engine) = &mut state.life {
        let view = ApiClientsView { subscribers, events_lost, replies_dropped, unread_bytes, kept_bytes };
        if !engine.applying() && state.panicked.is_none() {
            engine.api_clients(clock::now(), view);
        }
    }
}
