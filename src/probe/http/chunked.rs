//! Chunked transfer coding (RFC 9112, 7.1), decoded byte by byte into a bounded buffer.

use crate::probe::held::Held;

/// Bytes of framing (sizes, extensions, line ends, trailers) that one body may have. Chunks of a single byte, the
/// smallest there are, need 5 for each of the 65,536 bytes that are read at most.
pub const FRAMING_MAX: usize = 512 * 1024;

/// What came of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fed {
    /// All taken, the body goes on.
    More,
    /// The body's end was there.
    Done,
    /// The buffer is full.
    Full,
    /// There is no memory for more of it.
    NoRoom,
    /// Not chunked coding.
    Bad,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In a chunk's size, after so many digits.
    Size(u8),
    /// In a chunk's extension.
    Extension,
    /// After the CR of a size line.
    SizeLf,
    /// In data; at its end when nothing of it is left.
    Data,
    /// After data and CR.
    DataLf,
    /// At the start of a line after the last chunk.
    TrailerStart,
    /// Within such a line.
    Trailer,
    /// After a CR at the start of such a line.
    LastLf,
    /// After the end.
    End,
}

/// The decoder of one body.
#[derive(Clone, Debug)]
pub struct Decoder {
    at: At,
    /// Of the present chunk: its size while that is read, then what is left of it.
    left: u64,
    framing: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder { at: At::Size(0), left: 0, framing: 0 }
    }
}

impl Decoder {
    /// Decodes `data` to the end of `body`, which never grows beyond `cap` bytes.
    pub fn feed(&mut self, mut data: &[u8], body: &mut Held, cap: usize) -> Fed {
        loop {
            if self.at == At::End {
                return Fed::Done;
            }
            if self.at == At::Data && self.left > 0 {
                let room = cap.saturating_sub(body.len());
                if room == 0 {
                    return Fed::Full;
                }
                let n = data.len().min(room).min(usize::try_from(self.left).unwrap_or(usize::MAX));
                let (now, later) = data.split_at(n);
                if !body.push(now) {
                    return Fed::NoRoom;
                }
                self.left -= n as u64;
                data = later;
                if data.is_empty() && self.left > 0 {
                    return if body.len() >= cap { Fed::Full } else { Fed::More };
                }
                continue;
            }
            let Some((byte, later)) = data.split_first() else { return Fed::More };
            data = later;
            self.framing += 1;
            if self.framing > FRAMING_MAX {
                return Fed::Bad;
            }
            match self.step(*byte) {
                Some(at) => self.at = at,
                None => return Fed::Bad,
            }
        }
    }

    /// The next place, or none where the byte must not be.
    fn step(&mut self, byte: u8) -> Option<At> {
        match (self.at, byte) {
            (At::Size(n), b) if b.is_ascii_hexdigit() => {
                if n >= 16 {
                    return None;
                }
                let digit = char::from(b).to_digit(16).unwrap_or(0);
                self.left = (self.left << 4) | u64::from(digit);
                Some(At::Size(n + 1))
            }
            (At::Size(0), _) => None,
            (At::Size(_), b';' | b' ' | b'\t') => Some(At::Extension),
            (At::Size(_) | At::Extension, b'\r') => Some(At::SizeLf),
            (At::Size(_) | At::Extension | At::SizeLf, b'\n') => {
                Some(if self.left == 0 { At::TrailerStart } else { At::Data })
            }
            (At::Size(_) | At::SizeLf, _) => None,
            (At::Extension, _) => Some(At::Extension),
            (At::Data, b'\r') => Some(At::DataLf),
            (At::Data | At::DataLf, b'\n') => {
                self.left = 0;
                Some(At::Size(0))
            }
            (At::Data | At::DataLf, _) => None,
            (At::TrailerStart, b'\r') => Some(At::LastLf),
            (At::TrailerStart | At::LastLf, b'\n') => Some(At::End),
            (At::LastLf, _) => None,
            (At::Trailer, b'\n') => Some(At::TrailerStart),
            (At::TrailerStart | At::Trailer, _) => Some(At::Trailer),
            (At::End, _) => Some(At::End),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(data: &[u8], piece: usize, cap: usize) -> (Fed, Vec<u8>) {
        let (mut d, mut body) = (Decoder::default(), Held::default());
        for p in data.chunks(piece.max(1)) {
            match d.feed(p, &mut body, cap) {
                Fed::More => {}
                end => return (end, body.to_vec()),
            }
        }
        (Fed::More, body.to_vec())
    }

    #[test]
    fn table() {
        let rows: &[(&[u8], Fed, &[u8])] = &[
            (b"5\r\nhello\r\n0\r\n\r\n", Fed::Done, b"hello"),
            (b"5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX: y\r\n\r\n", Fed::Done, b"hello world"),
            (b"A\n0123456789\n0\n\n", Fed::Done, b"0123456789"),
            (b"5\r\nhel", Fed::More, b"hel"),
            (b"5\r\nhello\r\n0\r\n", Fed::More, b"hello"),
            (b"5\r\nhelloX", Fed::Bad, b"hello"),
            (b"\r\n", Fed::Bad, b""),
            (b"g\r\n", Fed::Bad, b""),
            (b"5\rx", Fed::Bad, b""),
            (b"-1\r\n", Fed::Bad, b""),
            (b"11111111111111111\r\n", Fed::Bad, b""),
            (b"ffffffffffffffff\r\nabc", Fed::More, b"abc"),
            (b"20\r\n01234567890123456789012345678901", Fed::Full, b"01234567890123456789"),
        ];
        for (data, fed, body) in rows {
            for piece in [1, 2, 3, 1000] {
                assert_eq!(decode(data, piece, 20), (*fed, body.to_vec()), "{}", data.escape_ascii());
            }
        }
    }

    #[test]
    fn endless_extensions_and_trailers_end() {
        let mut data = b"1;".to_vec();
        data.resize(FRAMING_MAX + 10, b'x');
        assert_eq!(decode(&data, 4096, 100).0, Fed::Bad);
        let mut data = b"0\r\nX: ".to_vec();
        data.resize(FRAMING_MAX + 10, b'x');
        assert_eq!(decode(&data, 4096, 100).0, Fed::Bad);
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same(
            data in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'1'), Just(b'3'),
                Just(b'0'), Just(b';'), any::<u8>()], 0..200),
            piece in 1usize..20, cap in 0usize..40,
        ) {
            let whole = decode(&data, usize::MAX, cap);
            prop_assert!(whole.1.len() <= cap);
            prop_assert_eq!(decode(&data, piece, cap), whole);
        }
    }
}
