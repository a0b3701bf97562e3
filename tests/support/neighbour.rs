//! A process beside the container, whose namespaces tests join.

use std::process::{Child, Command};

/// A process of the test's own in new namespaces of the kinds given (unshare(1)), killed and reaped on drop.
pub struct Neighbour(Child);

impl Neighbour {
    /// Starts it with the flags of unshare(1).
    pub fn new(flags: &[&str]) -> Self {
        let child =
            Command::new("unshare").args(flags).args(["--fork", "--kill-child", "sleep", "1000"]).spawn().expect("run unshare");
        let neighbour = Self(child);
        // The sleeper is there once unshare has forked it.
        while neighbour.sleeper().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        neighbour
    }

    fn sleeper(&self) -> Option<String> {
        let path = format!("/proc/{0}/task/{0}/children", self.0.id());
        let pid = std::fs::read_to_string(path).ok()?.split_whitespace().next()?.to_owned();
        let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        (comm.trim() == "sleep").then_some(pid)
    }

    /// The file of its namespace of the kind (`net`, `mnt`, ...).
    pub fn file(&self, kind: &str) -> String {
        format!("/proc/{}/ns/{kind}", self.sleeper().expect("the sleeper lives"))
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.0.kill().expect("kill unshare");
        self.0.wait().expect("reap unshare");
    }
}
