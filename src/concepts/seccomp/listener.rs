//! Handing the notification descriptor to the agent that answers for the container.
//!
//! A call with the verdict "notify" waits until the holder of this descriptor has decided (seccomp_unotify(2)). The agent
//! gets it over a unix socket, with a JSON document that says which container it belongs to (runtime-spec
//! config-linux.md, "The Container Process State"). The agent sees arguments, not what they point to: memory of the
//! container can change between its look and the call, so that a notification is no place for a security decision.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::sys::socket::SockType;
use serde_json::{Value, json};

use crate::error::{At, Error, Result};
use crate::sys::{fd, socket};

/// Connects to the agent at `path` and sends it the descriptor `fd` of the process `pid` (as the host sees it). `state` is
/// the container's state document; `metadata` goes along uninterpreted, unless empty.
pub fn send_listener(path: &Path, metadata: &str, state: &[u8], pid: i32, fd: BorrowedFd) -> Result<()> {
    let text = process_state(metadata, state, pid).map_err(|e| Error::new(format!("write the container process state: {e}")))?;
    let socket = socket::connect(SockType::Stream, path).at(|| format!("connect the seccomp listener {}", path.display()));
    let socket = socket.map_err(|e| {
        let error = e.config("linux.seccomp.listenerPath").code("E-SECCOMP");
        error.hint("start the agent that listens there before the container")
    })?;
    fd::send(socket.as_fd(), &text, Some(fd)).at(|| format!("send the seccomp descriptor to {}", path.display()))
}

fn process_state(metadata: &str, state: &[u8], pid: i32) -> serde_json::Result<Vec<u8>> {
    let state: Value = serde_json::from_slice(state)?;
    let mut document = json!({ "ociVersion": state["ociVersion"], "fds": ["seccompFd"], "pid": pid, "state": state });
    if !metadata.is_empty() {
        document["metadata"] = metadata.into();
    }
    serde_json::to_vec(&document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_the_specifications() {
        let document = |metadata| {
            let text = process_state(metadata, br#"{"ociVersion": "1.2.0", "id": "x", "pid": 7}"#, 8).expect("JSON");
            serde_json::from_slice::<Value>(&text).expect("JSON")
        };
        let state = json!({"ociVersion": "1.2.0", "id": "x", "pid": 7});
        assert_eq!(document(""), json!({"ociVersion": "1.2.0", "fds": ["seccompFd"], "pid": 8, "state": state}));
        assert_eq!(document("m")["metadata"], "m");
    }

    #[test]
    fn an_absent_agent_is_an_error_that_names_the_path() {
        let error = send_listener(Path::new("/nonexistent/agent"), "", b"{}", 1, fd::cwd()).expect_err("nobody listens");
        assert!(error.to_string().contains("/nonexistent/agent"), "{error}");
    }
}
