//! Changing the limits of groups that exist (`update`).
//!
//! All is checked before the first write, and a refusal takes back what was written before it, so that the container has either the old
//! limits or the new ones. Engines send zero for what they do not mean to change; taken as a limit, it would end the container.

use std::path::Path;

use oci_spec::runtime::LinuxResources;

use super::paths::Group;
use super::values::{self, Current, Occasion, Otherwise, Write};
use super::{Record, write};
use crate::error::{Error, Result, Warnings};

/// A file's text before it was changed.
struct Old {
    path: std::path::PathBuf,
    text: String,
}

/// Writes what `resources` asks for; zeros mean unset. Device rules are not touched: engines send back the whole section of the
/// config, and plugins may have widened the rules meanwhile. `finish` is told what holds now; if it fails, all is taken back.
pub(super) fn apply(
    record: &Record,
    groups: &[Group],
    resources: &LinuxResources,
    finish: impl FnOnce(&[Write]) -> Result<()>,
) -> Result<()> {
    let now = current(record);
    let writes = values::plan(groups, resources, Occasion::Update(&now), &mut Warnings::default())?;
    let mut old = Vec::new();
    for write in &writes {
        old.push(look(groups, write)?);
    }
    let mut done: Vec<&Old> = Vec::new();
    // `write::all` would do, but what came before a refusal must be known.
    let mut late = Vec::new();
    for (write, old) in writes.iter().zip(&old) {
        match write::all(groups, &[Write { retry: false, ..write.clone() }]) {
            Err(e) if write.retry && e.errno() == Some(libc::EINVAL) => late.push((write, old)),
            Err(e) => return Err(back(&done, e)),
            Ok(()) => done.extend(old),
        }
    }
    for (write, old) in late {
        match write::all(groups, &[Write { retry: false, ..write.clone() }]) {
            Err(e) => return Err(back(&done, e)),
            Ok(()) => done.extend(old),
        }
    }
    finish(&settled(groups, &writes)).map_err(|e| back(&done, e))
}

/// The values as systemd needs them: a quota means nothing without its period, which the update may not have named.
fn settled(groups: &[Group], writes: &[Write]) -> Vec<Write> {
    let mut settled = writes.to_vec();
    let Some(cpu) = writes.iter().find(|w| w.file == "cpu.max" || w.file.starts_with("cpu.cfs_")) else { return settled };
    settled.retain(|w| w.group != cpu.group || !(w.file == "cpu.max" || w.file.starts_with("cpu.cfs_")));
    for file in ["cpu.max", "cpu.cfs_period_us", "cpu.cfs_quota_us"] {
        if let Ok(text) = write::read(&groups[cpu.group].dir.join(file)) {
            settled.push(Write { file: file.to_owned(), text, ..cpu.clone() });
        }
    }
    settled
}

/// What the file says now; `None` if it is missing and need not be there. Lines per device are looked up by their first word.
fn look(groups: &[Group], write: &Write) -> Result<Option<Old>> {
    let dir = &groups[write.group].dir;
    let (mut path, mut text) = (dir.join(&write.file), &write.text);
    if !path.exists() {
        match &write.otherwise {
            Otherwise::Skip => return Ok(None),
            Otherwise::Use(file, other) if dir.join(file).exists() => (path, text) = (dir.join(file), other),
            _ => return Err(write::explain(groups, write, &path, std::io::Error::from_raw_os_error(libc::ENOENT))),
        }
    }
    // A file that only takes writes has nothing to restore.
    let Ok(now) = write::read(&path) else { return Ok(None) };
    Ok(Some(Old { text: restore(&path, &now, text), path }))
}

/// The text that puts back what stands in the file before `text` is written to it.
fn restore(path: &Path, now: &str, text: &str) -> String {
    let file = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let key = text.split_whitespace().next().unwrap_or_default();
    let line = now.lines().find(|l| l.split_whitespace().next() == Some(key));
    match file {
        "memory.oom_control" => now.lines().find_map(|l| l.strip_prefix("oom_kill_disable ")).unwrap_or("0").to_owned(),
        // Lines of the form "8:0 …", and what takes one away.
        "io.max" => line.map_or(format!("{key} rbps=max wbps=max riops=max wiops=max"), str::to_owned),
        "rdma.max" => line.map_or(format!("{key} hca_handle=max hca_object=max"), str::to_owned),
        "net_prio.ifpriomap" => line.map_or(format!("{key} 0"), str::to_owned),
        "io.weight" | "io.bfq.weight" if key.contains(':') => line.map_or(format!("{key} default"), str::to_owned),
        "io.weight" | "io.bfq.weight" => now.lines().find_map(|l| l.strip_prefix("default ")).unwrap_or(now).to_owned(),
        _ if key.contains(':') => line.map_or(format!("{key} 0"), str::to_owned),
        _ => now.to_owned(),
    }
}

/// Puts back, the last first. Twice, as a value may have to wait for one that was written before it.
fn back(done: &[&Old], e: Error) -> Error {
    let put = |old: &&&Old| write::put(&old.path, &old.text).is_err();
    let again: Vec<&&Old> = done.iter().rev().filter(put).collect();
    let stuck: Vec<String> = again.into_iter().filter(put).map(|old| old.path.display().to_string()).collect();
    if stuck.is_empty() { e } else { e.hint(format!("these were changed and could not be restored: {}", stuck.join(", "))) }
}

/// What holds now, as far as v2 needs it; what cannot be read is unknown.
fn current(record: &Record) -> Current {
    let mut now = Current { check: record.check_before_update, ..Current::default() };
    let Some(dir) = record.paths.get("") else { return now };
    let number = |file: &str| match write::read(&dir.join(file)).unwrap_or_default().split(' ').next() {
        Some("max") => -1,
        text => text.and_then(|t| t.parse().ok()).unwrap_or(0),
    };
    now.memory = number("memory.max");
    now.swap = number("memory.swap.max");
    now.quota = number("cpu.max");
    now.usage = number("memory.current");
    now
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn a_line_per_device_is_restored_alone() {
        let old = |file: &str, now: &str, text: &str| restore(Path::new(file), now, text);
        assert_eq!(old("io.max", "8:0 rbps=1 wbps=max\n8:1 rbps=2", "8:1 rbps=9"), "8:1 rbps=2");
        assert_eq!(old("io.max", "", "8:1 rbps=9"), "8:1 rbps=max wbps=max riops=max wiops=max");
        assert_eq!(old("blkio.throttle.read_bps_device", "7:0 5", "7:1 5"), "7:1 0");
        assert_eq!(old("io.weight", "default 100\n8:0 50", "70"), "100");
        assert_eq!(old("memory.limit_in_bytes", "4096", "8192"), "4096");
        assert_eq!(old("memory.oom_control", "oom_kill_disable 1\nunder_oom 0", "1"), "1");
        assert_eq!(old("cpu.max", "max 100000", "5000 6000"), "max 100000");
    }

    /// Plain files stand for those of the kernel; a directory of the same name refuses the write.
    #[test]
    fn a_refusal_takes_back_what_was_written() {
        let dir = tempfile::tempdir().expect("directory");
        let file = |name: &str| dir.path().join(name);
        std::fs::write(file("pids.max"), "10").expect("write");
        let record = Record { paths: [(String::new(), dir.path().to_owned())].into(), ..Record::default() };
        let groups = [Group { mountpoint: PathBuf::from("/"), dir: dir.path().to_owned(), controllers: vec![] }];
        let resources = |json| serde_json::from_value::<LinuxResources>(json).expect("resources");
        let change = |json, finish: fn(&[Write]) -> Result<()>| apply(&record, &groups, &resources(json), finish);
        let limit = || std::fs::read_to_string(file("pids.max")).expect("read");
        let both = || serde_json::json!({"pids": {"limit": 20}, "hugepageLimits": [{"pageSize": "2MB", "limit": 1}]});
        let e = change(both(), |_| Ok(())).expect_err("a file is missing");
        assert_eq!(e.config_text(), Some("linux.resources.hugepageLimits[0]"));
        assert_eq!(limit(), "10", "nothing is written before all files are known to be there");
        std::fs::create_dir(file("hugetlb.2MB.max")).expect("mkdir");
        change(both(), |_| Ok(())).expect_err("a file cannot be written");
        assert_eq!(limit(), "10");
        let only = || serde_json::json!({"pids": {"limit": 20}});
        change(only(), |_| Err(Error::new("systemd refuses"))).expect_err("refused");
        assert_eq!(limit(), "10");
        change(only(), |_| Ok(())).expect("update");
        assert_eq!(limit(), "20");
    }
}
