//! RDMA: what a process may open and make on a device is refused above the limit. A device in software will do.

use serde_json::{Value, json};

use super::*;

crate::tests![
    all if lacks_rdma;
    handles_above_the_limit_are_refused,
    objects_above_the_limit_are_refused,
    a_device_that_is_not_there_is_an_error,
];

fn lacks_rdma() -> Option<&'static str> {
    if needs_root().is_some() {
        return needs_root();
    }
    let has = is_v2() && read("/sys/fs/cgroup/cgroup.controllers").split_whitespace().any(|c| c == "rdma");
    let device = Path::new("/sys/class/infiniband").read_dir().is_ok_and(|mut devices| devices.next().is_some());
    (!has || !device).then_some("needs an RDMA device and the cgroup controller rdma")
}

/// The first device, and major and minor of its file.
fn device() -> (String, Vec<i64>) {
    let first = |dir: &str, prefix: &str| {
        let mut names = Path::new(dir).read_dir().expect("a class of devices").map(|e| e.expect("an entry").file_name());
        names.find_map(|n| n.into_string().ok().filter(|n| n.starts_with(prefix))).expect("a device")
    };
    let numbers = read(format!("/sys/class/infiniband_verbs/{}/dev", first("/sys/class/infiniband_verbs", "uverbs")));
    (first("/sys/class/infiniband", ""), numbers.trim().split(':').map(|n| n.parse().expect("a number")).collect())
}

/// Where the witness lays out the commands and their answers.
const MEMORY: u64 = 0x1000_0000;
const SIZE: u64 = 24;

/// A command of <rdma/ib_user_verbs.h>: header (number, words in, words out), then where the answer goes.
fn command(number: u32, words_out: u16) -> Vec<u8> {
    let mut bytes = number.to_ne_bytes().to_vec();
    bytes.extend(u16::try_from(16 / 4).expect("small").to_ne_bytes());
    bytes.extend(words_out.to_ne_bytes());
    bytes.extend((MEMORY + 2048).to_ne_bytes());
    bytes.resize(SIZE as usize, 0);
    bytes
}

/// The witness opens the device and gives it the `commands`, each to be written to a descriptor; what came of the writes.
fn outcomes(limit: Value, commands: &[(u32, u16)], to: &[u32]) -> Vec<Option<String>> {
    let (name, numbers) = device();
    let mut args: Vec<String> = ["witness", "--call", "9"].map(str::to_owned).to_vec();
    let mut call = |words: &[String]| args.extend(words.iter().cloned());
    call(&[MEMORY, 4096, 3, 0x32].map(|n| n.to_string()));
    call(&["0xffffffff".into(), "0".into()]);
    // Descriptors are given out in order: 3 is the commands', the device's come next.
    call(&["--call", "2", "str:/commands", "0"].map(str::to_owned));
    call(&["--call", "0", "3"].map(str::to_owned));
    call(&[MEMORY, 2048].map(|n| n.to_string()));
    let devices = to.iter().max().expect("a descriptor") - 3;
    (0..devices).for_each(|_| call(&["--call", "2", "str:/dev/uverbs", "2"].map(str::to_owned)));
    for (i, fd) in to.iter().enumerate() {
        call(&["--call".into(), "1".into(), fd.to_string(), (MEMORY + i as u64 * SIZE).to_string(), "16".into()]);
    }

    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut b = limited(&words, json!({"rdma": {name: limit}}));
    let rule = json!({"allow": true, "type": "c", "major": numbers[0], "minor": numbers[1], "access": "rwm"});
    b.config["linux"]["resources"]["devices"].as_array_mut().expect("rules").push(rule);
    b.config["linux"]["devices"] = json!([{"path": "/dev/uverbs", "type": "c", "major": numbers[0], "minor": numbers[1]}]);
    let bytes: Vec<u8> = commands.iter().flat_map(|(number, out)| command(*number, *out)).collect();
    std::fs::write(b.rootfs().join("commands"), bytes).expect("write");
    let told: Value = serde_json::from_str(&b.run().ok()).expect("JSON");
    let did = told["did"].as_array().expect("outcomes");
    let (before, writes) = did.split_at(did.len() - to.len());
    assert!(before.iter().all(|o| o["errno"].is_null()), "{told}");
    writes.iter().map(|o| o["errno"].as_str().map(str::to_owned)).collect()
}

/// GET_CONTEXT takes a handle, ALLOC_PD an object; with the words of their answers.
const HANDLE: (u32, u16) = (0, 2);
const OBJECT: (u32, u16) = (3, 1);

fn handles_above_the_limit_are_refused() {
    let two = |limit| outcomes(json!({"hcaHandles": limit}), &[HANDLE; 2], &[4, 5]);
    assert_eq!(two(1), [None, Some("EAGAIN".to_owned())]);
    assert_eq!(two(2), [None, None]);
}

fn objects_above_the_limit_are_refused() {
    let two = |limit| outcomes(json!({"hcaObjects": limit}), &[HANDLE, OBJECT, OBJECT], &[4, 4, 4]);
    assert_eq!(two(1), [None, None, Some("EAGAIN".to_owned())]);
    assert_eq!(two(2), [None, None, None]);
}

fn a_device_that_is_not_there_is_an_error() {
    let b = limited(&["true"], json!({"rdma": {"nonsense0": {"hcaHandles": 3}}}));
    b.run().fails_with("linux.resources.rdma.nonsense0");
    b.assert_no_trace();
}
