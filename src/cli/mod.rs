//! The commands: one table, its matching, and the renderers of what it shows.
//!
//! A line is the words behind `maglev`; a leading `maglev`, or VPP's habit `show maglev …`, means the same.
//! Everything here is a pure function of the line, the [`Operator`] and the clock: no I/O, no waiting. A command whose
//! answer takes a while ends in [`Answer::Later`], to be polled.

mod help;
mod layout;
mod line;
mod matching;
mod registered;
mod run;
mod table;
mod text;
mod verbs;
pub mod when;

#[cfg(test)]
mod counts_tests;
#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod fake_counts;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::control::state::Saving;
use crate::control::view::{ConfigView, ProbeView, SyncView};
use crate::control::{Finished, Operator, Ticket};

pub use help::{complete, help, paths};
pub(crate) use layout::clean;
pub use line::MAX_LINE;
pub use registered::registered;

/// How long a [`Pending`] answer is worth waiting for; an [`Operator`] drops answers that nobody took after as long.
pub const PENDING_LIMIT: Duration = Duration::from_secs(60);

/// A command's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// False: the text's first line begins `error: `, and nothing was done.
    pub ok: bool,
    /// Never empty, ends with LF. Lines end with LF alone.
    pub text: String,
}

impl Reply {
    pub(crate) fn done(text: impl Into<String>) -> Reply {
        Reply { ok: true, text: ended(text.into()) }
    }

    /// An error; `text` is what comes behind `error: `.
    pub fn error(text: impl std::fmt::Display) -> Reply {
        Reply { ok: false, text: ended(format!("error: {}", layout::clean(&text.to_string()))) }
    }
}

fn ended(mut text: String) -> String {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// What becomes of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// At once.
    Done(Reply),
    /// After something that takes a while: poll it after each turn of the engine.
    Later(Pending),
}

/// An answer that is still to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending(Wait);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Wait {
    /// For the answer behind a ticket.
    Ticket(Ticket, What),
    /// For the configuration that is being applied: nothing can be asked before all of it is.
    Line(String),
    /// For `lb` to hold what the verb has set off, so that a `show` behind it shows it done, and for the word to be
    /// in the state file.
    Settle(Reply, Option<Saving>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Probe,
    Sync,
    Check,
    Reload,
}

impl Pending {
    /// The reply, once; none while there is none. Not to be polled again afterwards.
    pub fn poll(&mut self, op: &mut dyn Operator) -> Option<Reply> {
        let (ticket, what) = match &self.0 {
            Wait::Ticket(ticket, what) => (*ticket, *what),
            Wait::Settle(reply, saving) => return settled(op, reply, *saving),
            Wait::Line(_) if op.applying() => return None,
            Wait::Line(line) => match execute(line, op) {
                Answer::Done(reply) => return Some(reply),
                Answer::Later(next) => {
                    *self = next;
                    return None;
                }
            },
        };
        let finished = op.take(ticket)?;
        Some(match (what, finished) {
            (What::Probe, Finished::Probe(v)) => probe_reply(&v),
            (What::Sync, Finished::Sync(v)) => sync_reply(&v),
            (What::Check, Finished::Config(v)) => config_reply(&v, false),
            (What::Reload, Finished::Config(v)) => config_reply(&v, true),
            (_, other) => Reply::error(format_args!("an answer of another command came: {other:?}")),
        })
    }

    /// What has begun.
    pub fn begun(&self) -> Reply {
        match &self.0 {
            Wait::Ticket(..) => Reply::done("started"),
            Wait::Settle(reply, _) => reply.clone(),
            Wait::Line(_) => Reply::error("a configuration is being applied; try again"),
        }
    }

    /// What a caller that cannot wait can say now: what has begun, and what of it is not in `lb` yet.
    pub fn meanwhile(&self, op: &dyn Operator) -> Reply {
        match &self.0 {
            Wait::Settle(..) => with_lacking(self.begun(), op),
            Wait::Ticket(..) | Wait::Line(_) => self.begun(),
        }
    }

    /// Whether the command has not even begun.
    pub fn waits_to_begin(&self) -> bool {
        matches!(self.0, Wait::Line(_))
    }

    /// The reply for a caller that gave up waiting, as after [`PENDING_LIMIT`]: an error, since what was ordered may not be so.
    pub fn given_up(&self, op: &dyn Operator) -> Reply {
        let what = match &self.0 {
            Wait::Ticket(_, What::Probe) => "the probe",
            Wait::Ticket(_, What::Sync) => "the sync",
            Wait::Ticket(_, What::Check) => "the check of the configuration",
            Wait::Ticket(_, What::Reload) => "the reload of the configuration",
            Wait::Settle(reply, _) => {
                let what = reply.text.trim_end();
                let reply =
                    Reply::error(format_args!("{what}, but lb does not have all of it yet; it goes on"));
                return with_lacking(reply, op);
            }
            Wait::Line(_) => {
                return Reply::error("a configuration is still being applied; nothing was done");
            }
        };
        let reply =
            Reply::error(format_args!("{what} has not answered in time; it may still be carried out"));
        if matches!(self.0, Wait::Ticket(_, What::Sync | What::Reload)) {
            with_lacking(reply, op)
        } else {
            reply
        }
    }
}

/// With what is not in `lb` yet.
fn with_lacking(mut reply: Reply, op: &dyn Operator) -> Reply {
    for line in op.lacking() {
        reply.text.push_str(&format!("not yet in lb: {}\n", layout::clean(&line)));
    }
    reply
}

/// The verb was taken; whether `lb` took what follows from it is said too, and whether the word is saved.
fn settled(op: &dyn Operator, reply: &Reply, saving: Option<Saving>) -> Option<Reply> {
    let saved = saving.map_or(Some(Ok(())), |s| op.saved(s));
    let saved = saved.filter(|_| op.settled())?;
    let mut reply = with_failures(reply, op);
    if let Err(why) = saved {
        reply.text.push_str(&format!("done, not saved: {}\n", layout::clean(&why)));
    }
    Some(reply)
}

/// What has ended, as its command prints it; `reload`: the configuration was to be applied.
pub(crate) fn finished(finished: &Finished, reload: bool) -> Reply {
    match finished {
        Finished::Probe(v) => probe_reply(v),
        Finished::Sync(v) => sync_reply(v),
        Finished::Config(v) => config_reply(v, reload),
    }
}

/// The verb was taken; whether `lb` took what follows from it is said too.
fn with_failures(reply: &Reply, op: &dyn Operator) -> Reply {
    let failing = op.status().lb.failing;
    let mut reply = reply.clone();
    if !failing.is_empty() {
        let names = failing.join(", ");
        reply.text.push_str(&format!(
            "warning: lb refused calls for {}, which will be tried again\n",
            layout::clean(&names)
        ));
    }
    reply
}

fn probe_reply(v: &ProbeView) -> Reply {
    Reply::done(text::probe(v))
}

fn sync_reply(v: &SyncView) -> Reply {
    if v.failures.is_empty() {
        return Reply::done(text::sync(v));
    }
    Reply { ok: false, text: ended(text::sync_failed(v)) }
}

fn config_reply(v: &ConfigView, reload: bool) -> Reply {
    if v.ok && (v.applied || !reload) {
        return Reply::done(text::config_good(v, reload));
    }
    Reply { ok: false, text: ended(text::config_bad(v, reload)) }
}

/// Whether a line begins with all keywords of a command (and not with `maglev`); its arguments may still be wrong.
pub fn is_command(line: &str) -> bool {
    let Ok(words) = line::words(line) else { return false };
    help::asked(&words).is_some()
        || matching::narrow(&words).is_ok_and(|(rows, depth)| rows.iter().any(|r| r.path.len() == depth))
}

/// Carries out one line. Every line has an answer; no line panics.
pub fn execute(line: &str, op: &mut dyn Operator) -> Answer {
    execute_at(line, op, crate::clock::now().wall_ms)
}

/// [`execute`] at a given wall-clock time (milliseconds since the Unix epoch), from which ages are counted.
pub fn execute_at(line: &str, op: &mut dyn Operator, wall_ms: u64) -> Answer {
    let words = match line::words(line) {
        Ok(words) => words,
        Err(e) => return Answer::Done(Reply::error(e)),
    };
    if let Some(topic) = help::asked(&words) {
        return Answer::Done(help::reply(&topic));
    }
    // Half applied it is nothing that could be shown or acted upon, and to finish it now would take too long at a time.
    if op.applying() {
        return Answer::Later(Pending(Wait::Line(line.to_owned())));
    }
    op.catch_up();
    match matching::find(&words) {
        Ok((row, args)) => match (row.run)(&run::Call { args, wall_ms }, op) {
            // Asked for right behind the verb: what it waits for is its own word and those before it, none after it.
            Answer::Later(Pending(Wait::Settle(reply, None))) => {
                Answer::Later(Pending(Wait::Settle(reply, op.saving())))
            }
            answer => answer,
        },
        Err(e) => Answer::Done(Reply::error(e)),
    }
}
