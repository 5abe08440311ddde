//! What `show` shows, as plain data: the JSON is these structs, the text is [`crate::cli`]'s rendering of them.
//!
//! Wall-clock times are milliseconds since the Unix epoch, durations milliseconds unless named otherwise.

#![allow(missing_docs)]

use serde::Serialize;

use crate::budget::BudgetView;
use crate::lb::Protocol;

#[derive(Clone, Debug, PartialEq, Serialize, Default)]
pub struct StatusView {
    /// `running`, `idle` (no configuration), `frozen`.
    pub state: String,
    /// Why idle or frozen.
    pub reason: Option<String>,
    /// What an operator has to do something about, ordered by kind.
    pub problems: Vec<ProblemView>,
    pub uptime_ms: u64,
    pub config_path: String,
    pub config_loaded_ms: Option<u64>,
    /// Of the last load that failed, if the running configuration is older than it.
    pub config_errors: Vec<String>,
    pub config_warnings: Vec<String>,
    pub lb: LbStatusView,
    pub prober: ProberView,
    pub agents: AgentCountsView,
    /// Backends by state, all states that occur.
    pub backends: Vec<(String, usize)>,
    /// Frontends by state.
    pub frontends: Vec<(String, usize)>,
    pub state_file: StateFileView,
    pub memory: MemoryView,
    /// None: there is no binary API here.
    pub api: Option<ApiClientsView>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Default)]
pub struct MemoryView {
    /// None: there is no heap of the plugin's own.
    pub heap: Option<HeapView>,
    /// What of it others can make large.
    pub budgets: Vec<BudgetView>,
}

/// Bytes that the plugin's own heap has from the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct HeapView {
    /// Now.
    pub used: usize,
    /// The most that it ever had.
    pub most: usize,
}

/// Clients of the binary API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Default)]
pub struct ApiClientsView {
    /// Subscribers to events.
    pub subscribers: u32,
    /// To subscribers that did not read in time, of all together.
    pub events_lost: u64,
    /// Requests not carried out and replies not sent, since a client did not read.
    pub replies_dropped: u64,
    /// Sent and not read yet, of all clients, as counted last.
    pub unread_bytes: u64,
    /// Events kept for subscribers.
    pub kept_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Default)]
pub struct ProblemView {
    /// One word, such as `stats-segment`.
    pub kind: String,
    pub since_ms: u64,
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Default)]
pub struct StateFileView {
    /// None: nothing is kept.
    pub path: Option<String>,
    /// When it was last written.
    pub saved_ms: Option<u64>,
    /// Why it could not be written the last time.
    pub error: Option<String>,
    /// What was wrong with it at the start.
    pub problem: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Default)]
pub struct LbStatusView {
    /// `vpp` or `embedded`.
    pub kind: String,
    pub unavailable: Option<String>,
    /// Each has a flow table, which every flush walks.
    pub threads: u32,
    pub last_sync_ms: Option<u64>,
    pub syncs: u64,
    pub calls: u64,
    pub failures: u64,
    /// Longest call, microseconds, and the mean.
    pub call_max_us: u64,
    pub call_mean_us: u64,
    /// Of all calls together, microseconds.
    pub call_total_us: u64,
    /// Frontends with a call that failed and is to be retried.
    pub failing: Vec<String>,
    /// Tables of deleted VIPs, which `lb` never frees, and their bytes.
    pub lost_tables: u64,
    pub lost_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Default)]
pub struct ProberView {
    pub running: bool,
    pub last_beat_ms_ago: Option<u64>,
    pub in_flight: usize,
    pub waiting: usize,
    pub agents_in_flight: usize,
    pub agents_waiting: usize,
    pub probes: u64,
    /// Started more than 100 ms after they were due.
    pub late: u64,
    pub latest_ms: u64,
    /// Probes put off after a stall of the main thread.
    pub main_stalls: u64,
    /// Results by code.
    pub results: Vec<(String, u64)>,
    pub netns: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Default)]
pub struct VersionView {
    pub maglev: String,
    /// The VPP this was built against; none in the standalone tool.
    pub built_for: Option<String>,
    /// The VPP it runs in.
    pub running_in: Option<String>,
    /// Messages of `lb` in use, `name_crc`.
    pub lb_messages: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FrontendView {
    pub name: String,
    pub description: String,
    pub address: String,
    /// None: all ports.
    pub protocol: Option<Protocol>,
    pub port: Option<u16>,
    /// `unknown`, `up`, `down`.
    pub state: String,
    /// The active pool's name.
    pub pool: String,
    /// Backends that carry weight now, and all.
    pub serving: usize,
    pub total: usize,
    pub encap: String,
    pub table_length: u32,
    pub src_ip_sticky: bool,
    pub flush_on_down: bool,
    /// Seconds of `slow-start`.
    pub slow_start: Option<f64>,
    /// `fail-open below 50%`; in force: `fail-open below 50%, IN FORCE: 1/4 up`.
    pub panic: Option<String>,
    /// `panic` is in force.
    pub in_panic: bool,
    /// False: waits for its backends to be known, or for `lb`.
    pub programmed: bool,
    /// The last call of it that failed, until one succeeds; else its servers that are left out as a forwarding loop.
    pub error: Option<String>,
    /// What of it is not in `lb` yet, since when and why: `server=10.0.0.1 has weight 100 instead of 0, for 3 s: 12 addresses
    /// come before it`.
    pub lacks: Vec<String>,
    pub pools: Vec<PoolView>,
    /// Servers that still are in `lb` though the configuration has them no more.
    pub leaving: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PoolView {
    pub name: String,
    pub active: bool,
    pub backends: Vec<MemberView>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MemberView {
    pub name: String,
    pub address: String,
    /// Configured, or the operator's override.
    pub weight: u8,
    pub overridden: bool,
    pub effective: u8,
    /// With progress: `up`, `up 3/4`, `up unchecked`.
    pub state: String,
    /// Its weight in `lb`, as it was seen or written last; none: it is not there.
    pub in_lb: Option<u8>,
    /// In `lb`'s table now; none when not asked for or not programmed.
    pub buckets: Option<u32>,
    pub disabled: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BackendView {
    pub name: String,
    pub address: String,
    /// None: static.
    pub healthcheck: Option<String>,
    /// Bare: `up`, `down`, `unknown`, `paused`, `disabled`, `removed`.
    pub state: String,
    /// With progress: `up 3/4`, `up unchecked`.
    pub display: String,
    pub counter: u32,
    pub counter_max: u32,
    pub rise: u32,
    pub fall: u32,
    /// Since when in this state.
    pub since_ms: u64,
    /// Of the last result.
    pub last_code: Option<String>,
    pub last_detail: String,
    pub last_latency_us: Option<u64>,
    pub last_probe_ms: Option<u64>,
    pub passes: u64,
    pub failures: u64,
    pub sockerrs: u64,
    /// Whose word the state is, and why: `by the operator: drain by the operator`.
    pub verdict: String,
    /// What each hand says.
    pub hands: Vec<HandView>,
    pub ties: TiesView,
    /// All that has to happen before it serves again: `operator enable`, `2 more passes`, `c: operator ready`.
    pub waits_for: Option<String>,
    /// Newest first.
    pub transitions: Vec<TransitionView>,
    pub frontends: Vec<MembershipView>,
}

/// A word of a hand on a backend.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HandView {
    /// `checks`, `agent`, `operator`, `inherited`.
    pub hand: &'static str,
    pub says: String,
    pub since_ms: Option<u64>,
    /// What else there is to say; may be empty.
    pub detail: String,
}

/// Who follows whom, by name.
#[derive(Clone, Debug, PartialEq, Serialize, Default)]
pub struct TiesView {
    pub tracks: Option<String>,
    pub tracked_by: Vec<String>,
    pub agent_track: Option<String>,
    pub agent_tracked_by: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TransitionView {
    pub at_ms: u64,
    pub from: String,
    pub to: String,
    pub code: String,
    pub detail: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MembershipView {
    pub frontend: String,
    pub pool: String,
    pub pool_active: bool,
    /// The configured weight, or the operator's instead.
    pub weight: u8,
    pub configured: u8,
    pub overridden: bool,
    /// `weight` with what the agent says of it.
    pub with_agent: u8,
    pub effective: u8,
    /// Why it is not simply its weight; may be empty.
    pub why: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HealthcheckView {
    pub name: String,
    pub kind: String,
    /// None: `icmp`.
    pub port: Option<u16>,
    pub interval_ms: u64,
    pub fast_interval_ms: u64,
    pub down_interval_ms: u64,
    pub timeout_ms: u64,
    pub rise: u32,
    pub fall: u32,
    pub counter: String,
    pub jitter_percent: f64,
    pub source_ipv4: Option<String>,
    pub source_ipv6: Option<String>,
    /// Of the type: (`path`, `/healthz`) and so on, as configured, defaults filled in.
    pub params: Vec<(String, String)>,
    /// The longest time to `down` (docs/behaviour.md, "Probes").
    pub silent_bound_ms: u64,
    pub refused_bound_ms: u64,
    /// Backends that use it.
    pub backends: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LbView {
    pub kind: String,
    pub ip4_src: String,
    pub ip6_src: String,
    pub sticky_buckets_per_core: u32,
    pub flow_timeout_s: u32,
    pub vips: Vec<LbVipView>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LbVipView {
    /// `192.0.2.1:80/tcp`, `192.0.2.1` for all ports, `10.0.0.0/8` for a prefix.
    pub vip: String,
    /// The frontend; none: foreign.
    pub frontend: Option<String>,
    pub foreign: bool,
    /// A NAT VIP of ours that is not configured any more: it stays, without weight, while VPP runs.
    pub parked: bool,
    pub encap: String,
    pub table_length: u32,
    pub servers: Vec<LbServerView>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LbServerView {
    pub address: String,
    pub backend: Option<String>,
    /// Of a NAT VIP and not configured any more: it stays, without weight, while VPP runs.
    pub parked: bool,
    pub weight: u8,
    pub buckets: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FlowView {
    pub frontend: String,
    pub source: String,
    pub source_port: u16,
    /// None: no server has weight; the flow is dropped.
    pub server: Option<String>,
    pub backend: Option<String>,
    pub bucket: u32,
    pub table_length: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProbeView {
    pub backend: String,
    pub code: String,
    pub detail: String,
    pub latency_us: u64,
    /// `pass`, `fail`, `none` (our own fault).
    pub verdict: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SyncView {
    pub frontends: usize,
    /// Calls that changed something.
    pub writes: u64,
    /// `web: lb: no such entry`
    pub failures: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConfigView {
    pub path: String,
    pub ok: bool,
    /// True: it is the running configuration now.
    pub applied: bool,
    /// One line each, `path:line:column: message`.
    pub errors: Vec<String>,
    pub warnings: Vec<String>,
    /// What a reload changed: `2 backends added, 1 removed, 0 changed; …`.
    pub summary: String,
}

/// The ring of events: the oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Default)]
pub struct EventsView {
    /// Events that have left the ring. Numbers begin with 1, so the oldest that is kept has this number plus 1.
    pub dropped: u64,
    /// Events in the ring, shown or not.
    pub kept: usize,
    pub events: Vec<EventView>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EventView {
    pub sequence: u64,
    pub at_ms: u64,
    /// `backend-transition` and so on: the first word of the line.
    pub kind: &'static str,
    /// `debug`, `info`, `notice`, `warning`, `error`.
    pub level: &'static str,
    /// The line, as in the log.
    pub text: String,
    #[serde(flatten)]
    pub fields: EventFields,
}

/// What is in the line, by name.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum EventFields {
    Backend {
        backend: String,
        /// None: it was first seen.
        from: Option<String>,
        to: String,
        code: String,
        detail: String,
    },
    Frontend {
        frontend: String,
        from: String,
        to: String,
        pool: String,
    },
    Failover {
        frontend: String,
        from_pool: String,
        to_pool: String,
    },
    LbSync {
        failed: bool,
    },
    Agent {
        backend: String,
        said: String,
    },
    Panic {
        frontend: String,
        mode: String,
        begins: bool,
        up: usize,
        of: usize,
    },
    Problem {
        problem: String,
        begins: bool,
        detail: String,
    },
    Operator {
        command: String,
    },
    ConfigReload {
        ok: bool,
    },
    ProbeFault {
        backend: String,
        code: String,
        count: u64,
        detail: String,
    },
    Engine {},
}

#[derive(Clone, Debug, PartialEq, Serialize, Default)]
pub struct CountersView {
    /// Why `lb`'s own counters are missing; none when they are not.
    pub lb_error: Option<String>,
    /// Empty where `lb` forwards no packets.
    pub vips: Vec<VipCountersView>,
    pub backends: Vec<BackendCountersView>,
    /// Comparisons of an address with `lb`, by what set them off.
    pub syncs: Vec<(String, u64)>,
    pub lb_calls: LbCallsView,
    pub probes: ProbeCountersView,
    pub agents: AgentCountsView,
}

/// Queries of agents so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Default)]
pub struct AgentCountsView {
    pub queries: u64,
    /// A whole line came, whatever it said.
    pub replies: u64,
    /// Those that came to nothing; one that was called off is neither.
    pub failures: u64,
}

/// Packets since the VIP was added.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VipCountersView {
    pub frontend: String,
    pub vip: String,
    pub existing: u64,
    pub first: u64,
    pub untracked: u64,
    pub no_server: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BackendCountersView {
    pub backend: String,
    pub address: String,
    /// Probes by code.
    pub results: Vec<(String, u64)>,
    /// Of the last minute's probes.
    pub latency: LatencyView,
    pub transitions: u64,
    /// None: it has no agent of its own.
    pub agent: Option<AgentCountsView>,
    /// In the frontends that have it in `lb`.
    pub serving: Vec<ServingView>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServingView {
    pub frontend: String,
    pub buckets: u32,
    /// None where `lb` forwards no packets.
    pub flows: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Default)]
pub struct LatencyView {
    pub samples: u64,
    /// None without samples.
    pub p50_us: Option<u64>,
    pub p99_us: Option<u64>,
}

impl From<super::latency::Summary> for LatencyView {
    fn from(s: super::latency::Summary) -> LatencyView {
        let some = |us| (s.samples > 0).then_some(us);
        LatencyView { samples: s.samples, p50_us: some(s.p50_us), p99_us: some(s.p99_us) }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Default)]
pub struct LbCallsView {
    pub count: u64,
    /// Calls that `lb` refused or did not answer.
    pub failures: u64,
    pub mean_us: u64,
    pub max_us: u64,
    /// Of all calls since the start.
    pub latency: LatencyView,
}

#[derive(Clone, Debug, PartialEq, Serialize, Default)]
pub struct ProbeCountersView {
    pub ordered: u64,
    pub results: Vec<(String, u64)>,
    /// Started more than 100 ms after they were due.
    pub late: u64,
    pub latest_ms: u64,
    pub main_stalls: u64,
}
