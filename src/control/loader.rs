//! Reads, parses and validates configuration files, and reads and writes the state file, on a thread of its own: never on VPP's main thread, whose
//! coroutine stacks are small and whose time is the routers'.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use super::applying::Retired;
use super::loss::Loss;
use super::operator::Ticket;
use super::state::{Found, Lock, Snapshot, Store, Written};
use crate::budget::Budgets;
use crate::config::{Config, Issue, LoadError, Patience};

/// At the start a state file that another process has is waited for: it may be one that is just ending.
const HANDED_OVER: Duration = Duration::from_secs(2);
/// Between two looks at it.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

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
    /// `config reload`; true: `force`, whatever it takes out of service.
    Reload(Ticket, bool),
}

/// What the thread is to do.
#[derive(Debug)]
enum Request {
    /// A configuration is to be read.
    Load { path: PathBuf, purpose: Purpose, running: Option<Arc<Config>> },
    /// The state file is there; it is to be read.
    Restore(Store),
    /// It is to be written.
    Save(u64, Snapshot),
    /// It is to be freed.
    Free(Retired),
}

/// What the thread has done, in the order in which it was asked.
#[derive(Debug)]
pub enum Reply {
    /// A configuration was read.
    Loaded(Box<Loaded>),
    /// So was the state file.
    Restored(Found),
    /// It was written: the number that came with the request, and why not, if so.
    Saved(u64, Result<Written, String>),
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
    /// What of the running configuration would be out of service with it.
    pub loss: Loss,
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
            Work { inbox, outbox, wake, store: None, later: VecDeque::new(), budgets }.run();
        })?;
        Ok(Loader { requests: Some(requests), results, thread: Some(thread) })
    }

    /// Asks for a file, and for what of the running configuration it would take out of service.
    pub fn request(&self, path: PathBuf, purpose: Purpose, running: Option<Arc<Config>>) {
        if let Some(r) = &self.requests {
            let _ = r.send(Request::Load { path, purpose, running });
        }
    }

    /// Asks for what the state file says; that is where [`Loader::save`] writes from then on.
    pub fn restore(&self, store: Store) {
        if let Some(r) = &self.requests {
            let _ = r.send(Request::Restore(store));
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

/// What runs in the thread.
struct Work {
    inbox: Receiver<Request>,
    outbox: Sender<Reply>,
    wake: Hook,
    store: Option<Store>,
    /// Came while a file was waited for.
    later: VecDeque<Request>,
    /// What is made of a file is taken from them.
    budgets: Budgets,
}

impl Work {
    fn run(mut self) {
        while let Some(request) = self.later.pop_front().or_else(|| self.inbox.recv().ok()) {
            if !self.carry_out(request) {
                break;
            }
        }
    }

    /// False: nobody is there any more to hear the reply.
    fn carry_out(&mut self, request: Request) -> bool {
        match request {
            Request::Load { path, purpose, running } => {
                let result = self.load(&path, purpose);
                let loss = match (&result, &running) {
                    (Ok((new, _)), Some(running)) => Loss::between(running, new),
                    (Ok(_), None) | (Err(_), _) => Loss::default(),
                };
                self.reply(Reply::Loaded(Box::new(Loaded { path, purpose, result, loss })))
            }
            Request::Restore(store) => {
                let found = self.restore(store);
                self.reply(Reply::Restored(found))
            }
            Request::Save(generation, snapshot) => {
                let written =
                    self.store.as_mut().map_or_else(|| Ok(Written::default()), |s| s.write(&snapshot));
                self.budgets.state.set(self.store.as_ref().map_or(0, Store::size));
                self.reply(Reply::Saved(generation, written))
            }
            Request::Free(retired) => {
                drop(retired);
                true
            }
        }
    }

    fn reply(&self, reply: Reply) -> bool {
        let heard = self.outbox.send(reply).is_ok();
        if heard {
            (self.wake)();
        }
        heard
    }

    /// Waits. The state is saved meanwhile if that is asked for: an operator's verb waits for it. False: the thread is to end.
    fn pause(&mut self, time: Duration) -> bool {
        let until = crate::clock::mono() + time;
        loop {
            match self.inbox.recv_timeout(until.since(crate::clock::mono())) {
                Ok(request @ (Request::Save(..) | Request::Free(_))) => {
                    if !self.carry_out(request) {
                        return false;
                    }
                }
                Ok(request @ (Request::Load { .. } | Request::Restore(_))) => self.later.push_back(request),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    fn load(&mut self, path: &Path, purpose: Purpose) -> Result<(Config, Vec<String>), Vec<String>> {
        let patience = match purpose {
            Purpose::Start => Patience::AT_START,
            Purpose::Check(_) | Purpose::Reload(..) => Patience::USUAL,
        };
        let bytes = crate::config::read(path, patience, &mut |time| self.pause(time))
            .map_err(|e| vec![e.to_string()])?;
        // A parser that panics must not leave whoever asked without an answer.
        let parse = std::panic::AssertUnwindSafe(|| parse(path, &bytes, &self.budgets));
        std::panic::catch_unwind(parse)
            .unwrap_or_else(|_| Err(vec![format!("{}: the parser failed (a bug)", path.display())]))
    }

    /// What the state file says. Another process that is just ending may still have it.
    fn restore(&mut self, mut store: Store) -> Found {
        let until = crate::clock::mono() + HANDED_OVER;
        while store.lock() == Lock::Busy && crate::clock::mono() < until && self.pause(LOOK_AGAIN) {}
        self.store.insert(store).read()
    }
}

fn parse(path: &Path, bytes: &[u8], budgets: &Budgets) -> Result<(Config, Vec<String>), Vec<String>> {
    match crate::config::parse_bytes(bytes, budgets) {
        Ok(parsed) => Ok((parsed.config, lines(path, &parsed.warnings))),
        Err(e @ LoadError::Unreadable { .. }) => Err(vec![e.to_string()]),
        Err(LoadError::Bad(errors)) => Err(lines(path, &errors.list)),
    }
}

/// One line each, with the path before it; where they are too long together the last one says how many are left out.
fn lines(path: &Path, issues: &[Issue]) -> Vec<String> {
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
        assert_eq!(lines(Path::new("f"), &issues).len(), 1000);
    }
}
