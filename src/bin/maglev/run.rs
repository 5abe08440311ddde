//! `maglev run`

use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use maglev::clock;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::host::Host;
use crate::log::{self, Level};
use crate::server::Server;
use crate::shell;
use crate::signals::Signals;
use crate::socket::{self, Socket, words};

pub struct Options {
    pub config: PathBuf,
    pub state_file: Option<PathBuf>,
    pub cli_socket: Option<PathBuf>,
    pub log_level: Level,
}

/// 0 ended by a signal, 1 could not start.
pub fn run(options: &Options) -> ExitCode {
    match start(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            log::line(Level::Error, &why);
            ExitCode::FAILURE
        }
    }
}

fn start(options: &Options) -> Result<(), String> {
    let in_words = |e: io::Error| words(&e);
    let signals = Signals::install().map_err(in_words)?;
    let path = match &options.cli_socket {
        Some(path) => path.clone(),
        None => socket::default_path().map_err(|e| e.to_string())?,
    };
    // Before the engine's threads are there, because of the umask.
    let socket = Socket::bind(&path, options.cli_socket.is_none()).map_err(|e| e.to_string())?;
    let level = options.log_level;
    log::line(Level::Notice, &shell::banner());
    log::line(Level::Info, &format!("commands at {}: vppctl -s {0} maglev show status", path.display()));
    let mut host = Host::start(
        &options.config,
        options.state_file.as_deref(),
        Box::new(move |l, text| {
            if Level::from(l) >= level {
                log::line(Level::from(l), text);
            }
        }),
    )
    .map_err(in_words)?;
    let mut server = Server::new(socket);
    // Something was heard on the socket or from a client: with thousands of probes a second most turns are for those
    // alone, and an `accept` for nothing is dear.
    let mut heard = true;
    while !signals.came() {
        let turn = host.turn();
        let now = clock::mono();
        let busy = server.serve(now, &mut host.engine, heard) || turn.busy;
        let mut wait = if busy { Some(Duration::ZERO) } else { turn.next };
        if let Some(at) = server.deadline(now) {
            let until = at.since(now);
            wait = Some(wait.map_or(until, |w| w.min(until)));
        }
        let timeout = wait.and_then(|w| Timespec::try_from(w).ok());
        let interests = server.interests(now);
        let mut fds: Vec<PollFd<'_>> =
            interests.iter().map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
        fds.push(PollFd::from_borrowed_fd(host.as_fd(), PollFlags::IN));
        fds.push(PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN));
        heard = match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => fds.iter().take(interests.len()).any(|fd| !fd.revents().is_empty()),
            Err(rustix::io::Errno::INTR) => false,
            Err(e) => return Err(format!("poll: {}", words(&e.into()))),
        };
    }
    log::line(Level::Notice, "ending");
    server.end(clock::mono());
    if !host.engine.stop() {
        log::line(Level::Warning, "a thread did not end in time");
    }
    Ok(())
}
