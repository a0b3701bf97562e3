//! `kill`: sends a signal to a container's init (signal(7)).
//!
//! Init is the only process that a caller can name from outside; a signal that it does not handle is ignored in a PID
//! namespace of its own, save SIGKILL and SIGSTOP from outside (pid_namespaces(7)).

use nix::sys::signal::Signal;

use super::Outcome;
use crate::cli::{Global, KillArgs};
use crate::error::{Error, Result};
use crate::log::Journal;
use crate::process::end::{NOT_RUNNING, signal};
use crate::state::StateDir;

/// The first and last real-time signal that the C library leaves to programs (signal(7)).
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// Sends the signal; `container not running` when init is gone.
pub fn run(global: &Global, args: &KillArgs, journal: &mut Journal) -> Result<Outcome> {
    let state = StateDir::read(&global.root, &args.id)?.load()?;
    let number = parse(args.signal.as_deref().unwrap_or("SIGTERM"))?;
    if args.all {
        journal.debug("kill --all has no effect of its own: when init dies, the kernel kills the rest");
    }
    match signal(&state, number) {
        // What --all asks for is so already.
        Err(e) if args.all && e.op_text() == NOT_RUNNING => Ok(Outcome::default()),
        sent => sent.map(|()| Outcome::default()),
    }
}

/// `9`, `KILL`, `SIGKILL`, `sigkill`, `RTMIN+3`, `SIGRTMAX-1`; 0 asks only whether init is there.
pub fn parse(text: &str) -> Result<i32> {
    let unknown = || {
        let error = Error::new(format!("unknown signal \"{}\"", crate::log::value(text)));
        let upper = text.to_uppercase();
        let names: Vec<&str> = Signal::iterator().map(|s| &s.as_str()[3..]).collect();
        match crate::suggest::closest(upper.trim_start_matches("SIG"), names.iter().copied()) {
            Some(near) => error.hint(format!("did you mean {near}?")),
            None => error,
        }
    };
    if let Ok(number) = text.parse::<i32>() {
        return if (0..=RTMAX).contains(&number) { Ok(number) } else { Err(unknown()) };
    }
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    if let Some(number) = real_time(name) {
        return Ok(number);
    }
    // Names that are second names of others in signal(7).
    let name = match name {
        "CLD" => "CHLD",
        "POLL" => "IO",
        "IOT" => "ABRT",
        name => name,
    };
    Signal::iterator().find(|s| &s.as_str()[3..] == name).map(|s| s as i32).ok_or_else(unknown)
}

fn real_time(name: &str) -> Option<i32> {
    let (base, sign, rest) = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(rest), _) => (RTMIN, '+', rest),
        (_, Some(rest)) => (RTMAX, '-', rest),
        _ => return None,
    };
    if rest.is_empty() {
        return Some(base);
    }
    let distance: i32 = rest.strip_prefix(sign)?.parse().ok().filter(|n| (0..=RTMAX - RTMIN).contains(n))?;
    Some(if sign == '+' { base + distance } else { base - distance })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_and_names() {
        for (text, number) in [
            ("9", 9),
            ("KILL", 9),
            ("SIGKILL", 9),
            ("kill", 9),
            ("sigKill", 9),
            ("TERM", 15),
            ("0", 0),
            ("64", 64),
            ("USR1", 10),
            ("WINCH", 28),
            ("STKFLT", 16),
            ("IOT", 6),
            ("POLL", 29),
            ("CLD", 17),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("rtmax-1", 63),
            ("RTMAX", 64),
        ] {
            assert_eq!(parse(text).expect(text), number, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_signal() {
        for text in ["", "FOO", "65", "-1", "-9", "RTMIN-1", "RTMAX+1", "RTMIN+31", "RTMIN+x", "9999999999", "SIG", "SIGSIGKILL"]
        {
            assert_eq!(parse(text).expect_err(text).to_string(), format!("unknown signal \"{text}\""));
        }
        assert_eq!(parse("KIL").expect_err("misspelt").hint_text(), Some("did you mean KILL?"));
    }
}
