//! Kernel parameters of the container's namespaces.

use serde_json::{Value, json};

use crate::support::*;

crate::tests![
    parameters_are_set_in_the_container_only if needs_root,
    both_separators_are_understood,
    refusals_have_their_canonical_texts if needs_root,
    a_refusal_of_the_kernel_names_the_file,
    the_images_proc_is_not_written_to,
];

fn with(sysctl: Value, args: &[&str]) -> Bundle {
    let mut b = Bundle::new(args);
    b.config["linux"]["sysctl"] = sysctl;
    b
}

fn parameters_are_set_in_the_container_only() {
    let read = |path| std::fs::read_to_string(path).expect("read");
    let before = [read("/proc/sys/kernel/msgmax"), read("/proc/sys/fs/mqueue/msg_max")];
    let sysctl =
        json!({"kernel.msgmax": "4321", "fs.mqueue.msg_max": "13", "kernel.domainname": "dom", "net.ipv4.ip_forward": "1"});
    let files =
        ["kernel/msgmax", "fs/mqueue/msg_max", "kernel/domainname", "net/ipv4/ip_forward"].map(|f| format!("/proc/sys/{f}"));
    let args: Vec<&str> = ["cat"].into_iter().chain(files.iter().map(String::as_str)).collect();
    assert_eq!(with(sysctl, &args).run().ok(), "4321\n13\ndom\n1\n");
    assert_eq!([read("/proc/sys/kernel/msgmax"), read("/proc/sys/fs/mqueue/msg_max")], before);
}

fn both_separators_are_understood() {
    let sysctl = json!({"net/ipv4/ip_forward": "1", "net.ipv4.conf.lo.rp_filter": "1", "net/ipv4/conf/all.x": "1"});
    with(sysctl, &["true"]).run().fails_with("write /proc/sys/net/ipv4/conf/all.x: no such file or directory");
    let sysctl = json!({"net/ipv4/ip_forward": "1"});
    assert_eq!(with(sysctl, &["cat", "/proc/sys/net/ipv4/ip_forward"]).run().ok(), "1\n");
}

fn refusals_have_their_canonical_texts() {
    let refused = |key: &str, without: &str, text: &str| {
        let mut b = with(json!({key: "1"}), &["true"]);
        b.config["linux"]["namespaces"].as_array_mut().expect("array").retain(|n| n["type"] != without);
        b.run().fails_with(text);
    };
    refused("vm.swappiness", "", r#"sysctl "vm.swappiness" is not in a separate kernel namespace"#);
    refused("kernel.msgmax", "ipc", r#"sysctl "kernel.msgmax" is not allowed in the hosts ipc namespace"#);
    refused("net.ipv4.ip_forward", "network", r#"sysctl "net.ipv4.ip_forward" not allowed in host network namespace"#);
    refused("kernel.hostname", "", r#"sysctl "kernel.hostname" is not allowed as it conflicts with the OCI "hostname" field"#);
    refused("user.max_user_namespaces", "", r#"sysctl "user.max_user_namespaces" is not in a separate kernel namespace"#);
    refused("net/../kernel/core_pattern", "", r#"sysctl "net/../kernel/core_pattern" is not a valid name"#);
}

fn a_refusal_of_the_kernel_names_the_file() {
    with(json!({"net.ipv4.nix": "1"}), &["true"]).run().fails_with("write /proc/sys/net/ipv4/nix: no such file or directory");
    with(json!({"net.ipv4.ip_forward": "x"}), &["true"])
        .run()
        .fails_with("write /proc/sys/net/ipv4/ip_forward: invalid argument");
}

fn the_images_proc_is_not_written_to() {
    // CVE-2025-52881, CVE-2019-16884: a volume on /proc/sys takes what was meant for the kernel.
    let mut b = with(json!({"net.ipv4.ip_forward": "1"}), &["cat", "/proc/1/root/fake"]);
    let fake = b.rootfs().join("fake");
    std::fs::write(&fake, "untouched\n").expect("write");
    let bind = json!({"destination": "/proc", "type": "tmpfs", "source": "tmpfs"});
    b.config["mounts"].as_array_mut().expect("array").retain(|m| m["destination"] != "/proc");
    b.config["mounts"].as_array_mut().expect("array").push(bind);
    // A /proc that is no procfs is refused; without any /proc the parameter is set all the same.
    assert_eq!(b.run().code, 1);
    b.config["mounts"].as_array_mut().expect("array").retain(|m| m["destination"] != "/proc");
    b.config["linux"]["maskedPaths"] = json!([]);
    b.config["linux"]["readonlyPaths"] = json!([]);
    std::fs::create_dir_all(b.rootfs().join("proc/sys/net/ipv4")).expect("mkdir");
    std::fs::write(b.rootfs().join("proc/sys/net/ipv4/ip_forward"), "fake\n").expect("write");
    b.config["process"]["args"] = json!(["cat", "/proc/sys/net/ipv4/ip_forward"]);
    assert_eq!(b.run().ok(), "fake\n", "the file of the image is as it was");
}
