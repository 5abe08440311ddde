//! Clients of the demo's VIP: made-up flows sent through the lb in memory.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use maglev::clock;
use maglev::lb::VipKey;
use maglev::lb::flow::Flow;

use crate::host::Twin;

/// As many clients as fit into a line of figures.
const CLIENTS: u16 = 1000;

/// Clients, and the server that each of them was sent to last.
pub struct Flows {
    vip: VipKey,
    flows: Vec<(Flow, Option<IpAddr>)>,
}

/// Where one packet of each client went.
pub struct Sent {
    /// By server.
    pub by_server: BTreeMap<IpAddr, usize>,
    /// To no server.
    pub dropped: usize,
    /// To another server than the packet before.
    pub moved: usize,
    names: BTreeMap<String, IpAddr>,
}

impl Sent {
    pub fn on(&self, name: &str) -> usize {
        self.names.get(name).and_then(|a| self.by_server.get(a)).copied().unwrap_or(0)
    }
}

impl Flows {
    pub fn new(vip: VipKey) -> Flows {
        Flows::from_port(vip, 20_000)
    }

    /// Clients that were not there before.
    pub fn newcomers(vip: VipKey) -> Flows {
        Flows::from_port(vip, 40_000)
    }

    fn from_port(vip: VipKey, first: u16) -> Flows {
        let source = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
        let flow = |i: u16| Flow::to_vip(&vip, source, first.saturating_add(i), 0);
        Flows { vip, flows: (0..CLIENTS).filter_map(flow).map(|f| (f, None)).collect() }
    }

    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// One packet of each.
    pub fn send(&mut self, lb: &Twin, names: BTreeMap<String, IpAddr>) -> Sent {
        let mut sent = Sent { by_server: BTreeMap::new(), dropped: 0, moved: 0, names };
        let mut lb = lb.0.borrow_mut();
        for (flow, last) in &mut self.flows {
            let to = lb.packet(&self.vip, flow, clock::mono());
            match to {
                Some(server) => {
                    let n = sent.by_server.entry(server).or_default();
                    *n = n.saturating_add(1);
                }
                None => sent.dropped = sent.dropped.saturating_add(1),
            }
            if last.is_some() && *last != to {
                sent.moved = sent.moved.saturating_add(1);
            }
            *last = to;
        }
        sent
    }
}
