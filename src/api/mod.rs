//! The binary API, but for its encoding: what each message asks of the [`Operator`], and what it is answered.
//!
//! vpp-plugin/maglev.api has the messages; the numbers here are that file's, which a test compares.
//!
//! [`Operator`]: crate::control::Operator

mod desk;
mod outbox;
mod record;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use crate::balance::FrontendState;
use crate::config::{CheckKind, CounterKind, HttpCheck, PanicMode};
use crate::control::{BackendVerb, Done, LogLevel, Operator, Ticket, VerbError};
use crate::health::State;
use crate::lb::{Encap, LbError};

pub use desk::Desk;
pub use outbox::Outbox;
pub use record::{Kind, Record, Verdict};

/// Bytes of a name's field, with the NUL that ends it.
pub const NAME_SIZE: usize = 64;
/// The longest path that is looked at, in bytes.
pub const MOST_PATH: usize = 4095;

/// VPP's error numbers (`VNET_API_ERROR_*`).
#[allow(missing_docs)]
pub mod retval {
    pub const OK: i32 = 0;
    pub const UNSPECIFIED: i32 = -1;
    pub const NO_SUCH_ENTRY: i32 = -6;
    pub const INVALID_VALUE: i32 = -7;
    pub const FEATURE_DISABLED: i32 = -30;
    pub const INVALID_MEMORY_SIZE: i32 = -70;
    pub const INVALID_ARGUMENT: i32 = -73;
    pub const RESPONSE_NOT_READY: i32 = -77;
    pub const VALUE_EXIST: i32 = -81;
    pub const INVALID_ADDRESS_FAMILY: i32 = -97;
    pub const INIT_FAILED: i32 = -144;
    pub const LIMIT_EXCEEDED: i32 = -162;
    pub const EAGAIN: i32 = -165;
    pub const BUSY: i32 = -167;
    pub const BUG: i32 = -168;
}

/// What a verb is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// One of [`retval`].
    pub retval: i32,
    /// Something is different now.
    pub changed: bool,
    /// Of the event that carries the result; 0: there will be none.
    pub ticket: u64,
    /// For people.
    pub text: String,
}

impl Answer {
    /// Nothing was done.
    pub fn refused(retval: i32, text: impl Into<String>) -> Answer {
        Answer { retval, changed: false, ticket: 0, text: crate::cli::clean(&text.into()) }
    }

    fn of(error: &VerbError) -> Answer {
        Answer::refused(error_number(error), error.to_string())
    }

    /// A verb that was taken, and what is not in `lb` of what was ordered so far: nobody waits for it here.
    fn done(
        op: &mut dyn Operator,
        verb: impl FnOnce(&mut dyn Operator) -> Result<Done, VerbError>,
    ) -> Answer {
        match verb(op) {
            Ok(Done { changed, mut text }) => {
                if changed {
                    text.extend(op.lacking().iter().map(|line| format!("; not yet in lb: {line}")));
                }
                Answer { changed, ..Answer::refused(retval::OK, text) }
            }
            Err(e) => Answer::of(&e),
        }
    }

    fn started(ticket: Ticket) -> Answer {
        Answer { ticket: ticket.0, ..Answer::refused(retval::OK, "started") }
    }
}

/// VPP's number for an error.
pub fn error_number(error: &VerbError) -> i32 {
    match error {
        VerbError::Unknown { .. } => retval::NO_SUCH_ENTRY,
        VerbError::Refused(_) => retval::BUSY,
        VerbError::Lb(e) => match e {
            LbError::NoSuchEntry => retval::NO_SUCH_ENTRY,
            LbError::ValueExist => retval::VALUE_EXIST,
            LbError::InvalidArgument => retval::INVALID_ARGUMENT,
            LbError::InvalidAddressFamily => retval::INVALID_ADDRESS_FAMILY,
            LbError::InvalidMemorySize => retval::INVALID_MEMORY_SIZE,
            LbError::Other(n) if *n < 0 => *n,
            LbError::Other(_) | LbError::NoAnswer(_) | LbError::Held => retval::UNSPECIFIED,
            LbError::NoRoom => retval::LIMIT_EXCEEDED,
            LbError::Unavailable(_) => retval::FEATURE_DISABLED,
        },
    }
}

/// The verb of a `maglev_verb`; none for a number that is none.
pub fn verb(number: u8) -> Option<BackendVerb> {
    BackendVerb::ALL.get(usize::from(number)).copied()
}

/// The `maglev_backend_state` of a state.
pub fn backend_state(state: State) -> u8 {
    match state {
        State::Unknown => 0,
        State::Up => 1,
        State::Down => 2,
        State::Paused => 3,
        State::Disabled => 4,
        State::Removed => 5,
        State::Stopping => 6,
        State::Drain => 7,
    }
}

/// The `maglev_frontend_state` of a state.
pub fn frontend_state(state: FrontendState) -> u8 {
    match state {
        FrontendState::Unknown => 0,
        FrontendState::Up => 1,
        FrontendState::Down => 2,
    }
}

/// The `maglev_encap` of an encapsulation.
pub fn encap(encap: Encap) -> u8 {
    match encap {
        Encap::Gre4 => 0,
        Encap::Gre6 => 1,
        Encap::L3dsr { .. } => 2,
        Encap::Nat4 { .. } => 3,
        Encap::Nat6 { .. } => 4,
    }
}

/// The `maglev_check_type` of a check.
pub fn check_type(kind: &CheckKind) -> u8 {
    match kind {
        CheckKind::Tcp(_) => 0,
        CheckKind::Http(HttpCheck { tls: None, .. }) => 1,
        CheckKind::Http(HttpCheck { tls: Some(_), .. }) => 2,
        CheckKind::Icmp => 3,
        CheckKind::Udp(_) => 4,
        CheckKind::Dns(_) => 5,
    }
}

/// The `maglev_counter_kind` of a counter.
pub fn counter_kind(kind: CounterKind) -> u8 {
    match kind {
        CounterKind::Linear => 0,
        CounterKind::Haproxy => 1,
    }
}

/// The `maglev_panic_mode` of a frontend.
pub fn panic_mode(mode: Option<PanicMode>) -> u8 {
    match mode {
        None => 0,
        Some(PanicMode::FailOpen) => 1,
        Some(PanicMode::KeepLast) => 2,
    }
}

/// The `maglev_run_state` of a state in `show status`.
pub fn run_state(state: &str) -> u8 {
    match state {
        "running" => 1,
        "frozen" => 3,
        _ => 2,
    }
}

/// The `maglev_level` of a level: VPP's number.
pub fn level(level: LogLevel) -> u8 {
    match level {
        LogLevel::Error => 3,
        LogLevel::Warning => 4,
        LogLevel::Notice => 5,
        LogLevel::Info => 6,
        LogLevel::Debug => 7,
    }
}

/// A text in a field that ends in NUL. What does not fit is left out whole: half a name would be another's.
pub fn fixed<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [0; N];
    if text.len() < N
        && let Some(place) = field.get_mut(..text.len())
    {
        place.copy_from_slice(text.as_bytes());
    }
    field
}

/// A text in a field that ends in NUL, cut where it does not fit; for words alone, never for names.
pub fn cut<const N: usize>(text: &str) -> [u8; N] {
    let mut end = text.len().min(N.saturating_sub(1));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    fixed(text.get(..end).unwrap_or_default())
}

/// An address: whether it is IPv6, and its bytes, IPv4 in the first four.
pub fn address(address: IpAddr) -> (bool, [u8; 16]) {
    match address {
        IpAddr::V6(a) => (true, a.octets()),
        IpAddr::V4(a) => {
            let mut bytes = [0; 16];
            for (to, from) in bytes.iter_mut().zip(a.octets()) {
                *to = from;
            }
            (false, bytes)
        }
    }
}

/// A count in a field of 32 bits.
pub fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
