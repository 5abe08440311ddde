//! `maglev run` and its CLI socket.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod tool_common;

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use rustix::process::Signal;
use tool_common::{CONFIG, Running, Scratch, maglev, out};

fn running() -> (Scratch, Running) {
    let s = Scratch::new();
    let config = s.file("maglev.yaml", CONFIG);
    let r = Running::start(&s, &config);
    (s, r)
}

#[test]
fn it_runs_answers_and_ends_with_sigterm() {
    let (_s, mut r) = running();
    assert_eq!(fs::metadata(&r.socket).unwrap().permissions().mode() & 0o777, 0o600);
    r.ctl_until(&["show", "frontend", "web"], "programmed        yes");
    let (code, text, _) = r.ctl(&["show", "frontends"]);
    assert_eq!(code, Some(0));
    assert_eq!(
        text,
        "frontend   address           proto  port  state  pool     backends\n\
         web        192.0.2.10        tcp    80    up     primary  2/2\n"
    );
    let (_, text, _) = r.ctl(&["maglev", "show", "frontend", "web"]);
    let buckets: u32 = text
        .lines()
        .filter(|l| l.starts_with("  nginx"))
        .map(|l| l.rsplit(' ').next().unwrap().parse::<u32>().unwrap())
        .sum();
    assert_eq!(buckets, 1024, "{text}");
    assert!(text.contains("  nginx1  weight 50  effective 50  state up unchecked  buckets "), "{text}");
    for line in [
        "show status",
        "show version",
        "show config",
        "show frontends",
        "show frontend web",
        "show backends",
        "show backend nginx0",
        "show healthchecks",
        "show lb",
        "show lb frontend web",
        "show flow web 198.51.100.1 999",
    ] {
        let (code, text, err) = r.ctl(&[line, "json"]);
        assert_eq!(code, Some(0), "{line}: {err}");
        serde_json::from_str::<serde_json::Value>(&text).unwrap_or_else(|e| panic!("{line}: {e}: {text}"));
        let (code, text, _) = r.ctl(&[line]);
        assert!(code == Some(0) && text.lines().all(|l| l.len() <= 80), "{line}: {text}");
    }
    r.signal(Signal::TERM);
    assert_eq!(r.ended().code(), Some(0));
    assert!(!r.socket.exists());
}

#[test]
fn it_ends_with_ctrl_c_while_sessions_are_open() {
    let (_s, mut r) = running();
    let mut t = r.connect();
    t.terminal("xterm");
    t.until(b"maglev# ");
    r.signal(Signal::INT);
    assert_eq!(r.ended().code(), Some(0));
    assert!(!r.socket.exists());
    t.rest();
}

#[test]
fn verbs_change_what_lb_holds() {
    let (_s, r) = running();
    r.ctl_until(&["show", "frontend", "web"], "programmed        yes");
    assert_eq!(r.ctl(&["set", "backend", "nginx0", "disable"]).0, Some(0));
    r.ctl_until(
        &["show", "frontend", "web"],
        "  nginx0  weight 100  effective 0  state disabled  buckets 0  [disabled]",
    );
    assert!(r.ctl_until(&["show", "flow", "web", "198.51.100.1", "1"], "backend").contains("nginx1"));
    assert_eq!(r.ctl(&["set", "backend", "nginx0", "enable"]).0, Some(0));
    r.ctl_until(&["show", "frontend", "web"], "  nginx0  weight 100  effective 100");
    let weight = ["set", "frontend", "web", "pool", "primary", "backend", "nginx1", "weight", "7"];
    assert_eq!(r.ctl(&weight).0, Some(0));
    r.ctl_until(&["show", "frontend", "web"], "  nginx1  weight 7  effective 7");
    assert_eq!(r.ctl(&["sync"]).0, Some(0));
    assert_eq!(r.ctl(&["flush", "frontend", "web"]).0, Some(0));
}

#[test]
fn a_probe_is_made_and_told() {
    let s = Scratch::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let text = CONFIG
        .replace("  backends:\n    nginx0: { address: 127.0.0.21 }", &format!(
            "  healthchecks: {{ t: {{ type: tcp, port: {port}, interval: 1h }} }}\n  backends:\n    nginx0: {{ address: 127.0.0.1, healthcheck: t }}"
        ));
    let r = Running::start(&s, &s.file("c.yaml", &text));
    let (code, text, err) = r.ctl(&["probe", "backend", "nginx0"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(text.starts_with("nginx0: pass, L4OK"), "{text}");
    assert_eq!(r.ctl(&["probe", "backend", "nginx1"]).0, Some(1), "a static backend has no probe");
    drop(listener);
    let (_, text, _) = r.ctl(&["probe", "backend", "nginx0"]);
    assert!(text.starts_with("nginx0: fail, L4CON"), "{text}");
}

#[test]
fn errors_are_1_and_say_what_was_meant() {
    let (_s, r) = running();
    for (words, text) in [
        (vec!["show", "backend", "nginx9"], "error: unknown backend `nginx9` (nearest: nginx0, nginx1)\n"),
        (vec!["shwo"], "error: unknown command `shwo` (nearest: show)\n"),
        (vec!["show", "interface"], "error: unknown command `show interface`"),
    ] {
        let (code, stdout, stderr) = r.ctl(&words);
        assert_eq!((code, stdout.as_str()), (Some(1), ""));
        assert!(stderr.starts_with(text), "{stderr}");
    }
    let (_, _, stderr) = r.ctl(&["show", "interface"]);
    assert!(stderr.contains("This is maglev without VPP"), "{stderr}");
}

#[test]
fn a_bad_configuration_is_told_and_a_reload_recovers() {
    let s = Scratch::new();
    let config = s.file("c.yaml", "maglev: [\n");
    let r = Running::start(&s, &config);
    let (code, text, _) = r.ctl(&["show", "status"]);
    assert_eq!(code, Some(0));
    assert!(text.starts_with("state             idle\n") && text.contains("config error "), "{text}");
    let (code, _, stderr) = r.ctl(&["config", "reload"]);
    assert_eq!(code, Some(1));
    assert!(stderr.starts_with("error: ") && stderr.contains("c.yaml:"), "{stderr}");
    fs::write(&config, CONFIG).unwrap();
    let (code, text, stderr) = r.ctl(&["config", "check"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(text.starts_with("valid: "), "{text}");
    assert_eq!(r.ctl(&["show", "frontend", "web"]).0, Some(1), "a check changes nothing");
    let (code, text, stderr) = r.ctl(&["config", "reload"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(text.starts_with("reloaded: "), "{text}");
    r.ctl_until(&["show", "frontends"], "192.0.2.10");
}

#[test]
fn an_interactive_session_edits_completes_and_quits() {
    let (_s, r) = running();
    let mut t = r.connect();
    t.terminal("xterm");
    let hello = t.until(b"maglev# ");
    assert!(hello.contains("it forwards no packets"), "{hello}");
    t.send(b"show frx\x7f\t\r");
    let text = t.until(b"2/2\r\n");
    assert!(text.contains("frontend   address"), "{text}");
    t.send(b"set backend nginx1 ?");
    let text = t.until(b"agent unmute: its agent is asked again\r\n");
    assert!(
        text.contains("set backend <backend> enable|disable|pause|resume|drain|ready|health|agent"),
        "{text}"
    );
    assert!(text.contains("        health down: "), "{text}");
    t.send(b"\x15quit\r");
    t.rest();
}

#[test]
fn a_client_that_never_says_what_it_is_gets_a_prompt() {
    let (_s, r) = running();
    let mut t = r.connect();
    t.until(b"maglev# ");
}

#[test]
fn plain_lines_get_answers_that_end_with_nul() {
    let (_s, r) = running();
    let mut t = r.connect();
    t.terminal("vppctl");
    t.send(b"maglev show version\n\0show maglev frontends\n\0\n\0");
    let text = t.until(b"\0");
    assert!(text.contains("running in VPP"), "{text}");
    assert!(t.until(b"\0").contains("192.0.2.10"));
    assert_eq!(t.until(b"\0"), "\0");
    t.send(&[b"show ", "x".repeat(5000).as_bytes(), b"\n"].concat());
    assert_eq!(t.until(b"\0"), "error: the line is longer than 4096 bytes\r\n\0");
    t.send(b"exit\n");
    assert_eq!(t.rest(), "");
}

#[test]
fn sixteen_sessions_and_no_more() {
    let (_s, r) = running();
    let mut all: Vec<_> = (0..16)
        .map(|_| {
            let mut t = r.connect();
            t.terminal("xterm");
            t.until(b"maglev# ");
            t
        })
        .collect();
    assert_eq!(r.connect().rest(), "error: 16 sessions are open already\r\n\0");
    let (code, _, stderr) = r.ctl(&["show", "version"]);
    assert_eq!(code, Some(1), "{stderr}");
    // One that goes makes room.
    all.pop();
    r.ctl_until(&["show", "version"], "maglev ");
}

#[test]
fn hostile_clients_do_not_disturb_the_others() {
    let (_s, mut r) = running();
    let mut seed = 42u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as u8
    };
    for round in 0..30 {
        let mut t = r.connect();
        if round % 3 == 0 {
            t.terminal("vppctl");
        }
        let bytes: Vec<u8> =
            (0..20_000).map(|_| if round % 2 == 0 { random() } else { random() % 32 }).collect();
        // It may close on us: a ^D or `q` among them.
        let _ = t.0.write_all(&bytes);
    }
    // One asks for ever and reads nothing.
    let mut greedy = r.connect();
    greedy.terminal("vppctl");
    greedy.0.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    while greedy.0.write_all(&b"help\n".repeat(1000)).is_ok() {}
    let (code, text, stderr) = r.ctl(&["show", "frontends"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(text.contains("192.0.2.10"));
    assert!(r.is_alive());
    r.signal(Signal::TERM);
    assert_eq!(r.ended().code(), Some(0));
}

#[test]
fn a_socket_is_never_taken_from_the_living() {
    let (s, r) = running();
    let config = s.path("maglev.yaml");
    let try_at = |socket: &std::path::Path| {
        out(&maglev()
            .args(["run", "--config"])
            .arg(&config)
            .arg("--cli-socket")
            .arg(socket)
            .output()
            .unwrap())
    };
    let (code, _, stderr) = try_at(&r.socket);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("somebody listens there already"), "{stderr}");
    assert_eq!(r.ctl(&["show", "version"]).0, Some(0));

    let file = s.file("precious", "text");
    let (code, _, stderr) = try_at(&file);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("exists and is not a socket"), "{stderr}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "text");

    let (code, _, stderr) = try_at(&s.path("no/such/folder"));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("No such file or directory"), "{stderr}");

    let (code, _, stderr) = try_at(&s.path(&"x".repeat(120)));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("at most 107"), "{stderr}");
}

#[test]
fn a_stale_socket_is_replaced() {
    let s = Scratch::new();
    drop(UnixListener::bind(s.path("cli.sock")).unwrap());
    let r = Running::start(&s, &s.file("c.yaml", CONFIG));
    assert_eq!(r.ctl(&["show", "version"]).0, Some(0));
}
