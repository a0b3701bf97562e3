//! What rrun's own processes say to each other, made long (CVE-2021-43784: a length of 16 bits let a part of one message be
//! read as the next, with namespaces of the attacker's choice). Everything arrives whole, or is refused before the clone.

use serde_json::{Value, json};

use crate::support::*;

crate::tests![
    long_documents_reach_hooks_whole,
    long_texts_reach_the_program_whole,
    an_error_about_a_long_text_is_still_an_error,
    many_id_maps_are_all_written_or_refused if needs_root,
];

fn long(length: usize) -> String {
    "x".repeat(length)
}

/// createContainer and startContainer hooks run in init: the document crosses from one process to the other.
fn long_documents_reach_hooks_whole() {
    for length in [70_000, 140_000, 1_000_000] {
        let mut b = Bundle::new(&["sh", "-c", "wc -c < /state"]);
        let seen = b.scratch("seen");
        b.config["annotations"] = json!({"a": long(length), "z": "last"});
        let hook = |file: &str| json!([{"path": "/bin/sh", "args": ["sh", "-c", format!("cat > {file}")], "env": ["PATH=/bin:/usr/bin"]}]);
        b.config["hooks"] = json!({"createContainer": hook(seen.to_str().expect("UTF-8")), "startContainer": hook("/state")});
        let inside: usize = b.run().ok().trim().parse().expect("a number");
        assert!(inside > length, "{inside} of {length}");
        for file in [seen, b.rootfs().join("state")] {
            let state: Value = serde_json::from_slice(&std::fs::read(file).expect("read")).expect("a whole document");
            assert_eq!(
                (state["annotations"]["a"].as_str().map(str::len), &state["annotations"]["z"]),
                (Some(length), &json!("last"))
            );
        }
    }
}

fn long_texts_reach_the_program_whole() {
    let mut b = Bundle::new(&["sh", "-c", "echo ${#LONG} ${#1}", "sh", &long(70_000)]);
    b.config["process"]["env"] = json!(["PATH=/bin", format!("LONG={}", long(120_000))]);
    assert_eq!(b.run().ok(), "120000 70000\n");
    // More than the kernel takes is the kernel's refusal.
    b.config["process"]["env"] = json!(["PATH=/bin", format!("LONG={}", long(200_000))]);
    let done = b.run();
    assert!(done.code == 1 && done.err.contains("argument list too long"), "{}", &done.err[..done.err.len().min(500)]);
    b.assert_no_trace();
}

fn an_error_about_a_long_text_is_still_an_error() {
    for length in [3_000, 70_000, 300_000] {
        for (field, value) in [("args", json!([format!("/{}", long(length))])), ("cwd", json!(format!("/{}", long(length))))] {
            let mut b = Bundle::new(&["true"]);
            b.config["process"][field] = value;
            let done = b.run();
            assert_eq!(done.code, 1, "{field} {length}");
            assert!(
                done.err.contains("xxx") && !done.err.contains("disturbed"),
                "{field}: {}",
                &done.err[..done.err.len().min(300)]
            );
            b.assert_no_trace();
        }
        let mut b = Bundle::new(&["true"]);
        let destination = format!("/{}", long(length));
        b.config["mounts"].as_array_mut().expect("mounts").push(json!({"destination": destination, "type": "tmpfs"}));
        assert_eq!(b.run().code, 1);
        b.assert_no_trace();
    }
}

/// The kernel takes 340 lines that fit a page; 16 bits of bytes are reached with some 5000.
fn many_id_maps_are_all_written_or_refused() {
    let maps =
        |count: u32| (0..count).map(|n| json!({"containerID": n, "hostID": 100_000 + 2 * n, "size": 1})).collect::<Vec<_>>();
    let mut b = Bundle::new(&["sh", "-c", "wc -l < /proc/self/uid_map"]);
    map_ids(&mut b.config, 100_000, 65_536);
    (b.config["linux"]["uidMappings"], b.config["linux"]["gidMappings"]) = (json!(maps(250)), json!(maps(250)));
    assert_eq!(b.run().ok(), "250\n");
    for count in [341, 9_000] {
        b.config["linux"]["uidMappings"] = json!(maps(count));
        let done = b.run();
        assert!(done.code == 1 && done.err.contains("uidMappings"), "{count}: {}", &done.err[..done.err.len().min(500)]);
        b.assert_no_trace();
    }
}
