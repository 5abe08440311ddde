//! The state file on the disk. Blocks: for the loader's thread alone.
//!
//! It is written beside itself, synced, and renamed into place, so that at any moment there is a whole file, the old
//! or the new one. Everything is done from the folder's descriptor, and no symbolic link is followed behind it.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, fsync, mkdir, openat, renameat, statat, unlinkat};
use rustix::io::Errno;

use super::snapshot::{Bad, SIZE_MAX, Snapshot};
use crate::probe::text::words;

/// What was there at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What the file said; none: there was none, or not a good one.
    pub snapshot: Option<Snapshot>,
    /// What is wrong with the file, in words.
    pub problem: Option<String>,
}

/// The state file's place.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    /// What is there was not read, and is to be set aside before it may be replaced.
    unread: bool,
    /// Bytes of the text that was last to be written.
    size: usize,
}

impl Store {
    /// Touches nothing yet.
    pub fn new(path: PathBuf) -> Store {
        Store { path, unread: false, size: 0 }
    }

    /// Reads the file. One that cannot be believed or read is renamed to `<name>.bad`, in place of an older one.
    pub fn read(&mut self) -> Found {
        let why = match self.content() {
            Ok(None) => return Found::default(),
            Ok(Some(bytes)) => match Snapshot::decode(&bytes) {
                Ok(snapshot) => return Found { snapshot: Some(snapshot), problem: None },
                Err(bad) => self.at(&self.path, &bad.to_string()),
            },
            Err(Unread::Leave(why)) => return Found { snapshot: None, problem: Some(why) },
            Err(Unread::Aside(why)) => why,
        };
        self.unread = true;
        let problem = match self.set_aside() {
            Ok(()) => format!("{why}; set aside as {}", beside(&self.path, ".bad").display()),
            Err(cannot) => format!("{why}; cannot be set aside: {cannot}"),
        };
        Found { snapshot: None, problem: Some(problem) }
    }

    /// Writes the file, mode 0600; it is on the disk when this returns.
    ///
    /// # Errors
    /// Why not, in words; then the file is what it was.
    pub fn write(&mut self, snapshot: &Snapshot) -> Result<(), String> {
        let bytes = snapshot.encode().map_err(|bad| self.at(&self.path, &bad.to_string()))?;
        self.size = bytes.len();
        let (folder, name) = self.open_folder(true)?.ok_or_else(|| self.no_folder())?;
        match statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(s) => regular(FileType::from_raw_mode(s.st_mode)).map_err(|why| self.at(&self.path, why))?,
            Err(Errno::NOENT) => {}
            Err(e) => return Err(self.at(&self.path, &words(e))),
        }
        if self.unread {
            self.set_aside()?;
        }
        let new = with(&name, ".new");
        let new_path = beside(&self.path, ".new");
        let written =
            self.write_new(&folder, &new, &bytes).map_err(|e| self.at(&new_path, &e)).and_then(|()| {
                renameat(&folder, &new, &folder, &name).map_err(|e| self.at(&self.path, &words(e)))
            });
        if let Err(why) = written {
            let _ = unlinkat(&folder, &new, AtFlags::empty());
            return Err(why);
        }
        match fsync(&folder) {
            // Some file systems cannot sync a folder.
            Ok(()) | Err(Errno::INVAL) => Ok(()),
            Err(e) => Err(self.at(&self.path, &words(e))),
        }
    }

    /// Bytes of the text that was last to be written.
    pub fn size(&self) -> usize {
        self.size
    }

    fn write_new(&self, folder: &OwnedFd, new: &OsStr, bytes: &[u8]) -> Result<(), String> {
        // Left by one that was killed while it wrote. A link goes itself, not what it points to.
        match unlinkat(folder, new, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(e) => return Err(words(e).into_owned()),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(folder, new, flags, Mode::RUSR | Mode::WUSR).map_err(words).map_err(String::from)?;
        let mut file = std::fs::File::from(fd);
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|e| io_words(&e))
    }

    /// The bytes; none: there is no file.
    fn content(&self) -> Result<Option<Vec<u8>>, Unread> {
        let Some((folder, name)) = self.open_folder(false).map_err(Unread::Leave)? else { return Ok(None) };
        // Opening a pipe could wait for ever.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let leave = |why: &str| Unread::Leave(self.at(&self.path, why));
        let fd = match openat(&folder, &name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(leave(LINK)),
            Err(Errno::NXIO) => return Err(leave(ODD)),
            Err(e) => return Err(Unread::Aside(self.at(&self.path, &words(e)))),
        };
        let aside = |why: &str| Unread::Aside(self.at(&self.path, why));
        let stat = fstat(&fd).map_err(|e| aside(&words(e)))?;
        regular(FileType::from_raw_mode(stat.st_mode)).map_err(leave)?;
        let mut bytes = Vec::new();
        let limit = SIZE_MAX as u64 + 1;
        std::fs::File::from(fd).take(limit).read_to_end(&mut bytes).map_err(|e| aside(&io_words(&e)))?;
        if bytes.len() > SIZE_MAX {
            return Err(aside(&Bad::Long.to_string()));
        }
        Ok(Some(bytes))
    }

    fn set_aside(&mut self) -> Result<(), String> {
        let bad = beside(&self.path, ".bad");
        let (folder, name) = self.open_folder(false)?.ok_or_else(|| self.no_folder())?;
        match renameat(&folder, &name, &folder, with(&name, ".bad")) {
            Ok(()) | Err(Errno::NOENT) => {
                self.unread = false;
                Ok(())
            }
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
        match self.path.parent() {
            Some(p) if !p.as_os_str().is_empty() => p,
            _ => Path::new("."),
        }
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

const LINK: &str = "a symbolic link, which is not followed";
const ODD: &str = "not a regular file";

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
