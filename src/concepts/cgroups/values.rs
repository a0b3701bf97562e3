//! What is written where: the list of values that a plan consists of, and the rules that both versions of cgroups share.
//!
//! A limit that nobody can apply must not be accepted: each value knows the field of config.json it comes from, so that a missing
//! controller or file is an error that names both.

use oci_spec::runtime::{LinuxCpu, LinuxResources};

use super::paths::Group;
use super::{v1, v2};
use crate::error::{Error, Result, Warnings};

/// What to do when the file is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Otherwise {
    /// It is an error: a limit would not hold.
    Fail,
    /// The kernel has nothing to limit there.
    Skip,
    /// Another file serves the same end.
    Use(String, String),
}

/// One value to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Write {
    /// Which of the plan's groups.
    pub group: usize,
    /// The file in its directory.
    pub file: String,
    /// What is written, in one write(2).
    pub text: String,
    /// The field of config.json.
    pub field: String,
    /// When the file is missing.
    pub otherwise: Otherwise,
    /// A value that the kernel may refuse (EINVAL) until a later one is written: then it is tried again at the end.
    pub retry: bool,
}

impl Write {
    /// The controller that the file belongs to, by its name on v2; `None` for the group's own files.
    pub fn controller(&self) -> Option<&str> {
        self.file.split('.').next().filter(|c| *c != "cgroup")
    }
}

/// Whether the values are for a new group or change an old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion<'a> {
    /// `create`, `run`.
    Create,
    /// `update`, with what holds now: callers send zero for what they do not mean to change.
    Update(&'a Current),
}

/// What an update must know of the present, in bytes; -1 is unlimited, 0 unknown or not asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Current {
    /// memory.max.
    pub memory: i64,
    /// The quota in cpu.max, in microseconds.
    pub quota: i64,
    /// memory.current.
    pub usage: i64,
    /// Whether `checkBeforeUpdate` was set when the container was made.
    pub check: bool,
}

/// The list under construction.
#[derive(Debug)]
pub(super) struct Writes<'a> {
    groups: &'a [Group],
    /// In the order of writing.
    pub list: Vec<Write>,
}

impl<'a> Writes<'a> {
    /// An empty list for these groups.
    pub fn new(groups: &'a [Group]) -> Self {
        Self { groups, list: Vec::new() }
    }

    /// Whether `controller` speaks the language of v1: its hierarchy is of v1, or there is no v2 hierarchy that might have it.
    pub fn is_v1(&self, controller: &str) -> bool {
        self.groups.iter().any(|g| has(g, controller)) || !self.groups.iter().any(Group::is_v2)
    }

    /// Adds `text` for `file` of the v1 group that has `controller`, else of the v2 group. `field` is given below
    /// `linux.resources.`.
    pub fn put(&mut self, controller: &str, file: impl Into<String>, text: impl ToString, field: &str) -> Result<&mut Write> {
        let field = format!("linux.resources.{field}");
        let on_v1 = self.groups.iter().position(|g| has(g, controller));
        let Some(group) = on_v1.or_else(|| self.groups.iter().position(Group::is_v2)) else {
            return Err(not_mounted(&field, controller));
        };
        self.list.push(Write {
            group,
            file: file.into(),
            text: text.to_string(),
            field,
            otherwise: Otherwise::Fail,
            retry: false,
        });
        Ok(self.list.last_mut().expect("just pushed"))
    }
}

fn has(group: &Group, controller: &str) -> bool {
    group.controllers.iter().any(|c| c == controller)
}

/// A limit whose controller no hierarchy has.
pub(super) fn not_mounted(field: &str, controller: &str) -> Error {
    Error::new(format!("cannot set {field}: the cgroup controller {controller} is not mounted on this host")).config(field).hint(
        format!(
            "mount it: mkdir /sys/fs/cgroup/{controller}; mount -t cgroup -o {controller} cgroup /sys/fs/cgroup/{controller}"
        ),
    )
}

/// All values for `resources`, in order, without the device rules. Beside v1 hierarchies, v2 may have a controller that none of them
/// has: so version 1 or 2 is a question of each controller.
pub(super) fn plan(
    groups: &[Group],
    resources: &LinuxResources,
    occasion: Occasion,
    warnings: &mut Warnings,
) -> Result<Vec<Write>> {
    let mut writes = Writes::new(groups);
    if resources.memory().as_ref().is_some_and(|m| m.kernel().is_some_and(|k| k != 0)) {
        warnings.add("linux.resources.memory.kernel is ignored: the kernel has no limit of its own for kernel memory any more");
    }
    if let Some(m) = resources.memory() {
        if writes.is_v1("memory") { v1::memory(&mut writes, m, occasion)? } else { v2::memory(&mut writes, m, occasion)? }
    }
    if let Some(c) = resources.cpu() {
        if writes.is_v1("cpu") {
            v1::cpu(&mut writes, c)?
        } else {
            v2::cpu(&mut writes, c, occasion)?
        }
        cpuset(&mut writes, c)?;
    }
    if let Some(limit) = pids(resources, occasion) {
        writes.put("pids", "pids.max", limit, "pids.limit")?;
    }
    if let Some(io) = resources.block_io() {
        if writes.is_v1("blkio") { v1::block_io(&mut writes, io)? } else { v2::block_io(&mut writes, io)? }
    }
    hugepages(&mut writes, resources)?;
    for (field, line) in rdma(resources) {
        writes.put("rdma", "rdma.max", line, &field)?;
    }
    if groups.iter().all(Group::is_v2) {
        v2::network(resources)?;
        v2::unified(&mut writes, resources)?;
    } else {
        v1::network(&mut writes, resources)?;
        v1::no_unified(resources)?;
    }
    Ok(writes.list)
}

/// The same files on v1 and v2.
fn cpuset(out: &mut Writes, c: &LinuxCpu) -> Result<()> {
    if let Some(cpus) = set(c.cpus().clone()) {
        out.put("cpuset", "cpuset.cpus", cpus, "cpu.cpus")?;
    }
    if let Some(mems) = set(c.mems().clone()) {
        out.put("cpuset", "cpuset.mems", mems, "cpu.mems")?;
    }
    Ok(())
}

/// Zero means unset in these fields, as callers written in Go send it.
pub(super) fn set<T: Default + PartialEq>(value: Option<T>) -> Option<T> {
    value.filter(|v| *v != T::default())
}

/// A limit as v2 writes it: negative is `max`.
pub(super) fn max(value: i64) -> String {
    if value < 0 { "max".to_owned() } else { value.to_string() }
}

/// A refusal that names its field (below `linux.resources.`).
pub(super) fn refuse<T>(field: &str, why: impl std::fmt::Display) -> Result<T> {
    Err(Error::new(why.to_string()).config(format!("linux.resources.{field}")))
}

/// pids.limit: -1 is no limit. 0 is a limit of its own, and means what 1 means, because the first process is there already; written as 1,
/// as the kernel would refuse the birth of that process in the group (`CLONE_INTO_CGROUP`) else. In an update, 0 is unset.
fn pids(resources: &LinuxResources, occasion: Occasion) -> Option<String> {
    let limit = resources.pids().as_ref()?.limit();
    match (limit, occasion) {
        (0, Occasion::Update(_)) => None,
        (0, Occasion::Create) => Some("1".to_owned()),
        (limit, _) => Some(max(limit)),
    }
}

/// hugepageLimits: of the pages in use, and of those reserved, which a mapping takes at once.
fn hugepages(out: &mut Writes, resources: &LinuxResources) -> Result<()> {
    for (i, limit) in resources.hugepage_limits().iter().flatten().enumerate() {
        let (field, size) = (format!("hugepageLimits[{i}]"), limit.page_size());
        // It becomes part of a file name.
        if size.is_empty() || !size.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return refuse(&field, format!("invalid huge page size {size:?}"));
        }
        let (file, text) =
            if out.is_v1("hugetlb") { ("limit_in_bytes", limit.limit().to_string()) } else { ("max", max(limit.limit())) };
        out.put("hugetlb", format!("hugetlb.{size}.{file}"), &text, &field)?;
        // Reserved pages count only since Linux 5.7.
        out.put("hugetlb", format!("hugetlb.{size}.rsvd.{file}"), &text, &field)?.otherwise = Otherwise::Skip;
    }
    Ok(())
}

/// The lines of rdma.max, sorted by device.
fn rdma(resources: &LinuxResources) -> Vec<(String, String)> {
    let mut lines: Vec<(String, String)> = Vec::new();
    for (device, limit) in resources.rdma().iter().flatten() {
        let mut line = device.clone();
        line.extend(limit.hca_handles().map(|n| format!(" hca_handle={n}")));
        line.extend(limit.hca_objects().map(|n| format!(" hca_object={n}")));
        lines.push((format!("rdma.{device}"), line));
    }
    lines.sort();
    lines
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The plan for `json` as `file text` lines.
    pub(in super::super) fn lines(groups: &[Group], json: serde_json::Value) -> Result<Vec<String>> {
        lines_on(groups, json, Occasion::Create)
    }

    pub(in super::super) fn lines_on(groups: &[Group], json: serde_json::Value, occasion: Occasion) -> Result<Vec<String>> {
        let resources: LinuxResources = serde_json::from_value(json).expect("resources");
        let writes = plan(groups, &resources, occasion, &mut Warnings::default())?;
        Ok(writes.iter().map(|w| format!("{} {}", w.file, w.text)).collect())
    }

    #[test]
    fn a_missing_controller_names_the_field() {
        let mut groups = super::super::paths::cgroupfs(&super::super::paths::tests::hybrid(), None, "web").expect("groups");
        groups.retain(|g| !g.is_v2());
        let e = lines(&groups, serde_json::json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 1}]})).expect_err("no hugetlb");
        assert_eq!(e.config_text(), Some("linux.resources.hugepageLimits[0]"));
        assert!(e.to_string().contains("hugetlb"), "{e}");
    }

    #[test]
    fn beside_v1_each_controller_may_be_on_v2() {
        let groups = super::super::paths::cgroupfs(&super::super::paths::tests::hybrid(), None, "web").expect("groups");
        let json = serde_json::json!({
            "memory": {"limit": 10}, "rdma": {"mlx": {"hcaHandles": 3}}, "hugepageLimits": [{"pageSize": "2MB", "limit": -1}],
            "blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 7}]},
        });
        let resources: LinuxResources = serde_json::from_value(json).expect("resources");
        let writes = plan(&groups, &resources, Occasion::Create, &mut Warnings::default()).expect("plan");
        let texts: Vec<String> =
            writes.iter().map(|w| format!("{}/{} {}", groups[w.group].dir.display(), w.file, w.text)).collect();
        let expected = [
            "/c/memory/rrun/own/web/memory.limit_in_bytes 10",
            "/c/unified/web/io.max 8:0 rbps=7",
            "/c/unified/web/hugetlb.2MB.max max",
            "/c/unified/web/hugetlb.2MB.rsvd.max max",
            "/c/unified/web/rdma.max mlx hca_handle=3",
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn kernel_memory_is_a_warning() {
        let resources: LinuxResources =
            serde_json::from_value(serde_json::json!({"memory": {"kernel": 1024}})).expect("resources");
        let mut warnings = Warnings::default();
        let groups = super::super::paths::cgroupfs(&super::super::paths::tests::hybrid(), None, "web").expect("groups");
        assert_eq!(plan(&groups, &resources, Occasion::Create, &mut warnings).expect("plan"), []);
        assert_eq!(warnings.lines().len(), 1);
    }
}
