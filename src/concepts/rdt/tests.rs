//! What becomes of the words of the config, and the files that are written, in a directory that stands in for resctrl.

use serde_json::{Value, json};

use super::*;

fn host() -> Option<Resctrl> {
    Some(Resctrl { root: "/r".into(), cache: true, bandwidth: true, monitoring: true })
}

fn decide(config: Value, host: fn() -> Option<Resctrl>) -> Result<Option<RdtPlan>> {
    let spec = json!({"ociVersion": "1.3.0", "linux": {"intelRdt": config}});
    plan(&serde_json::from_value(spec).expect("a spec"), "box", host)
}

fn planned(config: Value) -> RdtPlan {
    decide(config, host).expect("a plan").expect("something to do")
}

fn refusal(config: Value, host: fn() -> Option<Resctrl>) -> String {
    let e = decide(config, host).expect_err("refused");
    format!("{e} @ {}", e.config_text().unwrap_or("-"))
}

#[test]
fn nothing_asked_is_nothing_done() {
    let spec = serde_json::from_value(json!({"ociVersion": "1.3.0", "linux": {}})).expect("a spec");
    assert_eq!(plan(&spec, "box", || panic!("the host is not asked")).expect("a plan"), None);
}

#[test]
fn what_the_host_lacks_is_refused() {
    let no = "intelRdt is specified in config, but Intel RDT is not enabled @ linux.intelRdt";
    assert_eq!(refusal(json!({}), || None), no);
    let poor = || Some(Resctrl { root: "/r".into(), cache: false, bandwidth: false, monitoring: false });
    let text = "intelRdt.l3CacheSchema is specified in config, but Intel RDT/CAT is not enabled @ linux.intelRdt.l3CacheSchema";
    assert_eq!(refusal(json!({"l3CacheSchema": "L3:0=f"}), poor), text);
    let text = "intelRdt.memBwSchema is specified in config, but Intel RDT/MBA is not enabled @ linux.intelRdt.memBwSchema";
    assert_eq!(refusal(json!({"memBwSchema": "MB:0=5"}), poor), text);
    assert!(refusal(json!({"enableMonitoring": true}), poor).contains("but Intel RDT monitoring is not enabled"));
    assert!(decide(json!({"enableMonitoring": false}), poor).is_ok());
}

#[test]
fn texts_that_mean_something_else_are_refused() {
    for bad in [".", "..", "a/b", "/a", "info", "mon_groups", "a\nb"] {
        assert_eq!(refusal(json!({"closID": bad}), host), format!("invalid intelRdt.ClosID {bad:?} @ linux.intelRdt.closID"));
    }
    for bad in ["L3:0=f", "MB:0=5\nL3:0=f"] {
        assert!(refusal(json!({"memBwSchema": bad}), host).ends_with("@ linux.intelRdt.memBwSchema"));
    }
    let text = "intelRdt.schemata[1] is more than one line @ linux.intelRdt.schemata[1]";
    assert_eq!(refusal(json!({"schemata": ["L3:0=f", "L2:0=f\n"]}), host), text);
}

#[test]
fn the_class_is_named_by_the_config_or_by_the_container() {
    let own =
        planned(json!({"schemata": ["L2:0=f"], "memBwSchema": "MB:0=5", "l3CacheSchema": "L3:0=f", "enableMonitoring": true}));
    assert_eq!(
        own.describe(),
        [
            "class of service /r/box",
            "write L3:0=f to its schemata",
            "write MB:0=5 to its schemata",
            "write L2:0=f to its schemata",
            "count in /r/box/mon_groups/box",
        ]
    );
    assert!(own.record().made);
    let named = planned(json!({"closID": "gold", "enableMonitoring": true}));
    assert_eq!((named.group.to_str(), named.record().made), (Some("/r/gold"), false));
    assert_eq!(named.monitor.as_ref().and_then(|m| m.to_str()), Some("/r/gold/mon_groups/box"));
    assert_eq!(planned(json!({"closID": "/"})).group, Path::new("/r"));
}

#[test]
fn shares_are_compared_by_meaning() {
    let has = "    MB:0=100;1= 70\n    L3:0=00f;1=7ff\n";
    assert!(holds(has, "L3:0=f;1=7FF") && holds(has, "L3:1=7ff") && holds(has, "MB:1=70"));
    for other in ["L3:0=ff", "L3:2=f", "L2:0=f", "MB:0=10", "nonsense"] {
        assert!(!holds(has, other), "{other}");
    }
}

/// A directory with what resctrl has, and a class `gold` in it.
fn tree() -> (tempfile::TempDir, RdtPlan) {
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path().to_owned();
    for path in ["gold/mon_groups", "info"] {
        std::fs::create_dir_all(root.join(path)).expect("mkdir");
    }
    for (file, text) in [("gold/schemata", "L3:0=ff\n"), ("gold/tasks", ""), ("info/last_cmd_status", "mask too wide\n")] {
        std::fs::write(root.join(file), text).expect("write");
    }
    let plan = RdtPlan { group: root.join("gold"), root, shared: true, allocation: vec![], schemata: vec![], monitor: None };
    (dir, plan)
}

#[test]
fn a_class_that_is_there_is_joined_and_left() {
    let (dir, plan) = tree();
    let mut record = plan.record();
    apply_from_parent(&plan, &mut record).expect("it is there");
    join(&record, 42).expect("joined");
    assert_eq!(std::fs::read_to_string(dir.path().join("gold/tasks")).expect("tasks"), "42");
    remove(&record).expect("nothing to remove");
    assert!(dir.path().join("gold").is_dir());
    let absent = RdtPlan { group: dir.path().join("silver"), ..plan.clone() };
    let e = apply_from_parent(&absent, &mut record).expect_err("must exist");
    assert!(e.to_string().starts_with("clos dir not accessible (must be pre-created when"), "{e}");
    assert_eq!(e.config_text(), Some("linux.intelRdt.closID"));
}

#[test]
fn a_class_that_is_there_must_have_the_schemas() {
    let (dir, plan) = tree();
    let mut record = plan.record();
    let same = RdtPlan { allocation: vec!["L3:0=0ff".into()], ..plan.clone() };
    apply_from_parent(&same, &mut record).expect("the same");
    let other = RdtPlan { allocation: vec!["L3:0=f".into()], ..plan.clone() };
    assert!(apply_from_parent(&other, &mut record).expect_err("another").to_string().contains("does not have \"L3:0=f\""));
    // The lines of `schemata` are written in any case.
    let lines = RdtPlan { schemata: vec!["L3:0=1".into()], ..plan };
    apply_from_parent(&lines, &mut record).expect("written");
    assert!(std::fs::read_to_string(dir.path().join("gold/schemata")).expect("read").starts_with("L3:0=1\n"));
}

#[test]
fn a_refusal_of_the_kernel_is_in_its_words_and_undone() {
    let (dir, plan) = tree();
    // The new directory has no `schemata`: an ordinary file system does not fill it.
    let own = RdtPlan { group: dir.path().join("box"), shared: false, allocation: vec!["L3:0=ffff".into()], ..plan };
    let mut record = own.record();
    let e = apply_from_parent(&own, &mut record).expect_err("refused");
    assert_eq!(e.hint_text(), Some("the kernel says: mask too wide"));
    assert!(record.made && dir.path().join("box").is_dir());
    remove(&record).expect("removed");
    assert!(!dir.path().join("box").exists());
    remove(&record).expect("removed already");
}

#[test]
fn a_group_that_counts_is_the_containers_own() {
    let (dir, plan) = tree();
    let monitor = dir.path().join("gold/mon_groups/box");
    let plan = RdtPlan { monitor: Some(monitor.clone()), ..plan };
    let mut record = Record::default();
    apply_from_parent(&plan, &mut record).expect("made");
    std::fs::write(monitor.join("tasks"), "").expect("write");
    join(&record, 7).expect("joined");
    assert_eq!(std::fs::read_to_string(monitor.join("tasks")).expect("tasks"), "7");
    let mut second = Record::default();
    let e = apply_from_parent(&plan, &mut second).expect_err("somebody else's");
    assert_eq!((e.errno(), second.monitor), (Some(libc::EEXIST), None));
    std::fs::remove_file(monitor.join("tasks")).expect("unlink");
    remove(&record).expect("removed");
    assert!(!monitor.exists());
}

#[test]
fn the_counters_have_runcs_names() {
    let (dir, plan) = tree();
    let root = dir.path();
    for path in ["info/L3", "info/MB", "gold/mon_data/mon_L3_00"] {
        std::fs::create_dir_all(root.join(path)).expect("mkdir");
    }
    for (file, text) in [
        ("schemata", "    MB:0=100\n    L3:0=ff\n"),
        ("info/L3/cbm_mask", "ff\n"),
        ("info/L3/min_cbm_bits", "1\n"),
        ("info/L3/num_closids", "16\n"),
        ("info/MB/min_bandwidth", "10\n"),
        ("gold/mon_data/mon_L3_00/llc_occupancy", "4096\n"),
        ("gold/mon_data/mon_L3_00/mbm_total_bytes", "9\n"),
        ("gold/mon_data/mon_L3_00/mbm_local_bytes", "Unavailable\n"),
    ] {
        std::fs::write(root.join(file), text).expect("write");
    }
    let found = serde_json::to_value(stats::read(root, &plan.record())).expect("JSON");
    assert_eq!(
        found,
        json!({
            "l3_cache_info": {"cbm_mask": "ff", "min_cbm_bits": 1, "num_closids": 16},
            "l3_cache_schema_root": "L3:0=ff", "l3_cache_schema": "L3:0=ff",
            "mem_bw_info": {"bandwidth_gran": 0, "delay_linear": 0, "min_bandwidth": 10, "num_closids": 0},
            "mem_bw_schema_root": "MB:0=100",
            "schemata": ["L3:0=ff"],
            "mbm_stats": [{"mbm_total_bytes": 9, "mbm_local_bytes": 0}], "cmt_stats": [{"llc_occupancy": 4096}],
        })
    );
    assert_eq!(serde_json::to_value(Stats::default()).expect("JSON"), json!({}));
}
