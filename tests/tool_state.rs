//! `maglev run --state-file`: real files, real restarts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod tool_common;

use std::fs;

use rustix::process::Signal;
use tool_common::{CONFIG, Running, Scratch};

const DISABLE: [&str; 4] = ["set", "backend", "nginx0", "disable"];

#[test]
fn words_survive_being_killed() {
    let s = Scratch::new();
    let (config, state) = (s.file("c.yaml", CONFIG), s.path("state.json"));
    let mut r = Running::start_with_state(&s, &config, &state);
    let (code, text, _) = r.ctl(&DISABLE);
    assert_eq!((code, text.contains("not saved")), (Some(0), false), "{text}");
    let weight = ["set", "frontend", "web", "pool", "primary", "backend", "nginx1", "weight", "7"];
    assert_eq!(r.ctl(&weight).0, Some(0));
    // It has answered: it is on the disk.
    r.signal(Signal::KILL);
    assert_eq!(r.ended().code(), None);
    fs::remove_file(&r.socket).unwrap();

    let mut r = Running::start_with_state(&s, &config, &state);
    r.ctl_until(&["show", "frontend", "web"], "  nginx1  weight 7  effective 7");
    assert!(r.ctl(&["show", "backend", "nginx0"]).1.contains("disabled"));
    // That start has saved it again by itself; a busy disk takes its time.
    r.ctl_until(&["show", "status"], "\nstate saved       2");
    r.signal(Signal::TERM);
    assert_eq!(r.ended().code(), Some(0));
}

#[test]
fn what_is_not_saved_yet_is_saved_at_the_end() {
    let s = Scratch::new();
    let (config, state) = (s.file("c.yaml", CONFIG), s.path("state.json"));
    let mut r = Running::start_with_state(&s, &config, &state);
    assert_eq!(r.ctl(&DISABLE).0, Some(0));
    // A reload is no operator's word, and is saved when its second is over.
    fs::write(&config, CONFIG.replace("127.0.0.22", "127.0.0.23")).unwrap();
    assert_eq!(r.ctl(&["config", "reload"]).0, Some(0));
    r.signal(Signal::TERM);
    assert_eq!(r.ended().code(), Some(0));
    let text = fs::read_to_string(&state).unwrap();
    assert!(text.contains("127.0.0.23") && !text.contains("127.0.0.22"), "{text}");
}

#[test]
fn a_bad_file_and_a_missing_folder_are_said_and_start_goes_on() {
    let s = Scratch::new();
    let (config, state) = (s.file("c.yaml", CONFIG), s.file("state.json", "{\"format\":\"mag"));
    let mut r = Running::start_with_state(&s, &config, &state);
    let (_, text, _) = r.ctl(&["show", "status"]);
    assert!(text.contains("\nstate not read    "), "{text}");
    assert_eq!(fs::read_to_string(s.path("state.json.bad")).unwrap(), "{\"format\":\"mag");
    r.signal(Signal::TERM);
    assert_eq!(r.ended().code(), Some(0));

    let mut r = Running::start_with_state(&s, &config, &s.path("no/such/state.json"));
    let (code, text, _) = r.ctl(&DISABLE);
    assert_eq!(code, Some(0), "it is done");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "backend `nginx0` disabled");
    assert!(lines[1].starts_with("done, not saved: ") && lines[1].ends_with("no such folder"), "{text}");
    let (_, text, _) = r.ctl(&["show", "status"]);
    assert!(text.contains("\nstate not saved   ") && text.contains("\nstate saved       never\n"), "{text}");
    r.signal(Signal::TERM);
    assert_eq!(r.ended().code(), Some(0));
}

#[test]
fn without_the_option_nothing_is_kept() {
    let s = Scratch::new();
    let r = Running::start(&s, &s.file("c.yaml", CONFIG));
    assert_eq!(r.ctl(&DISABLE).0, Some(0));
    assert!(r.ctl(&["show", "status"]).1.contains("\nstate file        -\n"));
}

/// Without the line breaks and blanks of a long value.
fn unwrapped(text: &str) -> String {
    text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn two_with_one_state_file_do_not_overwrite_each_other() {
    let s = Scratch::new();
    let (config, state) = (s.file("c.yaml", CONFIG), s.path("state.json"));
    let mut first = Running::start_with_state(&s, &config, &state);
    assert_eq!(first.ctl(&DISABLE).0, Some(0));

    let mut second =
        Running::start_at(&s, "second.sock", &config, &["--state-file".as_ref(), state.as_os_str()]);
    let text = unwrapped(&second.ctl(&["show", "status"]).1);
    assert!(text.starts_with("problem state-file: not "), "{text}");
    assert!(text.contains("has it as its state file; nothing is saved here while it does"), "{text}");
    assert!(!second.ctl(&["show", "backend", "nginx0"]).1.contains("disabled"), "it has read nothing");
    let (code, text, _) = second.ctl(&["set", "backend", "nginx1", "disable"]);
    assert_eq!(code, Some(0));
    assert!(text.contains("done, not saved: ") && text.contains("has it as its state file"), "{text}");
    let saved = fs::read_to_string(&state).unwrap();
    assert_eq!(saved.matches("\"state\":\"disabled\"").count(), 1, "{saved}");

    // However the first one ends, the second takes over, within its pause; and keeps what it has not read.
    first.signal(Signal::KILL);
    first.ended();
    second.wait_for("problem ends kind=state-file");
    assert!(!second.ctl(&["show", "status"]).1.contains("\nproblem"));
    second.signal(Signal::KILL);
    second.ended();
    assert_eq!(fs::read_to_string(s.path("state.json.bad")).unwrap(), saved);
    fs::remove_file(&second.socket).unwrap();
    let third = Running::start_at(&s, "second.sock", &config, &["--state-file".as_ref(), state.as_os_str()]);
    assert!(third.ctl(&["show", "backend", "nginx1"]).1.contains("disabled"));
}

#[test]
fn one_that_is_just_ending_hands_its_words_over() {
    let s = Scratch::new();
    let (config, state) = (s.file("c.yaml", CONFIG), s.path("state.json"));
    let mut first = Running::start_with_state(&s, &config, &state);
    assert_eq!(first.ctl(&DISABLE).0, Some(0));
    // It still has the lock when the next one starts.
    first.signal(Signal::STOP);
    let ends = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        first.signal(Signal::KILL);
        first.ended();
    });
    let second = Running::start_at(&s, "second.sock", &config, &["--state-file".as_ref(), state.as_os_str()]);
    ends.join().unwrap();
    assert!(second.ctl(&["show", "backend", "nginx0"]).1.contains("disabled"));
    assert!(!second.ctl(&["show", "status"]).1.starts_with("problem"));
}

#[test]
fn a_file_that_is_not_ours_is_left_alone() {
    let s = Scratch::new();
    let config = s.file("c.yaml", CONFIG);
    let (socket, notes) = (s.path("cli.sock"), s.file("notes.txt", "mine\n"));
    std::os::unix::fs::symlink(s.path("."), s.path("folder")).unwrap();
    for (state, why) in [
        (config.clone(), "that is the configuration"),
        (s.path("folder/c.yaml"), "that is the configuration"),
        (notes.clone(), "not a state file of maglev"),
        (socket, "not a regular file"),
    ] {
        let mut r = Running::start_with_state(&s, &config, &state);
        let (code, text, _) = r.ctl(&DISABLE);
        assert_eq!(code, Some(0));
        assert!(text.contains("done, not saved: ") && text.contains(why), "{text}");
        let text = unwrapped(&r.ctl(&["show", "status"]).1);
        assert!(text.starts_with("problem state-file: not saved: ") && text.contains(why), "{text}");
        assert_eq!(r.ctl(&["config", "reload"]).0, Some(0), "it is still there");
        r.signal(Signal::TERM);
        assert_eq!(r.ended().code(), Some(0));
        assert_eq!(fs::read_to_string(&config).unwrap(), CONFIG);
        assert_eq!(fs::read_to_string(&notes).unwrap(), "mine\n");
        let names = fs::read_dir(s.path(".")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        assert!(names.into_iter().all(|n| !n.ends_with(".bad") && !n.contains(".new")));
    }
}
