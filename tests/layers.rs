//! Layered roots: what is on top, what stays below, what is kept and what goes, and hostile content in between.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::support::*;

crate::tests![
    the_last_layer_is_on_top,
    layers_below_stay_as_they_are,
    whiteouts_and_opaque_directories_hide,
    overlay_leaves_the_bundles_root_alone,
    a_kept_layer_is_there_after_and_next_time,
    a_private_layer_goes,
    what_a_container_leaves_cannot_lead_the_removal_out,
    one_read_only_layer_needs_no_overlay,
    read_only_layers_are_joined,
    two_hundred_layers if lacks_many_layers,
    a_size_is_a_limit,
    a_user_namespace_owns_its_layer,
    hooks_see_a_layered_root,
    a_missing_layer_is_explained,
    an_overlay_on_an_overlay_is_explained if needs_root,
    misspelt_annotations_are_errors,
    the_plan_names_the_layers,
];

/// A bundle whose root is in two layers, the base one below `top`; root.path does not exist.
fn layered(args: &[&str]) -> (Bundle, PathBuf) {
    let mut b = Bundle::new(args);
    let (base, top) = (b.scratch("base"), b.scratch("top"));
    std::fs::rename(b.rootfs(), &base).expect("rename");
    std::fs::create_dir(&top).expect("mkdir");
    annotate(&mut b, "layers", &json!([base, top]).to_string());
    (b, top)
}

fn annotate(b: &mut Bundle, key: &str, value: &str) {
    b.config["annotations"][format!("io.rrun.rootfs.{key}")] = json!(value);
}

fn the_last_layer_is_on_top() {
    let (b, top) = layered(&["cat", "/etc/passwd", "/etc/group"]);
    std::fs::create_dir(top.join("etc")).expect("mkdir");
    std::fs::write(top.join("etc/passwd"), "top\n").expect("write");
    assert_eq!(b.run().ok(), "top\nroot:x:0:\nuser:x:1000:\n");
    b.assert_no_trace();
}

fn layers_below_stay_as_they_are() {
    let (b, top) = layered(&["sh", "-c", "echo new > /etc/passwd; rm /etc/group; mkdir /made; ls /etc; stat -c %a /"]);
    assert_eq!(b.run().ok(), "passwd\n755\n");
    let base = b.scratch("base");
    assert!(std::fs::read_to_string(base.join("etc/passwd")).expect("read").starts_with("root"));
    assert!(base.join("etc/group").exists() && !base.join("made").exists());
    assert!(std::fs::read_dir(top).expect("read").next().is_none());
}

/// The changes of one container as a layer of the next.
fn whiteouts_and_opaque_directories_hide() {
    let (mut b, _) = layered(&["sh", "-c", "rm /etc/group && rm -r /var && mkdir /var"]);
    let changes = b.scratch("changes");
    annotate(&mut b, "upper", changes.to_str().expect("UTF-8"));
    b.run().ok();
    let whiteout = changes.join("etc/group").symlink_metadata().expect("a whiteout");
    assert!(whiteout.file_type().is_char_device() && whiteout.rdev() == 0);
    let (mut next, _) = layered(&["sh", "-c", "ls /etc /root; ls -A /var"]);
    let layers = json!([next.scratch("base"), changes]).to_string();
    annotate(&mut next, "layers", &layers);
    assert_eq!(next.run().ok(), "/etc:\npasswd\n\n/root:\n");
}

fn overlay_leaves_the_bundles_root_alone() {
    let b = Bundle::new(&["sh", "-c", "echo x > /new; cat /new /extra"]);
    let extra = b.scratch("extra");
    std::fs::create_dir(&extra).expect("mkdir");
    std::fs::write(extra.join("extra"), "y\n").expect("write");
    let done = b.run_with(&["--overlay", "--layer", extra.to_str().expect("UTF-8")]);
    assert_eq!(done.ok(), "x\ny\n");
    assert!(!b.rootfs().join("new").exists());
    b.assert_no_trace();
}

fn a_kept_layer_is_there_after_and_next_time() {
    let (mut b, _) = layered(&["sh", "-c", "cat /kept 2>/dev/null || echo first; echo second > /kept; rm -f /etc/group"]);
    let kept = b.scratch("kept");
    annotate(&mut b, "upper", kept.to_str().expect("UTF-8"));
    assert_eq!(b.run().ok(), "first\n");
    assert_eq!(std::fs::read_to_string(kept.join("kept")).expect("kept"), "second\n");
    assert_eq!(b.run().ok(), "second\n");
    let hidden = std::fs::read_dir(kept.parent().expect("a parent")).expect("read");
    let hidden: Vec<_> =
        hidden.map(|e| e.expect("an entry").file_name()).filter(|n| n.to_string_lossy().starts_with('.')).collect();
    assert!(hidden.is_empty(), "{hidden:?}");
    // The command line counts more.
    let other = b.scratch("other");
    assert_eq!(b.run_with(&["--keep-layer", other.to_str().expect("UTF-8")]).ok(), "first\n");
    assert!(other.join("kept").exists());
}

fn a_private_layer_goes() {
    let (b, _) = layered(&["sleep", "100"]);
    b.run_detached();
    let layer = b.root().join(&b.id).join("layer");
    assert!(layer.join("upper").is_dir());
    b.rrun(["delete", "--force", &b.id]).ok();
    b.assert_no_trace();
    assert!(!layer.exists());
}

fn what_a_container_leaves_cannot_lead_the_removal_out() {
    let script = "ln -s $CANARY /link; mkdir -p /closed/in; ln -s $CANARY /closed/in/link; chmod 0 /closed/in /closed; \
                  i=0; cd /tmp; while [ $i -lt 300 ]; do mkdir d; cd d; i=$((i+1)); done; ln -s $CANARY link; mkfifo pipe; echo done";
    let (mut b, _) = layered(&["sh", "-c", script]);
    let canary = b.scratch("canary");
    std::fs::create_dir(&canary).expect("mkdir");
    std::fs::write(canary.join("keep"), "").expect("write");
    b.config["process"]["env"].as_array_mut().expect("env").push(json!(format!("CANARY={}", canary.display())));
    assert_eq!(b.run().ok(), "done\n");
    b.assert_no_trace();
    assert!(canary.join("keep").exists());
}

fn one_read_only_layer_needs_no_overlay() {
    let mut b = Bundle::new(&["sh", "-c", "grep ' / / ' /proc/self/mountinfo; echo x > /x"]);
    b.config["root"]["readonly"] = json!(true);
    let layer = b.rootfs();
    annotate(&mut b, "layers", &json!([layer]).to_string());
    let done = b.run();
    assert!(!done.out.contains("overlay"), "{done:?}");
    assert!(done.err.contains("Read-only file system"), "{done:?}");
    // What lacks a mount point cannot be given one: the layer is not ours to change.
    b.config["mounts"].as_array_mut().expect("mounts").push(json!({"destination": "/absent", "type": "tmpfs"}));
    b.run().fails_with("create it in the image");
    assert!(!layer.join("absent").exists());
}

fn read_only_layers_are_joined() {
    let (mut b, top) = layered(&["sh", "-c", "cat /new; echo x > /x"]);
    std::fs::write(top.join("new"), "new\n").expect("write");
    b.config["root"]["readonly"] = json!(true);
    let done = b.run();
    assert_eq!(done.out, "new\n", "{done:?}");
    assert!(done.err.contains("Read-only file system"), "{done:?}");
}

/// Before Linux 6.7 the names of all layers share 255 bytes.
fn lacks_many_layers() -> Option<&'static str> {
    kernel_before(6, 7).then_some("the kernel takes few layers")
}

/// Whether the kernel is older than this.
pub fn kernel_before(major: u32, minor: u32) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("osrelease");
    let mut numbers = release.split('.').map(|n| n.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) < (Some(major), Some(minor))
}

fn two_hundred_layers() {
    let mut b = Bundle::new(&["sh", "-c", "ls /many | wc -l; cat /which"]);
    let mut layers = vec![b.rootfs()];
    for i in 0..200 {
        let layer = b.scratch(&format!("a-long-name-as-engines-give-them-{i:064}"));
        std::fs::create_dir_all(layer.join("many")).expect("mkdir");
        std::fs::write(layer.join(format!("many/{i}")), "").expect("write");
        std::fs::write(layer.join("which"), format!("{i}\n")).expect("write");
        layers.push(layer);
    }
    annotate(&mut b, "layers", &json!(layers).to_string());
    assert_eq!(b.run().ok(), "200\n199\n");
}

fn a_size_is_a_limit() {
    let (mut b, _) = layered(&["sh", "-c", "dd if=/dev/zero of=/big bs=1M count=8; stat -c %s /big"]);
    annotate(&mut b, "size", "4M");
    let done = b.run();
    assert!(done.err.contains("No space left on device") || done.err.contains("quota exceeded"), "{done:?}");
    b.assert_no_trace();
    // Both larger than what is written and on the command line.
    assert_eq!(b.run_with(&["--overlay-size", "64M"]).ok(), "8388608\n");
    b.assert_no_trace();
}

fn a_user_namespace_owns_its_layer() {
    let (mut b, _) = layered(&["sh", "-c", "echo x > /new && stat -c %u:%g / /new"]);
    map_ids(&mut b.config, 100_000, 65_536);
    assert_eq!(b.run().ok(), "0:0\n0:0\n");
}

fn hooks_see_a_layered_root() {
    let (mut b, _) = layered(&["cat", "/from-hook"]);
    let place = b.root().join(&b.id).join("rootfs");
    let script = format!("[ -d {0}/proc/self ] && echo seen > {0}/from-hook", place.display());
    let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"]});
    b.config["hooks"] = json!({"createContainer": [hook]});
    assert_eq!(b.run().ok(), "seen\n");
    b.assert_no_trace();
}

fn a_missing_layer_is_explained() {
    let mut b = Bundle::new(&["true"]);
    annotate(&mut b, "layers", r#"["rootfs", "absent"]"#);
    let done = b.run();
    done.fails_with("absent: no such file or directory");
    done.fails_with("the layer is absent on the host");
    b.assert_no_trace();
}

fn an_overlay_on_an_overlay_is_explained() {
    let (mut b, _) = layered(&["true"]);
    let (lower, upper, work, merged) = (b.scratch("l"), b.scratch("u"), b.scratch("w"), b.scratch("merged"));
    for dir in [&lower, &upper, &work, &merged] {
        std::fs::create_dir(dir).expect("mkdir");
        std::fs::set_permissions(dir, PermissionsExt::from_mode(0o755)).expect("chmod");
    }
    let options = format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
    let done = Command::new("mount").args(["-t", "overlay", "overlay", "-o", &options]).arg(&merged).status().expect("run mount");
    assert!(done.success());
    annotate(&mut b, "upper", merged.join("kept").to_str().expect("UTF-8"));
    let done = b.run();
    assert!(Command::new("umount").arg(&merged).status().expect("run umount").success());
    done.fails_with("error mounting \"overlay\" to rootfs at \"/\"");
    done.fails_with("the file system of the writable layer cannot be one");
}

fn misspelt_annotations_are_errors() {
    let (mut b, _) = layered(&["true"]);
    annotate(&mut b, "uper", "/x");
    b.run().fails_with("did you mean upper?");
    let (mut b, _) = layered(&["true"]);
    annotate(&mut b, "layers", "rootfs");
    b.run().fails_with("expected a JSON array of directories");
}

fn the_plan_names_the_layers() {
    let (mut b, top) = layered(&["true"]);
    annotate(&mut b, "size", "1G");
    let bundle = b.path();
    let out = b.write().rrun(["plan", bundle.to_str().expect("UTF-8")]).ok();
    assert!(out.contains(&format!("layer {}", top.display())), "{out}");
    assert!(out.contains("limit it to 1073741824 bytes by a project quota, or as a tmpfs"), "{out}");
}
