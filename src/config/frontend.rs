//! `frontends`, one at a time. What needs the backends or other frontends is in [`super::cross`].

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::context::{At, Context, Item, Map};
use super::global_keys::ABOVE_ZERO;
use super::issue::{Pos, clip, quote};
use super::scalar::format_duration;
use super::yaml::{Body, Entry};
use super::{Panic, PanicMode};
use crate::Name;
use crate::lb::Protocol;

/// The longest `slow-start`.
const MAX_SLOW_START: Duration = Duration::from_secs(3600);
/// The default threshold of `panic`, in percent.
const PANIC_THRESHOLD: u8 = 50;

/// `encap` as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EncapWord {
    Gre,
    Gre4,
    Gre6,
    L3dsr,
    Nat4,
    Nat6,
}

impl EncapWord {
    const ALL: [(&'static str, EncapWord); 6] = [
        ("gre", EncapWord::Gre),
        ("gre4", EncapWord::Gre4),
        ("gre6", EncapWord::Gre6),
        ("l3dsr", EncapWord::L3dsr),
        ("nat4", EncapWord::Nat4),
        ("nat6", EncapWord::Nat6),
    ];
    const WORDS: [&'static str; 6] = ["gre", "gre4", "gre6", "l3dsr", "nat4", "nat6"];

    /// As written.
    pub(super) fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, e)| *e == self).map_or("gre", |(w, _)| w)
    }

    /// Whether it is one of the two NATs.
    pub(super) fn is_nat(self) -> bool {
        matches!(self, EncapWord::Nat4 | EncapWord::Nat6)
    }
}

/// A backend's place in a pool.
pub(super) struct Member {
    /// As named in the file; need not exist.
    pub(super) name: At<Name>,
    /// 0–100.
    pub(super) weight: Option<u8>,
}

/// A pool as far as it could be read.
pub(super) struct PoolDraft {
    pub(super) name: Option<Name>,
    pub(super) members: Vec<Member>,
}

/// A frontend as far as it could be read. In each value, none: it was wrong, and that was said.
pub(super) struct Draft {
    /// Its key in the file.
    pub(super) pos: Pos,
    /// Its name, or what stands in its place.
    pub(super) name: Name,
    pub(super) address: Option<At<IpAddr>>,
    /// None within: all ports.
    pub(super) service: Option<Option<(Protocol, u16)>>,
    pub(super) description: Option<String>,
    /// None: not a list.
    pub(super) pools: Option<Vec<PoolDraft>>,
    pub(super) src_ip_sticky: Option<bool>,
    pub(super) flush_on_down: Option<bool>,
    pub(super) encap: Option<At<EncapWord>>,
    pub(super) dscp: Option<u8>,
    pub(super) target_port: Option<u16>,
    /// None within: the default.
    pub(super) table_length: Option<Option<At<u32>>>,
    /// None within: not wanted, as in the next.
    pub(super) slow_start: Option<Option<Duration>>,
    pub(super) panic: Option<Option<At<Panic>>>,
}

/// In the file's order, so that of two that clash the later one is blamed.
pub(super) type Frontends = Vec<Draft>;

/// The section `frontends`.
pub(super) fn frontends(ctx: &mut Context, map: &Map<'_>) -> Frontends {
    let mut all = Frontends::new();
    for entry in map.entries {
        let name = ctx.name(entry.pos, "frontend", &entry.key);
        let Some(map) = ctx.map(entry) else { continue };
        let name = name.unwrap_or_else(|| Name::from(clip(&entry.key)));
        all.push(frontend(ctx, &map, name));
    }
    // Merge keys can bring an entry from elsewhere.
    all.sort_by_key(|f| f.pos);
    all
}

fn frontend(ctx: &mut Context, map: &Map<'_>, name: Name) -> Draft {
    ctx.keys(
        map,
        &[
            "address",
            "protocol",
            "port",
            "description",
            "pools",
            "src-ip-sticky",
            "flush-on-down",
            "encap",
            "dscp",
            "target-port",
            "new-flow-table-length",
            "slow-start",
            "panic",
        ],
    );
    let address = address(ctx, map, &name);
    let service = service(ctx, map, &name);
    let description = map.get("description").map_or(Some(String::new()), |i| ctx.text(i).map(String::from));
    let pools = match map.get("pools") {
        Some(item) => pools(ctx, item),
        None => {
            ctx.error(map.pos, format!("frontend `{name}` lacks `pools`"));
            None
        }
    };
    let src_ip_sticky = map.get("src-ip-sticky").map_or(Some(false), |i| ctx.bool(i));
    let flush_on_down = map.get("flush-on-down").map_or(Some(true), |i| ctx.bool(i));
    let table_length = match map.get("new-flow-table-length") {
        None => Some(None),
        Some(i) => ctx.power_of_two(i, 65536).map(|value| Some(At { pos: i.pos(), value })),
    };
    let slow_start = map.get("slow-start").map_or(Some(None), |i| slow_start(ctx, i).map(Some));
    let panic = map
        .get("panic")
        .map_or(Some(None), |i| panic(ctx, i).map(|value| Some(At { pos: i.key_pos, value })));
    let encap = match map.get("encap") {
        None => Some(At { pos: map.pos, value: EncapWord::Gre }),
        Some(item) => ctx.word(item, &EncapWord::WORDS).and_then(|word| {
            let (_, value) = EncapWord::ALL.into_iter().find(|(w, _)| *w == word)?;
            Some(At { pos: item.pos(), value })
        }),
    };
    let (dscp, target_port) = encap_args(ctx, map, encap, service.flatten());
    Draft {
        pos: map.pos,
        name,
        address,
        service,
        description,
        pools,
        src_ip_sticky,
        flush_on_down,
        encap,
        dscp,
        target_port,
        table_length,
        slow_start,
        panic,
    }
}

fn address(ctx: &mut Context, map: &Map<'_>, name: &str) -> Option<At<IpAddr>> {
    let Some(item) = map.get("address") else {
        ctx.error(map.pos, format!("frontend `{name}` lacks `address`"));
        return None;
    };
    let value = ctx.address(item)?;
    if let IpAddr::V6(v6) = value
        && in_v4_space(v6)
    {
        ctx.error(item.pos(), format!("`address` must not be in ::/96, as {v6}: `lb` takes it for IPv4"));
        return None;
    }
    Some(At { pos: item.pos(), value })
}

/// Whether `lb`, which keeps IPv4 addresses behind twelve zero bytes, would take it for one.
pub(super) fn in_v4_space(address: Ipv6Addr) -> bool {
    address.octets().iter().take(12).all(|b| *b == 0)
}

fn service(ctx: &mut Context, map: &Map<'_>, name: &str) -> Option<Option<(Protocol, u16)>> {
    let protocol = map.get("protocol").map(|i| (i, ctx.word(i, &["tcp", "udp"])));
    let port = map.get("port").map(|i| (i, ctx.int(i, 1, 65535).and_then(|p| u16::try_from(p).ok())));
    match (protocol, port) {
        (None, None) => Some(None),
        (Some((_, protocol)), Some((_, port))) => {
            let protocol = if protocol? == "udp" { Protocol::Udp } else { Protocol::Tcp };
            Some(Some((protocol, port?)))
        }
        (Some((i, _)), None) => {
            let message = format!("frontend `{name}` has `protocol`, but no `port`: both or neither");
            ctx.error(i.key_pos, message);
            None
        }
        (None, Some((i, _))) => {
            let message = format!("frontend `{name}` has `port`, but no `protocol`: both or neither");
            ctx.error(i.key_pos, message);
            None
        }
    }
}

/// `dscp` and `target-port`, each of one encap only.
fn encap_args(
    ctx: &mut Context,
    map: &Map<'_>,
    encap: Option<At<EncapWord>>,
    service: Option<(Protocol, u16)>,
) -> (Option<u8>, Option<u16>) {
    let dscp_item = map.get("dscp");
    let dscp = dscp_item.and_then(|i| ctx.int(i, 0, 63)).and_then(|d| u8::try_from(d).ok());
    let port_item = map.get("target-port");
    let port = port_item.and_then(|i| ctx.int(i, 1, 65535)).and_then(|p| u16::try_from(p).ok());
    let Some(At { pos, value: encap }) = encap else { return (dscp, port) };
    match (encap == EncapWord::L3dsr, dscp_item) {
        (true, None) => ctx.error(pos, "encap l3dsr needs `dscp`, from 0 to 63"),
        (false, Some(i)) => ctx.error(i.key_pos, "`dscp` goes with encap l3dsr only"),
        (true, Some(_)) | (false, None) => {}
    }
    if let (false, Some(i)) = (encap.is_nat(), port_item) {
        ctx.error(i.key_pos, "`target-port` goes with encap nat4 and nat6 only");
    }
    let default = service.map(|(_, port)| port);
    (dscp, if port_item.is_some() { port } else { default })
}

fn slow_start(ctx: &mut Context, item: Item<'_>) -> Option<Duration> {
    let time = ctx.duration(item, ABOVE_ZERO)?;
    if time > MAX_SLOW_START {
        let (max, is) = (format_duration(MAX_SLOW_START), format_duration(time));
        let why = "until it is over, a backend that came back has less than its weight";
        ctx.error(item.pos(), format!("`slow-start` must be at most {max}, not {is}: {why}"));
        return None;
    }
    Some(time)
}

fn panic(ctx: &mut Context, item: Item<'_>) -> Option<Panic> {
    let map = ctx.map_node("panic", item.key_pos, item.node)?;
    ctx.keys(&map, &["threshold", "mode"]);
    let threshold = map.get("threshold").map_or(Some(PANIC_THRESHOLD), |i| ctx.whole_percent(i, 1, 100));
    let mode = match map.get("mode") {
        None => Some(PanicMode::FailOpen),
        Some(item) => {
            let modes = [PanicMode::FailOpen, PanicMode::KeepLast];
            let word = ctx.word(item, &modes.map(PanicMode::as_str));
            modes.into_iter().find(|m| Some(m.as_str()) == word)
        }
    };
    Some(Panic { threshold: threshold?, mode: mode? })
}

fn pools(ctx: &mut Context, item: Item<'_>) -> Option<Vec<PoolDraft>> {
    let Body::Seq(items) = &item.node.body else {
        ctx.error(item.pos(), "`pools` must be a list of pools, each with `name` and `backends`");
        return None;
    };
    if items.is_empty() {
        ctx.error(item.pos(), "`pools` must not be empty");
    }
    let mut out = Vec::new();
    let mut lines: HashMap<Name, usize> = HashMap::new();
    for node in items {
        let Some(map) = ctx.map_node("pools", node.pos, node) else { continue };
        ctx.keys(&map, &["name", "backends"]);
        let name = match map.get("name") {
            None => {
                ctx.error(map.pos, "a pool lacks `name`");
                None
            }
            Some(item) => pool_name(ctx, item, &mut lines),
        };
        let members = match map.get("backends") {
            None => {
                let at = map.entries.iter().find(|e| &*e.key == "backends").map_or(map.pos, |e| e.pos);
                ctx.error(at, "a pool lacks `backends`");
                Vec::new()
            }
            Some(item) => members(ctx, item),
        };
        out.push(PoolDraft { name, members });
    }
    Some(out)
}

fn pool_name(ctx: &mut Context, item: Item<'_>, lines: &mut HashMap<Name, usize>) -> Option<Name> {
    let text = ctx.text(item)?;
    let name = ctx.name(item.pos(), "pool", text)?;
    if let Some(line) = lines.get(&name) {
        ctx.error(item.pos(), format!("duplicate pool `{name}`, first in line {line}"));
        return None;
    }
    lines.insert(Name::clone(&name), item.pos().line);
    Some(name)
}

fn members(ctx: &mut Context, item: Item<'_>) -> Vec<Member> {
    let Some(map) = ctx.map_node("backends", item.key_pos, item.node) else { return Vec::new() };
    if map.entries.is_empty() {
        ctx.error(item.pos(), "the `backends` of a pool must not be empty");
    }
    map.entries.iter().map(|e| member(ctx, e)).collect()
}

fn member(ctx: &mut Context, entry: &Entry) -> Member {
    // No name is longer; whatever else is wrong with it, no such backend exists, which is what will be said.
    let name = At { pos: entry.pos, value: Name::from(clip_name(&entry.key)) };
    let weight = ctx.map(entry).and_then(|map| {
        ctx.keys(&map, &["weight"]);
        let weight = map.get("weight").map_or(Some(100), |i| ctx.int(i, 0, 100))?;
        u8::try_from(weight).ok()
    });
    Member { name, weight }
}

fn clip_name(text: &str) -> &str {
    text.char_indices().nth(64).map_or(text, |(end, _)| text.split_at_checked(end).map_or(text, |(t, _)| t))
}

/// `frontend `a` (line 3)`, for "taken by".
pub(super) fn who(f: &Draft) -> String {
    format!("frontend {} in line {}", quote(&f.name), f.pos.line)
}
