//! docs/api.md, "Lists": what a cursor means, whatever happens between two calls.

use std::collections::BTreeSet;

use super::Lab;
use super::lab::ip;
use crate::control::rows::{END, NoRows, Rows, Table};
use crate::control::{BackendVerb, Controller};
use crate::health::State;
use crate::time::Now;

const TABLES: [Table; 4] = [Table::Backends, Table::Frontends, Table::Members, Table::Healthchecks];

/// Backends b1 to bn, each in a frontend of its own and all in `all`; two healthchecks.
fn config(n: usize) -> String {
    let mut y = String::from(
        "maglev:\n  vpp: {lb: {ipv4-src-address: 192.0.2.250}}\n  healthchecks:\n    ping: {type: icmp, interval: 1s}\n    web: {type: http, port: 80, interval: 1s}\n  backends:\n",
    );
    for i in 1..=n {
        let check = if i % 2 == 0 { "web" } else { "ping" };
        y += &format!("    b{i}: {{address: 10.0.0.{i}, healthcheck: {check}}}\n");
    }
    y += "  frontends:\n    all:\n      address: 192.0.2.200\n      pools:\n        - name: p\n          backends:\n";
    for i in 1..=n {
        y += &format!("            b{i}: {{}}\n");
    }
    for i in 1..=n {
        y += &format!(
            "    f{i}: {{address: 192.0.2.{i}, protocol: tcp, port: 80, pools: [{{name: p, backends: {{b{i}: {{}}}}}}]}}\n"
        );
    }
    y
}

/// The next row, told by its names.
fn next(c: &Controller, table: Table, rows: &mut Rows) -> Option<String> {
    match table {
        Table::Backends => c.next_backend(rows).map(|r| r.name.to_string()),
        Table::Frontends => c.next_frontend(rows).map(|r| r.name.to_string()),
        Table::Members => c.next_member(rows).map(|r| format!("{} {} {}", r.frontend, r.pool, r.backend)),
        Table::Healthchecks => c.next_healthcheck(rows).map(|r| r.name.to_string()),
    }
}

/// At most `most` rows from a cursor on, and where to go on.
fn slice(c: &Controller, table: Table, only: &str, cursor: u64, most: usize) -> (Vec<String>, u64) {
    let mut rows = c.rows(table, only, cursor).unwrap();
    let all: Vec<String> = std::iter::from_fn(|| next(c, table, &mut rows)).take(most).collect();
    (all, rows.cursor())
}

/// All rows, `most` a call.
fn all(c: &Controller, table: Table, only: &str, most: usize) -> Vec<String> {
    let (mut got, mut cursor) = (Vec::new(), 0);
    for _ in 0..1000 {
        let (more, at) = slice(c, table, only, cursor, most);
        got.extend(more);
        cursor = at;
        if cursor == END {
            return got;
        }
    }
    panic!("no end");
}

#[test]
fn slices_of_any_length_give_all_rows_once() {
    let lab = Lab::new(&config(9));
    for table in TABLES {
        let whole = all(&lab.c, table, "", usize::MAX);
        let count = match table {
            Table::Backends => 9,
            Table::Frontends => 10,
            Table::Members => 18,
            Table::Healthchecks => 2,
        };
        assert_eq!(whole.len(), count, "{table:?}");
        assert_eq!(whole.iter().collect::<BTreeSet<_>>().len(), count, "{table:?}");
        for most in 1..=19 {
            assert_eq!(all(&lab.c, table, "", most), whole, "{table:?} {most}");
        }
    }
}

#[test]
fn one_name_gives_that_row_and_an_unknown_one_is_said() {
    let lab = Lab::new(&config(3));
    for most in [1, 5] {
        assert_eq!(all(&lab.c, Table::Backends, "b2", most), ["b2"]);
        assert_eq!(all(&lab.c, Table::Frontends, "f2", most), ["f2"]);
        assert_eq!(all(&lab.c, Table::Healthchecks, "web", most), ["web"]);
        assert_eq!(all(&lab.c, Table::Members, "f2", most), ["f2 p b2"]);
        assert_eq!(all(&lab.c, Table::Members, "all", most), ["all p b1", "all p b2", "all p b3"]);
    }
    for table in TABLES {
        for unknown in ["b", "B1", "nobody"] {
            assert_eq!(lab.c.rows(table, unknown, 0), Err(NoRows::Unknown));
        }
    }
}

#[test]
fn without_a_configuration_there_are_no_rows() {
    let lab = Lab::idle();
    for table in TABLES {
        assert_eq!(all(&lab.c, table, "", 1), [""; 0]);
    }
}

#[test]
fn a_cursor_of_another_configuration_is_refused() {
    let mut lab = Lab::new(&config(5));
    lab.run(3000);
    let cursors: Vec<u64> = TABLES.map(|t| slice(&lab.c, t, "", 0, 1).1).to_vec();
    assert!(cursors.iter().all(|c| *c != END && *c != 0));
    lab.load(&config(5));
    for (table, cursor) in TABLES.into_iter().zip(cursors) {
        assert_eq!(lab.c.rows(table, "", cursor), Err(NoRows::Stale), "{table:?}");
        assert!(lab.c.rows(table, "", 0).is_ok());
    }
}

#[test]
fn what_no_reply_ever_had_is_no_cursor() {
    let lab = Lab::new(&config(3));
    let here = u64::from(lab.c.config_number()) << 32;
    for table in TABLES {
        for bad in [END, 1, here | 1000, here | u64::from(u32::MAX), 7 << 32, (here + (1 << 32)) | 1] {
            assert_eq!(lab.c.rows(table, "", bad), Err(NoRows::Stale), "{table:?} {bad:x}");
        }
        let (rows, _) = slice(&lab.c, table, "", here, 1);
        assert_eq!(rows.len(), 1, "before the first row");
    }
}

/// What goes on within one configuration: states change, and removed backends leave lb and are forgotten.
#[test]
fn within_a_configuration_no_row_comes_twice_or_is_left_out() {
    let mut lab = Lab::new(&config(9));
    lab.run(5000);
    lab.load(&config(6));
    let now = |lab: &Lab| Now { mono: lab.now, wall_ms: 0 };
    let at = now(&lab);
    let removed = |lab: &Lab| lab.c.backends().iter().filter(|(_, b)| b.state() == State::Removed).count();
    assert!(removed(&lab) > 0, "they are in lb still");
    lab.c.set_backend(at, "b1", BackendVerb::Pause).unwrap();
    let mut got = Vec::new();
    let mut cursor = 0;
    while cursor != END {
        let (more, next) = slice(&lab.c, Table::Backends, "", cursor, 1);
        got.extend(more);
        cursor = next;
        lab.run(2000);
    }
    assert_eq!(removed(&lab), 0, "forgotten meanwhile");
    let names: BTreeSet<&String> = got.iter().collect();
    assert_eq!(names.len(), got.len(), "{got:?}");
    for i in 1..=6 {
        assert!(names.contains(&format!("b{i}")), "{got:?}");
    }
}

#[test]
fn rows_say_what_the_views_say() {
    let mut lab = Lab::new(&config(4));
    lab.net("10.0.0.2", crate::simulate::world::Net::Refused);
    lab.run(8000);
    for v in lab.c.backend_views() {
        let mut rows = lab.c.rows(Table::Backends, &v.name, 0).unwrap();
        let r = lab.c.next_backend(&mut rows).unwrap();
        assert_eq!((r.state.as_str(), &r.display, &r.reason), (&*v.state, &v.display, &v.verdict));
        assert_eq!((r.counter, r.counter_max, r.rise, r.fall), (v.counter, v.counter_max, v.rise, v.fall));
        assert_eq!((r.passes, r.failures, r.faults), (v.passes, v.failures, v.sockerrs));
        assert_eq!((r.address.to_string(), r.since_ms), (v.address, v.since_ms));
        assert_eq!(r.healthcheck.as_deref(), v.healthcheck.as_deref());
        assert_eq!(r.waits_for, v.waits_for.unwrap_or_default());
        assert_eq!((r.last_code, r.last_detail), (&*v.last_code.unwrap_or_default(), v.last_detail));
    }
    for v in lab.c.frontend_views() {
        let mut rows = lab.c.rows(Table::Frontends, &v.name, 0).unwrap();
        let r = lab.c.next_frontend(&mut rows).unwrap();
        assert_eq!(
            (r.state.as_str(), &*r.pool, r.serving, r.total),
            (&*v.state, &*v.pool, v.serving, v.total)
        );
        assert_eq!((r.programmed, r.leaving, r.encap.as_str()), (v.programmed, v.leaving.len(), &*v.encap));
        let mut rows = lab.c.rows(Table::Members, &v.name, 0).unwrap();
        for m in v.pools.iter().flat_map(|p| &p.backends) {
            let r = lab.c.next_member(&mut rows).unwrap();
            assert_eq!((&*r.backend, r.address), (&*m.name, ip(&m.address)));
            assert_eq!((r.weight, r.overridden, r.effective), (m.weight, m.overridden, m.effective));
        }
    }
    for v in lab.c.healthcheck_views() {
        let mut rows = lab.c.rows(Table::Healthchecks, &v.name, 0).unwrap();
        let r = lab.c.next_healthcheck(&mut rows).unwrap();
        assert_eq!((r.kind.as_str(), r.backends as usize), (&*v.kind, v.backends.len()));
        assert_eq!((r.interval_ms, r.timeout_ms, r.rise), (v.interval_ms, v.timeout_ms, v.rise));
        assert_eq!(r.parameters.lines().count(), v.params.len());
    }
}
