//! `udp` and `dns` checks against peers on loopback.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod probe_support;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use maglev::config::{CheckKind, DnsCheck, Healthcheck, UdpCheck};
use maglev::probe::dns::{judge, query};
use probe_support::*;
use proptest::option;
use proptest::prelude::*;
use simple_dns::rdata::{A, AAAA, CNAME, MX, NS, PTR, RData, SOA, SRV, TXT};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, RCODE, ResourceRecord, TYPE};

/// A peer that hands each datagram to `answer`, which sends what it likes. Its port.
fn peer(address: IpAddr, answer: impl Fn(&UdpSocket, &[u8], SocketAddr) + Send + 'static) -> u16 {
    let socket = UdpSocket::bind(SocketAddr::new(address, 0)).unwrap();
    let port = socket.local_addr().unwrap().port();
    std::thread::spawn(move || {
        // It ends with the test's process.
        let mut buf = [0; 65_536];
        while let Ok((n, from)) = socket.recv_from(&mut buf) {
            answer(&socket, &buf[..n], from);
        }
    });
    port
}

/// A port that was free just now.
fn free_port(address: IpAddr) -> u16 {
    UdpSocket::bind(SocketAddr::new(address, 0)).unwrap().local_addr().unwrap().port()
}

fn udp(port: u16, timeout_ms: u64, send: &[u8], expect: Option<&str>) -> Arc<Healthcheck> {
    let kind = UdpCheck { send: send.to_vec(), expect: expect.map(pattern) };
    Arc::new(check(CheckKind::Udp(kind), port, timeout_ms))
}

#[test]
fn udp_passes_at_an_answer_that_matches() {
    let rig = Rig::new();
    for address in families() {
        let port = peer(address, |s, data, from| {
            s.send_to(&[b"you said ", data].concat(), from).unwrap();
        });
        assert_eq!(rig.said(address, &udp(port, 5000, b"hello", Some("^you said hello$"))), "L7OK");
        let said = rig.said(address, &udp(port, 5000, b"hello", Some("bye")));
        assert_eq!(said, "L7RSP answer does not match");
        assert_eq!(rig.said(address, &udp(port, 5000, b"", None)), "L7OK");
        assert_eq!(rig.said(address, &udp(port, 5000, b"", Some("^you said $"))), "L7OK");
    }
}

#[test]
fn udp_without_expect_passes_at_the_timeout() {
    let rig = Rig::new();
    let port = peer(V4, |_, _, _| {});
    let report = rig.probe(V4, &udp(port, 300, b"hello", None));
    assert_eq!(said(&report.outcome), "L4OK no answer, no ICMP error");
    assert_at_deadline(&report, 300);
    let report = rig.probe(V4, &udp(port, 300, b"hello", Some("x")));
    assert_eq!(said(&report.outcome), "L4TOUT no answer in time");
    assert_at_deadline(&report, 300);
}

#[test]
fn icmp_unreachable_is_l4con_at_once() {
    let rig = Rig::new();
    for address in families() {
        let port = free_port(address);
        for check in
            [udp(port, 10_000, b"x", None), udp(port, 10_000, b"x", Some("x")), dns(port, 10_000, |_| {})]
        {
            let report = rig.probe(address, &check);
            assert_eq!(said(&report.outcome), "L4CON connection refused");
            assert!(took(&report) < Duration::from_secs(2));
        }
    }
}

#[test]
fn only_the_address_that_was_asked_may_answer() {
    let rig = Rig::new();
    let port = peer(V4, |_, _, from| {
        // The right words, from elsewhere: another address, another port.
        UdpSocket::bind("127.0.0.2:0").unwrap().send_to(b"pong", from).unwrap();
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"pong", from).unwrap();
    });
    assert_eq!(rig.said(V4, &udp(port, 300, b"ping", Some("pong"))), "L4TOUT no answer in time");
    assert_eq!(rig.said(V4, &udp(port, 300, b"ping", None)), "L4OK no answer, no ICMP error");
}

#[test]
fn a_late_answer_never_counts_for_the_next_probe() {
    let rig = Rig::new();
    let port = peer(V4, |s, _, from| {
        std::thread::sleep(Duration::from_millis(300));
        let _ = s.send_to(b"pong", from);
    });
    for _ in 0..5 {
        assert_eq!(rig.said(V4, &udp(port, 100, b"ping", Some("pong"))), "L4TOUT no answer in time");
    }
}

#[test]
fn our_own_faults_are_sockerr() {
    let rig = Rig::new();
    let with_source = |source: &str| {
        let mut h = (*udp(9, 1000, b"x", None)).clone();
        h.probe_ipv4_src = Some(source.parse().unwrap());
        Arc::new(h)
    };
    assert_eq!(rig.said(V4, &with_source("192.0.2.77")), "SOCKERR bind: address not available");
    let report = rig.probe(V4, &udp(9, 1000, &[0; 65_508], None));
    assert_eq!(said(&report.outcome), "SOCKERR send: message too long");
}

#[test]
fn the_source_address_is_the_one_asked_for() {
    let rig = Rig::new();
    let port = peer(V4, |s, _, from| {
        s.send_to(from.ip().to_string().as_bytes(), from).unwrap();
    });
    let mut h = (*udp(port, 5000, b"x", Some("^127\\.9\\.9\\.9$"))).clone();
    h.probe_ipv4_src = Some("127.9.9.9".parse().unwrap());
    assert_eq!(rig.said(V4, &Arc::new(h)), "L7OK");
}

fn dns_check(change: impl FnOnce(&mut DnsCheck)) -> DnsCheck {
    let mut kind =
        DnsCheck { name: "www.example.net".into(), qtype: TYPE::A, rcode: RCODE::NoError, expect: None };
    change(&mut kind);
    kind
}

fn dns(port: u16, timeout_ms: u64, change: impl FnOnce(&mut DnsCheck)) -> Arc<Healthcheck> {
    Arc::new(check(CheckKind::Dns(dns_check(change)), port, timeout_ms))
}

/// An answer to a question, changed by `change`.
fn answer(asked: &[u8], change: impl FnOnce(&mut Packet<'_>)) -> Vec<u8> {
    let mut packet = Packet::parse(asked).unwrap().into_reply();
    change(&mut packet);
    packet.build_bytes_vec().unwrap()
}

fn record(rdata: RData<'static>) -> ResourceRecord<'static> {
    ResourceRecord::new(Name::new_unchecked("www.example.net"), CLASS::IN, 60, rdata)
}

fn a(address: [u8; 4]) -> ResourceRecord<'static> {
    record(RData::A(A { address: u32::from_be_bytes(address) }))
}

#[test]
fn dns_good_and_bad_results() {
    let rig = Rig::new();
    for address in families() {
        let port = peer(address, |s, asked, from| {
            let name = Packet::parse(asked).unwrap().questions[0].qname.to_string().to_lowercase();
            let out = answer(asked, |p| match name.as_str() {
                "www.example.net" => p.answers.push(a([192, 0, 2, 1])),
                "refused.example.net" => *p.rcode_mut() = RCODE::Refused,
                _ => *p.rcode_mut() = RCODE::NameError,
            });
            s.send_to(&out, from).unwrap();
        });
        for (said, name, rcode, expect) in [
            ("L7OK NOERROR", "www.example.net", RCODE::NoError, None),
            ("L7OK NOERROR", "WWW.example.NET.", RCODE::NoError, None),
            ("L7OK NOERROR", "www.example.net", RCODE::NoError, Some("^192\\.0\\.2\\.1$")),
            ("L7RSP answer does not match", "www.example.net", RCODE::NoError, Some("^192\\.0\\.2\\.2$")),
            ("L7STS NOERROR", "www.example.net", RCODE::NameError, None),
            ("L7STS NXDOMAIN", "no.example.net", RCODE::NoError, None),
            ("L7OK NXDOMAIN", "no.example.net", RCODE::NameError, None),
            ("L7RSP no records in the answer", "no.example.net", RCODE::NameError, Some(".")),
            ("L7STS REFUSED", "refused.example.net", RCODE::NoError, None),
            ("L7STS NXDOMAIN", ".", RCODE::NoError, None),
        ] {
            let c = dns(port, 5000, |d| {
                (d.name, d.rcode, d.expect) = (name.into(), rcode, expect.map(pattern));
            });
            assert_eq!(rig.said(address, &c), said, "{name}");
        }
    }
}

#[test]
fn dns_answers_to_other_questions_are_ignored() {
    type Change = fn(&[u8]) -> Vec<u8>;
    let rows: [(&str, Change); 8] = [
        ("wrong id", |asked| answer(asked, |p| p.set_id(p.id().wrapping_add(1)))),
        ("the question itself", |asked| asked.to_vec()),
        ("another name", |asked| {
            answer(asked, |p| p.questions[0].qname = Name::new_unchecked("other.example.net"))
        }),
        ("another type", |asked| answer(asked, |p| p.questions[0].qtype = QTYPE::TYPE(TYPE::MX))),
        ("another class", |asked| answer(asked, |p| p.questions[0].qclass = QCLASS::CLASS(CLASS::CH))),
        ("no question", |asked| answer(asked, |p| p.questions.clear())),
        ("two questions", |asked| {
            answer(asked, |p| {
                let again = p.questions[0].clone();
                p.questions.push(again);
            })
        }),
        ("short", |asked| asked[..11].to_vec()),
    ];
    let rig = Rig::new();
    for (what, change) in rows {
        let port = peer(V4, move |s, asked, from| {
            s.send_to(&change(asked), from).unwrap();
        });
        let said = rig.said(V4, &dns(port, 200, |_| {}));
        assert_eq!(said, "L7TOUT only answers to other questions in time", "{what}");
        // The right one after it counts.
        let port = peer(V4, move |s, asked, from| {
            for _ in 0..100 {
                s.send_to(&change(asked), from).unwrap();
            }
            s.send_to(&answer(asked, |_| {}), from).unwrap();
        });
        assert_eq!(rig.said(V4, &dns(port, 5000, |_| {})), "L7OK NOERROR", "{what}");
    }
}

#[test]
fn dns_silence_is_l4tout() {
    let rig = Rig::new();
    let port = peer(V4, |_, _, _| {});
    let report = rig.probe(V4, &dns(port, 300, |_| {}));
    assert_eq!(said(&report.outcome), "L4TOUT no answer in time");
    assert_at_deadline(&report, 300);
}

#[test]
fn a_flood_of_strays_neither_passes_nor_outlives_the_deadline() {
    let rig = Rig::new();
    let port = peer(V4, |s, _, from| {
        // Ends when the probe's socket is gone, and ICMP says so here.
        let own = s.try_clone().unwrap();
        own.connect(from).unwrap();
        while own.send(&[0xff; 500]).is_ok() {}
    });
    let report = rig.probe(V4, &dns(port, 300, |_| {}));
    assert_eq!(said(&report.outcome), "L7TOUT only answers to other questions in time");
    assert_at_deadline(&report, 300);
}

#[test]
fn dns_ids_and_ports_are_not_guessable() {
    let rig = Rig::new();
    let (tell, told) = crossbeam_channel::unbounded();
    let port = peer(V4, move |s, asked, from| {
        let _ = tell.send((u16::from_be_bytes([asked[0], asked[1]]), from.port()));
        s.send_to(&answer(asked, |_| {}), from).unwrap();
    });
    for _ in 0..64 {
        assert_eq!(rig.said(V4, &dns(port, 5000, |_| {})), "L7OK NOERROR");
    }
    let seen: Vec<(u16, u16)> = told.try_iter().collect();
    assert_eq!(seen.len(), 64);
    let steps = |of: fn(&(u16, u16)) -> u16| {
        let mut all: Vec<u16> = seen.windows(2).map(|w| of(&w[1]).wrapping_sub(of(&w[0]))).collect();
        all.sort_unstable();
        all.dedup();
        all.len()
    };
    assert!(steps(|s| s.0) > 50, "ids: {seen:?}");
    assert!(steps(|s| s.1) > 30, "ports: {seen:?}");
}

fn said_of(check: &DnsCheck, change: impl FnOnce(&mut Packet<'_>)) -> Option<String> {
    let asked = query(check, 7).unwrap();
    judge(check, 7, &answer(&asked, change)).map(|o| said(&o))
}

#[test]
fn the_question_is_one_recursive_question() {
    let asked = query(&dns_check(|d| d.qtype = TYPE::MX), 0x1234).unwrap();
    let packet = Packet::parse(&asked).unwrap();
    assert_eq!((packet.id(), packet.questions.len(), packet.answers.len()), (0x1234, 1, 0));
    assert!(packet.has_flags(PacketFlag::RECURSION_DESIRED) && !packet.has_flags(PacketFlag::RESPONSE));
    assert_eq!(packet.questions[0].qname.to_string(), "www.example.net");
    assert_eq!(packet.questions[0].qtype, QTYPE::TYPE(TYPE::MX));
    let root = query(&dns_check(|d| d.name = ".".into()), 1).unwrap();
    assert_eq!(root.len(), 12 + 1 + 4);
}

#[test]
fn every_type_has_a_text() {
    let n = Name::new_unchecked;
    let rows: [(RData<'static>, &str); 10] = [
        (RData::A(A { address: 0xc000_0201 }), "192.0.2.1"),
        (RData::AAAA(AAAA { address: 0x2001_0db8 << 96 | 1 }), "2001:db8::1"),
        (RData::CNAME(CNAME(n("a.example"))), "a.example"),
        (RData::NS(NS(n("ns.example"))), "ns.example"),
        (RData::PTR(PTR(n("p.example"))), "p.example"),
        (RData::MX(MX { preference: 10, exchange: n("mx.example") }), "10 mx.example"),
        (RData::SRV(SRV { priority: 1, weight: 2, port: 3, target: n("s.example") }), "1 2 3 s.example"),
        (
            RData::SOA(SOA {
                mname: n("m.example"),
                rname: n("r.example"),
                serial: 1,
                refresh: 2,
                retry: 3,
                expire: 4,
                minimum: 5,
            }),
            "m.example r.example 1 2 3 4 5",
        ),
        (
            RData::TXT(TXT::new().with_string("v=spf1 ").unwrap().with_string("a=b=c").unwrap()),
            "v=spf1 a=b=c",
        ),
        (RData::TXT(TXT::new().with_string("plain").unwrap()), "plain"),
    ];
    for (rdata, text) in rows {
        let whole = dns_check(|d| d.expect = Some(pattern(&format!("^{}$", regex_syntax::escape(text)))));
        let said = said_of(&whole, |p| p.answers.push(record(rdata)));
        assert_eq!(said.as_deref(), Some("L7OK NOERROR"), "{text}");
    }
}

#[test]
fn truncated_and_odd_answers() {
    let plain = dns_check(|_| {});
    let cut = |p: &mut Packet<'_>| p.set_flags(PacketFlag::TRUNCATION);
    assert_eq!(said_of(&plain, cut).as_deref(), Some("L7OK NOERROR"));
    let wants = dns_check(|d| d.expect = Some(pattern("^192")));
    assert_eq!(said_of(&wants, cut).as_deref(), Some("L7RSP truncated answer does not match"));
    let heard = said_of(&wants, |p| {
        cut(p);
        p.answers.push(a([192, 0, 2, 1]));
    });
    assert_eq!(heard.as_deref(), Some("L7OK NOERROR"));
    // An error may come without the question.
    let heard = said_of(&plain, |p| {
        *p.rcode_mut() = RCODE::FormatError;
        p.questions.clear();
    });
    assert_eq!(heard.as_deref(), Some("L7STS FORMERR"));
    // A header that promises more than there is.
    let mut bytes = answer(&query(&plain, 7).unwrap(), |_| {});
    bytes[7] = 9;
    assert_eq!(judge(&plain, 7, &bytes).map(|o| said(&o)).as_deref(), Some("L7RSP malformed answer"));
    bytes.resize(4097, 0);
    assert_eq!(judge(&plain, 7, &bytes).map(|o| said(&o)).as_deref(), Some("L7RSP answer too long"));
    // A result that has no name here.
    let mut bytes = answer(&query(&plain, 7).unwrap(), |_| {});
    bytes[3] = bytes[3] & 0xf0 | 9;
    assert_eq!(judge(&plain, 7, &bytes).map(|o| said(&o)).as_deref(), Some("L7STS rcode 9"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Whatever comes is judged without a panic, and nothing but an answer to the question passes.
    #[test]
    fn any_datagram(mut data in proptest::collection::vec(any::<u8>(), 0..600), ours in any::<bool>()) {
        let check = dns_check(|d| d.expect = Some(pattern("never so")));
        if ours && data.len() >= 3 {
            (data[0], data[1]) = (0, 7);
            data[2] |= 0x80;
        }
        let outcome = judge(&check, 7, &data);
        prop_assert!(outcome.is_none_or(|o| o.code.as_str() != "L7OK"));
    }

    /// The same for a record of any type with anything in it.
    #[test]
    fn any_record(
        kind in prop_oneof![0u16..300, any::<u16>()],
        data in proptest::collection::vec(any::<u8>(), 0..80),
        length in option::of(any::<u16>()),
    ) {
        let check = dns_check(|d| d.expect = Some(pattern("never so")));
        let mut bytes = answer(&query(&check, 7).unwrap(), |_| {});
        bytes[7] = 1;
        bytes.extend_from_slice(&[0xc0, 12]);
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
        bytes.extend_from_slice(&length.unwrap_or(data.len() as u16).to_be_bytes());
        bytes.extend_from_slice(&data);
        let outcome = judge(&check, 7, &bytes);
        prop_assert!(outcome.is_some_and(|o| o.code.as_str() == "L7RSP"));
    }

    /// The same for answers that are almost right: where parsers break.
    #[test]
    fn any_damage(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let check = dns_check(|d| d.expect = Some(pattern("never so")));
        let n = Name::new_unchecked;
        let mut data = answer(&query(&check, 7).unwrap(), |p| {
            p.answers.push(a([192, 0, 2, 1]));
            p.answers.push(record(RData::CNAME(CNAME(n("a.b.c.example")))));
            p.answers.push(record(RData::MX(MX { preference: 1, exchange: n("mx.www.example.net") })));
            p.answers.push(record(RData::TXT(TXT::new().with_string("some=text").unwrap())));
        });
        for (at, to) in changes {
            let at = at.index(data.len());
            data[at] = to;
        }
        data.truncate(data.len() - cut.index(data.len() / 4));
        let outcome = judge(&check, 7, &data);
        prop_assert!(outcome.is_none_or(|o| o.code.as_str() != "L7OK"));
    }
}
