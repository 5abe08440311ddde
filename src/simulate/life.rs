//! A whole run of one seed, and what is to be told when it fails.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::broken::Broken;
use super::run::{Simulator, Tally};

/// A rule did not hold.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// Steps until then, the last one included.
    pub steps: u64,
    /// The rule.
    pub broken: Broken,
    /// The last steps, in words.
    pub story: Vec<String>,
    /// The file that was configured.
    pub yaml: String,
}

/// The last steps, the configuration, and at the end what was broken and the command that shows it again.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { seed, steps, broken, story, yaml } = self;
        for line in story {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "configured is\n{yaml}")?;
        writeln!(f, "BROKEN at step {} of seed {seed}: {broken}", steps.saturating_sub(1))?;
        write!(f, "again: maglev simulate --seed {seed} --steps {steps}")
    }
}

/// So many steps of this seed. A panic is a failure, too.
///
/// # Errors
/// What failed, and how it came.
pub fn live(seed: u64, steps: u64) -> Result<Tally, Box<Failure>> {
    live_with(seed, steps, |_| {})
}

/// The same, with somebody who comes by before each step.
///
/// # Errors
/// What failed, and how it came.
pub fn live_with(
    seed: u64,
    steps: u64,
    mut visit: impl FnMut(&mut Simulator),
) -> Result<Tally, Box<Failure>> {
    let mut sim = Simulator::new(seed);
    while sim.steps() < steps {
        let step = || {
            visit(&mut sim);
            sim.step()
        };
        let broken = match catch_unwind(AssertUnwindSafe(step)) {
            Ok(Ok(())) => continue,
            Ok(Err(broken)) => broken,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word");
                Broken { rule: "nothing panics", what: text.to_owned() }
            }
        };
        let (steps, story, yaml) = (sim.steps(), sim.story(), sim.yaml());
        return Err(Box::new(Failure { seed, steps, broken, story, yaml }));
    }
    Ok(sim.tally)
}
