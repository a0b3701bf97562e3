//! `spec`: writes a config.json to begin with (runtime-spec, config.md). What stands in it, and why, is in
//! src/bundle/template.rs.
//!
//! A file that is there is somebody's work and is left alone.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};

use super::Outcome;
use crate::bundle::template;
use crate::cli::{Global, SpecArgs};
use crate::error::{At, Error, Result};
use crate::host::Host;
use crate::log::Journal;

/// Writes config.json into the bundle, or into the current directory.
pub fn run(_global: &Global, args: &SpecArgs, _journal: &mut Journal) -> Result<Outcome> {
    let host = Host::ask()?;
    let (unified, uid, gid) = (host.cgroups.is_unified(), host.euid, host.egid);
    let config = match args.profile {
        Some(profile) => template::of(profile, unified, uid, gid, crate::host::container_profile().as_deref()),
        None => template::config(args.rootless, unified, uid, gid),
    };
    let path = args.bundle.as_deref().unwrap_or(".".as_ref()).join("config.json");
    let mut file = match OpenOptions::new().write(true).create_new(true).open(&path) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => return Err(Error::new("File config.json exists. Remove it first")),
        opened => opened.at(|| format!("create {}", path.display()))?,
    };
    file.write_all(template::text(&config).as_bytes()).at(|| format!("write {}", path.display()))?;
    Ok(Outcome::default())
}
