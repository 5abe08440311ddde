//! What somebody else has in `lb`: VIPs of kinds that we make and of kinds that we do not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::books::Books;
use super::broken::{Broken, broken};
use super::draft::{address, stranger};
use super::world::World;
use crate::lb::{Encap, LoadBalancer, VipRecord};

/// The target port of their NAT VIPs.
const PORT: u16 = 55;
/// Weight of each of their servers.
const WEIGHT: u8 = 10;

/// Puts them there, into an `lb` that was just started.
pub fn put(world: &mut World, books: &mut Books) {
    let four = |n| IpAddr::V4(Ipv4Addr::new(198, 51, 100, n));
    let six = |n| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 3, 0, 0, 0, 0, n));
    let gre4 = Some(Encap::Gre4);
    let gre6 = Some(Encap::Gre6);
    let nat4 = Some(Encap::Nat4 { target_port: PORT });
    let vip = |address, prefix_len, (protocol, port), encap| VipRecord {
        address,
        prefix_len,
        protocol,
        port,
        encap,
        table_length: 16,
    };
    let vips = [
        vip(four(0), 24, (255, 0), gre4),
        vip(four(1), 32, (17, 53), nat4),
        vip(four(2), 32, (6, 80), gre4),
        vip(six(0), 64, (255, 0), gre6),
        vip(six(1), 128, (6, 80), gre4),
    ];
    for vip in &vips {
        let server = if vip.encap == gre6 { stranger(true) } else { address(0) };
        let _ = world.lb.meddle_vip(vip);
        let _ = world.lb.meddle_server(vip, server, WEIGHT);
        books.foreign.extend(vip.key());
    }
    books.foreigners = vips.len();
    books.nat.foreign = [PORT].into();
    if let Ok(settings) = world.lb.settings() {
        books.settings = settings;
    }
}

/// Whether one of them is as it was.
///
/// # Errors
/// It is not.
pub fn untouched(world: &World, record: &VipRecord) -> Result<(), Broken> {
    let servers = world.lb.servers_of(record);
    if servers.len() == 1 && servers.iter().all(|s| s.weight == WEIGHT) {
        return Ok(());
    }
    broken("foreign VIPs are never touched", format!("{record:?} has {servers:?}"))
}
