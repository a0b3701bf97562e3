//! argv → [`Verb`]. Nothing happens here.
use std::path::PathBuf;

use crate::concepts::cgroups::Driver;
use crate::concepts::layers::LayerOptions;

/// What stands before the verb.
#[derive(Debug, Clone)]
pub struct Global {
    /// The name rrun was called by: `rrun`, or `runc` if argv[0] says so.
    pub name: &'static str,
    /// State root, absolute.
    pub root: PathBuf,
    /// Whether `--root` was given.
    pub root_given: bool,
    /// `--debug`, or `--log-level debug`.
    pub debug: bool,
    /// `--log`.
    pub log: Option<PathBuf>,
    /// `--log-format json`.
    pub log_json: bool,
    /// `--systemd-cgroup`, `--cgroup-manager`.
    pub driver: Driver,
    /// `--rootless`: true, false, or `None` for auto.
    pub rootless: Option<bool>,
    /// `--strict`: warnings are errors.
    pub strict: bool,
}

/// The arguments of `create`, and of `run` beside its own.
#[derive(Debug, Clone, Default)]
pub struct CreateArgs {
    /// The container id; `None` when `run BUNDLE` derives it.
    pub id: Option<String>,
    /// `--bundle`, or the operand of `run BUNDLE`; `None` means the current directory.
    pub bundle: Option<PathBuf>,
    /// `--console-socket`.
    pub console_socket: Option<PathBuf>,
    /// `--pidfd-socket`.
    pub pidfd_socket: Option<PathBuf>,
    /// `--pid-file`.
    pub pid_file: Option<PathBuf>,
    /// `--no-pivot`.
    pub no_pivot: bool,
    /// `--no-new-keyring`.
    pub no_new_keyring: bool,
    /// `--preserve-fds N`.
    pub preserve_fds: u32,
    /// `--layer`, `--overlay`, `--overlay-size`, `--keep-layer`.
    pub layers: LayerOptions,
}

/// The arguments of `run`.
#[derive(Debug, Clone, Default)]
pub struct RunArgs {
    /// What it shares with `create`.
    pub create: CreateArgs,
    /// `--detach`.
    pub detach: bool,
    /// `--keep`.
    pub keep: bool,
    /// `--no-subreaper`.
    pub no_subreaper: bool,
}

/// A parsed command.
#[derive(Debug, Clone)]
pub enum Verb {
    /// Make a container, not yet running its program.
    Create(CreateArgs),
    /// Create and start, and wait unless detached.
    Run(RunArgs),
    /// Let a created container run its program.
    Start {
        /// The container.
        id: String,
    },
}
