//! A configuration as YAML with every default written out. [`super::parse`] reads it back to an equal one.

use std::net::IpAddr;

use serde_yaml::{Mapping, Value};

use super::scalar::{format_codes, format_duration};
use super::{Backend, CheckKind, Config, CounterKind, Frontend, Healthcheck, Healthchecker, LbConfig, Pool};
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
    // A tree of strings, numbers and mappings with string keys can always be written.
    serde_yaml::to_string(&root).unwrap_or_else(|e| format!("# {e}\n"))
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
        }
    }
    if !params.is_empty() {
        put(&mut m, "params", params);
    }
    m
}

fn backend(b: &Backend) -> Mapping {
    let mut m = Mapping::new();
    put(&mut m, "address", b.address.to_string());
    put_some(&mut m, "healthcheck", b.healthcheck.as_ref().map(|h| &h.name));
    put(&mut m, "enabled", b.enabled);
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
    put(&mut m, "new-flow-table-length", f.table_length);
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
