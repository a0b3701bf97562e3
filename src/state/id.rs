//! Container ids (runtime-spec, runtime.md: unique on this host, and no more is said).
//!
//! An id becomes the name of a directory, so one that could walk (`..`, `a/b`) would let a caller who may
//! only choose ids write and delete anywhere (CVE-2016-9962 and CVE-2019-19921 began with names that led elsewhere).

use std::path::Path;

use crate::error::{Error, Result};

/// NAME_MAX of every Linux filesystem.
const LONGEST: usize = 255;

/// Accepts `[A-Za-z0-9_+.-]+` but `.` and `..`, at most 255 bytes.
pub fn check_id(id: &str) -> Result<()> {
    if id.is_empty() {
        return Err(Error::new("container id cannot be empty"));
    }
    if id.len() > LONGEST || id == "." || id == ".." || !id.bytes().all(allowed) {
        return Err(Error::new("invalid container ID format").hint("use letters, digits and _ + . - only, at most 255"));
    }
    Ok(())
}

fn allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_+.-".contains(&byte)
}

/// The id given, and no other; else ids from the bundle's name: `web`, `web-2`, `web-3` … Whoever creates takes the first
/// that is not taken: only making the directory decides that, so two callers cannot get the same.
pub fn id_candidates(given: Option<&str>, bundle: &Path) -> impl Iterator<Item = String> + use<> {
    let given = given.map(String::from);
    let derived = if given.is_none() { Some(from_name(bundle)) } else { None };
    given.into_iter().chain(derived.into_iter().flatten())
}

fn from_name(bundle: &Path) -> impl Iterator<Item = String> + use<> {
    let name = bundle.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let name: String = name.chars().map(|c| if c.is_ascii() && allowed(c as u8) { c } else { '-' }).collect();
    // A leading dash would make the id look like a flag to every later command; a leading dot would hide its directory.
    let name = name.trim_matches(['-', '.']);
    let base = if name.is_empty() { "container" } else { &name[..name.len().min(LONGEST - 12)] }.to_owned();
    (1u64..).map(move |n| if n == 1 { base.clone() } else { format!("{base}-{n}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_plain_file_name() {
        for good in ["a", "A-1_b+c.d", "...", ".a", "-x", &"x".repeat(255)] {
            assert!(check_id(good).is_ok(), "{good}");
        }
        for bad in [".", "..", "a/b", "/", "a b", "a\n", "ä", "a\0", "*", &"x".repeat(256), &"x".repeat(4096)] {
            assert_eq!(check_id(bad).expect_err(bad).to_string(), "invalid container ID format", "{bad:?}");
        }
        assert_eq!(check_id("").expect_err("empty").to_string(), "container id cannot be empty");
    }

    #[test]
    fn names_of_bundles_become_ids() {
        let first = |path: &str| id_candidates(None, Path::new(path)).next().expect("endless");
        assert_eq!(first("/srv/web"), "web");
        assert_eq!(first("/srv/my web ä"), "my-web");
        assert_eq!(first("/srv/--x.."), "x");
        assert_eq!(first("/"), "container");
        let all: Vec<String> = id_candidates(None, Path::new("/srv/web")).take(3).collect();
        assert_eq!(all, ["web", "web-2", "web-3"]);
        assert_eq!(id_candidates(Some("x/y"), Path::new("/srv/web")).collect::<Vec<_>>(), ["x/y"]);
        let long = format!("/{}", "y".repeat(255));
        for id in id_candidates(None, Path::new(&long)).take(20) {
            assert!(check_id(&id).is_ok());
        }
    }
}
