//! The mounts as state.json remembers them, in runc's shape: the arguments that mount(2) would get.
//!
//! rrun does not call mount(2), but scripts and monitors that look into state.json know a mount by these five: where from,
//! where to, the type, the flag word and the text of the filesystem's own options.

use std::path::{Path, PathBuf};

use libc::{
    MS_BIND, MS_DIRSYNC, MS_I_VERSION, MS_LAZYTIME, MS_MANDLOCK, MS_NOATIME, MS_NODEV, MS_NODIRATIME, MS_NOEXEC, MS_NOSUID,
    MS_NOSYMFOLLOW, MS_RDONLY, MS_REC, MS_RELATIME, MS_REMOUNT, MS_SILENT, MS_STRICTATIME, MS_SYNCHRONOUS,
};
use oci_spec::runtime::Spec;
use serde::Serialize;

use super::options::Options;

/// One mount, as runc's state.json has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    source: PathBuf,
    destination: PathBuf,
    device: String,
    flags: u64,
    propagation_flags: Option<Vec<u64>>,
    data: String,
}

/// What an option sets in mount(2)'s flag word, or clears there (`false`).
const FLAGS: [(&str, bool, u64); 31] = [
    ("async", false, MS_SYNCHRONOUS),
    ("atime", false, MS_NOATIME),
    ("bind", true, MS_BIND),
    ("dev", false, MS_NODEV),
    ("diratime", false, MS_NODIRATIME),
    ("dirsync", true, MS_DIRSYNC),
    ("exec", false, MS_NOEXEC),
    ("iversion", true, MS_I_VERSION),
    ("lazytime", true, MS_LAZYTIME),
    ("loud", false, MS_SILENT),
    ("mand", true, MS_MANDLOCK),
    ("noatime", true, MS_NOATIME),
    ("nodev", true, MS_NODEV),
    ("nodiratime", true, MS_NODIRATIME),
    ("noexec", true, MS_NOEXEC),
    ("noiversion", false, MS_I_VERSION),
    ("nolazytime", false, MS_LAZYTIME),
    ("nomand", false, MS_MANDLOCK),
    ("norelatime", false, MS_RELATIME),
    ("nostrictatime", false, MS_STRICTATIME),
    ("nosuid", true, MS_NOSUID),
    ("nosymfollow", true, MS_NOSYMFOLLOW),
    ("rbind", true, MS_BIND | MS_REC),
    ("relatime", true, MS_RELATIME),
    ("remount", true, MS_REMOUNT),
    ("ro", true, MS_RDONLY),
    ("rw", false, MS_RDONLY),
    ("silent", true, MS_SILENT),
    ("strictatime", true, MS_STRICTATIME),
    ("suid", false, MS_NOSUID),
    ("sync", true, MS_SYNCHRONOUS),
];

/// The mounts of the config; sources of binds are absolute, relative ones stand in the bundle.
pub fn record(spec: &Spec, bundle: &Path) -> Vec<Record> {
    let one = |mount: &oci_spec::runtime::Mount| {
        let given = mount.options().as_deref().unwrap_or_default();
        let options = Options::parse(given);
        let known = given.iter().filter_map(|o| FLAGS.iter().find(|(name, ..)| name == o));
        let flags = known.fold(0, |word, (_, set, flag)| if *set { word | flag } else { word & !flag });
        let kinds = options.propagations.iter().map(|(kind, recursive)| kind | if *recursive { MS_REC } else { 0 });
        let source = mount.source().clone().unwrap_or_default();
        let is_bind = options.bind.is_some() || mount.typ().as_deref() == Some("bind");
        Record {
            source: if is_bind { bundle.join(source) } else { source },
            destination: mount.destination().clone(),
            device: if is_bind { "bind".to_owned() } else { mount.typ().clone().unwrap_or_default() },
            flags,
            propagation_flags: Some(kinds.collect::<Vec<_>>()).filter(|k| !k.is_empty()),
            data: options.data.join(","),
        }
    };
    spec.mounts().iter().flatten().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn recorded(mount: serde_json::Value) -> serde_json::Value {
        let spec = serde_json::from_value(json!({"ociVersion": "1.2.0", "mounts": [mount]})).expect("a spec");
        serde_json::to_value(&record(&spec, Path::new("/b"))[0]).expect("JSON")
    }

    #[test]
    fn it_is_what_runc_writes() {
        // Both as runc 1.1.5 recorded them.
        let dev = json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]});
        let seen = json!({"source": "tmpfs", "destination": "/dev", "device": "tmpfs", "flags": 16777218, "propagation_flags": null, "data": "mode=755,size=65536k"});
        assert_eq!(recorded(dev), seen);
        let etc = json!({"destination": "/etc", "type": "bind", "source": "/etc", "options": ["rbind", "ro", "rslave"]});
        let seen = json!({"source": "/etc", "destination": "/etc", "device": "bind", "flags": 20481, "propagation_flags": [540672], "data": ""});
        assert_eq!(recorded(etc), seen);
    }

    #[test]
    fn a_relative_source_stands_in_the_bundle() {
        let bind = json!({"destination": "/x", "source": "data", "options": ["bind", "ro", "rw"]});
        let seen = recorded(bind);
        assert_eq!((&seen["source"], &seen["device"], &seen["flags"]), (&json!("/b/data"), &json!("bind"), &json!(4096)));
    }
}
