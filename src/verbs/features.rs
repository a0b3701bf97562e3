//! `features`: what this runtime can do, as the specification's features document (runtime-spec, features.md).
//!
//! Engines switch functions on by it (pods with a user namespace, recursive read-only mounts), so it says only what is so:
//! a restriction that is announced and not made is a hole.

use serde::Serialize;
use serde_json::{Value, json};

use super::Outcome;
use super::version::SPEC;
use crate::error::Result;

/// Prints the document. Works as any user, without a state root.
pub fn run() -> Result<Outcome> {
    let mut text = vec![];
    let mut writer = serde_json::Serializer::with_formatter(&mut text, serde_json::ser::PrettyFormatter::with_indent(b"    "));
    document().serialize(&mut writer).expect("plain data has a JSON form");
    let text = String::from_utf8(text).expect("JSON is UTF-8");
    Ok(Outcome::print(text + "\n"))
}

fn document() -> Value {
    json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": SPEC,
        "hooks": ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
        "linux": {
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"],
        },
        "annotations": {"io.rrun.version": env!("CARGO_PKG_VERSION"), "org.opencontainers.runc.checkpoint.enabled": "false"},
        "potentiallyUnsafeConfigAnnotations": ["bundle", "org.systemd.property.", "org.criu.config"],
    })
}
