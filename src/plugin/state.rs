//! All that the plugin keeps, owned by the main thread.

use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;

use super::api::Api;
use super::token::MainThread;
use crate::cli::Pending;
use crate::control::engine::Engine;
use crate::control::stats::Picture;

/// Where the plugin is in its life.
pub(super) enum Life {
    /// The process node has not run yet.
    Loaded,
    /// The engine is there.
    Running(Box<Engine>),
    /// It could not be started; why.
    Failed(String),
    /// VPP is about to exit.
    Stopped,
}

/// The one value of the plugin.
pub(super) struct State {
    pub life: Life,
    /// `a panic: …`, the one that froze us.
    pub panicked: Option<String>,
    /// Answers that commands wait for, by ticket.
    pub pending: BTreeMap<u64, Pending>,
    pub last_ticket: u64,
    /// What the binary API keeps.
    pub api: Api,
    /// What the stats segment is being filled from.
    pub picture: Picture,
    /// The next turn is to panic (tests).
    pub panic_in_turn: bool,
}

struct MainCell(RefCell<State>);

// SAFETY: the cell is reached through `borrow` alone, whose token exists on the main thread only.
unsafe impl Sync for MainCell {}

static STATE: MainCell = MainCell(RefCell::new(State {
    life: Life::Loaded,
    panicked: None,
    pending: BTreeMap::new(),
    last_ticket: 0,
    api: Api::new(),
    picture: Picture::EMPTY,
    panic_in_turn: false,
}));

/// The state; none while it is borrowed already, which would be a call back into Rust out of Rust.
pub(super) fn borrow(_main: MainThread) -> Option<RefMut<'static, State>> {
    STATE.0.try_borrow_mut().ok()
}
