use crate::control::stats::TABLES;
use crate::control::stats_plan::{
    ALIGN, Demand, Extent, MAX_METRICS, Plan, Room, VECTOR_HEADER, name_bytes, plan, reserve,
};

const MIB: u64 = 1 << 20;

/// `backends` backends with names of so many bytes, frontends, and members whose pools have names of one.
fn demand(backends: u64, frontends: u64, members: u64, name: usize) -> Demand {
    let member = name_bytes(2 * name + 3);
    Demand {
        rows: [backends, frontends, members, 1],
        names: [
            backends * name_bytes(name),
            frontends * name_bytes(name),
            members * member,
            name_bytes("engine".len()),
        ],
    }
}

/// A segment of which VPP uses 1 MiB.
fn room(size: u64) -> Room {
    Room { size, largest: size - MIB, directory: 400 << 10 }
}

#[test]
fn what_does_not_fit_is_left_out_members_first() {
    use Extent::*;
    let table = [
        // The segment, backends, frontends, members, bytes of a name; what is published, and the size that would do.
        (32, 10, 5, 10, 20, All, None),
        (32, 20_000, 100, 20_000, 20, All, None),
        (32, 20_000, 2_000, 200_000, 60, NoMembers, Some(64)),
        (32, 30_000, 3_000, 300_000, 20, NoMembers, Some(64)),
        (64, 30_000, 3_000, 300_000, 20, All, None),
        (64, 20_000, 2_000, 200_000, 60, All, None),
        (4, 20_000, 1, 100, 8, Essentials, Some(8)),
        (4, 20_000, 1_000, 20_000, 60, NoBackends, Some(16)),
        (4, 20_000, 20_000, 20_000, 60, NoBackends, Some(16)),
        (2, 20_000, 20_000, 20_000, 60, EngineAlone, Some(16)),
    ];
    for (size, backends, frontends, members, name, extent, would_do) in table {
        let demand = demand(backends, frontends, members, name);
        let p = plan(room(size * MIB), &demand);
        assert_eq!(p.extent, extent, "{size} {backends} {frontends} {members} {name}");
        match (p.problem(), would_do) {
            (None, None) => {}
            (Some(text), Some(mib)) => {
                assert!(text.ends_with(&format!("; set statseg {{ size {mib}m }}")), "{text}");
                assert!(text.starts_with(&p.extent.to_string()), "{text}");
                assert_eq!(plan(room(mib * MIB), &demand).extent, All, "that size would do");
                assert_ne!(plan(room(mib * MIB / 2), &demand).extent, All, "half of it would not");
            }
            (text, _) => panic!("{text:?} {size} {name}"),
        }
    }
}

#[test]
fn a_reserve_is_left_whatever_there_is_to_publish() {
    for size in [1, 4, 32, 48, 256].map(|m| m * MIB) {
        for used in [0, size / 8, size / 2, size - MIB / 2, size] {
            for directory in [0, 64 << 10, MIB, 8 * MIB] {
                for n in [0, 1, 100, 10_000, 300_000] {
                    let room = Room { size, largest: size - used, directory };
                    let p = plan(room, &demand(n, n / 10, 3 * n, 40));
                    assert_eq!(p.reserve, reserve(size, directory));
                    assert!(p.bytes == 0 || p.bytes + p.reserve < room.largest, "{room:?} {n}: {p:?}");
                    assert_eq!(p.bytes == 0, p.extent == Extent::Nothing);
                    assert_eq!(p.problem().is_none(), p.extent == Extent::All);
                }
            }
        }
    }
    assert_eq!(reserve(32 * MIB, 0), 8 * MIB);
    assert_eq!(reserve(32 * MIB, 6 * MIB), 12 * MIB, "the directory is copied when it grows");
}

#[test]
fn the_more_room_the_more_is_published() {
    let demand = demand(20_000, 1_000, 40_000, 30);
    let mut last = Extent::Nothing;
    for kib in 0..32 << 10 {
        let extent = plan(Room { size: 4 * MIB, largest: kib << 10, directory: 0 }, &demand).extent;
        assert!(extent <= last, "{kib}");
        last = extent;
    }
    assert_eq!(last, Extent::All);
}

/// Every piece of a block: from, to.
fn pieces(p: &Plan, demand: &Demand) -> Vec<(u64, u64)> {
    let mut pieces = Vec::new();
    for (place, rows) in p.places.iter().zip(demand.rows) {
        let vectors = place.metrics_at.iter().chain([&place.names_at]).filter(|at| **at != 0);
        pieces.extend(vectors.map(|at| (at - VECTOR_HEADER, at + rows * 8)));
        pieces.push((place.strings_at, place.strings_end));
    }
    pieces.sort_unstable();
    pieces
}

#[test]
fn nothing_in_a_block_overlaps_and_vectors_are_aligned() {
    let demand = demand(7, 3, 29, 13);
    for kib in 0..1024 {
        let p = plan(Room { size: MIB, largest: kib << 10, directory: 0 }, &demand);
        for pair in pieces(&p, &demand).windows(2) {
            assert!(pair[0].1 <= pair[1].0, "{pair:?}");
        }
        assert!(pieces(&p, &demand).iter().all(|(_, to)| *to <= p.bytes));
        for (place, (table, names)) in p.places.iter().zip(TABLES.iter().zip(demand.names)) {
            assert!(table.metrics.len() <= MAX_METRICS);
            assert!(place.metrics_at[table.metrics.len()..].iter().all(|at| *at == 0));
            let vectors = place.metrics_at.iter().chain([&place.names_at]);
            assert!(vectors.clone().all(|at| at % ALIGN == 0));
            let published = vectors.filter(|at| **at != 0).count() > 0;
            assert_eq!(place.strings_end - place.strings_at, if published { names } else { 0 });
        }
    }
}

#[test]
fn a_name_takes_its_header_a_zero_and_what_fills_up_eight_bytes() {
    assert_eq!([0, 7, 8, 15, 16].map(name_bytes), [16, 16, 24, 24, 32]);
}
