//! From a file or a text to a configuration, or to everything that is wrong with it.

use std::path::{Path, PathBuf};

use super::context::{Context, Map};
use super::issue::{Errors, Issue, Pos};
use super::settled::{Patience, Pause, settled, sleep};
use super::yaml::{self, Body, MAX_INPUT};
use super::{Config, LbConfig, backend, cross, frontend, global_keys, healthcheck};
use crate::budget::Budgets;

/// Transitions that the histories of all backends together may come to have.
const MAX_TRANSITIONS: usize = 2_000_000;

/// A valid configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// Every default filled in.
    pub config: Config,
    /// By position.
    pub warnings: Vec<Issue>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read; why, in words.
    #[error("{}: {reason}", .path.display())]
    Unreadable {
        /// As given.
        path: PathBuf,
        /// The system's words, or that it is too long.
        reason: String,
    },
    /// The text is not YAML, or not valid.
    #[error(transparent)]
    Bad(#[from] Errors),
}

impl LoadError {
    /// True: no YAML could be read. False: it was YAML, but not a valid configuration.
    pub fn not_yaml(&self) -> bool {
        match self {
            LoadError::Unreadable { .. } => true,
            LoadError::Bad(errors) => errors.not_yaml,
        }
    }
}

/// Reads and checks a regular file of at most [`MAX_INPUT`] bytes. Blocks, and needs a stack of the usual size.
///
/// # Errors
/// The file cannot be read, somebody goes on writing it, it is not UTF-8 YAML, or not valid.
pub fn load(path: &Path) -> Result<Parsed, LoadError> {
    parse_bytes(&read(path, Patience::USUAL, &mut sleep)?, &Budgets::default())
}

/// Reads what [`parse_bytes`] takes. `pause` is called while somebody is writing the file.
///
/// # Errors
/// The file cannot be read, or somebody goes on writing it.
pub fn read(path: &Path, patience: Patience, pause: Pause<'_>) -> Result<Vec<u8>, LoadError> {
    settled(path, MAX_INPUT, patience, pause).map_err(|e| {
        let reason = e.words(MAX_INPUT, |e| in_words(&e.into()));
        LoadError::Unreadable { path: path.to_owned(), reason }
    })
}

/// Checks what was read; what is made of it is taken from those budgets.
///
/// # Errors
/// It is not UTF-8 YAML, or not valid, or there is no room.
pub fn parse_bytes(bytes: &[u8], budgets: &Budgets) -> Result<Parsed, LoadError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(parse_within(text, budgets)?),
        Err(e) => {
            let good = bytes.get(..e.valid_up_to()).unwrap_or_default();
            let pos = Pos::after(&String::from_utf8_lossy(good));
            Err(LoadError::Bad(Errors {
                not_yaml: true,
                list: vec![Issue::new(pos, "not UTF-8")],
                warnings: Vec::new(),
            }))
        }
    }
}

/// The system's words without Rust's number behind them.
fn in_words(e: &std::io::Error) -> String {
    let text = e.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// Checks a text. Reports every error in it, not only the first.
///
/// # Errors
/// The text is not YAML, or not valid.
pub fn parse(text: &str) -> Result<Parsed, Errors> {
    parse_within(text, &Budgets::default())
}

/// As [`parse`]; what is made of it is taken from those budgets.
///
/// # Errors
/// As [`parse`], or there is no room.
pub fn parse_within(text: &str, budgets: &Budgets) -> Result<Parsed, Errors> {
    let mut ctx = Context::new(budgets);
    let root = match yaml::read(text, &mut ctx.errors) {
        Ok(root) => root,
        Err(fatal) => {
            // What was found before stands; the tree after it is unknown.
            let mut list = ctx.errors.sorted();
            list.push(fatal);
            list.sort_by_key(|i| (i.line, i.column));
            return Err(Errors { not_yaml: true, list, warnings: Vec::new() });
        }
    };
    let config = match root.as_deref() {
        Some(node) if !node.is_null() => document(&mut ctx, node),
        Some(_) | None => {
            ctx.error(Pos::START, "the file is empty: it must have `maglev:`");
            None
        }
    };
    let warnings = ctx.warnings.sorted();
    match config {
        Some(config) if ctx.errors.is_empty() => Ok(Parsed { config, warnings }),
        Some(_) | None => Err(Errors { not_yaml: false, list: ctx.errors.sorted(), warnings }),
    }
}

fn document(ctx: &mut Context, node: &yaml::Node) -> Option<Config> {
    let Body::Map(entries) = &node.body else {
        ctx.error(node.pos, "the file must be a mapping with the key `maglev`");
        return None;
    };
    let top = Map { pos: node.pos, entries };
    ctx.keys(&top, &["maglev"]);
    let Some(entry) = entries.iter().find(|e| &*e.key == "maglev") else {
        ctx.error(node.pos, "the file lacks the key `maglev`");
        return None;
    };
    // A file that was cut short must not be taken for one that wants nothing.
    if entry.value.is_null() {
        ctx.error(entry.pos, "`maglev` is empty; write `{}` if that is meant");
        return None;
    }
    let map = ctx.map(entry)?;
    for name in ["healthchecks", "backends", "frontends"] {
        if let Some(section) = map.entries.iter().find(|e| &*e.key == name && e.value.is_null()) {
            ctx.error(section.pos, format!("`{name}` is empty; write `{{}}` if that is meant"));
        }
    }
    ctx.keys(&map, &["healthchecker", "vpp", "healthchecks", "backends", "frontends"]);

    let none = Map { pos: map.pos, entries: &[] };
    let healthchecker = match ctx.submap(&map, "healthchecker") {
        Some(section) => global_keys::healthchecker(ctx, &section),
        None => super::Healthchecker::default(),
    };
    let lb = match ctx.submap(&map, "vpp") {
        Some(section) => global_keys::vpp(ctx, &section),
        None => LbConfig::default(),
    };
    let section = ctx.submap(&map, "healthchecks").unwrap_or(none);
    let checks = healthcheck::healthchecks(ctx, &section);
    let section = ctx.submap(&map, "backends").unwrap_or(none);
    let backends = backend::backends(ctx, &section, &checks);
    let transitions = healthchecker.transition_history.saturating_mul(backends.len());
    if transitions > MAX_TRANSITIONS {
        let pos = map.entries.iter().find(|e| &*e.key == "healthchecker").map_or(map.pos, |e| e.pos);
        let (each, all) = (healthchecker.transition_history, backends.len());
        ctx.error(
            pos,
            format!("`transition-history`: {each} for each of {all} backends is more than {MAX_TRANSITIONS} in all"),
        );
    }
    let section = ctx.submap(&map, "frontends").unwrap_or(none);
    let frontends = frontend::frontends(ctx, &section);
    let frontends = cross::check(ctx, &lb, &backends, &frontends);
    Some(Config {
        healthchecker,
        lb,
        healthchecks: checks.into_iter().filter_map(|(n, c)| Some((n, c?))).collect(),
        backends: backends.iter().filter_map(|(n, b)| Some((n.clone(), b.build(n)?.into()))).collect(),
        frontends,
    })
}
