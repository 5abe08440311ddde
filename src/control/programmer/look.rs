//! What is looked at beside the dumps: where VPP sends packets for a server, and whether a VIP still is the one that we made.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;

use super::{LbRequest, Look, Programmer};
use crate::control::event::Event;
use crate::control::frontends::Entry as Frontend;
use crate::control::intent::Intentions;
use crate::lb::{Reach, VipKey};

/// So many are looked at in one request: a look takes less than a microsecond.
const TOGETHER: usize = 256;

impl Programmer {
    /// The next look at what belongs to the address that is worked on; none: all has been looked at.
    pub(super) fn look(&mut self, intent: &Intentions<'_>) -> Option<LbRequest> {
        let job = self.job.as_ref()?;
        if job.look.is_none() {
            let look = self.to_look(job.address, intent);
            self.job.as_mut()?.look = Some(look);
        }
        let Look { servers, vips } = self.job.as_mut()?.look.as_mut()?;
        if servers.is_empty() && vips.is_empty() {
            return None;
        }
        let some = servers.drain(..servers.len().min(TOGETHER)).collect();
        let vips = vips.drain(..vips.len().min(TOGETHER)).collect();
        Some(LbRequest::Look(some, vips))
    }

    fn to_look(&self, address: IpAddr, intent: &Intentions<'_>) -> Look {
        let keys = self.keys(address, intent);
        let mut servers: BTreeSet<IpAddr> = BTreeSet::new();
        for key in &keys {
            let seats = intent.frontend(key).filter(|f| f.open).into_iter().flat_map(|f| &f.seats);
            servers.extend(seats.filter_map(|s| Some(intent.backends.get(s.slot)?.config.address)));
            // Of those that have left the configuration only who is held back would get packets.
            let holds = |f: &Frontend| f.holds(intent.backends, intent.now);
            let there = self.vips.get(key).filter(|_| intent.frontend(key).is_some_and(holds));
            servers.extend(there.into_iter().flat_map(|actual| actual.servers.keys()));
        }
        let ours = |key: &VipKey| self.ledger.ours(key) && self.vips.contains_key(key);
        let vips: VecDeque<VipKey> = keys.into_iter().filter(ours).collect();
        Look { servers: servers.into_iter().collect(), vips }
    }

    pub(super) fn looked(
        &mut self,
        intent: &Intentions<'_>,
        reached: Vec<(IpAddr, Reach)>,
        indices: &[(VipKey, Option<u32>)],
        events: &mut VecDeque<Event>,
    ) {
        for (server, reach) in reached {
            // One that is to be made is not in the FIB yet.
            let reach = if self.is_vip(server, intent) { Reach::Vip } else { reach };
            if intent.backends.reach(server) != reach {
                self.reached.push((server, reach));
                // The intention is another now.
                if let Some(job) = &mut self.job {
                    job.again = true;
                }
            }
        }
        for (vip, index) in indices {
            self.index_seen(vip, *index, events);
        }
    }

    /// `lb` has a VIP under this index.
    pub(super) fn index_seen(&mut self, vip: &VipKey, index: Option<u32>, events: &mut VecDeque<Event>) {
        if !self.ledger.seen_at(vip, index) {
            self.memory.lost(self.vips.get(vip).map(|actual| actual.table_length));
            let text = format!("vip={vip} was deleted and made again by somebody else");
            events.push_back(Event::LbSync { text, failed: true });
        }
    }

    fn is_vip(&self, address: IpAddr, intent: &Intentions<'_>) -> bool {
        let first = VipKey { address, service: None };
        intent.vips_at(address).next().is_some()
            || self.vips.from(&first).next().is_some_and(|k| k.address == address)
    }

    /// Servers that packets go another way to than was known.
    pub fn take_reached(&mut self) -> Vec<(IpAddr, Reach)> {
        std::mem::take(&mut self.reached)
    }
}
