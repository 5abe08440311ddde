//! The configuration.

use maglev::config::{Errors, Issue, parse, to_yaml};

/// Errors that are kept of one file, with the one that counts the rest.
const MOST: usize = 10_001;

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match parse(text) {
        Ok(parsed) => {
            issues(&parsed.warnings, text);
            let written = to_yaml(&parsed.config);
            let read = parse(&written).unwrap_or_else(|e| panic!("{e}\n{written}"));
            assert_eq!(read.config, parsed.config, "{written}");
            // Whatever needs a warning still does.
            assert_eq!(to_yaml(&read.config), written);
        }
        Err(Errors { list, warnings, .. }) => {
            assert!(!list.is_empty());
            issues(&list, text);
            issues(&warnings, text);
        }
    }
}

/// In order, in the file, each one short line.
fn issues(list: &[Issue], text: &str) {
    assert!(list.len() <= MOST);
    assert!(list.is_sorted_by_key(|i| (i.line, i.column)));
    let lines = text.split(['\n', '\r']).count() + 1;
    for issue in list {
        assert!(issue.line >= 1 && issue.line <= lines && issue.column >= 1, "{issue}");
        assert!(issue.message.len() <= 1024, "{issue}");
        assert!(!issue.message.contains(char::is_control), "{issue:?}");
    }
}
