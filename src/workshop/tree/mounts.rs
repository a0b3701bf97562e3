//! What a container sees where, and what it is on the host (mount_namespaces(7), proc_pid_mountinfo(5)).
//!
//! A mount namespace is a table of paths. A bind mount shows a directory of the host at another place: the host's own table says
//! at which. What can be written through such a mount is written on the host.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Seen;
use crate::style::{Column, Paint, Style, table};
use crate::workshop::observed::mounts::Mount;
use crate::workshop::observed::{Process, shown};

/// File systems that hold files of the machine, and not the kernel's own view of something.
const WITHOUT_FILES: [&str; 11] =
    ["proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2", "devtmpfs", "securityfs", "debugfs", "tracefs", "overlay"];

/// One line of the table.
pub(super) struct Line {
    pub mount: Mount,
    /// The same directory on the host, if it can be reached there.
    pub host: Option<PathBuf>,
    /// What a host should know.
    pub risk: &'static str,
}

/// The table of a container.
pub(super) fn lines(seen: &Seen) -> Vec<Line> {
    let host = Process::own().and_then(|own| own.mounts()).unwrap_or_default();
    let table = seen.container.init.as_ref().and_then(|init| init.mounts()).unwrap_or_default();
    let line = |mount: Mount| {
        let host = on_host(&host, &mount);
        let risk = risk(&mount, host.as_deref());
        Line { mount, host, risk }
    };
    table.into_iter().map(line).collect()
}

/// Where the host sees what is mounted: by the mount of the same file system whose own root lies nearest above.
fn on_host(host: &[Mount], mount: &Mount) -> Option<PathBuf> {
    let above = |m: &&Mount| m.device == mount.device && mount.root.starts_with(&m.root);
    let nearest = host.iter().filter(above).max_by_key(|m| m.root.components().count())?;
    let below = mount.root.strip_prefix(&nearest.root).ok()?;
    Some(below.components().fold(nearest.point.clone(), |path, part| path.join(part)))
}

fn risk(mount: &Mount, host: Option<&Path>) -> &'static str {
    let files = !WITHOUT_FILES.contains(&mount.fstype.as_str());
    match mount.fstype.as_str() {
        _ if mount.is_shared() => "mounts made here appear on the host",
        _ if mount.point == Path::new("/") => "",
        "proc" if mount.point == Path::new("/proc/sys") && !mount.is_read_only() => "kernel parameters can be changed",
        "cgroup" | "cgroup2" if !mount.is_read_only() => "limits can be changed",
        _ if files && host.is_some() && !mount.is_read_only() => "writes reach the host",
        _ => "",
    }
}

/// For people.
pub fn text(seen: &Seen, style: &Style) -> String {
    let heads = [Column::long("INSIDE"), Column::long("HOST"), Column::new("TYPE"), Column::long("FLAGS"), Column::new("RISK")];
    let row = |line: &Line| {
        let m = &line.mount;
        let from = line.host.as_ref().map_or_else(|| "-".to_owned(), |path| shown(path));
        let flags = crate::log::value(&m.options.join(","));
        vec![
            shown(&m.point),
            format!("{} {from}", m.device),
            crate::log::value(&m.fstype),
            flags,
            style.paint(Paint::Warn, line.risk).into_owned(),
        ]
    };
    table(style, &heads, &lines(seen).iter().map(row).collect::<Vec<_>>())
}

/// As JSON.
pub fn json(seen: &Seen) -> Value {
    let line = |line: &Line| {
        let m = &line.mount;
        json!({"inside": m.point.to_string_lossy(), "host": line.host.as_ref().map(|h| h.to_string_lossy()), "device": m.device,
               "root": m.root.to_string_lossy(), "type": m.fstype, "flags": m.options, "propagation": m.propagation,
               "risk": Some(line.risk).filter(|r| !r.is_empty())})
    };
    lines(seen).iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workshop::observed::mounts::parse;

    #[test]
    fn a_bind_mount_is_found_on_the_host() {
        let host = parse("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:2 /sub /srv rw - ext4 /dev/sdb1 rw\n");
        let table = parse(
            "5 0 8:2 /sub/web/data /data rw,nosuid - ext4 /dev/sdb1 rw\n6 0 8:1 /etc /host-etc ro - ext4 /dev/sda1 rw\n\
             7 0 8:2 /other /x rw - ext4 /dev/sdb1 rw\n8 0 0:5 / /proc rw shared:4 - proc proc rw\n",
        );
        let places: Vec<Option<PathBuf>> = table.iter().map(|m| on_host(&host, m)).collect();
        let expected = [Some("/srv/web/data"), Some("/etc"), None, None].map(|p| p.map(PathBuf::from));
        assert_eq!(places, expected);
        let risks: Vec<&str> = table.iter().zip(&places).map(|(m, p)| risk(m, p.as_deref())).collect();
        assert_eq!(risks, ["writes reach the host", "", "", "mounts made here appear on the host"]);
    }
}
