//! Whether this host can show a lab, and if not, why: a lab that cannot run must not look like one that failed.
//!
//! Each answer names what is lacking and how to get it. Nothing is tried that changes the host.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{FsType, TMPFS_MAGIC, statfs};
use nix::sys::statvfs::{FsFlags, statvfs};

use super::table::{Lab, Need};
use crate::host::{self, Feature, Host};

/// The file that marks a machine as one where labs may do what is dangerous elsewhere.
const MARK: &str = "/etc/rrun-lab";

/// File systems that have no disk below them: tmpfs, ramfs (linux/magic.h).
const IN_MEMORY: [FsType; 2] = [TMPFS_MAGIC, FsType(0x8584_58f6)];

/// The reason why this host cannot show the lab; `None` if it can. `dir` is where its directory would lie.
pub fn lacking(lab: &Lab, host: &Host, lab_vm: bool, dir: &Path) -> Option<String> {
    if host.rootless {
        return Some("labs set limits and map ids: run it as root".into());
    }
    if let Some(danger) = lab.danger.filter(|_| !lab_vm && !Path::new(MARK).exists()) {
        return Some(format!("{danger}: say --i-am-a-lab-vm, or make the file {MARK}, on a machine that is only for this"));
    }
    let always = [Need::Controller("memory"), Need::Controller("pids")];
    always.iter().chain(lab.needs).find_map(|need| why_not(*need, host, dir))
}

fn why_not(need: Need, host: &Host, dir: &Path) -> Option<String> {
    let unless = |there: bool, why: &str| (!there).then(|| why.to_owned());
    match need {
        Need::Controller(name) => unless(has_controller(host, name), &format!("there is no cgroup controller {name} here")),
        Need::UserNamespaces => unless(
            host::supports(Feature::UserNamespaces) && limit("/proc/sys/user/max_user_namespaces") > 0,
            "user namespaces are switched off: sysctl user.max_user_namespaces",
        ),
        Need::Setuid => unless(
            statvfs(dir).is_ok_and(|fs| !fs.flags().contains(FsFlags::ST_NOSUID)) && !has_no_new_privs(),
            &format!("setuid programs have no effect in {}: set TMPDIR to a place on a mount without nosuid", dir.display()),
        ),
        Need::Program(name) => unless(program(name).is_some(), &format!("the program {name} is missing")),
        Need::TwoCpus => unless(
            std::thread::available_parallelism().is_ok_and(|n| n.get() > 1),
            "there is one processor only: nothing to choose from",
        ),
        Need::Disk => unless(
            statfs(dir).is_ok_and(|fs| !IN_MEMORY.contains(&fs.filesystem_type())),
            &format!(
                "{} lies in memory, and this is about what goes to the disk: set TMPDIR to a directory there",
                dir.display()
            ),
        ),
        Need::File(path) => unless(Path::new(path).exists(), &format!("{path} is missing: the kernel was built without it")),
    }
}

/// Device rules are a controller of v1; v2 has BPF for them, which is always there.
fn has_controller(host: &Host, name: &str) -> bool {
    if !host.cgroups.is_unified() {
        return host.cgroups.v1.iter().any(|h| h.controllers.iter().any(|c| c == name));
    }
    let file = host.cgroups.v2.iter().map(|v2| v2.mountpoint.join("cgroup.controllers")).next().unwrap_or_default();
    name == "devices" || std::fs::read_to_string(file).is_ok_and(|text| text.split_whitespace().any(|c| c == name))
}

fn limit(path: &str) -> u64 {
    std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(u64::MAX)
}

fn has_no_new_privs() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|text| text.contains("NoNewPrivs:\t1"))
}

/// A program of the host, along $PATH.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from));
    places.filter(|dir| dir.is_absolute()).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// A busybox that runs in a root with nothing else in it.
pub fn busybox() -> Result<PathBuf, String> {
    let install = "apt-get install busybox-static, or your system's package of that kind";
    let found = program("busybox").ok_or_else(|| format!("the labs' root is made of a static busybox: {install}"))?;
    match is_static(&found) {
        Some(true) => Ok(found),
        _ => Err(format!("{} needs libraries, which the labs' root has not: {install}", found.display())),
    }
}

/// Whether an ELF file of this machine's byte order names no loader (PT_INTERP, elf(5)).
fn is_static(path: &Path) -> Option<bool> {
    let mut start = Vec::new();
    std::fs::File::open(path).ok()?.take(4096).read_to_end(&mut start).ok()?;
    let number = |at: usize, size: usize| -> Option<usize> {
        let bytes = start.get(at..at + size)?;
        Some(bytes.iter().rev().fold(0, |n, b| n << 8 | usize::from(*b)))
    };
    let wide = *start.get(4)? == 2;
    let (table, size, count) = if wide { (number(32, 8)?, 54, 56) } else { (number(28, 4)?, 42, 44) };
    let (size, count) = (number(size, 2)?, number(count, 2)?);
    let is_elf = OsStr::new("\u{7f}ELF").as_encoded_bytes() == start.get(..4)?;
    is_elf.then(|| !(0..count).any(|n| number(table + n * size, 4) == Some(3)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_static_programs() {
        assert_eq!(is_static(Path::new("/proc/self/exe")), Some(cfg!(target_feature = "crt-static")));
        assert_eq!(is_static(Path::new("/etc/passwd")), None);
    }

    #[test]
    fn finds_programs_along_the_path() {
        assert!(program("sh").is_some());
        assert_eq!(program("no-such-program-here"), None);
    }
}
