//! What the tests of the tool share: the binary, a scratch folder, processes that end with their test.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// For what takes milliseconds, on a machine that does much else.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn maglev() -> Command {
    Command::new(env!("CARGO_BIN_EXE_maglev"))
}

pub fn out(o: &Output) -> (Option<i32>, String, String) {
    let text = |b: &[u8]| String::from_utf8(b.to_vec()).expect("the tool speaks UTF-8");
    (o.status.code(), text(&o.stdout), text(&o.stderr))
}

pub struct Scratch(tempfile::TempDir);

impl Scratch {
    pub fn new() -> Scratch {
        Scratch(tempfile::Builder::new().prefix("mgl").tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }
}

/// Static backends alone: all is up as soon as it is loaded.
pub const CONFIG: &str = "maglev:
  vpp: { lb: { ipv4-src-address: 192.0.2.1 } }
  backends:
    nginx0: { address: 127.0.0.21 }
    nginx1: { address: 127.0.0.22 }
  frontends:
    web:
      address: 192.0.2.10
      protocol: tcp
      port: 80
      pools:
        - name: primary
          backends: { nginx0: {}, nginx1: { weight: 50 } }
";

/// `maglev run`, ready for commands.
pub struct Running {
    child: Child,
    pub socket: PathBuf,
    log: Receiver<String>,
}

impl Running {
    pub fn start(scratch: &Scratch, config: &Path) -> Running {
        Running::start_with(scratch, config, &[])
    }

    pub fn start_with_state(scratch: &Scratch, config: &Path, state: &Path) -> Running {
        Running::start_with(scratch, config, &["--state-file".as_ref(), state.as_os_str()])
    }

    fn start_with(scratch: &Scratch, config: &Path, more: &[&OsStr]) -> Running {
        Running::start_at(scratch, "cli.sock", config, more)
    }

    /// One with a CLI socket of that name.
    pub fn start_at(scratch: &Scratch, socket: &str, config: &Path, more: &[&OsStr]) -> Running {
        let socket = scratch.path(socket);
        let mut child = maglev()
            .args(["run", "--config"])
            .arg(config)
            .arg("--cli-socket")
            .arg(&socket)
            .args(more)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (send, log) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        let running = Running { child, socket, log };
        running.wait_for("config-reload");
        running
    }

    /// The first log line that has this.
    pub fn wait_for(&self, what: &str) -> String {
        loop {
            match self.log.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(what) => return line,
                Ok(_) => {}
                Err(e) => panic!("no log line with `{what}`: {e}"),
            }
        }
    }

    pub fn ctl(&self, words: &[&str]) -> (Option<i32>, String, String) {
        out(&maglev().args(["ctl", "-s"]).arg(&self.socket).args(words).output().unwrap())
    }

    /// Asks until the answer has this.
    pub fn ctl_until(&self, words: &[&str], what: &str) -> String {
        for _ in 0..200 {
            let (_, text, _) = self.ctl(words);
            if text.contains(what) {
                return text;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{words:?} never answered with `{what}`");
    }

    pub fn connect(&self) -> Telnet {
        Telnet::connect(&self.socket)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        for _ in 0..400 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("it does not end");
    }

    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection as a telnet client has it.
pub struct Telnet(pub UnixStream);

impl Telnet {
    pub fn connect(socket: &Path) -> Telnet {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Telnet(stream)
    }

    /// Says what terminal it is.
    pub fn terminal(&mut self, name: &str) {
        self.send(&[&[255, 250, 24, 0], name.as_bytes(), &[255, 240]].concat());
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// Everything up to and with `end`.
    pub fn until(&mut self, end: &[u8]) -> String {
        let mut got = Vec::new();
        let mut byte = [0];
        while !got.ends_with(end) {
            // Unlike `read`, it goes on where a signal has come between.
            let more = self.0.read_exact(&mut byte);
            assert!(more.is_ok(), "{more:?} after {:?}", String::from_utf8_lossy(&got));
            got.push(byte[0]);
        }
        String::from_utf8_lossy(&got).into_owned()
    }

    /// Everything up to the end of the connection.
    pub fn rest(&mut self) -> String {
        let mut got = Vec::new();
        self.0.read_to_end(&mut got).unwrap();
        String::from_utf8_lossy(&got).into_owned()
    }
}
