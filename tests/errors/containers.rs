//! Containers that are there and should not be, or are not what the command needs.

use serde_json::{Value, json};

use super::{Case, Class, check};
use crate::support::Bundle;

crate::tests![what_is_wrong_with_a_container_is_said];

const fn case(code: &'static str, make: fn(&mut Bundle) -> &'static str, before: fn(&Bundle), text: &'static str) -> Case {
    Case { code, make, before, text, exit: 1, class: Class::Other }
}

/// A program that stays.
fn sleeps(b: &mut Bundle) {
    b.config["process"]["args"] = json!(["sleep", "100"]);
}

/// Puts back the state directory of a container that is gone.
fn put_back(b: &Bundle) {
    let copied = std::process::Command::new("cp").arg("-a").arg(b.scratch("kept")).arg(b.root().join(&b.id)).status();
    assert!(copied.expect("run cp").success());
}

pub const CASES: &[Case] = &[
    case(
        "E-EXISTS",
        |b| {
            sleeps(b);
            "create @"
        },
        Bundle::create,
        r"rrun create failed: container with given ID already exists \(hint: choose another id, or remove it: rrun delete \S+\)",
    ),
    case(
        "E-NOTSTOPPED",
        |b| {
            sleeps(b);
            "delete @"
        },
        Bundle::run_detached,
        r"cannot delete container \S+ that is not stopped: running \(hint: stop it first: rrun kill \S+, or rrun delete --force \S+\)",
    ),
    case(
        "E-STATE",
        |b| {
            sleeps(b);
            "state @"
        },
        |b| {
            b.create();
            let file = b.root().join(&b.id).join("rrun.json");
            let text = std::fs::read(&file).expect("read");
            std::fs::write(file, &text[..text.len() / 2]).expect("write");
        },
        r"state of container \S+ is damaged: .* \(hint: rrun delete --force \S+ removes what is left of it\)",
    ),
    case(
        "E-STALE",
        |b| {
            // The record of a container that is gone, processes and groups, as a reboot leaves it.
            b.create();
            let kept = b.scratch("kept");
            let copied = std::process::Command::new("cp").arg("-a").arg(b.root().join(&b.id)).arg(&kept).status();
            assert!(copied.expect("run cp").success());
            b.rrun(["delete", "--force", &b.id]).ok();
            let text = std::fs::read(kept.join("rrun.json")).expect("read");
            let mut state: Value = serde_json::from_slice(&text).expect("JSON");
            state["state"]["boot_id"] = json!("an-earlier-one");
            std::fs::write(kept.join("rrun.json"), state.to_string()).expect("write");
            "kill @"
        },
        put_back,
        r"container not running \(hint: it ran before the machine was started anew; rrun delete \S+\)",
    ),
];

fn what_is_wrong_with_a_container_is_said() {
    check(CASES);
}
