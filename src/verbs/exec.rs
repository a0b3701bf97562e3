//! `exec`: runs one more process in a container that is there.

use oci_spec::runtime::{Capability, Process};

use super::Outcome;
use crate::bundle;
use crate::cli::{ExecArgs, Global};
use crate::concepts::cgroups::{self, SubGroup};
use crate::error::{Error, Result};
use crate::host::same_user_namespace;
use crate::log::Journal;
use crate::plan::exec::{ExecRequest, make};
use crate::process::exec;
use crate::process::foreground::Foreground;
use crate::process::laps::Laps;
use crate::process::parent::Announce;
use crate::state::{State, StateDir, Status};

/// Runs the process; in the foreground the outcome's status is its status, 128+n if signal n ended it.
pub fn run(global: &Global, args: &ExecArgs, journal: &mut Journal) -> Result<Outcome> {
    let dir = StateDir::read(&global.root, &args.id)?;
    let state = dir.load()?;
    check(&state, &dir, args)?;
    let init = state.init()?.ok_or_else(stopped)?;
    let container = bundle::load(&state.bundle, journal.warnings())?;
    let process = process(args, container.spec.process().as_ref(), journal)?;
    let request = ExecRequest {
        spec: &container.spec,
        process: &process,
        state: &state,
        name: global.name,
        foreground: !args.detach,
        console_socket: args.console_socket.clone(),
        preserve_fds: args.preserve_fds,
    };
    let mut plan = make(request, journal.warnings())?;
    journal.refuse_warnings(global.strict)?;
    // A user namespace cannot be joined by a process that is in it already (setns(2)).
    if same_user_namespace(state.pid) {
        plan.namespaces &= !(libc::CLONE_NEWUSER as u64);
    }
    let sub: Vec<SubGroup> = args.cgroups.iter().map(|text| SubGroup::parse(text)).collect();
    let join = cgroups::join(&state.cgroups, &sub, state.pid)?;
    let tell = Announce { pid_file: args.pid_file.clone(), pidfd_socket: args.pidfd_socket.clone() };
    let laps = Laps::new(global.debug)?;
    let foreground = if args.detach { None } else { Some(Foreground::begin(false)?) };
    let executed = exec::exec(&mut plan, &state, &init, join, &tell, &laps)?;
    match foreground {
        Some(foreground) => Ok(Outcome { status: executed.wait(&plan, foreground)?, ..Outcome::default() }),
        None => Ok(Outcome::default()),
    }
}

fn stopped() -> Error {
    Error::new("cannot exec in a stopped container")
}

fn check(state: &State, dir: &StateDir, args: &ExecArgs) -> Result<()> {
    match state.status(dir)? {
        Status::Stopped => Err(stopped()),
        Status::Paused if !args.ignore_paused => {
            Err(Error::new("cannot exec in a paused container (use --ignore-paused to override)"))
        }
        _ => Ok(()),
    }
}

/// The process file as it is, or the container's own process with what the command line says in place of single fields.
fn process(args: &ExecArgs, own: Option<&Process>, journal: &mut Journal) -> Result<Process> {
    if let Some(file) = &args.process {
        return bundle::load_process(file, journal.warnings());
    }
    let mut process = own.cloned().ok_or_else(|| Error::new("process property must not be empty").config("process"))?;
    process.set_args(Some(args.args.clone())).set_terminal(Some(args.tty));
    if let Some(cwd) = &args.cwd {
        process.set_cwd(cwd.clone());
    }
    process.env_mut().get_or_insert_default().extend(args.env.iter().cloned());
    if let Some((uid, gid)) = args.user {
        process.user_mut().set_uid(uid);
        gid.into_iter().for_each(|gid| drop(process.user_mut().set_gid(gid)));
    }
    if !args.additional_gids.is_empty() {
        process.user_mut().set_additional_gids(Some(args.additional_gids.clone()));
    }
    if let Some(label) = &args.process_label {
        process.set_selinux_label(Some(label.clone()));
    }
    if let Some(profile) = &args.apparmor {
        process.set_apparmor_profile(Some(profile.clone()));
    }
    if args.no_new_privs {
        process.set_no_new_privileges(Some(true));
    }
    add_capabilities(&mut process, &args.capabilities)?;
    Ok(process)
}

/// `--cap` adds to bounding, effective and permitted; to ambient only where the config lets capabilities be inherited; and
/// never to inheritable (CVE-2022-29162).
fn add_capabilities(process: &mut Process, names: &[String]) -> Result<()> {
    let parse =
        |name: &String| Capability::try_from(name.strip_prefix("CAP_").unwrap_or(name)).map_err(|_| Error::new(format!("unknown capability {name:?}")));
    let added: Vec<Capability> = names.iter().map(parse).collect::<Result<_>>()?;
    if added.is_empty() {
        return Ok(());
    }
    let mut sets = process.capabilities().clone().unwrap_or_else(no_capabilities);
    let grown = |set: &Option<oci_spec::runtime::Capabilities>| {
        Some(set.iter().flatten().copied().chain(added.iter().copied()).collect())
    };
    let (bounding, effective, permitted) = (grown(sets.bounding()), grown(sets.effective()), grown(sets.permitted()));
    let ambient =
        if sets.inheritable().as_ref().is_some_and(|i| !i.is_empty()) { grown(sets.ambient()) } else { sets.ambient().clone() };
    sets.set_bounding(bounding).set_effective(effective).set_permitted(permitted).set_ambient(ambient);
    process.set_capabilities(Some(sets));
    Ok(())
}

/// The type's own default is a set of capabilities.
fn no_capabilities() -> oci_spec::runtime::LinuxCapabilities {
    let mut sets = oci_spec::runtime::LinuxCapabilities::default();
    sets.set_bounding(None).set_effective(None).set_inheritable(None).set_permitted(None).set_ambient(None);
    sets
}
