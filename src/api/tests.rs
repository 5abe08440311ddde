//! Requests against a control plane of fixed views, and the numbers against vpp-plugin/maglev.api.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::balance::FrontendState;
use crate::cli::PENDING_LIMIT;
use crate::cli::fake::Fake;
use crate::config::PanicMode;
use crate::control::view::{ConfigView, SyncView};
use crate::control::{Event, Finished};
use crate::health::State;
use crate::time::{Now, Time};

fn at(after: Duration) -> Now {
    Now { mono: Time(0) + after, wall_ms: 1_800_000_000_000 }
}

fn start() -> Now {
    at(Duration::ZERO)
}

/// `NAME = <number>` as the file has it.
fn number(name: &str) -> u8 {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vpp-plugin/maglev.api");
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|l| l.trim().strip_prefix(&format!("{name} = ")).map(str::to_owned));
    line.unwrap_or_else(|| panic!("no {name}")).trim_end_matches(',').parse().unwrap()
}

#[test]
fn numbers_are_those_of_the_file() {
    for s in State::ALL {
        let name = format!("MAGLEV_API_BACKEND_{}", s.as_str().to_uppercase());
        assert_eq!(backend_state(s), number(&name), "{name}");
    }
    for s in [FrontendState::Unknown, FrontendState::Up, FrontendState::Down] {
        let name = format!("MAGLEV_API_FRONTEND_{}", s.as_str().to_uppercase());
        assert_eq!(frontend_state(s), number(&name), "{name}");
    }
    for s in ["running", "idle", "frozen"] {
        assert_eq!(run_state(s), number(&format!("MAGLEV_API_RUN_{}", s.to_uppercase())));
    }
    for (l, name) in [
        (LogLevel::Debug, "DEBUG"),
        (LogLevel::Info, "INFO"),
        (LogLevel::Notice, "NOTICE"),
        (LogLevel::Warning, "WARNING"),
        (LogLevel::Error, "ERROR"),
    ] {
        assert_eq!(level(l), number(&format!("MAGLEV_API_LEVEL_{name}")));
    }
    for v in BackendVerb::ALL {
        let name = format!("MAGLEV_API_VERB_{}", v.as_str().to_uppercase().replace(' ', "_"));
        assert_eq!(verb(number(&name)), Some(v));
    }
    for (k, name) in [
        (Kind::Backend, "BACKEND"),
        (Kind::Frontend, "FRONTEND"),
        (Kind::Failover, "FAILOVER"),
        (Kind::LbSync, "LB_SYNC"),
        (Kind::Operator, "OPERATOR"),
        (Kind::Config, "CONFIG"),
        (Kind::ProbeFault, "PROBE_FAULT"),
        (Kind::Engine, "ENGINE"),
        (Kind::ProbeResult, "PROBE_RESULT"),
        (Kind::SyncResult, "SYNC_RESULT"),
        (Kind::ConfigResult, "CONFIG_RESULT"),
        (Kind::Agent, "AGENT"),
        (Kind::Panic, "PANIC"),
        (Kind::Problem, "PROBLEM"),
    ] {
        assert_eq!(k as u8, number(&format!("MAGLEV_API_EVENT_{name}")));
    }
    for (v, name) in [(Verdict::None, "NONE"), (Verdict::Pass, "PASS"), (Verdict::Fail, "FAIL")] {
        assert_eq!(v as u8, number(&format!("MAGLEV_API_VERDICT_{name}")));
    }
    for e in [
        Encap::Gre4,
        Encap::Gre6,
        Encap::L3dsr { dscp: 1 },
        Encap::Nat4 { target_port: 1 },
        Encap::Nat6 { target_port: 1 },
    ] {
        assert_eq!(encap(e), number(&format!("MAGLEV_API_ENCAP_{}", e.as_str().to_uppercase())));
    }
    for k in [CounterKind::Linear, CounterKind::Haproxy] {
        let name = format!("{k:?}").to_uppercase();
        assert_eq!(counter_kind(k), number(&format!("MAGLEV_API_COUNTER_{name}")));
    }
    assert_eq!(panic_mode(None), number("MAGLEV_API_PANIC_MODE_NONE"));
    for m in PanicMode::ALL {
        let name = m.as_str().to_uppercase().replace('-', "_");
        assert_eq!(panic_mode(Some(m)), number(&format!("MAGLEV_API_PANIC_MODE_{name}")));
    }
    let checks = "maglev: {healthchecks: {a: {type: tcp, port: 1}, b: {type: http, port: 1}, \
                  c: {type: https, port: 1, params: {insecure-skip-verify: true}}, d: {type: icmp}, \
                  e: {type: udp, port: 1}, f: {type: dns, params: {name: a.example}}}}";
    let config = crate::config::parse(checks).unwrap().config;
    assert_eq!(config.healthchecks.len(), 6);
    for h in config.healthchecks.values() {
        let name = h.kind.as_str().to_uppercase();
        assert_eq!(check_type(&h.kind), number(&format!("MAGLEV_API_CHECK_{name}")), "{name}");
    }
}

#[test]
fn the_page_has_every_message() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = fs::read_to_string(root.join("vpp-plugin/maglev.api")).unwrap();
    let page = fs::read_to_string(root.join("docs/api.md")).unwrap();
    let messages: Vec<&str> = file
        .lines()
        .filter_map(|l| l.trim_start_matches("autoreply ").strip_prefix("autoendian define "))
        .filter(|m| !m.ends_with("_reply"))
        .collect();
    assert_eq!(messages.len(), 18, "{messages:?}");
    for m in messages {
        assert!(page.contains(&format!("`{m}`")), "{m}");
    }
}

#[test]
fn every_verb_has_a_number_and_no_other_number_a_verb() {
    assert_eq!((0..=u8::MAX).filter_map(verb).count(), BackendVerb::ALL.len());
}

#[test]
fn a_field_holds_all_of_a_name_or_nothing() {
    assert_eq!(&fixed::<4>("abc"), b"abc\0");
    assert_eq!(&fixed::<4>("abcd"), b"\0\0\0\0");
    assert_eq!(&fixed::<4>(""), b"\0\0\0\0");
    let longest = "a".repeat(63);
    assert!(fixed::<NAME_SIZE>(&longest).starts_with(longest.as_bytes()));
}

#[test]
fn words_are_cut_where_a_character_ends() {
    assert_eq!(&cut::<4>("abcd"), b"abc\0");
    assert_eq!(&cut::<4>("abc"), b"abc\0");
    assert_eq!(&cut::<4>("ab\u{e9}"), b"ab\0\0");
    assert_eq!(&cut::<4>(""), b"\0\0\0\0");
}

#[test]
fn addresses_of_both_families() {
    let bytes = |text: &str| address(text.parse().unwrap());
    assert_eq!(bytes("192.0.2.1"), (false, [192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    assert_eq!(bytes("2001:db8::1").1.first_chunk(), Some(&[0x20, 1, 0x0d, 0xb8]));
    assert!(bytes("2001:db8::1").0);
}

#[test]
fn errors_have_vpps_numbers() {
    let unknown = VerbError::Unknown { kind: "backend", name: "x".into(), nearest: vec![] };
    for (error, wanted) in [
        (unknown, retval::NO_SUCH_ENTRY),
        (VerbError::Refused("no".into()), retval::BUSY),
        (LbError::NoSuchEntry.into(), retval::NO_SUCH_ENTRY),
        (LbError::ValueExist.into(), retval::VALUE_EXIST),
        (LbError::InvalidArgument.into(), retval::INVALID_ARGUMENT),
        (LbError::InvalidAddressFamily.into(), retval::INVALID_ADDRESS_FAMILY),
        (LbError::InvalidMemorySize.into(), retval::INVALID_MEMORY_SIZE),
        (LbError::Other(-5).into(), -5),
        (LbError::Other(7).into(), retval::UNSPECIFIED),
        (LbError::NoAnswer("x").into(), retval::UNSPECIFIED),
        (LbError::Unavailable("x".into()).into(), retval::FEATURE_DISABLED),
    ] {
        assert_eq!(error_number(&error), wanted, "{error}");
        assert!(error_number(&error) < 0, "an error is never a success");
    }
}

#[test]
fn verbs_are_passed_on_and_answered() {
    let mut op = Fake::new();
    let mut desk = Desk::new();
    let done = desk.set_backend(&mut op, "nginx0", 1);
    assert_eq!((done.retval, done.changed, done.ticket), (retval::OK, true, 0));
    assert!(!done.text.is_empty());
    let done = desk.set_weight(&mut op, ("web", "primary", "nginx0"), Some(100), true);
    assert_eq!(done.retval, retval::OK, "{}", done.text);
    let done = desk.set_weight(&mut op, ("web", "primary", "nginx0"), None, false);
    assert_eq!(done.retval, retval::OK, "{}", done.text);
    assert_eq!(desk.flush(&mut op, "web").retval, retval::OK);
    assert_eq!(op.told.len(), 4, "{:?}", op.told);
}

#[test]
fn bad_values_are_refused_before_anything_is_done() {
    let mut op = Fake::new();
    let mut desk = Desk::new();
    let long = "a".repeat(NAME_SIZE);
    let path = "a".repeat(MOST_PATH + 1);
    for refused in [
        desk.set_backend(&mut op, "nginx0", 11),
        desk.set_backend(&mut op, "nginx0", 255),
        desk.set_backend(&mut op, &long, 0),
        desk.set_weight(&mut op, ("web", "primary", "nginx0"), Some(101), false),
        desk.set_weight(&mut op, (&long, "primary", "nginx0"), Some(1), false),
        desk.set_weight(&mut op, ("web", &long, "nginx0"), Some(1), false),
        desk.set_weight(&mut op, ("web", "primary", &long), Some(1), false),
        desk.flush(&mut op, &long),
        desk.probe(&mut op, start(), &long),
        desk.sync(&mut op, start(), &long),
        desk.check(&mut op, start(), &path),
        desk.check(&mut op, start(), "/etc/a\0b"),
    ] {
        assert_eq!((refused.retval, refused.changed, refused.ticket), (retval::INVALID_VALUE, false, 0));
        assert!(!refused.text.is_empty());
    }
    assert_eq!(op.told, Vec::<String>::new());
    assert_eq!(desk.ended(&mut op, at(PENDING_LIMIT)), None);
}

#[test]
fn unknown_names_are_told_with_the_nearest_and_cannot_move_a_cursor() {
    let mut op = Fake::new();
    let mut desk = Desk::new();
    let refused = desk.probe(&mut op, start(), "nginx\x1b[2J");
    assert_eq!(refused.retval, retval::NO_SUCH_ENTRY);
    assert!(!refused.text.contains('\x1b'), "{:?}", refused.text);
    assert!(desk.set_backend(&mut op, "nginx9", 0).text.contains("nearest: "));
}

#[test]
fn what_is_started_ends_in_one_result() {
    let mut op = Fake::new();
    let mut desk = Desk::new();
    let probe = desk.probe(&mut op, start(), "nginx0");
    let sync = desk.sync(&mut op, start(), "");
    let reload = desk.reload(&mut op, start(), true);
    assert!(op.forced);
    let mut tickets = Vec::new();
    while let Some(r) = desk.ended(&mut op, start()) {
        assert_eq!(r.retval, retval::OK, "{r:?}");
        assert!(!r.text.is_empty() && !r.text.ends_with('\n'));
        tickets.push((r.kind, r.ticket));
    }
    let wanted = [
        (Kind::ProbeResult, probe.ticket),
        (Kind::SyncResult, sync.ticket),
        (Kind::ConfigResult, reload.ticket),
    ];
    assert_eq!(tickets, wanted);
}

#[test]
fn a_probes_result_has_its_parts() {
    let mut op = Fake::new();
    let mut desk = Desk::new();
    desk.probe(&mut op, start(), "nginx0");
    let r = desk.ended(&mut op, start()).unwrap();
    assert_eq!(r.name, "nginx0");
    assert_eq!((r.verdict, r.failed, r.sequence), (Verdict::Pass, false, 0));
    assert!(!r.code.is_empty() && r.latency_us > 0, "{r:?}");
}

#[test]
fn failures_are_told_as_such() {
    let mut op = Fake::new();
    let mut desk = Desk::new();
    let sync = Finished::Sync(SyncView { frontends: 2, writes: 0, failures: vec!["web: lb: no".into()] });
    let errors = (0..5000).map(|i| format!("/x:{i}:1: wrong")).collect();
    let config = Finished::Config(ConfigView {
        path: "/x".into(),
        ok: false,
        applied: false,
        errors,
        warnings: Vec::new(),
        summary: String::new(),
    });
    let ticket = desk.sync(&mut op, start(), "").ticket;
    op.answers.insert(Ticket(ticket), sync);
    let r = desk.ended(&mut op, start()).unwrap();
    assert_eq!((r.retval, r.level), (retval::UNSPECIFIED, LogLevel::Error));
    assert_eq!((r.failed, r.count), (true, 0));
    assert!(r.text.contains("web: lb: no") && !r.text.starts_with("error: "), "{}", r.text);

    let ticket = desk.check(&mut op, start(), "/x").ticket;
    op.answers.insert(Ticket(ticket), config);
    let r = desk.ended(&mut op, start()).unwrap();
    assert_eq!((r.retval, r.failed, r.count), (retval::INVALID_VALUE, true, 5000));
    assert!(r.text.len() < 8300, "{}", r.text.len());
    let (shown, more) = (r.text.lines().count(), r.text.lines().last().unwrap().to_owned());
    assert_eq!(more, format!("... and {} more lines", 5001 - (shown - 1)));
}

#[test]
fn an_answer_that_never_comes_is_told_after_a_minute() {
    let mut op = Fake::new();
    let mut desk = Desk::new();
    let ticket = desk.probe(&mut op, start(), "nginx0").ticket;
    op.answers.clear();
    assert_eq!(desk.ended(&mut op, at(PENDING_LIMIT - Duration::from_millis(1))), None);
    let r = desk.ended(&mut op, at(PENDING_LIMIT)).unwrap();
    assert_eq!((r.ticket, r.retval), (ticket, retval::RESPONSE_NOT_READY));
    assert_eq!(desk.ended(&mut op, at(PENDING_LIMIT * 2)), None, "once");
}

#[test]
fn only_so_much_is_started_at_once() {
    let mut op = Fake::new();
    let mut desk = Desk::new();
    for _ in 0..256 {
        assert_eq!(desk.sync(&mut op, start(), "").retval, retval::OK);
    }
    assert_eq!(desk.sync(&mut op, start(), "").retval, retval::LIMIT_EXCEEDED);
    assert!(desk.ended(&mut op, start()).is_some());
    assert_eq!(desk.sync(&mut op, start(), "").retval, retval::OK);
}

#[test]
fn every_event_has_its_parts_typed_and_the_line_of_the_log() {
    let blank = Record::of_event(0, 0, &Event::Engine { text: String::new(), level: LogLevel::Info });
    let parts = |event: &Event, kind: Kind| {
        let r = Record::of_event(9, 7, event);
        assert_eq!((r.kind, r.level, r.at_ms, r.sequence), (kind, event.level(), 7, 9));
        assert_eq!((r.ticket, r.retval), (0, retval::OK));
        assert_eq!(r.text, event.to_string());
        // Only what is its own is left to be compared.
        Record { kind: blank.kind, level: blank.level, at_ms: 0, sequence: 0, text: blank.text.clone(), ..r }
    };
    let down = Event::Backend {
        backend: "a".into(),
        from: Some(State::Up),
        to: State::Down,
        code: "L7STS",
        detail: "HTTP 503".into(),
    };
    let wanted = Record {
        name: "a".into(),
        backend_from: Some(State::Up),
        backend_to: Some(State::Down),
        code: "L7STS".into(),
        detail: "HTTP 503".into(),
        ..blank.clone()
    };
    assert_eq!(parts(&down, Kind::Backend), wanted);
    let f = Event::Frontend {
        frontend: "web".into(),
        from: FrontendState::Up,
        to: FrontendState::Down,
        pool: "p".into(),
    };
    let wanted = Record {
        name: "web".into(),
        frontend_from: Some(FrontendState::Up),
        frontend_to: Some(FrontendState::Down),
        pool_to: "p".into(),
        ..blank.clone()
    };
    assert_eq!(parts(&f, Kind::Frontend), wanted);
    let f = Event::Failover { frontend: "web".into(), from: "primary".into(), to: "spare".into() };
    let wanted =
        Record { name: "web".into(), pool_from: "primary".into(), pool_to: "spare".into(), ..blank.clone() };
    assert_eq!(parts(&f, Kind::Failover), wanted);
    let fault = Event::ProbeFault { backend: "a".into(), detail: "no route".into(), count: 3 };
    let wanted = Record {
        name: "a".into(),
        code: "SOCKERR".into(),
        count: 3,
        detail: "no route".into(),
        ..blank.clone()
    };
    assert_eq!(parts(&fault, Kind::ProbeFault), wanted);
    let agent = Event::Agent { backend: "a".into(), text: "up ready 50%".into(), level: LogLevel::Notice };
    let wanted = Record { name: "a".into(), detail: "up ready 50%".into(), ..blank.clone() };
    assert_eq!(parts(&agent, Kind::Agent), wanted);
    for begins in [true, false] {
        let mode = PanicMode::KeepLast.as_str();
        let panic = Event::Panic { frontend: "web".into(), mode, on: begins, up: 1, of: 4 };
        let wanted = Record {
            name: "web".into(),
            begins,
            panic_mode: Some(PanicMode::KeepLast),
            up: 1,
            of: 4,
            ..blank.clone()
        };
        assert_eq!(parts(&panic, Kind::Panic), wanted);
        let problem = Event::Problem { kind: "stats-segment", detail: "full".into(), begins };
        let wanted = Record { name: "stats-segment".into(), begins, detail: "full".into(), ..blank.clone() };
        assert_eq!(parts(&problem, Kind::Problem), wanted);
    }
    for failed in [true, false] {
        let wanted = Record { failed, ..blank.clone() };
        assert_eq!(parts(&Event::LbSync { text: "x".into(), failed }, Kind::LbSync), wanted);
        let reload = Event::ConfigReload { text: "x".into(), ok: !failed };
        assert_eq!(parts(&reload, Kind::Config), wanted);
    }
    let verb = Event::Operator { text: "set backend a pause".into() };
    let wanted = Record { detail: "set backend a pause".into(), ..blank.clone() };
    assert_eq!(parts(&verb, Kind::Operator), wanted);
    let engine = Event::Engine { text: "x".into(), level: LogLevel::Error };
    assert_eq!(parts(&engine, Kind::Engine), blank);
}
