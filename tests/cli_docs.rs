//! docs/commands.md and the command table say the same.

const DOCS: &str = include_str!("../docs/commands.md");

#[test]
fn every_command_is_documented_with_its_usage() {
    let mut seen = 0;
    for (path, usage) in maglev::cli::paths() {
        let Some((&"maglev", words)) = path.split_first() else { continue };
        // A table's cell: pipes are escaped, and `json` is told once for all.
        let usage = usage.trim_end_matches(" [json]").replace('|', "\\|");
        assert!(DOCS.contains(&format!("| `{usage}`")), "{words:?}: {usage}");
        seen += 1;
    }
    assert!(seen > 10);
}

#[test]
fn the_documented_frontends_heading_is_the_real_one() {
    let heading = "\nfrontend   address           proto  port  state  pool     backends\n";
    assert!(DOCS.contains(heading));
}
