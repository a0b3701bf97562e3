//! Mandatory access control labels (apparmor(7), selinux(8)) and the session keyring (session-keyring(7)).
//!
//! A label makes the kernel check every access of the process against a policy that not even root changes. It is written
//! to a file of procfs and takes effect with the coming execve. The boundary: policy stops a container that broke all other
//! walls. CVE-2019-16884: the image mounted over /proc, the label went to a file of its own, and the container ran without
//! one. So it goes through a procfs of our own, and a kernel without the module is an error.
//!
//! Keys (Kerberos tickets, disk passphrases) hang on the session keyring, which is inherited: every container gets a fresh
//! one, or it could read its host's.

use std::ffi::{CStr, CString};

use oci_spec::runtime::{Linux, LinuxNamespaceType, Process};

use crate::error::{At, Error, Result};
use crate::host::SecurityModules;
use crate::sys::keyring;
use crate::sys::procfs::ProcFs;

/// `KEY_USR_SEARCH` (linux/key.h): the user that owns the keyring may search it.
const OWNER_MAY_SEARCH: u32 = 0x0008_0000;
/// `KEY_OTH_SEARCH`: anybody may.
const OTHERS_MAY_SEARCH: u32 = 0x0000_0008;

/// Labels and keyring.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LsmPlan {
    /// The name of the session keyring to make, and the rights to add to it.
    keyring: Option<(CString, u32)>,
    /// process.apparmorProfile.
    apparmor: Option<String>,
    /// process.selinuxLabel.
    selinux: Option<String>,
}

/// Decides them; a label whose module the kernel lacks is an error. `keyring` names the new session keyring (`_ses.ID`, so
/// that `exec` finds it), if any. `modules` ([`SecurityModules::ask`]) is asked only if there is a label.
pub fn plan(
    linux: Option<&Linux>,
    process: Option<&Process>,
    keyring: Option<&str>,
    modules: impl FnOnce() -> SecurityModules,
) -> Result<LsmPlan> {
    let label = |text: Option<&String>| text.filter(|t| !t.is_empty()).cloned();
    let apparmor = label(process.and_then(|p| p.apparmor_profile().as_ref()));
    let selinux = label(process.and_then(|p| p.selinux_label().as_ref()));
    let mounts = label(linux.and_then(|l| l.mount_label().as_ref()));
    if apparmor.is_some() || selinux.is_some() || mounts.is_some() {
        let modules = modules();
        if apparmor.is_some() && !modules.apparmor {
            let error = Error::new("apparmor profile is specified in config, but apparmor is disabled or not supported");
            return Err(error
                .config("process.apparmorProfile")
                .code("E-LSM")
                .hint("remove apparmorProfile, or enable AppArmor in the kernel"));
        }
        if (selinux.is_some() || mounts.is_some()) && !modules.selinux {
            let field = if selinux.is_some() { "process.selinuxLabel" } else { "linux.mountLabel" };
            let error = Error::new("selinux label is specified in config, but selinux is disabled or not supported");
            return Err(error.config(field).code("E-LSM").hint("remove the label, or enable SELinux in the kernel"));
        }
    }
    // A user namespace has its own keys of its own users: exec's caller is "other" there.
    let search = if has_user_namespace(linux) { OTHERS_MAY_SEARCH } else { OWNER_MAY_SEARCH };
    let keyring = match keyring {
        Some(name) => Some((CString::new(name).map_err(|_| Error::new("keyring name contains NUL"))?, search)),
        None => None,
    };
    Ok(LsmPlan { keyring, apparmor, selinux })
}

/// Joins a fresh session keyring, labelled like the process. Comes first of all in init, so that nothing it does can find
/// a key of the host.
pub fn apply_keyring(plan: &LsmPlan, proc: &ProcFs) -> Result<()> {
    let Some((name, search)) = &plan.keyring else { return Ok(()) };
    let label_keys = |label: &[u8]| write(proc, c"thread-self/attr/keycreate", label).map_err(refused_label);
    if let Some(label) = &plan.selinux {
        label_keys(label.as_bytes())?;
    }
    let joined = keyring::join_session(name);
    if plan.selinux.is_some() {
        // The keys that the program makes are its own affair. No text is no write(2); an empty line takes the label back.
        label_keys(b"\n")?;
    }
    let id = match joined {
        // A kernel without keys has none to protect.
        Err(e) if e.raw_os_error() == Some(libc::ENOSYS) => return Ok(()),
        Err(e) => return Err(keyring_error(e)),
        Ok(id) => id,
    };
    let rights = keyring::permissions(id).at(|| "unable to read the session keyring's permissions")?;
    keyring::set_permissions(id, rights | search).at(|| "unable to set the session keyring's permissions")
}

fn keyring_error(cause: std::io::Error) -> Error {
    let quota = cause.raw_os_error() == Some(libc::EDQUOT);
    let error = Error::os("unable to join session keyring: unable to create session key", cause).code("E-KEYRING");
    error.hint(if quota {
        "the user's quota of keys is used up (kernel.keys.maxkeys, /proc/key-users); raise it, or use --no-new-keyring"
    } else {
        "where a seccomp filter of an outer container denies keyctl, use --no-new-keyring"
    })
}

/// Writes the labels for the coming execve. Needs no privilege and no order but "before execve and before a seccomp filter
/// that might deny openat2".
pub fn apply(plan: &LsmPlan, proc: &ProcFs) -> Result<()> {
    if let Some(profile) = &plan.apparmor {
        let text = format!("exec {profile}");
        // Linux 5.8 gave AppArmor a directory of its own; attr/exec belongs to whichever module is first.
        let written = match write(proc, c"thread-self/attr/apparmor/exec", text.as_bytes()) {
            Err(e) if e.errno() == Some(libc::ENOENT) && !has_own_directory(proc) => {
                write(proc, c"thread-self/attr/exec", text.as_bytes())
            }
            written => written,
        };
        written.map_err(|e| {
            let hint = format!("load the profile with apparmor_parser -r, or correct process.apparmorProfile {profile:?}");
            e.context("unable to apply apparmor profile: apparmor failed to apply profile")
                .config("process.apparmorProfile")
                .code("E-LSM")
                .hint(hint)
        })?;
    }
    if let Some(label) = &plan.selinux {
        write(proc, c"thread-self/attr/exec", label.as_bytes()).map_err(refused_label)?;
    }
    Ok(())
}

fn refused_label(cause: Error) -> Error {
    let unknown = cause.errno() == Some(libc::EINVAL);
    let error = cause.context("unable to apply selinux label").config("process.selinuxLabel").code("E-LSM");
    if unknown { error.hint("the loaded policy knows no such label") } else { error }
}

/// Whether AppArmor's own directory is there, so that ENOENT was about the profile and not about the file.
fn has_own_directory(proc: &ProcFs) -> bool {
    proc.file(c"thread-self/attr/apparmor/exec", libc::O_PATH).is_ok()
}

/// The path stands in backticks in the message: Podman knows a security attribute by them.
fn write(proc: &ProcFs, path: &CStr, text: &[u8]) -> Result<()> {
    proc.write(path, text).at(|| format!("write `/proc/{}`", path.to_string_lossy()))
}

fn has_user_namespace(linux: Option<&Linux>) -> bool {
    let namespaces = linux.and_then(|l| l.namespaces().as_ref());
    namespaces.into_iter().flatten().any(|n| n.typ() == LinuxNamespaceType::User)
}

impl LsmPlan {
    /// Whether something is to be written to /proc.
    pub fn has_labels(&self) -> bool {
        self.apparmor.is_some() || self.selinux.is_some()
    }

    /// The keyring's line of `rrun plan`.
    pub fn describe_keyring(&self) -> Vec<String> {
        self.keyring.iter().map(|_| "join a session keyring of its own".to_owned()).collect()
    }

    /// The lines of `rrun plan`: the labels.
    pub fn describe(&self) -> Vec<String> {
        let apparmor = self.apparmor.iter().map(|p| format!("AppArmor profile {p} from execve on"));
        let selinux = self.selinux.iter().map(|l| format!("SELinux label {l} from execve on"));
        apparmor.chain(selinux).collect()
    }
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::Spec;

    use super::*;

    fn decide(process: serde_json::Value, linux: serde_json::Value, modules: SecurityModules) -> Result<LsmPlan> {
        let mut spec = serde_json::json!({"ociVersion": "1.2.0", "linux": linux});
        spec["process"] = serde_json::json!({"user": {"uid": 0, "gid": 0}, "cwd": "/"});
        spec["process"].as_object_mut().expect("an object").extend(process.as_object().expect("an object").clone());
        let spec: Spec = serde_json::from_value(spec).expect("a spec");
        plan(spec.linux().as_ref(), spec.process().as_ref(), Some("_ses.x"), || modules)
    }

    #[test]
    fn a_label_without_its_module_is_an_error() {
        let none = SecurityModules::default();
        let selinux = "selinux label is specified in config, but selinux is disabled or not supported";
        let error = decide(serde_json::json!({"selinuxLabel": "a:b:c"}), serde_json::json!({}), none).expect_err("no module");
        assert_eq!(error.to_string(), selinux);
        let error = decide(serde_json::json!({}), serde_json::json!({"mountLabel": "a:b:c"}), none).expect_err("no module");
        assert_eq!((error.to_string().as_str(), error.config_text()), (selinux, Some("linux.mountLabel")));
        let error = decide(serde_json::json!({"apparmorProfile": "x"}), serde_json::json!({}), none).expect_err("no module");
        assert_eq!(error.code_text(), Some("E-LSM"));
    }

    #[test]
    fn labels_are_taken_where_the_module_is() {
        let both = SecurityModules { apparmor: true, selinux: true };
        let plan = decide(serde_json::json!({"apparmorProfile": "p", "selinuxLabel": "l"}), serde_json::json!({}), both)
            .expect("a plan");
        assert_eq!((plan.apparmor.as_deref(), plan.selinux.as_deref()), (Some("p"), Some("l")));
    }

    #[test]
    fn modules_are_not_asked_without_a_label() {
        let plan = plan(None, None, None, || panic!("asked")).expect("a plan");
        assert_eq!(plan, LsmPlan::default());
    }

    #[test]
    fn the_keyring_of_a_user_namespace_is_searchable_by_others() {
        let none = SecurityModules::default();
        let with = decide(serde_json::json!({}), serde_json::json!({"namespaces": [{"type": "user"}]}), none).expect("a plan");
        assert_eq!(with.keyring, Some((c"_ses.x".into(), OTHERS_MAY_SEARCH)));
        let without = decide(serde_json::json!({}), serde_json::json!({}), none).expect("a plan");
        assert_eq!(without.keyring, Some((c"_ses.x".into(), OWNER_MAY_SEARCH)));
    }
}
