//! What a start costs, where that can be counted and does not depend on the machine's mood: system calls, the binary's size,
//! and how much of it is resident. Times are printed by scripts/bench.sh and fail no test.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::cgroups::is_v2;
use crate::support::*;

crate::tests![
    run_makes_few_system_calls if lacks_strace,
    exec_makes_few_system_calls if lacks_strace,
    list_asks_little_of_each_container if lacks_strace,
    a_start_takes_little_of_the_containers_memory if lacks_memory_of_v1,
    the_release_binary_is_small if lacks_release,
    little_of_the_release_is_resident if lacks_laid_out_release,
];

fn lacks_strace() -> Option<&'static str> {
    let there = Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_ok_and(|s| s.success());
    needs_root().or((!there).then_some("needs strace"))
}

/// The bundle that scripts/bench.sh times, with this root.
fn engine() -> Bundle {
    let mut b = Bundle::new(&[]);
    let root = b.config["root"]["path"].clone();
    b.config = serde_json::from_str(include_str!("../rootfs-fixtures/bundles/engine.json")).expect("JSON");
    b.config["root"]["path"] = root;
    b
}

/// All calls of all processes of `rrun ARGS`, the program's own included. A debug build of Rust asks about each descriptor
/// that it closes, which a release build does not.
fn calls(b: &Bundle, args: &[&str]) -> usize {
    let trace = b.scratch("trace");
    let command = b.command(args.iter().copied());
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "trace=!fcntl", "-e", "signal=none", "-c", "-U", "calls,name", "-o"]).arg(&trace);
    strace.arg(command.get_program()).args(command.get_args()).current_dir(b.path());
    let done: Done = strace.stdin(Stdio::null()).output().expect("start strace").into();
    done.ok();
    let text = std::fs::read_to_string(&trace).expect("a trace");
    let total = text.lines().rfind(|l| l.ends_with("total")).unwrap_or_else(|| panic!("no total in {text}"));
    total.split_whitespace().next().and_then(|n| n.parse().ok()).expect("a number")
}

/// The v1 hierarchies of this host: each costs its part.
fn hierarchies() -> usize {
    std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo").lines().filter(|l| l.contains(" - cgroup ")).count()
}

#[track_caller]
fn at_most(most: usize, counted: usize) {
    assert!(counted <= most, "{counted} system calls, {most} were enough: what is asked, opened or walked twice?");
}

fn run_makes_few_system_calls() {
    let b = engine();
    b.write();
    let run = ["run", b.id.as_str()];
    // The first makes the state root.
    b.rrun(run).ok();
    // On v2 a program for devices is loaded, and what is above the group is asked for its controllers.
    let most = if is_v2() { 400 } else { 368 + 10 * hierarchies() };
    at_most(most, calls(&b, &run));
    b.assert_no_trace();
}

fn exec_makes_few_system_calls() {
    let mut b = engine();
    b.config["process"]["args"] = Value::from(vec!["sleep", "1000"]);
    b.run_detached();
    at_most(212 + 2 * hierarchies(), calls(&b, &["exec", &b.id, "true"]));
    b.rrun(["delete", "--force", &b.id]).ok();
}

fn list_asks_little_of_each_container() {
    let mut b = engine();
    b.config["process"]["args"] = Value::from(vec!["sleep", "1000"]);
    b.run_detached();
    let count = || (calls(&b, &["list"]), calls(&b, &["list", "--quiet"]));
    let one = count();
    let others = [format!("{}-2", b.id), format!("{}-3", b.id)];
    for id in &others {
        let mut run = b.command(["run", "--detach", id]);
        assert!(run.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("start rrun").success());
    }
    let three = count();
    for id in others.iter().chain([&b.id]) {
        b.rrun(["delete", "--force", id]).ok();
    }
    // The directory; state, start time and freezer, each opened, read and closed; the gate. For ids alone only the state. And a page
    // more of the heap, perhaps. The freezer of v2 has two files.
    let each = if is_v2() { 15 } else { 12 };
    assert!(three.0 - one.0 <= 2 * each + 2, "{one:?} {three:?}");
    assert!(three.1 - one.1 <= 2 * 5 + 2, "{one:?} {three:?}");
}

fn lacks_memory_of_v1() -> Option<&'static str> {
    let there = Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists();
    needs_root().or((!there).then_some("needs the memory controller of cgroup v1"))
}

/// What rrun touches in init is the container's to pay (docs/performance.md): once it zeroed a buffer of sixteen pages. How much a start
/// needs differs by some ten pages from one to the next, as the kernel frees later what it no longer needs.
fn a_start_takes_little_of_the_containers_memory() {
    let mut b = engine();
    b.config["linux"]["resources"]["memory"]["limit"] = Value::from(240 << 10);
    let tries = (0..3).map(|_| b.run());
    let failed: Vec<Done> = tries.take_while(|done| done.code != 0).collect();
    assert!(failed.len() < 3, "{failed:?}");
}

/// As scripts/quickstart.sh builds it; tests build no release.
fn release() -> Option<std::fs::Metadata> {
    let built = rrun_path().parent().and_then(Path::parent).map(|target| target.join("release/rrun"))?;
    let ours = std::fs::metadata(&built).ok()?;
    let manifest = std::fs::metadata(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).ok()?;
    // One from before the last change of the build's settings says nothing.
    (ours.modified().ok()? > manifest.modified().ok()?).then_some(ours)
}

fn lacks_release() -> Option<&'static str> {
    release().is_none().then_some("needs a release build: scripts/quickstart.sh makes one")
}

fn the_release_binary_is_small() {
    let size = release().expect("asked before").len();
    assert!(size <= 4 << 20, "{} KiB: see docs/performance.md for what was paid for what", size >> 10);
}

/// Only there does the linker lay side by side what a start runs (build.rs).
fn lacks_laid_out_release() -> Option<&'static str> {
    let laid_out = cfg!(all(target_arch = "x86_64", target_env = "gnu"));
    needs_root().or(lacks_release()).or((!laid_out).then_some("needs x86-64 and glibc"))
}

fn little_of_the_release_is_resident() {
    let mut b = engine();
    b.config["process"]["args"] = Value::from(vec!["sleep", "1000"]);
    b.write();
    let release = rrun_path().parent().and_then(Path::parent).expect("target").join("release/rrun");
    let command = b.command(["run", b.id.as_str()]);
    let mut run = Command::new(release);
    run.args(command.get_args()).current_dir(b.path()).stdin(Stdio::null()).stdout(Stdio::null());
    let mut run = run.spawn().expect("start rrun");
    wait_until("running", || b.rrun(["state", &b.id]).out.contains("running"));
    let status = std::fs::read_to_string(format!("/proc/{}/status", run.id())).expect("status");
    b.rrun(["delete", "--force", &b.id]).ok();
    run.wait().expect("the end of rrun");
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).expect("VmHWM");
    let peak: usize = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    // 2,044 to 2,668 were met, as the kernel maps what lies around a page in pieces of the page cache; with a script that did not
    // know the newest functions 3,108, with none 3,868.
    assert!(peak <= 2900, "{peak} KiB: what a start runs lies scattered again; scripts/hot.sh gathers it");
}
