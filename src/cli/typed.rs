//! The values of flags with their types: numbers, choices, paths made absolute.
//!
//! Paths become absolute here, once, because `create` and `run` change to the bundle's directory before they use them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, value_parser};

use super::go_flags::Split;
use super::table::{Flag, Takes};
use super::{Surroundings, units};
use crate::error::{Error, Result};

/// Flags that were read.
#[derive(Debug)]
pub struct Typed(ArgMatches);

/// Gives the flags of a command line their types.
pub fn read<'a>(known: impl Iterator<Item = &'a Flag>, split: &Split) -> Result<Typed> {
    let command = with_flags(clap::Command::new("rrun").no_binary_name(true), known);
    let typed = command.try_get_matches_from(&split.flags).map(Typed).map_err(|e| refusal(&e))?;
    match typed.text("format").filter(|format| typed.on("json") && *format != "json") {
        Some(other) => Err(Error::new(format!("--json and --format {other} contradict each other")).hint("choose one of them")),
        None => Ok(typed),
    }
}

/// Adds the flags of the table to a clap command.
pub fn with_flags<'a>(command: clap::Command, known: impl Iterator<Item = &'a Flag>) -> clap::Command {
    let command = command.disable_help_flag(true).disable_version_flag(true).args_override_self(true);
    command.args(known.map(|flag| {
        let arg = Arg::new(flag.long).long(flag.long).help(flag.help).hide(flag.help.is_empty());
        let arg = if let Some(short) = flag.short { arg.short(short) } else { arg };
        match flag.takes {
            Takes::Nothing => arg.action(ArgAction::SetTrue),
            Takes::Text(name) => arg.action(ArgAction::Set).value_name(name).value_parser(value_parser!(OsString)),
            Takes::Texts(name) => arg.action(ArgAction::Append).value_name(name).value_parser(value_parser!(OsString)),
            Takes::Number(name) => arg.action(ArgAction::Set).value_name(name).value_parser(value_parser!(u32)),
            Takes::OneOf(words) => arg.action(ArgAction::Set).value_name("WORD").value_parser(PossibleValuesParser::new(words)),
        }
    }))
}

/// clap's refusal in one line of ours.
fn refusal(error: &clap::Error) -> Error {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    let flag = text(ContextKind::InvalidArg);
    let flag = flag.split([' ', '=']).next().unwrap_or_default();
    let given = crate::log::value(&text(ContextKind::InvalidValue));
    let refused = Error::new(format!("invalid value \"{given}\" for {flag}"));
    match (error.kind(), error.get(ContextKind::ValidValue)) {
        (ErrorKind::InvalidValue, Some(ContextValue::Strings(words))) => {
            refused.hint(format!("use one of: {}", words.join(", ")))
        }
        (ErrorKind::ValueValidation, _) => refused.hint("use a whole number from 0"),
        _ => refused,
    }
}

impl Typed {
    /// Whether a switch is on.
    pub fn on(&self, long: &str) -> bool {
        matches!(self.0.try_get_one::<bool>(long), Ok(Some(true)))
    }

    /// `--json`, or `--format json`.
    pub fn json(&self) -> bool {
        self.on("json") || self.text("format") == Some("json")
    }

    /// The word chosen.
    pub fn text(&self, long: &str) -> Option<&str> {
        self.0.try_get_one::<String>(long).ok().flatten().map(String::as_str)
    }

    /// A number; 0 when it is not given.
    pub fn number(&self, long: &str) -> u32 {
        self.0.try_get_one::<u32>(long).ok().flatten().copied().unwrap_or(0)
    }

    /// Whether a flag with a free text was given.
    pub fn given(&self, long: &str) -> bool {
        matches!(self.0.try_get_one::<OsString>(long), Ok(Some(_)))
    }

    /// A free text, which must be UTF-8.
    pub fn string(&self, long: &str) -> Result<Option<String>> {
        let Ok(Some(text)) = self.0.try_get_one::<OsString>(long) else { return Ok(None) };
        let text = text.to_str().ok_or_else(|| {
            Error::new(format!("invalid value \"{}\" for --{long}", crate::log::value(&text.to_string_lossy())))
        })?;
        Ok(Some(text.to_owned()))
    }

    /// A text that stands for a number, read by `parse`; an empty one counts as not given, as with runc.
    fn value<T>(&self, long: &str, parse: impl Fn(&str) -> Option<T>, hint: &str) -> Result<Option<T>> {
        let Some(text) = self.string(long)?.filter(|t| !t.is_empty()) else { return Ok(None) };
        let refused = || Error::new(format!("invalid value \"{}\" for --{long}", crate::log::value(&text))).hint(hint);
        parse(&text).map(Some).ok_or_else(refused)
    }

    /// A whole number of the type's range.
    pub fn integer<T: std::str::FromStr>(&self, long: &str) -> Result<Option<T>> {
        self.value(long, |text| text.parse().ok(), "use a whole number in its range")
    }

    /// A number of bytes; -1 is unlimited.
    pub fn size(&self, long: &str) -> Result<Option<i64>> {
        self.value(long, units::size, "write it as 64M or 1.5g; -1 is unlimited")
    }

    /// A length of time.
    pub fn duration(&self, long: &str) -> Result<Option<Duration>> {
        self.value(long, units::duration, "write it with its unit: 5s, 500ms, 1m30s")
    }

    /// All texts of a repeatable flag, in order.
    pub fn strings(&self, long: &str) -> Result<Vec<String>> {
        let Ok(Some(texts)) = self.0.try_get_many::<OsString>(long) else { return Ok(vec![]) };
        let text = |text: &OsString| text.to_str().map(str::to_owned);
        texts.map(|t| text(t).ok_or_else(|| Error::new(format!("the value of --{long} must be UTF-8")))).collect()
    }

    /// A free text as it is; an empty one counts as not given.
    pub fn path_text(&self, long: &str) -> Option<&OsStr> {
        let text = self.0.try_get_one::<OsString>(long).ok().flatten()?;
        (!text.is_empty()).then_some(text.as_os_str())
    }

    /// A path, made absolute. An empty one counts as not given, as with runc.
    pub fn path(&self, long: &str, around: &Surroundings) -> Result<Option<PathBuf>> {
        let Ok(Some(path)) = self.0.try_get_one::<OsString>(long) else { return Ok(None) };
        if path.is_empty() { Ok(None) } else { absolute(Path::new(path), around).map(Some) }
    }

    /// All paths of a repeatable flag, in order.
    pub fn paths(&self, long: &str, around: &Surroundings) -> Result<Vec<PathBuf>> {
        let Ok(Some(paths)) = self.0.try_get_many::<OsString>(long) else { return Ok(vec![]) };
        paths.map(|path| absolute(Path::new(path), around)).collect()
    }
}

/// `path` from `/` on, without `.`, `..` and doubled slashes. Lexically, as Go's filepath.Abs: the same words name the same
/// container for both runtimes.
pub fn absolute(path: &Path, around: &Surroundings) -> Result<PathBuf> {
    let mut clean = PathBuf::from("/");
    let base = match (&around.cwd, path.is_absolute()) {
        (_, true) => Path::new("/"),
        (Some(cwd), false) => cwd,
        (None, false) => {
            return Err(Error::new(format!(
                "{} cannot be found: the current directory is gone",
                crate::log::value(&path.to_string_lossy())
            )));
        }
    };
    for part in base.components().chain(path.components()) {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            _ => {}
        }
    }
    Ok(clean)
}

/// The operand as a container id; its letters are checked where it becomes a file name ([`crate::state`]).
pub fn id(operand: &OsStr) -> Result<String> {
    std::str::from_utf8(operand.as_bytes()).map(String::from).map_err(|_| Error::new("invalid container ID format"))
}
