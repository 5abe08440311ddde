//! `maglev ctl`: one command to a CLI socket, VPP's or ours.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use maglev::cli;
use maglev::clock;
use maglev::time::Time;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::socket::words;
use crate::telnet::{self, Event, Parser};

/// The longest answer that is kept.
const MAX_ANSWER: usize = 64 << 20;
/// A server in VPP's line mode says nothing before it was asked.
const GREETING: Duration = Duration::from_secs(1);

const NO_ANSWER: u8 = 2;

/// 0 answered, 1 the answer is an error, 2 no connection or no answer.
pub fn ctl(socket: &Path, timeout: Duration, command: &[String]) -> ExitCode {
    let line = match wire_line(command) {
        Ok(line) => line,
        Err(why) => return failed(&why),
    };
    match ask(socket, clock::mono() + timeout, &line) {
        Ok(answer) if is_error(&answer) => {
            let _ = std::io::stderr().write_all(answer.as_bytes());
            if answer.starts_with("unknown input `maglev") {
                failed("this VPP has no maglev commands: is maglev_plugin.so loaded? (`show plugins` tells)");
            }
            ExitCode::FAILURE
        }
        Ok(answer) => {
            match std::io::stdout().write_all(answer.as_bytes()).and_then(|()| std::io::stdout().flush()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(e) => failed(&format!("standard output: {}", words(&e))),
            }
        }
        Err(why) => failed(&format!("{}: {why}", socket.display())),
    }
}

fn failed(why: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "maglev ctl: {why}");
    ExitCode::from(NO_ANSWER)
}

/// The line to send: with `maglev` in front of a command of maglev, as typed otherwise.
fn wire_line(command: &[String]) -> Result<String, String> {
    let line = command.join(" ");
    // A line end would smuggle in a second command; VPP takes at most 4 KiB at once for one line.
    if line.chars().any(|c| c.is_control()) {
        return Err("the command has a control character".into());
    }
    if line.len() > cli::MAX_LINE - 16 {
        return Err(format!("the command is {} bytes long, too long", line.len()));
    }
    if line.trim().is_empty() {
        return Err("the command is empty".into());
    }
    let spelled_out = line.split_ascii_whitespace().take(2).any(|w| w == "maglev");
    Ok(if !spelled_out && cli::is_command(&line) { format!("maglev {line}") } else { line })
}

/// Ours begin `error: `; VPP's own parser says `unknown input`, perhaps behind the words that it knew.
fn is_error(answer: &str) -> bool {
    let first = answer.lines().next().unwrap_or_default();
    first.starts_with("error: ")
        || first.starts_with("unknown input `")
        || first.contains(": unknown input `")
}

fn ask(path: &Path, deadline: Time, line: &str) -> Result<String, String> {
    let mut stream = connect(path, deadline)?;
    let mut inbox = Inbox { parser: Parser::new(), text: Vec::new(), ended: false, asked_type: false };
    let greeting_until = clock::mono() + GREETING;
    while !inbox.asked_type && clock::mono() < greeting_until {
        match inbox.read(&mut stream, deadline.min(greeting_until)) {
            Ok(true) => {}
            Ok(false) if inbox.text.is_empty() => return Err("the connection was closed at once".into()),
            // A refusal, such as too many sessions.
            Ok(false) => return inbox.into_text(),
            Err(e) if timed_out(&e) => break,
            Err(e) => return Err(words(&e)),
        }
        if inbox.ended {
            return inbox.into_text();
        }
    }
    inbox.text.clear();
    // In two pieces: VPP takes whatever comes after the type, at once, for the line.
    let failed = |e: io::Error| format!("sending: {}", words(&e));
    stream.write_all(&telnet::terminal_type("vppctl")).map_err(failed)?;
    stream.write_all(format!("{line}\n").as_bytes()).map_err(failed)?;
    while !inbox.ended {
        match inbox.read(&mut stream, deadline) {
            Ok(true) => {}
            Ok(false) => {
                return Err(format!("the connection was closed within the answer{}", inbox.so_far()));
            }
            Err(e) if timed_out(&e) => return Err(format!("no complete answer in time{}", inbox.so_far())),
            Err(e) => return Err(format!("receiving: {}", words(&e))),
        }
    }
    let _ = stream.write_all(b"quit\n");
    inbox.into_text()
}

fn timed_out(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn connect(path: &Path, deadline: Time) -> Result<UnixStream, String> {
    let address = SockAddr::unix(path).map_err(|_| "not a path that a socket can have".to_owned())?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(|e| words(&e))?;
    // Also bounds a connect to a listener whose queue is full.
    socket.set_write_timeout(Some(left(deadline))).map_err(|e| words(&e))?;
    socket.connect(&address).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => {
            "there is no such socket: is VPP, or `maglev run`, running? (-s names another)".into()
        }
        io::ErrorKind::ConnectionRefused => "nobody listens there (any more)".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied: the socket belongs to another user".into(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no connection in time".into(),
        _ => format!("cannot connect: {}", words(&e)),
    })?;
    Ok(UnixStream::from(std::os::fd::OwnedFd::from(socket)))
}

/// Until the deadline, but never zero, which would mean for ever.
fn left(deadline: Time) -> Duration {
    deadline.since(clock::mono()).max(Duration::from_millis(1))
}

struct Inbox {
    parser: Parser,
    text: Vec<u8>,
    /// The NUL that ends an answer was there.
    ended: bool,
    /// The server asked for the terminal's type.
    asked_type: bool,
}

impl Inbox {
    /// Takes what there is; false at the end of the stream.
    fn read(&mut self, stream: &mut UnixStream, until: Time) -> io::Result<bool> {
        stream.set_read_timeout(Some(left(until)))?;
        let mut buffer = [0; 16 * 1024];
        let n = loop {
            match stream.read(&mut buffer) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        for b in buffer.get(..n).unwrap_or_default() {
            match self.parser.push(*b) {
                Some(Event::Text(0)) => self.ended = true,
                Some(Event::Text(b'\r')) | None => {}
                Some(Event::Text(_)) if self.ended => {}
                Some(Event::Text(b)) => self.text.push(b),
                Some(Event::Sub(telnet::TTYPE, data)) if data == [1] => self.asked_type = true,
                Some(Event::Sub(_, _) | Event::AreYouThere) => {}
            }
        }
        if self.text.len() > MAX_ANSWER {
            return Err(io::Error::other("the answer is longer than 64 MiB"));
        }
        // A drip of bytes does not outlive the deadline.
        if n > 0 && !self.ended && clock::mono() >= until {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(n > 0)
    }

    fn so_far(&self) -> String {
        let text = String::from_utf8_lossy(&self.text);
        if text.is_empty() { String::new() } else { format!("; so far:\n{}", text.trim_end()) }
    }

    fn into_text(self) -> Result<String, String> {
        Ok(String::from_utf8_lossy(&self.text).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(words: &[&str]) -> Result<String, String> {
        wire_line(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn commands_of_maglev_need_no_maglev() {
        for (typed, sent) in [
            (vec!["show", "frontends"], "maglev show frontends"),
            (vec!["show frontend web"], "maglev show frontend web"),
            (vec!["maglev", "show", "status"], "maglev show status"),
            (vec!["show", "maglev", "status"], "show maglev status"),
            (vec!["help"], "maglev help"),
            (vec!["show", "interface"], "show interface"),
            (vec!["lb", "vip"], "lb vip"),
        ] {
            assert_eq!(wire(&typed).unwrap(), sent);
        }
    }

    #[test]
    fn lines_that_are_not_sent() {
        assert!(wire(&["show\nquit"]).is_err());
        assert!(wire(&["show", "\u{1b}"]).is_err());
        assert!(wire(&[" "]).is_err());
        assert!(wire(&[&"x".repeat(5000)]).is_err());
    }

    #[test]
    fn answers_that_are_errors() {
        for text in ["error: no\n", "unknown input `shwo'\n", "show: unknown input `x'\n"] {
            assert!(is_error(text), "{text}");
        }
        for text in ["", "all is well\n", "log of\nerror: x\n", "unknown inputs are fine\n"] {
            assert!(!is_error(text), "{text}");
        }
    }
}
