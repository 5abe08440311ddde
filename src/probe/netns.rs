//! The network namespace of the prober's thread.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::text::words;

/// Where `ip netns add` puts names.
const NAMED: &str = "/run/netns";

/// A namespace as the file behind its name: a namespace that was deleted and made again is another one.
type Identity = (u64, u64);

/// Which namespace the calling thread is in and which it should be in. Used on one thread only, since entering a
/// namespace moves that thread alone.
pub(super) struct Namespace {
    /// The one the thread was born in.
    home: Result<OwnedFd, Errno>,
    wanted: Option<String>,
    /// None: home.
    inside: Option<Identity>,
    /// Why the thread is not where it should be.
    broken: Option<String>,
}

impl Namespace {
    /// Of the calling thread.
    pub(super) fn new() -> Namespace {
        let home = rustix::fs::openat(
            CWD,
            "/proc/thread-self/ns/net",
            OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        );
        Namespace { home, wanted: None, inside: None, broken: None }
    }

    /// Why no probe can be made now.
    pub(super) fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// Asks for another namespace, none for home; true when the thread has moved.
    pub(super) fn want(&mut self, name: Option<String>) -> bool {
        self.wanted = name;
        self.settle()
    }

    /// Goes where the thread should be, if it is not there: the name may have appeared, or mean another namespace
    /// now. True when the thread has moved.
    pub(super) fn settle(&mut self) -> bool {
        let result = match &self.wanted {
            None if self.inside.is_none() => Ok(false),
            None => self.go_home(),
            Some(name) => match self.enter(name) {
                Ok(None) => Ok(false),
                Ok(Some(identity)) => {
                    self.inside = Some(identity);
                    Ok(true)
                }
                Err(why) => Err(why),
            },
        };
        match result {
            Ok(moved) => {
                self.broken = None;
                moved
            }
            Err(why) => {
                self.broken = Some(why);
                false
            }
        }
    }

    fn go_home(&mut self) -> Result<bool, String> {
        let why = |e: Errno| format!("cannot leave the network namespace: {}", words(e));
        let home = self.home.as_ref().map_err(|e| why(*e))?;
        move_into_link_name_space(home.as_fd(), Some(LinkNameSpaceType::Network)).map_err(why)?;
        self.inside = None;
        Ok(true)
    }

    /// Enters `name` unless the thread is in it; the identity of what was entered.
    fn enter(&self, name: &str) -> Result<Option<Identity>, String> {
        let why = |e: Errno| format!("network namespace `{name}`: {}", words(e));
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
            return Err(why(Errno::INVAL));
        }
        // Without a way back there is no way in.
        self.home.as_ref().map_err(|e| why(*e))?;
        let path = format!("{NAMED}/{name}");
        // A look takes no descriptor: where none is left, who is inside stays, and what is open goes on.
        let stat = rustix::fs::stat(path.as_str()).map_err(why)?;
        if self.inside == Some((stat.st_dev, stat.st_ino)) {
            return Ok(None);
        }
        let fd = rustix::fs::openat(CWD, path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(why)?;
        let stat = rustix::fs::fstat(&fd).map_err(why)?;
        let identity = (stat.st_dev, stat.st_ino);
        move_into_link_name_space(fd.as_fd(), Some(LinkNameSpaceType::Network)).map_err(why)?;
        Ok(Some(identity))
    }
}
