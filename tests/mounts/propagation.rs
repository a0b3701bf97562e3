//! Propagation: which mounts of the host arrive in the container, and that none of the container's arrive on the host.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::{HostMount, bind, line, table, tmpfs};
use crate::support::*;

crate::tests![
    propagation_is_as_asked if needs_root,
    slaves_see_what_the_host_mounts_later if needs_root,
    shared_lets_out_only_what_the_root_lets_out if needs_root,
    nothing_is_left_on_the_host if needs_root,
];

fn propagation_is_as_asked() {
    let b = Bundle::new(&[]);
    let host = HostMount::new(&b, "shared");
    let mounts = |option: &str| table(&[bind(&host.0, "/x", &["rbind", option])]);
    assert!(line(&mounts("rw"), "/x").1.starts_with("master:"), "a copy only receives by default");
    assert_eq!(line(&mounts("rprivate"), "/x").1, "");
    assert_eq!(line(&mounts("private"), "/x").1, "");
    assert!(line(&mounts("rslave"), "/x").1.starts_with("master:"));
    assert!(line(&mounts("rshared"), "/x").1.starts_with("shared:"));
    assert!(line(&mounts("rshared"), "/x").1.contains("master:"));
    assert!(line(&mounts("unbindable"), "/x").1.contains("unbindable"));
    let recursive = mounts("runbindable");
    assert!(line(&recursive, "/x/inner").1.contains("unbindable"), "{recursive}");
    assert!(line(&table(&[tmpfs("/y", &["shared"])]), "/y").1.starts_with("shared:"));
}

fn slaves_see_what_the_host_mounts_later() {
    let mut b =
        Bundle::new(&["sh", "-c", "until [ -e /x/later/flag ]; do sleep 0.02; done; [ ! -e /y/later/flag ] && echo seen"]);
    let host = HostMount::new(&b, "shared");
    std::fs::create_dir(host.0.join("later")).expect("mkdir");
    let mounts = b.config["mounts"].as_array_mut().expect("mounts");
    mounts.extend([bind(&host.0, "/x", &["rbind", "rslave"]), bind(&host.0, "/y", &["rbind", "rprivate"])]);
    let mut child = b.write().command(["run", &b.id]).stdout(std::process::Stdio::piped()).spawn().expect("start rrun");
    // The state file is written by rename, after the directory of the container was made.
    while !b.root().join(&b.id).join("rrun.json").exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    b.wait_for("running");
    let done = Command::new("sh").args(["-c", "mount -t tmpfs later later && : > later/flag"]).current_dir(&host.0).status();
    assert!(done.expect("run sh").success());
    let mut out = String::new();
    std::io::Read::read_to_string(child.stdout.as_mut().expect("piped"), &mut out).expect("read");
    assert!(child.wait().expect("wait").success());
    assert_eq!(out, "seen\n");
}

/// Mounts something at /x/new in the container, and says whether the host sees it.
fn let_out(root: Option<&str>, option: &str) -> bool {
    let mut b = Bundle::new(&["sh", "-c", "mount -t tmpfs new /x/new && : > /x/new/flag && echo mounted; sleep 100"]);
    let host = HostMount::new(&b, "shared");
    std::fs::create_dir(host.0.join("new")).expect("mkdir");
    b.config["mounts"].as_array_mut().expect("mounts").push(bind(&host.0, "/x", &["rbind", option]));
    for set in ["bounding", "effective", "permitted"] {
        b.config["process"]["capabilities"][set] = json!(["CAP_SYS_ADMIN"]);
    }
    if let Some(root) = root {
        b.config["linux"]["rootfsPropagation"] = json!(root);
    }
    let mut child = b.write().command(["run", &b.id]).stdout(std::process::Stdio::piped()).spawn().expect("start rrun");
    let mut said = [0; 8];
    std::io::Read::read_exact(child.stdout.as_mut().expect("piped"), &mut said).expect("mounted");
    let seen = host.0.join("new/flag").exists();
    b.rrun(["delete", "--force", &b.id]).ok();
    child.wait().expect("wait");
    if seen {
        assert!(Command::new("umount").arg(host.0.join("new")).status().expect("run umount").success());
    }
    seen
}

fn shared_lets_out_only_what_the_root_lets_out() {
    assert!(!let_out(None, "rshared"), "the root is a slave");
    assert!(!let_out(Some("rshared"), "rprivate"));
    assert!(let_out(Some("rshared"), "rshared"));
}

fn nothing_is_left_on_the_host() {
    for root in ["rshared", "shared", "rslave", "rprivate", "private", "slave"] {
        let mut b = Bundle::new(&["true"]);
        // A root that is a shared mount of the host is the case in which /proc and /dev would be carried out.
        let dir = b.rootfs();
        let script = format!("mount --bind {0} {0} && mount --make-shared {0}", dir.display());
        assert!(Command::new("sh").args(["-c", &script]).status().expect("run sh").success());
        b.config["linux"]["rootfsPropagation"] = json!(root);
        let done = b.run();
        let left = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        let left: Vec<&str> = left.lines().filter(|l| l.contains(dir.to_str().expect("UTF-8"))).collect();
        let inside = left.iter().filter(|l| l.split(' ').nth(4).is_none_or(|p| Path::new(p) != dir)).count();
        assert!(Command::new("umount").arg("-R").arg(&dir).status().expect("run umount").success());
        done.ok();
        assert_eq!(inside, 0, "{root}: {left:?}");
    }
}
