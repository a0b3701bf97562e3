//! `ps`: the processes of a container as the host sees them (ps(1)).
//!
//! The pids come from the container's groups (src/process/members.rs), not from its /proc: what the container says about
//! itself is for it to choose.

use std::process::{Command, Stdio};

use super::Outcome;
use crate::cli::{Format, Global, PsArgs};
use crate::error::{At, Error, Result};
use crate::log::Journal;
use crate::process::members;
use crate::state::StateDir;

/// Prints host pids as JSON, or the lines of the host's ps that speak of them.
pub fn run(global: &Global, args: &PsArgs, _journal: &mut Journal) -> Result<Outcome> {
    let state = StateDir::read(&global.root, &args.id)?.load()?;
    let pids = members::pids(&state)?;
    if args.format == Format::Json {
        return Ok(Outcome::print(format!("{}\n", serde_json::to_string(&pids).expect("numbers have a JSON form"))));
    }
    let listing = listing(args)?;
    Ok(Outcome::print(keep(&listing, &pids)?))
}

fn listing(args: &PsArgs) -> Result<String> {
    let mut command = Command::new("ps");
    match args.options.as_slice() {
        [] => command.arg("-ef"),
        // go-runc has one string for all options and sends it as it is.
        [all] => command.args(all.to_string_lossy().split_whitespace()),
        several => command.args(several),
    };
    let done = match command.stdin(Stdio::null()).output() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::new("exec: \"ps\": executable file not found in $PATH")
                .hint("install the package procps, or use --format json"));
        }
        done => done.at(|| "exec ps")?,
    };
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let first = said.lines().find(|l| !l.trim().is_empty()).unwrap_or("no reason given");
    Err(Error::new(format!("ps failed: {}", crate::log::value(first))))
}

/// The header and the lines whose column PID is one of `pids`.
fn keep(listing: &str, pids: &[i32]) -> Result<String> {
    let mut lines = listing.lines();
    let header = lines.next().unwrap_or_default();
    let column = Column::of(header)
        .ok_or_else(|| Error::new("couldn't find PID field in ps output").hint("add pid to the columns: -o pid,args"))?;
    let ours = |line: &&str| column.pid(line).is_some_and(|pid| pids.binary_search(&pid).is_ok());
    // ps itself replaces control characters, but not marks that turn the direction of writing.
    Ok([header].into_iter().chain(lines.filter(ours)).map(|line| crate::log::escape(line) + "\n").collect())
}

/// Where the header says that pids stand.
struct Column {
    /// How many columns there are before it.
    index: usize,
    /// How many letters there are up to its end.
    end: usize,
}

impl Column {
    fn of(header: &str) -> Option<Self> {
        let index = header.split_whitespace().position(|name| name == "PID")?;
        let mut words = 0;
        let mut before = ' ';
        let end = header.chars().enumerate().find_map(|(at, c)| {
            words += usize::from(before.is_whitespace() && !c.is_whitespace());
            before = c;
            (words == index + 1).then_some(at + "PID".len())
        })?;
        Some(Self { index, end })
    }

    /// The number right below the header's word. Where the columns have moved, the one behind as many words: not first, as names of
    /// processes, which may stand before it, hold what words those like.
    fn pid(&self, line: &str) -> Option<i32> {
        let chars: Vec<char> = line.chars().collect();
        let (cell, rest) = chars.split_at(self.end.min(chars.len()));
        let below: String = cell.iter().collect();
        let number = below.trim_end().rsplit(char::is_whitespace).next().and_then(|n| n.parse().ok());
        let ends = rest.first().is_none_or(|c| c.is_whitespace());
        number.filter(|_| ends).or_else(|| line.split_whitespace().nth(self.index)?.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str =
        "UID          PID    PPID  C CMD\nroot           1       0  0 init 42\nroot          42       1  0 sleep 1\n";

    #[test]
    fn keeps_the_lines_of_the_container() {
        assert_eq!(
            keep(LISTING, &[7, 42]).expect("has PID"),
            "UID          PID    PPID  C CMD\nroot          42       1  0 sleep 1\n"
        );
        assert_eq!(keep(LISTING, &[]).expect("has PID").lines().count(), 1);
    }

    #[test]
    fn names_are_no_numbers_and_columns_may_move() {
        let kept = |listing: &str, pids: &[i32]| {
            keep(listing, pids).expect("has PID").lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
        };
        let listing = "COMMAND             PID S\na 42 b                7 S\nsleep                42 S\nsleep           1234567 S\n42 4294967296 S\n";
        assert_eq!(kept(listing, &[42]), ["sleep                42 S"]);
        assert_eq!(kept(listing, &[7]), ["a 42 b                7 S"]);
        assert_eq!(kept("PID   USER\n1     root\n123456 root\n", &[1, 123456]), ["1     root", "123456 root"]);
        assert_eq!(kept("PID\n7\n8\n", &[7]), ["7"]);
        assert_eq!(kept("COMMAND PID\nlonger-name 9\n", &[9]), ["longer-name 9"]);
        assert_eq!(kept("PPID PID\n   1   9\n", &[1]), [""; 0]);
    }

    #[test]
    fn needs_the_column_pid() {
        assert!(keep("CMD\nx\n", &[1]).is_err());
        assert!(keep("PPID\n1\n", &[1]).is_err());
        assert!(keep("", &[1]).is_err());
    }
}
