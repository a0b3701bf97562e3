//! The session keyring: fresh, and the container's own.

use serde_json::Value;

use crate::support::*;

crate::tests![
    the_container_has_a_keyring_of_its_own if host_lacks_keys,
    two_containers_have_two_keyrings if host_lacks_keys,
    the_callers_keyring_is_kept_if_asked_for if caller_lacks_a_keyring,
];

fn host_lacks_keys() -> Option<&'static str> {
    (!std::path::Path::new("/proc/keys").exists()).then_some("needs a kernel with keyrings")
}

/// Who never joined a session keyring has that of the user, of whom each user namespace has its own.
fn caller_lacks_a_keyring() -> Option<&'static str> {
    let joined = || own_keyring()["description"].as_str().is_some_and(|text| !text.contains(";_uid"));
    host_lacks_keys().or_else(|| needs_root().filter(|_| !joined()).map(|_| "needs a session keyring"))
}

/// `{"id": …, "description": …}`
fn keyring(out: &str) -> Value {
    serde_json::from_str::<Value>(out).expect("JSON")["session_keyring"].clone()
}

fn own_keyring() -> Value {
    let out = std::process::Command::new(witness_path()).arg("session_keyring").output().expect("run the witness");
    keyring(&String::from_utf8_lossy(&out.stdout))
}

fn the_container_has_a_keyring_of_its_own() {
    let b = Bundle::new(&["witness", "session_keyring"]);
    let keyring = keyring(&b.run().ok());
    let description = keyring["description"].as_str().expect("a description");
    assert!(description.ends_with(&format!(";_ses.{}", b.id)), "{description}");
    let rights = u32::from_str_radix(description.split(';').nth(3).expect("a mode"), 16).expect("hex");
    // In a user namespace the owner is somebody else.
    let search = if needs_root().is_some() { 0x0000_0008 } else { 0x0008_0000 };
    assert_eq!(rights & search, search, "exec may search it");
    assert_ne!(keyring["id"], own_keyring()["id"]);
}

fn two_containers_have_two_keyrings() {
    let of = |b: &Bundle| keyring(&b.run().ok())["id"].clone();
    let (a, b) = (Bundle::new(&["witness", "session_keyring"]), Bundle::new(&["witness", "session_keyring"]));
    assert_ne!(of(&a), of(&b));
}

fn the_callers_keyring_is_kept_if_asked_for() {
    let mut b = Bundle::new(&["witness", "session_keyring"]);
    let keyring = keyring(&b.run_with(&["--no-new-keyring"]).ok());
    assert_eq!(keyring["id"], own_keyring()["id"]);
    b.config["process"]["args"] = serde_json::json!(["sleep", "100"]);
    let mut command = b.write().command(["run", "--detach", "--no-new-keyring", &b.id]);
    let null = std::process::Stdio::null;
    assert!(command.stdout(null()).stderr(null()).status().expect("start rrun").success());
    // What is executed in it follows.
    assert_eq!(self::keyring(&b.rrun(["exec", &b.id, "witness", "session_keyring"]).ok())["id"], own_keyring()["id"]);
}
