//! Images whose names are links: to the host, to each other, to nothing. Every caller runs every image; whatever becomes of
//! the container, the host stays as it was.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use super::{Canary, is_rootless, of_every_caller, tree, without_mounts_at};
use crate::support::*;

crate::tests![
    links_to_the_host_lead_nowhere,
    links_at_dev_lead_nowhere,
    a_link_in_place_of_a_kernel_view_is_refused,
    nothing_of_rruns_own_is_written_into_the_root,
];

/// Replaces what is in the root by a link.
fn link(b: &Bundle, path: &str, target: impl AsRef<Path>) {
    let at = b.rootfs().join(path);
    match fs::symlink_metadata(&at) {
        Ok(m) if m.is_dir() => fs::remove_dir_all(&at).expect("remove"),
        Ok(_) => fs::remove_file(&at).expect("remove"),
        Err(_) => fs::create_dir_all(at.parent().expect("a parent")).expect("mkdir"),
    }
    symlink(target, at).expect("symlink");
}

fn mounted(b: &mut Bundle, mounts: &[Value]) {
    b.config["mounts"].as_array_mut().expect("mounts").extend(mounts.iter().cloned());
}

/// The outcome does not matter, the host does; an error must be a clear one, and leave nothing.
#[track_caller]
fn run_hostile(b: &Bundle, canary: &Canary, what: &str) -> Done {
    if let Some(user) = &b.user {
        user.own(&b.rootfs());
    }
    let done = b.run();
    canary.assert_untouched(what);
    assert!(!done.out.contains("secret of the host"), "{what}: {done:?}");
    assert!(done.code == 0 || (done.code == 1 && !done.err.trim().is_empty()), "{what}: {done:?}");
    b.assert_no_trace();
    done
}

/// CVE-2019-18837, CVE-2021-30465, CVE-2026-55686 and the like, standing still: a link on the way to a mount, to a masked
/// path, to the working directory.
fn links_to_the_host_lead_nowhere() {
    let climb = |dir: &Path| format!("../../../../../../../../../..{}", dir.display());
    for links in [["x", ""], ["x", "climb"], ["a/b/x", ""], ["x", "chain"]] {
        for mut b in of_every_caller(&["sh", "-c", "cat /x/* /a/b/x/* 2> /dev/null; true"]) {
            let canary = Canary::new(&b);
            let [name, how] = links;
            match how {
                "climb" => link(&b, name, climb(canary.path())),
                "chain" => {
                    link(&b, "y", canary.path());
                    link(&b, name, "../y");
                }
                _ => link(&b, name, canary.path()),
            }
            let source = b.scratch("volume");
            fs::create_dir(&source).expect("mkdir");
            let at = |below: &str| format!("/{name}/{below}");
            mounted(
                &mut b,
                &[
                    json!({"destination": at("etc"), "type": "tmpfs", "options": ["tmpcopyup"]}),
                    json!({"destination": at("made"), "type": "tmpfs"}),
                    json!({"destination": at("made/file"), "type": "bind", "source": "/etc/hostname", "options": ["bind", "ro"]}),
                    json!({"destination": at("pts"), "type": "bind", "source": source, "options": ["rbind"]}),
                ],
            );
            b.config["linux"]["maskedPaths"] = json!([at("shm"), at("keys")]);
            b.config["linux"]["readonlyPaths"] = json!([at("net"), at("console")]);
            b.config["process"]["cwd"] = json!(at("work/deep"));
            let done = run_hostile(&b, &canary, &format!("{links:?}"));
            assert_eq!(done.code, 0, "a link that stays in the image is no obstacle: {done:?}");
            assert!(canary.inside(&b).join("work/deep").is_dir(), "it was made where the container sees the link lead");
        }
    }
}

/// CVE-2026-41579, CVE-2026-47766, CVE-2026-88264, CVE-2026-88265: `ptmx` was removed, and links were made, where the image's
/// /dev led.
fn links_at_dev_lead_nowhere() {
    let names = ["dev", "dev/pts", "dev/shm", "dev/mqueue", "dev/ptmx", "dev/console", "dev/null", "dev/fd", "dev/net"];
    let targets = ["HOST", "LOOP", "nowhere", "../../../../../../../../..HOST", "/proc/self/fd", "/proc/1/root"];
    let some = |name: &str| if name == "dev" { &targets[..] } else { &targets[..2] };
    for (name, target) in names.iter().flat_map(|name| some(name).iter().map(|target| (*name, *target))) {
        for mounts in ["all", "none", "pts"] {
            // All combinations as root; of a user's, those that differ.
            let callers = if mounts == "all" { of_every_caller(&["true"]) } else { vec![Bundle::new(&["true"])] };
            for mut b in callers.into_iter().filter(|b| !is_rootless(b) || mounts == "all") {
                let canary = Canary::new(&b);
                let target = match target {
                    "LOOP" => {
                        link(&b, "loop", format!("/{name}"));
                        "/loop".to_owned()
                    }
                    target => target.replace("HOST", canary.path().to_str().expect("UTF-8")),
                };
                link(&b, name, target);
                b.config["linux"]["devices"] = json!([{"path": "/dev/net/tun", "type": "c", "major": 10, "minor": 200}]);
                if is_rootless(&b) {
                    b.config["linux"]["devices"] = json!([]);
                }
                if mounts != "all" {
                    without_mounts_at(&mut b, "/dev");
                }
                if mounts == "pts" {
                    let options = json!(["newinstance", "ptmxmode=0666", "mode=0620"]);
                    mounted(&mut b, &[json!({"destination": "/dev/pts", "type": "devpts", "options": options})]);
                }
                run_hostile(&b, &canary, &format!("/{name} with mounts {mounts}"));
            }
        }
    }
}

/// CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2025-54867: whoever trusts such a /proc writes labels and reads ids
/// where the image wants.
fn a_link_in_place_of_a_kernel_view_is_refused() {
    for view in ["proc", "sys"] {
        for target in ["tmp", "/tmp", "HOST", "nowhere", "../../../../../../../../..HOST"] {
            for mut b in of_every_caller(&["true"]) {
                let canary = Canary::new(&b);
                link(&b, view, target.replace("HOST", canary.path().to_str().expect("UTF-8")));
                b.config["linux"]["maskedPaths"] = json!([]);
                b.config["linux"]["readonlyPaths"] = json!([]);
                let done = run_hostile(&b, &canary, &format!("/{view} -> {target}"));
                assert!(done.code == 1 && done.err.contains("must be mounted on ordinary directory"), "{view}: {done:?}");
            }
        }
    }
}

/// CVE-2025-24965: a file of the runtime's own, written into the root, goes where a link of the image leads. rrun has none:
/// after a run the root is what it was.
fn nothing_of_rruns_own_is_written_into_the_root() {
    for mut b in of_every_caller(&["true"]) {
        let canary = Canary::new(&b);
        let own = [
            "exec.fifo",
            "notify",
            "rootfs",
            "layer",
            "config.json",
            "state.json",
            "rrun.json",
            "lock",
            "run/notify",
            "run/.containerenv",
            ".dockerenv",
            "etc/hostname",
            "etc/hosts",
            "etc/mtab",
            "etc/group",
            "tmp/rrun",
            ".rrun",
            "dev/init",
        ];
        for name in own {
            link(&b, name, canary.path().join("ptmx"));
        }
        for dir in ["dev/pts", "dev/shm", "dev/mqueue"] {
            fs::create_dir_all(b.rootfs().join(dir)).expect("mkdir");
        }
        b.config["process"]["terminal"] = json!(false);
        if let Some(user) = &b.user {
            user.own(&b.rootfs());
        }
        let before = tree(&b.rootfs());
        b.run().ok();
        canary.assert_untouched("a run");
        assert_eq!(tree(&b.rootfs()), before, "rrun wrote into the root");
        b.config["process"]["args"] = json!(["sleep", "1000"]);
        b.run_detached();
        b.rrun(["exec", &b.id, "true"]).ok();
        b.rrun(["delete", "--force", &b.id]).ok();
        canary.assert_untouched("exec and delete");
        assert_eq!(tree(&b.rootfs()), before, "rrun wrote into the root");
    }
}
