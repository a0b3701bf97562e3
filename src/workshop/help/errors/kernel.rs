//! The kernel, or a module of it, refuses: mostly because who asks lacks a right over a namespace.
//!
//! These are the errors of rootless and of nested containers: what root of the host may do without thinking is there a
//! question of who owns which namespace (user_namespaces(7)).

use super::Entry;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        code: "E-PROC",
        situation: "procfs is refused",
        cause: &[
            "the container has no pid namespace of its own: the procfs of another may not be mounted from its user namespace",
            "parts of the outer /proc are masked, as engines do: a fresh procfs would show them, so the kernel refuses it",
        ],
        fix: &[
            "add {\"type\":\"pid\"} to linux.namespaces",
            "start the outer container with an unmasked /proc, or bind the existing /proc",
        ],
        example: "{ \"destination\": \"/proc\", \"type\": \"bind\", \"source\": \"/proc\", \"options\": [\"rbind\"] }",
        lab: None,
        see: &["mounts", "linux.namespaces", "E-SYSFS", "user_namespaces(7)"],
    },
    Entry {
        code: "E-SYSFS",
        situation: "sysfs is refused",
        cause: &[
            "sysfs shows the devices of a network namespace, and this one does not belong to the container's user namespace",
        ],
        fix: &["add {\"type\":\"network\"} to linux.namespaces, or bind /sys read-only"],
        example: "{ \"destination\": \"/sys\", \"type\": \"bind\", \"source\": \"/sys\", \"options\": [\"rbind\", \"ro\"] }",
        lab: None,
        see: &["mounts", "linux.namespaces", "E-PROC", "user_namespaces(7)"],
    },
    Entry {
        code: "E-IDMAP",
        situation: "a mapping of user or group ids fails",
        cause: &[
            "newuidmap or newgidmap is not installed: without privilege only the caller's own id can be mapped",
            "newuidmap lost its setuid bit, or rrun was started with no_new_privs",
            "the mapping asks for ids that /etc/subuid and /etc/subgid do not grant to the caller",
            "an id that the container needs, process.user.uid or root, is not mapped at all",
        ],
        fix: &[
            "install the package uidmap",
            "reinstall it",
            "add the line that the message shows, or change the map",
            "extend the map",
        ],
        example: "\"uidMappings\": [{ \"containerID\": 0, \"hostID\": 1000, \"size\": 1 },\n                { \"containerID\": 1, \"hostID\": 100000, \"size\": 65536 }]\n/etc/subuid:    alice:100000:65536",
        lab: Some("userns"),
        see: &["linux.uidMappings", "subuid(5)", "newuidmap(1)", "user_namespaces(7)"],
    },
    Entry {
        code: "E-USERNS",
        situation: "user namespaces are blocked",
        cause: &[
            "the AppArmor of this distribution gives user namespaces only to programs with a profile (kernel.apparmor_restrict_unprivileged_userns is 1)",
            "user.max_user_namespaces is 0 or used up",
            "kernel.unprivileged_userns_clone is 0, or a seccomp filter of the caller (an outer container) forbids it",
        ],
        fix: &[
            "give rrun a profile as in the example; do not switch the restriction off for all programs",
            "raise it: sysctl -w user.max_user_namespaces=15000",
            "allow it on the host; in a container, give the outer one a profile that lets unshare and clone pass",
        ],
        example: "/etc/apparmor.d/rrun:\nabi <abi/4.0>,\nprofile rrun /usr/local/bin/rrun flags=(unconfined) {\n  userns,\n}",
        lab: Some("userns"),
        see: &["linux.namespaces", "user_namespaces(7)"],
    },
    Entry {
        code: "E-PIVOT",
        situation: "the root cannot be exchanged",
        cause: &[
            "the host's root is the initial ramdisk, which has nothing below that could take its place",
            "rrun itself runs in a chroot, whose root is no mount point",
        ],
        fix: &[
            "use --no-pivot, which is weaker: a process with CAP_SYS_CHROOT can leave",
            "bind the directory on itself before the chroot, or begin outside of it",
        ],
        example: "$ mount --bind /srv/jail /srv/jail && chroot /srv/jail rrun run /web",
        lab: None,
        see: &["root.path", "pivot_root(2)"],
    },
    Entry {
        code: "E-KEYRING",
        situation: "no key for the session keyring is left",
        cause: &["each container gets a keyring of its own, and the user's quota (kernel.keys.maxkeys, maxbytes) is used up"],
        fix: &[
            "raise the quota: sysctl -w kernel.keys.maxkeys=2000; or use --no-new-keyring, which lets the container see the caller's keys",
        ],
        example: "$ cat /proc/key-users",
        lab: None,
        see: &["keyrings(7)", "session-keyring(7)"],
    },
    Entry {
        code: "E-LSM",
        situation: "a profile or label of the security module cannot be used",
        cause: &[
            "the AppArmor profile is not loaded",
            "this kernel has AppArmor or SELinux not enabled",
            "the policy refuses the label or the change to it",
        ],
        fix: &[
            "load it: apparmor_parser -r FILE",
            "remove apparmorProfile or selinuxLabel, or enable the module",
            "correct the label",
        ],
        example: "$ cat /sys/kernel/security/apparmor/profiles\n$ cat /sys/kernel/security/lsm",
        lab: None,
        see: &["process.apparmorProfile", "process.selinuxLabel", "E-PERM"],
    },
];
