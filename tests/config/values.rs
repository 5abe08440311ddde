//! What valid files mean: defaults, durations, numbers, and a file in the style of the daemon vpp-maglev.

use std::time::Duration;

use maglev::config::scalar::{format_duration, parse_bool, parse_codes, parse_duration, parse_percent};
use maglev::config::{
    CheckKind, Config, CounterKind, DnsCheck, Healthcheck, Healthchecker, HttpCheck, LbConfig, TcpCheck,
    TrustFrom, UdpCheck, parse, server_name,
};
use maglev::lb::{Encap, Protocol, VipKey};

use crate::mark::{POOLS, assert_warnings, check, frontends, good};

fn one(body: &str) -> Healthcheck {
    (*good(&check(body)).healthchecks["h"]).clone()
}

#[test]
fn defaults() {
    assert_eq!(good("maglev: {}\n"), Config::default());
    assert_eq!(good("\u{feff}maglev: {vpp: {lb: }, healthchecker: ~}\n"), Config::default());
    let config = Config::default();
    assert_eq!(
        config.healthchecker,
        Healthchecker { transition_history: 5, netns: None, max_in_flight: 4096, max_agents_in_flight: 1024 }
    );
    let seconds = Duration::from_secs;
    assert_eq!(
        config.lb,
        LbConfig {
            ipv4_src_address: None,
            ipv6_src_address: None,
            sync_interval: seconds(30),
            sticky_buckets_per_core: 65536,
            flow_timeout: seconds(40),
            startup_min_delay: seconds(0),
            startup_max_delay: seconds(30),
            agent_weight_interval: seconds(1),
        }
    );
    let http = one("type: http, port: 80");
    assert_eq!(
        http,
        Healthcheck {
            name: "h".into(),
            kind: CheckKind::Http(HttpCheck {
                path: "/".into(),
                method: "GET".into(),
                host: None,
                headers: vec![],
                codes: vec![(200, 200)],
                regexp: None,
                tls: None,
                disable_on_404: false,
            }),
            port: 80,
            interval: seconds(2),
            fast_interval: seconds(2),
            down_interval: seconds(2),
            timeout: seconds(2),
            rise: 2,
            fall: 3,
            counter: CounterKind::Linear,
            jitter_percent: 10.0,
            probe_ipv4_src: None,
            probe_ipv6_src: None,
        }
    );
    assert_eq!(
        one("type: tcp, port: 1").kind,
        CheckKind::Tcp(TcpCheck { send: vec![], expect: None, tls: None })
    );
    assert_eq!(one("type: icmp").port, 0);

    let config = good(&frontends(&[("f", &format!("address: 192.0.2.1, {POOLS}"))]));
    let (a, f) = (&config.backends["a"], &config.frontends["f"]);
    assert!(a.enabled && a.healthcheck.is_none());
    assert_eq!(f.vip, VipKey { address: "192.0.2.1".parse().unwrap(), service: None });
    assert_eq!((f.description.as_str(), f.src_ip_sticky, f.flush_on_down), ("", false, true));
    assert_eq!((f.encap, f.table_length), (Encap::Gre4, 1024));
    assert_eq!(
        f.members().map(|(i, n, w)| (i, n.to_string(), w)).collect::<Vec<_>>(),
        [(0, "a".into(), 100)]
    );
}

#[test]
fn intervals_and_timeout_follow_the_interval() {
    let ms = Duration::from_millis;
    let h = one("type: icmp, interval: 500ms");
    assert_eq!((h.fast_interval, h.down_interval, h.timeout), (ms(500), ms(500), ms(500)));
    let h = one("type: icmp, interval: 10s");
    assert_eq!((h.fast_interval, h.down_interval, h.timeout), (ms(10_000), ms(10_000), ms(2_000)));
    let h = one("type: icmp, interval: 1s, fast-interval: 10ms, down-interval: 1m, timeout: 1ns");
    assert_eq!((h.fast_interval, h.down_interval, h.timeout), (ms(10), ms(60_000), Duration::from_nanos(1)));
}

#[test]
fn default_table_length() {
    for (weights, length) in [
        (&[0][..], 1024),
        (&[100], 1024),
        (&[100, 100, 100, 100, 100, 12], 1024),
        (&[100, 100, 100, 100, 100, 13], 2048),
    ] {
        let mut text = String::from("maglev:\n  vpp: {lb: {ipv4-src-address: 192.0.2.254}}\n  backends:\n");
        for i in 0..weights.len() {
            text += &format!("    b{i}: {{address: 10.0.0.{}}}\n", i + 1);
        }
        // The first pool is the smaller one: the largest counts, not the sum of all.
        text += "    s: {address: 10.1.0.1}\n  frontends:\n    f:\n      address: 192.0.2.1\n      pools:\n";
        text += "        - {name: small, backends: {s: {weight: 0}}}\n        - name: large\n          backends:\n";
        for (i, w) in weights.iter().enumerate() {
            text += &format!("            b{i}: {{weight: {w}}}\n");
        }
        assert_eq!(good(&text).frontends["f"].table_length, length, "{weights:?}");
    }
    let f = |length: &str| {
        let body = format!("address: 192.0.2.1, new-flow-table-length: {length}, {POOLS}");
        good(&frontends(&[("f", &body)])).frontends["f"].table_length
    };
    assert_eq!((f("65536"), f("0x80"), f("0o400")), (65536, 128, 256));
}

#[test]
fn encap_is_the_backends_family() {
    let f = |address: &str, more: &str, backend: &str| {
        let body = format!("address: '{address}', {more}pools: [{{name: p, backends: {{{backend}: {{}}}}}}]");
        good(&frontends(&[("f", &body)])).frontends["f"].encap
    };
    assert_eq!(f("192.0.2.1", "", "a"), Encap::Gre4);
    assert_eq!(f("192.0.2.1", "", "six"), Encap::Gre6);
    assert_eq!(f("2001:db8::1", "encap: gre, ", "a"), Encap::Gre4);
    assert_eq!(f("2001:db8::1", "encap: gre6, ", "six"), Encap::Gre6);
    assert_eq!(f("192.0.2.1", "encap: l3dsr, dscp: 0, ", "a"), Encap::L3dsr { dscp: 0 });
    let udp = |more: &str| format!("protocol: udp, port: 53, {more}");
    assert_eq!(f("192.0.2.1", &udp("encap: nat4, "), "a"), Encap::Nat4 { target_port: 53 });
    let six = f("2001:db8::1", &udp("encap: nat6, target-port: 53, "), "six");
    assert_eq!(six, Encap::Nat6 { target_port: 53 });
}

#[test]
fn go_durations() {
    let ns = Duration::from_nanos;
    for (text, nanos) in [
        ("0", 0),
        ("+0", 0),
        ("0s", 0),
        ("1ns", 1),
        ("1us", 1_000),
        ("1µs", 1_000),
        ("1μs", 1_000),
        ("500ms", 500_000_000),
        ("+2s", 2_000_000_000),
        ("1.5s", 1_500_000_000),
        (".5s", 500_000_000),
        ("1.s", 1_000_000_000),
        ("1m30s", 90_000_000_000),
        ("1.5h", 5_400_000_000_000),
        ("1h1m1s1ms1us1ns", 3_661_001_001_001),
        ("0.1234567891234567891234s", 123_456_789),
        ("2562047h47m16.854775807s", i64::MAX as u64),
    ] {
        assert_eq!(parse_duration(text), Ok(ns(nanos)), "{text}");
    }
    for bad in [
        "",
        "2",
        "2.5",
        "s",
        "-1s",
        "-0",
        "1s-",
        "1 s",
        "1sm",
        "1e3s",
        ".s",
        "..1s",
        "1..s",
        "2562047h47m16.854775808s",
        "+",
        "ms",
        "1S",
        "١s",
        "99999999999999999999999999999999999999999h",
        "0x1s",
    ] {
        assert!(parse_duration(bad).is_err(), "{bad}");
    }
}

#[test]
fn durations_are_printed_as_go_does_and_read_back() {
    for (nanos, text) in [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5us"),
        (250_000_000, "250ms"),
        (2_000_000_000, "2s"),
        (90_000_000_000, "1m30s"),
        (3_600_000_000_000, "1h"),
        (3_661_500_000_000, "1h1m1.5s"),
        (1_000_000_001, "1.000000001s"),
    ] {
        assert_eq!(format_duration(Duration::from_nanos(nanos)), text);
    }
}

proptest::proptest! {
    #[test]
    fn any_duration_is_read_back(nanos in 0..=i64::MAX as u64) {
        let d = Duration::from_nanos(nanos);
        proptest::prop_assert_eq!(parse_duration(&format_duration(d)), Ok(d));
    }
}

#[test]
fn single_values() {
    for (text, value) in [
        ("10", Some(10.0)),
        ("10%", Some(10.0)),
        ("10.5", Some(10.5)),
        ("10 %", Some(10.0)),
        ("%", None),
        ("", None),
        ("1e1", None),
        ("1.2.3", None),
        ("inf", None),
    ] {
        assert_eq!(parse_percent(text), value, "{text}");
    }
    assert_eq!(parse_codes("200"), Ok(vec![(200, 200)]));
    assert_eq!(parse_codes("200-204, 301"), Ok(vec![(200, 204), (301, 301)]));
    assert_eq!((parse_bool("yes"), parse_bool("OFF"), parse_bool("tRUE")), (Some(true), Some(false), None));
    for (jitter, percent) in [("10", 10.0), ("10%", 10.0), ("10.5", 10.5), ("0", 0.0), ("50 %", 50.0)] {
        assert_eq!(one(&format!("type: icmp, jitter: {jitter}")).jitter_percent, percent);
    }
}

#[test]
fn params_are_read() {
    let h = one(
        "type: http, port: 8080, counter: haproxy, params: {path: '/a?b=c', method: HEAD, host: 'x.example:81', \
         headers: {X-B: '1', X-A: 2, Empty: }, response-code: '200-204,301', response-regexp: '^(?i)ok'}",
    );
    let CheckKind::Http(http) = &h.kind else { panic!("{h:?}") };
    assert_eq!(
        (http.path.as_str(), http.method.as_str(), http.host.as_deref()),
        ("/a?b=c", "HEAD", Some("x.example:81"))
    );
    let headers: Vec<(&str, &str)> = http.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(headers, [("X-B", "1"), ("X-A", "2"), ("Empty", "")]);
    assert_eq!(http.codes, [(200, 204), (301, 301)]);
    let regexp = http.regexp.as_ref().unwrap();
    assert_eq!(regexp.source, "^(?i)ok");
    assert!(regexp.is_match(b"OK then") && !regexp.is_match(b"not ok"));
    assert_eq!(h.counter, CounterKind::Haproxy);

    let h = one(r#"type: tcp, port: 25, params: {send: "QUIT\r\n", expect: '^220 '}"#);
    let CheckKind::Tcp(tcp) = &h.kind else { panic!("{h:?}") };
    assert_eq!(tcp.send, b"QUIT\r\n");
    assert!(tcp.expect.as_ref().unwrap().is_match(b"220 mail\xff"));
}

#[test]
fn params_of_tls_are_read() {
    let h = one(
        "type: https, port: 443, params: {server-name: www.example.net., insecure-skip-verify: yes, host: a}",
    );
    assert_eq!(h.kind.as_str(), "https");
    let CheckKind::Http(http) = &h.kind else { panic!("{h:?}") };
    let tls = http.tls.as_ref().unwrap();
    assert_eq!(tls.server_name, server_name("www.example.net"));
    assert_eq!(*tls.trust.from(), TrustFrom::Anyone);

    let h = one("type: tcp, port: 993, params: {ssl: true, insecure-skip-verify: true}");
    assert_eq!(h.kind.as_str(), "tcp");
    let CheckKind::Tcp(tcp) = &h.kind else { panic!("{h:?}") };
    assert_eq!(tcp.tls.as_ref().unwrap().server_name, None);
    let CheckKind::Tcp(tcp) = one("type: tcp, port: 993, params: {ssl: no}").kind else { panic!() };
    assert_eq!(tcp.tls, None);
}

#[test]
fn params_of_dns_are_read() {
    let h = one("type: dns, params: {name: example.net., qtype: AAAA, rcode: NXDOMAIN, expect: '^2001'}");
    assert_eq!(h.port, 53);
    let CheckKind::Dns(dns) = &h.kind else { panic!("{h:?}") };
    assert_eq!((dns.name.as_str(), dns.qtype_word()), ("example.net.", "AAAA"));
    assert_eq!(DnsCheck::rcode_word(dns.rcode), Some("NXDOMAIN"));
    assert_eq!(dns.expect.as_ref().unwrap().source, "^2001");
    let CheckKind::Dns(dns) = one("type: dns, port: 5353, params: {name: .}").kind else { panic!() };
    assert_eq!((dns.name.as_str(), dns.qtype_word()), (".", "A"));
    assert_eq!((DnsCheck::rcode_word(dns.rcode), dns.expect), (Some("NOERROR"), None));
}

#[test]
fn params_of_udp_are_read() {
    let udp = |params: &str| match one(&format!("type: udp, port: 9, params: {{{params}}}")).kind {
        CheckKind::Udp(udp) => udp,
        other => panic!("{other:?}"),
    };
    assert_eq!(udp(""), UdpCheck::default());
    assert_eq!(udp("send: 0xC0ffee").send, [0xc0, 0xff, 0xee]);
    assert_eq!(udp("send: hello").send, b"hello");
    let hex = udp("expect: '0xff2E'").expect.unwrap();
    assert_eq!(hex.source, "0xff2E");
    assert!(hex.is_match(b"\x00\xff.\x00") && !hex.is_match(b"\xffx"));
    assert!(udp("expect: '^a.c$'").expect.unwrap().is_match(b"abc"));
    assert_eq!(udp(&format!("send: {}", "x".repeat(65_507))).send.len(), 65_507);
}

#[test]
fn anchors_aliases_and_merge_keys() {
    let text = "\
maglev:
  healthchecks:
    a: &a {type: icmp, rise: 7, fall: 8}
    b: &b {fall: 9, interval: 3s}
    c: {<<: *a, fall: 1}
    d: {fall: 2, <<: [*b, *a]}
    e: *a
    '<<': {type: icmp}
";
    let text = text.replace("    '<<': {type: icmp}\n", "");
    let text = text.replace("b: &b {fall", "b: &b {type: icmp, fall");
    let config = good(&text);
    let get = |n: &str| {
        let h = &config.healthchecks[n];
        (h.name.to_string(), h.rise, h.fall, h.interval.as_secs())
    };
    assert_eq!(get("c"), ("c".into(), 7, 1, 2));
    assert_eq!(get("d"), ("d".into(), 7, 2, 3));
    assert_eq!(get("e"), ("e".into(), 7, 8, 2));
    // A quoted one is a key like any other.
    crate::mark::assert_errors("quoted", "maglev: {▸'<<': {}}", &["unknown key `<<`"]);
    // An error is told where it is written, not where it is used.
    crate::mark::assert_errors(
        "place",
        "maglev:\n  healthchecks:\n    a: &a {type: icmp, rise: ▸▸0}\n    b: *a\n",
        &["`rise` must be from 1 to 1000000, not `0`"; 2],
    );
}

#[test]
fn ipv6_needs_no_quotes() {
    for text in [
        "maglev: {backends: {a: {address: 2001:db8::1, enabled: true}}}",
        "maglev: {backends: {a: {address: ::1}}}",
        "maglev:\n  backends:\n    a:\n      address: ::1\n",
        "maglev:\n  backends:\n    a: {address: \"2001:db8::\"}\n",
    ] {
        assert!(good(text).backends["a"].address.is_ipv6(), "{text}");
    }
}

#[test]
fn text_may_look_like_something_else() {
    let f = format!("address: 192.0.2.1, description: 2024, {POOLS}");
    assert_eq!(good(&frontends(&[("f", &f)])).frontends["f"].description, "2024");
    let f = format!("address: 192.0.2.1, description: !!str ~, {POOLS}");
    assert_eq!(good(&frontends(&[("f", &f)])).frontends["f"].description, "~");
    let config = good("maglev: {healthchecker: {netns: 007}, backends: {80: {address: 192.0.2.1}}}");
    assert_eq!(config.healthchecker.netns.as_deref(), Some("007"));
    assert!(config.backends.contains_key("80"));
    assert_eq!(good("maglev: {healthchecker: {netns: ''}}").healthchecker.netns, None);
}

#[test]
fn a_file_in_the_style_of_the_daemon_loads_unchanged() {
    let text = include_str!("fixtures/daemon.yaml");
    let marked = text.replace("insecure-skip-verify", "▸insecure-skip-verify");
    let config = assert_warnings("daemon", &marked, &["`insecure-skip-verify` has no meaning for type http"]);
    assert_eq!((config.healthchecks.len(), config.backends.len(), config.frontends.len()), (4, 7, 4));
    assert_eq!(config.healthchecker.netns.as_deref(), Some("dataplane"));
    let slow = &config.healthchecks["web-http-slow"];
    assert_eq!(
        (slow.interval, slow.fast_interval, slow.port),
        (Duration::from_secs(10), Duration::from_millis(250), 80)
    );
    let CheckKind::Http(http) = &slow.kind else { panic!("{slow:?}") };
    assert_eq!(
        (http.path.as_str(), http.host.as_deref(), http.codes.as_slice()),
        ("/slow", None, &[(200, 200)][..])
    );
    assert_eq!(config.healthchecks["ping"].interval, Duration::from_secs(90));
    assert!(config.backends["web1-ams"].enabled && !config.backends["web0-fra"].enabled);
    let web = &config.frontends["web"];
    assert_eq!(web.vip.service, Some((Protocol::Tcp, 80)));
    assert_eq!(web.encap, Encap::Gre4);
    let members: Vec<(usize, &str, u8)> = web.members().map(|(i, n, w)| (i, &**n, w)).collect();
    assert_eq!(
        members,
        [(0, "web0-ams", 10), (0, "web1-ams", 100), (1, "static0", 100), (1, "web0-fra", 100)]
    );
    assert_eq!(config.frontends["web6"].encap, Encap::Gre6);
    assert_eq!(config.frontends["dns"].vip.service, None);
}

#[test]
fn errors_print_one_a_line() {
    let errors = parse("maglev: {a: 1, b: 2}").unwrap_err();
    assert_eq!(errors.to_string(), "1:10: unknown key `a`\n1:16: unknown key `b`");
}
