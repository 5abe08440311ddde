//! A few seeds; that the same seed does the same; and that each rule can fail: every one is shown a world in which it does not
//! hold.

use std::sync::Arc;

use super::agree::agree;
use super::books::{Books, Flows, Server};
use super::broken::Broken;
use super::run::Simulator;
use super::settled::settled;
use super::{live, live_with};
use crate::control::BackendVerb;
use crate::control::programmer::{LbAnswer, LbRequest};
use crate::health::agent::{AgentAdmin, AgentWeight};
use crate::health::{Author, Vital};
use crate::lb::{LbError, Op, VipKey};
use crate::time::Time;

const SEEDS: [u64; 4] = [1, 2, 3, 12];
const STEPS: u64 = 6000;

#[test]
fn all_that_is_promised_holds_after_each_step() {
    for seed in SEEDS {
        match live(seed, STEPS) {
            Ok(tally) => {
                assert!(tally.calms > 0 && tally.lives > 1 && tally.writes > 100, "{tally:?}");
                assert!(tally.together > 5, "{tally:?}");
            }
            Err(f) => {
                panic!("{}\nseed {seed} step {}: {}\n{}", f.story.join("\n"), f.steps, f.broken, f.yaml)
            }
        }
    }
}

#[test]
fn the_same_seed_does_the_same_bit_for_bit() {
    let run = |seed| {
        let mut sim = Simulator::new(seed);
        let mut all = Vec::new();
        for _ in 0..2000 {
            sim.step().unwrap();
            all.push(sim.last());
        }
        (all, sim.tally)
    };
    let (one, other) = (run(5), run(5));
    assert_eq!(one, other);
    assert_ne!(one.0, run(6).0, "another seed does something else");
}

/// A world at the end of a calm: nothing is wrong in it, and it has what `has` wants.
fn calm(has: impl Fn(&Simulator) -> bool) -> Simulator {
    for seed in 21..40 {
        let mut sim = Simulator::new(seed);
        while sim.tally.calms == 0 {
            sim.step().unwrap();
        }
        assert_eq!(agree(&sim.model, &sim.world, true), Ok(()));
        if has(&sim) {
            return sim;
        }
    }
    panic!("no seed has it");
}

fn everything(sim: &Simulator) -> bool {
    let minds = || sim.model.minds.values();
    let fronts = || sim.model.fronts.values();
    minds().any(|m| m.config.agent.is_some() && !m.muted)
        && minds().any(|m| m.config.track.is_none() && !m.muted)
        && minds().any(|m| m.checked() && m.config.healthcheck.is_some())
        && fronts().any(|f| f.due.iter().any(|d| d.weight > 0))
}

fn rule<T: std::fmt::Debug>(result: Result<T, Broken>) -> &'static str {
    result.expect_err("it has to fail").rule
}

/// Whether the backends and frontends of the model are as the controller has them, after the model was bent.
fn bent(bend: impl FnOnce(&mut Simulator)) -> &'static str {
    let mut sim = calm(everything);
    bend(&mut sim);
    rule(agree(&sim.model, &sim.world, true))
}

#[test]
fn every_comparison_of_words_and_shares_can_fail() {
    fn mind(sim: &mut Simulator) -> &mut super::mind::Mind {
        sim.model.minds.values_mut().find(|m| m.config.track.is_none() && !m.muted).unwrap()
    }
    fn front(sim: &mut Simulator) -> &mut super::front::Front {
        sim.model.fronts.values_mut().next().unwrap()
    }
    let operator = "the operator's word is changed by another hand, or lost";
    assert_eq!(bent(|s| mind(s).drain ^= true), operator);
    assert_eq!(bent(|s| mind(s).paused ^= true), operator);
    assert_eq!(bent(|s| mind(s).muted ^= true), operator);
    assert_eq!(
        bent(|s| {
            let m = mind(s);
            m.disabled = if m.disabled.is_some() { None } else { Some(Author::Operator) };
        }),
        operator
    );
    assert_eq!(
        bent(|s| {
            let m = mind(s);
            m.words.weight = Some(AgentWeight::Share(123_456));
        }),
        "an agent's words stand"
    );
    assert_eq!(
        bent(|s| {
            // The operator has muted it; and yet its word is heard.
            let name = s
                .model
                .minds
                .values()
                .find(|m| m.config.agent.is_some() && !m.muted)
                .unwrap()
                .config
                .name
                .clone();
            let now = s.world.now;
            let wall = s.world.wall();
            s.world.c.set_backend(wall, &name, BackendVerb::AgentMute).unwrap();
            s.model.verb(&name, BackendVerb::AgentMute, now);
            s.model.minds.get_mut(&name).unwrap().words.admin = Some(AgentAdmin::Drain);
        }),
        "a muted agent has no effect"
    );
    assert_eq!(
        bent(|s| {
            let name = mind(s).config.name.clone();
            let shown = s.model.shown.get_mut(&name).unwrap();
            shown.verdict.state = "nothing";
            shown.vital = Vital::Unknown;
        }),
        "states"
    );
    assert_eq!(
        bent(|s| {
            let m = mind(s);
            m.found.stopping ^= true;
        }),
        "checks"
    );
    assert_eq!(
        bent(|s| {
            let checked = |m: &&mut super::mind::Mind| m.checked() && m.config.healthcheck.is_some();
            s.model.minds.values_mut().find(checked).unwrap().found.count += 1;
        }),
        "the counter"
    );
    assert_eq!(
        bent(|s| {
            let name = mind(s).config.name.clone();
            s.model.shown.get_mut(&name).unwrap().verdict.by = "nobody".into();
        }),
        "whose word it is"
    );
    assert_eq!(bent(|s| front(s).due[0].flush ^= true), "shares");
    assert_eq!(bent(|s| front(s).due[0].weight += 1), "shares");
    assert_eq!(bent(|s| front(s).open ^= true), "frontends");
    assert_eq!(bent(|s| front(s).alarm = Some((99, 99))), "frontends");
    assert_eq!(bent(|s| front(s).active += 7), "frontends");
    assert_eq!(
        bent(|s| {
            let f = front(s);
            let mut config = (*f.config).clone();
            config.flush_on_down ^= true;
            f.config = Arc::new(config);
        }),
        "configuration"
    );
    assert_eq!(
        bent(|s| {
            let f = front(s).config.clone();
            let (pool, name, _) = f.members().next().unwrap();
            let place = (f.name.clone(), f.pools[pool].name.clone(), name.clone());
            let weight = s.model.overrides.get(&place).map_or(1, |w| w ^ 1);
            s.model.overrides.insert(place, weight);
        }),
        "the operator's weight is changed by another hand, or lost"
    );
    assert_eq!(
        bent(|s| {
            s.model.minds.pop_first();
            s.model.shown.pop_first();
        }),
        "configuration"
    );
    assert_eq!(bent(|s| drop(s.model.fronts.pop_first())), "configuration");
    assert_eq!(bent(|s| front(s).seats[0].pool += 7), "the configured weight is never altered");
    // Who carries weight, and was taken out.
    assert_eq!(
        bent(|s| {
            let carries = |f: &&mut super::front::Front| f.due.iter().any(|d| d.weight > 0);
            let f = s.model.fronts.values_mut().find(carries).unwrap();
            let i = f.due.iter().position(|d| d.weight > 0).unwrap();
            f.seats[i].out = true;
        }),
        "who was taken out has no weight"
    );
}

/// It is shown as down, though nothing that was found is against it.
#[test]
fn who_drains_or_stops_and_is_down_is_seen() {
    let down = |s: &Simulator| s.model.shown.values().any(|x| x.verdict.state == "down");
    let mut sim = calm(down);
    let shown = sim.model.shown.values_mut().find(|x| x.verdict.state == "down").unwrap();
    shown.vital = Vital::Up;
    assert_eq!(
        rule(agree(&sim.model, &sim.world, true)),
        "who drains or stops is never down while checks pass"
    );
}

/// A VIP with a server that carries weight and one that does not, and what the model wants of it.
struct Scene {
    sim: Simulator,
    vip: VipKey,
    up: (std::net::IpAddr, u8),
    idle: std::net::IpAddr,
}

fn scene() -> Scene {
    let found = |sim: &Simulator| {
        sim.model.fronts.iter().find_map(|(vip, f)| {
            // NAT has rules of its own.
            let nat = f.config.encap.is_nat() || sim.books.nat_of(vip).is_some();
            if nat || sim.books.is_blocked(vip, f.config.encap) {
                return None;
            }
            let seats = || f.seats.iter().zip(&f.due);
            let (up, due) = seats().find(|(_, d)| d.weight > 0)?;
            let (idle, _) = seats().find(|(_, d)| d.weight == 0 && !d.flush)?;
            Some((*vip, (up.address, due.weight), idle.address))
        })
    };
    let sim = calm(|sim| found(sim).is_some());
    let (vip, up, idle) = found(&sim).unwrap();
    Scene { sim, vip, up, idle }
}

fn asked(s: &mut Scene, ops: &[Op], ok: bool) -> Result<(), Broken> {
    let answer = if ok { Ok(()) } else { Err(LbError::Other(-7)) };
    let answers = LbAnswer::Apply(vec![answer; ops.len()], None);
    let Scene { sim, .. } = s;
    sim.books.asked(&sim.model, sim.world.now, &LbRequest::Apply(ops.to_vec()), &answers)
}

#[test]
fn every_rule_on_calls_of_lb_can_fail() {
    let ask = |op: &dyn Fn(&Scene) -> Op| {
        let mut s = scene();
        let op = op(&s);
        rule(asked(&mut s, &[op], true))
    };
    let set = |s: &Scene, address, weight, flush| Op::SetWeight { vip: s.vip, address, weight, flush };
    assert_eq!(ask(&|s| set(s, s.up.0, s.up.1, false)), "what is so already is not written");
    assert_eq!(ask(&|s| set(s, s.up.0, 0, false)), "weights in lb are what the rule gives");
    assert_eq!(ask(&|s| set(s, s.idle, 101, false)), "weights in lb are what the rule gives");
    assert_eq!(
        ask(&|s| set(s, s.idle, 0, true)),
        "flows are flushed of who is disabled, or down with flush-on-down"
    );
    assert_eq!(ask(&|s| Op::FlushVip { vip: s.vip }), "a VIP with weight is not flushed as a whole");
    assert_eq!(ask(&|s| Op::DelVip { vip: s.vip }), "VIPs that are right stay");
    assert_eq!(
        ask(&|s| Op::DelServer { vip: s.vip, address: s.idle, flush: true }),
        "configured servers stay in lb"
    );
    let stranger = std::net::IpAddr::from([10, 9, 9, 9]);
    assert_eq!(
        ask(&|s| Op::DelServer { vip: s.vip, address: stranger, flush: false }),
        "who leaves loses its flows"
    );
    assert_eq!(ask(&|s| set(s, stranger, 1, false)), "servers in lb are those of the configuration");
    assert_eq!(
        ask(&|s| Op::FlushVip { vip: *s.sim.books.foreign.first().unwrap() }),
        "foreign VIPs are never touched"
    );
    assert_eq!(
        ask(&|s| {
            let config = &s.sim.model.fronts[&s.vip].config;
            let (encap, table_length) = (config.encap, config.table_length * 2);
            Op::AddVip { vip: s.vip, encap, table_length, src_ip_sticky: config.src_ip_sticky }
        }),
        "VIPs are as configured"
    );
}

#[test]
fn nothing_is_written_before_who_is_to_get_no_more_packets() {
    let mut s = scene();
    let (vip, idle) = (s.vip, s.idle);
    let server = s.sim.books.vips.get_mut(&vip).unwrap().servers.get_mut(&idle).unwrap();
    server.weight = Some(5);
    let other = Op::SetSettings(s.sim.books.settings);
    assert_eq!(rule(asked(&mut s, &[other], true)), "who is to get no more packets goes first");
    // Not where nothing is known of the VIP, nor with the write that takes it out.
    s.sim.books.clouded.insert(vip.address);
    assert_eq!(asked(&mut s, &[other], true), Ok(()));
    s.sim.books.clouded.clear();
    let out = Op::SetWeight { vip, address: idle, weight: 0, flush: false };
    assert_eq!(asked(&mut s, &[out], true), Ok(()));
    assert_eq!(asked(&mut s, &[other], true), Ok(()));
}

#[test]
fn a_vip_is_flushed_as_a_whole_where_no_flow_is_older_than_its_table() {
    let leaves = std::net::IpAddr::from([10, 9, 9, 9]);
    for (since, rule_broken) in [(0, Some("a VIP with weight is not flushed as a whole")), (9, None)] {
        let mut s = scene();
        let vip = s.vip;
        let front = s.sim.model.fronts.get_mut(&vip).unwrap();
        front.due.iter_mut().filter(|d| d.weight == 0).for_each(|d| d.flush = true);
        let book = s.sim.books.vips.get_mut(&vip).unwrap();
        book.tables = 9;
        for server in book.servers.values_mut() {
            server.since = since;
        }
        let gone = Server { weight: Some(0), flows: Flows::Dirty, since: 0, flushed: false };
        book.servers.insert(leaves, gone);
        let whole = asked(&mut s, &[Op::FlushVip { vip }], true);
        match rule_broken {
            Some(broken) => assert_eq!(rule(whole), broken),
            None => {
                assert_eq!(whole, Ok(()));
                // And who leaves has no flows left.
                let del = Op::DelServer { vip, address: leaves, flush: false };
                assert_eq!(asked(&mut s, &[del], true), Ok(()));
            }
        }
    }
}

#[test]
fn a_flush_is_wanted_and_not_of_a_clean_server() {
    let mut s = scene();
    let (vip, address) = (s.vip, s.idle);
    let front = s.sim.model.fronts.get_mut(&vip).unwrap();
    let i = front.seats.iter().position(|x| x.address == address).unwrap();
    front.due[i].flush = true;
    let op = Op::SetWeight { vip, address, weight: 0, flush: true };
    s.sim.books.vips.get_mut(&vip).unwrap().servers.get_mut(&address).unwrap().flows = Flows::Dirty;
    assert_eq!(asked(&mut s, &[op], true), Ok(()));
    assert_eq!(rule(asked(&mut s, &[op], true)), "a clean server is never flushed");
    // Unless it is not known whether it is.
    s.sim.books.meddled(&Op::SetWeight { vip, address, weight: 0, flush: false });
    assert_eq!(asked(&mut s, &[op], true), Ok(()));
}

#[test]
fn kept_flows_empty_vips_quiet_and_waiting() {
    // A server at 0 with flows that are to be kept: the VIP as a whole is not flushed.
    let mut s = scene();
    let (vip, up) = (s.vip, s.up);
    let front = s.sim.model.fronts.get_mut(&vip).unwrap();
    for d in &mut front.due {
        (d.weight, d.flush) = (0, false);
    }
    let book = s.sim.books.vips.get_mut(&vip).unwrap();
    for server in book.servers.values_mut() {
        (server.weight, server.flows) = (Some(0), Flows::Dirty);
    }
    assert_eq!(rule(asked(&mut s, &[Op::FlushVip { vip }], true)), "flows that are to be kept are kept");

    // The last weight goes before the next one is there.
    let mut s = scene();
    let front = s.sim.model.fronts.get_mut(&vip).unwrap();
    for (seat, d) in front.seats.iter().zip(&mut front.due) {
        d.weight = u8::from(seat.address != up.0);
    }
    let book = s.sim.books.vips.get_mut(&vip).unwrap();
    for (a, server) in &mut book.servers {
        server.weight = Some(u8::from(*a == up.0));
    }
    let op = Op::SetWeight { vip, address: up.0, weight: 0, flush: false };
    assert_eq!(rule(asked(&mut s, &[op], true)), "a failover never passes through an empty VIP");

    let mut s = scene();
    s.sim.books.quiet = true;
    let op = Op::SetWeight { vip, address: up.0, weight: up.1, flush: false };
    assert_eq!(rule(asked(&mut s, &[op], true)), "a quiet system writes nothing");
    let settings = LbAnswer::Settings(Err(LbError::Other(0)));
    let Scene { sim, .. } = &mut s;
    let now = sim.world.now;
    sim.books.synced = Some(now);
    let again = sim.books.asked(&sim.model, now, &LbRequest::Settings, &settings);
    assert_eq!(rule(again), "a quiet system only dumps, once in a sync-interval");

    let mut s = scene();
    s.sim.model.fronts.get_mut(&vip).unwrap().open = false;
    let op = Op::SetWeight { vip, address: up.0, weight: 1, flush: false };
    assert_eq!(rule(asked(&mut s, &[op], true)), "a frontend waits until its backends are known");
}

#[test]
fn every_rule_on_what_is_settled_can_fail() {
    let broken = |bend: &dyn Fn(&mut Scene)| {
        let mut s = scene();
        let pending = Default::default();
        let Scene { sim, .. } = &mut s;
        assert_eq!(settled(&mut sim.world, &sim.model, &mut sim.books, &pending), Ok(()));
        bend(&mut s);
        let Scene { sim, .. } = &mut s;
        rule(settled(&mut sim.world, &sim.model, &mut sim.books, &pending))
    };
    let meddle = |s: &mut Scene, op: Op| s.sim.world.lb.meddle(&op).unwrap();
    let lb = "once all is calm, lb is what the rule gives";
    assert_eq!(
        broken(&|s| {
            let (vip, address) = (s.vip, s.up.0);
            meddle(s, Op::SetWeight { vip, address, weight: 0, flush: false });
        }),
        lb
    );
    assert_eq!(broken(&|s| meddle(s, Op::DelVip { vip: s.vip })), lb);
    assert_eq!(broken(&|s| drop(s.sim.model.fronts.remove(&s.vip))), lb);
    assert_eq!(
        broken(&|s| {
            let vip =
                s.sim.books.foreign.iter().find(|v| v.service.is_some_and(|x| x.1 == 80)).copied().unwrap();
            meddle(s, Op::DelVip { vip });
        }),
        "foreign VIPs are never touched"
    );
    assert_eq!(
        broken(&|s| {
            let vip =
                s.sim.books.foreign.iter().find(|v| v.service.is_some_and(|x| x.1 == 80)).copied().unwrap();
            meddle(s, Op::SetWeight { vip, address: super::draft::address(0), weight: 11, flush: false });
        }),
        "foreign VIPs are never touched"
    );
    assert_eq!(
        broken(&|s| {
            let front = s.sim.model.fronts.get_mut(&s.vip).unwrap();
            let i = front.seats.iter().position(|x| x.address == s.idle).unwrap();
            front.due[i].flush = true;
            let book = s.sim.books.vips.get_mut(&s.vip).unwrap();
            book.servers.get_mut(&s.idle).unwrap().flows = Flows::Dirty;
        }),
        "who is to lose its flows loses them"
    );
    assert_eq!(
        broken(&|s| {
            // A word that no weight depends on.
            let mind = s.sim.model.minds.values_mut().next().unwrap();
            mind.muted ^= true;
        }),
        "what was said is saved in the end"
    );
    assert_eq!(
        broken(&|s| s.sim.world.now = Time(s.sim.world.now.0 + 100_000_000_000)),
        "nobody is forgotten"
    );
    assert_eq!(broken(&|s| s.sim.world.c.freeze("test")), "a freeze ends");
    let mut s = scene();
    let Scene { sim, .. } = &mut s;
    let pending = [(crate::control::Ticket(1), sim.world.now)].into();
    let waits = settled(&mut sim.world, &sim.model, &mut sim.books, &pending);
    assert_eq!(rule(waits), "who waits gets an answer");
}

#[test]
fn a_failure_says_where_what_and_how_to_see_it_again() {
    let sabotage = |sim: &mut Simulator| {
        if sim.steps() == 700 {
            let wall = sim.world.wall();
            let names: Vec<crate::Name> = sim.world.c.backends().names().cloned().collect();
            for name in names {
                let drained = sim.model.minds[&name].drain;
                let verb = if drained { BackendVerb::Ready } else { BackendVerb::Drain };
                sim.world.c.set_backend(wall, &name, verb).unwrap();
            }
        }
    };
    let f = live_with(5, 1000, sabotage).expect_err("somebody was at the controller");
    assert_eq!((f.seed, f.steps), (5, 701));
    let text = f.to_string();
    assert!(text.contains("\nstep 700 at ") && text.contains("\nmaglev:\n"), "{text}");
    let end =
        format!("BROKEN at step 700 of seed 5: {}\nagain: maglev simulate --seed 5 --steps 701", f.broken);
    assert!(text.ends_with(&end), "{text}");
    let panics = live_with(5, 100, |sim| assert!(sim.steps() < 30, "on purpose")).expect_err("it panics");
    assert_eq!((panics.steps, panics.broken.rule), (30, "nothing panics"));
    assert!(panics.broken.what.contains("on purpose"));
}

/// Somebody gets at the controller itself: the next steps must tell.
#[test]
fn a_word_that_another_hand_has_changed_is_seen_at_the_next_step() {
    let mut sim = calm(everything);
    let name = sim.model.minds.keys().next().unwrap().clone();
    let wall = sim.world.wall();
    let drained = sim.model.minds[&name].drain;
    let verb = if drained { BackendVerb::Ready } else { BackendVerb::Drain };
    sim.world.c.set_backend(wall, &name, verb).unwrap();
    sim.world.drain();
    let seen = rule(sim.step());
    let lb = "weights in lb are what the rule gives";
    assert!(["the operator's word is changed by another hand, or lost", lb].contains(&seen), "{seen}");
}

#[test]
fn books_equal_after_the_same_calls() {
    let s = scene();
    let mut books = Books::default();
    let (vip, address) = (s.vip, s.idle);
    let config = &s.sim.model.fronts[&vip].config;
    let (encap, table_length, src_ip_sticky) = (config.encap, config.table_length, config.src_ip_sticky);
    books.done(&Op::AddVip { vip, encap, table_length, src_ip_sticky });
    for (op, flows) in [
        (Op::AddServer { vip, address, weight: 0, flush: false }, Flows::Clean),
        (Op::SetWeight { vip, address, weight: 4, flush: false }, Flows::Dirty),
        (Op::SetWeight { vip, address, weight: 0, flush: false }, Flows::Dirty),
        (Op::SetWeight { vip, address, weight: 0, flush: true }, Flows::Clean),
        (Op::SetWeight { vip, address, weight: 4, flush: true }, Flows::Dirty),
        (Op::DelServer { vip, address, flush: false }, Flows::Dirty),
        (Op::FlushVip { vip }, Flows::Clean),
    ] {
        books.done(&op);
        assert_eq!(books.vips[&vip].servers[&address].flows, flows, "{op}");
    }
    // What somebody else has flushed nobody knows of: seed 1127 flushed it once more, which is no mistake.
    let set = |weight, flush| Op::SetWeight { vip, address, weight, flush };
    for (op, flows) in [
        (Op::DelServer { vip, address, flush: true }, Flows::Unsure),
        (set(0, true), Flows::Unsure),
        (Op::FlushVip { vip }, Flows::Unsure),
    ] {
        books.done(&set(4, false));
        books.done(&set(0, false));
        books.meddled(&op);
        assert_eq!(books.vips[&vip].servers[&address].flows, flows, "{op}");
    }
}

#[path = "chain_tests.rs"]
mod chain;
#[path = "disk_tests.rs"]
mod disk;
#[path = "nat_tests.rs"]
mod nat;
#[path = "probes_tests.rs"]
mod probes;
