//! The labs: with its switch OFF each shows its effect, with it ON it does not; where there is no switch, both do.
//!
//! They run as a person runs them, in a directory of their own that is gone afterwards. A host that cannot show one says why.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rrun::workshop::lab::table::labs;
use serde_json::Value;

use crate::support::*;

crate::tests![all if needs_root;
    userns,
    nnp,
    seccomp_unshare,
    typo,
    cwd_fd,
    readonly,
    masked,
    device,
    pagecache,
    dirty,
    hostpid,
    hostnet,
    forkbomb,
    oom,
    affinity,
    noisy,
    task_net,
    task_disk,
    task_hostpath,
    task_stats,
    task_kernel,
    every_lab_has_a_test,
    the_list_is_an_index,
    one_side_alone_has_its_own_status,
    the_difference_is_shown_side_by_side,
    a_misspelt_name_is_corrected,
    what_a_host_cannot_show_is_said_and_is_77,
    an_interrupted_lab_leaves_no_disk,
    an_interrupted_lab_leaves_nothing,
];

/// `rrun lab ARGS` with a directory for temporary files of the test's own, and what is left in it.
fn lab(bundle: &Bundle, args: &[&str]) -> Done {
    let done: Done = command(bundle, args).output().expect("start rrun").into();
    assert_nothing_left(bundle);
    done
}

#[track_caller]
fn assert_nothing_left(bundle: &Bundle) {
    let place = place(bundle);
    let left: Vec<_> = std::fs::read_dir(&place).expect("a directory").flatten().map(|e| e.path()).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    std::fs::remove_dir(place).expect("rmdir");
}

/// Where the labs of a test have their directories: on a disk, wherever the bundles lie.
fn place(bundle: &Bundle) -> PathBuf {
    on_disk().join(format!("{}-lab", bundle.id))
}

fn command(bundle: &Bundle, args: &[&str]) -> Command {
    let tmp = place(bundle);
    std::fs::create_dir_all(&tmp).expect("mkdir");
    let mut command = bundle.command([&["lab"], args].concat());
    command.env("TMPDIR", tmp);
    command
}

/// Asserts that the command line was refused, with this text.
#[track_caller]
fn refused(bundle: &Bundle, args: &[&str], text: &str) {
    let done = lab(bundle, args);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.err.contains(text), "{done:?}");
}

/// Runs a lab; passes if it holds, or if this host cannot show it and says why.
#[track_caller]
fn holds(name: &str) -> Option<Value> {
    let bundle = Bundle::new(&[]);
    let done = lab(&bundle, &["run", name, "--json", "--i-am-a-lab-vm"]);
    let told: Value = serde_json::from_str(&done.out).unwrap_or_else(|e| panic!("{e}: {done:?}"));
    if done.code == 77 {
        assert!(told["cannot"].as_str().is_some_and(|why| why.len() > 10), "{told}");
        return None;
    }
    assert_eq!(done.code, 0, "{told:#}");
    assert_eq!(told["holds"], true, "{told:#}");
    Some(told)
}

/// A fact of one side.
fn fact<'a>(told: &'a Value, side: &str, name: &str) -> &'a str {
    told[side]["facts"][name].as_str().unwrap_or("none")
}

fn userns() {
    let Some(told) = holds("userns") else { return };
    assert_eq!((fact(&told, "off", "uid_inside"), fact(&told, "on", "uid_inside")), ("0", "0"));
    assert_eq!((fact(&told, "off", "euid"), fact(&told, "on", "euid")), ("0", "100000"));
}

fn nnp() {
    let Some(told) = holds("nnp") else { return };
    assert_eq!(fact(&told, "on", "uid"), "su: must be suid to work properly");
}

fn seccomp_unshare() {
    let Some(told) = holds("seccomp-unshare") else { return };
    assert_eq!(fact(&told, "off", "capabilities_before"), "0000000000000000");
    assert!(fact(&told, "off", "capabilities_inside").ends_with("ffffffff"), "{told}");
    assert_eq!(fact(&told, "on", "new_user_namespace"), "operation not permitted");
}

fn typo() {
    let Some(told) = holds("typo") else { return };
    for side in ["off", "on"] {
        assert!(fact(&told, side, "told").contains("noNewPrivileges"), "{told}");
    }
    assert_eq!((fact(&told, "off", "status"), fact(&told, "on", "status")), ("0", "1"));
}

fn cwd_fd() {
    let Some(told) = holds("cwd-fd") else { return };
    assert_eq!((fact(&told, "on", "started"), fact(&told, "on", "status")), ("none", "1"), "{told}");
    assert_eq!(fact(&told, "off", "said"), "-");
}

fn readonly() {
    let Some(told) = holds("readonly") else { return };
    assert_eq!(fact(&told, "on", "write"), "Read-only file system");
}

fn masked() {
    let Some(told) = holds("masked") else { return };
    assert_eq!((fact(&told, "on", "timer_list_bytes"), fact(&told, "on", "keys_bytes")), ("0", "0"));
}

fn device() {
    let Some(told) = holds("device") else { return };
    assert_eq!(fact(&told, "on", "disk"), "Operation not permitted");
}

fn pagecache() {
    let Some(told) = holds("pagecache") else { return };
    let read = |fact: &str| fact.strip_suffix(" KiB from disk").and_then(|n| n.parse::<u32>().ok()).expect("a number");
    let (first, second) = (read(fact(&told, "off", "first")), read(fact(&told, "off", "second")));
    assert!(first >= 32 << 10 && second < 1 << 10, "{told}");
}

fn dirty() {
    holds("dirty");
}

fn hostpid() {
    let Some(told) = holds("hostpid") else { return };
    assert_eq!(fact(&told, "on", "secret"), "No such file or directory");
    let processes = |side| fact(&told, side, "processes").parse::<u32>().expect("a number");
    assert!(processes("on") < 5 && processes("off") > processes("on"), "{told}");
}

fn hostnet() {
    let Some(told) = holds("hostnet") else { return };
    // A kernel with tunnels built in gives one of each kind to every namespace.
    let fresh = Command::new("unshare").args(["--net", "sed", "-n", r"s/^ *\([^ :|]*\):.*/\1/p", "/proc/net/dev"]).output();
    let fresh = Done::from(fresh.expect("run unshare")).ok();
    let mut fresh: Vec<&str> = fresh.lines().collect();
    fresh.sort_unstable();
    let seen: Vec<&str> = fact(&told, "on", "interfaces").split(' ').collect();
    assert!(seen.contains(&"lo") && seen == fresh[..fresh.len().min(4)], "{seen:?}, fresh: {fresh:?}");
    assert_eq!(fact(&told, "on", "local_server"), "out of reach");
    assert_eq!((&told["off"]["other"], &told["on"]["other"]), (&serde_json::json!([]), &serde_json::json!([])), "{told}");
}

fn forkbomb() {
    let Some(told) = holds("forkbomb") else { return };
    assert_eq!(fact(&told, "on", "said"), "Resource temporarily unavailable");
    assert!(fact(&told, "on", "started").parse::<u32>().expect("a number") < 10, "{told}");
}

fn oom() {
    let Some(told) = holds("oom") else { return };
    for (name, off, on) in [("memory_64M", 0, 137), ("tmpfs_64M", 0, 137), ("file_64M", 0, 0)] {
        assert_eq!(fact(&told, "off", name), format!("status {off}"), "{name}: {told:#}");
        assert_eq!(fact(&told, "on", name), format!("status {on}"), "{name}: {told:#}");
    }
    assert_eq!(fact(&told, "on", "neighbour"), "running");
}

fn affinity() {
    let Some(told) = holds("affinity") else { return };
    assert_eq!((fact(&told, "on", "cpu_0"), fact(&told, "on", "cpu_1")), ("taken", "Invalid argument"));
}

fn noisy() {
    let Some(told) = holds("noisy") else { return };
    for side in ["off", "on"] {
        assert!(fact(&told, side, "neighbour_counted_to").parse::<u32>().is_ok_and(|n| n > 0), "{told}");
    }
}

fn task_net() {
    let Some(told) = holds("task-net") else { return };
    assert_eq!((fact(&told, "off", "same_namespace"), fact(&told, "on", "same_namespace")), ("yes", "no"));
}

fn task_disk() {
    let Some(told) = holds("task-disk") else { return };
    assert_eq!((fact(&told, "on", "write_24M"), fact(&told, "on", "left_in_the_image")), ("No space left on device", "no"));
}

fn task_hostpath() {
    let Some(told) = holds("task-hostpath") else { return };
    assert_eq!(fact(&told, "on", "on_the_host"), "nothing");
}

fn task_stats() {
    let Some(told) = holds("task-stats") else { return };
    assert_eq!((fact(&told, "on", "pids_limit"), fact(&told, "on", "memory_limit")), ("10", "268435456"), "{told}");
}

fn task_kernel() {
    let Some(told) = holds("task-kernel") else { return };
    assert_eq!(fact(&told, "on", "kernel_of_two"), fact(&told, "on", "kernel_of_host"));
}

fn every_lab_has_a_test() {
    let tested: Vec<String> = tests().iter().map(|t| t.name.rsplit("::").next().expect("a name").replace('_', "-")).collect();
    for lab in labs() {
        assert!(tested.iter().any(|t| t == lab.name), "{} has no test", lab.name);
    }
}

fn the_list_is_an_index() {
    let bundle = Bundle::new(&[]);
    let list = lab(&bundle, &["list"]).ok();
    assert_eq!(lab(&bundle, &[]).ok(), list);
    let as_json: Value = serde_json::from_str(&lab(&bundle, &["list", "--json"]).ok()).expect("JSON");
    assert_eq!(as_json.as_array().map(Vec::len), Some(labs().count()));
    for known in labs() {
        let line = list.lines().find(|l| l.starts_with(&format!("{} ", known.name))).expect(known.name);
        assert!(line.ends_with(known.about), "{line}");
        assert_eq!(line.contains('*'), known.danger.is_some(), "{line}");
    }
}

fn one_side_alone_has_its_own_status() {
    let bundle = Bundle::new(&[]);
    let off = lab(&bundle, &["run", "readonly", "--off"]).ok();
    assert!(off.contains("OFF shows the effect.") && !off.contains("Read-only file system"), "{off}");
    let on = lab(&bundle, &["run", "--on", "readonly"]).ok();
    assert!(on.contains("ON does not show the effect.") && on.contains("Read-only file system"), "{on}");
    refused(&bundle, &["run", "readonly", "--on", "--off"], "choose one of them");
}

fn the_difference_is_shown_side_by_side() {
    let bundle = Bundle::new(&[]);
    let text = lab(&bundle, &["run", "readonly", "--diff"]).ok();
    assert!(text.contains("The only change\n  {\"op\": \"add\", \"path\": \"/linux/readonlyPaths\""), "{text}");
    let line = text.lines().find(|l| l.starts_with("  > write")).expect("the marked line");
    assert_eq!(line.split_whitespace().collect::<Vec<_>>().join(" "), "> write done Read-only file system");
    assert!(text.contains("As expected: OFF shows the effect, ON does not."), "{text}");
}

fn a_misspelt_name_is_corrected() {
    let bundle = Bundle::new(&[]);
    refused(&bundle, &["run", "usernss"], "did you mean userns?");
    refused(&bundle, &["run", "zzzzzzzz"], "rrun lab list names them all");
    refused(&bundle, &["run"], "lab run: which one?");
    refused(&bundle, &["start", "userns"], "unknown word \"start\"");
    refused(&bundle, &["lsit"], "did you mean list?");
    refused(&bundle, &["userns"], "rrun lab run userns");
    refused(&bundle, &["list", "--off"], "--off says how to run a lab");
    lab(&bundle, &["witness", "magic"]).fails_with("no such deed: magic");
}

fn what_a_host_cannot_show_is_said_and_is_77() {
    let bundle = Bundle::new(&[]);
    if !Path::new("/etc/rrun-lab").exists() {
        let done = lab(&bundle, &["run", "hostpid"]);
        assert_eq!(done.code, 77, "{done:?}");
        assert!(done.out.contains("cannot be shown here") && done.out.contains("--i-am-a-lab-vm"), "{done:?}");
    }
    // A busybox is found along the PATH, or not.
    let mut without = command(&bundle, &["run", "typo"]);
    without.env("PATH", place(&bundle));
    let done: Done = without.output().expect("start rrun").into();
    assert!(done.code == 0 || done.code == 77 && done.out.contains("busybox-static"), "{done:?}");
    // A tmpfs: nothing there ever goes to a disk.
    let mut in_memory = command(&bundle, &["run", "dirty"]);
    in_memory.env("TMPDIR", "/dev/shm");
    let done: Done = in_memory.output().expect("start rrun").into();
    assert!(done.code == 77 && done.out.contains("/dev/shm lies in memory"), "{done:?}");
    assert_nothing_left(&bundle);
}

/// The files of this lab that loop devices stand on.
fn disks(bundle: &Bundle) -> usize {
    let on = |entry: std::fs::DirEntry| std::fs::read_to_string(entry.path().join("loop/backing_file")).unwrap_or_default();
    let place = place(bundle).display().to_string();
    std::fs::read_dir("/sys/block").expect("/sys/block").flatten().map(on).filter(|file| file.starts_with(&place)).count()
}

fn an_interrupted_lab_leaves_no_disk() {
    for wait in [0, 3, 10, 30] {
        let bundle = Bundle::new(&[]);
        let mut child =
            command(&bundle, &["run", "device", "--i-am-a-lab-vm"]).stdout(Stdio::null()).spawn().expect("start rrun");
        wait_until("the disk is there", || disks(&bundle) > 0 || child.try_wait().expect("wait").is_some());
        std::thread::sleep(std::time::Duration::from_millis(wait));
        let pid = nix::unistd::Pid::from_raw(child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).ok();
        child.wait().expect("wait");
        wait_until("the kernel has taken it down", || disks(&bundle) == 0);
        assert_nothing_left(&bundle);
    }
}

fn an_interrupted_lab_leaves_nothing() {
    let bundle = Bundle::new(&[]);
    let mut child =
        command(&bundle, &["run", "noisy"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start rrun");
    let groups = format!("lab-noisy-{}-noisy", child.id());
    wait_until("the lab's container runs", || !groups_named(&groups).is_empty() || child.try_wait().expect("wait").is_some());
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("kill");
    let done: Done = child.wait_with_output().expect("wait").into();
    assert!(done.code == 77 || done.code == 128 + 15 && done.err.is_empty(), "{done:?}");
    assert!(groups_named(&groups).is_empty(), "its groups are left");
    assert_nothing_left(&bundle);
}
