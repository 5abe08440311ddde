//! `maglev simulate`

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod tool_common;

use tool_common::{maglev, out};

#[test]
fn a_short_run_holds_and_the_same_seed_says_the_same() {
    let run = |seed: &str| {
        let output = maglev().args(["simulate", "--seed", seed, "--steps", "3000"]).output().unwrap();
        let (code, stdout, stderr) = out(&output);
        assert_eq!(code, Some(0), "{stdout}{stderr}");
        let lines: Vec<String> = stdout.lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 3, "{stdout}");
        assert_eq!(lines[0], format!("3000 steps held, seeds {seed} to {seed}"));
        assert!(lines[2].ends_with(" at a time"), "{stdout}");
        lines[1].clone()
    };
    assert_eq!(run("9"), run("9"));
    let jobs = |n: &str| {
        let args = ["simulate", "--seed", "9", "--steps", "110000", "--jobs", n];
        let (code, stdout, _) = out(&maglev().args(args).output().unwrap());
        (code, stdout.lines().take(2).map(str::to_owned).collect::<Vec<_>>())
    };
    assert_eq!(jobs("1"), jobs("3"), "the number of jobs changes no result");
    assert_ne!(run("9"), run("10"));
}

#[test]
fn what_makes_no_sense_is_wrong_usage() {
    for args in [
        &["--steps", "0"][..],
        &["--steps", "x"],
        &["--seed", "-1"],
        &["--steps", "5", "--until-failure"],
        &["--jobs", "0"],
        &["--tell", "x"],
        &["here"],
    ] {
        let (code, stdout, stderr) = out(&maglev().arg("simulate").args(args).output().unwrap());
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{args:?}: {stderr}");
        assert!(stderr.starts_with("error: "), "{args:?}: {stderr}");
    }
}

#[test]
fn help_says_what_it_does_and_how_it_ends() {
    let (code, stdout, _) = out(&maglev().args(["simulate", "--help"]).output().unwrap());
    assert_eq!(code, Some(0));
    for word in ["--seed", "--steps", "--until-failure", "--tell", "--jobs", "Exit status: 0 all was kept"] {
        assert!(stdout.contains(word), "{word} in {stdout}");
    }
    assert!(stdout.lines().all(|l| l.chars().count() <= 80), "{stdout}");
}
