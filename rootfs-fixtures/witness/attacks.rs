//! The witness as an attacker: what a hostile process in a container tries on rrun while rrun works beside it.
//!
//! `attack watch FILE` tries everything on every process that appears, until SIGTERM, and writes to FILE how many it saw and
//! what it got hold of. `attack overwrite PID FIFO` tries to write to the program of PID, then lets PID go on by opening
//! FIFO, and tries again when PID has ended and its program is no longer in use.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use serde_json::{Value, json};

use crate::kernel::{self, Argument};

/// The program of rrun is a static one and lies here.
const ADDRESS: i64 = 0x0040_0000;

/// Attacks; what is to be printed.
pub fn attack(args: &[String]) -> Result<Value, String> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["watch", file] => watch(file),
        ["overwrite", pid, fifo] => Ok(overwrite(pid, fifo)),
        _ => Err("attack watch FILE | attack overwrite PID FIFO".to_owned()),
    }
}

fn pids() -> BTreeSet<i64> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeSet::new() };
    entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
}

fn watch(file: &str) -> Result<Value, String> {
    let end: SigSet = [Signal::SIGTERM].into_iter().collect();
    end.thread_block().map_err(|e| e.to_string())?;
    let known = pids();
    let (mut seen, mut taken) = (BTreeSet::new(), BTreeSet::new());
    fs::write(file, "").map_err(|e| e.to_string())?;
    while !kernel::is_pending(Signal::SIGTERM) {
        for pid in pids().difference(&known) {
            seen.insert(*pid);
            taken.extend(try_all(*pid));
        }
    }
    let result = json!({ "seen": seen.len(), "taken": taken });
    fs::write(file, result.to_string()).map_err(|e| e.to_string())?;
    Ok(result)
}

/// What worked on this process.
fn try_all(pid: i64) -> Vec<String> {
    let path = |name: &str| format!("/proc/{pid}/{name}");
    let mut taken = vec![];
    for link in ["root", "cwd", "exe"] {
        if let Ok(target) = fs::read_link(path(link)) {
            taken.push(format!("{link} -> {}", target.display()));
        }
    }
    for file in ["environ", "auxv", "maps"] {
        // Of a process that has ended they can be opened, and are empty.
        if File::open(path(file)).is_ok_and(|mut file| file.read(&mut [0]).is_ok_and(|n| n > 0)) {
            taken.push(file.to_owned());
        }
    }
    for entry in fs::read_dir(path("fd")).into_iter().flatten().flatten() {
        // That there is a number is no secret among processes of one user; what it stands for is.
        if let Ok(target) = fs::read_link(entry.path()) {
            taken.push(format!("fd {} -> {}", entry.file_name().to_string_lossy(), target.display()));
        }
    }
    if kernel::trace(pid) {
        taken.push("ptrace".to_owned());
    }
    if kernel::peek(pid, ADDRESS) {
        taken.push("process_vm_readv".to_owned());
    }
    let number = |n: i64| Argument::Number(n);
    if let Ok(pidfd) = kernel::call(libc::SYS_pidfd_open, &[number(pid), number(0)]) {
        for fd in 0..40 {
            if let Ok(copy) = kernel::call(libc::SYS_pidfd_getfd, &[number(pidfd), number(fd), number(0)]) {
                taken.push(format!("pidfd_getfd {fd}"));
                kernel::call(libc::SYS_close, &[number(copy)]).ok();
            }
        }
        kernel::call(libc::SYS_close, &[number(pidfd)]).ok();
    }
    taken
}

fn overwrite(pid: &str, fifo: &str) -> Value {
    let exe = format!("/proc/{pid}/exe");
    let name = |errno: Option<i32>| errno.map_or(Value::Null, |e| json!(format!("{:?}", Errno::from_raw(e))));
    let open = |path: &str, options: &mut OpenOptions| match options.open(path).and_then(|mut f| f.write_all(b"\x7fpwned")) {
        Ok(()) => json!("written"),
        Err(e) => name(e.raw_os_error()),
    };
    let held = File::open(&exe);
    let reading = held.as_ref().map_or_else(|e| name(e.raw_os_error()), |_| json!("opened"));
    let running = [open(&exe, OpenOptions::new().write(true)), open(&exe, OpenOptions::new().read(true).append(true))];
    // From here on the program goes on, and ends.
    drop(File::open(fifo));
    while fs::read_link(&exe).is_ok() {
        std::thread::yield_now();
    }
    let ended = held.map_or(Value::Null, |held| {
        let path = format!("/proc/self/fd/{}", held.as_raw_fd());
        // It is busy a little longer than it can be seen.
        for _ in 0..400 {
            if open(&path, OpenOptions::new().write(true)) != "ETXTBSY" {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        json!([open(&path, OpenOptions::new().write(true)), open(&path, OpenOptions::new().read(true).append(true))])
    });
    json!({ "reading": reading, "running": running, "ended": ended })
}
