//! Text from C.

use std::ffi::{CStr, c_char};

/// A C string; empty for a null pointer, and with U+FFFD for what is not UTF-8.
///
/// # Safety
/// `text` is null or points to a string that ends in NUL and stays as it is for as long as this runs.
pub(super) unsafe fn from_c(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, and a C string, as the caller promises.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_string_lossy().into_owned()
}

/// A pointer and a length; empty for a null pointer, and with U+FFFD for what is not UTF-8.
///
/// # Safety
/// `text` is null or points to `length` bytes that stay as they are for as long as this runs.
pub(crate) unsafe fn from_parts(text: *const c_char, length: u64) -> String {
    let Ok(length) = usize::try_from(length) else { return String::new() };
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, and so many bytes, as the caller promises.
    let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), length) };
    String::from_utf8_lossy(bytes).into_owned()
}

/// A C array of numbers; empty for a null pointer.
///
/// # Safety
/// `numbers` is null or points to `count` numbers that stay as they are for as long as this runs.
pub(super) unsafe fn numbers(numbers: *const u32, count: u32) -> Vec<usize> {
    let Ok(count) = usize::try_from(count) else { return Vec::new() };
    if numbers.is_null() {
        return Vec::new();
    }
    // SAFETY: not null, and so many numbers, as the caller promises.
    let numbers = unsafe { std::slice::from_raw_parts(numbers, count) };
    numbers.iter().filter_map(|n| usize::try_from(*n).ok()).collect()
}
