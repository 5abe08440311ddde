//! The CLI socket's file: made so that only its owner can connect, never in place of something that is alive.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// Bytes of a path that fit into a `sockaddr_un`, less the NUL.
pub const MAX_PATH: usize = 107;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error("no place for the CLI socket is known ($XDG_RUNTIME_DIR is not set): name one with --cli-socket")]
    NoDefault,
    #[error("{}: {} bytes long, a socket's path can have at most {MAX_PATH}", .0.display(), .0.as_os_str().len())]
    TooLong(PathBuf),
    #[error("{}: exists and is not a socket; it is left alone", .0.display())]
    NotASocket(PathBuf),
    #[error("{}: somebody listens there already", .0.display())]
    InUse(PathBuf),
    #[error("{}: {}", .path.display(), words(.error))]
    Io { path: PathBuf, error: io::Error },
}

/// The system's words, without Rust's number behind them.
pub fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// A listening socket whose file goes when this does.
#[derive(Debug)]
pub struct Socket {
    pub listener: UnixListener,
    path: PathBuf,
    /// Device and inode: what is removed at the end is what was made.
    id: (u64, u64),
}

/// Where `maglev run` listens if not told.
pub fn default_path() -> Result<PathBuf, SocketError> {
    if rustix::process::geteuid().is_root() {
        return Ok("/run/maglev/cli.sock".into());
    }
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(dir) if !dir.is_empty() => Ok(PathBuf::from(dir).join("maglev-cli.sock")),
        Some(_) | None => Err(SocketError::NoDefault),
    }
}

impl Socket {
    /// Listens at `path`. Must run before there are threads: it changes the process's umask for a moment, since a socket
    /// file is open to others between `bind` and a later `chmod`.
    pub fn bind(path: &Path, make_directory: bool) -> Result<Socket, SocketError> {
        let io = |error| SocketError::Io { path: path.to_owned(), error };
        if path.as_os_str().len() > MAX_PATH {
            return Err(SocketError::TooLong(path.to_owned()));
        }
        if let Some(dir) = path.parent().filter(|d| make_directory && !d.as_os_str().is_empty()) {
            fs::DirBuilder::new().recursive(true).mode(0o755).create(dir).map_err(io)?;
        }
        remove_stale(path)?;
        let before = rustix::process::umask(Mode::RWXG | Mode::RWXO | Mode::XUSR);
        let listener = UnixListener::bind(path);
        rustix::process::umask(before);
        let listener = listener.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => SocketError::InUse(path.to_owned()),
            _ => io(error),
        })?;
        listener.set_nonblocking(true).map_err(io)?;
        let id = identity(path).map_err(io)?;
        Ok(Socket { listener, path: path.to_owned(), id })
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|m| (m.dev(), m.ino()))
}

/// Removes a socket on which nobody listens any more.
fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let io = |error| SocketError::Io { path: path.to_owned(), error };
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(io(e)),
        Ok(m) if !m.file_type().is_socket() => return Err(SocketError::NotASocket(path.to_owned())),
        Ok(_) => {}
    }
    match knock(path) {
        Err(Errno::CONNREFUSED) => fs::remove_file(path).map_err(io),
        Err(Errno::NOENT) => Ok(()),
        Err(e @ Errno::ACCESS) => Err(io(e.into())),
        Ok(()) | Err(_) => Err(SocketError::InUse(path.to_owned())),
    }
}

/// Connects, and hangs up. Does not wait for one whose queue is full.
fn knock(path: &Path) -> Result<(), Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&fd, &SocketAddrUnix::new(path)?)
}

impl Drop for Socket {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|id| id == self.id) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A listener that takes nobody, and whose queue is full.
    fn deaf(path: &Path) -> (rustix::fd::OwnedFd, Vec<rustix::fd::OwnedFd>) {
        let new = || {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap()
        };
        let (listener, address) = (new(), SocketAddrUnix::new(path).unwrap());
        rustix::net::bind(&listener, &address).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let mut waiting = Vec::new();
        loop {
            let client = new();
            match rustix::net::connect(&client, &address) {
                Ok(()) => waiting.push(client),
                Err(Errno::AGAIN) => return (listener, waiting),
                Err(e) => panic!("{e}"),
            }
        }
    }

    #[test]
    fn one_that_is_busy_is_neither_waited_for_nor_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("busy.sock");
        let (listener, waiting) = deaf(&path);
        let (done, answer) = std::sync::mpsc::channel();
        let place = path.clone();
        std::thread::spawn(move || done.send(remove_stale(&place)));
        let answer = answer.recv_timeout(std::time::Duration::from_secs(20)).expect("it waits");
        assert!(matches!(answer, Err(SocketError::InUse(_))), "{answer:?}");
        assert!(path.exists());
        drop((listener, waiting));
        remove_stale(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (path, target) = (dir.path().join("cli.sock"), dir.path().join("target"));
        // Of one who died: it would be removed under its own name, but not through a link.
        drop(UnixListener::bind(&target).unwrap());
        type Make<'a> = &'a dyn Fn();
        let fifo = || {
            let mode = Mode::RUSR | Mode::WUSR;
            rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        };
        let rows: [Make<'_>; 5] = [
            &|| fs::create_dir(&path).unwrap(),
            &|| fs::write(&path, "").unwrap(),
            &|| std::os::unix::fs::symlink(&target, &path).unwrap(),
            &|| std::os::unix::fs::symlink("nowhere", &path).unwrap(),
            &fifo,
        ];
        for (n, make) in rows.iter().enumerate() {
            make();
            let before = identity(&path).unwrap();
            assert!(matches!(remove_stale(&path), Err(SocketError::NotASocket(_))), "{n}");
            assert_eq!(identity(&path).unwrap(), before, "{n}");
            assert!(target.exists(), "{n}");
            fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)).unwrap();
        }
    }

    // The umask is the process's: these run as one test.
    #[test]
    fn the_socket_file_is_made_and_removed_safely() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cli.sock");

        // Whatever the umask, which is left as it was.
        let before = rustix::process::umask(Mode::empty());
        let socket = Socket::bind(&path, false).unwrap();
        assert_eq!(rustix::process::umask(before), Mode::empty());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(Socket::bind(&path, false), Err(SocketError::InUse(_))));
        drop(socket);
        assert!(!path.exists());

        // One whose listener died is replaced.
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let socket = Socket::bind(&path, false).unwrap();

        // Somebody else's is not removed.
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        drop(socket);
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        assert!(matches!(Socket::bind(&path, false), Err(SocketError::NotASocket(_))));
        assert_eq!(fs::read(&path).unwrap(), b"precious");

        let long = dir.path().join("x".repeat(200));
        assert!(matches!(Socket::bind(&long, false), Err(SocketError::TooLong(_))));
        let missing = dir.path().join("no/such/cli.sock");
        assert!(matches!(Socket::bind(&missing, false), Err(SocketError::Io { .. })));
        drop(Socket::bind(&missing, true).unwrap());
    }
}
