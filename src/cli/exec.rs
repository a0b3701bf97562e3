//! The arguments of `exec`, and the strict grammar of its user.
//!
//! Who may run a program in a container is decided by these few characters: a parser that takes `+0` or a name for a number
//! makes root of a user (CVE-2026-30892, CVE-2016-3697).

use std::path::PathBuf;

use super::Surroundings;
use super::go_flags::Split;
use super::typed::Typed;
use crate::error::{Error, Result};

/// The arguments of `exec`.
#[derive(Debug, Clone, Default)]
pub struct ExecArgs {
    /// The container.
    pub id: String,
    /// The program and its arguments.
    pub args: Vec<String>,
    /// `--process`: a file with the whole process, in which the other flags replace single fields.
    pub process: Option<PathBuf>,
    /// `--cwd`, a path inside the container.
    pub cwd: Option<PathBuf>,
    /// `--env`, repeatable.
    pub env: Vec<String>,
    /// `--tty`.
    pub tty: bool,
    /// `--user UID[:GID]`.
    pub user: Option<(u32, Option<u32>)>,
    /// `--additional-gids`, repeatable.
    pub additional_gids: Vec<u32>,
    /// `--process-label`.
    pub process_label: Option<String>,
    /// `--apparmor`.
    pub apparmor: Option<String>,
    /// `--no-new-privs`.
    pub no_new_privs: bool,
    /// `--cap`, repeatable.
    pub capabilities: Vec<String>,
    /// `--cgroup [CTRL[,CTRL]:]PATH`, repeatable.
    pub cgroups: Vec<String>,
    /// `--ignore-paused`.
    pub ignore_paused: bool,
    /// `--detach`.
    pub detach: bool,
    /// `--console-socket`.
    pub console_socket: Option<PathBuf>,
    /// `--pidfd-socket`.
    pub pidfd_socket: Option<PathBuf>,
    /// `--pid-file`.
    pub pid_file: Option<PathBuf>,
    /// `--preserve-fds N`.
    pub preserve_fds: u32,
    /// `--narrate`.
    pub narrate: bool,
}

/// Reads them. A program and `--process` exclude each other, and one of them must be there.
pub(super) fn read(id: String, flags: &Typed, split: &Split, around: &Surroundings) -> Result<ExecArgs> {
    let text = |arg: &std::ffi::OsString| {
        arg.to_str().map(str::to_owned).ok_or_else(|| Error::new("arguments of the program must be UTF-8"))
    };
    let args: Vec<String> = split.operands[1..].iter().map(text).collect::<Result<_>>()?;
    let process = flags.path("process", around)?;
    match (&process, args.is_empty()) {
        (None, true) => return Err(Error::new("process args cannot be empty").hint("name a program, or give --process FILE")),
        (Some(_), false) => return Err(Error::new("a program and --process exclude each other").code("E-USAGE")),
        _ => {}
    }
    let gids = flags.strings("additional-gids")?;
    Ok(ExecArgs {
        id,
        args,
        process,
        cwd: flags.string("cwd")?.map(PathBuf::from),
        env: flags.strings("env")?,
        tty: flags.on("tty"),
        user: flags.string("user")?.map(|u| parse_user(&u)).transpose()?,
        additional_gids: gids.iter().map(|g| parse_id(g)).collect::<Result<_>>()?,
        process_label: flags.string("process-label")?,
        apparmor: flags.string("apparmor")?,
        no_new_privs: flags.on("no-new-privs"),
        capabilities: flags.strings("cap")?,
        cgroups: flags.strings("cgroup")?,
        ignore_paused: flags.on("ignore-paused"),
        detach: flags.on("detach"),
        console_socket: flags.path("console-socket", around)?,
        pidfd_socket: flags.path("pidfd-socket", around)?,
        pid_file: flags.path("pid-file", around)?,
        preserve_fds: flags.number("preserve-fds"),
        narrate: flags.on("narrate"),
    })
}

/// `UID[:GID]`: decimal digits and nothing else. A sign, a blank or a name that some parser reads as 0 would make root of a
/// user (CVE-2026-30892).
fn parse_user(text: &str) -> Result<(u32, Option<u32>)> {
    match text.split_once(':') {
        None => Ok((parse_id(text)?, None)),
        Some((uid, gid)) => Ok((parse_id(uid)?, Some(parse_id(gid)?))),
    }
}

fn parse_id(text: &str) -> Result<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let id = text.parse().ok().filter(|id| digits && *id != u32::MAX);
    id.ok_or_else(|| {
        Error::new(format!("invalid id \"{}\"", crate::log::value(text))).hint("use UID or UID:GID, in decimal digits")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_digits() {
        assert_eq!(parse_user("1").unwrap(), (1, None));
        assert_eq!(parse_user("1000:5").unwrap(), (1000, Some(5)));
        for bad in ["", "1:", ":1", "+1", " 1", "1 ", "-1", "root", "4294967295", "4294967296", "0x1", "1:2:3", "１"] {
            assert!(parse_user(bad).is_err(), "{bad:?}");
        }
    }
}
