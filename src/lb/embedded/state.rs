//! What VPP's `lb` keeps, and what each of its calls does to it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::pool::Pool;
use super::sticky::{Found, Sticky};
use super::{Counters, Work};
use crate::lb::flow::Flow;
use crate::lb::maglev::{Table, lb_bytes};
use crate::lb::memory;
use crate::lb::types::{AsRecord, Encap, LbError, Op, Settings, VipKey, VipRecord};
use crate::time::Time;

/// Seconds between two collections of what was deleted.
const COLLECT: u32 = 60;

/// Seconds that a deleted server stays in any case.
const LINGER: u32 = 10;

/// The protocol of an all-port VIP.
const ALL: u8 = 255;

/// What `lb` tells VIPs apart by: sixteen bytes of address, IPv4 last, and a prefix length of up to 128.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id {
    prefix: u128,
    prefix_len: u8,
    protocol: u8,
    port: u16,
}

impl Id {
    fn new(address: IpAddr, len: u8, protocol: u8, port: u16) -> Id {
        let prefix_len = if address.is_ipv4() { len.saturating_add(96) } else { len }.min(128);
        let mask = u128::MAX.checked_shl(128 - u32::from(prefix_len)).unwrap_or(0);
        let prefix = u128::from_be_bytes(lb_bytes(address)) & mask;
        Id { prefix, prefix_len, protocol: if port == 0 { ALL } else { protocol }, port }
    }

    pub(super) fn of(vip: &VipKey) -> Id {
        let full = if vip.address.is_ipv4() { 32 } else { 128 };
        let (protocol, port) = vip.service.map_or((ALL, 0), |(p, port)| (p.number(), port));
        Id::new(vip.address, full, protocol, port)
    }

    pub(super) fn of_record(vip: &VipRecord) -> Id {
        Id::new(vip.address, vip.prefix_len, vip.protocol, vip.port)
    }

    fn is_ip4(self) -> bool {
        self.prefix_len >= 96 && as_ip4(self.prefix).is_some()
    }

    fn same_prefix(self, other: Id) -> bool {
        (self.prefix, self.prefix_len) == (other.prefix, other.prefix_len)
    }

    fn address(self) -> IpAddr {
        match as_ip4(self.prefix) {
            Some(a) if self.is_ip4() => IpAddr::V4(a),
            Some(_) | None => IpAddr::V6(Ipv6Addr::from_bits(self.prefix)),
        }
    }
}

fn as_ip4(bits: u128) -> Option<Ipv4Addr> {
    u32::try_from(bits).ok().map(Ipv4Addr::from_bits)
}

/// How a VIP's packets travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Gre4,
    Gre6,
    L3dsr(u8),
    Nat4(u16),
    Nat6(u16),
    /// What the project has no name for.
    Other,
}

impl Kind {
    pub(super) fn of(encap: Encap) -> Kind {
        match encap {
            Encap::Gre4 => Kind::Gre4,
            Encap::Gre6 => Kind::Gre6,
            Encap::L3dsr { dscp } => Kind::L3dsr(dscp & 0x3f),
            Encap::Nat4 { target_port } => Kind::Nat4(target_port),
            Encap::Nat6 { target_port } => Kind::Nat6(target_port),
        }
    }

    fn encap(self) -> Option<Encap> {
        match self {
            Kind::Gre4 => Some(Encap::Gre4),
            Kind::Gre6 => Some(Encap::Gre6),
            Kind::L3dsr(dscp) => Some(Encap::L3dsr { dscp }),
            Kind::Nat4(target_port) => Some(Encap::Nat4 { target_port }),
            Kind::Nat6(target_port) => Some(Encap::Nat6 { target_port }),
            Kind::Other => None,
        }
    }

    fn target_port(self) -> Option<u16> {
        match self {
            Kind::Nat4(port) | Kind::Nat6(port) => Some(port),
            Kind::Gre4 | Kind::Gre6 | Kind::L3dsr(_) | Kind::Other => None,
        }
    }

    /// `lb` compares types alone, so that two VIPs of one address may have two DSCPs.
    fn same_type(self, other: Kind) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

#[derive(Debug)]
struct Vip {
    id: Id,
    kind: Kind,
    length: u32,
    table: Table,
    src_ip_sticky: bool,
    used: bool,
    servers: Pool<usize>,
    counters: Counters,
    collected: u32,
}

#[derive(Debug)]
struct Server {
    bits: u128,
    weight: u8,
    used: bool,
    last_used: u32,
}

#[derive(Debug)]
pub(super) struct State {
    settings: Settings,
    /// Index 0 is taken, as in `lb`.
    vips: Pool<Option<Vip>>,
    /// Index 0 stands for "no server", as in `lb`.
    servers: Pool<Server>,
    sticky: Sticky,
    /// Seconds, as `lb` rounds them.
    now: u32,
    collected: u32,
    stray_flushes: u64,
    /// `lb`'s SNAT map has one entry a key, and no count of who uses it.
    snat: BTreeSet<(u128, u16)>,
    snat_clashes: u64,
    snat_aborts: u64,
    deadly_calls: u64,
    /// Bytes of all tables that were made: `lb` frees none of a deleted VIP.
    tables: u64,
    work: Work,
}

impl Default for State {
    fn default() -> Self {
        let settings = Settings {
            ip4_src: Ipv4Addr::BROADCAST,
            ip6_src: Ipv6Addr::from_bits(u128::MAX),
            sticky_buckets_per_core: 1024,
            flow_timeout: 40,
        };
        let mut vips = Pool::default();
        vips.put(None);
        let mut servers = Pool::default();
        servers.put(Server { bits: u128::MAX, weight: 0, used: false, last_used: 0 });
        let sticky = Sticky::new(settings.sticky_buckets_per_core);
        State {
            settings,
            vips,
            servers,
            sticky,
            now: 0,
            collected: 0,
            stray_flushes: 0,
            snat: BTreeSet::new(),
            snat_clashes: 0,
            snat_aborts: 0,
            deadly_calls: 0,
            tables: 0,
            work: Work::default(),
        }
    }
}

impl State {
    pub(super) fn apply(&mut self, op: &Op) -> Result<(), LbError> {
        match *op {
            Op::SetSettings(s) => self.set_settings(s),
            Op::AddVip { vip, encap, table_length, src_ip_sticky } => {
                self.add_vip(Id::of(&vip), Kind::of(encap), table_length, src_ip_sticky)
            }
            Op::DelVip { vip } => self.del_vip(Id::of(&vip)),
            Op::AddServer { vip, address, weight, flush } => {
                self.add_server(Id::of(&vip), address, weight, flush)
            }
            Op::DelServer { vip, address, flush } => self.del_server(Id::of(&vip), address, flush),
            Op::SetWeight { vip, address, weight, flush } => {
                self.set_weight(Id::of(&vip), address, weight, flush)
            }
            Op::FlushVip { vip } => {
                match self.find(Id::of(&vip)) {
                    Ok(index) => {
                        self.work.walks += 1;
                        self.sticky.flush(index, None);
                    }
                    Err(_) => self.stray_flushes += 1,
                }
                Ok(())
            }
        }
    }

    fn set_settings(&mut self, mut s: Settings) -> Result<(), LbError> {
        // All ones: leave it as it is.
        if s.sticky_buckets_per_core == u32::MAX {
            s.sticky_buckets_per_core = self.settings.sticky_buckets_per_core;
        }
        if s.flow_timeout == u32::MAX {
            s.flow_timeout = self.settings.flow_timeout;
        }
        if s.sticky_buckets_per_core == 0 {
            self.deadly_calls += 1;
        }
        if !s.sticky_buckets_per_core.is_power_of_two() {
            return Err(LbError::InvalidMemorySize);
        }
        self.settings = s;
        Ok(())
    }

    pub(super) fn add_vip(
        &mut self,
        id: Id,
        kind: Kind,
        length: u32,
        src_ip_sticky: bool,
    ) -> Result<(), LbError> {
        // What IPv6 has no type for becomes type 0, which is GRE6.
        let kind =
            if matches!(kind, Kind::L3dsr(_) | Kind::Nat4(_)) && !id.is_ip4() { Kind::Gre6 } else { kind };
        if matches!(kind, Kind::Nat6(_)) && id.is_ip4() {
            return Err(LbError::InvalidAddressFamily);
        }
        if kind.target_port().is_some() && id.port == 0 {
            // VPP would die of the first packet.
            self.deadly_calls += 1;
            return Err(LbError::InvalidArgument);
        }
        if length == 0 {
            self.deadly_calls += 1;
            return Err(LbError::InvalidMemorySize);
        }
        let mut others = self.live().map(|(_, v)| v).filter(|v| v.id.same_prefix(id)).peekable();
        if others.peek().is_some_and(|v| v.id.port == 0 || id.port == 0) {
            return Err(LbError::ValueExist);
        }
        let (mut same, mut other_type) = (false, false);
        for v in others {
            same |= v.id == id;
            other_type |= !v.kind.same_type(kind);
        }
        if same {
            return Err(LbError::ValueExist);
        }
        if other_type {
            return Err(LbError::InvalidArgument);
        }
        let table = Table::build(length, &[]).map_err(|_| LbError::InvalidMemorySize)?;
        self.tables = self.tables.saturating_add(memory::table(length));
        self.vips.put(Some(Vip {
            id,
            kind,
            length,
            table,
            src_ip_sticky,
            used: true,
            servers: Pool::default(),
            counters: Counters::default(),
            collected: self.now,
        }));
        Ok(())
    }

    fn del_vip(&mut self, id: Id) -> Result<(), LbError> {
        let index = self.find(id)?;
        for server in self.members(index) {
            self.retire(server);
        }
        if let Some(Some(vip)) = self.vips.get_mut(index) {
            vip.used = false;
            // `lb` keeps the table till the VIP is collected; nothing reads it.
            if let Ok(empty) = Table::build(1, &[]) {
                vip.table = empty;
            }
        }
        Ok(())
    }

    pub(super) fn add_server(
        &mut self,
        id: Id,
        address: IpAddr,
        weight: u8,
        flush: bool,
    ) -> Result<(), LbError> {
        self.put_servers(id, &[address], weight, flush)
    }

    /// Adds servers none of which is in use, and builds the table once; nothing where one of them cannot be added.
    pub(super) fn put_servers(
        &mut self,
        id: Id,
        addresses: &[IpAddr],
        weight: u8,
        flush: bool,
    ) -> Result<(), LbError> {
        let index = self.find(id)?;
        let Some(Some(vip)) = self.vips.get(index) else { return Err(LbError::NoSuchEntry) };
        let wants_ip4 = match vip.kind {
            Kind::Gre4 | Kind::L3dsr(_) | Kind::Nat4(_) => true,
            Kind::Gre6 | Kind::Nat6(_) => false,
            Kind::Other => vip.id.is_ip4(),
        };
        let nat = vip.kind.target_port();
        let (mut again, mut new) = (Vec::new(), Vec::new());
        // From the last to the first, as `lb` does.
        for address in addresses.iter().rev() {
            let bits = u128::from_be_bytes(lb_bytes(*address));
            match self.member(index, bits) {
                Some(server) if self.servers.get(server).is_some_and(|s| s.used) => {
                    return Err(LbError::ValueExist);
                }
                Some(server) => again.push(server),
                None if wants_ip4 != as_ip4(bits).is_some() => return Err(LbError::InvalidAddressFamily),
                None => new.push(bits),
            }
        }
        for server in again {
            // One that was deleted and lingers: its flows, if it has any, are its flows again.
            if let Some(s) = self.servers.get_mut(server) {
                (s.used, s.weight) = (true, weight);
            }
            if flush {
                self.flush_server(index, server);
            }
        }
        for bits in new {
            let server = self.servers.put(Server { bits, weight, used: true, last_used: 0 });
            if let Some(Some(vip)) = self.vips.get_mut(index) {
                vip.servers.put(server);
            }
            if let Some(port) = nat {
                self.snat_clashes += u64::from(!self.snat.insert((bits, port)));
            }
        }
        self.rebuild(index);
        self.collect(index);
        Ok(())
    }

    fn del_server(&mut self, id: Id, address: IpAddr, flush: bool) -> Result<(), LbError> {
        self.delete_servers(id, &[address], flush)
    }

    /// Deletes servers, and builds the table once; nothing where one of them is not there.
    pub(super) fn delete_servers(
        &mut self,
        id: Id,
        addresses: &[IpAddr],
        flush: bool,
    ) -> Result<(), LbError> {
        let index = self.find(id)?;
        // One that was deleted and lingers can be deleted again.
        let member = |a: &IpAddr| self.member(index, u128::from_be_bytes(lb_bytes(*a)));
        let servers: Option<Vec<usize>> = addresses.iter().rev().map(member).collect();
        let servers = servers.ok_or(LbError::NoSuchEntry)?;
        self.collect(index);
        for server in servers {
            self.retire(server);
            if flush {
                self.flush_server(index, server);
            }
        }
        self.rebuild(index);
        Ok(())
    }

    fn set_weight(&mut self, id: Id, address: IpAddr, weight: u8, flush: bool) -> Result<(), LbError> {
        let index = self.find(id)?;
        let bits = u128::from_be_bytes(lb_bytes(address));
        let server = self.member(index, bits).ok_or(LbError::NoSuchEntry)?;
        let s = self.servers.get_mut(server).filter(|s| s.used).ok_or(LbError::NoSuchEntry)?;
        s.weight = weight;
        self.rebuild(index);
        if flush {
            self.flush_server(index, server);
        }
        Ok(())
    }

    fn flush_server(&mut self, index: usize, server: usize) {
        self.work.walks += 1;
        self.sticky.flush(index, Some(server));
    }

    fn retire(&mut self, server: usize) {
        let now = self.now;
        if let Some(s) = self.servers.get_mut(server) {
            (s.used, s.last_used) = (false, now);
        }
    }

    fn rebuild(&mut self, index: usize) {
        self.work.rebuilds += 1;
        let weights: Vec<(IpAddr, u8)> = self
            .members(index)
            .into_iter()
            .filter_map(|s| self.servers.get(s))
            .filter(|s| s.used)
            .map(|s| (address(s.bits), s.weight))
            .collect();
        if let Some(Some(vip)) = self.vips.get_mut(index)
            && let Ok(table) = Table::build(vip.length, &weights)
        {
            vip.table = table;
        }
    }

    /// Forgets deleted servers that no flow names, at most once a minute for each VIP.
    fn collect(&mut self, index: usize) {
        let now = self.now;
        let Some(Some(vip)) = self.vips.get_mut(index) else { return };
        if !reached(now, vip.collected.wrapping_add(COLLECT)) {
            return;
        }
        vip.collected = now;
        let gone: Vec<(usize, usize)> = vip
            .servers
            .iter()
            .map(|(slot, &server)| (slot, server))
            .filter(|&(_, server)| {
                let deleted = |s: &Server| !s.used && reached(now, s.last_used.wrapping_add(LINGER));
                self.servers.get(server).is_some_and(deleted) && self.sticky.references(server) == 0
            })
            .collect();
        for (slot, server) in gone {
            vip.servers.remove(slot);
            if let (Some(port), Some(s)) = (vip.kind.target_port(), self.servers.get(server)) {
                self.snat_aborts += u64::from(!self.snat.remove(&(s.bits, port)));
            }
            self.servers.remove(server);
        }
    }

    pub(super) fn set_now(&mut self, now: Time) {
        self.now = u32::try_from(now.0 / 1_000_000_000).unwrap_or(u32::MAX);
        if self.now.saturating_sub(self.collected) < COLLECT {
            return;
        }
        self.collected = self.now;
        let all: Vec<usize> = self.vips.iter().map(|(i, _)| i).collect();
        for index in all {
            self.collect(index);
            let forgettable = |v: &Vip| !v.used && v.servers.iter().next().is_none();
            if self.vips.get(index).is_some_and(|v| v.as_ref().is_some_and(forgettable)) {
                self.vips.remove(index);
            }
        }
    }

    pub(super) fn packet(&mut self, id: Id, flow: &Flow) -> Option<IpAddr> {
        let index = self.find(id).ok()?;
        // `lb` looks for a new bucket count when packets come, not when it is set.
        if self.sticky.buckets() != self.settings.sticky_buckets_per_core {
            self.sticky = Sticky::new(self.settings.sticky_buckets_per_core);
        }
        // The clock of flows starts at 10,000 so that an entry of zeros is one that has timed out.
        let now = self.now.saturating_add(10_000);
        let lifetime = self.settings.flow_timeout;
        let Some(Some(vip)) = self.vips.get(index) else { return None };
        let hash = flow.hash(vip.src_ip_sticky);
        let fresh = vip.table.server_for(hash).map(|a| u128::from_be_bytes(lb_bytes(a)));
        let fresh = fresh.and_then(|bits| self.member(index, bits)).unwrap_or(0);
        let found = self.sticky.find(hash, index, now, lifetime);
        let Some(Some(vip)) = self.vips.get_mut(index) else { return None };
        let server = match found {
            Found::Server(server) => {
                vip.counters.next += 1;
                server
            }
            Found::Slot(slot) => {
                *(if fresh == 0 { &mut vip.counters.no_server } else { &mut vip.counters.first }) += 1;
                self.sticky.put(slot, hash, index, fresh, now.saturating_add(lifetime));
                fresh
            }
            Found::Full => {
                vip.counters.untracked += 1;
                fresh
            }
        };
        self.servers.get(server).filter(|_| server != 0).map(|s| address(s.bits))
    }

    pub(super) fn new_flow(&self, id: Id, flow: &Flow) -> Option<IpAddr> {
        let vip = self.vip(id)?;
        vip.table.server_for(flow.hash(vip.src_ip_sticky))
    }

    pub(super) fn settings(&self) -> Settings {
        self.settings
    }

    pub(super) fn vips(&self) -> Vec<VipRecord> {
        let record = |v: &Vip| VipRecord {
            address: v.id.address(),
            prefix_len: if v.id.is_ip4() { v.id.prefix_len.saturating_sub(96) } else { v.id.prefix_len },
            protocol: v.id.protocol,
            port: v.id.port,
            encap: v.kind.encap(),
            table_length: v.length,
        };
        self.live().map(|(_, v)| record(v)).collect()
    }

    pub(super) fn servers(&self, id: Id) -> Vec<AsRecord> {
        let Ok(index) = self.find(id) else { return Vec::new() };
        let counts = self.vip(id).map(|v| v.table.counts()).unwrap_or_default();
        let record = |s: &Server| {
            let address = address(s.bits);
            let buckets = counts.iter().find(|(a, _)| *a == address).map_or(0, |&(_, n)| n);
            AsRecord { address, weight: s.weight, buckets }
        };
        self.members(index)
            .into_iter()
            .filter_map(|s| self.servers.get(s))
            .filter(|s| s.used)
            .map(record)
            .collect()
    }

    pub(super) fn counters(&self, id: Id) -> Option<Counters> {
        self.vip(id).map(|v| v.counters)
    }

    pub(super) fn table(&self, id: Id) -> Option<&Table> {
        self.vip(id).map(|v| &v.table)
    }

    pub(super) fn flows(&self, id: Id, server: IpAddr) -> usize {
        let Ok(index) = self.find(id) else { return 0 };
        let bits = u128::from_be_bytes(lb_bytes(server));
        let Some(server) = self.member(index, bits) else { return 0 };
        self.sticky.flows(index, server, self.now.saturating_add(10_000))
    }

    pub(super) fn has(&self, vip: &VipKey) -> bool {
        self.find(Id::of(vip)).is_ok()
    }

    pub(super) fn stray_flushes(&self) -> u64 {
        self.stray_flushes
    }

    pub(super) fn work(&self) -> Work {
        self.work
    }

    pub(super) fn snat_clashes(&self) -> u64 {
        self.snat_clashes
    }

    pub(super) fn deadly_calls(&self) -> u64 {
        self.deadly_calls
    }

    pub(super) fn snat_aborts(&self) -> u64 {
        self.snat_aborts
    }

    /// Counts the tables that are made from now on.
    pub(super) fn count_tables(&mut self) {
        self.tables = 0;
    }

    /// Bytes of the tables that were made since then.
    pub(super) fn tables(&self) -> u64 {
        self.tables
    }

    /// `lb`'s index of a VIP.
    pub(super) fn index(&self, vip: &VipKey) -> Option<u32> {
        self.find(Id::of(vip)).ok().and_then(|i| u32::try_from(i).ok())
    }

    /// Whether a packet to this address comes to a VIP, whatever its port.
    pub(super) fn has_vip_for(&self, address: IpAddr) -> bool {
        self.live().any(|(_, v)| {
            let len = if address.is_ipv4() { v.id.prefix_len.saturating_sub(96) } else { v.id.prefix_len };
            v.id.is_ip4() == address.is_ipv4() && v.id.same_prefix(Id::new(address, len, ALL, 0))
        })
    }

    /// VIPs in use, in `lb`'s order.
    fn live(&self) -> impl Iterator<Item = (usize, &Vip)> {
        self.vips.iter().filter_map(|(i, v)| Some((i, v.as_ref().filter(|v| v.used)?)))
    }

    fn find(&self, id: Id) -> Result<usize, LbError> {
        self.live().find(|(_, v)| v.id == id).map(|(i, _)| i).ok_or(LbError::NoSuchEntry)
    }

    fn vip(&self, id: Id) -> Option<&Vip> {
        self.vips.get(self.find(id).ok()?)?.as_ref()
    }

    /// A VIP's servers, deleted ones that linger included.
    fn members(&self, index: usize) -> Vec<usize> {
        let Some(Some(vip)) = self.vips.get(index) else { return Vec::new() };
        vip.servers.iter().map(|(_, &server)| server).collect()
    }

    fn member(&self, index: usize, bits: u128) -> Option<usize> {
        let is_it = |&s: &usize| self.servers.get(s).is_some_and(|s| s.bits == bits);
        self.members(index).into_iter().find(is_it)
    }
}

fn address(bits: u128) -> IpAddr {
    as_ip4(bits).map_or_else(|| IpAddr::V6(Ipv6Addr::from_bits(bits)), IpAddr::V4)
}

/// `lb`'s comparison of running seconds.
fn reached(now: u32, then: u32) -> bool {
    now.wrapping_sub(then) < 0x7fff_ffff
}
