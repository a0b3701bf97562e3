//! Writing values into the files of groups, and saying what went wrong when the kernel refuses one (cgroups(7)).
//!
//! A file takes each write(2) as one whole value and answers with an errno alone: EINVAL for a list too wide, ENOENT for a controller that
//! is not there. What can be known about the reason is looked up once a write has failed, never before.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::paths::Group;
use super::values::{Otherwise, Write, not_mounted};
use crate::error::{At, Error, Result};
use crate::sys::fd::Spent;
use crate::sys::own::read_short_file;

/// Opens a file of a group for writing. Never creates: cgroupfs answers an unknown name with ENOENT only so.
pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).open(path)
}

/// [`put`] and [`read`] for who has more to close afterwards.
pub(super) fn put_and_keep(path: &Path, text: &str, spent: &mut Spent) -> io::Result<()> {
    let mut file = open(path)?;
    let done = file.write_all(text.as_bytes());
    spent.push(file);
    done
}

/// As [`read`].
pub(super) fn read_and_keep(path: &Path, spent: &mut Spent) -> Result<String> {
    let (text, file) = File::open(path).and_then(read_short_file).at(|| format!("read {}", path.display()))?;
    spent.push(file);
    Ok(text.trim_end().to_owned())
}

/// One write(2): cgroupfs takes each write as a whole value.
pub(super) fn put(path: &Path, text: &str) -> io::Result<()> {
    open(path)?.write_all(text.as_bytes())
}

/// Writes all values in order. Values that may come too early are tried again at the end.
pub(super) fn all(groups: &[Group], writes: &[Write]) -> Result<()> {
    let mut last = Cache::default();
    let mut late: Vec<&Write> = Vec::new();
    for write in writes {
        match one(groups, write, &mut last) {
            Err(e) if write.retry && e.errno() == Some(libc::EINVAL) => late.push(write),
            done => done?,
        }
    }
    late.into_iter().try_for_each(|write| one(groups, write, &mut last))
}

/// Writes one value. `last` is the file written before, which device rules write again and again.
fn one(groups: &[Group], write: &Write, last: &mut Cache) -> Result<()> {
    let (file, text) = match open_cached(groups[write.group].dir.join(&write.file), last) {
        Ok(file) => (file, &write.text),
        Err((path, e)) if e.raw_os_error() == Some(libc::ENOENT) => match &write.otherwise {
            Otherwise::Skip => return Ok(()),
            Otherwise::Use(other, text) => match open_cached(groups[write.group].dir.join(other), last) {
                Ok(file) => (file, text),
                Err((_, e)) => return Err(explain(groups, write, &path, e)),
            },
            Otherwise::Fail => return Err(explain(groups, write, &path, e)),
        },
        Err((path, e)) => return Err(explain(groups, write, &path, e)),
    };
    let done = file.1.write_all(text.as_bytes());
    done.map_err(|e| explain(groups, write, &file.0, e))?;
    if groups[write.group].is_v2() && write.file.starts_with("cpuset.") { settled(write, &file.0) } else { Ok(()) }
}

/// v2 accepts any list and any wish for a partition, and then gives what there is: CPUs that were not asked for, if the group above
/// has none of those that were. A limit that came out other than asked is an error.
fn settled(write: &Write, path: &Path) -> Result<()> {
    let refuse =
        |why: String| Err(Error::new(format!("cannot set {}: {why}", write.field)).config(&write.field).code("E-CPUSET"));
    match write.file.as_str() {
        "cpuset.cpus" | "cpuset.mems" => {
            let has = read(&path.with_file_name(format!("{}.effective", write.file)))?;
            let outside = cpus(&has).any(|n| !cpus(&write.text).any(|asked| asked == n));
            let empty = write.text.trim().is_empty();
            if outside && !empty { refuse(format!("of {:?} nothing is to be had, but {has}", write.text)) } else { Ok(()) }
        }
        "cpuset.cpus.partition" => match read(path)? {
            state if state.contains("invalid") => refuse(format!("the kernel says: {state}")),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// The numbers of a list as of cpuset(7), `0-2,5`; what is none is left out.
fn cpus(list: &str) -> impl Iterator<Item = u32> {
    let range = |text: &str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    list.trim().split(',').filter_map(range).flatten()
}

/// The file that is open, and those that were, to be closed together.
#[derive(Default)]
struct Cache {
    last: Option<(PathBuf, File)>,
    spent: Spent,
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.last.take().into_iter().for_each(|(_, file)| self.spent.push(file));
    }
}

fn open_cached(path: PathBuf, cache: &mut Cache) -> std::result::Result<&mut (PathBuf, File), (PathBuf, io::Error)> {
    if cache.last.as_ref().is_none_or(|(open, _)| *open != path) {
        match open(&path) {
            Ok(file) => cache.last.replace((path, file)).into_iter().for_each(|(_, old)| cache.spent.push(old)),
            Err(e) => return Err((path, e)),
        }
    }
    Ok(cache.last.as_mut().expect("just filled"))
}

/// The error of a refused value, with what can be known about its reason.
pub(super) fn explain(groups: &[Group], write: &Write, path: &Path, err: io::Error) -> Error {
    let (name, errno) = (&write.file, err.raw_os_error());
    let e =
        Error::os(format!("cannot set {}: write {:?} to {}", write.field, write.text, path.display()), err).config(&write.field);
    match errno {
        Some(libc::ENOENT) if groups[write.group].is_v2() => {
            let controller = name.split('.').next().unwrap_or_default();
            let has = read(&path.with_file_name("cgroup.controllers")).unwrap_or_default();
            if has.split(' ').any(|c| c == controller) {
                without_file(e, name, path)
            } else if groups.len() > 1 {
                not_mounted(&write.field, controller)
            } else {
                let has = if has.is_empty() { "none".to_owned() } else { has };
                // What systemd gives to the managers of users is root's choice.
                let user = path.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"user@"));
                let fix = "; root can give more: Delegate= in /etc/systemd/system/user@.service.d/delegate.conf";
                let fix = if user { fix } else { "" };
                e.code("E-DELEGATE").hint(format!("the group lacks the controller {controller} and has only: {has}{fix}"))
            }
        }
        Some(libc::ENOENT) => without_file(e, name, path),
        Some(libc::EBUSY) if name == "memory.limit_in_bytes" => {
            e.code("E-MEMLOW").hint("the group uses more than that now; raise memory.limit")
        }
        Some(libc::EINVAL) if name.starts_with("memory.") && name.ends_with("limit_in_bytes") => {
            e.hint("memory may not exceed memory and swap together; give both limits at once")
        }
        Some(libc::EINVAL | libc::ERANGE | libc::EACCES) if name == "cpuset.cpus" || name == "cpuset.mems" => {
            // v2 says what is to be had, also where nothing is set; v1 has only the setting.
            let above = path.parent().and_then(Path::parent);
            let has = [format!("{name}.effective"), name.clone()].iter().find_map(|f| read(&above?.join(f)).ok());
            match has.filter(|s| !s.is_empty()) {
                Some(has) => e.code("E-CPUSET").hint(format!("the group above has {has}; name those alone")),
                None => e.code("E-CPUSET"),
            }
        }
        Some(libc::EINVAL) if name.starts_with("cpu.rt_") => e.hint("every group above must have as much realtime of its own"),
        Some(libc::ENODEV) => e.hint("no such device on this host"),
        Some(libc::EPERM) if name.starts_with("devices.") => e.hint("the group above may not use that device itself"),
        _ => e,
    }
}

/// A file that this kernel does not have, though the controller is there.
fn without_file(e: Error, name: &str, path: &Path) -> Error {
    if !name.starts_with("hugetlb.") {
        return e.hint("this kernel was built without the file");
    }
    let listing = path.parent().and_then(|dir| std::fs::read_dir(dir).ok());
    let names = listing.into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let size = |name: String| name.strip_prefix("hugetlb.").and_then(|n| n.split('.').next()).map(str::to_owned);
    let sizes: std::collections::BTreeSet<String> = names.filter_map(size).collect();
    e.hint(format!("this machine's huge pages have the sizes: {}", sizes.into_iter().collect::<Vec<_>>().join(", ")))
}

/// Reads a file of a group, without the final line end.
pub(super) fn read(path: &Path) -> Result<String> {
    let text = crate::sys::own::read_short(path).at(|| format!("read {}", path.display()))?;
    Ok(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plain files stand for those of the kernel.
    #[test]
    fn v2_is_asked_what_became_of_a_list() {
        let dir = tempfile::tempdir().expect("directory");
        let groups = [Group { mountpoint: "/".into(), dir: dir.path().to_owned(), controllers: vec![] }];
        let set = |file: &str, text: &str, becomes: &str| {
            std::fs::write(dir.path().join(file), "").expect("write");
            let effective = if file.ends_with("partition") { file.to_owned() } else { format!("{file}.effective") };
            let write = Write {
                group: 0,
                file: file.into(),
                text: text.into(),
                field: "f".into(),
                otherwise: Otherwise::Fail,
                retry: false,
            };
            std::fs::write(dir.path().join(effective), becomes).expect("write");
            all(&groups, &[write])
        };
        set("cpuset.cpus", "0-3,5", "1-2,5\n").expect("less than asked is inside of what was asked");
        set("cpuset.cpus", "\n", "0-7\n").expect("no list is no limit");
        let e = set("cpuset.cpus", "4", "0-3\n").expect_err("outside");
        assert_eq!(e.to_string(), "cannot set f: of \"4\" nothing is to be had, but 0-3");
        set("cpuset.mems", "1", "0\n").expect_err("outside");
    }
}
