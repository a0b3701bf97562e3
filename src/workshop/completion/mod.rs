//! What can stand next on rrun's command line, for the shells.
//!
//! A shell that completes `rrun kill w` runs the script of `rrun completion SHELL`, which asks `rrun completion words kill w`.
//! The answer comes from the table of commands, the state root and the current directory: one candidate a line, nothing
//! where file names are right, since every shell knows those itself.

mod scripts;

use std::path::Path;

use super::help;
use crate::cli::Global;
use crate::cli::table::{self, Command, Flag, GLOBAL, HELP, Takes};
use crate::state::StateRoot;
pub use scripts::script;

/// Signals that people send.
const SIGNALS: [&str; 9] = ["TERM", "KILL", "INT", "HUP", "QUIT", "USR1", "USR2", "STOP", "CONT"];

/// The candidates for the last of the words behind `rrun`, one a line.
pub fn words(global: &Global, words: &[String]) -> String {
    let (current, before) = words.split_last().map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
    let mut found = candidates(&Place::of(global, before, current));
    found.retain(|word| word.starts_with(current));
    found.sort();
    found.dedup();
    found.into_iter().map(|word| word + "\n").collect()
}

/// What is being completed.
enum Place<'a> {
    /// The command, or a global flag.
    Command,
    /// The value of a flag.
    Value(&'static Flag),
    /// A flag of this command.
    Flag(Option<&'static Command>),
    /// The operand of this number, from 0; the state root of `--root`.
    Operand(&'static Command, usize, std::path::PathBuf, &'a str),
    /// Nothing that rrun knows.
    Elsewhere,
}

impl<'a> Place<'a> {
    fn of(global: &Global, before: &[String], current: &'a str) -> Self {
        let (mut command, mut operands, mut root) = (None::<&Command>, 0, global.root.clone());
        let mut words = before.iter();
        while let Some(word) = words.next() {
            if let Some(name) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).filter(|n| !n.is_empty()) {
                let Some(flag) = flags(command).find(|f| f.long == name || f.short.is_some_and(|s| name == s.to_string())) else {
                    continue;
                };
                if matches!(flag.takes, Takes::Nothing) {
                    continue;
                }
                match words.next() {
                    Some(value) if flag.long == "root" => root = value.into(),
                    Some(_) => {}
                    None => return Self::Value(flag),
                }
            } else if command.is_none() {
                match table::command(word).or_else(|| (word == "help").then_some(&HELP_ITSELF)) {
                    Some(known) => command = Some(known),
                    None => return Self::Elsewhere,
                }
            } else {
                operands += 1;
            }
        }
        match command {
            _ if current.starts_with('-') && operands == 0 => Self::Flag(command),
            None => Self::Command,
            Some(command) => Self::Operand(command, operands, root, current),
        }
    }
}

/// `help` is in no table, but what stands behind it can be completed too.
const HELP_ITSELF: Command = Command {
    name: "help",
    group: table::Group::Runtime,
    operands: "TOPIC",
    count: (0, 1),
    about: "",
    examples: ["", ""],
    flags: &[],
};

fn flags(command: Option<&'static Command>) -> Box<dyn Iterator<Item = &'static Flag>> {
    match command {
        Some(command) => Box::new(command.all_flags().chain(&HELP)),
        None => Box::new(GLOBAL.iter().chain(&HELP)),
    }
}

fn candidates(place: &Place) -> Vec<String> {
    let owned = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    match place {
        Place::Command => table::commands().map(|c| c.name.to_owned()).chain(["help".to_owned()]).collect(),
        Place::Flag(command) => flags(*command).filter(|f| !f.help.is_empty()).map(|f| format!("--{}", f.long)).collect(),
        Place::Value(flag) => match flag.takes {
            Takes::OneOf(words) => owned(words),
            _ if flag.long == "bundle" => bundles(""),
            _ => vec![],
        },
        Place::Operand(command, number, root, current) => {
            let names = command.operands.split([' ', '[', ']']).filter(|w| !w.is_empty()).nth(*number).unwrap_or_default();
            names.split('|').flat_map(|name| operand(name, root, current)).collect()
        }
        Place::Elsewhere => vec![],
    }
}

/// The candidates for an operand that the usage line calls `name`.
fn operand(name: &str, root: &Path, current: &str) -> Vec<String> {
    let topics = |kind: &str| help::names(kind).into_iter().map(str::to_owned).collect();
    match name {
        "ID" | "A" | "B" => StateRoot::open(root).and_then(|root| root.ids()).unwrap_or_default(),
        "BUNDLE" => bundles(current),
        "SIGNAL" => SIGNALS.map(str::to_owned).into(),
        "FINDING" => topics("finding"),
        "LAB" | "NAME" => topics("lab"),
        "TOPIC" => {
            let commands = table::commands().map(|c| c.name.to_owned());
            commands.chain(help::SHELVES.iter().flat_map(|s| (s.names)()).map(str::to_owned)).collect()
        }
        // A word of the table itself: bash, list.
        word if word.bytes().all(|b| b.is_ascii_lowercase()) && !word.is_empty() => vec![word.to_owned()],
        _ => vec![],
    }
}

/// The directories beside `current` that hold a config.json, or lead on.
fn bundles(current: &str) -> Vec<String> {
    let (dir, _) = current.rsplit_once('/').map_or(("", current), |(dir, rest)| (&current[..=dir.len()], rest));
    let Ok(entries) = std::fs::read_dir(if dir.is_empty() { "." } else { dir }) else { return vec![] };
    let is_bundle = |path: &Path| path.join("config.json").is_file();
    entries
        .flatten()
        .filter(|e| is_bundle(&e.path()) || (!dir.is_empty() && e.path().is_dir()))
        .filter_map(|e| Some(format!("{dir}{}{}", e.file_name().to_str()?, if is_bundle(&e.path()) { "" } else { "/" })))
        .filter(|word| !word.contains(|c: char| c.is_control()))
        .collect()
}
