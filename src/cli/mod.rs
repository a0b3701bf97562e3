//! argv → [`Verb`]. Nothing happens here.
//!
//! Engines find a runtime by its command line alone, and what they send is fixed and the specification's examples: the flags of a Go
//! program. So words are read in two steps: `go_flags` takes them apart as Go would, clap gives them their types. A word
//! that rrun does not know is an error: a restriction that was asked for and not understood must not be dropped.

mod args;
mod exec;
mod go_flags;
pub mod help;
pub mod manual;
pub mod table;
mod typed;
#[cfg(feature = "workshop")]
mod understand;
pub mod units;
mod update;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::audit::Wanted;
use crate::bundle::template::Profile;
use crate::concepts::cgroups::Driver;
use crate::concepts::layers::LayerOptions;
use crate::error::{Error, Result};
pub use crate::state::id_candidates;
use crate::style::{Looks, When};
pub use args::{
    CreateArgs, DeleteArgs, EventsArgs, Format, Global, KillArgs, ListArgs, PlanArgs, PsArgs, RunArgs, SpecArgs, Verb,
};
pub use exec::ExecArgs;
pub use go_flags::truth;
use go_flags::{Place, Split};
use table::{Command, GLOBAL, HELP};
use typed::Typed;
#[cfg(feature = "workshop")]
pub use understand::*;
pub use update::{Resources, UpdateArgs};

/// What the meaning of a command line depends on beside its words.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// `rrun` or `runc`, by argv[0].
    pub name: &'static str,
    /// The current directory; `None` when it was removed.
    pub cwd: Option<PathBuf>,
    /// `$XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<PathBuf>,
    /// Whether rrun lacks root's rights over the host.
    pub rootless: bool,
    /// `$RRUN_STRICT`.
    pub strict: bool,
    /// What the environment says about colour and letters.
    pub looks: Looks,
    /// Whether a directory holds a config.json.
    pub is_bundle: fn(&Path) -> bool,
}

/// A command line that cannot be obeyed, and how it should have looked.
#[derive(Debug)]
pub struct Refused {
    /// What is wrong with it.
    pub error: Box<Error>,
    /// The usage line, without `usage: `.
    pub usage: String,
    /// The exit status: 255 for `exec`, whose other statuses are its program's; 2 for the commands that runc lacks.
    pub status: u8,
}

impl Refused {
    fn new(error: Error, usage: String) -> Self {
        Self { error: Box::new(error.code("E-USAGE")), usage, status: 1 }
    }
}

/// The command line behind the global flags.
#[derive(Debug)]
pub struct Rest {
    version: bool,
    help: bool,
    words: Vec<OsString>,
}

/// The name to answer to: engines parse `runc version …` and match `runc run failed`.
pub fn name_of(argv0: &Path) -> &'static str {
    if argv0.file_name().is_some_and(|name| name == "runc") { "runc" } else { "rrun" }
}

/// Reads the flags before the command. Apart from [`verb`], so that an error there already finds the log file.
pub fn global(args: &[OsString], around: &Surroundings) -> std::result::Result<(Global, Rest), Refused> {
    let read = || -> Result<(Global, Rest)> {
        let split = go_flags::split(args, GLOBAL.iter().chain(&HELP), Place::Before)?;
        let flags = typed::read(GLOBAL.iter().chain(&HELP), &split)?;
        let rest = Rest { version: split.has("version"), help: split.has("help"), words: split.operands };
        Ok((global_of(&flags, around)?, rest))
    };
    read().map_err(|error| Refused::new(error, help::usage(around.name)))
}

fn global_of(flags: &Typed, around: &Surroundings) -> Result<Global> {
    let rootless = flags.text("rootless").and_then(|t| truth(t.as_bytes()));
    let root = flags.path("root", around)?;
    let root_given = root.is_some();
    let root = root.unwrap_or_else(|| default_root(around, rootless));
    if root == Path::new("/") {
        return Err(
            Error::new("--root may not be /").hint("what is in it becomes the list of containers; name a folder of its own")
        );
    }
    let level = flags.text("log-level").unwrap_or("warning");
    Ok(Global {
        name: around.name,
        root,
        root_given,
        debug: flags.on("debug") || level == "debug",
        silent: level == "error" && !flags.on("debug"),
        log: flags.path("log", around)?,
        log_json: flags.text("log-format") == Some("json"),
        driver: driver(flags)?,
        rootless,
        audit: audit(flags, around)?,
        strict: flags.on("strict") || around.strict,
        criu: flags.given("criu"),
        looks: looks(flags, around),
    })
}

fn looks(flags: &Typed, around: &Surroundings) -> Looks {
    let when = match flags.text("color") {
        Some("always") => When::Always,
        Some("never") => When::Never,
        _ => When::Auto,
    };
    Looks { when, ..around.looks }
}

/// `DIR`, `required`, or `required:DIR`.
fn audit(flags: &Typed, around: &Surroundings) -> Result<Wanted> {
    let Some(text) = flags.path_text("audit") else { return Ok(Wanted::default()) };
    let (required, dir) = match text.as_encoded_bytes().strip_prefix(b"required") {
        Some(b"") => (true, None),
        Some([b':', dir @ ..]) => (true, Some(Path::new(OsStr::from_bytes(dir)))),
        _ => (false, Some(Path::new(text))),
    };
    let dir = dir.map(|dir| typed::absolute(dir, around)).transpose()?;
    Ok(Wanted { dir, required })
}

fn driver(flags: &Typed) -> Result<Driver> {
    match (flags.text("cgroup-manager"), flags.on("systemd-cgroup")) {
        (None, false) | (Some("cgroupfs"), false) => Ok(Driver::Cgroupfs),
        (None | Some("systemd"), true) | (Some("systemd"), false) => Ok(Driver::Systemd),
        (Some("disabled"), false) => Ok(Driver::Disabled),
        (Some(other), _) => {
            Err(Error::new(format!("--systemd-cgroup contradicts --cgroup-manager {other}")).hint("choose one of them"))
        }
    }
}

/// Real root always uses /run/rrun: its XDG_RUNTIME_DIR, where set, is some login's and vanishes with it.
fn default_root(around: &Surroundings, rootless: Option<bool>) -> PathBuf {
    match &around.runtime_dir {
        Some(dir) if rootless.unwrap_or(around.rootless) => dir.join("rrun"),
        _ => PathBuf::from("/run/rrun"),
    }
}

/// Reads the command and what stands behind it.
pub fn verb(global: &Global, rest: Rest, around: &Surroundings) -> std::result::Result<Verb, Refused> {
    if rest.version {
        return Ok(Verb::Version);
    }
    if rest.help {
        return Ok(Verb::Help(help::all(global.name)));
    }
    let mut words = rest.words.into_iter();
    let Some(first) = words.next() else {
        return Err(Refused::new(Error::new(format!("{}: a command is missing", global.name)), help::short(global.name)));
    };
    let first = first.to_string_lossy().into_owned();
    let words: Vec<OsString> = words.collect();
    if first == "help" || first == "h" {
        return topic(global.name, &words).map_err(|error| Refused::new(error, help::usage(global.name)));
    }
    let Some(command) = table::command(&first) else {
        return Err(Refused::new(unknown_command(&first), help::usage(global.name)));
    };
    read_verb(command, &words, around).and_then(|verb| check_narrator(global, verb)).map_err(|error| {
        let status = match command.group {
            _ if command.name == "exec" => 255,
            table::Group::Runtime => 1,
            table::Group::Understand => 2,
        };
        Refused { status, ..Refused::new(error, help::usage_of(global.name, command)) }
    })
}

fn topic(name: &str, words: &[OsString]) -> Result<Verb> {
    let word = words.first().map(|w| w.to_string_lossy()).filter(|w| !w.starts_with('-'));
    let Some(word) = word else {
        return Ok(Verb::Help(help::all(name)));
    };
    match table::command(&word) {
        Some(command) => Ok(Verb::Help(help::of(name, command))),
        #[cfg(feature = "workshop")]
        None => Ok(Verb::Understand(Understand::Help { topic: word.into_owned() })),
        #[cfg(not(feature = "workshop"))]
        None => Err(unknown_command(&word)),
    }
}

fn unknown_command(word: &str) -> Error {
    let error = Error::new(format!("unknown command \"{}\"", crate::log::value(word)));
    match crate::suggest::closest(word, table::commands().map(|c| c.name)) {
        // What runc has with CRIU. `features` says the same.
        _ if ["checkpoint", "restore"].contains(&word) => {
            error.hint("rrun cannot save a container to disk: `features` says that checkpoint is not enabled")
        }
        Some(near) => error.hint(format!("did you mean {near}?")),
        None => error,
    }
}

fn read_verb(command: &'static Command, words: &[OsString], around: &Surroundings) -> Result<Verb> {
    // Where the operands have no end, they are another program's words.
    let place = if command.count.1 == usize::MAX { Place::Before } else { Place::Anywhere };
    let split = go_flags::split(words, command.all_flags().chain(&HELP), place)?;
    if split.has("help") {
        return Ok(Verb::Help(help::of(around.name, command)));
    }
    check_count(command, &split, around.name)?;
    let flags = typed::read(command.all_flags(), &split)?;
    let id = || typed::id(&split.operands[0]);
    Ok(match command.name {
        "create" => Verb::Create(CreateArgs { id: Some(id()?), ..create_args(&flags, around)? }),
        "run" => Verb::Run(run_args(&flags, &split, around)?),
        "exec" => Verb::Exec(Box::new(exec::read(id()?, &flags, &split, around)?)),
        "start" => Verb::Start { id: id()? },
        "state" => Verb::State { id: id()? },
        "kill" => {
            let signal = split.operands.get(1).map(|s| s.to_string_lossy().into_owned());
            Verb::Kill(KillArgs { id: id()?, signal, all: flags.on("all") })
        }
        "delete" => Verb::Delete(DeleteArgs { id: id()?, force: flags.on("force") }),
        "list" => Verb::List(ListArgs { format: format(&flags), quiet: flags.on("quiet") }),
        "pause" => Verb::Pause { id: id()? },
        "resume" => Verb::Resume { id: id()? },
        "ps" => Verb::Ps(PsArgs { id: id()?, format: format(&flags), options: split.operands[1..].to_vec() }),
        "update" => Verb::Update(Box::new(update::read(id()?, &flags, around)?)),
        "events" => Verb::Events(EventsArgs { id: id()?, interval: interval(&flags)?, stats: flags.on("stats") }),
        "spec" => Verb::Spec(spec_args(&flags, around)?),
        "features" => Verb::Features,
        "plan" => {
            let bundle = split.operands.first().map(|b| typed::absolute(Path::new(b), around)).transpose()?;
            Verb::Plan(PlanArgs { create: CreateArgs { bundle, ..create_args(&flags, around)? }, json: flags.json() })
        }
        #[cfg(feature = "workshop")]
        _ => match understand::read(command.name, &flags, &split, around)? {
            Some(verb) => Verb::Understand(verb),
            None => return Err(unknown_command(command.name)),
        },
        #[cfg(not(feature = "workshop"))]
        other => return Err(unknown_command(other)),
    })
}

/// A log that others decode as JSON line by line must not have a story between its lines.
fn check_narrator(global: &Global, verb: Verb) -> Result<Verb> {
    let narrates = match &verb {
        Verb::Create(args) => args.narrate,
        Verb::Run(args) => args.create.narrate,
        Verb::Exec(args) => args.narrate,
        _ => false,
    };
    match narrates && global.log_json {
        true => Err(Error::new("--narrate contradicts --log-format json").hint("choose one of them")),
        false => Ok(verb),
    }
}

/// runc's words for too few and too many operands.
fn check_count(command: &Command, split: &Split, name: &str) -> Result<()> {
    let (least, most) = command.count;
    let rule = match split.operands.len() {
        n if n < least || n > most => match (n < least, least == most) {
            (_, true) => format!("exactly {least}"),
            (true, false) => format!("a minimum of {least}"),
            (false, false) => format!("a maximum of {most}"),
        },
        _ => return Ok(()),
    };
    let error = Error::new(format!("{name}: \"{}\" requires {rule} argument(s)", command.name));
    let late = split.operands.iter().find(|o| o.len() > 1 && o.to_string_lossy().starts_with('-'));
    match late {
        Some(late) => Err(error.hint(format!("{} is no flag of {}", crate::log::value(&late.to_string_lossy()), command.name))),
        None => Err(error),
    }
}

fn format(flags: &Typed) -> Format {
    if flags.json() { Format::Json } else { Format::Table }
}

fn interval(flags: &Typed) -> Result<Duration> {
    let interval = flags.duration("interval")?.unwrap_or(Duration::from_secs(5));
    if interval.is_zero() { Err(Error::new("duration interval must be greater than 0")) } else { Ok(interval) }
}

fn spec_args(flags: &Typed, around: &Surroundings) -> Result<SpecArgs> {
    let profile = flags.text("profile").and_then(Profile::of);
    match (flags.on("rootless"), profile) {
        (true, Some(Profile::Hardened | Profile::Docker)) => {
            Err(Error::new("--rootless contradicts --profile").hint("--rootless is --profile rootless: choose one of them"))
        }
        (rootless, _) => Ok(SpecArgs { bundle: flags.path("bundle", around)?, rootless, profile }),
    }
}

fn create_args(flags: &Typed, around: &Surroundings) -> Result<CreateArgs> {
    Ok(CreateArgs {
        id: None,
        bundle: flags.path("bundle", around)?,
        console_socket: flags.path("console-socket", around)?,
        pidfd_socket: flags.path("pidfd-socket", around)?,
        pid_file: flags.path("pid-file", around)?,
        no_pivot: flags.on("no-pivot"),
        no_new_keyring: flags.on("no-new-keyring"),
        preserve_fds: flags.number("preserve-fds"),
        narrate: flags.on("narrate"),
        layers: LayerOptions {
            layers: flags.paths("layer", around)?,
            overlay: flags.on("overlay"),
            size: flags.string("overlay-size")?,
            keep: flags.path("keep-layer", around)?,
        },
        net_of: flags.string("net-of")?,
        recorder: None,
    })
}

/// `run OPERAND`: a path is the bundle, and so is a directory with a config.json when nothing else can be meant; the id
/// then comes from its name. Else the operand is the id, as with runc.
fn run_args(flags: &Typed, split: &Split, around: &Surroundings) -> Result<RunArgs> {
    let mut create = create_args(flags, around)?;
    let operand = Path::new(&split.operands[0]);
    let here = || typed::absolute(Path::new("."), around).is_ok_and(|dir| (around.is_bundle)(&dir));
    let names_bundle = || typed::absolute(operand, around).is_ok_and(|dir| (around.is_bundle)(&dir));
    let has_slash = split.operands[0].to_string_lossy().contains('/');
    if create.bundle.is_none() && (has_slash || (names_bundle() && !here())) {
        create.bundle = Some(typed::absolute(operand, around)?);
    } else {
        create.id = Some(typed::id(&split.operands[0])?);
    }
    Ok(RunArgs {
        create,
        detach: flags.on("detach"),
        keep: flags.on("keep"),
        no_subreaper: flags.on("no-subreaper"),
        exit_like_env: flags.text("exit-style") == Some("env"),
    })
}

#[cfg(test)]
mod tests;
