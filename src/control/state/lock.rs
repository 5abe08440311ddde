//! The lock beside the state file: two processes with one state file would overwrite each other's words. It is the system's
//! (`flock`), so it ends with the process, however that ends. The file is empty, and stays.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;

use rustix::fs::{
    AtFlags, FileType, FlockOperation, Mode, OFlags, Stat, flock, fstat, major, minor, openat, statat,
};
use rustix::io::Errno;

use super::file::{LINK, ODD};
use crate::probe::text::words;

/// How often a lock file that was removed in the moment of locking is made anew.
const TRIES: usize = 3;

/// What became of locking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lock {
    /// We have it.
    Ours,
    /// Another process has it.
    Busy,
    /// It cannot be had; why.
    Failed(String),
}

/// A lock that we have.
#[derive(Debug)]
pub(super) struct Held {
    file: OwnedFd,
    /// Why this file system has no locks, if so: we are as good as alone.
    pub(super) unlockable: Option<String>,
}

/// Why there is no lock.
#[derive(Debug)]
pub(super) enum Refused {
    /// Another process has it; the number of the process, if the system tells.
    Busy(Option<u32>),
    Failed(String),
}

impl Held {
    /// Takes the lock `name` in a folder. Does not wait.
    pub(super) fn take(folder: &OwnedFd, name: &OsStr) -> Result<Held, Refused> {
        let failed = |e: Errno| Refused::Failed(words(e).into_owned());
        for _ in 0..TRIES {
            let flags = OFlags::RDWR
                | OFlags::CREATE
                | OFlags::NOFOLLOW
                | OFlags::NONBLOCK
                | OFlags::NOCTTY
                | OFlags::CLOEXEC;
            let file = match openat(folder, name, flags, Mode::RUSR | Mode::WUSR) {
                Ok(file) => file,
                Err(Errno::LOOP) => return Err(Refused::Failed(LINK.into())),
                Err(Errno::ISDIR | Errno::NXIO) => return Err(Refused::Failed(ODD.into())),
                Err(e) => return Err(failed(e)),
            };
            let stat = fstat(&file).map_err(failed)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                return Err(Refused::Failed(ODD.into()));
            }
            let unlockable = match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => None,
                Err(Errno::WOULDBLOCK) => return Err(Refused::Busy(holder(&stat))),
                Err(e @ (Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL)) => {
                    Some(words(e).into_owned())
                }
                Err(e) => return Err(failed(e)),
            };
            let held = Held { file, unlockable };
            if held.is(folder, name) {
                return Ok(held);
            }
        }
        Err(Refused::Failed("somebody goes on removing it".into()))
    }

    /// Whether it is still the file of that name: whoever else finds no file there makes one, and has a lock of its own.
    pub(super) fn is(&self, folder: &OwnedFd, name: &OsStr) -> bool {
        match (fstat(&self.file), statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)) {
            (Ok(a), Ok(b)) => (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino),
            (_, _) => false,
        }
    }
}

/// Who holds the lock of a file, as the system's list has it: `1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF`.
fn holder(stat: &Stat) -> Option<u32> {
    let place = format!("{:02x}:{:02x}:{}", major(stat.st_dev), minor(stat.st_dev), stat.st_ino);
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (kind, pid) = (fields.next()?, fields.nth(2)?);
        (kind == "FLOCK" && fields.next() == Some(&place)).then(|| pid.parse().ok())?
    })
}
