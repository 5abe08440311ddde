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
fn place_of_store() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    (folder, path)
}

/// But for the lock.
fn names(folder: &Path) -> Vec<String> {
    let mut all: Vec<_> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    all.retain(|n| !n.ends_with(LOCK));
    all.sort();
    all
}

fn found_again(name: &str) -> Found {
    Found { snapshot: Some(snapshot(name)), problem: None, blocked: false }
}

#[test]
fn what_is_written_is_read_and_nobody_else_may() {
    let (folder, path) = place_of_store();
    let mut store = Store::new(path.clone());
    assert_eq!(store.read(), Found::default(), "no file is no problem");
    for name in ["a", "b"] {
        store.write(&snapshot(name)).unwrap();
        assert_eq!(store.read(), found_again(name));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(names(folder.path()), ["state.json"]);
}

#[test]
fn one_that_was_killed_while_it_wrote_leaves_the_old_file() {
    let (folder, path) = place_of_store();
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
    let (folder, path) = place_of_store();
    let good = String::from_utf8(snapshot("a").encode().unwrap()).unwrap();
    let rows = [
        ("damaged", String::new()),
        ("damaged", good[..good.len() / 2].to_owned()),
        ("checksum", good.replace("\"a\"", "\"b\"")),
        ("version 9", good.replace("\"version\":1", "\"version\":9")),
        ("damaged", good.replace("maglev-state", "maglev-stale")),
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
    let (folder, path) = place_of_store();
    let bad = folder.path().join("state.json.bad");
    fs::create_dir_all(bad.join("x")).unwrap();
    let later = "{\"format\":\"maglev-state\",\"version\":2,\"words\":[]}";
    fs::write(&path, later).unwrap();
    let mut store = Store::new(path.clone());
    let problem = store.read().problem.unwrap();
    assert!(problem.contains("cannot be set aside"), "{problem}");
    assert!(store.write(&snapshot("a")).is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), later);
    fs::remove_dir_all(&bad).unwrap();
    store.write(&snapshot("a")).unwrap();
    assert_eq!(fs::read_to_string(&bad).unwrap(), later);
    assert_eq!(store.read().snapshot, Some(snapshot("a")));
}

#[test]
fn links_and_odd_files_are_neither_read_nor_replaced() {
    let (folder, path) = place_of_store();
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
    let (folder, _) = place_of_store();
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
    let (folder, path) = place_of_store();
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    let problem = Store::new(path.clone()).read().problem.unwrap();
    assert!(problem.contains("not a state file"), "{problem}");
    assert_eq!(names(folder.path()), ["state.json"]);
    fs::write(&path, snapshot("a").encode().unwrap()).unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
    let problem = Store::new(path.clone()).read().problem.unwrap();
    assert!(problem.contains("longer than 64 MiB"), "{problem}");
    assert_eq!(names(folder.path()), ["state.json.bad"]);
}

/// Text that is no state file.
const FOREIGN_FILES: [&str; 4] =
    ["maglev:\n  backends: {}\n", "{\"nginx\":1}", "-----BEGIN CERTIFICATE-----\n", "#!/bin/sh\n"];

#[test]
fn a_file_that_is_not_ours_is_neither_moved_nor_replaced() {
    for text in FOREIGN_FILES {
        let (folder, path) = place_of_store();
        fs::write(&path, text).unwrap();
        let inode = fs::metadata(&path).unwrap().ino();
        let mut store = Store::new(path.clone());
        let found = store.read();
        assert!(found.blocked && found.problem.unwrap().contains("not a state file of maglev"));
        for _ in 0..2 {
            let why = store.write(&snapshot("a")).unwrap_err();
            assert!(why.contains("not a state file of maglev: it is left alone"), "{why}");
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
        assert_eq!(names(folder.path()), ["state.json"]);
        // As soon as it is out of the way, words are saved again.
        fs::rename(&path, folder.path().join("mine")).unwrap();
        store.write(&snapshot("a")).unwrap();
        assert_eq!(store.read(), found_again("a"));
    }
}

#[test]
fn a_file_that_takes_the_place_of_ours_later_is_not_replaced() {
    let (folder, path) = place_of_store();
    let mut store = Store::new(path.clone());
    store.write(&snapshot("a")).unwrap();
    // In place: the inode stays.
    fs::write(&path, FOREIGN_FILES[0]).unwrap();
    assert!(store.write(&snapshot("b")).is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), FOREIGN_FILES[0]);
    fs::remove_file(&path).unwrap();
    fs::write(&path, FOREIGN_FILES[1]).unwrap();
    assert!(store.write(&snapshot("b")).is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), FOREIGN_FILES[1]);
    assert_eq!(names(folder.path()), ["state.json"]);
}

#[test]
fn files_beside_it_that_are_not_ours_are_left_alone() {
    for text in FOREIGN_FILES {
        let (folder, path) = place_of_store();
        let at = |name: &str| folder.path().join(name);
        for name in ["state.json.new", "state.json.new2", "state.json.bad", "state.json.lock"] {
            fs::write(at(name), text).unwrap();
        }
        let good = snapshot("a").encode().unwrap();
        fs::write(&path, &good[..good.len() / 2]).unwrap();
        let mut store = Store::new(path.clone());
        let found = store.read();
        assert!(found.blocked && found.problem.unwrap().contains("cannot be set aside"));
        assert!(store.write(&snapshot("b")).is_err());
        assert_eq!(fs::read(&path).unwrap(), good[..good.len() / 2]);
        fs::remove_file(&path).unwrap();
        // The name that is left is used.
        store.write(&snapshot("b")).unwrap();
        assert_eq!(store.read(), found_again("b"));
        for name in ["state.json.new", "state.json.new2", "state.json.bad", "state.json.lock"] {
            assert_eq!(fs::read_to_string(at(name)).unwrap(), text, "{name}");
        }
        assert!(!at("state.json.new3").exists());
        fs::write(at("state.json.new3"), text).unwrap();
        assert!(store.write(&snapshot("c")).unwrap_err().contains("not a state file"));
        assert_eq!(store.read(), found_again("b"));
    }
}

#[test]
fn the_configuration_is_never_the_state_file_however_it_is_spelled() {
    for there in [true, false] {
        let (folder, _) = place_of_store();
        let config = folder.path().join("maglev.yaml");
        if there {
            // Empty, it could be anybody's.
            fs::write(&config, "").unwrap();
        }
        fs::create_dir(folder.path().join("d")).unwrap();
        symlink(folder.path(), folder.path().join("folder")).unwrap();
        symlink(&config, folder.path().join("link.yaml")).unwrap();
        let mut rows = vec![
            (config.clone(), config.clone()),
            (folder.path().join("d/../maglev.yaml"), config.clone()),
            (folder.path().join("folder/maglev.yaml"), config.clone()),
            (folder.path().join("./maglev.yaml"), folder.path().join("folder/maglev.yaml")),
        ];
        if there {
            // What the configuration's path is a link to, and another name of the same file.
            rows.push((config.clone(), folder.path().join("link.yaml")));
            fs::hard_link(&config, folder.path().join("hard")).unwrap();
            rows.push((folder.path().join("hard"), config.clone()));
        }
        let before = names(folder.path());
        for (state, config) in rows {
            let mut store = Store::beside_config(state.clone(), config);
            let found = store.read();
            assert!(found.blocked && found.problem.unwrap().ends_with(CONFIG), "{}", state.display());
            assert!(store.write(&snapshot("a")).unwrap_err().ends_with(CONFIG), "{}", state.display());
            assert_eq!(names(folder.path()), before);
        }
        // Nor is it the lock.
        let config = folder.path().join("x.lock");
        let mut store = Store::beside_config(folder.path().join("x"), config.clone());
        assert_eq!(store.read(), Found::default());
        assert!(store.write(&snapshot("a")).unwrap_err().ends_with(CONFIG));
        assert!(!config.exists());
    }
}

#[test]
fn one_process_has_it_and_another_neither_reads_nor_writes() {
    let (folder, path) = place_of_store();
    let mut first = Store::new(path.clone());
    assert_eq!(first.read(), Found::default());
    first.write(&snapshot("first")).unwrap();
    // By another way to the same folder.
    symlink(folder.path(), folder.path().join("way")).unwrap();
    let mut second = Store::new(folder.path().join("way/state.json"));
    assert_eq!(second.lock(), Lock::Busy);
    let found = second.read();
    let problem = found.problem.unwrap();
    let me = format!("process {} has it as its state file", std::process::id());
    assert!(found.blocked && found.snapshot.is_none() && problem.contains(&me), "{problem}");
    let before = fs::read(&path).unwrap();
    assert_eq!(second.write(&snapshot("second")), Err(problem));
    assert_eq!((fs::read(&path).unwrap(), names(folder.path()).len()), (before.clone(), 2));
    // It does not lose what is its own.
    first.write(&snapshot("first")).unwrap();
    assert_eq!((first.lock(), first.read()), (Lock::Ours, found_again("first")));

    // The first one ends: the second takes over, and keeps what it has not read.
    drop(first);
    second.write(&snapshot("second")).unwrap();
    assert_eq!(second.read(), found_again("second"));
    assert_eq!(fs::read(folder.path().join("state.json.bad")).unwrap(), before);
    assert_eq!(Store::new(path.clone()).lock(), Lock::Busy);
}

#[test]
fn a_lock_file_that_was_removed_does_not_make_two_of_one() {
    let (folder, path) = place_of_store();
    let (mut first, mut second) = (Store::new(path.clone()), Store::new(path));
    first.write(&snapshot("first")).unwrap();
    fs::remove_file(folder.path().join("state.json.lock")).unwrap();
    assert_eq!(second.lock(), Lock::Ours);
    assert!(first.write(&snapshot("first")).unwrap_err().contains("has it as its state file"));
    second.write(&snapshot("second")).unwrap();
    drop(second);
    first.write(&snapshot("first")).unwrap();
    let kept = fs::read(folder.path().join("state.json.bad")).unwrap();
    assert_eq!(Snapshot::decode(&kept), Ok(snapshot("second")), "what the other one had saved");
}

#[test]
fn a_state_file_that_takes_the_place_of_ours_is_kept() {
    let (folder, path) = place_of_store();
    let mut store = Store::new(path.clone());
    store.write(&snapshot("a")).unwrap();
    // Somebody puts a copy of last week in its place.
    fs::write(folder.path().join("copy"), snapshot("copy").encode().unwrap()).unwrap();
    fs::rename(folder.path().join("copy"), &path).unwrap();
    store.write(&snapshot("b")).unwrap();
    store.write(&snapshot("c")).unwrap();
    assert_eq!(store.read(), found_again("c"));
    let kept = fs::read(folder.path().join("state.json.bad")).unwrap();
    assert_eq!(Snapshot::decode(&kept), Ok(snapshot("copy")));
}

#[test]
fn there_is_no_lock_beside_a_file_that_is_not_ours() {
    let (folder, path) = place_of_store();
    fs::write(&path, FOREIGN_FILES[0]).unwrap();
    for config in [None, Some(&path)] {
        let mut store = Store::new(path.clone());
        store.config = config.cloned();
        assert!(matches!(store.lock(), Lock::Failed(_)));
        assert!(store.read().blocked);
        assert!(store.write(&snapshot("a")).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[test]
fn where_there_can_be_no_lock_nothing_is_saved_and_what_is_there_is_read() {
    let (folder, path) = place_of_store();
    Store::new(path.clone()).write(&snapshot("a")).unwrap();
    let lock = folder.path().join("state.json.lock");
    type Make<'a> = &'a dyn Fn();
    let rows: [(Make<'_>, &str); 3] = [
        (&|| fs::create_dir(&lock).unwrap(), ODD),
        (&|| symlink(folder.path().join("nowhere"), &lock).unwrap(), LINK),
        (&|| drop(std::os::unix::net::UnixListener::bind(&lock).unwrap()), ODD),
    ];
    for (make, why) in rows {
        fs::remove_file(&lock).or_else(|_| fs::remove_dir(&lock)).unwrap();
        make();
        let mut store = Store::new(path.clone());
        assert_eq!(store.read(), found_again("a"));
        assert_eq!(store.write(&snapshot("b")), Err(format!("{}: {why}", lock.display())));
        assert_eq!(store.read(), found_again("a"));
    }
    assert!(!folder.path().join("nowhere").exists());
}

#[test]
fn what_was_left_out_is_said() {
    let (_folder, path) = place_of_store();
    let mut store = Store::new(path);
    assert_eq!(store.write(&snapshot("a")), Ok(Written::default()));
    assert!(store.notes(Cut::Nothing).is_empty());
    let notes = store.notes(Cut::History);
    assert_eq!(notes, ["without the history: the state file would be longer than 64 MiB"]);
}
