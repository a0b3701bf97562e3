//! One run of a lab: the script outside is started, what it and its containers print is collected, all of it is ended.
//!
//! The script is a process group of its own, and the signals that ask rrun to end are read as data meanwhile: whoever presses
//! Ctrl-C ends the script, and the containers and the directory still go.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use serde::Serialize;

use super::table::{Effect, Test};
use crate::error::{At, Error, Result};
use crate::sys::signals::unblocked;
use crate::workshop::progress::Progress;

/// The longest that a lab may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// How long a script may take to clean up when it is told to end.
const GRACE: Duration = Duration::from_secs(3);

/// What one run showed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Shown {
    /// The lines `name=value`, in order.
    pub facts: Vec<(String, String)>,
    /// Whether they show the effect.
    pub effect: bool,
    /// Everything else that was printed, errors among it.
    pub other: Vec<String>,
}

/// What a side showed, or the signal that ended it.
pub type Ran = std::result::Result<Shown, u32>;

/// The signals that ask rrun to end, held back until the lab is cleaned up.
pub struct Interrupts(SignalFd);

impl Interrupts {
    /// From now on they are data.
    pub fn hold() -> Result<Self> {
        let mut taken = SigSet::empty();
        let asked = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGCHLD];
        asked.into_iter().for_each(|signal| taken.add(signal));
        let signals = SignalFd::with_flags(&taken, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).at(|| "signalfd")?;
        taken.thread_block().at(|| "block signals")?;
        Ok(Self(signals))
    }

    /// Waits for the script; the signal that asked for its end, if one did.
    fn wait(&self, script: &mut Child, progress: &mut Progress) -> Result<Option<u32>> {
        let end = Instant::now() + PATIENCE;
        while script.try_wait().at(|| "wait for the script")?.is_none() {
            progress.look("");
            let left = end.saturating_duration_since(Instant::now());
            let left = progress.next().map_or(left, |next| left.min(next));
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], timeout).at(|| "poll")?;
            let mut came = std::iter::from_fn(|| self.0.read_signal().ok().flatten()).map(|s| s.ssi_signo);
            let asked = came.find(|signal| *signal != libc::SIGCHLD as u32);
            let late = Instant::now() >= end;
            if late || asked.is_some() {
                end_group(script)?;
            }
            if asked.is_some() {
                return Ok(asked);
            }
            if late {
                return Err(Error::new(format!("the lab was not done after {} seconds", PATIENCE.as_secs())));
            }
        }
        Ok(None)
    }
}

/// Ends the script and its children: asked first, so that what it has set up is taken down.
fn end_group(script: &mut Child) -> Result<()> {
    // Not yet waited for, so the number is still its own.
    let group = Pid::from_raw(script.id() as i32);
    killpg(group, Signal::SIGTERM).ok();
    let end = Instant::now() + GRACE;
    while Instant::now() < end && script.try_wait().at(|| "wait for the script")?.is_none() {
        std::thread::sleep(Duration::from_millis(20));
    }
    killpg(group, Signal::SIGKILL).ok();
    script.wait().at(|| "wait for the script").map(drop)
}

/// Runs the script and reads what it printed; or the signal by which somebody ended it.
pub fn run(mut command: Command, interrupts: &Interrupts, dir: &Path, effect: &Effect, progress: &mut Progress) -> Result<Ran> {
    let [out, err] = ["out", "err"].map(|name| dir.join(name));
    let open = |path: &Path| {
        drop(std::fs::remove_file(path));
        File::options().create(true).append(true).open(path).at(|| format!("create {}", path.display()))
    };
    command.stdout(open(&out)?).stderr(open(&err)?).process_group(0);
    unblocked(&mut command);
    let mut script = command.spawn().at(|| "start the script")?;
    let ended = interrupts.wait(&mut script, progress);
    // Sleepers that it left in the background.
    killpg(Pid::from_raw(script.id() as i32), Signal::SIGKILL).ok();
    if let Some(signal) = ended? {
        return Ok(Err(signal));
    }
    let text = |path: &Path| std::fs::read_to_string(path).at(|| format!("read {}", path.display()));
    Ok(Ok(read(&text(&out)?, &text(&err)?, effect)))
}

fn read(out: &str, err: &str, effect: &Effect) -> Shown {
    let mut shown = Shown::default();
    for line in out.lines() {
        match line.split_once('=') {
            Some((name, value)) => shown.facts.push((name.to_owned(), value.trim().to_owned())),
            None => shown.other.push(line.to_owned()),
        }
    }
    shown.other.extend(err.lines().map(str::to_owned));
    shown.effect = shown.fact(effect.fact).is_some_and(|value| match effect.test {
        Test::Is(wanted) => value == wanted,
        Test::Above(least) => value.parse::<u64>().is_ok_and(|n| n > least),
    });
    shown
}

impl Shown {
    /// The value of a line.
    pub fn fact(&self, name: &str) -> Option<&str> {
        self.facts.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_lines_with_a_name() {
        let effect = Effect { fact: "bytes", test: Test::Above(9) };
        let shown = read("bytes=10\nhello\nwhy=a = b\n", "warning\n", &effect);
        assert_eq!(shown.facts, [("bytes".to_owned(), "10".to_owned()), ("why".to_owned(), "a = b".to_owned())]);
        assert_eq!(shown.other, ["hello", "warning"]);
        assert!(shown.effect);
        assert!(!read("bytes=9\n", "", &effect).effect && !read("", "", &effect).effect);
    }
}
