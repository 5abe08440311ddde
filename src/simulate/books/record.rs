//! What `lb` holds after each call, the controller's and others'.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Books, Flows, Server, Vip};
use crate::lb::embedded::Embedded;
use crate::lb::{LbError, Op, VipKey};

impl Books {
    /// `lb` has done it.
    pub fn done(&mut self, op: &Op) {
        match *op {
            Op::SetSettings(_) => {}
            Op::AddVip { vip, encap, table_length, src_ip_sticky } => {
                let made = Some((encap, table_length, src_ip_sticky));
                self.vips.insert(vip, Vip::new(made));
                self.doubts.remove(&vip);
                self.owed.retain(|(v, _)| *v != vip);
            }
            Op::DelVip { vip } => {
                self.vips.remove(&vip);
                self.nat.gone(&vip);
            }
            Op::AddServer { vip, address, weight, flush } | Op::SetWeight { vip, address, weight, flush } => {
                let Some(here) = self.vips.get_mut(&vip) else { return };
                if let Some((encap, ..)) = here.made {
                    self.nat.claim(&vip, encap, address, true);
                }
                let was = here.servers.get(&address).copied();
                let before = was.map_or(Flows::Clean, |s| s.flows);
                let flows = match (weight, flush) {
                    (0, true) => Flows::Clean,
                    (0, false) => before,
                    (_, _) => Flows::Dirty,
                };
                let since = was.filter(|s| s.flows == Flows::Dirty).map_or(here.tables, |s| s.since);
                let flushed = weight == 0 && was.is_some_and(|s| s.flushed);
                here.servers.insert(address, Server { weight: Some(weight), flows, since, flushed });
                if flush {
                    self.owed.remove(&(vip, address));
                }
            }
            Op::DelServer { vip, address, flush } => {
                let Some(here) = self.vips.get_mut(&vip) else { return };
                if flush {
                    here.servers.remove(&address);
                } else if let Some(s) = here.servers.get_mut(&address) {
                    s.weight = None;
                }
            }
            Op::FlushVip { vip } => {
                let Some(here) = self.vips.get_mut(&vip) else { return };
                let doubt = self.doubts.contains(&vip);
                for s in here.servers.values_mut() {
                    s.since = here.tables;
                    s.flushed = s.weight.is_none_or(|w| w == 0);
                    s.flows = match s.flows {
                        _ if s.weight.is_some_and(|w| w > 0) => Flows::Dirty,
                        // Who asked for the flush may take it for one that has weight.
                        Flows::Dirty | Flows::Unsure if doubt => Flows::Unsure,
                        Flows::Clean | Flows::Dirty | Flows::Unsure => Flows::Clean,
                    };
                }
            }
        }
    }

    /// `lb` has done it, if it could; but nobody was told.
    pub(super) fn perhaps(&mut self, op: &Op) {
        let there = |books: &Books, vip: &VipKey, a: IpAddr| {
            books.vips.get(vip).and_then(|v| v.servers.get(&a)).is_some_and(|s| s.weight.is_some())
        };
        let owed = self.owed.clone();
        match *op {
            Op::AddVip { vip, .. } if self.vips.contains_key(&vip) => {}
            Op::AddServer { vip, address, .. } if there(self, &vip, address) => {}
            Op::SetWeight { vip, address, .. } if !there(self, &vip, address) => {}
            Op::DelServer { vip, address, .. } => {
                // Who asked does not know that its flows are gone, and takes no chances when it comes again.
                let server = self.vips.get_mut(&vip).and_then(|v| v.servers.get_mut(&address));
                if let Some(s) = server {
                    *s = Server::unsure(None);
                }
            }
            Op::AddVip { .. }
            | Op::DelVip { .. }
            | Op::AddServer { .. }
            | Op::SetWeight { .. }
            | Op::FlushVip { .. }
            | Op::SetSettings(_) => self.done(op),
        }
        self.owed = owed;
    }

    /// No answer came: the VIP may have the server, and flows on it, though `lb` does not show it.
    pub(super) fn claim_perhaps(&mut self, op: &Op, error: &LbError) {
        let (Op::AddServer { vip, address, .. }, LbError::NoAnswer(_)) = (op, error) else { return };
        if let Some(encap) = self.nat_of(vip) {
            self.nat.claim(vip, encap, *address, false);
        } else if let Some(encap) = self.asked_as.get(vip) {
            // Somebody else has taken the VIP away, which who asked cannot know: it may have had the server before.
            self.nat.claim_of_gone(*encap, *address);
        }
        if let Some(here) = self.vips.get_mut(vip) {
            here.servers.entry(*address).or_insert(Server::unsure(None));
        }
    }

    /// Nobody can be sure of what is there any more.
    pub(super) fn doubt(&mut self, op: &Op) {
        let Some(vip) = op.vip() else { return };
        self.doubts.insert(vip);
        self.unseen = true;
        let Some(here) = self.vips.get_mut(&vip) else { return };
        for s in here.servers.values_mut() {
            s.flushed = false;
            if s.flows == Flows::Clean {
                s.flows = Flows::Unsure;
            }
        }
    }

    /// Where something failed or somebody meddled, `lb` itself is looked at.
    pub fn see(&mut self, lb: &Embedded) {
        if !std::mem::take(&mut self.unseen) {
            return;
        }
        for vip in &self.doubts {
            if lb.counters(vip).is_none() {
                self.vips.remove(vip);
                self.nat.gone(vip);
                continue;
            }
            let here = self.vips.entry(*vip).or_insert_with(|| Vip::new(None));
            let is: BTreeMap<IpAddr, u8> = lb.weights(vip).into_iter().collect();
            for (a, s) in &mut here.servers {
                s.weight = is.get(a).copied();
            }
            for (a, w) in is {
                let server = Server::unsure(Some(w));
                here.servers.entry(a).or_insert(server);
                if let Some((encap, ..)) = here.made {
                    self.nat.claim(vip, encap, a, true);
                }
            }
        }
    }

    /// Somebody else has done it.
    pub fn meddled(&mut self, op: &Op) {
        if let Op::AddVip { vip, .. } = op {
            self.vips.insert(*vip, Vip::new(None));
            self.doubts.insert(*vip);
            self.unseen = true;
            return;
        }
        let flows = |books: &Books, vip: &VipKey, a: &IpAddr| {
            books.vips.get(vip).and_then(|v| v.servers.get(a)).map(|s| s.flows)
        };
        let owed = self.owed.clone();
        let before = match op {
            Op::AddServer { vip, address, .. } | Op::SetWeight { vip, address, .. } => {
                flows(self, vip, address)
            }
            Op::SetSettings(_)
            | Op::AddVip { .. }
            | Op::DelVip { .. }
            | Op::DelServer { .. }
            | Op::FlushVip { .. } => None,
        };
        let may_have: Vec<IpAddr> = op
            .vip()
            .and_then(|vip| self.vips.get(&vip))
            .map(|v| v.servers.iter().filter(|(_, s)| s.flows != Flows::Clean).map(|(a, _)| *a).collect())
            .unwrap_or_default();
        self.done(op);
        if let Some(here) = op.vip().and_then(|vip| self.vips.get_mut(&vip)) {
            // That somebody else has flushed it nobody can know; a flush more costs a call.
            for address in may_have {
                let server = here.servers.entry(address).or_insert(Server::unsure(None));
                if server.flows == Flows::Clean {
                    server.flows = Flows::Unsure;
                }
            }
        }
        if let Op::AddServer { vip, address, .. } | Op::SetWeight { vip, address, .. } = op
            && let Some(server) = self.vips.get_mut(vip).and_then(|v| v.servers.get_mut(address))
            && before != Some(Flows::Dirty)
        {
            // Nobody but lb knows of the flows that it may have got meanwhile.
            server.flows = Flows::Unsure;
        }
        self.owed = owed;
        self.doubt(op);
    }
}
