//! Who the process is: ids, groups, umask, working directory, and which program it becomes (credentials(7), execve(2)).
use std::ffi::CString;

use oci_spec::runtime::Process;

use crate::error::Result;
use crate::host::Host;
use crate::sys::process::StringVector;

/// The process to become.
pub struct IdentityPlan {
    /// argv.
    pub args: StringVector,
    /// envp; the last of duplicate names wins. HOME may still be missing (see [`finish_environment`]).
    pub env: StringVector,
}

/// Decides ids, args and environment. `extra_env` is added last (LISTEN_FDS, NOTIFY_SOCKET).
pub fn plan(_process: &Process, _host: &Host, _extra_env: Vec<(String, String)>) -> Result<IdentityPlan> {
    Ok(IdentityPlan { args: StringVector::new(vec![]), env: StringVector::new(vec![]) })
}

/// umask, additional groups, gid, uid.
pub fn apply_user(_plan: &IdentityPlan) -> Result<()> {
    Ok(())
}

/// chdir to `process.cwd` (made when missing, as runc does) and proof that it lies below the root.
pub fn enter_cwd(_plan: &IdentityPlan) -> Result<()> {
    Ok(())
}

/// HOME from the container's passwd, where the environment has none. Runs inside, after pivot.
pub fn finish_environment(_plan: &mut IdentityPlan) -> Result<()> {
    Ok(())
}

/// Finds the program in the container as execvp(3) would: the path to execve, or the canonical error texts.
pub fn find_program(_plan: &IdentityPlan) -> Result<CString> {
    Ok(CString::default())
}

/// Why execve of the program failed, in the canonical text.
pub fn explain_execve(program: &CString, error: std::io::Error) -> crate::error::Error {
    crate::error::Error::os(format!("exec {}", program.to_string_lossy()), error)
}

impl IdentityPlan {
    /// The lines of `rrun plan`.
    pub fn describe(&self) -> Vec<String> {
        vec![]
    }
}
