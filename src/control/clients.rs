//! How the clients of the binary API do: those that do not read are told of as a problem.

use std::time::Duration;

use super::engine::Engine;
use super::view::ApiClientsView;
use crate::time::{Now, Time};

/// The problem's kind.
const KIND: &str = "api-clients";
/// It ends when nothing was lost for so long.
const QUIET: Duration = Duration::from_secs(60);

/// What was last told.
#[derive(Debug, Default)]
pub(super) struct Clients {
    /// None: there is no binary API here.
    pub(super) view: Option<ApiClientsView>,
    /// When something was lost last, while the problem is open.
    lost_at: Option<Time>,
}

impl Engine {
    /// The counts are these now.
    pub fn api_clients(&mut self, now: Now, view: ApiClientsView) {
        self.budgets.api_clients.set(usize::try_from(view.unread_bytes).unwrap_or(usize::MAX));
        let before = self.clients.view.replace(view).unwrap_or_default();
        if view.events_lost > before.events_lost || view.replies_dropped > before.replies_dropped {
            self.clients.lost_at = Some(now.mono);
            let text = format!(
                "a client of the binary API does not read what it asked for: {} events lost and {} replies dropped so far",
                view.events_lost, view.replies_dropped
            );
            self.controller.problem(now, KIND, Some(text));
        }
    }

    /// Ends the problem in time.
    pub(super) fn watch_api_clients(&mut self, now: Now) {
        if self.clients.lost_at.is_some_and(|at| now.mono.since(at) >= QUIET) {
            self.clients.lost_at = None;
            self.controller.problem(now, KIND, None);
        }
    }
}
