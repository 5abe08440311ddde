//! ICMP echo packets, IPv4 (RFC 792) and IPv6 (RFC 4443): made and read, nothing else. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Random bytes that tell one probe from every other.
pub type Token = [u8; 8];

/// Follows the token; tells a human who looks at the wire whose packets these are.
const MARK: [u8; 8] = *b"maglev\0\0";

/// Length of an echo request: header, token, mark.
pub const ECHO_LEN: usize = 8 + 8 + 8;

/// ICMP message types (IANA).
pub const V4_ECHO_REPLY: u8 = 0;
/// IPv4 destination unreachable.
pub const V4_UNREACHABLE: u8 = 3;
/// IPv4 echo request.
pub const V4_ECHO_REQUEST: u8 = 8;
/// IPv4 time exceeded.
pub const V4_TIME_EXCEEDED: u8 = 11;
/// IPv6 destination unreachable.
pub const V6_UNREACHABLE: u8 = 1;
/// IPv6 time exceeded.
pub const V6_TIME_EXCEEDED: u8 = 3;
/// IPv6 echo request.
pub const V6_ECHO_REQUEST: u8 = 128;
/// IPv6 echo reply.
pub const V6_ECHO_REPLY: u8 = 129;

/// What one packet says to a prober.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// An echo reply with a token and our mark.
    Reply {
        /// Of the socket.
        ident: u16,
        /// Of the probe on that socket.
        seq: u16,
        /// Of the probe.
        token: Token,
    },
    /// An echo request of ours could not be delivered.
    Error {
        /// In words.
        why: &'static str,
        /// Where the request was going.
        to: IpAddr,
        /// Of the socket.
        ident: u16,
        /// Of the probe on that socket.
        seq: u16,
        /// What else the error quotes of the request.
        proof: Proof,
    },
}

/// How much of the request an error quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Its header only, as RFC 792 demands at least: the checksum is that of the token with the rest.
    Checksum(u16),
    /// Its token.
    Token(Token),
}

/// An echo request. With `V4_ECHO_REQUEST` the checksum is filled in; for IPv6 the kernel does that.
pub fn echo(kind: u8, ident: u16, seq: u16, token: Token) -> [u8; ECHO_LEN] {
    let [i0, i1] = ident.to_be_bytes();
    let [s0, s1] = seq.to_be_bytes();
    let mut packet = [0; ECHO_LEN];
    let bytes = [kind, 0, 0, 0, i0, i1, s0, s1].into_iter().chain(token).chain(MARK);
    for (p, b) in packet.iter_mut().zip(bytes) {
        *p = b;
    }
    if kind == V4_ECHO_REQUEST
        && let [_, _, c0, c1, ..] = &mut packet
    {
        [*c0, *c1] = checksum(&[kind, 0, 0, 0, i0, i1, s0, s1], &[&token[..], &MARK].concat()).to_be_bytes();
    }
    packet
}

/// The Internet checksum (RFC 1071) of two parts, the first of even length. 0 over what contains its own, valid
/// checksum.
pub fn checksum(first: &[u8], second: &[u8]) -> u16 {
    let words = |bytes: &[u8]| {
        let pairs = bytes.chunks(2);
        pairs
            .map(|p| match p {
                [a, b] => u64::from(u16::from_be_bytes([*a, *b])),
                [a] => u64::from(u16::from_be_bytes([*a, 0])),
                _ => 0,
            })
            .sum::<u64>()
    };
    let mut sum = words(first) + words(second);
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !u16::try_from(sum).unwrap_or(0)
}

/// Reads what a raw IPv4 socket receives: an IP packet. None for what is no business of ours.
pub fn hear_v4(packet: &[u8]) -> Option<Heard> {
    let (protocol, _, icmp) = ipv4(packet)?;
    if protocol != 1 || checksum(icmp, &[]) != 0 {
        return None;
    }
    hear_v4_message(icmp)
}

/// Reads an ICMP message.
pub fn hear_v4_message(icmp: &[u8]) -> Option<Heard> {
    let (kind, code, rest) = message(icmp)?;
    match kind {
        V4_ECHO_REPLY => reply(icmp),
        V4_UNREACHABLE | V4_TIME_EXCEEDED => {
            let why = if kind == V4_UNREACHABLE { unreachable_v4(code)? } else { "time to live exceeded" };
            let (protocol, to, quoted) = ipv4(rest)?;
            (protocol == 1).then_some(())?;
            error(why, IpAddr::V4(to), quoted, V4_ECHO_REQUEST)
        }
        _ => None,
    }
}

/// Reads what a raw ICMPv6 socket receives: an ICMPv6 message, whose checksum the kernel has verified. None for
/// what is no business of ours.
pub fn hear_v6(icmp: &[u8]) -> Option<Heard> {
    let (kind, code, rest) = message(icmp)?;
    match kind {
        V6_ECHO_REPLY => reply(icmp),
        V6_UNREACHABLE | V6_TIME_EXCEEDED => {
            let why = if kind == V6_UNREACHABLE { unreachable_v6(code) } else { "hop limit exceeded" };
            let (header, quoted) = rest.split_at_checked(40)?;
            let to: [u8; 16] = header.get(24..40)?.try_into().ok()?;
            (header.first()? >> 4 == 6 && *header.get(6)? == 58).then_some(())?;
            match error(why, IpAddr::V6(Ipv6Addr::from(to)), quoted, V6_ECHO_REQUEST)? {
                // IPv6 errors quote as much as fits; and the checksum is the kernel's, unknown to us.
                Heard::Error { proof: Proof::Checksum(_), .. } | Heard::Reply { .. } => None,
                heard @ Heard::Error { proof: Proof::Token(_), .. } => Some(heard),
            }
        }
        _ => None,
    }
}

/// Type, code, and what follows the header.
fn message(icmp: &[u8]) -> Option<(u8, u8, &[u8])> {
    let (header, rest) = icmp.split_at_checked(8)?;
    Some((*header.first()?, *header.get(1)?, rest))
}

/// Protocol, destination and payload of an IPv4 packet.
fn ipv4(packet: &[u8]) -> Option<(u8, Ipv4Addr, &[u8])> {
    let first = *packet.first()?;
    let len = usize::from(first & 15) * 4;
    if first >> 4 != 4 || len < 20 {
        return None;
    }
    let to: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    Some((*packet.get(9)?, Ipv4Addr::from(to), packet.get(len..)?))
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

fn reply(icmp: &[u8]) -> Option<Heard> {
    let token = icmp.get(8..16)?.try_into().ok()?;
    let ours = icmp.get(16..)? == MARK && *icmp.get(1)? == 0;
    ours.then_some(Heard::Reply { ident: number(icmp, 4)?, seq: number(icmp, 6)?, token })
}

fn error(why: &'static str, to: IpAddr, quoted: &[u8], request: u8) -> Option<Heard> {
    (*quoted.first()? == request).then_some(())?;
    let proof = match quoted.get(8..16) {
        Some(token) => Proof::Token(token.try_into().ok()?),
        None => Proof::Checksum(number(quoted, 2)?),
    };
    Some(Heard::Error { why, to, ident: number(quoted, 4)?, seq: number(quoted, 6)?, proof })
}

/// The words for a code of IPv4 destination unreachable; none for "fragmentation needed", which is no failure.
fn unreachable_v4(code: u8) -> Option<&'static str> {
    Some(match code {
        0 | 6 | 11 => "network unreachable",
        1 | 5 | 7 | 8 | 12 => "no route to host",
        2 => "protocol unreachable",
        3 => "port unreachable",
        4 => return None,
        9 | 10 | 13..=15 => "administratively prohibited",
        _ => "destination unreachable",
    })
}

fn unreachable_v6(code: u8) -> &'static str {
    match code {
        0 => "network unreachable",
        1 | 5 | 6 => "administratively prohibited",
        2 | 3 => "no route to host",
        4 => "port unreachable",
        _ => "destination unreachable",
    }
}

#[cfg(test)]
#[path = "packet_tests.rs"]
mod tests;
