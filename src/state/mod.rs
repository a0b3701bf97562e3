//! What is remembered of a container between two commands: `<root>/<id>/state.json` (runc's shape, for scripts) and
//! `rrun.json` (ours, versioned); `config.json` is the bundle's as it was.
//!
//! A pid is not an identity: it is given again to the next process that asks (pid_namespaces(7)). rrun acts as root on what
//! it remembers, so a process is known by pid, start time and boot, and is signalled only through a pidfd that was
//! compared with them. The status is asked of the world each time: a stored one would outlive a crash.

mod dir;
mod files;
mod id;
mod root;

use std::collections::HashMap;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use oci_spec::runtime::Hooks;
use serde::{Deserialize, Serialize};

use crate::concepts::{cgroups, layers, mounts, rdt, users};
use crate::error::{At, Result};
use crate::sys::process::pidfd_open;
pub use dir::{MISSING, StateDir};
pub use files::{read_like_runc, read_own};
pub use id::{check_id, id_candidates};
pub use root::{StateRoot, TAKEN};

/// The lifecycle of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Being made (seen by hooks only).
    Creating,
    /// Made; waits for `start`.
    Created,
    /// The program runs.
    Running,
    /// Frozen.
    Paused,
    /// init is gone.
    Stopped,
}

impl Status {
    /// The word of the specification.
    pub fn name(self) -> &'static str {
        match self {
            Status::Creating => "creating",
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Everything later commands need to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    /// The container id.
    pub id: String,
    /// ociVersion of the bundle's config.
    pub oci_version: String,
    /// init's pid on the host; 0 while it is not yet known.
    pub pid: i32,
    /// init's start time in clock ticks since boot (proc_pid_stat(5), field 22): with pid, its identity.
    pub start_time: u64,
    /// The boot id when it was made (/proc/sys/kernel/random/boot_id).
    pub boot_id: String,
    /// RFC 3339, UTC, nanoseconds.
    pub created: String,
    /// The bundle, absolute.
    pub bundle: PathBuf,
    /// The root directory, absolute.
    pub rootfs: PathBuf,
    /// The user who made it.
    pub owner: String,
    /// Whether it was made without root's rights.
    pub rootless: bool,
    /// The annotations of the config.
    pub annotations: HashMap<String, String>,
    /// The control groups.
    pub cgroups: cgroups::Record,
    /// The class of service.
    pub rdt: Option<rdt::Record>,
    /// The layers on disk.
    pub layers: Option<layers::Record>,
    /// Whose ids the files in them may have, if the maker could not remove those of others.
    #[serde(default)]
    pub id_maps: Option<users::Maps>,
    /// The config's namespaces: (type as in the config, path joined if any).
    pub namespaces: Vec<(String, Option<PathBuf>)>,
    /// The mounts of the config, for state.json. rrun itself has no later use for them.
    #[serde(skip)]
    pub mounts: Vec<mounts::Record>,
    /// Hooks that run after this command has ended (poststart, poststop).
    pub hooks: Option<Hooks>,
    /// Whether the session keyring is the caller's (`--no-new-keyring`): exec follows.
    pub no_new_keyring: bool,
}

impl State {
    /// Derives the status from the world: process there, exec fifo there, groups frozen.
    pub fn status(&self, dir: &StateDir) -> Result<Status> {
        if self.pid == 0 {
            // Without a pid it is being made as long as the command that makes it lives, which holds the lock.
            return Ok(if dir.is_held() { Status::Creating } else { Status::Stopped });
        }
        if self.is_alive()? { self.status_of_living(dir) } else { Ok(Status::Stopped) }
    }

    /// The same where init is known to live, as its handle is held.
    pub fn status_of_living(&self, dir: &StateDir) -> Result<Status> {
        if cgroups::freezer(&self.cgroups)? == cgroups::Freezer::Frozen {
            return Ok(Status::Paused);
        }
        Ok(if dir.has("exec.fifo") { Status::Created } else { Status::Running })
    }

    /// Whether init is the process that was recorded, and not a zombie.
    pub fn is_alive(&self) -> Result<bool> {
        Ok(self.pid > 0 && start_time(self.pid) == Some(self.start_time) && boot_id()? == self.boot_id)
    }

    /// A handle of init; `None` when it is gone, a zombie, or when its pid belongs to another process by now.
    pub fn init(&self) -> Result<Option<OwnedFd>> {
        if self.pid <= 0 {
            return Ok(None);
        }
        match pidfd_open(self.pid) {
            // Compared after opening: from then on the handle is of one process, and this is it or not.
            Ok(handle) => Ok(self.is_alive()?.then_some(handle)),
            Err(e) if e.raw_os_error() == Some(libc::ESRCH) => Ok(None),
            Err(e) => Err(e).at(|| format!("pidfd_open {}", self.pid)),
        }
    }

    /// Whether the container has a PID namespace of its own, whose end the death of init is.
    pub fn has_own_pid_namespace(&self) -> bool {
        self.namespaces.iter().any(|(kind, path)| kind == "pid" && path.is_none())
    }

    /// The state document of the specification, as hooks get it on stdin (one line).
    pub fn oci_json(&self, status: Status) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Document<'a> {
            oci_version: &'a str,
            id: &'a str,
            status: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            pid: Option<i32>,
            bundle: &'a Path,
            #[serde(skip_serializing_if = "HashMap::is_empty")]
            annotations: &'a HashMap<String, String>,
        }
        let document = Document {
            oci_version: &self.oci_version,
            id: &self.id,
            status: status.name(),
            pid: Some(self.pid).filter(|pid| *pid != 0 && status != Status::Stopped),
            bundle: &self.bundle,
            annotations: &self.annotations,
        };
        serde_json::to_vec(&document).expect("plain data has a JSON form")
    }
}

/// The start time of a process in clock ticks since boot; `None` when it is gone or a zombie.
pub fn start_time(pid: i32) -> Option<u64> {
    // The line is shorter than this, and procfs gives it in one piece: `list` asks for a thousand of them.
    let mut line = [0; 1024];
    let n = std::fs::File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut line).ok()?;
    parse_start_time(&line[..n])
}

/// Field 22 of proc_pid_stat(5). The name in field 2 is chosen by the process and may hold spaces and brackets, so fields
/// are counted from the last `)` on.
pub fn parse_start_time(stat: &[u8]) -> Option<u64> {
    let after_name = stat.iter().rposition(|b| *b == b')')? + 1;
    let mut fields = std::str::from_utf8(&stat[after_name..]).ok()?.split_ascii_whitespace();
    let status = fields.next()?;
    if matches!(status, "Z" | "X" | "x") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// The boot's own id (proc_sys_kernel(5), random/boot_id). Constant for as long as this process can live.
pub fn boot_id() -> Result<String> {
    static ID: OnceLock<String> = OnceLock::new();
    if let Some(id) = ID.get() {
        return Ok(id.clone());
    }
    let path = "/proc/sys/kernel/random/boot_id";
    let id = crate::sys::own::read_short(path).at(|| format!("read {path}"))?;
    Ok(ID.get_or_init(|| id.trim_end().to_owned()).clone())
}

/// The name of a user of the host for the column OWNER, or `#uid` if it has none. Read from /etc/passwd: a static program
/// cannot load the name services. Root is known without.
pub fn user_name(uid: u32) -> String {
    if uid == 0 {
        return "root".to_owned();
    }
    let passwd = crate::host::text_of("/etc/passwd");
    let named = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| format!("#{uid}"))
}

#[cfg(test)]
mod tests;
