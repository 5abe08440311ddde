//! What each command does: check the arguments, ask the [`Operator`], render.

use std::io;
use std::net::IpAddr;

use serde::Serialize;

use super::line::quoted;
use super::matching::Args;
use super::{Answer, Pending, Reply, Wait, What, text, verbs};
use crate::budget::{ONE_ANSWER, size};
use crate::control::journal::KEPT;
use crate::control::{Done, Operator, Ticket, VerbError};

/// A matched command.
pub(super) struct Call<'a> {
    pub args: Args<'a>,
    /// Now, for ages.
    pub wall_ms: u64,
}

impl<'a> Call<'a> {
    fn value(&self, i: usize) -> Option<&'a str> {
        self.args.values.get(i).copied()
    }

    /// One that the table makes sure of.
    fn required(&self, i: usize) -> &'a str {
        self.value(i).unwrap_or_default()
    }

    fn show<T: Serialize>(&self, view: Result<T, VerbError>, render: impl FnOnce(&T) -> String) -> Answer {
        Answer::Done(match view {
            Ok(v) if self.args.json => json(&v),
            Ok(v) => Reply::done(render(&v)),
            Err(e) => Reply::error(e),
        })
    }
}

fn json<T: Serialize>(view: &T) -> Reply {
    let mut text = Limited { bytes: Vec::new(), most: ONE_ANSWER };
    match serde_json::to_writer(&mut text, view) {
        Ok(()) => match String::from_utf8(text.bytes) {
            Ok(text) => Reply::done(text),
            Err(e) => Reply::error(format_args!("cannot be told as JSON: {e}")),
        },
        Err(e) => Reply::error(format_args!("cannot be told as JSON: {e}")),
    }
}

/// A text that ends with an error before it is longer than that.
struct Limited {
    bytes: Vec<u8>,
    most: usize,
}

impl io::Write for Limited {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        if self.bytes.len().saturating_add(more.len()) > self.most {
            let most = size(self.most);
            return Err(io::Error::other(format!("longer than {most}; ask for less at a time")));
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn refused(text: impl std::fmt::Display) -> Answer {
    Answer::Done(Reply::error(text))
}

fn done(result: Result<Done, VerbError>) -> Answer {
    Answer::Done(match result {
        Ok(d) => Reply::done(super::layout::clean(&d.text)),
        Err(e) => Reply::error(e),
    })
}

/// Like [`done`], but answers once `lb` has what the verb has set off and its word is saved.
fn settled(result: Result<Done, VerbError>) -> Answer {
    match result {
        Ok(Done { changed: true, text }) => {
            Answer::Later(Pending(Wait::Settle(Reply::done(super::layout::clean(&text)), None)))
        }
        other => done(other),
    }
}

fn later(ticket: Result<Ticket, VerbError>, what: What) -> Answer {
    match ticket {
        Ok(ticket) => Answer::Later(Pending(Wait::Ticket(ticket, what))),
        Err(e) => refused(e),
    }
}

pub(super) fn show_status(call: &Call<'_>, op: &mut dyn Operator) -> Answer {
    call.show(Ok(op.status()), |v| text::status(v, call.wall_ms))
}

pub(super) fn show_version(call: &Call<'_>, op: &mut dyn Operator) -> Answer {
    call.show(Ok(op.version()), text::version)
}

pub(super) fn show_config(call: &Call<'_>, op: &mut dyn Operator) -> Answer {
    Answer::Done(match op.config_yaml() {
        Ok(yaml) if call.args.json => match serde_yaml::from_str::<serde_json::Value>(&yaml) {
            Ok(v) => json(&v),
            Err(e) => Reply::error(format_args!("cannot be told as JSON: {e}")),
        },
        Ok(yaml) => Reply::done(yaml),
        Err(e) => Reply::error(e),
    })
}

pub(super) fn show_frontends(call: &Call<'_>, op: &mut dyn Operator) -> Answer {
    match call.value(0) {
        Some(name) => call.show(op.frontend(name), text::frontend),
        None => call.show(Ok(op.frontends()), |v| text::frontends(v)),
    }
}

pub(super) fn show_backends(call: &Call<'_>, op: &mut dyn Operator) -> Answer {
    match call.value(0) {
        Some(name) => call.show(op.backend(name), |v| text::backend(v, call.wall_ms)),
        None => call.show(Ok(op.backends()), |v| text::backends(v, call.wall_ms)),
    }
}

pub(super) fn show_healthchecks(call: &Call<'_>, op: &mut dyn Operator) -> Answer {
    match call.value(0) {
        Some(name) => call.show(op.healthcheck(name), text::healthcheck),
        None => call.show(Ok(op.healthchecks()), |v| text::healthchecks(v)),
    }
}

pub(super) fn show_lb(call: &Call<'_>, op: &mut dyn Operator) -> Answer {
    call.show(op.lb(call.value(0)), text::lb)
}

pub(super) fn show_events(call: &Call<'_>, op: &mut dyn Operator) -> Answer {
    let last = match call.value(0).map(|word| (word, number(word))) {
        None => None,
        Some((_, Some(n))) if (1..=KEPT).contains(&(n as usize)) => Some(n as usize),
        Some((word, _)) => {
            return refused(format_args!("{} is not a number from 1 to {KEPT}", quoted(word)));
        }
    };
    call.show(Ok(op.events(last)), text::events)
}

pub(super) fn show_counters(call: &Call<'_>, op: &mut dyn Operator) -> Answer {
    call.show(Ok(op.counters()), text::counters)
}

pub(super) fn show_flow(call: &Call<'_>, op: &mut dyn Operator) -> Answer {
    let Ok(source) = call.required(1).parse::<IpAddr>() else {
        return refused(format_args!("{} is not an IP address", quoted(call.required(1))));
    };
    let Some(port) = port(call.required(2)) else { return not_a_port("source", call.required(2)) };
    let destination = match call.value(3).map(|word| (word, self::port(word))) {
        Some((word, None)) => return not_a_port("destination", word),
        Some((_, Some(port))) => Some(port),
        None => None,
    };
    call.show(op.flow(call.required(0), source, port, destination), text::flow)
}

fn port(word: &str) -> Option<u16> {
    number(word).and_then(|n| u16::try_from(n).ok())
}

fn not_a_port(which: &str, word: &str) -> Answer {
    refused(format_args!("{which} port {} is not a number from 0 to 65535", quoted(word)))
}

pub(super) fn set_backend(call: &Call<'_>, op: &mut dyn Operator) -> Answer {
    match verbs::parse(call.required(1), call.value(2)) {
        Ok(verb) => settled(op.set_backend(call.required(0), verb)),
        Err(e) => refused(e),
    }
}

pub(super) fn set_frontend(call: &Call<'_>, op: &mut dyn Operator) -> Answer {
    let word = call.required(3);
    let weight = if !word.is_empty() && "default".starts_with(word) {
        None
    } else {
        match number(word).and_then(|n| u8::try_from(n).ok()).filter(|n| *n <= 100) {
            Some(n) => Some(n),
            None => {
                return refused(format_args!(
                    "weight {} is not a number from 0 to 100, nor `default`",
                    quoted(word)
                ));
            }
        }
    };
    let flush = call.args.keys.contains(&"flush");
    settled(op.set_weight(call.required(0), call.required(1), call.required(2), weight, flush))
}

pub(super) fn probe(call: &Call<'_>, op: &mut dyn Operator) -> Answer {
    later(op.probe(call.required(0)), What::Probe)
}

pub(super) fn flush(call: &Call<'_>, op: &mut dyn Operator) -> Answer {
    done(op.flush(call.required(0)))
}

pub(super) fn sync(call: &Call<'_>, op: &mut dyn Operator) -> Answer {
    later(op.sync(call.value(0)), What::Sync)
}

pub(super) fn config_check(call: &Call<'_>, op: &mut dyn Operator) -> Answer {
    later(op.config_check(call.value(0)), What::Check)
}

pub(super) fn config_reload(call: &Call<'_>, op: &mut dyn Operator) -> Answer {
    later(op.config_reload(call.args.keys.contains(&"force")), What::Reload)
}

/// Lines that ask for help are answered before the table is searched; this is for its completeness.
pub(super) fn help(_: &Call<'_>, _: &mut dyn Operator) -> Answer {
    Answer::Done(super::help::reply(&[]))
}

/// Digits alone: no sign, no blank.
fn number(word: &str) -> Option<u32> {
    if word.bytes().all(|b| b.is_ascii_digit()) { word.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_ends_before_it_is_too_long() {
        let mut text = Limited { bytes: Vec::new(), most: 1 << 20 };
        let e = serde_json::to_writer(&mut text, &vec!["x".repeat(1000); 2000]).unwrap_err();
        assert_eq!(e.to_string(), "longer than 1 MiB; ask for less at a time");
        assert!((1000 << 10..=1 << 20).contains(&text.bytes.len()));
        assert_eq!(json(&["a", "b"]).text, "[\"a\",\"b\"]\n");
    }
}
