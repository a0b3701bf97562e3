//! What is written where: the list of values that a plan consists of, and the rules that both versions of cgroups share.
//!
//! A limit that nobody can apply must not be accepted: each value knows the field of config.json it comes from, so that a missing
//! controller or file is an error that names both.

use oci_spec::runtime::LinuxResources;

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
    /// memory.swap.max (swap alone).
    pub swap: i64,
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

    /// Adds `text` for `file` of the group that has `controller`; on v2 there is one group for all. `field` is given below
    /// `linux.resources.`.
    pub fn put(&mut self, controller: &str, file: impl Into<String>, text: impl ToString, field: &str) -> Result<&mut Write> {
        let field = format!("linux.resources.{field}");
        let has = |g: &Group| g.controllers.iter().any(|c| c == controller);
        let unified = self.groups.iter().all(Group::is_v2);
        let Some(group) = self.groups.iter().position(|g| if unified { g.is_v2() } else { has(g) }) else {
            return Err(Error::new(format!(
                "cannot set {field}: the cgroup controller {controller} is not mounted on this host"
            ))
            .config(field));
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

/// All values for `resources`, in order, without the device rules.
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
    if groups.iter().all(Group::is_v2) {
        v2::writes(&mut writes, resources, occasion)?;
    } else {
        v1::writes(&mut writes, resources, occasion)?;
    }
    Ok(writes.list)
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
pub(super) fn pids(resources: &LinuxResources, occasion: Occasion) -> Option<String> {
    let limit = resources.pids().as_ref()?.limit();
    match (limit, occasion) {
        (0, Occasion::Update(_)) => None,
        (0, Occasion::Create) => Some("1".to_owned()),
        (limit, _) => Some(max(limit)),
    }
}

/// The names and texts of huge page limits: (index, page size, limit).
pub(super) fn hugepages(resources: &LinuxResources) -> Result<Vec<(String, String, i64)>> {
    let limits = resources.hugepage_limits().iter().flatten().enumerate();
    limits
        .map(|(i, limit)| {
            let (field, size) = (format!("hugepageLimits[{i}]"), limit.page_size());
            // It becomes part of a file name.
            if size.is_empty() || !size.bytes().all(|b| b.is_ascii_alphanumeric()) {
                return refuse(&field, format!("invalid huge page size {size:?}"));
            }
            Ok((field, size.clone(), limit.limit()))
        })
        .collect()
}

/// The lines of rdma.max, sorted by device.
pub(super) fn rdma(resources: &LinuxResources) -> Vec<(String, String)> {
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
        let groups = super::super::paths::cgroupfs(&super::super::paths::tests::hybrid(), None, "web").expect("groups");
        let e = lines(&groups, serde_json::json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 1}]})).expect_err("no hugetlb");
        assert_eq!(e.config_text(), Some("linux.resources.hugepageLimits[0]"));
        assert!(e.to_string().contains("hugetlb"), "{e}");
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
