//! `create`: makes the container up to the point where only its program is missing, and leaves it to `start`.
//!
//! All of the input is read and judged before anything is made, and the id is claimed before anything else is: a bad bundle
//! leaves nothing behind, and of two callers with one id one wins (runtime-spec, runtime.md, Create).

use std::path::Path;

use super::{Outcome, audit};
use crate::bundle;
use crate::cli::{CreateArgs, Global, id_candidates};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::log::{Journal, now};
use crate::plan::neighbour::join_network;
use crate::plan::record::{self, Birth};
use crate::plan::{self, Plan, Request};
use crate::process::announce::Announce;
use crate::process::parent::{self, Created};
use crate::process::{laps::Laps, notify, stdio};
use crate::state::{State, StateDir, TAKEN, boot_id, user_name};

/// Everything a container is made from, its id claimed.
pub struct Setup {
    /// The plan.
    pub plan: Plan,
    /// The state to be saved.
    pub state: State,
    /// The claimed directory.
    pub dir: StateDir,
    /// Whom to tell of the process.
    pub announce: Announce,
    /// The stopwatch.
    pub laps: Laps,
}

/// Reads the bundle, plans, and claims the id. Nothing is made before all of the input was found good.
pub fn set_up(global: &Global, args: &CreateArgs, starts: bool, foreground: bool, journal: &mut Journal) -> Result<Setup> {
    let mut bundle = bundle::load(args.bundle.as_deref().unwrap_or(Path::new(".")), journal.warnings())?;
    if let Some(other) = &args.net_of {
        let other = StateDir::read(&global.root, other)?.load()?;
        let _alive = other.init()?.ok_or_else(|| Error::new(format!("--net-of {}: container not running", other.id)))?;
        join_network(&mut bundle.spec, &other)?;
    }
    let host = Host::ask()?;
    let laps = Laps::new(global.debug || args.narrate)?;
    for id in id_candidates(args.id.as_deref(), &bundle.path) {
        let request = Request {
            bundle: &bundle,
            host: &host,
            id: &id,
            name: global.name,
            state_dir: global.root.join(&id),
            driver: global.driver,
            tolerant: global.rootless.unwrap_or(host.rootless),
            args,
            starts,
            foreground,
            listen_fds: stdio::listen_fds()?,
            notify: notify::address(std::env::var_os("NOTIFY_SOCKET")),
        };
        let plan = plan::make(&request, journal.warnings())?;
        journal.refuse_warnings(global.strict)?;
        journal.debug_lines(plan.process.seccomp.iter().flat_map(|s| s.debug_lines()));
        let born = Birth { created: now(), boot_id: boot_id()?, owner: user_name(host.euid) };
        let state = record::state(&request, &plan, born);
        match StateDir::create(&global.root, &id) {
            Err(e) if args.id.is_none() && e.op_text() == TAKEN => continue,
            dir => {
                let dir = dir?;
                let kept = dir.keep_config(&bundle.text);
                let (dir, ()) = dir.claimed_for(kept)?;
                let announce =
                    Announce { pid_file: args.pid_file.clone(), pidfd_socket: args.pidfd_socket.clone(), narrate: args.narrate };
                return Ok(Setup { plan, state, dir, announce, laps });
            }
        }
    }
    Err(Error::new(format!("no free id for {}", bundle.path.display())).hint("name one: rrun run --bundle DIR ID"))
}

/// Creates the container and leaves it waiting.
pub fn run(global: &Global, args: &CreateArgs, journal: &mut Journal) -> Result<Outcome> {
    let Setup { mut plan, state, dir, announce, laps } = set_up(global, args, false, false, journal)?;
    let created = parent::create(&mut plan, state, dir, &announce, &laps);
    journal.debug_lines(laps.lines(&plan));
    let mut created = created.inspect_err(|_| announce.story(|| plan.story(|step| laps.begun(step))))?;
    tell(&mut created, journal);
    journal.audit(|| audit::event(global, &plan.id, "create"), None)?;
    created.leave();
    Ok(Outcome::default())
}

/// What the caller should know of the container that was made.
pub fn tell(created: &mut Created, journal: &mut Journal) {
    created.note.take().into_iter().for_each(|note| journal.warnings().add(note));
    if created.state.cgroups.devices_skipped {
        journal.debug("linux.resources.devices is not in force: the kernel takes no device program from a user namespace");
    }
}
