//! Many at once: an engine starts, enters and deletes containers from many threads, and two of them may want one id.

use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::*;

crate::tests![two_hundred_containers_and_eight_callers];

const CONTAINERS: usize = 200;
const CALLERS: usize = 8;

fn two_hundred_containers_and_eight_callers() {
    let mut b = Bundle::new(&["sleep", "1000"]);
    b.config["root"]["readonly"] = serde_json::json!(true);
    b.write();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (b, next) = (&b, &next);
            scope.spawn(move || {
                while let Some(n) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|n| *n < CONTAINERS) {
                    live(b, n, &b.scratch(&format!("log-{caller}")));
                }
            });
        }
    });
    assert_eq!(b.rrun(["list", "-q"]).ok(), "");
    let left: Vec<_> = std::fs::read_dir(b.root()).expect("the state root").flatten().map(|e| e.path()).collect();
    assert!(left.is_empty(), "state: {left:?}");
    let groups = groups_named(&format!("{}-*", b.id));
    assert!(groups.is_empty(), "groups: {groups:?}");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    assert!(!mounts.contains(b.rootfs().to_str().expect("UTF-8")), "{mounts}");
    let inside = processes_below(&b.path());
    assert!(inside.is_empty(), "processes: {inside:?}");
}

/// One container's life. Every fourth id is wanted by three callers at once.
fn live(b: &Bundle, n: usize, log: &Path) {
    let id = format!("{}-{n}", b.id);
    let rivals = if n.is_multiple_of(4) { 3 } else { 1 };
    let start = |rival: usize| {
        let log = log.with_extension(rival.to_string());
        let mut command = b.command(["--log", log.to_str().expect("UTF-8"), "run", "-d", &id]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start rrun");
        (child, log)
    };
    let children: Vec<_> = (0..rivals).map(start).collect();
    let mut winners = 0;
    for (mut child, log) in children {
        let won = child.wait().expect("wait").success();
        winners += usize::from(won);
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        assert!(won || said.contains("container with given ID already exists"), "{id}: {said}");
        std::fs::remove_file(log).ok();
    }
    assert_eq!(winners, 1, "{id}");
    let done = b.rrun(["exec", &id, "echo", &id]);
    assert_eq!((done.code, done.out.trim()), (0, id.as_str()), "{}", done.err);
    assert!(n.is_multiple_of(2) || b.rrun(["kill", &id, "KILL"]).code == 0);
    let done = b.rrun(["delete", "--force", &id]);
    assert_eq!((done.code, done.err.as_str()), (0, ""), "{id}");
}

/// The processes whose root or program lies below `dir`.
fn processes_below(dir: &Path) -> Vec<String> {
    let all = std::fs::read_dir("/proc").expect("/proc").flatten();
    let below = |path: &Path| {
        ["root", "exe"].iter().any(|link| std::fs::read_link(path.join(link)).is_ok_and(|target| target.starts_with(dir)))
    };
    all.map(|e| e.path()).filter(|p| below(p)).map(|p| p.display().to_string()).collect()
}
