//! What a command line means, as plain data: one struct per command.
//!
//! Paths in it are absolute, choices are made, and nothing is optional that a command needs; only container ids are still
//! as given, as their rules belong to the state directory that they name.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::exec::ExecArgs;
use super::update::UpdateArgs;
use crate::bundle::template::Profile;
use crate::concepts::cgroups::Driver;
use crate::concepts::layers::LayerOptions;
use crate::concepts::seccomp::Recorder;
use crate::style::Looks;

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
    /// `--log-level error`: warnings are not written.
    pub silent: bool,
    /// `--log`.
    pub log: Option<PathBuf>,
    /// `--log-format json`.
    pub log_json: bool,
    /// `--systemd-cgroup`, `--cgroup-manager`.
    pub driver: Driver,
    /// `--rootless`: true, false, or `None` for auto.
    pub rootless: Option<bool>,
    /// `--audit`.
    pub audit: crate::audit::Wanted,
    /// `--strict`: warnings are errors.
    pub strict: bool,
    /// `--criu` was given: accepted for old callers, to be warned about.
    pub criu: bool,
    /// `--color`, and what the environment says about looks.
    pub looks: Looks,
}

/// The arguments of `create`, and of `run` beside its own.
#[derive(Debug, Clone, Default)]
pub struct CreateArgs {
    /// The container id; `None` when `run BUNDLE` derives it (see [`crate::state::id_candidates`]).
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
    /// `--narrate`.
    pub narrate: bool,
    /// `--layer`, `--overlay`, `--overlay-size`, `--keep-layer`.
    pub layers: LayerOptions,
    /// `run --net-of`: the container whose network it joins.
    pub net_of: Option<String>,
    /// Who records the calls of the program. No flag of the runtime's: a verb that explains asks for it.
    pub recorder: Option<Recorder>,
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
    /// `--exit-style env`: failures of rrun have the statuses of env(1).
    pub exit_like_env: bool,
}

/// The arguments of `plan`.
#[derive(Debug, Clone, Default)]
pub struct PlanArgs {
    /// The bundle and the flags of `create` that change a plan; no id.
    pub create: CreateArgs,
    /// `--json`.
    pub json: bool,
}

/// The form of what `list` and `ps` print.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// The arguments of `kill`.
#[derive(Debug, Clone, Default)]
pub struct KillArgs {
    /// The container.
    pub id: String,
    /// The signal as given; `None` means SIGTERM.
    pub signal: Option<String>,
    /// `--all`: needless, as init's death kills the rest.
    pub all: bool,
}

/// The arguments of `delete`.
#[derive(Debug, Clone, Default)]
pub struct DeleteArgs {
    /// The container.
    pub id: String,
    /// `--force`.
    pub force: bool,
}

/// The arguments of `list`.
#[derive(Debug, Clone, Default)]
pub struct ListArgs {
    /// `--format`.
    pub format: Format,
    /// `--quiet`: ids only.
    pub quiet: bool,
}

/// The arguments of `ps`.
#[derive(Debug, Clone, Default)]
pub struct PsArgs {
    /// The container.
    pub id: String,
    /// `--format`.
    pub format: Format,
    /// What stands behind the id: options of ps(1).
    pub options: Vec<OsString>,
}

/// The arguments of `events`.
#[derive(Debug, Clone)]
pub struct EventsArgs {
    /// The container.
    pub id: String,
    /// `--interval`: above zero.
    pub interval: Duration,
    /// `--stats`: one record.
    pub stats: bool,
}

/// The arguments of `spec`.
#[derive(Debug, Clone, Default)]
pub struct SpecArgs {
    /// `--bundle`; `None` means the current directory.
    pub bundle: Option<PathBuf>,
    /// `--rootless`.
    pub rootless: bool,
    /// `--profile`.
    pub profile: Option<Profile>,
}

/// A parsed command.
#[derive(Debug, Clone)]
pub enum Verb {
    /// Make a container, not yet running its program.
    Create(CreateArgs),
    /// Create and start, and wait unless detached.
    Run(RunArgs),
    /// Run one more process in a container.
    Exec(Box<ExecArgs>),
    /// Let a created container run its program.
    Start {
        /// The container.
        id: String,
    },
    /// Print the state document.
    State {
        /// The container.
        id: String,
    },
    /// Send a signal to init.
    Kill(KillArgs),
    /// Remove a container.
    Delete(DeleteArgs),
    /// List containers.
    List(ListArgs),
    /// Freeze.
    Pause {
        /// The container.
        id: String,
    },
    /// Thaw.
    Resume {
        /// The container.
        id: String,
    },
    /// List processes.
    Ps(PsArgs),
    /// Change limits.
    Update(Box<UpdateArgs>),
    /// Print statistics and out-of-memory events.
    Events(EventsArgs),
    /// Write a config.json.
    Spec(SpecArgs),
    /// Print what this runtime can do.
    Features,
    /// Print the steps of a run.
    Plan(PlanArgs),
    /// One of the verbs that show what is isolated, what is shared, and why.
    #[cfg(feature = "workshop")]
    Understand(super::understand::Understand),
    /// Print the version.
    Version,
    /// Print this text.
    Help(String),
}
