//! Rules between a frontend and its backends, and between frontends, because `lb` wants them so.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use super::backend::{Backends, Draft as BackendDraft};
use super::context::{At, Context};
use super::frontend::{Draft, EncapWord, Frontends, PoolDraft, in_v4_space, who};
use super::issue::quote;
use super::loops;
use super::scalar::default_table_length;
use super::{Frontend, LbConfig, PanicMode, Pool};
use crate::Name;
use crate::lb::{Encap, Protocol, VipKey};

/// Checks all frontends; the map has those that are valid.
pub(super) fn check(
    ctx: &mut Context,
    lb: &LbConfig,
    backends: &Backends,
    frontends: &Frontends,
) -> BTreeMap<Name, Arc<Frontend>> {
    let mut out = BTreeMap::new();
    let mut blamed = BTreeSet::new();
    let mut encaps = Vec::new();
    for f in frontends {
        let family = members(ctx, f, backends, &mut blamed);
        let encap = encap(ctx, f, lb, family);
        encaps.push(encap);
        let length = table_length(ctx, f);
        panic_before_failover(ctx, f, backends);
        if let Some(made) = build(f, encap, length) {
            out.insert(Name::clone(&f.name), Arc::new(made));
        }
    }
    vips(ctx, frontends);
    one_encap(ctx, frontends, &encaps);
    nat_servers(ctx, backends, frontends);
    loops::check(ctx, lb, backends, frontends);
    out
}

/// What the backends of a frontend are, where they agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

impl Family {
    fn of(address: IpAddr) -> Family {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    fn as_str(self) -> &'static str {
        match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        }
    }
}

/// Checks that the backends exist, are of one family, and no address comes twice. The family, if they agree.
fn members(
    ctx: &mut Context,
    f: &Draft,
    backends: &Backends,
    blamed: &mut BTreeSet<Name>,
) -> Option<(Family, Name)> {
    let mut first: Option<(Family, Name)> = None;
    let mut mixed = false;
    let mut seen: HashMap<IpAddr, &Name> = HashMap::new();
    for member in f.pools.iter().flatten().flat_map(|p| &p.members) {
        let At { pos, value: name } = &member.name;
        let Some(draft) = backends.get(name) else {
            let hint = ctx.hint(name, backends.keys().map(|n| &**n));
            ctx.error(*pos, format!("unknown backend {}{hint}", quote(name)));
            continue;
        };
        let Some(At { pos: address_pos, value: address }) = draft.address() else { continue };
        if let IpAddr::V6(v6) = address
            && in_v4_space(v6)
            && blamed.insert(Name::clone(name))
        {
            let message = format!(
                "backend `{name}` is in a frontend, so it must not be in ::/96: `lb` takes {v6} for IPv4"
            );
            ctx.error(address_pos, message);
        }
        match seen.get(&address) {
            Some(other) if *other == name => {
                ctx.error(*pos, format!("backend `{name}` is in this frontend already"));
            }
            Some(other) => {
                ctx.error(*pos, format!("backend `{name}` has the address of `{other}`, {address}: an address may be in a frontend once"));
            }
            None => {
                seen.insert(address, name);
            }
        }
        let family = Family::of(address);
        match &first {
            None => first = Some((family, Name::clone(name))),
            Some((one, other)) if *one != family => {
                let (this, that) = (family.as_str(), one.as_str());
                ctx.error(*pos, format!("backend `{name}` is {this}, but `{other}` is {that}: the backends of a frontend must be of one family"));
                mixed = true;
            }
            Some(_) => {}
        }
    }
    first.filter(|_| !mixed)
}

/// The encap with `gre` resolved and all its conditions checked; none when that cannot be.
fn encap(ctx: &mut Context, f: &Draft, lb: &LbConfig, family: Option<(Family, Name)>) -> Option<EncapWord> {
    let At { pos, value: word } = f.encap?;
    // The first of the two that is of the wrong family.
    let want = |ctx: &mut Context, vip: Option<Family>, servers: Option<Family>| {
        let w = word.as_str();
        if let (Some(want), Some(At { value, .. })) = (vip, f.address)
            && Family::of(value) != want
        {
            ctx.error(pos, format!("encap {w} needs an {} address, not {value}", want.as_str()));
        }
        if let (Some(want), Some((is, name))) = (servers, &family)
            && *is != want
        {
            let (want, is) = (want.as_str(), is.as_str());
            ctx.error(pos, format!("encap {w} needs {want} backends, but `{name}` is {is}"));
        }
    };
    let resolved = match word {
        EncapWord::Gre => match family.as_ref()?.0 {
            Family::V4 => EncapWord::Gre4,
            Family::V6 => EncapWord::Gre6,
        },
        EncapWord::Gre4 => {
            want(ctx, None, Some(Family::V4));
            word
        }
        EncapWord::Gre6 => {
            want(ctx, None, Some(Family::V6));
            word
        }
        EncapWord::L3dsr | EncapWord::Nat4 => {
            want(ctx, Some(Family::V4), Some(Family::V4));
            word
        }
        EncapWord::Nat6 => {
            want(ctx, Some(Family::V6), Some(Family::V6));
            word
        }
    };
    let missing = match resolved {
        EncapWord::Gre4 if lb.ipv4_src_address.is_none() => Some("ipv4-src-address"),
        EncapWord::Gre6 if lb.ipv6_src_address.is_none() => Some("ipv6-src-address"),
        EncapWord::Gre
        | EncapWord::Gre4
        | EncapWord::Gre6
        | EncapWord::L3dsr
        | EncapWord::Nat4
        | EncapWord::Nat6 => None,
    };
    if let Some(key) = missing {
        let (name, w) = (&f.name, resolved.as_str());
        ctx.error(pos, format!("frontend `{name}` with encap {w} needs `vpp.lb.{key}`"));
    }
    if resolved.is_nat() && matches!(f.service, Some(None | Some((Protocol::Tcp, _)))) {
        ctx.error(pos, format!("encap {} needs protocol udp and a port", word.as_str()));
    }
    if let (true, Some(Some((Protocol::Udp, port))), Some(target)) =
        (resolved.is_nat(), f.service, f.target_port)
        && port != target
    {
        let name = &f.name;
        ctx.warn(
            pos,
            format!("frontend `{name}`: `lb` rewrites port {port} to {target}, but not in the UDP checksum: servers that check it drop the packets"),
        );
    }
    Some(resolved)
}

/// The largest sum of weights of a pool, counting what is valid.
fn largest_sum(f: &Draft) -> u64 {
    let sum = |weights: &mut dyn Iterator<Item = u8>| weights.map(u64::from).sum::<u64>();
    let pools = f.pools.iter().flatten();
    pools.map(|p| sum(&mut p.members.iter().filter_map(|m| m.weight))).max().unwrap_or(0)
}

fn table_length(ctx: &mut Context, f: &Draft) -> Option<u32> {
    let sum = largest_sum(f);
    let given = f.table_length?;
    let length = given.map_or_else(|| default_table_length(sum), |at| at.value);
    if u64::from(length) < sum {
        let at = given.map_or(f.pos, |at| at.pos);
        let name = &f.name;
        ctx.warn(
            at,
            format!("frontend `{name}`: a new-flow table of {length} is shorter than the sum of weights of a pool, {sum}: weights will do nothing"),
        );
    }
    Some(length)
}

/// A standby pool too small for the threshold is never failed over to: with the first pool dead the frontend panics.
fn panic_before_failover(ctx: &mut Context, f: &Draft, backends: &Backends) {
    let (Some(Some(At { pos, value: panic })), Some(pools)) = (f.panic, &f.pools) else { return };
    // As panic counts: who is disabled does not, nor who has no weight.
    let counted = |p: &PoolDraft| -> Vec<&BackendDraft> {
        let with_weight = p.members.iter().filter(|m| m.weight.is_some_and(|w| w > 0));
        with_weight.filter_map(|m| backends.get(&m.name.value)).filter(|b| b.enabled()).collect()
    };
    let pools: Vec<_> = pools.iter().map(|p| (p, counted(p))).filter(|(_, b)| !b.is_empty()).collect();
    let [(first, dead), (second, _), ..] = pools.as_slice() else { return };
    if !dead.iter().all(|b| b.can_be_down(backends)) {
        return;
    }
    let of: usize = pools.iter().map(|(_, b)| b.len()).sum();
    let percent = (of - dead.len()) * 100 / of;
    let (Some(first), Some(second)) = (&first.name, &second.name) else { return };
    if percent < usize::from(panic.threshold) {
        let would = match panic.mode {
            PanicMode::FailOpen => "fail-open would send traffic to",
            PanicMode::KeepLast => "keep-last would leave traffic on",
        };
        let (name, threshold) = (&f.name, panic.threshold);
        ctx.warn(
            pos,
            format!("frontend `{name}`: with all of pool `{first}` down, {percent}% of the backends are up, below the `panic` threshold of {threshold}%: {would} the dead pool `{first}` though `{second}` is up"),
        );
    }
}

fn build(f: &Draft, encap: Option<EncapWord>, length: Option<u32>) -> Option<Frontend> {
    let encap = match encap? {
        EncapWord::Gre4 => Encap::Gre4,
        EncapWord::Gre6 => Encap::Gre6,
        EncapWord::L3dsr => Encap::L3dsr { dscp: f.dscp? },
        EncapWord::Nat4 => Encap::Nat4 { target_port: f.target_port? },
        EncapWord::Nat6 => Encap::Nat6 { target_port: f.target_port? },
        EncapWord::Gre => return None,
    };
    let mut pools = Vec::new();
    for p in f.pools.as_ref()? {
        let mut backends = BTreeMap::new();
        for m in &p.members {
            backends.insert(Name::clone(&m.name.value), m.weight?);
        }
        pools.push(Pool { name: p.name.clone()?, backends });
    }
    Some(Frontend {
        name: Name::clone(&f.name),
        vip: VipKey { address: f.address?.value, service: f.service? },
        description: f.description.clone()?,
        pools,
        src_ip_sticky: f.src_ip_sticky?,
        flush_on_down: f.flush_on_down?,
        encap,
        table_length: length?,
        slow_start: f.slow_start?,
        panic: f.panic?.map(|p| p.value),
    })
}

/// An (address, protocol, port) once; an address all-port or per-port.
fn vips(ctx: &mut Context, frontends: &Frontends) {
    let mut exact: HashMap<VipKey, &Draft> = HashMap::new();
    let mut by_address: HashMap<IpAddr, (&Draft, bool)> = HashMap::new();
    for f in frontends {
        let (Some(At { pos, value: address }), Some(service)) = (f.address, f.service) else { continue };
        let key = VipKey { address, service };
        if let Some(other) = exact.get(&key) {
            ctx.error(pos, format!("{key} is taken by {}", who(other)));
            continue;
        }
        exact.insert(key, f);
        match by_address.get(&address) {
            Some((other, per_port)) if *per_port != service.is_some() => {
                let (this, that) =
                    if *per_port { ("all ports", "one port") } else { ("one port", "all ports") };
                ctx.error(
                    pos,
                    format!("{address} with {this} here, but with {that} in {}: an address is either one all-port VIP or per-port VIPs", who(other)),
                );
            }
            Some(_) => {}
            None => {
                by_address.insert(address, (f, service.is_some()));
            }
        }
    }
}

/// One encap per address.
fn one_encap(ctx: &mut Context, frontends: &Frontends, encaps: &[Option<EncapWord>]) {
    let mut first: HashMap<IpAddr, (&Draft, EncapWord)> = HashMap::new();
    for (f, encap) in frontends.iter().zip(encaps) {
        let (Some(At { value: address, .. }), Some(encap), Some(At { pos, .. })) =
            (f.address, *encap, f.encap)
        else {
            continue;
        };
        match first.get(&address) {
            Some((other, one)) if *one != encap => {
                let (this, that) = (encap.as_str(), one.as_str());
                ctx.error(
                    pos,
                    format!(
                        "{address} with encap {this} here, but {that} in {}: one encap per address",
                        who(other)
                    ),
                );
            }
            Some(_) => {}
            None => {
                first.insert(address, (f, encap));
            }
        }
    }
}

/// With NAT a (backend address, target port) once over all frontends.
fn nat_servers(ctx: &mut Context, backends: &Backends, frontends: &Frontends) {
    let mut seen: HashMap<(IpAddr, u16), &Draft> = HashMap::new();
    for f in frontends.iter().filter(|f| f.encap.is_some_and(|e| e.value.is_nat())) {
        let Some(port) = f.target_port else { continue };
        for member in f.pools.iter().flatten().flat_map(|p| &p.members) {
            let At { pos, value: name } = &member.name;
            let Some(At { value: address, .. }) = backends.get(name).and_then(|b| b.address()) else {
                continue;
            };
            match seen.get(&(address, port)) {
                // Twice in one frontend is an error of its own.
                Some(other) if other.pos != f.pos => {
                    ctx.error(
                        *pos,
                        format!(
                            "with NAT, {address} and target port {port} may be used once, and {} has them",
                            who(other)
                        ),
                    );
                }
                Some(_) => {}
                None => {
                    seen.insert((address, port), f);
                }
            }
        }
    }
}
