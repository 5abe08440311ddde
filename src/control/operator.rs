//! What an operator can ask of the control plane: the interface between [`crate::cli`] and [`crate::control`].

use std::net::IpAddr;

use super::state::Saving;
use super::view::{
    BackendView, ConfigView, CountersView, EventsView, FlowView, FrontendView, HealthcheckView, LbView,
    ProbeView, StatusView, SyncView, VersionView,
};

/// A verb on one backend (`set backend`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendVerb {
    /// Out of `disabled`.
    Enable,
    /// Into `disabled`: weight 0 and flush.
    Disable,
    /// Into `paused`: weight 0, no probes.
    Pause,
    /// Out of `paused`.
    Resume,
    /// Weight 0, flows kept, checks run.
    Drain,
    /// Out of `drain`.
    Ready,
    /// Up, the counter at its maximum; checks count on from there.
    HealthUp,
    /// Down, the counter at 0; checks count on from there.
    HealthDown,
    /// Up, but with no new flows until the next pass.
    HealthStopping,
    /// The agent is not asked, and nothing it said counts.
    AgentMute,
    /// The agent is asked again.
    AgentUnmute,
}

impl BackendVerb {
    /// All of them, in the order of the binary API.
    pub const ALL: [BackendVerb; 11] = [
        BackendVerb::Enable,
        BackendVerb::Disable,
        BackendVerb::Pause,
        BackendVerb::Resume,
        BackendVerb::Drain,
        BackendVerb::Ready,
        BackendVerb::HealthUp,
        BackendVerb::HealthDown,
        BackendVerb::HealthStopping,
        BackendVerb::AgentMute,
        BackendVerb::AgentUnmute,
    ];

    /// As typed.
    pub fn as_str(self) -> &'static str {
        match self {
            BackendVerb::Enable => "enable",
            BackendVerb::Disable => "disable",
            BackendVerb::Pause => "pause",
            BackendVerb::Resume => "resume",
            BackendVerb::Drain => "drain",
            BackendVerb::Ready => "ready",
            BackendVerb::HealthUp => "health up",
            BackendVerb::HealthDown => "health down",
            BackendVerb::HealthStopping => "health stopping",
            BackendVerb::AgentMute => "agent mute",
            BackendVerb::AgentUnmute => "agent unmute",
        }
    }
}

/// A verb was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// False: it was so already: the text says so, and that is no error.
    pub changed: bool,
    /// One line for the operator: ``backend `a` disabled``.
    pub text: String,
}

/// Why a command was not carried out. Shown behind `error: `.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerbError {
    /// ``unknown backend `nginx9` (nearest: nginx0, nginx1)``
    #[error("unknown {kind} `{name}`{}", near(.nearest))]
    Unknown {
        /// `backend`, `frontend`, `pool`, `healthcheck`.
        kind: &'static str,
        /// As typed.
        name: String,
        /// At most three, nearest first.
        nearest: Vec<String>,
    },
    /// Makes no sense in the present state; in words.
    #[error("{0}")]
    Refused(String),
    /// `lb` said no.
    #[error("lb: {0}")]
    Lb(#[from] crate::lb::LbError),
}

fn near(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(" (nearest: {})", names.join(", ")) }
}

/// Names an answer that comes later; see [`Operator::take`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What a [`Ticket`] turns into.
#[derive(Clone, Debug, PartialEq)]
pub enum Finished {
    /// Of [`Operator::probe`].
    Probe(ProbeView),
    /// Of [`Operator::sync`].
    Sync(SyncView),
    /// Of [`Operator::config_check`] and [`Operator::config_reload`].
    Config(ConfigView),
}

impl Finished {
    /// Bytes that it takes, about.
    pub fn bytes(&self) -> usize {
        let lines =
            |all: &[String]| all.iter().map(|s| s.len().saturating_add(size_of::<String>())).sum::<usize>();
        let of_its_own = match self {
            Finished::Probe(_) => 0,
            Finished::Sync(v) => lines(&v.failures),
            Finished::Config(v) => lines(&v.errors).saturating_add(lines(&v.warnings)),
        };
        of_its_own.saturating_add(512)
    }
}

/// The control plane, as commands see it. All on one thread; nothing here blocks.
pub trait Operator {
    /// A large configuration is applied little by little; until that is done nothing else may be asked or done, so that all is
    /// of one configuration and not of two.
    fn applying(&self) -> bool;
    /// Brings that to its end at once, for those who cannot wait: it holds VPP's main thread for as long.
    fn finish_reload(&mut self);
    /// Takes what the prober has told and nobody was woken for: to be called before anything is asked or done, so that it is
    /// seen, and older than what is said now.
    fn catch_up(&mut self);
    /// `show status`
    fn status(&self) -> StatusView;
    /// `show version`
    fn version(&self) -> VersionView;
    /// `show config`: the running configuration with defaults filled in, as YAML that loads.
    ///
    /// # Errors
    /// No configuration is loaded.
    fn config_yaml(&self) -> Result<String, VerbError>;
    /// `show frontends`: all, by name.
    fn frontends(&self) -> Vec<FrontendView>;
    /// `show frontends <f>`, with the buckets that `lb` has now (one dump).
    ///
    /// # Errors
    /// The name is unknown.
    fn frontend(&mut self, name: &str) -> Result<FrontendView, VerbError>;
    /// `show backends`: all, by name.
    fn backends(&self) -> Vec<BackendView>;
    /// `show backends <b>`
    ///
    /// # Errors
    /// The name is unknown.
    fn backend(&self, name: &str) -> Result<BackendView, VerbError>;
    /// `show healthchecks`: all, by name.
    fn healthchecks(&self) -> Vec<HealthcheckView>;
    /// `show healthchecks <h>`
    ///
    /// # Errors
    /// The name is unknown.
    fn healthcheck(&self, name: &str) -> Result<HealthcheckView, VerbError>;
    /// `show lb [frontend <f>]`: dumped from `lb` now; all VIPs with their servers, or one.
    ///
    /// # Errors
    /// The name is unknown, or `lb` said no.
    fn lb(&mut self, frontend: Option<&str>) -> Result<LbView, VerbError>;
    /// `show events [last <n>]`: the ring, or its last so many.
    fn events(&self, last: Option<usize>) -> EventsView;
    /// `show counters`, with what `lb` counts now; where it does not tell, the view says why.
    fn counters(&mut self) -> CountersView;
    /// `show flow <f> <source> <source port> [<destination port>]`: the server that a new flow gets, computed from
    /// the weights that `lb` has now. The destination port is the VIP's own, and needed for all-port VIPs alone.
    ///
    /// # Errors
    /// The name is unknown, the address of the wrong family, or the VIP not programmed.
    fn flow(
        &mut self,
        frontend: &str,
        source: IpAddr,
        port: u16,
        destination_port: Option<u16>,
    ) -> Result<FlowView, VerbError>;
    /// `set backend <b> <verb>`
    ///
    /// # Errors
    /// The name is unknown, or the verb refused.
    fn set_backend(&mut self, name: &str, verb: BackendVerb) -> Result<Done, VerbError>;
    /// `set frontend <f> pool <p> backend <b> weight <n>|default [flush]`; `None` is `default`.
    ///
    /// # Errors
    /// A name is unknown. (The caller has checked 0–100.)
    fn set_weight(
        &mut self,
        frontend: &str,
        pool: &str,
        backend: &str,
        weight: Option<u8>,
        flush: bool,
    ) -> Result<Done, VerbError>;
    /// `flush frontend <f>`: `lb`'s flow table of that VIP.
    ///
    /// # Errors
    /// The name is unknown, the VIP not programmed, or `lb` said no.
    fn flush(&mut self, frontend: &str) -> Result<Done, VerbError>;
    /// `probe backend <b>`: once, now.
    ///
    /// # Errors
    /// The name is unknown, or the backend has no healthcheck or is not probed now.
    fn probe(&mut self, backend: &str) -> Result<Ticket, VerbError>;
    /// `sync [frontend <f>]`
    ///
    /// # Errors
    /// The name is unknown, or nothing can be programmed.
    fn sync(&mut self, frontend: Option<&str>) -> Result<Ticket, VerbError>;
    /// `config check [<path>]`: the default is the running path.
    ///
    /// # Errors
    /// Another check or reload is under way.
    fn config_check(&mut self, path: Option<&str>) -> Result<Ticket, VerbError>;
    /// `config reload [force]`: without `force` a file that would take most of what there is out of service changes
    /// nothing.
    ///
    /// # Errors
    /// Another check or reload is under way.
    fn config_reload(&mut self, force: bool) -> Result<Ticket, VerbError>;
    /// The answer behind a ticket, once; none while it is not there. An answer that nobody takes is dropped after
    /// a minute.
    fn take(&mut self, ticket: Ticket) -> Option<Finished>;
    /// Whether `lb` holds what the verbs so far have set off, or cannot be brought to (it refused, it is missing, all is
    /// frozen).
    fn settled(&self) -> bool;
    /// What of that is not in `lb` yet, since when and why: a few lines for a caller that stops waiting; empty: nothing, or it cannot
    /// be told.
    fn lacking(&self) -> Vec<String> {
        Vec::new()
    }
    /// What a verb that was just carried out has to wait for until its word is in the state file; none: nothing.
    fn saving(&mut self) -> Option<Saving> {
        None
    }
    /// Whether that has come about, or why not; none: not yet. It takes a second at most.
    fn saved(&self, _: Saving) -> Option<Result<(), String>> {
        Some(Ok(()))
    }
    /// Names for completion and for "nearest".
    fn names(&self, kind: NameKind) -> Vec<String>;
}

/// Whose names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum NameKind {
    Backend,
    Frontend,
    Healthcheck,
}
