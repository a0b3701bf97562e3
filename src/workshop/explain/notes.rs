//! Findings without weight: what is worth saying, but says little about walls.
//!
//! A server for logins inside (there is `exec`), limits of open files left to whoever started rrun, keys that nobody reads and that their
//! author may believe in, and hooks that others can write: these run outside of the container with rrun's rights.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::Value;

use super::asked::{at, list};
use super::shown;
use crate::sys::resolve::Root;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// `SSHD`, `ULIMITS`, `KEYS`, `HOOKS`.
    pub id: &'static str,
    /// What it is; escaped.
    pub text: String,
    /// Its number in the CIS benchmark.
    pub cis: &'static str,
}

/// Their names and what they are about, for `help`.
pub const NOTES: [(&str, &str); 4] = [
    ("SSHD", "a login server in the container: `rrun exec` needs no daemon, no key and no port"),
    ("ULIMITS", "no limit of open files or processes of its own: the caller's are inherited"),
    ("KEYS", "unknown keys of config.json: they have no effect, whatever their author believes"),
    ("HOOKS", "hooks that others can write: they run outside of the container with rrun's rights"),
];

/// Those of a config; `said` is what reading it was warned about.
pub fn of(config: &Value, bundle: &Path, said: &[String]) -> Vec<Note> {
    let note = |id, text: String, cis| Note { id, text, cis };
    let sshd = sshd(config, bundle).map(|text| note("SSHD", text, "5.7"));
    let has = |kind: &str| list(config, "/process/rlimits").any(|l| l["type"] == kind);
    let none = !has("RLIMIT_NOFILE") && !has("RLIMIT_NPROC");
    let limits = none.then(|| note("ULIMITS", "process.rlimits sets neither RLIMIT_NOFILE nor RLIMIT_NPROC".to_owned(), "5.19"));
    let keys = said.iter().map(|line| note("KEYS", crate::log::value(line), ""));
    sshd.into_iter().chain(limits).chain(keys).chain(hooks(config).into_iter().map(|text| note("HOOKS", text, ""))).collect()
}

fn sshd(config: &Value, bundle: &Path) -> Option<String> {
    let mut args = list(config, "/process/args").filter_map(Value::as_str);
    if let Some(arg) = args.find(|a| Path::new(a).file_name().is_some_and(|name| name == "sshd")) {
        return Some(format!("process.args starts {}", crate::log::value(arg)));
    }
    // Looked up inside the root: a link of the image must not make a file of the host the answer.
    let root = bundle.join(at(config, "/root/path")?.as_str()?);
    let root = Root::new(crate::host::host_directory(&root).ok()?);
    let found = ["/usr/sbin/sshd", "/usr/bin/sshd", "/sbin/sshd"].into_iter().find(|path| root.resolve(Path::new(path)).is_ok());
    found.map(|path| format!("the root filesystem has {path}"))
}

fn hooks(config: &Value) -> Vec<String> {
    let all = at(config, "/hooks").and_then(Value::as_object).into_iter().flatten();
    let each = all.flat_map(|(name, entries)| entries.as_array().into_iter().flatten().map(move |hook| (name, hook)));
    let lax = |(name, hook): (&String, &Value)| {
        let path = Path::new(hook["path"].as_str()?);
        let meta = std::fs::metadata(path).ok()?;
        let mine = nix::unistd::geteuid().as_raw();
        let foreign = meta.uid() != 0 && meta.uid() != mine;
        (meta.mode() & 0o022 != 0 || foreign).then(|| {
            let mode = meta.mode() & 0o7777;
            format!(
                "hooks.{}: {} can be written by others (mode {mode:04o}, owner {})",
                crate::log::value(name),
                shown(path),
                meta.uid()
            )
        })
    };
    each.filter_map(lax).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;

    fn ids(config: &Value, bundle: &Path, said: &[String]) -> Vec<&'static str> {
        of(config, bundle, said).iter().map(|note| note.id).collect()
    }

    #[test]
    fn each_is_found_and_not_found() {
        let dir = tempfile::tempdir().expect("a directory");
        let rlimits = json!([{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64}]);
        let mut config = json!({"root": {"path": "rootfs"}, "process": {"args": ["sh"], "rlimits": rlimits}});
        assert_eq!(ids(&config, dir.path(), &[]), [""; 0]);
        config["process"]["rlimits"] = json!([]);
        assert_eq!(ids(&config, dir.path(), &["config.json:3: x".to_owned()]), ["ULIMITS", "KEYS"]);
        config["process"] = json!({"args": ["/usr/sbin/sshd", "-D"], "rlimits": rlimits});
        assert_eq!(ids(&config, dir.path(), &[]), ["SSHD"]);
        config["process"]["args"] = json!(["sh"]);
        std::fs::create_dir_all(dir.path().join("rootfs/usr/sbin")).expect("mkdir");
        std::fs::write(dir.path().join("rootfs/usr/sbin/sshd"), "").expect("write");
        assert_eq!(ids(&config, dir.path(), &[]), ["SSHD"]);
        std::fs::remove_file(dir.path().join("rootfs/usr/sbin/sshd")).expect("remove");
        let hook = dir.path().join("hook");
        std::fs::write(&hook, "").expect("write");
        config["hooks"] = json!({"prestart": [{"path": hook}]});
        let mode = |mode| std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(mode)).expect("chmod");
        mode(0o755);
        assert_eq!(ids(&config, dir.path(), &[]), [""; 0]);
        mode(0o775);
        assert_eq!(ids(&config, dir.path(), &[]), ["HOOKS"]);
    }
}
