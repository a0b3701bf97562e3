//! Which devices the container may open, and how fast.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::*;

crate::tests![
    all if needs_groups;
    devices_are_closed_unless_allowed if lacks_loop_devices,
    all_minors_of_a_driver_can_be_allowed if lacks_loop_devices,
    a_later_deny_takes_back_an_earlier_allow if lacks_loop_devices,
    rules_are_read_in_order if lacks_loop_devices,
    a_slow_device_stays_slow if lacks_throttling,
    every_rate_reaches_the_kernel if lacks_throttling,
    weights_reach_the_kernel if lacks_weights,
    weights_that_the_kernel_lacks_are_an_error if has_weights,
    weights_of_disks_that_know_none_are_an_error if has_cost_model,
    weights_of_leaves_are_an_error,
];

pub fn lacks_loop_devices() -> Option<&'static str> {
    needs_root().or((!Path::new("/dev/loop-control").exists()).then_some("needs loop devices"))
}

fn lacks_throttling() -> Option<&'static str> {
    let v1 = Path::new("/sys/fs/cgroup/blkio/blkio.throttle.write_bps_device").exists();
    let v2 = is_v2() && read("/sys/fs/cgroup/cgroup.controllers").split_whitespace().any(|c| c == "io");
    lacks_loop_devices().or((!v1 && !v2).then_some("needs throttling of devices"))
}

/// As [`limited`], allowed to make device nodes.
pub fn maker(args: &[&str], rules: Value) -> Bundle {
    let mut all = vec![json!({"allow": false, "access": "rwm"})];
    all.extend(rules.as_array().expect("an array").iter().cloned());
    let mut b = limited(args, json!({"devices": all}));
    for set in ["bounding", "effective", "permitted"] {
        b.config["process"]["capabilities"][set] = json!(["CAP_MKNOD"]);
    }
    b
}

/// Makes a node of a loop device (whose opening the host does not mind) and tries it.
const OPEN_LOOP: &str =
    "mknod /dev/d b 7 1 && { true < /dev/d && echo read; true >> /dev/d && echo written; true > /dev/null && echo null; }";

fn devices_are_closed_unless_allowed() {
    let done = maker(&["sh", "-c", OPEN_LOOP], json!([])).run();
    assert_eq!(done.out, "null\n", "{done:?}");
    assert!(done.err.contains("Operation not permitted"), "{done:?}");
    let read_only = json!([{"allow": true, "type": "b", "major": 7, "minor": 1, "access": "r"}]);
    let done = maker(&["sh", "-c", OPEN_LOOP], read_only).run();
    assert_eq!(done.out, "read\nnull\n", "{done:?}");
}

fn all_minors_of_a_driver_can_be_allowed() {
    let rule = json!([{"allow": true, "type": "b", "major": 7, "access": "rw"}]);
    assert_eq!(maker(&["sh", "-c", OPEN_LOOP], rule).run().ok(), "read\nwritten\nnull\n");
}

fn a_later_deny_takes_back_an_earlier_allow() {
    let rules = json!([
        {"allow": true, "type": "b", "major": 7, "minor": 1, "access": "rw"},
        {"allow": false, "type": "b", "major": 7, "access": "w"},
    ]);
    assert_eq!(maker(&["sh", "-c", OPEN_LOOP], rules).run().out, "read\nnull\n");
    // What cannot be said is not accepted: a hole in a wider rule.
    let hole = json!([
        {"allow": true, "type": "b", "major": 7, "access": "rw"},
        {"allow": false, "type": "b", "major": 7, "minor": 1, "access": "w"},
    ]);
    let b = maker(&["true"], hole);
    b.run().fails_with("reaches beyond it");
    b.assert_no_trace();
}

fn rules_are_read_in_order() {
    let rule = |allow: bool, minor: Option<u64>, access: &str| {
        let mut rule = json!({"allow": allow, "type": "b", "major": 7, "access": access});
        if let Some(minor) = minor {
            rule["minor"] = json!(minor);
        }
        rule
    };
    let all = |allow: bool, access: &str| json!({"allow": allow, "type": "a", "access": access});
    let any_major = json!({"allow": true, "type": "b", "minor": 1, "access": "rw"});
    let character = json!({"allow": true, "type": "c", "major": 7, "minor": 1, "access": "rwm"});
    // What is done with 7:1, then with 7:2: m(ake), r(ead), w(rite). Making is always allowed (by the default rules).
    for (rules, expected) in [
        (json!([]), "m,m"),
        (json!([character]), "m,m"),
        (json!([rule(true, Some(1), "r")]), "mr,m"),
        (json!([rule(true, Some(1), "r"), rule(true, Some(1), "w")]), "mrw,m"),
        (json!([rule(true, None, "w")]), "mw,mw"),
        (json!([any_major]), "mrw,m"),
        (json!([rule(true, Some(1), "rwm"), rule(false, Some(1), "w")]), "mr,m"),
        (json!([rule(false, Some(1), "w"), rule(true, Some(1), "rwm")]), "mrw,m"),
        (json!([rule(true, Some(1), "rwm"), rule(true, Some(2), "rwm"), rule(false, None, "r")]), "mw,mw"),
        (json!([rule(true, None, "rwm"), all(false, "w")]), "mr,mr"),
        (json!([rule(true, None, "rwm"), all(false, "rwm")]), "m,m"),
        (json!([all(true, "r")]), "mr,mr"),
        (json!([all(true, "rwm")]), "mrw,mrw"),
        (json!([all(true, "rwm"), rule(false, Some(1), "w")]), "mr,mrw"),
        (json!([all(true, "rwm"), rule(false, None, "rwm"), rule(true, None, "r")]), "mr,mr"),
        (json!([rule(true, Some(1), "rw"), all(true, "rwm")]), "mrw,mrw"),
        (json!([all(true, "rwm"), rule(false, None, "m")]), "mrw,mrw"),
    ] {
        let script = "for n in 1 2; do
            mknod /dev/d$n b 7 $n && printf m; true < /dev/d$n && printf r; true >> /dev/d$n && printf w; [ $n = 2 ] || printf ,
        done; true > /dev/null && echo";
        let done = maker(&["sh", "-c", script], rules.clone()).run();
        assert_eq!(done.out, format!("{expected}\n"), "{rules}: {}", done.err);
    }
}

/// A loop device over a file of one megabyte; released at the end.
pub struct Loop(String);

impl Loop {
    pub fn new(b: &Bundle) -> Self {
        let file = b.scratch("disk");
        std::fs::write(&file, vec![0u8; 1 << 20]).expect("write the disk");
        let out = Command::new("losetup").args(["--find", "--show"]).arg(file).output().expect("run losetup");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        Self(String::from_utf8_lossy(&out.stdout).trim().to_owned())
    }

    pub fn minor(&self) -> u64 {
        self.0.trim_start_matches("/dev/loop").parse().expect("a number")
    }

    /// Bytes written so far, since the host started.
    fn written(&self) -> u64 {
        let stat = read(format!("/sys/block/{}/stat", self.0.trim_start_matches("/dev/")));
        stat.split_whitespace().nth(6).and_then(|n| n.parse::<u64>().ok()).expect("seven fields") * 512
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let done = Command::new("losetup").args(["--detach", &self.0]).status().expect("run losetup");
        assert!(done.success() || std::thread::panicking());
    }
}

fn a_slow_device_stays_slow() {
    let mut b = maker(&["true"], json!([{"allow": true, "type": "b", "major": 7, "access": "rwm"}]));
    let disk = Loop::new(&b);
    let (minor, before) = (disk.minor(), disk.written());
    // 512 KiB at 64 KiB per second: the kernel lets a slice through and holds the rest back.
    let script = format!(
        "mknod /dev/d b 7 {minor} && echo go > /tmp/go && dd if=/dev/zero of=/dev/d oflag=direct bs=512k count=1 && echo done > /tmp/done"
    );
    b.config["process"]["args"] = json!(["sh", "-c", script]);
    b.config["linux"]["resources"]["blockIO"] = json!({"throttleWriteBpsDevice": [{"major": 7, "minor": minor, "rate": 65536}]});
    b.run_detached();
    let file = group(&b, "blkio").join(if is_v2() { "io.max" } else { "blkio.throttle.write_bps_device" });
    until("dd waits for the device", || {
        let procs = read(file.with_file_name("cgroup.procs"));
        procs.lines().any(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| s.contains("(dd) D")))
    });
    assert!(!b.rootfs().join("tmp/done").exists() && disk.written() - before < 512 << 10, "nothing held dd back");
    // Without the limit it goes on at once; with it, it could not even be killed before its time.
    let lifted = if is_v2() { "wbps=max" } else { "0" };
    std::fs::write(&file, format!("7:{minor} {lifted}")).expect("lift the limit");
    until("dd ends", || b.rootfs().join("tmp/done").exists());
    b.wait_for("stopped");
}

fn every_rate_reaches_the_kernel() {
    let b = Bundle::new(&[]);
    let disk = Loop::new(&b);
    let minor = disk.minor();
    for (property, v1, v2, rate) in [
        ("throttleReadBpsDevice", "read_bps", "rbps", 65536),
        ("throttleWriteBpsDevice", "write_bps", "wbps", 65537),
        ("throttleReadIOPSDevice", "read_iops", "riops", 11),
        ("throttleWriteIOPSDevice", "write_iops", "wiops", 12),
    ] {
        let limit = json!([{"major": 7, "minor": minor, "rate": rate}]);
        let b = limited(&["sleep", "100"], json!({"blockIO": {property: limit}}));
        b.run_detached();
        let (file, line) = match is_v2() {
            true => ("io.max".to_owned(), format!("{v2}={rate}")),
            false => (format!("blkio.throttle.{v1}_device"), format!("7:{minor} {rate}")),
        };
        let text = read(group(&b, "blkio").join(file));
        assert!(text.starts_with(&format!("7:{minor} ")) && text.contains(&line), "{property}: {text}");
    }
}

/// The file of weights of a container's group, where the kernel has one.
fn weight_file() -> Option<&'static str> {
    static FILE: OnceLock<Option<&'static str>> = OnceLock::new();
    *FILE.get_or_init(|| {
        let b = Bundle::new(&["sleep", "100"]);
        b.run_detached();
        let dir = group(&b, "blkio");
        ["io.bfq.weight", "io.weight", "blkio.bfq.weight", "blkio.weight"].into_iter().find(|file| dir.join(file).exists())
    })
}

fn lacks_weights() -> Option<&'static str> {
    lacks_throttling().or_else(|| weight_file().is_none().then_some("needs weights of disks (BFQ or the cost model)"))
}

fn has_weights() -> Option<&'static str> {
    needs_groups().or_else(|| weight_file().map(|_| "needs a kernel without weights of disks"))
}

fn has_cost_model() -> Option<&'static str> {
    needs_groups().or_else(|| (weight_file() == Some("io.weight")).then_some("the cost model takes weights for every disk"))
}

fn weights_reach_the_kernel() {
    let b = limited(&["sleep", "100"], json!({"blockIO": {"weight": 321}}));
    b.run_detached();
    let file = weight_file().expect("was there");
    let value = if file == "io.weight" { 3142 } else { 321 };
    assert_eq!(read(group(&b, "blkio").join(file)).split_whitespace().last(), Some(value.to_string().as_str()), "{file}");
}

fn is_refused(block_io: Value, field: &str) {
    let b = limited(&["true"], json!({ "blockIO": block_io }));
    b.run().fails_with(&format!("linux.resources.blockIO.{field}"));
    b.assert_no_trace();
}

fn weights_that_the_kernel_lacks_are_an_error() {
    is_refused(json!({"weight": 100}), "weight");
}

/// A loop device has no scheduler of this kind, so no weight can be kept.
fn weights_of_disks_that_know_none_are_an_error() {
    is_refused(json!({"weightDevice": [{"major": 7, "minor": 0, "weight": 100}]}), "weightDevice[0]");
}

/// They went with the CFQ scheduler (Linux 5.0).
fn weights_of_leaves_are_an_error() {
    is_refused(json!({"leafWeight": 100}), "leafWeight");
    is_refused(json!({"weightDevice": [{"major": 7, "minor": 0, "leafWeight": 100}]}), "weightDevice[0]");
}
