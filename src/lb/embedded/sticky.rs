//! `lb`'s table of established flows (its `lbhash.h`): buckets of four entries, found by the flow's hash. One table for
//! all VIPs; VPP has one a thread, this model one.

use std::collections::HashMap;

const ENTRIES: usize = 4;

/// The VIP of an entry that was flushed.
const NO_VIP: usize = usize::MAX;

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    hash: u32,
    /// Seconds; the entry is live while this lies after now.
    timeout: u32,
    vip: usize,
    server: usize,
}

#[derive(Debug)]
pub(super) struct Sticky {
    buckets: u32,
    /// Only those ever written to.
    used: HashMap<u32, [Entry; ENTRIES]>,
}

/// What a look-up found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// An established flow's server.
    Server(usize),
    /// No server is known; this slot can take the flow.
    Slot(usize),
    /// No server is known, and the bucket is full.
    Full,
}

impl Sticky {
    /// `buckets` is a power of two.
    pub(super) fn new(buckets: u32) -> Self {
        Sticky { buckets, used: HashMap::new() }
    }

    pub(super) fn buckets(&self) -> u32 {
        self.buckets
    }

    fn bucket(&mut self, hash: u32) -> &mut [Entry; ENTRIES] {
        self.used.entry(hash & self.buckets.wrapping_sub(1)).or_default()
    }

    /// Also puts off the end of the entry that it finds, even of one without a server, as `lb` does.
    pub(super) fn find(&mut self, hash: u32, vip: usize, now: u32, lifetime: u32) -> Found {
        let bucket = self.bucket(hash);
        let free = bucket.iter().position(|e| e.timeout <= now);
        if let Some(e) = bucket.iter_mut().find(|e| e.timeout > now && e.hash == hash && e.vip == vip) {
            e.timeout = now.saturating_add(lifetime);
            if e.server != 0 {
                return Found::Server(e.server);
            }
        }
        free.map_or(Found::Full, Found::Slot)
    }

    pub(super) fn put(&mut self, slot: usize, hash: u32, vip: usize, server: usize, timeout: u32) {
        if let Some(entry) = self.bucket(hash).get_mut(slot) {
            *entry = Entry { hash, timeout, vip, server };
        }
    }

    /// Forgets the flows of a VIP to one server, or to all.
    pub(super) fn flush(&mut self, vip: usize, server: Option<usize>) {
        for e in self.used.values_mut().flatten() {
            if e.vip == vip && server.is_none_or(|s| s == e.server) {
                (e.vip, e.server) = (NO_VIP, 0);
            }
        }
    }

    /// Entries that name a server, timed out or not: `lb` counts both.
    pub(super) fn references(&self, server: usize) -> usize {
        self.used.values().flatten().filter(|e| e.server == server).count()
    }

    /// Live flows of a VIP to a server.
    pub(super) fn flows(&self, vip: usize, server: usize, now: u32) -> usize {
        let live = |e: &&Entry| e.vip == vip && e.server == server && e.timeout > now;
        self.used.values().flatten().filter(live).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_is_kept_while_it_is_not_idle_for_its_lifetime() {
        let mut sticky = Sticky::new(16);
        assert_eq!(sticky.find(5, 1, 100, 40), Found::Slot(0));
        sticky.put(0, 5, 1, 7, 140);
        assert_eq!(sticky.find(5, 1, 139, 40), Found::Server(7));
        assert_eq!(sticky.find(5, 1, 178, 40), Found::Server(7));
        assert_eq!(sticky.find(5, 1, 218, 40), Found::Slot(0));
        assert_eq!(sticky.references(7), 1, "counted until it is overwritten");
    }

    #[test]
    fn vip_and_hash_must_both_match_and_a_full_bucket_takes_no_more() {
        let mut sticky = Sticky::new(1);
        for slot in 0..4 {
            assert_eq!(sticky.find(slot, 1, 100, 40), Found::Slot(slot as usize));
            sticky.put(slot as usize, slot, 1, 7, 140);
        }
        assert_eq!(sticky.find(0, 2, 100, 40), Found::Full);
        assert_eq!(sticky.find(3, 1, 100, 40), Found::Server(7));
        assert_eq!(sticky.flows(1, 7, 139), 4);
    }

    #[test]
    fn a_flush_takes_the_flows_of_one_server_or_of_the_vip_and_its_slots_stay_taken() {
        let mut sticky = Sticky::new(1);
        sticky.put(0, 0, 1, 7, 140);
        sticky.put(1, 1, 1, 8, 140);
        sticky.put(2, 2, 2, 7, 140);
        sticky.flush(1, Some(7));
        assert_eq!((sticky.flows(1, 7, 100), sticky.flows(1, 8, 100), sticky.flows(2, 7, 100)), (0, 1, 1));
        sticky.flush(1, None);
        assert_eq!((sticky.flows(1, 8, 100), sticky.flows(2, 7, 100)), (0, 1));
        assert_eq!(sticky.find(0, 1, 100, 40), Found::Slot(3));
    }
}
