//! The telnet that VPP's CLI socket speaks: options out of and into the byte stream (RFC 854, 1091, 1073).

pub const IAC: u8 = 255;
pub const DONT: u8 = 254;
pub const DO: u8 = 253;
pub const WONT: u8 = 252;
pub const WILL: u8 = 251;
pub const SB: u8 = 250;
pub const AYT: u8 = 246;
pub const SE: u8 = 240;

pub const ECHO: u8 = 1;
pub const SGA: u8 = 3;
pub const TTYPE: u8 = 24;
pub const NAWS: u8 = 31;
pub const LINEMODE: u8 = 34;

/// What a server says first: it echoes, takes single characters, and wants the terminal's type and size. `vppctl` sends no
/// command before it was asked for its type, and expects all of this within its first 100 bytes.
pub const GREETING: &[u8] = &[
    IAC, WONT, LINEMODE, IAC, DONT, LINEMODE, IAC, WILL, SGA, IAC, DO, SGA, IAC, WILL, ECHO, IAC, DONT, ECHO,
    IAC, DO, TTYPE, IAC, SB, TTYPE, 1, IAC, SE, IAC, DO, NAWS, IAC, SB, NAWS, 1, IAC, SE,
];

/// The client's answer to the question for its type.
pub fn terminal_type(name: &str) -> Vec<u8> {
    let mut out = vec![IAC, SB, TTYPE, 0];
    out.extend(name.bytes().filter(u8::is_ascii_graphic));
    out.extend([IAC, SE]);
    out
}

/// What the bytes mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A byte of the text. 0xff, which telnet doubles, never is one: no command has it.
    Text(u8),
    /// A subnegotiation: its option and the bytes behind it.
    Sub(u8, Vec<u8>),
    /// Are you there?
    AreYouThere,
}

/// A subnegotiation's bytes that are kept; the rest of a longer one is dropped.
const MAX_SUB: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Text,
    Iac,
    /// WILL, WONT, DO, DONT: the option is next.
    Option,
    /// SB: the option is next.
    SubOption,
    Sub(u8),
    SubIac(u8),
}

/// Splits a byte stream, however it is cut into pieces.
#[derive(Debug)]
pub struct Parser {
    state: State,
    sub: Vec<u8>,
}

impl Parser {
    pub fn new() -> Parser {
        Parser { state: State::Text, sub: Vec::new() }
    }

    pub fn push(&mut self, byte: u8) -> Option<Event> {
        let (state, event) = match (self.state, byte) {
            (State::Text, IAC) => (State::Iac, None),
            (State::Text, b) => (State::Text, Some(Event::Text(b))),
            (State::Iac, WILL | WONT | DO | DONT) => (State::Option, None),
            (State::Iac, SB) => (State::SubOption, None),
            (State::Iac, AYT) => (State::Text, Some(Event::AreYouThere)),
            (State::Iac | State::Option, _) => (State::Text, None),
            (State::SubOption, IAC) => (State::SubIac(IAC), None),
            (State::SubOption, option) => (State::Sub(option), None),
            (State::Sub(option), IAC) => (State::SubIac(option), None),
            (State::Sub(option), b) => {
                self.keep(b);
                (State::Sub(option), None)
            }
            (State::SubIac(option), SE) => {
                (State::Text, Some(Event::Sub(option, std::mem::take(&mut self.sub))))
            }
            (State::SubIac(option), IAC) => {
                self.keep(IAC);
                (State::Sub(option), None)
            }
            // A peer that forgot the end.
            (State::SubIac(option), _) => (State::Sub(option), None),
        };
        self.state = state;
        event
    }

    fn keep(&mut self, byte: u8) {
        if self.sub.len() < MAX_SUB {
            self.sub.push(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Vec<Event> {
        let mut p = Parser::new();
        bytes.iter().filter_map(|b| p.push(*b)).collect()
    }

    #[test]
    fn the_greeting_asks_for_type_and_size_and_has_no_text() {
        assert!(GREETING.len() < 100, "vppctl reads 100 bytes at a time, and cannot join the pieces");
        assert_eq!(parse(GREETING), [Event::Sub(TTYPE, vec![1]), Event::Sub(NAWS, vec![1])]);
    }

    #[test]
    fn text_between_options() {
        assert_eq!(
            parse(b"a\xff\xfb\x01b\xff\xfa\x18\x00vppctl\xff\xf0c\xff\xf6\xff\xff\xff\xf1d"),
            [
                Event::Text(b'a'),
                Event::Text(b'b'),
                Event::Sub(TTYPE, b"\0vppctl".to_vec()),
                Event::Text(b'c'),
                Event::AreYouThere,
                Event::Text(b'd'),
            ]
        );
    }

    #[test]
    fn an_endless_subnegotiation_takes_no_memory() {
        let mut p = Parser::new();
        p.push(IAC);
        p.push(SB);
        for _ in 0..1_000_000 {
            assert_eq!(p.push(b'x'), None);
        }
        assert!(p.sub.capacity() <= 2 * MAX_SUB);
        p.push(IAC);
        assert!(matches!(p.push(SE), Some(Event::Sub(b'x', data)) if data.len() == MAX_SUB));
        assert_eq!(p.push(b'y'), Some(Event::Text(b'y')));
    }

    #[test]
    fn a_doubled_iac_within_a_subnegotiation_is_data() {
        assert_eq!(
            parse(&[IAC, SB, NAWS, 0, IAC, IAC, 0, 24, IAC, SE]),
            [Event::Sub(NAWS, vec![0, IAC, 0, 24])]
        );
    }
}
