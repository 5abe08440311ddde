//! Reads, parses and validates configuration files, and reads and writes the state file, on a thread of its own: never on VPP's main thread, whose
//! coroutine stacks are small and whose time is the routers'.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::applying::Retired;
use super::operator::Ticket;
use super::state::{Found, Snapshot, Store};
use crate::budget::Budgets;
use crate::config::{Config, Issue, LoadError};

/// What one file's errors or warnings may take together as they are shown: they are kept for `show status`, and until who
/// asked takes them.
const REPORT_MAX: usize = 256 << 10;

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

/// What the thread is to do.
#[derive(Debug)]
enum Request {
    /// A configuration is to be read.
    Load { path: PathBuf, purpose: Purpose },
    /// The state file is there; it is to be read.
    Restore(PathBuf),
    /// It is to be written.
    Save(u64, Snapshot),
    /// It is to be freed.
    Free(Retired),
}

/// What the thread has done, in the order in which it was asked.
#[derive(Debug)]
pub enum Reply {
    /// A configuration was read.
    Loaded(Loaded),
    /// So was the state file.
    Restored(Found),
    /// It was written: the number that came with the request, and why not, if so.
    Saved(u64, Result<(), String>),
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
    results: Receiver<Reply>,
    thread: Option<JoinHandle<()>>,
}

/// Something that a thread calls.
pub type Hook = Arc<dyn Fn() + Send + Sync>;

impl Loader {
    /// Starts the thread. `init` runs first in it, `wake` after each file; what it makes is taken from `budgets`.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn spawn(init: Option<Hook>, wake: Hook, budgets: Budgets) -> io::Result<Loader> {
        let (requests, inbox) = unbounded::<Request>();
        let (outbox, results) = unbounded();
        let thread = std::thread::Builder::new().name("maglev-loader".into()).spawn(move || {
            if let Some(init) = init {
                init();
            }
            let mut store = None;
            for request in inbox {
                let Some(reply) = carry_out(request, &mut store, &budgets) else { continue };
                if outbox.send(reply).is_err() {
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
            let _ = r.send(Request::Load { path, purpose });
        }
    }

    /// Asks for what the state file says; that is where [`Loader::save`] writes from then on.
    pub fn restore(&self, path: PathBuf) {
        if let Some(r) = &self.requests {
            let _ = r.send(Request::Restore(path));
        }
    }

    /// Has the state file written.
    pub fn save(&self, generation: u64, snapshot: Snapshot) {
        if let Some(r) = &self.requests {
            let _ = r.send(Request::Save(generation, snapshot));
        }
    }

    /// Has what a configuration has left freed.
    pub fn free(&self, retired: Retired) {
        if let Some(r) = &self.requests {
            let _ = r.send(Request::Free(retired));
        }
    }

    /// The next thing that was done.
    pub fn try_recv(&self) -> Option<Reply> {
        self.results.try_recv().ok()
    }

    /// Ends the thread once it has done what it was asked for; answers whether it did within `patience`.
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

fn carry_out(request: Request, store: &mut Option<Store>, budgets: &Budgets) -> Option<Reply> {
    Some(match request {
        Request::Load { path, purpose } => {
            // A parser that panics must not leave whoever asked without an answer.
            let read = std::panic::AssertUnwindSafe(|| read(&path, budgets));
            let result = std::panic::catch_unwind(read)
                .unwrap_or_else(|_| Err(vec![format!("{}: the parser failed (a bug)", path.display())]));
            Reply::Loaded(Loaded { path, purpose, result })
        }
        Request::Restore(path) => Reply::Restored(store.insert(Store::new(path)).read()),
        Request::Save(generation, snapshot) => {
            let written = store.as_mut().map_or(Ok(()), |s| s.write(&snapshot));
            budgets.state.set(store.as_ref().map_or(0, Store::size));
            Reply::Saved(generation, written)
        }
        Request::Free(retired) => {
            drop(retired);
            return None;
        }
    })
}

fn read(path: &std::path::Path, budgets: &Budgets) -> Result<(Config, Vec<String>), Vec<String>> {
    match crate::config::load_within(path, budgets) {
        Ok(parsed) => Ok((parsed.config, lines(path, &parsed.warnings))),
        Err(e @ LoadError::Unreadable { .. }) => Err(vec![e.to_string()]),
        Err(LoadError::Bad(errors)) => Err(lines(path, &errors.list)),
    }
}

/// One line each, with the path before it; where they are too long together the last one says how many are left out.
fn lines(path: &std::path::Path, issues: &[Issue]) -> Vec<String> {
    let path = path.display().to_string();
    let mut out: Vec<String> = Vec::new();
    let mut bytes = 0_usize;
    for (i, issue) in issues.iter().enumerate() {
        let line = format!("{path}:{issue}");
        bytes = bytes.saturating_add(line.len());
        if bytes > REPORT_MAX && i > 0 {
            out.push(format!("{path}: and {} more", issues.len() - i));
            break;
        }
        out.push(line);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Pos;

    #[test]
    fn a_report_has_a_limit_and_says_what_it_leaves_out() {
        let path = PathBuf::from(format!("/{}", "d".repeat(4000)));
        let issues: Vec<Issue> = (1..=1000).map(|line| Issue::new(Pos { line, column: 1 }, "bad")).collect();
        let all = lines(&path, &issues);
        assert!(all.iter().map(String::len).sum::<usize>() < REPORT_MAX + 5000);
        let left = 1000 - (all.len() - 1);
        assert!(left > 0);
        assert_eq!(all.last().unwrap(), &format!("{}: and {left} more", path.display()));
        assert_eq!(lines(&path, &issues[..3]).len(), 3);
        assert_eq!(lines(std::path::Path::new("f"), &issues).len(), 1000);
    }
}
