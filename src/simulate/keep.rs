//! What the state file is to hold: what was given to the disk, what that has confirmed, and who waits for it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::broken::{Broken, broken};
use super::mind::Mind;
use super::model::{Model, Place};
use crate::Name;
use crate::control::controller::Controller;
use crate::control::state::Saving;
use crate::health::Vital;
use crate::time::{Now, Time};

/// How long an operator's verb waits for the disk.
const PATIENCE: Duration = Duration::from_secs(1);
/// Waits end on a grid of so much.
const GRID: Duration = Duration::from_millis(10);

/// What a state file holds.
#[derive(Clone, Debug, Default)]
pub struct Saved {
    /// By name; with what each was, with all that it inherited.
    pub minds: BTreeMap<Name, (Mind, (Vital, bool))>,
    /// With the configured weight that it overrides.
    pub overrides: BTreeMap<Place, (u8, u8)>,
    /// So many verbs had changed something by then.
    said: u64,
}

/// See above.
#[derive(Clone, Debug, Default)]
pub struct Keep {
    /// The file.
    pub file: Option<Saved>,
    /// What the disk has been given and has not answered yet.
    pub writing: Option<Saved>,
    /// Verbs so far that have changed something.
    pub said: u64,
    /// The newest of them that could not be written.
    failed: u64,
}

/// A verb that waits for the disk.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// As the controller has it.
    pub saving: Saving,
    /// Of the verbs that have changed something, the last one that it waits for.
    pub said: u64,
    /// When it was taken.
    pub since: Time,
}

impl Model {
    /// Whether the state file holds what the operator has said.
    pub fn is_saved(&self) -> bool {
        self.keep.file.as_ref().is_some_and(|s| self.holds(s))
    }

    /// The same of what the disk has been given.
    pub fn is_being_saved(&self) -> bool {
        self.keep.writing.as_ref().is_some_and(|s| self.holds(s))
    }

    fn holds(&self, saved: &Saved) -> bool {
        let hand = |m: &Mind| (m.config.address, m.disabled, m.paused, m.drain, m.muted);
        let minds = saved.minds.iter().map(|(n, (m, _))| (n, hand(m)));
        minds.eq(self.minds.iter().map(|(n, m)| (n, hand(m))))
            && saved.overrides.iter().map(|(p, (w, _))| (p, w)).eq(&self.overrides)
    }

    /// The disk is given all that is known by now.
    pub(super) fn saving(&mut self) -> Result<(), Broken> {
        let configured = |(f, p, b): &Place| {
            let front = self.config()?.frontends.get(f)?;
            front.pools.iter().find(|x| x.name == *p)?.backends.get(b).copied()
        };
        let overrides = self.overrides.iter();
        let overrides = overrides.filter_map(|(p, w)| Some((p.clone(), (*w, configured(p)?)))).collect();
        let minds = self.minds.iter().map(|(n, m)| (n.clone(), (m.clone(), self.was(n)))).collect();
        let before = self.keep.writing.replace(Saved { minds, overrides, said: self.keep.said });
        match before {
            None => Ok(()),
            Some(_) => broken("one write is under way at most", "another has begun".to_owned()),
        }
    }

    /// The disk has answered.
    pub fn wrote(&mut self, ok: bool) {
        let Some(given) = self.keep.writing.take() else { return };
        if ok {
            self.keep.file = Some(given);
        } else {
            self.keep.failed = self.keep.failed.max(given.said);
        }
    }

    /// Whether one who waits may be told this now; true: it was told.
    ///
    /// # Errors
    /// It may not, or has not been told in time.
    pub fn told(
        &self,
        w: &Waiting,
        now: Time,
        turned: bool,
        told: Option<&Result<(), String>>,
    ) -> Result<bool, Broken> {
        let (is, rule) =
            (now.since(w.since), "a verb answers when its word is on the disk, or after a second");
        match told {
            Some(Ok(())) if self.keep.file.as_ref().is_none_or(|s| s.said < w.said) => {
                broken(rule, format!("that of {:?} is told to be saved, and is not", w.since))
            }
            Some(Err(why)) if is < PATIENCE && self.keep.failed < w.said => {
                broken(rule, format!("that of {:?} is told after {is:?}: {why}", w.since))
            }
            // A main thread that stood still cannot do it in time.
            Some(_) if is > PATIENCE + GRID && turned => {
                broken(rule, format!("that of {:?} is told after {is:?}", w.since))
            }
            Some(_) => Ok(true),
            None if is >= PATIENCE + GRID => {
                broken(rule, format!("that of {:?} still waits after {is:?}", w.since))
            }
            None => Ok(false),
        }
    }
}

/// A verb was carried out, and has changed something or not: what it waits for.
///
/// # Errors
/// Nothing, and its word is not saved.
pub fn waits(
    c: &mut Controller,
    model: &mut Model,
    now: Now,
    changed: bool,
) -> Result<Option<Waiting>, Broken> {
    model.keep.said += u64::from(changed);
    let said = model.keep.said;
    match c.saving(now) {
        Some(saving) => Ok(Some(Waiting { saving, said, since: now.mono })),
        None if model.is_saved() => Ok(None),
        None => broken(
            "a verb answers when its word is on the disk, or after a second",
            "it waits for nothing".into(),
        ),
    }
}
