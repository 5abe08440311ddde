//! Rules on NAT: each in a world where it does not hold.

use std::net::IpAddr;

use super::super::books::Server;
use super::super::draft::stranger;
use super::super::nat::alive;
use super::super::settled::{said, settled};
use super::*;
use crate::lb::embedded::Embedded;
use crate::lb::{Encap, LoadBalancer, Protocol};

const NEVER: &str = "a NAT server or VIP is never deleted";
const USED: &str = "nothing else may have what NAT once had";
const STAYS: &str = "a NAT VIP stays as it was made, its servers as far as can be";

/// A NAT VIP that is configured and in `lb`, one of its servers, and what it was made as.
struct Scene {
    sim: Simulator,
    vip: VipKey,
    server: IpAddr,
    encap: Encap,
}

fn scene() -> Scene {
    let found = |sim: &Simulator| {
        sim.model.fronts.iter().find_map(|(vip, f)| {
            let encap = sim.books.nat_of(vip)?;
            let there = &sim.books.vips[vip].servers;
            let seat = f.seats.iter().find(|s| there.get(&s.address).is_some_and(|s| s.weight.is_some()))?;
            (encap == f.config.encap).then_some((*vip, seat.address, encap))
        })
    };
    let sim = calm(|sim| found(sim).is_some());
    let (vip, server, encap) = found(&sim).unwrap();
    Scene { sim, vip, server, encap }
}

fn ask(op: impl FnOnce(&mut Scene) -> Op) -> Result<(), Broken> {
    let mut s = scene();
    let op = op(&mut s);
    let answers = LbAnswer::Apply(vec![Ok(())], None);
    let Scene { sim, .. } = &mut s;
    sim.books.asked(&sim.model, sim.world.now, &LbRequest::Apply(vec![op]), &answers)
}

#[test]
fn every_rule_on_calls_for_nat_can_fail() {
    assert_eq!(rule(ask(|s| Op::DelVip { vip: s.vip })), NEVER);
    assert_eq!(rule(ask(|s| Op::DelServer { vip: s.vip, address: s.server, flush: true })), NEVER);
    let add = |s: &Scene, address| Op::AddServer { vip: s.vip, address, weight: 0, flush: false };
    let other = |s: &Scene| VipKey { service: Some((Protocol::Udp, 9)), ..s.vip };
    // Another VIP has it, or had it and is gone; or somebody else has the port.
    for gone in [false, true] {
        let seen = ask(|s| {
            let address = stranger(s.server.is_ipv6());
            s.sim.books.nat.claim(&other(s), s.encap, address, true);
            if gone {
                s.sim.books.nat.gone(&other(s));
            }
            add(s, address)
        });
        assert_eq!(rule(seen), USED);
    }
    let seen = ask(|s| {
        s.sim.books.nat.foreign.extend(s.encap.target_port());
        add(s, stranger(s.server.is_ipv6()))
    });
    assert_eq!(rule(seen), USED);
    let seen = ask(|s| add(s, stranger(!s.server.is_ipv6())));
    assert_eq!(rule(seen), "servers fit the VIP that they are in");
    // A VIP for all ports, or of another kind, beside it.
    let beside = |vip, encap| Op::AddVip { vip, encap, table_length: 16, src_ip_sticky: false };
    assert_eq!(rule(ask(|s| beside(VipKey { service: None, ..s.vip }, s.encap))), USED);
    assert_eq!(rule(ask(|s| beside(other(s), Encap::Gre4))), USED);
    // What leaves is parked, without its flows, and once.
    let park = |s: &mut Scene, flows, flush| {
        let address = stranger(s.server.is_ipv6());
        let book = s.sim.books.vips.get_mut(&s.vip).unwrap();
        book.servers.insert(address, Server { weight: Some(0), flows, since: 0, flushed: false });
        Op::SetWeight { vip: s.vip, address, weight: 0, flush }
    };
    assert_eq!(ask(|s| park(s, Flows::Dirty, true)), Ok(()));
    assert_eq!(rule(ask(|s| park(s, Flows::Dirty, false))), "who leaves loses its flows");
    assert_eq!(rule(ask(|s| park(s, Flows::Clean, true))), "a clean server is never flushed");
}

#[test]
fn every_rule_on_what_is_parked_can_fail() {
    let broken = |bend: &dyn Fn(&mut Scene)| {
        let mut s = scene();
        let pending = Default::default();
        let Scene { sim, .. } = &mut s;
        assert_eq!(settled(&mut sim.world, &sim.model, &mut sim.books, &pending), Ok(()));
        bend(&mut s);
        let Scene { sim, .. } = &mut s;
        rule(settled(&mut sim.world, &sim.model, &mut sim.books, &pending))
    };
    let weight = |s: &Scene| s.sim.world.lb.weights(&s.vip).iter().find(|w| w.0 == s.server).unwrap().1;
    assert_eq!(
        broken(&|s| {
            let op = Op::SetWeight { vip: s.vip, address: s.server, weight: weight(s) ^ 1, flush: false };
            s.sim.world.lb.meddle(&op).unwrap();
        }),
        STAYS
    );
    // A server that has left keeps its weight; or one that can be had is not there.
    assert_eq!(
        broken(&|s| {
            let op =
                Op::AddServer { vip: s.vip, address: stranger(s.server.is_ipv6()), weight: 1, flush: false };
            s.sim.world.lb.meddle(&op).unwrap();
        }),
        STAYS
    );
    assert_eq!(
        broken(&|s| {
            let op = Op::DelServer { vip: s.vip, address: s.server, flush: false };
            s.sim.world.lb.meddle(&op).unwrap();
        }),
        STAYS
    );
    assert_eq!(broken(&|s| s.sim.books.vips.get_mut(&s.vip).unwrap().made.as_mut().unwrap().1 *= 2), STAYS);
    assert_eq!(
        broken(&|s| {
            let book = s.sim.books.vips.get_mut(&s.vip).unwrap();
            let parked = Server { weight: Some(0), flows: Flows::Dirty, since: 0, flushed: false };
            book.servers.insert(stranger(s.server.is_ipv6()), parked);
        }),
        "who leaves loses its flows"
    );
    assert_eq!(
        broken(&|s| s.sim.world.lb.meddle(&Op::DelVip { vip: s.vip }).unwrap()),
        "once all is calm, lb is what the rule gives"
    );
}

#[test]
fn an_error_that_is_missing_or_stays_too_long_is_seen() {
    let error = |sim: &Simulator| {
        let errors = sim.model.fronts.keys().map(|vip| (*vip, sim.world.c.programmer().error(vip)));
        errors.partition::<Vec<_>, _>(|e| e.1.is_some())
    };
    let sim = calm(|sim| {
        let (with, without) = error(sim);
        !with.is_empty() && !without.is_empty()
    });
    let (with, without) = error(&sim);
    assert_eq!(said(&sim.world, &with[0].0, true), Ok(()));
    assert_eq!(said(&sim.world, &without[0].0, false), Ok(()));
    assert_eq!(rule(said(&sim.world, &with[0].0, false)), "what is mended is no error any more");
    assert_eq!(rule(said(&sim.world, &without[0].0, true)), "what NAT forbids is an error");
}

#[test]
fn the_death_of_vpp_is_seen() {
    let vip = |port| VipKey { address: [192, 0, 2, 1].into(), service: Some((Protocol::Udp, port)) };
    let encap = Encap::Nat4 { target_port: 53 };
    let add = |port, table_length| Op::AddVip { vip: vip(port), encap, table_length, src_ip_sticky: false };
    let server =
        |port| Op::AddServer { vip: vip(port), address: [10, 1, 0, 1].into(), weight: 1, flush: false };
    let mut lb = Embedded::new();
    lb.apply(&[add(1, 16), add(2, 16), server(1)]);
    assert_eq!(alive(&lb), Ok(()));
    lb.apply(&[server(2)]);
    assert_eq!(rule(alive(&lb)), "VPP stays alive");
    let mut lb = Embedded::new();
    lb.apply(&[add(1, 0)]);
    assert_eq!(rule(alive(&lb)), "VPP stays alive");
}

/// What somebody else may do to NAT while VPP lives is played, and nothing more.
#[test]
fn nobody_else_mixes_up_nat() {
    let Scene { sim, vip, server, encap } = scene();
    let foreign = |a| [false, true].map(stranger).contains(&a);
    let add = |vip, address| Op::AddServer { vip, address, weight: 1, flush: false };
    assert!(sim.books.is_survived(&add(vip, server), foreign), "it has it");
    assert!(sim.books.is_survived(&add(vip, stranger(server.is_ipv6())), foreign));
    let mut books = sim.books.clone();
    let other = VipKey { address: vip.address, service: Some((Protocol::Udp, 9)) };
    let made = Some((encap, 16, false));
    books.vips.insert(other, crate::simulate::books::Vip { made, servers: Default::default(), tables: 0 });
    assert!(!books.is_survived(&add(other, server), foreign), "another has it");
}
