//! A command's answer on its way to C.

use std::ptr;
use std::sync::Arc;

use once_cell::sync::OnceCell;

use super::shim::{maglev_reply_kind_t as kind, maglev_reply_t};
use crate::budget::{Budget, ONE_ANSWER, size};
use crate::cli::Reply;

/// Answers of so many bytes are given whatever others read, and are not counted.
const SMALL: usize = 64 << 10;

/// One who cannot wait is given no more: VPP copies it to its main heap, and into a message of the binary API, whose memory ends
/// VPP where it is full.
const AT_ONCE: usize = 4 << 20;

/// What answers may take together until they are read.
static ANSWERS: OnceCell<Arc<Budget>> = OnceCell::new();

/// Before the first answer that is not small.
pub(super) fn set_budget(answers: Arc<Budget>) {
    // A second one has lost: what was reserved of the first is given back there.
    let _ = ANSWERS.set(answers);
}

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

    /// The same, or an error where it is too long for whoever asked.
    pub(super) fn for_reader(self, may_wait: bool) -> Told {
        let most = if may_wait { ONE_ANSWER } else { AT_ONCE };
        match self {
            Told::Done(reply) if reply.text.len() > most => Told::error(&format!(
                "the answer has {}, more than the {} that can be shown {}; ask for less at a time",
                size(reply.text.len()),
                size(most),
                if may_wait { "at once" } else { "over the binary API or within `exec`" },
            )),
            told @ (Told::Done(_) | Told::Pending { .. }) => told,
        }
    }

    /// For C, which gives it back to [`free`].
    pub(super) fn encode(self) -> maglev_reply_t {
        let (kind, ticket, text) = match self.reserved() {
            Told::Done(Reply { ok: true, text }) => (kind::MAGLEV_REPLY_DONE, 0, text),
            Told::Done(Reply { ok: false, text }) => (kind::MAGLEV_REPLY_ERROR, 0, text),
            Told::Pending { ticket, text } => (kind::MAGLEV_REPLY_PENDING, ticket, text),
        };
        let text = text.into_bytes().into_boxed_slice();
        let length = text.len() as u64;
        let text = if text.is_empty() { ptr::null_mut() } else { Box::into_raw(text).cast() };
        maglev_reply_t { kind, ticket, text, length }
    }

    /// With its part of the budget, or an error instead.
    fn reserved(self) -> Told {
        let (Told::Done(Reply { text, .. }) | Told::Pending { text, .. }) = &self;
        match ANSWERS.get() {
            Some(answers) if text.len() > SMALL => match answers.reserve(text.len()) {
                Some(reservation) => {
                    reservation.leak();
                    self
                }
                None => Told::error(&format!(
                    "answers of {} are still being read, and this one has {}; try again later",
                    size(answers.used()),
                    size(text.len()),
                )),
            },
            Some(_) | None => self,
        }
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
    if length > SMALL
        && let Some(answers) = ANSWERS.get()
    {
        answers.release(length);
    }
}
