//! Classes of service of the resctrl file system: refused where there is none, joined and left where there is.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::*;

crate::tests![
    without_the_file_system_it_is_refused if has_resctrl,
    malformed_names_and_schemas_are_refused,
    nothing_asked_leaves_it_alone if lacks_resctrl,
    a_class_of_its_own_goes_with_the_container if lacks_resctrl,
    a_named_class_stays if lacks_resctrl,
    schemata_are_written if lacks_resctrl,
    a_named_class_without_schemas_must_be_there if lacks_resctrl,
    what_is_executed_later_is_in_the_class if lacks_resctrl,
    a_group_that_counts_goes_with_the_container if lacks_monitoring,
];

/// Where resctrl is mounted.
fn root() -> Option<PathBuf> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let line = table.lines().find(|l| l.contains(" - resctrl "))?;
    line.split(' ').nth(4).map(PathBuf::from)
}

fn has_resctrl() -> Option<&'static str> {
    root().map(|_| "needs a host without resctrl")
}

fn lacks_resctrl() -> Option<&'static str> {
    root().is_none().then_some("needs resctrl (Intel RDT or AMD QoS)")
}

fn lacks_monitoring() -> Option<&'static str> {
    match root() {
        Some(root) if root.join("info/L3_MON").exists() => None,
        _ => Some("needs resctrl with monitoring"),
    }
}

fn with(rdt: Value, args: &[&str]) -> Bundle {
    let mut b = Bundle::new(args);
    b.config["linux"]["intelRdt"] = rdt;
    b
}

fn without_the_file_system_it_is_refused() {
    for config in [json!({}), json!({"closID": "gold"}), json!({"l3CacheSchema": "L3:0=f"}), json!({"enableMonitoring": true})] {
        let b = with(config, &["true"]);
        let done = b.run();
        done.fails_with("intelRdt is specified in config, but Intel RDT is not enabled");
        done.fails_with("linux.intelRdt");
        b.assert_no_trace();
    }
}

fn malformed_names_and_schemas_are_refused() {
    for (config, text) in [
        (json!({"closID": "../gold"}), r#"invalid intelRdt.ClosID "../gold""#),
        (json!({"closID": "info"}), r#"invalid intelRdt.ClosID "info""#),
        (json!({"memBwSchema": "L3:0=f"}), "is not one line that starts with MB:"),
        (json!({"schemata": ["L3:0=f\nMB:0=5"]}), "intelRdt.schemata[0] is more than one line"),
    ] {
        with(config, &["true"]).run().fails_with(text);
    }
}

/// The classes there are.
fn classes() -> Vec<String> {
    let entries = std::fs::read_dir(root().expect("mounted")).expect("readdir").flatten();
    let mut names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn tasks(group: &str) -> Vec<String> {
    let file = root().expect("mounted").join(group).join("tasks");
    std::fs::read_to_string(file).expect("tasks").lines().map(str::to_owned).collect()
}

fn nothing_asked_leaves_it_alone() {
    let before = classes();
    Bundle::new(&["true"]).run().ok();
    assert_eq!(classes(), before);
}

fn a_class_of_its_own_goes_with_the_container() {
    let b = with(json!({}), &["sleep", "100"]);
    b.run_detached();
    assert!(tasks(&b.id).contains(&b.state()["pid"].to_string()));
    let document = std::fs::read(b.root().join(&b.id).join("state.json")).expect("state.json");
    let document: Value = serde_json::from_slice(&document).expect("JSON");
    assert_eq!(document["intel_rdt_path"], json!(root().expect("mounted").join(&b.id)));
    b.rrun(["delete", "--force", &b.id]).ok();
    assert!(!classes().contains(&b.id));
}

/// A class made by the host, taken away at the end.
struct Class(PathBuf);

impl Class {
    fn new(b: &Bundle) -> Self {
        let path = root().expect("mounted").join(format!("{}-class", b.id));
        std::fs::create_dir(&path).expect("mkdir");
        Self(path)
    }

    fn name(&self) -> String {
        self.0.file_name().expect("a name").to_string_lossy().into_owned()
    }
}

impl Drop for Class {
    fn drop(&mut self) {
        std::fs::remove_dir(&self.0).expect("rmdir");
    }
}

fn a_named_class_stays() {
    let mut b = Bundle::new(&["sleep", "100"]);
    let class = Class::new(&b);
    b.config["linux"]["intelRdt"] = json!({"closID": class.name()});
    b.run_detached();
    assert!(tasks(&class.name()).contains(&b.state()["pid"].to_string()));
    b.rrun(["delete", "--force", &b.id]).ok();
    assert!(class.0.is_dir());
}

fn schemata_are_written() {
    let all = std::fs::read_to_string(root().expect("mounted").join("schemata")).expect("schemata");
    let line = |name: &str| all.lines().map(str::trim).find(|l| l.starts_with(name)).map(str::to_owned);
    let mut b = Bundle::new(&["sleep", "100"]);
    // What the root has, every class may have.
    b.config["linux"]["intelRdt"] = json!({"schemata": all.lines().map(str::trim).collect::<Vec<_>>()});
    for (key, name) in [("l3CacheSchema", "L3:"), ("memBwSchema", "MB:")] {
        if let Some(line) = line(name) {
            b.config["linux"]["intelRdt"][key] = json!(line);
        }
    }
    b.run_detached();
    let own = std::fs::read_to_string(root().expect("mounted").join(&b.id).join("schemata")).expect("schemata");
    assert_eq!(own, all);
}

fn a_named_class_without_schemas_must_be_there() {
    let b = with(json!({"closID": "rrun-absent"}), &["true"]);
    b.run().fails_with("clos dir not accessible (must be pre-created when l3CacheSchema, memBwSchema and schemata are empty)");
    b.assert_no_trace();
    assert!(!classes().contains(&"rrun-absent".to_owned()));
}

fn what_is_executed_later_is_in_the_class() {
    let b = with(json!({}), &["sleep", "100"]);
    b.run_detached();
    let file = b.scratch("pid");
    b.rrun(["exec", "--detach", "--pid-file", file.to_str().expect("UTF-8"), &b.id, "sleep", "100"]).ok();
    assert!(tasks(&b.id).contains(&std::fs::read_to_string(file).expect("a pid")));
}

fn a_group_that_counts_goes_with_the_container() {
    let b = with(json!({"closID": "/", "enableMonitoring": true}), &["sleep", "100"]);
    b.run_detached();
    let group = format!("mon_groups/{}", b.id);
    assert!(tasks(&group).contains(&b.state()["pid"].to_string()));
    b.rrun(["delete", "--force", &b.id]).ok();
    assert!(!root().expect("mounted").join(group).exists());
}
