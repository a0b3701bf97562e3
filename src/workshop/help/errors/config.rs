//! config.json says something that cannot be done, or that nobody understands.
//!
//! A misspelt protection is none: what is not understood is a warning each time, and an error with --strict; what cannot be
//! done as it stands is always an error. Nothing is ever replaced by a default.

use super::Entry;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        code: "E-KEY",
        situation: "a key that nobody knows, or one that is missing",
        cause: &[
            "the key is misspelt, stands at the wrong place, or has other capital letters; it has NO effect",
            "a key that the specification requires is missing",
        ],
        fix: &["write it as `rrun help KEY` shows it; --strict makes such a warning an error", "add it"],
        example: "\"process\": { \"noNewPrivileged\": true }     no effect\n\"process\": { \"noNewPrivileges\": true }",
        lab: Some("typo"),
        see: &["E-TYPE", "E-CAP", "E-STRICT"],
    },
    Entry {
        code: "E-STRICT",
        situation: "a warning, and --strict makes it an error",
        cause: &["something in the configuration has no effect; without --strict it would have been said and passed over"],
        fix: &["correct the configuration, or run without --strict (and RRUN_STRICT)"],
        example: "$ rrun --strict run ./web",
        lab: Some("typo"),
        see: &["E-KEY", "E-CAP"],
    },
    Entry {
        code: "E-TYPE",
        situation: "a value of the wrong type, or out of its range",
        cause: &[
            "a number in quotes, a list where an object belongs, a word that is none of those allowed, a namespace of an unknown type",
        ],
        fix: &["write what the message expects; rrun never takes a default in its place"],
        example: "\"uid\": \"1000\"            a string\n\"uid\": 1000",
        lab: None,
        see: &["E-KEY", "E-JSON"],
    },
    Entry {
        code: "E-JSON",
        situation: "a document that is no JSON",
        cause: &["a bracket, a comma or a quote is missing, or too many; JSON has no comments and no comma at the end of a list"],
        fix: &["correct the place that the message names: file:line:column"],
        example: "config.json:14:3: `]` closes the object opened at 9:12",
        lab: None,
        see: &["E-TYPE"],
    },
    Entry {
        code: "E-CAP",
        situation: "a capability that nobody knows",
        cause: &[
            "the name is misspelt, lacks its prefix CAP_, or is not in capital letters; it is ignored, as the specification orders",
        ],
        fix: &["write it as capabilities(7) does"],
        example: "\"bounding\": [\"NET_ADMIN\"]\n\"bounding\": [\"CAP_NET_ADMIN\"]",
        lab: None,
        see: &["process.capabilities", "E-STRICT", "capabilities(7)"],
    },
    Entry {
        code: "E-RLIMIT",
        situation: "a resource limit that nobody knows, or twice",
        cause: &["the type is misspelt or lacks its prefix RLIMIT_, or the same type stands there twice"],
        fix: &["write it as getrlimit(2) does, once"],
        example: "\"rlimits\": [{ \"type\": \"RLIMIT_NOFILES\", \"soft\": 1024, \"hard\": 1024 }]\n\"rlimits\": [{ \"type\": \"RLIMIT_NOFILE\", \"soft\": 1024, \"hard\": 1024 }]",
        lab: None,
        see: &["process.rlimits", "getrlimit(2)"],
    },
    Entry {
        code: "E-SECCOMP",
        situation: "a seccomp profile that starting cannot live with",
        cause: &[
            "the profile kills or refuses a system call that is needed to start the program, execve above all",
            "it refuses clone3 with EPERM, so that the C library does not fall back to clone and no thread can be made",
            "it uses an action, flag or listener that does not fit",
        ],
        fix: &["allow the call with SCMP_ACT_ALLOW", "set errnoRet to 38 (ENOSYS) for clone3", "correct what the message names"],
        example: "{ \"names\": [\"clone3\"], \"action\": \"SCMP_ACT_ERRNO\", \"errnoRet\": 38 }",
        lab: Some("seccomp-unshare"),
        see: &["linux.seccomp", "seccomp(2)"],
    },
    Entry {
        code: "E-MOUNT",
        situation: "a mount fails",
        cause: &[
            "the source of a bind mount is absent on the host",
            "the source is a file and the destination a folder, or the other way round",
            "the type is none or missing, and the options lack bind",
            "an option that rrun does not know was passed to the filesystem as data, and it does not know it either",
        ],
        fix: &["create it, or correct source", "make both the same kind", "add rbind to the options", "correct the option"],
        example: "{ \"destination\": \"/data\", \"type\": \"none\", \"source\": \"/srv/data\", \"options\": [\"rbind\", \"nosuid\"] }",
        lab: None,
        see: &["mounts", "E-MOUNTPOINT", "E-PROC", "E-SYSFS", "mount(8)"],
    },
    Entry {
        code: "E-MOUNTPOINT",
        situation: "the destination of a mount cannot be made",
        cause: &["the destination is absent, and the root filesystem lies on a filesystem that cannot be written"],
        fix: &["create the destination in the image"],
        example: "$ mkdir -p rootfs/newdir",
        lab: None,
        see: &["mounts", "E-MOUNT"],
    },
    Entry {
        code: "E-NSPATH",
        situation: "a namespace to join is absent, or of another kind",
        cause: &[
            "nothing is at linux.namespaces[].path",
            "the file there is no namespace, one of another type, or one that may not be joined",
        ],
        fix: &[
            "make it, or correct the path: ip netns add blue makes /run/netns/blue",
            "name a file of that type, such as /proc/PID/ns/net",
        ],
        example: "{ \"type\": \"network\", \"path\": \"/run/netns/blue\" }",
        lab: None,
        see: &["linux.namespaces", "setns(2)", "namespaces(7)"],
    },
    Entry {
        code: "E-SYSCTL",
        situation: "a kernel parameter that is not the container's own",
        cause: &[
            "the parameter has one value for the whole kernel, as vm.swappiness has",
            "its namespace is not new: the host's value would change",
        ],
        fix: &["remove it, and set it on the host if it must be", "add that namespace to linux.namespaces"],
        example: "\"sysctl\": { \"net.ipv4.ip_forward\": \"1\" }     needs a network namespace",
        lab: Some("dirty"),
        see: &["linux.sysctl", "linux.namespaces", "namespaces(7)", "proc(5)"],
    },
    Entry {
        code: "E-CPUSET",
        situation: "a list of processors or memory nodes that the host lacks",
        cause: &["cpus or mems names more than the host, or the group above, has"],
        fix: &["name those that the message lists"],
        example: "\"cpu\": { \"cpus\": \"0-99\" }\n\"cpu\": { \"cpus\": \"0-1\" }",
        lab: Some("affinity"),
        see: &["linux.resources.cpu", "cpuset(7)"],
    },
    Entry {
        code: "E-MEMLOW",
        situation: "a memory limit below what is needed",
        cause: &[
            "the limit is less than what starting a container takes, so the kernel kills its first process",
            "an update asks for less than the group uses now",
        ],
        fix: &["raise linux.resources.memory.limit", "raise the limit, or end processes first"],
        example: "\"memory\": { \"limit\": 4096 }          4 KiB\n\"memory\": { \"limit\": 67108864 }      64 MiB",
        lab: Some("oom"),
        see: &["linux.resources.memory", "cgroups(7)"],
    },
    Entry {
        code: "E-TTY",
        situation: "a terminal without a socket, or a socket without a terminal",
        cause: &[
            "process.terminal is true and rrun detaches: somebody must take the terminal's other end",
            "--console-socket is given, but there is no terminal to send",
            "the console is larger than a terminal can be, or the container has no devpts",
        ],
        fix: &[
            "give --console-socket PATH, run in the foreground, or set terminal to false",
            "drop --console-socket, or set terminal to true",
            "correct consoleSize, or mount devpts at /dev/pts",
        ],
        example: "$ rrun run --detach ./web            with \"terminal\": true\n$ rrun run ./web",
        lab: None,
        see: &["process.terminal", "pty(7)"],
    },
    Entry {
        code: "E-HOOK",
        situation: "a hook is absent, or fails",
        cause: &[
            "its path is not absolute or leads to nothing",
            "it ended with another status than 0, or took longer than its timeout; the message quotes what it wrote to stderr",
        ],
        fix: &["correct the path", "run the hook by hand, with the state of `rrun state ID` as its stdin"],
        example: "\"createRuntime\": [{ \"path\": \"/usr/bin/hook\", \"timeout\": 10 }]",
        lab: None,
        see: &["hooks"],
    },
    Entry {
        code: "E-USAGE",
        situation: "a command line that cannot be honoured",
        cause: &[
            "a word, a flag or a value that rrun does not know, or flags that contradict each other, as update -r together with --memory",
        ],
        fix: &["choose one of them; rrun COMMAND --help lists the flags"],
        example: "$ rrun update --resources - --memory 64M web\n$ rrun update --memory 64M web",
        lab: None,
        see: &["rrun(1)"],
    },
];
