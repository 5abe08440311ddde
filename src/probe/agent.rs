//! What is read of an agent: one line, pure, bounded, fed in pieces.

use super::text::{fixed, printable};
use super::types::{Code, Outcome};
use crate::health::agent::{LINE_MAX, Reply, parse};

/// The reader of one line, which ends at the first CR or LF. What comes out never depends on how the bytes were cut
/// into pieces.
#[derive(Debug, Default)]
pub struct Line {
    /// The part that came without its end, at most [`LINE_MAX`] bytes.
    held: Vec<u8>,
    reply: Option<Box<Reply>>,
}

impl Line {
    /// Takes the next bytes; the outcome once it is certain. Only one that is `L7OK` has a reply.
    pub fn push(&mut self, data: &[u8]) -> Option<Outcome> {
        if self.reply.is_some() {
            // Behind the line.
            return None;
        }
        // One byte more than there is room for: the end of a line that just fits.
        let room = LINE_MAX.saturating_sub(self.held.len());
        let seen = data.get(..=room).unwrap_or(data);
        let end = seen.iter().position(|b| matches!(b, b'\r' | b'\n'));
        if end.is_none() && seen.len() > room {
            return Some(fixed(Code::L7Rsp, "line longer than 1 KiB"));
        }
        self.held.extend_from_slice(seen.get(..end.unwrap_or(seen.len())).unwrap_or_default());
        end.map(|_| self.end())
    }

    /// The peer has closed. A line without its end may be half a line, so it says nothing.
    pub fn eof(&self) -> Outcome {
        fixed(Code::L7Rsp, "closed without a line end")
    }

    /// The deadline has come.
    pub fn timeout(&self) -> Outcome {
        fixed(Code::L7Tout, "no line in time")
    }

    /// What the line says, if it came.
    pub fn take_reply(&mut self) -> Option<Box<Reply>> {
        self.reply.take()
    }

    fn end(&mut self) -> Outcome {
        let reply = parse(&self.held);
        let detail = if reply.description.is_empty() {
            printable(self.held.trim_ascii())
        } else {
            reply.description.clone()
        };
        self.reply = Some(Box::new(reply));
        Outcome { code: Code::L7Ok, detail: detail.into() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::text::DETAIL_MAX;
    use super::*;
    use crate::health::agent::{AgentAdmin, AgentHealth};

    /// The outcome, the reply, and that never more was held than a line.
    fn read(data: &[u8], piece: usize) -> (Outcome, Option<Box<Reply>>) {
        let mut line = Line::default();
        for p in data.chunks(piece.max(1)) {
            let outcome = line.push(p);
            assert!(line.held.len() <= LINE_MAX);
            if let Some(outcome) = outcome {
                return (outcome, line.take_reply());
            }
        }
        (line.eof(), line.take_reply())
    }

    fn said(data: &[u8], piece: usize) -> String {
        let (o, reply) = read(data, piece);
        assert_eq!(reply.is_some(), o.code == Code::L7Ok);
        format!("{} {}", o.code.as_str(), o.detail)
    }

    #[test]
    fn table() {
        let rows: &[(&[u8], &str)] = &[
            (b"up\n", "L7OK up"),
            (b"up\r\n", "L7OK up"),
            (b"up\r", "L7OK up"),
            (b"\n", "L7OK "),
            (b"\r\nup\r\n", "L7OK "),
            (b" down,50% \ndrain\n", "L7OK down,50%"),
            (b"down # disk full\n", "L7OK disk full"),
            (b"down #\n", "L7OK down #"),
            (b"gr\xc3\xbc\xc3\x9f\x00\n", "L7OK gr....."),
            (b"", "L7RSP closed without a line end"),
            (b"down", "L7RSP closed without a line end"),
        ];
        for (data, want) in rows {
            for piece in [1, 2, usize::MAX] {
                assert_eq!(said(data, piece), *want, "{data:?}");
            }
        }
    }

    #[test]
    fn the_reply_is_that_of_the_line_alone() {
        let (_, reply) = read(b"up 50% drain\r\ndown\n", 4);
        let reply = reply.unwrap();
        assert_eq!((reply.health, reply.admin), (Some(AgentHealth::Up), Some(AgentAdmin::Drain)));
        let mut line = Line::default();
        assert!(line.push(b"up\n").is_some());
        assert_eq!(line.push(b"down\n"), None);
        assert_eq!(line.take_reply().unwrap().health, Some(AgentHealth::Up));
    }

    #[test]
    fn a_line_ends_at_its_limit() {
        for piece in [1, 7, 1000, LINE_MAX, usize::MAX] {
            let mut data = vec![b'x'; LINE_MAX];
            assert_eq!(said(&data, piece), "L7RSP closed without a line end");
            data.push(b'\n');
            assert_eq!(said(&data, piece), format!("L7OK {}...", "x".repeat(DETAIL_MAX - 3)));
            data.insert(0, b'x');
            assert_eq!(said(&data, piece), "L7RSP line longer than 1 KiB");
        }
    }

    #[test]
    fn the_deadline() {
        let mut line = Line::default();
        assert_eq!(line.push(b"down"), None);
        assert_eq!(line.timeout(), fixed(Code::L7Tout, "no line in time"));
        assert_eq!(line.take_reply(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_any_split_same_outcome(
            data in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..1500),
                "[a-z0-9 %#,:]{0,1100}[\r\n]{0,2}[a-z]{0,9}".prop_map(String::into_bytes),
            ],
            piece in 1usize..40,
        ) {
            let whole = read(&data, usize::MAX);
            prop_assert!(whole.0.detail.len() <= DETAIL_MAX);
            prop_assert_eq!(whole.1.is_some(), whole.0.code == Code::L7Ok);
            prop_assert_eq!(read(&data, piece), whole.clone());
            prop_assert_eq!(read(&data, 1), whole);
        }
    }
}
