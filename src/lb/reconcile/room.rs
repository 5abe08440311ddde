//! What memory forbids: a VIP whose table does not fit is not made. One of ours that is there stays what it is, and its servers
//! follow what is wanted.

use std::borrow::Cow;

use super::nat::Admitted;
use super::planner::differs;
use super::{Member, Note, Wanted};
use crate::lb::ledger::Ledger;
use crate::lb::memory;

/// Takes from what was admitted, in the members' order, what `room` bytes have no room for.
pub(super) fn make_room(members: &[Member<'_>], admitted: &mut [Admitted<'_>], ledger: &Ledger, room: u64) {
    let mut left = room;
    for (m, a) in members.iter().zip(admitted) {
        let Some(wanted) = a.wanted.as_deref() else { continue };
        // Whose kind is not known is left alone anyway.
        let there = m.actual.filter(|_| ledger.ours(&m.vip) || m.adopt);
        if m.actual
            .is_some_and(|actual| there.is_none() || differs(&m.vip, wanted, actual, ledger).is_empty())
        {
            continue;
        }
        let takes = memory::vip(wanted.table_length, wanted.servers.len());
        if takes <= left {
            left -= takes;
            continue;
        }
        let stays = there.filter(|_| ledger.ours(&m.vip)).and_then(|actual| {
            let encap = actual.encap?;
            let mut servers = wanted.servers.clone();
            servers.retain(|address, _| encap.takes(*address));
            let src_ip_sticky = ledger.src_ip_sticky(&m.vip)?;
            Some(Wanted { encap, table_length: actual.table_length, src_ip_sticky, servers })
        });
        let what = if stays.is_some() { "it stays as it is" } else { "it is not made" };
        let table = memory::size(memory::table(wanted.table_length));
        let reason = format!("VPP's heap has no room for its table of {table}, so {what}");
        a.wanted = stays.map(Cow::Owned);
        a.note = Some(Note::NoRoom { vip: m.vip, reason });
    }
}
