//! Reads, parses and validates configuration files on a thread of its own: never on VPP's main thread, whose
//! coroutine stacks are small and whose time is the routers'.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::operator::Ticket;
use crate::config::{Config, Issue, LoadError};

/// What is to be done with a file once it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The first load.
    Start,
    /// `config check`
    Check(Ticket),
    /// `config reload`
    Reload(Ticket),
}

/// A file to be read.
#[derive(Debug)]
struct Request {
    path: PathBuf,
    purpose: Purpose,
}

/// A file that was read.
#[derive(Debug)]
pub struct Loaded {
    /// Which.
    pub path: PathBuf,
    /// What for.
    pub purpose: Purpose,
    /// The configuration and its warnings, or the errors; one line each, with the path before it.
    pub result: Result<(Config, Vec<String>), Vec<String>>,
}

/// The thread.
#[derive(Debug)]
pub struct Loader {
    requests: Option<Sender<Request>>,
    results: Receiver<Loaded>,
    thread: Option<JoinHandle<()>>,
}

/// Something that a thread calls.
pub type Hook = Arc<dyn Fn() + Send + Sync>;

impl Loader {
    /// Starts the thread. `init` runs first in it, `wake` after each file.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn spawn(init: Option<Hook>, wake: Hook) -> io::Result<Loader> {
        let (requests, inbox) = unbounded::<Request>();
        let (outbox, results) = unbounded();
        let thread = std::thread::Builder::new().name("maglev-loader".into()).spawn(move || {
            if let Some(init) = init {
                init();
            }
            for Request { path, purpose } in inbox {
                // A parser that panics must not leave whoever asked without an answer.
                let read = std::panic::AssertUnwindSafe(|| read(&path));
                let result = std::panic::catch_unwind(read)
                    .unwrap_or_else(|_| Err(vec![format!("{}: the parser failed (a bug)", path.display())]));
                if outbox.send(Loaded { path, purpose, result }).is_err() {
                    break;
                }
                wake();
            }
        })?;
        Ok(Loader { requests: Some(requests), results, thread: Some(thread) })
    }

    /// Asks for a file.
    pub fn request(&self, path: PathBuf, purpose: Purpose) {
        if let Some(r) = &self.requests {
            let _ = r.send(Request { path, purpose });
        }
    }

    /// The next file that was read.
    pub fn try_recv(&self) -> Option<Loaded> {
        self.results.try_recv().ok()
    }

    /// Ends the thread once it has read what it is at; answers whether it did within `patience`.
    pub fn stop(&mut self, patience: std::time::Duration) -> bool {
        self.requests = None;
        let Some(thread) = self.thread.take() else { return true };
        let until = crate::clock::mono() + patience;
        while !thread.is_finished() && crate::clock::mono() < until {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        thread.is_finished() && thread.join().is_ok()
    }
}

fn read(path: &std::path::Path) -> Result<(Config, Vec<String>), Vec<String>> {
    let line = |i: &Issue| format!("{}:{i}", path.display());
    match crate::config::load(path) {
        Ok(parsed) => Ok((parsed.config, parsed.warnings.iter().map(line).collect())),
        Err(e @ LoadError::Unreadable { .. }) => Err(vec![e.to_string()]),
        Err(LoadError::Bad(errors)) => Err(errors.list.iter().map(line).collect()),
    }
}
