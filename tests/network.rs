//! The loopback of a new network namespace, and devices moved into it.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use crate::support::*;

crate::tests![
    the_loopback_is_up,
    a_joined_namespace_is_left_as_it_is if needs_root,
    a_device_moves_in_with_its_addresses if host_lacks_veth,
    a_device_gets_its_new_name if host_lacks_veth,
    a_template_gets_a_free_number if host_lacks_veth,
    attributes_of_a_device_are_kept if host_lacks_veth,
    a_virtual_device_ends_with_its_container if host_lacks_veth,
    a_name_that_is_taken_is_refused if host_lacks_veth,
    devices_move_into_a_user_namespace if host_lacks_veth,
    a_device_without_a_peer_moves if host_lacks_ifb,
    a_missing_device_is_named if needs_root,
    refusals_have_their_canonical_texts if needs_root,
];

/// A pair of virtual devices on the host, taken away at the end.
pub struct Pair(pub String, pub String);

impl Pair {
    /// `None` if the host cannot make one.
    pub fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = |side| format!("rr{side}{}-{number}", std::process::id() % 100_000);
        let pair = Self(name("a"), name("b"));
        ip(&["link", "add", &pair.0, "type", "veth", "peer", "name", &pair.1]).then_some(pair)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // Either end takes the other with it; the container's end may be gone with the container.
        ip(&["link", "del", &self.1]);
    }
}

fn ip(args: &[&str]) -> bool {
    Command::new("ip").args(args).output().is_ok_and(|o| o.status.success())
}

pub fn host_lacks_veth() -> Option<&'static str> {
    needs_root().or_else(|| Pair::new().is_none().then_some("needs ip(8) and virtual Ethernet devices"))
}

fn the_loopback_is_up() {
    let out = Bundle::new(&["ip", "addr", "show", "lo"]).run().ok();
    assert!(out.contains("LOOPBACK,UP") && out.contains("127.0.0.1/8"), "{out}");
    assert!(Bundle::new(&["ping", "-c", "1", "-W", "5", "127.0.0.1"]).run().code <= 1);
}

fn a_joined_namespace_is_left_as_it_is() {
    let mut holder = Command::new("unshare").args(["--net", "sleep", "1000"]).spawn().expect("run unshare");
    let path = format!("/proc/{}/ns/net", holder.id());
    let own = std::fs::read_link("/proc/self/ns/net").expect("readlink");
    while std::fs::read_link(&path).expect("readlink") == own {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let mut b = Bundle::new(&["ip", "link", "show", "lo"]);
    b.config["linux"]["namespaces"].as_array_mut().expect("array").retain(|n| n["type"] != "network");
    b.config["linux"]["namespaces"].as_array_mut().expect("array").push(json!({"type": "network", "path": path}));
    let done = b.run();
    holder.kill().expect("kill");
    holder.wait().expect("wait");
    let out = done.ok();
    assert!(out.contains("LOOPBACK") && !out.contains("LOOPBACK,UP"), "{out}");
}

fn a_device_moves_in_with_its_addresses() {
    let pair = Pair::new().expect("a pair");
    assert!(ip(&["addr", "add", "10.99.0.1/24", "dev", &pair.0]));
    assert!(ip(&["addr", "add", "fd00:99::1/64", "dev", &pair.0, "nodad"]));
    assert!(ip(&["link", "set", &pair.0, "up"]));
    let mut b = Bundle::new(&["ip", "addr", "show", &pair.0]);
    b.config["linux"]["netDevices"] = json!({&pair.0: {}});
    let out = b.run().ok();
    assert!(out.contains(",UP"), "{out}");
    assert!(out.contains("inet 10.99.0.1/24"), "{out}");
    assert!(out.contains("inet6 fd00:99::1/64"), "{out}");
    // A link-local address is not carried over, but made anew by the kernel: never two.
    assert!(out.matches("scope link").count() <= 1, "{out}");
}

fn a_device_gets_its_new_name() {
    let pair = Pair::new().expect("a pair");
    assert!(ip(&["addr", "add", "10.98.0.1/24", "dev", &pair.0]));
    let mut b = Bundle::new(&["ip", "addr", "show", "inside0"]);
    b.config["linux"]["netDevices"] = json!({&pair.0: {"name": "inside0"}});
    let out = b.run().ok();
    assert!(out.contains("inside0") && out.contains("inet 10.98.0.1/24"), "{out}");
}

fn a_template_gets_a_free_number() {
    let (one, two) = (Pair::new().expect("a pair"), Pair::new().expect("a pair"));
    assert!(ip(&["addr", "add", "10.97.0.1/24", "dev", &two.0]));
    let mut b = Bundle::new(&["ip", "addr"]);
    b.config["linux"]["netDevices"] = json!({&one.0: {"name": "net0"}, &two.0: {"name": "net%d"}});
    let out = b.run().ok();
    let (_, second) = out.split_once(": net1").unwrap_or_else(|| panic!("{out}"));
    assert!(out.contains(": net0") && second.contains("inet 10.97.0.1/24") && second.contains(",UP"), "{out}");
}

/// The answer of ip(8) in the network namespace of a container.
fn ip_in(b: &Bundle, args: &[&str]) -> Done {
    let pid = b.state()["pid"].to_string();
    Command::new("nsenter").args(["--net", "--target", &pid, "ip"]).args(args).output().expect("run nsenter").into()
}

fn attributes_of_a_device_are_kept() {
    let pair = Pair::new().expect("a pair");
    let other = format!("{}-also-known-as", pair.0);
    assert!(ip(&["link", "set", &pair.0, "mtu", "1333", "address", "02:00:00:00:00:42", "alias", "noted"]));
    assert!(ip(&["link", "property", "add", "dev", &pair.0, "altname", &other]));
    // Learnt or of this link only: not carried over.
    assert!(ip(&["addr", "add", "10.96.0.1/24", "dev", &pair.0, "valid_lft", "900", "preferred_lft", "900"]));
    assert!(ip(&["addr", "add", "10.96.1.1/24", "dev", &pair.0, "scope", "link"]));
    assert!(ip(&["addr", "add", "10.96.2.1", "peer", "10.96.2.9/24", "dev", &pair.0]));
    let mut b = Bundle::new(&["sleep", "100"]);
    b.config["linux"]["netDevices"] = json!({&pair.0: {"name": "net0"}});
    b.run_detached();
    let out = ["link", "addr"].map(|what| ip_in(&b, &[what, "show", "dev", &other]).ok()).concat();
    for kept in ["net0", "mtu 1333", "02:00:00:00:00:42", "alias noted", "inet 10.96.2.1 peer 10.96.2.9/24", &other] {
        assert!(out.contains(kept), "{kept}: {out}");
    }
    assert!(!out.contains("10.96.0.1") && !out.contains("10.96.1.1"), "{out}");
}

fn a_virtual_device_ends_with_its_container() {
    for end in ["kill", "delete"] {
        let pair = Pair::new().expect("a pair");
        let mut b = Bundle::new(&["sleep", "100"]);
        b.config["linux"]["netDevices"] = json!({&pair.0: {}});
        b.run_detached();
        assert!(!ip(&["link", "show", &pair.0]) && ip(&["link", "show", &pair.1]));
        let args = if end == "kill" { ["kill", &b.id, "KILL"] } else { ["delete", "--force", &b.id] };
        b.rrun(args).ok();
        // The kernel takes the namespace away with its last process, if nobody else holds it, and the device with it.
        wait_until("the pair is gone", || !ip(&["link", "show", &pair.1]));
    }
}

fn a_name_that_is_taken_is_refused() {
    let pair = Pair::new().expect("a pair");
    let mut b = Bundle::new(&["true"]);
    b.config["linux"]["netDevices"] = json!({&pair.0: {"name": "lo"}});
    let done = b.run();
    done.fails_with(&format!("move network device {:?}: name it \"lo\"", pair.0));
    done.fails_with("file exists");
    b.assert_no_trace();
    assert!(ip(&["link", "show", &pair.0]), "the device is where it was");
}

fn devices_move_into_a_user_namespace() {
    let pair = Pair::new().expect("a pair");
    assert!(ip(&["addr", "add", "10.95.0.1/24", "dev", &pair.0]));
    let mut b = Bundle::new(&["ip", "addr", "show", "net0"]);
    map_ids(&mut b.config, 100_000, 65_536);
    b.config["linux"]["netDevices"] = json!({&pair.0: {"name": "net0"}});
    let out = b.run().ok();
    assert!(out.contains("inet 10.95.0.1/24") && out.contains(",UP"), "{out}");
}

/// A device of one end, on the host until the container takes it.
fn single() -> Option<String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("rri{}-{}", std::process::id() % 100_000, NEXT.fetch_add(1, Ordering::Relaxed));
    ip(&["link", "add", &name, "type", "ifb"]).then_some(name)
}

fn host_lacks_ifb() -> Option<&'static str> {
    match single() {
        Some(name) => {
            ip(&["link", "del", &name]);
            None
        }
        None => Some("needs ip(8) and ifb devices"),
    }
}

fn a_device_without_a_peer_moves() {
    let name = single().expect("a device");
    let mut b = Bundle::new(&["ip", "link", "show", &name]);
    b.config["linux"]["netDevices"] = json!({&name: {}});
    let done = b.run();
    ip(&["link", "del", &name]);
    assert!(done.ok().contains(",UP"));
}

fn a_missing_device_is_named() {
    let mut b = Bundle::new(&["true"]);
    b.config["linux"]["netDevices"] = json!({"rrun-none": {}});
    b.run().fails_with(r#"find the device "rrun-none": no such device"#);
    b.assert_no_trace();
}

fn refusals_have_their_canonical_texts() {
    let mut b = Bundle::new(&["true"]);
    b.config["linux"]["netDevices"] = json!({"a/b": {}});
    b.run().fails_with(r#"invalid network device name "a/b""#);
    b.config["linux"]["netDevices"] = json!({"eth9": {}});
    b.config["linux"]["namespaces"].as_array_mut().expect("array").retain(|n| n["type"] != "network");
    b.run().fails_with("unable to move network devices without a NET namespace");
}
