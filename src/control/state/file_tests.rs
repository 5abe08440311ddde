use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;
use crate::control::state::snapshot::SavedBackend;
use crate::health::State;

fn snapshot(name: &str) -> Snapshot {
    let b = SavedBackend {
        name: name.into(),
        address: "10.0.0.1".parse().unwrap(),
        enabled: true,
        state: State::Up,
        words: crate::control::state::snapshot::SavedWords::default(),
        history: Vec::new(),
    };
    Snapshot { backends: vec![b.into()], weights: Vec::new() }
}

/// A folder and a place for a file in it.
fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    (folder, path)
}

fn names(folder: &Path) -> Vec<String> {
    let mut all: Vec<_> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    all.sort();
    all
}

#[test]
fn what_is_written_is_read_and_nobody_else_may() {
    let (folder, path) = place();
    let mut store = Store::new(path.clone());
    assert_eq!(store.read(), Found::default(), "no file is no problem");
    for name in ["a", "b"] {
        store.write(&snapshot(name)).unwrap();
        assert_eq!(store.read(), Found { snapshot: Some(snapshot(name)), problem: None });
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(names(folder.path()), ["state.json"]);
}

#[test]
fn one_that_was_killed_while_it_wrote_leaves_the_old_file() {
    let (folder, path) = place();
    let mut store = Store::new(path.clone());
    store.write(&snapshot("a")).unwrap();
    fs::write(folder.path().join("state.json.new"), "{\"format\":").unwrap();
    assert_eq!(store.read().snapshot, Some(snapshot("a")));
    store.write(&snapshot("b")).unwrap();
    assert_eq!(store.read().snapshot, Some(snapshot("b")));
    assert_eq!(names(folder.path()), ["state.json"]);
}

#[test]
fn a_bad_file_is_set_aside_once_and_the_next_is_written() {
    let (folder, path) = place();
    let good = String::from_utf8(snapshot("a").encode().unwrap()).unwrap();
    let rows = [
        ("damaged", String::new()),
        ("damaged", good[..good.len() / 2].to_owned()),
        ("checksum", good.replace("\"a\"", "\"b\"")),
        ("version 9", good.replace("\"version\":1", "\"version\":9")),
        ("not a state file", "{\"nginx\":1}".to_owned()),
        ("damaged", "maglev:\n  backends: {}\n".to_owned()),
    ];
    for (word, text) in rows {
        fs::write(&path, &text).unwrap();
        let mut store = Store::new(path.clone());
        let found = store.read();
        assert_eq!(found.snapshot, None);
        let problem = found.problem.unwrap();
        assert!(problem.contains(word) && problem.contains("set aside as"), "{problem}");
        assert_eq!(fs::read_to_string(folder.path().join("state.json.bad")).unwrap(), text);
        assert_eq!(names(folder.path()), ["state.json.bad"], "one, and the newest");
        store.write(&snapshot("c")).unwrap();
        assert_eq!(store.read().snapshot, Some(snapshot("c")));
    }
}

#[test]
fn a_bad_file_that_cannot_be_set_aside_is_not_replaced() {
    let (folder, path) = place();
    let bad = folder.path().join("state.json.bad");
    fs::create_dir_all(bad.join("x")).unwrap();
    fs::write(&path, "from a later version").unwrap();
    let mut store = Store::new(path.clone());
    let problem = store.read().problem.unwrap();
    assert!(problem.contains("cannot be set aside"), "{problem}");
    assert!(store.write(&snapshot("a")).is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), "from a later version");
    fs::remove_dir_all(&bad).unwrap();
    store.write(&snapshot("a")).unwrap();
    assert_eq!(fs::read_to_string(&bad).unwrap(), "from a later version");
    assert_eq!(store.read().snapshot, Some(snapshot("a")));
}

#[test]
fn links_and_odd_files_are_neither_read_nor_replaced() {
    let (folder, path) = place();
    let target = folder.path().join("target");
    Store::new(target.clone()).write(&snapshot("t")).unwrap();
    let before = fs::read(&target).unwrap();
    let socket = |p: &Path| drop(std::os::unix::net::UnixListener::bind(p).unwrap());
    let pipe = |p: &Path| {
        rustix::fs::mknodat(rustix::fs::CWD, p, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    };
    type Make<'a> = &'a dyn Fn(&Path);
    let rows: [(Make<'_>, &str); 5] = [
        (&|p| symlink(&target, p).unwrap(), "symbolic link"),
        (&|p| symlink("nowhere", p).unwrap(), "symbolic link"),
        (&|p| fs::create_dir(p).unwrap(), "not a regular file"),
        (&pipe, "not a regular file"),
        (&socket, "not a regular file"),
    ];
    for (make, word) in rows {
        make(&path);
        let inode = fs::symlink_metadata(&path).unwrap().ino();
        let mut store = Store::new(path.clone());
        let found = store.read();
        assert_eq!(found.snapshot, None);
        assert!(found.problem.as_ref().unwrap().contains(word), "{found:?}");
        let why = store.write(&snapshot("a")).unwrap_err();
        assert!(why.contains(word), "{why}");
        assert_eq!(fs::symlink_metadata(&path).unwrap().ino(), inode, "{word}");
        assert_eq!(names(folder.path()), ["state.json", "target"]);
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
    }
    assert_eq!(fs::read(&target).unwrap(), before);
    // A link in the place of the unfinished file is not followed either.
    symlink(&target, folder.path().join("state.json.new")).unwrap();
    Store::new(path.clone()).write(&snapshot("a")).unwrap();
    assert_eq!(fs::read(&target).unwrap(), before);
}

#[test]
fn the_last_folder_of_the_path_is_made_the_others_are_not() {
    let (folder, _) = place();
    let mut store = Store::new(folder.path().join("new/state.json"));
    assert_eq!(store.read(), Found::default());
    store.write(&snapshot("a")).unwrap();
    assert_eq!(store.read().snapshot, Some(snapshot("a")));
    let mut store = Store::new(folder.path().join("missing/folder/state.json"));
    assert_eq!(store.read(), Found::default());
    let why = store.write(&snapshot("a")).unwrap_err();
    assert!(why.ends_with("missing/folder: no such folder"), "{why}");
    let mut store = Store::new(folder.path().join("new/state.json/state.json"));
    assert!(store.read().problem.is_some_and(|w| w.contains("not a directory")));
    assert!(store.write(&snapshot("a")).is_err());
    for odd in ["/", "..", ""] {
        let mut store = Store::new(odd.into());
        assert!(store.read().problem.is_some_and(|w| w.contains("not the name of a file")), "{odd:?}");
        assert!(store.write(&snapshot("a")).is_err(), "{odd:?}");
    }
}

#[test]
fn what_is_too_long_is_not_read_to_its_end() {
    let (folder, path) = place();
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    let problem = Store::new(path.clone()).read().problem.unwrap();
    assert!(problem.contains("longer than 64 MiB"), "{problem}");
    assert_eq!(names(folder.path()), ["state.json.bad"]);
}
