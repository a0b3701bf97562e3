//! `explain BUNDLE` and its flags.

use serde_json::{Value, json};

use super::{document, failing};
use crate::support::*;

crate::tests![
    a_bundle_is_graded_before_it_runs,
    the_threshold_is_for_pipelines,
    one_finding_is_told_in_full,
    the_repaired_config_is_better_and_runs if needs_root,
    nothing_is_overwritten_unasked,
    a_policy_weighs_otherwise_and_accepts_for_a_while,
    findings_are_grouped,
    two_bundles_are_compared,
    the_page_is_one_file_that_runs_nothing,
    hostile_names_are_shown_as_text,
    the_details_name_what_passed,
    contradictions_are_refused,
];

/// A command line that is wrong, which is status 2: 1 is an answer of `--threshold`.
#[track_caller]
fn refused(b: &Bundle, args: &[&str], text: &str) {
    let done = b.rrun(["explain"].iter().chain(args).copied());
    assert!(done.code == 2 && done.err.contains(text), "{done:?}");
}

fn a_bundle_is_graded_before_it_runs() {
    let mut b = Bundle::new(&["true"]);
    let before = document(&b, &["."]);
    assert_eq!((&before["subject"]["status"], &before["tableVersion"]), (&json!("not running"), &json!("1")));
    assert_eq!(before["subject"]["configSha256"].as_str().map(str::len), Some(64));
    for finding in before["findings"].as_array().expect("a list") {
        let keys: Vec<&String> = finding.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["badness", "exposure", "fix", "floor", "id", "reason", "refs", "risk", "weight"], "{finding}");
    }
    b.config["mounts"].as_array_mut().expect("a list").push(json!({"destination": "/e", "source": "/etc", "type": "bind"}));
    b.config["process"]["capabilities"]["bounding"] = json!(["CAP_SYS_ADMIN"]);
    b.config["process"]["noNewPrivileges"] = json!(false);
    let after = document(&b, &["."]);
    for id in ["MNT-HOST", "MNT-FLAGS", "CAP-ADMIN", "NNP"] {
        assert!(!failing(&before).contains(&id) && failing(&after).contains(&id), "{id}");
    }
    let text = b.rrun(["explain", "."]).ok();
    assert!(
        text.contains("MNT-HOST") && text.contains("Always shared with the host") && text.contains("/etc (inside: /e)"),
        "{text}"
    );
}

fn the_threshold_is_for_pipelines() {
    let b = Bundle::new(&["true"]);
    let score = document(&b, &["."])["score"].as_f64().expect("a number");
    let above = b.rrun(["explain", "--threshold", &format!("{:.1}", score - 0.1), "."]);
    assert_eq!((above.code, above.err.as_str()), (1, ""), "the report is the answer");
    assert!(above.out.contains("Exposure"));
    b.rrun(["explain", "--threshold", &format!("{score:.1}"), "."]).ok();
    refused(&b, &["--threshold", "11", "."], "invalid value \"11\" for --threshold");
    refused(&b, &["--threshold", "2.44", "."], "write a number from 0 to 10, as 2.4");
}

fn one_finding_is_told_in_full() {
    let b = Bundle::new(&["sleep", "100"]);
    let text = b.write().rrun(["explain", ".", "pids"]).ok();
    for part in
        ["fork bomb", "Show      rrun lab run forkbomb", "CIS Docker Benchmark 1.6.0: 5.29", "\"path\":\"/linux/resources/pids\""]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(b.rrun(["explain", ".", "NNP"]).ok().contains("passed: on"));
    let json: Value = serde_json::from_str(&b.rrun(["explain", "--json", ".", "SECCOMP"]).ok()).expect("JSON");
    assert_eq!((&json["id"], &json["weight"]), (&json!("SECCOMP"), &json!(20)));
    refused(&b, &[".", "NS-USR"], "there is no finding NS-USR - did you mean NS-USER?");
    // Commands can be copied: they name this one.
    for word in [".", &b.path().display().to_string()] {
        let trace = format!("rrun trace {word} --emit-profile");
        assert!(b.rrun(["explain", word]).ok().contains(&trace) && b.rrun(["explain", word, "SECCOMP"]).ok().contains(&trace));
    }
    b.run_detached();
    assert!(b.rrun(["explain", &b.id, "UID-ROOT"]).ok().contains(&format!("rrun exec {} id", b.id)));
    let foreign = b.rrun(["explain", "--pid", &b.state()["pid"].to_string()]).ok();
    assert!(foreign.contains(&format!("rrun explain --pid {} SECCOMP says more", b.state()["pid"])), "{foreign}");
}

fn the_repaired_config_is_better_and_runs() {
    let mut b = Bundle::new(&["true"]);
    b.config["process"]["args"] = json!(["sh", "-c", "id -u; grep NoNewPrivs /proc/self/status"]);
    b.config["process"]["noNewPrivileges"] = json!(false);
    let before = document(&b, &["."]);
    let file = b.scratch("fixed.json");
    let said = b.rrun(["explain", "--fix", "-o", file.to_str().expect("UTF-8"), "."]).ok();
    assert!(said.contains("\"path\":\"/process/noNewPrivileges\"") && said.contains("What could break"), "{said}");
    assert_eq!(
        b.config,
        serde_json::from_slice::<Value>(&std::fs::read(b.path().join("config.json")).expect("read")).expect("JSON")
    );
    b.config = serde_json::from_slice(&std::fs::read(file).expect("it was written")).expect("JSON");
    let after = document(&b, &["."]);
    let left: Vec<&str> = failing(&after);
    assert!(left.is_empty() || left == ["LSM"], "{left:?}");
    assert!(before["score"].as_f64() > Some(2.0) && after["score"].as_f64() <= Some(0.4), "{before} {after}");
    // Without swap accounting the machine refuses a limit of it; the files belong to the host's root, who may be read.
    b.config["linux"]["resources"]["memory"].as_object_mut().expect("an object").remove("swap");
    assert_eq!(b.run().ok(), "1000\nNoNewPrivs:\t1\n");
}

fn nothing_is_overwritten_unasked() {
    let b = Bundle::new(&["true"]);
    b.write().rrun(["explain", "--fix", "."]).ok();
    let made = b.path().join("config.fixed.json");
    let text = std::fs::read(&made).expect("beside config.json");
    b.rrun(["explain", "--fix", "."]).fails_with("file exists (hint: remove it, or name a file with -o FILE");
    assert_eq!(std::fs::read(&made).expect("read"), text);
    let json: Value = serde_json::from_str(&b.rrun(["explain", "--json", "--fix", "-o", "config.json", "."]).ok()).expect("JSON");
    assert!(json["patch"].as_array().is_some_and(|p| !p.is_empty()) && json["before"].as_f64() > json["after"].as_f64());
    assert_eq!(std::fs::read(b.path().join("config.json")).expect("read"), text, "named, it may be the input itself");
}

fn a_policy_weighs_otherwise_and_accepts_for_a_while() {
    let b = Bundle::new(&["true"]);
    let before = document(&b, &["."]);
    let policy = |value: Value| {
        let file = b.scratch("policy.json");
        std::fs::write(&file, value.to_string()).expect("write");
        file.to_str().expect("UTF-8").to_owned()
    };
    let exception = |until: &str| json!({"exceptions": [{"finding": "SECCOMP", "reason": "not yet", "until": until}]});
    let file = policy(exception("2999-12-31"));
    let accepted = document(&b, &["--policy", &file, "."]);
    assert!(accepted["score"].as_f64() < before["score"].as_f64() && !failing(&accepted).contains(&"SECCOMP"));
    assert_eq!(accepted["accepted"][0]["reason"], "accepted until 2999-12-31: not yet");
    let file = policy(exception("2020-01-01"));
    let expired = document(&b, &["--policy", &file, "."]);
    assert_eq!((&expired["score"], expired["expiredExceptions"].as_array().map(Vec::len)), (&before["score"], Some(1)));
    let file = policy(json!({"weights": {"SECCOMP": 100}}));
    assert!(document(&b, &["--policy", &file, "."])["score"].as_f64() > before["score"].as_f64());
    let file = policy(json!({"weights": {"SECOMP": 1}}));
    b.rrun(["explain", "--policy", &file, "."]).fails_with("there is no finding SECOMP - did you mean SECCOMP?");
}

fn findings_are_grouped() {
    let b = Bundle::new(&["true"]);
    let by = |what: &str| b.write().rrun(["explain", "--by", what, "."]).ok();
    assert!(by("risk").contains("\navailability  ") && by("ns").contains("\ncgroup  "));
    assert!(by("ref").contains("\nCIS Docker Benchmark 1.6.0: 5.29  "));
    refused(&b, &["--by", "mood", "."], "invalid value \"mood\" for --by (hint: use one of: risk, ns, ref)");
}

fn two_bundles_are_compared() {
    let mut b = Bundle::new(&["true"]);
    b.write();
    let other = b.scratch("other");
    std::fs::create_dir(&other).expect("mkdir");
    std::fs::copy(b.path().join("config.json"), other.join("config.json")).expect("copy");
    let other = other.to_str().expect("UTF-8");
    assert!(b.rrun(["explain", "--compare", other, "."]).ok().contains("no check differs"));
    b.config["linux"]["resources"]["pids"] = json!({"limit": 7});
    b.config["process"]["noNewPrivileges"] = json!(false);
    let text = b.write().rrun(["explain", "--compare", other, "."]).ok();
    let words: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(words.contains(&vec!["better", "PIDS", "max", "7"]) && words.contains(&vec!["worse", "NNP", "on", "off"]), "{text}");
    let json = document(&b, &["--compare", other, "."]);
    assert_eq!(json["differences"].as_array().map(Vec::len), Some(2));
}

fn the_page_is_one_file_that_runs_nothing() {
    let b = Bundle::new(&["true"]);
    let file = b.scratch("report.html");
    b.write().rrun(["explain", "--html", file.to_str().expect("UTF-8"), "."]).ok();
    let page = std::fs::read_to_string(&file).expect("it was written");
    assert!(page.starts_with("<!DOCTYPE html>\n<html lang=\"en\">") && page.ends_with("</html>\n") && page.len() < 200_000);
    // With no path of the host inside, the picture shows where the root is.
    assert!(page.contains("/bundle/rootfs</text>"), "{page}");
    assert!(page.contains("default-src &#39;none&#39;") && !page.contains("<script") && !page.contains("://"));
    assert_eq!(page.matches("<svg").count(), 4);
    let missing = b.scratch("no/report.html");
    b.rrun(["explain", "--html", missing.to_str().expect("UTF-8"), "."]).fails_with("no such file or directory");
}

fn hostile_names_are_shown_as_text() {
    const NAME: &str = "/x<b>\u{1b}[2J\u{202e}";
    let mut b = Bundle::new(&["true"]);
    let mount = json!({"destination": NAME, "source": format!("/etc{NAME}"), "type": "bind"});
    b.config["mounts"].as_array_mut().expect("a list").push(mount);
    b.config["process"][NAME] = json!(1);
    let file = b.scratch("report.html");
    let text = b.write().rrun(["explain", "-v", "--html", file.to_str().expect("UTF-8"), "."]).ok();
    let json = b.rrun(["explain", "--json", "."]).ok();
    let page = std::fs::read_to_string(&file).expect("it was written");
    for out in [&text, &json, &page] {
        assert!(!out.contains(['\u{1b}', '\u{202e}']), "{out}");
    }
    assert!(page.contains("/x&lt;b&gt;\\x1b[2J\\u{202e}") && !page.contains("<b>"));
    assert!(text.contains("KEYS  config.json:"), "an unknown key is a finding: {text}");
    b.rrun(["--strict", "explain", "."]).fails_with("unknown key process.");
}

fn the_details_name_what_passed() {
    let b = Bundle::new(&["true"]);
    let plain = b.write().rrun(["explain", "."]).ok();
    let full = b.rrun(["explain", "-v", "."]).ok();
    assert!(!plain.contains("\nPassed\n") && full.contains("\nPassed\n") && full.contains("NS-MNT    own"), "{full}");
    assert!(full.contains("see it: rrun lab run seccomp-unshare"));
}

fn contradictions_are_refused() {
    let b = Bundle::new(&["true"]);
    refused(b.write(), &["-o", "x", "."], "-o needs --fix");
    refused(&b, &["--fix", ".", "NNP"], "--fix and a single finding exclude each other");
    refused(&b, &["--fix", "--pid", "1"], "--fix and --pid exclude each other");
    b.rrun(["explain", "no-such"]).fails_with("container does not exist");
    b.rrun(["explain", "./no-such"]).fails_with("no such file or directory");
    b.rrun(["explain", "--pid", "0"]).fails_with("process 0 does not exist");
    refused(&b, &["a", "b", "c"], "requires a maximum of 2 argument(s)");
}
