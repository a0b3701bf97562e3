//! Faults on demand, for tests: a start that fails at the step it is told to.
//!
//! What is undone after a failure, and whether the program could run half protected, is known only where each step can fail. So a
//! build with debug assertions obeys `RRUN_FAULT=STEP:WAY`. A release has none of this, not even the word: tests/faults looks.

use crate::error::{Error, Result};
use crate::plan::Step;
use crate::sys::process::exit_now;

/// Where and how to fail.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    step: Step,
    way: Way,
}

#[derive(Debug, PartialEq, Eq)]
enum Way {
    /// The step is not taken.
    Before,
    /// The step was taken, and is taken for failed.
    After,
    /// The process ends without a word in place of the step, as if killed. (Init of a PID namespace cannot kill itself.)
    Killed,
}

impl Fault {
    /// The one that the environment asks for.
    pub fn asked() -> Option<Self> {
        Self::parse(std::env::var("RRUN_FAULT").ok()?.as_str())
    }

    fn parse(text: &str) -> Option<Self> {
        let (name, way) = text.split_once(':')?;
        let way = match way {
            "before" => Way::Before,
            "after" => Way::After,
            "killed" => Way::Killed,
            _ => return None,
        };
        Some(Self { step: Step::ALL.into_iter().find(|step| format!("{step:?}") == name)?, way })
    }

    /// Asked before each step.
    pub fn before(&self, step: Step) -> Result<()> {
        match self.way {
            Way::Before if self.step == step => Err(failed(step)),
            Way::Killed if self.step == step => exit_now(128 + libc::SIGKILL),
            _ => Ok(()),
        }
    }

    /// Asked after each step that did not fail by itself.
    pub fn after(&self, step: Step) -> Result<()> {
        if self.way == Way::After && self.step == step { Err(failed(step)) } else { Ok(()) }
    }
}

fn failed(step: Step) -> Error {
    Error::new(format!("step {step:?} failed on demand"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_of_one_step() {
        let fault = Fault::parse("Masks:before").expect("known");
        assert!(fault.before(Step::Masks).is_err() && fault.before(Step::Names).is_ok() && fault.after(Step::Masks).is_ok());
        let fault = Fault::parse("User:after").expect("known");
        assert!(fault.before(Step::User).is_ok() && fault.after(Step::User).is_err() && fault.after(Step::Masks).is_ok());
        for bad in ["", "Masks", "masks:before", "Masks:later", "Nothing:before"] {
            assert_eq!(Fault::parse(bad), None, "{bad}");
        }
    }
}
