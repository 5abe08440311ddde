//! The binary API, but for its encoding: what each message asks of the [`Operator`], and what it is answered.
//!
//! vpp-plugin/maglev.api has the messages; the numbers here are that file's, which a test compares.
//!
//! [`Operator`]: crate::control::Operator

mod desk;
mod record;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use crate::control::{BackendVerb, Done, LogLevel, Ticket, VerbError};
use crate::lb::LbError;

pub use desk::Desk;
pub use record::{Kind, Record};

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

    fn done(result: Result<Done, VerbError>) -> Answer {
        match result {
            Ok(Done { changed, text }) => Answer { changed, ..Answer::refused(retval::OK, text) },
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
            LbError::Other(_) | LbError::NoAnswer(_) => retval::UNSPECIFIED,
            LbError::NoRoom => retval::LIMIT_EXCEEDED,
            LbError::Unavailable(_) => retval::FEATURE_DISABLED,
        },
    }
}

/// The verb of a `maglev_verb`; none for a number that is none.
pub fn verb(number: u8) -> Option<BackendVerb> {
    BackendVerb::ALL.get(usize::from(number)).copied()
}

/// The `maglev_backend_state` of a state in a view.
pub fn backend_state(state: &str) -> u8 {
    match state.split(' ').next().unwrap_or_default() {
        "up" => 1,
        "down" => 2,
        "paused" => 3,
        "disabled" => 4,
        "removed" => 5,
        "stopping" => 6,
        "drain" => 7,
        _ => 0,
    }
}

/// The `maglev_frontend_state` of a state in a view.
pub fn frontend_state(state: &str) -> u8 {
    match state {
        "up" => 1,
        "down" => 2,
        _ => 0,
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

/// The `maglev_level` of a level.
pub fn level(level: LogLevel) -> u8 {
    match level {
        LogLevel::Debug => 0,
        LogLevel::Info => 1,
        LogLevel::Notice => 2,
        LogLevel::Warning => 3,
        LogLevel::Error => 4,
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

/// An address of a view: whether it is IPv6, and its bytes, IPv4 in the first four.
pub fn address(text: &str) -> (bool, [u8; 16]) {
    let mut bytes = [0; 16];
    match text.parse() {
        Ok(IpAddr::V6(a)) => (true, a.octets()),
        Ok(IpAddr::V4(a)) => {
            for (to, from) in bytes.iter_mut().zip(a.octets()) {
                *to = from;
            }
            (false, bytes)
        }
        Err(_) => (false, bytes),
    }
}

/// A count in a field of 32 bits.
pub fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
