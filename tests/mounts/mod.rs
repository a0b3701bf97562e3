//! Mounts: every option, every kind, and what a hostile image can do about them.

mod binds;
mod idmap;
mod kinds;
mod options;
mod places;
mod propagation;
mod recursive;

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::*;

/// The tests of all parts.
pub fn tests() -> Vec<Test> {
    let parts = [
        binds::tests(),
        idmap::tests(),
        kinds::tests(),
        options::tests(),
        places::tests(),
        propagation::tests(),
        recursive::tests(),
    ];
    parts.into_iter().flatten().collect()
}

const INFO: [&str; 2] = ["cat", "/proc/self/mountinfo"];

/// The container's mount at `point`, as mountinfo has it: (attributes, optional fields, superblock options).
fn line(table: &str, point: &str) -> (String, String, String) {
    let line = table.lines().rfind(|l| l.split(' ').nth(4) == Some(point)).unwrap_or_else(|| panic!("no {point} in\n{table}"));
    let (left, right) = line.split_once(" - ").expect("a separator");
    let left: Vec<&str> = left.split(' ').collect();
    (left[5].to_owned(), left[6..].join(" "), right.split(' ').nth(2).unwrap_or_default().to_owned())
}

fn with(args: &[&str], mounts: &[Value]) -> Bundle {
    let mut b = Bundle::new(args);
    b.config["mounts"].as_array_mut().expect("mounts").extend(mounts.iter().cloned());
    b
}

fn table(mounts: &[Value]) -> String {
    with(&INFO, mounts).run().ok()
}

fn bind(source: &Path, destination: &str, options: &[&str]) -> Value {
    json!({"destination": destination, "type": "bind", "source": source, "options": options})
}

fn tmpfs(destination: &str, options: &[&str]) -> Value {
    json!({"destination": destination, "type": "tmpfs", "source": "tmpfs", "options": options})
}

/// A directory of the host with a mount in it (`inner`, a tmpfs with the file `deep`), gone on drop.
struct HostMount(std::path::PathBuf);

impl HostMount {
    fn new(b: &Bundle, propagation: &str) -> Self {
        let dir = b.scratch("source");
        let inner = dir.join("inner");
        std::fs::create_dir_all(&dir).expect("mkdir");
        let sh = |script: &str| {
            let done = Command::new("sh").args(["-c", script]).current_dir(&dir).status().expect("run sh");
            assert!(done.success(), "{script}");
        };
        // On a mount of its own, so that propagation is the test's alone.
        sh(&format!("mount -t tmpfs outer . && cd . && mount --make-{propagation} \"$PWD\""));
        std::fs::create_dir(&inner).expect("mkdir");
        sh("mount -t tmpfs inner inner && echo deep > inner/deep");
        Self(dir)
    }
}

impl Drop for HostMount {
    fn drop(&mut self) {
        let done = Command::new("umount").arg("-R").arg(&self.0).status();
        assert!(done.is_ok_and(|s| s.success()) || std::thread::panicking());
    }
}
