//! Screens: what a container named is shown to whoever looks at it. A terminal obeys control characters, and a line break
//! makes one line look like two, so none of them arrives raw.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::of_every_caller;
use crate::support::*;

crate::tests![names_of_a_container_cannot_speak_to_a_terminal, errors_about_an_image_cannot_speak_to_a_terminal];

/// Sets the window's title, clears the screen (the second time as one character), turns the direction of writing, and begins a
/// line of its own.
const NAME: &str = "\u{1b}]0;x\u{7}\u{1b}[2J\u{9b}2J\u{202e}\npwned";

#[track_caller]
fn assert_plain(what: &str, text: &str) {
    let raw: Vec<char> = text.chars().filter(|c| (c.is_control() && *c != '\n' && *c != '\t') || *c == '\u{202e}').collect();
    assert!(raw.is_empty(), "{what} printed {raw:?}");
    assert!(!text.lines().any(|line| line.starts_with("pwned")), "{what} printed a line of the container's: {text:?}");
}

fn script(b: &Bundle, name: &str, text: &str) {
    let file = b.rootfs().join("bin").join(name);
    fs::write(&file, text).expect("write");
    fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).expect("chmod");
}

/// All that show something of a container, for people and as JSON.
const VERBS: [&str; 22] = [
    "ps",
    "ps --format json",
    "list",
    "list --format json",
    "state",
    "tree",
    "tree --mounts",
    "tree --net",
    "tree --users",
    "tree --nested",
    "tree --json",
    "diff",
    "diff --json",
    "diff --format json",
    "stats",
    "stats --json",
    "events --stats",
    "explain",
    "explain --verbose",
    "explain --json",
    "plan",
    "plan --json",
];

fn names_of_a_container_cannot_speak_to_a_terminal() {
    for mut b in of_every_caller(&[]) {
        let program = format!("/bin/{NAME}");
        b.config["process"]["args"] = json!([program, NAME]);
        b.config["hostname"] = json!("box");
        script(&b, NAME, "#!/bin/sh\n: > \"/tmp/$1\"\nmkdir \"/tmp/dir$1\"\nsleep 1000\n");
        if needs_root().is_none() && b.user.is_none() {
            let mount = json!({"destination": format!("/mnt/{NAME}"), "type": "tmpfs", "source": NAME});
            b.config["mounts"].as_array_mut().expect("mounts").push(mount);
        }
        b.write();
        let overlay: &[&str] = if b.user.is_none() && needs_root().is_none() { &["--overlay"] } else { &[] };
        let words: Vec<&str> = ["run", "--detach"].iter().chain(overlay).copied().chain([b.id.as_str()]).collect();
        let null = std::process::Stdio::null;
        assert!(b.command(words).stdout(null()).stderr(null()).status().expect("start rrun").success());
        b.wait_for("running");
        for verb in VERBS {
            let mut words: Vec<&str> = verb.split(' ').collect();
            match words[0] {
                "list" => {}
                "plan" => words.push("."),
                _ => words.push(&b.id),
            }
            let done = b.rrun(words);
            assert_plain(verb, &done.out);
            assert_plain(verb, &done.err);
        }
    }
}

fn errors_about_an_image_cannot_speak_to_a_terminal() {
    for mut b in of_every_caller(&[]) {
        script(&b, "interpreted", &format!("#!/bin/{}\n", NAME.replace('\n', "")));
        script(&b, "similar\u{1b}[2J", "");
        for (field, value) in [
            ("args", json!([NAME])),
            ("args", json!([format!("/bin/{NAME}")])),
            ("args", json!(["interpreted"])),
            ("args", json!(["similar"])),
            ("cwd", json!(format!("/proc/{NAME}"))),
        ] {
            let before = b.config["process"].clone();
            b.config["process"]["args"] = json!(["true"]);
            b.config["process"][field] = value;
            let done = b.run();
            assert_eq!(done.code, 1, "{done:?}");
            assert_plain(field, &done.err);
            b.config["process"] = before;
        }
    }
}
