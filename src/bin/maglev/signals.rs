//! SIGTERM, SIGINT and SIGHUP as a readable descriptor.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

const ALL: [i32; 3] = [SIGTERM, SIGINT, SIGHUP];

/// Tells when the process shall end. A second signal ends it on the spot, in case the first one does not get through.
pub struct Signals {
    pipe: UnixStream,
}

impl Signals {
    pub fn install() -> io::Result<Signals> {
        let (pipe, write) = UnixStream::pair()?;
        pipe.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        for signal in ALL {
            let seen = Arc::new(AtomicBool::new(false));
            flag::register_conditional_shutdown(signal, signal.saturating_add(128), Arc::clone(&seen))?;
            flag::register(signal, seen)?;
            low_level::pipe::register(signal, write.try_clone()?)?;
        }
        Ok(Signals { pipe })
    }

    /// A signal has come.
    pub fn came(&self) -> bool {
        matches!((&self.pipe).read(&mut [0; 16]), Ok(n) if n > 0)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}
