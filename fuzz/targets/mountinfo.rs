//! /proc/self/mountinfo and, behind a NUL, /proc/self/cgroup: no text makes a group that lies outside its hierarchy.
#![no_main]

use std::path::Component;

use libfuzzer_sys::fuzz_target;
use rrun::host::{Cgroups, Resctrl};

fuzz_target!(|text: &str| {
    let (mountinfo, own) = text.split_once('\0').unwrap_or((text, text));
    let found = Cgroups::parse(mountinfo, own);
    for hierarchy in found.v1.iter().chain(&found.v2) {
        assert!(!hierarchy.below().components().any(|c| matches!(c, Component::ParentDir | Component::RootDir)));
        assert!(hierarchy.directory().starts_with(&hierarchy.mountpoint));
    }
    assert_eq!(found.v2.is_some() && found.v1.is_empty(), found.is_unified());
    drop(Resctrl::mounted(mountinfo));
});
