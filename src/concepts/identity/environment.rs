//! The environment (environ(7)), and HOME out of the image's /etc/passwd (passwd(5)).
//!
//! That file is the image's: it may be a FIFO that blocks whoever opens it, a device, a symbolic link towards the host, or
//! as large as the disk. It is resolved inside the root, must be a regular file, and is read up to a limit. Its content
//! decides a text in the container's own environment and nothing else.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::IdentityPlan;
use crate::error::{Error, Result};
use crate::sys::process::StringVector;
use crate::sys::resolve::Root;

/// How much of /etc/passwd is read: ten times what a thousand users need.
const LIMIT: u64 = 1 << 20;

/// The entries as execve takes them, each name once with its last value, and whether HOME is missing or empty.
pub(super) fn collect(env: &[String], extra: &[(String, String)]) -> Result<(Vec<CString>, bool)> {
    let mut entries: Vec<CString> = Vec::with_capacity(env.len() + extra.len() + 1);
    let mut places: HashMap<&str, usize> = HashMap::with_capacity(env.len());
    let mut home = false;
    let own = env.iter().enumerate().map(|(index, entry)| {
        let refuse = |text: String| Error::new(text).config(format!("process.env[{index}]"));
        match entry.split_once('=') {
            None => Err(refuse(format!("invalid environment variable: {entry:?}")).hint("write it as NAME=VALUE")),
            Some(("", _)) => Err(refuse(format!("environment variable name can't be empty: {entry:?}"))),
            Some(_) if entry.contains('\0') => {
                Err(refuse(format!("environment variable value can't contain null(\\x00): {entry:?}")))
            }
            Some((name, value)) => Ok((name, value)),
        }
    });
    for pair in own.chain(extra.iter().map(|(name, value)| Ok((name.as_str(), value.as_str())))) {
        let (name, value) = pair?;
        let entry = CString::new(format!("{name}={value}"))
            .map_err(|_| Error::new(format!("environment variable {name} contains NUL")))?;
        if name == "HOME" {
            home = !value.is_empty();
        }
        match places.get(name) {
            Some(place) => entries[*place] = entry,
            None => {
                places.insert(name, entries.len());
                entries.push(entry);
            }
        }
    }
    Ok((entries, !home))
}

/// HOME from the container's passwd, where the environment has none; `/` where that knows no such user. Runs inside, after
/// pivot_root, before the user changes. A passwd that cannot be read counts as empty, as in every runtime.
pub fn finish_environment(plan: &mut IdentityPlan, root: &Root) -> Result<()> {
    if !plan.lacks_home {
        return Ok(());
    }
    let home = read_passwd(root).and_then(|text| home_of(&text, plan.uid.as_raw()).map(<[u8]>::to_vec));
    let entry = [b"HOME=", home.as_deref().unwrap_or(b"/")].concat();
    let entry = CString::new(entry).unwrap_or_else(|_| c"HOME=/".into());
    let mut strings: Vec<CString> = plan.env.strings().iter().filter(|s| !s.as_bytes().starts_with(b"HOME=")).cloned().collect();
    strings.push(entry);
    plan.env = StringVector::new(strings);
    plan.lacks_home = false;
    Ok(())
}

fn read_passwd(root: &Root) -> Option<Vec<u8>> {
    let path = Path::new("/etc/passwd");
    // Asked before it is opened, since opening a device acts on it. Whoever swaps the file in between gains an open
    // without waiting, of a device that the device rules allow, in his own container.
    is_regular(&root.resolve(path).ok()?)?;
    let file = root.open(path, libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY).ok()?;
    is_regular(&file)?;
    // Most fit, so that one read(2) and one that finds the end suffice.
    let mut text = Vec::with_capacity(4096);
    File::from(file).take(LIMIT).read_to_end(&mut text).ok()?;
    Some(text)
}

/// `Some` if the handle is one of a regular file.
pub(super) fn is_regular(handle: &std::os::fd::OwnedFd) -> Option<()> {
    let stat = nix::sys::stat::fstat(handle).ok()?;
    (stat.st_mode & libc::S_IFMT == libc::S_IFREG).then_some(())
}

/// The home directory in the first line whose uid is the number `uid`; an empty one counts as none.
pub fn home_of(passwd: &[u8], uid: u32) -> Option<&[u8]> {
    let uid = uid.to_string();
    let mut lines = passwd.split(|b| *b == b'\n').map(|line| line.split(|b| *b == b':').collect::<Vec<_>>());
    let fields = lines.find(|fields| fields.len() >= 6 && fields[2] == uid.as_bytes())?;
    (!fields[5].is_empty()).then_some(fields[5])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(entries: &[&str]) -> Result<(Vec<CString>, bool)> {
        collect(&entries.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>(), &[])
    }

    #[test]
    fn the_last_of_duplicates_wins() {
        let (entries, lacks_home) = env(&["A=1", "HOME=/x", "A=2=3"]).expect("valid");
        assert_eq!(entries, [c"A=2=3".into(), CString::from(c"HOME=/x")]);
        assert!(!lacks_home);
        assert!(env(&["HOME="]).expect("valid").1, "an empty HOME is none");
    }

    #[test]
    fn malformed_entries_are_refused() {
        let refusal = |entry| env(&["A=1", entry]).expect_err("refused").to_string();
        assert_eq!(refusal("B"), r#"invalid environment variable: "B""#);
        assert_eq!(refusal("=x"), r#"environment variable name can't be empty: "=x""#);
        assert_eq!(refusal("X=a\0b"), r#"environment variable value can't contain null(\x00): "X=a\0b""#);
    }

    #[test]
    fn home_is_found_by_number_only() {
        let passwd = b"1000:x:0:0::/evil:\nroot:x:0:0:root:/root:/bin/sh\nshort:x:7\nuser:x:1000:1000::/home/user:/bin/sh\nnone:x:8:8:::\n";
        assert_eq!(home_of(passwd, 1000), Some(b"/home/user".as_slice()));
        assert_eq!(home_of(passwd, 0), Some(b"/evil".as_slice()), "the first line of that uid");
        assert_eq!(home_of(passwd, 7), None);
        assert_eq!(home_of(passwd, 8), None);
        assert_eq!(home_of(b"", 0), None);
    }

    #[test]
    fn a_hostile_passwd_is_no_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let etc = dir.path().join("etc");
        std::fs::create_dir(&etc).expect("mkdir");
        let root = || Root::new(crate::host::host_directory(dir.path()).expect("a handle"));
        nix::unistd::mkfifo(&etc.join("passwd"), nix::sys::stat::Mode::S_IRWXU).expect("mkfifo");
        assert_eq!(read_passwd(&root()), None, "a FIFO must not block");
        std::fs::remove_file(etc.join("passwd")).expect("unlink");
        std::os::unix::fs::symlink("/etc/hostile", etc.join("passwd")).expect("symlink");
        std::fs::write(etc.join("hostile"), "inside").expect("write");
        assert_eq!(read_passwd(&root()).as_deref(), Some(b"inside".as_slice()), "links stay in the root");
        File::create(etc.join("hostile")).and_then(|f| f.set_len(LIMIT * 4)).expect("a large file");
        assert_eq!(read_passwd(&root()).map(|t| t.len() as u64), Some(LIMIT));
    }
}
