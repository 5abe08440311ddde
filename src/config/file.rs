//! Files that a configuration is read from. Blocks: for the loader's thread alone.

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use rustix::fs::{CWD, FileType, Mode};

    use crate::config::{LoadError, load};

    fn pipe(path: &Path) {
        rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    }

    /// A loader that hangs reads no configuration and saves no state any more.
    #[test]
    fn a_pipe_that_takes_the_files_place_at_any_moment_is_not_waited_for() {
        static STOP: AtomicBool = AtomicBool::new(false);
        let dir = tempfile::tempdir().unwrap();
        let (path, fifo, text) = (dir.path().join("c"), dir.path().join("f"), dir.path().join("t"));
        pipe(&fifo);
        std::fs::write(&text, "maglev: {}\n").unwrap();
        std::fs::copy(&text, &path).unwrap();
        let place = path.clone();
        let swap = std::thread::spawn(move || {
            while !STOP.load(Ordering::Relaxed) {
                for what in [&fifo, &text] {
                    let link = place.with_extension("l");
                    std::fs::hard_link(what, &link).unwrap();
                    std::fs::rename(&link, &place).unwrap();
                }
            }
        });
        let (done, all) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let (mut good, mut bad) = (0, 0);
            for _ in 0..20_000 {
                match load(&path) {
                    Ok(_) => good += 1,
                    Err(e @ LoadError::Unreadable { .. }) => {
                        assert!(e.to_string().ends_with(": not a regular file"), "{e}");
                        bad += 1;
                    }
                    Err(e @ LoadError::Bad(_)) => panic!("{e}"),
                }
            }
            done.send((good, bad)).unwrap();
        });
        let counts = all.recv_timeout(Duration::from_secs(60));
        STOP.store(true, Ordering::Relaxed);
        swap.join().unwrap();
        let (good, bad) = counts.expect("it waits for the pipe's other end");
        assert!(good > 0 && bad > 0, "{good} {bad}");
    }
}
