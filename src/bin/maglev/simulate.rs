//! `maglev simulate`

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use maglev::clock;
use maglev::simulate::{LIFE, Tally, live_with};

/// From one line of progress to the next.
const PROGRESS: Duration = Duration::from_secs(5);

/// 0 all held, 1 something did not.
pub fn simulate(seed: u64, steps: u64, until_failure: bool, tell: usize) -> ExitCode {
    let begun = clock::mono();
    let (mut told, mut done, mut tally, mut at) = (begun, 0, Tally::default(), seed);
    let mut err = std::io::stderr().lock();
    while done < steps || until_failure {
        let now = if until_failure { LIFE } else { LIFE.min(steps - done) };
        match live_with(at, now, |sim| sim.tell(tell)) {
            Ok(t) => tally.add(&t),
            Err(failure) => {
                let _ = writeln!(std::io::stdout(), "{failure}");
                return ExitCode::FAILURE;
            }
        }
        done += now;
        at = at.wrapping_add(1);
        if clock::mono().since(told) >= PROGRESS {
            told = clock::mono();
            let _ = writeln!(err, "{done} steps, {} s; seed {at} is next", told.since(begun).as_secs());
        }
    }
    let seconds = clock::mono().since(begun).as_secs_f64();
    let Tally { deeds, reloads, lives, results, calls, calms, seconds: virtual_s, .. } = tally;
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{done} steps held, seeds {seed} to {}", at.wrapping_sub(1));
    let _ = writeln!(
        out,
        "{deeds} deeds, {reloads} configurations, {lives} lives, {results} results, {calls} calls of lb, {calms} calms, {virtual_s} s of virtual time"
    );
    let _ = writeln!(out, "{:.0} steps/s", done as f64 / seconds.max(0.001));
    ExitCode::SUCCESS
}
