//! `https` checks and `tcp` checks with `ssl` against real TLS servers on loopback.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod probe_support;
mod tls_support;

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use maglev::config::{CheckKind, HttpCheck, TcpCheck, TrustFrom};
use parking_lot::Mutex;
use probe_support::*;
use rcgen::{ExtendedKeyUsagePurpose, date_time_ymd};
use tls_support::*;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn a_good_certificate_passes_in_tls_1_2_and_1_3() {
    let (rig, ca) = (Rig::new(), Authority::new());
    for versions in [rustls::ALL_VERSIONS, &[&rustls::version::TLS12], &[&rustls::version::TLS13]] {
        let by_name = ca.server_with(&["www.example.net"], |_| {}, versions);
        let port = http_server(by_name.clone(), OK);
        assert_eq!(rig.said(V4, &https(port, 5000, ca.tls(Some("www.example.net")))), "L7OK HTTP 200");
        assert_eq!(rig.said(V4, &ssl(port, 5000, ca.tls(Some("www.example.net")))), "L6OK");
        // The backend's address, where no name is given: an IP SAN.
        let by_address = ca.server_with(&["127.0.0.1"], |_| {}, versions);
        let port = http_server(by_address, OK);
        assert_eq!(rig.said(V4, &https(port, 5000, ca.tls(None))), "L7OK HTTP 200");
    }
}

#[test]
fn over_ipv6_the_address_is_verified_too() {
    if !families().contains(&V6) {
        return;
    }
    let (rig, ca) = (Rig::new(), Authority::new());
    let config = ca.server(&["::1"]);
    let port = serve(V6, move |socket| {
        let connection = rustls::ServerConnection::new(config.clone()).unwrap();
        let mut s = rustls::StreamOwned::new(connection, socket);
        if asked(&mut s).is_some() {
            let _ = s.write_all(OK.as_bytes());
        }
    });
    assert_eq!(rig.said(V6, &https(port, 5000, ca.tls(None))), "L7OK HTTP 200");
}

#[test]
fn server_name_is_sni_and_an_address_is_not() {
    let (rig, ca) = (Rig::new(), Authority::new());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let names = seen.clone();
    let port = secure(ca.server(&["www.example.net", "127.0.0.1"]), move |mut s| {
        let question = asked(&mut s).unwrap();
        names.lock().push((s.conn.server_name().map(str::to_owned), question));
        s.write_all(OK.as_bytes()).unwrap();
    });
    assert_eq!(rig.said(V4, &https(port, 5000, ca.tls(Some("www.example.net")))), "L7OK HTTP 200");
    assert_eq!(rig.said(V4, &https(port, 5000, ca.tls(None))), "L7OK HTTP 200");
    let seen = seen.lock();
    assert_eq!(seen[0].0.as_deref(), Some("www.example.net"));
    assert_eq!(seen[1].0, None);
    assert!(seen[0].1.contains(&format!("\r\nHost: 127.0.0.1:{port}\r\n")), "{}", seen[0].1);
}

#[test]
fn bad_certificates_are_l6rsp_in_words() {
    let (rig, ca, stranger) = (Rig::new(), Authority::new(), Authority::new());
    let name = &["127.0.0.1"];
    let year = |y| date_time_ymd(y, 1, 1);
    let rows = [
        (ca.server(&["example.org"]), "L6RSP certificate is for example.org"),
        (ca.server(&["example.org", "192.0.2.1"]), "L6RSP certificate is for example.org, 192.0.2.1"),
        (stranger.server(name), "L6RSP unknown issuer"),
        (
            ca.server_with(
                name,
                |p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
                rustls::ALL_VERSIONS,
            ),
            "L6RSP certificate is not for servers",
        ),
        (
            ca.server_with(
                name,
                |p| p.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained),
                rustls::ALL_VERSIONS,
            ),
            "L6RSP certificate: ca used as end entity",
        ),
    ];
    for (config, said) in rows {
        let port = http_server(config.clone(), OK);
        assert_eq!(rig.said(V4, &https(port, 5000, ca.tls(None))), said);
        assert_eq!(rig.said(V4, &ssl(port, 5000, ca.tls(None))), said);
        // Nothing of it matters to who does not look.
        let all = tls(TrustFrom::Anyone, None);
        assert_eq!(rig.said(V4, &https(port, 5000, all.clone())), "L7OK HTTP 200");
        assert_eq!(rig.said(V4, &ssl(port, 5000, all)), "L6OK");
    }
    for (from, to, begins) in [
        (year(2000), year(2001), "L6RSP certificate expired "),
        (year(4000), year(4001), "L6RSP certificate not valid for another "),
    ] {
        let config = ca.server_with(name, |p| (p.not_before, p.not_after) = (from, to), rustls::ALL_VERSIONS);
        let port = http_server(config, OK);
        let said = rig.said(V4, &https(port, 5000, ca.tls(None)));
        assert!(said.starts_with(begins) && said.contains(" days"), "{said}");
        assert_eq!(rig.said(V4, &https(port, 5000, tls(TrustFrom::Anyone, None))), "L7OK HTTP 200");
    }
}

#[test]
fn expired_three_days_ago() {
    let (rig, ca) = (Rig::new(), Authority::new());
    let now = i64::try_from(rustls::pki_types::UnixTime::now().as_secs()).unwrap();
    let then = time::OffsetDateTime::from_unix_timestamp(now - 3 * 86_400 - 60).unwrap();
    let config = ca.server_with(&["127.0.0.1"], |p| p.not_after = then, rustls::ALL_VERSIONS);
    let port = http_server(config, OK);
    assert_eq!(rig.said(V4, &https(port, 5000, ca.tls(None))), "L6RSP certificate expired 3 days ago");
}

#[test]
fn the_hosts_trust_store_knows_no_test_authority() {
    let (rig, ca) = (Rig::new(), Authority::new());
    let port = http_server(ca.server(&["127.0.0.1"]), OK);
    assert_eq!(rig.said(V4, &https(port, 5000, tls(TrustFrom::Host, None))), "L6RSP unknown issuer");
}

#[test]
fn an_alert_is_told() {
    let (rig, ca) = (Rig::new(), Authority::new());
    // A server that speaks no version in common would answer with this alert; so does this one, at once.
    let port = serve(V4, |mut s| {
        let mut buf = [0; 1024];
        let _ = s.read(&mut buf);
        let _ = s.write_all(&[21, 3, 3, 0, 2, 2, 40]);
        until_closed(s);
    });
    assert_eq!(rig.said(V4, &ssl(port, 5000, ca.tls(None))), "L6RSP TLS alert: handshake failure");
    // One that wants a certificate from us: in TLS 1.3 it says so after the handshake.
    let port = http_server(ca.server_of_few(&["127.0.0.1"]), OK);
    let said = rig.said(V4, &https(port, 5000, ca.tls(None)));
    assert_eq!(said, "L6RSP TLS alert: certificate required");
}

#[test]
fn what_is_not_tls_is_l6rsp() {
    let (rig, ca) = (Rig::new(), Authority::new());
    for (bytes, said) in [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "L6RSP not TLS"),
        (b"220 mail.example.net ESMTP\r\n".to_vec(), "L6RSP not TLS"),
        (vec![0; 20_000], "L6RSP not TLS"),
    ] {
        let port = serve(V4, move |mut s| {
            let _ = s.write_all(&bytes);
            until_closed(s);
        });
        assert_eq!(rig.said(V4, &https(port, 5000, ca.tls(None))), said);
    }
    // The head of a record, and then anything.
    let port = serve(V4, |mut s| {
        let _ = s.write_all(&[22, 3, 3, 0, 200]);
        let _ = s.write_all(&[0xff; 4000]);
        until_closed(s);
    });
    let said = rig.said(V4, &https(port, 5000, ca.tls(None)));
    assert!(said.starts_with("L6RSP bad TLS message") || said.starts_with("L6RSP TLS"), "{said}");
}

#[test]
fn a_peer_that_closes_or_resets_within_the_handshake_is_l6rsp() {
    let (rig, ca) = (Rig::new(), Authority::new());
    let port = serve(V4, |mut s| {
        let mut buf = [0; 4096];
        let _ = s.read(&mut buf);
    });
    assert_eq!(rig.said(V4, &ssl(port, 5000, ca.tls(None))), "L6RSP closed within the TLS handshake");
    let port = serve(V4, |mut s| {
        let mut buf = [0; 4096];
        let _ = s.read(&mut buf);
        socket2::SockRef::from(&s).set_linger(Some(Duration::ZERO)).unwrap();
    });
    assert_eq!(rig.said(V4, &ssl(port, 5000, ca.tls(None))), "L6RSP connection reset");
    // Before TLS there is only TCP.
    let (_socket, port) = closed_port(V4);
    assert_eq!(rig.said(V4, &ssl(port, 5000, ca.tls(None))), "L4CON connection refused");
    let silent = silent(V4);
    assert_eq!(rig.said(V4, &ssl(silent.port, 200, ca.tls(None))), "L4TOUT connection timed out");
}

#[test]
fn the_deadline_holds_through_the_handshake() {
    let (rig, ca) = (Rig::new(), Authority::new());
    let port = serve(V4, until_closed);
    for check in [https(port, 300, ca.tls(None)), ssl(port, 300, ca.tls(None))] {
        let report = rig.probe(V4, &check);
        assert_eq!(said(&report.outcome), "L6TOUT TLS handshake not done in time");
        assert_at_deadline(&report, 300);
    }
    // A server that drips an honest handshake, byte by byte, is no faster.
    let config = ca.server(&["127.0.0.1"]);
    let port = serve(V4, move |mut s| {
        let mut connection = rustls::ServerConnection::new(config.clone()).unwrap();
        while connection.read_tls(&mut s).is_ok_and(|n| n > 0) {
            connection.process_new_packets().unwrap();
            let mut out = Vec::new();
            while connection.wants_write() {
                connection.write_tls(&mut out).unwrap();
            }
            for b in out {
                if s.write_all(&[b]).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    });
    let report = rig.probe(V4, &https(port, 500, ca.tls(None)));
    assert_eq!(said(&report.outcome), "L6TOUT TLS handshake not done in time");
    assert_at_deadline(&report, 500);
    // After it, the layer above times out.
    let port = secure(ca.server(&["127.0.0.1"]), |mut s| {
        let _ = asked(&mut s);
        until_closed(s.sock);
    });
    let report = rig.probe(V4, &https(port, 500, ca.tls(None)));
    assert_eq!(said(&report.outcome), "L7TOUT no complete response in time");
    assert_at_deadline(&report, 500);
}

#[test]
fn a_slow_but_honest_handshake_passes() {
    let (rig, ca) = (Rig::new(), Authority::new());
    let config = ca.server(&["127.0.0.1"]);
    let port = serve(V4, move |s| {
        std::thread::sleep(Duration::from_millis(200));
        let mut s = rustls::StreamOwned::new(rustls::ServerConnection::new(config.clone()).unwrap(), s);
        if asked(&mut s).is_some() {
            std::thread::sleep(Duration::from_millis(100));
            let _ = s.write_all(OK.as_bytes());
        }
    });
    assert_eq!(rig.said(V4, &https(port, 5000, ca.tls(None))), "L7OK HTTP 200");
}

#[test]
fn an_endless_handshake_is_cut_short() {
    let (rig, ca) = (Rig::new(), Authority::new());
    // One handshake message of 16 MiB, as its header says, in records of the largest size.
    let port = serve(V4, |mut s| {
        let _ = s.write_all(&[22, 3, 3, 0x40, 0, 2, 0xff, 0xff, 0xff]);
        let _ = s.write_all(&[0; 16380]);
        let record = [&[22, 3, 3, 0x40, 0], [0u8; 16384].as_slice()].concat();
        while s.write_all(&record).is_ok() {}
    });
    let report = rig.probe(V4, &https(port, 10_000, ca.tls(None)));
    assert_eq!(report.outcome.code.as_str(), "L6RSP", "{:?}", report.outcome);
    assert!(took(&report) < Duration::from_secs(5));
    // Harmless records without end: change-cipher-spec, which TLS 1.3 ignores.
    let port = serve(V4, |mut s| while s.write_all(&[20, 3, 3, 0, 1, 1].repeat(500)).is_ok() {});
    let report = rig.probe(V4, &https(port, 10_000, ca.tls(None)));
    assert_eq!(report.outcome.code.as_str(), "L6RSP", "{:?}", report.outcome);
    assert!(took(&report) < Duration::from_secs(5));
}

#[test]
fn an_endless_answer_is_cut_short() {
    let (rig, ca) = (Rig::new(), Authority::new());
    let kind = HttpCheck { tls: Some(ca.tls(None)), regexp: Some(pattern("never")), ..HttpCheck::default() };
    let port = secure(ca.server(&["127.0.0.1"]), |mut s| {
        let _ = asked(&mut s);
        let _ = s.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while s.write_all(&[b'x'; 8192]).is_ok() {}
    });
    let check = Arc::new(check(CheckKind::Http(kind), port, 10_000));
    assert_eq!(rig.said(V4, &check), "L7RSP body does not match");
}

#[test]
fn an_answer_without_an_end_that_tls_announces_still_counts() {
    let (rig, ca) = (Rig::new(), Authority::new());
    let kind = HttpCheck { tls: Some(ca.tls(None)), regexp: Some(pattern("^yes$")), ..HttpCheck::default() };
    for polite in [true, false] {
        let port = secure(ca.server(&["127.0.0.1"]), move |mut s| {
            let _ = asked(&mut s);
            let _ = s.write_all(b"HTTP/1.1 200 OK\r\n\r\nyes");
            if polite {
                s.conn.send_close_notify();
            }
            let _ = s.flush();
        });
        let check = Arc::new(check(CheckKind::Http(kind.clone()), port, 5000));
        assert_eq!(rig.said(V4, &check), "L7OK HTTP 200", "{polite}");
    }
}

#[test]
fn tcp_with_ssl_sends_and_expects() {
    let (rig, ca) = (Rig::new(), Authority::new());
    let port = secure(ca.server(&["127.0.0.1"]), |mut s| {
        let mut buf = [0; 5];
        if s.read_exact(&mut buf).is_ok() && &buf == b"PING\n" {
            let _ = s.write_all(b"+PONG\n");
        }
        until_closed(s.sock);
    });
    let with = |send: &str, expect: Option<&str>| {
        let (tls, expect) = (Some(ca.tls(None)), expect.map(pattern));
        Arc::new(check(CheckKind::Tcp(TcpCheck { send: send.into(), expect, tls }), port, 1000))
    };
    assert_eq!(rig.said(V4, &with("PING\n", Some("^\\+PONG"))), "L7OK");
    assert_eq!(rig.said(V4, &with("PING\n", None)), "L7OK");
    assert_eq!(rig.said(V4, &with("PONG\n", Some("^\\+PONG"))), "L7TOUT no answer in time");
    assert_eq!(rig.said(V4, &with("PING\n", Some("^no"))), "L7TOUT no matching answer in time");
}

#[test]
fn a_request_longer_than_all_buffers_goes_out_whole() {
    let (rig, ca) = (Rig::new(), Authority::new());
    let port = secure(ca.server(&["127.0.0.1"]), |mut s| {
        let whole = asked(&mut s).is_some_and(|r| r.len() > 3_000_000);
        let _ = s.write_all(if whole { OK.as_bytes() } else { b"HTTP/1.1 500 Short\r\n\r\n" });
    });
    let kind = HttpCheck {
        headers: vec![("X-Long".into(), "x".repeat(3_000_000))],
        tls: Some(ca.tls(None)),
        ..HttpCheck::default()
    };
    assert_eq!(rig.said(V4, &Arc::new(check(CheckKind::Http(kind), port, 15_000))), "L7OK HTTP 200");
}

#[test]
fn the_peer_is_told_that_the_probe_ends() {
    let (rig, ca) = (Rig::new(), Authority::new());
    let (tell, told) = crossbeam_channel::unbounded();
    // In TLS 1.2, where the client speaks last: a server of 1.3 may still be sending tickets when the reset comes.
    let config = ca.server_with(&["127.0.0.1"], |_| {}, &[&rustls::version::TLS12]);
    let port = secure(config, move |mut s| {
        // A read of 0 is the close that TLS announces; without it this is an error.
        let _ = tell.send(s.read(&mut [0; 16]).map_err(|e| e.to_string()));
    });
    assert_eq!(rig.said(V4, &ssl(port, 5000, ca.tls(None))), "L6OK");
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), Ok(0));
}

#[test]
fn hundreds_at_once() {
    let (rig, ca) = (Rig::new(), Authority::new());
    let port = http_server(ca.server(&["127.0.0.1"]), OK);
    let check = https(port, 15_000, ca.tls(None));
    for _ in 0..200 {
        rig.order(V4, &check);
    }
    for _ in 0..200 {
        assert_eq!(said(&rig.report().outcome), "L7OK HTTP 200");
    }
}
