//! `exec`: runs one more process in a container that is there.
//!
//! The container may be hostile, so nothing about it is believed but its state and its bundle, and its init is held by a
//! pidfd from the first look on: a recycled pid would put the process into somebody else's namespaces.

use oci_spec::runtime::Process;

use super::{Outcome, audit};
use crate::bundle;
use crate::cli::{ExecArgs, Global};
use crate::concepts::cgroups::{self, SubGroup};
use crate::error::{Error, Result};
use crate::host::same_user_namespace;
use crate::log::Journal;
use crate::plan::exec::{ExecRequest, make};
use crate::plan::overrides;
use crate::process::announce::Announce;
use crate::process::exec;
use crate::process::foreground::Foreground;
use crate::process::laps::Laps;
use crate::state::{State, StateDir, Status};

/// Runs the process; in the foreground the outcome's status is its status, 128+n if signal n ended it.
pub fn run(global: &Global, args: &ExecArgs, journal: &mut Journal) -> Result<Outcome> {
    let dir = StateDir::read(&global.root, &args.id)?;
    let state = dir.load()?;
    let init = state.init()?.ok_or_else(stopped)?;
    check(&state, &dir, args)?;
    // Not the bundle's, which others may have changed or removed by now: its filter and id maps hold for all processes.
    let known = dir.config()?;
    let spec = bundle::parse_known(&known)?;
    let process = match &args.process {
        Some(file) => overrides::process(args, bundle::load_process(file, journal.warnings())?)?,
        None => overrides::own_process(args, own_process(&state, &known, spec.process(), journal)?)?,
    };
    let request = ExecRequest {
        spec: &spec,
        process: &process,
        state: &state,
        name: global.name,
        foreground: !args.detach,
        console_socket: args.console_socket.clone(),
        preserve_fds: args.preserve_fds,
    };
    let mut plan = make(request, journal.warnings())?;
    journal.refuse_warnings(global.strict)?;
    journal.debug_lines(plan.process.seccomp.iter().flat_map(|s| s.debug_lines()));
    // A user namespace cannot be joined by a process that is in it already (setns(2)).
    let user = libc::CLONE_NEWUSER as u64;
    if plan.namespaces & user != 0 && same_user_namespace(state.pid) {
        plan.namespaces &= !user;
    }
    let sub = SubGroup::parse_all(&args.cgroups)?;
    let join = cgroups::join(&state.cgroups, &sub, state.pid)?;
    let tell = Announce { pid_file: args.pid_file.clone(), pidfd_socket: args.pidfd_socket.clone(), narrate: args.narrate };
    let laps = Laps::new(global.debug)?;
    let foreground = if args.detach { None } else { Some(Foreground::begin(false)?) };
    // The newcomer is born among the container's processes: it shall bring no directory of the host (CVE-2016-9962).
    drop(dir);
    journal.audit(|| audit::exec(global, args), None)?;
    let executed = exec::exec(&mut plan, &state, &init, join, &tell, &laps)?;
    match foreground {
        Some(foreground) => {
            // Not `rrun kill`, which ends the container.
            let foreground = foreground.kill_command(format!("kill -KILL {}", executed.pid));
            Ok(Outcome { status: executed.wait(&plan, foreground)?, ..Outcome::default() })
        }
        None => Ok(Outcome::default()),
    }
}

/// The bundle's process as it is now, else as it was.
fn own_process(state: &State, text: &[u8], process: &Option<Process>, journal: &mut Journal) -> Result<Option<Process>> {
    // As a rule it is the same text, of which the parts are known.
    match std::fs::read(state.bundle.join("config.json")) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(process.clone()),
        Ok(now) if now == text => Ok(process.clone()),
        _ => Ok(bundle::load(&state.bundle, journal.warnings())?.spec.process().clone()),
    }
}

fn stopped() -> Error {
    Error::new("cannot exec in a stopped container")
}

fn check(state: &State, dir: &StateDir, args: &ExecArgs) -> Result<()> {
    match state.status_of_living(dir)? {
        Status::Paused if !args.ignore_paused => {
            Err(Error::new("cannot exec in a paused container (use --ignore-paused to override)"))
        }
        _ => Ok(()),
    }
}
