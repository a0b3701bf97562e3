//! Reading good, odd and bad documents, in memory and from files: what is accepted as it is, what is accepted with a
//! warning, what is refused. Every error and every warning is compared as a user would read it, since engines and people
//! have nothing else.

use serde_json::json;

use super::*;

mod types;

/// A document with most of the specification's properties.
fn good() -> Value {
    json!({
        "ociVersion": "1.3.0",
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "h", "domainname": "d",
        "process": {
            "terminal": true, "consoleSize": {"height": 25, "width": 80},
            "user": {"uid": 0, "gid": 0, "umask": 18, "additionalGids": [5]},
            "args": ["sh"], "env": ["A=b"], "cwd": "/",
            "capabilities": {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true, "apparmorProfile": "", "oomScoreAdj": -5, "selinuxLabel": "",
            "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4},
            "scheduler": {"policy": "SCHED_DEADLINE", "flags": ["SCHED_FLAG_RECLAIM"], "runtime": 1, "deadline": 2, "period": 3},
            "execCPUAffinity": {"initial": "0-1", "final": "1"},
        },
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid"]}],
        "hooks": {"createRuntime": [{"path": "/bin/true", "args": ["true"], "env": [], "timeout": 3}]},
        "annotations": {"com.example": "x"},
        "linux": {
            "namespaces": [{"type": "pid"}, {"type": "network", "path": "/run/netns/x"}],
            "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
            "timeOffsets": {"monotonic": {"secs": -1, "nanosecs": 5}},
            "netDevices": {"eth0": {"name": "net0"}},
            "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]},
            "personality": {"domain": "LINUX32"},
            "intelRdt": {"closID": "x", "schemata": ["L3:0=f"], "enableMonitoring": true},
            "sysctl": {"net.ipv4.ip_forward": "1"},
            "seccomp": {
                "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "architectures": ["SCMP_ARCH_X86_64"],
                "flags": ["SECCOMP_FILTER_FLAG_LOG"], "listenerPath": "/x", "listenerMetadata": "m",
                "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ"}]}],
            },
            "resources": {
                "devices": [{"allow": false, "access": "rwm"}],
                "memory": {"limit": -1, "swap": 5, "checkBeforeUpdate": true, "disableOOMKiller": false},
                "cpu": {"shares": 5, "quota": -1, "burst": 7, "idle": 1, "cpus": "0"},
                "pids": {"limit": -1},
                "blockIO": {"weight": 10, "throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 5}]},
                "hugepageLimits": [{"pageSize": "2MB", "limit": 5}],
                "rdma": {"mlx5": {"hcaHandles": 3}}, "unified": {"memory.high": "5"},
            },
        },
    })
}

/// The error (with its hint and code) or the warnings of a document.
fn outcome(text: &str) -> (String, Vec<String>) {
    let mut warnings = Warnings::default();
    let error = parse_spec(text.as_bytes(), &mut warnings).err();
    let error =
        error.map_or_else(String::new, |e| format!("{e} | {} | {}", e.hint_text().unwrap_or("-"), e.code_text().unwrap_or("-")));
    (error, warnings.lines().to_vec())
}

/// The outcome of [`good`] with one change, written with one key per line.
fn changed(pointer: &str, value: Value) -> (String, Vec<String>) {
    let mut document = good();
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    match document.pointer_mut(parent).expect(pointer) {
        Value::Array(list) => list[key.parse::<usize>().expect("an index")] = value,
        object => object[key] = value,
    }
    outcome(&serde_json::to_string_pretty(&document).expect("JSON"))
}

#[test]
fn reads_a_good_document_in_one_pass() {
    let text = good().to_string();
    let spec: Spec = serde_json::from_str(&text).expect("typed");
    assert!(spec_is_plain(text.as_bytes(), &spec));
    assert_eq!(outcome(&text), (String::new(), vec![]));
    let mut warnings = Warnings::default();
    assert_eq!(parse_spec(text.as_bytes(), &mut warnings).expect("good"), spec);
}

#[test]
fn warns_of_unknown_keys_with_line_and_guess() {
    let (error, warnings) = changed("/process/noNewPrivileged", json!(true));
    assert_eq!(error, "");
    assert_eq!(warnings.len(), 1);
    let (place, text) = warnings[0].split_once(": ").expect("a place");
    assert!(place.strip_prefix("config.json:").and_then(|l| l.parse::<u32>().ok()).is_some_and(|l| l > 5), "{place}");
    assert_eq!(text, "unknown key process.noNewPrivileged - did you mean noNewPrivileges? It has NO effect");
    assert!(
        changed("/linux/resources/rdma/mlx5/hcaHandle", json!(1)).1[0]
            .ends_with("unknown key linux.resources.rdma.mlx5.hcaHandle - did you mean hcaHandles? It has NO effect")
    );
    assert!(
        changed("/uidMappings", json!([])).1[0]
            .ends_with("unknown key uidMappings - did you mean linux.uidMappings? It has NO effect")
    );
}

#[test]
fn keeps_at_most_a_hundred_warnings() {
    let mut document = good();
    for i in 0..125 {
        document["linux"][format!("zz{i}")] = json!(1);
    }
    let (error, warnings) = outcome(&document.to_string());
    assert_eq!(error, "");
    assert_eq!(warnings.len(), 101);
    assert_eq!(warnings[100], "config.json: and 25 more");
}

#[test]
fn takes_null_for_not_there() {
    for pointer in [
        "/process/capabilities",
        "/mounts",
        "/process/env",
        "/hooks",
        "/linux/seccomp",
        "/process/user/uid",
        "/root/path",
        "/linux/resources/pids/limit",
    ] {
        assert_eq!(changed(pointer, Value::Null), (String::new(), vec![]), "{pointer}");
    }
}

#[test]
fn tells_a_pids_limit_of_zero_from_none() {
    let limit = |value: Value| {
        let mut document = good();
        document["linux"]["resources"]["pids"] = value;
        let spec = parse_spec(document.to_string().as_bytes(), &mut Warnings::default()).expect("good");
        spec.linux().as_ref().and_then(|l| l.resources().as_ref()).and_then(|r| r.pids().as_ref().map(|p| p.limit()))
    };
    assert_eq!(limit(json!({})), None);
    assert_eq!(limit(json!({"limit": 0})), Some(0));
}

#[test]
fn the_last_of_duplicate_keys_counts() {
    let text = "{\"ociVersion\": \"1.0.0\", \"hostname\": \"a\",\n\"hostname\": \"b\"}";
    let mut warnings = Warnings::default();
    let spec = parse_spec(text.as_bytes(), &mut warnings).expect("good");
    assert_eq!(spec.hostname().as_deref(), Some("b"));
    assert_eq!(warnings.lines(), ["config.json:2: the key hostname stands there twice; the last one counts"]);
}

#[test]
fn other_platforms_sections_have_no_effect() {
    for section in ["windows", "solaris", "zos", "freebsd"] {
        let (error, warnings) = changed(&format!("/{section}"), json!({"layerFolders": 5}));
        assert_eq!(error, "");
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0].ends_with(&format!("the section {section} is for another platform. It has NO effect")),
            "{warnings:?}"
        );
    }
    assert!(changed("/vm", json!({"kernel": {"path": "/x"}})).0.starts_with("vm asks for isolation"));
    assert!(changed("/process/user/username", json!("x")).1[0].contains("it is for Windows"));
}

#[test]
fn unknown_capabilities_are_ignored_with_a_warning() {
    for (name, guess) in [
        ("CAP_NET_ADMINN", "CAP_NET_ADMIN"),
        ("NET_ADMIN", "CAP_NET_ADMIN"),
        ("cap_kill", "CAP_KILL"),
        ("net_admin", "CAP_NET_ADMIN"),
    ] {
        let mut document = good();
        document["process"]["capabilities"]["bounding"] = json!(["CAP_KILL", name]);
        let mut warnings = Warnings::default();
        let spec = parse_spec(document.to_string().as_bytes(), &mut warnings).expect("good");
        let bounding = spec.process().as_ref().and_then(|p| p.capabilities().as_ref()?.bounding().clone());
        assert_eq!(bounding.map(|b| b.len()), Some(1), "{name}");
        assert_eq!(warnings.lines(), [format!("config.json:1: unknown capability {name} is ignored - did you mean {guess}?")]);
    }
}

#[test]
fn checks_the_version() {
    let check = |version: &str| {
        let mut warnings = Warnings::default();
        check_version(version, &mut warnings).map(|()| warnings.lines().len()).map_err(|e| e.to_string())
    };
    for good in ["1.0.0", "1.0.2-dev", "1.2.1+x", "1.3.0", "1.0.0-rc5"] {
        assert_eq!(check(good), Ok(0), "{good}");
    }
    assert_eq!(check("1.4.0"), Ok(1));
    assert_eq!(check(""), Err("ociVersion is missing".into()));
    assert_eq!(check("2.0.0"), Err("ociVersion 2.0.0 is not supported, only 1.x is".into()));
    assert_eq!(check("0.9.0"), Err("ociVersion 0.9.0 is not supported, only 1.x is".into()));
    assert_eq!(check("latest"), Err("ociVersion \"latest\" is not a version such as 1.3.0".into()));
    assert_eq!(check("1.0"), Err("ociVersion \"1.0\" is not a version such as 1.3.0".into()));
}

#[test]
fn no_truncation_and_no_flipped_byte_panics() {
    let text = serde_json::to_string_pretty(&good()).expect("JSON");
    for end in (0..text.len()).step_by(7) {
        let (error, _) = outcome(&text[..end]);
        assert!(error.starts_with("config.json:") && error.ends_with("| E-JSON"), "{end}: {error}");
    }
    for at in (0..text.len()).step_by(37) {
        for byte in *b"\"{}[],:0n \x80" {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = byte;
            if let Err(e) = parse_spec(&bytes, &mut Warnings::default()) {
                assert!(!e.to_string().contains('\n'));
            }
        }
    }
}

#[test]
fn reads_process_files_and_resources() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("p.json");
    let load = |value: Value| {
        std::fs::write(&file, value.to_string()).expect("write");
        let mut warnings = Warnings::default();
        (load_process(&file, &mut warnings).map_err(|e| (e.to_string(), e.config_text().map(String::from))), warnings)
    };
    let (process, warnings) = load(json!({"user": {"uid": 5, "gid": 0}, "args": ["x"], "cwd": "/", "envv": []}));
    assert_eq!(process.expect("good").user().uid(), 5);
    assert_eq!(warnings.lines(), ["p.json:1: unknown key process.envv - did you mean env? It has NO effect"]);
    let (process, _) = load(json!({"user": {"uid": "5"}, "cwd": "/"}));
    let field = Some("process.user.uid".to_owned());
    assert_eq!(process, Err(("process.user.uid: expected a number, got the string \"5\" (p.json:1:26)".into(), field)));
    let (process, warnings) = load(json!({"args": ["x"]}));
    assert_eq!(process.expect("Go's zero values").cwd().to_str(), Some(""));
    assert!(warnings.lines()[0].contains("runs as uid 0"));

    let mut warnings = Warnings::default();
    let resources = load_resources(br#"{"memory": {"limit": 5}, "pids": {}, "cpus": 1}"#, "stdin", &mut warnings).expect("good");
    assert!(resources.pids().is_none());
    assert_eq!(warnings.lines(), ["stdin:1: unknown key linux.resources.cpus - did you mean cpu? It has NO effect"]);
}

#[test]
fn refuses_large_and_missing_files() {
    let dir = tempfile::tempdir().expect("a directory");
    let load = || load(dir.path(), &mut Warnings::default()).map(drop).map_err(|e| e.to_string());
    assert_eq!(load(), Err("JSON specification file config.json not found".into()));
    let file = File::create(dir.path().join("config.json")).expect("create");
    file.set_len(SIZE_LIMIT + 1).expect("a sparse file");
    assert_eq!(load(), Err("config.json is larger than 16 MiB".into()));
    file.set_len(0).expect("empty");
    assert_eq!(load(), Err("config.json:1:1: the file is empty".into()));
    std::fs::write(dir.path().join("config.json"), r#"{"ociVersion": "1.0.0"}"#).expect("write");
    assert_eq!(load(), Err("process property must not be empty".into()));
    assert_eq!(
        super::load(Path::new("/nope"), &mut Warnings::default()).map(drop).map_err(|e| e.to_string()),
        Err("chdir /nope: no such file or directory".into())
    );
}

#[test]
fn escapes_the_text_of_others() {
    assert_eq!(shown("a\u{1b}[31m\nb"), "a\\u{1b}[31m\\nb");
    assert!(shown(&"x".repeat(1000)).len() < 210);
}
