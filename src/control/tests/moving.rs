//! No edit takes a frontend out of service while it has healthy servers: new ones are judged before the old ones go.

use super::lab::{vip_tcp, with_tcp};
use super::{Lab, Net};
use crate::lb::{LoadBalancer, VipKey};

const ONE: &str = with_tcp!(
    "
  backends:
    a: {address: 10.1.0.1, healthcheck: tcp}
  frontends:
    web: {address: 192.0.2.1, protocol: tcp, port: 80, encap: gre4, pools: [{name: p, backends: {a: {}}}]}
"
);

/// Sum of the weights of a VIP; none: it is not there.
fn weights(lab: &mut Lab, vip: &VipKey) -> Option<u32> {
    let there = lab.lb.vips().unwrap().iter().any(|record| record.key() == Some(*vip));
    there.then(|| lab.lb.servers(vip).unwrap().iter().map(|s| u32::from(s.weight)).sum())
}

/// Loads `to`, of whose server nothing is known at first, and watches until the new VIP has weight: the old one had it until then.
fn moves(to: &str, new: VipKey, old: VipKey, late: &str) {
    let before =
        if old.service.is_none() { ONE.replace("protocol: tcp, port: 80, ", "") } else { ONE.to_owned() };
    let mut lab = Lab::new(&before);
    lab.run(5000);
    assert_eq!(weights(&mut lab, &old), Some(100), "{to}");
    lab.net(late, Net::Fault);
    lab.load(to);
    for _ in 0..2000 {
        lab.run(1);
        assert_eq!(weights(&mut lab, &old), Some(100), "{to}");
    }
    lab.net(late, Net::Good);
    let mut served = false;
    for _ in 0..5000 {
        lab.run(1);
        let is = weights(&mut lab, &new).unwrap_or(0);
        served |= is > 0 && (new == old || weights(&mut lab, &old).unwrap_or(0) == 0);
        assert!(is > 0 || weights(&mut lab, &old).unwrap_or(0) > 0, "nobody serves: {to}");
    }
    assert!(served, "{to}");
    if new != old {
        assert_eq!(weights(&mut lab, &old), None, "{to}");
    }
    // A server that never answers is waited for as long as at a start, and no longer.
    let mut lab = Lab::new(&before);
    lab.run(5000);
    lab.net(late, Net::Fault);
    lab.load(to);
    lab.run(9_000);
    assert_eq!(weights(&mut lab, &old), Some(100), "{to}");
    lab.run(2_000);
    if new != old {
        assert_eq!(weights(&mut lab, &old), None, "{to}");
    }
    assert!(weights(&mut lab, &new).is_some(), "{to}");
}

fn edited(edits: &[(&str, &str)]) -> String {
    edits.iter().fold(ONE.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    })
}

const NEW_SERVER: (&str, &str) =
    ("a: {address: 10.1.0.1, healthcheck: tcp}", "b: {address: 10.1.0.2, healthcheck: tcp}");
const NEW_MEMBER: (&str, &str) = ("{a: {}}", "{b: {}}");

#[test]
fn from_all_ports_to_one_with_another_server() {
    let all = VipKey { service: None, ..vip_tcp("192.0.2.1", 80) };
    moves(&edited(&[NEW_SERVER, NEW_MEMBER]), vip_tcp("192.0.2.1", 80), all, "10.1.0.2");
}

#[test]
fn to_another_encapsulation_with_another_server() {
    let vip = vip_tcp("192.0.2.1", 80);
    let six = [
        ("a: {address: 10.1.0.1, healthcheck: tcp}", "b: {address: '2001:db8::2', healthcheck: tcp}"),
        ("gre4", "gre6"),
        ("ipv4-src-address: 10.0.0.1", "ipv6-src-address: '2001:db8::1'"),
        NEW_MEMBER,
    ];
    moves(&edited(&six), vip, vip, "2001:db8::2");
    moves(
        &edited(&[NEW_SERVER, ("encap: gre4", "encap: gre4, new-flow-table-length: 4096"), NEW_MEMBER]),
        vip,
        vip,
        "10.1.0.2",
    );
}

#[test]
fn to_another_address_or_port_with_another_server() {
    let old = vip_tcp("192.0.2.1", 80);
    moves(
        &edited(&[NEW_SERVER, ("192.0.2.1", "192.0.2.2"), NEW_MEMBER]),
        vip_tcp("192.0.2.2", 80),
        old,
        "10.1.0.2",
    );
    moves(
        &edited(&[NEW_SERVER, ("port: 80, encap", "port: 8080, encap"), NEW_MEMBER]),
        vip_tcp("192.0.2.1", 8080),
        old,
        "10.1.0.2",
    );
    // Another name and another port: it is at the same address that others serve.
    moves(
        &edited(&[NEW_SERVER, ("port: 80, encap", "port: 8080, encap"), ("web:", "other:"), NEW_MEMBER]),
        vip_tcp("192.0.2.1", 8080),
        old,
        "10.1.0.2",
    );
}

#[test]
fn to_other_servers_of_a_family() {
    let vip = vip_tcp("192.0.2.1", 80);
    moves(&edited(&[NEW_SERVER, NEW_MEMBER]), vip, vip, "10.1.0.2");
}
