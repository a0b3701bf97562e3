//! `lab [list]`, `lab run NAME`.
//!
//! The operands are words of a small language of their own; the rest are flags. `witness` is how a lab asks rrun itself for a
//! deed, and stands in no help.

use std::ffi::OsString;
use std::path::PathBuf;

use super::super::Surroundings;
use super::super::go_flags::Split;
use super::super::table::{Command, Group, SAME, Takes, flag};
use super::super::typed::{self, Typed};
use super::Understand;
use crate::error::{Error, Result};
use crate::suggest::closest;

/// Its row.
pub const COMMAND: Command = Command {
    name: "lab",
    group: Group::Understand,
    operands: "[list|run [NAME]]",
    count: (0, 3),
    about: "Show by an experiment what one setting does",
    examples: ["@ lab list", "@ lab run userns --diff"],
    flags: &[&[
        flag("off", None, Takes::Nothing, "Only without the setting"),
        flag("on", None, Takes::Nothing, "Only with it"),
        flag("diff", None, Takes::Nothing, "Both, and the only change between them as a patch"),
        flag("json", None, Takes::Nothing, "As JSON"),
        SAME,
        flag("quiet", Some('q'), Takes::Nothing, "Do not say which side runs"),
        flag("i-am-a-lab-vm", None, Takes::Nothing, "Also labs that belong on a machine of their own"),
    ]],
};

/// The arguments of `lab`.
#[derive(Debug, Clone)]
pub struct LabArgs {
    /// What to do.
    pub deed: LabDeed,
    /// `--json`.
    pub json: bool,
}

/// What to do.
#[derive(Debug, Clone)]
pub enum LabDeed {
    /// Print the index.
    List,
    /// Run a lab.
    Run(LabRun),
    /// A part of a lab: the deed, and the file it concerns.
    Witness(String, Option<PathBuf>),
}

/// Which lab, and how.
#[derive(Debug, Clone)]
pub struct LabRun {
    /// Its name, known or not.
    pub name: String,
    /// Which sides.
    pub sides: LabSides,
    /// `--i-am-a-lab-vm`.
    pub lab_vm: bool,
    /// `--quiet`.
    pub quiet: bool,
}

/// Which sides of a lab to run, and whether to show the change between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabSides {
    /// Both.
    Both,
    /// Both, and the change.
    Diff,
    /// Only OFF.
    Off,
    /// Only ON.
    On,
}

/// Reads the command line.
pub fn read(flags: &Typed, split: &Split, around: &Surroundings) -> Result<Understand> {
    let words: Vec<String> = split.operands.iter().map(|o: &OsString| o.to_string_lossy().into_owned()).collect();
    if let Some(flag) = ["off", "on", "diff", "quiet", "i-am-a-lab-vm"].into_iter().find(|f| flags.on(f))
        && words.first().is_none_or(|word| word != "run")
    {
        return Err(Error::new(format!("--{flag} says how to run a lab")).hint("rrun lab run NAME"));
    }
    let deed = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] | ["list"] => LabDeed::List,
        ["run", name] => {
            let (lab_vm, quiet) = (flags.on("i-am-a-lab-vm"), flags.on("quiet"));
            LabDeed::Run(LabRun { name: (*name).to_owned(), sides: sides(flags)?, lab_vm, quiet })
        }
        ["run"] => return Err(Error::new("lab run: which one?").hint("rrun lab list names them all")),
        ["witness", deed] => LabDeed::Witness((*deed).to_owned(), None),
        ["witness", deed, file] => LabDeed::Witness((*deed).to_owned(), Some(typed::absolute(file.as_ref(), around)?)),
        [word, ..] => {
            let error = Error::new(format!("lab: unknown word \"{}\"", crate::log::value(word)));
            return Err(match closest(word, ["list", "run"]) {
                Some(near) => error.hint(format!("did you mean {near}?")),
                // Most who write one word mean the name of a lab.
                None => error.hint(format!("rrun lab list, or rrun lab run {}", crate::log::value(word))),
            });
        }
    };
    Ok(Understand::Lab(LabArgs { deed, json: flags.json() }))
}

fn sides(flags: &Typed) -> Result<LabSides> {
    match (flags.on("off"), flags.on("on"), flags.on("diff")) {
        (false, false, false) => Ok(LabSides::Both),
        (true, false, false) => Ok(LabSides::Off),
        (false, true, false) => Ok(LabSides::On),
        (false, false, true) => Ok(LabSides::Diff),
        _ => {
            Err(Error::new("--off, --on and --diff contradict each other").hint("without any both sides run; choose one of them"))
        }
    }
}
