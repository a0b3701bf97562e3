//! One verb of the runtime specification per file, and the way in and out of all of them.
//!
//! The way in: descriptors that a caller leaked are closed to containers before anything else is opened. The way out: one
//! outcome, printed once; engines read nothing else.

pub mod audit;
pub mod create;
pub mod delete;
pub mod events;
pub mod exec;
pub mod features;
pub mod kill;
pub mod list;
pub mod pause;
pub mod plan;
pub mod ps;
pub mod resume;
pub mod run;
pub mod spec;
pub mod start;
pub mod state;
#[cfg(feature = "workshop")]
pub mod trace;
#[cfg(feature = "workshop")]
pub mod understand;
pub mod update;
pub mod version;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::bundle;
use crate::cli::{self, CreateArgs, Global, Refused, Surroundings, Verb};
use crate::error::{At, Error, Result};
use crate::log::{Journal, Wanted};
use crate::process::stdio;
use crate::style::Looks;
use crate::sys::{fd, seal};

/// What a verb that succeeded leaves behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The exit status: 0, or that of the container's process.
    pub status: i32,
    /// The data for stdout.
    pub text: String,
}

impl Outcome {
    /// Success with data.
    pub fn print(text: impl Into<String>) -> Self {
        Self { status: 0, text: text.into() }
    }
}

/// Runs the command line; returns the exit status.
pub fn main() -> u8 {
    let sealed = seal_early();
    let mut args = std::env::args_os();
    let around = surroundings(&args.next().unwrap_or_default());
    let args: Vec<OsString> = args.collect();
    let (global, rest) = match cli::global(&args, &around) {
        Ok(read) => read,
        Err(refused) => {
            return refuse(&mut Journal::without_file(Wanted { looks: around.looks, ..Wanted::default() }), &refused);
        }
    };
    let verb = match cli::verb(&global, rest, &around) {
        Ok(verb) => verb,
        Err(refused) => return refuse(&mut open_journal(wanted(&global, false)), &refused),
    };
    if let Err(error) = seal_off(&verb, sealed) {
        open_journal(wanted(&global, false)).fail(&error, None);
        return failure(&verb, &error);
    }
    let wanted = wanted(&global, prints_data(&verb));
    let mut journal = match Journal::open(wanted) {
        Ok(journal) => journal,
        Err(error) => {
            Journal::without_file(wanted).fail(&error, None);
            return failure(&verb, &error);
        }
    };
    conclude(&global, &verb, &mut journal)
}

/// Runs the verb, prints what it returned, writes the log's last words.
fn conclude(global: &Global, verb: &Verb, journal: &mut Journal) -> u8 {
    if global.criu {
        journal.warnings().add("--criu is ignored: no program is chosen by a path on the command line");
    }
    let done = audit::around(global, verb, journal, |journal| dispatch(global, verb, journal));
    let done = done.and_then(|outcome| journal.refuse_warnings(global.strict).map(|()| outcome));
    match done.and_then(|outcome| print(&outcome.text).map(|_| outcome.status)) {
        Ok(status) => {
            journal.succeed();
            status as u8
        }
        Err(error) => {
            journal.fail(&error, None);
            failure(verb, &error)
        }
    }
}

/// Engines tell a failure of `exec` itself from one of its program by this. With `--exit-style env` a failure of `run` has
/// the status that env(1) and shells have for it. What is wrong with the command line of a verb of ours may only be found while
/// it works (a lab that is not there): 2, as if it had been found before.
fn failure(verb: &Verb, error: &Error) -> u8 {
    match verb {
        Verb::Exec(_) => 255,
        Verb::Run(args) if args.exit_like_env => like_env(error),
        #[cfg(feature = "workshop")]
        Verb::Understand(_) if error.code_text() == Some("E-USAGE") => 2,
        _ => 1,
    }
}

/// 127: the program was not found. 126: it was found and cannot be executed. 125: anything else.
fn like_env(error: &Error) -> u8 {
    let op = error.op_text();
    let about_program = op.starts_with("exec ") || [": exec ", ": exec: "].iter().any(|word| op.contains(word));
    match (about_program, error.errno()) {
        (false, _) => 125,
        (true, Some(libc::ENOENT | libc::ENOTDIR)) => 127,
        (true, None) if op.ends_with("executable file not found in $PATH") => 127,
        (true, _) => 126,
    }
}

fn dispatch(global: &Global, verb: &Verb, journal: &mut Journal) -> Result<Outcome> {
    let prefixed = |e: Error, verb| e.context(format!("{} {verb} failed", global.name));
    let placed = |e: Error, args: &CreateArgs| bundle::locate(args.bundle.as_deref().unwrap_or(Path::new(".")), e);
    match verb {
        Verb::Create(args) => create::run(global, args, journal).map_err(|e| prefixed(placed(e, args), "create")),
        Verb::Run(args) => run::run(global, args, journal).map_err(|e| {
            run::other_meaning(args).into_iter().for_each(|said| journal.warnings().add(said));
            prefixed(placed(e, &args.create), "run")
        }),
        Verb::Exec(args) => exec::run(global, args, journal).map_err(|e| e.of_another_process().context("exec failed")),
        Verb::Start { id } => start::run(global, id, journal),
        Verb::State { id } => state::run(global, id, journal),
        Verb::Kill(args) => kill::run(global, args, journal),
        Verb::Delete(args) => delete::run(global, args, journal),
        Verb::List(args) => list::run(global, args, journal),
        Verb::Pause { id } => pause::run(global, id, journal),
        Verb::Resume { id } => resume::run(global, id, journal),
        Verb::Ps(args) => ps::run(global, args, journal),
        Verb::Update(args) => update::run(global, args, journal),
        Verb::Events(args) => events::run(global, args, journal, print),
        Verb::Spec(args) => spec::run(global, args, journal),
        Verb::Features => features::run(),
        Verb::Plan(args) => plan::run(global, args, journal).map_err(|e| placed(e, &args.create)),
        #[cfg(feature = "workshop")]
        Verb::Understand(verb) => understand::run(global, verb, journal),
        Verb::Version => Ok(version::run(global)),
        Verb::Help(text) => Ok(Outcome::print(cli::help::fitted(text, &global.looks.stdout()))),
    }
}

/// Whether callers read stdout and stderr of this verb as one stream of data.
fn prints_data(verb: &Verb) -> bool {
    !matches!(
        verb,
        Verb::Create(_)
            | Verb::Run(_)
            | Verb::Exec(_)
            | Verb::Start { .. }
            | Verb::Plan(_)
            | Verb::Kill(_)
            | Verb::Delete(_)
            | Verb::Update(_)
            | Verb::Spec(_)
    )
}

/// Seals before the command line is read, if one of its words may be a verb that starts a process: what is read before the
/// second execve has to be read again. Whether it must be, and why it could not, [`seal_off`] finds out.
fn seal_early() -> bool {
    let starts = |word: OsString| ["create", "run", "exec", "trace"].iter().any(|verb| word == *verb);
    // `lab run` starts rrun by its path, and a sealed image has none.
    std::env::args_os().skip(1).take_while(|word| word != "lab").any(starts) && seal::ensure_sealed().is_ok()
}

/// Descriptors that a caller leaked end here and not in a container, where one of a host directory is a way out
/// (CVE-2024-21626). A verb that starts a process first makes its own image unwritable, which may mean to run again: what
/// the caller hands over on purpose has to survive that.
fn seal_off(verb: &Verb, sealed: bool) -> Result<()> {
    let handed = match verb {
        Verb::Create(args) => Some(args.preserve_fds),
        Verb::Run(args) => Some(args.create.preserve_fds),
        Verb::Exec(args) => Some(args.preserve_fds),
        #[cfg(feature = "workshop")]
        Verb::Understand(cli::Understand::Trace(_)) => Some(0),
        _ => None,
    };
    let Some(preserved) = handed else { return fd::cloexec_from(3).at(|| "close_range") };
    let first = i32::try_from(preserved.saturating_add(stdio::listen_fds()?).saturating_add(3)).unwrap_or(i32::MAX);
    if !sealed {
        fd::cloexec_from(first).at(|| "close_range")?;
        // The announced ones stay as they are: stdio checks that they came through an execve, then marks them.
        seal::ensure_sealed().at(|| "seal the running program")?;
    }
    // Closed, as no execve may have come in between. Marked alone, they would be open until the container's own, which
    // resolves its path first: /proc/self/fd/7/bin/sh.
    fd::close_from(first).at(|| "close_range")
}

fn surroundings(argv0: &OsString) -> Surroundings {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
    let runtime_dir = set("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_absolute());
    Surroundings {
        name: cli::name_of(Path::new(argv0)),
        cwd: std::env::current_dir().ok(),
        // Asked only where the answer changes something.
        rootless: runtime_dir.is_some() && crate::host::is_rootless(),
        runtime_dir,
        strict: set("RRUN_STRICT").is_some_and(|v| cli::truth(v.as_encoded_bytes()) != Some(false)),
        looks: Looks::read(|name| std::env::var(name).ok()),
        is_bundle: |dir| dir.join("config.json").is_file(),
    }
}

/// A log that cannot be opened must not hide why the command was refused.
fn open_journal(wanted: Wanted) -> Journal {
    Journal::open(wanted).unwrap_or_else(|_| Journal::without_file(wanted))
}

fn wanted(global: &Global, data: bool) -> Wanted<'_> {
    Wanted {
        file: global.log.as_deref(),
        json: global.log_json,
        debug: global.debug,
        silent: global.silent,
        data,
        looks: global.looks,
    }
}

fn refuse(journal: &mut Journal, refused: &Refused) -> u8 {
    journal.fail(&refused.error, Some(&refused.usage));
    refused.status
}

/// The data, in as few writes as it takes. A reader that has gone away has read enough: `false`.
fn print(text: &str) -> Result<bool> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(crate::log::for_screens(text).as_bytes()).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        printed => printed.map(|()| true).at(|| "write to stdout"),
    }
}
