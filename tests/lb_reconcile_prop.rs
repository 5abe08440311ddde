//! What must hold of the reconciler whatever is there and whatever is wanted: goals, strangers' hands, packets and
//! failures in any order.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod lb_support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use lb_support::*;
use maglev::lb::flow::Flow;
use maglev::lb::reconcile::{Actual, Costs, StepKind, Wanted, WantedServer};
use maglev::lb::{AsRecord, Encap, LbError, LoadBalancer, Op, VipKey, VipRecord};
use maglev::time::Time;
use proptest::prelude::*;

// Few VIPs and few servers, so that one and the same goes through many states.
const ADDRESSES: [&str; 2] = ["192.0.2.1", "2001:db8::1"];
const PORTS: [u16; 3] = [0, 80, 443];

#[derive(Clone, Debug)]
enum Action {
    /// What is wanted from now on; and how each op of a first try goes, 0 being well.
    Goal(Goal, Vec<u8>),
    /// A goal that differs from the last in these servers: which VIP (modulo their number), which server, and what of it.
    Change(Vec<(usize, u8, Option<WantedServer>)>, Vec<u8>),
    /// Somebody else's op on one of our VIPs.
    Meddle(Op),
    /// So many packets of new flows to every VIP.
    Packets(u16),
}

fn server_of(encap: Encap, n: u8) -> IpAddr {
    if encap == Encap::Gre6 { ip(&format!("2001:db8::{n}")) } else { srv(n) }
}

fn server() -> impl Strategy<Value = WantedServer> {
    prop_oneof![
        3 => Just(w(0)),
        3 => Just(flushed()),
        1 => Just(kept()),
        2 => prop_oneof![Just(1), Just(50), Just(100)].prop_map(w),
    ]
}

fn want(encap: Encap) -> impl Strategy<Value = Wanted> {
    let servers = proptest::collection::btree_map(1..=4u8, server(), 0..=4);
    let length = prop_oneof![1 => Just(1u32), 20 => Just(64), 1 => Just(256)];
    (servers, length, proptest::bool::weighted(0.05)).prop_map(
        move |(servers, table_length, src_ip_sticky)| {
            let servers = servers.into_iter().map(|(n, s)| (server_of(encap, n), s)).collect();
            Wanted { encap, table_length, src_ip_sticky, servers }
        },
    )
}

/// All that is wanted of one address: one encapsulation; all ports, or some.
fn address_goal(address: &'static str) -> impl Strategy<Value = Goal> {
    let encap =
        prop_oneof![20 => Just(Encap::Gre4), 1 => Just(Encap::Gre6), 1 => Just(Encap::L3dsr { dscp: 5 })];
    let encap = encap.prop_map(move |e| match e {
        Encap::L3dsr { .. } if address.contains(':') => Encap::Gre4,
        Encap::L3dsr { .. } | Encap::Gre4 | Encap::Gre6 => e,
        Encap::Nat4 { .. } | Encap::Nat6 { .. } => unreachable!("see lb_nat_prop.rs"),
    });
    let ports = prop_oneof![
        1 => Just(vec![]),
        1 => Just(vec![0]),
        5 => Just(vec![80]),
        1 => Just(vec![443]),
        5 => Just(vec![80, 443])
    ];
    (encap, ports).prop_flat_map(move |(encap, ports)| {
        ports
            .into_iter()
            .map(|port| (Just(key(address, port)), want(encap)))
            .collect::<Vec<_>>()
            .prop_map(|vips| vips.into_iter().collect())
    })
}

fn goal() -> impl Strategy<Value = Goal> {
    ADDRESSES.map(address_goal).prop_map(|goals| goals.into_iter().flatten().collect())
}

fn meddle() -> impl Strategy<Value = Op> {
    let vip = (prop::sample::select(&ADDRESSES[..]), prop::sample::select(&[80, 80, 80, 443, 0][..]));
    let vip = vip.prop_map(|(a, p)| key(a, p));
    (vip, 0..5u8, 1..=5u8, proptest::bool::weighted(0.1), any::<bool>(), 0..=100u8).prop_map(
        |(vip, what, n, v6, flush, weight)| {
            let address = if v6 { server_of(Encap::Gre6, n) } else { srv(n) };
            match what {
                0 => Op::SetWeight { vip, address, weight, flush },
                1 => Op::SetWeight { vip, address, weight: 0, flush },
                2 => Op::AddServer { vip, address, weight, flush },
                3 => Op::DelServer { vip, address, flush },
                _ if weight > 80 => Op::DelVip { vip },
                _ => Op::FlushVip { vip },
            }
        },
    )
}

fn actions(failing: bool) -> impl Strategy<Value = Vec<Action>> {
    let troubles = if failing { 0..6usize } else { 0..1 };
    let troubles = proptest::collection::vec(0..4u8, troubles);
    let change = (0..4usize, 1..=3u8, proptest::option::weighted(0.9, server()));
    let changes = proptest::collection::vec(change, 1..4);
    let action = prop_oneof![
        1 => (goal(), troubles.clone()).prop_map(|(g, t)| Action::Goal(g, t)),
        8 => (changes, troubles).prop_map(|(c, t)| Action::Change(c, t)),
        2 => meddle().prop_map(Action::Meddle),
        2 => (1..40u16).prop_map(Action::Packets),
    ];
    let actions = proptest::collection::vec(action, 1..30);
    // Begin with something there.
    (goal(), actions).prop_map(|(first, mut actions)| {
        actions.insert(0, Action::Goal(first, Vec::new()));
        actions
    })
}

/// What `lb` holds of the VIPs that can be ours.
fn look(driver: &mut Driver) -> BTreeMap<VipKey, Actual> {
    let keys = ADDRESSES.iter().flat_map(|a| PORTS.iter().map(|p| key(a, *p)));
    keys.filter_map(|vip| Some((vip, dump(&mut driver.lb, &vip)?))).collect()
}

/// Who may hold flows, told anew from all that happened: by what was seen and done since the VIP was made.
#[derive(Default)]
struct History(BTreeMap<VipKey, BTreeMap<IpAddr, bool>>);

impl History {
    fn seen(&mut self, found: &BTreeMap<VipKey, Actual>) {
        self.0.retain(|vip, _| found.contains_key(vip));
        for (vip, actual) in found {
            let Some(servers) = self.0.get_mut(vip) else { continue };
            for (address, weight) in &actual.servers {
                let dirty = servers.entry(*address).or_insert(true);
                *dirty |= *weight > 0;
            }
        }
    }

    fn done(&mut self, op: &Op) {
        let Some(vip) = op.vip() else { return };
        match *op {
            Op::AddVip { .. } => {
                self.0.insert(vip, BTreeMap::new());
            }
            Op::DelVip { .. } => {
                self.0.remove(&vip);
            }
            Op::AddServer { address, weight, flush, .. } | Op::SetWeight { address, weight, flush, .. } => {
                let dirty = self.0.get_mut(&vip).unwrap().entry(address).or_insert(false);
                *dirty = weight > 0 || (*dirty && !flush);
            }
            Op::DelServer { address, .. } => {
                self.0.get_mut(&vip).unwrap().remove(&address);
            }
            Op::FlushVip { .. } | Op::SetSettings(_) => {}
        }
    }

    /// A flush of the VIP leaves flows nowhere: whoever has no weight now is clean.
    fn flushed(&mut self, vip: &VipKey, now: &Actual) {
        if let Some(servers) = self.0.get_mut(vip) {
            for (address, dirty) in servers {
                *dirty = now.servers.get(address).is_some_and(|w| *w > 0);
            }
        }
    }

    fn dirty(&self, vip: &VipKey, address: &IpAddr) -> bool {
        self.0.get(vip).is_some_and(|servers| servers.get(address) == Some(&true))
    }
}

/// The weights that a VIP ends with: a server that is to leave stays as it was.
fn target(want: &Wanted, before: Option<&Actual>) -> BTreeMap<IpAddr, u8> {
    let fits = |address: &IpAddr| address.is_ipv6() == (want.encap == Encap::Gre6);
    let stays = |address: &IpAddr| before.and_then(|b| b.servers.get(address)).copied();
    let recreated = before.is_some_and(|b| b.encap != Some(want.encap));
    want.servers
        .iter()
        .filter_map(|(a, s)| match s.keep {
            true => Some((*a, stays(a).filter(|_| !recreated || fits(a))?)),
            false => Some((*a, s.weight)),
        })
        .collect()
}

fn total(weights: &BTreeMap<IpAddr, u8>) -> u32 {
    weights.values().map(|w| u32::from(*w)).sum()
}

struct World {
    driver: Driver,
    history: History,
    foreign: Vec<(VipRecord, Vec<AsRecord>)>,
    packets: u16,
}

impl World {
    fn new((limit, bulk): (Duration, bool)) -> World {
        let mut driver = Driver { costs: Costs { limit, bulk, ..Costs::default() }, ..Driver::default() };
        let prefix = VipRecord {
            address: ip("192.0.2.0"),
            prefix_len: 24,
            protocol: 255,
            port: 0,
            encap: Some(Encap::Gre6),
            table_length: 64,
        };
        let host = VipRecord { address: ip("203.0.113.1"), prefix_len: 32, protocol: 6, port: 80, ..prefix };
        let nat = VipRecord { address: ip("203.0.113.2"), protocol: 17, encap: None, ..host };
        for (vip, server) in [(prefix, "2001:db8::1"), (host, "2001:db8::2"), (nat, "10.0.0.1")] {
            driver.lb.meddle_vip(&vip).unwrap();
            driver.lb.meddle_server(&vip, ip(server), 33).unwrap();
        }
        let foreign = [prefix, host, nat].map(|vip| (vip, driver.lb.servers_of(&vip))).into();
        World { driver, history: History::default(), foreign, packets: 0 }
    }

    fn flows(&self, vip: &VipKey, address: IpAddr) -> usize {
        self.driver.lb.flows(vip, address)
    }

    fn packets(&mut self, n: u16) {
        for vip in look(&mut self.driver).into_keys() {
            for _ in 0..n {
                self.packets += 1;
                let client = if vip.address.is_ipv4() { "198.51.100.1" } else { "2001:db8:c::1" };
                let flow = Flow::to_vip(&vip, ip(client), self.packets, 80).unwrap();
                self.driver.lb.packet(&vip, &flow, Time::ZERO);
            }
        }
    }

    /// A stranger's op, seen by us before anybody else does another.
    fn meddle(&mut self, op: &Op) {
        let there = look(&mut self.driver).contains_key(&op.vip().unwrap());
        if there {
            let _refused_is_fine = self.driver.lb.meddle(op);
        }
        let found = look(&mut self.driver);
        self.history.seen(&found);
        for vip in self.driver.ledger.all_ours().copied().collect::<Vec<_>>() {
            self.driver.ledger.observed(&vip, found.get(&vip));
        }
    }

    /// A reconcile without failures: everything that is promised of one.
    fn reach(&mut self, goal: &Goal) {
        let before = look(&mut self.driver);
        self.history.seen(&before);
        let held: BTreeMap<(VipKey, IpAddr), usize> = before
            .iter()
            .flat_map(|(vip, a)| a.servers.keys().map(|s| (*vip, *s)))
            .map(|(vip, s)| ((vip, s), self.flows(&vip, s)))
            .collect();
        self.driver.lb.take_log();
        let done = self.driver.reconcile_watched(goal, |_, _| {});
        assert_eq!(done.failures, []);
        let ops: Vec<Op> = self.driver.lb.take_log().into_iter().map(|c| c.op).collect();
        let after = look(&mut self.driver);

        // Wanted is reached.
        assert_eq!(after.keys().collect::<Vec<_>>(), goal.keys().collect::<Vec<_>>());
        let mut flushed = BTreeSet::new();
        for (vip, want) in goal {
            let (was, is) = (before.get(vip), &after[vip]);
            assert_eq!((is.encap, is.table_length), (Some(want.encap), want.table_length));
            assert_eq!(is.servers, target(want, was), "{vip}");
            assert_eq!(self.driver.ledger.src_ip_sticky(vip), Some(want.src_ip_sticky));

            let mine: Vec<&Op> = ops.iter().filter(|op| op.vip() == Some(*vip)).collect();
            let Some(was) = was.filter(|_| !mine.iter().any(|op| matches!(op, Op::AddVip { .. }))) else {
                continue;
            };
            // Who is deleted has lost its flows.
            for (i, op) in mine.iter().enumerate() {
                let whole = mine[..i].iter().any(|op| matches!(op, Op::FlushVip { .. }));
                assert!(whole || !matches!(op, Op::DelServer { flush: false, .. }), "{vip} {mine:?}");
            }
            // Several lose all flows that there are, and nobody keeps any: one flush may do for them.
            let goes = |address: &IpAddr| {
                want.servers.get(address).is_none_or(|s| !s.keep && s.weight == 0 && s.flush)
            };
            let vip_flushes = mine.iter().filter(|op| matches!(op, Op::FlushVip { .. })).count();
            let exchanged = vip_flushes > 0
                && self.driver.costs.bulk
                && was
                    .servers
                    .keys()
                    .chain(want.servers.keys())
                    .all(|a| goes(a) || !self.history.dirty(vip, a));
            // Flushes are where the rules want them, and nowhere else.
            let mut holder = false;
            for (address, s) in want.servers.iter().filter(|(_, s)| !s.keep) {
                let must = s.weight == 0 && s.flush && self.history.dirty(vip, address);
                let flushes = |op: &&&Op| match op {
                    Op::SetWeight { address: a, weight, flush: true, .. }
                    | Op::AddServer { address: a, weight, flush: true, .. } => a == address && *weight == 0,
                    _ => false,
                };
                let any = |op: &&&Op| match op {
                    Op::SetWeight { address: a, .. }
                    | Op::AddServer { address: a, .. }
                    | Op::DelServer { address: a, .. } => a == address,
                    _ => false,
                };
                // The flush of the VIP is that of all that had no weight.
                let with_all = mine.iter().any(|op| matches!(op, Op::FlushVip { .. }))
                    && (exchanged || was.servers.get(address).is_none_or(|w| *w == 0));
                assert_eq!(
                    mine.iter().filter(flushes).count(),
                    usize::from(must && !with_all),
                    "{vip} {address} {mine:?}"
                );
                // One op a server; of one that goes the weight may come before the flows.
                let first = must && was.servers.get(address).is_some_and(|w| *w > 0);
                assert!(
                    mine.iter().filter(any).count() <= 1 + usize::from(first),
                    "{vip} {address} {mine:?}"
                );
                holder |= s.weight == 0 && !s.flush && self.history.dirty(vip, address);
                if must {
                    assert_eq!(self.flows(vip, *address), 0, "{vip} {address}");
                }
            }
            for (address, _) in want.servers.iter().filter(|(_, s)| s.keep) {
                holder |= was.servers.get(address) == Some(&0) && self.history.dirty(vip, address);
            }
            let first_weight = was.weights() == 0 && is.weights() > 0 && !holder;
            assert_eq!(vip_flushes, usize::from(first_weight || exchanged), "{vip} {mine:?}");
            flushed.extend((vip_flushes > 0).then_some(*vip));
            // Who is not to be flushed keeps its flows.
            for (address, s) in &want.servers {
                let free = s.keep || s.weight > 0 || !s.flush;
                if let Some(flows) = held.get(&(*vip, *address)).filter(|_| free && !first_weight) {
                    assert_eq!(self.flows(vip, *address), *flows, "{vip} {address}");
                }
            }
        }
        ops.iter().for_each(|op| self.history.done(op));
        flushed.iter().for_each(|vip| self.history.flushed(vip, &after[vip]));

        // And nothing is written that is already so.
        let again = self.driver.reconcile(goal);
        assert!(again.plan.is_empty(), "{:?}", again.plan);
        assert_eq!(again.plan.notes, []);
        assert_eq!(self.driver.lb.take_log(), []);
    }

    /// One try during which ops fail as `troubles` say: 1 fails, 2 is done but its answer is lost, 3 is not done and has no
    /// answer. After every step, no VIP has lost its last weight that had some and is to have some.
    fn stumble(&mut self, goal: &Goal, troubles: &[u8]) {
        let before = look(&mut self.driver);
        let with_weight: Vec<VipKey> = goal
            .iter()
            .filter(|(vip, want)| {
                let was = before.get(vip);
                was.is_some_and(|a| a.weights() > 0) && total(&target(want, was)) > 0
            })
            .map(|(vip, _)| *vip)
            .collect();
        let mut log = Vec::new();
        let mut troubles = troubles.iter();
        let mut next = move |lb: &mut maglev::lb::embedded::Embedded| match troubles.next() {
            Some(1) => lb.fail_next(1, LbError::Other(-9)),
            Some(2) => lb.lose_answers(1),
            Some(3) => lb.fail_next(1, LbError::NoAnswer("test")),
            Some(_) | None => lb.heal(),
        };
        next(&mut self.driver.lb);
        let done = self.driver.reconcile_watched(goal, |step, lb| {
            let several =
                matches!(step.kind, StepKind::Create | StepKind::Recreate | StepKind::Fill | StepKind::Leave);
            assert!(step.ops.len() == 1 || several || step.bulk, "{step:?}");
            log.push(with_weight.iter().map(|vip| dump(lb, vip).map(|a| a.weights())).collect::<Vec<_>>());
            next(lb);
        });
        for weights in log {
            for (vip, weight) in with_weight.iter().zip(weights) {
                let recreated = done.plan.recreate_reason(vip).is_some();
                assert!(recreated || weight.is_some_and(|w| w > 0), "{vip} is empty: {:?}", done.plan);
            }
        }
        self.driver.lb.heal();
    }

    fn check_foreign(&mut self) {
        let vips = self.driver.lb.vips().unwrap();
        for (vip, servers) in &self.foreign {
            assert!(vips.contains(vip));
            assert_eq!(&self.driver.lb.servers_of(vip), servers);
        }
        assert_eq!(self.driver.lb.stray_flushes(), 0);
    }
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() }
}

/// How long a barrier may be held, and whether writes are put together.
fn limit() -> impl Strategy<Value = (Duration, bool)> {
    let limit =
        prop_oneof![Just(Duration::ZERO), Just(Duration::from_micros(50)), Just(Duration::from_millis(5))];
    (limit, any::<bool>())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_goal_is_reached_from_anywhere_with_no_more_and_no_fewer_flushes(
        limit in limit(), actions in actions(false)
    ) {
        let mut world = World::new(limit);
        let mut goal = Goal::new();
        for action in &actions {
            match action {
                Action::Goal(..) | Action::Change(..) => {
                    turn(&mut goal, action);
                    world.reach(&goal);
                }
                Action::Meddle(op) => world.meddle(op),
                Action::Packets(n) => world.packets(*n),
            }
            world.check_foreign();
        }
    }

    #[test]
    fn no_step_empties_a_vip_whatever_fails_and_the_next_plan_makes_up_for_it(
        limit in limit(), actions in actions(true)
    ) {
        let mut world = World::new(limit);
        let mut goal = Goal::new();
        for action in &actions {
            match action {
                Action::Goal(_, troubles) | Action::Change(_, troubles) => {
                    turn(&mut goal, action);
                    world.stumble(&goal, troubles);
                    converge(&mut world, &goal);
                }
                Action::Meddle(op) => world.meddle(op),
                Action::Packets(n) => world.packets(*n),
            }
            world.check_foreign();
        }
    }
}

/// The next goal.
fn turn(goal: &mut Goal, action: &Action) {
    match action {
        Action::Goal(next, _) => goal.clone_from(next),
        Action::Change(changes, _) => {
            for (vip, n, server) in changes {
                let len = goal.len().max(1);
                let Some(want) = goal.values_mut().nth(vip % len) else { continue };
                let address = server_of(want.encap, *n);
                match server {
                    Some(server) => want.servers.insert(address, *server),
                    None => want.servers.remove(&address),
                };
            }
        }
        Action::Meddle(_) | Action::Packets(_) => {}
    }
}

/// Once nothing fails any more, one reconcile reaches the goal, and the next has nothing to do.
fn converge(world: &mut World, goal: &Goal) {
    let before = look(&mut world.driver);
    let done = world.driver.reconcile(goal);
    assert_eq!(done.failures, []);
    let after = look(&mut world.driver);
    assert_eq!(after.keys().collect::<Vec<_>>(), goal.keys().collect::<Vec<_>>());
    for (vip, want) in goal {
        assert_eq!(after[vip].servers, target(want, before.get(vip)), "{vip}");
        assert_eq!((after[vip].encap, after[vip].table_length), (Some(want.encap), want.table_length));
        // Whatever failed on the way: nobody who was to be flushed has flows.
        for (address, s) in want.servers.iter().filter(|(_, s)| !s.keep && s.weight == 0 && s.flush) {
            assert_eq!(world.flows(vip, *address), 0, "{vip} {address} {s:?}");
        }
    }
    assert!(world.driver.reconcile(goal).plan.is_empty());
}
