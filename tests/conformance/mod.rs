//! Which test proves which property of config.json, and the table of docs/conformance.md made of it.
//!
//! The rows are checked against the keys that rrun knows and the values that `rrun features` names, so a property without
//! a proof is seen. With `RRUN_UPDATE_DOCS=DIR` the table is written anew: from DIR/{host,bare,systemd,rootless}, which
//! the black-box tests wrote (`RRUN_TEST_RESULTS`), and where one is missing from what the table says already.

mod linux;
mod process;
mod resources;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{none, read, top, words};

/// A property, and the tests that prove it: `key.of.config`, or `key.of.config: value value` for values that are proved
/// apart. `!test` proves that rrun refuses the property with an error.
type Row = (&'static str, &'static [&'static str]);

/// Where the tests run: the heading of the column, and the name of its results.
const COLUMNS: [(&str, &str); 4] =
    [("host, cgroup v1", "host"), ("VM, v2", "bare"), ("VM, v2, systemd", "systemd"), ("VM, v2, rootless", "rootless")];

const DOCUMENT: &str = "docs/conformance.md";
const BEGIN: &str = "<!-- the table: written by `scripts/test.sh --update-docs` -->\n";
const END: &str = "<!-- end of the table -->\n";

fn rows() -> impl Iterator<Item = &'static Row> {
    process::ROWS.iter().chain(linux::ROWS).chain(resources::ROWS)
}

/// Every key that is not itself an object.
fn known_properties() -> Vec<String> {
    let objects = rrun::bundle::keys::OBJECTS;
    let is_object = |path: &str| {
        objects.iter().any(|(o, _)| o.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '['])))
    };
    let path = |object: &str, key: &str| if object.is_empty() { key.to_owned() } else { format!("{object}.{key}") };
    let all = objects.iter().flat_map(|(object, keys)| keys.iter().map(|key| path(object, key)));
    all.filter(|path| !is_object(path)).collect()
}

#[test]
fn every_property_has_its_row() {
    let listed: BTreeSet<&str> = rows().map(|(property, _)| *property).collect();
    let known = known_properties();
    none("say in tests/conformance who proves it:", known.iter().filter(|p| !listed.contains(p.as_str())).cloned().collect());
    let strange = |p: &&&str| !p.contains(": ") && !known.iter().any(|k| k == **p);
    none("rrun knows no such property:", listed.iter().filter(strange).map(|p| (*p).to_owned()).collect());
    assert_eq!(listed.len(), rows().count(), "a property is listed twice");
    none("nobody proves it:", rows().filter(|(_, tests)| tests.is_empty()).map(|(p, _)| (*p).to_owned()).collect());
}

/// What `rrun features` says it can do, by the property that takes these values. Architectures that this machine cannot run
/// are left to the unit tests.
fn known_values() -> Vec<(&'static str, Value)> {
    let done = Command::new(env!("CARGO_BIN_EXE_rrun")).arg("features").output().expect("start rrun");
    let features: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    vec![
        ("mounts[].options", features["mountOptions"].clone()),
        ("linux.namespaces[].type", features["linux"]["namespaces"].clone()),
        ("linux.seccomp.syscalls[].action", features["linux"]["seccomp"]["actions"].clone()),
    ]
}

#[test]
fn every_value_has_its_row() {
    for (property, values) in known_values() {
        let listed = rows().filter_map(|(row, _)| row.strip_prefix(property)?.strip_prefix(": "));
        let listed: BTreeSet<&str> = listed.flat_map(str::split_whitespace).collect();
        let known: BTreeSet<&str> = values.as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        assert_eq!(listed, known, "{property}: say in tests/conformance who proves each value");
    }
}

/// Whether the black-box test `module::name` is listed in its module.
pub fn test_exists(test: &str) -> bool {
    let (module, name) = test.trim_start_matches('!').rsplit_once("::").expect("module::name");
    let path = top().join("tests").join(module.replace("::", "/"));
    let file = [path.with_extension("rs"), path.join("mod.rs")].into_iter().find(|f| f.exists());
    let text = file.map(|f| read(&f)).unwrap_or_default();
    let list = text.split_once("crate::tests![").and_then(|(_, rest)| rest.split_once("];")).map_or("", |(list, _)| list);
    words(list).any(|w| w == name)
}

#[test]
fn every_test_of_a_row_exists() {
    let missing = rows().flat_map(|(_, tests)| *tests).filter(|t| !test_exists(t)).map(|t| (*t).to_owned());
    none("tests/conformance names a test that is not there:", missing.collect());
}

#[test]
fn the_document_shows_every_row() {
    let text = read(&top().join(DOCUMENT));
    let (before, rest) = text.split_once(BEGIN).expect("the table's beginning");
    let (table, after) = rest.split_once(END).expect("the table's end");
    if let Some(results) = std::env::var_os("RRUN_UPDATE_DOCS") {
        let table = render(Path::new(&results), table);
        return std::fs::write(top().join(DOCUMENT), format!("{before}{BEGIN}{table}{END}{after}")).expect("write the document");
    }
    // Without new results the document keeps its own, so only the rows can be stale.
    assert_eq!(table, render(Path::new("/nonexistent"), table), "out of date: run scripts/test.sh --update-docs");
}

/// The results of one column: test → (outcome, reason).
type Results = BTreeMap<String, (String, String)>;

fn results(file: &Path) -> Option<Results> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = |line: &str| {
        let mut value: BTreeMap<String, Value> = serde_json::from_str(line).expect("a result");
        let mut take = |key: &str| value.remove(key).and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
        (take("name"), (take("outcome"), take("reason")))
    };
    Some(text.lines().map(line).collect())
}

/// The table, with new cells where there are new results and with those of the `old` table elsewhere.
fn render(dir: &Path, old: &str) -> String {
    let old: BTreeMap<&str, Vec<&str>> = old
        .lines()
        .filter_map(|l| l.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | "))
        .map(|(p, cells)| (p, cells.split(" | ").collect()))
        .collect();
    let new = COLUMNS.map(|(_, file)| results(&dir.join(file)));
    let mut table = format!("| property | {} |\n|---|{}\n", COLUMNS.map(|(h, _)| h).join(" | "), "---|".repeat(COLUMNS.len()));
    for (property, tests) in rows() {
        let cell = |(i, results): (usize, &Option<Results>)| match results {
            Some(results) => verdict(tests, results),
            None => old.get(property).and_then(|cells| cells.get(i)).map_or("not run", |c| *c).to_owned(),
        };
        let cells: Vec<String> = new.iter().enumerate().map(cell).collect();
        table += &format!("| `{property}` | {} |\n", cells.join(" | "));
    }
    table
}

/// What the tests of one row say together.
fn verdict(tests: &[&str], results: &Results) -> String {
    let of = |test: &&str| Some((test.starts_with('!'), results.get(test.trim_start_matches('!'))?));
    let found: Vec<_> = tests.iter().filter_map(of).collect();
    let is = |outcome: &str, refusal: bool| found.iter().any(|(r, (o, _))| o == outcome && *r == refusal);
    if is("failed", false) || is("failed", true) {
        "**failed**".to_owned()
    } else if is("passed", false) {
        "passed".to_owned()
    } else if is("passed", true) {
        "refused".to_owned()
    } else if found.is_empty() {
        "not run".to_owned()
    } else {
        let reasons: BTreeSet<&str> = found.iter().map(|(_, (_, reason))| reason.as_str()).collect();
        format!("skipped: {}", reasons.into_iter().collect::<Vec<_>>().join("; "))
    }
}
