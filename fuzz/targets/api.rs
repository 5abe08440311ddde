//! Messages of the binary API, behind their decoding: a script of them, with texts as a client may have filled them in.

use std::time::Duration;

use maglev::api::{Answer, Desk, MOST_PATH, NAME_SIZE, Outbox, fixed, retval};
use maglev::control::Controller;
use maglev::control::rows::{END, Table};
use maglev::time::{Now, Time};

use super::operator::Stand;
use super::{check_text, choice};

/// Messages that one input can have.
const MESSAGES: usize = 1000;

pub fn run(mut data: &[u8]) {
    let (mut desk, mut op) = (Desk::new(), Stand::default());
    let mut now = Now { mono: Time::ZERO, wall_ms: 1_700_000_000_000 };
    let mut outbox = Outbox::new();
    let mut controller = None;
    for _ in 0..MESSAGES {
        let Some((kind, rest)) = data.split_first() else { return };
        data = rest;
        match kind % 10 {
            0 => {
                let (name, verb) = (text(&mut data), number(&mut data));
                verdict(&desk.set_backend(&mut op, &name, verb), &[&name]);
            }
            1 => {
                let names = [text(&mut data), text(&mut data), text(&mut data)];
                let (weight, flush) = (number(&mut data), number(&mut data));
                let weight = (flush & 2 == 0).then_some(weight);
                let answer =
                    desk.set_weight(&mut op, (&names[0], &names[1], &names[2]), weight, flush & 1 == 1);
                verdict(&answer, &[&names[0], &names[1], &names[2]]);
                assert!(weight.is_none_or(|w| w <= 100) || answer.retval == retval::INVALID_VALUE);
            }
            2 => {
                let name = text(&mut data);
                verdict(&desk.flush(&mut op, &name), &[&name]);
            }
            3 => {
                let name = text(&mut data);
                verdict(&desk.probe(&mut op, now, &name), &[&name]);
            }
            4 => {
                let name = text(&mut data);
                verdict(&desk.sync(&mut op, now, &name), &[&name]);
            }
            5 => {
                let path = text(&mut data);
                let answer = desk.check(&mut op, now, &path);
                verdict(&answer, &[]);
                let fits = path.len() <= MOST_PATH && !path.contains('\0');
                assert!(fits || answer.retval == retval::INVALID_VALUE);
            }
            6 => {
                let force = number(&mut data) & 1 == 1;
                verdict(&desk.reload(&mut op, now, force), &[]);
            }
            7 => now.mono = now.mono + Duration::from_secs(u64::from(number(&mut data))),
            8 => {
                if let Some(record) = desk.ended(&mut op, now) {
                    check_text(&record.text, 64 * 1024);
                    let position = outbox.end();
                    outbox.push(record);
                    assert_eq!(outbox.from(position).map(|(p, _)| p), Some(position));
                }
            }
            _ => {
                let (table, bytes) = (number(&mut data), [(); 8].map(|()| number(&mut data)));
                let name = text(&mut data);
                list(
                    controller.get_or_insert_with(|| configured(now)),
                    table,
                    &name,
                    u64::from_be_bytes(bytes),
                );
            }
        }
    }
}

const CONFIG: &str = "maglev: {vpp: {lb: {ipv4-src-address: 192.0.2.9}}, healthchecks: {h: {type: icmp}}, backends: {a: {address: 10.0.0.1, healthcheck: h}, \
                      b: {address: 10.0.0.2}, c: {address: 10.0.0.3, healthcheck: h}}, \
                      frontends: {f: {address: 192.0.2.1, pools: [{name: p, backends: {a: {}, b: {}, c: {}}}]}, \
                      g: {address: 192.0.2.2, pools: [{name: p, backends: {c: {}}}]}}}";

fn configured(now: Now) -> Controller {
    let mut controller = Controller::new(now, 1);
    controller.apply(now, maglev::config::parse(CONFIG).unwrap().config, "x", Vec::new());
    controller
}

/// Whatever the cursor, a list is refused or ends, and each cursor on the way goes on where it says.
fn list(controller: &Controller, table: u8, only: &str, cursor: u64) {
    let table = match table % 4 {
        0 => Table::Backends,
        1 => Table::Frontends,
        2 => Table::Members,
        _ => Table::Healthchecks,
    };
    let Ok(mut rows) = controller.rows(table, only, cursor) else { return };
    for _ in 0..8 {
        let (before, mut again) = (rows.cursor(), rows.clone());
        let more = match table {
            Table::Backends => controller.next_backend(&mut rows).is_some(),
            Table::Frontends => controller.next_frontend(&mut rows).is_some(),
            Table::Members => controller.next_member(&mut rows).is_some(),
            Table::Healthchecks => controller.next_healthcheck(&mut rows).is_some(),
        };
        assert_ne!(rows.cursor(), before, "it goes on");
        if !more {
            assert_eq!(rows.cursor(), END);
            return;
        }
        if table == Table::Backends {
            let mut resumed = controller.rows(table, only, before).unwrap();
            assert_eq!(controller.next_backend(&mut resumed), controller.next_backend(&mut again));
        }
    }
    panic!("a list without an end");
}

fn number(data: &mut &[u8]) -> u8 {
    let (n, rest) = choice(data);
    *data = rest;
    u8::try_from(n).unwrap_or(0)
}

/// A text: its length in one byte, in units of 16 from 240 on. Decoded as the plugin does.
fn text(data: &mut &[u8]) -> String {
    let n = match number(data) {
        long @ 240.. => usize::from(long - 239) * 300,
        short => usize::from(short),
    };
    let (text, rest) = data.split_at(n.min(data.len()));
    *data = rest;
    let text = String::from_utf8_lossy(text).into_owned();
    // A field is as long as it is, and ends in NUL.
    let field: [u8; NAME_SIZE] = fixed(&text);
    assert_eq!(field[NAME_SIZE - 1], 0);
    assert!(text.len() < NAME_SIZE || field == [0; NAME_SIZE]);
    text
}

fn verdict(answer: &Answer, names: &[&str]) {
    check_text(&answer.text, 8 * 1024);
    assert!(!answer.text.is_empty());
    assert!(answer.retval <= 0);
    assert!(answer.retval == retval::OK || (!answer.changed && answer.ticket == 0), "{answer:?}");
    if names.iter().any(|n| n.len() >= NAME_SIZE) {
        assert_eq!(answer.retval, retval::INVALID_VALUE);
    }
}
