//! Types, ranges, names and keys: one row per rule, with the exact message and place.

use crate::mark::{assert_errors, assert_warnings, check, frontends};

const NAME: &str = "must be 1 to 63 letters, digits and `._:-`, the first a letter or digit";

#[test]
fn the_whole_file() {
    let rows: &[(&str, &str, &[&str])] = &[
        ("empty", "▸", &["the file is empty: it must have `maglev:`"]),
        ("cut short", "▸maglev:\n", &["`maglev` is empty; write `{}` if that is meant"]),
        (
            "cut short in a section",
            "maglev:\n  healthchecks: {}\n  ▸frontends:\n",
            &["`frontends` is empty; write `{}` if that is meant"],
        ),
        ("comments only", "▸# nothing\n", &["the file is empty: it must have `maglev:`"]),
        ("null document", "▸---\n~\n", &["the file is empty: it must have `maglev:`"]),
        ("a list", "▸- maglev\n", &["the file must be a mapping with the key `maglev`"]),
        ("a word", "▸maglev\n", &["the file must be a mapping with the key `maglev`"]),
        (
            "no maglev",
            "▸▸magleb: {}\n",
            &["unknown key `magleb`, did you mean `maglev`?", "the file lacks the key `maglev`"],
        ),
        ("another top key", "maglev: {}\n▸other: 1\n", &["unknown key `other`"]),
        ("maglev is a list", "maglev: ▸[]\n", &["`maglev` must be a mapping, not a list"]),
        (
            "unknown section",
            "maglev:\n  ▸backend: {}\n",
            &["unknown key `backend`, did you mean `backends`?"],
        ),
        ("section is text", "maglev:\n  backends: ▸x\n", &["`backends` must be a mapping, not `x`"]),
        ("second document", "maglev: {}\n▸---\nmaglev: {}\n", &["a second document: the file must be one"]),
        ("duplicate key", "maglev: {}\n▸maglev: {}\n", &["duplicate key `maglev`, first in line 1"]),
        ("duplicate, quoted", "maglev: {vpp: {}, ▸'vpp': {}}\n", &["duplicate key `vpp`, first in line 1"]),
        ("a list as key", "maglev: {? ▸[a] : b}\n", &["a key must be a single word"]),
        ("unknown tag", "maglev: !x ▸{}\n", &["unknown tag `!x`"]),
        ("merge of a word", "maglev:\n  <<: ▸x\n", &["`<<` takes a mapping or a list of mappings"]),
    ];
    for (rule, text, messages) in rows {
        assert_errors(rule, text, messages);
    }
}

#[test]
fn names() {
    let long = "n".repeat(64);
    let shown = "n".repeat(60) + "…";
    let named = |kind: &str, name: &str| format!("the name `{name}` of a {kind} {NAME}");
    for (section, kind, body) in
        [("healthchecks", "healthcheck", "type: icmp"), ("backends", "backend", "address: 192.0.2.1")]
    {
        for name in ["_x", "-x", "a b", "naïve", "a/b"] {
            let text = format!("maglev: {{{section}: {{▸'{name}': {{{body}}}}}}}");
            assert_errors("characters", &text, &[&named(kind, name)]);
        }
        let text = format!("maglev: {{{section}: {{▸{long}: {{{body}}}}}}}");
        assert_errors("length", &text, &[&named(kind, &shown)]);
        let text = format!("maglev: {{{section}: {{▸json: {{{body}}}}}}}");
        assert_errors("json", &text, &[&format!("the name `json` of a {kind} is a word of the commands")]);
        let text = format!("maglev: {{{section}: {{a: {{{body}}}, ▸a: {{{body}}}}}}}");
        assert_errors("twice", &text, &["duplicate key `a`, first in line 1"]);
    }
    let body = "address: 192.0.2.1, pools: [{name: p, backends: {a: {}}}]";
    assert_errors("frontend", &frontends(&[("▸a+", body)]), &[&named("frontend", "a+")]);
    assert_errors(
        "pool",
        &frontends(&[("f", "address: 192.0.2.1, pools: [{name: ▸json, backends: {a: {}}}]")]),
        &["the name `json` of a pool is a word of the commands"],
    );
    let good = format!("maglev: {{backends: {{{}: {{address: 192.0.2.1}}}}}}", "n".repeat(63));
    assert_warnings("63 letters", &good, &[]);
    assert_warnings("all letters", "maglev: {backends: {'0.a_B:-': {address: 192.0.2.1}}}", &[]);
}

#[test]
fn healthchecker_and_lb() {
    let rows: &[(&str, &str, &[&str])] = &[
        ("unknown", "healthchecker: {▸netn: x}", &["unknown key `netn`, did you mean `netns`?"]),
        (
            "transition-history",
            "healthchecker: {transition-history: ▸0}",
            &["`transition-history` must be from 1 to 1000000, not `0`"],
        ),
        (
            "transition-history quoted",
            "healthchecker: {transition-history: ▸'5'}",
            &["`transition-history` must be an integer, not `5`"],
        ),
        (
            "max-in-flight",
            "healthchecker: {max-in-flight: ▸many}",
            &["`max-in-flight` must be an integer, not `many`"],
        ),
        (
            "max-agents-in-flight",
            "healthchecker: {max-agents-in-flight: ▸0}",
            &["`max-agents-in-flight` must be from 1 to 1000000, not `0`"],
        ),
        ("netns list", "healthchecker: {netns: ▸[a]}", &["`netns` must be text, not a list"]),
        (
            "netns path",
            "healthchecker: {netns: ▸/run/netns/x}",
            &["`netns` must be the name of a network namespace, not a path"],
        ),
        (
            "netns dots",
            "healthchecker: {netns: ▸..}",
            &["`netns` must be the name of a network namespace, not a path"],
        ),
        ("vpp", "vpp: {▸bl: {}}", &["unknown key `bl`, did you mean `lb`?"]),
        ("lb", "vpp: {lb: {▸encap: gre}}", &["unknown key `encap`"]),
        (
            "IPv4 family",
            "vpp: {lb: {ipv4-src-address: ▸'2001:db8::1'}}",
            &["`ipv4-src-address` must be an IPv4 address, not `2001:db8::1`"],
        ),
        (
            "IPv6 family",
            "vpp: {lb: {ipv6-src-address: ▸192.0.2.1}}",
            &["`ipv6-src-address` must be an IPv6 address, not `192.0.2.1`"],
        ),
        (
            "source unspecified",
            "vpp: {lb: {ipv4-src-address: ▸0.0.0.0}}",
            &["`ipv4-src-address` must be a host's address, and 0.0.0.0 is the unspecified address"],
        ),
        (
            "source broadcast",
            "vpp: {lb: {ipv4-src-address: ▸255.255.255.255}}",
            &["`ipv4-src-address` must be a host's address, and 255.255.255.255 is the broadcast address"],
        ),
        (
            "source multicast",
            "vpp: {lb: {ipv6-src-address: ▸'ff02::1'}}",
            &["`ipv6-src-address` must be a host's address, and ff02::1 is a multicast address"],
        ),
        ("sync-interval", "vpp: {lb: {sync-interval: ▸0}}", &["`sync-interval` must be above 0, not `0`"]),
        (
            "buckets, no power",
            "vpp: {lb: {sticky-buckets-per-core: ▸1000}}",
            &["`sticky-buckets-per-core` must be a power of two, not `1000`"],
        ),
        (
            "buckets, zero",
            "vpp: {lb: {sticky-buckets-per-core: ▸0}}",
            &["`sticky-buckets-per-core` must be from 1 to 1048576, not `0`"],
        ),
        (
            "buckets, too many",
            "vpp: {lb: {sticky-buckets-per-core: ▸2097152}}",
            &["`sticky-buckets-per-core` must be from 1 to 1048576, not `2097152`"],
        ),
        (
            "flow-timeout, low",
            "vpp: {lb: {flow-timeout: ▸0s}}",
            &["`flow-timeout` must be whole seconds from 1s to 120s, not 0s"],
        ),
        (
            "flow-timeout, high",
            "vpp: {lb: {flow-timeout: ▸2m1s}}",
            &["`flow-timeout` must be whole seconds from 1s to 120s, not 2m1s"],
        ),
        (
            "flow-timeout, part",
            "vpp: {lb: {flow-timeout: ▸1500ms}}",
            &["`flow-timeout` must be whole seconds from 1s to 120s, not 1.5s"],
        ),
        (
            "min above max",
            "vpp: {lb: {startup-min-delay: ▸6s, startup-max-delay: 5s}}",
            &["`startup-min-delay` (6s) must be at most `startup-max-delay` (5s)"],
        ),
        (
            "min above the default max",
            "vpp: {lb: {startup-min-delay: ▸31s}}",
            &["`startup-min-delay` (31s) must be at most `startup-max-delay` (30s)"],
        ),
        (
            "an interval is not negative",
            "vpp: {lb: {agent-weight-interval: ▸-1s}}",
            &["`agent-weight-interval`: `-1s` is negative"],
        ),
        ("negative", "vpp: {lb: {startup-max-delay: ▸-1s}}", &["`startup-max-delay`: `-1s` is negative"]),
    ];
    for (rule, text, messages) in rows {
        assert_errors(rule, &format!("maglev: {{{text}}}"), messages);
    }
}

#[test]
fn healthchecks() {
    let list = "http, https, tcp, icmp, dns, udp";
    let type_of = |is: &str, hint: &str| format!("`type` must be one of {list}, not `{is}`{hint}");
    let duration = "is no duration such as `500ms`, `2s` or `1m30s`";
    let no_unit = "has no unit, as in `500ms` or `2s`";
    let rows: &[(&str, &str, &[&str])] = &[
        ("unknown key", "type: icmp, ▸intervall: 1s", &["unknown key `intervall`, did you mean `interval`?"]),
        ("type unknown", "type: ▸htp", &[&type_of("htp", ", did you mean `http`?")]),
        ("type far off", "type: ▸exec", &[&type_of("exec", "")]),
        ("type list", "type: ▸[tcp]", &[&format!("`type` must be one of {list}, not a list")]),
        ("port zero", "type: tcp, port: ▸0", &["`port` must be from 1 to 65535, not `0`"]),
        ("port high", "type: tcp, port: ▸65536", &["`port` must be from 1 to 65535, not `65536`"]),
        ("port negative", "type: tcp, port: ▸-1", &["`port` must be from 1 to 65535, not `-1`"]),
        (
            "port endless",
            "type: tcp, port: ▸99999999999999999999999999999999999999999999",
            &["`port` must be from 1 to 65535, not `99999999999999999999999999999999999999999999`"],
        ),
        ("port part", "type: tcp, port: ▸80.5", &["`port` must be an integer, not `80.5`"]),
        ("interval short", "type: icmp, interval: ▸9ms", &["`interval` must be at least 10ms, not `9ms`"]),
        ("interval no unit", "type: icmp, interval: ▸2", &[&format!("`interval`: `2` {no_unit}")]),
        ("interval no duration", "type: icmp, interval: ▸fast", &[&format!("`interval`: `fast` {duration}")]),
        ("interval empty", "type: icmp, interval: ▸''", &["`interval`: `` is empty"]),
        (
            "interval unit",
            "type: icmp, interval: ▸2d",
            &["`interval`: `2d` has a unit other than ns, us, ms, s, m, h"],
        ),
        (
            "interval endless",
            "type: icmp, interval: ▸999999999999h",
            &["`interval`: `999999999999h` is too long"],
        ),
        ("interval list", "type: icmp, interval: ▸[]", &["`interval` must be a duration, not a list"]),
        (
            "fast-interval",
            "type: icmp, fast-interval: ▸1us",
            &["`fast-interval` must be at least 10ms, not `1us`"],
        ),
        (
            "down-interval",
            "type: icmp, down-interval: ▸0",
            &["`down-interval` must be at least 10ms, not `0`"],
        ),
        ("timeout", "type: icmp, timeout: ▸0s", &["`timeout` must be above 0, not `0s`"]),
        ("rise", "type: icmp, rise: ▸0", &["`rise` must be from 1 to 1000000, not `0`"]),
        ("fall", "type: icmp, fall: ▸x", &["`fall` must be an integer, not `x`"]),
        (
            "counter",
            "type: icmp, counter: ▸haproxi",
            &["`counter` must be one of linear, haproxy, not `haproxi`, did you mean `haproxy`?"],
        ),
        ("jitter", "type: icmp, jitter: ▸51", &["`jitter` must be from 0 to 50 %, not `51`"]),
        (
            "jitter negative",
            "type: icmp, jitter: ▸-1",
            &["`jitter` must be a percentage such as `10` or `10%`, not `-1`"],
        ),
        (
            "jitter no number",
            "type: icmp, jitter: ▸.nan",
            &["`jitter` must be a percentage such as `10` or `10%`, not `.nan`"],
        ),
        (
            "probe-ipv4-src",
            "type: icmp, probe-ipv4-src: ▸'::1'",
            &["`probe-ipv4-src` must be an IPv4 address, not `::1`"],
        ),
        (
            "probe-ipv6-src",
            "type: icmp, probe-ipv6-src: ▸10.0.0.1",
            &["`probe-ipv6-src` must be an IPv6 address, not `10.0.0.1`"],
        ),
        ("params", "type: icmp, params: ▸x", &["`params` must be a mapping, not `x`"]),
    ];
    for (rule, text, messages) in rows {
        assert_errors(rule, &check(text), messages);
    }
    let rows: &[(&str, &str, &[&str])] = &[
        ("no type", "port: 80", &["healthcheck `h` lacks `type`"]),
        ("type null", "type: , port: 80", &["healthcheck `h` lacks `type`"]),
        ("no port", "type: tcp", &["healthcheck `h` lacks `port`, which type tcp needs"]),
    ];
    for (rule, text, messages) in rows {
        assert_errors(rule, &check(text).replace("h: {", "▸h: {"), messages);
    }
}

#[test]
fn params() {
    let path = "`path` must begin with `/` and have no spaces, only printable ASCII, not";
    let codes = "is no list of codes from 100 to 599 such as `200` or `200-204,301`";
    let bad = |text: &str| format!("`response-code`: `{text}` {codes}");
    let rows: &[(&str, &str, &[&str])] = &[
        (
            "unknown",
            "type: http, port: 80, params: {▸pat: /}",
            &["unknown key `pat` for type http, did you mean `path`?"],
        ),
        ("path relative", "type: http, port: 80, params: {path: ▸x}", &[&format!("{path} `x`")]),
        ("path space", "type: http, port: 80, params: {path: ▸/a b}", &[&format!("{path} `/a b`")]),
        (
            "path break",
            "type: http, port: 80, params: {path: ▸\"/\\r\\nX: y\"}",
            &[&format!("{path} `/\\r\\nX: y`")],
        ),
        (
            "method",
            "type: http, port: 80, params: {method: ▸G T}",
            &["`method` must be an HTTP method such as GET, not `G T`"],
        ),
        (
            "host",
            "type: http, port: 80, params: {host: ▸\"a\\nb\"}",
            &["`host` must be a host name, perhaps with a port, not `a\\nb`"],
        ),
        (
            "headers list",
            "type: http, port: 80, params: {headers: ▸[]}",
            &["`headers` must be a mapping, not a list"],
        ),
        (
            "header name",
            "type: http, port: 80, params: {headers: {▸'a b': c}}",
            &["`a b` is no name of an HTTP header"],
        ),
        (
            "header host",
            "type: http, port: 80, params: {headers: {▸Host: c}}",
            &["the header `Host` is set with `host`"],
        ),
        (
            "header value",
            "type: http, port: 80, params: {headers: {a: ▸\"b\\rc\"}}",
            &["header `a` must be text without control characters"],
        ),
        (
            "header map",
            "type: http, port: 80, params: {headers: {a: ▸{}}}",
            &["header `a` must be text without control characters"],
        ),
        ("code low", "type: http, port: 80, params: {response-code: ▸99}", &[&bad("99")]),
        ("code high", "type: http, port: 80, params: {response-code: ▸600}", &[&bad("600")]),
        ("code word", "type: http, port: 80, params: {response-code: ▸OK}", &[&bad("OK")]),
        ("code gap", "type: http, port: 80, params: {response-code: ▸'200,,301'}", &[&bad("200,,301")]),
        (
            "code backwards",
            "type: http, port: 80, params: {response-code: ▸204-200}",
            &["`response-code`: `204-200` has a range that runs backwards"],
        ),
        (
            "regexp",
            "type: http, port: 80, params: {response-regexp: ▸'a('}",
            &["`response-regexp`: bad regular expression `a(`: unclosed group"],
        ),
        (
            "regexp size",
            "type: http, port: 80, params: {response-regexp: ▸'(a{1000}){1000}'}",
            &["`response-regexp`: bad regular expression `(a{1000}){1000}`: too large"],
        ),
        (
            "404",
            "type: http, port: 80, params: {disable-on-404: true, response-code: ▸'200,400-404'}",
            &["`response-code` must not have 404 together with `disable-on-404`"],
        ),
        (
            "disable-on-404 type",
            "type: http, port: 80, params: {disable-on-404: ▸404}",
            &["`disable-on-404` must be true or false, not `404`"],
        ),
        (
            "tcp unknown",
            "type: tcp, port: 80, params: {▸sent: x}",
            &["unknown key `sent` for type tcp, did you mean `send`?"],
        ),
        (
            "tcp expect",
            "type: tcp, port: 80, params: {expect: ▸'['}",
            &["`expect`: bad regular expression `[`: unclosed character class"],
        ),
        (
            "tcp ssl type",
            "type: tcp, port: 80, params: {ssl: ▸maybe}",
            &["`ssl` must be true or false, not `maybe`"],
        ),
        ("icmp unknown", "type: icmp, params: {▸size: 64}", &["unknown key `size` for type icmp"]),
    ];
    for (rule, text, messages) in rows {
        assert_errors(rule, &check(text), messages);
    }
}

#[test]
fn keys_without_meaning_are_warnings() {
    let rows: &[(&str, &str, &[&str])] = &[
        (
            "tcp",
            "type: tcp, port: 80, params: {▸path: /, ▸host: x, ▸response-code: 200, ▸response-regexp: '('}",
            &[
                "`path` has no meaning for type tcp",
                "`host` has no meaning for type tcp",
                "`response-code` has no meaning for type tcp",
                "`response-regexp` has no meaning for type tcp",
            ],
        ),
        (
            "tcp without ssl",
            "type: tcp, port: 80, params: {ssl: false, ▸server-name: x, ▸insecure-skip-verify: true}",
            &[
                "`server-name` has no meaning for type tcp",
                "`insecure-skip-verify` has no meaning for type tcp",
            ],
        ),
        (
            "http",
            "type: http, port: 80, params: {▸server-name: x, ▸insecure-skip-verify: true, ▸ssl: false}",
            &[
                "`server-name` has no meaning for type http",
                "`insecure-skip-verify` has no meaning for type http",
                "`ssl` has no meaning for type http",
            ],
        ),
        (
            "icmp",
            "type: icmp, ▸port: 7, params: {▸path: /}",
            &["`port` has no meaning for type icmp", "`path` has no meaning for type icmp"],
        ),
    ];
    for (rule, text, messages) in rows {
        assert_warnings(rule, &check(text), messages);
    }
}
