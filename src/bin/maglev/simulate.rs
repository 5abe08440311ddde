//! `maglev simulate`

use std::io::Write;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use maglev::clock;
use maglev::simulate::{Failure, LIFE, Tally, live_with};
use maglev::time::Time;

/// From one line of progress to the next.
const PROGRESS: Duration = Duration::from_secs(5);

/// What `maglev simulate` was asked for.
pub struct Options {
    /// Where to begin.
    pub seed: u64,
    /// How many steps in all; none: until something fails.
    pub steps: Option<u64>,
    /// How many of the last steps are told.
    pub tell: usize,
    /// How many seeds live at the same time; none: as many as there are processors.
    pub jobs: Option<NonZeroUsize>,
}

/// What all jobs share.
struct Course {
    /// The next seed, and how many of the steps have been given out.
    next: (u64, u64),
    done: u64,
    tally: Tally,
    /// Of the lowest seed that failed.
    failure: Option<Box<Failure>>,
    told: Time,
}

/// 0 all held, 1 something did not.
pub fn simulate(options: &Options) -> ExitCode {
    let begun = clock::mono();
    let course = Mutex::new(Course {
        next: (options.seed, 0),
        done: 0,
        tally: Tally::default(),
        failure: None,
        told: begun,
    });
    let jobs =
        options.jobs.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| work(options, &course, begun));
        }
    });
    let course = course.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut out = std::io::stdout().lock();
    if let Some(failure) = course.failure {
        let _ = writeln!(out, "{failure}");
        return ExitCode::FAILURE;
    }
    let seconds = clock::mono().since(begun).as_secs_f64();
    let (done, last) = (course.done, course.next.0.wrapping_sub(1));
    let Tally { deeds, reloads, lives, results, calls, together, calms, seconds: virtual_s, .. } =
        course.tally;
    let _ = writeln!(out, "{done} steps held, seeds {} to {last}", options.seed);
    let _ = writeln!(
        out,
        "{deeds} deeds, {reloads} configurations, {lives} lives, {results} results, {calls} calls of lb, {together} that put several servers together, {calms} calms, {virtual_s} s of virtual time"
    );
    let _ = writeln!(out, "{:.0} steps/s, {jobs} at a time", done as f64 / seconds.max(0.001));
    ExitCode::SUCCESS
}

/// One seed after the other, until there is none left or one has failed. Seeds are given out in order, and those under way are
/// lived to their end: what is told in the end is the first that fails, however many jobs there are.
fn work(options: &Options, course: &Mutex<Course>, begun: Time) {
    let lock = || course.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let (seed, steps) = {
            let mut c = lock();
            let left = options.steps.map_or(u64::MAX, |all| all - c.next.1);
            if left == 0 || c.failure.is_some() {
                return;
            }
            let (seed, steps) = (c.next.0, left.min(LIFE));
            c.next = (seed.wrapping_add(1), c.next.1.saturating_add(steps));
            (seed, steps)
        };
        let lived = live_with(seed, steps, |sim| sim.tell(options.tell));
        let mut c = lock();
        match lived {
            Ok(tally) => c.tally.add(&tally),
            Err(failure) => {
                // In the order in which they were given out, which may go over the end of the numbers.
                let after = |f: &Failure| f.seed.wrapping_sub(options.seed);
                if c.failure.as_ref().is_none_or(|first| after(&failure) < after(first)) {
                    c.failure = Some(failure);
                }
                return;
            }
        }
        c.done += steps;
        if clock::mono().since(c.told) >= PROGRESS {
            c.told = clock::mono();
            let (done, next, seconds) = (c.done, c.next.0, c.told.since(begun).as_secs());
            let _ = writeln!(std::io::stderr(), "{done} steps, {seconds} s; seed {next} is next");
        }
    }
}
