//! The engine on an lb in memory, and what wakes it.

use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use maglev::clock;
use maglev::control::engine::Log;
use maglev::control::view::VersionView;
use maglev::control::{Engine, EngineOptions, Turn};
use maglev::lb::embedded::Embedded;
use maglev::lb::{AsRecord, Heap, LbError, LoadBalancer, Op, Reach, Settings, VipKey, VipRecord};
use rustix::event::{EventfdFlags, eventfd};

/// The lb in memory, shared with whoever wants to send packets through it; it is told the time at each call.
#[derive(Clone)]
pub struct Twin(pub Rc<RefCell<Embedded>>);

impl Twin {
    fn with<T>(&self, f: impl FnOnce(&mut Embedded) -> T) -> T {
        let mut lb = self.0.borrow_mut();
        lb.set_now(clock::mono());
        f(&mut lb)
    }
}

impl LoadBalancer for Twin {
    fn unavailable(&self) -> Option<String> {
        self.with(|lb| lb.unavailable())
    }
    fn kind(&self) -> &'static str {
        self.with(|lb| lb.kind())
    }
    fn settings(&mut self) -> Result<Settings, LbError> {
        self.with(Embedded::settings)
    }
    fn vips(&mut self) -> Result<Vec<VipRecord>, LbError> {
        self.with(Embedded::vips)
    }
    fn servers(&mut self, vip: &VipKey) -> Result<Vec<AsRecord>, LbError> {
        self.with(|lb| lb.servers(vip))
    }
    fn reach(&mut self, server: IpAddr) -> Reach {
        self.with(|lb| lb.reach(server))
    }
    fn index(&mut self, vip: &VipKey) -> Option<u32> {
        self.with(|lb| lb.index(vip))
    }
    fn heap(&mut self) -> Option<Heap> {
        self.with(Embedded::heap)
    }
    fn apply(&mut self, ops: &[Op]) -> Vec<Result<(), LbError>> {
        self.with(|lb| forgetting(lb, |lb| lb.apply(ops)))
    }
    fn apply_bulk(&mut self, ops: &[Op], former: &[(IpAddr, u8)]) -> Vec<Result<(), LbError>> {
        self.with(|lb| forgetting(lb, |lb| lb.apply_bulk(ops, former)))
    }
    fn take_remark(&mut self) -> Option<String> {
        self.with(Embedded::take_remark)
    }
}

/// It remembers each call, for tests; nobody would ever ask here.
fn forgetting<T>(lb: &mut Embedded, f: impl FnOnce(&mut Embedded) -> T) -> T {
    let answers = f(lb);
    drop(lb.take_log());
    answers
}

/// The control plane without VPP.
pub struct Host {
    pub engine: Engine,
    pub lb: Twin,
    wake: Arc<OwnedFd>,
}

impl Host {
    pub fn start(config: &Path, state: Option<&Path>, log: Log) -> io::Result<Host> {
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let bell = Arc::clone(&wake);
        let lb = Twin(Rc::new(RefCell::new(Embedded::new())));
        let options = EngineOptions {
            config_path: config.to_owned(),
            state_path: state.map(Path::to_owned),
            probe_cpus: None,
            thread_init: None,
            // A full counter means that the bell is ringing anyway.
            wake: Arc::new(move || {
                let _ = rustix::io::write(&bell, &1u64.to_ne_bytes());
            }),
            log,
            version: VersionView {
                maglev: env!("CARGO_PKG_VERSION").into(),
                built_for: None,
                running_in: None,
                lb_messages: Vec::new(),
            },
            heap: || None,
        };
        // As the plugin does: a probe is a descriptor, and so is a healthy backend between two of them.
        maglev::probe::raise_file_limit();
        let engine = Engine::start(options, Box::new(lb.clone()))?;
        Ok(Host { engine, lb, wake })
    }

    /// One turn of the engine, after hearing the bell.
    pub fn turn(&mut self) -> Turn {
        // Before the turn: what rings during it is for the next one.
        let _ = rustix::io::read(&self.wake, &mut [0u8; 8]);
        self.engine.turn()
    }
}

impl AsFd for Host {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}
