//! What the tests of the reconciler share: short names, and a driver as the controller is one.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use maglev::lb::embedded::Embedded;
use maglev::lb::ledger::Ledger;
use maglev::lb::reconcile::{Actual, Costs, Member, Plan, Step, Wanted, WantedServer, plan};
use maglev::lb::run::Run;
use maglev::lb::{Encap, LbError, LoadBalancer, Op, Protocol, VipKey};

pub fn ip(s: &str) -> IpAddr {
    s.parse().unwrap()
}

pub fn key(address: &str, port: u16) -> VipKey {
    VipKey { address: ip(address), service: (port != 0).then_some((Protocol::Tcp, port)) }
}

/// 192.0.2.1:80/tcp
pub fn vip() -> VipKey {
    key("192.0.2.1", 80)
}

/// 10.0.0.n
pub fn srv(n: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, n])
}

pub fn w(weight: u8) -> WantedServer {
    WantedServer { weight, ..WantedServer::default() }
}

/// Weight 0, and its flows are to go.
pub fn flushed() -> WantedServer {
    WantedServer { flush: true, ..w(0) }
}

pub fn kept() -> WantedServer {
    WantedServer { keep: true, ..w(0) }
}

pub fn wanted(servers: &[(u8, WantedServer)]) -> Wanted {
    Wanted {
        encap: Encap::Gre4,
        table_length: 1024,
        src_ip_sticky: false,
        servers: servers.iter().map(|&(n, s)| (srv(n), s)).collect(),
    }
}

pub fn actual(servers: &[(u8, u8)]) -> Actual {
    Actual {
        encap: Some(Encap::Gre4),
        table_length: 1024,
        servers: servers.iter().map(|&(n, weight)| (srv(n), weight)).collect(),
    }
}

pub fn add_vip() -> Op {
    Op::AddVip { vip: vip(), encap: Encap::Gre4, table_length: 1024, src_ip_sticky: false }
}

pub fn add(n: u8, weight: u8) -> Op {
    Op::AddServer { vip: vip(), address: srv(n), weight, flush: false }
}

pub fn add_flush(n: u8, weight: u8) -> Op {
    Op::AddServer { vip: vip(), address: srv(n), weight, flush: true }
}

pub fn set(n: u8, weight: u8) -> Op {
    Op::SetWeight { vip: vip(), address: srv(n), weight, flush: false }
}

pub fn set_flush(n: u8, weight: u8) -> Op {
    Op::SetWeight { vip: vip(), address: srv(n), weight, flush: true }
}

pub fn del(n: u8) -> Op {
    Op::DelServer { vip: vip(), address: srv(n), flush: true }
}

pub fn flush_vip() -> Op {
    Op::FlushVip { vip: vip() }
}

pub fn del_vip() -> Op {
    Op::DelVip { vip: vip() }
}

/// The ledger of a VIP that we made, to which then all this was done.
pub fn ledger(ops: &[Op]) -> Ledger {
    let mut ledger = Ledger::default();
    ledger.applied(&add_vip());
    ops.iter().for_each(|op| ledger.applied(op));
    ledger
}

pub fn member<'a>(wanted: Option<&'a Wanted>, actual: Option<&'a Actual>) -> Member<'a> {
    Member { vip: vip(), wanted, actual, adopt: false }
}

/// The plan's steps, as lists of ops.
pub fn steps(plan: &Plan) -> Vec<Vec<Op>> {
    plan.steps.iter().map(|s| s.ops.clone()).collect()
}

/// Each op a step of its own.
pub fn singly(ops: &[Op]) -> Vec<Vec<Op>> {
    ops.iter().map(|op| vec![*op]).collect()
}

/// A VIP as dumped.
pub fn dump(lb: &mut Embedded, vip: &VipKey) -> Option<Actual> {
    let vips = lb.vips().unwrap();
    let record = vips.iter().find(|v| v.key() == Some(*vip))?;
    Some(Actual::new(record, &lb.servers(vip).unwrap()))
}

/// What is wanted of all VIPs.
pub type Goal = BTreeMap<VipKey, Wanted>;

/// A controller's worth of state around an `lb`.
#[derive(Default)]
pub struct Driver {
    pub lb: Embedded,
    pub ledger: Ledger,
    pub costs: Costs,
    pub programmed: BTreeSet<VipKey>,
}

/// What one reconcile did.
pub struct Done {
    pub plan: Plan,
    pub failures: Vec<(Op, LbError)>,
}

impl Driver {
    pub fn reconcile(&mut self, goal: &Goal) -> Done {
        self.reconcile_watched(goal, |_, _| {})
    }

    /// Dumps, plans, and carries the plan out; `watch` sees `lb` after every step.
    pub fn reconcile_watched(&mut self, goal: &Goal, mut watch: impl FnMut(&Step, &mut Embedded)) -> Done {
        let ours: BTreeSet<VipKey> = self.ledger.all_ours().chain(goal.keys()).copied().collect();
        let mut actual = BTreeMap::new();
        for vip in &ours {
            let found = dump(&mut self.lb, vip);
            self.ledger.observed(vip, found.as_ref());
            actual.insert(*vip, found);
        }
        let members: Vec<Member<'_>> = actual
            .iter()
            .map(|(vip, actual)| Member {
                vip: *vip,
                wanted: goal.get(vip),
                actual: actual.as_ref(),
                adopt: goal.contains_key(vip) && !self.programmed.contains(vip),
            })
            .collect();
        let plan = plan(&members, &self.ledger, &self.costs);
        let mut run = Run::start(plan.clone(), &members, &mut self.ledger);
        while let Some(step) = run.next_step() {
            let answers = step.apply(&mut self.lb);
            run.answered(&step, &answers, &mut self.ledger);
            for (op, answer) in step.ops.iter().zip(&answers) {
                if let (Op::AddVip { vip, .. }, Ok(())) = (op, answer) {
                    self.programmed.insert(*vip);
                }
            }
            watch(&step, &mut self.lb);
        }
        Done { plan, failures: run.failures().to_vec() }
    }
}
