//! What `lb` counts, read from the text of `show lb vips verbose`.
//!
//! The four counters of a VIP are in VPP's statistics too, but by an index of `lb`'s that only this text tells, and the
//! flows of a server are nowhere else. The text's form is that of the VPP this was built for; what cannot be read
//! is left out.

use std::net::IpAddr;

use super::types::{VipKey, VipRecord};

/// What `lb` counts of one VIP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VipTraffic {
    /// Which.
    pub vip: VipKey,
    /// None: this `lb` forwards no packets.
    pub packets: Option<Packets>,
    /// Its servers in use.
    pub servers: Vec<ServerTraffic>,
}

/// Packets since the VIP was added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packets {
    /// Of flows that `lb` knew: `packet from existing sessions`.
    pub existing: u64,
    /// That began a flow: `first session packet`.
    pub first: u64,
    /// For whose flow there was no room in the flow table: `untracked packet`.
    pub untracked: u64,
    /// Dropped: `no server configured`.
    pub no_server: u64,
}

/// What `lb` counts of one server of one VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerTraffic {
    /// Its address.
    pub address: IpAddr,
    /// Entries of the new-flow table.
    pub buckets: u32,
    /// Flows that are pinned to it now; none: this `lb` has no flows.
    pub flows: Option<u64>,
}

/// A VIP while its lines are read.
struct Open {
    record: VipRecord,
    removed: bool,
    packets: Packets,
    counters: u8,
    servers: Vec<ServerTraffic>,
}

/// Reads the whole text; VIPs and servers that `lb` has removed are left out, and VIPs that this project cannot make.
pub fn parse(text: &str) -> Vec<VipTraffic> {
    let mut out = Vec::new();
    let mut open: Option<Open> = None;
    for line in text.lines() {
        let line = line.trim();
        if let Some((record, removed)) = heading(line) {
            out.extend(open.take().and_then(Open::close));
            open =
                Some(Open { record, removed, packets: Packets::default(), counters: 0, servers: Vec::new() });
        } else if let Some(o) = &mut open {
            o.line(line);
        }
    }
    out.extend(open.take().and_then(Open::close));
    out
}

/// `ip4-gre4 [1] 192.0.2.10/32 src_ip_sticky removed`
fn heading(line: &str) -> Option<(VipRecord, bool)> {
    let (kind, rest) = line.split_once(" [")?;
    if !kind.starts_with("ip4-") && !kind.starts_with("ip6-") {
        return None;
    }
    let (index, rest) = rest.split_once(']')?;
    index.parse::<u64>().ok()?;
    let mut words = rest.split_ascii_whitespace();
    let (address, length) = words.next()?.split_once('/')?;
    let record = VipRecord {
        address: address.parse().ok()?,
        prefix_len: length.parse().ok()?,
        protocol: 255,
        port: 0,
        encap: None,
        table_length: 0,
    };
    Some((record, words.any(|w| w == "removed")))
}

/// The number behind `name:` in a line of such pairs.
fn pair<T: std::str::FromStr>(line: &str, name: &str) -> Option<T> {
    line.split_ascii_whitespace().find_map(|w| w.strip_prefix(name)?.strip_prefix(':')?.parse().ok())
}

impl Open {
    fn line(&mut self, line: &str) {
        if let (Some(protocol), Some(port)) = (pair(line, "protocol"), pair(line, "port")) {
            (self.record.protocol, self.record.port) = (protocol, port);
            return;
        }
        let p = &mut self.packets;
        for (name, to) in [
            ("packet from existing sessions:", &mut p.existing),
            ("first session packet:", &mut p.first),
            ("untracked packet:", &mut p.untracked),
            ("no server configured:", &mut p.no_server),
        ] {
            if let Some(n) = line.strip_prefix(name).and_then(|n| n.trim().parse().ok()) {
                *to = n;
                self.counters += 1;
                return;
            }
        }
        let mut words = line.split_ascii_whitespace();
        let Some(address) = words.next().and_then(|w| w.parse().ok()) else { return };
        let (Some(buckets), Some(flows)) = (pair(line, "buckets"), pair(line, "flows")) else { return };
        if words.any(|w| w == "used") {
            self.servers.push(ServerTraffic { address, buckets, flows: Some(flows) });
        }
    }

    fn close(self) -> Option<VipTraffic> {
        if self.removed {
            return None;
        }
        let packets = (self.counters == 4).then_some(self.packets);
        Some(VipTraffic { vip: self.record.key()?, packets, servers: self.servers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = " ip4-gre4 [1] 192.0.2.10/32
   new_size:1024
   protocol:6 port:443
   counters:
     packet from existing sessions: 12
     first session packet: 5
     untracked packet: 1
     no server configured: 2
   #as:3
     10.77.0.1 weight:100 buckets:683 flows:3 dpo:12 used
     10.77.0.2 weight:0 buckets:0 flows:7 dpo:13  removed
     10.77.0.3 weight:50 buckets:341 flows:18446744073709551615 dpo:14 used

 ip6-gre6 [3] 2001:db8::10/128 src_ip_sticky removed
   new_size:1024
   counters:
     packet from existing sessions: 1
     first session packet: 1
     untracked packet: 1
     no server configured: 1
   #as:0

 ip4-l3dsr [4] 192.0.2.11/32 src_ip_sticky
   new_size:65536
   dscp:7
   counters:
     packet from existing sessions: 4294967296
     first session packet: 0
     untracked packet: 0
     no server configured: 0
   #as:0

 ip4-nat4 [5] 192.0.2.12/32
   new_size:16
   protocol:17 port:53
   type:clusterip port:53 target_port:5353   counters:
     packet from existing sessions: 1
     first session packet: 2
     untracked packet: 3
     no server configured: 4
   #as:1
     10.77.0.1 weight:100 buckets:16 flows:0 dpo:12 used

 ip4-gre4 [6] 198.51.100.0/24
   new_size:16
   counters:
     packet from existing sessions: 9
";

    #[test]
    fn the_text_of_lb_is_read() {
        let all = parse(TEXT);
        let names: Vec<String> = all.iter().map(|t| t.vip.to_string()).collect();
        assert_eq!(names, ["192.0.2.10:443/tcp", "192.0.2.11", "192.0.2.12:53/udp"]);
        assert_eq!(all[0].packets, Some(Packets { existing: 12, first: 5, untracked: 1, no_server: 2 }));
        let servers: Vec<(String, u32, Option<u64>)> =
            all[0].servers.iter().map(|s| (s.address.to_string(), s.buckets, s.flows)).collect();
        assert_eq!(
            servers,
            [("10.77.0.1".to_owned(), 683, Some(3)), ("10.77.0.3".to_owned(), 341, Some(u64::MAX))]
        );
        assert_eq!(all[1].packets.map(|p| p.existing), Some(1 << 32));
        assert_eq!(all[2].packets, Some(Packets { existing: 1, first: 2, untracked: 3, no_server: 4 }));
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        assert!(parse("").is_empty());
        assert!(parse("show lb: unknown input\n").is_empty());
        assert!(parse(" ip4-gre4 [x] 192.0.2.10/32\n ip4-gre4 [1] nonsense/32\n").is_empty());
        let cut = parse(
            " ip4-gre4 [1] 192.0.2.10/32\n   protocol:6 port:443\n     first session packet: 5\n  10.0.0.1 used",
        );
        assert_eq!(cut.len(), 1);
        assert_eq!((cut[0].packets, cut[0].servers.len()), (None, 0), "three counters are missing");
    }

    #[test]
    fn no_text_panics() {
        for cut in 0..TEXT.len() {
            let Some(text) = TEXT.get(cut..) else { continue };
            parse(text);
            parse(&TEXT[..cut]);
        }
    }
}
