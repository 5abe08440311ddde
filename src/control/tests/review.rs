//! Corners that were found by reading the code against the rules.

use std::time::Duration;

use super::lab::{BASIC, START};
use super::{Lab, Net};
use crate::control::programmer::LbRequest;
use crate::control::{BackendVerb, Finished};
use crate::lb::{LbError, LoadBalancer};
use crate::time::Time;

fn settled() -> Lab {
    let mut lab = Lab::new(BASIC);
    lab.run(5000);
    lab.take_writes();
    lab.log.clear();
    lab
}

#[test]
fn an_lb_that_lists_nothing_at_the_start_is_asked_again_with_patience() {
    let mut lab = Lab::idle();
    lab.lb.fail_dumps(1_000_000, LbError::NoAnswer("test"));
    lab.load(BASIC);
    lab.run(20_000);
    assert!(lab.asked <= 50, "asked {} times in 20 s", lab.asked);
    assert!(lab.c.settled(), "a verb does not wait for what cannot be brought about");
    lab.lb.heal();
    lab.run(2000);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=100 10.1.0.2=50 10.1.0.3=0");
}

#[test]
fn a_flush_that_was_asked_for_before_the_vip_was_made_is_not_done_later() {
    let mut lab = Lab::new(BASIC);
    let now = lab.wall();
    lab.c.set_weight(now, "web", "first", "a", Some(40), true).unwrap();
    lab.run(70_000);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=40 10.1.0.2=50 10.1.0.3=0");
    let flushes: Vec<String> = lab.take_writes().into_iter().filter(|w| w.contains("flush")).collect();
    assert_eq!(flushes, Vec::<String>::new(), "a new VIP has no flows");
    // Nor after it was made anew.
    let now = lab.wall();
    lab.c.set_weight(now, "web", "first", "a", Some(30), true).unwrap();
    lab.load(
        &BASIC.replace("port: 80\n      pools", "port: 80\n      new-flow-table-length: 64\n      pools"),
    );
    lab.run(10);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=30 10.1.0.2=50 10.1.0.3=0");
    lab.take_writes();
    lab.run(70_000);
    assert_eq!(lab.take_writes(), Vec::<String>::new());
}

#[test]
fn an_operators_weight_does_not_pass_to_a_new_name() {
    let mut lab = settled();
    let now = lab.wall();
    lab.c.set_weight(now, "web", "first", "a", Some(7), false).unwrap();
    lab.load(&BASIC.replace("    a: {address", "    z: {address").replace("{a: {}", "{z: {}"));
    let z = &lab.c.frontend("web").unwrap().pools[0].backends[1];
    assert_eq!((z.name.as_str(), z.state.as_str()), ("z", "up"), "its health does");
    assert_eq!((z.weight, z.overridden), (100, false));
}

#[test]
fn a_panic_while_the_prober_stalls_keeps_it_frozen() {
    let mut lab = settled();
    lab.beats = false;
    lab.run(10_000);
    assert_eq!(lab.c.frozen(), Some("the prober has stalled"));
    lab.c.freeze("a panic");
    lab.beats = true;
    lab.run(10_000);
    assert_eq!(lab.c.frozen(), Some("a panic"));
}

#[test]
fn reloads_do_not_put_off_the_end_of_a_hold() {
    let mut lab = settled();
    lab.net("10.1.0.4", Net::Fault);
    let other = BASIC.replace("10.1.0.1", "10.1.0.4");
    for weight in 51..54 {
        lab.load(&other.replace("weight: 50", &format!("weight: {weight}")));
        lab.run(4000);
    }
    // 12 s after the first; startup-max-delay is 10 s.
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.2=53 10.1.0.3=0 10.1.0.4=0");
}

#[test]
fn a_frontend_that_comes_with_a_reload_waits_for_the_startup_min_delay_too() {
    let first = BASIC.replace("startup-max", "startup-min-delay: 5s, startup-max");
    let mut lab = Lab::new(&first);
    lab.run(2000);
    let more = "
    also:
      address: 192.0.2.2
      protocol: tcp
      port: 80
      pools: [{name: p, backends: {a: {}}}]
";
    lab.load(&(first + more));
    lab.run(2999);
    assert!(lab.lb.vips().unwrap().is_empty(), "the clock runs from the first load");
    lab.run(1);
    assert_eq!(lab.weights("192.0.2.2", 80), "10.1.0.1=100");
}

#[test]
fn a_probe_that_will_not_end_is_answered() {
    let mut lab = settled();
    lab.net("10.1.0.1", Net::Silent);
    let now = lab.wall();
    let paused = lab.c.probe(now, "a").unwrap();
    lab.turn();
    lab.c.set_backend(now, "a", BackendVerb::Pause).unwrap();
    let Finished::Probe(p) = lab.take(paused) else { panic!() };
    assert_eq!((p.backend.as_str(), p.verdict.as_str()), ("a", "none"));
    assert_eq!(p.detail, "given up: the backend was taken out of probing or its healthcheck edited");
    lab.c.set_backend(now, "a", BackendVerb::Resume).unwrap();
    let lost = lab.c.probe(now, "a").unwrap();
    lab.c.prober_restarted(now);
    let Finished::Probe(p) = lab.take(lost) else { panic!() };
    assert_eq!((p.verdict.as_str(), p.detail.as_str()), ("none", "given up: the prober was started anew"));
}

#[test]
fn a_pool_that_gets_another_name_is_no_failover() {
    let mut lab = settled();
    lab.load(&BASIC.replace("name: first", "name: main"));
    lab.run(10);
    assert_eq!(lab.c.frontend("web").unwrap().pool, "main");
    assert_eq!(lab.take_log("frontend-"), Vec::<String>::new());
    assert_eq!(lab.take_writes(), Vec::<String>::new());
    // The pools change places: that is one.
    lab.load(
        &BASIC
            .replace("        - {name: first, backends: {a: {}, b: {weight: 50}}}\n", "")
            .replace("{c: {}}}\n", "{c: {}}}\n        - {name: first, backends: {a: {}, b: {weight: 50}}}\n"),
    );
    assert_eq!(lab.take_log("frontend-"), ["frontend-failover frontend=web from=main to=second"]);
}

#[test]
fn a_probe_whose_answer_waited_for_the_main_thread_is_put_off_like_the_others() {
    let mut lab = Lab::new(BASIC);
    lab.run(5000);
    for address in ["10.1.0.1", "10.1.0.2", "10.1.0.3"] {
        lab.net(address, Net::Silent);
    }
    // Silent for less than it takes to be down: probes are under way all the time, and no backend is left to the prober.
    lab.run(1600);
    let before = lab.c.status(lab.wall()).prober.main_stalls;
    assert_eq!((before, lab.state("a").as_str()), (0, "up 3/4"), "{:?}", lab.starts("10.1.0.1"));
    let n = lab.started.len();
    lab.now = Time(lab.now.0 + 10_000_000_000);
    let stalled = lab.now;
    lab.run(300);
    assert_eq!(lab.c.status(lab.wall()).prober.main_stalls, 3);
    let a = lab.started[n..].iter().find(|s| s.address == super::lab::ip("10.1.0.1")).unwrap();
    assert!(a.at > stalled && a.at <= stalled + Duration::from_millis(200), "{a:?}");
}

#[test]
fn disabled_before_its_frontend_is_programmed() {
    let mut lab = Lab::new(BASIC);
    lab.net("10.1.0.1", Net::Fault);
    let now = lab.wall();
    lab.c.set_backend(now, "a", BackendVerb::Disable).unwrap();
    lab.run(3000);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=0 10.1.0.2=50 10.1.0.3=0", "disabled is known");
    assert!(!lab.take_writes().iter().any(|w| w.contains("flush")), "it is clean");
    let now = lab.wall();
    lab.net("10.1.0.1", Net::Good);
    lab.c.set_backend(now, "a", BackendVerb::Enable).unwrap();
    lab.run(10);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=100 10.1.0.2=50 10.1.0.3=0");
}

#[test]
fn overrides_of_0_fail_over_like_any_other_loss() {
    let mut lab = settled();
    for b in ["a", "b"] {
        let now = lab.wall();
        lab.c.set_weight(now, "web", "first", b, Some(0), false).unwrap();
    }
    lab.run(10);
    let writes = lab.take_writes();
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=0 10.1.0.2=0 10.1.0.3=100", "{writes:?}");
    assert!(writes[0].contains("10.1.0.3"), "never through an empty VIP: {writes:?}");
    assert_eq!((lab.state("a").as_str(), lab.c.frontend("web").unwrap().state.as_str()), ("up", "up"));
}

#[test]
fn a_leaving_server_is_held_while_the_pools_change() {
    let mut lab = settled();
    lab.net("10.1.0.4", Net::Silent);
    let at = lab.now;
    lab.load(&BASIC.replace("10.1.0.1", "10.1.0.4"));
    lab.turn();
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=100 10.1.0.2=50 10.1.0.3=0 10.1.0.4=0");
    let now = lab.wall();
    lab.c.set_backend(now, "b", BackendVerb::Pause).unwrap();
    lab.turn();
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=100 10.1.0.2=0 10.1.0.3=100 10.1.0.4=0");
    lab.run(3000);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.2=0 10.1.0.3=100 10.1.0.4=0");
    assert!(lab.now > at && at > START);
}

#[test]
fn a_thaw_looks_at_lb_before_it_writes() {
    let mut lab = settled();
    let now = lab.wall();
    for b in ["a", "b"] {
        lab.c.set_backend(now, b, BackendVerb::Pause).unwrap();
    }
    // The dump, and the first of three writes.
    assert!(lab.ask() && lab.ask());
    lab.take_writes();
    lab.c.freeze("a test");
    assert!(!lab.ask());
    lab.lb.meddle(&crate::lb::Op::DelVip { vip: super::lab::vip_tcp("192.0.2.1", 80) }).unwrap();
    lab.c.thaw(now);
    assert_eq!(lab.c.next_lb(now), Some(LbRequest::Settings), "not the second write of the old plan");
    lab.run(3000);
    assert_eq!(lab.weights("192.0.2.1", 80), "10.1.0.1=0 10.1.0.2=0 10.1.0.3=100");
    assert_eq!(lab.lb.stray_flushes(), 0);
}
