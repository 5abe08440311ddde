//! Words for errors, and bytes from peers made fit to print.

use std::borrow::Cow;

use rustix::io::Errno;

use super::types::{Code, Outcome};

/// The longest detail of an [`Outcome`], in bytes.
pub const DETAIL_MAX: usize = 120;

/// At most [`DETAIL_MAX`] bytes of printable ASCII: every other byte becomes `.`, what is too long ends in `...`.
pub fn printable(bytes: &[u8]) -> String {
    printable_within(bytes, DETAIL_MAX)
}

/// [`printable`] with another limit, of at least 3 bytes.
pub fn printable_within(bytes: &[u8], max: usize) -> String {
    let clean = |b: &u8| if (0x20..0x7f).contains(b) { char::from(*b) } else { '.' };
    if bytes.len() <= max {
        bytes.iter().map(clean).collect()
    } else {
        let mut s: String = bytes.iter().take(max.saturating_sub(3)).map(clean).collect();
        s.push_str("...");
        s
    }
}

/// An errno in the words that operators know it by.
pub fn words(e: Errno) -> Cow<'static, str> {
    let s = match e {
        Errno::CONNREFUSED => "connection refused",
        Errno::CONNRESET => "connection reset",
        Errno::CONNABORTED => "connection aborted",
        Errno::PIPE => "connection closed by the peer",
        Errno::TIMEDOUT => "connection timed out",
        Errno::HOSTUNREACH => "no route to host",
        Errno::NETUNREACH => "network unreachable",
        Errno::HOSTDOWN => "host down",
        Errno::NETDOWN => "network down",
        Errno::ADDRNOTAVAIL => "address not available",
        Errno::ADDRINUSE => "address in use",
        Errno::AFNOSUPPORT => "address family not supported",
        Errno::ACCESS => "permission denied",
        Errno::PERM => "operation not permitted",
        Errno::MFILE => "too many open files",
        Errno::NFILE => "too many open files in the system",
        Errno::NOBUFS => "no buffer space",
        Errno::NOMEM => "out of memory",
        Errno::NOENT => "no such file",
        Errno::INVAL => "invalid argument",
        Errno::PROTO => "protocol error",
        Errno::NOPROTOOPT => "protocol not available",
        Errno::MSGSIZE => "message too long",
        _ => {
            let long = std::io::Error::from(e).to_string();
            let short = long.split(" (os error").next().unwrap_or_default();
            let mut chars = short.chars();
            let text: String =
                chars.next().map(|c| c.to_ascii_lowercase()).into_iter().chain(chars).collect();
            return Cow::Owned(printable(text.as_bytes()));
        }
    };
    Cow::Borrowed(s)
}

/// An outcome whose detail is known at build time.
pub(super) fn fixed(code: Code, detail: &'static str) -> Outcome {
    Outcome { code, detail: Cow::Borrowed(detail) }
}

/// An outcome with an errno in words.
pub(super) fn errno(code: Code, e: Errno) -> Outcome {
    Outcome { code, detail: words(e) }
}

/// Our own fault: which call failed, and why.
pub(super) fn our_fault(call: &str, e: Errno) -> Outcome {
    Outcome { code: Code::SockErr, detail: Cow::Owned(printable(format!("{call}: {}", words(e)).as_bytes())) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn long_text_is_cut_and_says_so() {
        let s = printable(&[b'x'; 500]);
        assert_eq!(s.len(), DETAIL_MAX);
        assert!(s.ends_with("x..."));
        assert_eq!(printable(&[b'x'; DETAIL_MAX]).len(), DETAIL_MAX);
        assert_eq!(printable_within(b"\xff12345", 6), ".12345");
        assert_eq!(printable_within(b"\xff123456", 6), ".12...");
    }

    #[test]
    fn control_and_high_bytes_are_dots() {
        assert_eq!(printable(b"a\r\n\x1b[31m\xff\x00z"), "a...[31m..z");
    }

    #[test]
    fn errnos_read_as_operators_know_them() {
        assert_eq!(words(Errno::CONNREFUSED), "connection refused");
        assert_eq!(words(Errno::HOSTUNREACH), "no route to host");
        assert_eq!(words(Errno::NETUNREACH), "network unreachable");
        assert_eq!(words(Errno::CONNRESET), "connection reset");
        // One without an entry of its own: the system's words, without the number.
        assert_eq!(words(Errno::LOOP), "too many levels of symbolic links");
    }

    #[test]
    fn our_fault_names_the_call() {
        let o = our_fault("bind", Errno::ADDRNOTAVAIL);
        assert_eq!((o.code, o.detail.as_ref()), (Code::SockErr, "bind: address not available"));
    }

    proptest! {
        #[test]
        fn printable_is_short_printable_ascii(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let s = printable(&bytes);
            prop_assert!(s.len() <= DETAIL_MAX);
            prop_assert!(s.bytes().all(|b| (0x20..0x7f).contains(&b)));
        }
    }
}
