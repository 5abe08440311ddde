use std::time::Duration;

use super::lab::{BASIC, START, ip, vip_tcp};
use super::{Lab, Net};
use crate::control::{BackendVerb, Finished};
use crate::lb::{Encap, LbError, LoadBalancer, Op};

fn settled() -> Lab {
    let mut lab = Lab::new(BASIC);
    lab.run(5000);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=100 10.1.0.2=50 10.1.0.3=0");
    lab.take_writes();
    lab.log.clear();
    lab
}

fn set(lab: &mut Lab, backend: &str, verb: BackendVerb) {
    let now = lab.wall();
    lab.c.set_backend(now, backend, verb).unwrap();
    lab.turn();
}

#[test]
fn a_frontend_is_first_programmed_when_each_backend_is_known() {
    let mut lab = Lab::new(BASIC);
    lab.net("10.1.0.3", Net::Silent);
    lab.run(666);
    assert_eq!(lab.take_writes(), ["settings"], "c is not known yet");
    assert!(!lab.c.frontend("web").unwrap().programmed);
    lab.run(1000);
    let writes = lab.take_writes();
    assert_eq!(
        writes,
        [
            "vip=192.0.2.1:80/tcp add encap=gre4 length=1024",
            "vip=192.0.2.1:80/tcp add-server server=10.1.0.1 weight=100",
            "vip=192.0.2.1:80/tcp add-server server=10.1.0.2 weight=50",
            "vip=192.0.2.1:80/tcp add-server server=10.1.0.3 weight=0",
        ]
    );
    assert!(lab.c.frontend("web").unwrap().programmed);
}

#[test]
fn or_at_the_startup_max_delay_and_never_before_the_min_delay() {
    let mut lab = Lab::new(BASIC);
    for a in ["10.1.0.1", "10.1.0.2", "10.1.0.3"] {
        lab.net(a, Net::Fault);
    }
    lab.run(9_999);
    assert_eq!(lab.take_writes(), ["settings"]);
    lab.run(1);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=0 10.1.0.2=0 10.1.0.3=0");
    let mut lab = Lab::new(&BASIC.replace("startup-max", "startup-min-delay: 5s, startup-max"));
    lab.run(4_999);
    assert_eq!(lab.take_writes(), ["settings"]);
    lab.run(1);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=100 10.1.0.2=50 10.1.0.3=0");
}

#[test]
fn a_dead_backend_has_weight_0_and_is_flushed_once() {
    let mut lab = settled();
    lab.net("10.1.0.1", Net::Refused);
    lab.run(60_000);
    assert_eq!(lab.take_writes(), ["vip=192.0.2.1:80/tcp set-weight server=10.1.0.1 weight=0 flush"]);
    lab.net("10.1.0.1", Net::Good);
    lab.run(60_000);
    assert_eq!(lab.take_writes(), ["vip=192.0.2.1:80/tcp set-weight server=10.1.0.1 weight=100"]);
}

#[test]
fn without_flush_on_down_its_flows_are_kept_until_it_is_disabled() {
    let mut lab = Lab::new(
        &BASIC.replace("port: 80\n      pools", "port: 80\n      flush-on-down: false\n      pools"),
    );
    lab.run(5000);
    lab.take_writes();
    lab.net("10.1.0.1", Net::Refused);
    lab.run(60_000);
    assert_eq!(lab.take_writes(), ["vip=192.0.2.1:80/tcp set-weight server=10.1.0.1 weight=0"]);
    set(&mut lab, "a", BackendVerb::Disable);
    lab.run(60_000);
    assert_eq!(lab.take_writes(), ["vip=192.0.2.1:80/tcp set-weight server=10.1.0.1 weight=0 flush"]);
}

#[test]
fn paused_keeps_flows_then_disabled_moves_them_once() {
    let mut lab = settled();
    set(&mut lab, "a", BackendVerb::Pause);
    assert_eq!(lab.take_writes(), ["vip=192.0.2.1:80/tcp set-weight server=10.1.0.1 weight=0"]);
    set(&mut lab, "a", BackendVerb::Disable);
    assert_eq!(lab.take_writes(), ["vip=192.0.2.1:80/tcp set-weight server=10.1.0.1 weight=0 flush"]);
    lab.run(60_000);
    assert_eq!(lab.take_writes(), Vec::<String>::new(), "a clean 0 is never written again");
    set(&mut lab, "c", BackendVerb::Disable);
    lab.run(60_000);
    assert_eq!(lab.take_writes(), Vec::<String>::new(), "a standby that never had weight is clean");
}

#[test]
fn failover_adds_before_it_takes_away_and_comes_back() {
    let mut lab = settled();
    lab.net("10.1.0.1", Net::Refused);
    lab.run(5000);
    lab.take_writes();
    lab.net("10.1.0.2", Net::Refused);
    lab.run(5000);
    assert_eq!(
        lab.take_writes(),
        [
            "vip=192.0.2.1:80/tcp set-weight server=10.1.0.3 weight=100",
            "vip=192.0.2.1:80/tcp set-weight server=10.1.0.2 weight=0 flush",
        ]
    );
    assert_eq!(lab.take_log("failover"), ["frontend-failover frontend=web from=first to=second"]);
    assert_eq!(lab.c.frontend("web").unwrap().pool, "second");
    lab.net("10.1.0.1", Net::Good);
    lab.run(5000);
    assert_eq!(
        lab.take_writes(),
        [
            "vip=192.0.2.1:80/tcp set-weight server=10.1.0.1 weight=100",
            "vip=192.0.2.1:80/tcp set-weight server=10.1.0.3 weight=0",
        ]
    );
    assert_eq!(lab.take_log("failover"), ["frontend-failover frontend=web from=second to=first"]);
}

#[test]
fn the_last_one_down_takes_the_frontend_down_and_back() {
    let mut lab = settled();
    for a in ["10.1.0.1", "10.1.0.2", "10.1.0.3"] {
        lab.net(a, Net::Refused);
    }
    lab.run(10_000);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=0 10.1.0.2=0 10.1.0.3=0");
    assert_eq!(lab.c.frontend("web").unwrap().state, "down");
    lab.take_writes();
    lab.net("10.1.0.2", Net::Good);
    lab.run(10_000);
    assert_eq!(
        lab.take_writes(),
        ["vip=192.0.2.1:80/tcp set-weight server=10.1.0.2 weight=50", "vip=192.0.2.1:80/tcp flush"],
        "flows that began with no server would else keep none"
    );
    let log = lab.take_log("frontend-transition");
    assert_eq!(
        log,
        [
            "frontend-transition frontend=web from=up to=down pool=first",
            "frontend-transition frontend=web from=down to=up pool=first"
        ]
    );
}

#[test]
fn a_quiet_system_only_dumps() {
    let mut lab = settled();
    let asked = lab.asked;
    lab.run(300_000);
    assert_eq!(lab.take_writes(), Vec::<String>::new());
    assert_eq!(lab.asked - asked, 10 * 4, "settings, VIPs, one VIP's servers and where they are, every 30 s");
}

#[test]
fn drift_is_repaired_within_a_sync_interval() {
    let mut lab = settled();
    let vip = vip_tcp("192.0.2.1", 80);
    let drift = [
        Op::DelServer { vip, address: ip("10.1.0.1"), flush: false },
        Op::SetWeight { vip, address: ip("10.1.0.1"), weight: 3, flush: false },
        Op::SetWeight { vip, address: ip("10.1.0.3"), weight: 9, flush: false },
        Op::AddServer { vip, address: ip("10.9.9.9"), weight: 9, flush: false },
        Op::DelVip { vip },
    ];
    for op in drift {
        lab.lb.meddle(&op).unwrap();
        lab.run(30_100);
        assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=100 10.1.0.2=50 10.1.0.3=0", "after {op}");
    }
    let mut settings = lab.lb.settings().unwrap();
    settings.flow_timeout = 7;
    lab.lb.meddle(&Op::SetSettings(settings)).unwrap();
    lab.run(30_100);
    assert_eq!(lab.lb.settings().unwrap().flow_timeout, 40);
}

#[test]
fn a_vip_deleted_behind_our_back_is_back_soon_when_a_backend_changes() {
    let mut lab = settled();
    lab.lb.meddle(&Op::DelVip { vip: vip_tcp("192.0.2.1", 80) }).unwrap();
    lab.net("10.1.0.2", Net::Refused);
    lab.run(5_000);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=100 10.1.0.2=0 10.1.0.3=0");
    assert_eq!(lab.c.frontend("web").unwrap().error, None);
}

#[test]
fn foreign_vips_are_never_touched() {
    let mut lab = Lab::new(BASIC);
    let vip = vip_tcp("198.51.100.1", 80);
    let add = Op::AddVip { vip, encap: Encap::Gre4, table_length: 64, src_ip_sticky: false };
    lab.lb.meddle(&add).unwrap();
    let server = Op::AddServer { vip, address: ip("10.9.9.9"), weight: 9, flush: false };
    lab.lb.meddle(&server).unwrap();
    lab.run(100_000);
    assert_eq!(lab.weights("198.51.100.1", 80), "10.9.9.9=9");
    assert!(lab.writes.iter().all(|(_, op)| op.vip() != Some(vip)));
}

#[test]
fn a_configured_vip_that_is_there_already_is_recreated_as_ours() {
    let mut lab = Lab::new(BASIC);
    let vip = vip_tcp("192.0.2.1", 80);
    let add = Op::AddVip { vip, encap: Encap::Gre4, table_length: 1024, src_ip_sticky: true };
    lab.lb.meddle(&add).unwrap();
    lab.lb.meddle(&Op::AddServer { vip, address: ip("10.9.9.9"), weight: 9, flush: false }).unwrap();
    lab.run(5000);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=100 10.1.0.2=50 10.1.0.3=0");
    let writes = lab.take_writes();
    assert!(writes.contains(&"vip=192.0.2.1:80/tcp delete".to_owned()), "{writes:?}");
    assert_eq!(lab.take_log("recreat").len(), 1, "and it is said");
}

#[test]
fn encap_length_and_sticky_changes_recreate_and_say_so() {
    for (from, to) in [
        ("protocol: tcp\n      port: 80", "protocol: tcp\n      port: 80\n      src-ip-sticky: true"),
        ("protocol: tcp\n      port: 80", "protocol: tcp\n      port: 80\n      new-flow-table-length: 4096"),
        ("protocol: tcp\n      port: 80", "protocol: tcp\n      port: 80\n      encap: l3dsr\n      dscp: 7"),
    ] {
        let mut lab = settled();
        lab.load(&BASIC.replace(from, to));
        lab.run(100);
        assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=100 10.1.0.2=50 10.1.0.3=0");
        let writes = lab.take_writes();
        assert!(writes.contains(&"vip=192.0.2.1:80/tcp delete".to_owned()), "{to}: {writes:?}");
        assert_eq!(lab.take_log("recreat").len(), 1, "{to}");
        lab.run(60_000);
        assert_eq!(lab.take_writes(), Vec::<String>::new(), "{to}");
    }
}

#[test]
fn an_encap_change_recreates_all_vips_of_the_address() {
    let two = format!(
        "{BASIC}    tls:\n      address: 192.0.2.1\n      protocol: tcp\n      port: 443\n      pools: [{{name: p, backends: {{a: {{}}}}}}]\n"
    );
    let mut lab = Lab::new(&two);
    lab.run(5000);
    assert_eq!(lab.weights("192.0.2.1", 443), "10.1.0.1=100");
    let l3dsr = two.replace("      port: 80\n", "      port: 80\n      encap: l3dsr\n      dscp: 1\n");
    let l3dsr = l3dsr.replace("      port: 443\n", "      port: 443\n      encap: l3dsr\n      dscp: 2\n");
    lab.load(&l3dsr);
    lab.run(100);
    assert_eq!(lab.weights("192.0.2.1", 443), "10.1.0.1=100");
    let encaps: Vec<_> = lab.lb.vips().unwrap().iter().map(|v| v.encap).collect();
    assert!(encaps.iter().all(|e| matches!(e, Some(Encap::L3dsr { .. }))), "{encaps:?}");
    assert_eq!(lab.c.status(lab.wall()).lb.failures, 0, "in an order that lb accepts");
}

#[test]
fn from_an_all_port_vip_to_a_per_port_one_and_back() {
    let all = BASIC.replace("      protocol: tcp\n      port: 80\n", "");
    let mut lab = settled();
    lab.load(&all);
    lab.run(100);
    let vips = lab.lb.vips().unwrap();
    assert_eq!((vips.len(), vips[0].port), (1, 0));
    lab.load(BASIC);
    lab.run(100);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=100 10.1.0.2=50 10.1.0.3=0");
    assert_eq!(lab.c.status(lab.wall()).lb.failures, 0);
}

#[test]
fn a_frontend_that_leaves_goes_with_its_servers() {
    let mut lab = settled();
    let none = BASIC.split("  frontends:").next().unwrap().to_owned() + "  frontends: {}\n";
    lab.load(&none);
    lab.run(100);
    assert_eq!(lab.take_writes(), ["vip=192.0.2.1:80/tcp flush", "vip=192.0.2.1:80/tcp delete"]);
}

#[test]
fn a_backend_that_leaves_waits_for_the_new_ones_to_be_known() {
    let mut lab = settled();
    lab.net("10.1.0.9", Net::Silent);
    lab.load(&BASIC.replace("a: {address: 10.1.0.1", "a: {address: 10.1.0.9"));
    let view = lab.c.frontend("web").unwrap();
    assert_eq!(view.leaving, ["10.1.0.1"]);
    let mut seen = false;
    for _ in 0..200 {
        lab.run(10);
        let known = lab.state("a") != "unknown";
        let there = lab.weights("192.0.2.1", 80).contains("10.1.0.1=100");
        assert_eq!(there, !known, "kept at its weight while the new one is unknown, gone then");
        seen |= known;
    }
    assert!(seen);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.2=50 10.1.0.3=0 10.1.0.9=0");
    assert_eq!(lab.c.backends.iter().count(), 3, "the removed one is forgotten");
    // With our own fault it never becomes known: after the delay it leaves all the same.
    lab.net("10.1.0.8", Net::Fault);
    lab.load(&BASIC.replace("a: {address: 10.1.0.1", "a: {address: 10.1.0.8"));
    lab.run(9_000);
    assert!(lab.weights("192.0.2.1", 80).contains("10.1.0.9="));
    lab.run(1_100);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.2=50 10.1.0.3=0 10.1.0.8=0");
}

#[test]
fn weight_overrides_act_at_once_and_default_takes_them_back() {
    let mut lab = settled();
    let now = lab.wall();
    let mut word = |weight, flush| {
        let d = lab.c.set_weight(now, "web", "first", "a", weight, flush).unwrap();
        lab.turn();
        (d.changed, d.text, lab.take_writes())
    };
    let text = |s: &str| format!("frontend `web` pool `first` backend `a` weight {s}");
    let write = |s: &str| vec![format!("vip=192.0.2.1:80/tcp set-weight server=10.1.0.1 weight={s}")];
    assert_eq!(word(Some(30), false), (true, text("30"), write("30")));
    assert_eq!(word(Some(30), false), (false, text("30 already: nothing to do"), vec![]));
    assert_eq!(word(Some(30), true), (true, text("30 already, flows flushed"), write("30 flush")));
    assert_eq!(word(Some(0), false), (true, text("0"), write("0")));
    assert_eq!(word(None, false), (true, text("default (100)"), write("100")));
}

#[test]
fn a_failed_call_is_retried_with_backoff_shown_and_stops_no_other_frontend() {
    let two = format!(
        "{BASIC}    tls:\n      address: 192.0.2.2\n      protocol: tcp\n      port: 443\n      pools: [{{name: p, backends: {{a: {{}}}}}}]\n"
    );
    let mut lab = Lab::new(&two);
    lab.run(5000);
    let first = vip_tcp("192.0.2.1", 80);
    lab.lb.fail_when(move |op| (op.vip() == Some(first)).then_some(LbError::Other(-99)));
    lab.take_writes();
    lab.writes.clear();
    lab.net("10.1.0.1", Net::Refused);
    lab.run(20_000);
    assert_eq!(lab.weights("192.0.2.2", 443), "10.1.0.1=0");
    let tries: Vec<_> =
        lab.writes.iter().filter(|(_, op)| op.vip() == Some(first)).map(|(t, _)| *t).collect();
    let gaps: Vec<u64> = tries.windows(2).map(|w| w[1].since(w[0]).as_millis() as u64).collect();
    assert_eq!(
        gaps[..4],
        [0, 1000, 2000, 4000],
        "at once, then after a dump, then later and later: {gaps:?}"
    );
    let view = lab.c.frontend("web").unwrap();
    let said = view.error.unwrap();
    assert!(said.contains("set-weight server=10.1.0.1 weight=0 flush failed: lb error -99"), "{said}");
    assert_eq!(lab.c.status(lab.wall()).lb.failing, ["web"]);
    lab.lb.heal();
    lab.run(60_000);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=0 10.1.0.2=50 10.1.0.3=0");
    assert_eq!(lab.c.frontend("web").unwrap().error, None);
    assert_eq!(lab.c.status(lab.wall()).lb.failing, Vec::<String>::new());
}

#[test]
fn a_failed_add_does_not_empty_the_vip() {
    let mut lab = settled();
    lab.net("10.1.0.1", Net::Refused);
    lab.run(5000);
    let vip = vip_tcp("192.0.2.1", 80);
    lab.lb.fail_when(move |op| match op {
        Op::SetWeight { weight, .. } if *weight > 0 => Some(LbError::Other(-1)),
        _ => None,
    });
    set(&mut lab, "b", BackendVerb::Pause);
    lab.run(20_000);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=0 10.1.0.2=50 10.1.0.3=0", "{vip}");
    lab.lb.heal();
    lab.run(40_000);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=0 10.1.0.2=0 10.1.0.3=100");
}

#[test]
fn nor_is_a_dead_server_kept_for_ever_by_adds_that_fail_but_one_of_use_is() {
    for (verb, kept) in [(BackendVerb::Disable, false), (BackendVerb::Pause, true)] {
        let mut lab = settled();
        lab.net("10.1.0.1", Net::Refused);
        lab.run(5000);
        lab.lb.fail_when(|op| match op {
            Op::SetWeight { weight, .. } if *weight > 0 => Some(LbError::Other(-1)),
            _ => None,
        });
        set(&mut lab, "b", verb);
        lab.run(14_000);
        assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=0 10.1.0.2=50 10.1.0.3=0", "{verb:?}");
        let lacks = lab.c.frontend("web").unwrap().lacks;
        assert!(
            lacks.iter().any(|l| l.contains("server=10.1.0.2 has weight 50 instead of 0, for 1")),
            "{lacks:?}"
        );
        assert!(lacks.iter().all(|l| l.contains("failed: lb error -1; tried again in")), "{lacks:?}");
        lab.run(50_000);
        let weight = if kept { 50 } else { 0 };
        assert_eq!(
            lab.weights("192.0.2.1", 80),
            format!("10.1.0.1=0 10.1.0.2={weight} 10.1.0.3=0"),
            "{verb:?}"
        );
        lab.lb.heal();
        lab.run(40_000);
        assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=0 10.1.0.2=0 10.1.0.3=100");
        assert_eq!(lab.c.frontend("web").unwrap().lacks, [] as [&str; 0]);
    }
}

#[test]
fn dumps_that_fail_change_nothing_and_are_tried_again() {
    let mut lab = settled();
    lab.lb.fail_dumps(3, LbError::NoAnswer("test"));
    lab.net("10.1.0.1", Net::Refused);
    lab.run(15_000);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=0 10.1.0.2=50 10.1.0.3=0");
}

#[test]
fn an_lb_that_never_answers_is_asked_with_backoff() {
    let mut lab = Lab::idle();
    lab.lb.fail_dumps(usize::MAX, LbError::NoAnswer("test"));
    lab.load(BASIC);
    lab.run(60_000);
    assert!((20..=200).contains(&lab.asked), "{}", lab.asked);
    assert!(lab.c.deadline() > lab.now, "and the main thread is left alone meanwhile");
    lab.lb.heal();
    lab.run(2_000);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=100 10.1.0.2=50 10.1.0.3=0");
}

#[test]
fn a_flush_before_the_first_programming_is_none() {
    let mut lab = Lab::new(BASIC);
    let now = lab.wall();
    lab.c.set_weight(now, "web", "first", "a", Some(30), true).unwrap();
    lab.run(30_000);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=30 10.1.0.2=50 10.1.0.3=0");
    assert!(!lab.take_writes().iter().any(|w| w.ends_with("flush")));
}

#[test]
fn lb_settings_are_written_only_where_they_differ() {
    let mut lab = Lab::new(BASIC);
    lab.run(5000);
    let s = lab.lb.settings().unwrap();
    assert_eq!(s.ip4_src.to_string(), "10.0.0.1");
    assert_eq!(s.ip6_src.to_string(), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "unset stays as lb has it");
    assert_eq!((s.sticky_buckets_per_core, s.flow_timeout), (65536, 40));
    lab.take_writes();
    lab.run(100_000);
    assert_eq!(lab.take_writes(), Vec::<String>::new());
}

#[test]
fn changed_sticky_buckets_say_what_they_cost() {
    let mut lab = settled();
    lab.load(&BASIC.replace("startup-max", "sticky-buckets-per-core: 1024, startup-max"));
    lab.run(100);
    assert_eq!(lab.lb.settings().unwrap().sticky_buckets_per_core, 1024);
    assert_eq!(lab.take_log("lose their stickiness").len(), 1);
}

#[test]
fn sync_answers_when_all_is_done() {
    let mut lab = settled();
    lab.lb
        .meddle(&Op::SetWeight {
            vip: vip_tcp("192.0.2.1", 80),
            address: ip("10.1.0.1"),
            weight: 3,
            flush: false,
        })
        .unwrap();
    for which in [Some("web"), None] {
        let now = lab.wall();
        let t = lab.c.sync(now, which, None).unwrap();
        lab.run(5);
        let Finished::Sync(s) = lab.take(t) else { panic!() };
        assert_eq!((s.frontends, s.writes, s.failures.len()), (1, u64::from(which.is_some()), 0));
    }
}

#[test]
fn without_lb_it_probes_and_comes_to_rest() {
    let mut lab = Lab::idle();
    lab.c.without_lb();
    lab.load(BASIC);
    lab.run(5000);
    assert_eq!((lab.asked, lab.state("a").as_str()), (0, "up"));
    assert!(lab.c.deadline() > lab.now);
    assert!(lab.now > START + Duration::from_secs(4));
}

#[test]
fn state_changes_during_a_long_fill_are_not_lost() {
    // Forty servers at 100: too long for one barrier at this table length, so it goes in steps.
    let names: Vec<String> = (1..=60).map(|n| format!("s{n}")).collect();
    let backends: String =
        (1..=60).map(|n| format!("    s{n}: {{address: 10.2.0.{n}, healthcheck: tcp}}\n")).collect();
    let pool: Vec<String> = names.iter().map(|n| format!("{n}: {{}}")).collect();
    let yaml = format!(
        "maglev:\n  vpp: {{lb: {{ipv4-src-address: 10.0.0.1}}}}\n  healthchecks:\n    tcp: {{type: tcp, port: 80, interval: 1s, jitter: 0}}\n  backends:\n{backends}  frontends:\n    web: {{address: 192.0.2.1, protocol: tcp, port: 80, new-flow-table-length: 65536, pools: [{{name: p, backends: {{{}}}}}]}}\n",
        pool.join(", ")
    );
    let mut lab = Lab::new(&yaml);
    // One request a turn, as the engine does; then a backend dies in the middle of the fill.
    lab.run(999);
    lab.take_writes();
    lab.now = lab.now + Duration::from_millis(2000);
    let now = lab.wall();
    for name in &names {
        let _ = lab.c.probe(now, name);
    }
    lab.run(2);
    let done = lab.lb.servers(&vip_tcp("192.0.2.1", 80)).unwrap().len();
    assert_eq!(done, 60);
    set(&mut lab, "s7", BackendVerb::Disable);
    let w = lab.weights("192.0.2.1", 80);
    assert!(w.contains("10.2.0.7=0") && w.contains("10.2.0.8=100"), "{w}");
}
