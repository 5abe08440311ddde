//! What a valid configuration is. Every default (docs/configuration.md) is filled in; nothing here can be inconsistent, since
//! only [`super::parse`] makes one outside tests.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use simple_dns::{RCODE, TYPE};

use super::{Pattern, Tls};
use crate::Name;
use crate::lb::{Encap, VipKey};

/// A whole configuration.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Config {
    /// `healthchecker`
    pub healthchecker: Healthchecker,
    /// `vpp.lb`
    pub lb: LbConfig,
    /// `healthchecks`, by name.
    pub healthchecks: BTreeMap<Name, Arc<Healthcheck>>,
    /// `backends`, by name.
    pub backends: BTreeMap<Name, Arc<Backend>>,
    /// `frontends`, by name.
    pub frontends: BTreeMap<Name, Arc<Frontend>>,
}

/// `healthchecker`: the probe engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Healthchecker {
    /// Transitions kept per backend, ≥ 1; default 5.
    pub transition_history: usize,
    /// Linux network namespace of the probes, as in `ip netns`; none: VPP's own.
    pub netns: Option<String>,
    /// Probes at once, ≥ 1; default 4096. The prober lowers it to the descriptor limit less 512.
    pub max_in_flight: usize,
    /// Queries of agents at once, ≥ 1; default 1024. Lowered, too, where descriptors are scarce.
    pub max_agents_in_flight: usize,
}

impl Default for Healthchecker {
    fn default() -> Self {
        Healthchecker { transition_history: 5, netns: None, max_in_flight: 4096, max_agents_in_flight: 1024 }
    }
}

/// `vpp.lb`: `lb`'s own settings and how it is programmed.
#[derive(Clone, Debug, PartialEq)]
pub struct LbConfig {
    /// Source of GRE over IPv4; none: left as `lb` has it.
    pub ipv4_src_address: Option<Ipv4Addr>,
    /// Source of GRE over IPv6; none: left as `lb` has it.
    pub ipv6_src_address: Option<Ipv6Addr>,
    /// Period of the full reconcile, > 0; default 30 s.
    pub sync_interval: Duration,
    /// Power of two, 1 to 2^20; default 65536.
    pub sticky_buckets_per_core: u32,
    /// 1–120 s, whole seconds; default 40 s.
    pub flow_timeout: Duration,
    /// Default 0 s; at most `startup_max_delay`.
    pub startup_min_delay: Duration,
    /// Default 30 s.
    pub startup_max_delay: Duration,
    /// Weights that only agents have changed are written at most so often for an address; default 1 s, 0: as they come.
    pub agent_weight_interval: Duration,
}

impl Default for LbConfig {
    fn default() -> Self {
        LbConfig {
            ipv4_src_address: None,
            ipv6_src_address: None,
            sync_interval: Duration::from_secs(30),
            sticky_buckets_per_core: 65536,
            flow_timeout: Duration::from_secs(40),
            startup_min_delay: Duration::ZERO,
            startup_max_delay: Duration::from_secs(30),
            agent_weight_interval: Duration::from_secs(1),
        }
    }
}

/// How the counter moves at the boundary (docs/behaviour.md, "Backend states").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CounterKind {
    /// One step a result.
    #[default]
    Linear,
    /// Crossing up sets it to the maximum, crossing down to 0.
    Haproxy,
}

/// One named way to probe.
#[derive(Clone, Debug, PartialEq)]
pub struct Healthcheck {
    /// Its name.
    pub name: Name,
    /// What is sent and expected.
    pub kind: CheckKind,
    /// Destination port; 0 for `icmp`.
    pub port: u16,
    /// Start to start at full health, ≥ 10 ms; default 2 s.
    pub interval: Duration,
    /// Start to start between the extremes; default `interval`.
    pub fast_interval: Duration,
    /// Start to start at counter 0; default `interval`.
    pub down_interval: Duration,
    /// One deadline for the whole probe; default min(`interval`, 2 s).
    pub timeout: Duration,
    /// Passes from 0 to up, ≥ 1; default 2.
    pub rise: u32,
    /// Failures from full to down, ≥ 1; default 3.
    pub fall: u32,
    /// Default linear.
    pub counter: CounterKind,
    /// Percent, 0–50, uniform to both sides of every interval; default 10.
    pub jitter_percent: f64,
    /// Source address of probes to IPv4 backends.
    pub probe_ipv4_src: Option<Ipv4Addr>,
    /// Source address of probes to IPv6 backends.
    pub probe_ipv6_src: Option<Ipv6Addr>,
}

/// The probe types.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckKind {
    /// Connect, and perhaps send and expect.
    Tcp(TcpCheck),
    /// One HTTP/1.1 request, over TLS or not.
    Http(HttpCheck),
    /// Echo request, IPv4 or IPv6.
    Icmp,
    /// One datagram, and perhaps one expected.
    Udp(UdpCheck),
    /// One question over UDP.
    Dns(DnsCheck),
}

impl CheckKind {
    /// The word for `type`.
    pub fn as_str(&self) -> &'static str {
        match self {
            CheckKind::Tcp(_) => "tcp",
            CheckKind::Http(HttpCheck { tls: None, .. }) => "http",
            CheckKind::Http(HttpCheck { tls: Some(_), .. }) => "https",
            CheckKind::Icmp => "icmp",
            CheckKind::Udp(_) => "udp",
            CheckKind::Dns(_) => "dns",
        }
    }
}

/// `params` of `tcp`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct TcpCheck {
    /// Sent after the connect, if not empty.
    pub send: Vec<u8>,
    /// What the first 64 KiB of the answer must match.
    pub expect: Option<Pattern>,
    /// `ssl: true`, and what belongs to it.
    pub tls: Option<Tls>,
}

/// `params` of `udp`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct UdpCheck {
    /// The datagram, at most [`UdpCheck::MAX_SEND`] bytes; may be empty.
    pub send: Vec<u8>,
    /// What the first 16 KiB of the first datagram back must match. None: any datagram passes, and so does none.
    pub expect: Option<Pattern>,
}

impl UdpCheck {
    /// The most that a datagram over IPv4 holds, in bytes.
    pub const MAX_SEND: usize = 65_507;
}

/// `params` of `dns`.
#[derive(Clone, Debug, PartialEq)]
pub struct DnsCheck {
    /// A valid domain name, with or without the last dot.
    pub name: String,
    /// One of [`DnsCheck::QTYPES`]; default A.
    pub qtype: TYPE,
    /// One of [`DnsCheck::RCODES`]; default NOERROR.
    pub rcode: RCODE,
    /// What the text of a record of the answer must match.
    pub expect: Option<Pattern>,
}

impl DnsCheck {
    /// The types that can be asked for.
    pub const QTYPES: [(&str, TYPE); 9] = [
        ("A", TYPE::A),
        ("AAAA", TYPE::AAAA),
        ("CNAME", TYPE::CNAME),
        ("MX", TYPE::MX),
        ("NS", TYPE::NS),
        ("PTR", TYPE::PTR),
        ("SOA", TYPE::SOA),
        ("SRV", TYPE::SRV),
        ("TXT", TYPE::TXT),
    ];

    /// The results that can be wanted.
    pub const RCODES: [(&str, RCODE); 6] = [
        ("NOERROR", RCODE::NoError),
        ("FORMERR", RCODE::FormatError),
        ("SERVFAIL", RCODE::ServerFailure),
        ("NXDOMAIN", RCODE::NameError),
        ("NOTIMP", RCODE::NotImplemented),
        ("REFUSED", RCODE::Refused),
    ];

    /// The word for the type.
    pub fn qtype_word(&self) -> &'static str {
        Self::QTYPES.iter().find(|(_, t)| *t == self.qtype).map_or("A", |(word, _)| word)
    }

    /// The word for a result, if it has one here.
    pub fn rcode_word(rcode: RCODE) -> Option<&'static str> {
        Self::RCODES.iter().find(|(_, r)| *r == rcode).map(|(word, _)| *word)
    }
}

impl TcpCheck {
    /// The longest `send`, in bytes: each probe in flight holds one.
    pub const MAX_SEND: usize = 16 << 10;
}

/// `params` of `http` and `https`.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpCheck {
    /// Request target, begins with `/`; default `/`.
    pub path: String,
    /// Default `GET`.
    pub method: String,
    /// `Host:`; default the backend's address, with the port where it is not 80 (443 with TLS), in brackets for IPv6.
    pub host: Option<String>,
    /// Further request headers, in the file's order.
    pub headers: Vec<(String, String)>,
    /// Inclusive ranges of good codes; default 200 alone.
    pub codes: Vec<(u16, u16)>,
    /// What the first 64 KiB of the decoded body must match.
    pub regexp: Option<Pattern>,
    /// `https`: and whom it trusts.
    pub tls: Option<Tls>,
    /// 404 is no failure of a backend that is up: it asks for no new flows. Never with 404 among `codes`.
    pub disable_on_404: bool,
}

impl HttpCheck {
    /// The longest request, in bytes, but for what every request has: each probe in flight holds one.
    pub const MAX_REQUEST: usize = 16 << 10;
}

impl Default for HttpCheck {
    fn default() -> Self {
        HttpCheck {
            path: "/".into(),
            method: "GET".into(),
            host: None,
            headers: Vec::new(),
            codes: vec![(200, 200)],
            regexp: None,
            tls: None,
            disable_on_404: false,
        }
    }
}

/// A named address that is probed once, however many frontends use it.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    /// Its name.
    pub name: Name,
    /// Its address.
    pub address: IpAddr,
    /// None, and neither agent nor track: static: up without being probed.
    pub healthcheck: Option<Arc<Healthcheck>>,
    /// False: starts disabled.
    pub enabled: bool,
    /// Whose state it follows, instead of a healthcheck of its own. Never in a circle.
    pub track: Option<Name>,
    /// Who is asked for its words.
    pub agent: Option<Arc<Agent>>,
    /// Whose agent's share it takes for its own weight; never with an agent of its own, never in a circle.
    pub agent_track: Option<Name>,
}

impl Backend {
    /// Nobody is asked about it: no healthcheck, no agent, and it tracks none.
    pub fn is_static(&self) -> bool {
        self.healthcheck.is_none() && self.agent.is_none() && self.track.is_none()
    }
}

/// An agent: a service that is asked how a backend is, as HAProxy's `agent-check`.
#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    /// Its TCP port.
    pub port: u16,
    /// Where it listens; none: at the backend's address.
    pub address: Option<IpAddr>,
    /// Start to start, ≥ 10 ms; default 2 s. No jitter.
    pub interval: Duration,
    /// One deadline for connection and reply; default min(`interval`, 2 s).
    pub timeout: Duration,
    /// Sent after the connect, if not empty; at most [`Agent::MAX_SEND`] bytes.
    pub send: Vec<u8>,
}

impl Agent {
    /// The longest `send`, in bytes.
    pub const MAX_SEND: usize = 1024;
}

/// One VIP.
#[derive(Clone, Debug, PartialEq)]
pub struct Frontend {
    /// Its name.
    pub name: Name,
    /// Address, protocol and port.
    pub vip: VipKey,
    /// Free text.
    pub description: String,
    /// In order of preference; never empty.
    pub pools: Vec<Pool>,
    /// `lb` hashes only the source address.
    pub src_ip_sticky: bool,
    /// A backend that goes down loses its flows.
    pub flush_on_down: bool,
    /// How packets reach the servers.
    pub encap: Encap,
    /// Power of two, 1 to 65536.
    pub table_length: u32,
    /// How long a backend that was down or disabled takes to its full weight, above 0, at most an hour; none: at once.
    pub slow_start: Option<Duration>,
    /// What to do when too few backends are up.
    pub panic: Option<Panic>,
}

/// `panic`: a frontend that has lost too many backends rather believes its healthchecks to be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panic {
    /// Percent of its backends that must be up, 1–100.
    pub threshold: u8,
    /// What it does when fewer are.
    pub mode: PanicMode,
}

/// `panic.mode`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PanicMode {
    /// Weights as if all were up.
    FailOpen,
    /// The weights of the moment before.
    KeepLast,
}

impl PanicMode {
    /// All there are.
    pub const ALL: [PanicMode; 2] = [PanicMode::FailOpen, PanicMode::KeepLast];

    /// As in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            PanicMode::FailOpen => "fail-open",
            PanicMode::KeepLast => "keep-last",
        }
    }
}

/// One pool of a frontend.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Unique in its frontend.
    pub name: Name,
    /// Backend name → configured weight, 0–100.
    pub backends: BTreeMap<Name, u8>,
}

impl Frontend {
    /// Every (pool index, backend name, configured weight), pools in order.
    pub fn members(&self) -> impl Iterator<Item = (usize, &Name, u8)> {
        self.pools.iter().enumerate().flat_map(|(i, p)| p.backends.iter().map(move |(b, w)| (i, b, *w)))
    }
}

impl Healthcheck {
    /// The longest time from the death of a backend at full health to `down`, when it goes silent: with jitter j,
    /// (1+j)·interval + (fall−1)·max((1+j)·fast, timeout) + timeout.
    pub fn silent_bound(&self) -> Duration {
        let j = 1.0 + self.jitter_percent / 100.0;
        let step = self.fast_interval.mul_f64(j).max(self.timeout);
        self.interval.mul_f64(j) + step * (self.fall.saturating_sub(1)) + self.timeout
    }

    /// The same when it refuses: (1+j)·(interval + (fall−1)·fast) + 50 ms.
    pub fn refused_bound(&self) -> Duration {
        let j = 1.0 + self.jitter_percent / 100.0;
        (self.interval + self.fast_interval * (self.fall.saturating_sub(1))).mul_f64(j)
            + Duration::from_millis(50)
    }
}
