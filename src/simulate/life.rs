//! A whole run of one seed, and what is to be told when it fails.

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

/// So many steps of this seed. A panic is a failure, too.
///
/// # Errors
/// What failed, and how it came.
pub fn live(seed: u64, steps: u64) -> Result<Tally, Box<Failure>> {
    let mut sim = Simulator::new(seed);
    while sim.steps() < steps {
        let done = catch_unwind(AssertUnwindSafe(|| sim.step()));
        let broken = match done {
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
