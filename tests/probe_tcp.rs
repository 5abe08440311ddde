//! `tcp` checks against real peers on loopback.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod probe_support;

use std::io::Write;
use std::time::Duration;

use maglev::probe::Code;
use probe_support::*;

#[test]
fn a_listener_is_l4ok() {
    let rig = Rig::new();
    for address in families() {
        let port = serve(address, until_closed);
        assert_eq!(rig.said(address, &tcp(port, 2000)), "L4OK");
    }
}

#[test]
fn a_closed_port_is_l4con_refused() {
    let rig = Rig::new();
    for address in families() {
        let (_held, port) = closed_port(address);
        let r = rig.probe(address, &tcp(port, 2000));
        assert_eq!(said(&r.outcome), "L4CON connection refused");
        assert!(took(&r) < Duration::from_millis(500), "{:?}", took(&r));
    }
}

#[test]
fn a_silent_peer_is_l4tout_at_the_deadline() {
    let rig = Rig::new();
    for address in families() {
        let silent = silent(address);
        let r = rig.probe(address, &tcp(silent.port, 200));
        assert_eq!(said(&r.outcome), "L4TOUT connection timed out");
        assert_at_deadline(&r, 200);
    }
}

#[test]
fn a_source_address_is_used() {
    let rig = Rig::new();
    let port = serve(V4, |mut c| {
        let from = c.peer_addr().unwrap().ip();
        let _ = write!(c, "you are {from}");
        until_closed(c);
    });
    let mut with = (*expect(port, 2000, "", "you are 127.0.0.77$")).clone();
    with.probe_ipv4_src = Some("127.0.0.77".parse().unwrap());
    assert_eq!(rig.said(V4, &with.clone().into()), "L7OK");
    // Of the other family: not used.
    with.probe_ipv4_src = None;
    with.probe_ipv6_src = Some("::1".parse().unwrap());
    with.timeout = Duration::from_millis(300);
    assert_eq!(rig.said(V4, &with.into()), "L7TOUT no matching answer in time");
}

#[test]
fn a_source_address_that_is_not_ours_is_our_fault() {
    let rig = Rig::new();
    let mut c = (*tcp(80, 2000)).clone();
    c.probe_ipv4_src = Some("192.0.2.1".parse().unwrap());
    c.probe_ipv6_src = Some("2001:db8::1".parse().unwrap());
    let c = c.into();
    for address in families() {
        assert_eq!(rig.said(address, &c), "SOCKERR bind: address not available");
    }
}

#[test]
fn what_connect_itself_refuses_is_our_fault() {
    let rig = Rig::new();
    if families().contains(&V6) {
        // Link-local without an interface.
        assert_eq!(rig.said("fe80::1".parse().unwrap(), &tcp(80, 2000)), "SOCKERR connect: invalid argument");
    }
    assert_eq!(code(&rig.probe("255.255.255.255".parse().unwrap(), &tcp(80, 2000))), Code::SockErr);
}

#[test]
fn send_and_expect() {
    let rig = Rig::new();
    let port = serve(V4, |mut c| {
        let said = request(&mut c);
        let _ = c.write_all(if said == "PING\r\n\r\n" { b"+PO" } else { b"-ERR" });
        let _ = c.write_all(b"NG\r\n");
        until_closed(c);
    });
    assert_eq!(rig.said(V4, &expect(port, 2000, "PING\r\n\r\n", r"^\+PONG")), "L7OK");
    assert_eq!(rig.said(V4, &expect(port, 2000, "PING\r\n\r\n", "")), "L7OK");
    let r = rig.probe(V4, &expect(port, 300, "HELLO\r\n\r\n", r"^\+PONG"));
    assert_eq!(said(&r.outcome), "L7TOUT no matching answer in time");
    assert_at_deadline(&r, 300);
}

#[test]
fn expect_without_an_answer() {
    let rig = Rig::new();
    let port = serve(V4, until_closed);
    assert_eq!(rig.said(V4, &expect(port, 200, "", "x")), "L7TOUT no answer in time");
    let port = serve(V4, drop);
    assert_eq!(rig.said(V4, &expect(port, 2000, "", "x")), "L7RSP closed without an answer");
    let port = serve(V4, |mut c| {
        let _ = c.write_all(b"421 too busy");
    });
    assert_eq!(rig.said(V4, &expect(port, 2000, "", "^220")), "L7RSP answer does not match");
}

#[test]
fn expect_with_an_endless_answer_ends_at_64_kib() {
    let rig = Rig::new();
    let port = serve(V4, |mut c| while c.write_all(&[b'n'; 4096]).is_ok() {});
    assert_eq!(rig.said(V4, &expect(port, 5000, "", "yes")), "L7RSP answer does not match");
}

#[test]
fn a_banner_before_a_reset_still_counts() {
    let rig = Rig::new();
    let port = serve(V4, |mut c| {
        let _ = c.write_all(b"220 hello");
        socket2::SockRef::from(&c).set_linger(Some(Duration::ZERO)).unwrap();
    });
    let o = rig.said(V4, &expect(port, 2000, "", "^220"));
    // A reset may overtake what was sent before it; then it is told as what it is.
    assert!(["L7OK", "L7RSP connection reset"].contains(&o.as_str()), "{o}");
}
