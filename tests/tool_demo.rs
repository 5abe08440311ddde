//! `maglev demo`

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod tool_common;

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tool_common::{maglev, out};

#[test]
fn the_demo_passes_and_tells_what_it_saw() {
    let (code, stdout, stderr) = out(&maglev().arg("demo").output().unwrap());
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    let last = stdout.lines().last().unwrap();
    assert!(last.starts_with("demo PASS: ready after "), "{last}");
    for seen in [
        "it forwards no packets",
        "backend-transition backend=web2 from=up to=down",
        "=> web2 has weight 0 in lb",
        "=> no flow is left on web2",
        "=> pool `backup` serves alone",
        "=> pool `primary` serves alone",
        "backend `web1` disabled",
    ] {
        assert!(stdout.contains(seen), "{seen}: {stdout}");
    }
}

#[test]
fn ctrl_c_ends_the_demo() {
    let mut child = maglev().arg("demo").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("backend-transition") {
        line.clear();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0);
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    assert!(rest.ends_with("demo interrupted\n"), "{rest}");
}
