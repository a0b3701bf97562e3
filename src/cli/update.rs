//! The arguments of `update`: limits one by one, or all in a file.
//!
//! Both at once would leave open which of them holds, so it is refused. What the flags say is plain data here; that 0 means "leave it
//! as it is" is a rule of the values themselves, as engines send it in files too.

use std::path::PathBuf;

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxPids, LinuxResources};

use super::Surroundings;
use super::typed::Typed;
use crate::error::{Error, Result};

/// Where the limits stand.
#[derive(Debug, Clone, PartialEq)]
pub enum Resources {
    /// `--resources -`.
    Stdin,
    /// `--resources FILE`.
    File(PathBuf),
    /// In the flags.
    Flags(Box<LinuxResources>),
}

/// The arguments of `update`.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdateArgs {
    /// The container.
    pub id: String,
    /// The limits.
    pub resources: Resources,
    /// `--l3-cache-schema`.
    pub l3_cache_schema: Option<String>,
    /// `--mem-bw-schema`.
    pub mem_bw_schema: Option<String>,
    /// `--kernel-memory` or `--kernel-memory-tcp` was given: accepted for old callers, without effect.
    pub kernel_memory: bool,
}

pub(super) fn read(id: String, flags: &Typed, around: &Surroundings) -> Result<UpdateArgs> {
    // Read although nothing is done with them: nonsense stays an error.
    let kernel_memory = flags.size("kernel-memory")?.is_some() | flags.size("kernel-memory-tcp")?.is_some();
    let set = |text: Option<String>| text.filter(|t| !t.is_empty());
    let limits = limits(flags)?;
    let resources = match flags.string("resources")?.as_deref() {
        None | Some("") => Resources::Flags(Box::new(limits)),
        Some(_) if limits != LinuxResources::default() => {
            return Err(Error::new("--resources and flags for single limits exclude each other")
                .hint("choose one: write all limits into the file, or give each as a flag"));
        }
        Some("-") => Resources::Stdin,
        Some(_) => Resources::File(flags.path("resources", around)?.unwrap_or_default()),
    };
    Ok(UpdateArgs {
        id,
        resources,
        l3_cache_schema: set(flags.string("l3-cache-schema")?),
        mem_bw_schema: set(flags.string("mem-bw-schema")?),
        kernel_memory,
    })
}

/// The flags in the words of config.json. A section without a flag is not there.
fn limits(flags: &Typed) -> Result<LinuxResources> {
    let mut all = LinuxResources::default();
    let mut cpu = LinuxCpu::default();
    cpu.set_shares(flags.integer("cpu-share")?)
        .set_quota(flags.integer("cpu-quota")?)
        .set_period(flags.integer("cpu-period")?)
        .set_burst(flags.integer("cpu-burst")?)
        .set_idle(flags.integer("cpu-idle")?)
        .set_realtime_period(flags.integer("cpu-rt-period")?)
        .set_realtime_runtime(flags.integer("cpu-rt-runtime")?)
        .set_cpus(flags.string("cpuset-cpus")?.filter(|t| !t.is_empty()))
        .set_mems(flags.string("cpuset-mems")?.filter(|t| !t.is_empty()));
    let mut memory = LinuxMemory::default();
    memory
        .set_limit(flags.size("memory")?)
        .set_reservation(flags.size("memory-reservation")?)
        .set_swap(flags.size("memory-swap")?);
    let mut block_io = LinuxBlockIo::default();
    block_io.set_weight(flags.integer("blkio-weight")?);
    let mut pids = LinuxPids::default();
    let limit = flags.integer("pids-limit")?;
    pids.set_limit(limit.unwrap_or_default());
    all.set_cpu(Some(cpu).filter(|c| *c != LinuxCpu::default()))
        .set_memory(Some(memory).filter(|m| *m != LinuxMemory::default()))
        .set_block_io(Some(block_io).filter(|io| *io != LinuxBlockIo::default()))
        .set_pids(limit.map(|_| pids));
    Ok(all)
}
