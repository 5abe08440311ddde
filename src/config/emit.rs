//! A configuration as YAML with every default written out. [`super::parse`] reads it back to an equal one.

use std::net::IpAddr;

use serde_yaml::{Mapping, Value};

use super::scalar::{format_codes, format_duration};
use super::{
    Agent, Backend, CheckKind, Config, CounterKind, DnsCheck, Frontend, Healthcheck, Healthchecker, LbConfig,
    Pool, Tls, TrustFrom,
};
use crate::lb::Encap;

/// The configuration as YAML, keys in the order of the documentation. What has no default and is not set is left out.
pub fn to_yaml(config: &Config) -> String {
    let named = |all: Vec<(&str, Mapping)>| {
        let mut out = Mapping::new();
        for (name, value) in all {
            out.insert(name.into(), value.into());
        }
        out
    };
    let mut lb_section = Mapping::new();
    put(&mut lb_section, "lb", lb(&config.lb));
    let mut maglev = Mapping::new();
    put(&mut maglev, "healthchecker", healthchecker(&config.healthchecker));
    put(&mut maglev, "vpp", lb_section);
    let checks = config.healthchecks.iter().map(|(n, h)| (&**n, healthcheck(h)));
    put(&mut maglev, "healthchecks", named(checks.collect()));
    let backends = config.backends.iter().map(|(n, b)| (&**n, backend(b)));
    put(&mut maglev, "backends", named(backends.collect()));
    let frontends = config.frontends.iter().map(|(n, f)| (&**n, frontend(f)));
    put(&mut maglev, "frontends", named(frontends.collect()));
    let mut root = Mapping::new();
    put(&mut root, "maglev", maglev);
    let mut odd = Vec::new();
    for (_, value) in &mut root {
        set_aside(value, &mut odd);
    }
    // A tree of strings, numbers and mappings with string keys can always be written.
    let text = serde_yaml::to_string(&root).unwrap_or_else(|e| format!("# {e}\n"));
    put_back(&text, &odd)
}

/// Stands around the number of a text that was set aside. A private character, which the writer leaves bare.
const MARK: char = '\u{e000}';

/// The writer knows YAML 1.1, in which U+2028 and others end a line; YAML 1.2 disagrees. Texts with anything of that
/// kind are taken out here, and put back by [`put_back`] with escapes, which both read alike.
fn set_aside(value: &mut Value, odd: &mut Vec<String>) {
    match value {
        Value::Mapping(map) => map.iter_mut().for_each(|(_, v)| set_aside(v, odd)),
        Value::Sequence(list) => list.iter_mut().for_each(|v| set_aside(v, odd)),
        Value::String(text) if text.chars().any(is_odd) => {
            odd.push(escaped(text));
            *text = format!("{MARK}{}{MARK}", odd.len() - 1);
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::Tagged(_) => {}
    }
}

fn put_back(text: &str, odd: &[String]) -> String {
    let mut out = String::with_capacity(text.len());
    for (i, part) in text.split(MARK).enumerate() {
        // Every second part is a number.
        let number = part.parse::<usize>().ok().filter(|_| i % 2 == 1);
        out.push_str(number.and_then(|n| odd.get(n)).map_or(part, String::as_str));
    }
    out
}

fn is_odd(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' | MARK)
}

/// A double-quoted scalar.
fn escaped(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_odd(c) => out += &format!("\\u{:04X}", u32::from(c)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn put(map: &mut Mapping, key: &str, value: impl Into<Value>) {
    map.insert(key.into(), value.into());
}

fn put_some<T: ToString>(map: &mut Mapping, key: &str, value: Option<T>) {
    if let Some(value) = value {
        put(map, key, value.to_string());
    }
}

fn healthchecker(h: &Healthchecker) -> Mapping {
    let mut m = Mapping::new();
    put(&mut m, "transition-history", h.transition_history);
    put_some(&mut m, "netns", h.netns.as_ref());
    put(&mut m, "max-in-flight", h.max_in_flight);
    put(&mut m, "max-agents-in-flight", h.max_agents_in_flight);
    m
}

fn lb(lb: &LbConfig) -> Mapping {
    let mut m = Mapping::new();
    put_some(&mut m, "ipv4-src-address", lb.ipv4_src_address);
    put_some(&mut m, "ipv6-src-address", lb.ipv6_src_address);
    put(&mut m, "sync-interval", format_duration(lb.sync_interval));
    put(&mut m, "sticky-buckets-per-core", lb.sticky_buckets_per_core);
    put(&mut m, "flow-timeout", format_duration(lb.flow_timeout));
    put(&mut m, "startup-min-delay", format_duration(lb.startup_min_delay));
    put(&mut m, "startup-max-delay", format_duration(lb.startup_max_delay));
    put(&mut m, "agent-weight-interval", format_duration(lb.agent_weight_interval));
    m
}

fn healthcheck(h: &Healthcheck) -> Mapping {
    let mut m = Mapping::new();
    put(&mut m, "type", h.kind.as_str());
    if h.kind != CheckKind::Icmp {
        put(&mut m, "port", h.port);
    }
    put(&mut m, "interval", format_duration(h.interval));
    put(&mut m, "fast-interval", format_duration(h.fast_interval));
    put(&mut m, "down-interval", format_duration(h.down_interval));
    put(&mut m, "timeout", format_duration(h.timeout));
    put(&mut m, "rise", h.rise);
    put(&mut m, "fall", h.fall);
    let counter = match h.counter {
        CounterKind::Linear => "linear",
        CounterKind::Haproxy => "haproxy",
    };
    put(&mut m, "counter", counter);
    put(&mut m, "jitter", format!("{}%", h.jitter_percent));
    put_some(&mut m, "probe-ipv4-src", h.probe_ipv4_src);
    put_some(&mut m, "probe-ipv6-src", h.probe_ipv6_src);
    let mut params = Mapping::new();
    match &h.kind {
        CheckKind::Icmp => return m,
        CheckKind::Tcp(tcp) => {
            if !tcp.send.is_empty() {
                put(&mut params, "send", String::from_utf8_lossy(&tcp.send).into_owned());
            }
            put_some(&mut params, "expect", tcp.expect.as_ref().map(|p| &p.source));
            if let Some(t) = &tcp.tls {
                put(&mut params, "ssl", true);
                tls(&mut params, t);
            }
        }
        CheckKind::Udp(udp) => {
            if !udp.send.is_empty() {
                put(&mut params, "send", text_or_hex(&udp.send));
            }
            put_some(&mut params, "expect", udp.expect.as_ref().map(|p| &p.source));
        }
        CheckKind::Dns(dns) => {
            put(&mut params, "name", dns.name.as_str());
            put(&mut params, "qtype", dns.qtype_word());
            put_some(&mut params, "rcode", DnsCheck::rcode_word(dns.rcode));
            put_some(&mut params, "expect", dns.expect.as_ref().map(|p| &p.source));
        }
        CheckKind::Http(http) => {
            put(&mut params, "path", http.path.as_str());
            put(&mut params, "method", http.method.as_str());
            put_some(&mut params, "host", http.host.as_ref());
            if !http.headers.is_empty() {
                let mut headers = Mapping::new();
                for (name, value) in &http.headers {
                    put(&mut headers, name, value.as_str());
                }
                put(&mut params, "headers", headers);
            }
            put(&mut params, "response-code", format_codes(&http.codes));
            put_some(&mut params, "response-regexp", http.regexp.as_ref().map(|p| &p.source));
            put(&mut params, "disable-on-404", http.disable_on_404);
            if let Some(t) = &http.tls {
                tls(&mut params, t);
            }
        }
    }
    if !params.is_empty() {
        put(&mut m, "params", params);
    }
    m
}

fn tls(params: &mut Mapping, tls: &Tls) {
    put_some(params, "server-name", tls.server_name.as_ref().map(|n| n.to_str()));
    put(params, "insecure-skip-verify", *tls.trust.from() == TrustFrom::Anyone);
    if let TrustFrom::File(path) = tls.trust.from() {
        put(params, "ca-file", path.as_str());
    }
}

/// The bytes as the check `udp` reads them: as text where they are text that does not look hexadecimal.
pub fn text_or_hex(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.starts_with("0x") => text.to_owned(),
        Ok(_) | Err(_) => {
            let digits: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            format!("0x{digits}")
        }
    }
}

fn backend(b: &Backend) -> Mapping {
    let mut m = Mapping::new();
    put(&mut m, "address", b.address.to_string());
    put_some(&mut m, "healthcheck", b.healthcheck.as_ref().map(|h| &h.name));
    put(&mut m, "enabled", b.enabled);
    put_some(&mut m, "track", b.track.as_ref());
    if let Some(a) = &b.agent {
        put(&mut m, "agent", agent(a));
    }
    put_some(&mut m, "agent-track", b.agent_track.as_ref());
    m
}

fn agent(a: &Agent) -> Mapping {
    let mut m = Mapping::new();
    put(&mut m, "port", a.port);
    put_some(&mut m, "address", a.address);
    put(&mut m, "interval", format_duration(a.interval));
    put(&mut m, "timeout", format_duration(a.timeout));
    if !a.send.is_empty() {
        put(&mut m, "send", String::from_utf8_lossy(&a.send).into_owned());
    }
    m
}

fn frontend(f: &Frontend) -> Mapping {
    let mut m = Mapping::new();
    if !f.description.is_empty() {
        put(&mut m, "description", f.description.as_str());
    }
    let address: IpAddr = f.vip.address;
    put(&mut m, "address", address.to_string());
    if let Some((protocol, port)) = f.vip.service {
        put(&mut m, "protocol", protocol.as_str());
        put(&mut m, "port", port);
    }
    put(&mut m, "src-ip-sticky", f.src_ip_sticky);
    put(&mut m, "flush-on-down", f.flush_on_down);
    put(&mut m, "encap", f.encap.as_str());
    if let Encap::L3dsr { dscp } = f.encap {
        put(&mut m, "dscp", dscp);
    }
    if let Some(port) = f.encap.target_port() {
        put(&mut m, "target-port", port);
    }
    put(&mut m, "new-flow-table-length", f.table_length);
    put_some(&mut m, "slow-start", f.slow_start.map(format_duration));
    if let Some(p) = f.panic {
        let mut panic = Mapping::new();
        put(&mut panic, "threshold", p.threshold);
        put(&mut panic, "mode", p.mode.as_str());
        put(&mut m, "panic", panic);
    }
    put(&mut m, "pools", f.pools.iter().map(pool).collect::<Vec<Value>>());
    m
}

fn pool(p: &Pool) -> Value {
    let mut backends = Mapping::new();
    for (name, weight) in &p.backends {
        let mut m = Mapping::new();
        put(&mut m, "weight", *weight);
        put(&mut backends, name, m);
    }
    let mut m = Mapping::new();
    put(&mut m, "name", &*p.name);
    put(&mut m, "backends", backends);
    m.into()
}
