//! Files as they are on a disk.

use std::path::Path;

use maglev::config::{LoadError, MAX_INPUT, load};

fn file(content: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    file
}

#[test]
fn a_good_file() {
    let parsed = load(Path::new("tests/config/fixtures/daemon.yaml")).unwrap();
    assert_eq!(parsed.config.frontends.len(), 4);
}

#[test]
fn no_file() {
    let error = load(Path::new("/nonexistent/maglev.yaml")).unwrap_err();
    assert_eq!(error.to_string(), "/nonexistent/maglev.yaml: No such file or directory");
    assert!(error.not_yaml());
    for path in ["/", "/dev/zero"] {
        let error = load(Path::new(path)).unwrap_err();
        assert_eq!(error.to_string(), format!("{path}: not a regular file"));
        assert!(error.not_yaml());
    }
}

#[test]
fn a_file_too_long() {
    let file = file(b"");
    file.as_file().set_len(MAX_INPUT as u64 + 1).unwrap();
    let error = load(file.path()).unwrap_err();
    assert_eq!(error.to_string(), format!("{}: longer than 16 MiB", file.path().display()));
    assert!(error.not_yaml());
}

#[test]
fn a_file_that_may_not_be_read() {
    // A link to itself fails for every user, root included.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("loop.yaml");
    std::os::unix::fs::symlink(&path, &path).unwrap();
    let error = load(&path).unwrap_err();
    assert!(error.to_string().ends_with("loop.yaml: Too many levels of symbolic links"), "{error}");
}

#[test]
fn not_utf8() {
    let file = file(b"maglev:\n  # \xc3\xa9\xff\n");
    let error = load(file.path()).unwrap_err();
    assert_eq!(error.to_string(), "2:6: not UTF-8");
    assert!(error.not_yaml());
}

#[test]
fn not_yaml_and_not_valid_are_told_apart() {
    for (content, not_yaml) in [("maglev: [", true), ("maglev: {a: 1}", false), ("", false)] {
        let file = file(content.as_bytes());
        let error = load(file.path()).unwrap_err();
        assert!(matches!(error, LoadError::Bad(_)));
        assert_eq!(error.not_yaml(), not_yaml, "{content}");
    }
}
