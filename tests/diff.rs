//! What a container changed, read from its writable layer: added, changed, deleted, and what a host should know of.

use serde_json::{Value, json};

use crate::support::*;

crate::tests![
    what_was_done_is_told,
    a_directory_made_anew_tells_what_it_hides,
    powerful_files_are_marked,
    device_nodes_are_marked if needs_root,
    names_cannot_play_tricks,
    links_lead_nowhere,
    layers_below_hide_each_other,
    a_kept_layer_is_read_too,
    without_a_layer_the_fix_is_named,
];

/// A container with a layer whose script has ended; its state is kept.
fn changed(script: &str) -> Bundle {
    let b = Bundle::new(&["sh", "-c", script]);
    b.run_with(&["--keep", "--overlay"]).ok();
    b
}

fn report(b: &Bundle) -> Value {
    serde_json::from_str(&b.rrun(["diff", "--json", &b.id]).ok()).expect("JSON")
}

/// As a locale without UTF-8 has it.
fn text(b: &Bundle) -> String {
    Done::from(b.command(["diff", &b.id]).env("LC_ALL", "C").output().expect("start rrun")).ok()
}

fn lines(b: &Bundle) -> Vec<String> {
    text(b).lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn what_was_done_is_told() {
    let b = changed(
        "umask 022; echo hi > /etc/motd; rm /etc/group; chmod 700 /tmp; echo more >> /etc/passwd; mkdir /d; ln -s x /d/l",
    );
    let told = lines(&b);
    // As the umask of whoever runs the tests has made it.
    let before = std::os::unix::fs::MetadataExt::mode(&b.rootfs().join("tmp").metadata().expect("/tmp")) & 0o777;
    let mode = format!("C /tmp/ mode {before:o} -> 700");
    let expected = ["A /d/", "A /d/l link", "D /etc/group", "A /etc/motd 3 B", &mode];
    assert!(expected.iter().all(|line| told.iter().any(|t| t == line)), "{told:#?}");
    assert!(told.iter().any(|line| line.starts_with("C /etc/passwd ") && line.contains(" B -> ")), "{told:#?}");
    assert!(told.last().is_some_and(|sum| sum.starts_with("6 changes, ") && sum.ends_with(" written")), "{told:#?}");
    let lists: Value = serde_json::from_str(&b.rrun(["diff", "--format", "json", &b.id]).ok()).expect("JSON");
    let expected = json!({"added": ["/d", "/d/l", "/etc/motd"], "changed": ["/etc/passwd", "/tmp"], "deleted": ["/etc/group"]});
    assert_eq!(lists, expected);
    let all = report(&b);
    let motd = all["changes"].as_array().and_then(|c| c.iter().find(|c| c["path"] == "/etc/motd")).expect("motd");
    assert_eq!((&motd["kind"], &motd["now"]["size"], &motd["before"]), (&json!("added"), &json!(3), &Value::Null));
    assert_eq!(motd["now"]["mode"], "0644");
}

fn a_directory_made_anew_tells_what_it_hides() {
    let b = changed("rm -r /var && mkdir /var && echo x > /var/new; mkdir -p /root/a; rmdir /root/a");
    let told = lines(&b);
    assert_eq!(told[..told.len() - 1], ["C /var/ made anew: hides what was in it", "A /var/new 2 B", "D /var/run"]);
}

fn powerful_files_are_marked() {
    let b = changed("cp /bin/busybox /su; chmod 4755 /su; cp /bin/busybox /sg; chmod 2755 /sg; chmod 4755 /bin/witness");
    let all = report(&b);
    let warning = |path: &str| {
        let found = all["changes"].as_array().and_then(|c| c.iter().find(|c| c["path"] == path));
        found.and_then(|c| c["warning"].as_str()).unwrap_or_default().to_owned()
    };
    assert!(warning("/su").starts_with("new SETUID ") && warning("/bin/witness").starts_with("new SETUID "), "{all}");
    assert!(warning("/sg").starts_with("new SETGID "), "{all}");
    let told = lines(&b);
    assert!(told.iter().any(|line| line.starts_with("! /su new SETUID ")), "{told:#?}");
    if needs_root().is_none() {
        assert_eq!(warning("/su"), "new SETUID root file");
    }
}

fn device_nodes_are_marked() {
    let mut b = Bundle::new(&["sh", "-c", "mknod /disk b 8 0; mknod /none c 0 0"]);
    b.config["process"]["capabilities"]["bounding"] = json!(["CAP_MKNOD"]);
    b.config["process"]["capabilities"]["permitted"] = json!(["CAP_MKNOD"]);
    b.config["process"]["capabilities"]["effective"] = json!(["CAP_MKNOD"]);
    b.config["linux"]["resources"]["devices"] = json!([{"allow": true, "access": "rwm"}]);
    b.run_with(&["--keep", "--overlay"]);
    let told = lines(&b);
    assert!(told.contains(&"! /disk new block device 8:0".to_owned()), "{told:#?}");
    assert!(!told.iter().any(|line| line.contains("/none")), "a whiteout over nothing is no change: {told:#?}");
}

fn names_cannot_play_tricks() {
    let b = changed("touch \"$(printf '/a\\033[2J\\nD  shadow')\"");
    let text = text(&b);
    assert!(text.contains("/a\\x1b[2J\\nD  ") && !text.contains('\x1b'), "{text:?}");
    assert_eq!(text.lines().count(), 2, "{text:?}");
}

fn links_lead_nowhere() {
    let b = changed("rm -r /var; ln -s /etc /var; mkdir /x; ln -s ../../../../../../../../etc /x/up");
    let told = lines(&b);
    assert_eq!(told[..told.len() - 1], ["C /var directory -> link", "A /x/", "A /x/up link"]);
}

fn layers_below_hide_each_other() {
    let mut b = Bundle::new(&["sh", "-c", "touch /etc/group /top; rm /extra"]);
    let (one, two) = (b.scratch("one"), b.scratch("two"));
    std::fs::rename(b.rootfs(), &one).expect("rename");
    std::fs::create_dir(&two).expect("mkdir");
    std::fs::write(two.join("extra"), "x").expect("write");
    b.config["annotations"]["io.rrun.rootfs.layers"] = json!(json!([one, two]).to_string());
    b.run_with(&["--keep"]).ok();
    let lists: Value = serde_json::from_str(&b.rrun(["diff", "-f", "json", &b.id]).ok()).expect("JSON");
    assert_eq!(lists, json!({"added": ["/top"], "changed": ["/etc/group"], "deleted": ["/extra"]}));
}

fn a_kept_layer_is_read_too() {
    let b = Bundle::new(&["sh", "-c", "echo x > /new; sleep 100"]);
    let kept = b.scratch("kept");
    let mut child = b.write().command(["run", "--overlay", "--keep-layer", kept.to_str().expect("UTF-8"), &b.id]);
    let mut child = child.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().expect("start rrun");
    wait_until("the file is there", || kept.join("new").exists());
    assert_eq!(lines(&b)[0], "A /new 2 B", "while it runs");
    b.rrun(["kill", &b.id, "KILL"]).ok();
    child.wait().expect("wait");
}

fn without_a_layer_the_fix_is_named() {
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    let done = b.rrun(["diff", &b.id]);
    done.fails_with("has no writable layer");
    assert!(done.err.contains("rrun run --overlay"), "{}", done.err);
    b.rrun(["diff", "no-such"]).fails_with("container does not exist");
}
