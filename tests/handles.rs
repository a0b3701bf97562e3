//! The type-level rule of docs/security.md: below the root of a container no function takes a path.
//!
//! Every call that takes one is known here by name, and every file that makes one is listed with the reason why its paths
//! are the host's, or why nothing comes of them but a look. A new file has no such call until somebody writes its reason
//! down. What works below the root has handles and names: `sys::resolve`, `sys::entry`, `sys::mount`, `sys::tree`.

use super::{Source, none, sources, words};

/// Calls of the standard library that take a path, and the one of rrun's own that passes it on, as they stand in a line.
const STD: [&str; 24] = [
    "fs::read(",
    "fs::read_to_string(",
    "fs::write(",
    "fs::read_dir(",
    "fs::read_link(",
    "fs::metadata(",
    "fs::symlink_metadata(",
    "fs::create_dir",
    "fs::remove_",
    "fs::rename(",
    "fs::copy(",
    "fs::hard_link(",
    "fs::set_permissions(",
    "fs::canonicalize(",
    "File::open(",
    "File::create(",
    "OpenOptions::new",
    "DirBuilder::new",
    ".exists()",
    ".is_dir()",
    ".is_file()",
    ".read_link()",
    ".canonicalize()",
    "read_short(",
];

/// Calls of nix and libc that take a path, or a directory and a path.
const KERNEL: [&str; 39] = [
    "open",
    "openat",
    "renameat",
    "renameat2",
    "rename",
    "readlink",
    "readlinkat",
    "mkfifo",
    "mkfifoat",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "symlink",
    "symlinkat",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "rmdir",
    "chown",
    "fchownat",
    "chmod",
    "fchmodat",
    "utimensat",
    "stat",
    "lstat",
    "fstatat",
    "statvfs",
    "statfs",
    "access",
    "faccessat",
    "chdir",
    "chroot",
    "truncate",
    "umount2",
    "SYS_openat2",
    "SYS_fchmodat2",
    "SYS_open_tree",
];

/// The current directory as a starting point: what follows is a path of the whole file system.
const FROM_CWD: [&str; 2] = ["cwd()", "AT_FDCWD"];

/// Where such calls are, and why they may be there. `*`: any. A line of a folder holds for all in it.
const ALLOWED: &[(&str, &[&str], &str)] = &[
    // What never enters a container, nor looks at a path of one.
    ("src/bundle/", &["*"], "the caller's files"),
    ("src/state/", &["*"], "the state root, which others cannot write to"),
    ("src/log/", &["*"], "the caller's log"),
    ("src/audit/", &["*"], "the host's audit log, and the file that switches it on"),
    ("src/verbs/", &["*"], "the caller's files"),
    ("src/workshop/", &["*"], "looks at /proc of the host and at the state"),
    ("src/host.rs", &["*"], "/proc and /sys of the host"),
    ("src/host/", &["*"], "/proc and /sys of the host"),
    (
        "src/concepts/cgroups/",
        &["*"],
        "cgroupfs of the host, which has no links; what a container makes there goes by handles (tree.rs)",
    ),
    ("src/concepts/rdt/", &["*"], "resctrl of the host"),
    ("src/concepts/traffic.rs", &["*"], "/proc of the host"),
    ("src/concepts/hooks/mod.rs", &["stat"], "the engine's hooks; outside"),
    ("src/concepts/users/", &["*"], "id maps of our own child, newuidmap of the host; outside"),
    ("src/process/announce.rs", &["*"], "the caller's pid file; outside"),
    ("src/process/notify.rs", &["*"], "the state directory; outside"),
    ("src/process/gate.rs", &["*"], "the fifo in the state directory; outside. Init has its handle"),
    ("src/process/members.rs", &["*"], "/proc of the host"),
    ("src/process/joiner.rs", &["fs::read_to_string("], "a pidfd of our own in /proc; the parent"),
    ("src/process/parent.rs", &["File::open(", "fs::remove_"], "namespaces of our own, the caller's pid file; outside"),
    ("src/process/exec.rs", &["File::open("], "a namespace of our own; outside"),
    ("src/process/foreground/relay.rs", &["open"], "a terminal of the caller by its descriptor; outside"),
    ("src/sys/idmap.rs", &["*"], "id maps of our own child; outside"),
    ("src/sys/socket.rs", &["open"], "sockets of the caller and of the state; outside"),
    ("src/concepts/namespaces.rs", &["open", "File::open(", "fs::write("], "namespaces to join, offsets of our child; outside"),
    ("src/concepts/network.rs", &["cwd()"], "a namespace of our own; outside"),
    (
        "src/concepts/layers/",
        &["cwd()", "chdir", "umount2"],
        "layers and the state directory: the host's, before the root is attached",
    ),
    ("src/concepts/mounts/bind.rs", &["cwd()"], "sources: the host's, before the root is entered"),
    ("src/concepts/mounts/filesystem.rs", &["cwd()"], "directories of an overlay: the host's, before the root is entered"),
    ("src/concepts/limits.rs", &["fs::write("], "/proc of the host: before anything is joined or attached"),
    ("src/sys/seal.rs", &["File::open(", "statfs", "cwd()"], "/proc/self of the host: before anything else"),
    ("src/sys/start.rs", &["open"], "/dev/null of the host: before anything else"),
    ("src/sys/own.rs", &["File::open(", "read_short("], "/proc/self of the host; callers of read_short are looked at as well"),
    // What runs inside.
    (
        "src/concepts/devices.rs",
        &["cwd()", ".exists()"],
        "nodes of the host to bind, and whether it has kcore: before the root is entered",
    ),
    (
        "src/concepts/rootfs.rs",
        &["cwd()", "fs::read(", "umount2", "chdir", "chroot"],
        "root.path and the host's mounts; then `.` and `/`, which no image can name",
    ),
    ("src/concepts/masks.rs", &["umount2", "chdir"], "`.` and `/`, which no image can name"),
    (
        "src/concepts/identity/program.rs",
        &["stat", "faccessat", "cwd()"],
        "a look at what execve will get, as its user; nothing is opened",
    ),
    // The door to the kernel: a handle and at most a name, or a path that the kernel confines.
    ("src/sys/fd.rs", &["AT_FDCWD", "cwd()"], "the value itself"),
    ("src/sys/resolve.rs", &["SYS_openat2"], "the resolver"),
    (
        "src/sys/entry.rs",
        &["mkdirat", "mknodat", "symlinkat", "unlinkat", "renameat2", "readlinkat", "fchownat", "SYS_fchmodat2"],
        "a handle and a Name, or a handle alone",
    ),
    ("src/sys/mount.rs", &["SYS_open_tree"], "callers pass a handle, or a path of the host"),
    (
        "src/sys/procfs.rs",
        &["AT_FDCWD", "openat", "fchmodat"],
        "`/proc` as the last resort, proven to be one; numbers of our own descriptors",
    ),
];

/// The calls in a line of code.
fn calls(line: &str) -> Vec<&'static str> {
    let mut found: Vec<&str> = STD.iter().chain(&FROM_CWD).filter(|call| line.contains(**call)).copied().collect();
    // process.cwd() is a field of the configuration.
    found.retain(|call| *call != "cwd()" || line.replace(".cwd()", "").contains("cwd()"));
    let kernel = |word: &str| KERNEL.iter().find(|call| **call == word).copied();
    if line.trim_start().starts_with("use nix::") {
        // Modules are named like the calls in them.
        let line = ["sys::stat::", "sys::statvfs::", "sys::statfs::"].iter().fold(line.to_owned(), |l, m| l.replace(m, ""));
        found.extend(words(&line).filter_map(kernel));
        return found;
    }
    let paths = line.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
    let ours = paths.filter(|p| p.starts_with("nix::") || p.starts_with("libc::"));
    found.extend(ours.filter_map(|p| kernel(p.rsplit("::").next().unwrap_or_default())));
    found
}

/// (line, call) of all of a file but its tests.
fn calls_of(source: &Source) -> Vec<(usize, &'static str)> {
    let tests = source.text.lines().position(|l| l == "#[cfg(test)]").unwrap_or(usize::MAX);
    // The table of system calls that a look makes is no call.
    let is_code = |line: &str| !line.trim_start().starts_with("(");
    let lines = source.code().filter(|(n, line)| *n <= tests && is_code(line));
    lines.flat_map(|(n, line)| calls(&line).into_iter().map(move |call| (n, call))).collect()
}

fn is_checked(source: &Source) -> bool {
    let path = &source.path;
    source.is_in("src/") && !path.ends_with("/tests.rs") && !path.contains("/tests/") && !path.ends_with("_tests.rs")
}

fn allowed(path: &str) -> impl Iterator<Item = &'static (&'static str, &'static [&'static str], &'static str)> {
    let path = path.to_owned();
    ALLOWED.iter().filter(move |(place, _, _)| if place.ends_with('/') { path.starts_with(place) } else { path == *place })
}

#[test]
fn below_the_root_no_function_takes_a_path() {
    let mut offences = vec![];
    for source in sources().iter().filter(|s| is_checked(s)) {
        let may = |call: &str| allowed(&source.path).any(|(_, calls, _)| calls.contains(&"*") || calls.contains(&call));
        let bad = calls_of(source).into_iter().filter(|(_, call)| !may(call));
        offences.extend(bad.map(|(n, call)| format!("{}:{n}: {call}", source.path)));
    }
    none("use a handle (src/sys/resolve.rs), or say in tests/handles.rs why this path is not the image's:", offences);
}

#[test]
fn every_exception_is_still_needed() {
    let sources = sources();
    let mut stale = vec![];
    for (place, calls, _) in ALLOWED {
        let files = sources.iter().filter(|s| is_checked(s) && allowed(&s.path).any(|(p, _, _)| p == place));
        let made: Vec<&str> = files.flat_map(calls_of).map(|(_, call)| call).collect();
        let unused = |call: &&&str| if **call == "*" { made.is_empty() } else { !made.contains(*call) };
        stale.extend(calls.iter().filter(unused).map(|call| format!("{place}: {call}")));
    }
    // The room of the verbs that explain fills as they are written.
    stale.retain(|s| !s.starts_with("src/workshop/"));
    none("take it out of tests/handles.rs:", stale);
}

#[test]
fn the_door_to_the_kernel_takes_paths_in_few_places() {
    let doors = ["src/sys/resolve.rs", "src/sys/socket.rs"];
    let takes = |s: &Source| {
        let bad = calls_in_signatures(s);
        bad.into_iter().map(|n| format!("{}:{n}", s.path)).collect::<Vec<_>>()
    };
    let inside = |s: &&Source| s.is_in("src/sys/") && !doors.contains(&s.path.as_str());
    none("take a BorrowedFd and a Name:", sources().iter().filter(inside).flat_map(takes).collect());
}

/// The functions with a parameter of the type Path.
fn calls_in_signatures(source: &Source) -> Vec<usize> {
    let tests = source.text.lines().position(|l| l == "#[cfg(test)]").unwrap_or(usize::MAX);
    let path = |line: &str| line.contains("fn ") && (line.contains("&Path") || line.contains("PathBuf"));
    source.code().filter(|(n, line)| *n <= tests && path(line)).map(|(n, _)| n).collect()
}

#[test]
fn the_rule_sees_what_it_forbids() {
    for (line, call) in [
        ("    let x = std::fs::read_to_string(path)?;", "fs::read_to_string("),
        ("use nix::unistd::{chdir, fchdir};", "chdir"),
        ("    nix::sys::stat::stat(path)", "stat"),
        ("    check(unsafe { libc::mkdirat(dir, name, 0o755) })", "mkdirat"),
        ("    openat2(cwd(), path, flags, 0, 0)", "cwd()"),
    ] {
        assert_eq!(calls(line), [call], "{line}");
    }
    for line in
        ["use nix::sys::stat::{SFlag, fstat};", "std::fs::File::from(fd)", "entry::open(dir, &name)", "let s = fstat(&fd);"]
    {
        assert_eq!(calls(line), Vec::<&str>::new(), "{line}");
    }
}
