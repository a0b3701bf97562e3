//! Attacks: what published holes in container runtimes did, and what docs/security.md lists besides, done to rrun.
//!
//! Each attack builds the hostile image or the hostile process, runs rrun, and looks at a canary: a tree on the host whose
//! slightest change shows. `table.rs` says which tests answer which CVE. That a test can fail at all is shown by
//! scripts/weaken.sh, which takes one defence out of a copy of rrun and expects the test to notice.

mod audit;
mod binary;
mod descriptors;
mod joining;
mod kernel;
mod links;
mod messages;
mod races;
mod screens;
mod table;
mod terminals;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::support::*;

/// The tests of all classes.
pub fn tests() -> Vec<Test> {
    let classes = [
        audit::tests(),
        binary::tests(),
        descriptors::tests(),
        joining::tests(),
        kernel::tests(),
        links::tests(),
        messages::tests(),
        races::tests(),
        screens::tests(),
        terminals::tests(),
    ];
    classes.into_iter().flatten().chain(own_tests()).collect()
}

fn own_tests() -> Vec<Test> {
    crate::tests![every_attack_of_the_table_exists];
    tests()
}

fn every_attack_of_the_table_exists() {
    let known: Vec<&str> = all().iter().map(Test::short_name).collect();
    let named = table::ATTACKS.iter().flat_map(|(_, tests)| tests.iter());
    let missing: Vec<_> = named.filter(|test| !known.contains(test)).collect();
    assert!(missing.is_empty(), "tests/security/table.rs names tests that do not exist: {missing:?}");
}

/// A bundle of root's and one of a user's without privilege; only the latter for who is not root.
fn of_every_caller(args: &[&str]) -> Vec<Bundle> {
    match needs_root() {
        None => vec![Bundle::new(args), Bundle::rootless(args)],
        Some(_) => vec![Bundle::new(args)],
    }
}

/// Whether a bundle is run without privilege on the host.
fn is_rootless(b: &Bundle) -> bool {
    b.user.is_some() || needs_root().is_some()
}

/// A tree outside of the root file system. It belongs to whoever runs the container, so that only rrun's care protects it.
struct Canary {
    dir: PathBuf,
    before: Vec<String>,
}

impl Canary {
    /// With something of every name that a runtime could want to make or to remove.
    fn new(b: &Bundle) -> Self {
        let dir = b.scratch("canary");
        for sub in ["pts", "shm", "mqueue", "net", "etc", "sys", "fd", "self/attr", "fs/cgroup"] {
            fs::create_dir_all(dir.join(sub)).expect("mkdir");
        }
        for file in ["ptmx", "console", "null", "core_pattern", "etc/passwd", "self/attr/exec", "pts/0", "keys"] {
            fs::write(dir.join(file), "secret of the host\n").expect("write");
        }
        if let Some(user) = &b.user {
            user.own(&dir);
            user.own(&b.rootfs());
        }
        Self { before: tree(&dir), dir }
    }

    fn path(&self) -> &Path {
        &self.dir
    }

    /// Where an image has the same path in itself.
    fn inside(&self, b: &Bundle) -> PathBuf {
        b.rootfs().join(self.dir.strip_prefix("/").expect("absolute"))
    }

    #[track_caller]
    fn assert_untouched(&self, after: &str) {
        let now = tree(&self.dir);
        let changes: Vec<_> = now.iter().filter(|l| !self.before.contains(l)).collect();
        assert!(now == self.before, "the host was changed by {after}: {changes:?} (of {} entries)", now.len());
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        assert!(!mounts.contains(self.dir.to_str().expect("UTF-8")), "a mount on the host after {after}");
    }
}

/// One line for everything in a tree: what it is, whose, and when it was last changed in any way.
fn tree(top: &Path) -> Vec<String> {
    let mut lines = vec![];
    let mut left = vec![top.to_owned()];
    while let Some(path) = left.pop() {
        let m = fs::symlink_metadata(&path).expect("lstat");
        let content = if m.is_file() { fs::read_to_string(&path).unwrap_or_default() } else { String::new() };
        let times = (m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec());
        lines.push(format!("{} {:o} {}:{} {:?} {content:?}", path.display(), m.mode(), m.uid(), m.gid(), times));
        if m.is_dir() {
            left.extend(fs::read_dir(&path).expect("readdir").flatten().map(|e| e.path()));
        }
    }
    lines.sort();
    lines
}

/// The mounts of a bundle but those at and below `place`.
fn without_mounts_at(b: &mut Bundle, place: &str) {
    let mounts = b.config["mounts"].as_array_mut().expect("mounts");
    mounts.retain(|m| !Path::new(m["destination"].as_str().expect("text")).starts_with(place));
}
