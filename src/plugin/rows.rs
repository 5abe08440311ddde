//! The lists of the binary API: from the controller's rows to the structs of include/maglev_shim.h.

use std::net::IpAddr;

use super::api::NO_TEXT;
use super::shim::{
    maglev_address_t, maglev_api_backend_t, maglev_api_frontend_t, maglev_api_healthcheck_t,
    maglev_api_member_t, maglev_rows_t as tables,
};
use super::state::{Life, State};
use crate::api::{self, NAME_SIZE, cut, fixed, retval};
use crate::control::engine::Engine;
use crate::control::rows::{END, NoRows, Rows, Table};
use crate::control::{Controller, Operator};
use crate::health::agent::AgentWeight;

/// VPP's number for all ports (`IP_API_PROTO_RESERVED`), which `lb` has for them too.
const ALL_PORTS: u8 = 255;
/// The longest text of a healthcheck's parameters, in bytes.
const MOST_PARAMETERS: usize = 2048;

/// The cursor, and what the reply's retval is to be.
pub(super) fn begin(state: &mut State, table: tables::Type, only: &str, cursor: u64) -> i32 {
    state.api.rows = None;
    state.api.cursor = cursor;
    let table = match table {
        tables::MAGLEV_ROWS_BACKENDS => Table::Backends,
        tables::MAGLEV_ROWS_FRONTENDS => Table::Frontends,
        tables::MAGLEV_ROWS_MEMBERS => Table::Members,
        tables::MAGLEV_ROWS_HEALTHCHECKS => Table::Healthchecks,
        _ => return retval::BUG,
    };
    let Life::Running(engine) = &state.life else { return retval::INIT_FAILED };
    if only.len() >= NAME_SIZE {
        return retval::INVALID_VALUE;
    }
    // Half of each is no configuration; to wait for it is for the client.
    if engine.applying() {
        return retval::EAGAIN;
    }
    match engine.controller().rows(table, only, cursor) {
        Ok(rows) => {
            state.api.rows = Some(rows);
            retval::OK
        }
        Err(NoRows::Stale) => {
            state.api.cursor = END;
            retval::INVALID_VALUE
        }
        Err(NoRows::Unknown) => {
            state.api.cursor = END;
            retval::NO_SUCH_ENTRY
        }
    }
}

/// Where to go on.
pub(super) fn cursor(state: &State) -> u64 {
    state.api.rows.as_ref().map_or(state.api.cursor, Rows::cursor)
}

fn reading(state: &mut State) -> Option<(&Engine, &mut Rows)> {
    let State { life: Life::Running(engine), api, .. } = state else { return None };
    Some((engine, api.rows.as_mut()?))
}

fn next<'a, T>(state: &'a mut State, read: impl FnOnce(&'a Controller, &mut Rows) -> Option<T>) -> Option<T> {
    let (engine, rows) = reading(state)?;
    read(engine.controller(), rows)
}

pub(super) fn next_backend(state: &mut State) -> Option<maglev_api_backend_t> {
    let r = next(state, Controller::next_backend)?;
    let (is_share, weight) = match r.agent_weight {
        Some(AgentWeight::Share(percent)) => (true, percent),
        Some(AgentWeight::Absolute(weight)) => (false, weight.into()),
        None => (false, 0),
    };
    Some(maglev_api_backend_t {
        name: fixed(&r.name),
        address: address(r.address),
        healthcheck: fixed(r.healthcheck.as_deref().unwrap_or_default()),
        state: api::backend_state(r.state),
        display: cut(&r.display),
        counter: r.counter,
        counter_max: r.counter_max,
        rise: r.rise,
        fall: r.fall,
        since_ms: r.since_ms,
        last_probe_ms: r.last_probe_ms,
        last_latency_us: r.last_latency_us,
        passes: r.passes,
        failures: r.failures,
        faults: r.faults,
        last_code: fixed(r.last_code),
        last_detail: cut(&r.last_detail),
        tracks: fixed(r.tracks.as_deref().unwrap_or_default()),
        agent_track: fixed(r.agent_track.as_deref().unwrap_or_default()),
        has_agent: r.has_agent.into(),
        agent_muted: r.agent_muted.into(),
        has_agent_weight: r.agent_weight.is_some().into(),
        agent_weight_is_share: is_share.into(),
        agent_weight: weight,
        waits_for: cut(&r.waits_for),
        reason: state.api.say(r.reason),
    })
}

pub(super) fn next_frontend(state: &mut State) -> Option<maglev_api_frontend_t> {
    let r = next(state, Controller::next_frontend)?;
    Some(maglev_api_frontend_t {
        name: fixed(&r.name),
        description: cut(&r.description),
        address: address(r.vip.address),
        all_ports: r.vip.service.is_none().into(),
        protocol: r.vip.service.map_or(ALL_PORTS, |(p, _)| p.number()),
        port: r.vip.service.map_or(0, |(_, port)| port),
        state: api::frontend_state(r.state),
        pool: fixed(&r.pool),
        serving: api::count(r.serving),
        total: api::count(r.total),
        encap: api::encap(r.encap),
        table_length: r.table_length,
        src_ip_sticky: r.src_ip_sticky.into(),
        flush_on_down: r.flush_on_down.into(),
        slow_start_ms: r.slow_start.map_or(0, crate::control::show::millis),
        panic_mode: api::panic_mode(r.panic.map(|p| p.mode)),
        panic_threshold: r.panic.map_or(0, |p| p.threshold),
        in_panic: r.alarm.is_some().into(),
        panic_up: r.alarm.map_or(0, |a| api::count(a.up)),
        panic_of: r.alarm.map_or(0, |a| api::count(a.of)),
        programmed: r.programmed.into(),
        leaving: api::count(r.leaving),
        error: state.api.say(r.error),
    })
}

pub(super) fn next_member(state: &mut State) -> Option<maglev_api_member_t> {
    let r = next(state, Controller::next_member)?;
    Some(maglev_api_member_t {
        frontend: fixed(&r.frontend),
        pool: fixed(&r.pool),
        backend: fixed(&r.backend),
        address: address(r.address),
        pool_active: r.pool_active.into(),
        state: api::backend_state(r.state),
        weight: r.weight,
        configured: r.configured,
        overridden: r.overridden.into(),
        with_agent: r.with_agent,
        effective: r.effective,
        why: cut(&r.why),
    })
}

pub(super) fn next_healthcheck(state: &mut State) -> Option<maglev_api_healthcheck_t> {
    let r = next(state, Controller::next_healthcheck)?;
    let mut out = maglev_api_healthcheck_t {
        name: fixed(&r.name),
        type_: api::check_type(r.kind),
        port: r.port,
        interval_ms: r.interval_ms,
        fast_interval_ms: r.fast_interval_ms,
        down_interval_ms: r.down_interval_ms,
        timeout_ms: r.timeout_ms,
        rise: r.rise,
        fall: r.fall,
        counter: api::counter_kind(r.counter),
        jitter_percent: r.jitter_percent,
        has_source_ip4: r.source_ip4.is_some().into(),
        has_source_ip6: r.source_ip6.is_some().into(),
        source_ip4: r.source_ip4.map_or([0; 4], |a| a.octets()),
        source_ip6: r.source_ip6.map_or([0; 16], |a| a.octets()),
        silent_bound_ms: r.silent_bound_ms,
        refused_bound_ms: r.refused_bound_ms,
        backends: r.backends,
        parameters: NO_TEXT,
    };
    let mut parameters = r.parameters;
    let mut end = parameters.len().min(MOST_PARAMETERS);
    while !parameters.is_char_boundary(end) {
        end -= 1;
    }
    parameters.truncate(end);
    out.parameters = state.api.say(parameters);
    Some(out)
}

fn address(address: IpAddr) -> maglev_address_t {
    let (is_ip6, bytes) = api::address(address);
    maglev_address_t { is_ip6: is_ip6.into(), bytes }
}
