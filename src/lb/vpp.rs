//! VPP's own `lb`, in-process: the calls of csrc/lb.c, with [`super::wire`] saying what they mean.

#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::ffi::{CStr, c_char};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::bulk::{self, Bulk, Command, Deed, Guard, Part, Servers, batch, parts};
use super::memory;
use super::traffic::{self, VipTraffic};
use super::types::{AsRecord, Encap, Heap, LbError, LoadBalancer, Op, Reach, Settings, VipKey, VipRecord};
use super::wire::{self, RawAsRecord, RawEncap, RawVip, RawVipRecord};
use crate::plugin::MainThread;
use crate::plugin::shim::{
    self, maglev_address_t, maglev_api_error_t as api_error, maglev_as_record_t, maglev_encap_t as encap,
    maglev_heap_t, maglev_lb_settings_t, maglev_lb_status_t as status, maglev_reach_t as reach,
    maglev_vip_args_t, maglev_vip_record_t, maglev_vip_t,
};

const _: () = {
    assert!(wire::NO_SUCH_ENTRY == api_error::MAGLEV_NO_SUCH_ENTRY);
    assert!(wire::INVALID_MEMORY_SIZE == api_error::MAGLEV_INVALID_MEMORY_SIZE);
    assert!(wire::INVALID_ARGUMENT == api_error::MAGLEV_INVALID_ARGUMENT);
    assert!(wire::VALUE_EXIST == api_error::MAGLEV_VALUE_EXIST);
    assert!(wire::INVALID_ADDRESS_FAMILY == api_error::MAGLEV_INVALID_ADDRESS_FAMILY);
};

/// The workers at the barrier for as long as this lives. Nests; nothing may be waited for meanwhile.
pub struct Barrier(MainThread);

impl Barrier {
    /// Waits for the workers.
    pub fn hold(main: MainThread) -> Barrier {
        // SAFETY: on the main thread, as the token says; released when this is dropped, by a panic too.
        unsafe { shim::maglev_shim_barrier_sync() };
        Barrier(main)
    }
}

impl Drop for Barrier {
    fn drop(&mut self) {
        let Barrier(_main) = self;
        // SAFETY: on the main thread; `hold` took it once.
        unsafe { shim::maglev_shim_barrier_release() }
    }
}

/// The `lb` of the VPP that we are in.
pub struct VppLb {
    main: MainThread,
    unavailable: Option<String>,
    spent: Spent,
    bulk: Bulk,
    /// NAT VIPs that were made here: VPP aborts when one of their servers was deleted.
    nat: BTreeSet<VipKey>,
}

/// What was taken of VPP's heap since VPP counted it last.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    /// How often it had counted then.
    counted: u64,
    bytes: u64,
}

impl VppLb {
    /// Looks for `lb` and its messages. Without them it still is an `lb`, one that is unavailable.
    pub fn open(main: MainThread) -> VppLb {
        // SAFETY: on the main thread, as the token says; all plugins are loaded by the process node's first run.
        let opened = unsafe { shim::maglev_shim_lb_open() } == 0;
        let unavailable = (!opened).then(|| missing(main));
        VppLb { main, unavailable, spent: Spent::default(), bulk: Bulk::default(), nat: BTreeSet::new() }
    }

    /// The messages in use, `name_crc`; none where `lb` cannot be driven.
    pub fn messages(&self) -> Vec<String> {
        if self.unavailable.is_some() {
            return Vec::new();
        }
        needed(self.main).into_iter().map(|(name, _)| name).collect()
    }

    fn available(&self) -> Result<(), LbError> {
        match &self.unavailable {
            None => Ok(()),
            Some(why) => Err(LbError::Unavailable(why.clone())),
        }
    }

    /// VPP's heap as it was counted last.
    fn counted(&mut self) -> maglev_heap_t {
        let mut h = maglev_heap_t::default();
        // SAFETY: on the main thread (self holds the token); the pointer is to a live value.
        unsafe { shim::maglev_shim_heap(&mut h) };
        if self.spent.counted != h.counted {
            self.spent = Spent { counted: h.counted, bytes: 0 };
        }
        h
    }

    fn send(&mut self, op: &Op) -> Result<(), LbError> {
        wire::check(op)?;
        let mut retval = 0i32;
        let status = match op {
            Op::SetSettings(s) => {
                let s = maglev_lb_settings_t {
                    ip4_src: s.ip4_src.octets(),
                    ip6_src: s.ip6_src.octets(),
                    sticky_buckets_per_core: s.sticky_buckets_per_core,
                    flow_timeout: s.flow_timeout,
                };
                // SAFETY: on the main thread (self holds the token); both pointers are to live values.
                unsafe { shim::maglev_shim_lb_set_settings(&s, &mut retval) }
            }
            Op::AddVip { vip, encap, table_length, src_ip_sticky } => {
                let (kind, dscp) = encode_encap(*encap);
                let args = maglev_vip_args_t {
                    encap: kind,
                    dscp,
                    target_port: encap.target_port().unwrap_or(0),
                    src_ip_sticky: (*src_ip_sticky).into(),
                    table_length: *table_length,
                };
                let vip = encode_vip(vip);
                // SAFETY: on the main thread; the pointers are to live values; `check` has seen to the table's length.
                unsafe { shim::maglev_shim_lb_add_vip(&vip, &args, &mut retval) }
            }
            Op::DelVip { vip } => {
                let vip = encode_vip(vip);
                // SAFETY: on the main thread; the pointers are to live values.
                unsafe { shim::maglev_shim_lb_del_vip(&vip, &mut retval) }
            }
            Op::AddServer { vip, address, weight, flush } => {
                let (vip, address) = (encode_vip(vip), encode_address(*address));
                // SAFETY: on the main thread; the pointers are to live values.
                unsafe { shim::maglev_shim_lb_add_as(&vip, &address, *weight, (*flush).into(), &mut retval) }
            }
            Op::DelServer { vip, address, flush } => {
                let (vip, address) = (encode_vip(vip), encode_address(*address));
                // SAFETY: on the main thread; the pointers are to live values.
                unsafe { shim::maglev_shim_lb_del_as(&vip, &address, (*flush).into(), &mut retval) }
            }
            Op::SetWeight { vip, address, weight, flush } => {
                let (vip, address) = (encode_vip(vip), encode_address(*address));
                // SAFETY: on the main thread; the pointers are to live values.
                unsafe {
                    shim::maglev_shim_lb_set_weight(&vip, &address, *weight, (*flush).into(), &mut retval)
                }
            }
            Op::FlushVip { vip } => {
                // Of a VIP that is not there lb flushes flows at random, and says that all is well. Where it has an index it is there.
                if self.index(vip).is_none() && !self.vips()?.iter().any(|r| r.key().as_ref() == Some(vip)) {
                    return Err(LbError::NoSuchEntry);
                }
                let vip = encode_vip(vip);
                // SAFETY: on the main thread; the pointers are to live values.
                unsafe { shim::maglev_shim_lb_flush_vip(&vip, &mut retval) }
            }
        };
        answered(status)?;
        wire::verdict(retval)
    }
}

impl LoadBalancer for VppLb {
    fn unavailable(&self) -> Option<String> {
        self.unavailable.clone()
    }

    fn kind(&self) -> &'static str {
        "vpp"
    }

    fn threads(&self) -> u32 {
        // SAFETY: on the main thread (self holds the token); it only reads how many threads there are.
        unsafe { shim::maglev_shim_threads() }
    }

    fn settings(&mut self) -> Result<Settings, LbError> {
        self.available()?;
        let mut s = maglev_lb_settings_t::default();
        let mut retval = 0i32;
        // SAFETY: on the main thread (self holds the token); both pointers are to live values.
        answered(unsafe { shim::maglev_shim_lb_settings(&mut s, &mut retval) })?;
        wire::verdict(retval)?;
        Ok(Settings {
            ip4_src: Ipv4Addr::from(s.ip4_src),
            ip6_src: Ipv6Addr::from(s.ip6_src),
            sticky_buckets_per_core: s.sticky_buckets_per_core,
            flow_timeout: s.flow_timeout,
        })
    }

    fn vips(&mut self) -> Result<Vec<VipRecord>, LbError> {
        self.available()?;
        // SAFETY: on the main thread (self holds the token).
        answered(unsafe { shim::maglev_shim_lb_dump_vips() })?;
        let mut out = Vec::new();
        loop {
            let mut r = maglev_vip_record_t::default();
            // SAFETY: on the main thread; the pointer is to a live value.
            match unsafe { shim::maglev_shim_lb_next_vip(&mut r) } {
                0 => return Ok(out),
                1 => out.push(wire::vip_record(&decode_vip_record(&r))),
                _ => return Err(LbError::NoAnswer("a VIP's details")),
            }
        }
    }

    fn servers(&mut self, vip: &VipKey) -> Result<Vec<AsRecord>, LbError> {
        self.available()?;
        let asked = encode_vip(vip);
        // SAFETY: on the main thread (self holds the token); the pointer is to a live value.
        answered(unsafe { shim::maglev_shim_lb_dump_as(&asked) })?;
        let mut dump = Vec::new();
        loop {
            let mut r = maglev_as_record_t::default();
            // SAFETY: on the main thread; the pointer is to a live value.
            match unsafe { shim::maglev_shim_lb_next_as(&mut r) } {
                0 => return Ok(wire::servers_of(vip, &dump)),
                1 => dump.push(decode_as_record(&r)),
                _ => return Err(LbError::NoAnswer("a server's details")),
            }
        }
    }

    fn traffic(&mut self) -> Result<Option<Vec<VipTraffic>>, LbError> {
        self.available()?;
        let (mut text, mut length) = (std::ptr::null_mut(), 0);
        // SAFETY: on the main thread (self holds the token), in a process; both pointers are to live values.
        let how = unsafe { shim::maglev_shim_lb_vips_text(&mut text, &mut length) };
        // SAFETY: so many bytes, which nobody else has, as the contract says.
        let read = unsafe { crate::plugin::text_of(text, length) };
        // SAFETY: on the main thread; the text is from just above and not used any more.
        unsafe { shim::maglev_shim_lb_text_free(text) };
        answered(how)?;
        Ok(Some(traffic::parse(&read)))
    }

    fn reach(&mut self, server: IpAddr) -> Reach {
        let server = encode_address(server);
        // SAFETY: on the main thread (self holds the token); the pointer is to a live value.
        match unsafe { shim::maglev_shim_reach(&server) } {
            reach::MAGLEV_REACH_LOCAL => Reach::Local,
            reach::MAGLEV_REACH_VIP => Reach::Vip,
            _ => Reach::Away,
        }
    }

    fn index(&mut self, vip: &VipKey) -> Option<u32> {
        let (vip, mut index) = (encode_vip(vip), 0);
        // SAFETY: on the main thread (self holds the token); both pointers are to live values.
        let known = unsafe { shim::maglev_shim_lb_vip_index(&vip, &mut index) };
        (known != 0).then_some(index)
    }

    fn heap(&mut self) -> Option<Heap> {
        let h = self.counted();
        let spent = if h.counted > 0 { self.spent.bytes } else { 0 };
        Some(Heap { size: h.size, free: h.free.saturating_sub(spent), top: h.top.saturating_sub(spent) })
    }

    fn apply(&mut self, ops: &[Op]) -> Vec<Result<(), LbError>> {
        self.held(ops, ops.iter().map(Part::Single).collect(), &[])
    }

    fn apply_bulk(&mut self, ops: &[Op], former: &[(IpAddr, u8)]) -> Vec<Result<(), LbError>> {
        self.held(ops, parts(ops), former)
    }

    fn take_remark(&mut self) -> Option<String> {
        self.bulk.take_remark()
    }
}

impl VppLb {
    /// All of `ops`, in these parts, under one barrier.
    fn held(
        &mut self,
        ops: &[Op],
        parts: Vec<Part<'_>>,
        former: &[(IpAddr, u8)],
    ) -> Vec<Result<(), LbError>> {
        if let Err(why) = self.available() {
            return ops.iter().map(|_| Err(why.clone())).collect();
        }
        let tables = memory::tables(ops);
        // SAFETY: on the main thread (self holds the token); what it takes it gives back.
        if tables > 0 && unsafe { shim::maglev_shim_heap_has(tables) } == 0 {
            return ops.iter().map(|_| Err(LbError::NoRoom)).collect();
        }
        // One message takes the barrier by itself.
        let _held = (ops.len() > 1).then(|| Barrier::hold(self.main));
        let answers = batch(self, parts, former);
        // What has no answer may have been done.
        let perhaps = |done: &Result<(), LbError>| matches!(done, Ok(()) | Err(LbError::NoAnswer(_)));
        let spent: u64 =
            ops.iter().zip(&answers).filter(|(_, done)| perhaps(done)).map(|(op, _)| memory::spent(op)).sum();
        if spent > 0 {
            self.counted();
            self.spent.bytes = self.spent.bytes.saturating_add(spent);
        }
        answers
    }
}

impl Servers for VppLb {
    fn command(&mut self, command: &Command) -> Result<(), LbError> {
        let vip = encode_vip(&command.vip);
        let servers: Vec<maglev_address_t> = command.servers.iter().map(|a| encode_address(*a)).collect();
        let n = u32::try_from(servers.len()).map_err(|_| LbError::NoRoom)?;
        let weight = match command.deed {
            Deed::Delete => -1,
            Deed::Put(weight) => weight.into(),
        };
        let mut retval = 0i32;
        // SAFETY: on the main thread (self holds the token), in a process; so many servers; the pointers are to live values.
        let how = unsafe {
            shim::maglev_shim_lb_servers(&vip, servers.as_ptr(), n, weight, command.flush.into(), &mut retval)
        };
        if how == status::MAGLEV_LB_UNAVAILABLE {
            return Err(LbError::NoRoom);
        }
        answered(how)?;
        wire::verdict(retval)
    }

    fn single(&mut self, op: &Op) -> Result<(), LbError> {
        self.send(op)
    }

    fn servers_now(&mut self, vip: &VipKey) -> Result<Vec<AsRecord>, LbError> {
        self.servers(vip)
    }

    fn bulk(&mut self) -> &mut Bulk {
        &mut self.bulk
    }

    fn alone(&mut self, op: &Op) -> Result<(), LbError> {
        let answer = self.send(op);
        if let Op::AddVip { vip, encap, .. } = op {
            if encap.is_nat() {
                self.nat.insert(*vip);
            } else if answer.is_ok() {
                self.nat.remove(vip);
            }
        }
        answer
    }

    fn together(
        &mut self,
        ops: &[Op],
        commands: &[Command],
        guard: &mut Guard<'_>,
    ) -> Vec<Result<(), LbError>> {
        // Nobody asks for it where there is NAT; it would be the end of VPP.
        let nat = |op: &Op| op.vip().is_some_and(|vip| self.nat.contains(&vip));
        if ops.iter().any(|op| nat(op) || wire::check(op).is_err()) {
            return ops.iter().map(|op| guard.single(op, || self.send(op))).collect();
        }
        bulk::together(self, ops, commands, guard)
    }
}

/// The messages that are needed, and whether this VPP has them.
fn needed(_main: MainThread) -> Vec<(String, bool)> {
    let mut out = Vec::new();
    for index in 0.. {
        let mut name: *const c_char = std::ptr::null();
        let mut present = 0u8;
        // SAFETY: on the main thread, as the token says; both pointers are to live values.
        if unsafe { shim::maglev_shim_lb_message(index, &mut name, &mut present) } == 0 || name.is_null() {
            break;
        }
        // SAFETY: a C string that lives as long as the process, as the contract says.
        let name = unsafe { CStr::from_ptr(name) };
        out.push((name.to_string_lossy().into_owned(), present != 0));
    }
    out
}

/// Why `lb` cannot be driven, for the log and `show status`.
fn missing(main: MainThread) -> String {
    // SAFETY: on the main thread, as the token says.
    if unsafe { shim::maglev_shim_lb_loaded() } == 0 {
        return "lb_plugin.so is not loaded".into();
    }
    let missing: Vec<String> = needed(main).into_iter().filter(|(_, there)| !there).map(|(n, _)| n).collect();
    format!("lb_plugin.so lacks {}", missing.join(", "))
}

fn answered(how: status::Type) -> Result<(), LbError> {
    match how {
        status::MAGLEV_LB_OK => Ok(()),
        status::MAGLEV_LB_NO_REPLY => Err(LbError::NoAnswer("no reply")),
        status::MAGLEV_LB_BAD_REPLY => Err(LbError::NoAnswer("a reply of another kind")),
        _ => Err(LbError::Unavailable("lb's messages are not looked up".into())),
    }
}

fn encode_encap(e: Encap) -> (encap::Type, u8) {
    match e {
        Encap::Gre4 => (encap::MAGLEV_ENCAP_GRE4, 0),
        Encap::Gre6 => (encap::MAGLEV_ENCAP_GRE6, 0),
        Encap::L3dsr { dscp } => (encap::MAGLEV_ENCAP_L3DSR, dscp),
        Encap::Nat4 { .. } => (encap::MAGLEV_ENCAP_NAT4, 0),
        Encap::Nat6 { .. } => (encap::MAGLEV_ENCAP_NAT6, 0),
    }
}

fn encode_address(address: IpAddr) -> maglev_address_t {
    let mut bytes = [0u8; 16];
    match address {
        IpAddr::V4(a) => bytes.iter_mut().zip(a.octets()).for_each(|(to, from)| *to = from),
        IpAddr::V6(a) => bytes = a.octets(),
    }
    maglev_address_t { is_ip6: address.is_ipv6().into(), bytes }
}

fn decode_address(a: &maglev_address_t) -> IpAddr {
    let [b0, b1, b2, b3, ..] = a.bytes;
    if a.is_ip6 == 0 { Ipv4Addr::new(b0, b1, b2, b3).into() } else { Ipv6Addr::from(a.bytes).into() }
}

fn encode_vip(key: &VipKey) -> maglev_vip_t {
    let raw = RawVip::from(key);
    maglev_vip_t {
        address: encode_address(raw.address),
        prefix_len: raw.prefix_len,
        protocol: raw.protocol,
        port: raw.port,
    }
}

fn decode_vip(vip: &maglev_vip_t) -> RawVip {
    RawVip {
        address: decode_address(&vip.address),
        prefix_len: vip.prefix_len,
        protocol: vip.protocol,
        port: vip.port,
    }
}

fn decode_vip_record(r: &maglev_vip_record_t) -> RawVipRecord {
    RawVipRecord {
        vip: decode_vip(&r.vip),
        encap: match r.encap {
            encap::MAGLEV_ENCAP_GRE4 => Some(RawEncap::Gre4),
            encap::MAGLEV_ENCAP_GRE6 => Some(RawEncap::Gre6),
            encap::MAGLEV_ENCAP_L3DSR => Some(RawEncap::L3dsr),
            encap::MAGLEV_ENCAP_NAT4 => Some(RawEncap::Nat4),
            encap::MAGLEV_ENCAP_NAT6 => Some(RawEncap::Nat6),
            _ => None,
        },
        dscp: r.dscp,
        target_port: r.target_port,
        table_length: r.table_length,
    }
}

fn decode_as_record(r: &maglev_as_record_t) -> RawAsRecord {
    RawAsRecord {
        vip: decode_vip(&r.vip),
        address: decode_address(&r.address),
        flags: r.flags,
        weight: r.weight,
        buckets: r.buckets,
    }
}
