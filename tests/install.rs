//! scripts/install.sh: what it puts in place works there, and --uninstall leaves nothing behind.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::*;

crate::tests![
    everything_is_put_in_place if lacks_cargo,
    what_was_put_is_taken_away_and_nothing_else if lacks_cargo,
];

/// The pages are made by an example, which cargo runs.
fn lacks_cargo() -> Option<&'static str> {
    let cargo = Command::new("cargo").arg("--version").stdout(Stdio::null()).status();
    let has = cargo.is_ok_and(|s| s.success()) && script().exists();
    if has { None } else { Some("needs cargo and the sources") }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/install.sh")
}

/// Runs install.sh with these words.
#[track_caller]
fn install(words: &[&str], destination: &str) -> String {
    let mut command = Command::new(script());
    command.args(words).env("RRUN", rrun_path()).env("DESTDIR", destination).stdin(Stdio::null());
    Done::from(command.output().expect("start install.sh")).ok()
}

/// All files below a directory, relative to it.
fn files(dir: &Path) -> BTreeSet<String> {
    let found = Command::new("find").arg(dir).args(["-mindepth", "1", "-printf", "%P\n"]).output().expect("run find");
    String::from_utf8_lossy(&found.stdout).lines().map(str::to_owned).collect()
}

fn everything_is_put_in_place() {
    let b = Bundle::new(&[]);
    let prefix = b.scratch("p");
    let prefix = prefix.to_str().expect("UTF-8");
    let said = install(&[prefix], "");
    let at = |path: &str| std::fs::read_to_string(format!("{prefix}/{path}")).unwrap_or_else(|e| panic!("{path}: {e}"));
    let binary = format!("{prefix}/bin/rrun");
    assert!(said.contains(&binary), "{said}");
    let version = Done::from(Command::new(&binary).arg("--version").output().expect("start rrun")).ok();
    assert!(version.starts_with("rrun version "));
    // A page for each command that the help lists.
    let help = b.rrun(["--help"]).ok();
    let commands = help.lines().skip_while(|l| !l.starts_with("Runtime")).take_while(|l| !l.starts_with("Global"));
    let names = commands.filter_map(|l| l.strip_prefix("  ")?.split_whitespace().next());
    for name in names.filter(|n| *n != "help") {
        let page = at(&format!("share/man/man1/rrun-{name}.1"));
        assert!(page.contains(".SH SYNOPSIS") && page.contains(&format!("rrun {name}")), "{page}");
        // And in it each flag of its help.
        let help = b.rrun([name, "--help"]).ok();
        let flags = help.lines().filter_map(|l| l.trim_start().strip_prefix('-')?.split("--").nth(1)?.split([' ', '=']).next());
        for flag in flags {
            assert!(page.contains(&format!("\\-\\-{}", flag.replace('-', "\\-"))), "{name} --{flag}: {page}");
        }
    }
    assert!(at("share/man/man7/rrun-errors.7").contains(".SS \"E-INTERP: "));
    assert!(at("share/man/man1/rrun.1").contains(".BR rrun\\-create (1)"));
    for (shell, file) in [("zsh", "share/zsh/site-functions/_rrun"), ("fish", "share/fish/vendor_completions.d/rrun.fish")] {
        assert!(at(file).contains("completion words"), "{shell}");
    }
    let completion = format!("{prefix}/share/bash-completion/completions/rrun");
    let line = format!(
        "PATH={prefix}/bin:$PATH; . {completion}; COMP_WORDS=(rrun resu); COMP_CWORD=1; _rrun rrun resu rrun; echo \"${{COMPREPLY[*]}}\""
    );
    assert_eq!(Done::from(Command::new("bash").args(["-c", &line]).output().expect("start bash")).ok(), "resume\n");
    // Each engine's configuration names this binary.
    let docker: serde_json::Value = serde_json::from_str(&at("share/rrun/docker-daemon.json")).expect("JSON");
    assert_eq!(docker["runtimes"]["rrun"]["path"], binary);
    for file in [
        "etc/containers/containers.conf.d/50-rrun.conf",
        "etc/crio/crio.conf.d/50-rrun.conf",
        "share/rrun/containerd-1.toml",
        "share/rrun/containerd-2.toml",
    ] {
        assert!(at(file).contains(&format!("\"{binary}\"")), "{file}");
    }
    assert!(at("share/rrun/runtimeclass.yaml").contains("handler: rrun"));
}

fn what_was_put_is_taken_away_and_nothing_else() {
    let b = Bundle::new(&[]);
    let destination = b.scratch("d");
    let bin = destination.join("usr/local/bin");
    std::fs::create_dir_all(&bin).expect("mkdir");
    std::fs::write(bin.join("other"), "").expect("write");
    let before = files(&destination);
    let to = destination.to_str().expect("UTF-8");
    install(&[], to);
    let once = files(&destination);
    assert!(once.contains("etc/containers/containers.conf.d/50-rrun.conf"), "{once:?}");
    let conf = std::fs::read_to_string(destination.join("etc/containers/containers.conf.d/50-rrun.conf")).expect("read");
    assert!(conf.contains("\"/usr/local/bin/rrun\""), "where it will be, not where it was put: {conf}");
    install(&[], to);
    assert_eq!(files(&destination), once);
    install(&["--uninstall"], to);
    assert_eq!(files(&destination), before);
}
