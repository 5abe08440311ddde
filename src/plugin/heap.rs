//! The plugin's memory, apart from VPP's.
//!
//! VPP takes over `malloc` for its whole process and serves it from its main heap, which has a fixed size and ends VPP
//! where it is full. So all that Rust allocates in the plugin comes from a heap of its own, mapped from the system:
//! mimalloc, which calls no `malloc`, lets no thread wait for another, and keeps what it needs of thread-local storage in the dynamic
//! kind that a library may have which is loaded late. C's side, and what the C library itself allocates (a thread's
//! block of thread-local storage, a folder that is read), stays in VPP's heap.
//!
//! Sanitizers, valgrind and Miri watch the process's own heap: they run without (feature `process-heap`).

use crate::control::view::HeapView;

#[cfg(all(not(feature = "process-heap"), not(miri)))]
mod own {
    use std::ptr;

    use mimalloc::MiMalloc;

    #[global_allocator]
    static HEAP: MiMalloc = MiMalloc;

    /// `mi_option_eager_commit` and `mi_option_arena_eager_commit` (mimalloc.h), for which the bindings have no names.
    const EAGER: [libmimalloc_sys::mi_option_t; 2] = [3, 4];

    /// Else it makes a gigabyte of addresses usable at once, which counts as taken where the system does not overcommit, and
    /// tells nothing of what is used.
    pub(super) fn take_as_needed() {
        for option in EAGER {
            // SAFETY: such options there are, and nothing was allocated yet, as the caller promises.
            unsafe { libmimalloc_sys::mi_option_set(option, 0) };
        }
    }

    /// Bytes that it has from the system now, and had at most.
    pub(super) fn mapped() -> Option<(usize, usize)> {
        let (mut now, mut most) = (0_usize, 0_usize);
        let none = ptr::null_mut();
        // SAFETY: two numbers that live here, and null for each that is not wanted, which it allows.
        unsafe { libmimalloc_sys::mi_process_info(none, none, none, none, none, &mut now, &mut most, none) };
        Some((now, most))
    }
}

#[cfg(any(feature = "process-heap", miri))]
mod own {
    pub(super) fn take_as_needed() {}

    pub(super) fn mapped() -> Option<(usize, usize)> {
        None
    }
}

/// To be called once, on the only thread that there is of ours, before anything is allocated.
pub(super) fn init() {
    own::take_as_needed();
}

/// For `show status`.
pub(super) fn view() -> Option<HeapView> {
    own::mapped().map(|(used, most)| HeapView { used, most })
}
