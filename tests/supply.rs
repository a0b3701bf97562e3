//! What comes in from outside: licences, sources and versions of all crates, as deny.toml has them.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use super::{none, read, top};

/// All packages of the lock file, for all machines.
fn packages() -> Vec<Value> {
    let metadata = ["metadata", "--format-version", "1", "--locked", "--all-features", "--manifest-path"];
    let out = Command::new(env!("CARGO")).args(metadata).arg(top().join("Cargo.toml")).output().expect("run cargo");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let document: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    document["packages"].as_array().expect("packages").clone()
}

/// The strings of the list `key` in deny.toml.
fn list(key: &str) -> Vec<String> {
    let text = read(&top().join("deny.toml"));
    let line = text.lines().find_map(|l| l.strip_prefix(&format!("{key} = ["))).unwrap_or_else(|| panic!("deny.toml: {key}"));
    line.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether the licences that may be chosen from and those that must all be met are among `allowed` (SPDX; `/` is the old `OR`).
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let one = |part: &str| {
        let part = part.trim().trim_start_matches('(').trim_end_matches(')').replace('/', " OR ");
        part.split(" OR ").any(|name| allowed.iter().any(|a| a == name.trim()))
    };
    expression.split(" AND ").all(one)
}

#[test]
fn every_licence_is_allowed() {
    let allowed = list("allow");
    let offence = |p: &Value| {
        let licence = p["license"].as_str().unwrap_or_default();
        (!is_allowed(licence, &allowed)).then(|| format!("{}: {licence:?}", p["name"]))
    };
    none("not in deny.toml, [licenses]:", packages().iter().filter_map(offence).collect());
    assert!(is_allowed("(MIT OR GPL-2.0) AND Zlib", &allowed) && is_allowed("GPL-2.0/MIT", &allowed));
    assert!(!is_allowed("MIT AND GPL-2.0", &allowed) && !is_allowed("", &allowed));
}

#[test]
fn every_crate_comes_from_the_registry() {
    let known = list("allow-registry");
    let foreign = |p: &Value| {
        let source = p["source"].as_str()?.trim_start_matches("registry+").to_owned();
        (!known.contains(&source)).then(|| format!("{}: {source}", p["name"]))
    };
    none("not in deny.toml, [sources]:", packages().iter().filter_map(foreign).collect());
}

/// Each second version is code that is there twice: a reason is wanted, and here it is cgroups-rs, which is behind.
#[test]
fn no_crate_is_there_twice_unknown() {
    const KNOWN: [&str; 5] = ["bitflags", "nix", "syn", "thiserror", "thiserror-impl"];
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for p in packages() {
        versions.entry(p["name"].to_string()).or_default().insert(p["version"].to_string());
    }
    let twice = versions.iter().filter(|(name, v)| v.len() > 1 && !KNOWN.contains(&name.trim_matches('"')));
    none("two versions of one crate:", twice.map(|(name, v)| format!("{name}: {v:?}")).collect());
}
