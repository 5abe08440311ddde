//! `maglev ctl` against servers that are not ours.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod tool_common;

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tool_common::{Scratch, maglev, out};

/// VPP's own greeting: IAC sequences that end with a question for the terminal's type and size.
const GREETING: &[u8] = b"\xff\xfc\"\xff\xfe\"\xff\xfb\x03\xff\xfd\x03\xff\xfb\x01\xff\xfe\x01\xff\xfd\x18\xff\xfa\x18\x01\xff\xf0\xff\xfd\x1f\xff\xfa\x1f\x01\xff\xf0";

/// A server for one client.
fn server(socket: &Path, play: impl FnOnce(UnixStream) + Send + 'static) -> JoinHandle<()> {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || play(listener.accept().unwrap().0))
}

/// What the client sends up to the end of its line.
fn line(stream: &mut UnixStream) -> Vec<u8> {
    let mut got = Vec::new();
    let mut byte = [0];
    while !got.ends_with(b"\n") && stream.read(&mut byte).unwrap() == 1 {
        got.push(byte[0]);
    }
    got
}

fn ctl(socket: &Path, words: &[&str]) -> (Option<i32>, String, String) {
    out(&maglev().args(["ctl", "-t", "10", "-s"]).arg(socket).args(words).output().unwrap())
}

/// An answer as VPP sends one, and the client's exit code, output and errors.
fn answered(answer: &'static [u8]) -> (Option<i32>, String, String) {
    let s = Scratch::new();
    let socket = s.path("s");
    let server = server(&socket, move |mut c| {
        c.write_all(GREETING).unwrap();
        assert_eq!(line(&mut c), b"\xff\xfa\x18\0vppctl\xff\xf0maglev show status\n");
        c.write_all(answer).unwrap();
        assert_eq!(line(&mut c), b"quit\n");
    });
    let result = ctl(&socket, &["show", "status"]);
    server.join().unwrap();
    result
}

#[test]
fn a_good_answer_is_printed_as_text() {
    assert_eq!(
        answered(b"state running\r\nall well\r\n\0"),
        (Some(0), "state running\nall well\n".into(), String::new())
    );
    assert_eq!(answered(b"\0"), (Some(0), String::new(), String::new()));
    assert_eq!(answered(b"a\xff\xfb\x01b\xff\xfa\x1f\x01\xff\xf0c\r\n\0more").1, "abc\n");
}

#[test]
fn errors_of_ours_and_of_vpps_are_1() {
    for answer in [
        b"error: unknown backend `x`\r\nmore\r\n\0".as_slice(),
        b"unknown input `maglev show status'\r\n\0",
        b"maglev: unknown input `show status'\r\n\0",
    ] {
        let (code, stdout, stderr) = answered(answer);
        assert_eq!((code, stdout.as_str()), (Some(1), ""));
        assert!(stderr.contains('`') && !stderr.contains('\r'), "{stderr}");
        assert_eq!(
            stderr.contains("maglev_plugin.so"),
            answer.starts_with(b"unknown input `maglev"),
            "{stderr}"
        );
    }
}

#[test]
fn an_answer_in_drips_is_the_same() {
    let s = Scratch::new();
    let socket = s.path("s");
    let server = server(&socket, |mut c| {
        for b in GREETING {
            c.write_all(&[*b]).unwrap();
        }
        line(&mut c);
        for b in b"one\r\ntwo\r\n\0" {
            c.write_all(&[*b]).unwrap();
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    assert_eq!(ctl(&socket, &["show status"]), (Some(0), "one\ntwo\n".into(), String::new()));
    server.join().unwrap();
}

#[test]
fn a_server_in_line_mode_says_nothing_first() {
    let s = Scratch::new();
    let socket = s.path("s");
    let server = server(&socket, |mut c| {
        line(&mut c);
        c.write_all(b"fine\n\0").unwrap();
        line(&mut c);
    });
    assert_eq!(ctl(&socket, &["show", "status"]), (Some(0), "fine\n".into(), String::new()));
    server.join().unwrap();
}

#[test]
fn no_connection_is_2_in_clear_words() {
    let s = Scratch::new();
    let (code, stdout, stderr) = ctl(&s.path("none"), &["show", "status"]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert!(stderr.contains("none: there is no such socket: is VPP, or `maglev run`, running?"), "{stderr}");

    drop(UnixListener::bind(s.path("dead")).unwrap());
    let (code, _, stderr) = ctl(&s.path("dead"), &["show", "status"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("nobody listens there"), "{stderr}");

    let (code, _, stderr) = ctl(&s.file("file", ""), &["show", "status"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("file: "), "{stderr}");

    let (code, _, stderr) = ctl(Path::new(&"x".repeat(200)), &["show", "status"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("not a path that a socket can have"), "{stderr}");
}

#[test]
fn an_answer_that_breaks_off_is_2() {
    let s = Scratch::new();
    let socket = s.path("s");
    let server = server(&socket, |mut c| {
        c.write_all(GREETING).unwrap();
        line(&mut c);
        c.write_all(b"half an ans").unwrap();
    });
    let (code, stdout, stderr) = ctl(&socket, &["show", "status"]);
    server.join().unwrap();
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert!(stderr.contains("closed within the answer; so far:\nhalf an ans"), "{stderr}");
}

#[test]
fn a_server_that_closes_at_once_is_2() {
    let s = Scratch::new();
    let socket = s.path("s");
    let server = server(&socket, drop);
    let (code, _, stderr) = ctl(&socket, &["show", "status"]);
    server.join().unwrap();
    assert_eq!(code, Some(2));
    assert!(stderr.contains("closed at once"), "{stderr}");
}

#[test]
#[allow(clippy::disallowed_methods)]
fn neither_silence_nor_a_drip_outlives_the_timeout() {
    for drip in [false, true] {
        let s = Scratch::new();
        let socket = s.path("s");
        let server = server(&socket, move |mut c| {
            c.write_all(GREETING).unwrap();
            line(&mut c);
            // Until the client has gone.
            for _ in 0..200 {
                if drip && c.write_all(b"x").is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let began = Instant::now();
        let output =
            maglev().args(["ctl", "-t", "1", "-s"]).arg(&socket).args(["show", "status"]).output().unwrap();
        let (code, _, stderr) = out(&output);
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        assert_eq!(code, Some(2));
        assert!(stderr.contains("no complete answer in time"), "{stderr}");
        server.join().unwrap();
    }
}

#[test]
fn a_line_end_cannot_smuggle_in_a_command() {
    let s = Scratch::new();
    let (code, _, stderr) = ctl(&s.path("none"), &["show status\nset backend a disable"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("control character"), "{stderr}");
}
