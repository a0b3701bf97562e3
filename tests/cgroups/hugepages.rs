//! Huge pages: the limit takes effect when they are reserved, which is when they are mapped.

use std::process::Stdio;

use serde_json::{Value, json};

use super::*;

crate::tests![
    all if needs_groups;
    mapping_more_than_the_limit_is_refused if lacks_huge_pages,
    sizes_that_are_not_there_are_an_error if lacks_huge_pages,
];

fn lacks_huge_pages() -> Option<&'static str> {
    if is_v2() {
        let has = read("/sys/fs/cgroup/cgroup.controllers").split_whitespace().any(|c| c == "hugetlb");
        return (!has).then_some("needs the cgroup controller hugetlb");
    }
    let has = read("/proc/cgroups").lines().any(|l| l.starts_with("hugetlb\t"));
    let pages = Path::new("/sys/kernel/mm/hugepages/hugepages-2048kB").exists();
    // Who shares it out on cgroup2 has it in use there, so that v1 cannot have it.
    let taken = read("/proc/self/mountinfo").lines().filter(|l| l.contains(" - cgroup2 ")).any(|l| {
        let shared =
            l.split(' ').nth(4).and_then(|dir| std::fs::read_to_string(Path::new(dir).join("cgroup.subtree_control")).ok());
        shared.is_some_and(|shared| shared.split_whitespace().any(|c| c == "hugetlb"))
    });
    (!has || !pages || taken).then_some("needs huge pages of 2 MiB and the cgroup controller hugetlb, not in use by cgroup2")
}

/// Two huge pages more than there were; taken back at the end.
struct Pages(u64);

const POOL: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";

impl Pages {
    fn new() -> Self {
        let before: u64 = read(POOL).trim().parse().expect("a number");
        std::fs::write(POOL, (before + 4).to_string()).expect("reserve huge pages");
        Self(before)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        std::fs::write(POOL, self.0.to_string()).expect("give the huge pages back");
    }
}

/// Runs the container where the hierarchy is mounted: on v1 in a mount namespace of the test's own, as this host may not have it.
fn run(b: &Bundle) -> Done {
    let command = b.write().command(["run", &b.id]);
    if is_v2() {
        return b.run();
    }
    let dir = b.scratch("hugetlb");
    std::fs::create_dir_all(&dir).expect("mkdir");
    let mount = format!("mount -t cgroup -o hugetlb cgroup {} && exec \"$@\"", dir.display());
    let mut outer = std::process::Command::new("unshare");
    outer.args(["--mount", "sh", "-c", &mount, "sh"]).arg(command.get_program()).args(command.get_args());
    outer.current_dir(b.path()).stdin(Stdio::null()).output().expect("run unshare").into()
}

/// mmap(2) of `bytes` in huge pages: whether it is refused.
fn refused(limit: Value, bytes: u64) -> bool {
    const FLAGS: i32 = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB;
    let (bytes, flags) = (bytes.to_string(), FLAGS.to_string());
    let args = ["witness", "--call", "9", "0", bytes.as_str(), "3", flags.as_str(), "0xffffffff", "0"];
    let done = run(&limited(&args, json!({"hugepageLimits": [{"pageSize": "2MB", "limit": limit}]})));
    let did: Value = serde_json::from_str(&done.ok()).expect("JSON");
    match did["did"][0]["errno"].as_str() {
        None => false,
        Some("ENOMEM") => true,
        Some(other) => panic!("mmap: {other}"),
    }
}

fn mapping_more_than_the_limit_is_refused() {
    let pages = Pages::new();
    assert!(refused(json!(0), 2 << 20));
    assert!(!refused(json!(2 << 20), 2 << 20));
    assert!(refused(json!(2 << 20), 4 << 20));
    assert!(!refused(json!(-1), 4 << 20));
    assert!(!refused(json!(u64::MAX), 4 << 20));
    drop(pages);
}

fn sizes_that_are_not_there_are_an_error() {
    let b = limited(&["true"], json!({"hugepageLimits": [{"pageSize": "3MB", "limit": 0}]}));
    let done = run(&b);
    done.fails_with("linux.resources.hugepageLimits[0]");
    done.fails_with("huge pages have the sizes: ");
    b.assert_no_trace();
}
