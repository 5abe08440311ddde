//! The binary API's requests: from the state to the structs of include/maglev_shim.h.

use std::collections::VecDeque;
use std::ptr;

use super::shim::{
    self, maglev_address_t, maglev_api_answer_t, maglev_api_backend_t, maglev_api_event_t,
    maglev_api_frontend_t, maglev_api_healthcheck_t, maglev_api_member_t, maglev_api_status_t, maglev_text_t,
};
use super::state::{Life, State};
use super::threads;
use crate::api::{self, Answer, Desk, Record, fixed, retval};
use crate::clock;
use crate::control::engine::Engine;
use crate::control::view::{BackendView, FrontendView, HealthcheckView, MemberView, StatusView};
use crate::control::{Operator, VerbError};

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
    assert!(retval::BUSY == e::MAGLEV_BUSY);
    assert!(retval::BUG == e::MAGLEV_BUG);
    let _: fn(maglev_api_backend_t) -> [u8; api::NAME_SIZE] = |b| b.name;
};

/// `maglev_run_state` where there is no engine to ask.
const STARTING: u8 = 0;
const FROZEN: u8 = 3;
const FAILED: u8 = 4;

/// A member with its frontend and pool.
type Member = (String, String, bool, MemberView);

/// What the binary API keeps from one call to the next.
#[derive(Default)]
pub(super) struct Api {
    desk: Desk,
    /// There are subscribers, who may be there before the engine is.
    pub watching: bool,
    /// The text that C reads now.
    said: String,
    backends: VecDeque<BackendView>,
    frontends: VecDeque<FrontendView>,
    members: VecDeque<Member>,
    healthchecks: VecDeque<HealthcheckView>,
}

impl Api {
    pub(super) const fn new() -> Api {
        Api {
            desk: Desk::new(),
            watching: false,
            said: String::new(),
            backends: VecDeque::new(),
            frontends: VecDeque::new(),
            members: VecDeque::new(),
            healthchecks: VecDeque::new(),
        }
    }

    /// Keeps a text for C until the next call.
    fn say(&mut self, text: String) -> maglev_text_t {
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
    let none = maglev_text_t { data: ptr::null(), length: 0 };
    maglev_api_answer_t { retval: retval::BUG, changed: 0, ticket: 0, text: none }
}

/// Lets the desk carry out a verb, unless there is nobody to do it.
pub(super) fn verb(
    state: &mut State,
    run: impl FnOnce(&mut Desk, &mut Engine) -> Answer,
) -> maglev_api_answer_t {
    let answer = match (&state.panicked, &mut state.life) {
        (Some(why), _) => Answer::refused(retval::BUG, format!("frozen after {why}")),
        (None, Life::Running(engine)) => {
            engine.finish_reload();
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
            engine.finish_reload();
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
    let running = matches!(state.life, Life::Running(_));
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
        version: fixed(env!("CARGO_PKG_VERSION")),
        built_for: fixed(env!("MAGLEV_VPP_VERSION")),
        reason: state.api.say(reason),
    }
}

/// What of a dump is asked for: all, or the one of that name; none where there is no engine.
fn picture<T>(
    state: &mut State,
    name: &str,
    all: impl FnOnce(&mut Engine) -> Vec<T>,
    one: impl FnOnce(&mut Engine) -> Result<T, VerbError>,
) -> VecDeque<T> {
    let Life::Running(engine) = &mut state.life else { return VecDeque::new() };
    engine.finish_reload();
    if name.is_empty() { all(engine).into() } else { one(engine).into_iter().collect() }
}

pub(super) fn dump_backends(state: &mut State, name: &str) {
    state.api.backends = picture(state, name, |e| e.backends(), |e| e.backend(name));
}

pub(super) fn dump_frontends(state: &mut State, name: &str) {
    // The controller's own view: that of `show frontend` asks lb for its buckets, which are not told here.
    state.api.frontends = picture(state, name, |e| e.frontends(), |e| e.controller().frontend(name));
}

pub(super) fn dump_members(state: &mut State, name: &str) {
    let frontends = picture(state, name, |e| e.frontends(), |e| e.controller().frontend(name));
    let mut members = VecDeque::new();
    for f in frontends {
        for p in f.pools {
            members.extend(p.backends.into_iter().map(|m| (f.name.clone(), p.name.clone(), p.active, m)));
        }
    }
    state.api.members = members;
}

pub(super) fn dump_healthchecks(state: &mut State, name: &str) {
    state.api.healthchecks = picture(state, name, |e| e.healthchecks(), |e| e.healthcheck(name));
}

pub(super) fn next_backend(state: &mut State) -> Option<maglev_api_backend_t> {
    let v = state.api.backends.pop_front()?;
    Some(maglev_api_backend_t {
        name: fixed(&v.name),
        address: address(&v.address),
        healthcheck: fixed(v.healthcheck.as_deref().unwrap_or_default()),
        state: api::backend_state(&v.state),
        counter: v.counter,
        counter_max: v.counter_max,
        rise: v.rise,
        fall: v.fall,
        since_ms: v.since_ms,
        last_probe_ms: v.last_probe_ms.unwrap_or(0),
        last_latency_us: v.last_latency_us.unwrap_or(0),
        passes: v.passes,
        failures: v.failures,
        faults: v.sockerrs,
        last_code: fixed(v.last_code.as_deref().unwrap_or_default()),
        last_detail: state.api.say(v.last_detail),
    })
}

pub(super) fn next_frontend(state: &mut State) -> Option<maglev_api_frontend_t> {
    let v = state.api.frontends.pop_front()?;
    Some(maglev_api_frontend_t {
        name: fixed(&v.name),
        address: address(&v.address),
        all_ports: v.port.is_none().into(),
        protocol: v.protocol.map_or(0, |p| p.number()),
        port: v.port.unwrap_or(0),
        state: api::frontend_state(&v.state),
        pool: fixed(&v.pool),
        serving: api::count(v.serving),
        total: api::count(v.total),
        encap: fixed(&v.encap),
        table_length: v.table_length,
        src_ip_sticky: v.src_ip_sticky.into(),
        flush_on_down: v.flush_on_down.into(),
        in_panic: v.in_panic.into(),
        programmed: v.programmed.into(),
        leaving: api::count(v.leaving.len()),
        error: state.api.say(v.error.unwrap_or_default()),
    })
}

pub(super) fn next_member(state: &mut State) -> Option<maglev_api_member_t> {
    let (frontend, pool, active, v) = state.api.members.pop_front()?;
    Some(maglev_api_member_t {
        frontend: fixed(&frontend),
        pool: fixed(&pool),
        backend: fixed(&v.name),
        pool_active: active.into(),
        state: api::backend_state(&v.state),
        weight: v.weight,
        overridden: v.overridden.into(),
        effective: v.effective,
    })
}

pub(super) fn next_healthcheck(state: &mut State) -> Option<maglev_api_healthcheck_t> {
    let v = state.api.healthchecks.pop_front()?;
    Some(maglev_api_healthcheck_t {
        name: fixed(&v.name),
        type_: fixed(&v.kind),
        port: v.port.unwrap_or(0),
        interval_ms: v.interval_ms,
        fast_interval_ms: v.fast_interval_ms,
        down_interval_ms: v.down_interval_ms,
        timeout_ms: v.timeout_ms,
        rise: v.rise,
        fall: v.fall,
        jitter_percent: v.jitter_percent,
        silent_bound_ms: v.silent_bound_ms,
        refused_bound_ms: v.refused_bound_ms,
        backends: api::count(v.backends.len()),
        counter: fixed(&v.counter),
    })
}

/// Whether events are to be kept.
pub(super) fn watch(state: &mut State, on: bool) {
    if let Life::Running(engine) = &mut state.life {
        engine.watched().set(on);
    }
    state.api.watching = on;
}

/// The next event, or the end of something that was started.
pub(super) fn next_event(state: &mut State) -> Option<maglev_api_event_t> {
    let Life::Running(engine) = &mut state.life else { return None };
    let (sequence, record) = match engine.watched().pop() {
        Some(noted) => (noted.number, Record::of_event(noted.at_ms, &noted.event)),
        None if state.panicked.is_some() => return None,
        None => {
            let record = state.api.desk.ended(engine.as_mut(), clock::now())?;
            (engine.watched().number(), record)
        }
    };
    Some(maglev_api_event_t {
        sequence,
        time_ms: record.at_ms,
        kind: record.kind as u8,
        level: api::level(record.level),
        ticket: record.ticket,
        retval: record.retval,
        latency_us: record.latency_us,
        name: fixed(&record.name),
        before: fixed(&record.before),
        after: fixed(&record.after),
        code: fixed(&record.code),
        text: state.api.say(record.text),
    })
}

fn address(text: &str) -> maglev_address_t {
    let (is_ip6, bytes) = api::address(text);
    maglev_address_t { is_ip6: is_ip6.into(), bytes }
}
