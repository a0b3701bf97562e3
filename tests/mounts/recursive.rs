//! Options that reach the mounts below a bind as well, and options that a mount may have without a trace.

use std::path::Path;
use std::process::Command;

use super::{HostMount, INFO, bind, line, table, tmpfs};
use crate::support::*;

crate::tests![
    all if needs_root;
    recursive_options_set_what_is_below_too,
    recursive_options_clear_what_is_below_too,
    what_is_not_recursive_leaves_what_is_below,
    options_of_the_superblock_are_set,
    options_without_an_effect_are_taken,
    every_option_of_the_features_is_taken,
];

fn has(options: &str, wanted: &str) -> bool {
    options.split(',').any(|o| o == wanted)
}

/// What the container shows of a bind with these options, and of the mount below it.
fn bound(source: &Path, options: &[&str]) -> [String; 2] {
    let table = table(&[bind(source, "/x", options)]);
    ["/x", "/x/inner"].map(|point| line(&table, point).0)
}

fn recursive_options_set_what_is_below_too() {
    let b = Bundle::new(&[]);
    let host = HostMount::new(&b, "private");
    for name in ["nosuid", "nodev", "noexec", "nosymfollow", "noatime", "nodiratime", "ro"] {
        for seen in bound(&host.0, &["rbind", &format!("r{name}")]) {
            assert!(has(&seen, name), "r{name}: {seen}");
        }
    }
    for seen in bound(&host.0, &["rbind", "rstrictatime"]) {
        assert!(!has(&seen, "relatime") && !has(&seen, "noatime"), "rstrictatime: {seen}");
    }
}

fn recursive_options_clear_what_is_below_too() {
    let b = Bundle::new(&[]);
    let host = HostMount::new(&b, "private");
    let all = "ro,nosuid,nodev,noexec,nosymfollow,noatime,nodiratime";
    for dir in [host.0.join("inner"), host.0.clone()] {
        let done = Command::new("mount").args(["-o", &format!("remount,bind,{all}")]).arg(&dir).status().expect("run mount");
        assert!(done.success());
    }
    for (option, cleared) in [
        ("rsuid", "nosuid"),
        ("rdev", "nodev"),
        ("rexec", "noexec"),
        ("rsymfollow", "nosymfollow"),
        ("rdiratime", "nodiratime"),
        ("rrw", "ro"),
        ("ratime", "noatime"),
        ("rrelatime", "noatime"),
        ("rnorelatime", "noatime"),
        ("rnostrictatime", "noatime"),
    ] {
        for seen in bound(&host.0, &["rbind", option]) {
            assert!(!has(&seen, cleared), "{option}: {seen}");
            let others = all.split(',').filter(|o| *o != cleared);
            assert!(others.into_iter().all(|o| has(&seen, o)), "{option} keeps the others: {seen}");
        }
    }
    // Access times are one choice: to clear one is to have the kernel's default.
    assert!(has(&bound(&host.0, &["rbind", "rrelatime"])[1], "relatime"));
}

fn what_is_not_recursive_leaves_what_is_below() {
    let b = Bundle::new(&[]);
    let host = HostMount::new(&b, "private");
    for name in ["nosuid", "nodev", "noexec", "nosymfollow", "noatime", "nodiratime", "ro"] {
        let [own, below] = bound(&host.0, &["rbind", name]);
        assert!(has(&own, name) && !has(&below, name), "{name}: {own} {below}");
    }
}

fn options_of_the_superblock_are_set() {
    let superblock = |options: &[&str]| line(&table(&[tmpfs("/y", options)]), "/y").2;
    for name in ["sync", "dirsync", "lazytime"] {
        assert!(has(&superblock(&[name]), name), "{name}");
    }
    assert!(!has(&superblock(&["sync", "async"]), "sync"));
    assert!(!has(&superblock(&["lazytime", "nolazytime"]), "lazytime"));
    // Mandatory locks are gone since Linux 5.15; the words are taken, and whether the table shows one is the kernel's affair.
    superblock(&["mand"]);
    assert!(!has(&superblock(&["mand", "nomand"]), "mand"));
}

fn options_without_an_effect_are_taken() {
    let words = ["defaults", "silent", "loud", "iversion", "noiversion"];
    let source = Bundle::new(&[]).path().parent().expect("a parent").parent().expect("a parent").to_owned();
    let plain = table(&[tmpfs("/y", &[]), bind(&source, "/z", &["bind"])]);
    let bound: Vec<&str> = ["bind"].into_iter().chain(words).collect();
    let worded = table(&[tmpfs("/y", &words), bind(&source, "/z", &bound)]);
    for point in ["/y", "/z"] {
        assert_eq!(line(&plain, point).0, line(&worded, point).0);
        assert_eq!(line(&plain, point).2, line(&worded, point).2);
    }
}

/// A word that `features` announces and a mount refuses would keep a pod from starting.
fn every_option_of_the_features_is_taken() {
    let mut b = Bundle::new(&INFO);
    let features: serde_json::Value = serde_json::from_str(&b.rrun(["features"]).ok()).expect("JSON");
    let source = b.scratch("source");
    std::fs::create_dir(&source).expect("mkdir");
    // These need a map, an earlier mount, or say what is mounted.
    let apart = ["idmap", "ridmap", "remount", "bind", "rbind"];
    let names = features["mountOptions"].as_array().expect("a list").iter().map(|o| o.as_str().expect("a word"));
    let mounts: Vec<_> = names
        .filter(|name| !apart.contains(name))
        .enumerate()
        .flat_map(|(at, name)| [tmpfs(&format!("/t{at}"), &[name]), bind(&source, &format!("/b{at}"), &["rbind", name])])
        .collect();
    assert!(mounts.len() > 100);
    b.config["mounts"].as_array_mut().expect("mounts").extend(mounts);
    b.run().ok();
}
