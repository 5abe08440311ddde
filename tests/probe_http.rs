//! `http` checks against real peers on loopback.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod probe_support;

use std::io::Write;
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use maglev::budget::Budget;
use maglev::config::{CheckKind, HttpCheck};
use maglev::probe::{Code, Order, ProbeId, ProberOptions};
use probe_support::*;

/// Answers each request with `bytes` and closes.
fn answers(address: IpAddr, bytes: impl Into<Vec<u8>>) -> u16 {
    let bytes = bytes.into();
    serve(address, move |mut c| {
        request(&mut c);
        let _ = c.write_all(&bytes);
        let _ = c.shutdown(Shutdown::Write);
        until_closed(c);
    })
}

/// Answers each request with `bytes`, and leaves the connection open.
fn answers_and_stays(bytes: impl Into<Vec<u8>>) -> u16 {
    let bytes = bytes.into();
    serve(V4, move |mut c| {
        request(&mut c);
        let _ = c.write_all(&bytes);
        until_closed(c);
    })
}

#[test]
fn the_status_decides() {
    let rig = Rig::new();
    for (status, said) in [
        ("200 OK", "L7OK HTTP 200"),
        ("503 Service Unavailable", "L7STS HTTP 503"),
        ("404 Not Found", "L7STS HTTP 404"),
        ("301 Moved", "L7STS HTTP 301"),
    ] {
        for address in families() {
            let port = answers(address, format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nhi"));
            assert_eq!(rig.said(address, &http(port, 2000)), said);
        }
    }
}

#[test]
fn a_404_that_disables_is_l7okc_whatever_its_body() {
    let rig = Rig::new();
    let ask = |port, regexp: &str| {
        let regexp = (!regexp.is_empty()).then(|| pattern(regexp));
        let kind = HttpCheck { disable_on_404: true, regexp, ..HttpCheck::default() };
        rig.said(V4, &Arc::new(check(CheckKind::Http(kind), port, 5000)))
    };
    for answer in [
        "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 404 Not Found\r\nContent-Length: 1000\r\nConnection: keep-alive\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        "HTTP/1.0 404 Not Found\r\n\r\nno end",
    ] {
        let port = answers_and_stays(answer);
        assert_eq!(ask(port, ""), "L7OKC HTTP 404");
        assert_eq!(ask(port, "^welcome$"), "L7OKC HTTP 404");
        assert_eq!(rig.said(V4, &http(port, 5000)), "L7STS HTTP 404");
    }
    // Every other code is as ever.
    let port = answers(V4, "HTTP/1.1 410 Gone\r\n\r\n");
    assert_eq!(ask(port, ""), "L7STS HTTP 410");
    let port = answers(V4, "HTTP/1.1 200 OK\r\n\r\n");
    assert_eq!(ask(port, "^welcome$"), "L7RSP body does not match");
}

#[test]
fn no_body_is_awaited_without_a_regular_expression() {
    let rig = Rig::new();
    let port = answers_and_stays("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    let r = rig.probe(V4, &http(port, 5000));
    assert_eq!(said(&r.outcome), "L7OK HTTP 200");
    assert!(took(&r) < Duration::from_secs(2));
}

#[test]
fn the_request_is_as_configured() {
    let rig = Rig::new();
    let address = families().pop().unwrap();
    let host = if address == V6 { "[::1]" } else { "127.0.0.1" };
    let (tell, told) = std::sync::mpsc::channel();
    let port = serve(address, move |mut c| {
        let _ = tell.send(request(&mut c));
        let _ = c.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
    });
    let kind = HttpCheck {
        path: "/health?x=1".into(),
        method: "OPTIONS".into(),
        headers: vec![("X-Probe".into(), "yes".into())],
        ..HttpCheck::default()
    };
    let c = Arc::new(check(CheckKind::Http(kind), port, 2000));
    assert_eq!(rig.said(address, &c), "L7OK HTTP 200");
    assert_eq!(
        told.recv_timeout(PATIENCE).unwrap(),
        format!(
            "OPTIONS /health?x=1 HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: maglev\r\nConnection: close\r\n\
             X-Probe: yes\r\n\r\n"
        )
    );
}

#[test]
fn a_request_larger_than_the_socket_takes_is_sent_whole() {
    let rig = Rig::new();
    let port = serve(V4, |mut c| {
        // Late, so that the sender's buffer fills.
        std::thread::sleep(Duration::from_millis(50));
        let n = request(&mut c).len();
        let status = if n > 8_000_000 { 200 } else { 400 };
        let _ = write!(c, "HTTP/1.1 {status} x\r\n\r\n");
        until_closed(c);
    });
    let kind = HttpCheck { headers: vec![("X-Long".into(), "x".repeat(8_000_000))], ..HttpCheck::default() };
    assert_eq!(rig.said(V4, &Arc::new(check(CheckKind::Http(kind), port, 10_000))), "L7OK HTTP 200");
}

#[test]
fn a_bad_request_is_our_fault() {
    let rig = Rig::new();
    let kind = HttpCheck { path: "/a b".into(), ..HttpCheck::default() };
    let o = rig.said(V4, &Arc::new(check(CheckKind::Http(kind), 80, 2000)));
    assert_eq!(o, "SOCKERR bad path in the configuration");
}

#[test]
fn bodies_by_length_chunks_and_close() {
    let rig = Rig::new();
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    ] {
        // These ends are in the response itself.
        let port = answers_and_stays(answer);
        assert_eq!(rig.said(V4, &http_body(port, 5000, "^hello$")), "L7OK HTTP 200");
        assert_eq!(rig.said(V4, &http_body(port, 5000, "goodbye")), "L7RSP body does not match");
    }
    let port = answers(V4, "HTTP/1.1 200 OK\r\n\r\nhello");
    assert_eq!(rig.said(V4, &http_body(port, 5000, "^hello$")), "L7OK HTTP 200");
    assert_eq!(rig.said(V4, &http_body(port, 5000, "goodbye")), "L7RSP body does not match");
}

#[test]
fn a_body_cut_short_is_l7rsp() {
    let rig = Rig::new();
    let port = answers(V4, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello");
    assert_eq!(rig.said(V4, &http_body(port, 2000, "hello")), "L7RSP closed within the body");
}

#[test]
fn a_giant_body_is_read_to_64_kib_only() {
    let rig = Rig::new();
    let giant = |head: &'static str| {
        serve(V4, move |mut c| {
            request(&mut c);
            let _ = c.write_all(head.as_bytes());
            while c.write_all(&[b'x'; 8192]).is_ok() {}
        })
    };
    for head in ["HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"] {
        assert_eq!(rig.said(V4, &http_body(giant(head), 5000, "^x+$")), "L7OK HTTP 200");
        assert_eq!(rig.said(V4, &http_body(giant(head), 5000, "y")), "L7RSP body does not match");
    }
}

#[test]
fn interim_responses_are_skipped_a_flood_is_not_suffered() {
    let rig = Rig::new();
    let port = answers_and_stays("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
    assert_eq!(rig.said(V4, &http(port, 2000)), "L7OK HTTP 200");
    let port = serve(V4, |mut c| {
        request(&mut c);
        while c.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").is_ok() {}
    });
    assert_eq!(rig.said(V4, &http(port, 5000)), "L7RSP too many interim responses");
}

#[test]
fn endless_headers_end_at_16_kib() {
    let rig = Rig::new();
    for line in ["X: y\r\n", "xxxxxxxx"] {
        let port = serve(V4, move |mut c| {
            request(&mut c);
            let _ = c.write_all(b"HTTP/1.1 200 OK\r\nA: ");
            while c.write_all(line.as_bytes()).is_ok() {}
        });
        assert_eq!(rig.said(V4, &http(port, 5000)), "L7RSP headers too long");
    }
}

#[test]
fn garbage_is_l7rsp() {
    let rig = Rig::new();
    let port = answers_and_stays(b"\x16\x03\x01\x00\xff\xffgarbage".to_vec());
    assert_eq!(rig.said(V4, &http(port, 5000)), "L7RSP not an HTTP response");
    let port = answers_and_stays(b"HTTP/1.1 200 OK\r\n\x00\xff\xfe\r\n\r\n".to_vec());
    assert_eq!(rig.said(V4, &http(port, 5000)), "L7RSP malformed response");
}

#[test]
fn a_peer_that_closes_at_once_is_l7rsp() {
    let rig = Rig::new();
    let port = serve(V4, |mut c| {
        request(&mut c);
    });
    assert_eq!(rig.said(V4, &http(port, 2000)), "L7RSP closed without a response");
    let port = answers(V4, "HTTP/1.1 200 OK\r\nA: b");
    assert_eq!(rig.said(V4, &http(port, 2000)), "L7RSP closed within the headers");
}

fn reset(c: TcpStream) {
    socket2::SockRef::from(&c).set_linger(Some(Duration::ZERO)).unwrap();
}

#[test]
fn a_reset_after_the_handshake_is_l7rsp() {
    let rig = Rig::new();
    let port = serve(V4, |mut c| {
        request(&mut c);
        reset(c);
    });
    assert_eq!(rig.said(V4, &http(port, 2000)), "L7RSP connection reset");
    let port = serve(V4, |mut c| {
        request(&mut c);
        let _ = c.write_all(b"HTTP/1.1 200 OK\r\n");
        reset(c);
    });
    assert_eq!(rig.said(V4, &http(port, 2000)), "L7RSP connection reset");
}

#[test]
fn refused_is_l4con_and_silent_l4tout() {
    let rig = Rig::new();
    let (_held, port) = closed_port(V4);
    assert_eq!(rig.said(V4, &http(port, 2000)), "L4CON connection refused");
    let silent = silent(V4);
    assert_eq!(rig.said(V4, &http(silent.port, 200)), "L4TOUT connection timed out");
}

#[test]
fn connected_but_mute_is_l7tout() {
    let rig = Rig::new();
    let port = serve(V4, until_closed);
    let r = rig.probe(V4, &http(port, 200));
    assert_eq!(said(&r.outcome), "L7TOUT no complete response in time");
    assert_at_deadline(&r, 200);
}

#[test]
fn a_peer_that_drips_does_not_outlive_the_deadline() {
    let rig = Rig::new();
    let drip = |bytes: &'static [u8]| {
        serve(V4, move |mut c| {
            request(&mut c);
            let _ = c.set_nodelay(true);
            for b in bytes.iter().cycle().take(400) {
                if c.write_all(&[*b]).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        })
    };
    let long_head = http(drip(b"HTTP/1.1 200 OK and on and on and on and on and on"), 500);
    let port = serve(V4, |mut c| {
        request(&mut c);
        let _ = c.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        for _ in 0..400 {
            if c.write_all(b"x").is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    for c in [long_head, http_body(port, 500, "x")] {
        let r = rig.probe(V4, &c);
        assert_eq!(said(&r.outcome), "L7TOUT no complete response in time");
        assert_at_deadline(&r, 500);
    }
}

#[test]
fn what_stalling_servers_send_has_a_limit_for_all_probes_together() {
    let bodies = Budget::new("bodies", 256 << 10);
    let rig = Rig::with(ProberOptions { bodies: Some(bodies.clone()), ..ProberOptions::default() });
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n";
    let port = answers_and_stays(format!("{head}{}", "n".repeat(60_000)));
    let stalled = http_body(port, 60_000, "yes");
    let ids: Vec<ProbeId> = (0..20).map(|_| rig.order(V4, &stalled)).collect();
    // Each may hold 60 KiB of it: four do, for the others there is no room, and they end.
    let mut ended = Vec::new();
    while ended.len() < 16 {
        let report = rig.report();
        assert_eq!(code(&report), Code::SockErr, "{report:?}");
        assert!(report.outcome.detail.contains("no memory left"), "{report:?}");
        ended.push(report.id);
    }
    assert!(bodies.used() > 128 << 10 && bodies.used() <= 256 << 10, "{}", bodies.used());
    // Servers that send little are judged as ever meanwhile.
    let small = answers(V4, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes");
    assert_eq!(rig.said(V4, &http_body(small, 20_000, "yes")), "L7OK HTTP 200");
    for id in ids.into_iter().filter(|id| !ended.contains(id)) {
        rig.0.send(Order::Cancel(id));
    }
    let whole = answers(V4, format!("{head}{}yes", "n".repeat(65_533)));
    assert_eq!(rig.said(V4, &http_body(whole, 20_000, "yes")), "L7OK HTTP 200", "there is room again");
    assert_eq!(bodies.used(), 0);
}
