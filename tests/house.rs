//! The house rules of docs/architecture.md that a program can check; the lints in Cargo.toml and clippy.toml check the rest.
//!
//! Everything here reads text, nothing runs as root. A rule that hurts is changed in docs/architecture.md and here, by a
//! commit that says why.

#[path = "security/document.rs"]
mod attacks;
mod conformance;
mod flags;
mod handles;
mod hints;
mod supply;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of the project: its path from the top, and its text.
struct Source {
    path: String,
    text: String,
}

/// All Rust files, but not what was built.
fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for room in ["src", "tests", "rootfs-fixtures", "fuzz"] {
        walk(&top().join(room), &mut found);
    }
    found.retain(|path| path.extension().is_some_and(|e| e == "rs"));
    found.sort();
    assert!(found.len() > 20, "the project is not where this test looks for it: {}", top().display());
    let source =
        |path: PathBuf| Source { path: path.strip_prefix(top()).unwrap().to_str().unwrap().to_owned(), text: read(&path) };
    found.into_iter().map(source).collect()
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())).flatten() {
        if entry.path().is_dir() {
            walk(&entry.path(), found);
        } else {
            found.push(entry.path());
        }
    }
}

impl Source {
    /// (line number, line without its comment and without what stands in quotes) of every line of code.
    fn code(&self) -> impl Iterator<Item = (usize, String)> {
        self.text.lines().enumerate().map(|(i, line)| (i + 1, without_texts(line))).filter(|(_, line)| !line.trim().is_empty())
    }

    fn is_in(&self, room: &str) -> bool {
        self.path.starts_with(room)
    }
}

/// A line without its comment and the contents of its string literals. A literal of several lines is not understood; none
/// of the rules needs it.
fn without_texts(line: &str) -> String {
    let line = line.replace("'\"'", "").replace("\\\"", "");
    let mut kept = String::new();
    for (i, part) in line.split('"').enumerate() {
        if i % 2 == 1 {
            continue;
        }
        match part.split_once("//") {
            Some((code, _)) => return kept + code,
            None => kept += part,
        }
    }
    kept
}

/// The words (identifiers and keywords) of a line.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty())
}

/// Fails with all offences at once, one line each.
#[track_caller]
fn none(rule: &str, offences: Vec<String>) {
    assert!(offences.is_empty(), "{rule}\n  {}", offences.join("\n  "));
}

/// The offences that `check` finds in each line of code of each file.
fn lines(files: impl Fn(&Source) -> bool, check: impl Fn(&Source, &str) -> Option<String>) -> Vec<String> {
    let mut offences = Vec::new();
    for source in sources().iter().filter(|s| files(s)) {
        offences.extend(source.code().filter_map(|(n, line)| Some(format!("{}:{n}: {}", source.path, check(source, &line)?))));
    }
    offences
}

// Rule 1: one idea per file, named with the kernel's or the specification's word.

#[test]
fn no_file_or_module_is_a_drawer_for_everything() {
    const DRAWERS: [&str; 9] = ["util", "utils", "common", "helper", "helpers", "manager", "misc", "stuff", "tools"];
    let named = |s: &Source| Path::new(&s.path).iter().any(|p| DRAWERS.contains(&p.to_str().unwrap().trim_end_matches(".rs")));
    none("name it after what it is for:", sources().into_iter().filter(named).map(|s| s.path).collect());
    let vague = |n: &&str| DRAWERS.contains(n) || ["Manager", "Helper", "Utils"].iter().any(|end| n.ends_with(end));
    let item = |_: &Source, line: &str| {
        let name = words(line).skip_while(|w| !["mod", "struct", "enum", "trait"].contains(w)).nth(1);
        name.filter(vague).map(str::to_owned)
    };
    none("name it after what it is:", lines(|_| true, item));
}

#[test]
fn every_file_opens_with_what_a_student_can_read_alone() {
    let header = |s: &Source| {
        let lines: Vec<&str> = s.text.lines().take_while(|l| l.starts_with("//!")).collect();
        // Tables and examples are no prose.
        let prose = lines.split(|l| l.contains("```")).step_by(2).flatten().filter(|l| !l.starts_with("//! |")).count();
        let lists_only = s.code().all(|(_, l)| ["mod ", "pub mod ", "pub use ", "use ", "#["].iter().any(|w| l.starts_with(w)));
        let short = !s.is_in("src") || lists_only || s.path == "src/main.rs" || s.path.ends_with("/tests.rs");
        let least = if short { 1 } else { 3 };
        (!(least..=10).contains(&prose)).then(|| format!("{}: {prose} lines of //!, {least} to 10 wanted", s.path))
    };
    none(
        "what it is, the man page, the boundary it makes, what escapes without it:",
        sources().iter().filter_map(header).collect(),
    );
}

// Rule 2: data goes down; no import goes up, or sideways between concepts.

/// The floors, from the ground up. A file imports from its own floor or from below.
const FLOORS: [&[&str]; 6] = [
    &["sys"],
    &["error", "host", "style", "suggest"],
    &["concepts"],
    &["audit", "bundle", "cli", "log", "plan", "process", "state"],
    &["workshop"],
    &["verbs"],
];

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// The room of a file: `src/concepts/mounts/mod.rs` → `concepts`.
fn room(path: &str) -> &str {
    path.trim_start_matches("src/").split(['/', '.']).next().unwrap_or_default()
}

/// What a line takes from other rooms: `use crate::sys::{fd, mount}` → `["sys", "fd"]`, the first word after it included.
fn taken(line: &str) -> Vec<Vec<&str>> {
    line.split("crate::").skip(1).map(|rest| words(rest).take(2).collect()).collect()
}

#[test]
fn every_room_has_its_floor() {
    let homeless = |s: &Source| s.is_in("src") && !["main", "lib"].contains(&room(&s.path)) && floor(room(&s.path)).is_none();
    let paths = sources().into_iter().filter(homeless).map(|s| s.path).collect();
    none("say in tests/house.rs on which floor it stands, and in docs/architecture.md what it is for:", paths);
}

#[test]
fn no_import_goes_up() {
    let up = |s: &Source, line: &str| {
        let own = floor(room(&s.path))?;
        taken(line)
            .iter()
            .filter_map(|t| t.first())
            .find(|r| floor(r).is_some_and(|f| f > own))
            .map(|r| format!("imports {r} from above"))
    };
    none(
        "main → verbs → workshop → {bundle, cli, plan, process, state} → concepts → {error, host} → sys:",
        lines(|s| s.is_in("src"), up),
    );
}

#[test]
fn concepts_never_import_each_other() {
    let concept = |s: &Source| s.path.split('/').nth(2).map(|c| c.trim_end_matches(".rs").to_owned());
    let sideways = |s: &Source, line: &str| {
        let other = |t: &Vec<&str>| t.first() == Some(&"concepts") && t.get(1).copied() != concept(s).as_deref();
        let up_and_over = s.path.matches('/').count() == 2 && line.contains("super::") && !line.starts_with(' ');
        (taken(line).iter().any(other) || up_and_over).then(|| line.trim().to_owned())
    };
    none("what two concepts need is decided in plan or done in sys:", lines(|s| s.is_in("src/concepts/"), sideways));
}

// Rule 4: a function fits a screen (clippy: too_many_lines), a file 400 lines.

#[test]
fn files_are_small() {
    let long = |s: &Source| {
        let (what, count, most) = match s.path.as_str() {
            "src/main.rs" => ("lines", s.text.lines().count(), 60),
            path if path.starts_with("src/verbs/") && !path.ends_with("mod.rs") => {
                let tests = s.text.lines().position(|l| l == "#[cfg(test)]").unwrap_or(usize::MAX);
                ("lines of code", s.code().take_while(|(n, _)| *n <= tests).count(), 80)
            }
            _ => ("lines", s.text.lines().count(), 400),
        };
        (count > most).then(|| format!("{}: {count} {what}, at most {most}", s.path))
    };
    none("split it into a folder of the same name:", sources().iter().filter_map(long).collect());
}

// Rule 6: unsafe only in src/sys (clippy: undocumented_unsafe_blocks asks for the SAFETY note).

#[test]
fn unsafe_stays_behind_the_door() {
    // The witness talks to the kernel on its own: it shares no code with what it judges.
    let inside = |s: &Source| !s.is_in("src/sys") && !s.is_in("rootfs-fixtures/witness");
    let offence = |_: &Source, line: &str| words(line).any(|w| w == "unsafe").then(|| "unsafe".to_owned());
    none("unsafe belongs to src/sys:", lines(inside, offence));
    let text = read(&top().join("src/lib.rs"));
    let rooms: Vec<&str> = text.lines().filter(|l| l.starts_with("pub mod ") && !l.contains(" sys;")).collect();
    let forbidden = text.matches("#[forbid(unsafe_code)]").count();
    assert_eq!(forbidden, rooms.len(), "each room but sys carries #[forbid(unsafe_code)] in src/lib.rs: {rooms:?}");
}

// Rule 7: main prints, nobody else; nothing is dropped silently.

#[test]
fn only_main_prints() {
    let elsewhere = |s: &Source| s.is_in("src") && !["src/main.rs", "src/verbs/mod.rs"].contains(&s.path.as_str());
    let prints = |_: &Source, line: &str| {
        ["println!", "eprintln!", "print!", "eprint!", "dbg!"].iter().find(|p| line.contains(**p)).map(|p| (*p).to_owned())
    };
    none("return it; main prints:", lines(elsewhere, prints));
}

#[test]
fn nothing_is_thrown_away_unsaid() {
    let thrown = |_: &Source, line: &str| line.replace(' ', "").contains("let_=").then(|| "let _ =".to_owned());
    none("say with .ok() or drop, and a comment, why it does not matter:", lines(|s| s.is_in("src"), thrown));
}

#[test]
fn nothing_is_left_for_later() {
    let later = |s: &Source| {
        let marks = ["todo!(", "unimplemented!(", "TODO", "FIXME", "XXX"];
        let line = |(n, l): (usize, &str)| marks.iter().find(|m| l.contains(**m)).map(|m| format!("{}:{}: {m}", s.path, n + 1));
        s.text.lines().enumerate().filter_map(line).collect::<Vec<_>>()
    };
    none("finish it:", sources().iter().filter(|s| s.path != "tests/house.rs").flat_map(later).collect());
}

#[test]
fn an_exception_from_a_lint_says_why() {
    let silent = |s: &Source| {
        let lines: Vec<&str> = s.text.lines().collect();
        let excuse = |(n, l): (usize, &&str)| {
            let near = lines[n.saturating_sub(1)..(n + 3).min(lines.len())].concat();
            let excused = (l.contains("allow(") || l.contains("expect(")) && l.trim_start().starts_with("#");
            (excused && !near.contains("reason") && !near.contains("//")).then(|| format!("{}:{}: {}", s.path, n + 1, l.trim()))
        };
        lines.iter().enumerate().filter_map(excuse).collect::<Vec<_>>()
    };
    none("give a reason = \"…\" or a comment:", sources().iter().flat_map(silent).collect());
}

// Rule 10: tests of behaviour stand in tests/, under the concept's name.

#[test]
fn every_concept_has_black_box_tests() {
    let mut missing = Vec::new();
    for entry in fs::read_dir(top().join("src/concepts")).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().trim_end_matches(".rs").to_owned();
        let tests = top().join("tests");
        if name != "mod" && !tests.join(format!("{name}.rs")).exists() && !tests.join(&name).is_dir() {
            missing.push(format!("src/concepts/{name} has no tests/{name}.rs"));
        }
    }
    missing.sort();
    none("a concept is what its tests show:", missing);
}

// Rule 12: a dependency needs a sentence.

#[test]
fn every_dependency_says_what_it_is_for() {
    let text = read(&top().join("Cargo.toml"));
    let lines: Vec<&str> = text.lines().collect();
    let mut section = "";
    let mut silent = Vec::new();
    for (n, line) in lines.iter().enumerate() {
        if line.starts_with('[') {
            section = line;
        } else if section.ends_with("dependencies]")
            && line.contains('=')
            && !line.starts_with('#')
            && !lines[n - 1].starts_with('#')
        {
            silent.push(format!("Cargo.toml:{}: {line}", n + 1));
        }
    }
    none("put a sentence before it:", silent);
}

// Rule 14: what the documents name is there.

fn documents() -> Vec<Source> {
    let source = |path: &str| Source { path: path.to_owned(), text: read(&top().join(path)) };
    let mut docs = vec![source("README.md")];
    let mut found = Vec::new();
    walk(&top().join("docs"), &mut found);
    docs.extend(
        found
            .iter()
            .filter(|p| p.extension().is_some_and(|e| e == "md"))
            .map(|p| source(p.strip_prefix(top()).unwrap().to_str().unwrap())),
    );
    docs
}

#[test]
fn every_path_that_a_document_names_exists() {
    let rooms = ["src/", "tests/", "scripts/", "rootfs-fixtures/", "docs/", ".ci/", ".cargo/"];
    let mut missing = Vec::new();
    for doc in documents() {
        let quoted = doc.text.split(['`', ' ', '(', ')', '\n', '|', ',', ';']).map(|w| w.trim_end_matches(['.', ':', '/']));
        let paths = quoted.filter(|w| rooms.iter().any(|r| w.starts_with(r)) && !w.contains(['*', '{', '<', '…']));
        missing.extend(paths.filter(|p| !top().join(p).exists()).map(|p| format!("{}: {p}", doc.path)));
    }
    none("the document is out of date:", missing);
}

#[test]
fn every_verb_that_a_document_shows_exists() {
    let mut unknown = Vec::new();
    for doc in documents() {
        let quoted = doc.text.split('`').skip(1).step_by(2);
        let indented = doc.text.lines().filter(|l| l.starts_with("    ") || l.starts_with("$ "));
        for command in quoted.chain(indented).filter_map(|c| c.trim_start_matches([' ', '$']).strip_prefix("rrun ")) {
            let verb = command.split_whitespace().find(|w| !w.starts_with('-')).unwrap_or_default();
            let is_word = !verb.is_empty() && verb.bytes().all(|b| b.is_ascii_lowercase());
            let help = Command::new(env!("CARGO_BIN_EXE_rrun")).args([verb, "--help"]).output().expect("start rrun");
            if is_word && !help.status.success() {
                unknown.push(format!("{}: rrun {command}", doc.path));
            }
        }
    }
    none("rrun VERB --help must succeed:", unknown);
}

#[test]
fn the_handshake_table_is_the_code() {
    let code = read(&top().join("src/process/handshake.rs"));
    let (_, messages) = code.split_once("pub enum Msg {").expect("enum Msg");
    let (messages, _) = messages.split_once("\n}").expect("its end");
    let variants: Vec<&str> =
        messages.lines().map(str::trim).filter(|l| l.starts_with(char::is_uppercase)).filter_map(|l| words(l).next()).collect();
    let doc = read(&top().join("docs/architecture.md"));
    let rows: Vec<&str> = doc.lines().filter_map(|l| l.strip_prefix("| `")?.split_once('`')).map(|(name, _)| name).collect();
    let told: Vec<&str> = rows.into_iter().filter(|r| variants.contains(r)).collect();
    assert_eq!(told, variants, "docs/architecture.md and enum Msg must name the same messages in the same order");
}

#[test]
fn scripts_stop_at_the_first_error() {
    let mut found = vec![top().join(".ci/run")];
    walk(&top().join("scripts"), &mut found);
    walk(&top().join("rootfs-fixtures"), &mut found);
    // PID 1 of the VM and its job, which have no ending, must go on to the end.
    found.retain(|p| p.ends_with(".ci/run") || p.extension().is_some_and(|e| e == "sh"));
    // What lies in a layer is run by the shell of that layer.
    found.retain(|p| !p.components().any(|c| c.as_os_str() == "layers"));
    let lax = |p: &PathBuf| !read(p).contains("\nset -euo pipefail\n");
    none("set -euo pipefail is missing:", found.iter().filter(|p| lax(p)).map(|p| p.display().to_string()).collect());
}

#[test]
fn no_binary_is_committed() {
    let listed = Command::new("git").arg("-C").arg(top()).args(["ls-files", "-z"]).output();
    // A copy of the sources without its history has nothing committed.
    let Ok(listed) = listed.map(|l| String::from_utf8_lossy(&l.stdout).into_owned()) else { return };
    let binary = |p: &&str| fs::read(top().join(p)).is_ok_and(|bytes| bytes.contains(&0));
    none("recipes only:", listed.split('\0').filter(|p| !p.is_empty()).filter(binary).map(str::to_owned).collect());
}
