//! The flags of Go programs, which is what engines send: `-bundle=x`, `--force=false`.
//!
//! clap reads GNU flags. This pass runs before it and rewrites each flag to `--long` or `--long=value`, so that a value that
//! begins with a dash (`--resources -`) cannot be mistaken for a flag, nor an argument for the container (`exec ID ls -l`)
//! for one of rrun's.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::table::{Flag, Takes};
use crate::error::{Error, Result};
use crate::suggest::closest;

/// A command line, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// The flags, as `--long` or `--long=value`. A switch that is off does not appear.
    pub flags: Vec<OsString>,
    /// Everything else.
    pub operands: Vec<OsString>,
    /// Whether `--` stood before all of it.
    pub all_behind_dashes: bool,
}

impl Split {
    /// Whether the switch is on.
    pub fn has(&self, long: &str) -> bool {
        self.flags.iter().any(|f| f.as_bytes().strip_prefix(b"--") == Some(long.as_bytes()))
    }
}

/// Where flags may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Before the first operand: what follows may be for another program (`exec ID ls -l`).
    Before,
    /// Behind it too, as in runc: `delete ID --force`. There a word that is no flag is an operand: `kill ID -9`.
    Anywhere,
}

/// Takes `args` apart, up to `--`. Unknown flags, missing values and bad switches are errors in the words of Go's flag
/// package.
pub fn split<'a>(args: &[OsString], known: impl Iterator<Item = &'a Flag> + Clone, place: Place) -> Result<Split> {
    let mut found = Split::default();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let bytes = arg.as_bytes();
        if bytes == b"--" {
            found.all_behind_dashes = found.operands.is_empty();
            break;
        }
        if bytes == b"-" || !bytes.starts_with(b"-") {
            found.operands.push(arg.clone());
            if place == Place::Before {
                break;
            }
            continue;
        }
        let (flag, value) = match identify(bytes, known.clone()) {
            Err(_) if !found.operands.is_empty() => {
                found.operands.push(arg.clone());
                continue;
            }
            identified => identified?,
        };
        match (flag.takes, value) {
            (Takes::Nothing, value) => switch(&mut found.flags, flag, value)?,
            (_, Some(value)) => found.flags.push(with_value(flag, value)),
            (_, None) => {
                let missing = || Error::new(format!("flag needs an argument: --{}", flag.long));
                found.flags.push(with_value(flag, rest.next().ok_or_else(missing)?.as_bytes()));
            }
        }
    }
    found.operands.extend(rest.cloned());
    Ok(found)
}

/// The flag that `arg` names, and its value behind `=`.
fn identify<'a, 'b>(arg: &'b [u8], known: impl Iterator<Item = &'a Flag> + Clone) -> Result<(&'a Flag, Option<&'b [u8]>)> {
    let bare = arg.strip_prefix(b"--").or_else(|| arg.strip_prefix(b"-")).unwrap_or(arg);
    let (name, value) = match bare.iter().position(|b| *b == b'=') {
        Some(at) => (&bare[..at], Some(&bare[at + 1..])),
        None => (bare, None),
    };
    let name = String::from_utf8_lossy(name);
    let is = |flag: &&Flag| flag.long == name || flag.short.is_some_and(|s| *name == *s.encode_utf8(&mut [0; 4]));
    match known.clone().find(is) {
        Some(flag) => Ok((flag, value)),
        None => Err(unknown(&name, known)),
    }
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a Flag> + Clone) -> Error {
    let error = Error::new(format!("flag provided but not defined: -{}", crate::log::value(name)));
    let visible: Vec<&str> = known.filter(|f| !f.help.is_empty()).map(|f| f.long).collect();
    if super::table::GLOBAL.iter().any(|f| f.long == name) && !visible.contains(&name) {
        return error.hint(format!("--{name} stands before the command"));
    }
    match closest(name, visible.iter().copied()) {
        Some(near) => error.hint(format!("did you mean --{near}?")),
        None => error,
    }
}

/// Turns a switch on, or off again: the last one counts.
fn switch(flags: &mut Vec<OsString>, flag: &Flag, value: Option<&[u8]>) -> Result<()> {
    let on = match value {
        None => true,
        Some(text) => truth(text).ok_or_else(|| {
            let text = crate::log::value(&String::from_utf8_lossy(text));
            Error::new(format!("invalid boolean value \"{text}\" for --{}", flag.long)).hint("write =true or =false")
        })?,
    };
    let word = OsString::from(format!("--{}", flag.long));
    flags.retain(|f| *f != word);
    if on {
        flags.push(word);
    }
    Ok(())
}

/// The words that Go takes for true and false (strconv.ParseBool).
pub fn truth(text: &[u8]) -> Option<bool> {
    match text {
        b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True" => Some(true),
        b"0" | b"f" | b"F" | b"false" | b"FALSE" | b"False" => Some(false),
        _ => None,
    }
}

fn with_value(flag: &Flag, value: &[u8]) -> OsString {
    let mut word = OsString::from(format!("--{}=", flag.long)).into_vec();
    word.extend_from_slice(value);
    OsStr::from_bytes(&word).to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::table::{GLOBAL, HELP, command};
    use super::*;

    fn run(line: &str) -> Result<Split> {
        let args: Vec<OsString> = line.split(' ').filter(|w| !w.is_empty()).map(OsString::from).collect();
        split(&args, command("run").expect("a command").all_flags().chain(&HELP), Place::Before)
    }

    fn flags(line: &str) -> Vec<String> {
        run(line).expect(line).flags.into_iter().map(|f| f.into_string().expect("UTF-8")).collect()
    }

    #[test]
    fn one_dash_two_dashes_short_and_long_are_the_same() {
        for line in ["--bundle /b x", "--bundle=/b x", "-bundle /b x", "-bundle=/b x", "-b /b x", "-b=/b x", "--b /b x"] {
            assert_eq!(flags(line), ["--bundle=/b"], "{line}");
        }
        assert_eq!(flags("-no-subreaper x"), ["--no-subreaper"]);
    }

    #[test]
    fn the_last_switch_counts() {
        assert!(flags("--detach=false x").is_empty());
        assert!(flags("-d --detach=0 x").is_empty());
        assert_eq!(flags("--detach=F -d=T x"), ["--detach"]);
        assert!(run("--detach=maybe x").expect_err("no boolean").to_string().contains("\"maybe\" for --detach"));
    }

    #[test]
    fn flags_end_at_the_first_operand() {
        let found = run("-d x -d --no-such -- y").expect("parses");
        assert_eq!((found.flags.len(), found.operands.len()), (1, 5));
        assert!(!found.all_behind_dashes && run("-- -d").expect("parses").all_behind_dashes);
        assert_eq!(run("-- -d").expect("parses").operands, ["-d"]);
        assert_eq!(run("-").expect("parses").operands, ["-"]);
    }

    #[test]
    fn flags_may_stand_behind_operands_where_these_are_all_ours() {
        let args = ["x", "--bundle", "/b", "-9", "-d", "--", "--overlay"].map(OsString::from);
        let found = split(&args, command("run").expect("a command").all_flags(), Place::Anywhere).expect("parses");
        assert_eq!(
            (found.flags, found.operands),
            (vec!["--bundle=/b".into(), "--detach".into()], ["x", "-9", "--overlay"].map(OsString::from).to_vec())
        );
    }

    #[test]
    fn a_value_may_begin_with_a_dash_and_holds_commas() {
        assert_eq!(flags("--pid-file -x,y=z --layer a,b x"), ["--pid-file=-x,y=z", "--layer=a,b"]);
    }

    #[test]
    fn says_what_is_missing_or_misspelt() {
        assert_eq!(run("--bundle").expect_err("no value").to_string(), "flag needs an argument: --bundle");
        let error = run("--bundel /b x").expect_err("unknown");
        assert_eq!(
            (error.to_string().as_str(), error.hint_text()),
            ("flag provided but not defined: -bundel", Some("did you mean --bundle?"))
        );
        assert_eq!(run("--debug x").expect_err("misplaced").hint_text(), Some("--debug stands before the command"));
    }

    #[test]
    fn values_need_not_be_utf_8() {
        let args = [OsString::from("--root"), OsString::from_vec(vec![b'/', 0xff])];
        assert_eq!(split(&args, GLOBAL.iter(), Place::Before).expect("parses").flags[0].as_bytes(), b"--root=/\xff");
    }
}
