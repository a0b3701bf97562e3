//! Who the process is: ids, groups, umask, working directory, environment, and which program it becomes (credentials(7),
//! execve(2)).
//!
//! To the kernel a user is a number; names are lines of a text file, and in a container that file belongs to the image.
//! The boundary: a process that keeps a group of its caller reads what that group may read. CVE-2016-3697 looked the number
//! up as a name in the image's passwd and so ran as uid 0; CVE-2024-21626 had a working directory on the host. Here ids are
//! numbers only, and the working directory is resolved inside the root and checked to lie there.
//!
//! Order in init, after pivot_root: [`finish_environment`], [`enter_cwd`] (as root, who may make it, and before a filter that
//! need not know the calls for it), [`apply_user`], [`enter_cwd`] again if it failed before, `capabilities::apply`, [`find_program`] (as the final user).

mod diagnose;
mod directory;
mod environment;
mod executable;
mod program;
mod similar;

use std::path::PathBuf;

use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use oci_spec::runtime::Process;

use crate::error::{At, Error, Result};
use crate::sys::process::StringVector;
use crate::sys::procfs::ProcFs;

pub use diagnose::{LOOK_CALLS, explain_execve};
pub use directory::{container_root, enter_cwd};
pub use environment::{finish_environment, home_of};
pub use executable::{Executable, examine};
pub use program::find_program;

/// The process to become.
pub struct IdentityPlan {
    /// argv.
    pub args: StringVector,
    /// envp; the last of duplicate names wins. HOME may still be missing (see [`finish_environment`]).
    pub env: StringVector,
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
    umask: Option<Mode>,
    cwd: PathBuf,
    /// Whether the environment names no home directory.
    lacks_home: bool,
}

/// Decides ids, args and environment. `extra_env` is added last (LISTEN_FDS, NOTIFY_SOCKET).
pub fn plan(process: &Process, extra_env: Vec<(String, String)>) -> Result<IdentityPlan> {
    let user = process.user();
    let umask = match user.umask() {
        Some(bits) if bits > 0o777 => {
            return Err(
                Error::new(format!("umask {bits:#o} has more than the nine permission bits")).config("process.user.umask")
            );
        }
        bits => bits.map(Mode::from_bits_truncate),
    };
    let args = process.args().as_deref().unwrap_or_default();
    if args.is_empty() {
        return Err(Error::new("args must not be empty").config("process.args"));
    }
    let c_string = |(index, arg): (usize, &String)| {
        let error = || Error::new(format!("args[{index}] contains a NUL byte")).config(format!("process.args[{index}]"));
        std::ffi::CString::new(arg.as_bytes()).map_err(|_| error())
    };
    let args = args.iter().enumerate().map(c_string).collect::<Result<_>>()?;
    let (env, lacks_home) = environment::collect(process.env().as_deref().unwrap_or_default(), &extra_env)?;
    Ok(IdentityPlan {
        args: StringVector::new(args),
        env: StringVector::new(env),
        uid: Uid::from_raw(user.uid()),
        gid: Gid::from_raw(user.gid()),
        groups: user.additional_gids().iter().flatten().copied().map(Gid::from_raw).collect(),
        umask,
        cwd: process.cwd().clone(),
        lacks_home,
    })
}

/// umask, additional groups, gid, uid: in this order, because with the uid the right to change the others goes.
pub fn apply_user(plan: &IdentityPlan, proc: &ProcFs) -> Result<()> {
    if let Some(mask) = plan.umask {
        umask(mask);
    }
    match setgroups(&plan.groups) {
        // In a user namespace whose setgroups file says "deny" nobody may drop a group, since a group can also be what keeps
        // its members out (CVE-2014-8989). Where the config asks for no groups, the caller's then stay, as they must.
        Err(nix::errno::Errno::EPERM) if plan.groups.is_empty() && denies_setgroups(proc) => {}
        done => done.at(|| "setgroups").map_err(|e| match e.errno() {
            Some(libc::EPERM) if denies_setgroups(proc) => {
                let hint = "additional groups need gidMappings written by newgidmap or by root; remove additionalGids";
                e.code("E-IDMAP").config("process.user.additionalGids").hint(hint)
            }
            _ => unmapped(e, "process.user.additionalGids"),
        })?,
    }
    let (uid, gid) = (plan.uid, plan.gid);
    setresgid(gid, gid, gid).at(|| format!("setgid {gid}")).map_err(|e| unmapped(e, "process.user.gid"))?;
    setresuid(uid, uid, uid).at(|| format!("setuid {uid}")).map_err(|e| unmapped(e, "process.user.uid"))
}

/// Whether the user namespace keeps groups as they are (user_namespaces(7)).
fn denies_setgroups(proc: &ProcFs) -> bool {
    proc.read(c"thread-self/setgroups").is_ok_and(|text| text.trim_end() == "deny")
}

/// EINVAL means that the id is outside the maps.
fn unmapped(error: Error, field: &str) -> Error {
    let hint = "the id is outside uidMappings or gidMappings of its user namespace; extend the map";
    let error = if error.errno() == Some(libc::EINVAL) { error.code("E-IDMAP").hint(hint) } else { error };
    error.config(field)
}

impl IdentityPlan {
    /// The user inside.
    pub fn uid(&self) -> u32 {
        self.uid.as_raw()
    }

    /// The lines of `rrun plan`: the working directory, the user, the program.
    pub fn describe(&self) -> [String; 3] {
        let groups: Vec<String> = self.groups.iter().map(Gid::to_string).collect();
        let more = if groups.is_empty() { String::new() } else { format!(", groups {}", groups.join(",")) };
        let umask = self.umask.map(|m| format!(", umask {:04o}", m.bits())).unwrap_or_default();
        let args: Vec<String> = self.args.strings().iter().map(|a| format!("{:?}", a.to_string_lossy())).collect();
        [
            format!("working directory {:?}", self.cwd),
            format!("become uid {} gid {}{more}{umask}", self.uid, self.gid),
            format!("execve {} with {} environment variables", args.join(" "), self.env.strings().len()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(process: serde_json::Value) -> Result<IdentityPlan> {
        let mut full = serde_json::json!({"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["x"]});
        full.as_object_mut().expect("an object").extend(process.as_object().expect("an object").clone());
        plan(&serde_json::from_value(full).expect("a process"), vec![("LISTEN_FDS".into(), "2".into())])
    }

    #[test]
    fn ids_are_numbers() {
        let plan = decide(
            serde_json::json!({"user": {"uid": 1000, "gid": 7, "umask": 0o27, "additionalGids": [5, 6], "username": "root"}}),
        )
        .expect("a plan");
        assert_eq!((plan.uid.as_raw(), plan.gid.as_raw()), (1000, 7));
        assert_eq!(plan.describe()[1], "become uid 1000 gid 7, groups 5,6, umask 0027");
    }

    #[test]
    fn what_cannot_be_passed_is_refused() {
        let refusal = |value| decide(value).err().expect("refused").to_string();
        assert_eq!(refusal(serde_json::json!({"args": []})), "args must not be empty");
        assert_eq!(refusal(serde_json::json!({"args": ["a\u{0}b"]})), "args[0] contains a NUL byte");
        assert!(refusal(serde_json::json!({"user": {"uid": 0, "gid": 0, "umask": 0o1000}})).starts_with("umask 0o1000"));
    }

    #[test]
    fn extra_environment_comes_last() {
        let plan = decide(serde_json::json!({"env": ["LISTEN_FDS=1", "A=b"]})).expect("a plan");
        let env: Vec<_> = plan.env.strings().iter().map(|s| s.to_str().expect("UTF-8")).collect();
        assert_eq!(env, ["LISTEN_FDS=2", "A=b"]);
    }
}
