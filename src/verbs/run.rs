//! `run`: create and start in one, and wait for the program unless detached.
//!
//! It needs no gate: the process that creates is the one that starts. The status it returns is the program's own
//! (runtime-spec, runtime.md; 128+n as shells count signals).

use super::create::{Setup, set_up, tell};
use super::{Outcome, audit, delete};
use crate::cli::{Global, RunArgs};
use crate::concepts::cgroups;
use crate::error::Result;
use crate::log::Journal;
use crate::process::foreground::Foreground;
use crate::process::parent;

/// The status of a program that SIGKILL ended.
const KILLED: i32 = 128 + libc::SIGKILL;

/// Runs the container; the outcome's status is the program's, 128+n if signal n ended it.
pub fn run(global: &Global, args: &RunArgs, journal: &mut Journal) -> Result<Outcome> {
    let Setup { mut plan, state, dir, announce, laps } = set_up(global, &args.create, true, !args.detach, journal)?;
    // Signals are blocked before the container exists, so that none is lost that should have reached it.
    let foreground = if args.detach { Ok(None) } else { Foreground::begin(!args.no_subreaper).map(Some) };
    let (dir, foreground) = dir.claimed_for(foreground)?;
    let foreground = foreground.map(|f| f.kill_command(kill_command(global, &plan.id)));
    let running = parent::create(&mut plan, state, dir, &announce, &laps).and_then(|mut created| {
        tell(&mut created, journal);
        // Before the program can do anything: where the log is required, it is what happens first.
        journal.audit(|| audit::event(global, &plan.id, "start"), None)?;
        let state = created.state.clone();
        created.launch(&plan).map(|running| (running, state))
    });
    journal.debug_lines(laps.lines(&plan));
    if running.is_err() {
        announce.story(|| plan.story(|step| laps.begun(step)));
    }
    let (running, state) = running?;
    // Whoever watches the log learns of them now, not when the container ends.
    journal.succeed();
    let Some(foreground) = foreground else { return running.leave().map(|()| Outcome::default()) };
    let (status, dir) = running.wait(&plan, foreground);
    if let (Ok(KILLED), Some(limit)) = (&status, plan.cgroups.memory_limit())
        && cgroups::oom_kills(&state.cgroups) > 0
    {
        let why = cgroups::too_little(limit);
        journal.warnings().add(format!("the kernel ended the container for lack of memory (E-MEMLOW): {why}"));
    }
    let logged = audit::exit(dir.as_ref(), &state, status.as_ref().ok().copied(), journal);
    let removed = match dir.filter(|_| !args.keep) {
        Some(dir) => delete::destroy(dir, &state, journal),
        None => Ok(()),
    };
    // Of several errors the first: the others may come from it.
    status.and_then(|status| removed.and(logged).map(|()| Outcome { status, ..Outcome::default() }))
}

/// What ends the container by force, for who has no other terminal at hand to look it up.
fn kill_command(global: &Global, id: &str) -> String {
    let root = if global.root_given { format!(" --root {}", global.root.display()) } else { String::new() };
    format!("{}{root} kill {id} KILL", global.name)
}

/// After a failure: what else the word may have meant. A config.json in the current directory makes it an id, as with runc.
pub fn other_meaning(args: &RunArgs) -> Option<String> {
    let id = args.create.id.as_deref().filter(|_| args.create.bundle.is_none())?;
    let bundle = std::path::Path::new(id).join("config.json").is_file();
    let id = crate::log::value(id);
    bundle.then(|| format!("{id} was taken for an id, as config.json is in this directory; for the bundle: rrun run ./{id}"))
}
