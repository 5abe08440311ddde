//! The state file on the disk. Blocks: for the loader's thread alone.
//!
//! It is written beside itself, synced, and renamed into place, so that at any moment there is a whole file, the old
//! or the new one. Everything is done from the folder's descriptor, and no symbolic link is followed behind it. Nothing is done
//! without the lock, and no file is moved or replaced that is not a state file.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, fstat, fsync, mkdir, openat, renameat, stat, statat, unlinkat,
};
use rustix::io::Errno;

use super::fit::{Cut, Fit};
use super::lock::{Held, Lock, Refused};
use super::snapshot::{Bad, SIZE_MAX, Snapshot, begins_ours};
use crate::probe::text::words;

/// What was there at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What the file said; none: there was none, or not a good one.
    pub snapshot: Option<Snapshot>,
    /// What is wrong with the file, in words.
    pub problem: Option<String>,
    /// It will not be written either, until that is mended.
    pub blocked: bool,
}

/// A file that was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// What an operator must be told of it all the same: what was left out of it, that it could not be locked.
    pub notes: Vec<String>,
}

/// The state file's place.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    /// The configuration's path.
    config: Option<PathBuf>,
    lock: Option<Held>,
    /// The file that was read or written last. Any other one is set aside before it is replaced.
    known: Option<Stamp>,
    /// Bytes of the text that was last to be written.
    size: usize,
}

/// What tells a file from any other, and from itself when it was changed.
type Stamp = (u64, u64, i64, i64, i64);

#[allow(clippy::useless_conversion, clippy::unnecessary_cast, reason = "their types depend on the platform")]
fn stamp(s: &Stat) -> Stamp {
    (s.st_dev.into(), s.st_ino.into(), s.st_size.into(), s.st_mtime.into(), s.st_mtime_nsec as i64)
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Free,
    /// A state file, whole or damaged.
    Ours,
    /// Anything else: it is neither moved nor replaced.
    Foreign,
}

impl Store {
    /// Touches nothing yet.
    pub fn new(path: PathBuf) -> Store {
        Store { path, config: None, lock: None, known: None, size: 0 }
    }

    /// As [`Store::new`]; nothing is done where the path is the configuration's, however that is spelled.
    pub fn beside_config(path: PathBuf, config: PathBuf) -> Store {
        Store { config: Some(config), ..Store::new(path) }
    }

    /// Takes the lock, or finds that we have it.
    pub fn lock(&mut self) -> Lock {
        match self.open_folder(false) {
            Ok(Some((folder, name))) => {
                let usable = self.own(&folder, &name).and_then(|()| self.is_known(&folder, &name));
                match usable.map(|_| self.locked(&folder, &name)) {
                    Ok(Ok(())) => Lock::Ours,
                    Ok(Err(Refused::Busy(_))) => Lock::Busy,
                    Ok(Err(Refused::Failed(why))) | Err(why) => Lock::Failed(why),
                }
            }
            Ok(None) => Lock::Failed(self.no_folder()),
            Err(why) => Lock::Failed(why),
        }
    }

    /// Reads the file, unless another process has its lock. One of ours that cannot be believed is renamed to `<name>.bad`, in place
    /// of an older one.
    pub fn read(&mut self) -> Found {
        let blocked = |why| Found { snapshot: None, problem: Some(why), blocked: true };
        let why = match self.content() {
            Ok(None) => return Found::default(),
            Ok(Some((bytes, stamp))) => match Snapshot::decode(&bytes) {
                Ok(snapshot) => {
                    self.known = Some(stamp);
                    return Found { snapshot: Some(snapshot), problem: None, blocked: false };
                }
                Err(_) if !Snapshot::is_ours(&bytes) => return blocked(self.at(&self.path, FOREIGN)),
                Err(Bad::Foreign) => self.at(&self.path, "damaged: what it says that it is"),
                Err(bad) => self.at(&self.path, &bad.to_string()),
            },
            Err(Unread::Leave(why)) => return blocked(why),
            Err(Unread::Aside(why)) => why,
        };
        match self.set_aside() {
            Ok(()) => {
                let problem = format!("{why}; set aside as {}", beside(&self.path, ".bad").display());
                Found { snapshot: None, problem: Some(problem), blocked: false }
            }
            Err(cannot) => blocked(format!("{why}; cannot be set aside: {cannot}")),
        }
    }

    /// Writes the file, mode 0600; it is on the disk when this returns. What is there and was not read or written here is set aside
    /// before.
    ///
    /// # Errors
    /// Why not, in words; then the file is what it was.
    pub fn write(&mut self, snapshot: &Snapshot) -> Result<Written, String> {
        let (folder, name) = self.open_folder(true)?.ok_or_else(|| self.no_folder())?;
        self.own(&folder, &name)?;
        // Before there is a lock file beside somebody else's file.
        self.is_known(&folder, &name)?;
        self.locked(&folder, &name).map_err(|refused| self.refused(refused))?;
        let is_known = self.is_known(&folder, &name)?;
        let fit = Fit::new(snapshot).map_err(|bad| self.at(&self.path, &bad.to_string()))?;
        self.size = fit.size();
        if !is_known {
            self.set_aside()?;
        }
        let end = self.free_end(&folder, &name)?;
        let (new, new_path) = (with(&name, end), beside(&self.path, end));
        let written =
            self.write_new(&folder, &new, &fit).map_err(|e| self.at(&new_path, &e)).and_then(|()| {
                renameat(&folder, &new, &folder, &name).map_err(|e| self.at(&self.path, &words(e)))
            });
        if let Err(why) = written {
            let _ = unlinkat(&folder, &new, AtFlags::empty());
            return Err(why);
        }
        self.known = statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW).ok().map(|s| stamp(&s));
        match fsync(&folder) {
            // Some file systems cannot sync a folder.
            Ok(()) | Err(Errno::INVAL) => Ok(Written { notes: self.notes(fit.cut) }),
            Err(e) => Err(self.at(&self.path, &words(e))),
        }
    }

    /// Bytes of the text that was last to be written.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether what is there was read or written here, or nothing is there. False: it is another state file.
    ///
    /// # Errors
    /// It is none.
    fn is_known(&self, folder: &OwnedFd, name: &OsStr) -> Result<bool, String> {
        match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(s) if self.known == Some(stamp(&s)) => Ok(true),
            Ok(s) => {
                regular(FileType::from_raw_mode(s.st_mode)).map_err(|why| self.at(&self.path, why))?;
                match self.place(folder, name, "")? {
                    Place::Foreign => Err(self.at(&self.path, FOREIGN)),
                    Place::Ours => Ok(false),
                    Place::Free => Ok(true),
                }
            }
            Err(Errno::NOENT) => Ok(true),
            Err(e) => Err(self.at(&self.path, &words(e))),
        }
    }

    /// What follows the file's name while it is written: a name that is free, or that of one of ours.
    fn free_end(&self, folder: &OwnedFd, name: &OsStr) -> Result<&'static str, String> {
        for end in NEW {
            if self.place(folder, name, end)? != Place::Foreign {
                return Ok(end);
            }
        }
        Err(self.at(&beside(&self.path, ".new"), FOREIGN))
    }

    fn place(&self, folder: &OwnedFd, name: &OsStr, end: &str) -> Result<Place, String> {
        place(folder, &with(name, end)).map_err(|e| self.at(&beside(&self.path, end), &words(e)))
    }

    fn notes(&self, cut: Cut) -> Vec<String> {
        let cut = cut.as_str().map(|what| {
            format!("without {what}: the state file would be longer than {} MiB", SIZE_MAX >> 20)
        });
        let lock = self.lock.as_ref().and_then(|l| l.unlockable.as_ref()).map(|why| {
            format!(
                "{}: cannot be locked ({why}): another process that uses it is not noticed",
                self.path.display()
            )
        });
        cut.into_iter().chain(lock).collect()
    }

    /// The lock is ours, or is now.
    fn locked(&mut self, folder: &OwnedFd, name: &OsStr) -> Result<(), Refused> {
        let name = with(name, LOCK);
        if self.lock.as_ref().is_some_and(|l| l.is(folder, &name)) {
            return Ok(());
        }
        self.lock = None;
        if self.is_config(folder, &name) {
            return Err(Refused::Failed(self.at(&beside(&self.path, LOCK), CONFIG)));
        }
        let held = Held::take(folder, &name).map_err(|refused| match refused {
            Refused::Busy(pid) => Refused::Busy(pid),
            Refused::Failed(why) => Refused::Failed(self.at(&beside(&self.path, LOCK), &why)),
        })?;
        self.lock = Some(held);
        Ok(())
    }

    fn refused(&self, refused: Refused) -> String {
        match refused {
            Refused::Busy(pid) => {
                let who = pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
                self.at(
                    &self.path,
                    &format!("{who} has it as its state file; nothing is saved here while it does"),
                )
            }
            Refused::Failed(why) => why,
        }
    }

    /// Errs where the path is the configuration's.
    fn own(&self, folder: &OwnedFd, name: &OsStr) -> Result<(), String> {
        if self.is_config(folder, name) { Err(self.at(&self.path, CONFIG)) } else { Ok(()) }
    }

    /// Whether a name in a folder is the configuration, however its path is spelled, and whether it is there or not.
    fn is_config(&self, folder: &OwnedFd, name: &OsStr) -> bool {
        let Some(config) = &self.config else { return false };
        let id = |s: Stat| (s.st_dev, s.st_ino);
        let same = |a: Result<Stat, Errno>, b: Result<Stat, Errno>| matches!((a, b), (Ok(a), Ok(b)) if id(a) == id(b));
        same(statat(folder, name, AtFlags::SYMLINK_NOFOLLOW), stat(config))
            || config.file_name() == Some(name) && same(fstat(folder), stat(parent(config)))
    }

    fn write_new(&self, folder: &OwnedFd, new: &OsStr, fit: &Fit<'_>) -> Result<(), String> {
        // Left by one that was killed while it wrote.
        match unlinkat(folder, new, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(e) => return Err(words(e).into_owned()),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(folder, new, flags, Mode::RUSR | Mode::WUSR).map_err(words).map_err(String::from)?;
        let file = std::fs::File::from(fd);
        fit.write(&file).and_then(|()| file.sync_all()).map_err(|e| io_words(&e))
    }

    /// The bytes, and what file that is; none: there is no file.
    fn content(&mut self) -> Result<Option<(Vec<u8>, Stamp)>, Unread> {
        let Some((folder, name)) = self.open_folder(false).map_err(Unread::Leave)? else { return Ok(None) };
        self.own(&folder, &name).map_err(Unread::Leave)?;
        self.is_known(&folder, &name).map_err(Unread::Leave)?;
        // Where there can be no lock nothing will be written, but what is there may be read.
        if let Err(refused @ Refused::Busy(_)) = self.locked(&folder, &name) {
            return Err(Unread::Leave(self.refused(refused)));
        }
        // Opening a pipe could wait for ever.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let leave = |why: &str| Unread::Leave(self.at(&self.path, why));
        let fd = match openat(&folder, &name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(leave(LINK)),
            Err(Errno::NXIO) => return Err(leave(ODD)),
            Err(e) => return Err(leave(&words(e))),
        };
        let stat = fstat(&fd).map_err(|e| leave(&words(e)))?;
        regular(FileType::from_raw_mode(stat.st_mode)).map_err(leave)?;
        let mut bytes = Vec::new();
        let limit = SIZE_MAX as u64 + 1;
        let read = std::fs::File::from(fd).take(limit).read_to_end(&mut bytes);
        let why = match read {
            Err(e) => io_words(&e),
            Ok(_) if bytes.len() > SIZE_MAX => Bad::Long.to_string(),
            Ok(_) => return Ok(Some((bytes, stamp(&stat)))),
        };
        let why = self.at(&self.path, &why);
        // Of a file that cannot be read at all nobody knows whose it is.
        Err(if !bytes.is_empty() && begins_ours(&bytes) { Unread::Aside(why) } else { Unread::Leave(why) })
    }

    fn set_aside(&mut self) -> Result<(), String> {
        let bad = beside(&self.path, ".bad");
        let (folder, name) = self.open_folder(false)?.ok_or_else(|| self.no_folder())?;
        let here = self.place(&folder, &name, "")? != Place::Free;
        if here && self.place(&folder, &name, ".bad")? == Place::Foreign {
            return Err(self.at(&bad, FOREIGN));
        }
        match renameat(&folder, &name, &folder, with(&name, ".bad")) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(self.at(&bad, &words(e))),
        }
    }

    /// The folder and the file's name in it. None: there is no such folder; `make` makes the last one of its path.
    fn open_folder(&self, make: bool) -> Result<Option<(OwnedFd, OsString)>, String> {
        let Some(name) = self.path.file_name() else {
            return Err(self.at(&self.path, "not the name of a file"));
        };
        let folder = self.folder();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = || openat(rustix::fs::CWD, folder, flags, Mode::empty());
        let opened = match open() {
            Err(Errno::NOENT) if make => {
                match mkdir(folder, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(Errno::NOENT) => return Ok(None),
                    Err(e) => return Err(self.at(folder, &words(e))),
                }
                open()
            }
            other => other,
        };
        match opened {
            Ok(fd) => Ok(Some((fd, name.to_owned()))),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(self.at(folder, &words(e))),
        }
    }

    fn folder(&self) -> &Path {
        parent(&self.path)
    }

    fn no_folder(&self) -> String {
        self.at(self.folder(), "no such folder")
    }

    fn at(&self, path: &Path, why: &str) -> String {
        format!("{}: {why}", path.display())
    }
}

/// Why a file was not read.
enum Unread {
    /// It is none of ours: it stays where it is, and nothing is written.
    Leave(String),
    /// Its content may be good: it is set aside.
    Aside(String),
}

pub(super) const LINK: &str = "a symbolic link, which is not followed";
pub(super) const ODD: &str = "not a regular file";
const FOREIGN: &str = "not a state file of maglev: it is left alone, and nothing is saved in its place";
const CONFIG: &str = "that is the configuration: it is left alone, and nothing is saved in its place";

/// What follows the state file's name in that of its lock.
const LOCK: &str = ".lock";
/// What follows it while it is written; another one where something else has that name.
const NEW: [&str; 3] = [".new", ".new2", ".new3"];
/// Bytes by which a file is recognised.
const HEAD: u64 = 4096;

/// What a name in a folder stands for. What may not be read is somebody else's.
fn place(folder: &OwnedFd, name: &OsStr) -> Result<Place, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = match openat(folder, name, flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(Place::Free),
        // A link, a socket.
        Err(Errno::LOOP | Errno::NXIO | Errno::ACCESS | Errno::PERM) => return Ok(Place::Foreign),
        Err(e) => return Err(e),
    };
    if FileType::from_raw_mode(fstat(&fd)?.st_mode) != FileType::RegularFile {
        return Ok(Place::Foreign);
    }
    let mut head = Vec::new();
    let read = std::fs::File::from(fd).take(HEAD).read_to_end(&mut head);
    read.map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
    Ok(if begins_ours(&head) { Place::Ours } else { Place::Foreign })
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        Some(_) | None => Path::new("."),
    }
}

fn regular(kind: FileType) -> Result<(), &'static str> {
    match kind {
        FileType::RegularFile => Ok(()),
        FileType::Symlink => Err(LINK),
        _ => Err(ODD),
    }
}

fn with(name: &OsStr, end: &str) -> OsString {
    let mut name = name.to_owned();
    name.push(end);
    name
}

fn beside(path: &Path, end: &str) -> PathBuf {
    PathBuf::from(with(path.as_os_str(), end))
}

fn io_words(e: &std::io::Error) -> String {
    Errno::from_io_error(e).map_or_else(|| e.to_string(), |e| words(e).into_owned())
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
