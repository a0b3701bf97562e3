//! Every command and every flag of rrun, as data.
//!
//! One table serves four readers: the parser, `--help`, the suggestions for misspelt words, and the test that asks of each
//! flag whether it has an effect. A flag that is not here is an error; a flag that is here is honoured.

use crate::bundle::template::Profile;

/// What stands behind a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Nothing: it is on or off (`--flag`, `--flag=false`).
    Nothing,
    /// A text, named in the help.
    Text(&'static str),
    /// Texts: the flag may be repeated. Never split at commas.
    Texts(&'static str),
    /// A whole number from 0.
    Number(&'static str),
    /// One of these words.
    OneOf(&'static [&'static str]),
}

/// A flag.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// `bundle` of `--bundle`.
    pub long: &'static str,
    /// `b` of `-b`.
    pub short: Option<char>,
    /// What stands behind it.
    pub takes: Takes,
    /// One line for the help; empty hides the flag (accepted for old callers).
    pub help: &'static str,
}

/// Which half of the help a command stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// What runc has too, with the same words.
    Runtime,
    /// What shows how containers work.
    Understand,
}

/// A command.
#[derive(Debug, Clone, Copy)]
pub struct Command {
    /// `create`.
    pub name: &'static str,
    /// Its half of the help.
    pub group: Group,
    /// Its operands for the usage line.
    pub operands: &'static str,
    /// The fewest and the most operands.
    pub count: (usize, usize),
    /// One line for the help.
    pub about: &'static str,
    /// Two command lines to copy; `@` stands for rrun's name.
    pub examples: [&'static str; 2],
    /// Its flags, in groups that commands share.
    pub flags: &'static [&'static [Flag]],
}

impl Command {
    /// All its flags.
    pub fn all_flags(&self) -> impl Iterator<Item = &'static Flag> + Clone + use<> {
        self.flags.iter().flat_map(|group| group.iter())
    }
}

/// A flag, written in one line.
pub(super) const fn flag(long: &'static str, short: Option<char>, takes: Takes, help: &'static str) -> Flag {
    Flag { long, short, takes, help }
}

/// Each command and the global part have it.
pub const HELP: [Flag; 1] = [flag("help", Some('h'), Takes::Nothing, "Print this help")];

/// What stands before the command.
pub const GLOBAL: &[Flag] = &[
    flag("root", None, Takes::Text("DIR"), "Where state is kept [default: /run/rrun; rootless: $XDG_RUNTIME_DIR/rrun]"),
    flag("log", None, Takes::Text("FILE"), "Append log records to FILE instead of stderr"),
    flag("log-format", None, Takes::OneOf(&["text", "json"]), "Form of the log records [default: text]"),
    flag(
        "log-level",
        None,
        Takes::OneOf(&["error", "warning", "info", "debug"]),
        "Least level of the log records [default: warning]",
    ),
    flag("debug", None, Takes::Nothing, "Log each step: --log-level debug"),
    flag("audit", None, Takes::Text("DIR"), "Keep an audit log in DIR; required[:DIR]: and do nothing without it"),
    flag("strict", None, Takes::Nothing, "Make each warning an error (also: RRUN_STRICT=1)"),
    flag("systemd-cgroup", None, Takes::Nothing, "Let systemd make the cgroup: --cgroup-manager systemd"),
    flag("cgroup-manager", None, Takes::OneOf(&["cgroupfs", "systemd", "disabled"]), "Who makes the cgroup [default: cgroupfs]"),
    flag("rootless", None, Takes::OneOf(&["true", "false", "auto"]), "Whether root's rights are lacking [default: auto]"),
    flag("color", None, Takes::OneOf(&["auto", "always", "never"]), "Whether to paint what people read [default: auto]"),
    flag("criu", None, Takes::Text("PATH"), ""),
    flag("version", Some('v'), Takes::Nothing, "Print the version"),
];

const BUNDLE: &[Flag] = &[flag("bundle", Some('b'), Takes::Text("DIR"), "The bundle [default: the current directory]")];

const STDIO: &[Flag] = &[
    flag("console-socket", None, Takes::Text("SOCKET"), "Send the terminal's master over this unix socket"),
    flag("pidfd-socket", None, Takes::Text("SOCKET"), "Send a pidfd of the process over this unix socket"),
    flag("pid-file", None, Takes::Text("FILE"), "Write the pid of the process to FILE"),
    flag("preserve-fds", None, Takes::Number("N"), "Pass N more descriptors, from 3 on (after those of $LISTEN_FDS)"),
];

const MAKE: &[Flag] = &[
    flag("no-pivot", None, Takes::Nothing, "Use chroot in place of pivot_root, for a root on a ramdisk (weaker)"),
    flag("no-new-keyring", None, Takes::Nothing, "Keep the caller's session keyring (weaker)"),
];

const NARRATE: &[Flag] = &[flag("narrate", None, Takes::Nothing, "Tell on stderr, step by step, what is done")];

const LAYERS: &[Flag] = &[
    flag("layer", None, Takes::Texts("DIR"), "Stack the root from read-only layers, bottom first (repeatable)"),
    flag("overlay", None, Takes::Nothing, "Leave the bundle's rootfs as it is: write to a layer on top of it"),
    flag("overlay-size", None, Takes::Text("SIZE"), "Limit the size of the writable layer"),
    flag("keep-layer", None, Takes::Text("DIR"), "Keep the writable layer in DIR"),
];

const RUN: &[Flag] = &[
    flag("detach", Some('d'), Takes::Nothing, "Return when the program has been started"),
    flag("keep", None, Takes::Nothing, "Keep the state and the cgroup after the program has ended"),
    flag("no-subreaper", None, Takes::Nothing, "Leave the container's orphans to the caller's subreaper"),
    flag(
        "exit-style",
        None,
        Takes::OneOf(&["runc", "env"]),
        "Status when rrun fails: runc: 1; env, as env(1): 125, 126 may not be executed, 127 not found [default: runc]",
    ),
    flag("net-of", None, Takes::Text("ID"), "Join the network namespace of the container ID"),
];

const EXEC: &[Flag] = &[
    flag("process", Some('p'), Takes::Text("FILE"), "Take the whole process from FILE"),
    flag("cwd", None, Takes::Text("DIR"), "Working directory inside the container"),
    flag("env", Some('e'), Takes::Texts("NAME=VALUE"), "Add to the environment (repeatable)"),
    flag("tty", Some('t'), Takes::Nothing, "Give it a terminal"),
    flag("user", Some('u'), Takes::Text("UID[:GID]"), "Run as this user"),
    flag("additional-gids", Some('g'), Takes::Texts("GID"), "Add a group (repeatable)"),
    flag("detach", Some('d'), Takes::Nothing, "Return when the program has been started"),
    flag("process-label", None, Takes::Text("LABEL"), "SELinux label"),
    flag("apparmor", None, Takes::Text("PROFILE"), "AppArmor profile"),
    flag("no-new-privs", None, Takes::Nothing, "No execve gives new privileges"),
    flag("cap", Some('c'), Takes::Texts("CAP"), "Add a capability (repeatable)"),
    flag("cgroup", None, Takes::Texts("[CTRL[,CTRL]:]PATH"), "Enter this group below the container's (repeatable)"),
    flag("ignore-paused", None, Takes::Nothing, "Start it although the container is paused"),
];

const UPDATE: &[Flag] = &[
    flag("resources", Some('r'), Takes::Text("FILE"), "Take all limits from FILE, as linux.resources of config.json; - is stdin"),
    flag("blkio-weight", None, Takes::Text("N"), "Share of the block devices, 10 to 1000"),
    flag("cpu-period", None, Takes::Text("USEC"), "Length of a period of the CPU quota"),
    flag("cpu-quota", None, Takes::Text("USEC"), "Processor time in each period; -1 is unlimited"),
    flag("cpu-burst", None, Takes::Text("USEC"), "How much of unused quota may be saved up"),
    flag("cpu-share", None, Takes::Text("N"), "Share of the CPUs when they are busy, 2 to 262144"),
    flag("cpu-rt-period", None, Takes::Text("USEC"), "Length of a period of realtime"),
    flag("cpu-rt-runtime", None, Takes::Text("USEC"), "Realtime in each period"),
    flag("cpu-idle", None, Takes::Text("0|1"), "1: run only when nothing else wants to"),
    flag("cpuset-cpus", None, Takes::Text("LIST"), "The CPUs to use, as 0-2,5"),
    flag("cpuset-mems", None, Takes::Text("LIST"), "The memory nodes to use"),
    flag("memory", None, Takes::Text("SIZE"), "Limit of memory, as 64M; -1 is unlimited"),
    flag("memory-reservation", None, Takes::Text("SIZE"), "Memory that is taken away last"),
    flag("memory-swap", None, Takes::Text("SIZE"), "Limit of memory and swap together; -1 is unlimited"),
    flag("pids-limit", None, Takes::Text("N"), "Limit of processes; -1 is unlimited"),
    flag("l3-cache-schema", None, Takes::Text("SCHEMA"), "Intel RDT: which part of the L3 cache may be filled"),
    flag("mem-bw-schema", None, Takes::Text("SCHEMA"), "Intel RDT: how much memory bandwidth may be used"),
    // The kernel interfaces are gone; old callers still send them.
    flag("kernel-memory", None, Takes::Text("SIZE"), ""),
    flag("kernel-memory-tcp", None, Takes::Text("SIZE"), ""),
];

const EVENTS: &[Flag] = &[
    flag("interval", None, Takes::Text("DURATION"), "Time between two records, as 500ms or 1m30s [default: 5s]"),
    flag("stats", None, Takes::Nothing, "Print one record of what is used now, and end"),
];

const FORMAT: Flag = flag("format", Some('f'), Takes::OneOf(&["table", "json"]), "Form of the output [default: table]");

/// Of the commands that have `--json` and no other form: the word that `list` and engines have for it.
pub(super) const SAME: Flag = flag("format", None, Takes::OneOf(&["table", "json"]), "json: the same as --json");

const JSON: Flag = flag("json", None, Takes::Nothing, "As JSON: --format json");

const NONE: &[&[Flag]] = &[];

const fn runtime(
    name: &'static str,
    operands: &'static str,
    count: (usize, usize),
    about: &'static str,
    examples: [&'static str; 2],
    flags: &'static [&'static [Flag]],
) -> Command {
    Command { name, group: Group::Runtime, operands, count, about, examples, flags }
}

/// Every command, in the order of the help.
pub fn commands() -> impl Iterator<Item = &'static Command> + Clone {
    let all = COMMANDS.iter();
    #[cfg(feature = "workshop")]
    let all = all.chain(super::understand::COMMANDS.iter().copied());
    all
}

/// Those of the bare runtime, in the order of the help.
const COMMANDS: &[Command] = &[
    runtime(
        "spec",
        "",
        (0, 0),
        "Write a config.json to start from",
        ["@ spec", "@ spec --profile hardened --bundle /srv/web"],
        &[&[
            flag("bundle", Some('b'), Takes::Text("DIR"), "Where to write it [default: the current directory]"),
            flag("rootless", None, Takes::Nothing, "For a user without root's rights: --profile rootless"),
            flag("profile", None, Takes::OneOf(Profile::WORDS), "For a purpose [default: what runc writes]"),
        ]],
    ),
    runtime(
        "create",
        "ID",
        (1, 1),
        "Make a container; its program waits for `start`",
        ["@ create web", "@ create --bundle /srv/web --pid-file web.pid web"],
        &[BUNDLE, STDIO, NARRATE, MAKE, LAYERS],
    ),
    runtime(
        "exec",
        "ID [PROGRAM [ARG...]]",
        (1, usize::MAX),
        "Run one more process in a container",
        ["@ exec web ls -l", "@ exec --tty web sh"],
        &[EXEC, STDIO, NARRATE],
    ),
    runtime("start", "ID", (1, 1), "Let the program of a created container run", ["@ start web", "@ --debug start web"], NONE),
    runtime(
        "run",
        "ID|BUNDLE",
        (1, 1),
        "Create and start a container, and wait for its end",
        ["@ run ./web", "@ run --detach --bundle /srv/web web"],
        &[BUNDLE, RUN, STDIO, NARRATE, MAKE, LAYERS],
    ),
    runtime("state", "ID", (1, 1), "Print the state of a container as JSON", ["@ state web", "@ state web | jq .pid"], NONE),
    runtime(
        "list",
        "",
        (0, 0),
        "List the containers",
        ["@ list", "@ list --format json"],
        &[&[FORMAT, JSON, flag("quiet", Some('q'), Takes::Nothing, "Print only the ids")]],
    ),
    runtime(
        "ps",
        "ID [PS-OPTION...]",
        (1, usize::MAX),
        "List the processes of a container",
        ["@ ps web", "@ ps web -o pid,user,args"],
        &[&[FORMAT, JSON]],
    ),
    runtime(
        "kill",
        "ID [SIGNAL]",
        (1, 2),
        "Send a signal to a container's first process [default: SIGTERM]",
        ["@ kill web", "@ kill web KILL"],
        &[&[flag("all", Some('a'), Takes::Nothing, "")]],
    ),
    runtime("pause", "ID", (1, 1), "Freeze all processes of a container", ["@ pause web", "@ resume web"], NONE),
    runtime("resume", "ID", (1, 1), "Let a paused container go on", ["@ resume web", "@ state web | jq .status"], NONE),
    runtime(
        "update",
        "ID",
        (1, 1),
        "Change the limits of a container (0 leaves one as it is)",
        ["@ update --memory 64M --pids-limit 100 web", "@ update --resources limits.json web"],
        &[UPDATE],
    ),
    runtime(
        "events",
        "ID",
        (1, 1),
        "Print what a container uses, and when it runs out of memory",
        ["@ events --stats web", "@ events --interval 1m web"],
        &[EVENTS],
    ),
    runtime(
        "delete",
        "ID",
        (1, 1),
        "Remove what is left of a stopped container",
        ["@ delete web", "@ delete --force web"],
        &[&[flag("force", Some('f'), Takes::Nothing, "Kill it first; clean up whatever is left, even of a broken one")]],
    ),
    runtime(
        "features",
        "",
        (0, 0),
        "Print as JSON what this runtime can do",
        ["@ features", "@ features | jq .mountOptions"],
        NONE,
    ),
    Command {
        name: "plan",
        group: Group::Understand,
        operands: "[BUNDLE]",
        count: (0, 1),
        about: "Print each step that `run` would take, and take none",
        examples: ["@ plan ./web", "@ plan --json ./web"],
        flags: &[&[flag("json", None, Takes::Nothing, "As JSON"), SAME], MAKE, LAYERS],
    },
];

/// The command of this name.
pub fn command(name: &str) -> Option<&'static Command> {
    commands().find(|c| c.name == name)
}
