//! The one table of `explain`: what is looked at, how much it weighs, what it prevents, and who says so.
//!
//! A change of a row changes the score of the same bundle, so the table has a version, which is part of every output. Weights say how much
//! of the wall a check is; they add up to 256. CIS is the CIS Docker Benchmark in the edition named here (others number differently);
//! PSS is the level of the Kubernetes Pod Security Standards that asks for it.

use super::facts::Facts;
use super::judge::{self, Verdict};
use crate::workshop::observed::namespaces::Kind;

/// Changes with every change of a weight, a floor, a check or a level.
pub const VERSION: &str = "1";
/// The edition that the numbers in [`Check::cis`] are of.
pub const CIS: &str = "CIS Docker Benchmark 1.6.0";

/// One thing that is looked at.
pub struct Check {
    /// `NS-USER`.
    pub id: &'static str,
    /// How much it counts.
    pub weight: u32,
    /// What it means that it fails: one line.
    pub what: &'static str,
    /// What an attacker can do then, and why.
    pub why: &'static str,
    /// The command that shows it.
    pub show: &'static str,
    /// Which attacks it prevented or would have.
    pub cves: &'static str,
    /// Numbers in the CIS benchmark.
    pub cis: &'static str,
    /// Level of the Pod Security Standards.
    pub pss: &'static str,
    /// Confidentiality, integrity, availability.
    pub risk: &'static str,
    /// The kernel's mechanism, for `--by ns`.
    pub area: &'static str,
    /// What a person would write into config.json.
    pub fix: &'static str,
    /// What the repair could break.
    pub breaks: &'static str,
    /// Decides.
    pub judge: fn(&Facts) -> Option<Verdict>,
}

impl Check {
    /// The references, each with its edition.
    pub fn references(&self) -> Vec<String> {
        let cis = (!self.cis.is_empty()).then(|| format!("{CIS}: {}", self.cis));
        let pss = (!self.pss.is_empty()).then(|| format!("Kubernetes Pod Security Standards: {}", self.pss));
        cis.into_iter().chain(pss).chain(self.cves.split(' ').filter(|c| !c.is_empty()).map(|c| format!("CVE-{c}"))).collect()
    }
}

/// The check with this id, in any letter case.
pub fn check(id: &str) -> Option<&'static Check> {
    CHECKS.iter().find(|c| c.id.eq_ignore_ascii_case(id))
}

/// The host's root by another name.
pub const CAP_ADMIN: &[&str] = &["SYS_ADMIN", "SYS_MODULE", "SYS_RAWIO", "SYS_BOOT", "BPF"];
/// Reading past every permission.
pub const CAP_READ: &[&str] = &["DAC_READ_SEARCH", "SYS_PTRACE"];
/// Power over the network.
pub const CAP_NET: &[&str] = &["NET_ADMIN", "NET_RAW"];
/// Power over files and ids.
pub const CAP_FILE: &[&str] = &["MKNOD", "DAC_OVERRIDE", "CHOWN", "FOWNER", "SETUID", "SETGID", "SETFCAP"];

/// The rows, heaviest first.
#[rustfmt::skip]
pub static CHECKS: [Check; 27] = [
    Check {
        id: "NS-MNT", weight: 20, what: "the container works in the host's mount table",
        why: "Every file of the host is in its sight, and what it mounts or unmounts changes the host.",
        show: "rrun tree --mounts web", cves: "", cis: "", pss: "", risk: "CIA", area: "mount",
        fix: "linux.namespaces += {\"type\":\"mount\"}", breaks: "programs that are meant to mount on the host",
        judge: |f| judge::namespace(f, Kind::Mnt),
    },
    Check {
        id: "CAP-ADMIN", weight: 20, what: "capabilities that are the host's root by another name",
        why: "SYS_ADMIN mounts and reaches cgroups, SYS_MODULE and BPF load code into the kernel, SYS_RAWIO reads memory, SYS_BOOT restarts the machine.",
        show: "rrun explain web CAP-ADMIN", cves: "2022-0492", cis: "5.4", pss: "baseline", risk: "CIA", area: "capabilities",
        fix: "drop SYS_ADMIN, SYS_MODULE, SYS_RAWIO, SYS_BOOT, BPF", breaks: "mounting, loading modules or BPF programs inside",
        judge: |f| judge::capabilities(f, CAP_ADMIN, 40),
    },
    Check {
        id: "SECCOMP", weight: 20, what: "every syscall of the shared kernel is reachable",
        why: "One mistake in one of some 350 system calls is a way out; a program needs perhaps 60. An allow-list closes the rest.",
        show: "rrun lab run seccomp-unshare", cves: "2022-0185", cis: "5.22", pss: "baseline", risk: "CIA", area: "seccomp",
        fix: "rrun trace web --emit-profile sc.json", breaks: "programs that use rare system calls (mount, bpf, keyctl, io_uring)",
        judge: judge::seccomp,
    },
    Check {
        id: "MNT-HOST", weight: 20, what: "a sensitive directory of the host is writable",
        why: "Whoever writes /etc, /usr or an engine's data directory is root of the host a moment later.",
        show: "rrun lab run task-hostpath", cves: "", cis: "5.6", pss: "baseline", risk: "CIA", area: "mount",
        fix: "mounts[i].options += \"ro\", or another source", breaks: "programs that write there",
        judge: judge::host_directories,
    },
    Check {
        id: "MNT-SOCK", weight: 20, what: "an engine's socket is within reach",
        why: "The engine behind it starts any container for whoever asks, with the host's root directory in it. No other wall counts.",
        show: "rrun tree --mounts web", cves: "", cis: "5.32", pss: "", risk: "CIA", area: "mount",
        fix: "remove the mount of the socket", breaks: "programs that start containers through it",
        judge: judge::sockets,
    },
    Check {
        id: "NS-NET", weight: 15, what: "the container uses the host's network",
        why: "It sees and binds the host's ports, reaches services on 127.0.0.1 and abstract sockets, which have no file permissions.",
        show: "rrun lab run hostnet", cves: "2020-15257", cis: "5.10", pss: "baseline", risk: "CI", area: "net",
        fix: "linux.namespaces += {\"type\":\"network\"}", breaks: "connections, until an interface is given to it",
        judge: |f| judge::namespace(f, Kind::Net),
    },
    Check {
        id: "NS-USER", weight: 15, what: "root inside is root outside",
        why: "A process that gets out has uid 0 on the host. With a user namespace it is a user who owns nothing.",
        show: "rrun lab run userns", cves: "2019-5736 2024-21626", cis: "5.31", pss: "", risk: "CIA", area: "user",
        fix: "linux.namespaces += {\"type\":\"user\"}; uidMappings 0→100000", breaks: "files of the image that belong to ids of the host: they must be owned by 100000 and up, or be mounted with idmap",
        judge: judge::user_namespace,
    },
    Check {
        id: "DEV", weight: 15, what: "all devices of the host may be opened",
        why: "With a node for the host's disk, which CAP_MKNOD makes, the whole disk is read and written past every permission.",
        show: "rrun lab run device", cves: "", cis: "5.18", pss: "baseline", risk: "CIA", area: "cgroup",
        fix: "linux.resources.devices = [{\"allow\":false,\"access\":\"rwm\"}]", breaks: "programs that use a device not listed: give each its own rule",
        judge: judge::devices,
    },
    Check {
        id: "NS-PID", weight: 10, what: "the host's processes are visible",
        why: "It sees their arguments and environment, may signal those of its user, and with SYS_PTRACE reads their files.",
        show: "rrun lab run hostpid", cves: "", cis: "5.16", pss: "baseline", risk: "CI", area: "pid",
        fix: "linux.namespaces += {\"type\":\"pid\"}", breaks: "programs that watch the host's processes",
        judge: |f| judge::namespace(f, Kind::Pid),
    },
    Check {
        id: "UID-ROOT", weight: 10, what: "the program runs as uid 0",
        why: "For the kernel uid 0 owns the host's files and configuration; every mistake elsewhere is worth more to it.",
        show: "rrun exec web id", cves: "", cis: "4.1", pss: "restricted", risk: "CI", area: "user",
        fix: "process.user = {\"uid\":1000,\"gid\":1000}", breaks: "files that only root may read, ports below 1024",
        judge: judge::root_user,
    },
    Check {
        id: "NNP", weight: 10, what: "setuid programs give new privileges",
        why: "A setuid file of the image makes any user in the container root in it.",
        show: "rrun lab run nnp", cves: "", cis: "5.26", pss: "restricted", risk: "CI", area: "process",
        fix: "process.noNewPrivileges = true", breaks: "su, sudo, ping and other setuid programs inside",
        judge: judge::no_new_privileges,
    },
    Check {
        id: "CAP-READ", weight: 10, what: "capabilities that read past every permission",
        why: "DAC_READ_SEARCH opens any file of a mounted filesystem by its number, also outside of the root; SYS_PTRACE reads the memory of others, and without a user namespace that of what `rrun exec` starts, as soon as it is in.",
        show: "rrun explain web CAP-READ", cves: "", cis: "5.4", pss: "baseline", risk: "C", area: "capabilities",
        fix: "drop DAC_READ_SEARCH, SYS_PTRACE", breaks: "debuggers and backup programs inside",
        judge: |f| judge::capabilities(f, CAP_READ, 40),
    },
    Check {
        id: "LSM", weight: 10, what: "no AppArmor profile or SELinux label",
        why: "Mandatory access control is the second wall: it still holds when capabilities or mounts were given too freely.",
        show: "rrun doctor", cves: "", cis: "5.2, 5.3", pss: "baseline", risk: "CI", area: "process",
        fix: "process.apparmorProfile or process.selinuxLabel = one that this host has", breaks: "what the profile does not know",
        judge: judge::label,
    },
    Check {
        id: "ROPATHS", weight: 10, what: "kernel switches in /proc are writable",
        why: "/proc/sys/kernel/core_pattern names a program that the host runs as root; /proc/sysrq-trigger restarts the machine.",
        show: "rrun lab run readonly", cves: "", cis: "", pss: "baseline", risk: "IA", area: "mount",
        fix: "linux.readonlyPaths += /proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger", breaks: "sysctl inside: use linux.sysctl",
        judge: judge::read_only_paths,
    },
    Check {
        id: "CAP-NET", weight: 6, what: "capabilities over the network",
        why: "NET_RAW forges packets and listens on the wire; NET_ADMIN changes routes and filters and reaches much kernel code.",
        show: "rrun explain web CAP-NET", cves: "2020-14386", cis: "5.4", pss: "baseline", risk: "CI", area: "capabilities",
        fix: "drop NET_ADMIN, NET_RAW", breaks: "ping with raw sockets, tcpdump, VPNs inside",
        judge: |f| judge::capabilities(f, CAP_NET, 50),
    },
    Check {
        id: "MASKED", weight: 6, what: "files that show the whole kernel are readable",
        why: "kcore is the machine's memory, keys and timer_list tell of all processes, firmware of the hardware.",
        show: "rrun lab run masked", cves: "2025-31133", cis: "", pss: "baseline", risk: "C", area: "mount",
        fix: "linux.maskedPaths += /proc/kcore /proc/keys /proc/timer_list /sys/firmware", breaks: "hardware inventory programs",
        judge: judge::masked_paths,
    },
    Check {
        id: "NS-IPC", weight: 5, what: "shared memory and queues are the host's",
        why: "System V shared memory of other programs can be read and written by their owner's uid.",
        show: "rrun tree web", cves: "", cis: "5.17", pss: "baseline", risk: "CI", area: "ipc",
        fix: "linux.namespaces += {\"type\":\"ipc\"}", breaks: "programs that share memory with the host",
        judge: |f| judge::namespace(f, Kind::Ipc),
    },
    Check {
        id: "ROOT-RO", weight: 5, what: "the root filesystem is writable",
        why: "An intruder stays: he replaces programs and leaves tools, and the next start runs them.",
        show: "rrun diff web", cves: "", cis: "5.13", pss: "", risk: "I", area: "mount",
        fix: "root.readonly = true", breaks: "programs that write outside of volumes: give them a tmpfs on /tmp and /run",
        judge: judge::read_only_root,
    },
    Check {
        id: "MEM", weight: 5, what: "no memory limit",
        why: "One container takes all memory, and the kernel ends programs of others.",
        show: "rrun lab run oom", cves: "", cis: "5.11", pss: "", risk: "A", area: "cgroup",
        fix: "linux.resources.memory = {\"limit\":536870912,\"swap\":536870912}", breaks: "programs that need more than 512 MiB are killed",
        judge: judge::memory,
    },
    Check {
        id: "PIDS", weight: 5, what: "no process limit: fork bomb",
        why: "A loop of forks fills the machine's table of processes, and nobody can log in to stop it.",
        show: "rrun lab run forkbomb", cves: "", cis: "5.29", pss: "", risk: "A", area: "cgroup",
        fix: "linux.resources.pids.limit = 100", breaks: "programs with more than 100 processes and threads",
        judge: judge::processes,
    },
    Check {
        id: "MNT-PROP", weight: 4, what: "mounts made inside appear on the host",
        why: "With shared propagation the container covers the host's files with its own.",
        show: "rrun tree --mounts web", cves: "", cis: "5.20", pss: "", risk: "IA", area: "mount",
        fix: "linux.rootfsPropagation = \"rslave\"; no \"shared\" in mounts[i].options", breaks: "programs that mount for the host (storage drivers)",
        judge: judge::propagation,
    },
    Check {
        id: "NS-CGROUP", weight: 3, what: "the host's tree of control groups is shown",
        why: "Paths tell the names of neighbours, and a writable hierarchy of the host is a way to it.",
        show: "rrun exec web cat /proc/self/cgroup", cves: "2023-25809", cis: "", pss: "", risk: "C", area: "cgroup",
        fix: "linux.namespaces += {\"type\":\"cgroup\"}", breaks: "programs that read the host's group paths",
        judge: |f| judge::namespace(f, Kind::Cgroup),
    },
    Check {
        id: "CAP-FILE", weight: 3, what: "capabilities over files and ids",
        why: "They let root inside change owners, pass permissions and make devices and setuid files; a program that serves needs none.",
        show: "rrun explain web CAP-FILE", cves: "", cis: "5.4", pss: "restricted", risk: "I", area: "capabilities",
        fix: "drop MKNOD, DAC_OVERRIDE, CHOWN, FOWNER, SETUID, SETGID, SETFCAP", breaks: "package managers, and servers that change their user after the start",
        judge: |f| judge::capabilities(f, CAP_FILE, 40),
    },
    Check {
        id: "MNT-FLAGS", weight: 3, what: "setuid files and devices count in bind mounts",
        why: "A setuid file that somebody puts there makes its user root inside, a device node opens a device.",
        show: "rrun tree --mounts web", cves: "", cis: "", pss: "", risk: "CI", area: "mount",
        fix: "mounts[i].options += \"nosuid\", \"nodev\"", breaks: "setuid programs and devices in these directories",
        judge: judge::bind_flags,
    },
    Check {
        id: "NS-UTS", weight: 2, what: "the host's name is the container's",
        why: "With SYS_ADMIN it can rename the host.",
        show: "rrun exec web hostname", cves: "", cis: "5.21", pss: "", risk: "I", area: "uts",
        fix: "linux.namespaces += {\"type\":\"uts\"}", breaks: "programs that show the host's name",
        judge: |f| judge::namespace(f, Kind::Uts),
    },
    Check {
        id: "CAP-INH", weight: 2, what: "inheritable capabilities",
        why: "Files with inheritable capabilities give them to whoever runs them.",
        show: "rrun explain web CAP-INH", cves: "2022-29162", cis: "", pss: "", risk: "I", area: "capabilities",
        fix: "process.capabilities.inheritable = []", breaks: "ambient capabilities, which need it",
        judge: judge::inheritable,
    },
    Check {
        id: "CPU", weight: 2, what: "no limit or share of processor time",
        why: "A busy loop slows all neighbours down.",
        show: "rrun lab run noisy", cves: "", cis: "5.12", pss: "", risk: "A", area: "cgroup",
        fix: "linux.resources.cpu = {\"quota\":100000,\"period\":100000}", breaks: "programs that need more than one processor's time",
        judge: judge::processor,
    },
];

/// What no setting changes, as long as the kernel is shared.
pub const ALWAYS_SHARED: [&str; 5] =
    ["page cache of image files", "CPU scheduler and caches", "dirty-page limits", "wall clock", "hardware"];
/// What would.
pub const STRONGER: &str = "a kernel of its own per container, or re-implemented system calls";

/// Scores of known configurations, in tenths, to compare with (a test computes them).
pub const YARDSTICKS: [(&str, u32); 2] = [("runc spec default", 28), ("engine default", 24)];

/// The level of a score in tenths.
pub fn level(score: u32) -> &'static str {
    match score {
        0..=9 => "HARDENED",
        10..=24 => "GOOD",
        25..=49 => "FAIR",
        50..=74 => "WEAK",
        75..=89 => "EXPOSED",
        _ => "DANGEROUS",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole() {
        assert_eq!(CHECKS.iter().map(|c| c.weight).sum::<u32>(), 256);
        assert!(CHECKS.is_sorted_by(|a, b| a.weight >= b.weight));
        for c in &CHECKS {
            assert!(!c.why.is_empty() && !c.show.is_empty() && !c.fix.is_empty() && !c.breaks.is_empty(), "{}", c.id);
            assert!(!c.risk.is_empty() && c.risk.chars().all(|r| "CIA".contains(r)), "{}", c.id);
            assert_eq!(check(&c.id.to_lowercase()).map(|found| found.id), Some(c.id));
        }
    }

    #[test]
    fn levels_have_no_gaps() {
        let at = |tenths: &[u32]| tenths.iter().map(|t| level(*t)).collect::<Vec<_>>();
        assert_eq!(at(&[0, 9, 10, 24, 25]), ["HARDENED", "HARDENED", "GOOD", "GOOD", "FAIR"]);
        assert_eq!(at(&[49, 50, 74, 75, 89, 90, 100]), ["FAIR", "WEAK", "WEAK", "EXPOSED", "EXPOSED", "DANGEROUS", "DANGEROUS"]);
    }
}
