//! A user without any privilege, thrown away after the test.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::{Bundle, copy_program, default_config, rrun_path, work_dir};

/// Its uid and gid are nobody else's. It has a name and subordinate ids, but only for what it starts itself: in a mount
/// namespace where files of its own lie over /etc/passwd, /etc/subuid and /etc/subgid.
pub struct User {
    /// uid and gid.
    pub id: u32,
    /// The first of 65536 subordinate uids and gids.
    pub subordinate: u32,
    dir: PathBuf,
    /// Shell lines run as root in the mount namespace before the change of user.
    pub before: String,
}

/// `$1` is the directory of the files, `$2` the id, `$3` what comes before; then the command.
const BECOME: &str = r#"
dir=$1 id=$2 before=$3; shift 3
for name in passwd subuid subgid; do
    [ ! -e /etc/$name ] || mount --bind "$dir/$name" /etc/$name || exit 125
done
eval "$before" || exit 125
exec setpriv --reuid "$id" --regid "$id" --clear-groups env -i "XDG_RUNTIME_DIR=$dir/run" "PATH=$PATH" "$@"
"#;

impl User {
    /// `dir` is a scratch directory, still to be given to the user.
    fn new(id: u32, dir: PathBuf) -> Self {
        let subordinate = 2_000_000_000;
        std::fs::create_dir_all(dir.join("run")).expect("mkdir");
        std::fs::set_permissions(dir.join("run"), PermissionsExt::from_mode(0o700)).expect("chmod");
        let passwd = std::fs::read_to_string("/etc/passwd").expect("/etc/passwd");
        std::fs::write(dir.join("passwd"), format!("{passwd}rrun-test:x:{id}:{id}::/:/bin/sh\n")).expect("write");
        for name in ["subuid", "subgid"] {
            std::fs::write(dir.join(name), format!("rrun-test:{subordinate}:65536\n")).expect("write");
        }
        Self { id, subordinate, dir, before: ":".to_owned() }
    }

    /// Gives the user a tree.
    pub fn own(&self, tree: &Path) {
        let owner = format!("{0}:{0}", self.id);
        assert!(Command::new("chown").args(["-R", "-h", &owner]).arg(tree).status().expect("run chown").success());
    }

    /// The directory that XDG_RUNTIME_DIR names.
    pub fn runtime_dir(&self) -> PathBuf {
        self.dir.join("run")
    }

    /// A command of the user's, not yet started.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", BECOME, "sh"]).arg(&self.dir);
        command.args([&self.id.to_string(), &self.before]).arg(program);
        command
    }
}

/// Tests that run at the same time, in this process and others, have their processes counted apart.
fn unused_id() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    1_600_000_000 + std::process::id() % 10_000 * 100 + NEXT.fetch_add(1, Ordering::Relaxed) % 100
}

/// A copy of the binary where every user may execute it.
pub fn public_rrun() -> &'static Path {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    COPY.get_or_init(|| {
        let copy = work_dir().join("rrun");
        copy_program(rrun_path(), &copy);
        std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o755)).expect("chmod");
        copy
    })
}

/// rrun as nobody would call it: from /, with no environment and no input.
pub fn rrun_of_nobody() -> Command {
    let mut command = Command::new(public_rrun());
    command.env_clear().uid(65534).gid(65534).current_dir("/").stdin(Stdio::null());
    command
}

impl Bundle {
    /// A bundle of a new user without privilege, who maps the own ids to root, with all namespaces of [`default_config`].
    pub fn rootless(args: &[&str]) -> Self {
        Self::owned_by(unused_id(), args)
    }

    /// As [`Bundle::rootless`], of the user with this id.
    pub fn owned_by(id: u32, args: &[&str]) -> Self {
        let mut bundle = Self::new(args);
        let user = User::new(id, bundle.scratch("user"));
        std::fs::create_dir_all(bundle.root()).expect("make the state root");
        user.own(&bundle.dir);
        bundle.config = rootless_config(args, &json!([{"containerID": 0, "hostID": user.id, "size": 1}]));
        bundle.user = Some(user);
        bundle
    }

    /// As [`Bundle::rootless`], with the subordinate ids mapped from 1 on.
    pub fn mapped(args: &[&str]) -> Self {
        let mut bundle = Self::rootless(args);
        let (id, subordinate) = (bundle.user().id, bundle.user().subordinate);
        let maps = json!([
            {"containerID": 0, "hostID": id, "size": 1},
            {"containerID": 1, "hostID": subordinate, "size": 65_536}
        ]);
        bundle.config["linux"]["uidMappings"] = maps.clone();
        bundle.config["linux"]["gidMappings"] = maps;
        bundle
    }

    /// Its user, if it is not root.
    pub fn user(&self) -> &User {
        self.user.as_ref().expect("a bundle of a user")
    }
}

fn rootless_config(args: &[&str], maps: &Value) -> Value {
    let mut config = default_config(args);
    config["linux"]["namespaces"].as_array_mut().expect("namespaces").push(json!({"type": "user"}));
    config["linux"]["uidMappings"] = maps.clone();
    config["linux"]["gidMappings"] = maps.clone();
    // One group is mapped, and no limit can be promised.
    config["mounts"][2]["options"].as_array_mut().expect("options").retain(|o| o != "gid=5");
    config["linux"].as_object_mut().expect("an object").remove("resources");
    config
}
