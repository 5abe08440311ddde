//! What `lb`'s messages say and what is meant by it: every peculiarity of its API, without the API.
//!
//! Sources: VPP's src/plugins/lb/api.c and lb.c.

use std::net::IpAddr;

use super::types::{AsRecord, Encap, LbError, Op, Protocol, VipKey, VipRecord};

/// `VNET_API_ERROR_NO_SUCH_ENTRY`
pub const NO_SUCH_ENTRY: i32 = -6;
/// `VNET_API_ERROR_INVALID_MEMORY_SIZE`
pub const INVALID_MEMORY_SIZE: i32 = -70;
/// `VNET_API_ERROR_INVALID_ARGUMENT`
pub const INVALID_ARGUMENT: i32 = -73;
/// `VNET_API_ERROR_VALUE_EXIST`
pub const VALUE_EXIST: i32 = -81;
/// `VNET_API_ERROR_INVALID_ADDRESS_FAMILY`
pub const INVALID_ADDRESS_FAMILY: i32 = -97;

/// The protocol number that stands for all of them, together with port 0.
pub const ALL_PROTOCOLS: u8 = 255;
/// The flag of a server that is in use; one without it was deleted and lingers.
pub const USED: u8 = 1;
/// The longest new-flow table: its length has 16 bits in a dump.
pub const LONGEST_TABLE: u32 = 65_536;

/// A VIP in a message, byte order and layout apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawVip {
    /// Its address.
    pub address: IpAddr,
    /// Of its own family: 32 is a host in IPv4.
    pub prefix_len: u8,
    /// IANA's number, or [`ALL_PROTOCOLS`].
    pub protocol: u8,
    /// 0: all ports.
    pub port: u16,
}

impl From<&VipKey> for RawVip {
    fn from(key: &VipKey) -> RawVip {
        let (protocol, port) = match key.service {
            Some((protocol, port)) => (protocol.number(), port),
            None => (ALL_PROTOCOLS, 0),
        };
        RawVip { address: key.address, prefix_len: host_prefix(key.address), protocol, port }
    }
}

/// `lb_vip_details`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawVipRecord {
    /// Which.
    pub vip: RawVip,
    /// None: one that we do not know.
    pub encap: Option<RawEncap>,
    /// Stale where the encap has none.
    pub dscp: u8,
    /// Without meaning where the encap is no NAT; its bytes are the wrong way round (`lb` swaps them once too often).
    pub target_port: u16,
    /// 0 where it is 65,536.
    pub table_length: u16,
}

/// The encaps that the messages share with us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum RawEncap {
    Gre4,
    Gre6,
    L3dsr,
    Nat4,
    Nat6,
}

/// `lb_as_v2_details`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawAsRecord {
    /// Of which VIP.
    pub vip: RawVip,
    /// Its address.
    pub address: IpAddr,
    /// See [`USED`].
    pub flags: u8,
    /// 0–100
    pub weight: u8,
    /// Entries of the new-flow table.
    pub buckets: u32,
}

/// The prefix length of a host.
fn host_prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// A VIP's record, understood.
pub fn vip_record(raw: &RawVipRecord) -> VipRecord {
    VipRecord {
        address: raw.vip.address,
        prefix_len: raw.vip.prefix_len,
        protocol: raw.vip.protocol,
        port: raw.vip.port,
        encap: raw.encap.map(|e| match e {
            RawEncap::Gre4 => Encap::Gre4,
            RawEncap::Gre6 => Encap::Gre6,
            RawEncap::L3dsr => Encap::L3dsr { dscp: raw.dscp },
            RawEncap::Nat4 => Encap::Nat4 { target_port: u16::from_be(raw.target_port) },
            RawEncap::Nat6 => Encap::Nat6 { target_port: u16::from_be(raw.target_port) },
        }),
        table_length: match raw.table_length {
            0 => LONGEST_TABLE,
            n => u32::from(n),
        },
    }
}

/// The servers in use of one VIP, out of a dump of it.
///
/// `lb` matches address, protocol and port, and not the prefix length; it shows what was deleted and lingers, of
/// deleted VIPs too, so that one address can come twice; and it shows everything where it was asked for address 0.
pub fn servers_of(vip: &VipKey, dump: &[RawAsRecord]) -> Vec<AsRecord> {
    let asked = RawVip::from(vip);
    dump.iter()
        .filter(|r| r.flags & USED != 0 && r.vip == asked)
        .map(|r| AsRecord { address: r.address, weight: r.weight, buckets: r.buckets })
        .collect()
}

/// The verdict in a reply.
///
/// # Errors
/// `retval` is not 0.
pub fn verdict(retval: i32) -> Result<(), LbError> {
    match retval {
        0 => Ok(()),
        NO_SUCH_ENTRY => Err(LbError::NoSuchEntry),
        VALUE_EXIST => Err(LbError::ValueExist),
        INVALID_ARGUMENT => Err(LbError::InvalidArgument),
        INVALID_ADDRESS_FAMILY => Err(LbError::InvalidAddressFamily),
        INVALID_MEMORY_SIZE => Err(LbError::InvalidMemorySize),
        other => Err(LbError::Other(other)),
    }
}

/// Refuses, before it is sent, what `lb` does not survive or takes for something else: a table or bucket count of 0 kills
/// VPP, a protocol with port 0 means all ports, L3DSR and NAT4 on an IPv6 VIP become GRE, NAT
/// without a port is a crash and with TCP a drop, weights are not checked.
///
/// # Errors
/// What `lb` should have answered.
pub fn check(op: &Op) -> Result<(), LbError> {
    match op {
        Op::SetSettings(s) => {
            if s.sticky_buckets_per_core.is_power_of_two() {
                Ok(())
            } else {
                Err(LbError::InvalidMemorySize)
            }
        }
        Op::AddVip { vip, encap, table_length, src_ip_sticky: _ } => {
            check_vip(vip)?;
            match encap {
                Encap::L3dsr { dscp } if *dscp > 63 => return Err(LbError::InvalidArgument),
                Encap::L3dsr { .. } if vip.address.is_ipv6() => return Err(LbError::InvalidAddressFamily),
                Encap::Nat4 { .. } if vip.address.is_ipv6() => return Err(LbError::InvalidAddressFamily),
                Encap::Nat6 { .. } if vip.address.is_ipv4() => return Err(LbError::InvalidAddressFamily),
                Encap::Nat4 { target_port } | Encap::Nat6 { target_port } => {
                    if *target_port == 0 || !matches!(vip.service, Some((Protocol::Udp, _))) {
                        return Err(LbError::InvalidArgument);
                    }
                }
                Encap::L3dsr { .. } | Encap::Gre4 | Encap::Gre6 => {}
            }
            if table_length.is_power_of_two() && *table_length <= LONGEST_TABLE {
                Ok(())
            } else {
                Err(LbError::InvalidMemorySize)
            }
        }
        Op::AddServer { vip, weight, .. } | Op::SetWeight { vip, weight, .. } => {
            check_vip(vip)?;
            if *weight <= 100 { Ok(()) } else { Err(LbError::InvalidArgument) }
        }
        Op::DelVip { vip } | Op::DelServer { vip, .. } | Op::FlushVip { vip } => check_vip(vip),
    }
}

fn check_vip(vip: &VipKey) -> Result<(), LbError> {
    let nameless = vip.address.is_unspecified();
    let all_ports_by_mistake = matches!(vip.service, Some((Protocol::Tcp | Protocol::Udp, 0)));
    if nameless || all_ports_by_mistake { Err(LbError::InvalidArgument) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lb::Settings;

    fn key(address: &str, service: Option<(Protocol, u16)>) -> VipKey {
        VipKey { address: address.parse().unwrap(), service }
    }

    fn web() -> VipKey {
        key("192.0.2.1", Some((Protocol::Tcp, 80)))
    }

    fn server(vip: RawVip, address: &str, flags: u8, weight: u8) -> RawAsRecord {
        RawAsRecord { vip, address: address.parse().unwrap(), flags, weight, buckets: 7 }
    }

    #[test]
    fn a_table_of_65536_reads_as_0() {
        let raw = |n| RawVipRecord {
            vip: RawVip::from(&web()),
            encap: Some(RawEncap::Gre4),
            dscp: 0,
            target_port: 0,
            table_length: n,
        };
        assert_eq!(vip_record(&raw(0)).table_length, 65_536);
        assert_eq!(vip_record(&raw(1024)).table_length, 1024);
        assert_eq!(vip_record(&raw(0)).key(), Some(web()));
    }

    #[test]
    fn dscp_counts_with_l3dsr_only_and_the_target_port_with_nat_swapped() {
        let raw = |encap| RawVipRecord {
            vip: RawVip::from(&web()),
            encap,
            dscp: 9,
            target_port: 53u16.to_be(),
            table_length: 1024,
        };
        let nat = |e: Option<RawEncap>| vip_record(&raw(e)).encap;
        assert_eq!(nat(Some(RawEncap::Nat4)), Some(Encap::Nat4 { target_port: 53 }));
        assert_eq!(nat(Some(RawEncap::Nat6)), Some(Encap::Nat6 { target_port: 53 }));
        assert_eq!(vip_record(&raw(Some(RawEncap::L3dsr))).encap, Some(Encap::L3dsr { dscp: 9 }));
        assert_eq!(vip_record(&raw(Some(RawEncap::Gre6))).encap, Some(Encap::Gre6));
        assert_eq!(vip_record(&raw(None)).encap, None);
    }

    #[test]
    fn an_all_port_vip_is_protocol_255_and_port_0() {
        let raw = RawVip::from(&key("2001:db8::1", None));
        assert_eq!((raw.protocol, raw.port, raw.prefix_len), (255, 0, 128));
        assert_eq!(RawVip::from(&web()).prefix_len, 32);
    }

    #[test]
    fn deleted_servers_are_dropped_even_when_the_address_came_back() {
        let vip = RawVip::from(&web());
        let dump = [server(vip, "10.0.0.1", 0, 100), server(vip, "10.0.0.1", USED, 5)];
        let servers = servers_of(&web(), &dump);
        assert_eq!(servers, [AsRecord { address: "10.0.0.1".parse().unwrap(), weight: 5, buckets: 7 }]);
    }

    #[test]
    fn servers_of_other_vips_are_dropped() {
        let vip = RawVip::from(&web());
        let others = [
            RawVip { prefix_len: 24, ..vip },
            RawVip { port: 443, ..vip },
            RawVip { protocol: 17, ..vip },
            RawVip { address: "192.0.2.2".parse().unwrap(), ..vip },
        ];
        for other in others {
            assert_eq!(servers_of(&web(), &[server(other, "10.0.0.1", USED, 1)]), []);
        }
    }

    #[test]
    fn verdicts() {
        let table = [
            (-6, LbError::NoSuchEntry),
            (-70, LbError::InvalidMemorySize),
            (-73, LbError::InvalidArgument),
            (-81, LbError::ValueExist),
            (-97, LbError::InvalidAddressFamily),
            (-1, LbError::Other(-1)),
            (3, LbError::Other(3)),
        ];
        for (retval, error) in table {
            assert_eq!(verdict(retval), Err(error));
        }
        assert_eq!(verdict(0), Ok(()));
    }

    #[test]
    fn what_lb_does_not_survive_is_never_sent() {
        let vip = web();
        let add = |vip, encap, table_length| Op::AddVip { vip, encap, table_length, src_ip_sticky: false };
        let settings = |n| {
            Op::SetSettings(Settings {
                ip4_src: "10.0.0.1".parse().unwrap(),
                ip6_src: "::1".parse().unwrap(),
                sticky_buckets_per_core: n,
                flow_timeout: 40,
            })
        };
        let address = "10.0.0.1".parse().unwrap();
        let six = key("2001:db8::1", None);
        let dns = key("192.0.2.1", Some((Protocol::Udp, 53)));
        let dns6 = key("2001:db8::1", Some((Protocol::Udp, 53)));
        let (nat4, nat6) =
            (|target_port| Encap::Nat4 { target_port }, |target_port| Encap::Nat6 { target_port });
        let table = [
            (add(dns, nat4(53), 1024), Ok(())),
            (add(dns6, nat6(53), 1024), Ok(())),
            (add(dns, nat6(53), 1024), Err(LbError::InvalidAddressFamily)),
            (add(dns6, nat4(53), 1024), Err(LbError::InvalidAddressFamily)),
            (add(dns, nat4(0), 1024), Err(LbError::InvalidArgument)),
            (add(vip, nat4(53), 1024), Err(LbError::InvalidArgument)),
            (add(key("192.0.2.1", None), nat4(53), 1024), Err(LbError::InvalidArgument)),
            (add(six, nat6(53), 1024), Err(LbError::InvalidArgument)),
            (add(vip, Encap::Gre4, 0), Err(LbError::InvalidMemorySize)),
            (add(vip, Encap::Gre4, 1000), Err(LbError::InvalidMemorySize)),
            (add(vip, Encap::Gre4, 131_072), Err(LbError::InvalidMemorySize)),
            (add(vip, Encap::Gre4, 65_536), Ok(())),
            (add(vip, Encap::Gre6, 1), Ok(())),
            (add(vip, Encap::L3dsr { dscp: 63 }, 1024), Ok(())),
            (add(vip, Encap::L3dsr { dscp: 64 }, 1024), Err(LbError::InvalidArgument)),
            (add(six, Encap::L3dsr { dscp: 1 }, 1024), Err(LbError::InvalidAddressFamily)),
            (add(key("0.0.0.0", None), Encap::Gre4, 1024), Err(LbError::InvalidArgument)),
            (add(key("::", None), Encap::Gre6, 1024), Err(LbError::InvalidArgument)),
            (
                add(key("192.0.2.1", Some((Protocol::Udp, 0))), Encap::Gre4, 1024),
                Err(LbError::InvalidArgument),
            ),
            (settings(0), Err(LbError::InvalidMemorySize)),
            (settings(u32::MAX), Err(LbError::InvalidMemorySize)),
            (settings(1024), Ok(())),
            (Op::AddServer { vip, address, weight: 101, flush: false }, Err(LbError::InvalidArgument)),
            (Op::AddServer { vip, address, weight: 100, flush: false }, Ok(())),
            (Op::SetWeight { vip, address, weight: 255, flush: true }, Err(LbError::InvalidArgument)),
            (Op::SetWeight { vip, address, weight: 0, flush: true }, Ok(())),
            (
                Op::DelServer { vip: key("0.0.0.0", None), address, flush: true },
                Err(LbError::InvalidArgument),
            ),
            (Op::DelVip { vip }, Ok(())),
            (Op::FlushVip { vip: six }, Ok(())),
        ];
        for (op, expected) in table {
            assert_eq!(check(&op), expected, "{op:?}");
        }
    }
}
