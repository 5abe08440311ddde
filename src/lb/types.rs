//! The vocabulary of `lb` and the trait that every implementation of it answers to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use super::traffic::VipTraffic;

/// The protocols that a per-port VIP can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// IP protocol 6.
    Tcp,
    /// IP protocol 17.
    Udp,
}

impl Protocol {
    /// `tcp` or `udp`.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }

    /// IANA's number.
    pub fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
        }
    }
}

/// What names a VIP in `lb`: a host address and, unless it takes all ports, a protocol and port.
///
/// Ordered by address, IPv4 before IPv6, as programming goes (docs/behaviour.md, "Programming `lb`").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VipKey {
    /// The virtual address; always a /32 or /128.
    pub address: IpAddr,
    /// None: an all-port VIP.
    pub service: Option<(Protocol, u16)>,
}

impl fmt::Display for VipKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.service) {
            (a, None) => write!(f, "{a}"),
            (IpAddr::V4(a), Some((p, port))) => write!(f, "{a}:{port}/{}", p.as_str()),
            (IpAddr::V6(a), Some((p, port))) => write!(f, "[{a}]:{port}/{}", p.as_str()),
        }
    }
}

/// How `lb` sends packets to the servers of a VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encap {
    /// GRE over IPv4.
    Gre4,
    /// GRE over IPv6.
    Gre6,
    /// Destination rewritten, the VIP told by DSCP (0–63); IPv4 only.
    L3dsr {
        /// 0–63
        dscp: u8,
    },
    /// Destination address and port rewritten; all IPv4, UDP only.
    Nat4 {
        /// The servers' port, 1–65535.
        target_port: u16,
    },
    /// Destination address and port rewritten; all IPv6, UDP only.
    Nat6 {
        /// The servers' port, 1–65535.
        target_port: u16,
    },
}

impl Encap {
    /// `gre4`, `gre6`, `l3dsr`, `nat4`, `nat6`.
    pub fn as_str(self) -> &'static str {
        match self {
            Encap::Gre4 => "gre4",
            Encap::Gre6 => "gre6",
            Encap::L3dsr { .. } => "l3dsr",
            Encap::Nat4 { .. } => "nat4",
            Encap::Nat6 { .. } => "nat6",
        }
    }

    /// The servers' port where it is one of the two NATs.
    pub fn target_port(self) -> Option<u16> {
        match self {
            Encap::Nat4 { target_port } | Encap::Nat6 { target_port } => Some(target_port),
            Encap::Gre4 | Encap::Gre6 | Encap::L3dsr { .. } => None,
        }
    }

    /// Whether it is one of the two NATs, whose servers and VIPs are never deleted (docs/behaviour.md).
    pub fn is_nat(self) -> bool {
        self.target_port().is_some()
    }

    /// Whether a server of this address can be in a VIP of this kind.
    pub fn takes(self, server: IpAddr) -> bool {
        let wants_ipv6 = match self {
            Encap::Gre6 | Encap::Nat6 { .. } => true,
            Encap::Gre4 | Encap::L3dsr { .. } | Encap::Nat4 { .. } => false,
        };
        server.is_ipv6() == wants_ipv6
    }

    /// `lb` wants one type for all VIPs of an address; DSCP and target port may differ.
    pub fn same_type(self, other: Encap) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

/// With what the two NATs and DSCP are told apart: `nat4 (target-port 53)`.
impl fmt::Display for Encap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Encap::Gre4 | Encap::Gre6 => f.write_str(self.as_str()),
            Encap::L3dsr { dscp } => write!(f, "l3dsr (dscp {dscp})"),
            Encap::Nat4 { target_port } | Encap::Nat6 { target_port } => {
                write!(f, "{} (target-port {target_port})", self.as_str())
            }
        }
    }
}

/// `lb`'s global settings (`lb_conf`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Source of GRE over IPv4; 255.255.255.255 where never set.
    pub ip4_src: Ipv4Addr,
    /// Source of GRE over IPv6; all ones where never set.
    pub ip6_src: Ipv6Addr,
    /// Per worker, a power of two.
    pub sticky_buckets_per_core: u32,
    /// Seconds.
    pub flow_timeout: u32,
}

/// A VIP as `lb_vip_dump` tells it. Deleted VIPs are never dumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VipRecord {
    /// Address; for a prefix VIP (never ours) its first one.
    pub address: IpAddr,
    /// 32 or 128 for ours.
    pub prefix_len: u8,
    /// IP protocol number; 255 for all-port VIPs.
    pub protocol: u8,
    /// 0 for all-port VIPs.
    pub port: u16,
    /// None: one that this project has no name for.
    pub encap: Option<Encap>,
    /// Length of the new-flow table (65,536 where the dump's 16 bits read 0).
    pub table_length: u32,
}

impl VipRecord {
    /// The key of a host VIP for tcp, udp or all ports; none for what this project cannot make.
    pub fn key(&self) -> Option<VipKey> {
        let full = if self.address.is_ipv4() { 32 } else { 128 };
        if self.prefix_len != full {
            return None;
        }
        let service = match (self.port, self.protocol) {
            (0, _) => None,
            (port, 6) => Some((Protocol::Tcp, port)),
            (port, 17) => Some((Protocol::Udp, port)),
            (_, _) => return None,
        };
        Some(VipKey { address: self.address, service })
    }
}

/// An application server as `lb_as_v2_dump` tells it. Deleted ones that linger (no `used` flag) are dropped by the
/// implementation and never get here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsRecord {
    /// Its address.
    pub address: IpAddr,
    /// 0–100.
    pub weight: u8,
    /// Entries of the VIP's new-flow table that point at it.
    pub buckets: u32,
}

/// One change to `lb`, one message of its API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `lb_conf`
    SetSettings(Settings),
    /// `lb_add_del_vip_v2`
    AddVip {
        /// Which.
        vip: VipKey,
        /// How its packets travel.
        encap: Encap,
        /// Power of two, 1 to 65536. (0 would kill VPP.)
        table_length: u32,
        /// Hash the source address alone.
        src_ip_sticky: bool,
    },
    /// `lb_add_del_vip_v2`, deletes its servers without flush.
    DelVip {
        /// Which.
        vip: VipKey,
    },
    /// `lb_add_del_as_v2`
    AddServer {
        /// Of which VIP.
        vip: VipKey,
        /// The server.
        address: IpAddr,
        /// 0–100
        weight: u8,
        /// Drop flows that a deleted server of the same address still holds.
        flush: bool,
    },
    /// `lb_add_del_as_v2`
    DelServer {
        /// Of which VIP.
        vip: VipKey,
        /// The server.
        address: IpAddr,
        /// Drop its flows.
        flush: bool,
    },
    /// `lb_as_set_weight`
    SetWeight {
        /// Of which VIP.
        vip: VipKey,
        /// The server.
        address: IpAddr,
        /// 0–100
        weight: u8,
        /// Drop its flows.
        flush: bool,
    },
    /// `lb_flush_vip`. Never sent for a VIP that is not there: `lb` would flush at random.
    FlushVip {
        /// Which.
        vip: VipKey,
    },
}

impl Op {
    /// The VIP it is about; none for settings.
    pub fn vip(&self) -> Option<VipKey> {
        match *self {
            Op::SetSettings(_) => None,
            Op::AddVip { vip, .. }
            | Op::DelVip { vip }
            | Op::AddServer { vip, .. }
            | Op::DelServer { vip, .. }
            | Op::SetWeight { vip, .. }
            | Op::FlushVip { vip } => Some(vip),
        }
    }

    /// Whether a VIP may have less weight than intended when this fails.
    pub fn adds_weight(&self) -> bool {
        match *self {
            Op::AddVip { .. } => true,
            Op::AddServer { weight, .. } | Op::SetWeight { weight, .. } => weight > 0,
            Op::SetSettings(_) | Op::DelVip { .. } | Op::DelServer { .. } | Op::FlushVip { .. } => false,
        }
    }
}

/// As the log has it: `vip=192.0.2.1:80/tcp set-weight server=10.0.0.1 weight=0 flush`.
impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flushed = |flush: bool| if flush { " flush" } else { "" };
        match *self {
            Op::SetSettings(_) => write!(f, "settings"),
            Op::AddVip { vip, encap, table_length, src_ip_sticky } => {
                let sticky = if src_ip_sticky { " src-ip-sticky" } else { "" };
                write!(f, "vip={vip} add encap={} length={table_length}{sticky}", encap.as_str())
            }
            Op::DelVip { vip } => write!(f, "vip={vip} delete"),
            Op::AddServer { vip, address, weight, flush } => {
                write!(f, "vip={vip} add-server server={address} weight={weight}{}", flushed(flush))
            }
            Op::DelServer { vip, address, flush } => {
                write!(f, "vip={vip} delete-server server={address}{}", flushed(flush))
            }
            Op::SetWeight { vip, address, weight, flush } => {
                write!(f, "vip={vip} set-weight server={address} weight={weight}{}", flushed(flush))
            }
            Op::FlushVip { vip } => write!(f, "vip={vip} flush"),
        }
    }
}

/// Why `lb` did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LbError {
    /// `VNET_API_ERROR_NO_SUCH_ENTRY`: the VIP or server is not there.
    #[error("no such entry")]
    NoSuchEntry,
    /// `VNET_API_ERROR_VALUE_EXIST`: it is there already, or clashes with a VIP of the same address.
    #[error("value exists")]
    ValueExist,
    /// `VNET_API_ERROR_INVALID_ARGUMENT`: another encap on the same address.
    #[error("invalid argument")]
    InvalidArgument,
    /// `VNET_API_ERROR_INVALID_ADDRESS_FAMILY`
    #[error("invalid address family")]
    InvalidAddressFamily,
    /// `VNET_API_ERROR_INVALID_MEMORY_SIZE`: a length that is not a power of two.
    #[error("invalid memory size")]
    InvalidMemorySize,
    /// VPP's heap has no room for the VIP's table: not sent, since VPP would abort.
    #[error("VPP's heap has no room for its table")]
    NoRoom,
    /// Not done, since what was to come in for it could not.
    #[error("held back: what is to come in for it could not")]
    Held,
    /// Any other return value.
    #[error("lb error {0}")]
    Other(i32),
    /// `lb` answered with nothing, or with what could not be decoded.
    #[error("no valid answer from lb: {0}")]
    NoAnswer(&'static str),
    /// `lb` is not loaded, or lacks a message: says what. Lasts as long as this VPP lives.
    #[error("{0}")]
    Unavailable(String),
}

/// Where a packet to an address goes, if it does not leave VPP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// It leaves VPP, or is dropped.
    Away,
    /// An address of VPP itself.
    Local,
    /// A VIP of `lb`, or a route by way of one.
    Vip,
}

impl Reach {
    /// Why a server of this address would be a forwarding loop; none: it would not.
    pub fn loops(self) -> Option<&'static str> {
        match self {
            Reach::Away => None,
            Reach::Local => Some("an address of VPP itself"),
            Reach::Vip => Some("a VIP in lb, or routed by way of one"),
        }
    }
}

/// The heap that `lb` takes its tables from. A process whose heap is full aborts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heap {
    /// All of it, bytes.
    pub size: u64,
    /// What is free, in pieces of whatever size.
    pub free: u64,
    /// Of that, the block at the end.
    pub top: u64,
}

/// An `lb`: VPP's, in-process, or the embedded one. Called on one thread only, and answers at once.
pub trait LoadBalancer {
    /// Why nothing can be programmed, or none when it can.
    fn unavailable(&self) -> Option<String>;

    /// One word for `show status`: `vpp` or `embedded`.
    fn kind(&self) -> &'static str;

    /// Threads that forward packets; each has a flow table of its own, to be walked by every flush.
    fn threads(&self) -> u32 {
        1
    }

    /// `lb_conf_get`
    ///
    /// # Errors
    /// As [`LbError`] says.
    fn settings(&mut self) -> Result<Settings, LbError>;

    /// `lb_vip_dump`: all VIPs, ours and foreign.
    ///
    /// # Errors
    /// As [`LbError`] says.
    fn vips(&mut self) -> Result<Vec<VipRecord>, LbError>;

    /// `lb_as_v2_dump` of one VIP: its servers in use. A VIP that is not there has none.
    ///
    /// # Errors
    /// As [`LbError`] says.
    fn servers(&mut self, vip: &VipKey) -> Result<Vec<AsRecord>, LbError>;

    /// What it counts of all its VIPs; none: it forwards no packets.
    ///
    /// # Errors
    /// As [`LbError`] says.
    fn traffic(&mut self) -> Result<Option<Vec<VipTraffic>>, LbError> {
        Ok(None)
    }

    /// Where packets to this address go.
    fn reach(&mut self, server: IpAddr) -> Reach {
        let _ = server;
        Reach::Away
    }

    /// The index that `lb` has the VIP under. While the VIP lives it is the same; a VIP that is deleted and made again gets
    /// another as long as its old servers linger, about a minute. None: not there, or it cannot be told.
    fn index(&mut self, vip: &VipKey) -> Option<u32> {
        let _ = vip;
        None
    }

    /// How much memory there is for tables; none: no bound is known.
    fn heap(&mut self) -> Option<Heap> {
        None
    }

    /// Does `ops` in order under one worker barrier, goes on after a failure except that ops on a VIP whose
    /// [`Op::AddVip`] failed in this batch fail with [`LbError::NoSuchEntry`] unsent; one answer an op. So does a
    /// [`Op::FlushVip`] of a VIP that is not there at that moment: `lb` would flush at random.
    fn apply(&mut self, ops: &[Op]) -> Vec<Result<(), LbError>>;

    /// As [`LoadBalancer::apply`], with what is written to several servers of one VIP in a row put together
    /// ([`super::bulk`]). Not for NAT. `former`: servers that lose their weight to others, and what they weigh; they keep it, and
    /// their ops fail with [`LbError::Held`], where all ops that add weight have failed.
    fn apply_bulk(&mut self, ops: &[Op], former: &[(IpAddr, u8)]) -> Vec<Result<(), LbError>>;

    /// Why nothing is put together any more; told once.
    fn take_remark(&mut self) -> Option<String> {
        None
    }
}
