//! Why a backend is what it is: every hand's words, since when, what each frontend makes of it, and what would bring it
//! back.

use super::backends::{Backends, Entry};
use super::controller::Controller;
use super::ended::forced;
use super::frontends;
use super::schedule::Slot;
use super::view::{HandView, MembershipView, TiesView};
use crate::config::PanicMode;
use crate::health::agent::{AgentAdmin, AgentWeight};
use crate::health::{Author, By, State, Vital};

impl Controller {
    /// One line for each word of each hand; a hand without a word has one that says so.
    pub(super) fn hands_view(&self, b: &Entry) -> Vec<HandView> {
        let mut all = vec![self.checks_view(b)];
        all.extend(self.agent_view(b));
        all.extend(operator_view(b));
        if b.config.track.is_some() {
            let inherited = [&b.standing.maint, &b.standing.paused, &b.standing.stopping, &b.standing.drain];
            let words = ["disabled", "paused", "stopping", "drain"];
            let via = words.iter().zip(inherited).filter_map(|(word, by)| match by {
                Some(By::Via(name)) => Some(format!("{word} via {name}")),
                Some(By::Checks | By::Agent | By::Operator | By::Configuration) | None => None,
            });
            let via: Vec<String> = via.collect();
            let says = if via.is_empty() { "no word".to_owned() } else { via.join(", ") };
            all.push(HandView { hand: "inherited", says, since_ms: None, detail: String::new() });
        }
        all
    }

    fn checks_view(&self, b: &Entry) -> HandView {
        let root = self.backends.root(b);
        let (says, detail) = if let Some(name) = &b.config.track {
            let vital = b.standing.vital.as_str();
            (format!("{vital}, as {name}"), format!("tracks {name}: {}", self.shown(name)))
        } else if b.config.is_static() {
            ("none: static".to_owned(), String::new())
        } else if b.by_agent_alone() {
            ("none: the agent alone decides".to_owned(), String::new())
        } else {
            let off = if b.health.checked() { "" } else { ", not running" };
            let last = root.last.as_ref().map(|l| format!("{} {}", l.code.as_str(), l.detail));
            (
                format!("{}{off}", b.health.checks().display()),
                last.unwrap_or_else(|| "no result yet".into()).trim_end().to_owned(),
            )
        };
        HandView { hand: "checks", says, since_ms: None, detail }
    }

    fn shown(&self, name: &str) -> String {
        self.backends.find(name).map(|(_, b)| b.display(&self.backends)).unwrap_or_default()
    }

    fn agent_view(&self, b: &Entry) -> Vec<HandView> {
        if let Some(from) = b.links.share_of.and_then(|s| self.backends.get(s)) {
            let says = match b.agent_weight(&self.backends) {
                Some(weight) => format!("share {weight}"),
                None => "no share".to_owned(),
            };
            let detail = format!("of the agent of {}", from.config.name);
            return vec![HandView { hand: "agent", says, since_ms: None, detail }];
        }
        let (Some(config), Some(side)) = (&b.config.agent, &b.agent) else { return Vec::new() };
        let address = config.address.unwrap_or(b.config.address);
        let at = std::net::SocketAddr::new(address, config.port);
        let mut all = Vec::new();
        if let Some(since) = b.health.operator().muted {
            let says = "muted by the operator".to_owned();
            return vec![HandView { hand: "agent", says, since_ms: Some(since), detail: format!("at {at}") }];
        }
        let words = b.health.agent();
        let spoken = words != crate::health::agent::AgentWords::default();
        all.push(HandView {
            hand: "agent",
            says: if side.heard || spoken { words.to_string() } else { "no reply yet".to_owned() },
            since_ms: spoken.then(|| b.health.agent_since()),
            detail: if side.description.is_empty() {
                format!("at {at}")
            } else {
                format!("at {at}: {}", side.description)
            },
        });
        if let Some((since, n)) = side.failing {
            let last = side.last.as_ref().map(|l| format!("{} {}", l.code.as_str(), l.detail));
            all.push(HandView {
                hand: "agent",
                says: format!("fails, {n} in a row"),
                since_ms: Some(since),
                detail: format!("{}; its words stand", last.unwrap_or_default().trim_end()),
            });
        }
        if !side.unknown.is_empty() {
            let says = format!("unknown words: {}", side.unknown.join(" "));
            all.push(HandView { hand: "agent", says, since_ms: None, detail: String::new() });
        }
        all
    }

    /// Who follows whom.
    pub(super) fn ties_view(&self, b: &Entry) -> TiesView {
        let names = |slots: &[Slot]| {
            let mut all: Vec<String> =
                slots.iter().filter_map(|s| Some(self.backends.get(*s)?.config.name.to_string())).collect();
            all.sort();
            all
        };
        TiesView {
            tracks: b.config.track.as_ref().map(ToString::to_string),
            tracked_by: names(&b.links.trackers),
            agent_track: b.config.agent_track.as_ref().map(ToString::to_string),
            agent_tracked_by: names(&b.links.sharers),
        }
    }

    /// What one frontend makes of a backend, and why.
    pub(super) fn membership_view(
        &self,
        f: &frontends::Entry,
        i: usize,
        b: &Entry,
    ) -> Option<MembershipView> {
        let (seat, share) = (f.seats.get(i)?, f.shares.members.get(i)?);
        let weight = seat.weight(&self.backends);
        let active = seat.pool == f.shares.active;
        let panic = f.shares.alarm.map(|a| a.mode);
        let why = match (b.state(), share.weight) {
            (_, 1..) if panic == Some(PanicMode::FailOpen) => "panic fail-open".to_owned(),
            (_, 1..) if panic == Some(PanicMode::KeepLast) => "panic keep-last".to_owned(),
            (_, 1..) if share.weight < weight => "slow start".to_owned(),
            (_, 1..) => String::new(),
            (_, 0) if let Some(why) = seat.looping(&self.backends) => format!("forwarding loop: {why}"),
            (State::Up, 0) if weight == 0 => "its weight is 0".to_owned(),
            (State::Up, 0) if panic.is_some() => format!("panic {}", panic.map_or("", PanicMode::as_str)),
            (State::Up, 0) if !active => "standby".to_owned(),
            (State::Up, 0) => String::new(),
            (
                State::Unknown
                | State::Down
                | State::Paused
                | State::Disabled
                | State::Removed
                | State::Stopping
                | State::Drain,
                0,
            ) => b.standing.display(),
        };
        Some(MembershipView {
            frontend: f.config.name.to_string(),
            pool: f.pool_name(seat.pool).to_string(),
            pool_active: active,
            weight: seat.set_weight(),
            configured: seat.configured,
            overridden: seat.overridden.is_some(),
            with_agent: weight,
            effective: share.weight,
            why,
        })
    }

    /// Whose word the state is, since when and why, in one line.
    pub(super) fn verdict(&self, b: &Entry) -> String {
        let newest = b.history.newest();
        let why = newest.map(|t| format!("{} {}", t.code, t.detail)).unwrap_or_default();
        let by = match (b.state(), b.standing.by()) {
            (State::Up | State::Unknown, _) if b.config.is_static() => "nobody is asked".to_owned(),
            (State::Up | State::Unknown, _) if b.by_agent_alone() => "by its agent".to_owned(),
            (State::Up | State::Unknown, _) if b.config.track.is_some() => "by what it tracks".to_owned(),
            (_, By::Via(name)) => format!("via {name}"),
            // The newest change of state may be somebody else's.
            (_, by @ (By::Operator | By::Configuration)) => return format!("by the {by}"),
            // Its code says no more than that.
            (_, By::Agent) => {
                let detail = newest.map(|t| t.detail.as_ref()).unwrap_or_default();
                return format!("by its agent: {detail}").trim_end_matches([' ', ':']).to_owned();
            }
            // The newest change of state may be one before that word.
            (_, By::Checks) if let Some(word) = forced(b) => {
                return format!("by the operator: {}", word.as_str());
            }
            (_, By::Checks) => "by its checks".to_owned(),
        };
        format!("{by}: {why}").trim_end_matches([' ', ':']).to_owned()
    }
}

fn operator_view(b: &Entry) -> Vec<HandView> {
    let o = b.health.operator();
    let by = |author: Author| match author {
        Author::Operator => String::new(),
        Author::Configuration => "by the configuration".to_owned(),
    };
    let words = [
        o.disabled.map(|(since, author)| ("disabled", since, by(author))),
        o.paused.map(|since| ("paused", since, String::new())),
        o.drain.map(|since| ("drain", since, String::new())),
    ];
    let mut all: Vec<HandView> = words
        .into_iter()
        .flatten()
        .map(|(word, since, detail)| HandView {
            hand: "operator",
            says: word.to_owned(),
            since_ms: Some(since),
            detail,
        })
        .collect();
    if let Some(word) = forced(b) {
        let detail =
            if b.by_agent_alone() { "until its agent's next reply" } else { "until its checks' next result" };
        all.push(HandView {
            hand: "operator",
            says: word.as_str().to_owned(),
            since_ms: None,
            detail: detail.to_owned(),
        });
    }
    if all.is_empty() {
        let says = "no word".to_owned();
        return vec![HandView { hand: "operator", says, since_ms: None, detail: String::new() }];
    }
    all
}

/// All that stands between a backend and service, in the order of its weight; none: nothing does.
pub(super) fn waits_for(b: &Entry, backends: &Backends) -> Option<String> {
    let all = waits(b, backends);
    (!all.is_empty()).then(|| all.join(", "))
}

fn waits(b: &Entry, backends: &Backends) -> Vec<String> {
    let mut all = Vec::new();
    if b.health.removed() {
        return all;
    }
    let (o, words) = (b.health.operator(), b.health.agent());
    if let Some(why) = backends.looping(b.config.address) {
        all.push(format!("an end of the forwarding loop ({} is {why})", b.config.address));
    }
    if o.disabled.is_some() {
        all.push("operator enable".to_owned());
    }
    if words.admin == Some(AgentAdmin::Maint) {
        all.push("agent ready".to_owned());
    }
    if o.paused.is_some() {
        all.push("operator resume".to_owned());
    }
    if words.is_down() {
        all.push("agent up".to_owned());
    }
    match b.links.tracks.and_then(|s| backends.get(s)) {
        Some(tracked) => {
            // Bounded: tracking has no circles.
            let name = &tracked.config.name;
            let theirs = waits(tracked, backends).into_iter();
            all.extend(theirs.map(|w| if w.contains(": ") { w } else { format!("{name}: {w}") }));
        }
        None => all.extend(checks_wait(b)),
    }
    if o.drain.is_some() {
        all.push("operator ready".to_owned());
    }
    if words.admin == Some(AgentAdmin::Drain) {
        all.push("agent ready".to_owned());
    }
    if matches!(b.agent_weight(backends), Some(AgentWeight::Share(0) | AgentWeight::Absolute(0))) {
        all.push("a weight above 0 from the agent".to_owned());
    }
    all
}

fn checks_wait(b: &Entry) -> Option<String> {
    let checks = b.health.checks();
    if checks.stopping() {
        let ends = if b.by_agent_alone() { "the agent's next reply" } else { "the next pass" };
        return Some(ends.to_owned());
    }
    match checks.vital() {
        Vital::Up => None,
        // Where checks do not run, others have to have their say first.
        // Muted it is up, but for the operator's own word.
        Vital::Unknown | Vital::Down if b.by_agent_alone() && b.health.operator().muted.is_some() => {
            Some("operator health up".to_owned())
        }
        Vital::Unknown | Vital::Down if b.by_agent_alone() => Some("the agent's next reply".to_owned()),
        Vital::Unknown | Vital::Down if b.config.is_static() => None,
        Vital::Unknown if !b.health.checked() => None,
        Vital::Unknown | Vital::Down => {
            let counter = checks.counter();
            match counter.rise().saturating_sub(counter.value()) {
                0 | 1 => Some("1 more pass".to_owned()),
                n => Some(format!("{n} more passes")),
            }
        }
    }
}
