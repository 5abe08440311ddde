//! What the engine makes of a configuration file that was read: the answer to who asked for it, and a reload in slices.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::applying::Applying;
use super::engine::Engine;
use super::loader::{Loaded, Purpose};
use super::operator::{Finished, Ticket, VerbError};
use super::view::ConfigView;
use crate::clock;
use crate::config::Config;
use crate::time::Now;

/// A configuration is applied for so long in one turn, about.
const SLICE: Duration = Duration::from_micros(500);
/// Steps of it between two looks at the clock.
const STEPS: usize = 16;

/// A configuration that is being applied, and the answer that it will be.
pub(super) struct Underway {
    pub(super) applying: Applying,
    view: ConfigView,
    ticket: Option<Ticket>,
}

impl Engine {
    /// Has a file read, unless one is on its way.
    ///
    /// # Errors
    /// That.
    pub(super) fn load(&mut self, path: PathBuf, purpose: Purpose) -> Result<(), VerbError> {
        if self.loading {
            return Err(VerbError::Refused("another load is under way; try again".into()));
        }
        self.loading = true;
        // Of a file that is only checked nothing is taken out of service, and at the start there is nothing.
        let running = match purpose {
            Purpose::Start | Purpose::Check(_) | Purpose::Reload(_, true) => None,
            Purpose::Reload(_, false) => self.controller.config().cloned(),
        };
        self.loader.request(path, purpose, running);
        Ok(())
    }

    pub(super) fn loaded(&mut self, now: Now, loaded: Loaded) {
        let path = loaded.path.display().to_string();
        let ticket = match loaded.purpose {
            Purpose::Start => None,
            Purpose::Check(t) | Purpose::Reload(t, _) => Some(t),
        };
        let apply = !matches!(loaded.purpose, Purpose::Check(_));
        let mut view = ConfigView {
            path: path.clone(),
            ok: loaded.result.is_ok(),
            applied: false,
            errors: Vec::new(),
            warnings: Vec::new(),
            summary: String::new(),
        };
        match loaded.result {
            Ok((config, warnings)) => {
                view.warnings.clone_from(&warnings);
                let fits = self.fits(&config);
                let refused = match (apply, &fits) {
                    (true, Err(why)) => Some(format!("{path}: {why}")),
                    _ if loaded.loss.is_large() => Some(format!(
                        "{path}: it would take {} out of service; if that is meant: `config reload force`",
                        loaded.loss
                    )),
                    _ => None,
                };
                if let Some(why) = refused {
                    view.ok = false;
                    view.errors = vec![why.clone()];
                    self.controller.config_failed(&path, vec![why]);
                    self.loader.free(config.into());
                } else if apply {
                    let applying = self.controller.begin_apply(now, config, &path, warnings);
                    self.applying = Some(Underway { applying, view, ticket });
                    return;
                } else {
                    // It may fit another VPP.
                    view.warnings.extend(fits.err().map(|why| format!("{path}: {why}")));
                    view.summary = format!(
                        "{} healthchecks, {} backends, {} frontends",
                        config.healthchecks.len(),
                        config.backends.len(),
                        config.frontends.len()
                    );
                    self.loader.free(config.into());
                }
            }
            Err(errors) => {
                view.errors.clone_from(&errors);
                if apply {
                    self.controller.config_failed(&path, errors);
                }
            }
        }
        self.answer_load(now, view, ticket);
    }

    /// Whether `lb` has memory for the tables of a configuration.
    fn fits(&mut self, config: &Config) -> Result<(), String> {
        if self.lb.unavailable().is_some() {
            return Ok(());
        }
        let Some(heap) = self.lb.heap() else { return Ok(()) };
        let need = self.controller.programmer.need(
            config,
            self.controller.config().map(Arc::as_ref),
            self.lb.threads(),
        );
        need.fits(&heap)
    }

    fn answer_load(&mut self, now: Now, view: ConfigView, ticket: Option<Ticket>) {
        self.loading = false;
        if let Some(t) = ticket {
            self.controller.finish(now, t, Finished::Config(view));
        }
    }

    /// Goes on with a configuration that is being applied, if there is one. False: there is more to do.
    pub(super) fn apply_on(&mut self) -> bool {
        let begun = clock::mono();
        while self.applying.is_some() {
            self.apply_steps();
            if clock::mono().since(begun) >= SLICE {
                break;
            }
        }
        self.flush_out();
        self.applying.is_none()
    }

    pub(super) fn finish_apply(&mut self) {
        // Ends: a configuration has so many steps, and each turn of the loop takes some.
        while self.applying.is_some() {
            self.apply_steps();
        }
        self.flush_out();
    }

    fn apply_steps(&mut self) {
        let Some(u) = &mut self.applying else { return };
        let Some(applied) = (0..STEPS).find_map(|_| self.controller.apply_step(&mut u.applying)) else {
            return;
        };
        self.loader.free(applied.retired);
        if let Some(Underway { applying: _, mut view, ticket }) = self.applying.take() {
            (view.applied, view.summary) = (true, applied.summary.to_string());
            self.answer_load(clock::now(), view, ticket);
        }
    }
}
