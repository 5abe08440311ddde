//! A `panic` that keeps a frontend from failing over.

use crate::mark::assert_warnings;

/// A standby that the threshold keeps from ever taking over.
#[test]
fn panic_before_failover() {
    let warning = |percent: usize, threshold: usize, would: &str| {
        format!(
            "frontend `f`: with all of pool `p` down, {percent}% of the backends are up, below the `panic` threshold of {threshold}%: {would} the dead pool `p` though `q` is up"
        )
    };
    let open = |percent, threshold| Some(warning(percent, threshold, "fail-open would send traffic to"));
    let keep = |percent, threshold| Some(warning(percent, threshold, "keep-last would leave traffic on"));
    let two_one = "{name: p, backends: {a: , b: }}, {name: q, backends: {c: }}";
    // `panic`, pools, what is said of it.
    let rows = [
        ("threshold: 34", two_one, open(33, 34)),
        ("threshold: 33", two_one, None),
        ("", two_one, open(33, 50)),
        ("mode: keep-last", two_one, keep(33, 50)),
        ("threshold: 100", "{name: p, backends: {a: }}, {name: q, backends: {b: , c: , d: }}", open(75, 100)),
        ("threshold: 75", "{name: p, backends: {a: }}, {name: q, backends: {b: , c: , d: }}", None),
        // All later pools count.
        (
            "threshold: 60",
            "{name: p, backends: {a: , b: }}, {name: q, backends: {c: }}, {name: r, backends: {d: }}",
            open(50, 60),
        ),
        (
            "threshold: 50",
            "{name: p, backends: {a: , b: }}, {name: q, backends: {c: }}, {name: r, backends: {d: }}",
            None,
        ),
        // Nothing to fail over to, or nothing that could die.
        ("threshold: 100", "{name: p, backends: {a: , b: }}", None),
        ("threshold: 100", "{name: p, backends: {a: , b: }}, {name: q, backends: {c: {weight: 0}}}", None),
        ("threshold: 100", "{name: p, backends: {a: , b: }}, {name: q, backends: {off: }}", None),
        ("threshold: 100", "{name: p, backends: {a: , static: }}, {name: q, backends: {c: }}", None),
        ("threshold: 100", "{name: p, backends: {a: , grouped: }}, {name: q, backends: {c: }}", None),
        (
            "threshold: 100",
            "{name: p, backends: {follows: , heard: }}, {name: q, backends: {static: }}",
            open(33, 100),
        ),
        // Who has no weight or is not enabled is not counted.
        ("", "{name: p, backends: {a: , b: {weight: 0}, off: }}, {name: q, backends: {c: }}", None),
        (
            "threshold: 51",
            "{name: p, backends: {a: , b: {weight: 0}, off: }}, {name: q, backends: {c: }}",
            open(50, 51),
        ),
        // A pool without any weight is passed over.
        (
            "",
            "{name: o, backends: {d: {weight: 0}}}, {name: p, backends: {a: , b: }}, {name: q, backends: {c: }}",
            open(33, 50),
        ),
    ];
    for (panic, pools, want) in rows {
        let text = format!(
            "maglev:
  vpp: {{lb: {{ipv4-src-address: 192.0.2.254}}}}
  healthchecks: {{ping: {{type: icmp}}}}
  backends:
    a: {{address: 198.51.100.1, healthcheck: ping}}
    b: {{address: 198.51.100.2, healthcheck: ping}}
    c: {{address: 198.51.100.3, healthcheck: ping}}
    d: {{address: 198.51.100.4, healthcheck: ping}}
    off: {{address: 198.51.100.5, healthcheck: ping, enabled: false}}
    static: {{address: 198.51.100.6}}
    grouped: {{address: 198.51.100.7, track: static}}
    follows: {{address: 198.51.100.8, track: a}}
    heard: {{address: 198.51.100.9, track: static, agent: {{port: 1}}}}
  frontends:
    f:
      address: 192.0.2.1
      {}panic: {{{panic}}}
      pools: [{pools}]
",
            if want.is_some() { "▸" } else { "" }
        );
        let want: Vec<&str> = want.iter().map(String::as_str).collect();
        assert_warnings(&format!("{panic} {pools}"), &text, &want);
    }
}
