//! Labels: in force where the kernel has the module, refused where it lacks it. (The keyring has tests/keyring.rs.)
//!
//! AppArmor's profiles are loaded by the tests. SELinux has one policy for the whole machine, so its tests run only where
//! that of scripts/vm/selinux.cil is loaded: `scripts/vm.sh --lsm selinux`.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::*;

crate::tests![
    an_apparmor_profile_without_apparmor_is_refused if host_has_apparmor,
    an_selinux_label_without_selinux_is_refused if host_has_selinux,
    an_unknown_apparmor_profile_is_refused if host_lacks_apparmor,
    the_unconfined_profile_is_taken if host_lacks_apparmor,
    a_profile_is_in_force if host_lacks_apparmor,
    exec_takes_the_profile_of_the_container_or_its_own if host_lacks_apparmor,
    a_fake_proc_takes_no_profile if host_lacks_apparmor,
    an_selinux_label_is_in_force if lacks_selinux_policy,
    exec_takes_the_label_of_the_container_or_its_own if lacks_selinux_policy,
    keys_are_labelled_like_the_process if lacks_selinux_policy,
    new_filesystems_carry_the_mount_label if lacks_selinux_policy,
    unknown_labels_are_refused if lacks_selinux_policy,
];

fn apparmor() -> bool {
    std::fs::read_to_string("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with('Y'))
}

fn host_has_apparmor() -> Option<&'static str> {
    apparmor().then_some("needs a kernel without AppArmor")
}

fn host_lacks_apparmor() -> Option<&'static str> {
    let parser = || Command::new("apparmor_parser").arg("--version").output().is_ok();
    (!apparmor() || needs_root().is_some() || !parser()).then_some("needs AppArmor and root")
}

pub fn host_has_selinux() -> Option<&'static str> {
    std::path::Path::new("/sys/fs/selinux/enforce").exists().then_some("needs a kernel without SELinux")
}

fn an_apparmor_profile_without_apparmor_is_refused() {
    let mut b = Bundle::new(&["true"]);
    b.config["process"]["apparmorProfile"] = json!("some-profile");
    b.run().fails_with("apparmor profile is specified in config, but apparmor is disabled or not supported");
    b.assert_no_trace();
}

fn an_selinux_label_without_selinux_is_refused() {
    let text = "selinux label is specified in config, but selinux is disabled or not supported";
    let mut b = Bundle::new(&["true"]);
    b.config["process"]["selinuxLabel"] = json!("system_u:system_r:container_t:s0");
    b.run().fails_with(text);
    b.config["process"].as_object_mut().expect("object").remove("selinuxLabel");
    b.config["linux"]["mountLabel"] = json!("system_u:object_r:container_file_t:s0");
    b.run().fails_with(text);
}

fn lacks_selinux_policy() -> Option<&'static str> {
    // Without any policy a kernel takes every label for known.
    let loaded = std::path::Path::new("/sys/fs/selinux/class/process").exists();
    let known = loaded && std::fs::write("/sys/fs/selinux/context", BOX).is_ok();
    (!known || needs_root().is_some()).then_some("needs SELinux with the policy of scripts/vm")
}

/// A profile of AppArmor that allows all but the files below /denied; it is gone when this is.
struct Profile(String);

impl Profile {
    fn load(b: &Bundle, name: &str, denied: &str) -> Self {
        let profile = Self(format!("{name}-{}", b.id));
        let text = "file, capability, network, signal, ptrace, unix, mount, umount,";
        profile.parser("--replace", &format!("{text} deny {denied} rwklx,"));
        profile
    }

    fn parser(&self, flag: &str, rules: &str) {
        let mut parser = Command::new("apparmor_parser").args(["--skip-cache", flag]).stdin(Stdio::piped()).spawn().expect("run");
        let text = format!("profile {} flags=(attach_disconnected) {{ {rules} }}\n", self.0);
        parser.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("write the profile");
        assert!(parser.wait().expect("wait").success(), "apparmor_parser {flag}");
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        self.parser("--remove", "");
    }
}

/// Prints the profile, then what comes of two files of which profiles forbid one.
const LOOK: &str = "cat /proc/self/attr/current /a /b 2>&1";

fn with_files(args: &[&str]) -> Bundle {
    let b = Bundle::new(args);
    for name in ["a", "b"] {
        std::fs::write(b.rootfs().join(name), format!("{name}\n")).expect("write");
    }
    b
}

fn an_unknown_apparmor_profile_is_refused() {
    let text = "unable to apply apparmor profile: apparmor failed to apply profile: write `/proc/thread-self/attr/apparmor/exec`: \
                no such file or directory";
    let mut b = Bundle::new(&["sleep", "100"]);
    b.config["process"]["apparmorProfile"] = json!("rrun-test-no-such-profile");
    b.run().fails_with(text);
    b.assert_no_trace();
    b.config["process"]["apparmorProfile"] = json!("");
    b.run_detached();
    let done = b.rrun(["exec", "--apparmor", "rrun-test-no-such-profile", &b.id, "true"]);
    assert_eq!(done.code, 255, "{done:?}");
    assert!(done.err.contains(text), "{done:?}");
}

fn a_profile_is_in_force() {
    let mut b = with_files(&["sh", "-c", LOOK]);
    let profile = Profile::load(&b, "no-a", "/a");
    b.config["process"]["apparmorProfile"] = json!(profile.0);
    for no_new_privileges in [true, false] {
        b.config["process"]["noNewPrivileges"] = json!(no_new_privileges);
        let done = b.run();
        assert_eq!(done.out, format!("{} (enforce)\ncat: can't open '/a': Permission denied\nb\n", profile.0), "{done:?}");
    }
    // The first program comes from outside; which others may follow is the profile's to say.
    let strict = Profile::load(&b, "no-program", "/bin/busybox");
    b.config["process"]["apparmorProfile"] = json!(strict.0);
    let done = b.run();
    assert_eq!((done.code, done.out.as_str()), (126, "sh: cat: Permission denied\n"), "{done:?}");
    b.assert_no_trace();
}

fn exec_takes_the_profile_of_the_container_or_its_own() {
    let mut b = with_files(&["sleep", "100"]);
    let (of_container, of_exec) = (Profile::load(&b, "no-a", "/a"), Profile::load(&b, "no-b", "/b"));
    b.config["process"]["apparmorProfile"] = json!(of_container.0);
    b.run_detached();
    let seen = |args: &[&str]| {
        let all: Vec<&str> = ["exec"].iter().chain(args).copied().chain([b.id.as_str(), "sh", "-c", LOOK]).collect();
        b.rrun(all).out
    };
    let without_a = format!("{} (enforce)\ncat: can't open '/a': Permission denied\nb\n", of_container.0);
    assert_eq!(seen(&[]), without_a);
    assert_eq!(seen(&["--apparmor="]), without_a, "no name takes nothing away");
    let without_b = format!("{} (enforce)\na\ncat: can't open '/b': Permission denied\n", of_exec.0);
    assert_eq!(seen(&["--apparmor", &of_exec.0]), without_b);
    let file = b.scratch("process.json");
    let mut process = b.config["process"].clone();
    process["args"] = json!(["sh", "-c", LOOK]);
    process["apparmorProfile"] = json!(of_exec.0);
    std::fs::write(&file, process.to_string()).expect("write");
    assert_eq!(b.rrun(["exec", "--process", file.to_str().expect("UTF-8"), &b.id]).out, without_b);
}

/// CVE-2019-16884: the label went to a file of the image, and the container ran without.
fn a_fake_proc_takes_no_profile() {
    let mut b = with_files(&["cat", "/a"]);
    let profile = Profile::load(&b, "no-a", "/a");
    b.config["process"]["apparmorProfile"] = json!(profile.0);
    b.config["mounts"] = json!([]);
    let own = b.rootfs().join("proc");
    for dir in ["self", "thread-self"] {
        std::fs::create_dir_all(own.join(dir).join("attr/apparmor")).expect("mkdir");
        for file in ["attr/exec", "attr/apparmor/exec"] {
            std::fs::write(own.join(dir).join(file), "").expect("write");
        }
    }
    for noise in ["maskedPaths", "readonlyPaths"] {
        b.config["linux"][noise] = json!([]);
    }
    b.run().fails_with("can't open '/a': Permission denied");
    b.run_detached();
    for file in ["attr/exec", "attr/apparmor/exec"] {
        assert_eq!(std::fs::read_to_string(own.join("thread-self").join(file)).expect("read"), "");
    }
    // A volume in its place is refused before anything could be written to it.
    b.config["mounts"] = json!([{"destination": "/proc", "type": "bind", "source": own, "options": ["bind"]}]);
    b.rrun(["delete", "--force", &b.id]).ok();
    b.run().fails_with("/proc");
    b.config["mounts"] = json!([{"destination": "/proc", "type": "proc", "source": "proc"}]);
    std::fs::remove_dir_all(&own).expect("remove");
    std::os::unix::fs::symlink("tmp", &own).expect("symlink");
    b.run().fails_with("/proc");
}

fn the_unconfined_profile_is_taken() {
    let mut b = Bundle::new(&["witness"]);
    b.config["process"]["apparmorProfile"] = json!("unconfined");
    assert_eq!(b.witness()["lsm"], "unconfined");
}

const BOX: &str = "system_u:system_r:rrun_box_t:s0:c1,c2";
const FILE: &str = "system_u:object_r:rrun_file_t:s0:c1,c2";
const SECRET: &str = "system_u:object_r:rrun_secret_t:s0";

fn an_selinux_label_is_in_force() {
    let mut b = Bundle::new(&["sh", "-c", "cat /proc/self/attr/current; echo; cat /secret/file"]);
    b.config["process"]["selinuxLabel"] = json!(BOX);
    let mount = json!({"destination": "/secret", "type": "tmpfs", "source": "t", "options": ["tmpcopyup", format!("context=\"{SECRET}\"")]});
    b.config["mounts"].as_array_mut().expect("mounts").push(mount);
    std::fs::create_dir(b.rootfs().join("secret")).expect("mkdir");
    std::fs::write(b.rootfs().join("secret/file"), "text\n").expect("write");
    for no_new_privileges in [true, false] {
        b.config["process"]["noNewPrivileges"] = json!(no_new_privileges);
        let done = b.run();
        assert_eq!(done.out.trim_end().trim_end_matches('\0'), BOX, "{done:?}");
        assert!(done.err.contains("Permission denied"), "{done:?}");
    }
    // The file itself is open to root.
    b.config["process"].as_object_mut().expect("object").remove("selinuxLabel");
    assert!(b.run().ok().ends_with("text\n"));
}

fn exec_takes_the_label_of_the_container_or_its_own() {
    let mut b = Bundle::new(&["sleep", "100"]);
    b.config["process"]["selinuxLabel"] = json!(BOX);
    b.run_detached();
    let seen = |args: &[&str]| {
        let all: Vec<&str> = ["exec"].iter().chain(args).copied().chain([b.id.as_str(), "witness", "lsm"]).collect();
        serde_json::from_str::<Value>(&b.rrun(all).ok()).expect("JSON")["lsm"]
            .as_str()
            .expect("a label")
            .trim_end_matches('\0')
            .to_owned()
    };
    assert_eq!(seen(&[]), BOX);
    assert_eq!(seen(&["--process-label="]), BOX, "no label takes nothing away");
    let other = "system_u:system_r:rrun_box_t:s0:c0";
    assert_eq!(seen(&["--process-label", other]), other);
}

fn keys_are_labelled_like_the_process() {
    let mut b = Bundle::new(&["witness", "session_keyring"]);
    b.config["process"]["selinuxLabel"] = json!(BOX);
    let seen: Value = serde_json::from_str(&b.run().ok()).expect("JSON");
    assert_eq!(seen["session_keyring"]["label"], BOX);
}

/// As runc: every new filesystem that can have one, the root of mqueue, and what hides directories; no bind.
fn new_filesystems_carry_the_mount_label() {
    let mut b = Bundle::new(&["sleep", "100"]);
    b.config["linux"]["mountLabel"] = json!(FILE);
    b.config["linux"]["maskedPaths"] = json!(["/proc/fs"]);
    let source = b.scratch("source");
    std::fs::create_dir(&source).expect("mkdir");
    let bind = json!({"destination": "/bind", "type": "bind", "source": source, "options": ["bind"]});
    b.config["mounts"].as_array_mut().expect("mounts").push(bind);
    b.run_detached();
    let root = format!("/proc/{}/root", b.state()["pid"]);
    let label = |path: &str| {
        let mut command = Command::new("getfattr");
        command.args(["--absolute-names", "--only-values", "-n", "security.selinux"]).arg(format!("{root}{path}"));
        let done: Done = command.output().expect("run getfattr").into();
        done.ok().trim_end_matches('\0').to_owned()
    };
    for path in ["/dev", "/dev/null", "/dev/shm", "/dev/pts", "/dev/mqueue", "/proc/fs"] {
        assert_eq!(label(path), FILE, "{path}");
    }
    for path in ["/bind", "/proc", "/sys", "/etc"] {
        assert_ne!(label(path), FILE, "{path}");
    }
}

fn unknown_labels_are_refused() {
    let mut b = Bundle::new(&["true"]);
    let unknown = "system_u:system_r:no_such_type_t:s0";
    b.config["process"]["selinuxLabel"] = json!(unknown);
    for args in [[].as_slice(), &["--no-new-keyring"]] {
        let done = b.run_with(args);
        done.fails_with("unable to apply selinux label: write `/proc/thread-self/attr/");
        done.fails_with("invalid argument (config.json: process.selinuxLabel)");
        b.assert_no_trace();
    }
    b.config["process"].as_object_mut().expect("object").remove("selinuxLabel");
    b.config["linux"]["mountLabel"] = json!(unknown);
    let done = b.run();
    done.fails_with("error mounting \"tmpfs\" to rootfs at \"/dev\"");
    done.fails_with("correct linux.mountLabel");
    b.assert_no_trace();
}
