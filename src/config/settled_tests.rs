use std::fs::{File, FileTimes, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::time::SystemTime;

use super::*;

const LIMIT: usize = 1 << 20;
/// For a step that happens within a pause, however slow the machine is.
const LONG: Patience = Patience { quiet: Duration::from_millis(1), most: Duration::from_secs(600) };

fn age(file: &File, seconds: u64) {
    let then =
        SystemTime::UNIX_EPOCH + Duration::from_millis(clock::now().wall_ms) - Duration::from_secs(seconds);
    file.set_times(FileTimes::new().set_modified(then)).unwrap();
}

fn place() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("maglev.yaml");
    (folder, path)
}

#[test]
fn a_file_that_was_changed_long_ago_is_read_at_once() {
    let (_folder, path) = place();
    std::fs::write(&path, "a").unwrap();
    age(&File::open(&path).unwrap(), 60);
    let never = &mut |_| panic!("a pause");
    assert_eq!(settled(&path, LIMIT, Patience::USUAL, never), Ok(b"a".to_vec()));
    // Only its name, owner and mode were changed since.
    std::fs::hard_link(&path, path.with_extension("link")).unwrap();
    assert_eq!(settled(&path, LIMIT, Patience::USUAL, never), Ok(b"a".to_vec()));
}

#[test]
fn a_new_file_is_believed_once_it_is_quiet() {
    let (_folder, path) = place();
    for ahead in [false, true] {
        std::fs::write(&path, "a").unwrap();
        if ahead {
            // The clock was set back since it was written.
            let later = SystemTime::UNIX_EPOCH
                + Duration::from_millis(clock::now().wall_ms)
                + Duration::from_secs(9999);
            File::open(&path).unwrap().set_times(FileTimes::new().set_modified(later)).unwrap();
        }
        let mut pauses = 0;
        let read = settled(&path, LIMIT, Patience::USUAL, &mut |d| {
            pauses += 1;
            sleep(d)
        });
        assert_eq!(read, Ok(b"a".to_vec()));
        assert!(pauses > 0);
    }
}

#[test]
fn a_file_that_is_written_bit_by_bit_is_read_whole() {
    let (_folder, path) = place();
    std::fs::write(&path, "").unwrap();
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    let mut left = 20;
    let read = settled(&path, LIMIT, LONG, &mut |d| {
        if left > 0 {
            left -= 1;
            file.write_all(b"line\n").unwrap();
        }
        sleep(d)
    });
    assert_eq!(read, Ok(b"line\n".repeat(20)));
}

#[test]
fn a_change_that_leaves_size_and_time_is_seen() {
    let (_folder, path) = place();
    std::fs::write(&path, "old").unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    let times = FileTimes::new().set_modified(file.metadata().unwrap().modified().unwrap());
    let mut left = 3;
    let read = settled(&path, LIMIT, LONG, &mut |d| {
        if left > 0 {
            left -= 1;
            file.write_all_at(if left == 0 { b"new" } else { [b"1ld", b"2ld"][left - 1] }, 0).unwrap();
            file.set_times(times).unwrap();
        }
        sleep(d)
    });
    assert_eq!(read, Ok(b"new".to_vec()));
}

#[test]
fn one_that_takes_its_place_is_the_one_that_is_read() {
    let (_folder, path) = place();
    std::fs::write(&path, "old").unwrap();
    let mut replaced = false;
    let read = settled(&path, LIMIT, LONG, &mut |d| {
        if !std::mem::replace(&mut replaced, true) {
            std::fs::write(path.with_extension("new"), "new").unwrap();
            std::fs::rename(path.with_extension("new"), &path).unwrap();
        }
        sleep(d)
    });
    assert_eq!(read, Ok(b"new".to_vec()));
}

#[test]
fn one_that_never_rests_is_given_up() {
    let (_folder, path) = place();
    std::fs::write(&path, "").unwrap();
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    let patience = Patience { quiet: Duration::from_secs(600), most: Duration::from_millis(300) };
    let mut pauses = 0;
    let read = settled(&path, LIMIT, patience, &mut |d| {
        pauses += 1;
        file.write_all(b"x").unwrap();
        sleep(d)
    });
    assert_eq!(read, Err(Unread::Changing));
    assert!((1..=7).contains(&pauses), "{pauses}");
    // Whoever ends does not wait for it.
    let patience = Patience { quiet: Duration::from_secs(600), most: Duration::from_secs(600) };
    assert_eq!(settled(&path, LIMIT, patience, &mut |_| false), Err(Unread::Changing));
}
