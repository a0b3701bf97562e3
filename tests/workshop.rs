//! Every command that docs/workshop shows, run as an attendee would, in the directory that scripts/workshop.sh prepares.
//!
//! `…` in a shown line stands for any text, a line of its own for any lines. All that a command prints must be shown, so no
//! output is made up, and none is left out unsaid.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::*;

crate::tests![all if lacks_something;
    index,
    namespaces,
    filesystem,
    users,
    cgroups,
    capabilities,
    seccomp,
    network,
    shared_kernel,
    layers,
    tasks,
    grading,
    every_chapter_is_run_and_linked,
    a_pattern_means_what_it_says,
];

fn chapters() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/workshop")
}

fn lacks_something() -> Option<&'static str> {
    let has = |program: &str| Command::new(program).arg("--help").output().is_ok();
    needs_root()
        .or((!chapters().exists()).then_some("no docs/workshop here"))
        .or((!has("jq")).then_some("needs jq"))
        .or((!Path::new("/proc/self/ns/time").exists()).then_some("needs a kernel with time namespaces"))
        .or(crate::network::host_lacks_veth())
}

/// A directory as attendees have it: the bundles, `rrun` on the PATH, and a state root of its own.
struct Desk {
    bundle: Bundle,
    dir: PathBuf,
}

impl Desk {
    fn new() -> Self {
        let bundle = Bundle::new(&[]);
        let (dir, bin) = (bundle.scratch("workshop"), bundle.scratch("bin"));
        std::fs::create_dir(&bin).expect("mkdir");
        std::fs::create_dir_all(bundle.root()).expect("mkdir");
        let rrun = bin.join("rrun");
        let text = format!("#!/bin/sh\nexec {} --root {} \"$@\"\n", rrun_path().display(), bundle.root().display());
        // By a process of its own: see copy_program.
        std::fs::write(bin.join("text"), text).expect("write");
        copy_program(bin.join("text"), &rrun);
        assert!(Command::new("chmod").arg("755").arg(&rrun).status().expect("chmod").success());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/workshop.sh");
        let done: Done = Command::new(script).arg(&dir).env("RRUN", &rrun).output().expect("start workshop.sh").into();
        done.ok();
        Self { bundle, dir }
    }

    /// What a line of shell prints.
    fn type_in(&self, line: &str) -> String {
        let out = self.bundle.scratch("out");
        let file = || std::fs::File::options().create(true).append(true).open(&out).expect("a file");
        std::fs::write(&out, "").expect("write");
        let path = format!("{}:{}", self.bundle.scratch("bin").display(), std::env::var("PATH").expect("PATH"));
        let mut shell = Command::new("sh");
        shell.args(["-c", line]).current_dir(&self.dir).env("PATH", path).env("TMPDIR", on_disk()).stdin(Stdio::null());
        // A file, as a container in the background keeps its output open.
        shell.stdout(file()).stderr(file()).status().expect("start sh");
        std::fs::read_to_string(&out).expect("text")
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        for id in self.type_in("rrun list --quiet").lines() {
            self.type_in(&format!("rrun delete --force {id}"));
        }
    }
}

/// The commands of all `console` blocks, each with the lines below it.
fn shown(text: &str) -> Vec<(&str, Vec<&str>)> {
    let blocks = text.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut commands: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in blocks.flat_map(str::lines) {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command, vec![])),
            (None, Some((_, lines))) => lines.push(line),
            (None, None) => panic!("a block opens without a command: {line}"),
        }
    }
    commands
}

/// Whether the lines of the output are those of the pattern.
fn agree(pattern: &[String], lines: &[String]) -> bool {
    match (pattern.split_first(), lines.split_first()) {
        (None, None) => true,
        (Some((any, rest)), _) if any == "…" => (0..=lines.len()).any(|n| agree(rest, &lines[n..])),
        (Some((wanted, rest)), Some((line, others))) => line_agrees(wanted, line) && agree(rest, others),
        _ => false,
    }
}

fn line_agrees(pattern: &str, line: &str) -> bool {
    match pattern.split_once('…') {
        None => pattern == line,
        Some((start, rest)) => line.strip_prefix(start).is_some_and(|after| {
            after.char_indices().map(|(i, _)| i).chain([after.len()]).any(|i| line_agrees(rest, &after[i..]))
        }),
    }
}

/// Runs a chapter from its first command to its last.
#[track_caller]
fn chapter(name: &str) {
    // The chapters use the same ids, hence the same groups: one at a time, as an attendee reads them.
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let text = std::fs::read_to_string(chapters().join(name)).expect(name);
    let desk = Desk::new();
    let commands = shown(&text);
    assert!(!commands.is_empty(), "{name} shows nothing");
    for (command, lines) in commands {
        // The width of a column depends on what stands in it.
        let narrow = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let pattern: Vec<String> = lines.iter().map(|l| narrow(l)).collect();
        // A terminal erases what says how far a lab is; a file keeps it.
        let stays = |line: &&str| !(line.starts_with("lab ") && line.ends_with(" ..."));
        let fits = |said: &str| agree(&pattern, &said.lines().filter(stays).map(narrow).collect::<Vec<_>>());
        let mut said = desk.type_in(command);
        // Why not is asked in tests/lab.rs.
        if command.starts_with("rrun lab run") && said.contains(" cannot be shown here: ") {
            continue;
        }
        // Whoever reads and types gives a program in the background the time that it needs to begin.
        for _ in 0..20 {
            if fits(&said) || !command.starts_with("rrun exec") || command.contains("--cap") {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(250));
            said = desk.type_in(command);
        }
        assert!(fits(&said), "{name}: $ {command}\nshould print\n{}\nbut printed\n{said}", lines.join("\n"));
    }
}

fn index() {
    chapter("README.md");
}

fn namespaces() {
    chapter("1-namespaces.md");
}

fn filesystem() {
    chapter("2-filesystem.md");
}

fn users() {
    chapter("3-users.md");
}

fn cgroups() {
    chapter("4-cgroups.md");
}

fn capabilities() {
    chapter("5-capabilities.md");
}

fn seccomp() {
    chapter("6-seccomp.md");
}

fn network() {
    chapter("7-network.md");
}

fn shared_kernel() {
    chapter("8-shared-kernel.md");
}

fn layers() {
    chapter("9-layers.md");
}

fn tasks() {
    chapter("10-tasks.md");
}

fn grading() {
    chapter("11-grading.md");
}

fn every_chapter_is_run_and_linked() {
    let own = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/workshop.rs")).expect("this file");
    let index = std::fs::read_to_string(chapters().join("README.md")).expect("the index");
    for entry in std::fs::read_dir(chapters()).expect("docs/workshop").flatten() {
        let name = entry.file_name().into_string().expect("UTF-8");
        assert!(own.contains(&format!("chapter(\"{name}\")")), "{name} is not run");
        let text = std::fs::read_to_string(entry.path()).expect("text");
        assert!(!text.contains("```sh") && !text.contains("```bash"), "{name}: commands stand in console blocks, which are run");
        if name != "README.md" {
            assert!(index.contains(&format!("]({name})")), "{name} is not in the index");
            assert!(
                text.contains("\n## Exercise\n") && text.contains("\n### Solution\n"),
                "{name} has an exercise and its solution"
            );
        }
    }
}

fn a_pattern_means_what_it_says() {
    for (pattern, text, fits) in [
        ("a\n…\nb", "a\nb", true),
        ("a\n…\nb", "a\n1\n2\nb", true),
        ("a\n…\nb", "a\n1\n2", false),
        ("pid:[…]", "pid:[4026]", true),
        ("pid:[…]", "pid:4026", false),
        ("a", "a\nb", false),
        ("… c …", "a b c d", true),
    ] {
        let lines = |t: &str| t.lines().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(agree(&lines(pattern), &lines(text)), fits, "{pattern:?} and {text:?}");
    }
}
