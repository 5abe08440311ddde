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
        ("track unknown", "address: 192.0.2.1, track: ▸o", &["unknown backend `o`, did you mean `ok`?"]),
        ("track nobody, nearest itself", "address: 192.0.2.1, track: ▸xx", &["unknown backend `xx`"]),
        ("track nobody", "address: 192.0.2.1, track: ▸''", &["unknown backend ``"]),
        ("track list", "address: 192.0.2.1, track: ▸[ok]", &["`track` must be text, not a list"]),
        ("track itself", "address: 192.0.2.1, track: ▸x", &["`track` runs in a circle: x → x"]),
        (
            "track and healthcheck",
            "address: 192.0.2.1, healthcheck: http, ▸track: ok",
            &["a backend with `track` takes no `healthcheck` of its own"],
        ),
        ("agent text", "address: 192.0.2.1, agent: ▸9777", &["`agent` must be a mapping, not `9777`"]),
        ("agent without port", "address: 192.0.2.1, ▸agent: {}", &["`agent` lacks `port`"]),
        (
            "agent contents",
            "address: 192.0.2.1, agent: {port: ▸0, address: ▸x, interval: ▸1, timeout: ▸0, send: ▸[], ▸prot: 1}",
            &[
                "`port` must be from 1 to 65535, not `0`",
                "`address` must be an IPv4 or IPv6 address, not `x`",
                "`interval`: `1` has no unit, as in `500ms` or `2s`",
                "`timeout` must be above 0, not `0`",
                "`send` must be text, not a list",
                "unknown key `prot`, did you mean `port`?",
            ],
        ),
        (
            "agent limits",
            "address: 192.0.2.1, agent: {port: ▸65536, address: ▸'::', interval: ▸9ms}",
            &[
                "`port` must be from 1 to 65535, not `65536`",
                "`address` must be a host's address, and :: is the unspecified address",
                "`interval` must be at least 10ms, not `9ms`",
            ],
        ),
        ("agent-track", "address: 192.0.2.1, agent-track: ▸ok", &["backend `ok` has no `agent` to track"]),
        ("agent-track unknown", "address: 192.0.2.1, agent-track: ▸no", &["unknown backend `no`"]),
        (
            "agent-track near",
            "address: 192.0.2.1, agent-track: ▸okk",
            &["unknown backend `okk`, did you mean `ok`?"],
        ),
        (
            "agent-track map",
            "address: 192.0.2.1, agent-track: ▸{}",
            &["`agent-track` must be text, not a mapping"],
        ),
        (
            "agent-track itself",
            "address: 192.0.2.1, agent-track: ▸x",
            &["`agent-track` runs in a circle: x → x"],
        ),
        (
            "agent and agent-track",
            "address: 192.0.2.1, agent: {port: 1}, ▸agent-track: ▸ok",
            &[
                "a backend with `agent-track` takes no `agent` of its own",
                "backend `ok` has no `agent` to track",
            ],
        ),
        // What is wrong with a key is said of that key alone.
        (
            "bad track, good rest",
            "address: 192.0.2.1, track: ▸[], agent: {port: 9}",
            &["`track` must be text, not a list"],
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
fn track_through_too_many_levels() {
    // `b00` is at the end; each follows the one before it.
    let chain = |n: usize, mark: usize| {
        let mut text =
            String::from("maglev:\n  backends:\n    b00: {address: 192.0.2.1, agent: {port: 9}}\n");
        for i in 1..=n {
            let mark = if i == mark { "▸" } else { "" };
            text += &format!("    b{i:02}: {{address: 192.0.2.1, track: {mark}b{:02}}}\n", i - 1);
        }
        text
    };
    assert_warnings("16 levels", &chain(16, 0), &[]);
    let long = "`track` goes through more than 16 levels";
    assert_errors("17 levels", &chain(17, 17), &[long]);
    assert_errors("once a chain", &chain(40, 17), &[long]);
    let agents = chain(40, 17).replace("track: ", "agent-track: ");
    assert_errors("agents, too", &agents, &["`agent-track` goes through more than 16 levels"]);
    // In whatever order the names come.
    let back = "\
maglev:
  backends:
"
    .to_owned()
        + &(0..17)
            .map(|i| {
                let mark = if i == 0 { "▸" } else { "" };
                format!("    b{i:02}: {{address: 192.0.2.1, track: {mark}b{:02}}}\n", i + 1)
            })
            .collect::<String>()
        + "    b17: {address: 192.0.2.1}\n";
    assert_errors("backwards", &back, &[long]);
}

#[test]
fn track_in_circles() {
    let text = "\
maglev:
  backends:
    z: {address: 192.0.2.1, track: a}
    a: {address: 192.0.2.2, track: b}
    b: {address: 192.0.2.3, track: c}
    c: {address: 192.0.2.4, track: ▸a}
    d: {address: 192.0.2.5, track: e}
    e: {address: 192.0.2.6}
";
    let circle = "`track` runs in a circle: a → b → c → a";
    assert_errors("once", text, &[circle]);
    let agents = text.replace("e: {", "e: {agent: {port: 9}, ").replace("track: ", "agent-track: ");
    assert_errors("agents, too", &agents, &["`agent-track` runs in a circle: a → b → c → a"]);
    // A leads into the circle that b and c make.
    let tail = "maglev:
  backends:
    a: {address: 192.0.2.1, track: c}
    b: {address: 192.0.2.2, track: ▸c}
    c: {address: 192.0.2.3, track: b}
";
    assert_errors("behind a tail", tail, &["`track` runs in a circle: c → b → c"]);
}

#[test]
fn two_circles_and_a_long_one() {
    let two = "maglev:
  backends:
    a: {address: 192.0.2.1, track: b, agent-track: d}
    b: {address: 192.0.2.2, track: ▸a}
    c: {address: 192.0.2.3, track: d}
    d: {address: 192.0.2.4, track: ▸c, agent-track: ▸a}
";
    assert_errors(
        "each",
        two,
        &[
            "`track` runs in a circle: a → b → a",
            "`track` runs in a circle: c → d → c",
            "`agent-track` runs in a circle: a → d → a",
        ],
    );
    for (n, shown) in [
        (10, "b10 → b11 → b12 → b13 → b14 → b15 → b16 → b17 → b18 → b19 → b10"),
        (12, "b10 → b11 → b12 → b13 → b14 → b15 → b16 → b17 → b18 → b19 → 2 more → b10"),
    ] {
        let mut text = String::from("maglev:\n  backends:\n");
        for i in 0..n {
            let mark = if i + 1 == n { "▸" } else { "" };
            text += &format!("    b{}: {{address: 192.0.2.1, track: {mark}b{}}}\n", 10 + i, 10 + (i + 1) % n);
        }
        assert_errors("long", &text, &[&format!("`track` runs in a circle: {shown}")]);
    }
}

#[test]
fn what_an_agent_is_sent_has_a_limit() {
    let text = |mark: &str, send: &str| {
        format!("maglev: {{backends: {{x: {{address: 192.0.2.1, agent: {{port: 9, send: {mark}{send}}}}}}}}}")
    };
    assert_errors("too long", &text("▸", &"x".repeat(1025)), &["`send` is longer than 1024 bytes"]);
    assert_errors("bytes, not letters", &text("▸", &"é".repeat(513)), &["`send` is longer than 1024 bytes"]);
    for good in ["x".repeat(1024), "é".repeat(512)] {
        let config = assert_warnings("as long as may be", &text("", &good), &[]);
        assert_eq!(config.backends["x"].agent.as_ref().unwrap().send, good.as_bytes());
    }
}
