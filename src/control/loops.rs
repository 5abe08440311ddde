//! Servers that are a forwarding loop: `lb` would send their packets back into VPP, which dies of the first. They get no weight and
//! are not in `lb` while it is so.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::controller::{Because, Controller};
use super::event::Event;
use crate::Name;
use crate::lb::Reach;
use crate::time::Now;

/// So many are named in the problem; of more only the number is told.
const NAMED: usize = 3;

impl Controller {
    /// Takes what the programmer has found out: weights follow at once.
    pub(super) fn reached(&mut self, now: Now) {
        let all = self.programmer.take_reached();
        if all.is_empty() {
            return;
        }
        for (server, reach) in all {
            if self.backends.reach(server) == reach {
                continue;
            }
            let frontends = self.frontends_with(server);
            self.backends.set_reach(server, reach, !frontends.is_empty());
            let text = match reach.loops() {
                Some(why) => format!("server={server} gets no weight: forwarding loop: {why}"),
                None => format!("server={server} is no forwarding loop any more"),
            };
            self.event(Event::LbSync { text, failed: reach != Reach::Away });
            for name in frontends {
                self.reweigh(now, &name, Because::Anyway);
            }
        }
        self.tell_loops(now);
    }

    /// The frontends that have a backend of this address.
    fn frontends_with(&self, address: IpAddr) -> BTreeSet<Name> {
        let here = self.backends.iter().filter(|(_, b)| b.config.address == address);
        here.flat_map(|(_, b)| b.frontends.iter().cloned()).collect()
    }

    /// Checks a server again as soon as the VIP that had its address is gone. Otherwise it would wait for the next sync.
    pub(super) fn look_again(&mut self) {
        for address in self.programmer.take_unmade() {
            if self.backends.looping(address).is_none() {
                continue;
            }
            for name in self.frontends_with(address) {
                if let Some(f) = self.frontends.get(&name) {
                    self.programmer.urge(f.config.vip.address);
                }
            }
        }
    }

    /// The problem is what is known.
    pub(super) fn tell_loops(&mut self, now: Now) {
        let all: Vec<_> = self.backends.loops().collect();
        let named: Vec<String> = all.iter().take(NAMED).map(|(a, why)| format!("{a} is {why}")).collect();
        let text = match all.len().saturating_sub(NAMED) {
            _ if all.is_empty() => None,
            0 => Some(format!("servers without weight: {}", named.join("; "))),
            more => Some(format!("servers without weight: {}; and {more} more", named.join("; "))),
        };
        self.problem(now, "forwarding-loop", text);
    }
}
