//! NAT: what leaves the configuration is parked, and what cannot be had is said (docs/behaviour.md, "NAT").

use super::lab::ip;
use super::{Lab, Net};
use crate::lb::{LoadBalancer, Protocol, VipKey};

const DNS: &str = "
maglev:
  vpp: {lb: {ipv4-src-address: 10.0.0.1, startup-max-delay: 10s}}
  healthchecks:
    tcp: {type: tcp, port: 80, interval: 1s, timeout: 500ms, jitter: 0}
  backends:
    a: {address: 10.1.0.1, healthcheck: tcp}
    b: {address: 10.1.0.2, healthcheck: tcp}
  frontends:
    dns: {address: 192.0.2.1, protocol: udp, port: 53, encap: nat4, pools: [{name: all, backends: {a: {}, b: {}}}]}
";
const WITHOUT_B: &str = "backends: {a: {}}}]";

fn vip() -> VipKey {
    VipKey { address: ip("192.0.2.1"), service: Some((Protocol::Udp, 53)) }
}

fn weights(lab: &mut Lab, vip: &VipKey) -> String {
    let mut all = lab.lb.servers(vip).unwrap();
    all.sort_by_key(|s| s.address);
    all.iter().map(|s| format!("{}={}", s.address, s.weight)).collect::<Vec<_>>().join(" ")
}

fn without_b() -> String {
    DNS.replace("backends: {a: {}, b: {}}}]", WITHOUT_B)
        .replace("    b: {address: 10.1.0.2, healthcheck: tcp}\n", "")
}

fn settled() -> Lab {
    let mut lab = Lab::new(DNS);
    lab.run(3000);
    assert_eq!(weights(&mut lab, &vip()), "10.1.0.1=100 10.1.0.2=100");
    lab.log.clear();
    lab.take_writes();
    lab
}

#[test]
fn a_nat_server_that_leaves_is_parked_and_its_backend_forgotten() {
    let mut lab = settled();
    lab.load(&without_b());
    lab.run(1000);
    assert_eq!(lab.take_writes(), ["vip=192.0.2.1:53/udp set-weight server=10.1.0.2 weight=0 flush"]);
    assert_eq!(weights(&mut lab, &vip()), "10.1.0.1=100 10.1.0.2=0");
    assert!(lab.c.backend("b").is_err(), "nobody uses it");
    let view = lab.c.frontend("dns").unwrap();
    assert_eq!((view.leaving.len(), view.error), (0, None));
    // Drift repair leaves it alone, and quiet is quiet.
    lab.run(120_000);
    assert_eq!(lab.take_writes(), [] as [&str; 0]);
    lab.load(DNS);
    lab.run(3000);
    assert_eq!(weights(&mut lab, &vip()), "10.1.0.1=100 10.1.0.2=100");
}

#[test]
fn a_nat_frontend_that_leaves_is_parked_and_shown_so() {
    let mut lab = settled();
    let record = lab.lb.vips().unwrap()[0];
    let servers = lab.lb.servers(&vip()).unwrap();
    let view = lab.c.lb_vip_view(&record, &servers);
    assert_eq!((view.frontend.as_deref(), view.parked, view.servers[0].parked), (Some("dns"), false, false));
    lab.load(DNS.split("  frontends:").next().unwrap());
    lab.run(200_000);
    assert_eq!(weights(&mut lab, &vip()), "10.1.0.1=0 10.1.0.2=0");
    assert_eq!(lab.take_writes().len(), 2);
    let view = lab.c.lb_vip_view(&record, &servers);
    assert_eq!((view.frontend, view.parked, view.foreign, view.servers[0].parked), (None, true, false, true));
    lab.load(DNS);
    lab.run(3000);
    assert_eq!(weights(&mut lab, &vip()), "10.1.0.1=100 10.1.0.2=100");
    assert_eq!((lab.lb.snat_clashes(), lab.lb.snat_aborts()), (0, 0));
}

#[test]
fn what_nat_forbids_is_shown_on_the_frontend_and_logged_once() {
    let mut lab = settled();
    lab.load(&DNS.replace("encap: nat4", "encap: nat4, target-port: 1053, new-flow-table-length: 2048"));
    lab.run(100_000);
    let why = "192.0.2.1:53/udp cannot be as configured before VPP is restarted: encap stays nat4 (target-port 53) instead \
               of nat4 (target-port 1053), new-flow-table-length stays 1024 instead of 2048";
    assert_eq!(lab.c.frontend("dns").unwrap().error.as_deref(), Some(why));
    assert_eq!(lab.take_log("restarted"), [format!("lb-sync {why}")]);
    assert_eq!(lab.c.status(lab.wall()).lb.failing, ["dns"]);
    let servers = lab.lb.servers(&vip()).unwrap();
    let flow = lab.c.flow_view("dns", &servers, ip("198.51.100.1"), 1, None).unwrap();
    assert_eq!(flow.table_length, 1024, "as it is in lb");
    // Health goes on to count.
    assert_eq!(lab.take_writes(), [] as [&str; 0]);
    lab.net("10.1.0.1", Net::Refused);
    lab.run(5000);
    assert_eq!(weights(&mut lab, &vip()), "10.1.0.1=0 10.1.0.2=100");
    lab.load(DNS);
    lab.run(2000);
    assert_eq!(lab.c.frontend("dns").unwrap().error, None);
}

#[test]
fn a_nat_vip_of_somebody_else_is_seen_by_its_target_port() {
    let mut lab = Lab::idle();
    let foreign = crate::lb::VipRecord {
        address: ip("192.0.2.99"),
        prefix_len: 32,
        protocol: 17,
        port: 53,
        encap: Some(crate::lb::Encap::Nat4 { target_port: 53 }),
        table_length: 16,
    };
    lab.lb.meddle_vip(&foreign).unwrap();
    lab.load(DNS);
    lab.run(5000);
    let error = lab.c.frontend("dns").unwrap().error.unwrap();
    assert!(error.contains("a NAT VIP made by somebody else has the target port"), "{error}");
    assert!(!lab.lb.vips().unwrap().iter().any(|v| v.key() == Some(vip())));
    assert!(lab.lb.vips().unwrap().contains(&foreign));
}

#[test]
fn a_nat_vip_whose_making_was_not_answered_is_not_deleted_as_what_was_there_before() {
    let gre = DNS.replace("encap: nat4", "encap: gre4");
    for lost in 1..=3 {
        let mut lab = Lab::new(&gre);
        lab.run(3000);
        lab.take_writes();
        // Flush, delete and add: all are done, and some answers are lost.
        lab.lb.lose_answers(lost);
        lab.load(DNS);
        lab.run(1);
        lab.take_writes();
        // Something changes before the next try.
        lab.net("10.1.0.2", Net::Refused);
        lab.run(30_000);
        let writes = lab.take_writes();
        assert!(lost < 3 || !writes.is_empty());
        assert!(!writes.iter().any(|w| w.contains("delete")), "{lost}: {writes:?}");
        assert_eq!(weights(&mut lab, &vip()), "10.1.0.1=100 10.1.0.2=0", "{lost}");
        assert_eq!((lab.lb.snat_clashes(), lab.lb.snat_aborts()), (0, 0));
    }
}
