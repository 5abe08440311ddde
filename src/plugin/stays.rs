//! How long we stay on VPP's main thread at a time, as csrc/stays.c counts it, for the benchmarks.

use super::shim::{self, maglev_stay_kind_t as kind, maglev_stays_t};
use super::token::MainThread;

/// All kinds as JSON, in microseconds: one line. They begin anew.
pub(super) fn take(main: MainThread) -> String {
    let kinds = [
        ("turn", kind::MAGLEV_STAY_TURN),
        ("command", kind::MAGLEV_STAY_COMMAND),
        ("dump", kind::MAGLEV_STAY_DUMP),
    ];
    let kinds = kinds.map(|(name, kind)| format!("\"{name}\": {}", one(main, kind)));
    format!("{{{}}}\n", kinds.join(", "))
}

fn one(_main: MainThread, kind: kind::Type) -> String {
    let mut s = maglev_stays_t::default();
    // SAFETY: on the main thread, as the token says; the pointer is to a live value.
    unsafe { shim::maglev_shim_stays(kind, 1, &mut s) };
    let maglev_stays_t { n, own_us, lb_us, longest_own_us, longest_lb_us, longest_us } = s;
    format!(
        "{{\"n\": {n}, \"own_us\": {own_us:.1}, \"lb_us\": {lb_us:.1}, \"longest_own_us\": {longest_own_us:.1}, \
         \"longest_lb_us\": {longest_lb_us:.1}, \"longest_us\": {longest_us:.1}}}"
    )
}
