//! VPP's log, class `maglev`.

use super::shim::{self, maglev_log_level_t as level};
use super::token::MainThread;
use crate::control::LogLevel;

/// The longest line in bytes: VPP keeps the last lines in its heap, and an operator sets how many.
const LONGEST: usize = 2048;

/// One line; cut at the first line break, since VPP's log takes whole lines, and at [`LONGEST`] bytes.
pub(super) fn line(_main: MainThread, at: LogLevel, text: &str) {
    let at = match at {
        LogLevel::Debug => level::MAGLEV_LOG_DEBUG,
        LogLevel::Info => level::MAGLEV_LOG_INFO,
        LogLevel::Notice => level::MAGLEV_LOG_NOTICE,
        LogLevel::Warning => level::MAGLEV_LOG_WARNING,
        LogLevel::Error => level::MAGLEV_LOG_ERROR,
    };
    let text = text.lines().next().unwrap_or_default();
    let text = text.get(..text.floor_char_boundary(LONGEST)).unwrap_or_default();
    // SAFETY: on the main thread, as the token says; pointer and length are of one live str, which C copies.
    unsafe { shim::maglev_shim_log(at, text.as_ptr().cast(), text.len() as u64) }
}
