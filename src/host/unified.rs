//! The usual host of today: one cgroup hierarchy, of version 2, all of it at /sys/fs/cgroup (cgroups(7)).
//!
//! Where that is so, the table of mounts need not be read, which on some hosts has ten thousand lines. The directory itself
//! tells: its file system is cgroup2, and its inode is the first of the hierarchy, that of its root. A group that is bound
//! there, or the view of a cgroup namespace, has another one; then the table is read.

use nix::sys::stat::stat;
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};

use super::{Cgroups, Hierarchy};

const PLACE: &str = "/sys/fs/cgroup";

/// The hierarchy, if it is the only one; `own` is the text of /proc/self/cgroup, which lists all of v1 as well.
pub(super) fn alone(own: &str) -> Option<Cgroups> {
    let own = own_group(own)?;
    let whole =
        statfs(PLACE).is_ok_and(|fs| fs.filesystem_type() == CGROUP2_SUPER_MAGIC) && stat(PLACE).is_ok_and(|s| s.st_ino == 1);
    let v2 = Hierarchy { mountpoint: PLACE.into(), root: "/".into(), controllers: vec![], own: own.into() };
    whole.then(|| Cgroups { v2: Some(v2), ..Cgroups::default() })
}

/// rrun's own group, where /proc/self/cgroup has no other line.
fn own_group(text: &str) -> Option<&str> {
    text.trim_end_matches('\n').strip_prefix("0::").filter(|path| !path.contains('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_hierarchy_is_seen() {
        assert_eq!(own_group("0::/user.slice\n"), Some("/user.slice"));
        assert_eq!(own_group("1:name=systemd:/\n0::/\n"), None);
        assert_eq!(own_group("0::/\n1:cpu:/\n"), None);
    }

    #[test]
    fn what_is_found_is_what_the_table_says() {
        let read = |path: &str| std::fs::read_to_string(path).expect("read");
        let own = read("/proc/self/cgroup");
        if let Some(found) = alone(&own) {
            assert_eq!(found, Cgroups::parse(&read("/proc/self/mountinfo"), &own));
        }
    }
}
