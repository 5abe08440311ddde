//! One line of input at a terminal, as VPP's CLI edits it.

/// What a key asks for beyond editing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Enter: the line is to be carried out.
    Line(String),
    /// `?`: help on what is there so far.
    Help,
    /// Tab.
    Complete,
    /// ^D on an empty line.
    Quit,
}

/// Lines that arrow-up brings back.
const HISTORY: usize = 50;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    None,
    /// ESC.
    Esc,
    /// ESC `[`, with the number so far.
    Csi(u8),
    /// ESC `O`.
    Ss3,
}

/// A line, a cursor, a history. All bytes in the line are printable ASCII.
#[derive(Debug)]
pub struct Editor {
    prompt: &'static str,
    limit: usize,
    line: Vec<u8>,
    cursor: usize,
    history: Vec<Vec<u8>>,
    /// Index into the history while arrow-up shows one of its lines.
    recalled: Option<usize>,
    escape: Escape,
    /// The byte before was CR: an LF or NUL behind it belongs to it.
    after_cr: bool,
    width: usize,
    out: Vec<u8>,
}

impl Editor {
    /// `limit`: the longest line, in bytes.
    pub fn new(prompt: &'static str, limit: usize) -> Editor {
        Editor {
            prompt,
            limit,
            line: Vec::new(),
            cursor: 0,
            history: Vec::new(),
            recalled: None,
            escape: Escape::None,
            after_cr: false,
            width: 80,
            out: Vec::new(),
        }
    }

    /// Columns of the terminal; 0 means that it does not know.
    pub fn set_width(&mut self, columns: u16) {
        self.width = if columns == 0 { 80 } else { usize::from(columns).clamp(20, 512) };
    }

    /// Columns of the terminal.
    pub fn width(&self) -> usize {
        self.width
    }

    /// What is to be sent to the terminal.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// The line up to the cursor.
    pub fn before_cursor(&self) -> String {
        String::from_utf8_lossy(self.line.get(..self.cursor).unwrap_or_default()).into_owned()
    }

    /// Shows the prompt, and the line so far, at the start of a line of the terminal.
    pub fn prompt(&mut self) {
        if self.line.is_empty() {
            self.out.extend(self.prompt.as_bytes());
        } else {
            self.redraw();
        }
    }

    /// Puts text in at the cursor.
    pub fn insert(&mut self, text: &str) {
        for b in text.bytes().filter(|b| *b == b' ' || b.is_ascii_graphic()) {
            self.insert_byte(b);
        }
    }

    pub fn bell(&mut self) {
        self.out.push(7);
    }

    /// One byte from the terminal.
    pub fn key(&mut self, byte: u8) -> Option<Action> {
        let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
        if self.escape != Escape::None {
            self.escaped(byte);
            return None;
        }
        match byte {
            0 => {}
            b'\n' if after_cr => {}
            b'\r' | b'\n' => return Some(self.enter()),
            0x1b => self.escape = Escape::Esc,
            b'\t' => return Some(Action::Complete),
            b'?' => return Some(Action::Help),
            0x7f | 0x08 => self.erase_left(),
            0x01 => self.move_to(0),
            0x05 => self.move_to(self.line.len()),
            0x02 => self.move_to(self.cursor.saturating_sub(1)),
            0x06 => self.move_to(self.cursor.saturating_add(1)),
            0x03 => self.cancel(),
            0x04 if self.line.is_empty() => return Some(Action::Quit),
            0x04 => self.erase_right(),
            0x0b => self.replace(self.cursor, self.line.len(), &[]),
            0x0c => {
                self.out.extend(b"\x1b[2J\x1b[H");
                self.redraw();
            }
            0x0e => self.recall(false),
            0x10 => self.recall(true),
            0x15 => self.replace(0, self.cursor, &[]),
            0x17 => self.erase_word(),
            b if b == b' ' || b.is_ascii_graphic() => self.insert_byte(b),
            _ => self.bell(),
        }
        None
    }

    fn escaped(&mut self, byte: u8) {
        let now = std::mem::replace(&mut self.escape, Escape::None);
        match (now, byte) {
            (Escape::Esc, b'[') => self.escape = Escape::Csi(0),
            (Escape::Esc, b'O') => self.escape = Escape::Ss3,
            (Escape::Csi(n), b'0'..=b'9') => {
                self.escape = Escape::Csi(n.saturating_mul(10).saturating_add(byte.saturating_sub(b'0')));
            }
            (Escape::Csi(_), b';') => self.escape = Escape::Csi(0),
            (Escape::Csi(_) | Escape::Ss3, b'A') => self.recall(true),
            (Escape::Csi(_) | Escape::Ss3, b'B') => self.recall(false),
            (Escape::Csi(_) | Escape::Ss3, b'C') => self.move_to(self.cursor.saturating_add(1)),
            (Escape::Csi(_) | Escape::Ss3, b'D') => self.move_to(self.cursor.saturating_sub(1)),
            (Escape::Csi(_) | Escape::Ss3, b'H') | (Escape::Csi(1), b'~') => self.move_to(0),
            (Escape::Csi(_) | Escape::Ss3, b'F') | (Escape::Csi(4), b'~') => self.move_to(self.line.len()),
            (Escape::Csi(3), b'~') => self.erase_right(),
            // A line end is never part of a sequence.
            (_, b'\r' | b'\n') => self.bell(),
            (Escape::None | Escape::Esc | Escape::Csi(_) | Escape::Ss3, _) => {}
        }
    }

    fn enter(&mut self) -> Action {
        self.out.extend(b"\r\n");
        let line = std::mem::take(&mut self.line);
        self.cursor = 0;
        self.recalled = None;
        if !line.is_empty() && self.history.last() != Some(&line) {
            if self.history.len() >= HISTORY {
                self.history.remove(0);
            }
            self.history.push(line.clone());
        }
        Action::Line(String::from_utf8_lossy(&line).into_owned())
    }

    fn cancel(&mut self) {
        self.out.extend(b"^C\r\n");
        self.line.clear();
        self.cursor = 0;
        self.recalled = None;
        self.prompt();
    }

    fn recall(&mut self, older: bool) {
        let next = match (self.recalled, older) {
            (None, true) => self.history.len().checked_sub(1),
            (Some(i), true) => Some(i.saturating_sub(1)),
            (None, false) => None,
            (Some(i), false) => i.checked_add(1).filter(|i| *i < self.history.len()),
        };
        if next == self.recalled {
            return self.bell();
        }
        self.recalled = next;
        self.line = next.and_then(|i| self.history.get(i)).cloned().unwrap_or_default();
        self.cursor = self.line.len();
        self.redraw();
    }

    fn insert_byte(&mut self, byte: u8) {
        if self.line.len() >= self.limit {
            return self.bell();
        }
        let at_end = self.cursor == self.line.len();
        self.line.insert(self.cursor.min(self.line.len()), byte);
        self.cursor = self.cursor.saturating_add(1);
        // One column stays free, so that the terminal never goes to the next line by itself.
        if at_end && self.prompt.len().saturating_add(self.cursor) < self.width {
            self.out.push(byte);
        } else {
            self.redraw();
        }
    }

    fn erase_left(&mut self) {
        match self.cursor.checked_sub(1) {
            Some(at) => self.replace(at, self.cursor, &[]),
            None => self.bell(),
        }
    }

    fn erase_right(&mut self) {
        self.replace(self.cursor, self.cursor.saturating_add(1).min(self.line.len()), &[]);
    }

    fn erase_word(&mut self) {
        let before = self.line.get(..self.cursor).unwrap_or_default();
        let end = before.iter().rposition(|b| *b != b' ').map_or(0, |i| i.saturating_add(1));
        let start = before.get(..end).unwrap_or_default().iter().rposition(|b| *b == b' ');
        self.replace(start.map_or(0, |i| i.saturating_add(1)), self.cursor, &[]);
    }

    /// Replaces a part of the line, and puts the cursor behind it.
    fn replace(&mut self, from: usize, to: usize, with: &[u8]) {
        if from > to || to > self.line.len() {
            return;
        }
        self.line.splice(from..to, with.iter().copied());
        self.cursor = from.saturating_add(with.len());
        self.redraw();
    }

    fn move_to(&mut self, at: usize) {
        self.cursor = at.min(self.line.len());
        self.redraw();
    }

    /// Writes the terminal's line anew: plain characters and CR alone, which every terminal understands. A line too long
    /// for the terminal is shown around the cursor.
    fn redraw(&mut self) {
        let room = self.width.saturating_sub(self.prompt.len()).saturating_sub(1).max(1);
        let from = self.cursor.saturating_sub(room);
        let visible = self.line.get(from..).unwrap_or_default();
        let visible = visible.get(..room.min(visible.len())).unwrap_or_default();
        let blanks = room.saturating_sub(visible.len());
        self.out.push(b'\r');
        self.out.extend(self.prompt.as_bytes());
        self.out.extend(visible);
        self.out.extend(std::iter::repeat_n(b' ', blanks));
        self.out.push(b'\r');
        self.out.extend(self.prompt.as_bytes());
        let until_cursor =
            visible.get(..self.cursor.saturating_sub(from).min(visible.len())).unwrap_or_default();
        self.out.extend(until_cursor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(e: &mut Editor, bytes: &[u8]) -> Vec<Action> {
        bytes.iter().filter_map(|b| e.key(*b)).collect()
    }

    fn line(bytes: &[u8]) -> String {
        let mut e = Editor::new("> ", 100);
        match typed(&mut e, &[bytes, b"\r"].concat()).pop() {
            Some(Action::Line(l)) => l,
            other => panic!("{other:?}"),
        }
    }

    /// What the terminal's current line shows, trailing blanks cut.
    fn screen(out: &[u8]) -> String {
        let mut cells: Vec<u8> = Vec::new();
        let mut at = 0;
        for b in out {
            match b {
                b'\r' => at = 0,
                b'\n' => {
                    cells.clear();
                    at = 0;
                }
                7 => {}
                b => {
                    if at == cells.len() {
                        cells.push(*b);
                    } else {
                        cells[at] = *b;
                    }
                    at += 1;
                }
            }
        }
        String::from_utf8(cells).unwrap().trim_end().to_owned()
    }

    #[test]
    fn editing_keys() {
        for (keys, want) in [
            (b"show".as_slice(), "show"),
            (b"shox\x7fw", "show"),
            (b"shox\x08w", "show"),
            (b"how\x01s", "show"),
            (b"sow\x1b[D\x1b[Dh", "show"),
            (b"sow\x02\x02h", "show"),
            (b"xshow\x1b[H\x1b[3~", "show"),
            (b"xshow\x01\x04\x05s", "shows"),
            (b"show all\x17", "show "),
            (b"show all  \x17x", "show x"),
            (b"junk\x15show", "show"),
            (b"showjunk\x1bOD\x1bOD\x1bOD\x1bOD\x0b", "show"),
            (b"junk\x03show", "show"),
            (b"show\x1b[1;5D", "show"),
            (b"sh\0o\x1fw\x80\xfe", "show"),
            (b"\x7f\x7fa", "a"),
        ] {
            assert_eq!(line(keys), want, "{keys:?}");
        }
    }

    #[test]
    fn line_ends() {
        let mut e = Editor::new("> ", 100);
        let lines = typed(&mut e, b"a\rb\nc\r\nd\r\0e\r\r");
        let want = ["a", "b", "c", "d", "e", ""].map(|l| Action::Line(l.into()));
        assert_eq!(lines, want);
    }

    #[test]
    fn special_keys() {
        let mut e = Editor::new("> ", 100);
        assert_eq!(typed(&mut e, b"sh?\t"), [Action::Help, Action::Complete]);
        assert_eq!(e.before_cursor(), "sh");
        assert_eq!(typed(&mut e, b"\x15\x04"), [Action::Quit]);
    }

    #[test]
    fn history_goes_back_and_forth() {
        let mut e = Editor::new("> ", 100);
        typed(&mut e, b"one\rtwo\rtwo\r\x10");
        assert_eq!(e.before_cursor(), "two");
        typed(&mut e, b"\x1b[A");
        assert_eq!(e.before_cursor(), "one");
        typed(&mut e, b"\x1b[A\x0e");
        assert_eq!(e.before_cursor(), "two");
        typed(&mut e, b"\x1b[B");
        assert_eq!(e.before_cursor(), "");
        for i in 0..200 {
            typed(&mut e, format!("line {i}\r").as_bytes());
        }
        assert_eq!(e.history.len(), HISTORY);
    }

    #[test]
    fn the_line_is_bounded() {
        let mut e = Editor::new("> ", 10);
        typed(&mut e, &[b'x'; 100]);
        assert_eq!(e.before_cursor().len(), 10);
        assert!(e.take_output().ends_with(&[7]));
    }

    #[test]
    fn the_terminal_shows_the_line() {
        let mut e = Editor::new("> ", 100);
        e.prompt();
        typed(&mut e, b"hello world\x1b[D\x1b[D\x7fX\x01Y\x17Z");
        assert_eq!(screen(&e.take_output()), format!("> {}", String::from_utf8_lossy(&e.line)));
    }

    #[test]
    fn a_long_line_never_reaches_the_last_column() {
        let mut e = Editor::new("> ", 1000);
        e.set_width(20);
        e.prompt();
        for b in b"0123456789012345678901234567890123456789" {
            e.key(*b);
            assert!(e.take_output().split(|b| *b == b'\r').all(|l| l.len() < 20));
        }
        e.key(1);
        assert_eq!(screen(&e.take_output()), "> 01234567890123456");
    }
}
