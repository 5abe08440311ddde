//! A rule that does not hold.

/// Which, and how it was seen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {what}")]
pub struct Broken {
    /// The rule, in a few words.
    pub rule: &'static str,
    /// What was seen.
    pub what: String,
}

/// The rule does not hold.
///
/// # Errors
/// Always.
pub fn broken<T>(rule: &'static str, what: String) -> Result<T, Broken> {
    Err(Broken { rule, what })
}
