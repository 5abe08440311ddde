//! Plain text in 80 columns: tables, wrapped lines, name and value.

/// Columns of a terminal that must suffice.
pub(super) const WIDTH: usize = 80;

const GAP: usize = 2;

/// Text without what moves a terminal's cursor, keeping line ends: control and bidirectional characters are escaped.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let hidden = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if (c.is_control() && c != '\n') || hidden {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Columns that a text takes at most: a character that is not ASCII may take two.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum()
}

/// `text` on as many lines as it takes, the first indented by `first`, the others by `next`; broken at blanks, and
/// within words that are longer than a line. Ends with LF.
pub(super) fn wrap(text: &str, first: usize, next: usize) -> String {
    let mut out = " ".repeat(first);
    let mut column = first;
    let mut fresh = true;
    for word in clean(text).replace('\n', " ").split(' ') {
        let w = width(word);
        if !fresh && column.saturating_add(1).saturating_add(w) > WIDTH {
            out.truncate(out.trim_end_matches(' ').len());
            new_line(&mut out, &mut column, next);
            fresh = true;
        }
        if fresh && word.is_empty() && column > first.min(next) {
            continue;
        }
        if !fresh {
            out.push(' ');
            column = column.saturating_add(1);
        }
        for c in word.chars() {
            let cw = if c.is_ascii() { 1 } else { 2 };
            if column.saturating_add(cw) > WIDTH {
                new_line(&mut out, &mut column, next);
            }
            out.push(c);
            column = column.saturating_add(cw);
        }
        fresh = false;
    }
    out.truncate(out.trim_end_matches(' ').len());
    out.push('\n');
    out
}

fn new_line(out: &mut String, column: &mut usize, indent: usize) {
    out.push('\n');
    out.push_str(&" ".repeat(indent));
    *column = indent;
}

/// A name in a column of 18, and its value behind it, wrapped there.
pub(super) fn field(out: &mut String, name: &str, value: impl std::fmt::Display) {
    const COLUMN: usize = 18;
    const { assert!(WIDTH - COLUMN >= 39) }
    let value = value.to_string();
    let value = if value.is_empty() { "-".to_owned() } else { value };
    let wrapped = wrap(&value, COLUMN, COLUMN);
    out.push_str(&format!("{name:<COLUMN$}"));
    out.push_str(wrapped.get(COLUMN..).unwrap_or(&wrapped));
}

/// A column of a table.
pub(super) struct Column {
    /// Its heading.
    pub head: &'static str,
    /// Its least width.
    pub least: usize,
}

/// A heading and one line a row, columns two blanks apart.
///
/// Columns are as wide as their widest cell as long as all fits into 80; beyond that the widest cells get lines of
/// their own (at their column, or as far left of it as they need), and the row goes on below them.
pub(super) fn table(columns: &[Column], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|r| r.iter().map(|c| clean(c)).collect()).collect();
    let widths = widths(columns, &rows);
    let heads: Vec<String> = columns.iter().map(|c| c.head.to_owned()).collect();
    let mut out = row(&heads, &widths);
    for r in &rows {
        out.push_str(&row(r, &widths));
    }
    out
}

fn widths(columns: &[Column], rows: &[Vec<String>]) -> Vec<usize> {
    let mut widths: Vec<usize> = columns.iter().map(|c| c.least.max(c.head.len())).collect();
    let gaps = GAP.saturating_mul(widths.len().saturating_sub(1));
    let mut spare = WIDTH.saturating_sub(widths.iter().sum::<usize>().saturating_add(gaps));
    // Narrow wants first: they are the many that a little room serves.
    let mut wants: Vec<(usize, usize)> = rows
        .iter()
        .flat_map(|r| r.iter().enumerate().map(|(i, c)| (i, width(c))))
        .filter_map(|(i, w)| widths.get(i).and_then(|have| w.checked_sub(*have)).map(|more| (more, i)))
        .filter(|(more, _)| *more > 0)
        .collect();
    let base = widths.clone();
    wants.sort_unstable();
    wants.dedup();
    for (more, i) in wants {
        let (Some(w), Some(b)) = (widths.get_mut(i), base.get(i)) else { continue };
        let grow = b.saturating_add(more).saturating_sub(*w);
        if grow <= spare {
            *w = w.saturating_add(grow);
            spare = spare.saturating_sub(grow);
        }
    }
    widths
}

fn row(cells: &[String], widths: &[usize]) -> String {
    let mut out = String::new();
    let mut column = 0usize;
    let mut start = 0usize;
    for (i, cell) in cells.iter().enumerate() {
        let own = widths.get(i).copied().unwrap_or(0);
        let w = width(cell);
        let last = i.saturating_add(1) == cells.len();
        let fits = if last { start.saturating_add(w) <= WIDTH } else { w <= own };
        if fits {
            out.push_str(&" ".repeat(start.saturating_sub(column)));
            out.push_str(cell);
            column = start.saturating_add(w);
        } else {
            if column > 0 {
                out.push('\n');
            }
            let indent = start.min(WIDTH.saturating_sub(w));
            out.push_str(&wrap(cell, indent, indent));
            column = 0;
        }
        start = start.saturating_add(own).saturating_add(GAP);
    }
    if column > 0 {
        out.push('\n');
    }
    // A row of empty cells at the end leaves blanks.
    let lines: Vec<&str> = out.lines().map(|l| l.trim_end_matches(' ')).collect();
    lines.into_iter().filter(|l| !l.is_empty()).flat_map(|l| [l, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: [Column; 3] = [
        Column { head: "name", least: 6 },
        Column { head: "address", least: 10 },
        Column { head: "state", least: 5 },
    ];

    #[test]
    fn columns_grow_while_all_fits() {
        let text = table(&TWO, &[vec!["abcdefghij".into(), "1".into(), "up".into()]]);
        assert_eq!(text, "name        address     state\nabcdefghij  1           up\n");
    }

    #[test]
    fn a_cell_too_wide_gets_its_own_line_and_the_row_goes_on_below() {
        let long = "a".repeat(70);
        let text = table(
            &TWO,
            &[vec![long.clone(), "1".into(), "up".into()], vec!["b".into(), "2".into(), "down".into()]],
        );
        assert_eq!(
            text,
            format!("name    address     state\n{long}\n        1           up\nb       2           down\n")
        );
    }

    #[test]
    fn a_last_cell_too_wide_moves_left() {
        let long = "a".repeat(78);
        let text = table(&TWO, &[vec!["n".into(), "1".into(), long.clone()]]);
        assert_eq!(text, format!("name    address     state\nn       1\n  {long}\n"));
    }

    #[test]
    fn wrapped_lines_never_exceed_the_width() {
        for len in [1, 79, 80, 81, 200] {
            let text = wrap(&format!("one {} two", "x".repeat(len)), 2, 6);
            assert!(text.lines().all(|l| width(l) <= WIDTH), "{text}");
            assert_eq!(text.replace([' ', '\n'], ""), format!("one{}two", "x".repeat(len)));
        }
    }

    #[test]
    fn clean_escapes_what_moves_a_cursor() {
        assert_eq!(clean("a\x1b[2Jb\u{202e}c\r\nd\u{e9}"), "a\\u{1b}[2Jb\\u{202e}c\\r\nd\u{e9}");
    }

    #[test]
    fn field_shows_a_dash_for_nothing() {
        let mut out = String::new();
        field(&mut out, "reason", "");
        assert_eq!(out, "reason            -\n");
    }
}
