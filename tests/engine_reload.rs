//! A large configuration under the real engine: applied in slices, so that VPP's main thread is free in between, and seen
//! whole all the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests are tests

use std::fmt::Write as _;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use maglev::control::view::{ConfigView, VersionView};
use maglev::control::{Engine, EngineOptions, Finished, Operator, Ticket};
use maglev::lb::Heap;
use maglev::lb::embedded::Embedded;

/// So many that they are not applied between two looks at the clock on any machine.
const MANY: usize = 5_000;
/// Turns that a test takes at most; one that has nothing to do waits for 1 ms.
const PATIENCE: usize = 60_000;

/// Backends that nobody probes, in frontends of ten.
fn yaml(backends: usize) -> String {
    let mut text = String::from("maglev:\n  vpp: {lb: {ipv4-src-address: 192.0.2.254}}\n  backends:\n");
    for i in 0..backends {
        writeln!(text, "    b{i}: {{address: 10.{}.{}.1}}", i / 250, i % 250).unwrap();
    }
    text += "  frontends:\n";
    for f in 0..backends / 10 {
        let pool: Vec<String> = (f * 10..f * 10 + 10).map(|i| format!("b{i}: {{}}")).collect();
        let (a, b, pool) = (f / 250, f % 250, pool.join(", "));
        writeln!(
            text,
            "    f{f}: {{address: 192.{a}.{b}.1, protocol: tcp, port: 80, pools: [{{name: p, backends: {{{pool}}}}}]}}"
        )
        .unwrap();
    }
    text
}

fn start(path: &std::path::Path) -> Engine {
    start_with(path, None, Embedded::new())
}

fn start_on(path: &std::path::Path, lb: Embedded) -> Engine {
    start_with(path, None, lb)
}

fn start_with(path: &std::path::Path, state: Option<&std::path::Path>, lb: Embedded) -> Engine {
    let options = EngineOptions {
        config_path: path.to_owned(),
        state_path: state.map(std::path::Path::to_owned),
        probe_cpus: None,
        thread_init: None,
        wake: Arc::new(|| {}),
        log: Box::new(|_, _| {}),
        version: VersionView::default(),
        heap: || None,
    };
    Engine::start(options, Box::new(lb)).unwrap()
}

/// Turns until `done`; how many.
fn turns(engine: &mut Engine, mut done: impl FnMut(&mut Engine) -> bool) -> usize {
    for n in 0..PATIENCE {
        if done(engine) {
            return n;
        }
        if !engine.turn().busy {
            thread::sleep(Duration::from_millis(1));
        }
    }
    panic!("it does not come to an end");
}

fn backends(engine: &Engine) -> usize {
    engine.status().backends.iter().map(|(_, n)| n).sum()
}

fn frontends(engine: &Engine) -> usize {
    engine.status().frontends.iter().map(|(_, n)| n).sum()
}

fn answer(engine: &mut Engine, ticket: Ticket) -> Option<ConfigView> {
    match engine.take(ticket)? {
        Finished::Config(view) => Some(view),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_large_reload_is_made_in_slices_and_seen_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("maglev.yaml");
    std::fs::write(&path, yaml(10)).unwrap();
    let mut engine = start(&path);
    turns(&mut engine, |e| backends(e) == 10);

    std::fs::write(&path, yaml(MANY)).unwrap();
    // On a busy machine the first load may not be at its end yet, though its backends are there.
    let mut asked = None;
    turns(&mut engine, |e| {
        asked = e.config_reload(false).ok();
        asked.is_some()
    });
    let ticket = asked.unwrap();
    // The controller itself shows the slices.
    let mut slices = 0;
    let mut view = None;
    turns(&mut engine, |e| {
        let n = backends(e);
        slices += usize::from(n > 10 && n < MANY);
        view = answer(e, ticket);
        view.is_some()
    });
    assert!(slices > 0, "it was applied in one go");
    let view = view.unwrap();
    assert!(view.applied && view.ok, "{view:?}");
    assert_eq!(
        view.summary,
        "backends: 4990 added, 0 removed, 0 changed; frontends: 499 added, 0 removed, 0 changed"
    );

    // Whoever asks in the middle of it waits, and sees the new one, and all of it.
    std::fs::write(&path, yaml(10)).unwrap();
    let ticket = engine.config_reload(true).unwrap();
    turns(&mut engine, |e| frontends(e) != MANY / 10);
    assert!(engine.config_check(None).is_err(), "a second load while one is under way");
    let answered = maglev::cli::execute("show frontends json", &mut engine);
    let maglev::cli::Answer::Later(mut pending) = answered else { panic!("that would be half of it") };
    let mut reply = None;
    turns(&mut engine, |e| {
        let applying = e.applying();
        reply = pending.poll(e);
        assert_eq!(reply.is_none(), applying);
        reply.is_some()
    });
    let reply = reply.unwrap();
    let shown: serde_json::Value = serde_json::from_str(&reply.text).unwrap();
    assert_eq!(shown.as_array().unwrap().len(), 1);
    assert!(answer(&mut engine, ticket).unwrap().applied);

    // For who cannot wait it is brought to its end.
    std::fs::write(&path, yaml(MANY)).unwrap();
    engine.config_reload(true).unwrap();
    turns(&mut engine, |e| e.applying() && frontends(e) != 1);
    engine.finish_reload();
    assert_eq!((engine.applying(), frontends(&engine), backends(&engine)), (false, MANY / 10, MANY));

    // One in the middle of which VPP ends loses nothing and does no harm.
    std::fs::write(&path, yaml(10)).unwrap();
    engine.config_reload(true).unwrap();
    turns(&mut engine, |e| e.applying() && frontends(e) != MANY / 10);
    assert!(engine.stop());
}

/// 64 MiB, of which 8 are kept for VPP itself, with so much left.
fn with_room(mib: u64) -> Embedded {
    let free = (8 + mib) << 20;
    let mut lb = Embedded::new();
    lb.set_heap(Some(Heap { size: 64 << 20, free, top: free }));
    lb
}

#[test]
fn a_reload_whose_tables_do_not_fit_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("maglev.yaml");
    std::fs::write(&path, yaml(10)).unwrap();
    let mut engine = start_on(&path, with_room(6));
    turns(&mut engine, |e| backends(e) == 10);

    std::fs::write(&path, yaml(MANY)).unwrap();
    for applies in [false, true] {
        let mut asked = None;
        turns(&mut engine, |e| {
            asked = if applies { e.config_reload(false) } else { e.config_check(None) }.ok();
            asked.is_some()
        });
        let mut view = None;
        turns(&mut engine, |e| {
            view = asked.and_then(|ticket| answer(e, ticket));
            view.is_some()
        });
        let ConfigView { ok, applied, errors, warnings, .. } = view.unwrap();
        let said = if applies { &errors } else { &warnings };
        let told = said.iter().any(|line| line.contains("VPP's heap is too small: the tables of"));
        assert_eq!((ok, applied, told), (!applies, false, true), "{errors:?} {warnings:?}");
        assert_eq!((backends(&engine), frontends(&engine)), (10, 1));
    }
    assert!(engine.status().config_errors[0].contains("VPP's heap is too small"));
    engine.stop();
}

#[test]
fn a_first_load_whose_tables_do_not_fit_leaves_lb_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("maglev.yaml");
    std::fs::write(&path, yaml(MANY)).unwrap();
    let mut engine = start_on(&path, with_room(6));
    turns(&mut engine, |e| !e.status().config_errors.is_empty());
    assert!(engine.status().config_errors[0].contains("VPP's heap is too small"));
    assert_eq!((engine.status().state.as_str(), backends(&engine)), ("idle", 0));
    engine.stop();
}

/// A reload's answer, whatever it takes.
fn reload(engine: &mut Engine, force: bool) -> ConfigView {
    let mut asked = None;
    turns(engine, |e| {
        asked = e.config_reload(force).ok();
        asked.is_some()
    });
    let ticket = asked.unwrap();
    let mut view = None;
    turns(engine, |e| {
        view = answer(e, ticket);
        view.is_some()
    });
    view.unwrap()
}

#[test]
fn a_reload_that_takes_most_out_of_service_wants_force() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("maglev.yaml");
    std::fs::write(&path, yaml(100)).unwrap();
    let mut engine = start(&path);
    turns(&mut engine, |e| backends(e) == 100);

    // As it is while somebody writes it in place.
    let text = yaml(100);
    let cut = text.find("    f4:").unwrap();
    std::fs::write(&path, &text[..cut]).unwrap();
    let view = reload(&mut engine, false);
    assert!(!view.ok && !view.applied);
    let why = "it would take 60 of 100 backends and 6 of 10 frontends out of service; if that is meant: `config reload force`";
    assert_eq!(view.errors, [format!("{}: {why}", path.display())]);
    assert_eq!((backends(&engine), frontends(&engine)), (100, 10), "nothing has changed");
    assert_eq!(engine.status().config_errors, view.errors);

    // A check takes nothing out of service.
    let ticket = engine.config_check(None).unwrap();
    let mut view = None;
    turns(&mut engine, |e| {
        view = answer(e, ticket);
        view.is_some()
    });
    assert!(view.unwrap().ok);

    let view = reload(&mut engine, true);
    assert!(view.ok && view.applied, "{view:?}");
    assert_eq!((backends(&engine), frontends(&engine)), (100, 4));
    assert!(engine.status().config_errors.is_empty());
    // Half of what there is now, and not more.
    std::fs::write(&path, &text[..text.find("    f2:").unwrap()]).unwrap();
    assert!(reload(&mut engine, false).applied);
    assert!(engine.stop());
}

#[test]
fn words_are_saved_while_a_file_that_is_being_written_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let (path, state) = (folder.path().join("maglev.yaml"), folder.path().join("state.json"));
    std::fs::write(&path, yaml(20)).unwrap();
    let mut engine = start_with(&path, Some(&state), Embedded::new());
    turns(&mut engine, |e| backends(e) == 20 && state.exists());

    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    writeln_to(&mut file, "# a line");
    let ticket = engine.config_reload(false).unwrap();
    assert!(engine.set_backend("b3", maglev::control::BackendVerb::Disable).unwrap().changed);
    let saving = engine.saving().expect("nothing is saved yet");
    let (mut saved, mut view) = (false, None);
    turns(&mut engine, |e| {
        writeln_to(&mut file, "# a line");
        // Before the answer is taken: both may have come in one turn.
        saved |= e.saved(saving) == Some(Ok(()));
        view = answer(e, ticket);
        view.is_some()
    });
    let view: ConfigView = view.unwrap();
    assert!(saved && !view.ok && !view.applied, "{view:?}");
    let why = "is being written: it changes while it is read; try again";
    assert_eq!(view.errors, [format!("{}: {why}", path.display())]);
    // It is quiet now.
    assert!(reload(&mut engine, false).applied);

    // The end does not wait for it either, and loses nothing.
    engine.config_reload(false).unwrap();
    writeln_to(&mut file, "# a line");
    engine.turn();
    assert!(engine.set_backend("b4", maglev::control::BackendVerb::Disable).unwrap().changed);
    assert!(engine.stop());
    assert_eq!(std::fs::read_to_string(&state).unwrap().matches("\"state\":\"disabled\"").count(), 2);
}

fn writeln_to(file: &mut std::fs::File, line: &str) {
    use std::io::Write as _;
    file.write_all(line.as_bytes()).and_then(|()| file.write_all(b"\n")).unwrap();
}
