//! `update`: changes the limits of a container that is there, or gives it none of the new ones.
//!
//! What cannot be honoured is refused before anything is written, and what was written before a refusal is taken back: a
//! scheduler that is told "failed" goes on counting with the old limits. Whose groups they are stands in the state; callers
//! do not repeat `--systemd-cgroup` here.

use std::fs::File;
use std::io::Read;

use oci_spec::runtime::LinuxResources;

use super::Outcome;
use crate::bundle;
use crate::cli::{Global, Resources, UpdateArgs};
use crate::concepts::{cgroups, rdt};
use crate::error::{At, Error, Result};
use crate::log::Journal;
use crate::state::{State, StateDir, Status};

/// More than any set of limits; the rest is refused by [`bundle::load_resources`].
const LARGEST: u64 = (16 << 20) + 1;

/// Writes the limits; `container not running` unless it is created, running or paused.
pub fn run(global: &Global, args: &UpdateArgs, journal: &mut Journal) -> Result<Outcome> {
    let mut dir = StateDir::read(&global.root, &args.id)?;
    // Asked before the lock as well, for which a container that is just being made would let us wait.
    check_running(&dir.load()?, &dir)?;
    let resources = resources(args, journal)?;
    if args.kernel_memory {
        journal.debug("--kernel-memory and --kernel-memory-tcp have no effect: the kernel has no such limits any more");
    }
    dir.acquire()?;
    let mut state = dir.load()?;
    check_running(&state, &dir)?;
    let change = cgroups::plan_update(&state.cgroups, &resources, state.rootless, journal.warnings())?;
    journal.refuse_warnings(global.strict)?;
    let (before, shares) = (state.clone(), rdt::stats(state.rdt.as_ref()));
    allocate(args, &mut state)?;
    cgroups::update(&mut state.cgroups, &change).map_err(|e| take_back(&before, &state, &shares, e))?;
    if state.cgroups != before.cgroups || state.rdt != before.rdt {
        dir.save(&state)?;
    }
    Ok(Outcome::default())
}

/// Shares of the cache and of the memory bandwidth.
fn allocate(args: &UpdateArgs, state: &mut State) -> Result<()> {
    let (cache, bandwidth) = (args.l3_cache_schema.as_deref(), args.mem_bw_schema.as_deref());
    if cache.is_some() || bandwidth.is_some() {
        let pids = cgroups::pids(&state.cgroups)?;
        state.rdt = Some(rdt::update(state.rdt.as_ref(), &state.id, &pids, cache, bandwidth)?);
    }
    Ok(())
}

/// What was allocated before the groups refused the rest.
fn take_back(before: &State, state: &State, shares: &rdt::Stats, e: Error) -> Error {
    let (cache, bandwidth) = (shares.l3_cache_schema.as_deref(), shares.mem_bw_schema.as_deref());
    let done = match (&before.rdt, &state.rdt) {
        (Some(class), _) => rdt::update(Some(class), &state.id, &[], cache, bandwidth).map(drop),
        (None, made) => made.as_ref().map_or(Ok(()), rdt::remove),
    };
    match done {
        Ok(()) => e,
        Err(second) => e.hint(format!("the new schemata are in force still: {second}")),
    }
}

fn check_running(state: &State, dir: &StateDir) -> Result<()> {
    match state.status(dir)? {
        Status::Creating | Status::Stopped => Err(Error::new("container not running")),
        Status::Created | Status::Running | Status::Paused => Ok(()),
    }
}

fn resources(args: &UpdateArgs, journal: &mut Journal) -> Result<LinuxResources> {
    let mut text = vec![];
    let name = match &args.resources {
        Resources::Flags(limits) => return Ok(*limits.clone()),
        Resources::Stdin => {
            std::io::stdin().lock().take(LARGEST).read_to_end(&mut text).at(|| "read stdin")?;
            "stdin".to_owned()
        }
        Resources::File(path) => {
            let said = || format!("open {}", path.display());
            File::open(path).at(said)?.take(LARGEST).read_to_end(&mut text).at(|| format!("read {}", path.display()))?;
            path.file_name().map_or_else(|| "resources".into(), |n| crate::log::value(&n.to_string_lossy()))
        }
    };
    bundle::load_resources(&text, &name, journal.warnings())
}
