//! Random histories: whatever happened, once all is calm `lb` holds what a plain reading of the rules wants.

use std::collections::BTreeMap;

use super::lab::{BASIC, ip, vip_tcp};
use super::{Lab, Net};
use crate::control::BackendVerb;
use crate::lb::{LbError, LoadBalancer, Op};

const BACKENDS: [(&str, &str); 3] = [("a", "10.1.0.1"), ("b", "10.1.0.2"), ("c", "10.1.0.3")];

/// The files that are reloaded at random: other weights, another table, another name, one pool less.
fn files() -> Vec<String> {
    vec![
        BASIC.to_owned(),
        BASIC.replace("b: {weight: 50}", "b: {weight: 1}"),
        BASIC.replace("port: 80\n      pools", "port: 80\n      new-flow-table-length: 64\n      pools"),
        BASIC.replace("port: 80\n      pools", "port: 80\n      flush-on-down: false\n      pools"),
        BASIC.replace("b: {weight: 50}", "b: {weight: 0}"),
        BASIC.replace("        - {name: second, backends: {c: {}}}\n", ""),
    ]
}

/// The table of the rules, read afresh: the first pool with a live backend of weight > 0, and its weights.
fn expected(lab: &Lab) -> BTreeMap<String, u8> {
    let f = lab.c.frontend("web").unwrap();
    let live = |b: &crate::control::view::MemberView| b.state.starts_with("up") && b.weight > 0;
    let active = f.pools.iter().position(|p| p.backends.iter().any(live));
    let mut all = BTreeMap::new();
    for (i, pool) in f.pools.iter().enumerate() {
        for b in &pool.backends {
            let weight = if Some(i) == active && live(b) { b.weight } else { 0 };
            all.insert(b.address.clone(), weight);
        }
    }
    all
}

#[test]
fn lb_ends_as_the_rules_want_it_whatever_happened() {
    for seed in 0..200u64 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let files = files();
        let mut lab = Lab::new(BASIC);
        let vip = vip_tcp("192.0.2.1", 80);
        for _ in 0..60 {
            let (name, address) = BACKENDS[rng.usize(..3)];
            let now = lab.wall();
            match rng.u32(..12) {
                0..=3 => lab.net(address, [Net::Good, Net::Refused, Net::Silent, Net::Fault][rng.usize(..4)]),
                4..=5 => {
                    use BackendVerb::{Disable, Enable, Pause, Resume};
                    let verb = [Disable, Enable, Pause, Resume][rng.usize(..4)];
                    let _ = lab.c.set_backend(now, name, verb);
                }
                6 => {
                    let weight = [None, Some(0), Some(1), Some(77)][rng.usize(..4)];
                    let pool = if name == "c" { "second" } else { "first" };
                    let _ = lab.c.set_weight(now, "web", pool, name, weight, rng.bool());
                }
                7 => lab.load(&files[rng.usize(..files.len())]),
                8 => lab.lb.fail_next(rng.usize(1..4), LbError::Other(-7)),
                9 => lab.lb.lose_answers(1),
                10 => {
                    let weight = rng.u8(..=100);
                    let ops = [
                        Op::DelServer { vip, address: ip(address), flush: false },
                        Op::SetWeight { vip, address: ip(address), weight, flush: false },
                        Op::DelVip { vip },
                    ];
                    let _ = lab.lb.meddle(&ops[rng.usize(..3)]);
                }
                _ => lab.lb.fail_dumps(1, LbError::NoAnswer("test")),
            }
            lab.run(rng.u64(1..3000));
        }
        lab.lb.heal();
        lab.run(120_000);
        let servers = lab.lb.servers(&vip).unwrap();
        let is: BTreeMap<String, u8> = servers.iter().map(|s| (s.address.to_string(), s.weight)).collect();
        assert_eq!(is, expected(&lab), "seed {seed}");
        assert_eq!(lab.c.frontend("web").unwrap().error, None, "seed {seed}");
        assert_eq!(lab.lb.stray_flushes(), 0, "seed {seed}: a flush of a VIP that was not there");
        lab.take_writes();
        lab.run(120_000);
        assert_eq!(lab.take_writes(), Vec::<String>::new(), "seed {seed}: at rest, nothing is written");
    }
}
