//! The directory of a lab: a tiny root, a state root of its own, configs and scripts. It is gone when the lab is over, however
//! it ends.
//!
//! What a lab makes may be dangerous for as long as it lies there (a setuid program). So nobody gets into the directory but
//! root and one user id that no account has.

use std::fs::{self, Permissions};
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::table::Lab;
use crate::error::{At, Error, Result};
use crate::host::host_directory;
use crate::sys::resolve::Name;
use crate::sys::tree;

/// The user and group that stand for "a user of the host": high in the range that no distribution gives to anybody.
pub const USER: u32 = 64_999;

/// The directory; it vanishes with this value.
pub struct Place {
    /// The directory itself.
    pub dir: PathBuf,
    /// The running program.
    pub rrun: PathBuf,
}

/// What the script outside can use.
const PRELUDE: &str = r#"
container() {
    mkdir -p "$DIR/bundle-$1"
    sed "s|@role@|$1|" "$CONFIG" > "$DIR/bundle-$1/config.json"
    "$RRUN" --root "$STATE" $FLAGS run $RUN_FLAGS --bundle "$DIR/bundle-$1" "$ID-$1"
}
of_host() {
    (IFS=:; for dir in $HOST_PATH; do [ ! -x "$dir/$1" ] || { echo "$dir/$1"; break; }; done)
}
as_user() {
    (cd / && exec "$(of_host setpriv)" --reuid="$USER_ID" --regid="$USER_ID" --clear-groups "$@")
}
until_there() {
    n=0
    until [ -e "$1" ] || [ $n -ge 500 ]; do usleep 20000; n=$((n + 1)); done
}
"#;

impl Place {
    /// Makes it: `rootfs` with busybox in it, `share`, `state`.
    pub fn make(lab: &Lab, busybox: &Path) -> Result<Self> {
        let rrun = std::env::current_exe().at(|| "find the running program")?;
        // mkdtemp(3) replaces the six letters.
        let template = std::env::temp_dir().join(format!("rrun-lab-{}", "X".repeat(6)));
        let dir = nix::unistd::mkdtemp(&template).at(|| format!("mkdtemp {}", template.display()))?;
        let place = Self { dir, rrun };
        place.fill(lab, busybox).at(|| format!("make the root of the lab in {}", place.dir.display()))?;
        Ok(place)
    }

    fn fill(&self, lab: &Lab, busybox: &Path) -> std::io::Result<()> {
        chown(&self.dir, None, Some(USER))?;
        fs::set_permissions(&self.dir, Permissions::from_mode(0o710))?;
        let root = self.dir.join("rootfs");
        for made in ["bin", "dev", "etc", "proc", "sys", "tmp", "share", "host"] {
            fs::create_dir_all(root.join(made))?;
        }
        fs::copy(busybox, root.join("bin/busybox"))?;
        fs::set_permissions(root.join("bin/busybox"), Permissions::from_mode(0o755))?;
        let applets = Command::new(busybox).arg("--list").stdin(Stdio::null()).output()?;
        for applet in String::from_utf8_lossy(&applets.stdout).lines().filter(|a| *a != "busybox" && !a.contains('/')) {
            symlink("busybox", root.join("bin").join(applet))?;
        }
        fs::write(root.join("etc/passwd"), "root::0:0::/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n")?;
        fs::write(root.join("etc/group"), "root:x:0:\nuser:x:1000:\n")?;
        // Where a mount would be put.
        fs::write(root.join("bin/rrun"), "")?;
        fs::write(root.join("bin/lab"), lab.inside)?;
        fs::write(self.dir.join("outside"), [PRELUDE, lab.outside].concat())?;
        fs::create_dir(self.dir.join("state"))?;
        fs::create_dir(self.dir.join("share"))?;
        fs::set_permissions(self.dir.join("share"), Permissions::from_mode(0o1777))?;
        // Whatever the caller's umask is, a container of other ids must be able to read its root.
        for readable in [root.join("bin/lab"), root.join("bin/rrun"), root.join("etc/passwd"), root.join("etc/group")] {
            fs::set_permissions(readable, Permissions::from_mode(0o644))?;
        }
        for open in ["", "bin", "etc"] {
            fs::set_permissions(root.join(open), Permissions::from_mode(0o755))?;
        }
        Ok(())
    }

    /// Brings it back to how it was made, with these configs: what one run leaves must not be seen by the next.
    pub fn prepare(&self, config: &Value, off: &Value) -> Result<()> {
        let share = self.dir.join("share");
        remove(&share)?;
        let fresh = || -> std::io::Result<()> {
            fs::create_dir(&share)?;
            fs::set_permissions(&share, Permissions::from_mode(0o1777))?;
            fs::write(self.dir.join("config.json"), config.to_string())?;
            fs::write(self.dir.join("off.json"), off.to_string())
        };
        fresh().at(|| format!("prepare {}", self.dir.display()))
    }

    /// The script's command, not yet started: the busybox of the root runs it, with its own tools first on the path.
    pub fn command(&self, id: &str, flags: [&str; 2]) -> Command {
        let bin = self.dir.join("rootfs/bin");
        let host_path = std::env::var("PATH").unwrap_or_else(|_| "/usr/sbin:/usr/bin:/sbin:/bin".into());
        let mut command = Command::new(bin.join("busybox"));
        command.args(["sh", "-u"]).arg(self.dir.join("outside")).current_dir("/").stdin(Stdio::null());
        command.env("PATH", format!("{}:{host_path}", bin.display())).env("HOST_PATH", &host_path);
        command.env("DIR", &self.dir).env("ROOT", self.dir.join("rootfs")).env("STATE", self.dir.join("state"));
        command.env("CONFIG", self.dir.join("config.json")).env("RRUN", &self.rrun).env("ID", id);
        command.env("FLAGS", flags[0]).env("RUN_FLAGS", flags[1]).env("USER_ID", USER.to_string());
        // What the caller set for its own containers is not meant for the lab's.
        command.env_remove("RRUN_STRICT").env_remove("XDG_RUNTIME_DIR").env_remove("NOTIFY_SOCKET").env_remove("LISTEN_FDS");
        command
    }

    /// Ends the containers that are left.
    pub fn end_containers(&self) {
        let state = self.dir.join("state");
        for entry in fs::read_dir(&state).into_iter().flatten().flatten() {
            let mut delete = Command::new(&self.rrun);
            delete.arg("--root").arg(&state).args(["delete", "--force"]).arg(entry.file_name());
            // Best effort: what is in the way is said by the removal of the directory below it.
            delete.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().ok();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.end_containers();
        // The lab is over; a directory that could not be removed is empty of containers and lies in the place for such things.
        // A mount that a lab left in it is not entered: what is behind it may be the host's.
        remove(&self.dir).ok();
    }
}

/// Removes a tree without following links or entering mounts.
fn remove(dir: &Path) -> Result<()> {
    let at = || format!("remove {}", dir.display());
    let (Some(above), Some(name)) = (dir.parent(), dir.file_name().and_then(|name| Name::new(name).ok())) else {
        return Err(Error::new(at()));
    };
    tree::remove(host_directory(above)?.as_fd(), &name).at(at)
}
