//! The question of a `dns` check, and what is made of answers: pure.

use std::net::{Ipv4Addr, Ipv6Addr};

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE};

use super::text::fixed;
use super::types::{Code, Outcome};
use crate::config::DnsCheck;

/// Bytes of a header, and the bit in its third that tells an answer from a question (RFC 1035, 4.1.1).
const HEADER: usize = 12;
const RESPONSE: u8 = 0x80;

/// The longest answer that is read, in bytes. Without EDNS, which is not asked for, 512 would do.
const ANSWER_MAX: usize = 4096;

/// The bytes of the question, with recursion desired; none when the name is not one, which a valid configuration rules
/// out.
pub fn query(check: &DnsCheck, id: u16) -> Option<Vec<u8>> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let class = QCLASS::CLASS(CLASS::IN);
    packet.questions.push(Question::new(name(check)?, QTYPE::TYPE(check.qtype), class, false));
    packet.build_bytes_vec().ok()
}

fn name(check: &DnsCheck) -> Option<Name<'_>> {
    Name::new(check.name.strip_suffix('.').unwrap_or(&check.name)).ok()
}

/// What a datagram makes of the probe; none when it answers another question, or none at all.
pub fn judge(check: &DnsCheck, id: u16, datagram: &[u8]) -> Option<Outcome> {
    let (heard, flags) = match datagram {
        [a, b, flags, _, ..] if datagram.len() >= HEADER => (u16::from_be_bytes([*a, *b]), *flags),
        _ => return None,
    };
    if heard != id || flags & RESPONSE == 0 {
        return None;
    }
    let malformed = || Some(fixed(Code::L7Rsp, "malformed answer"));
    if datagram.len() > ANSWER_MAX {
        return Some(fixed(Code::L7Rsp, "answer too long"));
    }
    let Ok(packet) = Packet::parse(datagram) else { return malformed() };
    let rcode = packet.rcode();
    match packet.questions.as_slice() {
        // Some servers leave the question out of an error.
        [] if rcode != RCODE::NoError => {}
        [one] => {
            let same_name =
                name(check).is_some_and(|n| n.to_string().eq_ignore_ascii_case(&one.qname.to_string()));
            if !same_name || one.qtype != QTYPE::TYPE(check.qtype) || one.qclass != QCLASS::CLASS(CLASS::IN) {
                return None;
            }
        }
        _ => return None,
    }
    if rcode != check.rcode {
        return Some(Outcome { code: Code::L7Sts, detail: result(rcode, datagram).into() });
    }
    if let Some(pattern) = &check.expect {
        let mut texts = packet.answers.iter().filter_map(|record| text(&record.rdata));
        if !texts.any(|text| pattern.is_match(text.as_bytes())) {
            let why = match (packet.answers.is_empty(), packet.has_flags(PacketFlag::TRUNCATION)) {
                (_, true) => "truncated answer does not match",
                (true, false) => "no records in the answer",
                (false, false) => "answer does not match",
            };
            return Some(fixed(Code::L7Rsp, why));
        }
    }
    Some(Outcome { code: Code::L7Ok, detail: result(rcode, datagram).into() })
}

/// `NXDOMAIN`, `rcode 9`.
fn result(rcode: RCODE, datagram: &[u8]) -> String {
    match DnsCheck::rcode_word(rcode) {
        Some(word) => word.to_owned(),
        // The four bits themselves: the library has no name for all.
        None => format!("rcode {}", datagram.get(3).map_or(0, |b| b & 0xf)),
    }
}

/// A record as a zone file has it, names without the last dot; none for types that cannot be asked for.
fn text(rdata: &RData<'_>) -> Option<String> {
    Some(match rdata {
        RData::A(a) => Ipv4Addr::from(a.address).to_string(),
        RData::AAAA(a) => Ipv6Addr::from(a.address).to_string(),
        RData::CNAME(n) => n.0.to_string(),
        RData::NS(n) => n.0.to_string(),
        RData::PTR(n) => n.0.to_string(),
        RData::MX(mx) => format!("{} {}", mx.preference, mx.exchange),
        RData::SRV(s) => format!("{} {} {} {}", s.priority, s.weight, s.port, s.target),
        RData::SOA(s) => format!(
            "{} {} {} {} {} {} {}",
            s.mname, s.rname, s.serial, s.refresh, s.retry, s.expire, s.minimum
        ),
        RData::TXT(t) => {
            let mut all = Vec::new();
            // The library splits each string at its first `=`.
            for (key, value) in t.iter_raw() {
                all.extend_from_slice(key);
                all.extend(value.iter().flat_map(|v| [b"=".as_slice(), v].concat()));
            }
            String::from_utf8_lossy(&all).into_owned()
        }
        _ => return None,
    })
}
