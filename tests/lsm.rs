//! Labels: in force where the kernel has the module, refused where it lacks it. (The keyring has tests/keyring.rs.)

use serde_json::json;

use crate::support::*;

crate::tests![
    an_apparmor_profile_without_apparmor_is_refused if host_has_apparmor,
    an_selinux_label_without_selinux_is_refused if host_has_selinux,
    an_unknown_apparmor_profile_is_refused if host_lacks_apparmor,
    the_unconfined_profile_is_taken if host_lacks_apparmor,
];

fn apparmor() -> bool {
    std::fs::read_to_string("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with('Y'))
}

fn host_has_apparmor() -> Option<&'static str> {
    apparmor().then_some("needs a kernel without AppArmor")
}

fn host_lacks_apparmor() -> Option<&'static str> {
    (!apparmor()).then_some("needs AppArmor")
}

fn host_has_selinux() -> Option<&'static str> {
    std::path::Path::new("/sys/fs/selinux/enforce").exists().then_some("needs a kernel without SELinux")
}

fn an_apparmor_profile_without_apparmor_is_refused() {
    let mut b = Bundle::new(&["true"]);
    b.config["process"]["apparmorProfile"] = json!("some-profile");
    b.run().fails_with("apparmor profile is specified in config, but apparmor is disabled or not supported");
    b.assert_no_trace();
}

fn an_selinux_label_without_selinux_is_refused() {
    let text = "selinux label is specified in config, but selinux is disabled or not supported";
    let mut b = Bundle::new(&["true"]);
    b.config["process"]["selinuxLabel"] = json!("system_u:system_r:container_t:s0");
    b.run().fails_with(text);
    b.config["process"].as_object_mut().expect("object").remove("selinuxLabel");
    b.config["linux"]["mountLabel"] = json!("system_u:object_r:container_file_t:s0");
    b.run().fails_with(text);
}

fn an_unknown_apparmor_profile_is_refused() {
    let mut b = Bundle::new(&["true"]);
    b.config["process"]["apparmorProfile"] = json!("rrun-test-no-such-profile");
    b.run().fails_with("unable to apply apparmor profile: apparmor failed to apply profile: write `/proc/thread-self/attr/");
}

fn the_unconfined_profile_is_taken() {
    let mut b = Bundle::new(&["witness"]);
    b.config["process"]["apparmorProfile"] = json!("unconfined");
    assert_eq!(b.witness()["lsm"], "unconfined");
}
