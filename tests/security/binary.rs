//! The binary: a container that gets hold of the program that started it must not be able to write to it (CVE-2019-5736).

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::of_every_caller;
use crate::support::*;

crate::tests![a_program_that_becomes_rrun_cannot_write_to_it, a_binary_that_cannot_be_written_needs_no_second_start if needs_root];

/// A copy of rrun that belongs to whoever runs it, so that nothing but the seal protects it.
fn own_copy(b: &Bundle) -> PathBuf {
    let dir = b.scratch("own");
    fs::create_dir(&dir).expect("mkdir");
    let copy = dir.join("rrun");
    copy_program(rrun_path(), &copy);
    fs::set_permissions(&copy, PermissionsExt::from_mode(0o755)).expect("chmod");
    if let Some(user) = &b.user {
        user.own(&dir);
    }
    copy
}

/// The bundle's command with another binary.
fn command_of(b: &Bundle, binary: &Path, args: &[&str]) -> Command {
    let usual = b.command(args.iter().copied());
    let mut command = match &b.user {
        Some(user) => {
            let mut command = user.command(binary);
            command.arg("--root").arg(b.root()).args(args);
            command
        }
        None => {
            let mut command = Command::new(binary);
            command.args(usual.get_args());
            command
        }
    };
    command.current_dir(b.path()).stdin(Stdio::null());
    command
}

/// The container's program is a script whose interpreter is `/proc/self/exe`: at that moment rrun itself. It waits for a
/// FIFO as its log, so that the attacker has all the time there is; and the attacker tries again when it has ended, when no
/// "text file busy" protects it any more.
const ATTACKER: &str = "while ! [ -s /pid ]; do sleep 0.01; done; /bin/witness attack overwrite $(cat /pid) /fifo > /new; mv /new /told; \
                        sleep 1000";

fn a_program_that_becomes_rrun_cannot_write_to_it() {
    for b in of_every_caller(&["sh", "-c", ATTACKER]) {
        let binary = own_copy(&b);
        let look = || (fs::read(&binary).expect("read"), fs::metadata(&binary).expect("stat").ctime_nsec());
        fs::write(b.rootfs().join("script"), "#!/proc/self/exe --log=/fifo\n").expect("write");
        fs::set_permissions(b.rootfs().join("script"), PermissionsExt::from_mode(0o755)).expect("chmod");
        nix::unistd::mkfifo(&b.rootfs().join("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o666)).expect("mkfifo");
        if let Some(user) = &b.user {
            user.own(&b.rootfs());
        }
        let before = look();
        b.write();
        let quiet = |args: &[&str]| {
            let mut command = command_of(&b, &binary, args);
            assert!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("start rrun").success(), "{args:?}");
        };
        quiet(&["run", "--detach", &b.id]);
        let pid_file = b.scratch("pid");
        quiet(&["exec", "--detach", "--pid-file", pid_file.to_str().expect("UTF-8"), &b.id, "/script"]);
        let status =
            fs::read_to_string(format!("/proc/{}/status", fs::read_to_string(&pid_file).expect("pid"))).expect("it waits");
        let inside =
            status.lines().find_map(|l| l.strip_prefix("NSpid:")).and_then(|l| l.split_whitespace().last()).expect("a pid");
        fs::write(b.rootfs().join("pid"), inside).expect("write");
        wait_until("the attacker has tried", || b.rootfs().join("told").exists());
        let told = fs::read_to_string(b.rootfs().join("told")).expect("read");
        let tried: Value = serde_json::from_str(&told).unwrap_or_else(|e| panic!("{e}: {told}"));
        assert!(look() == before, "the binary was changed: {tried}");
        assert_eq!(tried["reading"], "opened", "the attack never had the program in hand: {tried}");
        for outcome in tried["running"].as_array().expect("a list").iter().chain(tried["ended"].as_array().expect("a list")) {
            assert!(["ETXTBSY", "EROFS", "EPERM"].contains(&outcome.as_str().expect("text")), "{tried}");
        }
        assert!(!tried["ended"].to_string().contains("ETXTBSY"), "it was still in use: {tried}");
    }
}

/// On a read-only mount there is nothing to seal, and no second execve.
fn a_binary_that_cannot_be_written_needs_no_second_start() {
    let b = Bundle::new(&["true"]);
    let binary = own_copy(&b);
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" && shift && exec strace -f -qq -e trace=execve,execveat \"$@\"";
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]).arg(&binary).arg(&binary);
    shell.arg("--root").arg(b.root()).args(["run", &b.id]).current_dir(b.write().path()).stdin(Stdio::null());
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        return;
    }
    fs::create_dir_all(b.root()).expect("mkdir");
    let done: Done = shell.output().expect("run unshare").into();
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(done.err.matches("execveat(").count(), 0, "{done:?}");
}
