//! Who asks, and from where: what the kernel knows first, then what the environment claims.
//!
//! `/proc/self/loginuid` is set at login and survives su and sudo, so it names the person behind root. A machine without the
//! audit module, or a process that no login began, has none (4294967295): then sudo's word is taken, and called unverified, as is
//! the address of ssh: an environment is the caller's to write.

use serde_json::{Value, json};

use crate::log::value;
use crate::state::{boot_id as boot, user_name};

/// "No login" as the kernel writes it.
const UNSET: u32 = u32::MAX;

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim_end().to_owned())
}

/// A number and the name that the host's /etc/passwd has for it.
fn user(uid: u32) -> Value {
    json!({"uid": uid, "name": value(&user_name(uid))})
}

/// The identity.
pub fn identity() -> Value {
    let login = read("/proc/self/loginuid").and_then(|text| text.parse().ok()).filter(|uid| *uid != UNSET);
    let sudo = std::env::var("SUDO_UID").ok().and_then(|text| text.parse::<u32>().ok());
    json!({
        "login": login.map(user),
        "sudo": sudo.map(|uid| { let mut user = user(uid); user["verified"] = json!(false); user }),
        "uid": nix::unistd::getuid().as_raw(), "euid": nix::unistd::geteuid().as_raw(),
        "name": value(&user_name(nix::unistd::geteuid().as_raw())),
        "tty": tty(),
    })
}

/// The controlling terminal: field 7 of /proc/self/stat, a device number.
fn tty() -> Option<String> {
    let stat = read("/proc/self/stat")?;
    let number: u64 = stat.rsplit_once(')')?.1.split_whitespace().nth(4)?.parse().ok()?;
    let (major, minor) = ((number >> 8) & 0xfff, (number & 0xff) | ((number >> 12) & 0xf_ff00));
    match major {
        0 => None,
        4 if minor < 64 => Some(format!("tty{minor}")),
        4 => Some(format!("ttyS{}", minor - 64)),
        136..=143 => Some(format!("pts/{}", (major - 136) * 256 + minor)),
        _ => Some(format!("{major}:{minor}")),
    }
}

/// Where ssh says that the caller sits.
pub fn address() -> Option<String> {
    let connection = std::env::var("SSH_CONNECTION").ok()?;
    connection.split(' ').next().filter(|address| !address.is_empty()).map(value)
}

/// The host's name.
pub fn host() -> Option<String> {
    read("/proc/sys/kernel/hostname").map(|name| value(&name))
}

/// Which boot of the host.
pub fn boot_id() -> Option<String> {
    boot().ok()
}

/// Seconds since boot, which nobody can set.
pub fn monotonic() -> Option<f64> {
    read("/proc/uptime")?.split(' ').next()?.parse().ok()
}
