//! "Did you mean": the program in the container's PATH whose name is nearest to the one asked for.
//!
//! Asked only after a lookup has failed. The directories are the image's: they are opened inside the root, and only so many
//! names are read as a helpful answer is worth.

use std::path::Path;

use crate::sys::resolve::Root;

/// At most this many directories, and names in each, are looked at: the image may have millions.
const MOST: usize = 2000;

/// The nearest name, if one is near enough: at most two letters off, and less than half of them.
pub(super) fn find(root: &Root, directories: &[String], name: &str) -> Option<String> {
    let letters: Vec<char> = name.chars().take(64).collect();
    let mut best: Option<(usize, String)> = None;
    for dir in directories.iter().take(32) {
        let Ok(handle) = root.open(Path::new(dir), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NONBLOCK) else { continue };
        let Ok(mut entries) = nix::dir::Dir::from_fd(handle) else { continue };
        for entry in entries.iter().take(MOST).flatten() {
            let Ok(candidate) = entry.file_name().to_str() else { continue };
            if candidate.starts_with('.') {
                continue;
            }
            let off = distance(&letters, candidate);
            if off <= 2 && off * 2 < letters.len() && best.as_ref().is_none_or(|(least, _)| off < *least) {
                best = Some((off, candidate.to_owned()));
            }
        }
    }
    best.map(|(_, name)| name)
}

/// Levenshtein's distance: the fewest letters to insert, remove or replace.
fn distance(a: &[char], b: &str) -> usize {
    let mut row: Vec<usize> = (0..=a.len()).collect();
    for (index, other) in b.chars().take(128).enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, letter) in a.iter().enumerate() {
            let above = row[column + 1];
            let replaced = diagonal + usize::from(*letter != other);
            row[column + 1] = replaced.min(above + 1).min(row[column] + 1);
            diagonal = above;
        }
    }
    row[a.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_letters() {
        let off = |a: &str, b| distance(&a.chars().collect::<Vec<_>>(), b);
        assert_eq!((off("python", "python3"), off("kitten", "sitting"), off("", "ab"), off("x", "x")), (1, 3, 2, 0));
    }

    #[test]
    fn finds_the_nearest() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("bin")).expect("mkdir");
        for name in ["python3", "perl"] {
            std::fs::write(dir.path().join("bin").join(name), "").expect("write");
        }
        let root = Root::new(crate::host::host_directory(dir.path()).expect("a handle"));
        let find = |name| find(&root, &["/none".into(), "/bin".into()], name);
        assert_eq!(find("python").as_deref(), Some("python3"));
        assert_eq!(find("zsh"), None);
    }
}
