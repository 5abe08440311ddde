//! `params` of TLS, dns and udp: one row per rule, with the exact message and place.

use maglev::config::parse;

use crate::mark::{assert_errors, check};

#[test]
fn params_of_tls() {
    let rows: &[(&str, &str, &[&str])] = &[
        (
            "https",
            "type: https, port: 443, params: {server-name: ▸a..b, ca-file: ▸'', insecure-skip-verify: ▸2, path: ▸x}",
            &[
                "`server-name` must be a domain name or an address, not `a..b`",
                "`ca-file` must be text without control characters, not ``",
                "`insecure-skip-verify` must be true or false, not `2`",
                "`path` must begin with `/` and have no spaces, only printable ASCII, not `x`",
            ],
        ),
        (
            "relative",
            "type: https, port: 443, params: {ca-file: ▸ca.pem}",
            &["`ca-file` must be an absolute path, not `ca.pem`"],
        ),
        (
            "not there",
            "type: https, port: 443, params: {ca-file: ▸/nowhere/ca.pem}",
            &["`ca-file`: `/nowhere/ca.pem`: no such file"],
        ),
        (
            "a folder",
            "type: https, port: 443, params: {ca-file: ▸/}",
            &["`ca-file`: `/`: not a regular file"],
        ),
        (
            "a device",
            "type: tcp, port: 443, params: {ssl: true, ca-file: ▸/dev/zero}",
            &["`ca-file`: `/dev/zero`: not a regular file"],
        ),
        (
            "ssl",
            "type: tcp, port: 443, params: {ssl: true, insecure-skip-verify: true, server-name: ▸-..}",
            &["`server-name` must be a domain name or an address, not `-..`"],
        ),
        (
            "not a word of ssl",
            "type: tcp, port: 1, params: {ssl: ▸maybe}",
            &["`ssl` must be true or false, not `maybe`"],
        ),
    ];
    for (rule, text, messages) in rows {
        assert_errors(rule, &check(text), messages);
    }
}

#[test]
fn a_ca_file_is_looked_at_when_the_file_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    std::fs::write(&path, "no certificate").unwrap();
    let shown = path.to_str().unwrap();
    let message = format!("`ca-file`: `{shown}`: no certificate in PEM form");
    // Too long for a message, as paths of temporary files may be.
    if shown.len() <= 60 {
        let text = check(&format!("type: https, port: 443, params: {{ca-file: ▸{shown}}}"));
        assert_errors("bad", &text, &[&message]);
    }
    let key = rcgen::KeyPair::generate().unwrap();
    let made = rcgen::CertificateParams::new(vec!["ca".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(&path, made.pem()).unwrap();
    let text = check(&format!("type: https, port: 443, params: {{ca-file: {shown}}}"));
    let (one, two) = (parse(&text).unwrap().config, parse(&text).unwrap().config);
    assert_eq!(one, two);
    let key = rcgen::KeyPair::generate().unwrap();
    let made = rcgen::CertificateParams::new(vec!["ca".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(&path, made.pem()).unwrap();
    assert_ne!(parse(&text).unwrap().config, one, "other certificates under the old name");
}

#[test]
fn params_of_dns_and_udp() {
    let rows: &[(&str, &str, &[&str])] = &[
        (
            "dns params",
            "type: dns, params: {name: ▸'a b', qtype: ▸AAA, rcode: ▸NOPE, expect: ▸'(', ▸nam: x}",
            &[
                "`name` must be a domain name, not `a b`",
                "`qtype` must be one of A, AAAA, CNAME, MX, NS, PTR, SOA, SRV, TXT, not `AAA`, did you mean `AAAA`?",
                "`rcode` must be one of NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, not `NOPE`",
                "`expect`: bad regular expression `(`: unclosed group",
                "unknown key `nam` for type dns, did you mean `name`?",
            ],
        ),
        (
            "udp params",
            "type: udp, port: 53, params: {send: ▸0xabc, expect: ▸'0x'}",
            &[
                "`send`: `0x` must be followed by pairs of hexadecimal digits",
                "`expect`: `0x` must be followed by pairs of hexadecimal digits",
            ],
        ),
        (
            "udp, no digits",
            "type: udp, port: 53, params: {send: ▸0xzz}",
            &["`send`: `0x` must be followed by pairs of hexadecimal digits"],
        ),
        (
            "udp regexp",
            "type: udp, port: 53, params: {send: hello, expect: ▸'*'}",
            &["`expect`: bad regular expression `*`: repetition operator missing expression"],
        ),
    ];
    for (rule, text, messages) in rows {
        assert_errors(rule, &check(text), messages);
    }
    let long = "x".repeat(65_508);
    let text = check(&format!("type: udp, port: 53, params: {{send: ▸{long}}}"));
    assert_errors("a datagram that cannot be sent", &text, &["`send` is longer than 65507 bytes"]);
    let text = "maglev:\n  healthchecks:\n    ▸h: {type: dns}\n";
    assert_errors("dns name", text, &["a healthcheck of type dns needs `name` in its `params`"]);
    let text = "maglev:\n  healthchecks:\n    ▸h: {type: udp}\n";
    assert_errors("udp port", text, &["healthcheck `h` lacks `port`, which type udp needs"]);
}
