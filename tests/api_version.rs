//! docs/api.md, "Versions": no message changes without the version.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

const API: &str = "vpp-plugin/maglev.api";
const CRCS: &str = "vpp-plugin/maglev.api.crcs";

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// Without comments, and with one blank where there is any space.
fn bare(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, comment)) = rest.split_once("/*") {
        out.push_str(before);
        out.push(' ');
        rest = comment.split_once("*/").expect("a comment that ends").1;
    }
    out.push_str(rest);
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn version(bare: &str) -> &str {
    let (_, rest) = bare.split_once("option version = \"").expect("a version");
    rest.split_once('"').expect("its end").0
}

/// FNV-1a, 64 bits, of all but the version.
fn hash(bare: &str) -> String {
    let (before, rest) = bare.split_once("option version").expect("a version");
    let after = rest.split_once(';').expect("its end").1;
    let mut h = 0xcbf2_9ce4_8422_2325_u64;
    for b in before.bytes().chain(after.bytes()) {
        h = (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{h:016x}")
}

/// First word to second.
fn lines(text: &str) -> BTreeMap<String, String> {
    let line = |l: &str| l.split_once(' ').map(|(k, v)| (k.to_owned(), v.trim().to_owned()));
    text.lines().filter(|l| !l.starts_with('#')).filter_map(line).collect()
}

fn messages(bare: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for part in bare.split("define ").skip(1) {
        all.push(part.split([' ', '{']).next().unwrap().to_owned());
    }
    for part in bare.split("autoreply autoendian define ").skip(1) {
        all.push(format!("{}_reply", part.split([' ', '{']).next().unwrap()));
    }
    all.sort();
    all
}

#[test]
fn no_message_changes_without_the_version() {
    let (api, kept) = (bare(&read(API)), lines(&read(CRCS)));
    assert_eq!(
        kept["version"],
        version(&api),
        "the version is another: write {CRCS} anew (docs/api.md, \"Versions\"; the text is {})",
        hash(&api)
    );
    assert_eq!(
        kept["text"],
        hash(&api),
        "{API} is not what it was with version {}: raise the version, and write {CRCS} anew",
        version(&api)
    );
}

#[test]
fn every_message_has_its_crc() {
    let (api, kept) = (bare(&read(API)), lines(&read(CRCS)));
    let known: Vec<String> = kept.keys().filter(|k| *k != "version" && *k != "text").cloned().collect();
    assert_eq!(known, messages(&api));
}

#[test]
fn until_a_release_all_is_in_progress() {
    let api = bare(&read(API));
    let in_progress = api.matches("{ option in_progress;").count();
    assert_eq!(version(&api).starts_with("0."), in_progress == api.matches("define ").count());
}

/// In each commit that is known here, a version has the same messages.
#[test]
fn a_version_is_never_reused() {
    let git = |args: &[&str]| {
        let out = Command::new("git").args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
        out.status.success().then(|| String::from_utf8_lossy(&out.stdout).into_owned())
    };
    let Some(commits) = git(&["log", "--format=%H", "--", CRCS]) else { return };
    let mut by_version: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let now = lines(&read(CRCS));
    by_version.insert(now["version"].clone(), now);
    for commit in commits.lines() {
        let Some(then) = git(&["show", &format!("{commit}:{CRCS}")]).map(|t| lines(&t)) else { continue };
        let first = by_version.entry(then["version"].clone()).or_insert_with(|| then.clone());
        assert_eq!(*first, then, "version {} in commit {commit}", then["version"]);
    }
}

#[test]
fn the_hash_sees_what_matters_alone() {
    let a = bare("option version = \"1.0.0\";\n/* x */ define a\n{ u32 b; };");
    let b = bare("option version = \"2.0.0\"; define a { /* y\n * z */ u32   b; };");
    assert_eq!((hash(&a), version(&a), version(&b)), (hash(&b), "1.0.0", "2.0.0"));
    assert_ne!(hash(&a), hash(&bare("option version = \"1.0.0\"; define a { u64 b; };")));
}
