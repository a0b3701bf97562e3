//! The options of a mount, as config.json writes them: `nosuid`, `rro`, `rslave`, `mode=755`.
//!
//! A kernel mount has three kinds of properties, and mount(2) mixed them in one flag word: attributes of this one mount
//! (`nosuid`), which bind mounts have too; flags of the superblock (`sync`), which all its mounts share; and the
//! filesystem's own options (`mode=755`). What the table does not know is the third kind and goes to the filesystem.

use std::ffi::CStr;

use libc::{
    MOUNT_ATTR__ATIME as ATIME, MOUNT_ATTR_NOATIME as NOATIME, MOUNT_ATTR_NODEV as NODEV, MOUNT_ATTR_NODIRATIME as NODIRATIME,
    MOUNT_ATTR_NOEXEC as NOEXEC, MOUNT_ATTR_NOSUID as NOSUID, MOUNT_ATTR_NOSYMFOLLOW as NOSYMFOLLOW, MOUNT_ATTR_RDONLY as RDONLY,
    MOUNT_ATTR_STRICTATIME as STRICTATIME, MS_PRIVATE, MS_SHARED, MS_SLAVE, MS_UNBINDABLE,
};

use crate::sys::mount::Attributes;

/// What an option does.
#[derive(Debug, Clone, Copy)]
enum Effect {
    /// The default, or of no consequence for the mount.
    Nothing,
    /// Sets attributes of the mount, after clearing others.
    Set(u64, u64),
    /// Clears attributes of the mount.
    Clear(u64),
    /// As `Set`, for the mounts below as well.
    SetAll(u64, u64),
    /// As `Clear`, for the mounts below as well.
    ClearAll(u64),
    /// A flag of the superblock; a bind shares its source's and ignores it.
    Superblock(&'static CStr),
    /// A propagation, perhaps of the mounts below as well.
    Propagate(u64, bool),
    /// A bind, perhaps with the mounts below.
    Bind(bool),
    /// Ids mapped, perhaps of the mounts below as well.
    IdMap(bool),
    /// A word for rrun itself.
    Own(Own),
}

#[derive(Debug, Clone, Copy)]
enum Own {
    Remount,
    CopyUp,
    CopySymlink,
    SourceNoFollow,
    DestinationNoFollow,
}

use Effect::{Bind, Clear, ClearAll, IdMap, Nothing, Propagate, Set, SetAll, Superblock};

/// Every option that is not the filesystem's own. An access-time option replaces the others of its kind; "not X" of one
/// is the kernel's default, relatime.
const TABLE: &[(&str, Effect)] = &[
    ("async", Superblock(c"async")),
    ("atime", Clear(ATIME)),
    ("bind", Bind(false)),
    ("copy-symlink", Effect::Own(Own::CopySymlink)),
    ("defaults", Nothing),
    ("dest-nofollow", Effect::Own(Own::DestinationNoFollow)),
    ("dev", Clear(NODEV)),
    ("diratime", Clear(NODIRATIME)),
    ("dirsync", Superblock(c"dirsync")),
    ("exec", Clear(NOEXEC)),
    ("idmap", IdMap(false)),
    // Filesystems that have change counters always keep them (Linux 6.1); the flag of mount(2) is a relic.
    ("iversion", Nothing),
    ("lazytime", Superblock(c"lazytime")),
    // Only whether the kernel log hears of errors, which fsconfig(2) returns instead.
    ("loud", Nothing),
    ("mand", Superblock(c"mand")),
    ("noatime", Set(NOATIME, ATIME)),
    ("nodev", Set(NODEV, 0)),
    ("nodiratime", Set(NODIRATIME, 0)),
    ("noexec", Set(NOEXEC, 0)),
    ("noiversion", Nothing),
    ("nolazytime", Superblock(c"nolazytime")),
    ("nomand", Superblock(c"nomand")),
    ("norelatime", Nothing),
    ("nostrictatime", Clear(ATIME)),
    ("nosuid", Set(NOSUID, 0)),
    ("nosymfollow", Set(NOSYMFOLLOW, 0)),
    ("private", Propagate(MS_PRIVATE, false)),
    ("ratime", ClearAll(ATIME)),
    ("rbind", Bind(true)),
    ("rdev", ClearAll(NODEV)),
    ("rdiratime", ClearAll(NODIRATIME)),
    ("relatime", Clear(ATIME)),
    ("remount", Effect::Own(Own::Remount)),
    ("rexec", ClearAll(NOEXEC)),
    ("ridmap", IdMap(true)),
    ("rnoatime", SetAll(NOATIME, ATIME)),
    ("rnodev", SetAll(NODEV, 0)),
    ("rnodiratime", SetAll(NODIRATIME, 0)),
    ("rnoexec", SetAll(NOEXEC, 0)),
    ("rnorelatime", ClearAll(ATIME)),
    ("rnostrictatime", ClearAll(ATIME)),
    ("rnosuid", SetAll(NOSUID, 0)),
    ("rnosymfollow", SetAll(NOSYMFOLLOW, 0)),
    ("ro", Set(RDONLY, 0)),
    ("rprivate", Propagate(MS_PRIVATE, true)),
    ("rrelatime", ClearAll(ATIME)),
    ("rro", SetAll(RDONLY, 0)),
    ("rrw", ClearAll(RDONLY)),
    ("rshared", Propagate(MS_SHARED, true)),
    ("rslave", Propagate(MS_SLAVE, true)),
    ("rstrictatime", SetAll(STRICTATIME, ATIME)),
    ("rsuid", ClearAll(NOSUID)),
    ("rsymfollow", ClearAll(NOSYMFOLLOW)),
    ("runbindable", Propagate(MS_UNBINDABLE, true)),
    ("rw", Clear(RDONLY)),
    ("shared", Propagate(MS_SHARED, false)),
    ("silent", Nothing),
    ("slave", Propagate(MS_SLAVE, false)),
    ("src-nofollow", Effect::Own(Own::SourceNoFollow)),
    ("strictatime", Set(STRICTATIME, ATIME)),
    ("suid", Clear(NOSUID)),
    ("symfollow", Clear(NOSYMFOLLOW)),
    ("sync", Superblock(c"sync")),
    ("tmpcopyup", Effect::Own(Own::CopyUp)),
    ("unbindable", Propagate(MS_UNBINDABLE, false)),
];

/// The names of all options that rrun itself understands, sorted (`rrun features`, mountOptions).
pub const NAMES: [&str; TABLE.len()] = {
    let mut names = [""; TABLE.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = TABLE[i].0;
        i += 1;
    }
    names
};

/// The options of one mount, sorted by who acts on them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// Attributes of this mount.
    pub own: Attributes,
    /// Attributes of this mount and all below it.
    pub all: Attributes,
    /// Propagations in the order given, each perhaps of all below.
    pub propagations: Vec<(u64, bool)>,
    /// Flags of the superblock, in the order given: of contradicting ones the last wins.
    pub superblock: Vec<&'static CStr>,
    /// The filesystem's own options.
    pub data: Vec<String>,
    /// `Some(recursive)` for a bind.
    pub bind: Option<bool>,
    /// `Some(recursive)` when ids shall be mapped.
    pub idmap: Option<bool>,
    /// Change the mount that is there.
    pub remount: bool,
    /// Fill the tmpfs with what the image has there.
    pub copy_up: bool,
    /// A source that is a symbolic link becomes a link again, not a mount.
    pub copy_symlink: bool,
    /// A source that is a symbolic link is bound itself.
    pub source_no_follow: bool,
    /// A destination that is a symbolic link is mounted on itself.
    pub destination_no_follow: bool,
}

impl Options {
    /// Sorts the options of config.json. Nothing is unknown: what the table lacks is the filesystem's.
    pub fn parse(options: &[String]) -> Self {
        let mut parsed = Self::default();
        for option in options {
            match TABLE.iter().find(|(name, _)| name == option) {
                Some((_, effect)) => parsed.add(*effect),
                None => parsed.data.extend(split_data(option).map(str::to_owned)),
            }
        }
        parsed
    }

    fn add(&mut self, effect: Effect) {
        match effect {
            Nothing => {}
            Set(set, clear) => combine(&mut self.own, set, clear),
            Clear(clear) => combine(&mut self.own, 0, clear),
            SetAll(set, clear) => combine(&mut self.all, set, clear),
            ClearAll(clear) => combine(&mut self.all, 0, clear),
            Superblock(flag) => self.superblock.push(flag),
            Propagate(kind, recursive) => self.propagations.push((kind, recursive)),
            // `bind` beside `rbind` takes nothing back.
            Bind(recursive) => self.bind = Some(recursive || self.bind == Some(true)),
            IdMap(recursive) => self.idmap = Some(recursive),
            Effect::Own(own) => match own {
                Own::Remount => self.remount = true,
                Own::CopyUp => self.copy_up = true,
                Own::CopySymlink => self.copy_symlink = true,
                Own::SourceNoFollow => self.source_no_follow = true,
                Own::DestinationNoFollow => self.destination_no_follow = true,
            },
        }
    }

    /// Whether the mount shall be read-only.
    pub fn is_read_only(&self) -> bool {
        self.own.set & RDONLY != 0
    }
}

/// Of contradicting options the later wins. Access times are a number in a bit field, which must be cleared as a whole
/// before it is set.
pub(super) fn combine(attributes: &mut Attributes, set: u64, clear: u64) {
    attributes.set = (attributes.set & !clear) | set;
    attributes.clear = (attributes.clear & !(set & !ATIME)) | clear;
}

/// mount(2) took the filesystem's options as one text with commas, so an option of the config may be several. A comma
/// behind a backslash or between quotes is part of a value (overlay paths, SELinux contexts).
fn split_data(option: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    option
        .split(move |c| {
            let splits = c == ',' && !quoted && !escaped;
            quoted ^= c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            splits
        })
        .filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[&str]) -> Options {
        Options::parse(&options.iter().map(|o| (*o).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_later_of_two_contradicting_options_wins() {
        let options = parse(&["ro", "nosuid", "rw", "suid", "suid", "nosuid"]);
        assert_eq!(options.own.set, NOSUID);
        assert_eq!(options.own.clear, RDONLY);
        assert!(!options.is_read_only());
    }

    #[test]
    fn access_times_clear_the_whole_field_first() {
        let options = parse(&["noatime", "strictatime"]);
        assert_eq!((options.own.set, options.own.clear), (STRICTATIME, ATIME));
        let options = parse(&["strictatime", "relatime"]);
        assert_eq!((options.own.set, options.own.clear), (0, ATIME));
    }

    #[test]
    fn recursive_options_are_kept_apart() {
        let options = parse(&["rbind", "rro", "nodev"]);
        assert_eq!((options.own.set, options.all.set, options.bind), (NODEV, RDONLY, Some(true)));
    }

    #[test]
    fn unknown_options_are_the_filesystems() {
        let options = parse(&["mode=755,size=1k", r#"context="a:b,c""#, r"lowerdir=/a\,b", "nosiud"]);
        assert_eq!(options.data, ["mode=755", "size=1k", r#"context="a:b,c""#, r"lowerdir=/a\,b", "nosiud"]);
    }

    #[test]
    fn bind_beside_rbind_takes_nothing_back() {
        assert_eq!(parse(&["rbind", "bind"]).bind, Some(true));
        assert_eq!(parse(&["bind"]).bind, Some(false));
    }

    #[test]
    fn names_are_sorted_and_unique() {
        assert!(NAMES.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(NAMES.contains(&"rslave") && NAMES.contains(&"nosymfollow"));
    }
}
