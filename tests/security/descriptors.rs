//! Descriptors: a directory of the host that is open in rrun is a way out by `/proc/self/fd/N` (CVE-2024-21626), as a working
//! directory and as the directory of the program.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::json;

use super::Canary;
use crate::support::*;

crate::tests![
    no_leaked_descriptor_is_a_working_directory,
    no_leaked_descriptor_leads_to_a_program,
    no_leaked_descriptor_survives_a_sealed_start if needs_root,
];

/// Every descriptor from 3 to 64 is the directory `$1`; then the command.
const LEAK: &str = "dir=$1; shift; for n in {3..64}; do eval \"exec $n<$dir\"; done; exec \"$@\"";

fn leaking(b: &Bundle, canary: &Canary, args: &[&str]) -> Done {
    let command = b.command(args.iter().copied());
    let mut shell = match &b.user {
        Some(user) => user.command("bash"),
        None => Command::new("bash"),
    };
    shell.args(["-c", LEAK, "bash"]).arg(canary.path());
    match &b.user {
        Some(_) => shell.arg(user::public_rrun()).arg("--root").arg(b.root()).args(args),
        None => shell.arg(command.get_program()).args(command.get_args()),
    };
    shell.current_dir(b.path()).stdin(Stdio::null()).output().expect("run bash").into()
}

const NUMBERS: [u32; 12] = [3, 4, 5, 6, 7, 8, 9, 12, 17, 33, 63, 64];

fn no_leaked_descriptor_is_a_working_directory() {
    for mut b in super::of_every_caller(&["sh", "-c", "cat ptmx ../canary/ptmx ../../../../../../../../../etc/hostname; true"]) {
        let canary = Canary::new(&b);
        fs::write(b.rootfs().join("etc/hostname"), "of the container\n").expect("write");
        // Whether the number is nobody's, or becomes one of rrun's own on the way there.
        for number in 0..=64 {
            b.config["process"]["cwd"] = json!(format!("/proc/self/fd/{number}"));
            let done = leaking(b.write(), &canary, &["run", &b.id]);
            assert!(!done.out.contains("secret of the host"), "{number}: {done:?}");
            assert!(done.code == 1 && done.err.contains("chdir to cwd"), "{number}: {done:?}");
        }
        b.config["process"]["cwd"] = json!("/");
        b.config["process"]["args"] = json!(["sleep", "1000"]);
        b.run_detached();
        for number in NUMBERS {
            let cwd = format!("/proc/self/fd/{number}");
            let done = leaking(&b, &canary, &["exec", "--cwd", &cwd, &b.id, "sh", "-c", "cat ptmx ../canary/ptmx"]);
            assert!(done.code != 0 && !done.out.contains("secret of the host"), "{number}: {done:?}");
        }
        canary.assert_untouched("working directories");
    }
}

/// execve(2) resolves its path, and that of a script's interpreter, before it closes what is marked close-on-exec.
fn no_leaked_descriptor_leads_to_a_program() {
    for mut b in super::of_every_caller(&["sleep", "1000"]) {
        let canary = with_program(&b);
        b.run_detached();
        for number in NUMBERS {
            let program = format!("/proc/self/fd/{number}/program");
            assert_no_program(leaking(&b, &canary, &["exec", &b.id, &program, "attack"]), &program);
        }
        b.rrun(["delete", "--force", &b.id]).ok();
        for number in NUMBERS {
            let program = format!("/proc/self/fd/{number}/program");
            b.config["process"]["args"] = json!([program, "attack"]);
            assert_no_program(leaking(b.write(), &canary, &["run", &b.id]), &program);
        }
        canary.assert_untouched("programs");
    }
}

/// The witness outside of the root: it complains when it is run.
fn with_program(b: &Bundle) -> Canary {
    let mut canary = Canary::new(b);
    copy_program(witness_path(), canary.path().join("program"));
    canary.before = super::tree(canary.path());
    canary
}

#[track_caller]
fn assert_no_program(done: Done, what: &str) {
    assert!(done.code == 1 || done.code == 255, "{what}: {done:?}");
    assert!(!done.err.contains("witness:"), "a program of the host ran by {what}: {done:?}");
}

/// From a read-only mount rrun starts once: no execve of its own closes what the caller left open.
fn no_leaked_descriptor_survives_a_sealed_start() {
    let mut b = Bundle::new(&["true"]);
    let canary = with_program(&b);
    let binary = b.scratch("rrun");
    copy_program(rrun_path(), &binary);
    fs::create_dir_all(b.root()).expect("mkdir");
    fs::write(b.rootfs().join("script"), "").expect("write");
    let seal = format!("mount --bind {0} {0} && mount -o remount,bind,ro {0} && {LEAK}", binary.display());
    for number in NUMBERS {
        let program = format!("/proc/self/fd/{number}/program");
        let search = format!("PATH=/proc/self/fd/{number}");
        for (args, env) in [(json!([program, "attack"]), "PATH=/bin"), (json!(["program", "attack"]), search.as_str())] {
            b.config["process"]["args"] = args;
            b.config["process"]["env"] = json!([env]);
            let mut shell = Command::new("unshare");
            shell.args(["--mount", "--propagation", "private", "bash", "-c", &seal, "bash"]).arg(canary.path());
            shell
                .arg(&binary)
                .arg("--root")
                .arg(b.root())
                .args(["run", &b.id])
                .current_dir(b.write().path())
                .stdin(Stdio::null());
            assert_no_program(shell.output().expect("run unshare").into(), &program);
        }
    }
    canary.assert_untouched("programs");
}
