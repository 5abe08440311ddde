//! Every example in docs/configuration.md is what the page says it is.

use maglev::config::{Issue, parse, to_yaml};

const PAGE: &str = include_str!("../../docs/configuration.md");

/// The blocks of a kind: ` ```yaml `, and what follows that word on the line.
fn blocks(kind: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut lines = PAGE.lines();
    while let Some(line) = lines.next() {
        let Some(fence) = line.strip_prefix("```") else { continue };
        let body: Vec<&str> = lines.by_ref().take_while(|l| *l != "```").collect();
        if let Some(rest) = fence.strip_prefix(kind) {
            found.push((rest.trim().to_owned(), body.join("\n") + "\n"));
        }
    }
    found
}

#[test]
fn yaml_examples_are_valid_or_as_said() {
    let blocks = blocks("yaml");
    assert!(blocks.len() >= 10, "{}", blocks.len());
    for (said, text) in blocks {
        let result = parse(&text);
        match said.as_str() {
            "" => {
                let parsed = result.unwrap_or_else(|e| panic!("{e}\n{text}"));
                // A host without a trust store is told so; that is no fault of the page.
                let of_the_page =
                    |w: &&Issue| !w.message.starts_with("this host has no trusted certificates");
                assert_eq!(
                    parsed.warnings.iter().filter(of_the_page).collect::<Vec<_>>(),
                    [] as [&Issue; 0],
                    "{text}"
                );
                assert_eq!(parse(&to_yaml(&parsed.config)).unwrap().config, parsed.config);
            }
            "bad" => {
                let shown = self::blocks("errors").remove(0).1;
                assert_eq!(result.expect_err(&text).to_string() + "\n", shown);
            }
            other => panic!("unknown kind of example: {other}"),
        }
    }
}

#[test]
fn every_key_is_on_the_page() {
    for key in [
        "healthchecker",
        "transition-history",
        "netns",
        "max-in-flight",
        "max-agents-in-flight",
        "vpp",
        "ipv4-src-address",
        "ipv6-src-address",
        "sync-interval",
        "sticky-buckets-per-core",
        "flow-timeout",
        "startup-min-delay",
        "startup-max-delay",
        "agent-weight-interval",
        "healthchecks",
        "type",
        "port",
        "interval",
        "fast-interval",
        "down-interval",
        "timeout",
        "rise",
        "fall",
        "counter",
        "jitter",
        "probe-ipv4-src",
        "probe-ipv6-src",
        "params",
        "path",
        "method",
        "host",
        "headers",
        "response-code",
        "response-regexp",
        "server-name",
        "insecure-skip-verify",
        "ca-file",
        "disable-on-404",
        "ssl",
        "send",
        "expect",
        "name",
        "qtype",
        "rcode",
        "backends",
        "address",
        "healthcheck",
        "enabled",
        "track",
        "agent",
        "agent-track",
        "frontends",
        "protocol",
        "description",
        "pools",
        "weight",
        "src-ip-sticky",
        "flush-on-down",
        "encap",
        "dscp",
        "target-port",
        "new-flow-table-length",
        "slow-start",
        "panic",
        "threshold",
        "mode",
    ] {
        assert!(PAGE.contains(&format!("`{key}`")), "{key}");
    }
}
