//! One connection to the CLI socket: bytes in, lines out, answers in, bytes out. Does no I/O.
//!
//! A session is interactive (banner, prompt, echo, editing) until the client says that it is `vppctl` with a command: then
//! lines come in plain, and each answer ends with a NUL, which is how `vppctl` knows its end. As in VPP, answers have CR LF
//! line ends in both.

use std::collections::VecDeque;
use std::time::Duration;

use maglev::cli::{self, MAX_LINE};
use maglev::control::Operator;
use maglev::time::Time;

use crate::editor::{Action, Editor};
use crate::telnet::{self, Event, Parser};

/// Text of this session that waits to be sent; beyond it nothing more is read or carried out.
pub const MAX_OUTPUT: usize = 256 * 1024;
/// How long a client may take to say what terminal it is.
const HELLO: Duration = Duration::from_secs(1);

const PROMPT: &str = "maglev# ";

/// What a session wants carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Line(String),
    /// A line that was cut off at the limit.
    TooLong,
    Quit,
}

#[derive(Debug)]
pub struct Session {
    parser: Parser,
    editor: Editor,
    interactive: bool,
    started: bool,
    opened: Time,
    /// The plain line so far, and whether it went beyond the limit.
    plain: Vec<u8>,
    too_long: bool,
    /// Input that was received and not yet looked at; held back while a command is under way.
    input: VecDeque<u8>,
    requests: VecDeque<Request>,
    /// A request was taken and is not answered yet.
    under_way: bool,
    out: VecDeque<u8>,
    banner: String,
    /// The client has sent its last byte.
    eof: bool,
    quit: bool,
}

impl Session {
    /// `banner`: for interactive sessions, one line.
    pub fn new(now: Time, banner: &str) -> Session {
        Session {
            parser: Parser::new(),
            editor: Editor::new(PROMPT, MAX_LINE),
            interactive: true,
            started: false,
            opened: now,
            plain: Vec::new(),
            too_long: false,
            input: VecDeque::new(),
            requests: VecDeque::new(),
            under_way: false,
            out: telnet::GREETING.iter().copied().collect(),
            banner: banner.to_owned(),
            eof: false,
            quit: false,
        }
    }

    /// More bytes are welcome.
    pub fn wants_input(&self) -> bool {
        !self.quit && self.input.len() < MAX_LINE && self.out.len() < MAX_OUTPUT
    }

    /// Bytes from the client.
    pub fn receive(&mut self, bytes: &[u8], op: &dyn Operator) {
        self.input.extend(bytes);
        self.advance(op);
    }

    /// The client has sent its last byte: what it asked for is still answered.
    pub fn end_of_input(&mut self, op: &dyn Operator) {
        self.eof = true;
        self.advance(op);
    }

    /// When [`Session::tick`] is due.
    pub fn deadline(&self) -> Option<Time> {
        (!self.started).then(|| self.opened + HELLO)
    }

    /// A client that never said what it is gets a prompt, as from VPP.
    pub fn tick(&mut self, now: Time) {
        if !self.started && now >= self.opened + HELLO {
            self.start();
        }
    }

    /// The next thing to be carried out; it must be answered before there is another.
    pub fn next_request(&mut self) -> Option<Request> {
        if self.under_way || self.quit || self.out.len() >= MAX_OUTPUT {
            return None;
        }
        let request = self.requests.pop_front()?;
        self.under_way = true;
        Some(request)
    }

    /// The answer to the last request; lines end with LF.
    pub fn answer(&mut self, text: &str, op: &dyn Operator) {
        self.under_way = false;
        self.print(text);
        if self.interactive {
            self.prompt();
        } else {
            self.out.push_back(0);
        }
        self.advance(op);
    }

    /// No more; what is to be sent still is.
    pub fn close(&mut self) {
        self.under_way = false;
        self.quit = true;
        self.input.clear();
        self.requests.clear();
    }

    /// To be sent.
    pub fn output(&mut self) -> &[u8] {
        self.out.make_contiguous()
    }

    /// So much of it was sent.
    pub fn sent(&mut self, n: usize) {
        self.out.drain(..n.min(self.out.len()));
    }

    /// Nothing more will come: the connection can be closed.
    pub fn is_over(&self) -> bool {
        self.quit && self.out.is_empty()
    }

    /// Looks at the input until a command must be carried out first.
    fn advance(&mut self, op: &dyn Operator) {
        while !self.under_way && self.requests.is_empty() && !self.quit && self.out.len() < MAX_OUTPUT {
            let Some(byte) = self.input.pop_front() else { break };
            match self.parser.push(byte) {
                Some(Event::Text(b)) => self.text(b, op),
                Some(Event::Sub(option, data)) => self.option(option, &data),
                Some(Event::AreYouThere) => self.print("maglev\n"),
                None => {}
            }
        }
        if self.eof && !self.under_way && self.requests.is_empty() && self.input.is_empty() && !self.quit {
            if !self.plain.is_empty() || self.too_long {
                self.end_plain_line();
            } else {
                self.requests.push_back(Request::Quit);
            }
        }
    }

    fn option(&mut self, option: u8, data: &[u8]) {
        match (option, data) {
            (telnet::TTYPE, [0, name @ ..]) => {
                if name.eq_ignore_ascii_case(b"vppctl") {
                    self.interactive = false;
                    self.started = true;
                } else {
                    self.start();
                }
            }
            (telnet::NAWS, [w1, w0, _, _]) => self.editor.set_width(u16::from_be_bytes([*w1, *w0])),
            (_, _) => {}
        }
    }

    fn start(&mut self) {
        if self.started {
            return;
        }
        self.started = true;
        let banner = format!("{}\n", self.banner);
        self.print(&banner);
        self.prompt();
    }

    fn text(&mut self, byte: u8, op: &dyn Operator) {
        if self.interactive {
            self.start();
            self.key(byte, op);
            return;
        }
        match byte {
            b'\n' => self.end_plain_line(),
            0 => {}
            _ if self.plain.len() >= MAX_LINE => self.too_long = true,
            b => self.plain.push(b),
        }
    }

    fn end_plain_line(&mut self) {
        let line = std::mem::take(&mut self.plain);
        let request = if std::mem::take(&mut self.too_long) {
            Request::TooLong
        } else {
            request(&String::from_utf8_lossy(&line))
        };
        self.requests.push_back(request);
    }

    fn key(&mut self, byte: u8, op: &dyn Operator) {
        match self.editor.key(byte) {
            None => {}
            Some(Action::Line(line)) => self.requests.push_back(request(&line)),
            Some(Action::Quit) => {
                self.print("quit\n");
                self.requests.push_back(Request::Quit);
            }
            Some(Action::Help) => {
                self.flush_editor();
                let text = cli::help(&format!("{}?", self.editor.before_cursor()));
                self.print("\n");
                self.print(&text);
                self.editor.prompt();
            }
            Some(Action::Complete) => self.complete(op),
        }
        self.flush_editor();
    }

    fn complete(&mut self, op: &dyn Operator) {
        let line = self.editor.before_cursor();
        let found = cli::complete(&line, op);
        let typed = line.rsplit(' ').next().unwrap_or_default().len();
        let common = common_start(&found);
        match found.as_slice() {
            [] => self.editor.bell(),
            [one] => self.editor.insert(&format!("{} ", one.get(typed..).unwrap_or_default())),
            _ if common.len() > typed => self.editor.insert(common.get(typed..).unwrap_or_default()),
            _ => {
                self.flush_editor();
                self.print("\n");
                let text = columns(&found, self.editor.width());
                self.print(&text);
                self.editor.prompt();
            }
        }
    }

    fn prompt(&mut self) {
        self.editor.prompt();
        self.flush_editor();
    }

    fn flush_editor(&mut self) {
        self.out.extend(self.editor.take_output());
    }

    fn print(&mut self, text: &str) {
        for b in text.bytes() {
            if b == b'\n' {
                self.out.push_back(b'\r');
            }
            // What telnet or vppctl would take for a command; UTF-8 has no 0xff.
            if b != 0 && b != telnet::IAC {
                self.out.push_back(b);
            }
        }
    }
}

fn request(line: &str) -> Request {
    match line.trim() {
        "quit" | "q" | "exit" => Request::Quit,
        _ => Request::Line(line.to_owned()),
    }
}

fn common_start(words: &[String]) -> &str {
    let Some((first, rest)) = words.split_first() else { return "" };
    let same = |n: &usize| rest.iter().all(|w| w.as_bytes().get(..*n) == first.as_bytes().get(..*n));
    let n = (0..=first.len()).rev().find(same).unwrap_or(0);
    first.get(..n).unwrap_or_default()
}

fn columns(words: &[String], width: usize) -> String {
    let each = words.iter().map(String::len).max().unwrap_or(0).saturating_add(2);
    let per_line = width.checked_div(each).unwrap_or(1).max(1);
    words
        .chunks(per_line)
        .map(|c| {
            let line: String = c.iter().map(|w| format!("{w:<each$}")).collect();
            format!("{}\n", line.trim_end())
        })
        .collect()
}
