//! SIGTERM, SIGINT and SIGHUP as a readable descriptor.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

const ALL: [i32; 3] = [SIGTERM, SIGINT, SIGHUP];

/// Tells when the process shall end. A second signal ends it on the spot, in case the first one does not get through.
pub struct Signals {
    pipe: UnixStream,
    came: Arc<AtomicBool>,
}

impl Signals {
    pub fn install() -> io::Result<Signals> {
        let (pipe, write) = UnixStream::pair()?;
        pipe.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        let came = Arc::new(AtomicBool::new(false));
        for signal in ALL {
            let seen = Arc::new(AtomicBool::new(false));
            flag::register_conditional_shutdown(signal, signal.saturating_add(128), Arc::clone(&seen))?;
            flag::register(signal, seen)?;
            // Before the pipe: who is woken by that finds it set.
            flag::register(signal, Arc::clone(&came))?;
            low_level::pipe::register(signal, write.try_clone()?)?;
        }
        Ok(Signals { pipe, came })
    }

    /// A signal has come.
    pub fn came(&self) -> bool {
        self.came.load(Ordering::Acquire)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}
