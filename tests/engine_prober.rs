//! A prober's thread that stalls or dies under the real engine: frozen, said, replaced, and never heard of again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests are tests

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use maglev::clock;
use maglev::control::view::VersionView;
use maglev::control::{Engine, EngineOptions, Operator};
use maglev::lb::embedded::Embedded;

/// One at a time: the threads are counted by their name.
static ONE: Mutex<()> = Mutex::new(());

struct Rig {
    engine: Engine,
    log: Arc<Mutex<Vec<String>>>,
    /// Where the first prober waits before anything else.
    gate: Arc<AtomicBool>,
    births: Arc<AtomicUsize>,
    path: PathBuf,
    _listener: TcpListener,
}

/// Prober threads of this process.
fn threads() -> usize {
    let all = std::fs::read_dir("/proc/self/task").unwrap();
    let names = all.filter_map(|t| std::fs::read_to_string(t.ok()?.path().join("comm")).ok());
    names.filter(|n| n.trim() == maglev::probe::prober::THREAD_NAME).count()
}

fn is_prober() -> bool {
    thread::current().name() == Some(maglev::probe::prober::THREAD_NAME)
}

/// `first` is what befalls the first prober's thread at its birth.
fn rig(name: &str, first: fn(&AtomicBool)) -> Rig {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let path = std::env::temp_dir().join(format!("maglev-{name}-{}.yaml", std::process::id()));
    let check = format!("type: tcp, port: {port}, interval: 100ms, timeout: 90ms");
    let yaml = format!(
        "maglev:\n  vpp: {{lb: {{ipv4-src-address: 192.0.2.254}}}}\n  healthchecks: {{t: {{{check}}}}}\n  backends: \
         {{a: {{address: 127.0.0.1, healthcheck: t}}}}\n  frontends: {{w: {{address: 192.0.2.1, protocol: tcp, \
         port: 80, pools: [{{name: p, backends: {{a: {{}}}}}}]}}}}\n"
    );
    std::fs::write(&path, yaml).unwrap();
    let (log, gate) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
    let births = Arc::new(AtomicUsize::new(0));
    let (log_in, gate_in, births_in) = (log.clone(), gate.clone(), births.clone());
    let options = EngineOptions {
        config_path: path.clone(),
        state_path: None,
        probe_cpus: None,
        thread_init: Some(Arc::new(move || {
            if is_prober() && births_in.fetch_add(1, Ordering::SeqCst) == 0 {
                first(&gate_in);
            }
        })),
        wake: Arc::new(|| {}),
        log: Box::new(move |_, text| log_in.lock().unwrap().push(text.to_owned())),
        version: VersionView::default(),
        heap: || None,
    };
    let engine = Engine::start(options, Box::new(Embedded::new())).unwrap();
    Rig { engine, log, gate, births, path, _listener: listener }
}

impl Rig {
    /// Turns until `what` is so, at most 10 s; it never sleeps past what the engine asks for.
    fn until(&mut self, what: impl Fn(&Engine) -> bool) {
        let limit = clock::mono() + Duration::from_secs(10);
        while !what(&self.engine) {
            assert!(clock::mono() < limit, "{:?}\n{:#?}", self.engine.status(), self.log.lock().unwrap());
            let next = self.engine.turn().next.unwrap_or(Duration::from_millis(20));
            thread::sleep(next.min(Duration::from_millis(20)));
        }
    }

    fn said(&self, word: &str) -> usize {
        self.log.lock().unwrap().iter().filter(|l| l.contains(word)).count()
    }

    fn end(self) {
        assert!(self.engine.stop());
        std::fs::remove_file(&self.path).unwrap();
    }
}

fn up(engine: &Engine) -> bool {
    engine.backend("a").is_ok_and(|b| b.state == "up")
}

#[test]
fn a_prober_that_stalls_is_replaced_and_ends_by_itself() {
    let _one = ONE.lock().unwrap_or_else(|e| e.into_inner());
    let mut rig = rig("stall", |gate| {
        let limit = clock::mono() + Duration::from_secs(30);
        while !gate.load(Ordering::SeqCst) && clock::mono() < limit {
            thread::sleep(Duration::from_millis(5));
        }
    });
    rig.until(up);
    assert_eq!(rig.said("engine frozen: the prober has stalled"), 1);
    assert_eq!(rig.said("engine the prober had stalled and was started anew"), 1);
    assert_eq!(rig.said("engine thawed"), 1);
    assert_eq!((rig.births.load(Ordering::SeqCst), threads()), (2, 2), "the old one hangs still");
    let before = rig.engine.status().prober;
    // It gets on: it ends by itself, and nobody hears it.
    rig.gate.store(true, Ordering::SeqCst);
    rig.until(|_| threads() == 1);
    rig.until(|e| e.status().prober.probes > before.probes + 5);
    let view = rig.engine.backend("a").unwrap();
    assert_eq!((view.state.as_str(), view.failures, view.sockerrs), ("up", 0, 0));
    assert_eq!(rig.engine.status().state, "running");
    assert_eq!(rig.births.load(Ordering::SeqCst), 2);
    rig.end();
}

#[test]
fn a_prober_that_dies_is_replaced_at_once() {
    let _one = ONE.lock().unwrap_or_else(|e| e.into_inner());
    // A backtrace takes seconds under a sanitizer, in which the dying thread is a stalled one.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut rig = rig("death", |_| panic!("it dies of this"));
    rig.until(up);
    std::panic::set_hook(hook);
    assert_eq!(
        rig.said("engine the prober had died and was started anew: prober panicked: it dies of this"),
        1
    );
    assert_eq!(rig.said("frozen"), 0, "there was no time to freeze");
    rig.end();
}
