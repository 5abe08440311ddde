//! A configuration written out as YAML reads back as itself, without warnings that were not there before.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use maglev::Name;
use maglev::config::*;
use maglev::lb::{Encap, Protocol, VipKey};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

fn read_back(config: &Config) -> Config {
    let yaml = to_yaml(config);
    match parse(&yaml) {
        Ok(parsed) => parsed.config,
        Err(errors) => panic!("{errors}\n{yaml}"),
    }
}

#[test]
fn the_default() {
    assert_eq!(read_back(&Config::default()), Config::default());
}

#[test]
fn the_file_in_the_style_of_the_daemon() {
    let config = parse(include_str!("fixtures/daemon.yaml")).unwrap().config;
    assert_eq!(read_back(&config), config);
}

#[test]
fn every_default_is_written_out() {
    let text = "\
maglev:
  vpp: {lb: {ipv4-src-address: 192.0.2.254}}
  healthchecks: {h: {type: http, port: 80}, i: {type: icmp}, t: {type: tcp, port: 25}}
  backends: {a: {address: 198.51.100.1, healthcheck: h, agent: {port: 9777}}}
  frontends: {f: {address: 192.0.2.1, protocol: tcp, port: 80, panic: {}, pools: [{name: p, backends: {a: }}]}}
";
    let expected = include_str!("fixtures/defaults.yaml");
    assert_eq!(to_yaml(&parse(text).unwrap().config), expected);
}

fn name() -> impl Strategy<Value = Name> {
    "[A-Za-z0-9][A-Za-z0-9._:-]{0,8}|true|null|1e3|0x1F|12:30:45|y".prop_map(Name::from)
}

/// Text as files have it: with what YAML finds special, and without what it forbids.
fn text() -> impl Strategy<Value = String> {
    let odd = [
        "~",
        "null",
        "",
        " ",
        "- a",
        "# b",
        "a: b",
        "'",
        "\"",
        "\\",
        "yes",
        "0x10",
        "1_000",
        "{",
        "[",
        "&a",
        "*a",
        "!t",
        "|",
        ">",
        "%",
        "@",
        "é",
        "日本",
        "\u{1f600}",
        "<<",
        "2024-01-01",
        "a\tb",
        " lead",
        "trail ",
        "---",
        "...",
    ];
    prop_oneof![proptest::sample::select(odd.to_vec()).prop_map(String::from), "\\PC{0,200}", "[ -~]{0,20}",]
}

/// Text with line breaks and control characters as well.
fn bytes() -> impl Strategy<Value = String> {
    prop_oneof![
        text(),
        "[\\x00-\\x7f\u{85}\u{2028}\u{2029}\u{feff}\u{a0}]{0,20}",
        Just("QUIT\r\n".to_owned()),
        any::<String>()
    ]
}

fn duration(low: Duration, high: Duration) -> impl Strategy<Value = Duration> {
    (low.as_nanos() as u64..=high.as_nanos() as u64, 0u32..10).prop_map(move |(n, cut)| {
        let unit = 10u64.pow(cut);
        Duration::from_nanos(n / unit * unit).max(low)
    })
}

fn pattern() -> impl Strategy<Value = Pattern> {
    text().prop_map(|t| regex_syntax::escape(&t)).prop_map(|source| Pattern::new(&source).unwrap())
}

fn v4() -> impl Strategy<Value = Ipv4Addr> {
    (1u8..224, any::<[u8; 3]>()).prop_map(|(a, [b, c, d])| Ipv4Addr::new(a, b, c, d))
}

fn v6() -> impl Strategy<Value = Ipv6Addr> {
    (0x2000u16..0x4000, any::<[u16; 7]>())
        .prop_map(|(a, [b, c, d, e, f, g, h])| Ipv6Addr::new(a, b, c, d, e, f, g, h))
}

/// One file for all, which lives as long as the test.
static CA: std::sync::LazyLock<(tempfile::TempDir, Vec<Trust>)> = std::sync::LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem").to_str().unwrap().to_owned();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["ca".to_owned()]).unwrap();
    std::fs::write(&path, params.self_signed(&key).unwrap().pem()).unwrap();
    // Not the host's, which takes long to read: docs.rs has one.
    let all = [TrustFrom::Anyone, TrustFrom::File(path)];
    (dir, all.into_iter().map(|from| Trust::load(from).unwrap()).collect())
});

fn tls() -> impl Strategy<Value = Tls> {
    let name = "([a-z0-9]{1,9}\\.){0,3}[a-z]{1,9}|192\\.0\\.2\\.[1-9]|2001:db8::[1-9]";
    (option::of(name), prop::sample::select(CA.1.clone()))
        .prop_map(|(name, trust)| Tls { server_name: name.and_then(|n| server_name(&n)), trust })
}

fn kind() -> impl Strategy<Value = CheckKind> {
    let tcp = (bytes(), option::of(pattern()), option::of(tls()))
        .prop_map(|(send, expect, tls)| CheckKind::Tcp(TcpCheck { send: send.into_bytes(), expect, tls }));
    let udp = (vec(any::<u8>(), 0..20), any::<bool>(), option::of(pattern())).prop_map(
        |(mut send, text, expect)| {
            if text {
                send = send.iter().map(|b| b & 0x7f).filter(|b| *b != 0).collect();
            }
            // A text that begins with `0x` would be hexadecimal, which has its own test.
            let expect = expect.filter(|e| !e.source.starts_with("0x"));
            CheckKind::Udp(UdpCheck { send, expect })
        },
    );
    let dns = (
        "([a-zA-Z0-9_-]{1,9}\\.){0,3}[a-z]{1,9}\\.?",
        prop::sample::select(DnsCheck::QTYPES.to_vec()),
        prop::sample::select(DnsCheck::RCODES.to_vec()),
        option::of(pattern()),
    )
        .prop_map(|(name, (_, qtype), (_, rcode), expect)| {
            CheckKind::Dns(DnsCheck { name, qtype, rcode, expect })
        });
    let value = text().prop_map(|t| t.replace(|c: char| c.is_control(), ""));
    let headers = btree_map("[a-z][a-z-]{0,8}x", value, 0..4).prop_map(|m| m.into_iter().collect::<Vec<_>>());
    let codes = vec((100u16..600, 0u16..50), 1..4)
        .prop_map(|v| v.into_iter().map(|(low, n)| (low, (low + n).min(599))).collect::<Vec<_>>());
    let http = (
        "/[!-~]{0,20}",
        "[A-Z]{1,7}",
        option::of("[!-~]{1,20}"),
        headers,
        codes,
        option::of(pattern()),
        option::of(tls()),
        any::<bool>(),
    )
        .prop_map(|(path, method, host, headers, codes, regexp, tls, gone)| {
            let has_404 = codes.iter().any(|(low, high)| (*low..=*high).contains(&404));
            CheckKind::Http(HttpCheck {
                path,
                method,
                host,
                headers,
                codes,
                regexp,
                tls,
                disable_on_404: gone && !has_404,
            })
        });
    prop_oneof![tcp, http, udp, dns, Just(CheckKind::Icmp)]
}

fn healthcheck() -> impl Strategy<Value = Healthcheck> {
    let day = Duration::from_secs(86_400);
    let interval = || duration(Duration::from_millis(10), day);
    let times = (interval(), interval(), interval(), duration(Duration::from_nanos(1), day));
    let counts = (1u32..1000, 1u32..1000, any::<bool>(), 0.0f64..=50.0, any::<bool>());
    (kind(), 1u16.., times, counts, option::of(v4()), option::of(v6())).prop_map(
        |(kind, port, times, (rise, fall, haproxy, jitter, whole), probe_ipv4_src, probe_ipv6_src)| {
            Healthcheck {
                name: "".into(),
                port: if kind == CheckKind::Icmp { 0 } else { port },
                kind,
                interval: times.0,
                fast_interval: times.1,
                down_interval: times.2,
                timeout: times.3,
                rise,
                fall,
                counter: if haproxy { CounterKind::Haproxy } else { CounterKind::Linear },
                jitter_percent: if whole { jitter.floor() } else { jitter },
                probe_ipv4_src,
                probe_ipv6_src,
            }
        },
    )
}

fn lb() -> impl Strategy<Value = LbConfig> {
    let day = Duration::from_secs(86_400);
    let delays = [(); 3].map(|()| duration(Duration::ZERO, day));
    let [a, b, agents] = delays;
    let delays = (a, b, agents);
    (v4(), v6(), duration(Duration::from_nanos(1), day), 0u32..=20, 1u64..=120, delays).prop_map(
        |(four, six, sync_interval, buckets, timeout, (a, b, agent_weight_interval))| LbConfig {
            ipv4_src_address: Some(four),
            ipv6_src_address: Some(six),
            sync_interval,
            sticky_buckets_per_core: 1 << buckets,
            flow_timeout: Duration::from_secs(timeout),
            startup_min_delay: a.min(b),
            startup_max_delay: a.max(b),
            agent_weight_interval,
        },
    )
}

fn agent() -> impl Strategy<Value = Agent> {
    let day = Duration::from_secs(86_400);
    let address = prop_oneof![v4().prop_map(IpAddr::V4), v6().prop_map(IpAddr::V6)];
    let interval = duration(Duration::from_millis(10), day);
    (1u16.., option::of(address), interval, duration(Duration::from_nanos(1), day), bytes()).prop_map(
        |(port, address, interval, timeout, mut send)| {
            send.truncate(send.floor_char_boundary(Agent::MAX_SEND));
            Agent { port, address, interval, timeout, send: send.into_bytes() }
        },
    )
}

fn panic() -> impl Strategy<Value = Panic> {
    let mode = prop_oneof![Just(PanicMode::FailOpen), Just(PanicMode::KeepLast)];
    (1u8..=100, mode).prop_map(|(threshold, mode)| Panic { threshold, mode })
}

/// Whom a backend follows and listens to: of the backends before it, so that there are no circles.
type Ties = (Option<prop::sample::Index>, Option<Agent>, Option<prop::sample::Index>);

fn ties() -> impl Strategy<Value = Ties> {
    (option::of(any::<prop::sample::Index>()), option::of(agent()), option::of(any::<prop::sample::Index>()))
}

fn tie(backends: &mut BTreeMap<Name, Arc<Backend>>, ties: Vec<Ties>) {
    let (mut before, mut heard): (Vec<Name>, Vec<Name>) = (Vec::new(), Vec::new());
    for (b, (track, agent, agent_track)) in backends.values_mut().zip(ties) {
        let b = Arc::get_mut(b).unwrap();
        let pick = |of: &[Name], i: Option<prop::sample::Index>| {
            i.filter(|_| !of.is_empty()).map(|i| i.get(of).clone())
        };
        b.track = pick(&before, track).filter(|_| b.healthcheck.is_none());
        b.agent_track = pick(&heard, agent_track);
        b.agent = agent.filter(|_| b.agent_track.is_none()).map(Arc::new);
        before.push(b.name.clone());
        if b.agent.is_some() || b.agent_track.is_some() {
            heard.push(b.name.clone());
        }
    }
}

/// Choices that make frontends out of whatever backends there are.
type Choice = (
    Name,
    (String, bool, bool),
    (u8, u8, u16),
    (u32, bool),
    (Option<Duration>, Option<Panic>),
    Vec<(Name, Vec<(prop::sample::Index, u8)>)>,
);

fn choice() -> impl Strategy<Value = Choice> {
    let members = vec((any::<prop::sample::Index>(), 0u8..=100), 1..5);
    let pools = vec((name(), members), 1..4);
    (
        name(),
        (text(), any::<bool>(), any::<bool>()),
        (0u8..3, 0u8..64, 1u16..),
        (0u32..=16, any::<bool>()),
        (option::of(duration(Duration::from_nanos(1), Duration::from_secs(3600))), option::of(panic())),
        pools,
    )
}

/// A valid configuration: what the choices would make invalid is left out.
fn config() -> impl Strategy<Value = Config> {
    let healthchecker = (1usize..100, option::of("[a-z0-9.@ -]{3,9}"), 1usize..9999, 1usize..9999).prop_map(
        |(transition_history, netns, max_in_flight, max_agents_in_flight)| Healthchecker {
            transition_history,
            netns,
            max_in_flight,
            max_agents_in_flight,
        },
    );
    let checks = btree_map(name(), healthcheck(), 1..4);
    let addresses = btree_set(prop_oneof![v4().prop_map(IpAddr::V4), v6().prop_map(IpAddr::V6)], 1..8);
    let backends = (addresses, vec((name(), any::<prop::sample::Index>(), any::<bool>(), any::<bool>()), 8));
    let vips = btree_set(prop_oneof![v4().prop_map(IpAddr::V4), v6().prop_map(IpAddr::V6)], 4);
    (healthchecker, lb(), checks, backends, vec(ties(), 8), vips, vec(choice(), 0..4)).prop_map(
        |(healthchecker, lb, checks, (addresses, picks), ties, vips, choices)| {
            let healthchecks: BTreeMap<Name, Arc<Healthcheck>> = checks
                .into_iter()
                .map(|(name, h)| (name.clone(), Arc::new(Healthcheck { name, ..h })))
                .collect();
            let all: Vec<Arc<Healthcheck>> = healthchecks.values().cloned().collect();
            let mut backends: BTreeMap<Name, Arc<Backend>> = addresses
                .into_iter()
                .zip(picks)
                .map(|(address, (name, pick, some, enabled))| {
                    let healthcheck = some.then(|| pick.get(&all).clone());
                    let b = Backend {
                        name: name.clone(),
                        address,
                        healthcheck,
                        enabled,
                        track: None,
                        agent: None,
                        agent_track: None,
                    };
                    (name, Arc::new(b))
                })
                .collect();
            tie(&mut backends, ties);
            let mut frontends = BTreeMap::new();
            let mut nat_ports = 5000..;
            for (address, choice) in vips.into_iter().zip(choices) {
                if let Some(f) = frontend(address, choice, &backends, &mut nat_ports) {
                    frontends.insert(f.name.clone(), Arc::new(f));
                }
            }
            Config { healthchecker, lb, healthchecks, backends, frontends }
        },
    )
}

fn frontend(
    address: IpAddr,
    choice: Choice,
    backends: &BTreeMap<Name, Arc<Backend>>,
    nat_ports: &mut impl Iterator<Item = u16>,
) -> Option<Frontend> {
    let (
        name,
        (description, src_ip_sticky, flush_on_down),
        (service, dscp, port),
        (bits, dsr),
        (slow_start, panic),
        picks,
    ) = choice;
    let four = address.is_ipv4();
    let mut left: Vec<&Arc<Backend>> = backends.values().filter(|b| b.address.is_ipv4() == four).collect();
    let mut pools: Vec<Pool> = Vec::new();
    for (name, members) in picks {
        let mut backends = BTreeMap::new();
        for (index, weight) in members {
            if !left.is_empty() {
                let b = left.remove(index.index(left.len()));
                backends.insert(b.name.clone(), weight);
            }
        }
        if !backends.is_empty() && pools.iter().all(|p| p.name != name) {
            pools.push(Pool { name, backends });
        }
    }
    let service = match service {
        0 => None,
        1 => Some((Protocol::Tcp, port)),
        _ => Some((Protocol::Udp, port)),
    };
    // Each its own, so that no (backend, target port) comes twice.
    let nat = matches!(service, Some((Protocol::Udp, _))) && dscp % 2 == 1;
    let target_port = nat_ports.next().filter(|_| nat);
    let encap = match (four, target_port, dsr) {
        (true, Some(target_port), _) => Encap::Nat4 { target_port },
        (false, Some(target_port), _) => Encap::Nat6 { target_port },
        (true, None, true) => Encap::L3dsr { dscp },
        (true, None, false) => Encap::Gre4,
        (false, None, _) => Encap::Gre6,
    };
    (!pools.is_empty()).then_some(Frontend {
        name,
        vip: VipKey { address, service },
        description,
        pools,
        src_ip_sticky,
        flush_on_down,
        encap,
        table_length: 1 << bits,
        slow_start,
        panic,
    })
}

proptest! {
    #[test]
    fn any_configuration(config in config()) {
        prop_assert_eq!(read_back(&config), config);
    }
}
