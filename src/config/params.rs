//! `params` of a healthcheck, which differ by type.

use super::context::{Context, Item, Map};
use super::issue::quote;
use super::scalar::parse_codes;
use super::yaml::Body;
use super::{CheckKind, DnsCheck, HttpCheck, TcpCheck, Tls, TrustFrom, UdpCheck, server_name};

const HTTP: &[&str] =
    &["path", "method", "host", "headers", "response-code", "response-regexp", "disable-on-404"];
const TLS: &[&str] = &["server-name", "insecure-skip-verify", "ca-file"];
const TCP: &[&str] = &["ssl", "send", "expect"];
const UDP: &[&str] = &["send", "expect"];
const DNS: &[&str] = &["name", "qtype", "rcode", "expect"];

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
            let tls = tls(ctx, &map);
            let http = http(ctx, &map);
            http.zip(tls).map(|(http, tls)| CheckKind::Http(HttpCheck { tls: Some(tls), ..http }))
        }
        "tcp" => tcp(ctx, &map),
        "icmp" => {
            known(ctx, &map, "icmp", &[], &[]);
            Some(CheckKind::Icmp)
        }
        "udp" => {
            known(ctx, &map, "udp", &[UDP], &[]);
            udp(ctx, &map).map(CheckKind::Udp)
        }
        _ => {
            known(ctx, &map, "dns", &[DNS], &[]);
            dns(ctx, check, &map).map(CheckKind::Dns)
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
    let disable_on_404 = map.get("disable-on-404").map_or(Some(false), |i| ctx.bool(i));
    if let (Some(true), Some(item)) = (disable_on_404, code_item)
        && codes.iter().flatten().any(|(low, high)| (*low..=*high).contains(&404))
    {
        ctx.error(item.pos(), "`response-code` must not have 404 together with `disable-on-404`");
    }
    let long = [path.as_ref(), method.as_ref(), host.as_ref().and_then(Option::as_ref)];
    let pairs = headers.iter().flatten().map(|(name, value)| name.len() + value.len() + 4);
    if long.iter().flatten().map(|s| s.len()).chain(pairs).sum::<usize>() > HttpCheck::MAX_REQUEST {
        ctx.error(map.pos, format!("the request is longer than {} bytes", HttpCheck::MAX_REQUEST));
        return None;
    }
    Some(HttpCheck {
        path: path?,
        method: method?,
        host: host.unwrap_or_default(),
        headers: headers?,
        codes: codes?,
        regexp: regexp.unwrap_or_default(),
        tls: None,
        disable_on_404: disable_on_404?,
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

/// The keys of TLS. The certificates are read here and now.
fn tls(ctx: &mut Context, map: &Map<'_>) -> Option<Tls> {
    let name = map.get("server-name").map(|item| {
        let text = ctx.text(item)?;
        let name = server_name(text);
        if name.is_none() {
            let message = format!("`server-name` must be a domain name or an address, not {}", quote(text));
            ctx.error(item.pos(), message);
        }
        name
    });
    let skip = map.get("insecure-skip-verify").map_or(Some(false), |i| ctx.bool(i));
    let file = map.get("ca-file").map(|item| {
        let path = ctx.line(item)?;
        if !path.starts_with('/') {
            ctx.error(item.pos(), format!("`ca-file` must be an absolute path, not {}", quote(path)));
            return None;
        }
        Some((item, path))
    });
    let (from, at) = match (skip?, file) {
        (true, file) => {
            if let Some((item, _)) = file.flatten() {
                ctx.warn(item.key_pos, "`ca-file` has no meaning with `insecure-skip-verify`");
            }
            (TrustFrom::Anyone, map.pos)
        }
        (false, None) => (TrustFrom::Host, map.pos),
        (false, Some(file)) => {
            let (item, path) = file?;
            (TrustFrom::File(path.to_owned()), item.pos())
        }
    };
    let trust = match ctx.trusts.get(from.clone()) {
        Ok(trust) => trust,
        Err(why) => {
            let shown = if let TrustFrom::File(path) = &from { quote(path) } else { "TLS".into() };
            ctx.error(at, format!("`ca-file`: {shown}: {why}"));
            return None;
        }
    };
    if from == TrustFrom::Host && trust.certificates() == 0 {
        ctx.warn(at, "this host has no trusted certificates, so that every issuer is unknown: set `ca-file`");
    }
    match name {
        Some(None) => None,
        name => Some(Tls { server_name: name.flatten(), trust }),
    }
}

fn tcp(ctx: &mut Context, map: &Map<'_>) -> Option<CheckKind> {
    let ssl = map.get("ssl").map_or(Some(false), |i| ctx.bool(i));
    let tls = if ssl == Some(true) {
        known(ctx, map, "tcp", &[TCP, TLS], &[]);
        Some(tls(ctx, map))
    } else {
        known(ctx, map, "tcp", &[TCP], &[TLS]);
        None
    };
    let send = map.get("send").map_or(Some(""), |i| {
        let text = ctx.text(i)?;
        if text.len() > TcpCheck::MAX_SEND {
            ctx.error(i.pos(), format!("`send` is longer than {} bytes", TcpCheck::MAX_SEND));
            return None;
        }
        Some(text)
    });
    let expect = map.get("expect").map(|i| ctx.pattern(i));
    if expect == Some(None) || tls == Some(None) || ssl.is_none() {
        return None;
    }
    let send = send?.as_bytes().to_vec();
    Some(CheckKind::Tcp(TcpCheck { send, expect: expect.flatten(), tls: tls.flatten() }))
}

/// The parameters of udp. Text that begins with `0x` is hexadecimal.
fn udp(ctx: &mut Context, map: &Map<'_>) -> Option<UdpCheck> {
    let send = map.get("send").map_or(Some(Vec::new()), |item| {
        let text = ctx.text(item)?;
        let bytes = match text.strip_prefix("0x") {
            Some(digits) => hex(ctx, item, digits)?,
            None => text.as_bytes().to_vec(),
        };
        if bytes.len() > UdpCheck::MAX_SEND {
            ctx.error(item.pos(), format!("`send` is longer than {} bytes", UdpCheck::MAX_SEND));
            return None;
        }
        Some(bytes)
    });
    let expect = map.get("expect").map(|item| {
        let text = ctx.text(item)?;
        let Some(digits) = text.strip_prefix("0x") else { return ctx.pattern(item) };
        let bytes = hex(ctx, item, digits)?;
        ctx.literal(item, &bytes)
    });
    if expect == Some(None) {
        return None;
    }
    Some(UdpCheck { send: send?, expect: expect.flatten() })
}

fn hex(ctx: &mut Context, item: Item<'_>, digits: &str) -> Option<Vec<u8>> {
    let nibble = |b: &u8| char::from(*b).to_digit(16).and_then(|n| u8::try_from(n).ok());
    let bytes: Option<Vec<u8>> = digits
        .as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(nibble(high)? << 4 | nibble(low)?),
            _ => None,
        })
        .collect();
    let bytes = bytes.filter(|b| !b.is_empty());
    if bytes.is_none() {
        let key = quote(item.key);
        ctx.error(item.pos(), format!("{key}: `0x` must be followed by pairs of hexadecimal digits"));
    }
    bytes
}

/// The parameters of dns.
fn dns(ctx: &mut Context, check: &Map<'_>, map: &Map<'_>) -> Option<DnsCheck> {
    let name = match map.get("name") {
        Some(item) => host_name(ctx, item),
        None => {
            ctx.error(check.pos, "a healthcheck of type dns needs `name` in its `params`");
            None
        }
    };
    let qtype = map.get("qtype").map_or(Some("A"), |i| ctx.word(i, &DnsCheck::QTYPES.map(|(word, _)| word)));
    let rcode =
        map.get("rcode").map_or(Some("NOERROR"), |i| ctx.word(i, &DnsCheck::RCODES.map(|(word, _)| word)));
    let expect = map.get("expect").map(|i| ctx.pattern(i));
    if expect == Some(None) {
        return None;
    }
    let (qtype, rcode) = (qtype?, rcode?);
    Some(DnsCheck {
        name: name?,
        qtype: DnsCheck::QTYPES.iter().find(|(word, _)| *word == qtype)?.1,
        rcode: DnsCheck::RCODES.iter().find(|(word, _)| *word == rcode)?.1,
        expect: expect.flatten(),
    })
}

/// A domain name: at most 253 bytes, labels of 1 to 63; or the root.
fn host_name(ctx: &mut Context, item: Item<'_>) -> Option<String> {
    let text = ctx.text(item)?;
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |l: &str| {
        (1..=63).contains(&l.len()) && l.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    if name.len() > 253 || !(name.split('.').all(label) || text == ".") {
        ctx.error(item.pos(), format!("{} must be a domain name, not {}", quote(item.key), quote(text)));
        return None;
    }
    Some(text.to_owned())
}
