//! What this host is not: a host without systemd, in a chroot, without a key left. A shell in a mount namespace of the test's
//! own makes it so, for the one command that it then becomes.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use serde_json::json;

use super::{Case, Class, check};
use crate::support::{Bundle, Done, default_config, needs_root, user};

crate::tests![
    what_another_host_lacks_is_said if needs_root,
    a_closed_directory_is_said if lacks_newuidmap,
    the_state_of_another_user_is_said if needs_root,
    a_quota_of_keys_that_is_used_up_is_said if lacks_quota,
];

const fn case(code: &'static str, class: Class, make: fn(&mut Bundle) -> &'static str, text: &'static str) -> Case {
    Case { code, class, make, before: |_| {}, text, exit: 1 }
}

/// Makes it a bundle of root's whose commands are run behind these shell lines; `$@` is the command, `$dir` a scratch
/// directory.
fn behind(b: &mut Bundle, lines: &str) {
    *b = Bundle::owned_by(0, &["true"]);
    b.config = default_config(&["true"]);
    b.user.as_mut().expect("a user").before = lines.to_owned();
}

pub const CASES: &[Case] = &[
    case(
        "E-BUS",
        Class::NotFound,
        |b| {
            behind(b, "mount -t tmpfs tmpfs /run");
            "--systemd-cgroup run @"
        },
        r"rrun run failed: .*connect to \S+: no such file or directory .*\(hint: systemd does not run here; use the cgroupfs driver\)",
    ),
    case(
        "E-DELEGATE",
        Class::NotExecutable,
        |b| {
            *b = Bundle::rootless(&["true"]);
            b.config["linux"]["resources"] = json!({"pids": {"limit": 10}});
            "run @"
        },
        r"rrun run failed: .*cannot set linux\.resources\.pids\.limit: .*\(hint: .*use the systemd driver, or drop the limit\)",
    ),
    case(
        "E-MOUNTPOINT",
        Class::Other,
        |b| {
            behind(b, "");
            let root = b.rootfs().display().to_string();
            b.user.as_mut().expect("a user").before = format!("mount --bind {root} {root}; mount -o remount,bind,ro {root}");
            let mount = json!({"destination": "/newdir", "type": "tmpfs", "source": "tmpfs"});
            b.config["mounts"].as_array_mut().expect("mounts").push(mount);
            "run @"
        },
        r#"rrun run failed: .*: error mounting "tmpfs" to rootfs at "/newdir": .*read-only file system .*\(hint: /newdir is absent and the file system there cannot be written; create it in the image\)"#,
    ),
    // The same with a volume that is read-only.
    case(
        "E-MOUNTPOINT",
        Class::Other,
        |b| {
            let volume = b.scratch("volume");
            std::fs::create_dir(&volume).expect("mkdir");
            let mounts = b.config["mounts"].as_array_mut().expect("mounts");
            mounts.push(json!({"destination": "/tmp", "type": "bind", "source": volume, "options": ["bind", "ro"]}));
            mounts.push(json!({"destination": "/tmp/cache", "type": "tmpfs", "source": "tmpfs"}));
            "run @"
        },
        r#"rrun run failed: .*: error mounting "tmpfs" to rootfs at "/tmp/cache": .*read-only file system .*\(hint: /tmp/cache is absent and the file system there cannot be written; create it in the image\)"#,
    ),
    case(
        "E-PIVOT",
        Class::Other,
        |b| {
            behind(b, "");
            let jail = b.scratch("jail");
            for dir in ["proc", "sys", "dev"] {
                std::fs::create_dir_all(jail.join(dir)).expect("mkdir");
            }
            let copied = Command::new("cp").arg("-a").arg(b.rootfs().join("bin")).arg(&jail).status();
            assert!(copied.expect("run cp").success());
            let (jail, tmp, bundle) = (jail.display(), std::env::temp_dir(), b.path());
            b.user.as_mut().expect("a user").before = format!(
                "for d in proc sys dev; do mount --rbind /$d {jail}/$d; done; mkdir -p {jail}{0}; \
                 mount --rbind {0} {jail}{0}; set -- chroot {jail} sh -c 'cd {1}; exec \"$@\"' sh \"$@\"",
                tmp.display(),
                bundle.display()
            );
            "run @"
        },
        r"rrun run failed: .*mount_setattr / \(propagation\): invalid argument \(hint: rrun runs in a chroot, whose root is no mount point; use mount --bind DIR DIR before the chroot, or begin outside of it\)",
    ),
    case(
        "E-ROOTDIR",
        Class::Other,
        |b| {
            std::fs::create_dir(b.path().join("lax")).expect("mkdir");
            std::fs::set_permissions(b.path().join("lax"), PermissionsExt::from_mode(0o777)).expect("chmod");
            "--root lax run @"
        },
        r"rrun run failed: state root \S*lax is writable by others \(mode 0777\) \(hint: chmod go-w \S*lax, or choose another --root\)",
    ),
    case(
        "E-ROOTDIR",
        Class::NotExecutable,
        |_| "--root /sys/rrun run @",
        r"rrun run failed: mkdir /sys/rrun: (operation not permitted|permission denied) \(hint: state may not be kept there; set XDG_RUNTIME_DIR \(a login does\), or give --root DIR\)",
    ),
    case(
        "E-USERNS",
        Class::Other,
        |b| {
            // A user namespace whose own limit is 0 keeps the host's as it is.
            behind(
                b,
                "exec unshare --user --map-root-user sh -c 'echo 0 > /proc/sys/user/max_user_namespaces; exec \"$@\"' sh \"$@\"",
            );
            b.config = crate::support::default_config(&["true"]);
            crate::support::map_own_ids(&mut b.config);
            "run @"
        },
        r"rrun run failed: .*no space left on device \(hint: .*user\.max_user_namespaces is 0.*; raise it: sysctl -w user\.max_user_namespaces=15000\)",
    ),
];

pub const MAPPED: &[Case] = &[case(
    "E-PATHPERM",
    Class::NotExecutable,
    |b| {
        *b = Bundle::rootless(&["true"]);
        // Root of the container is somebody else than the owner of the bundle.
        let map = json!([{"containerID": 0, "hostID": b.user.as_ref().expect("a user").subordinate, "size": 65_536}]);
        b.config["linux"]["uidMappings"] = map.clone();
        b.config["linux"]["gidMappings"] = map;
        std::fs::set_permissions(b.path(), PermissionsExt::from_mode(0o700)).expect("chmod");
        "run @"
    },
    r"rrun run failed: .*permission denied .*\(hint: likely cause: a directory on the way is closed to the container's root user: .*\)",
)];

fn lacks_newuidmap() -> Option<&'static str> {
    let mut path = std::env::var_os("PATH").into_iter().flat_map(|p| std::env::split_paths(&p).collect::<Vec<_>>());
    needs_root().or_else(|| (!path.any(|d| d.join("newuidmap").exists())).then_some("needs newuidmap (package uidmap)"))
}

/// Takes all keys that the user may have, in a session keyring of its own, and becomes the command.
const FILL: &str = r#"
import ctypes, os, platform, sys, time
call = ctypes.CDLL(None, use_errno=True).syscall
add_key, keyctl = {"x86_64": (248, 250), "aarch64": (217, 219)}[platform.machine()]
call(keyctl, 1, None)
most = int(open("/proc/sys/kernel/keys/maxkeys").read())
# The kernel takes its time to give back the keys of a session that has ended.
n = waited = 0
while n < most and (n < most - 4 or waited < 50):
    if call(add_key, b"user", b"%d" % n, b"x", 1, -3) > 0:
        n += 1
    else:
        waited += 1
        time.sleep(0.01)
os.execvp(sys.argv[1], sys.argv[1:])
"#;

fn lacks_quota() -> Option<&'static str> {
    let python = || Command::new("/usr/bin/python3").args(["-c", "import ctypes"]).stderr(Stdio::null()).status();
    let most = || std::fs::read_to_string("/proc/sys/kernel/keys/maxkeys").ok()?.trim().parse::<u32>().ok();
    needs_root()
        .or_else(|| most().is_none_or(|most| most > 5000).then_some("needs a small quota of keys"))
        .or_else(|| (!python().is_ok_and(|s| s.success())).then_some("needs /usr/bin/python3"))
}

pub const KEYS: &[Case] = &[case(
    "E-KEYRING",
    Class::Other,
    |b| {
        *b = Bundle::rootless(&["true"]);
        let file = b.scratch("user/fill");
        std::fs::write(&file, FILL).expect("write");
        b.user.as_mut().expect("a user").before =
            format!("set -- /usr/bin/python3 {} env XDG_RUNTIME_DIR=\"$dir/run\" \"$@\"", file.display());
        "run @"
    },
    r"rrun run failed: .*unable to create session key: disk quota exceeded .*\(hint: the user's quota of keys is used up .*; raise it, or use --no-new-keyring\)",
)];

fn what_another_host_lacks_is_said() {
    check(CASES);
}

fn a_quota_of_keys_that_is_used_up_is_said() {
    check(KEYS);
}

fn a_closed_directory_is_said() {
    check(MAPPED);
}

fn the_state_of_another_user_is_said() {
    let root = tempfile::tempdir().expect("a directory");
    let closed = root.path().join("closed");
    for (path, mode) in [(root.path(), 0o755), (closed.as_path(), 0o700)] {
        std::fs::create_dir_all(path).expect("mkdir");
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("chmod");
    }
    for (verb, said) in [(&["list"][..], "read "), (&["state", "a"], "open ")] {
        let done: Done = user::rrun_of_nobody().arg("--root").arg(&closed).args(verb).output().expect("start rrun").into();
        done.fails_with(&format!("{said}{}", closed.display()));
        done.fails_with("the containers there are another user's: ask as that user, or give --root DIR");
    }
}
