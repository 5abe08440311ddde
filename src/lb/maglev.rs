//! The new-flow table of a VIP, position for position as VPP's `lb` builds it (`lb_vip_update_new_flow_table` in its
//! `lb.c`).
//!
//! Each server stands in a list once per unit of weight (a *replica*), sorted by (replica, address). Every entry
//! has its own pseudo-random walk over the table: a start and an odd step, both from one 64-bit hash of address
//! and replica. In turn, each takes the first free place on its walk, until the table is full. So the first
//! server in the sort gets the first place, and a table shorter than the sum of weights does not
//! get as far as the later replicas: weights then do nothing.

use std::net::IpAddr;

/// Longest table that the rest of the project ever asks for.
pub const MAX_LENGTH: u32 = 65_536;

/// Why no table was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("table length {0} is not a power of two from 1 to {MAX_LENGTH}")]
pub struct BadLength(pub u32);

/// A new-flow table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// In `lb`'s order.
    servers: Vec<IpAddr>,
    /// Index into `servers`, plus one; 0 is free. (As `lb` has it, and half the size of an `Option`.)
    entries: Vec<u32>,
}

/// One replica's walk.
struct Walk {
    server: u32,
    next: u32,
    step: u32,
}

impl Table {
    /// Builds the table for `servers`, given in any order: (address, weight). Weights are taken as they are, as `lb`
    /// does; a weight of 0 gets no place. An address that comes twice counts once, with the weight given first.
    ///
    /// # Errors
    /// [`BadLength`] unless `length` is a power of two from 1 to [`MAX_LENGTH`].
    pub fn build(length: u32, servers: &[(IpAddr, u8)]) -> Result<Table, BadLength> {
        if !length.is_power_of_two() || length > MAX_LENGTH {
            return Err(BadLength(length));
        }
        let mask = length - 1;
        let mut sorted: Vec<([u8; 16], IpAddr, u8)> =
            servers.iter().map(|&(a, w)| (lb_bytes(a), a, w)).collect();
        sorted.sort_by_key(|&(bytes, _, _)| bytes);
        sorted.dedup_by_key(|&mut (bytes, _, _)| bytes);

        let mut walks = Vec::new();
        for replica in 0..sorted.iter().map(|&(_, _, w)| w).max().unwrap_or(0) {
            for (server, (bytes, _, _)) in (1u32..).zip(&sorted).filter(|(_, (_, _, w))| *w > replica) {
                let seed = seed(bytes, replica);
                let step = (low_half(seed) | 1) & mask;
                walks.push(Walk { server, next: low_half(seed >> 32) & mask, step });
            }
        }
        let mut entries = vec![0; length as usize];
        fill(&mut entries, &mut walks, mask);
        Ok(Table { servers: sorted.into_iter().map(|(_, a, _)| a).collect(), entries })
    }

    /// Number of entries.
    pub fn length(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(MAX_LENGTH)
    }

    /// The entry that a flow with this hash falls on.
    pub fn bucket_of(&self, hash: u32) -> u32 {
        hash & self.length().wrapping_sub(1)
    }

    /// The server at an entry; none where no server has weight, and beyond the table's end.
    pub fn server_at(&self, bucket: u32) -> Option<IpAddr> {
        let index = self.entries.get(bucket as usize)?.checked_sub(1)?;
        self.servers.get(index as usize).copied()
    }

    /// The server that a new flow with this hash gets; none when no server has weight.
    pub fn server_for(&self, hash: u32) -> Option<IpAddr> {
        self.server_at(self.bucket_of(hash))
    }

    /// Entries that point at this server; 0 for one that is not in the table.
    pub fn buckets(&self, server: IpAddr) -> u32 {
        let Some(index) = self.servers.iter().position(|&a| a == server) else { return 0 };
        self.counts().get(index).map_or(0, |&(_, n)| n)
    }

    /// Every server with the entries that point at it, in `lb`'s order of addresses.
    pub fn counts(&self) -> Vec<(IpAddr, u32)> {
        let mut counts: Vec<(IpAddr, u32)> = self.servers.iter().map(|&a| (a, 0)).collect();
        for index in self.entries.iter().filter_map(|entry| entry.checked_sub(1)) {
            if let Some((_, n)) = counts.get_mut(index as usize) {
                *n += 1;
            }
        }
        counts
    }
}

fn fill(entries: &mut [u32], walks: &mut [Walk], mask: u32) {
    let mut free = entries.len();
    while free > 0 && !walks.is_empty() {
        for walk in walks.iter_mut() {
            if free == 0 {
                break;
            }
            // An odd step visits every entry of a power of two, so that a free one is met within one round.
            for _ in 0..entries.len() {
                let here = walk.next;
                walk.next = here.wrapping_add(walk.step) & mask;
                if let Some(entry @ 0) = entries.get_mut(here as usize) {
                    *entry = walk.server;
                    free -= 1;
                    break;
                }
            }
        }
    }
}

/// An address as `lb` keeps it: IPv4 as twelve zero bytes and the address. (An IPv6 address that looks so *is* an
/// IPv4 address to `lb`.)
pub(super) fn lb_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(a) => (u128::from(a.to_bits())).to_be_bytes(),
        IpAddr::V6(a) => a.octets(),
    }
}

/// `lb` XORs the address's two halves, as a little-endian machine loads them, with the replica, and hashes that.
fn seed(address: &[u8; 16], replica: u8) -> u64 {
    // The number read little-endian from memory: its low half is the first eight bytes.
    let both = u128::from_le_bytes(*address);
    let halves = (both ^ (both >> 64)) & u128::from(u64::MAX);
    xxhash(u64::try_from(halves).unwrap_or_default() ^ u64::from(replica))
}

fn low_half(x: u64) -> u32 {
    u32::try_from(x & u64::from(u32::MAX)).unwrap_or_default()
}

/// XXH64 of one 64-bit word with VPP's seed (`clib_xxhash`). It has one constant that is not xxHash's own, so that no
/// crate computes it: the seed is added to prime 5 as 0x9e3779b97f4a7c13.
fn xxhash(key: u64) -> u64 {
    const P1: u64 = 0x9e37_79b1_85eb_ca87;
    const P2: u64 = 0xc2b2_ae3d_27d4_eb4f;
    const P3: u64 = 0x1656_67b1_9e37_79f9;
    const P4: u64 = 0x85eb_ca77_c2b2_ae63;
    const P5: u64 = 0x27d4_eb2f_1656_67c5;
    let start = 0x9e37_79b9_7f4a_7c13_u64.wrapping_add(P5).wrapping_add(8);
    let word = key.wrapping_mul(P2).rotate_left(31).wrapping_mul(P1);
    let mut h = (start ^ word).rotate_left(27).wrapping_mul(P1).wrapping_add(P4);
    h = (h ^ (h >> 33)).wrapping_mul(P2);
    h = (h ^ (h >> 29)).wrapping_mul(P3);
    h ^ (h >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(s: &str) -> IpAddr {
        s.parse().unwrap()
    }

    #[test]
    fn a_length_that_is_no_power_of_two_or_too_long_is_refused() {
        for length in [0, 3, 1000, 65_535, 131_072, u32::MAX] {
            assert_eq!(Table::build(length, &[]), Err(BadLength(length)), "{length}");
        }
        for length in [1, 2, 1024, 65_536] {
            assert_eq!(Table::build(length, &[]).unwrap().length(), length);
        }
        assert_eq!(BadLength(3).to_string(), "table length 3 is not a power of two from 1 to 65536");
    }

    #[test]
    fn without_weight_every_entry_is_empty() {
        let table = Table::build(16, &[(ip("10.0.0.1"), 0), (ip("10.0.0.2"), 0)]).unwrap();
        assert!((0..16).all(|b| table.server_at(b).is_none()));
        assert_eq!(table.server_for(u32::MAX), None);
        assert_eq!(table.counts(), [(ip("10.0.0.1"), 0), (ip("10.0.0.2"), 0)]);
    }

    #[test]
    fn the_order_in_which_servers_are_given_does_not_matter() {
        let mut servers: Vec<_> = (1..=9u8).map(|i| (IpAddr::from([10, 0, 0, i]), i * 11)).collect();
        let table = Table::build(1024, &servers).unwrap();
        servers.reverse();
        assert_eq!(Table::build(1024, &servers).unwrap(), table);
    }

    #[test]
    fn an_address_twice_counts_once_with_the_weight_given_first() {
        let once = Table::build(64, &[(ip("10.0.0.1"), 3), (ip("10.0.0.2"), 1)]).unwrap();
        let twice =
            Table::build(64, &[(ip("10.0.0.1"), 3), (ip("10.0.0.2"), 1), (ip("10.0.0.1"), 100)]).unwrap();
        assert_eq!(once, twice);
    }

    #[test]
    fn ipv4_is_kept_behind_twelve_zero_bytes() {
        assert_eq!(lb_bytes(ip("1.2.3.4")), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
        assert_eq!(lb_bytes(ip("::102:304")), lb_bytes(ip("1.2.3.4")));
    }

    #[test]
    fn buckets_of_a_stranger_are_none() {
        let table = Table::build(64, &[(ip("10.0.0.1"), 3)]).unwrap();
        assert_eq!(table.buckets(ip("10.0.0.1")), 64);
        assert_eq!(table.buckets(ip("10.0.0.2")), 0);
        assert_eq!(table.server_at(64), None);
    }
}
