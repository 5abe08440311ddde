//! `icmp` checks on loopback. They need raw or "ping" sockets; where neither is permitted they say so and pass.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod probe_support;

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use maglev::config::{CheckKind, Healthcheck};
use maglev::probe::{Code, ProberOptions};
use probe_support::*;

fn icmp(timeout_ms: u64) -> Arc<Healthcheck> {
    Arc::new(check(CheckKind::Icmp, 0, timeout_ms))
}

/// Whether the kernel lets us: a probe tells.
fn permitted(rig: &Rig, address: IpAddr) -> bool {
    let o = rig.said(address, &icmp(2000));
    let refused = o.starts_with("SOCKERR icmp socket:");
    if refused {
        eprintln!("skipped: no ICMP sockets for {address} here: {o}");
    }
    !refused
}

#[test]
fn loopback_answers() {
    for unprivileged_ping in [false, true] {
        let rig = Rig::with(ProberOptions { unprivileged_ping, ..Default::default() });
        for address in [V4, V6] {
            if permitted(&rig, address) {
                assert_eq!(rig.said(address, &icmp(2000)), "L4OK");
            }
        }
    }
}

#[test]
fn each_of_many_gets_its_own_answer() {
    for unprivileged_ping in [false, true] {
        let rig = Rig::with(ProberOptions { unprivileged_ping, ..Default::default() });
        if !permitted(&rig, V4) || !permitted(&rig, V6) {
            continue;
        }
        let check = icmp(5000);
        let address = |n: u8| if n.is_multiple_of(2) { V6 } else { IpAddr::from([127, 0, 1, n]) };
        let mut wanted: HashSet<_> =
            (0..1000).map(|n| rig.order(address(u8::try_from(n % 250).unwrap()), &check)).collect();
        while !wanted.is_empty() {
            let r = rig.report();
            assert!(wanted.remove(&r.id), "{r:?}");
            assert_eq!(code(&r), Code::L4Ok, "{r:?}");
        }
    }
}

#[test]
fn source_addresses() {
    let rig = Rig::new();
    if !permitted(&rig, V4) || !permitted(&rig, V6) {
        return;
    }
    let mut c = (*icmp(2000)).clone();
    c.probe_ipv4_src = Some("127.0.0.9".parse().unwrap());
    c.probe_ipv6_src = Some("::1".parse().unwrap());
    assert_eq!(rig.said(V4, &c.clone().into()), "L4OK");
    assert_eq!(rig.said(V6, &c.clone().into()), "L4OK");
    c.probe_ipv4_src = Some("192.0.2.1".parse().unwrap());
    c.probe_ipv6_src = Some("2001:db8::1".parse().unwrap());
    assert_eq!(rig.said(V4, &c.clone().into()), "SOCKERR bind: address not available");
    assert_eq!(rig.said(V6, &c.into()), "SOCKERR bind: address not available");
}

#[test]
fn no_answer_is_l4tout_at_the_deadline() {
    let rig = Rig::new();
    if !permitted(&rig, V4) {
        return;
    }
    // Sent from loopback it is dropped as martian where there is a route, and has no route elsewhere: both say that
    // a request nobody answers ends as it should. In namespaces (probe_netns) there is a real silent peer.
    let mut c = (*icmp(150)).clone();
    c.probe_ipv4_src = Some("127.0.0.1".parse().unwrap());
    let r = rig.probe("192.0.2.1".parse().unwrap(), &c.into());
    match code(&r) {
        Code::L4Tout => assert_at_deadline(&r, 150),
        _ => assert!(said(&r.outcome).starts_with("SOCKERR send: "), "{r:?}"),
    }
}
