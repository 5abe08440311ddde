//! The hash of a flow as VPP's `lb` computes it on x86-64 (`lb_node_get_hash` in its `node.c`): CRC32C, started at 0 and
//! not inverted at the end, over addresses and ports as they stand in the packet.
//!
//! `lb` keeps flows by this hash, and a new flow's place in the new-flow table is the hash modulo the table's
//! length. On machines without SSE4.2 or ARM's CRC instructions `lb` uses another hash; VPP's builds for x86-64 need SSE4.2.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::types::VipKey;

/// One direction of a conversation: a client towards a VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Addresses; of one family by construction.
    addresses: Addresses,
    /// The client's port; 0 for what is neither TCP nor UDP.
    source_port: u16,
    /// The VIP's port; 0 for what is neither TCP nor UDP.
    destination_port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Addresses {
    V4 { source: Ipv4Addr, destination: Ipv4Addr },
    V6 { source: Ipv6Addr, destination: Ipv6Addr },
}

impl Flow {
    /// A flow between any two addresses; none when they are of two families. For a packet that is neither TCP nor UDP
    /// `lb` takes both ports as 0.
    pub fn new(source: IpAddr, source_port: u16, destination: IpAddr, destination_port: u16) -> Option<Flow> {
        let addresses = match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Addresses::V4 { source, destination },
            (IpAddr::V6(source), IpAddr::V6(destination)) => Addresses::V6 { source, destination },
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
        };
        Some(Flow { addresses, source_port, destination_port })
    }

    /// A flow towards a VIP; none when `source` is of the other family. `any_port` is the destination port where the
    /// VIP takes all ports; a per-port VIP has its own.
    pub fn to_vip(vip: &VipKey, source: IpAddr, source_port: u16, any_port: u16) -> Option<Flow> {
        let destination_port = vip.service.map_or(any_port, |(_, port)| port);
        Flow::new(source, source_port, vip.address, destination_port)
    }

    /// The hash. With `src_ip_sticky` the ports do not enter it (the destination address still does).
    pub fn hash(&self, src_ip_sticky: bool) -> u32 {
        // `lb` loads both ports as they stand in the packet, and shifts the source port by 16 bits.
        let mut ports = [0u8; 8];
        if !src_ip_sticky {
            let [d0, d1] = self.destination_port.to_be_bytes();
            let [s0, s1] = self.source_port.to_be_bytes();
            ports = [d0, d1, s0, s1, 0, 0, 0, 0];
        }
        match self.addresses {
            Addresses::V4 { source, destination } => {
                crc(&[&source.octets(), &destination.octets(), &ports, &[0; 24]])
            }
            Addresses::V6 { source, destination } => crc(&[&source.octets(), &destination.octets(), &ports]),
        }
    }
}

/// CRC32C as the processor's instruction does it: state in, state out. The crate inverts on entry and on exit, as
/// the checksum wants; both are undone here.
fn crc(parts: &[&[u8]]) -> u32 {
    !parts.iter().fold(u32::MAX, |state, part| crc32c::crc32c_append(state, part))
}

/// The entry of a VIP's new-flow table, `table_length` entries long, that a new flow falls on; none when `source` is
/// of another family than the VIP, or the length is not a power of two. `any_port` as in [`Flow::to_vip`].
pub fn bucket(
    vip: &VipKey,
    src_ip_sticky: bool,
    table_length: u32,
    source: IpAddr,
    source_port: u16,
    any_port: u16,
) -> Option<u32> {
    if !table_length.is_power_of_two() {
        return None;
    }
    let flow = Flow::to_vip(vip, source, source_port, any_port)?;
    Some(flow.hash(src_ip_sticky) & (table_length - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lb::Protocol;

    /// CRC32C bit by bit (reflected polynomial 0x82f63b78), as Intel's manual describes the instruction.
    fn crc_by_bits(bytes: &[u8]) -> u32 {
        bytes.iter().fold(0, |state, byte| {
            (0..8).fold(
                state ^ u32::from(*byte),
                |s, _| if s & 1 == 1 { (s >> 1) ^ 0x82f6_3b78 } else { s >> 1 },
            )
        })
    }

    fn vip(address: &str, port: Option<u16>) -> VipKey {
        VipKey { address: address.parse().unwrap(), service: port.map(|p| (Protocol::Tcp, p)) }
    }

    #[test]
    fn the_crc_starts_at_zero_and_is_not_inverted() {
        assert_eq!(crc(&[&[0; 40]]), 0);
        for text in [&b"123456789"[..], b"", b"maglev", &[0xff; 40]] {
            assert_eq!(crc(&[text]), crc_by_bits(text));
        }
        assert_eq!(crc(&[b"1234", b"56789"]), crc(&[b"123456789"]));
    }

    #[test]
    fn ipv4_hashes_addresses_then_ports_destination_first() {
        let flow = Flow::new("1.2.3.4".parse().unwrap(), 0x1122, "5.6.7.8".parse().unwrap(), 0x3344).unwrap();
        let mut bytes = vec![1, 2, 3, 4, 5, 6, 7, 8, 0x33, 0x44, 0x11, 0x22];
        bytes.resize(40, 0);
        assert_eq!(flow.hash(false), crc_by_bits(&bytes));
        bytes[8..].fill(0);
        assert_eq!(flow.hash(true), crc_by_bits(&bytes));
    }

    #[test]
    fn sticky_forgets_both_ports_but_not_the_vip() {
        let source = "192.0.2.9".parse().unwrap();
        let a = Flow::to_vip(&vip("10.0.0.1", Some(80)), source, 1, 0).unwrap();
        let b = Flow::to_vip(&vip("10.0.0.1", Some(443)), source, 2, 0).unwrap();
        let c = Flow::to_vip(&vip("10.0.0.2", Some(80)), source, 1, 0).unwrap();
        assert_eq!(a.hash(true), b.hash(true));
        assert_ne!(a.hash(false), b.hash(false));
        assert_ne!(a.hash(true), c.hash(true));
    }

    #[test]
    fn the_destination_port_is_the_vips_unless_it_takes_all() {
        let source = "2001:db8::9".parse().unwrap();
        let per_port = |any| Flow::to_vip(&vip("2001:db8::1", Some(80)), source, 1, any).unwrap();
        let all_ports = |any| Flow::to_vip(&vip("2001:db8::1", None), source, 1, any).unwrap();
        assert_eq!(per_port(443), per_port(0));
        assert_eq!(all_ports(80), per_port(0));
        assert_ne!(all_ports(443).hash(false), all_ports(80).hash(false));
    }

    #[test]
    fn two_families_or_a_bad_length_have_no_bucket() {
        let key = vip("10.0.0.1", Some(80));
        let (v4, v6) = ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        assert_eq!(bucket(&key, false, 1024, v6, 1, 0), None);
        assert_eq!(bucket(&vip("2001:db8::2", None), false, 1024, v4, 1, 0), None);
        assert_eq!(bucket(&key, false, 1000, v4, 1, 0), None);
        assert_eq!(bucket(&key, false, 0, v4, 1, 0), None);
        assert_eq!(bucket(&key, false, 1, v4, 1, 0), Some(0));
        assert!(bucket(&key, false, 65_536, v4, 1, 0).unwrap() < 65_536);
    }
}
