//! Which file execve gets (execvp(3), path_resolution(7)).
//!
//! A name without `/` is looked for in the directories of the container's own PATH, by the user whom it will run as. The
//! texts of the refusals are Go's, because engines read exit statuses out of them.

use std::ffi::{CStr, CString};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, faccessat};

use super::IdentityPlan;
use super::diagnose::why;
use crate::error::{Error, Result};
use crate::sys::fd;

/// Finds the program in the container as execvp(3) would: the path to execve, or the canonical error texts, with the cause
/// where it is found. `look` is false where a seccomp filter that is in force might kill for the look.
pub fn find_program(plan: &IdentityPlan, look: bool) -> Result<CString> {
    let name = plan.args.strings()[0].as_c_str();
    search(name, path_variable(plan)).map_err(|e| if look { why(plan, name, e) } else { e })
}

/// PATH of the process to be, without its name.
pub(super) fn path_variable(plan: &IdentityPlan) -> Option<&[u8]> {
    plan.env.strings().iter().find_map(|entry| entry.as_bytes().strip_prefix(b"PATH="))
}

fn search(name: &CStr, path: Option<&[u8]>) -> Result<CString> {
    let subject = format!("exec: {:?}", name.to_string_lossy());
    if name.to_bytes().contains(&b'/') {
        let refused = |refusal| match refusal {
            Refusal::Stat(e) => Error::os(format!("{subject}: stat {}", name.to_string_lossy()), e),
            Refusal::File(e) => Error::os(subject, e),
            // Which it is, and the words by which every engine knows a program that cannot be run.
            Refusal::Directory => Error::os(format!("{subject}: is a directory"), Errno::EACCES),
        };
        return examine(name).map(|()| name.to_owned()).map_err(|r| refused(r).config("process.args[0]"));
    }
    for dir in path.filter(|p| !p.is_empty() && !name.is_empty()).into_iter().flat_map(|p| p.split(|b| *b == b':')) {
        // An empty element means the working directory.
        let dir = if dir.is_empty() { b".".as_slice() } else { dir };
        let slash: &[u8] = if dir.ends_with(b"/") { b"" } else { b"/" };
        let Ok(candidate) = CString::new([dir, slash, name.to_bytes()].concat()) else { continue };
        if examine(&candidate).is_err() {
            continue;
        }
        if dir.first() != Some(&b'/') {
            // What lies in the working directory is not run by a bare name: it might be anybody's.
            let text = format!("{subject}: cannot run executable found relative to current directory");
            return Err(Error::new(text).config("process.args[0]"));
        }
        return Ok(candidate);
    }
    Err(Error::new(format!("{subject}: executable file not found in $PATH")).config("process.args[0]"))
}

/// Why a file is not the program.
#[derive(Debug)]
enum Refusal {
    /// It could not be asked about.
    Stat(Errno),
    /// It is there, but not executable for this user.
    File(Errno),
    /// It is a directory.
    Directory,
}

/// Whether the caller may execute the file.
fn examine(path: &CStr) -> std::result::Result<(), Refusal> {
    let stat = nix::sys::stat::stat(path).map_err(Refusal::Stat)?;
    if stat.st_mode & libc::S_IFMT == libc::S_IFDIR {
        return Err(Refusal::Directory);
    }
    // Asked with the effective ids; includes what a mount with noexec says.
    match faccessat(fd::cwd(), path, AccessFlags::X_OK, nix::fcntl::AtFlags::AT_EACCESS) {
        Ok(()) => Ok(()),
        // A seccomp filter that denies the question leaves the mode bits.
        Err(Errno::ENOSYS | Errno::EPERM) if stat.st_mode & 0o111 != 0 => Ok(()),
        Err(Errno::ENOSYS | Errno::EPERM) => Err(Refusal::File(Errno::EACCES)),
        Err(e) => Err(Refusal::File(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn refusal(name: &CStr, path: Option<&[u8]>) -> String {
        search(name, path).expect_err("refused").to_string()
    }

    #[test]
    fn canonical_texts() {
        let dir = tempfile::tempdir().expect("a directory");
        let here = dir.path().to_str().expect("UTF-8");
        std::fs::write(dir.path().join("plain"), "").expect("write");
        std::fs::set_permissions(dir.path().join("plain"), std::fs::Permissions::from_mode(0o644)).expect("chmod");
        let c = |text: String| CString::new(text).expect("no NUL");
        let not_found = r#"exec: "x": executable file not found in $PATH"#;
        assert_eq!(refusal(c"x", Some(here.as_bytes())), not_found);
        assert_eq!(refusal(c"x", None), not_found);
        assert_eq!(refusal(c"", Some(b"/bin")), r#"exec: "": executable file not found in $PATH"#);
        assert_eq!(refusal(c"plain", Some(here.as_bytes())), r#"exec: "plain": executable file not found in $PATH"#);
        assert_eq!(refusal(c"/no/x", None), r#"exec: "/no/x": stat /no/x: no such file or directory"#);
        assert_eq!(refusal(&c(here.to_owned()), None), format!("exec: {here:?}: is a directory: permission denied"));
        assert_eq!(refusal(&c(format!("{here}/plain")), None), format!("exec: \"{here}/plain\": permission denied"));
        assert_eq!(
            refusal(&c(format!("{here}/plain/x")), None),
            format!("exec: \"{here}/plain/x\": stat {here}/plain/x: not a directory")
        );
    }

    #[test]
    fn the_first_directory_that_has_it_wins() {
        assert_eq!(search(c"sh", Some(b"/nowhere:/bin:/usr/bin")).expect("found").as_c_str(), c"/bin/sh");
        assert_eq!(search(c"/bin/sh", None).expect("found").as_c_str(), c"/bin/sh");
    }
}
