//! `maglev check` and the command line as such.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod tool_common;

use tool_common::{CONFIG, Scratch, maglev, out};

#[test]
fn a_good_file_is_0_and_summed_up() {
    let s = Scratch::new();
    let file = s.file("good.yaml", CONFIG);
    let (code, stdout, stderr) = out(&maglev().arg("check").arg(&file).output().unwrap());
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(stdout, format!("{}: valid: 1 frontend, 2 backends, 0 healthchecks\n", file.display()));
    assert_eq!(stderr, "");
}

#[test]
fn a_file_that_is_not_yaml_is_1_with_its_place() {
    let s = Scratch::new();
    let file = s.file("bad.yaml", "maglev:\n  backends: {\n");
    let (code, stdout, stderr) = out(&maglev().arg("check").arg(&file).output().unwrap());
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.starts_with(&format!("{}:", file.display())), "{stderr}");
    let place: Vec<&str> =
        stderr.strip_prefix(&format!("{}:", file.display())).unwrap().splitn(3, ':').collect();
    assert!(place[0].parse::<usize>().is_ok() && place[1].parse::<usize>().is_ok(), "{stderr}");
}

#[test]
fn a_file_that_cannot_be_read_is_1() {
    let s = Scratch::new();
    let (code, _, stderr) = out(&maglev().arg("check").arg(s.path("none.yaml")).output().unwrap());
    assert_eq!(code, Some(1));
    assert!(stderr.contains("none.yaml: No such file or directory\n"), "{stderr}");
    let (code, _, stderr) = out(&maglev().arg("check").arg(s.path("")).output().unwrap());
    assert_eq!(code, Some(1), "a folder: {stderr}");
}

#[test]
fn an_invalid_file_is_2_with_all_its_errors() {
    let s = Scratch::new();
    let text = CONFIG
        .replace("    nginx1: { address: 127.0.0.22 }", "    nginx1: { adress: 127.0.0.22 }")
        .replace("port: 80", "port: 80000");
    let file = s.file("invalid.yaml", &text);
    let (code, stdout, stderr) = out(&maglev().arg("check").arg(&file).output().unwrap());
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    let lines: Vec<&str> = stderr.lines().collect();
    let at = |line: &str| lines.iter().any(|l| l.starts_with(&format!("{}:{line}:", file.display())));
    assert!(at("5") && at("10"), "{stderr}");
    assert!(stderr.contains("adress") && stderr.contains("address"), "{stderr}");
}

#[test]
fn wrong_usage_is_2_and_help_is_0() {
    for args in [&["run"] as &[&str], &["shwo"], &["check"], &["ctl"], &[]] {
        let (code, _, stderr) = out(&maglev().args(args).output().unwrap());
        assert_eq!(code, Some(2), "{args:?}");
        assert!(stderr.contains("Usage"), "{stderr}");
    }
    for args in [
        &["--help"] as &[&str],
        &["run", "--help"],
        &["ctl", "--help"],
        &["check", "--help"],
        &["demo", "--help"],
    ] {
        let (code, stdout, _) = out(&maglev().args(args).output().unwrap());
        assert_eq!(code, Some(0), "{args:?}");
        assert!(args.len() == 1 || stdout.contains("Exit status: 0"), "{stdout}");
        assert!(stdout.lines().all(|l| l.chars().count() <= 80), "{stdout}");
    }
    assert_eq!(
        out(&maglev().arg("--version").output().unwrap()).1,
        format!("maglev {}\n", env!("CARGO_PKG_VERSION"))
    );
}
