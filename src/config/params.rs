//! `params` of a healthcheck, which differ by type.

use super::context::{Context, Item, Map};
use super::issue::quote;
use super::scalar::parse_codes;
use super::yaml::Body;
use super::{CheckKind, HttpCheck, Pattern, TcpCheck};

const HTTP: &[&str] =
    &["path", "method", "host", "headers", "response-code", "response-regexp", "disable-on-404"];
const TLS: &[&str] = &["server-name", "insecure-skip-verify", "ca-file"];
const TCP: &[&str] = &["ssl", "send", "expect"];
const UDP: &[&str] = &["send", "expect"];
const DNS: &[&str] = &["name", "qtype", "rcode", "expect"];
const QTYPES: &[&str] = &["A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"];
const RCODES: &[&str] = &["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];

/// What the daemon `vpp-maglev` takes in the `params` of any type, and ignores where it means nothing.
const DAEMON: &[&str] =
    &["path", "host", "response-code", "response-regexp", "server-name", "insecure-skip-verify", "ssl"];

/// The kind of a healthcheck from its type and `params`; none when that cannot be had or cannot be run.
pub(super) fn params(ctx: &mut Context, check: &Map<'_>, kind: Option<&str>) -> Option<CheckKind> {
    let none = Map { pos: check.pos, entries: &[] };
    let (map, ok) = match check.get("params") {
        None => (none, true),
        Some(item) => match ctx.submap(check, item.key) {
            Some(map) => (map, true),
            None => (none, false),
        },
    };
    let made = match kind? {
        "http" => {
            known(ctx, &map, "http", &[HTTP], &[TLS]);
            http(ctx, &map).map(CheckKind::Http)
        }
        "https" => {
            known(ctx, &map, "https", &[HTTP, TLS], &[]);
            tls(ctx, &map);
            http(ctx, &map).and(None)
        }
        "tcp" => tcp(ctx, &map),
        "icmp" => {
            known(ctx, &map, "icmp", &[], &[]);
            Some(CheckKind::Icmp)
        }
        "udp" => {
            known(ctx, &map, "udp", &[UDP], &[]);
            udp(ctx, &map);
            None
        }
        _ => {
            known(ctx, &map, "dns", &[DNS], &[]);
            dns(ctx, check, &map);
            None
        }
    };
    made.filter(|_| ok)
}

/// Reports keys that are not in `meant`; those in `ignored`, and those of the daemon, only as a warning.
fn known(ctx: &mut Context, map: &Map<'_>, kind: &str, meant: &[&[&str]], ignored: &[&[&str]]) {
    for e in map.entries {
        let has = |lists: &[&[&str]]| lists.iter().any(|l| l.contains(&&*e.key));
        if has(meant) {
            continue;
        }
        if has(ignored) || has(&[DAEMON]) {
            ctx.warn(e.pos, format!("{} has no meaning for type {kind}", quote(&e.key)));
            continue;
        }
        let words: Vec<&str> = meant.iter().flat_map(|l| l.iter().copied()).collect();
        let hint = ctx.hint(&e.key, words.iter().copied());
        ctx.error(e.pos, format!("unknown key {} for type {kind}{hint}", quote(&e.key)));
    }
}

fn http(ctx: &mut Context, map: &Map<'_>) -> Option<HttpCheck> {
    let default = HttpCheck::default();
    let path = map.get("path").map_or(Some(default.path), |i| path(ctx, i));
    let method = map.get("method").map_or(Some(default.method), |i| {
        let text = ctx.text(i)?;
        if is_token(text) {
            return Some(text.to_owned());
        }
        ctx.error(i.pos(), format!("`method` must be an HTTP method such as GET, not {}", quote(text)));
        None
    });
    let host = map.get("host").map(|i| host(ctx, i));
    let headers = headers(ctx, map);
    let code_item = map.get("response-code");
    let codes = code_item.map_or(Some(default.codes), |i| codes(ctx, i));
    let regexp = map.get("response-regexp").map(|i| ctx.pattern(i));
    if let Some(item) = map.get("disable-on-404")
        && ctx.bool(item) == Some(true)
    {
        if codes.iter().flatten().any(|(low, high)| (*low..=*high).contains(&404)) {
            let at = code_item.map_or(item.pos(), |i| i.pos());
            ctx.error(at, "`response-code` must not have 404 together with `disable-on-404`");
        }
        ctx.unsupported(item.key_pos, "disable-on-404: true");
    }
    Some(HttpCheck {
        path: path?,
        method: method?,
        host: host.unwrap_or_default(),
        headers: headers?,
        codes: codes?,
        regexp: regexp.unwrap_or_default(),
    })
}

fn path(ctx: &mut Context, item: Item<'_>) -> Option<String> {
    let text = ctx.text(item)?;
    if text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Some(text.to_owned());
    }
    let rule = "must begin with `/` and have no spaces, only printable ASCII";
    ctx.error(item.pos(), format!("`path` {rule}, not {}", quote(text)));
    None
}

fn host(ctx: &mut Context, item: Item<'_>) -> Option<String> {
    let text = ctx.text(item)?;
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Some(text.to_owned());
    }
    ctx.error(item.pos(), format!("`host` must be a host name, perhaps with a port, not {}", quote(text)));
    None
}

fn headers(ctx: &mut Context, map: &Map<'_>) -> Option<Vec<(String, String)>> {
    let mut out = Vec::new();
    let Some(item) = map.get("headers") else { return Some(out) };
    let mut ok = true;
    for entry in ctx.map_node("headers", item.key_pos, item.node)?.entries {
        let name = &*entry.key;
        if !is_token(name) {
            ctx.error(entry.pos, format!("{} is no name of an HTTP header", quote(name)));
            ok = false;
        } else if name.eq_ignore_ascii_case("host") {
            ctx.error(entry.pos, "the header `Host` is set with `host`");
            ok = false;
        }
        let value = match &entry.value.body {
            _ if entry.value.is_null() => Some(String::new()),
            Body::Scalar(s) if s.text.chars().all(|c| c == '\t' || !c.is_control()) => Some(s.text.clone()),
            Body::Scalar(_) | Body::Seq(_) | Body::Map(_) => None,
        };
        match value {
            Some(value) => out.push((name.to_owned(), value)),
            None => {
                let message = format!("header {} must be text without control characters", quote(name));
                ctx.error(entry.value.pos, message);
                ok = false;
            }
        }
    }
    ok.then_some(out)
}

fn codes(ctx: &mut Context, item: Item<'_>) -> Option<Vec<(u16, u16)>> {
    let text = ctx.text(item)?;
    match parse_codes(text) {
        Ok(codes) => Some(codes),
        Err(why) => {
            ctx.error(item.pos(), format!("`response-code`: {} {why}", quote(text)));
            None
        }
    }
}

/// A token of RFC 9110.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Checks the keys of TLS, which nothing takes yet.
fn tls(ctx: &mut Context, map: &Map<'_>) {
    if let Some(item) = map.get("server-name") {
        host_name(ctx, item);
    }
    if let Some(item) = map.get("insecure-skip-verify") {
        ctx.bool(item);
    }
    if let Some(item) = map.get("ca-file") {
        ctx.line(item);
    }
}

fn tcp(ctx: &mut Context, map: &Map<'_>) -> Option<CheckKind> {
    let ssl = map.get("ssl").and_then(|i| ctx.bool(i).map(|on| (i, on)));
    if let Some((item, true)) = ssl {
        known(ctx, map, "tcp", &[TCP, TLS], &[]);
        tls(ctx, map);
        ctx.unsupported(item.key_pos, "ssl: true");
    } else {
        known(ctx, map, "tcp", &[TCP], &[TLS]);
    }
    let send = map.get("send").map_or(Some(""), |i| ctx.text(i));
    let expect = map.get("expect").map(|i| ctx.pattern(i));
    if expect == Some(None) {
        return None;
    }
    Some(CheckKind::Tcp(TcpCheck { send: send?.as_bytes().to_vec(), expect: expect.flatten() }))
}

/// Checks the parameters of udp. Text that begins with `0x` is hex.
fn udp(ctx: &mut Context, map: &Map<'_>) {
    if let Some(item) = map.get("send")
        && let Some(text) = ctx.text(item)
        && let Some(digits) = text.strip_prefix("0x")
    {
        hex(ctx, item, digits);
    }
    if let Some(item) = map.get("expect")
        && let Some(text) = ctx.text(item)
    {
        match text.strip_prefix("0x") {
            Some(digits) => hex(ctx, item, digits),
            None => {
                let _: Option<Pattern> = ctx.pattern(item);
            }
        }
    }
}

fn hex(ctx: &mut Context, item: Item<'_>, digits: &str) {
    if digits.is_empty() || !digits.len().is_multiple_of(2) || !digits.bytes().all(|b| b.is_ascii_hexdigit())
    {
        let key = quote(item.key);
        ctx.error(item.pos(), format!("{key}: `0x` must be followed by pairs of hexadecimal digits"));
    }
}

/// Checks the parameters of dns.
fn dns(ctx: &mut Context, check: &Map<'_>, map: &Map<'_>) {
    match map.get("name") {
        Some(item) => host_name(ctx, item),
        None => ctx.error(check.pos, "a healthcheck of type dns needs `name` in its `params`"),
    }
    if let Some(item) = map.get("qtype") {
        ctx.word(item, QTYPES);
    }
    if let Some(item) = map.get("rcode") {
        ctx.word(item, RCODES);
    }
    if let Some(item) = map.get("expect") {
        ctx.pattern(item);
    }
}

/// A domain name: at most 253 bytes, labels of 1 to 63.
fn host_name(ctx: &mut Context, item: Item<'_>) {
    let Some(text) = ctx.text(item) else { return };
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |l: &str| {
        (1..=63).contains(&l.len()) && l.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    if name.len() > 253 || !(name.split('.').all(label) || text == ".") {
        ctx.error(item.pos(), format!("{} must be a domain name, not {}", quote(item.key), quote(text)));
    }
}
