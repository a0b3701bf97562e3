//! Why a mount failed, in the words of who wrote the configuration.
//!
//! Looked into only after the failure: a start never depends on a probe, and what is probed before its use may be something
//! else by then.

use super::options::NAMES;
use super::{Act, Mount};
use crate::error::Error;
use crate::suggest::closest;

/// Options of the usual filesystems, for suggestions.
const USUAL: [&str; 16] = [
    "context",
    "gid",
    "gidmode",
    "hidepid",
    "huge",
    "inode32",
    "inode64",
    "lowerdir",
    "mode",
    "mpol",
    "newinstance",
    "nr_blocks",
    "nr_inodes",
    "ptmxmode",
    "size",
    "uid",
];

/// Filesystems that containers are given, for suggestions.
const TYPES: [&str; 10] = ["bind", "cgroup", "cgroup2", "devpts", "mqueue", "overlay", "proc", "ramfs", "sysfs", "tmpfs"];

/// Names the mount, and adds what can be done about it.
pub(super) fn explain(mount: &Mount, error: Error) -> Error {
    let hinted = hint(mount, error);
    hinted
        .context(format!("error mounting {:?} to rootfs at {:?}", mount.source, mount.destination))
        .code("E-MOUNT")
        .config(&mount.field)
}

fn hint(mount: &Mount, error: Error) -> Error {
    let call = error.op_text().split(' ').next().unwrap_or_default().to_owned();
    let field = &mount.field;
    match (&mount.act, call.as_str(), error.errno()) {
        (Act::Bind(bind), "open_tree" | "open", Some(libc::ENOENT)) => {
            let hint = format!("{field}.source {} is absent on the host; create it, or correct the source", bind.path());
            error.config(format!("{field}.source")).hint(hint)
        }
        (Act::Bind(_), "mount_setattr", Some(libc::EPERM)) => {
            error.hint("the mount of the source has flags that may not be taken off here; keep its ro, nosuid, nodev and noexec")
        }
        (Act::Bind(_), "mount_setattr", Some(libc::EINVAL)) => {
            error.hint("the filesystem of the source may not support id-mapped mounts; leave the mappings out")
        }
        (Act::Bind(_), "move_mount", Some(libc::ENOTDIR)) => {
            error.hint("one of source and destination is a file, the other a folder; make both the same kind")
        }
        (Act::Remount { .. }, "mount_setattr", Some(libc::EINVAL)) => {
            error.hint("nothing is mounted there; mount it in an earlier entry: a remount only changes it")
        }
        (_, "make", Some(libc::EROFS)) => error.code("E-MOUNTPOINT").hint(format!(
            "{} is absent and the file system there cannot be written; create it in the image",
            mount.destination.display()
        )),
        (Act::New(new), "fsopen", Some(libc::ENODEV)) => {
            let fix = match closest(&new.describe(), TYPES) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("correct {field}.type, or add `rbind`"),
            };
            let hint = format!("this kernel has no file system {}; {fix}", new.describe());
            error.config(format!("{field}.type")).hint(hint)
        }
        (Act::New(new), "fsopen" | "fsmount" | "fsconfig", Some(libc::EPERM)) => refused(new.describe().as_str(), error),
        (Act::New(new), "fsconfig" | "fsmount", Some(libc::EINVAL)) => misspelt(mount, new, error),
        _ => error,
    }
}

fn refused(fstype: &str, error: Error) -> Error {
    match fstype {
        "proc" => error.code("E-PROC").hint(
            "a fresh procfs needs a pid namespace of the container's own and an outer /proc without masks; add \
             {\"type\":\"pid\"} to linux.namespaces, or start the outer container with an unmasked /proc",
        ),
        "sysfs" => error.code("E-SYSFS").hint(
            "sysfs needs a net namespace that the container's user namespace owns; add {\"type\":\"network\"} to \
             linux.namespaces, or bind /sys read-only",
        ),
        "mqueue" => error.hint("mqueue needs an ipc namespace of the container's own; add {\"type\":\"ipc\"}"),
        _ => error,
    }
}

/// An option that the table of rrun lacks went to the filesystem, which does not know it either.
fn misspelt(mount: &Mount, new: &super::filesystem::New, error: Error) -> Error {
    let Some(option) = error.op_text().strip_prefix("fsconfig ").map(str::to_owned) else { return error };
    let key = option.split('=').next().unwrap_or_default();
    match closest(key, NAMES.into_iter().chain(USUAL)) {
        Some(known) => {
            let hint = format!("unknown option `{key}` was passed to {} as data; did you mean {known}?", new.describe());
            // It is nearer to the cause than what the kernel says.
            let plain = Error::from_parts(error.op_text().to_owned(), error.errno(), None, None, None);
            plain.hint(hint).config(format!("{}.options", mount.field))
        }
        None => error.config(format!("{}.options", mount.field)),
    }
}

/// ` - did you mean X?` for the first of the options that looks misspelt.
pub(super) fn meant(options: &[String]) -> String {
    let near = options.iter().find_map(|option| closest(option, NAMES));
    near.map_or_else(String::new, |known| format!(" - did you mean {known}?"))
}
