//! `state`: what the specification says about querying a container, as JSON on stdout.
//!
//! The status is asked of the kernel at this moment; a pid that belongs to another process by now is never shown, as
//! callers signal what they read here.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::{Outcome, audit};
use crate::cli::Global;
use crate::error::Result;
use crate::log::Journal;
use crate::state::{State, StateDir, Status};

/// The document that `state` prints and `list --format json` repeats. Its keys are read by engines.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document<'a> {
    oci_version: &'a str,
    id: &'a str,
    /// 0 when stopped: the number may be another process's by now.
    pub pid: i32,
    /// The word of the specification.
    pub status: &'static str,
    bundle: &'a Path,
    rootfs: &'a Path,
    /// RFC 3339.
    pub created: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'a str, &'a str>,
    /// The user who made it.
    pub owner: &'a str,
}

impl<'a> Document<'a> {
    /// The document of a container with this status.
    pub fn new(state: &'a State, status: Status) -> Self {
        Self {
            oci_version: &state.oci_version,
            id: &state.id,
            pid: if status == Status::Stopped { 0 } else { state.pid },
            status: status.name(),
            bundle: &state.bundle,
            rootfs: &state.rootfs,
            created: &state.created,
            annotations: state.annotations.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect(),
            owner: &state.owner,
        }
    }
}

/// Prints the state document.
pub fn run(global: &Global, id: &str, journal: &mut Journal) -> Result<Outcome> {
    let dir = StateDir::read(&global.root, id)?;
    let state = dir.load()?;
    let status = state.status(&dir)?;
    if status == Status::Stopped {
        audit::exit(Some(&dir), &state, None, journal)?;
    }
    let document = Document::new(&state, status);
    let text = serde_json::to_string_pretty(&document).expect("plain data has a JSON form");
    Ok(Outcome::print(text + "\n"))
}
