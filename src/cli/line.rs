//! From a line to words.

/// The longest line that is looked at, in bytes.
pub const MAX_LINE: usize = 4096;

/// A word of the user's, short enough to be quoted in an answer.
pub(super) fn quoted(word: &str) -> String {
    const MOST: usize = 70;
    if word.chars().count() <= MOST {
        return format!("`{word}`");
    }
    let start: String = word.chars().take(MOST).collect();
    format!("`{start}...`")
}

/// The words of a line, with `maglev` in front and behind `show` taken off.
///
/// Blanks, tabs and line ends separate words. Names and keywords are printable ASCII, so anything else is an
/// error, told by its column.
pub(super) fn words(line: &str) -> Result<Vec<&str>, String> {
    if line.len() > MAX_LINE {
        return Err(format!("the line is {} bytes long, the limit is {MAX_LINE}", line.len()));
    }
    // A telnet client ends its lines with CR NUL or CR LF.
    let line = line.trim_end_matches(['\0', '\r', '\n']);
    for (column, c) in line.chars().enumerate() {
        if !(c == '\t' || c == ' ' || c.is_ascii_graphic()) {
            return Err(format!(
                "column {} is `{}`, which is not printable ASCII",
                column.saturating_add(1),
                c.escape_default()
            ));
        }
    }
    let mut words: Vec<&str> = line.split_ascii_whitespace().collect();
    // No command and nothing to show begins with an `m`, so VPP's shortening of `maglev` is unambiguous here too.
    let is_maglev = |w: Option<&&str>| w.is_some_and(|w| "maglev".starts_with(w));
    if is_maglev(words.first()) {
        words.remove(0);
    } else if words.first().is_some_and(|w| "show".starts_with(w) && w.len() > 1) && is_maglev(words.get(1)) {
        words.remove(1);
    }
    Ok(words)
}
