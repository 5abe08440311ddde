//! The CLI socket's file: made so that only its owner can connect, never in place of something that is alive.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;

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
    match UnixStream::connect(path) {
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(io),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Err(io(e)),
        Ok(_) | Err(_) => Err(SocketError::InUse(path.to_owned())),
    }
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

    // The umask is the process's: these run as one test.
    #[test]
    fn the_socket_file_is_made_and_removed_safely() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cli.sock");

        let socket = Socket::bind(&path, false).unwrap();
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
