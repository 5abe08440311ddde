//! What docs/moving-over.md says of a file of the `vpp-maglev` daemon is so.

use maglev::config::{parse, to_yaml};

const PAGE: &str = include_str!("../../docs/moving-over.md");

fn block(kind: &str) -> String {
    let after = PAGE.split_once(&format!("\n```{kind}\n")).unwrap().1;
    after.split_once("\n```\n").unwrap().0.to_owned() + "\n"
}

#[test]
fn the_example_loads_with_the_warnings_that_the_page_lists() {
    let parsed = parse(&block("yaml")).unwrap();
    let warnings: String = parsed.warnings.iter().map(|w| format!("{w}\n")).collect();
    assert_eq!(warnings, block("warnings"));
    assert_eq!(parse(&to_yaml(&parsed.config)).unwrap().config, parsed.config);
}

#[test]
fn keys_of_other_types_are_taken_with_a_warning_and_unknown_ones_are_not() {
    let row = PAGE.lines().find(|l| l.contains("`params` of a type that does not use them")).unwrap();
    let keys: Vec<&str> =
        row.split('|').nth(1).unwrap().split('`').filter(|k| !k.trim().is_empty()).collect();
    assert_eq!(keys.len(), 7, "{keys:?}");
    let file = |key: &str| {
        format!(
            "maglev:\n  healthchecks: {{h: {{type: icmp, params: {{{key}: x}}}}}}\n  backends: {{}}\n  frontends: {{}}\n"
        )
    };
    for key in keys {
        let parsed = parse(&file(key)).unwrap_or_else(|e| panic!("{key}: {e}"));
        let said: Vec<String> = parsed.warnings.iter().map(|w| w.message.clone()).collect();
        assert_eq!(said, [format!("`{key}` has no meaning for type icmp")]);
    }
    assert!(parse(&file("colour")).is_err());
}
