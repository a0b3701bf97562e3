//! What the command line of `exec` puts in place of single fields of the container's own process, or of the `--process` given.
//!
//! A newcomer must not get more than the container was given unless it was asked for by name: added capabilities are never
//! inheritable, or the next program in the container would have them too (CVE-2022-29162, CVE-2025-27612).

use oci_spec::runtime::{Capability, Process};

use crate::bundle::capability_names;
use crate::cli::ExecArgs;
use crate::error::{Error, Result};
use crate::suggest::closest;

/// The container's own process with the program of the command line, which alone decides whether it gets a terminal.
pub fn own_process(args: &ExecArgs, own: Option<Process>) -> Result<Process> {
    let mut process = own.ok_or_else(|| Error::new("process property must not be empty").config("process"))?;
    process.set_args(Some(args.args.clone())).set_terminal(Some(false));
    self::process(args, process)
}

/// `process` with what the command line says in place of single fields.
pub fn process(args: &ExecArgs, mut process: Process) -> Result<Process> {
    if args.tty {
        process.set_terminal(Some(true));
    }
    if let Some(cwd) = &args.cwd {
        process.set_cwd(cwd.clone());
    }
    process.env_mut().get_or_insert_default().extend(args.env.iter().cloned());
    if let Some((uid, gid)) = args.user {
        process.user_mut().set_uid(uid);
        if let Some(gid) = gid {
            process.user_mut().set_gid(gid);
        }
    }
    if !args.additional_gids.is_empty() {
        process.user_mut().set_additional_gids(Some(args.additional_gids.clone()));
    }
    // An empty one must not take the container's away.
    let named = |flag: &Option<String>| flag.clone().filter(|f| !f.is_empty());
    if let Some(label) = named(&args.process_label) {
        process.set_selinux_label(Some(label));
    }
    if let Some(profile) = named(&args.apparmor) {
        process.set_apparmor_profile(Some(profile));
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
    let unknown = |name: &str| {
        let error = Error::new(format!("unknown capability {name:?}")).code("E-CAP");
        match closest(name, capability_names()) {
            Some(near) => error.hint(format!("did you mean {near}?")),
            None => error.hint("capabilities(7) names them all; write one as CAP_NET_ADMIN"),
        }
    };
    let parse = |name: &String| Capability::try_from(name.strip_prefix("CAP_").unwrap_or(name)).map_err(|_| unknown(name));
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
