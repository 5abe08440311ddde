//! Files that a configuration is read from. Blocks: for the loader's thread alone.

use std::io::Read;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

/// Why a file was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// The system says so.
    System(Errno),
    /// A folder, a pipe, a device.
    NotRegular,
    /// It has more bytes than the limit.
    Long,
    /// Somebody is writing it.
    Changing,
}

impl Unread {
    /// In words; `system` has those for the system's errors, `limit` is in bytes, whole MiB.
    pub(super) fn words(self, limit: usize, system: impl FnOnce(Errno) -> String) -> String {
        match self {
            Unread::System(e) => system(e),
            Unread::NotRegular => "not a regular file".into(),
            Unread::Long => format!("longer than {} MiB", limit >> 20),
            Unread::Changing => "is being written: it changes while it is read; try again".into(),
        }
    }
}

/// A regular file of at most `limit` bytes, between what the system says of it before and after.
///
/// # Errors
/// It cannot be read, is something else, or too long.
pub(super) fn stamped(path: &Path, limit: usize) -> Result<(Stat, Vec<u8>, Stat), Unread> {
    // Opening a pipe or a terminal could wait for ever; without blocking it cannot. It is looked at after, since what a
    // name stands for may change between a look and the opening.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let fd = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|e| match e {
        // A socket.
        Errno::NXIO => Unread::NotRegular,
        e => Unread::System(e),
    })?;
    let stat = rustix::fs::fstat(&fd).map_err(Unread::System)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Unread::NotRegular);
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::from(fd);
    let read = (&file).take(limit as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|e| Unread::System(Errno::from_io_error(&e).unwrap_or(Errno::IO)))?;
    if bytes.len() > limit {
        return Err(Unread::Long);
    }
    let after = rustix::fs::fstat(&file).map_err(Unread::System)?;
    Ok((stat, bytes, after))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::config::{LoadError, load};

    fn regular(path: &Path, limit: usize) -> Result<Vec<u8>, Unread> {
        stamped(path, limit).map(|(_, bytes, _)| bytes)
    }

    fn pipe(path: &Path) {
        rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (fifo, socket, link) = (dir.path().join("f"), dir.path().join("s"), dir.path().join("l"));
        pipe(&fifo);
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        std::os::unix::fs::symlink(&fifo, &link).unwrap();
        for path in [&fifo, &socket, &link, dir.path(), Path::new("/dev/zero")] {
            assert_eq!(regular(path, 9), Err(Unread::NotRegular), "{}", path.display());
        }
        assert_eq!(regular(&dir.path().join("none"), 9), Err(Unread::System(Errno::NOENT)));
        let text = dir.path().join("t");
        std::fs::write(&text, "123456789").unwrap();
        assert_eq!(regular(&text, 9), Ok(b"123456789".to_vec()));
        assert_eq!(regular(&text, 8), Err(Unread::Long));
    }

    /// A loader that hangs reads no configuration and saves no state any more.
    #[test]
    fn a_pipe_that_takes_the_files_place_at_any_moment_is_not_waited_for() {
        static STOP: AtomicBool = AtomicBool::new(false);
        let dir = tempfile::tempdir().unwrap();
        let (path, fifo, text) = (dir.path().join("c"), dir.path().join("f"), dir.path().join("t"));
        pipe(&fifo);
        std::fs::write(&text, "maglev: {}\n").unwrap();
        // Nobody has been writing it for long: it is not waited for either.
        let long_ago = std::fs::FileTimes::new().set_modified(std::time::SystemTime::UNIX_EPOCH);
        std::fs::File::open(&text).unwrap().set_times(long_ago).unwrap();
        std::fs::copy(&text, &path).unwrap();
        let place = path.clone();
        let swap = std::thread::spawn(move || {
            while !STOP.load(Ordering::Relaxed) {
                for what in [&fifo, &text] {
                    let link = place.with_extension("l");
                    std::fs::hard_link(what, &link).unwrap();
                    std::fs::rename(&link, &place).unwrap();
                }
            }
        });
        let (done, all) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let (mut good, mut bad) = (0, 0);
            for _ in 0..20_000 {
                match load(&path) {
                    Ok(_) => good += 1,
                    Err(e @ LoadError::Unreadable { .. }) => {
                        assert!(e.to_string().ends_with(": not a regular file"), "{e}");
                        bad += 1;
                    }
                    Err(e @ LoadError::Bad(_)) => panic!("{e}"),
                }
            }
            done.send((good, bad)).unwrap();
        });
        let counts = all.recv_timeout(Duration::from_secs(60));
        STOP.store(true, Ordering::Relaxed);
        swap.join().unwrap();
        let (good, bad) = counts.expect("it waits for the pipe's other end");
        assert!(good > 0 && bad > 0, "{good} {bad}");
    }
}
