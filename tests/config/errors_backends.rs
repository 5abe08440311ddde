//! Backends: one row per rule, with the exact message and place.

use crate::mark::{assert_errors, assert_warnings};

#[test]
fn backends() {
    let text = |body: &str| {
        format!(
            "maglev:\n  healthchecks: {{http: {{type: http, port: 80}}}}\n  backends: {{ok: {{address: 192.0.2.9}}, x: {{{body}}}}}\n"
        )
    };
    let rows: &[(&str, &str, &[&str])] = &[
        ("unknown key", "address: 192.0.2.1, ▸weight: 5", &["unknown key `weight`"]),
        (
            "address",
            "address: ▸web.example",
            &["`address` must be an IPv4 or IPv6 address, not `web.example`"],
        ),
        (
            "address mask",
            "address: ▸10.0.0.1/32",
            &["`address` must be an IPv4 or IPv6 address, not `10.0.0.1/32`"],
        ),
        ("address map", "address: ▸{}", &["`address` must be an IPv4 or IPv6 address, not a mapping"]),
        (
            "unspecified",
            "address: ▸'::'",
            &["`address` must be a host's address, and :: is the unspecified address"],
        ),
        (
            "multicast",
            "address: ▸224.0.0.1",
            &["`address` must be a host's address, and 224.0.0.1 is a multicast address"],
        ),
        (
            "broadcast",
            "address: ▸255.255.255.255",
            &["`address` must be a host's address, and 255.255.255.255 is the broadcast address"],
        ),
        (
            "healthcheck unknown",
            "address: 192.0.2.1, healthcheck: ▸htp",
            &["unknown healthcheck `htp`, did you mean `http`?"],
        ),
        (
            "healthcheck list",
            "address: 192.0.2.1, healthcheck: ▸[http]",
            &["`healthcheck` must be text, not a list"],
        ),
        ("enabled", "address: 192.0.2.1, enabled: ▸'true'", &["`enabled` must be true or false, not `true`"]),
        ("track", "address: 192.0.2.1, ▸track: ok", &["not supported yet: track"]),
        (
            "track unknown",
            "address: 192.0.2.1, ▸track: ▸o",
            &["not supported yet: track", "unknown backend `o`, did you mean `ok`?"],
        ),
        (
            "track itself",
            "address: 192.0.2.1, ▸track: ▸x",
            &["not supported yet: track", "`track` runs in a circle: x → x"],
        ),
        (
            "track and healthcheck",
            "address: 192.0.2.1, healthcheck: http, ▸▸track: ok",
            &["a backend with `track` takes no `healthcheck` of its own", "not supported yet: track"],
        ),
        (
            "agent",
            "address: 192.0.2.1, ▸agent: {port: 9, address: 192.0.2.2, interval: 1s, timeout: 1s, send: hi}",
            &["not supported yet: agent"],
        ),
        (
            "agent without port",
            "address: 192.0.2.1, ▸▸agent: {}",
            &["`agent` lacks `port`", "not supported yet: agent"],
        ),
        (
            "agent contents",
            "address: 192.0.2.1, ▸agent: {port: ▸0, address: ▸x, interval: ▸1, timeout: ▸0, send: ▸[], ▸prot: 1}",
            &[
                "not supported yet: agent",
                "`port` must be from 1 to 65535, not `0`",
                "`address` must be an IPv4 or IPv6 address, not `x`",
                "`interval`: `1` has no unit, as in `500ms` or `2s`",
                "`timeout` must be above 0, not `0`",
                "`send` must be text, not a list",
                "unknown key `prot`, did you mean `port`?",
            ],
        ),
        (
            "agent-track",
            "address: 192.0.2.1, ▸agent-track: ▸ok",
            &["not supported yet: agent-track", "backend `ok` has no `agent` to track"],
        ),
        (
            "agent-track unknown",
            "address: 192.0.2.1, ▸agent-track: ▸no",
            &["not supported yet: agent-track", "unknown backend `no`"],
        ),
        (
            "agent and agent-track",
            "address: 192.0.2.1, ▸agent: {port: 1}, ▸▸agent-track: ▸ok",
            &[
                "not supported yet: agent",
                "a backend with `agent-track` takes no `agent` of its own",
                "not supported yet: agent-track",
                "backend `ok` has no `agent` to track",
            ],
        ),
    ];
    for (rule, body, messages) in rows {
        assert_errors(rule, &text(body), messages);
    }
    let lacks = text("enabled: true").replace("x: {", "▸x: {");
    assert_errors("no address", &lacks, &["backend `x` lacks `address`"]);
    assert_errors("null", "maglev: {backends: {▸x: }}", &["backend `x` lacks `address`"]);
    assert_warnings("::/96 outside of frontends", "maglev: {backends: {x: {address: '::1'}}}", &[]);
}

#[test]
fn track_in_circles() {
    let text = "\
maglev:
  backends:
    z: {address: 192.0.2.1, ▸track: a}
    a: {address: 192.0.2.2, ▸track: b}
    b: {address: 192.0.2.3, ▸track: c}
    c: {address: 192.0.2.4, ▸track: ▸a}
    d: {address: 192.0.2.5, ▸track: e}
    e: {address: 192.0.2.6}
";
    let no = "not supported yet: track";
    let circle = "`track` runs in a circle: a → b → c → a";
    assert_errors("once", text, &[no, no, no, no, circle, no]);
}
