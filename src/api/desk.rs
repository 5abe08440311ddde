//! Where requests come in: each is checked, asked of the operator's interface, and answered at once.

use super::{Answer, MOST_PATH, NAME_SIZE, Record, retval, verb};
use crate::cli::PENDING_LIMIT;
use crate::control::{Operator, Ticket, VerbError};
use crate::time::{Now, Time};

/// Started and not ended; another is refused then.
const MOST_STARTED: usize = 256;

/// What was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Started {
    Probe,
    Sync,
    Check,
    Reload,
}

/// The things that were started through the API, until their end has been told.
#[derive(Debug, Default)]
pub struct Desk {
    started: Vec<(Ticket, Time, Started)>,
}

impl Desk {
    /// With nothing started.
    pub const fn new() -> Desk {
        Desk { started: Vec::new() }
    }

    /// `maglev_set_backend`
    pub fn set_backend(&mut self, op: &mut dyn Operator, name: &str, number: u8) -> Answer {
        match (too_long(&[name]), verb(number)) {
            (Some(refused), _) => refused,
            (None, None) => Answer::refused(retval::INVALID_VALUE, format!("there is no verb {number}")),
            (None, Some(verb)) => Answer::done(op, |op| op.set_backend(name, verb)),
        }
    }

    /// `maglev_set_weight`; no weight is the configured one.
    pub fn set_weight(
        &mut self,
        op: &mut dyn Operator,
        (frontend, pool, backend): (&str, &str, &str),
        weight: Option<u8>,
        flush: bool,
    ) -> Answer {
        if let Some(refused) = too_long(&[frontend, pool, backend]) {
            return refused;
        }
        if let Some(weight) = weight.filter(|w| *w > 100) {
            let text = format!("weight {weight} is not a number from 0 to 100");
            return Answer::refused(retval::INVALID_VALUE, text);
        }
        Answer::done(op, |op| op.set_weight(frontend, pool, backend, weight, flush))
    }

    /// `maglev_flush_frontend`
    pub fn flush(&mut self, op: &mut dyn Operator, frontend: &str) -> Answer {
        too_long(&[frontend]).unwrap_or_else(|| Answer::done(op, |op| op.flush(frontend)))
    }

    /// `maglev_probe`
    pub fn probe(&mut self, op: &mut dyn Operator, now: Now, backend: &str) -> Answer {
        too_long(&[backend]).unwrap_or_else(|| self.start(now, Started::Probe, || op.probe(backend)))
    }

    /// `maglev_sync`; an empty name is all.
    pub fn sync(&mut self, op: &mut dyn Operator, now: Now, frontend: &str) -> Answer {
        let only = (!frontend.is_empty()).then_some(frontend);
        too_long(&[frontend]).unwrap_or_else(|| self.start(now, Started::Sync, || op.sync(only)))
    }

    /// `maglev_config_check`; an empty path is the running one.
    pub fn check(&mut self, op: &mut dyn Operator, now: Now, path: &str) -> Answer {
        if path.len() > MOST_PATH || path.contains('\0') {
            let text = format!("a path is at most {MOST_PATH} bytes long, and none of them 0");
            return Answer::refused(retval::INVALID_VALUE, text);
        }
        let path = (!path.is_empty()).then_some(path);
        self.start(now, Started::Check, || op.config_check(path))
    }

    /// `maglev_config_reload`
    pub fn reload(&mut self, op: &mut dyn Operator, now: Now, force: bool) -> Answer {
        self.start(now, Started::Reload, || op.config_reload(force))
    }

    /// Something that was started and has ended, or will be waited for no longer.
    pub fn ended(&mut self, op: &mut dyn Operator, now: Now) -> Option<Record> {
        let (index, record) = self.started.iter().enumerate().find_map(|(i, (ticket, since, what))| {
            let record = match op.take(*ticket) {
                Some(finished) => Record::of_result(*ticket, now.wall_ms, *what, &finished),
                None if now.mono.since(*since) >= PENDING_LIMIT => {
                    Record::of_silence(*ticket, now.wall_ms, *what)
                }
                None => return None,
            };
            Some((i, record))
        })?;
        self.started.remove(index);
        Some(record)
    }

    fn start(
        &mut self,
        now: Now,
        what: Started,
        begin: impl FnOnce() -> Result<Ticket, VerbError>,
    ) -> Answer {
        if self.started.len() >= MOST_STARTED {
            let text = format!("{MOST_STARTED} probes, syncs and loads have not ended yet; try again");
            return Answer::refused(retval::LIMIT_EXCEEDED, text);
        }
        match begin() {
            Ok(ticket) => {
                self.started.push((ticket, now.mono, what));
                Answer::started(ticket)
            }
            Err(e) => Answer::of(&e),
        }
    }
}

/// The refusal, if one of the names is longer than any name can be: its field had no end.
fn too_long(names: &[&str]) -> Option<Answer> {
    names.iter().any(|n| n.len() >= NAME_SIZE).then(|| {
        Answer::refused(retval::INVALID_VALUE, format!("a name is at most {} bytes long", NAME_SIZE - 1))
    })
}
