use super::Lab;
use super::lab::{BASIC, ip, vip_tcp};
use crate::lb::{Encap, LbError, Op, VipRecord};

const ALL: &str = "10.1.0.1=100 10.1.0.2=50 10.1.0.3=0";

fn settled() -> Lab {
    let mut lab = Lab::new(BASIC);
    lab.run(5000);
    assert_eq!(lab.weights("192.0.2.1", 80), ALL);
    lab.take_writes();
    lab.log.clear();
    lab
}

fn problem(lab: &Lab) -> Option<String> {
    let now = lab.wall();
    lab.c.status(now).problems.into_iter().find(|p| p.kind == "forwarding-loop").map(|p| p.text)
}

fn foreign(address: &str, prefix_len: u8) -> VipRecord {
    let encap = Some(Encap::Gre4);
    VipRecord { address: ip(address), prefix_len, protocol: 255, port: 0, encap, table_length: 16 }
}

#[test]
fn a_server_that_is_an_address_of_vpp_is_never_added_until_the_address_is_gone() {
    let mut lab = Lab::idle();
    lab.lb.set_local([ip("10.1.0.1")].into());
    lab.load(BASIC);
    lab.run(5000);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.2=50 10.1.0.3=0");
    assert!(lab.take_writes().iter().all(|w| !w.contains("10.1.0.1")), "not for a moment");
    let why = "an address of VPP itself";
    assert_eq!(problem(&lab).unwrap(), format!("servers without weight: 10.1.0.1 is {why}"));
    let web = lab.c.frontend("web").unwrap();
    assert_eq!(web.error.unwrap(), format!("left out as a forwarding loop: 10.1.0.1 is {why}"));
    let a = lab.c.backend("a").unwrap();
    assert_eq!((a.state.as_str(), a.frontends[0].effective), ("up", 0));
    assert_eq!(a.frontends[0].why, format!("forwarding loop: {why}"));
    assert!(a.waits_for.unwrap().starts_with("an end of the forwarding loop"));
    assert_eq!(lab.take_log("server=10.1.0.1 gets no weight").len(), 1);
    lab.run(120_000);
    assert_eq!(lab.take_log("server=10.1.0.1").len(), 0, "said once");
    lab.lb.set_local([].into());
    lab.run(31_000);
    assert_eq!(lab.weights("192.0.2.1", 80), ALL);
    assert_eq!((problem(&lab), lab.c.frontend("web").unwrap().error), (None, None));
    assert_eq!(lab.c.backend("a").unwrap().waits_for, None);
}

#[test]
fn a_server_with_weight_leaves_with_its_flows_at_the_next_sync() {
    let mut lab = settled();
    lab.lb.set_local([ip("10.1.0.1")].into());
    lab.run(31_000);
    assert_eq!(lab.take_writes(), ["vip=192.0.2.1:80/tcp delete-server server=10.1.0.1 flush"]);
    lab.run(120_000);
    assert_eq!(lab.take_writes(), [""; 0], "that is all");
}

#[test]
fn the_next_pool_takes_over_from_servers_that_are_a_forwarding_loop() {
    let mut lab = settled();
    lab.lb.set_local([ip("10.1.0.1"), ip("10.1.0.2")].into());
    lab.run(31_000);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.3=100");
    assert_eq!(lab.c.frontend("web").unwrap().pool, "second");
}

#[test]
fn a_server_that_is_a_foreign_vip_gets_no_weight_while_that_is_there() {
    for (vip, left) in
        [(foreign("10.1.0.2", 32), "10.1.0.1=100 10.1.0.3=0"), (foreign("10.1.0.2", 31), "10.1.0.1=100")]
    {
        let mut lab = settled();
        lab.lb.meddle_vip(&vip).unwrap();
        lab.run(31_000);
        assert_eq!(lab.weights("192.0.2.1", 80), left);
        assert!(problem(&lab).unwrap().contains("10.1.0.2 is a VIP in lb"), "{:?}", problem(&lab));
    }
    let mut lab = settled();
    let vip = vip_tcp("10.1.0.2", 80);
    let make = Op::AddVip { vip, encap: Encap::Gre4, table_length: 16, src_ip_sticky: false };
    lab.lb.meddle(&make).unwrap();
    lab.run(31_000);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=100 10.1.0.3=0");
    lab.lb.meddle(&Op::DelVip { vip }).unwrap();
    lab.run(31_000);
    assert_eq!(lab.weights("192.0.2.1", 80), ALL);
}

#[test]
fn an_address_is_no_vip_before_it_has_left_as_a_server() {
    // In the order of the names the new VIP comes before the one that the server leaves.
    let after = BASIC.replace("    a: {address: 10.1.0.1", "    a: {address: 10.1.0.9").replace(
        "  frontends:\n",
        "  frontends:\n    above: {address: 10.1.0.1, protocol: udp, port: 53, pools: [{name: p, backends: {c: {}}}]}\n",
    );
    let vip = "vip=10.1.0.1:53/udp add encap=gre4";
    let left = "vip=192.0.2.1:80/tcp delete-server server=10.1.0.1 flush";
    let order = |writes: &[String]| {
        let at = |what: &str| writes.iter().position(|w| w.starts_with(what));
        (at(left), at(vip))
    };
    let mut lab = settled();
    lab.load(&after);
    lab.run(1000);
    let (left_at, made_at) = order(&lab.take_writes());
    assert!(left_at.unwrap() < made_at.unwrap());
    assert_eq!(lab.c.frontend("above").unwrap().error, None);
    // While `lb` does not let it go, the VIP waits; and while it is not known whether it is there.
    let mut lab = settled();
    lab.lb.fail_next(12, LbError::Other(-1));
    lab.load(&after);
    lab.run(2000);
    assert_eq!(order(&lab.take_writes()).1, None);
    let error = lab.c.frontend("above").unwrap().error.unwrap();
    assert_eq!(error, "vip=10.1.0.1:53/udp waits: 10.1.0.1 is still a server of vip=192.0.2.1:80/tcp");
    lab.run(60_000);
    let (left_at, made_at) = order(&lab.take_writes());
    assert!(left_at.unwrap() < made_at.unwrap());
    let mut lab = Lab::idle();
    lab.lb.fail_next(1, LbError::Other(-1));
    lab.load(BASIC);
    lab.run(1);
    lab.lb.lose_answers(8);
    lab.run(1000);
    lab.lb.fail_dumps(2, LbError::NoAnswer("test"));
    lab.load(&after);
    lab.run(60_000);
    let writes = lab.take_writes();
    let made_at = order(&writes).1.unwrap();
    let came = writes.iter().rposition(|w| w.contains("192.0.2.1:80/tcp add-server server=10.1.0.1"));
    assert!(came.is_none_or(|at| at < made_at), "{writes:?}");
}

#[test]
fn an_address_that_was_a_vip_serves_as_soon_as_that_has_left() {
    let before = BASIC.replace("    a: {address: 10.1.0.1", "    a: {address: 10.1.0.9").replace(
        "  frontends:\n",
        "  frontends:\n    zero: {address: 10.1.0.1, protocol: udp, port: 53, pools: [{name: p, backends: {c: {}}}]}\n",
    );
    let mut lab = Lab::new(&before);
    lab.run(5000);
    lab.take_writes();
    lab.load(BASIC);
    lab.run(1500);
    assert_eq!(lab.weights("192.0.2.1", 80), ALL);
    let writes = lab.take_writes();
    let at = |what: &str| writes.iter().position(|w| w.starts_with(what)).unwrap();
    let came = "vip=192.0.2.1:80/tcp add-server server=10.1.0.1 ";
    assert!(at("vip=10.1.0.1:53/udp delete") < at(came), "{writes:?}");
    assert_eq!(problem(&lab), None);
}

#[test]
fn neither_a_panic_nor_an_override_gives_weight_to_a_forwarding_loop() {
    for mode in ["fail-open", "keep-last"] {
        let rule = format!("port: 80\n      panic: {{threshold: 60, mode: {mode}}}\n      pools");
        let mut lab = Lab::new(&BASIC.replace("port: 80\n      pools", &rule));
        lab.run(5000);
        lab.lb.set_local([ip("10.1.0.1")].into());
        let now = lab.wall();
        lab.c.set_weight(now, "web", "first", "a", Some(70), false).unwrap();
        for server in ["10.1.0.2", "10.1.0.3"] {
            lab.net(server, super::Net::Refused);
        }
        lab.run(31_000);
        assert!(!lab.weights("192.0.2.1", 80).contains("10.1.0.1="), "{mode}");
        assert!(lab.c.frontend("web").unwrap().in_panic, "{mode}");
    }
}

#[test]
fn our_vip_that_somebody_made_again_by_hand_is_made_ours() {
    let mut lab =
        Lab::new(&BASIC.replace("port: 80\n      pools", "port: 80\n      src-ip-sticky: true\n      pools"));
    lab.run(5000);
    lab.take_writes();
    let vip = vip_tcp("192.0.2.1", 80);
    lab.lb.meddle(&Op::DelVip { vip }).unwrap();
    let by_hand = Op::AddVip { vip, encap: Encap::Gre4, table_length: 1024, src_ip_sticky: false };
    lab.lb.meddle(&by_hand).unwrap();
    for (n, weight) in [(1, 100), (2, 50), (3, 0)] {
        let address = ip(&format!("10.1.0.{n}"));
        lab.lb.meddle(&Op::AddServer { vip, address, weight, flush: false }).unwrap();
    }
    lab.log.clear();
    lab.run(31_000);
    let writes = lab.take_writes();
    assert!(writes.iter().any(|w| w.contains("add encap=gre4 length=1024 src-ip-sticky")), "{writes:?}");
    assert_eq!(lab.take_log("was deleted and made again by somebody else").len(), 1);
    assert_eq!(lab.weights("192.0.2.1", 80), ALL);
    lab.run(120_000);
    assert_eq!(lab.take_writes(), [""; 0], "once");
}

#[test]
fn a_vip_that_cannot_be_had_for_want_of_memory_stays_and_its_weights_follow() {
    use super::Net;
    use crate::lb::Heap;
    const MIB: u64 = 1 << 20;
    let config =
        BASIC.replace("port: 80\n      pools", "port: 80\n      new-flow-table-length: 65536\n      pools");
    let mut lab = Lab::idle();
    // Room for two tables of 256 KiB beside the reserve of an eighth, and a bit.
    let free = 8 * MIB + 700 * 1024;
    lab.lb.set_heap(Some(Heap { size: 64 * MIB, free, top: free }));
    lab.load(&config);
    lab.run(5000);
    assert_eq!(lab.weights("192.0.2.1", 80), ALL);
    let vip = vip_tcp("192.0.2.1", 80);
    lab.lb.meddle(&Op::DelVip { vip }).unwrap();
    lab.run(31_000);
    assert_eq!(lab.weights("192.0.2.1", 80), ALL, "made again once");
    let now = lab.wall();
    let lb = lab.c.status(now).lb;
    assert_eq!((lb.lost_tables, lb.lost_bytes), (1, 65_536 * 4 + 64));

    // Anew it cannot be had: it stays as it is, and follows the health of its servers.
    lab.load(&config.replace("port: 80\n      new", "port: 80\n      src-ip-sticky: true\n      new"));
    lab.run(31_000);
    lab.net("10.1.0.1", Net::Refused);
    lab.run(31_000);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=0 10.1.0.2=50 10.1.0.3=0");
    let error = lab.c.frontend("web").unwrap().error.unwrap();
    assert!(
        error.contains("VPP's heap has no room for its table of 257 KiB, so it stays as it is"),
        "{error}"
    );
    let now = lab.wall();
    let problems = lab.c.status(now).problems;
    assert!(
        problems.iter().any(|p| p.kind == "lb-memory" && p.text.contains("no room for 1 VIPs")),
        "{problems:?}"
    );

    // Whoever deletes it over and over does not bring VPP down.
    for _ in 0..10 {
        let _: Result<(), LbError> = lab.lb.meddle(&Op::DelVip { vip });
        lab.run(31_000);
        assert!(!lab.lb.out_of_memory());
    }
    let error = lab.c.frontend("web").unwrap().error.unwrap();
    assert!(error.contains("so it is not made"), "{error}");
    // An end of it: less is wanted.
    lab.load(&config.replace("65536", "1024"));
    lab.run(31_000);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=0 10.1.0.2=50 10.1.0.3=0");
    let now = lab.wall();
    let problems = lab.c.status(now).problems;
    assert!(!problems.iter().any(|p| p.text.contains("no room")), "{problems:?}");
}
