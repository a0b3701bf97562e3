//! spec: the config.json to begin with.

use std::os::unix::fs::MetadataExt;

use serde_json::Value;

use crate::support::*;

crate::tests![
    writes_a_config_that_runs if needs_root,
    writes_a_rootless_config,
    refuses_to_overwrite,
    writes_into_the_bundle_named,
    a_hardened_container_can_work_and_nothing_else if needs_root,
    a_docker_container_is_that_of_engines if needs_root,
    a_rootless_profile_is_the_rootless_config,
    a_profile_must_be_known,
];

fn written(b: &Bundle) -> Value {
    serde_json::from_slice(&std::fs::read(b.path().join("config.json")).expect("config.json")).expect("JSON")
}

fn writes_a_config_that_runs() {
    let mut b = Bundle::new(&[]);
    assert_eq!(b.rrun(["spec"]).ok(), "");
    b.config = written(&b);
    // As it is, but for what a test cannot give: a terminal.
    b.config["process"]["terminal"] = false.into();
    let seen = b.witness();
    assert_eq!(seen["hostname"], "runc", "{seen}");
}

fn writes_a_rootless_config() {
    let b = Bundle::new(&[]);
    b.rrun(["spec", "--rootless"]).ok();
    let config = written(&b);
    assert_eq!(config["linux"]["uidMappings"][0]["hostID"], nix::unistd::geteuid().as_raw());
    assert!(config["linux"]["namespaces"].as_array().expect("a list").iter().any(|n| n["type"] == "user"));
}

fn refuses_to_overwrite() {
    let b = Bundle::new(&[]);
    std::fs::write(b.path().join("config.json"), "precious").expect("write");
    b.rrun(["spec"]).fails_with("File config.json exists. Remove it first");
    assert_eq!(std::fs::read_to_string(b.path().join("config.json")).expect("read"), "precious");
}

fn writes_into_the_bundle_named() {
    let b = Bundle::new(&[]);
    let dir = b.scratch("elsewhere");
    let name = dir.to_str().expect("UTF-8");
    b.rrun(["spec", "--bundle", name]).fails_with("no such file or directory");
    std::fs::create_dir(&dir).expect("mkdir");
    b.rrun(["spec", "-b", name]).ok();
    let file = dir.join("config.json").metadata().expect("config.json");
    assert!(file.len() > 1000 && file.mode() & 0o111 == 0);
    let text = std::fs::read_to_string(dir.join("config.json")).expect("read");
    assert!(text.starts_with("{\n\t\"ociVersion\""), "{text}");
}

/// The bundle with the config of a profile, to run a line of shell in it: as it is, but for the terminal.
fn of_profile(name: &str) -> Bundle {
    let mut b = Bundle::new(&[]);
    assert_eq!(b.rrun(["spec", "--profile", name]).ok(), "");
    b.config = written(&b);
    b.config["process"]["terminal"] = false.into();
    b
}

fn shell(b: &mut Bundle, line: &str) -> Done {
    b.config["process"]["args"] = serde_json::json!(["sh", "-c", line]);
    b.run()
}

fn a_hardened_container_can_work_and_nothing_else() {
    let mut b = of_profile("hardened");
    let seen = b.witness();
    assert_eq!((&seen["uid"], &seen["no_new_privs"], &seen["seccomp"]), (&1000.into(), &true.into(), &2.into()));
    assert_eq!(seen["uid_map"], serde_json::json!([[0, 100_000, 65536]]));
    for (set, bits) in seen["capabilities"].as_object().expect("the sets") {
        assert_eq!(bits, "0000000000000000", "{set}");
    }
    // Pipes, children, files, a directory, a socket, a job: a shell and its tools work.
    let work = "cd /tmp && seq 9 | sort -r | head -n 1 > n && mkdir d && mv n d && tar c d | tar t && (sleep 0 & wait) \
        && httpd -p 127.0.0.1:8080 -h /tmp/d && wget -q -O - http://127.0.0.1:8080/n";
    assert_eq!(shell(&mut b, work).ok(), "d/\nd/n\n9\n");
    for (deed, why) in [
        ("mount -t tmpfs none /tmp", "no filesystem"),
        ("chroot / true", "no capability"),
        ("echo x > /etc/x", "a read-only root"),
        ("nsenter -t 1 -m true", "no namespace"),
        ("mknod /tmp/null c 1 3", "no device"),
        ("cat /proc/kcore | grep -q .", "nothing behind a mask"),
    ] {
        assert_ne!(shell(&mut b, deed).code, 0, "{why}: {deed}");
    }
    // The limit of memory counts what lies in a tmpfs.
    assert_eq!(b.config["linux"]["resources"]["pids"]["limit"], 100);
    let many = shell(&mut b, "n=0; while [ $n -lt 200 ]; do sleep 1000 & n=$((n + 1)); done");
    assert!(many.err.contains("Resource temporarily unavailable"), "{many:?}");
}

fn a_docker_container_is_that_of_engines() {
    let mut b = of_profile("docker");
    let seen = b.witness();
    assert_eq!((&seen["uid"], &seen["no_new_privs"], &seen["seccomp"]), (&0.into(), &false.into(), &2.into()));
    for set in ["bounding", "effective", "permitted"] {
        assert_eq!(seen["capabilities"][set], "00000000a80425fb", "{set}");
    }
    assert_eq!(seen["capabilities"]["inheritable"], "0000000000000000", "CVE-2022-24769");
    // What images expect of root: owners, other users, device nodes, a root to change to.
    let work =
        "touch /f && chown 5:5 /f && mknod /n c 1 3 && chroot / id -u && setpriv --version > /dev/null; echo > /proc/self/comm";
    assert_eq!(shell(&mut b, work).ok(), "0\n");
    assert_ne!(shell(&mut b, "mount -t tmpfs none /tmp").code, 0, "mounting is not among it");
    // Made, but not opened: this one is not the container's.
    assert_ne!(shell(&mut b, "mknod /mem c 1 1 && head -c 1 /mem").code, 0);
}

fn a_rootless_profile_is_the_rootless_config() {
    let (by_flag, by_profile) = (Bundle::new(&[]), Bundle::new(&[]));
    by_flag.rrun(["spec", "--rootless"]).ok();
    by_profile.rrun(["spec", "--profile", "rootless"]).ok();
    assert_eq!(written(&by_profile), written(&by_flag));
    let both = Bundle::new(&[]);
    both.rrun(["spec", "--rootless", "--profile", "hardened"]).fails_with("choose one of them");
    both.rrun(["spec", "--rootless", "--profile", "rootless"]).ok();
}

fn a_profile_must_be_known() {
    Bundle::new(&[]).rrun(["spec", "--profile", "harden"]).fails_with("use one of: hardened, docker, rootless");
}
