//! Forwarding loops: `lb` sends a packet for a server whose address is a VIP back into itself, until VPP dies. One
//! such packet is enough, so a file that asks for it is not valid.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use super::LbConfig;
use super::backend::Backends;
use super::context::{At, Context};
use super::frontend::{Draft, Frontends, who};

/// Reports each backend of a frontend whose address is a VIP of the file or a GRE source address, and each VIP that is a GRE source
/// address. The encap does not matter: GRE, L3DSR and NAT all send the packet to the backend's address, through the FIB in
/// which the VIPs are.
pub(super) fn check(ctx: &mut Context, lb: &LbConfig, backends: &Backends, frontends: &Frontends) {
    let mut vips: HashMap<IpAddr, &Draft> = HashMap::new();
    for f in frontends {
        let Some(At { pos, value: address }) = f.address else { continue };
        if let Some(key) = source(lb, address) {
            ctx.error(
                pos,
                format!("{address} is `vpp.lb.{key}`, the source of GRE packets, so it must not be a VIP: errors that servers send to it would loop"),
            );
        }
        vips.entry(address.to_canonical()).or_insert(f);
    }
    let mut seen = BTreeSet::new();
    for f in frontends {
        for member in f.pools.iter().flatten().flat_map(|p| &p.members) {
            let name = &member.name.value;
            let Some(At { pos, value: address }) = backends.get(name).and_then(|b| b.address()) else {
                continue;
            };
            if !seen.insert(name) {
                continue;
            }
            if let Some(vip) = vips.get(&address.to_canonical()) {
                ctx.error(
                    pos,
                    format!("backend `{name}` is in a frontend, so its address must not be a VIP, and {address} is that of {}: packets would loop in `lb`", who(vip)),
                );
            }
            if let Some(key) = source(lb, address) {
                ctx.error(
                    pos,
                    format!("backend `{name}` is in a frontend, so its address must not be `vpp.lb.{key}`, {address}: VPP would send packets to itself"),
                );
            }
        }
    }
}

/// The key under which an address is the outer source of GRE. `::ffff:a.b.c.d` is taken for `a.b.c.d`, as hosts do.
fn source(lb: &LbConfig, address: IpAddr) -> Option<&'static str> {
    let address = address.to_canonical();
    let is = |source: Option<IpAddr>| source.is_some_and(|s| s.to_canonical() == address);
    if is(lb.ipv4_src_address.map(IpAddr::V4)) {
        Some("ipv4-src-address")
    } else if is(lb.ipv6_src_address.map(IpAddr::V6)) {
        Some("ipv6-src-address")
    } else {
        None
    }
}
