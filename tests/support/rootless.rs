//! What is different for a user who is not root: the tests then make rootless containers.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// `lacks` of a test that only makes sense for, or is only possible to, the real root.
pub fn needs_root() -> Option<&'static str> {
    (!nix::unistd::geteuid().is_root()).then_some("needs root")
}

/// `lacks` of a test that needs a cgroup: root has all there are, a user those that were delegated, which only v2 can do.
pub fn needs_groups() -> Option<&'static str> {
    needs_root()?;
    let own = std::fs::read_to_string("/proc/self/cgroup").expect("own cgroup");
    let above = own.trim().strip_prefix("0::/").and_then(|group| Path::new(group).parent());
    let mine =
        |group: &Path| nix::unistd::access(&Path::new("/sys/fs/cgroup").join(group), nix::unistd::AccessFlags::W_OK).is_ok();
    (!above.is_some_and(mine)).then_some("needs cgroups of its own")
}

/// The name of the user that runs the tests.
pub fn own_name() -> String {
    nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten().map(|user| user.name).unwrap_or_default()
}

/// Puts the container into a user namespace of its own whose ids 0 and up are `host` and up outside. A caller who is not
/// root can map only what is its own, and has from the start ([`super::default_config`]).
pub fn map_ids(config: &mut Value, host: u32, size: u32) {
    if needs_root().is_none() {
        let map = json!([{"containerID": 0, "hostID": host, "size": size}]);
        in_user_namespace(config, map.clone(), map);
    }
}

/// A user namespace in which the caller is root, and its subordinate ids, if there are any, are 1 and up.
pub fn map_own_ids(config: &mut Value) {
    let map = |own: u32, file: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let range = text.lines().find_map(|l| l.strip_prefix(&own_name())?.strip_prefix(':')?.split_once(':'));
        let mut map = vec![json!({"containerID": 0, "hostID": own, "size": 1})];
        if let Some((start, size)) = range {
            let number = |text: &str| text.parse::<u32>().expect("a number of subuid(5)");
            map.push(json!({"containerID": 1, "hostID": number(start), "size": number(size)}));
        }
        map
    };
    let (uids, gids) = (map(nix::unistd::geteuid().as_raw(), "/etc/subuid"), map(nix::unistd::getegid().as_raw(), "/etc/subgid"));
    if gids.len() == 1 {
        let mounts = config["mounts"].as_array_mut().expect("mounts").iter_mut();
        mounts.filter_map(|m| m["options"].as_array_mut()).for_each(|options| options.retain(|o| o != "gid=5"));
    }
    in_user_namespace(config, json!(uids), json!(gids));
}

fn in_user_namespace(config: &mut Value, uids: Value, gids: Value) {
    config["linux"]["namespaces"].as_array_mut().expect("namespaces").push(json!({"type": "user"}));
    (config["linux"]["uidMappings"], config["linux"]["gidMappings"]) = (uids, gids);
}

/// Shares the host's processes. Of those only root can mount a procfs anew; others bind the host's.
pub fn share_pids(config: &mut Value) {
    config["linux"]["namespaces"].as_array_mut().expect("namespaces").retain(|n| n["type"] != "pid");
    if needs_root().is_some() {
        config["mounts"][0] = json!({"destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind"]});
    }
}

/// Removes a directory. What a container of ours made may belong to a subordinate id of ours, over which only a user namespace
/// with that id gives power.
pub fn remove_tree(dir: &Path) -> std::io::Result<()> {
    let plainly = std::fs::remove_dir_all(dir);
    if plainly.is_ok() || needs_root().is_none() {
        return plainly;
    }
    let mut remove = Command::new("unshare");
    remove.args(["--user", "--map-root-user", "--map-auto", "rm", "-rf"]).arg(dir).stderr(Stdio::null()).status()?;
    if dir.exists() { plainly } else { Ok(()) }
}
