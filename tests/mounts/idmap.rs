//! Id-mapped mounts: the same files with other owners, without a chown of a single one.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::binds::{is_older_than, lacks_id_maps, mapping};
use super::{HostMount, bind, tmpfs, with};
use crate::support::*;

crate::tests![
    all if needs_root;
    files_made_through_a_map_belong_to_the_mapped_owner if lacks_id_maps,
    a_recursive_map_holds_for_the_mounts_below if lacks_mapped_tmpfs,
    maps_of_mount_and_container_go_together if lacks_id_maps,
    an_overlay_is_mapped_or_the_refusal_explained if lacks_overlay,
    maps_without_their_words_are_refused,
];

/// A directory with a file of uid 0 and one of uid 3, open to all.
fn source(b: &Bundle) -> PathBuf {
    let dir = b.scratch("dir");
    std::fs::create_dir(&dir).expect("mkdir");
    fill(&dir);
    dir
}

fn fill(dir: &Path) {
    std::fs::set_permissions(dir, PermissionsExt::from_mode(0o777)).expect("chmod");
    for (name, id) in [("zero", 0), ("three", 3)] {
        std::fs::write(dir.join(name), "").expect("write");
        chown(dir.join(name), Some(id), Some(id)).expect("chown");
    }
}

fn mapped(mut mount: Value, uids: Value, gids: Value) -> Value {
    mount["uidMappings"] = uids;
    mount["gidMappings"] = gids;
    mount
}

fn owner(file: PathBuf) -> (u32, u32) {
    let found = file.metadata().expect("stat");
    (found.uid(), found.gid())
}

fn files_made_through_a_map_belong_to_the_mapped_owner() {
    for word in ["idmap", "ridmap", "bind"] {
        let mut b = with(&["sh", "-c", "stat -c %u:%g /x/zero /x/three; touch /x/made; stat -c %u:%g /x/made"], &[]);
        let dir = source(&b);
        let mount = mapped(bind(&dir, "/x", &["rbind", word]), mapping(0, 1000), mapping(0, 2000));
        b.config["mounts"].as_array_mut().expect("mounts").push(mount);
        b.config["process"]["user"] = json!({"uid": 1007, "gid": 2008});
        assert_eq!(b.run().ok(), "1000:2000\n1003:2003\n1007:2008\n", "{word}");
        assert_eq!(owner(dir.join("made")), (7, 8), "{word}");
        // An id without a place in the map owns nothing here.
        b.config["process"]["user"] = json!({"uid": 5, "gid": 5});
        b.config["process"]["args"] = json!(["touch", "/x/other"]);
        assert!(b.run().err.contains("Value too large"), "{word}");
    }
}

fn a_recursive_map_holds_for_the_mounts_below() {
    let mut b = with(&["stat", "-c", "%u:%g", "/r/inner/deep", "/s/inner/deep", "/r", "/s"], &[]);
    let host = HostMount::new(&b, "private");
    let mount = |to: &str, word: &str| mapped(bind(&host.0, to, &["rbind", word]), mapping(0, 50), mapping(0, 60));
    b.config["mounts"].as_array_mut().expect("mounts").extend([mount("/r", "ridmap"), mount("/s", "idmap")]);
    assert_eq!(b.run().ok(), "50:60\n0:0\n50:60\n50:60\n");
}

fn lacks_mapped_tmpfs() -> Option<&'static str> {
    is_older_than((6, 3)).then_some("no id maps on tmpfs")
}

fn with_user_namespace(b: &mut Bundle) {
    map_ids(&mut b.config, 100_000, 65_536);
    let done = Command::new("chown").args(["-R", "-h", "100000:100000"]).arg(b.rootfs()).status().expect("run chown");
    assert!(done.success());
}

fn maps_of_mount_and_container_go_together() {
    // On disk 0; on the mount 100000; in the container 0 again. The other mount has its own map: 0 is the container's 1.
    let mut b = Bundle::new(&["sh", "-c", "stat -c %u /same/zero /own/zero /plain/zero; touch /same/made"]);
    let dir = source(&b);
    with_user_namespace(&mut b);
    b.config["mounts"].as_array_mut().expect("mounts").extend([
        bind(&dir, "/same", &["rbind", "ridmap"]),
        mapped(bind(&dir, "/own", &["bind", "idmap"]), mapping(0, 100_001), mapping(0, 100_001)),
        bind(&dir, "/plain", &["bind"]),
    ]);
    assert_eq!(b.run().ok(), "0\n1\n65534\n");
    assert_eq!(owner(dir.join("made")), (0, 0));
}

/// An overlay on the host, gone on drop.
struct Overlay(PathBuf);

impl Overlay {
    fn new(b: &Bundle) -> Option<Self> {
        let base = b.scratch("overlay");
        let dirs = ["lower", "upper", "work", "merged"].map(|name| base.join(name));
        dirs.iter().for_each(|dir| std::fs::create_dir_all(dir).expect("mkdir"));
        fill(&dirs[0]);
        let options = format!("lowerdir={},upperdir={},workdir={}", dirs[0].display(), dirs[1].display(), dirs[2].display());
        let done = Command::new("mount").args(["-t", "overlay", "overlay", "-o", &options]).arg(&dirs[3]).output();
        done.expect("run mount").status.success().then(|| Self(dirs[3].clone()))
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        let done = Command::new("umount").arg(&self.0).status();
        assert!(done.is_ok_and(|s| s.success()) || std::thread::panicking());
    }
}

fn lacks_overlay() -> Option<&'static str> {
    Overlay::new(&Bundle::new(&[])).is_none().then_some("needs overlay")
}

/// No kernel up to 7.2 maps the ids of an overlay itself, only of its layers.
fn an_overlay_is_mapped_or_the_refusal_explained() {
    let mut b = Bundle::new(&["sh", "-c", "stat -c %u /x/three && touch /x/made"]);
    let overlay = Overlay::new(&b).expect("an overlay");
    let mount = mapped(bind(&overlay.0, "/x", &["bind", "idmap"]), mapping(0, 70), mapping(0, 70));
    b.config["mounts"].as_array_mut().expect("mounts").push(mount);
    b.config["process"]["user"] = json!({"uid": 72, "gid": 72});
    let done = b.run();
    if done.code == 0 {
        assert_eq!((done.out.as_str(), owner(overlay.0.join("made"))), ("73\n", (2, 2)));
        return;
    }
    done.fails_with("mount_setattr: invalid argument");
    done.fails_with("the filesystem of the source may not support id-mapped mounts");
    assert!(!b.root().join(&b.id).exists(), "the state directory is still there");
}

fn maps_without_their_words_are_refused() {
    let refused = |mount: Value, text: &str| with(&["true"], &[mount]).run().fails_with(text);
    let etc = || bind(Path::new("/etc"), "/x", &["bind", "idmap"]);
    refused(etc(), "the option idmap needs uidMappings and gidMappings");
    let one = |key: &str| {
        let mut mount = etc();
        mount[key] = mapping(0, 1);
        mount
    };
    for key in ["uidMappings", "gidMappings"] {
        refused(one(key), "id-mapped mounts must have both uid and gid mappings specified");
    }
    let new = mapped(tmpfs("/x", &[]), mapping(0, 1), mapping(0, 1));
    refused(new, "id-mapped mounts are only supported for bind-mounts");
    refused(tmpfs("/x", &["idmap"]), "idmap");
    let empty = json!([{"containerID": 0, "hostID": 1, "size": 0}]);
    refused(mapped(etc(), empty, mapping(0, 1)), "size is 0");
}
