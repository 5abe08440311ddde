//! What `lb`'s tables take of VPP's heap, and what of it is left for them. Pure.
//!
//! `lb` never frees the new-flow table of a deleted VIP: it keeps the pointer until the VIP's place is used again, and drops it
//! then. So each VIP that is deleted, and each that is recreated, costs one table for as long as VPP lives. And VPP aborts
//! when an allocation fails.

use super::types::{Heap, Op};

/// Of each heap this share is kept for VPP itself, but no more than [`RESERVE`].
const RESERVED_SHARE: u64 = 8;
/// 128 MiB.
const RESERVE: u64 = 128 << 20;
/// A table's header, and what the heap adds to each block.
const BLOCK: u64 = 64;
/// A server in `lb` with its entry in the FIB, rounded up.
const SERVER: u64 = 1024;
/// While a table is built `lb` has a list of 16 bytes for each unit of weight, in a vector that doubles.
const UNIT: u64 = 32;

/// The new-flow table of a VIP.
pub fn table(length: u32) -> u64 {
    u64::from(length) * 4 + BLOCK
}

/// The tables that these ops make.
pub fn tables(ops: &[Op]) -> u64 {
    let made = |op: &Op| if let Op::AddVip { table_length, .. } = op { table(*table_length) } else { 0 };
    ops.iter().map(made).sum()
}

/// What an op that is done takes.
pub fn spent(op: &Op) -> u64 {
    match op {
        Op::AddVip { table_length, .. } => table(*table_length),
        Op::AddServer { .. } => SERVER,
        Op::SetSettings(_)
        | Op::DelVip { .. }
        | Op::DelServer { .. }
        | Op::SetWeight { .. }
        | Op::FlushVip { .. } => 0,
    }
}

/// A VIP with so many servers.
pub fn vip(table_length: u32, servers: usize) -> u64 {
    table(table_length).saturating_add(SERVER.saturating_mul(servers as u64))
}

/// What is kept for VPP itself.
pub fn reserve(heap: &Heap) -> u64 {
    (heap.size / RESERVED_SHARE).min(RESERVE)
}

/// What is left for tables: of the free memory that is in pieces, half counts.
pub fn room(heap: &Heap) -> u64 {
    let pieces = heap.free.saturating_sub(heap.top) / 2;
    (heap.top.min(heap.free) + pieces).saturating_sub(reserve(heap))
}

/// What a configuration takes that is not there yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// VIPs to be made.
    pub made: usize,
    /// Of these, such as are there and have to be made anew.
    pub anew: usize,
    /// Their tables and servers, bytes.
    pub bytes: u64,
    /// The most servers of one VIP.
    pub largest: usize,
    /// New flow tables, bytes.
    pub flows: u64,
}

impl Need {
    /// A VIP is to be made; `anew`: there is one that goes.
    pub fn add(&mut self, table_length: u32, servers: usize, anew: bool) {
        self.made += 1;
        self.anew += usize::from(anew);
        self.bytes = self.bytes.saturating_add(vip(table_length, servers));
        self.largest = self.largest.max(servers);
    }

    /// Each of `threads` gets a flow table of so many buckets.
    pub fn add_flows(&mut self, buckets: u32, threads: u32) {
        self.flows = (u64::from(buckets) + 1) * 64 * u64::from(threads);
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        let building = UNIT * 100 * self.largest as u64;
        self.bytes.saturating_add(building).saturating_add(self.flows)
    }

    /// Whether it fits.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub fn fits(&self, heap: &Heap) -> Result<(), String> {
        let (total, room) = (self.total(), room(heap));
        if total <= room {
            return Ok(());
        }
        let anew = match self.anew {
            0 => String::new(),
            n => format!(" ({n} of them anew: lb never frees the old table)"),
        };
        let flows = if self.flows > 0 { " and the flow tables" } else { "" };
        Err(format!(
            "VPP's heap is too small: the tables of {} VIPs{anew}{flows} take {}, and {} of {} are left for them beside {} \
             kept for VPP itself; restart VPP, or give it more with `memory {{ main-heap-size }}`",
            self.made,
            size(total),
            size(room),
            size(heap.size),
            size(reserve(heap)),
        ))
    }
}

/// `256 KiB`, `125 MiB`.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{} KiB", bytes.div_ceil(1 << 10)),
        _ => format!("{} MiB", bytes.div_ceil(1 << 20)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn heap(size: u64, free: u64, top: u64) -> Heap {
        Heap { size: size * MIB, free: free * MIB, top: top * MIB }
    }

    #[test]
    fn what_is_left_is_the_end_of_the_heap_and_half_of_the_pieces_less_the_reserve() {
        for (heap, left) in [
            (heap(1024, 900, 900), 900 - 128),
            (heap(1024, 900, 700), 800 - 128),
            (heap(1024, 128, 128), 0),
            (heap(1024, 10, 10), 0),
            (heap(256, 100, 100), 68),
            (heap(8192, 8000, 8000), 8000 - 128),
            // Nonsense is not more than what is free.
            (heap(1024, 500, 900), 500 - 128),
        ] {
            assert_eq!(room(&heap) / MIB, left, "{heap:?}");
        }
    }

    #[test]
    fn a_configuration_fits_while_its_tables_leave_the_reserve() {
        // VIPs to be made, anew, table length, servers of each, flow buckets, heap, fits.
        let rows = [
            (500, 0, 65_536, 10, 0, heap(1024, 900, 900), true),
            (500, 500, 65_536, 10, 0, heap(1024, 270, 270), true),
            (500, 500, 65_536, 10, 0, heap(1024, 250, 250), false),
            (2_000, 0, 65_536, 10, 0, heap(1024, 600, 600), false),
            (2_000, 0, 1_024, 10, 0, heap(1024, 600, 600), true),
            (0, 0, 1_024, 0, 0, heap(1024, 0, 0), true),
            (1, 0, 1_024, 0, 0, heap(1024, 128, 128), false),
            // A list of weights while the table is built.
            (1, 0, 16, 40_000, 0, heap(1024, 300, 300), true),
            (1, 0, 16, 40_000, 0, heap(1024, 280, 280), false),
            // Four threads with a million buckets each.
            (0, 0, 16, 0, 1 << 20, heap(1024, 384, 384), false),
            (0, 0, 16, 0, 1 << 20, heap(1024, 386, 386), true),
        ];
        for (made, anew, length, servers, buckets, heap, fits) in rows {
            let mut need = Need::default();
            for i in 0..made {
                need.add(length, servers, i < anew);
            }
            if buckets > 0 {
                need.add_flows(buckets, 4);
            }
            let said = need.fits(&heap);
            assert_eq!(said.is_ok(), fits, "{made} {length} {servers} {heap:?}: {said:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_said_with_numbers() {
        let mut need = Need::default();
        for _ in 0..500 {
            need.add(65_536, 2, true);
        }
        let said = need.fits(&heap(1024, 200, 200)).unwrap_err();
        let want = "VPP's heap is too small: the tables of 500 VIPs (500 of them anew: lb never frees the old table) take \
                    127 MiB, and 72 MiB of 1024 MiB are left for them beside 128 MiB kept for VPP itself; restart VPP, or \
                    give it more with `memory { main-heap-size }`";
        assert_eq!(said, want);
        need.add_flows(1 << 20, 1);
        assert!(
            need.fits(&heap(1024, 200, 200)).unwrap_err().contains("table) and the flow tables take 191 MiB")
        );
        assert_eq!(
            (size(0), size(1), size(4_160), size(MIB)),
            ("0 KiB".into(), "1 KiB".into(), "5 KiB".into(), "1 MiB".into())
        );
    }
}
