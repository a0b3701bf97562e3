//! What each key of config.json does, in one line: `rrun help process.noNewPrivileges`.
//!
//! The specification has the whole text (runtime-spec, config.md and config-linux.md); this is what a reader of a message
//! needs to know which key it speaks of. A unit test compares the table with the keys that the parser knows.

use super::{Page, Shelf};
use crate::bundle::keys::of_object;
use crate::style::Style;

/// Config keys, by their paths; `[]` stands for any index.
pub const SHELF: Shelf = Shelf { kind: "config key", names: || KEYS.iter().map(|(key, _)| *key).collect(), page };

fn page(topic: &str, style: &Style) -> Option<String> {
    let wanted = general(topic);
    let (key, about) = KEYS.iter().find(|(key, _)| *key == wanted).or_else(|| only_one_ending_in(&wanted))?;
    let mut page = Page::new(key, about);
    let inner = [of_object(key), of_object(&format!("{key}[0]")), of_object(&format!("{key}.x"))].concat();
    if !inner.is_empty() {
        page.list("keys", &[inner.join(", ")]);
    }
    if let Some((object, _)) = key.rsplit_once('.') {
        let beside: Vec<&str> = of_object(&object.replace("[]", "[0]").replace('*', "x")).to_vec();
        page.list("beside", &[beside.join(", ")]);
    }
    let document = if key.starts_with("linux") { "config-linux.md" } else { "config.md" };
    page.list("see", &[format!("runtime-spec 1.3, {document}")]);
    Some(page.show(style))
}

/// `mounts[3].source` → `mounts[].source`.
fn general(path: &str) -> String {
    let mut out = String::new();
    for (n, part) in path.split('[').enumerate() {
        match (n, part.split_once(']')) {
            (1.., Some((index, rest))) if index.bytes().all(|b| b.is_ascii_digit()) => out.extend(["[]", rest]),
            (0, _) => out.push_str(part),
            _ => out.extend(["[", part]),
        }
    }
    out
}

/// `noNewPrivileges`, if there is only one key of this name.
fn only_one_ending_in(name: &str) -> Option<&'static (&'static str, &'static str)> {
    let mut found = KEYS.iter().filter(|(key, _)| key.rsplit('.').next() == Some(name));
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

const KEYS: &[(&str, &str)] = &[
    ("ociVersion", "version of the specification that this file is written for"),
    ("process", "what runs in the container, and as whom"),
    ("process.terminal", "give it a terminal of the container's own devpts"),
    ("process.consoleSize", "size of that terminal"),
    ("process.consoleSize.height", "its rows"),
    ("process.consoleSize.width", "its columns"),
    ("process.user", "user and groups of the process, as numbers of the container"),
    ("process.user.uid", "user id inside"),
    ("process.user.gid", "group id inside"),
    ("process.user.umask", "file mode creation mask, in decimal: 18 is 0022"),
    ("process.user.additionalGids", "further groups"),
    ("process.args", "the program and its arguments, one word each; no shell takes them apart"),
    ("process.env", "the environment: NAME=VALUE; PATH among it decides where the program is searched"),
    ("process.cwd", "working directory inside, an absolute path"),
    ("process.capabilities", "root's power in pieces (capabilities(7)); what is not listed is dropped"),
    ("process.capabilities.bounding", "what no program of the container can ever gain"),
    ("process.capabilities.effective", "what is in force from the start"),
    ("process.capabilities.inheritable", "what survives execve together with a file's; better empty (CVE-2022-29162)"),
    ("process.capabilities.permitted", "what the process may take into force"),
    ("process.capabilities.ambient", "what a program gets without file capabilities, also as another user than root"),
    ("process.rlimits", "limits of the process (getrlimit(2))"),
    ("process.rlimits[].type", "RLIMIT_NOFILE and its like"),
    ("process.rlimits[].hard", "the value up to which the process may raise it"),
    ("process.rlimits[].soft", "the value in force"),
    ("process.noNewPrivileges", "no execve gives more rights: setuid programs and file capabilities have no effect"),
    ("process.apparmorProfile", "name of a loaded AppArmor profile"),
    ("process.selinuxLabel", "SELinux context of the process"),
    ("process.oomScoreAdj", "-1000 to 1000: how readily the kernel kills it when memory runs out"),
    ("process.scheduler", "scheduling policy (sched_setattr(2))"),
    ("process.scheduler.policy", "SCHED_OTHER, SCHED_BATCH, SCHED_FIFO and its like"),
    ("process.scheduler.nice", "-20 (first) to 19 (last), for SCHED_OTHER and SCHED_BATCH"),
    ("process.scheduler.priority", "priority of SCHED_FIFO and SCHED_RR"),
    ("process.scheduler.flags", "SCHED_FLAG_RESET_ON_FORK and its like"),
    ("process.scheduler.runtime", "SCHED_DEADLINE: processor time per period, in nanoseconds"),
    ("process.scheduler.deadline", "SCHED_DEADLINE: by when, in nanoseconds"),
    ("process.scheduler.period", "SCHED_DEADLINE: the period, in nanoseconds"),
    ("process.ioPriority", "priority of its disk access (ioprio_set(2))"),
    ("process.ioPriority.class", "IOPRIO_CLASS_RT, IOPRIO_CLASS_BE or IOPRIO_CLASS_IDLE"),
    ("process.ioPriority.priority", "0 (first) to 7"),
    ("process.execCPUAffinity", "processors of a process of `exec`"),
    ("process.execCPUAffinity.initial", "before it enters the container's group"),
    ("process.execCPUAffinity.final", "afterwards"),
    ("root", "the root filesystem"),
    ("root.path", "the directory, relative to the bundle; what is in it is untrusted"),
    ("root.readonly", "nothing can be written outside of the mounts"),
    ("hostname", "needs a UTS namespace"),
    ("domainname", "NIS domain; needs a UTS namespace"),
    ("mounts", "what is mounted below the root, in this order"),
    ("mounts[].destination", "where, an absolute path inside; links of the image do not lead out"),
    ("mounts[].type", "the filesystem: proc, tmpfs, …; bind or none for a part of the host"),
    ("mounts[].source", "what: for a bind mount a path of the host"),
    ("mounts[].options", "as of mount(8): ro, nosuid, nodev, noexec, rbind, …"),
    ("mounts[].uidMappings", "an id-mapped mount: how the users of the files appear"),
    ("mounts[].gidMappings", "an id-mapped mount: how the groups of the files appear"),
    ("mounts[].uidMappings[].containerID", "first id as the container sees it"),
    ("mounts[].uidMappings[].hostID", "first id in the filesystem"),
    ("mounts[].uidMappings[].size", "how many"),
    ("mounts[].gidMappings[].containerID", "first id as the container sees it"),
    ("mounts[].gidMappings[].hostID", "first id in the filesystem"),
    ("mounts[].gidMappings[].size", "how many"),
    ("hooks", "programs of the host that run at certain moments, with the container's state as stdin"),
    ("hooks.prestart", "before the program, outside (deprecated: createRuntime)"),
    ("hooks.createRuntime", "outside, when the namespaces are there"),
    ("hooks.createContainer", "from the host's tree, in the container's namespaces"),
    ("hooks.startContainer", "inside, right before the program"),
    ("hooks.poststart", "outside, once the program runs"),
    ("hooks.poststop", "outside, after delete"),
    ("annotations", "free text for engines; org.systemd.property. and io.rrun. ones change what rrun does"),
    ("linux", "what only Linux has"),
    ("linux.uidMappings", "user namespace: which users inside are which outside"),
    ("linux.gidMappings", "user namespace: which groups inside are which outside"),
    ("linux.uidMappings[].containerID", "first id inside"),
    ("linux.uidMappings[].hostID", "first id outside; better not 0"),
    ("linux.uidMappings[].size", "how many"),
    ("linux.gidMappings[].containerID", "first id inside"),
    ("linux.gidMappings[].hostID", "first id outside; better not 0"),
    ("linux.gidMappings[].size", "how many"),
    ("linux.sysctl", "kernel parameters of the container's own namespaces"),
    ("linux.cgroupsPath", "the control group; with systemd SLICE:PREFIX:NAME"),
    ("linux.namespaces", "what the container sees of its own; a type that is missing is shared with the host"),
    ("linux.namespaces[].type", "mount, pid, network, ipc, uts, user, cgroup or time"),
    ("linux.namespaces[].path", "join this one instead of making a new one"),
    ("linux.devices", "device nodes to make, beside null, zero, full, random, urandom and tty"),
    ("linux.devices[].path", "where, inside"),
    ("linux.devices[].type", "c, b, u or p"),
    ("linux.devices[].major", "device number"),
    ("linux.devices[].minor", "device number"),
    ("linux.devices[].fileMode", "permissions, in decimal: 438 is 0666"),
    ("linux.devices[].uid", "owner"),
    ("linux.devices[].gid", "group"),
    ("linux.netDevices", "network devices that move into the container"),
    ("linux.netDevices.*.name", "its name inside"),
    ("linux.seccomp", "which system calls the kernel may be asked for"),
    ("linux.seccomp.defaultAction", "for all calls that are not listed; SCMP_ACT_ERRNO makes it an allow-list"),
    ("linux.seccomp.defaultErrnoRet", "the errno of that; 38 (ENOSYS) lets programs fall back"),
    ("linux.seccomp.architectures", "SCMP_ARCH_X86_64 and its like; others are killed"),
    ("linux.seccomp.flags", "SECCOMP_FILTER_FLAG_LOG and its like"),
    ("linux.seccomp.listenerPath", "unix socket to which the listener of SCMP_ACT_NOTIFY is sent"),
    ("linux.seccomp.listenerMetadata", "text that goes with it"),
    ("linux.seccomp.syscalls", "the rules"),
    ("linux.seccomp.syscalls[].names", "system calls by name"),
    ("linux.seccomp.syscalls[].action", "SCMP_ACT_ALLOW, SCMP_ACT_ERRNO, SCMP_ACT_KILL_PROCESS, SCMP_ACT_NOTIFY, …"),
    ("linux.seccomp.syscalls[].errnoRet", "the errno of SCMP_ACT_ERRNO; 1 (EPERM) if it is not given"),
    ("linux.seccomp.syscalls[].args", "only with these arguments"),
    ("linux.seccomp.syscalls[].args[].index", "which argument, from 0"),
    ("linux.seccomp.syscalls[].args[].value", "compare with this"),
    ("linux.seccomp.syscalls[].args[].valueTwo", "SCMP_CMP_MASKED_EQ: what is left under the mask"),
    ("linux.seccomp.syscalls[].args[].op", "SCMP_CMP_EQ and its like"),
    ("linux.rootfsPropagation", "private, slave, shared or unbindable: whether mounts travel between host and container"),
    ("linux.maskedPaths", "hidden: a file is covered by /dev/null, a folder by an empty one"),
    ("linux.readonlyPaths", "can be read, not written"),
    ("linux.mountLabel", "SELinux context of the mounts"),
    ("linux.intelRdt", "shares of cache and memory bandwidth (resctrl)"),
    ("linux.intelRdt.closID", "name of the class"),
    ("linux.intelRdt.schemata", "lines of its schemata file"),
    ("linux.intelRdt.l3CacheSchema", "which part of the L3 cache may be filled"),
    ("linux.intelRdt.memBwSchema", "how much memory bandwidth may be used"),
    ("linux.intelRdt.enableMonitoring", "count what is used"),
    ("linux.memoryPolicy", "which memory nodes are used (set_mempolicy(2))"),
    ("linux.memoryPolicy.mode", "MPOL_BIND and its like"),
    ("linux.memoryPolicy.nodes", "the nodes, as 0-1"),
    ("linux.memoryPolicy.flags", "MPOL_F_STATIC_NODES and its like"),
    ("linux.personality", "how the kernel presents itself (personality(2))"),
    ("linux.personality.domain", "LINUX, or LINUX32 for 32-bit programs"),
    ("linux.personality.flags", "none is defined so far"),
    ("linux.timeOffsets", "time namespace: offsets of monotonic and boottime"),
    ("linux.timeOffsets.*.secs", "seconds"),
    ("linux.timeOffsets.*.nanosecs", "nanoseconds"),
    ("linux.resources", "limits, kept by control groups (cgroups(7))"),
    ("linux.resources.devices", "which devices may be used; all are denied unless listed"),
    ("linux.resources.devices[].allow", "allow or deny"),
    ("linux.resources.devices[].type", "a (all), c or b"),
    ("linux.resources.devices[].major", "device number; all if it is not given"),
    ("linux.resources.devices[].minor", "device number; all if it is not given"),
    ("linux.resources.devices[].access", "r, w and m (make the node)"),
    ("linux.resources.memory", "memory, in bytes; -1 is unlimited"),
    ("linux.resources.memory.limit", "beyond it the kernel reclaims, then kills inside the container"),
    ("linux.resources.memory.reservation", "what is taken away last when the host runs short"),
    ("linux.resources.memory.swap", "memory and swap together; equal to limit means no swap"),
    ("linux.resources.memory.kernel", "gone from the kernel since 6.1: no effect"),
    ("linux.resources.memory.kernelTCP", "memory of TCP buffers (cgroup v1)"),
    ("linux.resources.memory.swappiness", "0 to 100: how readily it is swapped out (cgroup v1)"),
    ("linux.resources.memory.disableOOMKiller", "stop the processes instead of killing (cgroup v1)"),
    ("linux.resources.memory.useHierarchy", "always so by now"),
    ("linux.resources.memory.checkBeforeUpdate", "refuse an update below what is used"),
    ("linux.resources.cpu", "processors"),
    ("linux.resources.cpu.shares", "share when they are busy; 1024 is the usual one"),
    ("linux.resources.cpu.quota", "processor time per period, in microseconds"),
    ("linux.resources.cpu.burst", "how much unused quota may be saved up, in microseconds"),
    ("linux.resources.cpu.period", "length of a period, in microseconds"),
    ("linux.resources.cpu.realtimeRuntime", "realtime per period, in microseconds (cgroup v1)"),
    ("linux.resources.cpu.realtimePeriod", "length of that period (cgroup v1)"),
    ("linux.resources.cpu.cpus", "which processors, as 0-1,3"),
    ("linux.resources.cpu.mems", "which memory nodes"),
    ("linux.resources.cpu.idle", "1: run only when nothing else wants to"),
    ("linux.resources.pids", "processes and threads"),
    ("linux.resources.pids.limit", "how many at most: what stops a fork bomb"),
    ("linux.resources.blockIO", "disks"),
    ("linux.resources.blockIO.weight", "share when they are busy, 10 to 1000"),
    ("linux.resources.blockIO.leafWeight", "gone from the kernel"),
    ("linux.resources.blockIO.weightDevice", "share of one device"),
    ("linux.resources.blockIO.throttleReadBpsDevice", "bytes read per second of one device"),
    ("linux.resources.blockIO.throttleWriteBpsDevice", "bytes written per second"),
    ("linux.resources.blockIO.throttleReadIOPSDevice", "reads per second"),
    ("linux.resources.blockIO.throttleWriteIOPSDevice", "writes per second"),
    ("linux.resources.hugepageLimits", "huge pages"),
    ("linux.resources.hugepageLimits[].pageSize", "2MB, 1GB"),
    ("linux.resources.hugepageLimits[].limit", "bytes"),
    ("linux.resources.network", "marks of network packets (cgroup v1)"),
    ("linux.resources.network.classID", "class of the packets, for tc(8)"),
    ("linux.resources.network.priorities", "priority on an interface"),
    ("linux.resources.rdma", "resources of remote DMA devices, by device"),
    ("linux.resources.unified", "files of cgroup v2 by name, as memory.high"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::keys::OBJECTS;

    /// Other platforms' sections, and objects whose keys say what they are.
    const BARE: [&str; 5] =
        ["hooks.", "linux.resources.blockIO.", "linux.resources.network.priorities[]", "linux.resources.rdma.*", ""];

    #[test]
    fn every_key_of_the_parser_has_a_line_and_no_other() {
        let other = ["solaris", "windows", "vm", "zos", "freebsd", "process.commandLine", "process.user.username"];
        let paths =
            OBJECTS.iter().filter(|(object, _)| !BARE[..4].iter().any(|b| object.starts_with(b))).flat_map(|(object, keys)| {
                keys.iter().map(move |key| if object.is_empty() { (*key).to_owned() } else { format!("{object}.{key}") })
            });
        let missing: Vec<String> =
            paths.filter(|p| !other.contains(&p.as_str()) && !KEYS.iter().any(|(key, _)| key == p)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        for (key, about) in KEYS {
            let (object, name) = key.rsplit_once('.').unwrap_or(("", key));
            assert!(of_object(&object.replace("[]", "[0]").replace('*', "x")).contains(&name), "{key} is no key");
            assert!(!about.ends_with('.') && about.len() < 100, "{key}");
        }
    }

    #[test]
    fn a_key_is_found_by_its_path_its_place_or_its_name() {
        let style = Style::default();
        for topic in ["mounts[].source", "mounts[3].source"] {
            assert!(page(topic, &style).is_some_and(|p| p.contains("path of the host")), "{topic}");
        }
        assert!(page("noNewPrivileges", &style).is_some_and(|p| p.contains("beside")));
        assert_eq!(page("path", &style), None);
        assert!(page("linux.namespaces", &style).is_some_and(|p| p.contains("type, path")));
    }
}
