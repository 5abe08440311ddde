//! What is believed to be in `lb`: its VIPs with their servers, and which VIPs each server is in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Bound::{Excluded, Included, Unbounded};

use crate::lb::reconcile::{Actual, Live, advance};
use crate::lb::{Op, VipKey, VipRecord};

/// Comes before all others of a server.
const FIRST: VipKey = VipKey { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), service: None };

/// See above.
#[derive(Debug, Default)]
pub(super) struct Vips {
    live: Live,
    with: BTreeSet<(IpAddr, VipKey)>,
    /// Servers that were to be added, and the answer was lost: until the VIP is dumped.
    perhaps: BTreeMap<VipKey, BTreeSet<IpAddr>>,
    /// Servers that left a VIP, or have no weight in it any more, since last asked; perhaps more than once.
    left: Vec<IpAddr>,
}

impl Vips {
    /// One of them.
    pub(super) fn get(&self, vip: &VipKey) -> Option<&Actual> {
        self.live.get(vip)
    }

    /// Whether it is there.
    pub(super) fn contains_key(&self, vip: &VipKey) -> bool {
        self.live.contains_key(vip)
    }

    /// All, ascending.
    pub(super) fn keys(&self) -> impl Iterator<Item = &VipKey> {
        self.live.keys()
    }

    /// From this one on, ascending.
    pub(super) fn from(&self, first: &VipKey) -> impl Iterator<Item = &VipKey> {
        self.live.range(first..).map(|(k, _)| k)
    }

    /// Those that have this server.
    pub(super) fn with(&self, server: IpAddr) -> impl Iterator<Item = &VipKey> {
        self.with.range((server, FIRST)..).take_while(move |(a, _)| *a == server).map(|(_, vip)| vip)
    }

    /// The first of them, or the next after this one.
    pub(super) fn with_after(&self, server: IpAddr, after: Option<VipKey>) -> Option<&VipKey> {
        let from = after.map_or(Included((server, FIRST)), |vip| Excluded((server, vip)));
        self.with.range((from, Unbounded)).next().filter(|(a, _)| *a == server).map(|(_, vip)| vip)
    }

    /// Those that perhaps have this server.
    pub(super) fn perhaps_with(&self, server: IpAddr) -> impl Iterator<Item = &VipKey> {
        self.perhaps.iter().filter(move |(_, servers)| servers.contains(&server)).map(|(vip, _)| vip)
    }

    /// No answer came to the adding of a server.
    pub(super) fn perhaps(&mut self, vip: &VipKey, server: IpAddr) {
        self.perhaps.entry(*vip).or_default().insert(server);
    }

    /// See the field.
    pub(super) fn take_left(&mut self) -> Vec<IpAddr> {
        std::mem::take(&mut self.left)
    }

    /// The servers of a VIP, if that is there: what it is then.
    pub(super) fn set_servers(&mut self, key: &VipKey, servers: BTreeMap<IpAddr, u8>) -> Option<&Actual> {
        let Vips { live, with, perhaps, left } = self;
        perhaps.remove(key);
        let vip = live.get_mut(key)?;
        if vip.servers != servers {
            for server in vip.servers.keys().filter(|a| !servers.contains_key(a)) {
                with.remove(&(*server, *key));
                left.push(*server);
            }
            for (server, weight) in &servers {
                with.insert((*server, *key));
                if *weight == 0 {
                    left.push(*server);
                }
            }
            vip.servers = servers;
        }
        Some(vip)
    }

    /// What they are once `op` is done.
    pub(super) fn advance(&mut self, op: &Op) {
        match *op {
            Op::SetSettings(_) | Op::FlushVip { .. } => {}
            Op::AddVip { vip, .. } | Op::DelVip { vip } => self.gone(&vip),
            Op::AddServer { vip, address, weight, .. } | Op::SetWeight { vip, address, weight, .. } => {
                if self.live.contains_key(&vip) {
                    self.with.insert((address, vip));
                }
                if weight == 0 {
                    self.left.push(address);
                }
            }
            Op::DelServer { vip, address, .. } => {
                self.with.remove(&(address, vip));
                self.left.push(address);
            }
        }
        advance(&mut self.live, op);
    }

    /// All that there are, ascending; of those that were there before the servers stay as they were seen. Answers the lengths of the
    /// tables of those that are gone.
    pub(super) fn list(&mut self, listed: &[(VipKey, VipRecord)]) -> Vec<u32> {
        let mut lost = Vec::new();
        let same = self.live.len() == listed.len() && self.live.keys().eq(listed.iter().map(|(key, _)| key));
        if !same {
            let is: BTreeSet<&VipKey> = listed.iter().map(|(key, _)| key).collect();
            let gone: Vec<VipKey> = self.live.keys().filter(|k| !is.contains(k)).copied().collect();
            for key in gone {
                self.gone(&key);
                lost.extend(self.live.remove(&key).map(|vip| vip.table_length));
            }
        }
        for (key, VipRecord { encap, table_length, .. }) in listed {
            let none = || Actual { encap: None, table_length: 0, servers: BTreeMap::new() };
            let vip = self.live.entry(*key).or_insert_with(none);
            (vip.encap, vip.table_length) = (*encap, *table_length);
        }
        lost
    }

    /// A VIP has no servers any more.
    fn gone(&mut self, key: &VipKey) {
        self.perhaps.remove(key);
        let Some(vip) = self.live.get_mut(key) else { return };
        for (server, _) in std::mem::take(&mut vip.servers) {
            self.with.remove(&(server, *key));
            self.left.push(server);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lb::{Encap, Protocol};

    fn vip(port: u16) -> VipKey {
        VipKey { address: [192, 0, 2, 1].into(), service: Some((Protocol::Tcp, port)) }
    }

    fn ip(n: u8) -> IpAddr {
        [10, 0, 0, n].into()
    }

    fn record(port: u16) -> (VipKey, VipRecord) {
        let record = VipRecord {
            address: [192, 0, 2, 1].into(),
            prefix_len: 32,
            protocol: 6,
            port,
            encap: Some(Encap::Gre4),
            table_length: 16,
        };
        (vip(port), record)
    }

    #[test]
    fn servers_are_found_by_address_whatever_brought_them_there_and_told_when_they_leave() {
        let mut all = Vips::default();
        all.list(&[record(1), record(2), record(3)]);
        let servers = |of: &[(u8, u8)]| of.iter().map(|(n, w)| (ip(*n), *w)).collect::<BTreeMap<_, _>>();
        assert!(all.set_servers(&vip(9), servers(&[(1, 1)])).is_none(), "no such VIP");
        all.set_servers(&vip(1), servers(&[(1, 1), (2, 1), (3, 1)]));
        all.set_servers(&vip(2), servers(&[(1, 1)]));
        let add = |port, n| Op::AddServer { vip: vip(port), address: ip(n), weight: 1, flush: false };
        let set = |port, n| Op::SetWeight { vip: vip(port), address: ip(n), weight: 0, flush: false };
        let del = |port, n| Op::DelServer { vip: vip(port), address: ip(n), flush: true };
        all.advance(&add(3, 1));
        all.advance(&add(9, 4));
        let with = |all: &Vips, n| all.with(ip(n)).copied().collect::<Vec<_>>();
        assert_eq!((with(&all, 1), with(&all, 2)), (vec![vip(1), vip(2), vip(3)], vec![vip(1)]));
        assert_eq!((with(&all, 4), all.take_left()), (vec![], vec![]));
        for (n, (change, left)) in [
            (&(|a: &mut Vips| a.advance(&del(1, 1))) as &dyn Fn(&mut Vips), vec![ip(1)]),
            (&|a| a.advance(&set(1, 2)), vec![ip(2)]),
            (&|a| assert!(a.set_servers(&vip(1), servers(&[(2, 1)])).is_some()), vec![ip(3)]),
            (&|a| assert!(a.set_servers(&vip(1), servers(&[(2, 1)])).is_some()), vec![]),
            (&|a| assert!(a.set_servers(&vip(1), servers(&[(2, 0)])).is_some()), vec![ip(2)]),
            (&|a| assert_eq!(a.list(&[record(2), record(3), record(4)]), [16]), vec![ip(2)]),
            (&|a| assert!(a.list(&[record(2), record(3), record(4)]).is_empty()), vec![]),
            (&|a| a.advance(&Op::DelVip { vip: vip(2) }), vec![ip(1)]),
        ]
        .into_iter()
        .enumerate()
        {
            change(&mut all);
            assert_eq!(all.take_left(), left, "{n}");
            // The index is what the VIPs say.
            let says = all.live.iter().flat_map(|(k, v)| v.servers.keys().map(|a| (*a, *k)));
            assert_eq!(all.with, says.collect(), "{n}");
        }
        assert_eq!(all.keys().copied().collect::<Vec<_>>(), [vip(3), vip(4)]);
        assert_eq!(with(&all, 1), [vip(3)]);
    }
}
