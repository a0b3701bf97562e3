//! Why a program could not be started, found out after it could not be.
//!
//! "No such file or directory" is what the kernel says of a script whose interpreter is missing, while the script is there;
//! "permission denied" has five causes. A start never depends on this look: it happens after the failure, adds a code and a
//! hint, and where it finds nothing it changes nothing. It reads the image's files only by handle and only their heads.
//!

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::IdentityPlan;
use super::directory::container_root;
use super::environment::is_regular;
use super::executable::{self, Executable};
use super::program::path_variable;
use super::similar;
use crate::error::{Error, Result};
use crate::sys::resolve::Root;

/// The longest value that a hint quotes, in bytes.
const LONGEST: usize = 90;

/// The system calls that a look makes, with their names and numbers.
pub const LOOK_CALLS: [(&str, i64); 14] = [
    ("openat", libc::SYS_openat),
    ("openat2", libc::SYS_openat2),
    ("fstat", libc::SYS_fstat),
    ("newfstatat", libc::SYS_newfstatat),
    ("fstatfs", libc::SYS_fstatfs),
    ("pread64", libc::SYS_pread64),
    ("getdents64", libc::SYS_getdents64),
    ("lseek", libc::SYS_lseek),
    ("fcntl", libc::SYS_fcntl),
    ("close", libc::SYS_close),
    // An error text allocates.
    ("brk", libc::SYS_brk),
    ("mmap", libc::SYS_mmap),
    ("mremap", libc::SYS_mremap),
    ("munmap", libc::SYS_munmap),
];

/// A code and a hint.
type Finding = (&'static str, String);

/// Adds to a failed lookup of `name` why it failed.
pub(super) fn why(plan: &IdentityPlan, name: &CStr, error: Error) -> Error {
    let Ok(root) = container_root() else { return error };
    let look = Look { plan, root: &root, name: lossy(name) };
    let finding = match error.errno() {
        None => look.not_in_path(),
        Some(libc::ENOENT | libc::ENOTDIR) => look.missing(),
        Some(libc::EACCES) => look.denied(Path::new(&look.name)).or_else(|| Some(look.forbidden())),
        Some(_) => None,
    };
    add(error, finding)
}

/// The error of a failed execve of `path`: `exec PATH: errno text`, with code and hint where the cause is found. `look` is
/// false where a seccomp filter might kill for the system calls of a look: the bare error is worth more than the hint.
pub fn explain_execve(plan: &IdentityPlan, path: &CStr, cause: io::Error, look: bool) -> Error {
    let name = lossy(path);
    let errno = cause.raw_os_error();
    let error = Error::os(format!("exec {name}"), cause).config("process.args[0]");
    let Some(root) = look.then(container_root).and_then(Result::ok) else { return error };
    let look = Look { plan, root: &root, name };
    let file = Path::new(&look.name);
    let finding = match errno {
        Some(libc::ENOENT) => look.interpreter_missing(file, 0),
        Some(libc::ENOEXEC) => look.wrong_format(file),
        Some(libc::EACCES) => look.denied(file).or_else(|| look.interpreter_denied(file)).or_else(|| Some(look.forbidden())),
        Some(libc::E2BIG) => {
            Some(("E-ARGV", "arguments and environment together are too long for the kernel; shorten them".to_owned()))
        }
        _ => None,
    };
    add(error, finding)
}

fn add(error: Error, finding: Option<Finding>) -> Error {
    match finding {
        Some((code, hint)) => error.code(code).hint(hint),
        None => error,
    }
}

/// Where to look and for what.
struct Look<'a> {
    plan: &'a IdentityPlan,
    root: &'a Root,
    name: String,
}

impl Look<'_> {
    /// The directories of PATH.
    fn searched(&self) -> Vec<String> {
        let path = path_variable(self.plan).map(String::from_utf8_lossy).unwrap_or_default();
        path.split(':').filter(|d| !d.is_empty()).map(str::to_owned).collect()
    }

    /// E-ARGV: the whole command line in one string.
    fn one_string(&self) -> Option<Finding> {
        let mut words = self.name.split_whitespace();
        let (first, second) = (words.next()?, words.next()?);
        if self.plan.args.strings().len() != 1 {
            return None;
        }
        let found = |dir: &str| self.root.resolve(&Path::new(dir).join(first)).is_ok();
        let known = if first.contains('/') { found("/") } else { self.searched().iter().any(|dir| found(dir)) };
        let likely = if known { "" } else { "likely cause: " };
        let (first, second) = (shown(first), shown(second));
        Some((
            "E-ARGV",
            format!("{likely}args[0] holds a whole command line; write each word as its own string: [{first:?}, {second:?}]"),
        ))
    }

    /// E-NOTFOUND, a bare name: where it was searched, what is like it.
    fn not_in_path(&self) -> Option<Finding> {
        if let Some(finding) = self.one_string() {
            return Some(finding);
        }
        let searched = self.searched();
        if searched.is_empty() {
            let text = "the environment has no PATH; add PATH=/usr/bin:/bin to process.env, or use the full path";
            return Some(("E-NOTFOUND", text.to_owned()));
        }
        for dir in &searched {
            let candidate = Path::new(dir).join(&self.name);
            if !self.name.is_empty() && self.root.resolve(&candidate).is_ok() {
                return self.denied(&candidate);
            }
        }
        let mut text = format!("searched {} (PATH of the container)", shown(&searched.join(", ")));
        if let Some(similar) = similar::find(self.root, &searched, &self.name) {
            text += &format!(", where {} is similar", shown(&similar));
        }
        Some(("E-NOTFOUND", text + "; use the full path, or install it"))
    }

    /// E-NOTFOUND, a path: really absent, or a link that leads nowhere.
    fn missing(&self) -> Option<Finding> {
        if let Some(finding) = self.one_string() {
            return Some(finding);
        }
        let name = shown(&self.name);
        if self.root.resolve(Path::new(&self.name)).is_err() && self.root.resolve_no_follow(Path::new(&self.name)).is_ok() {
            return Some((
                "E-NOTFOUND",
                format!("{name} is a symbolic link whose target the root filesystem lacks; correct the link"),
            ));
        }
        Some(("E-NOTFOUND", format!("the root filesystem lacks {name}; correct process.args, or add the file to the image")))
    }

    /// E-PERM: which of the reasons it is.
    fn denied(&self, path: &Path) -> Option<Finding> {
        let name = shown(&path.to_string_lossy());
        if let Some(closed) = self.closed_directory(path) {
            return Some(("E-PERM", closed));
        }
        let handle = self.root.resolve(path).ok()?;
        let stat = nix::sys::stat::fstat(&handle).ok()?;
        let mode = stat.st_mode & 0o7777;
        let hint = match stat.st_mode & libc::S_IFMT {
            libc::S_IFDIR => format!("{name} is a folder; name a program in it"),
            libc::S_IFREG if mode & 0o111 == 0 => {
                format!("{name} has mode {mode:04o}, without an x bit; run chmod +x on it in the root filesystem")
            }
            libc::S_IFREG if is_noexec(&handle) => {
                format!("{name} lies on a mount with noexec; drop noexec from its options in mounts, or move the program")
            }
            libc::S_IFREG if !self.may(&stat, 1) => {
                let (uid, owner) = (self.plan.uid, stat.st_uid);
                format!("uid {uid} may not execute {name} (mode {mode:04o}, owner {owner}); change the mode or process.user")
            }
            libc::S_IFREG => return None,
            _ => format!("{name} is neither a file nor a link to one; name a program"),
        };
        Some(("E-PERM", hint))
    }

    /// E-PERM where modes and mounts would let the program run: what else can refuse shows only in the kernel's own log.
    fn forbidden(&self) -> Finding {
        let name = shown(&self.name);
        let text = format!(
            "likely cause: AppArmor, SELinux or an access control list refuses {name}; look into the kernel's log (dmesg), then \
             correct the profile, the label or the list"
        );
        ("E-PERM", text)
    }

    /// The directory on the way to `path` that the user may not enter.
    fn closed_directory(&self, path: &Path) -> Option<String> {
        let mut ancestors: Vec<PathBuf> = path.ancestors().skip(1).map(Path::to_path_buf).collect();
        ancestors.reverse();
        ancestors.iter().find_map(|dir| {
            let handle = self.root.resolve(dir).ok()?;
            let stat = nix::sys::stat::fstat(&handle).ok()?;
            if stat.st_mode & libc::S_IFMT != libc::S_IFDIR || self.may(&stat, 1) {
                return None;
            }
            let (uid, mode, owner) = (self.plan.uid, stat.st_mode & 0o7777, stat.st_uid);
            let dir = shown(&dir.to_string_lossy());
            Some(format!("uid {uid} cannot enter {dir} (mode {mode:04o}, owner {owner}); change the mode or process.user"))
        })
    }

    /// Whether the mode bits alone let the user do `wanted` (1: execute). Without capabilities: uid 0 is let through.
    fn may(&self, stat: &nix::sys::stat::FileStat, wanted: u32) -> bool {
        let (uid, gid) = (self.plan.uid.as_raw(), self.plan.gid.as_raw());
        let in_group = stat.st_gid == gid || self.plan.groups.iter().any(|g| g.as_raw() == stat.st_gid);
        let shift = if stat.st_uid == uid {
            6
        } else if in_group {
            3
        } else {
            0
        };
        stat.st_mode >> shift & wanted == wanted
    }

    fn examine(&self, path: &Path) -> Option<Executable> {
        is_regular(&self.root.resolve(path).ok()?)?;
        let file = self.root.open(path, libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY).ok()?;
        is_regular(&file)?;
        executable::examine(&File::from(file))
    }

    fn has(&self, path: &str) -> bool {
        self.root.resolve(Path::new(path)).is_ok()
    }

    /// ENOENT of execve although the file is there: E-CRLF, E-INTERP, E-LOADER.
    fn interpreter_missing(&self, path: &Path, depth: u8) -> Option<Finding> {
        let name = shown(&path.to_string_lossy());
        match self.examine(path)? {
            Executable::Script(interpreter) if interpreter.ends_with('\r') => {
                let text =
                    format!("the first line of {name} ends in a carriage return (Windows line end); run sed -i 's/\\r$//' on it");
                Some(("E-CRLF", text))
            }
            Executable::Script(interpreter) if !self.has(&interpreter) => {
                let other =
                    if self.has("/bin/sh") { "use #!/bin/sh, which is present, or add it" } else { "add it to the image" };
                Some((
                    "E-INTERP",
                    format!("the first line of {name} asks for the missing interpreter {}; {other}", shown(&interpreter)),
                ))
            }
            // The interpreter is there, but may lack its own loader.
            Executable::Script(interpreter) if depth == 0 => self.interpreter_missing(Path::new(&interpreter), 1),
            Executable::Elf(_, Some(loader)) if !self.has(&loader) => {
                let text = format!("{name} needs the loader {}, which the root filesystem lacks", shown(&loader));
                Some(("E-LOADER", text + "; link it statically, or use an image with that C library"))
            }
            _ => None,
        }
    }

    /// EACCES of execve although the file itself may be executed: its interpreter may not.
    fn interpreter_denied(&self, path: &Path) -> Option<Finding> {
        match self.examine(path)? {
            Executable::Script(interpreter) | Executable::Elf(_, Some(interpreter)) => self.denied(Path::new(&interpreter)),
            _ => None,
        }
    }

    /// ENOEXEC: E-NOSHEBANG, E-ARCH.
    fn wrong_format(&self, path: &Path) -> Option<Finding> {
        let name = shown(&path.to_string_lossy());
        match self.examine(path)? {
            Executable::Empty => Some(("E-NOSHEBANG", format!("{name} is a file of 0 bytes; rebuild it"))),
            Executable::Other => Some((
                "E-NOSHEBANG",
                format!("{name} is neither an ELF file nor a script with #!; if it is one, add #!/bin/sh as its first line"),
            )),
            Executable::Elf(machine, _) if !executable::is_native(machine) => {
                let (theirs, ours) = (executable::machine_name(machine), std::env::consts::ARCH);
                let text = format!("{name} is an ELF file for {theirs}, this host is {ours} and has no binfmt handler for it");
                Some(("E-ARCH", format!("{text}; use the build for {ours}, or install qemu-user-static")))
            }
            _ => None,
        }
    }
}

fn is_noexec(handle: &OwnedFd) -> bool {
    nix::sys::statvfs::fstatvfs(handle).is_ok_and(|s| s.flags().contains(nix::sys::statvfs::FsFlags::ST_NOEXEC))
}

fn lossy(text: &CStr) -> String {
    text.to_string_lossy().into_owned()
}

/// A value as a hint may show it: not longer than a reader wants. (Control characters are escaped where the hint is shown.)
fn shown(value: &str) -> String {
    match value.len() > LONGEST {
        true => format!("{}…", &value[..value.floor_char_boundary(LONGEST)]),
        false => value.to_owned(),
    }
}

#[cfg(test)]
mod tests;
