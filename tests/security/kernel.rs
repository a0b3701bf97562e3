//! The kernel's switches: files, system calls and hierarchies by which root of a container becomes root of the host, tried
//! from a container of the usual kind. What is not there cannot be used either.

use std::collections::BTreeMap;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use serde_json::{Value, json};

use super::{is_rootless, of_every_caller};
use crate::support::*;

crate::tests![
    switches_that_run_programs_cannot_be_written,
    what_tells_of_the_kernel_is_hidden,
    calls_that_change_the_host_are_refused,
    doors_to_the_kernel_are_shut_by_the_profiles,
    abstract_sockets_of_the_host_are_out_of_reach,
    no_hierarchy_of_groups_is_writable,
    without_a_cgroup_namespace_neither if needs_groups,
    a_writable_hierarchy_has_no_release_agent if needs_groups,
];

/// The masked and read-only paths that engines ask for.
fn usual(args: &[&str]) -> Vec<Bundle> {
    let mut all = of_every_caller(args);
    for b in &mut all {
        b.config["linux"]["maskedPaths"] = json!([
            "/proc/acpi",
            "/proc/asound",
            "/proc/kcore",
            "/proc/keys",
            "/proc/latency_stats",
            "/proc/timer_list",
            "/proc/timer_stats",
            "/proc/sched_debug",
            "/proc/scsi",
            "/sys/firmware",
            "/sys/devices/virtual/powercap",
        ]);
        b.config["linux"]["readonlyPaths"] = json!(["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]);
    }
    all
}

/// What the witness did, by what it was done to.
fn deeds(b: &Bundle) -> BTreeMap<String, Value> {
    let told: Value = serde_json::from_str(&b.run().ok()).expect("JSON");
    let name = |deed: &Value| deed.get("open").or(deed.get("call")).map(|n| n.to_string().trim_matches('"').to_owned());
    let all = told["did"].as_array().expect("deeds").iter();
    all.map(|deed| (name(deed).expect("a name"), deed["errno"].clone())).collect()
}

fn open_all(paths: &[&str], mode: &str) -> Vec<String> {
    let options = paths.iter().flat_map(|path| ["--open", path, mode]);
    ["/bin/witness"].into_iter().chain(options).map(str::to_owned).collect()
}

/// A program named there is run by the kernel, as root of the host.
fn switches_that_run_programs_cannot_be_written() {
    let switches = [
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/kernel/hotplug",
        "/proc/sys/kernel/poweroff_cmd",
        "/proc/sys/fs/binfmt_misc/register",
        "/proc/sys/vm/panic_on_oom",
        "/proc/sysrq-trigger",
        "/sys/kernel/uevent_helper",
        "/sys/kernel/mm/transparent_hugepage/enabled",
        "/sys/power/state",
        "/sys/fs/selinux/enforce",
        "/sys/kernel/security/apparmor/.load",
        "/sys/kernel/debug/sched/debug",
        "/sys/kernel/tracing/tracing_on",
    ];
    for mut b in usual(&[]) {
        b.config["process"]["args"] = json!(open_all(&switches, "w"));
        let told = deeds(&b);
        for (switch, errno) in &told {
            assert!(["EROFS", "EACCES", "EPERM", "ENOENT"].contains(&errno.as_str().unwrap_or("opened")), "{switch}: {errno}");
        }
        // One that every kernel has, so that the list is not of things that are merely absent.
        assert_ne!(told["/proc/sys/kernel/core_pattern"], "ENOENT");
    }
}

fn what_tells_of_the_kernel_is_hidden() {
    let script = "cat /proc/kcore /proc/keys /proc/timer_list /proc/sched_debug /proc/latency_stats 2> /dev/null; \
                  ls -A /sys/firmware /proc/acpi /proc/scsi /sys/devices/virtual/powercap 2> /dev/null | grep -v -e : -e '^$'; true";
    for b in usual(&["sh", "-c", script]) {
        assert_eq!(b.run().ok(), "");
    }
}

fn calls_that_change_the_host_are_refused() {
    // By number, as x86-64 and the generic table have them.
    let calls = [
        ("init_module", libc::SYS_init_module, &["0", "0", "str:"][..]),
        ("kexec_load", libc::SYS_kexec_load, &["0", "0", "0", "0"]),
        ("reboot", libc::SYS_reboot, &["0xfee1dead", "672274793", "0x89abcdef"]),
        ("swapoff", libc::SYS_swapoff, &["str:/none"]),
        ("mount", libc::SYS_mount, &["str:none", "str:/tmp", "str:tmpfs", "0", "0"]),
        ("pivot_root", libc::SYS_pivot_root, &["str:.", "str:."]),
        ("chroot", libc::SYS_chroot, &["str:/tmp"]),
        ("syslog", libc::SYS_syslog, &["5", "0", "0"]),
        ("mknodat", libc::SYS_mknodat, &["-100", "str:/disk", "0x61b0", "0x800"]),
        ("sethostname", libc::SYS_sethostname, &["str:x", "1"]),
    ];
    for mut b in usual(&[]) {
        let words = calls.iter().flat_map(|(_, number, args)| {
            ["--call".to_owned(), number.to_string()].into_iter().chain(args.iter().map(|a| (*a).to_owned()))
        });
        b.config["process"]["args"] = ["/bin/witness".to_owned()].into_iter().chain(words).collect();
        let told = deeds(&b);
        for (name, number, _) in calls {
            let errno = told[&number.to_string()].as_str().unwrap_or("done");
            assert!(["EPERM", "ENOSYS", "EACCES"].contains(&errno), "{name}: {errno}");
        }
        b.config["process"]["args"] = json!(["sh", "-c", "date -s @0 2>&1 > /dev/null"]);
        assert!(b.run().out.contains("Operation not permitted"), "the clock was set");
    }
}

/// Whole subsystems lie behind each of these, and few programs need one: the profiles that `spec` writes allow none.
fn doors_to_the_kernel_are_shut_by_the_profiles() {
    let calls = [
        ("io_uring_setup", libc::SYS_io_uring_setup, &["8", "0"][..]),
        ("userfaultfd", libc::SYS_userfaultfd, &["1"]),
        ("bpf", libc::SYS_bpf, &["0", "0", "0"]),
        ("perf_event_open", libc::SYS_perf_event_open, &["0", "0", "-1", "-1", "0"]),
        // The serial number of the own keyring, which anybody may ask for.
        ("keyctl", libc::SYS_keyctl, &["0", "-4", "0"]),
        ("add_key", libc::SYS_add_key, &["str:user", "str:x", "str:y", "1", "-4"]),
        ("unshare", libc::SYS_unshare, &["0x10000000"]),
    ];
    let words: Vec<String> = ["/bin/witness".to_owned()]
        .into_iter()
        .chain(calls.iter().flat_map(|(_, number, args)| {
            ["--call".to_owned(), number.to_string()].into_iter().chain(args.iter().map(|a| (*a).to_owned()))
        }))
        .collect();
    for mut b in of_every_caller(&[]) {
        b.config["process"]["args"] = json!(words);
        let open = deeds(&b);
        assert_eq!(open[&libc::SYS_keyctl.to_string()], Value::Null, "without a filter the kernel answers: {open:?}");
        for profile in ["hardened", "docker"] {
            let written = b.scratch(profile);
            std::fs::create_dir_all(&written).expect("mkdir");
            let args = ["spec", "--profile", profile, "--bundle", written.to_str().expect("UTF-8")];
            Done::from(std::process::Command::new(rrun_path()).args(args).output().expect("start rrun")).ok();
            let config: Value = serde_json::from_slice(&std::fs::read(written.join("config.json")).expect("read")).expect("JSON");
            b.config["linux"]["seccomp"] = config["linux"]["seccomp"].clone();
            let told = deeds(&b);
            for (name, number, _) in calls {
                let errno = told[&number.to_string()].as_str().unwrap_or("done");
                assert!(["EPERM", "ENOSYS"].contains(&errno), "{profile}, {name}: {errno}");
            }
        }
    }
}

/// CVE-2020-15257: a service of the host listened on a socket that has no file, and so no permissions. Its name belongs to the network
/// namespace.
fn abstract_sockets_of_the_host_are_out_of_reach() {
    for mut b in of_every_caller(&[]) {
        let address = SocketAddr::from_abstract_name(&b.id).expect("a name");
        let _service = UnixListener::bind_addr(&address).expect("listen");
        b.config["process"]["args"] = json!(["/bin/witness", "--connect", b.id]);
        let connected = |b: &Bundle| {
            let told: Value = serde_json::from_str(&b.run().ok()).expect("JSON");
            told["did"][0]["errno"].clone()
        };
        assert_eq!(connected(&b), "ECONNREFUSED");
        // Who shares the namespace has asked for it; `explain` says what that opens.
        b.config["linux"]["namespaces"].as_array_mut().expect("namespaces").retain(|n| n["type"] != "network");
        if is_rootless(&b) {
            // sysfs cannot be had then.
            super::without_mounts_at(&mut b, "/sys");
        }
        assert_eq!(connected(&b), Value::Null, "the test would see an open door");
        if cfg!(feature = "workshop") {
            let done = b.rrun(["explain", "--json", b.path().to_str().expect("UTF-8")]);
            let told: Value = serde_json::from_str(&done.out).expect("JSON");
            assert!(told["findings"].as_array().is_some_and(|all| all.iter().any(|f| f["id"] == "NS-NET")), "{done:?}");
        }
    }
}

/// CVE-2022-0492: whoever writes release_agent runs a program on the host.
const GROUPS: &str = "find /sys/fs/cgroup -name release_agent | while read f; do ( : >> $f ) 2> /dev/null && echo $f; done; \
                      for d in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $d/made 2> /dev/null && echo $d; done; true";

fn no_hierarchy_of_groups_is_writable() {
    for b in usual(&["sh", "-c", GROUPS]) {
        assert_eq!(b.run().ok(), "");
    }
}

/// CVE-2023-25809: the host's whole hierarchy was there, and writable.
fn without_a_cgroup_namespace_neither() {
    for mut b in usual(&["sh", "-c", GROUPS]) {
        b.config["linux"]["namespaces"].as_array_mut().expect("namespaces").retain(|n| n["type"] != "cgroup");
        assert_eq!(b.run().ok(), "");
        if is_rootless(&b) {
            // Not even if it is asked for.
            let mounts = b.config["mounts"].as_array_mut().expect("mounts");
            mounts.iter_mut().filter(|m| m["type"] == "cgroup").for_each(|m| m["options"] = json!(["rw"]));
            assert_eq!(b.run().ok(), "");
        }
    }
}

/// With a cgroup namespace of its own the container may have its part for itself; it ends below the files that are the host's.
fn a_writable_hierarchy_has_no_release_agent() {
    let mut b = Bundle::new(&["sh", "-c", "find /sys/fs/cgroup -name release_agent; grep -c ' - cgroup' /proc/self/mountinfo"]);
    let mounts = b.config["mounts"].as_array_mut().expect("mounts");
    mounts.iter_mut().filter(|m| m["type"] == "cgroup").for_each(|m| m["options"] = json!(["rw", "nosuid"]));
    let out = b.run().ok();
    let found: Vec<&str> = out.lines().filter(|l| l.contains("release_agent")).collect();
    // A hierarchy in which the container has no group of its own shows its root.
    let shared =
        |file: &&str| std::path::Path::new(file).parent().is_some_and(|dir| dir.ends_with("hugetlb") || dir.ends_with("misc"));
    assert!(found.iter().all(shared), "{out}");
}
