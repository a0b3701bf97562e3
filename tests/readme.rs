//! The commands that README.md shows, run as they stand there.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::*;

crate::tests![the_commands_do_what_the_readme_shows if lacks_readme];

fn readme() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")
}

fn lacks_readme() -> Option<&'static str> {
    needs_root().or((!readme().exists()).then_some("no README.md here"))
}

/// The commands of the README's console block, each with the lines it shows below.
fn shown(text: &str) -> Vec<(&str, Vec<&str>)> {
    let block = text.split("```console\n").nth(1).expect("a console block").split("```").next().expect("its end");
    let mut commands: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command, vec![])),
            (None, Some((_, lines))) => lines.push(line),
            (None, None) => panic!("the block opens without a command: {line}"),
        }
    }
    commands
}

fn the_commands_do_what_the_readme_shows() {
    let text = std::fs::read_to_string(readme()).expect("README.md");
    // The bundle only lends its state root, and cleans up after a failure.
    let bundle = Bundle::new(&[]);
    let root = bundle.root().display().to_string();
    let commands = shown(&text);
    assert!(commands.len() > 3, "{commands:?}");
    // One file for all, as a terminal would be: what `create` opened, the program of `start` writes to.
    let out = bundle.scratch("out");
    std::fs::write(&out, "").expect("a file");
    let said = || std::fs::read_to_string(&out).expect("text");
    for (command, lines) in commands {
        let real = command
            .replace("target/fixtures", &crate::fixtures::fixtures().display().to_string())
            .replace("rrun ", &format!("{} --root {root} ", rrun_path().display()))
            .replace(" box", &format!(" {}", bundle.id));
        let before = said().len();
        let file = || std::fs::File::options().create(true).append(true).open(&out).expect("a file");
        let status = Command::new("sh").args(["-c", &real]).stdin(Stdio::null()).stdout(file()).stderr(file()).status();
        assert!(status.expect("start sh").success(), "{real}: {}", said());
        // `start` returns before the program has printed.
        let shown = (0..100).any(|_| {
            let all = lines.iter().all(|l| *l == "…" || said()[before..].contains(l));
            std::thread::sleep(std::time::Duration::from_millis(if all { 0 } else { 20 }));
            all
        });
        assert!(shown, "{command} should print {lines:?}, not {:?}", &said()[before..]);
    }
}
