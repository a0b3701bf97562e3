//! The time each step took, of both processes, for `--debug`.
//!
//! Init may not print, and a message for each step would change what is measured. So the times stand in a page that parent
//! and init share; without `--debug` there is no page and no clock is read.

use std::time::Instant;

use crate::error::{At, Result};
use crate::plan::{Plan, Step};
use crate::sys::shared::SharedNumbers;

/// A stopwatch that runs only when asked for: without `--debug` a step costs nothing.
#[derive(Debug, Default)]
pub struct Laps {
    numbers: Option<SharedNumbers>,
    /// Where to fail, in builds for tests.
    #[cfg(debug_assertions)]
    fault: Option<super::fault::Fault>,
}

impl Laps {
    /// A running stopwatch, if `on`.
    pub fn new(on: bool) -> Result<Self> {
        Ok(Self {
            numbers: if on { Some(SharedNumbers::new().at(|| "map a page")?) } else { None },
            #[cfg(debug_assertions)]
            fault: super::fault::Fault::asked(),
        })
    }

    /// Takes a step and its time. The time is kept whether it worked or not: the last one kept is where it failed.
    pub fn step<T>(&self, step: Step, act: impl FnOnce() -> Result<T>) -> Result<T> {
        #[cfg(debug_assertions)]
        if let Some(fault) = &self.fault {
            fault.before(step)?;
            return self.timed(step, act).and_then(|done| fault.after(step).map(|()| done));
        }
        self.timed(step, act)
    }

    fn timed<T>(&self, step: Step, act: impl FnOnce() -> Result<T>) -> Result<T> {
        let Some(numbers) = &self.numbers else { return act() };
        let start = Instant::now();
        // Execve does not come back: it counts as begun.
        numbers.set(step as usize, 1);
        let result = act();
        // Plus one, so that a step of no measurable time still counts as taken.
        numbers.set(step as usize, start.elapsed().as_nanos() as u64 / 1000 + 1);
        result
    }

    /// Whether a step was begun; without a running stopwatch nobody knows.
    pub fn begun(&self, step: Step) -> bool {
        self.numbers.as_ref().is_some_and(|numbers| numbers.get(step as usize) > 0)
    }

    /// The lines of `rrun plan` for the steps taken, with their time in microseconds.
    pub fn lines(&self, plan: &Plan) -> Vec<String> {
        let Some(numbers) = &self.numbers else { return vec![] };
        let mut lines = Vec::new();
        for step in Step::ALL {
            let time = numbers.get(step as usize);
            for (i, text) in plan.describe(step).iter().enumerate().filter(|_| time > 0) {
                let time = if i == 0 { format!(" ({} us)", time - 1) } else { String::new() };
                lines.push(format!("{:?}: {text}{time}", step.side()).to_lowercase().replacen(&text.to_lowercase(), text, 1));
            }
        }
        lines
    }
}
