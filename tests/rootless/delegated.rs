//! Groups of a user: where root delegated a part of the hierarchy, and by the user's own service manager.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::cgroups::{is_v2, lacks_v1, read};
use crate::support::user::User;
use crate::support::*;

crate::tests![
    all if needs_root;
    limits_hold_in_a_delegated_part if lacks_v2,
    a_group_of_ones_own_alone_takes_no_limits if lacks_v2,
    from_outside_of_the_delegated_part_nobody_moves_in if lacks_v2,
    a_delegated_hierarchy_of_v1_is_used if lacks_v1,
    the_users_manager_makes_the_scope if lacks_user_manager,
];

fn lacks_v2() -> Option<&'static str> {
    (!is_v2()).then_some("needs pure cgroup v2")
}

fn lacks_user_manager() -> Option<&'static str> {
    if !Path::new("/run/systemd/system").exists() || !is_v2() {
        return Some("needs systemd and pure cgroup v2");
    }
    let known = read("/etc/passwd").lines().any(|l| l.split(':').nth(2) == Some("1000"));
    let started = || Command::new("systemctl").args(["start", "user@1000.service"]).status().is_ok_and(|s| s.success());
    (!known || !started()).then_some("needs a user 1000 with a service manager")
}

/// Directories of groups that go at the end, the last one first.
struct Groups(Vec<PathBuf>);

impl Groups {
    fn make(&mut self, dir: &Path) {
        std::fs::create_dir(dir).unwrap_or_else(|e| panic!("mkdir {}: {e}", dir.display()));
        self.0.push(dir.to_owned());
    }

    /// Makes them and gives them to the user, as systemd delegates.
    fn delegate(&mut self, dirs: &[PathBuf], user: &User) {
        for dir in dirs {
            self.make(dir);
            for file in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads", "tasks"] {
                if dir.join(file).exists() {
                    std::os::unix::fs::chown(dir.join(file), Some(user.id), Some(user.id)).expect("chown");
                }
            }
        }
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for dir in self.0.iter().rev() {
            // The command that was in it may just be ending.
            wait_until("the group is empty", || std::fs::remove_dir(dir).is_ok());
        }
    }
}

/// A bundle of a user, and a group with room for others, all of it the user's; one below it is what the commands run in. The
/// groups come first, as they must go last.
fn delegated(args: &[&str]) -> (Groups, Bundle, PathBuf) {
    let mut b = Bundle::rootless(args);
    let shared = Path::new("/sys/fs/cgroup").join(format!("rrun-{}", b.id));
    let top = shared.join("top");
    std::fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory +pids").expect("share controllers out");
    let mut groups = Groups(vec![]);
    groups.make(&shared);
    // Nothing else, whatever the root has.
    std::fs::write(shared.join("cgroup.subtree_control"), "+memory +pids").expect("share controllers out");
    groups.delegate(&[top.clone(), top.join("own")], b.user());
    b.user.as_mut().expect("a user").before = format!("echo 0 > {}", top.join("own/cgroup.procs").display());
    (groups, b, top)
}

/// Lives through everything that needs a group.
fn live(b: &Bundle, driver: &[&str]) {
    let run: Vec<&str> = driver.iter().copied().chain(["run", "--detach", &b.id]).collect();
    let mut command = b.write().command(run);
    assert!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("start rrun").success());
    b.rrun(["pause", &b.id]).ok();
    assert_eq!(b.state()["status"], "paused");
    b.rrun(["resume", &b.id]).ok();
    let pids: Vec<i64> = serde_json::from_str(&b.rrun(["ps", "-f", "json", &b.id]).ok()).expect("pids");
    assert_eq!(pids, [b.state()["pid"].as_i64().expect("pid")]);
}

fn group_of(b: &Bundle) -> PathBuf {
    let text = read(format!("/proc/{}/cgroup", b.state()["pid"]));
    let path = text.lines().find_map(|l| l.strip_prefix("0::/")).expect("a v2 group");
    Path::new("/sys/fs/cgroup").join(path)
}

fn limits_hold_in_a_delegated_part() {
    let (_groups, mut b, top) = delegated(&["sleep", "1000"]);
    b.config["linux"]["resources"] = json!({"memory": {"limit": 64 << 20}, "pids": {"limit": 20}});
    live(&b, &[]);
    let group = top.join(&b.id);
    assert_eq!(group_of(&b), group);
    assert_eq!((read(group.join("memory.max")), read(group.join("pids.max"))), ("67108864\n".into(), "20\n".into()));
    b.rrun(["update", "--pids-limit", "30", &b.id]).ok();
    assert_eq!(read(group.join("pids.max")), "30\n");
    let out = b.rrun(["exec", &b.id, "sh", "-c", "for i in $(seq 40); do sleep 5 & done; wait"]);
    assert!(out.err.contains("can't fork"), "{out:?}");
    b.rrun(["delete", "--force", &b.id]).ok();
    b.config["linux"]["resources"] = json!({"cpu": {"shares": 512}});
    b.config["process"]["args"] = json!(["true"]);
    let done = b.run();
    done.fails_with("cannot set linux.resources.cpu.shares");
    done.fails_with("the controller is not delegated to you");
    b.assert_no_trace();
}

fn a_group_of_ones_own_alone_takes_no_limits() {
    let (_groups, mut b, top) = delegated(&["sleep", "1000"]);
    // As a service with Delegate= sees it: what lies above is root's.
    std::os::unix::fs::chown(&top, Some(0), Some(0)).expect("chown");
    live(&b, &[]);
    assert_eq!(group_of(&b), top.join("own").join(&b.id));
    b.rrun(["delete", "--force", &b.id]).ok();
    b.config["linux"]["resources"] = json!({"pids": {"limit": 20}});
    b.config["process"]["args"] = json!(["true"]);
    b.run().fails_with("processes run in the group above");
    b.assert_no_trace();
}

fn from_outside_of_the_delegated_part_nobody_moves_in() {
    let (_groups, mut b, top) = delegated(&["true"]);
    b.user.as_mut().expect("a user").before = ":".to_owned();
    b.config["linux"]["cgroupsPath"] = json!(format!("/rrun-{0}/top/{0}", b.id));
    let done = b.run();
    done.fails_with("cgroup.procs: permission denied");
    done.fails_with("systemd-run --user --scope");
    assert!(!top.join(&b.id).exists());
    b.assert_no_trace();
}

fn a_delegated_hierarchy_of_v1_is_used() {
    let mut groups = Groups(vec![]);
    let mut b = Bundle::rootless(&["sleep", "1000"]);
    let dirs = ["pids", "freezer"].map(|name| Path::new("/sys/fs/cgroup").join(name).join(format!("rrun-{}", b.id)));
    groups.delegate(&dirs, b.user());
    let [pids, freezer] = &dirs;
    b.user.as_mut().expect("a user").before =
        format!("echo 0 > {0}/tasks && echo 0 > {1}/tasks", pids.display(), freezer.display());
    b.config["linux"]["resources"] = json!({"pids": {"limit": 20}});
    live(&b, &[]);
    assert_eq!(read(pids.join(&b.id).join("pids.max")), "20\n");
    let exec = b.rrun(["exec", &b.id, "cat", "/proc/self/cgroup"]).ok();
    assert!(exec.contains(":pids:/\n") || exec.contains(&format!("/{}\n", b.id)), "{exec}");
    b.rrun(["delete", "--force", &b.id]).ok();
    b.config["linux"]["resources"] = json!({"memory": {"limit": 64 << 20}});
    b.run().fails_with("cannot set linux.resources.memory.limit");
    b.assert_no_trace();
}

fn the_users_manager_makes_the_scope() {
    let mut b = Bundle::owned_by(1000, &["sleep", "1000"]);
    let run = b.user().runtime_dir();
    // The bus is found there, and its address is nowhere in the environment.
    b.user.as_mut().expect("a user").before =
        format!("[ -h {0} ] || {{ rmdir {0} && ln -s /run/user/1000 {0}; }}", run.display());
    b.config["linux"]["resources"] = json!({"memory": {"limit": 64 << 20}, "pids": {"limit": 20}});
    live(&b, &["--systemd-cgroup"]);
    let group = group_of(&b);
    let manager = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service";
    assert_eq!(group, Path::new(manager).join(format!("user.slice/rrun-{}.scope", b.id)));
    assert_eq!((read(group.join("memory.max")), read(group.join("pids.max"))), ("67108864\n".into(), "20\n".into()));
    b.rrun(["update", "--pids-limit", "30", &b.id]).ok();
    assert_eq!(read(group.join("pids.max")), "30\n");
    // From here only systemd may move a process there.
    let exec = b.rrun(["exec", &b.id, "sh", "-c", "for i in $(seq 40); do sleep 5 & done; wait"]);
    assert!(exec.err.contains("can't fork"), "{exec:?}");
    b.rrun(["delete", "--force", &b.id]).ok();
    assert!(!group.exists());
    b.assert_no_trace();
}
