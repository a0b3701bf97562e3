//! What making a container does, in plain words: `--narrate`.
//!
//! `rrun plan` and `--debug` name every step, for those who know what a step is; this is for those who see it for the first
//! time. Both go by the same list: a line appears only when the step it speaks of is taken, so that after a failure the
//! last line says how far it came.

use super::{Plan, ProcessPlan, Step};

/// The kinds of namespaces, in the order that people count them in.
const KINDS: [&str; 8] = ["mount", "uts", "ipc", "pid", "network", "user", "cgroup", "time"];

impl Plan {
    /// The lines of the steps that `taken` says yes to, in order.
    pub fn story(&self, taken: impl Fn(Step) -> bool) -> Vec<String> {
        let mut lines = vec![];
        let mut tell = |step: Step, told: Vec<String>| {
            if taken(step) {
                lines.extend(told);
            }
        };
        tell(Step::Clone, vec![self.tell_namespaces()]);
        tell(Step::EnterCgroups, self.cgroups.story().into_iter().collect());
        tell(Step::Users, self.users.iter().map(|u| format!("uid 0 inside is uid {} outside", u.root().0)).collect());
        tell(Step::Layers, self.layers.iter().map(|_| "stacked the root from layers (overlayfs)".to_owned()).collect());
        let mounts = self.mounts.describe().len();
        tell(Step::Mounts, vec![format!("mounted {mounts} file systems below the root")]);
        tell(Step::EnterRoot, vec![self.rootfs.story()]);
        let masks = self.masks.describe();
        let hidden = masks.iter().filter(|line| line.starts_with("hide ")).count();
        tell(Step::Masks, vec![format!("hid {hidden} paths, made {} read-only", masks.len() - hidden)]);
        let early = self.process.seccomp_early();
        tell(Step::Bounding, vec![self.process.tell_capabilities()]);
        tell(if early { Step::SeccompEarly } else { Step::SeccompLate }, self.process.tell_filter());
        tell(Step::Gate, vec!["waits for rrun start".to_owned()].into_iter().filter(|_| self.gated).collect());
        tell(Step::Execve, vec![self.process.tell_program()].into_iter().filter(|_| !self.gated).collect());
        lines
    }

    fn tell_namespaces(&self) -> String {
        let joined: Vec<&str> =
            self.namespaces.pid.iter().chain(&self.namespaces.joins).chain(&self.namespaces.user).map(|j| j.name).collect();
        let new: Vec<&str> = KINDS.into_iter().filter(|kind| self.namespaces.new.contains(kind)).collect();
        let shared: Vec<&str> = KINDS.into_iter().filter(|kind| !new.contains(kind) && !joined.contains(kind)).collect();
        let parts = [("new namespaces", new), ("joined", joined), ("shared with the host", shared)];
        let parts =
            parts.iter().filter(|(_, kinds)| !kinds.is_empty()).map(|(name, kinds)| format!("{name}: {}", kinds.join(", ")));
        parts.collect::<Vec<_>>().join("; ")
    }
}

impl ProcessPlan {
    /// What `exec` does with these attributes, in a container of so many namespaces whose init is `pid`.
    pub fn story_of_exec(&self, namespaces: u32, pid: i32) -> Vec<String> {
        let mut lines =
            vec![format!("joined {namespaces} namespaces of pid {pid}; no daemon, no key, no port"), self.tell_capabilities()];
        lines.extend(self.tell_filter());
        lines.push(self.tell_program());
        lines
    }

    fn tell_capabilities(&self) -> String {
        let (kept, all) = self.capabilities.count();
        format!("dropped capabilities: {kept} of {all} left")
    }

    /// no_new_privs and the filter, which of both there are.
    fn tell_filter(&self) -> Vec<String> {
        let privileges = self.no_new_privileges.then(|| "no new privileges".to_owned());
        let filter = self.seccomp.as_ref().and_then(|s| s.story());
        let parts: Vec<String> = privileges.into_iter().chain(filter).collect();
        if parts.is_empty() { vec![] } else { vec![parts.join("; ")] }
    }

    fn tell_program(&self) -> String {
        let program = self.identity.args.strings().first().map(|a| a.to_string_lossy().into_owned()).unwrap_or_default();
        format!("execve {} as uid {}", crate::log::value(&program), self.identity.uid())
    }
}
