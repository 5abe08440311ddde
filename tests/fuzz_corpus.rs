//! The fuzzing targets over their kept inputs and over simple changes of each, without a fuzzer: in every `cargo test`.
//!
//! `MAGLEV_FUZZ=10 cargo test --test fuzz_corpus`: other changes each time, so many seconds a target. What breaks a promise
//! is printed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "../fuzz/targets/mod.rs"]
mod targets;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use targets::{TARGETS, Target};

/// What is kept of all targets together, in bytes.
const CORPUS_MAX: u64 = 200 * 1024;
/// Changes of one input that are tried.
const CHANGES: usize = 20;
/// One input takes so long at most, unoptimised and on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn corpus(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target.name);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// Runs one input; what it was is printed when it fails.
#[allow(clippy::disallowed_methods)]
fn run(target: &Target, input: &[u8], from: &Path) {
    struct Named<'a>(&'a Target, &'a [u8], &'a Path);
    impl Drop for Named<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                let Named(target, input, from) = self;
                eprintln!("{} with {}, from {}", target.name, input.escape_ascii(), from.display());
            }
        }
    }
    let named = Named(target, input, from);
    let start = Instant::now();
    (target.run)(input);
    assert!(start.elapsed() < PATIENCE, "took {:?}", start.elapsed());
    drop(named);
}

/// One small change, as a wire, a disk or an enemy makes it.
fn change(input: &[u8], other: &[u8], max: usize, rng: &mut fastrand::Rng) -> Vec<u8> {
    let mut out = input.to_vec();
    for _ in 0..rng.usize(1..4) {
        let at = rng.usize(..=out.len());
        let to = rng.usize(at..=out.len());
        match rng.u8(..7) {
            0 => out.truncate(at),
            1 => {
                if let Some(byte) = out.get_mut(at) {
                    *byte ^= 1 << rng.u8(..8);
                }
            }
            2 => {
                if let Some(byte) = out.get_mut(at) {
                    *byte = *rng.choice(b"\0\n\r\t \"#%:{}[]<>-09aZ\x7f\x80\xc0\xff").unwrap();
                }
            }
            3 => drop(out.drain(at..to)),
            4 => {
                let part = out[at..to].repeat(rng.usize(1..40));
                out.splice(at..at, part);
            }
            5 => {
                let from = rng.usize(..=other.len());
                let part = other[from..rng.usize(from..=other.len())].to_vec();
                out.splice(at..to, part);
            }
            _ => {
                let number =
                    rng.choice(["0", "-1", "255", "65536", "4294967296", "1e309", "0x10", "é", "\u{2028}"]);
                out.splice(at..at, number.unwrap().bytes());
            }
        }
        out.truncate(max);
    }
    out
}

fn replay(name: &str) {
    let target = TARGETS.iter().find(|t| t.name == name).unwrap();
    let inputs = corpus(target);
    assert!(inputs.len() >= 5, "{name} has {} inputs", inputs.len());
    let mut rng = fastrand::Rng::with_seed(0x6d61_676c_6576);
    let seconds = std::env::var("MAGLEV_FUZZ").map_or(0, |s| s.parse().expect("MAGLEV_FUZZ: seconds"));
    run(target, b"", Path::new("nothing"));
    for (path, input) in &inputs {
        assert!(input.len() <= target.max, "{} is too long", path.display());
        run(target, input, path);
        for _ in 0..CHANGES {
            let (_, other) = rng.choice(&inputs).unwrap();
            run(target, &change(input, other, target.max, &mut rng), path);
        }
    }
    more(target, &inputs, Duration::from_secs(seconds));
}

/// Changes that were not tried before, of inputs that are there.
#[allow(clippy::disallowed_methods)]
fn more(target: &Target, inputs: &[(PathBuf, Vec<u8>)], time: Duration) {
    let mut rng = fastrand::Rng::new();
    let start = Instant::now();
    while start.elapsed() < time {
        let (path, input) = rng.choice(inputs).unwrap();
        let (_, other) = rng.choice(inputs).unwrap();
        run(target, &change(input, other, target.max, &mut rng), path);
    }
}

macro_rules! replays {
    ($($name:ident)*) => {
        $(#[test] fn $name() { replay(stringify!($name)); })*
        const REPLAYED: &[&str] = &[$(stringify!($name)),*];
    };
}

replays! { agent api cli dns expect http icmp regexp state yaml }

#[test]
fn every_target_is_here_and_has_its_program() {
    let names: Vec<&str> = TARGETS.iter().map(|t| t.name).collect();
    assert_eq!(names, REPLAYED);
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for name in names {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        let program = std::fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("targets::{name}::run")), "{name}");
    }
}

#[test]
fn the_corpus_is_small() {
    let size = |t: &Target| corpus(t).iter().map(|(path, _)| path.metadata().unwrap().len()).sum::<u64>();
    let all: u64 = TARGETS.iter().map(size).sum();
    assert!(all <= CORPUS_MAX, "{all} bytes");
}
