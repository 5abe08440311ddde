//! TLS between a probe's socket and what it says: pure, bounded, fed in pieces.

use std::borrow::Cow;
use std::io::{ErrorKind, Read, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::{CertificateError, ClientConnection, Error};

use super::held::{OWN_TLS, Share, no_room};
use super::text::{fixed, printable};
use super::types::{Code, Outcome};
use crate::budget::Budget;
use crate::config::Tls;

/// Bytes that a peer may send before the handshake is done. The longest honest one, with a long chain of certificates,
/// is a tenth of it.
pub const HANDSHAKE_MAX: usize = 256 * 1024;

/// Bytes that a peer may send altogether. The readers above end after less than 1 MiB; this bounds what never
/// reaches them: tickets, new keys, empty records.
pub const RECEIVED_MAX: usize = 4 * 1024 * 1024;

/// What is said of a peer that closes too early.
pub(super) const CLOSED: &str = "closed within the TLS handshake";

/// One connection's TLS.
pub(super) struct Session {
    connection: ClientConnection,
    /// What is to be said once the handshake is done, and how much of it was.
    request: Vec<u8>,
    said: usize,
    received: usize,
    /// Of the memory of all probes: what has come in the handshake, of which all may be held.
    share: Share,
}

/// What comes out of a session.
pub(super) enum Heard<'a> {
    /// Decrypted bytes.
    Data(&'a [u8]),
    /// The peer has said that it closes.
    End,
}

impl Session {
    /// A session with `address` that will say `request`.
    ///
    /// # Errors
    /// Our own fault, in words: the system gives no randomness.
    pub(super) fn new(
        tls: &Tls,
        address: IpAddr,
        request: Vec<u8>,
        bodies: &Arc<Budget>,
    ) -> Result<Session, Outcome> {
        let connection = ClientConnection::new(tls.trust.client(), tls.name_for(address)).map_err(|e| {
            Outcome { code: Code::SockErr, detail: printable(format!("tls: {e}").as_bytes()).into() }
        })?;
        Ok(Session { connection, request, said: 0, received: 0, share: Share::of(bodies) })
    }

    /// True until the handshake is done.
    pub(super) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Moves what is to be sent next into `out`, which is empty; nothing when all is said. At most what rustls buffers,
    /// some 64 KiB.
    pub(super) fn refill(&mut self, out: &mut Vec<u8>) {
        if !self.is_handshaking()
            && let Some(rest) = self.request.get(self.said..).filter(|rest| !rest.is_empty())
        {
            // Takes what fits into its buffer; writing to a buffer does not fail.
            self.said += self.connection.writer().write(rest).unwrap_or_default();
        }
        while self.connection.wants_write() && matches!(self.connection.write_tls(out), Ok(n) if n > 0) {}
    }

    /// Takes bytes from the socket. What is decrypted goes to `sink`; the outcome once it or this is certain. What
    /// came before an error is judged first.
    pub(super) fn feed(
        &mut self,
        mut data: &[u8],
        sink: &mut dyn FnMut(Heard<'_>) -> Option<Outcome>,
    ) -> Option<Outcome> {
        let mut plain = [0; 4096];
        while !data.is_empty() {
            match self.connection.read_tls(&mut data) {
                // The peer closed, and what follows that is nothing.
                Ok(0) => return None,
                Ok(n) => self.received += n,
                Err(_) => return Some(fixed(Code::L6Rsp, "TLS: message too long")),
            }
            if self.is_handshaking() && !self.share.hold(self.received.min(HANDSHAKE_MAX), OWN_TLS) {
                return Some(no_room());
            }
            let result = self.connection.process_new_packets();
            loop {
                match self.connection.reader().read(&mut plain) {
                    Ok(0) if self.is_handshaking() => return Some(fixed(Code::L6Rsp, CLOSED)),
                    Ok(0) => return sink(Heard::End),
                    Ok(n) => {
                        if let Some(outcome) = sink(Heard::Data(plain.get(..n).unwrap_or_default())) {
                            return Some(outcome);
                        }
                    }
                    Err(e) if e.kind() == ErrorKind::Interrupted => {}
                    // No more for now.
                    Err(_) => break,
                }
            }
            if let Err(e) = result {
                return Some(Outcome { code: Code::L6Rsp, detail: words(&e) });
            }
            if self.is_handshaking() && self.received > HANDSHAKE_MAX {
                return Some(fixed(Code::L6Rsp, "TLS: handshake too long"));
            }
            if self.received > RECEIVED_MAX {
                return Some(fixed(Code::L6Rsp, "TLS: too many bytes"));
            }
        }
        None
    }

    /// The bytes that tell the peer that this side closes, behind anything unsent.
    pub(super) fn farewell(&mut self, out: &mut Vec<u8>) {
        self.connection.send_close_notify();
        self.refill(out);
    }
}

/// A TLS error in the words of an operator.
pub fn words(e: &Error) -> Cow<'static, str> {
    match e {
        Error::InvalidCertificate(c) => certificate(c),
        Error::AlertReceived(a) => said("TLS alert", &format!("{a:?}")),
        Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => "not TLS".into(),
        Error::InvalidMessage(m) => said("bad TLS message", &format!("{m:?}")),
        Error::PeerIncompatible(p) => said("TLS", &format!("{p:?}")),
        Error::PeerMisbehaved(p) => said("TLS violated", &format!("{p:?}")),
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            "TLS message out of order".into()
        }
        Error::NoCertificatesPresented => "no certificate".into(),
        Error::DecryptError => "TLS record cannot be decrypted".into(),
        Error::PeerSentOversizedRecord => "TLS record too long".into(),
        other => printable(other.to_string().as_bytes()).into(),
    }
}

/// What is wrong with a certificate.
fn certificate(e: &CertificateError) -> Cow<'static, str> {
    let text = match e {
        CertificateError::Expired => return "certificate expired".into(),
        CertificateError::ExpiredContext { time, not_after } => {
            format!("certificate expired {} ago", between(*not_after, *time))
        }
        CertificateError::NotValidYet => return "certificate not valid yet".into(),
        CertificateError::NotValidYetContext { time, not_before } => {
            format!("certificate not valid for another {}", between(*time, *not_before))
        }
        CertificateError::UnknownIssuer => return "unknown issuer".into(),
        CertificateError::NotValidForName => return "certificate is for another name".into(),
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            return "certificate is for no name".into();
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<&str> = presented.iter().take(8).map(|p| bare(p)).collect();
            format!("certificate is for {}", names.join(", "))
        }
        CertificateError::Revoked => return "certificate revoked".into(),
        CertificateError::BadEncoding => return "certificate cannot be read".into(),
        CertificateError::BadSignature => return "certificate has a bad signature".into(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            return "certificate is not for servers".into();
        }
        // What webpki names without a word here: `CaUsedAsEndEntity`.
        CertificateError::Other(other) => return said("certificate", &other.to_string()),
        other => format!("certificate: {other}"),
    };
    printable(text.as_bytes()).into()
}

/// The name in what webpki makes of one: `DnsName("example.org")`, `IpAddress(192.0.2.1)`.
fn bare(presented: &str) -> &str {
    let inner = presented.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.map_or(presented, |name| name.trim_matches('"'))
}

/// `3 days`: the time from one moment to a later one, in its largest unit.
fn between(from: UnixTime, to: UnixTime) -> String {
    let seconds = Duration::from_secs(to.as_secs().saturating_sub(from.as_secs())).as_secs();
    let (n, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7200 => (seconds / 60, "minute"),
        7200..172_800 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}

/// `HandshakeFailure` as `what: handshake failure`.
fn said(what: &str, variant: &str) -> Cow<'static, str> {
    let mut out = format!("{what}: ");
    let mut word_begins = false;
    for c in variant.chars() {
        if c.is_ascii_uppercase() && word_begins {
            out.push(' ');
        }
        word_begins = c.is_ascii_lowercase() || c.is_ascii_digit();
        out.push(c.to_ascii_lowercase());
    }
    printable(out.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use rustls::{AlertDescription, PeerIncompatible};

    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn certificates_in_words() {
        let expired = |ago: u64| {
            certificate(&CertificateError::ExpiredContext {
                time: at(10_000_000 + ago),
                not_after: at(10_000_000),
            })
        };
        assert_eq!(expired(1), "certificate expired 1 second ago");
        assert_eq!(expired(3600), "certificate expired 60 minutes ago");
        assert_eq!(expired(86_400), "certificate expired 24 hours ago");
        assert_eq!(expired(3 * 86_400 + 5), "certificate expired 3 days ago");
        let early = CertificateError::NotValidYetContext { time: at(0), not_before: at(4 * 86_400) };
        assert_eq!(certificate(&early), "certificate not valid for another 4 days");
        let names = |presented: &[&str]| {
            certificate(&CertificateError::NotValidForNameContext {
                expected: rustls::pki_types::ServerName::try_from("a.example").unwrap(),
                presented: presented.iter().map(|s| s.to_string()).collect(),
            })
        };
        assert_eq!(names(&[]), "certificate is for no name");
        assert_eq!(
            names(&["DnsName(\"example.org\")", "IpAddress(192.0.2.1)", "odd"]),
            "certificate is for example.org, 192.0.2.1, odd"
        );
        let many: Vec<&str> = vec!["DnsName(\"an-awfully-long-name.example.org\")"; 500];
        assert_eq!(names(&many).len(), super::super::text::DETAIL_MAX);
    }

    #[test]
    fn errors_in_words() {
        for (e, text) in [
            (Error::AlertReceived(AlertDescription::HandshakeFailure), "TLS alert: handshake failure"),
            (Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType), "not TLS"),
            (
                Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
                "TLS: no cipher suites in common",
            ),
            (Error::InvalidCertificate(CertificateError::UnknownIssuer), "unknown issuer"),
            (Error::NoCertificatesPresented, "no certificate"),
        ] {
            assert_eq!(words(&e), text);
        }
    }
}
