//! Tables of texts in which `▸` marks where an issue is expected.

use maglev::config::{Config, Issue, parse};

/// What a frontend can be built on: source addresses and backends of both families.
pub const BASE: &str = "\
maglev:
  vpp: {lb: {ipv4-src-address: 192.0.2.254, ipv6-src-address: '2001:db8::fe'}}
  backends:
    a: {address: 198.51.100.1}
    b: {address: 198.51.100.2}
    a-again: {address: 198.51.100.1}
    six: {address: '2001:db8:2::1'}
    low: {address: '::5'}
  frontends:
";

/// Pools with backend `a`.
pub const POOLS: &str = "pools: [{name: p, backends: {a: {}}}]";

/// The base with frontends, each a name and a flow mapping without its braces.
pub fn frontends(list: &[(&str, &str)]) -> String {
    let mut text = BASE.to_owned();
    for (name, body) in list {
        text += &format!("    {name}: {{{body}}}\n");
    }
    text
}

/// A healthcheck `h`, a flow mapping without its braces.
pub fn check(body: &str) -> String {
    format!("maglev: {{healthchecks: {{h: {{{body}}}}}}}")
}

/// The text without marks, and the places of the marks.
pub fn places(marked: &str) -> (String, Vec<(usize, usize)>) {
    let (mut text, mut found) = (String::new(), Vec::new());
    let (mut line, mut column) = (1, 1);
    for c in marked.chars() {
        match c {
            '▸' => found.push((line, column)),
            '\n' => {
                (line, column) = (line + 1, 1);
                text.push(c);
            }
            _ => {
                column += 1;
                text.push(c);
            }
        }
    }
    (text, found)
}

/// Asserts that a text has exactly these errors at its marks, in order.
pub fn assert_errors(rule: &str, marked: &str, messages: &[&str]) {
    let (text, places) = places(marked);
    let errors = match parse(&text) {
        Ok(_) => panic!("{rule}: no error in\n{text}"),
        Err(errors) => errors,
    };
    assert!(!errors.not_yaml, "{rule}: {errors}");
    assert_issues(rule, &text, &errors.list, &places, messages);
}

/// Asserts that a text is valid with exactly these warnings at its marks, in order.
pub fn assert_warnings(rule: &str, marked: &str, messages: &[&str]) -> Config {
    let (text, places) = places(marked);
    let parsed = parse(&text).unwrap_or_else(|e| panic!("{rule}: {e}\n{text}"));
    assert_issues(rule, &text, &parsed.warnings, &places, messages);
    parsed.config
}

/// The configuration of a text that must be valid, without warnings.
pub fn good(text: &str) -> Config {
    assert_warnings("valid", text, &[])
}

fn assert_issues(rule: &str, text: &str, issues: &[Issue], places: &[(usize, usize)], messages: &[&str]) {
    let shown: Vec<String> = issues.iter().map(ToString::to_string).collect();
    let wanted: Vec<String> =
        places.iter().zip(messages).map(|((l, c), m)| format!("{l}:{c}: {m}")).collect();
    assert_eq!(places.len(), messages.len(), "{rule}: marks and messages");
    assert_eq!(shown, wanted, "{rule}\n{text}");
}
