use std::time::Duration;

use maglev::time::Time;
use proptest::prelude::*;

use crate::nobody::Nobody;
use crate::session::{MAX_OUTPUT, Request, Session};
use crate::telnet::{GREETING, terminal_type};

fn new() -> Session {
    Session::new(Time::ZERO, "banner")
}

/// What was sent so far, as text, the greeting taken off.
fn text(s: &mut Session) -> String {
    let out = s.output().to_vec();
    s.sent(out.len());
    let out = out.strip_prefix(GREETING).unwrap_or(&out);
    String::from_utf8_lossy(out).into_owned()
}

fn receive(s: &mut Session, bytes: &[u8]) {
    s.receive(bytes, &Nobody);
}

fn line(l: &str) -> Option<Request> {
    Some(Request::Line(l.into()))
}

#[test]
fn vppctl_with_a_command_gets_the_answer_and_a_nul() {
    let mut s = new();
    assert!(s.output().starts_with(GREETING));
    s.sent(GREETING.len());
    receive(&mut s, &terminal_type("vppctl"));
    assert_eq!(text(&mut s), "", "no banner, no prompt");
    receive(&mut s, b"maglev show status\n\0");
    assert_eq!(s.next_request(), line("maglev show status"));
    assert_eq!(s.next_request(), None, "one at a time");
    s.answer("state running\n", &Nobody);
    assert_eq!(text(&mut s), "state running\r\n\0");
    receive(&mut s, b"quit\n");
    assert_eq!(s.next_request(), Some(Request::Quit));
    s.close();
    assert!(s.is_over());
}

#[test]
fn an_empty_command_gets_its_nul_too() {
    let mut s = new();
    receive(&mut s, &terminal_type("vppctl"));
    receive(&mut s, b"\n\0");
    assert_eq!(s.next_request(), line(""));
    s.answer("", &Nobody);
    assert_eq!(text(&mut s), "\0");
}

#[test]
fn several_commands_in_one_piece_are_answered_in_order() {
    let mut s = new();
    receive(&mut s, &[terminal_type("VPPCTL"), b"a\nb\r\nquit\nc\n".to_vec()].concat());
    for l in ["a", "b\r"] {
        assert_eq!(s.next_request(), line(l));
        s.answer("x\n", &Nobody);
    }
    assert_eq!(s.next_request(), Some(Request::Quit));
}

#[test]
fn a_terminal_gets_banner_prompt_and_echo() {
    let mut s = new();
    receive(&mut s, &terminal_type("xterm"));
    assert!(text(&mut s).starts_with("banner\r\n"));
    receive(&mut s, b"show sx\x7ft\r");
    assert_eq!(s.next_request(), line("show st"));
    let echo = text(&mut s);
    assert!(echo.starts_with("show sx") && echo.ends_with("\r\n"), "{echo:?}");
    s.answer("one\ntwo\n", &Nobody);
    let out = text(&mut s);
    assert!(out.starts_with("one\r\ntwo\r\nmaglev# ") && !out.contains('\0'), "{out:?}");
}

#[test]
fn one_who_never_says_what_it_is_gets_a_prompt_after_a_second() {
    let mut s = new();
    let due = s.deadline().unwrap();
    s.tick(due - Duration::from_millis(1));
    assert_eq!(text(&mut s), "");
    s.tick(due);
    assert!(text(&mut s).contains("maglev# "));
    assert_eq!(s.deadline(), None);
}

#[test]
fn help_and_completion_at_the_prompt() {
    let mut s = new();
    receive(&mut s, &terminal_type("xterm"));
    text(&mut s);
    receive(&mut s, b"show heal?");
    let out = text(&mut s);
    assert!(
        out.contains("show healthchecks [<healthcheck>] [json]") && out.contains("maglev# show heal"),
        "{out}"
    );
    receive(&mut s, b"\t\r");
    assert_eq!(s.next_request(), line("show healthchecks "));
    s.answer("", &Nobody);
    text(&mut s);
    receive(&mut s, b"show f\t");
    let out = text(&mut s);
    assert!(out.contains("flow       frontends\r\n"), "{out}");
    receive(&mut s, b"r\t\r");
    assert_eq!(s.next_request(), line("show frontends "));
    s.answer("", &Nobody);
    text(&mut s);
    receive(&mut s, b"xyz\t");
    assert!(text(&mut s).ends_with('\u{7}'));
}

#[test]
fn quit_has_three_spellings_and_a_key() {
    for keys in ["quit\r", "q\n", " exit \r\n", "\u{4}"] {
        let mut s = new();
        receive(&mut s, &terminal_type("xterm"));
        receive(&mut s, keys.as_bytes());
        assert_eq!(s.next_request(), Some(Request::Quit), "{keys:?}");
    }
}

#[test]
fn a_plain_line_too_long_is_said_so_and_forgotten() {
    let mut s = new();
    receive(&mut s, &terminal_type("vppctl"));
    for _ in 0..1000 {
        receive(&mut s, &[b'x'; 1000]);
    }
    receive(&mut s, b"\nnext\n");
    assert_eq!(s.next_request(), Some(Request::TooLong));
    s.answer("", &Nobody);
    assert_eq!(s.next_request(), line("next"));
}

#[test]
fn the_end_of_input_ends_the_session_after_the_last_line() {
    let mut s = new();
    receive(&mut s, &terminal_type("vppctl"));
    receive(&mut s, b"a\nb");
    s.end_of_input(&Nobody);
    let mut seen = Vec::new();
    while let Some(r) = s.next_request() {
        if r == Request::Quit {
            s.close();
        } else {
            s.answer("", &Nobody);
        }
        seen.push(r);
    }
    assert_eq!(seen, [line("a").unwrap(), line("b").unwrap(), Request::Quit]);
}

#[test]
fn a_client_that_reads_nothing_gets_no_more_work_done() {
    let mut s = new();
    receive(&mut s, &terminal_type("vppctl"));
    let long = "x".repeat(MAX_OUTPUT);
    receive(&mut s, b"a\nb\n");
    assert_eq!(s.next_request(), line("a"));
    s.answer(&long, &Nobody);
    assert_eq!(s.next_request(), None);
    assert!(!s.wants_input());
    text(&mut s);
    receive(&mut s, b"");
    assert_eq!(s.next_request(), line("b"));
}

#[test]
fn answers_never_contain_telnet_or_a_stray_nul() {
    let mut s = new();
    receive(&mut s, &terminal_type("vppctl"));
    receive(&mut s, b"a\n");
    s.next_request();
    text(&mut s);
    s.answer("a\0b\u{ff}c\n", &Nobody);
    let out = s.output().to_vec();
    assert_eq!(out.iter().filter(|b| **b == 0).count(), 1);
    assert!(!out.contains(&255));
}

proptest! {
    /// Whatever comes in whatever pieces: no panic, bounded memory, and each request can be answered.
    #[test]
    fn hostile_bytes(pieces in proptest::collection::vec(
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..300),
            proptest::collection::vec(proptest::sample::select(vec![255u8, 250, 240, 24, 31, 0, 10, 13, 27, 91, 9, 63, 127, 65, 4, 3]), 0..60),
            Just(terminal_type("vppctl")),
            Just(terminal_type("xterm")),
            Just(vec![255, 250, 31, 0, 0, 0, 0, 255, 240]),
            Just(b"show frontends\n".to_vec()),
        ], 0..40), answer in "\\PC{0,200}", reads: bool)
    {
        let mut s = new();
        for p in pieces {
            if !s.wants_input() {
                break;
            }
            receive(&mut s, &p);
            for _ in 0..4 {
                match s.next_request() {
                    Some(Request::Line(l)) => {
                        prop_assert!(l.len() <= 3 * maglev::cli::MAX_LINE);
                        s.answer(&answer, &Nobody);
                    }
                    Some(Request::TooLong) => s.answer("", &Nobody),
                    Some(Request::Quit) => s.close(),
                    None => break,
                }
            }
            if reads {
                text(&mut s);
            }
            prop_assert!(s.output().len() < MAX_OUTPUT + 64 * 1024);
        }
    }

    /// The same bytes mean the same however they are cut.
    #[test]
    fn pieces_do_not_matter(bytes in proptest::collection::vec(any::<u8>(), 0..400), cut in 1..50usize) {
        let run = |size: usize| {
            let mut s = new();
            let mut seen = Vec::new();
            for p in bytes.chunks(size) {
                receive(&mut s, p);
                while let Some(r) = s.next_request() {
                    if r == Request::Quit { s.close() } else { s.answer("ok\n", &Nobody) }
                    seen.push(r);
                }
            }
            (seen, text(&mut s))
        };
        prop_assert_eq!(run(cut), run(500));
    }
}
