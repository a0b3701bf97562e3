//! spec: the config.json to begin with.

use std::os::unix::fs::MetadataExt;

use serde_json::Value;

use crate::support::*;

crate::tests![writes_a_config_that_runs if needs_root, writes_a_rootless_config, refuses_to_overwrite, writes_into_the_bundle_named];

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
