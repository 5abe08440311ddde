//! What a panic leaves behind.
//!
//! The standard hook prints a backtrace, which overflows the small stacks of VPP's coroutines and kills VPP. Ours notes
//! the message and no more; the main thread takes it from here and logs it.

use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::threads;

/// More are counted, not kept.
const KEPT: usize = 8;

static NOTED: Mutex<Vec<String>> = Mutex::new(Vec::new());
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// From now on panics of this library are noted, in whatever thread.
pub(super) fn install_hook() {
    panic::set_hook(Box::new(note));
}

fn note(info: &PanicHookInfo<'_>) {
    let what = info.payload_as_str().unwrap_or("a panic without words");
    let place = info.location().map(|l| format!(" ({}:{})", l.file(), l.line())).unwrap_or_default();
    let thread = std::thread::current().name().map(|n| format!("thread {n}: ")).unwrap_or_default();
    COUNT.fetch_add(1, Ordering::Relaxed);
    let mut noted = NOTED.lock();
    if noted.len() < KEPT {
        noted.push(format!("{thread}{what}{place}"));
    }
    drop(noted);
    // Of a thread of ours: the main thread must learn of it.
    threads::wake();
}

/// The panics since the last call, as one line; none when there were none.
pub(super) fn take() -> Option<String> {
    let noted = std::mem::take(&mut *NOTED.lock());
    let count = COUNT.swap(0, Ordering::Relaxed);
    if count == 0 {
        return None;
    }
    let mut line = noted.join("; ").replace(['\n', '\r'], " ");
    if count > noted.len() {
        line.push_str(&format!("; and {} more", count - noted.len()));
    }
    Some(line)
}
