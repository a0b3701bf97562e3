//! The host is not set up for what was asked: limits that nobody delegated, a bus that is not there, closed directories.
//!
//! `rrun doctor` asks the same questions before anything fails.

use super::Entry;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        code: "E-DELEGATE",
        situation: "a control group cannot be made, or lacks a controller",
        cause: &[
            "config.json sets a limit, and the group that belongs to the user lacks the controller for it",
            "the user has no group of its own at all, or the container has none",
        ],
        fix: &[
            "write [Service] and Delegate=cpu cpuset io memory pids into /etc/systemd/system/user@.service.d/delegate.conf, and log in again",
            "use the systemd driver (--systemd-cgroup), or drop linux.resources",
        ],
        example: "$ cat /sys/fs/cgroup/user.slice/user-$(id -u).slice/user@$(id -u).service/cgroup.controllers",
        lab: None,
        see: &["linux.resources", "linux.cgroupsPath", "E-BUS", "cgroups(7)"],
    },
    Entry {
        code: "E-BUS",
        situation: "the systemd driver finds no bus",
        cause: &["a user's own systemd is reached through $XDG_RUNTIME_DIR/bus, and nothing listens there"],
        fix: &["install dbus-user-session and log in anew, or use the cgroupfs driver"],
        example: "$ ls -l $XDG_RUNTIME_DIR/bus\n$ rrun --cgroup-manager cgroupfs run ./web",
        lab: None,
        see: &["E-DELEGATE", "systemd(1)"],
    },
    Entry {
        code: "E-ROOTDIR",
        situation: "the state cannot be kept where it should",
        cause: &[
            "/run/rrun belongs to root, and XDG_RUNTIME_DIR is not set",
            "the directory is writable by others: whoever writes there says which pids rrun kills",
        ],
        fix: &[
            "set XDG_RUNTIME_DIR (a login does), or give --root DIR",
            "take the right to write from others, or choose another --root",
        ],
        example: "$ export XDG_RUNTIME_DIR=/run/user/$(id -u)\n$ rrun --root ~/.rrun list",
        lab: None,
        see: &["rrun(1)"],
    },
    Entry {
        code: "E-PATHPERM",
        situation: "the root filesystem lies behind a closed directory",
        cause: &[
            "in a user namespace root is somebody else outside, and may not enter a directory on the way to the bundle, such as a home of mode 0700",
        ],
        fix: &["let others pass (chmod o+x), or move the bundle"],
        example: "$ namei -l /home/alice/web/rootfs\n$ chmod o+x /home/alice",
        lab: None,
        see: &["root.path", "linux.uidMappings", "path_resolution(7)"],
    },
];
