//! `update`: each change is proved by its effect, and each refusal by what it left untouched.

mod changes;
mod refusals;
mod scopes;

use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;

use crate::cgroups::{group, is_v2, limited, read};
use crate::support::*;

/// The tests of all parts.
pub fn tests() -> Vec<Test> {
    [changes::tests(), refusals::tests(), scopes::tests()].into_iter().flatten().collect()
}

/// A container that only sleeps, with these limits.
fn sleeper(resources: Value) -> Bundle {
    let b = limited(&["sleep", "1000"], resources);
    b.run_detached();
    b
}

fn update(b: &Bundle, args: &[&str]) -> Done {
    b.rrun(["update"].iter().chain(args).copied().chain([b.id.as_str()]))
}

/// `update ARGS ID` with a document on stdin.
fn update_from(b: &Bundle, args: &[&str], text: &str) -> Done {
    let mut command = b.command(["update"].iter().chain(args).copied().chain([b.id.as_str()]));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start rrun");
    // A refused command does not read it.
    drop(child.stdin.take().expect("stdin").write_all(text.as_bytes()));
    child.wait_with_output().expect("wait").into()
}

/// What stands in a file of the group: on v1 `v1` is `controller/file`, on v2 `v2` is the file.
fn value(b: &Bundle, v1: &str, v2: &str) -> String {
    read(path(b, v1, v2)).trim_end().to_owned()
}

fn path(b: &Bundle, v1: &str, v2: &str) -> PathBuf {
    let (controller, file) = if is_v2() { ("", v2) } else { v1.split_once('/').expect("controller/file") };
    group(b, controller).join(file)
}

fn pids(b: &Bundle) -> String {
    value(b, "pids/pids.max", "pids.max")
}

fn memory(b: &Bundle) -> String {
    value(b, "memory/memory.limit_in_bytes", "memory.max")
}
