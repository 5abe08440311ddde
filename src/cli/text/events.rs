//! `show events`

use super::super::layout::wrap;
use super::super::when;
use super::count;
use crate::control::view::EventsView;

/// One line an event, the newest at the end, where the eye is.
pub(in super::super) fn events(v: &EventsView) -> String {
    let mut out = String::new();
    if v.dropped > 0 {
        out.push_str(&format!("{} before these {} kept\n", count_are(v.dropped), v.kept));
    }
    if v.events.is_empty() {
        out.push_str("no events\n");
    }
    for e in &v.events {
        out.push_str(&wrap(&format!("{}  {}  {}", e.sequence, when::iso(e.at_ms), e.text), 0, 4));
    }
    out
}

fn count_are(dropped: u64) -> String {
    let n = usize::try_from(dropped).unwrap_or(usize::MAX);
    count(n, "event") + if n == 1 { " was dropped" } else { " were dropped" }
}
