//! newuidmap(1) and newgidmap(1): programs with the privilege that rrun lacks, which write a map for a user if /etc/subuid and
//! /etc/subgid grant it the ids (subuid(5)).
//!
//! What they decide is theirs: rrun asks them, and looks at the grants only to explain a refusal.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Error, Result};
use crate::host::obstacles::Obstacle;
use crate::host::text_of;
use crate::sys::process::prctl;

/// Where they are if PATH does not say: engines may start rrun without one.
const PLACES: [&str; 4] = ["/usr/local/bin", "/usr/bin", "/bin", "/run/wrappers/bin"];

/// One of the two.
pub(super) struct Tool {
    pub(super) name: &'static str,
    field: &'static str,
    pub(super) grants: &'static str,
}

pub(super) const UID: Tool = Tool { name: "newuidmap", field: "uidMappings", grants: "/etc/subuid" };
pub(super) const GID: Tool = Tool { name: "newgidmap", field: "gidMappings", grants: "/etc/subgid" };

/// Has the tool write the map of the process `pid`.
pub(super) fn write(tool: &Tool, pid: i32, map: &[[u32; 3]]) -> Result<()> {
    let about = |e: Error| e.code("E-IDMAP").config(format!("linux.{}", tool.field));
    let Some(program) = find(tool.name) else {
        let text = format!("cannot map a range of ids without privilege: {} is not installed", tool.name);
        return Err(about(
            Error::new(text).hint("install the package uidmap (elsewhere shadow-utils), or map your own id alone"),
        ));
    };
    let numbers = map.iter().flatten().map(u32::to_string);
    // The tool has privilege, so nothing of the caller's environment is its business.
    let done = Command::new(&program).arg(pid.to_string()).args(numbers).env_clear().stdin(Stdio::null()).output();
    let done = done.map_err(|e| about(Error::os(format!("run {}", program.display()), e)))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let said: String = said.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    let said = said.strip_prefix(&format!("{}: ", tool.name)).map_or(said.clone(), str::to_owned);
    let error = about(Error::new(format!("{}: {}", tool.name, if said.is_empty() { "failed" } else { &said })));
    Err(match explain(tool, &program, map) {
        Some(hint) => error.hint(hint),
        None => error,
    })
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // What is relative would be looked for in the bundle, which is not where programs come from.
    let listed = std::env::split_paths(&path).filter(|dir| dir.is_absolute());
    let mut candidates = listed.chain(PLACES.map(PathBuf::from)).map(|dir| dir.join(name));
    candidates.find(|file| std::fs::metadata(file).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0))
}

/// Why it refused, as far as that can be seen.
fn explain(tool: &Tool, program: &Path, map: &[[u32; 3]]) -> Option<String> {
    let uid = nix::unistd::getuid().as_raw();
    let Some(user) = user_name(&text_of("/etc/passwd"), uid) else {
        return Some(format!(
            "uid {uid} has no line in /etc/passwd, and {} serves only users that have one; add one, or map your own id alone",
            tool.name
        ));
    };
    let own = if tool.field == UID.field { uid } else { nix::unistd::getgid().as_raw() };
    let granted = grants(&text_of(tool.grants), &user, uid);
    if let Some(index) = map.iter().position(|row| !covered(row, own, &granted)) {
        let [_, first, size] = map[index];
        let has: Vec<String> = granted.iter().map(|(first, size)| range(*first, *size)).collect();
        let has = if has.is_empty() { "nothing".to_owned() } else { has.join(", ") };
        return Some(format!(
            "{}[{index}] wants the host ids {}, {} grants {user} {has}; add the line {user}:{first}:{size}, or change the map",
            tool.field,
            range(first, size.into()),
            tool.grants,
        ));
    }
    powerless(tool, program)
}

/// Why it has no privilege to give, as far as that can be seen.
fn powerless(tool: &Tool, program: &Path) -> Option<String> {
    if prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0).is_ok_and(|set| set == 1) {
        return Some(format!(
            "rrun was started with no_new_privs, under which {} gets no privilege; start rrun without it",
            tool.name
        ));
    }
    // Some distributions give it a file capability instead.
    let set_id = std::fs::metadata(program).is_ok_and(|m| m.permissions().mode() & 0o4000 != 0);
    (!set_id).then(|| format!("likely cause: {} lost its setuid bit or capability; reinstall it", program.display()))
}

/// What the caller can get from the tool, and what keeps it from getting anything: for `rrun doctor`.
pub(super) fn look(tool: &Tool) -> (Vec<String>, Option<Obstacle>) {
    let uid = nix::unistd::getuid().as_raw();
    let Some(program) = find(tool.name) else {
        return (
            vec![],
            Some(Obstacle::new(format!("{} is not installed", tool.name), "install the package uidmap (elsewhere shadow-utils)")),
        );
    };
    let user = user_name(&text_of("/etc/passwd"), uid).unwrap_or_else(|| uid.to_string());
    let granted = grants(&text_of(tool.grants), &user, uid);
    if granted.is_empty() {
        let fix = format!("root adds the line {user}:100000:65536");
        return (vec![], Some(Obstacle::new(format!("{} grants {user} nothing", tool.grants), fix)));
    }
    let obstacle = powerless(tool, &program).map(|hint| {
        let (cause, fix) = hint.split_once("; ").unwrap_or((&hint, "reinstall it"));
        Obstacle::new(cause, fix)
    });
    (granted.iter().map(|(first, size)| range(*first, *size)).collect(), obstacle)
}

fn range(first: u32, size: u64) -> String {
    format!("{first}-{}", u64::from(first) + size.max(1) - 1)
}

/// The name of a user, from the text of /etc/passwd (passwd(5)).
fn user_name(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// The ranges that a user has, by name or number (subuid(5)): first id and how many.
pub fn grants(text: &str, user: &str, uid: u32) -> Vec<(u32, u64)> {
    let line = |line: &str| {
        let mut fields = line.split(':');
        let who = fields.next()?;
        let first = fields.next()?.trim().parse().ok()?;
        let size = fields.next()?.trim().parse().ok()?;
        (who == user || who.parse() == Ok(uid)).then_some((first, size))
    };
    text.lines().filter_map(line).collect()
}

/// Whether the tool will take this row: granted as a whole, or the caller's own id.
fn covered(&[_, first, size]: &[u32; 3], own: u32, granted: &[(u32, u64)]) -> bool {
    let end = u64::from(first) + u64::from(size);
    let within = |(from, count): &(u32, u64)| first >= *from && end <= u64::from(*from) + count;
    (first == own && size == 1) || granted.iter().any(within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_by_name_or_number() {
        let text = "alice:100000:65536\nbob:200000:65536\n1000:300000:10\nbroken\nalice:x:1\n";
        assert_eq!(grants(text, "alice", 1000), [(100_000, 65_536), (300_000, 10)]);
        assert_eq!(grants(text, "carol", 7), []);
    }

    #[test]
    fn a_row_is_granted_as_a_whole() {
        let granted = [(100_000, 65_536)];
        assert!(covered(&[1, 100_000, 65_536], 1000, &granted));
        assert!(!covered(&[1, 100_000, 65_537], 1000, &granted));
        assert!(!covered(&[1, 99_999, 2], 1000, &granted));
        assert!(covered(&[0, 1000, 1], 1000, &granted) && !covered(&[0, 1000, 2], 1000, &granted));
    }

    #[test]
    fn names_come_from_passwd() {
        assert_eq!(user_name("root:x:0:0::/:/bin/sh\nal:x:1000:1000::/:/bin/sh\n", 1000).as_deref(), Some("al"));
        assert_eq!(user_name("root:x:0:0::/:/bin/sh\n", 1), None);
    }
}
