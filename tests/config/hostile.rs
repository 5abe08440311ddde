//! Files made to hurt: each has a defined answer, soon, on a stack of the usual size.

use std::time::{Duration, Instant};

use maglev::config::{MAX_DEPTH, MAX_INPUT, parse};
use proptest::prelude::*;

/// What must be said of a text that is no YAML or beyond a limit, within a time that is generous for a debug build.
fn refused(what: &str, text: &str, message: &str) {
    let errors = timed(what, text).expect_err(what);
    assert!(errors.not_yaml, "{what}: {}", &errors.list[0]);
    let last = errors.list.last().unwrap().to_string();
    assert!(last.contains(message), "{what}: {last}");
}

#[allow(clippy::disallowed_methods)]
fn timed(what: &str, text: &str) -> Result<maglev::config::Parsed, maglev::config::Errors> {
    let start = Instant::now();
    let result = parse(text);
    let took = start.elapsed();
    assert!(took < Duration::from_secs(60), "{what} took {took:?}");
    result
}

#[test]
fn not_yaml() {
    for (text, message) in [
        ("maglev: [", "not YAML: "),
        ("maglev: {a: b", "not YAML: "),
        ("a: b: c", "not YAML: "),
        ("maglev: \"x", "not YAML: "),
        ("maglev: *nowhere", "not YAML: "),
        ("maglev: {a: &x {b: *x}}", "1:20: an alias inside of what it stands for"),
        ("%YAML 3.0\n%bad\n", "not YAML: "),
        ("\tmaglev:\n", "1:2: not YAML: a tab in the indentation"),
        ("maglev:\n  \thealthchecks: {}\n", "2:4: not YAML: a tab in the indentation"),
        ("\tmaglev:\n\t- x: y\n\t z", "not YAML: "),
        ("maglev: {}\n# \u{0}\nrubbish: [", "2:3: not YAML: the character U+0000"),
        ("\u{feff}\u{1b}[2J", "1:1: not YAML: the character U+001B"),
    ] {
        let errors = parse(text).expect_err(text);
        assert!(errors.to_string().contains(message), "{text}: {errors}");
        assert!(errors.not_yaml, "{text}: {errors}");
    }
    assert_eq!(parse("maglev:\n  x: [\n").unwrap_err().list[0].line, 3);
    // Lines end in LF, CR LF or CR.
    for end in ["\n", "\r\n", "\r"] {
        let errors = parse(&["maglev:", "  vpp: {}", "  x: 1", ""].join(end)).unwrap_err();
        assert_eq!(errors.to_string(), "3:3: unknown key `x`");
    }
}

#[test]
fn alias_bombs() {
    let mut lists = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..30 {
        let all = vec![format!("*a{}", i - 1); 10].join(", ");
        lists += &format!("a{i}: &a{i} [{all}]\n");
    }
    refused("lists", &lists, "more than 1000000 values, aliases expanded");

    let mut merges = String::from("a0: &a0 {k: v}\n");
    for i in 1..60 {
        merges += &format!("a{i}: &a{i} {{<<: *a{}, x{i}: *a{}, y{i}: *a{}}}\n", i - 1, i - 1, i - 1);
    }
    refused("merges", &merges, "more than 1000000 values, aliases expanded");

    let mut texts = format!("a: &a {}\nb:\n", "x".repeat(1 << 20));
    texts += &"- *a\n".repeat(100);
    refused("text", &texts, "more than 32 MiB of text, aliases expanded");
}

#[test]
fn deep_nesting() {
    let deep = "nested deeper than 64 levels";
    for n in [MAX_DEPTH + 1, 200, 10_000, 1_000_000] {
        // The parser has a limit of its own on flow collections; either answer will do.
        for open in ["[", "{a: ", "- ", "? ", "[{"] {
            let text = open.repeat(n);
            let errors = timed(open, &text).expect_err(open);
            assert!(errors.not_yaml, "{open}");
        }
    }
    refused("lists", &("- ".repeat(MAX_DEPTH + 1) + "x"), deep);
    // Through aliases: 40 levels below 40 levels.
    let text = format!("a: &a {}x\nb: {}*a", "[".repeat(40) + "", "[".repeat(40));
    let text = text.replace("x\n", &format!("x{}\n", "]".repeat(40))) + &"]".repeat(40);
    refused("aliases", &text, deep);
    let block: String = (0..MAX_DEPTH + 5).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
    refused("block", &block, deep);
}

#[test]
fn long_inputs() {
    refused("too long", &"#".repeat(MAX_INPUT + 1), "longer than 16 MiB");
    // Five million characters in one line, as each kind of token.
    let line = "x".repeat(5 << 20);
    for text in [
        format!("maglev: {line}"),
        format!("maglev: '{line}'"),
        format!("maglev: {{{line}: 1}}"),
        format!("maglev: {{backends: {{a: {{address: {line}}}}}}}"),
        format!("maglev: {{healthchecks: {{a: {{type: {line}, interval: {line}}}}}}}"),
        format!("maglev: {{healthchecks: {{a: {{type: icmp, interval: {}s}}}}}}", "1".repeat(5 << 20)),
        format!("maglev: {{healthchecks: {{a: {{type: icmp, rise: {}}}}}}}", "1".repeat(5 << 20)),
        format!(
            "maglev: {{healthchecks: {{a: {{type: http, port: 1, params: {{response-regexp: '{line}'}}}}}}}}"
        ),
        line.clone(),
        "{".repeat(1 << 18),
        "a,".repeat(1 << 18),
        "[a,".repeat(1 << 18),
        " ".repeat(1 << 18),
        "\n".repeat(1 << 18),
        "- a\n".repeat(1 << 18),
        "&a ".repeat(1 << 18),
        "!".repeat(1 << 18),
        "? ".repeat(1 << 18),
        "\"\\".repeat(1 << 18),
        "%".repeat(1 << 18),
        ": ".repeat(1 << 18),
        "*a ".repeat(1 << 18),
        "--- ".repeat(1 << 18),
        "|\n".repeat(1 << 18),
    ] {
        let errors = timed(&text[..20], &text).expect_err("long");
        let shown: usize = errors.list.iter().map(|i| i.message.len()).sum();
        assert!(shown < 4 << 20, "{shown} bytes of messages");
    }
}

#[test]
fn many_errors_are_capped() {
    let mut text = String::from("maglev:\n  frontends:\n");
    for i in 0..5_000 {
        text += &format!(
            "    frontend-{i}: {{address: x, port: 0, pools: [{{name: p, backends: {{n{i}: }}}}]}}\n"
        );
    }
    text += "  backends:\n";
    for i in 0..5_000 {
        text += &format!("    backend-{i}: {{address: 10.0.{}.{}, healthcheck: h{i}}}\n", i / 256, i % 256);
    }
    let errors = timed("many", &text).expect_err("many");
    assert_eq!(errors.list.len(), 10_001);
    assert_eq!(errors.list.last().unwrap().message, "and 15000 more");
}

#[test]
fn suggestions_are_bounded() {
    let mut text = String::from("maglev:\n  healthchecks:\n");
    for i in 0..20_000 {
        text += &format!("    check-{i}: {{type: icmp}}\n");
    }
    text += "  backends:\n";
    for i in 0..20_000 {
        text += &format!("    b{i}: {{address: 10.0.0.1, healthcheck: chekc-{i}}}\n");
    }
    let errors = timed("suggestions", &text).expect_err("suggestions");
    assert_eq!(errors.list[0].message, "unknown healthcheck `chekc-0`, did you mean `check-0`?");
    assert_eq!(errors.list[9_999].message, "unknown healthcheck `chekc-9999`");
}

#[test]
fn long_chains_and_circles_of_tracks() {
    for key in ["track", "agent-track"] {
        let ring = |n: usize, last: &str| {
            let mut text = String::from("maglev:\n  backends:\n");
            for i in 0..n {
                let to = if i + 1 == n { last.to_owned() } else { format!("{key}: b{}", i + 1) };
                text += &format!("    b{i}: {{address: 10.0.0.1, {to}}}\n");
            }
            text
        };
        let chain = ring(20_000, "agent: {port: 9}");
        let errors = timed("chain", &chain).expect_err("chain");
        assert_eq!(errors.list.len(), 1, "{errors}");
        assert_eq!(errors.list[0].message, format!("`{key}` goes through more than 16 levels"));
        let errors = timed("circle", &ring(20_000, &format!("{key}: b0"))).expect_err("circle");
        assert_eq!(errors.list.len(), 1);
        assert!(errors.list[0].message.starts_with(&format!("`{key}` runs in a circle: b0 → b1 → ")));
        assert!(errors.list[0].message.ends_with(" → b9 → 19990 more → b0"), "{errors}");
    }
}

#[test]
fn regular_expressions_are_bounded() {
    let mut text = String::from("maglev:\n  healthchecks:\n");
    for i in 0..1001 {
        text += &format!("    h{i}: {{type: tcp, port: 1, params: {{expect: 'a{i}'}}}}\n");
    }
    let errors = timed("patterns", &text).expect_err("patterns");
    assert_eq!(errors.list.len(), 1);
    assert_eq!(errors.list[0].message, "more than 1000 different regular expressions");
    for pattern in
        ["(".repeat(100_000), "((a{100}){100}){100}".into(), r"\pL{1000}".into(), "a".repeat(1 << 20)]
    {
        let text = format!(
            "maglev: {{healthchecks: {{h: {{type: tcp, port: 1, params: {{expect: '{pattern}'}}}}}}}}"
        );
        let errors = timed("pattern", &text).expect_err("pattern");
        assert_eq!(errors.list.len(), 1, "{errors}");
    }
    // Small enough, but a server could keep the prober busy for seconds with each piece of 64 KiB.
    let slow = |pattern: &str| {
        parse(&format!(
            "maglev: {{healthchecks: {{h: {{type: tcp, port: 1, params: {{expect: '{pattern}'}}}}}}}}"
        ))
    };
    for pattern in ["(?s-u).*a.{3000}c", "(a|b)*a(a|b){1000}c", "(a{40}|b{40}){13}", "(x?){1025}"] {
        let errors = slow(pattern).expect_err(pattern);
        assert!(errors.list[0].message.ends_with("too large"), "{errors}");
    }
    for pattern in ["a.{1000}b", r"^\w+\s(?i)\p{Greek}{3,8}$", "(a|b)*a(a|b){300}c"] {
        slow(pattern).expect(pattern);
    }
    let long = format!(
        "maglev: {{healthchecks: {{h: {{type: tcp, port: 1, params: {{expect: {}}}}}}}}}",
        "a".repeat(16385)
    );
    let errors = parse(&long).unwrap_err();
    assert_eq!(errors.list[0].message, "`expect`: a regular expression longer than 16384 bytes");
    // The same bad one twice is compiled once and told twice.
    let text = "maglev: {healthchecks: {a: {type: tcp, port: 1, params: {expect: '('}}, b: {type: tcp, port: 1, params: {expect: '('}}}}";
    let messages: Vec<String> = parse(text).unwrap_err().list.into_iter().map(|i| i.message).collect();
    assert_eq!(
        messages,
        ["`expect`: bad regular expression `(`: unclosed group", "`expect`: bad regular expression `(`"]
    );
}

/// Pieces that YAML and the schema give a meaning to.
fn piece() -> impl Strategy<Value = String> {
    let words = "maglev: |healthchecks: |backends: |frontends: |vpp: |lb: |pools: |params: |type: |address: |<<: |port: |\
        h: |tcp|http|192.0.2.1|2s|0|-1|80|true|~|{|}|[|]|, |- |? |: |\n|\n  |\n    |\n      |&a |*a|!!str |!x |'|\"|#|%|---\n|...\n|\
        | |>|\t|\\|\u{feff}|\u{85}|\u{2028}|\r|\r\n|@|`";
    let words: Vec<String> = words.split('|').map(String::from).chain(["|\n".to_owned()]).collect();
    prop_oneof![4 => proptest::sample::select(words), 1 => "\\PC{0,6}", 1 => any::<char>().prop_map(String::from)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn anything_like_yaml_is_answered(pieces in proptest::collection::vec(piece(), 0..60)) {
        let text = pieces.concat();
        match parse(&text) {
            Ok(parsed) => prop_assert_eq!(parse(&maglev::config::to_yaml(&parsed.config)).map(|p| p.config), Ok(parsed.config)),
            Err(errors) => {
                prop_assert!(!errors.list.is_empty());
                prop_assert!(errors.list.is_sorted_by_key(|i| (i.line, i.column)));
                let lines = text.split(['\n', '\r']).count() + 1;
                prop_assert!(errors.list.iter().all(|i| i.line >= 1 && i.column >= 1 && i.line <= lines + 1));
            }
        }
    }

    #[test]
    fn a_damaged_file_is_answered(cut in 0usize..2400, insert in piece(), drop in 0usize..8) {
        let text = include_str!("fixtures/daemon.yaml");
        let at = text.floor_char_boundary(cut);
        let rest: String = text[at..].chars().skip(drop).collect();
        let _ = parse(&format!("{}{insert}{rest}", &text[..at]));
    }
}
