//! A command's answer on its way to C.

use std::ptr;

use super::shim::{maglev_reply_kind_t as kind, maglev_reply_t};
use crate::cli::Reply;

/// What C is told.
pub(super) enum Told {
    /// The answer.
    Done(Reply),
    /// It takes a while; the text is for one who cannot wait.
    Pending { ticket: u64, text: String },
}

impl Told {
    /// An error; `why` is what comes behind `error: `.
    pub(super) fn error(why: &str) -> Told {
        Told::Done(Reply::error(why))
    }

    /// For C, which gives it back to [`free`].
    pub(super) fn encode(self) -> maglev_reply_t {
        let (kind, ticket, text) = match self {
            Told::Done(Reply { ok: true, text }) => (kind::MAGLEV_REPLY_DONE, 0, text),
            Told::Done(Reply { ok: false, text }) => (kind::MAGLEV_REPLY_ERROR, 0, text),
            Told::Pending { ticket, text } => (kind::MAGLEV_REPLY_PENDING, ticket, text),
        };
        let text = text.into_bytes().into_boxed_slice();
        let length = text.len() as u64;
        let text = if text.is_empty() { ptr::null_mut() } else { Box::into_raw(text).cast() };
        maglev_reply_t { kind, ticket, text, length }
    }
}

/// Takes back the text of a reply, and empties it.
///
/// # Safety
/// `reply` came from [`Told::encode`] and was not freed, or is all zero.
pub(super) unsafe fn free(reply: &mut maglev_reply_t) {
    let text = std::mem::replace(&mut reply.text, ptr::null_mut());
    let length = std::mem::replace(&mut reply.length, 0);
    if text.is_null() {
        return;
    }
    let Ok(length) = usize::try_from(length) else { return };
    let text = ptr::slice_from_raw_parts_mut(text.cast::<u8>(), length);
    // SAFETY: `encode` made it of a box of so many bytes, and it was not taken back yet.
    drop(unsafe { Box::from_raw(text) });
}
