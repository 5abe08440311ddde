//! The object by which VPP's loader knows a plugin.
//!
//! In Rust, since rustc hides the C symbols of a `cdylib`, and VPP finds it by name. Nothing else may be in its
//! section: VPP reads the section's first bytes from the file, before it loads the plugin.

use std::ffi::c_char;
use std::ptr;

use super::shim::maglev_plugin_registration_t;

/// Shared with C's threads as it is: nobody writes to it.
#[repr(transparent)]
pub struct Registration(maglev_plugin_registration_t);

// SAFETY: never written to; its pointers are to constants.
unsafe impl Sync for Registration {}

/// Loaded by default; only by the VPP that it was built for (`version_required`).
// SAFETY: VPP's loader looks for this very name; nothing else is called so.
#[unsafe(no_mangle)]
// SAFETY: VPP's loader reads this section as one such object, and there is one.
#[unsafe(link_section = ".vlib_plugin_registration")]
#[used]
#[allow(non_upper_case_globals)]
pub static vlib_plugin_registration: Registration = Registration(maglev_plugin_registration_t {
    flags: 0,
    version: fixed(env!("CARGO_PKG_VERSION")),
    version_required: fixed(env!("MAGLEV_VPP_REQUIRED")),
    overrides: [0; 256],
    early_init: ptr::null(),
    description: c"Health-checked Maglev load balancing".as_ptr(),
    load_after: ptr::null_mut(),
});

/// A text in a fixed array that ends in NUL. Too long a one does not compile.
const fn fixed<const N: usize>(text: &str) -> [c_char; N] {
    let mut out = [0; N];
    let mut rest = text.as_bytes();
    let mut i = 0;
    assert!(text.len() < N, "a version string is too long for VPP's registration");
    while let [first, more @ ..] = rest {
        #[allow(clippy::indexing_slicing, reason = "i < text.len() < N; get_mut is not const here")]
        {
            out[i] = first.cast_signed();
        }
        rest = more;
        i += 1;
    }
    out
}
