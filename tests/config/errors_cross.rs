//! Frontends, and the rules between them: one row per rule, with the exact message and place.

use crate::mark::{POOLS, assert_errors, assert_warnings, frontends};

#[test]
fn frontend_keys() {
    let rows: &[(&str, String, &[&str])] = &[
        ("unknown key", format!("address: 192.0.2.1, {POOLS}, ▸descr: x"), &["unknown key `descr`"]),
        (
            "near",
            format!("address: 192.0.2.1, {POOLS}, ▸flush-on-dwn: true"),
            &["unknown key `flush-on-dwn`, did you mean `flush-on-down`?"],
        ),
        (
            "unspecified",
            format!("address: ▸0.0.0.0, {POOLS}"),
            &["`address` must be a host's address, and 0.0.0.0 is the unspecified address"],
        ),
        (
            "multicast",
            format!("address: ▸'ff00::1', {POOLS}"),
            &["`address` must be a host's address, and ff00::1 is a multicast address"],
        ),
        (
            "broadcast",
            format!("address: ▸255.255.255.255, {POOLS}"),
            &["`address` must be a host's address, and 255.255.255.255 is the broadcast address"],
        ),
        (
            "IPv4 space",
            format!("address: ▸'::192.0.2.1', {POOLS}"),
            &["`address` must not be in ::/96, as ::c000:201: `lb` takes it for IPv4"],
        ),
        (
            "protocol",
            format!("address: 192.0.2.1, protocol: ▸sctp, port: 80, {POOLS}"),
            &["`protocol` must be one of tcp, udp, not `sctp`"],
        ),
        (
            "port",
            format!("address: 192.0.2.1, protocol: tcp, port: ▸0, {POOLS}"),
            &["`port` must be from 1 to 65535, not `0`"],
        ),
        (
            "protocol alone",
            format!("address: 192.0.2.1, ▸protocol: tcp, {POOLS}"),
            &["frontend `f` has `protocol`, but no `port`: both or neither"],
        ),
        (
            "port alone",
            format!("address: 192.0.2.1, ▸port: 80, {POOLS}"),
            &["frontend `f` has `port`, but no `protocol`: both or neither"],
        ),
        (
            "description",
            format!("address: 192.0.2.1, description: ▸[a], {POOLS}"),
            &["`description` must be text, not a list"],
        ),
        (
            "src-ip-sticky",
            format!("address: 192.0.2.1, src-ip-sticky: ▸1, {POOLS}"),
            &["`src-ip-sticky` must be true or false, not `1`"],
        ),
        (
            "flush-on-down",
            format!("address: 192.0.2.1, flush-on-down: ▸{{}}, {POOLS}"),
            &["`flush-on-down` must be true or false, not a mapping"],
        ),
        (
            "table, no power",
            format!("address: 192.0.2.1, new-flow-table-length: ▸1000, {POOLS}"),
            &["`new-flow-table-length` must be a power of two, not `1000`"],
        ),
        (
            "table, zero",
            format!("address: 192.0.2.1, new-flow-table-length: ▸0, {POOLS}"),
            &["`new-flow-table-length` must be from 1 to 65536, not `0`"],
        ),
        (
            "table, too long",
            format!("address: 192.0.2.1, new-flow-table-length: ▸131072, {POOLS}"),
            &["`new-flow-table-length` must be from 1 to 65536, not `131072`"],
        ),
        (
            "slow-start value",
            format!("address: 192.0.2.1, slow-start: ▸60, {POOLS}"),
            &["`slow-start`: `60` has no unit, as in `500ms` or `2s`"],
        ),
        (
            "slow-start zero",
            format!("address: 192.0.2.1, slow-start: ▸0s, {POOLS}"),
            &["`slow-start` must be above 0, not `0s`"],
        ),
        (
            "slow-start too long",
            format!("address: 192.0.2.1, slow-start: ▸60m1ns, {POOLS}"),
            &[
                "`slow-start` must be at most 1h, not 1h0.000000001s: until it is over, a backend that came back has less than its weight",
            ],
        ),
        (
            "slow-start list",
            format!("address: 192.0.2.1, slow-start: ▸[60s], {POOLS}"),
            &["`slow-start` must be a duration, not a list"],
        ),
        (
            "panic values",
            format!("address: 192.0.2.1, panic: {{threshold: ▸0, mode: ▸fail-opn}}, {POOLS}"),
            &[
                "`threshold` must be from 1 to 100 %, not `0`",
                "`mode` must be one of fail-open, keep-last, not `fail-opn`, did you mean `fail-open`?",
            ],
        ),
        (
            "panic above all",
            format!("address: 192.0.2.1, panic: {{threshold: ▸101%}}, {POOLS}"),
            &["`threshold` must be from 1 to 100 %, not `101%`"],
        ),
        (
            "panic fraction",
            format!("address: 192.0.2.1, panic: {{threshold: ▸33.3}}, {POOLS}"),
            &["`threshold` must be a whole number of percent, not `33.3`"],
        ),
        (
            "panic word",
            format!("address: 192.0.2.1, panic: {{threshold: ▸half}}, {POOLS}"),
            &["`threshold` must be a percentage such as `10` or `10%`, not `half`"],
        ),
        (
            "panic key",
            format!("address: 192.0.2.1, panic: {{▸treshold: 50}}, {POOLS}"),
            &["unknown key `treshold`, did you mean `threshold`?"],
        ),
        (
            "panic without a mapping",
            format!("address: 192.0.2.1, panic: ▸fail-open, {POOLS}"),
            &["`panic` must be a mapping, not `fail-open`"],
        ),
    ];
    for (rule, body, messages) in rows {
        assert_errors(rule, &frontends(&[("f", body)]), messages);
    }
    assert_errors("no address", &frontends(&[("▸f", POOLS)]), &["frontend `f` lacks `address`"]);
    assert_errors("no pools", &frontends(&[("▸f", "address: 192.0.2.1")]), &["frontend `f` lacks `pools`"]);
    let null = crate::mark::BASE.to_owned() + "    ▸▸f:\n";
    assert_errors("null", &null, &["frontend `f` lacks `address`", "frontend `f` lacks `pools`"]);
}

#[test]
fn pools() {
    let rows: &[(&str, &str, &[&str])] = &[
        ("no list", "pools: ▸{a: {}}", &["`pools` must be a list of pools, each with `name` and `backends`"]),
        ("empty", "pools: ▸[]", &["`pools` must not be empty"]),
        ("a word", "pools: [▸a]", &["`pools` must be a mapping, not `a`"]),
        (
            "unknown key",
            "pools: [{name: p, ▸backend: {}, backends: {a: }}]",
            &["unknown key `backend`, did you mean `backends`?"],
        ),
        ("no name", "pools: [▸{backends: {a: {}}}]", &["a pool lacks `name`"]),
        ("no backends", "pools: [▸{name: p}]", &["a pool lacks `backends`"]),
        ("null backends", "pools: [{name: p, ▸backends: }]", &["a pool lacks `backends`"]),
        (
            "empty backends",
            "pools: [{name: p, backends: ▸{}}]",
            &["the `backends` of a pool must not be empty"],
        ),
        (
            "backends list",
            "pools: [{name: p, backends: ▸[a]}]",
            &["`backends` must be a mapping, not a list"],
        ),
        (
            "same name",
            "pools: [{name: p, backends: {a: }}, {name: ▸p, backends: {b: }}]",
            &["duplicate pool `p`, first in line 10"],
        ),
        (
            "weight high",
            "pools: [{name: p, backends: {a: {weight: ▸101}}}]",
            &["`weight` must be from 0 to 100, not `101`"],
        ),
        (
            "weight negative",
            "pools: [{name: p, backends: {a: {weight: ▸-1}}}]",
            &["`weight` must be from 0 to 100, not `-1`"],
        ),
        (
            "weight key",
            "pools: [{name: p, backends: {a: {▸weigth: 1}}}]",
            &["unknown key `weigth`, did you mean `weight`?"],
        ),
        ("weight bare", "pools: [{name: p, backends: {a: ▸50}}]", &["`a` must be a mapping, not `50`"]),
        (
            "unknown backend",
            "pools: [{name: p, backends: {▸aa: {}}}]",
            &["unknown backend `aa`, did you mean `a`?"],
        ),
        (
            "backend twice in a pool",
            "pools: [{name: p, backends: {a: {}, ▸a: {}}}]",
            &["duplicate key `a`, first in line 10"],
        ),
        (
            "backend in two pools",
            "pools: [{name: p, backends: {a: }}, {name: q, backends: {▸a: }}]",
            &["backend `a` is in this frontend already"],
        ),
        (
            "address twice",
            "pools: [{name: p, backends: {a: , ▸a-again: }}]",
            &["backend `a-again` has the address of `a`, 198.51.100.1: an address may be in a frontend once"],
        ),
        (
            "two families",
            "pools: [{name: p, backends: {a: }}, {name: q, backends: {▸six: }}]",
            &["backend `six` is IPv6, but `a` is IPv4: the backends of a frontend must be of one family"],
        ),
    ];
    for (rule, pools, messages) in rows {
        assert_errors(rule, &frontends(&[("f", &format!("address: 192.0.2.1, {pools}"))]), messages);
    }
    let low = frontends(&[
        ("f", "address: 192.0.2.1, pools: [{name: p, backends: {low: }}]"),
        ("g", "address: 192.0.2.2, pools: [{name: p, backends: {low: }}]"),
    ]);
    assert_errors(
        "backend in the IPv4 space, once",
        &low.replace("'::5'", "▸'::5'"),
        &["backend `low` is in a frontend, so it must not be in ::/96: `lb` takes ::5 for IPv4"],
    );
}

#[test]
fn encaps() {
    let six = "pools: [{name: p, backends: {six: {}}}]";
    let rows: &[(&str, String, &[&str])] = &[
        (
            "unknown",
            format!("address: 192.0.2.1, encap: ▸gre5, {POOLS}"),
            &["`encap` must be one of gre, gre4, gre6, l3dsr, nat4, nat6, not `gre5`, did you mean `gre`?"],
        ),
        (
            "gre4",
            format!("address: 192.0.2.1, encap: ▸gre4, {six}"),
            &["encap gre4 needs IPv4 backends, but `six` is IPv6"],
        ),
        (
            "gre6",
            format!("address: 192.0.2.1, encap: ▸gre6, {POOLS}"),
            &["encap gre6 needs IPv6 backends, but `a` is IPv4"],
        ),
        (
            "l3dsr",
            format!("address: '2001:db8::1', encap: ▸▸l3dsr, dscp: 1, {six}"),
            &[
                "encap l3dsr needs an IPv4 address, not 2001:db8::1",
                "encap l3dsr needs IPv4 backends, but `six` is IPv6",
            ],
        ),
        (
            "l3dsr without dscp",
            format!("address: 192.0.2.1, encap: ▸l3dsr, {POOLS}"),
            &["encap l3dsr needs `dscp`, from 0 to 63"],
        ),
        (
            "dscp",
            format!("address: 192.0.2.1, encap: l3dsr, dscp: ▸64, {POOLS}"),
            &["`dscp` must be from 0 to 63, not `64`"],
        ),
        (
            "dscp without l3dsr",
            format!("address: 192.0.2.1, ▸dscp: 1, {POOLS}"),
            &["`dscp` goes with encap l3dsr only"],
        ),
        (
            "target-port without NAT",
            format!("address: 192.0.2.1, ▸target-port: 1, {POOLS}"),
            &["`target-port` goes with encap nat4 and nat6 only"],
        ),
        (
            "nat4 family",
            format!("address: '2001:db8::1', protocol: udp, port: 53, encap: ▸▸nat4, {six}"),
            &[
                "encap nat4 needs an IPv4 address, not 2001:db8::1",
                "encap nat4 needs IPv4 backends, but `six` is IPv6",
            ],
        ),
        (
            "nat6 family",
            format!("address: 192.0.2.1, protocol: udp, port: 53, encap: ▸▸nat6, {POOLS}"),
            &[
                "encap nat6 needs an IPv6 address, not 192.0.2.1",
                "encap nat6 needs IPv6 backends, but `a` is IPv4",
            ],
        ),
        (
            "nat tcp",
            format!("address: 192.0.2.1, protocol: tcp, port: 53, encap: ▸nat4, {POOLS}"),
            &["encap nat4 needs protocol udp and a port"],
        ),
        (
            "nat all ports",
            format!("address: 192.0.2.1, encap: ▸nat4, target-port: 1, {POOLS}"),
            &["encap nat4 needs protocol udp and a port"],
        ),
        (
            "target-port",
            format!("address: 192.0.2.1, protocol: udp, port: 53, encap: nat4, target-port: ▸0, {POOLS}"),
            &["`target-port` must be from 1 to 65535, not `0`"],
        ),
    ];
    for (rule, body, messages) in rows {
        assert_errors(rule, &frontends(&[("f", body)]), messages);
    }
}

#[test]
fn source_addresses() {
    let text = |encap: &str, backend: &str| {
        format!(
            "maglev:\n  backends: {{a: {{address: '{backend}'}}}}\n  frontends:\n    ▹f: {{address: 192.0.2.1, {encap}{POOLS}}}\n"
        )
    };
    let (four, six) = ("198.51.100.1", "2001:db8::1");
    let need4 = ["frontend `f` with encap gre4 needs `vpp.lb.ipv4-src-address`"];
    let need6 = ["frontend `f` with encap gre6 needs `vpp.lb.ipv6-src-address`"];
    assert_errors("default", &text("", four).replace('▹', "▸"), &need4);
    assert_errors("default", &text("", six).replace('▹', "▸"), &need6);
    assert_errors("gre", &text("encap: ▸gre, ", six).replace('▹', ""), &need6);
    assert_errors("gre4", &text("encap: ▸gre4, ", four).replace('▹', ""), &need4);
    assert_warnings("l3dsr needs none", &text("encap: l3dsr, dscp: 63, ", four).replace('▹', ""), &[]);
}

#[test]
fn between_frontends() {
    let six = "pools: [{name: p, backends: {six: {}}}]";
    let f = format!("address: 192.0.2.1, protocol: tcp, port: 80, {POOLS}");
    let all = format!("address: 192.0.2.1, {POOLS}");
    let mark = |text: &str, key: &str| {
        text.replace(key, &format!("{}▸{}", &key[..key.len() - 1], &key[key.len() - 1..]))
    };
    let at = |text: &str| mark(text, "address: 1");
    assert_errors(
        "key twice",
        &frontends(&[("f", &f), ("g", &at(&f))]),
        &["192.0.2.1:80/tcp is taken by frontend `f` in line 10"],
    );
    assert_errors(
        "all-port key twice",
        &frontends(&[("f", &all), ("g", &at(&all))]),
        &["192.0.2.1 is taken by frontend `f` in line 10"],
    );
    assert_errors(
        "all ports after one",
        &frontends(&[("f", &f), ("g", &at(&all))]),
        &[
            "192.0.2.1 with all ports here, but with one port in frontend `f` in line 10: an address is either one all-port VIP or per-port VIPs",
        ],
    );
    assert_errors(
        "one port after all",
        &frontends(&[("f", &all), ("g", &at(&f))]),
        &[
            "192.0.2.1 with one port here, but with all ports in frontend `f` in line 10: an address is either one all-port VIP or per-port VIPs",
        ],
    );
    let https = format!("address: 192.0.2.1, protocol: tcp, port: 443, encap: ▸l3dsr, dscp: 1, {POOLS}");
    assert_errors(
        "two encaps",
        &frontends(&[("f", &f), ("g", &https)]),
        &["192.0.2.1 with encap l3dsr here, but gre4 in frontend `f` in line 10: one encap per address"],
    );
    let https = format!("address: 192.0.2.1, protocol: tcp, port: 443, {six}");
    assert_errors(
        "two families of gre",
        &frontends(&[("f", &f), ("▸g", &https)]),
        &["192.0.2.1 with encap gre6 here, but gre4 in frontend `f` in line 10: one encap per address"],
    );
    let nat = |port: u16, more: &str, pools: &str| {
        format!("address: 192.0.2.1, protocol: udp, port: {port}, encap: nat4, {more}{pools}")
    };
    let again = "pools: [{name: p, backends: {▸a-again: {}}}]";
    assert_errors(
        "NAT server twice",
        &frontends(&[("f", &nat(53, "target-port: 5353, ", POOLS)), ("g", &nat(5353, "", again))]),
        &[
            "with NAT, 198.51.100.1 and target port 5353 may be used once, and frontend `f` in line 10 has them",
        ],
    );
    let warning = "frontend `f`: `lb` rewrites port 53 to 5353, but not in the UDP checksum: servers that check it drop the packets";
    let other =
        format!("address: 192.0.2.1, protocol: udp, port: 53, encap: ▸nat4, target-port: 5353, {POOLS}");
    assert_warnings("NAT to another port", &frontends(&[("f", &other)]), &[warning]);
    assert_warnings(
        "NAT server on two ports",
        &frontends(&[("f", &nat(53, "", POOLS)), ("g", &nat(54, "", POOLS))]),
        &[],
    );
    let dual = format!("address: 192.0.2.1, protocol: udp, port: 80, {POOLS}");
    assert_warnings("tcp and udp of one port", &frontends(&[("f", &f), ("g", &dual)]), &[]);
}

/// A packet for a server that is a VIP goes round in `lb` until VPP dies.
#[test]
fn forwarding_loops() {
    // Backends of both families, their addresses in quotes, and frontends; `lb` has sources of both families.
    let text = |a: &str, six: &str, list: &[&str]| {
        let mut text = format!(
            "maglev:\n  vpp: {{lb: {{ipv4-src-address: 192.0.2.254, ipv6-src-address: '2001:db8::fe'}}}}\n  backends:\n    a: {{address: {a}}}\n    six: {{address: {six}}}\n  frontends:\n"
        );
        for (i, body) in list.iter().enumerate() {
            text += &format!("    f{i}: {{{body}}}\n");
        }
        text
    };
    let pools = |backend: &str| format!("pools: [{{name: p, backends: {{{backend}: {{}}}}}}]");
    let (a, six) = (pools("a"), pools("six"));
    let (four_ok, six_ok) = ("198.51.100.1", "'2001:db8:2::1'");
    let vip = |name: &str, address: &str, line: usize, of: &str| {
        format!(
            "backend `{name}` is in a frontend, so its address must not be a VIP, and {address} is that of frontend `{of}` in line {line}: packets would loop in `lb`"
        )
    };
    let ways = [
        "",
        "protocol: tcp, port: 80, ",
        "encap: gre4, ",
        "encap: l3dsr, dscp: 1, ",
        "protocol: udp, port: 53, encap: nat4, ",
    ];
    for way in ways {
        let own = format!("address: 192.0.2.1, {way}{a}");
        let said = vip("a", "192.0.2.1", 7, "f0");
        assert_errors("itself", &text("▸192.0.2.1", six_ok, &[&own]), &[&said]);
        // Whatever the port and the protocol of the other, and whatever weight the backend has now.
        let other = format!("address: 192.0.2.9, {way}{}", a.replace("{}", "{weight: 0}"));
        let target = "address: 192.0.2.1, protocol: udp, port: 4789, pools: [{name: p, backends: {b: {}}}]";
        let all = text("▸192.0.2.1", six_ok, &[&other, target])
            .replace("  frontends", "    b: {address: 198.51.100.2}\n  frontends");
        assert_errors("another", &all, &[&vip("a", "192.0.2.1", 9, "f1")]);
    }
    let way = "address: '2001:db8::1', protocol: udp, port: 53, encap: nat6, ";
    assert_errors(
        "nat6, spelled otherwise",
        &text(four_ok, "▸'2001:0DB8:0::0:1'", &[&format!("{way}{six}")]),
        &[&vip("six", "2001:db8::1", 7, "f0")],
    );
    let each_other = [format!("address: 192.0.2.1, {six}"), format!("address: '2001:db8::1', {a}")];
    assert_errors(
        "two VIPs that point at each other, of two families",
        &text("▸192.0.2.1", "▸'2001:db8::1'", &[&each_other[0], &each_other[1]]),
        &[&vip("a", "192.0.2.1", 7, "f0"), &vip("six", "2001:db8::1", 8, "f1")],
    );
    assert_errors(
        "a mapped address",
        &text(four_ok, "▸'::ffff:192.0.2.1'", &[&format!("address: 192.0.2.1, {six}")]),
        &[&vip("six", "::ffff:192.0.2.1", 7, "f0")],
    );
    assert_errors(
        "a mapped VIP",
        &text("▸192.0.2.1", six_ok, &[&format!("address: '::ffff:c000:201', {a}")]),
        &[&vip("a", "192.0.2.1", 7, "f0")],
    );
    // Told once, however many frontends have it, and of a frontend that has errors of its own, too.
    let bad = format!("address: 192.0.2.1, slow-start: ▸0s, {a}");
    assert_errors(
        "once",
        &text("▸192.0.2.1", six_ok, &[&bad, &format!("address: 192.0.2.2, {a}")]),
        &[&vip("a", "192.0.2.1", 7, "f0"), "`slow-start` must be above 0, not `0s`"],
    );
    for (mapped, address) in [("192.0.2.254", "192.0.2.254"), ("'::ffff:192.0.2.254'", "::ffff:192.0.2.254")]
    {
        assert_errors(
            "a backend is the source of GRE",
            &text(four_ok, &format!("▸{mapped}"), &[&format!("address: 192.0.2.1, {six}")]),
            &[&format!(
                "backend `six` is in a frontend, so its address must not be `vpp.lb.ipv4-src-address`, {address}: VPP would send packets to itself"
            )],
        );
    }
    let dsr = format!("address: 192.0.2.1, encap: l3dsr, dscp: 1, {a}");
    assert_errors(
        "also where no packet has that source",
        &text("▸192.0.2.254", six_ok, &[&dsr]),
        &[
            "backend `a` is in a frontend, so its address must not be `vpp.lb.ipv4-src-address`, 192.0.2.254: VPP would send packets to itself",
        ],
    );
    assert_errors(
        "a backend is the source of GRE over IPv6",
        &text(four_ok, "▸'2001:db8::fe'", &[&format!("address: 192.0.2.1, {six}")]),
        &[
            "backend `six` is in a frontend, so its address must not be `vpp.lb.ipv6-src-address`, 2001:db8::fe: VPP would send packets to itself",
        ],
    );
    assert_errors(
        "a VIP is the source of GRE",
        &text(four_ok, six_ok, &[&format!("address: ▸192.0.2.254, {a}")]),
        &[
            "192.0.2.254 is `vpp.lb.ipv4-src-address`, the source of GRE packets, so it must not be a VIP: errors that servers send to it would loop",
        ],
    );
    // What no frontend has gets no packets: a VIP may be probed.
    assert_warnings(
        "probed alone",
        &text("192.0.2.1", six_ok, &[&format!("address: 192.0.2.1, {six}")]),
        &[],
    );
}

#[test]
fn table_below_the_sum_of_weights() {
    let pools = "pools: [{name: p, backends: {a: {weight: 1}}}, {name: q, backends: {b: {weight: 100}}}]";
    let body = |length: &str| format!("address: 192.0.2.1, new-flow-table-length: {length}, {pools}");
    assert_warnings(
        "shorter",
        &frontends(&[("f", &body("▸64"))]),
        &[
            "frontend `f`: a new-flow table of 64 is shorter than the sum of weights of a pool, 100: weights will do nothing",
        ],
    );
    assert_warnings("long enough", &frontends(&[("f", &body("128"))]), &[]);
    let mut text = String::from("maglev:\n  vpp: {lb: {ipv4-src-address: 192.0.2.254}}\n  backends:\n");
    for i in 0..656 {
        text += &format!("    b{i}: {{address: 10.0.{}.{}}}\n", i / 256, i % 256);
    }
    text += "  frontends:\n    ▸f:\n      address: 192.0.2.1\n      pools:\n        - name: p\n          backends:\n";
    for i in 0..656 {
        text += &format!("            b{i}:\n");
    }
    assert_warnings(
        "default at its limit",
        &text,
        &[
            "frontend `f`: a new-flow table of 65536 is shorter than the sum of weights of a pool, 65600: weights will do nothing",
        ],
    );
}

#[test]
fn all_errors_at_once_by_position() {
    let text = "\
maglev:
  ▸vpps: {}
  healthchecks:
    web: {type: http, port: ▸0, ▸intervl: 1s}
  frontends:
    ▸f:
      address: 192.0.2.1
      pools:
        - name: p
          backends: {▸wbe0: {weight: ▸200}, web1: {}}
    g: {address: ▸192.0.2.1, pools: [{name: p, backends: {web1: {}}}], slow-start: ▸0}
  backends:
    web0: {address: 198.51.100.1, healthcheck: ▸wbe}
    web1: {address: 198.51.100.2, healthcheck: web}
    web1: {address: 198.51.100.3}
";
    // The second web1 and the frontends' missing source address, too.
    let text = text.replace("    web1: {address: 198.51.100.3}", "    ▸web1: {address: 198.51.100.3}");
    let text = text.replace("    g: {", "    ▸g: {");
    assert_errors(
        "all",
        &text,
        &[
            "unknown key `vpps`, did you mean `vpp`?",
            "`port` must be from 1 to 65535, not `0`",
            "unknown key `intervl`, did you mean `interval`?",
            "frontend `f` with encap gre4 needs `vpp.lb.ipv4-src-address`",
            "unknown backend `wbe0`, did you mean `web0`?",
            "`weight` must be from 0 to 100, not `200`",
            "frontend `g` with encap gre4 needs `vpp.lb.ipv4-src-address`",
            "192.0.2.1 is taken by frontend `f` in line 6",
            "`slow-start` must be above 0, not `0`",
            "unknown healthcheck `wbe`, did you mean `web`?",
            "duplicate key `web1`, first in line 14",
        ],
    );
}
