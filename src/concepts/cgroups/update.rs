//! Changing the limits of groups that exist (`update`).
//!
//! All is checked before the first write, and a refusal takes back what was written before it, so that the container has either the old
//! limits or the new ones. Engines send zero for what they do not mean to change; taken as a limit, it would end the container.
//!
//! Engines also send back the config's device rules when they mean to change something else, and plugins may have opened devices
//! meanwhile. So rules that say what the last ones said are left alone.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxResources;

use super::devices::{self, Rules};
use super::paths::Group;
use super::values::{self, Current, Occasion, Otherwise, Write};
use super::{Record, ebpf, write};
use crate::error::{At, Error, Result, Warnings};

const FIELD: &str = "linux.resources.devices";

/// What puts a file back: its text before it was changed.
#[derive(Debug, Clone)]
struct Old {
    path: PathBuf,
    text: String,
}

/// What an update comes to.
#[derive(Debug)]
pub struct Change {
    groups: Vec<Group>,
    writes: Vec<Write>,
    /// How it was; `None` where there is nothing to write, or to put back. One per write.
    old: Vec<Option<Old>>,
    /// Device rules that differ from those of before.
    rules: Option<Rules>,
    /// `memory.checkBeforeUpdate`, if it is given.
    check: Option<bool>,
    /// v1: the group that has the lists of devices.
    lists: Option<PathBuf>,
    rootless: bool,
}

/// Decides what is to be written. Refuses what cannot be honoured; nothing is written yet.
pub(super) fn plan(record: &Record, resources: &LinuxResources, rootless: bool, warnings: &mut Warnings) -> Result<Change> {
    let groups = record.groups();
    if groups.is_empty() {
        return Err(Error::new("cannot update the container: it has no cgroup").hint(record.why_none()));
    }
    let now = current(record);
    let writes = values::plan(&groups, resources, Occasion::Update(&now), warnings)?;
    let old = writes.iter().map(|write| look(&groups, write)).collect::<Result<_>>()?;
    let rules = match resources.devices() {
        Some(list) if !list.is_empty() => Some(devices::plan(list)?).filter(|rules| rules.record() != record.devices),
        _ => None,
    };
    let lists = record.paths.get("devices").filter(|_| !rootless).cloned();
    if rules.is_some() && lists.is_none() && !rootless && groups.iter().any(|g| !g.is_v2()) {
        let lacks = "the cgroup controller devices is not mounted on this host";
        return Err(Error::new(format!("cannot set {FIELD}: {lacks}")).config(FIELD));
    }
    let check = resources.memory().as_ref().and_then(|m| m.check_before_update());
    Ok(Change { groups, writes, old, rules, check, lists, rootless })
}

/// Writes it, tells `systemd` of it (`Ok(true)`: it has been told), and notes in the record what later updates start from. On failure
/// all is as before.
pub(super) fn apply(
    change: &Change,
    record: &mut Record,
    systemd: impl Fn(&[Write], Option<&Rules>) -> Result<bool>,
) -> Result<()> {
    let (groups, mut done, mut told) = (&change.groups, Vec::new(), false);
    let mut steps = || {
        values(change, &mut done)?;
        let v1 = change.rules.as_ref().zip(change.lists.as_ref());
        v1.map_or(Ok(()), |(rules, dir)| device_lists(&record.devices, &rules.record(), dir, &mut done))?;
        told = systemd(&settled(groups, &change.writes), v1.map(|(rules, _)| rules))?;
        // systemd counts processor time in whole percents; the exact value is written over its own.
        if told {
            write::all(groups, &change.writes)?;
        }
        match (&change.rules, groups.as_slice()) {
            (Some(rules), [group]) if group.is_v2() => device_program(rules, group, change.rootless),
            _ => Ok(()),
        }
    };
    if let Err(e) = steps() {
        let e = back(&done, e);
        return match told.then(|| systemd(&settled(groups, &before(change)), None)) {
            Some(Err(second)) => Err(e.hint(format!("systemd still has the new limits: {second}"))),
            _ => Err(e),
        };
    }
    if let Some(rules) = &change.rules {
        record.devices = rules.record();
    }
    record.check_before_update = change.check.unwrap_or(record.check_before_update);
    Ok(())
}

/// `write::all` would do, but what came before a refusal must be known.
fn values(change: &Change, done: &mut Vec<Old>) -> Result<()> {
    let groups = &change.groups;
    let mut late = Vec::new();
    for (write, old) in change.writes.iter().zip(&change.old) {
        match write::all(groups, &[Write { retry: false, ..write.clone() }]) {
            Err(e) if write.retry && e.errno() == Some(libc::EINVAL) => late.push((write, old)),
            written => written.map(|()| done.extend(old.clone()))?,
        }
    }
    for (write, old) in late {
        write::all(groups, &[Write { retry: false, ..write.clone() }])?;
        done.extend(old.clone());
    }
    Ok(())
}

/// v1: the lists of allowed devices, from what the record says to the new ones.
fn device_lists(old: &[String], new: &[String], dir: &Path, done: &mut Vec<Old>) -> Result<()> {
    // What undoes the changes is read from its end.
    let undo = devices::v1_changes(new, old).into_iter().map(|(file, text)| Old { path: dir.join(file), text });
    done.extend(undo.rev());
    for (file, text) in devices::v1_changes(old, new) {
        let path = dir.join(file);
        write::put(&path, &text)
            .at(|| format!("cannot set {FIELD}: write {text:?} to {}", path.display()))
            .map_err(|e| e.config(FIELD))?;
    }
    Ok(())
}

/// v2: another program takes the place of the old one, with no moment between.
fn device_program(rules: &Rules, group: &Group, rootless: bool) -> Result<()> {
    let dir = File::open(&group.dir).at(|| format!("open {}", group.dir.display()))?;
    ebpf::attach(dir.as_fd(), &ebpf::program(rules), rootless).map(drop)
}

/// The writes that lead back.
fn before(change: &Change) -> Vec<Write> {
    let back = |(write, old): (&Write, &Option<Old>)| {
        let old = old.as_ref()?;
        let file = old.path.file_name()?.to_str()?.to_owned();
        Some(Write { file, text: old.text.clone(), ..write.clone() })
    };
    change.writes.iter().zip(&change.old).filter_map(back).collect()
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
        if !dir.is_dir() {
            let e = Error::new(format!("cannot set {}: the container has no cgroup {}", write.field, dir.display()));
            return Err(e.config(&write.field));
        }
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
        // A list of none: a write of no byte would be none.
        _ if now.is_empty() => "\n".to_owned(),
        _ if now.lines().count() > 1 => line.unwrap_or(now).to_owned(),
        _ => now.to_owned(),
    }
}

/// Puts back, the last first. Twice, as a value may have to wait for one that was written before it.
fn back(done: &[Old], e: Error) -> Error {
    let put = |old: &&Old| write::put(&old.path, &old.text).is_err();
    let again: Vec<&Old> = done.iter().rev().filter(put).collect();
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
    now.quota = number("cpu.max");
    now.usage = number("memory.current");
    now
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(old("cpuset.cpus", "", "0-1"), "\n");
        assert_eq!(old("misc.max", "a 5\nb max", "b 7"), "b max");
    }

    /// Plain files stand for those of the kernel; a directory of the same name refuses the write.
    #[test]
    fn a_refusal_takes_back_what_was_written() {
        let dir = tempfile::tempdir().expect("directory");
        let file = |name: &str| dir.path().join(name);
        std::fs::write(file("pids.max"), "10").expect("write");
        let mut record = Record { paths: [(String::new(), dir.path().to_owned())].into(), ..Record::default() };
        let mut change = |json, systemd: fn(&[Write], Option<&Rules>) -> Result<bool>| {
            let resources: LinuxResources = serde_json::from_value(json).expect("resources");
            let change = plan(&record, &resources, false, &mut Warnings::default())?;
            apply(&change, &mut record, systemd)
        };
        let limit = || std::fs::read_to_string(file("pids.max")).expect("read");
        let both = || serde_json::json!({"pids": {"limit": 20}, "hugepageLimits": [{"pageSize": "2MB", "limit": 1}]});
        let e = change(both(), |_, _| Ok(false)).expect_err("a file is missing");
        assert_eq!(e.config_text(), Some("linux.resources.hugepageLimits[0]"));
        assert_eq!(limit(), "10", "nothing is written before all files are known to be there");
        std::fs::create_dir(file("hugetlb.2MB.max")).expect("mkdir");
        change(both(), |_, _| Ok(false)).expect_err("a file cannot be written");
        assert_eq!(limit(), "10");
        let only = || serde_json::json!({"pids": {"limit": 20}});
        change(only(), |_, _| Err(Error::new("systemd refuses"))).expect_err("refused");
        assert_eq!(limit(), "10");
        change(only(), |_, _| Ok(false)).expect("update");
        assert_eq!(limit(), "20");
    }

    #[test]
    fn what_systemd_took_is_taken_back_from_it_too() {
        let dir = tempfile::tempdir().expect("directory");
        std::fs::write(dir.path().join("pids.max"), "10").expect("write");
        let mut record = Record { paths: [(String::new(), dir.path().to_owned())].into(), ..Record::default() };
        let resources = serde_json::from_value(serde_json::json!({"pids": {"limit": 20}})).expect("resources");
        let change = plan(&record, &resources, false, &mut Warnings::default()).expect("plan");
        let told = std::cell::RefCell::new(vec![]);
        let systemd = |writes: &[Write], _: Option<&Rules>| {
            told.borrow_mut().push(writes[0].text.clone());
            // From now on the file refuses.
            std::fs::remove_file(dir.path().join("pids.max"))
                .or_else(|_| std::fs::remove_dir(dir.path().join("pids.max")))
                .expect("remove");
            std::fs::create_dir(dir.path().join("pids.max")).expect("mkdir");
            Ok(true)
        };
        let e = apply(&change, &mut record, systemd).expect_err("the second write is refused");
        assert_eq!(told.into_inner(), ["20", "10"]);
        assert!(e.hint_text().is_some_and(|h| h.contains("could not be restored")), "{e:?}");
    }

    #[test]
    fn device_rules_are_refused_before_anything_is_written() {
        let dir = tempfile::tempdir().expect("directory");
        std::fs::write(dir.path().join("pids.max"), "10").expect("write");
        let mut record = Record { paths: [("pids".to_owned(), dir.path().to_owned())].into(), ..Record::default() };
        let json = serde_json::json!({"pids": {"limit": 20}, "devices": [{"allow": false, "access": "rwm"}]});
        let resources: LinuxResources = serde_json::from_value(json).expect("resources");
        let planned = |record: &Record, rootless| plan(record, &resources, rootless, &mut Warnings::default());
        assert!(planned(&record, false).expect_err("no controller").to_string().contains("devices is not mounted"));
        assert!(planned(&record, true).expect("nobody could open a node anyway").lists.is_none());
        record.devices = devices::plan(resources.devices().as_deref().expect("rules")).expect("plan").record();
        assert!(planned(&record, false).expect("nothing new").rules.is_none());
    }

    #[test]
    fn a_container_without_a_group_is_refused() {
        let record = Record::default();
        let e = plan(&record, &LinuxResources::default(), false, &mut Warnings::default()).expect_err("no group");
        assert_eq!(e.to_string(), "cannot update the container: it has no cgroup");
        let record = Record { paths: [(String::new(), "/no/such/group".into())].into(), ..Record::default() };
        let resources = serde_json::from_value(serde_json::json!({"pids": {"limit": 20}})).expect("resources");
        let e = plan(&record, &resources, false, &mut Warnings::default()).expect_err("no group");
        assert!(e.to_string().ends_with("the container has no cgroup /no/such/group"), "{e}");
    }
}
