//! A host that is the same on every machine: what fuzzing finds must not depend on where it ran.

use rrun::host::{Cgroups, Host};

const MOUNTINFO: &str = "1 1 0:1 / /c/memory rw - cgroup cgroup rw,memory\n2 1 0:2 / /c/cpu rw - cgroup cgroup rw,cpu\n\
                         3 1 0:3 / /c/pids rw - cgroup cgroup rw,pids\n4 1 0:4 / /c/devices rw - cgroup cgroup rw,devices\n\
                         5 1 0:5 / /c/cpuset rw - cgroup cgroup rw,cpuset\n6 1 0:6 / /c/blkio rw - cgroup cgroup rw,blkio\n\
                         7 1 0:7 / /c/hugetlb rw - cgroup cgroup rw,hugetlb\n8 1 0:8 / /c/net rw - cgroup cgroup rw,net_cls,net_prio\n";
const OWN: &str = "1:memory:/own\n2:cpu:/\n3:pids:/\n4:devices:/\n5:cpuset:/\n6:blkio:/\n7:hugetlb:/\n8:net_cls,net_prio:/\n";

/// With cgroup v1, or v2.
pub fn host(unified: bool) -> Host {
    let cgroups = match unified {
        true => Cgroups::parse("1 1 0:1 / /c rw - cgroup2 cgroup2 rw\n", "0::/user.slice/s.scope\n"),
        false => Cgroups::parse(MOUNTINFO, OWN),
    };
    Host { euid: 0, egid: 0, rootless: false, cgroups }
}
