//! docs/security.md beside tests/security/table.rs: the same holes, and nothing named that does not exist. Part of the house
//! rules.

#[path = "table.rs"]
mod table;

use std::collections::BTreeSet;
use std::path::Path;

use super::conformance::test_exists;
use super::{none, read, top};

const DOCUMENT: &str = "docs/security.md";
const PATCHES: &str = "tests/security/weaken";

fn document() -> String {
    read(&top().join(DOCUMENT))
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn the_document_and_the_table_name_the_same_holes() {
    let text = document();
    let told: BTreeSet<&str> = text.lines().filter_map(|l| l.strip_prefix("| CVE-").and_then(|l| l.split(' ').next())).collect();
    let tested: BTreeSet<&str> = table::ATTACKS.iter().filter_map(|(cve, _)| cve.strip_prefix("CVE-")).collect();
    assert_eq!(told, tested, "{DOCUMENT} and tests/security/table.rs");
    let sorted: Vec<_> = table::ATTACKS.iter().map(|(cve, _)| *cve).collect();
    assert_eq!(sorted.len(), tested.len(), "a row stands twice in the table");
}

#[test]
fn every_test_of_the_table_and_the_document_exists() {
    let text = document();
    let told = quoted(&text).filter(|q| q.contains("::") && !q.contains(['.', ' ', '(']));
    let tested = table::ATTACKS.iter().flat_map(|(_, tests)| tests.iter().copied());
    none("no such test:", told.chain(tested).filter(|t| !test_exists(t)).map(str::to_owned).collect());
}

/// `src/a.rs` `b()` names a function b of that file.
#[test]
fn every_function_of_the_document_exists() {
    let text = document();
    let (mut file, mut missing) = ("", vec![]);
    for word in quoted(&text) {
        if word.starts_with("src/") {
            file = word;
        } else if let Some(name) = word.strip_suffix("()").filter(|_| !file.is_empty())
            && !read(&top().join(file)).contains(&format!("fn {name}("))
            && !read(&top().join(file)).contains(&format!("fn {name}<"))
        {
            missing.push(format!("{file}: {name}()"));
        }
    }
    none("the document is out of date:", missing);
}

/// What a patch takes out is still where it looks for it, word by word: a patch that applied elsewhere would weaken nothing.
#[test]
fn every_weakness_can_be_made() {
    let mut bad = vec![];
    for entry in std::fs::read_dir(top().join(PATCHES)).expect("the patches").flatten() {
        let patch = read(&entry.path());
        let (mut text, mut old) = (String::new(), String::new());
        for line in patch.lines().chain(["@@"]) {
            if line.is_empty() || ["@@", "---", "+++"].iter().any(|mark| line.starts_with(mark)) {
                if !text.contains(&old) {
                    bad.push(format!("{}: the source has no\n{old}", entry.path().display()));
                }
                old.clear();
            }
            if let Some(file) = line.strip_prefix("--- a/") {
                text = read(&top().join(file));
            } else if let Some(kept) = line.strip_prefix([' ', '-']).filter(|_| !text.is_empty()) {
                old = old + kept + "\n";
            }
        }
    }
    none("tests/security/weaken does not apply any more:", bad);
}

/// Each patch says which tests must notice it, and the document says that they did.
#[test]
fn every_weakness_is_noticed_by_tests_that_exist() {
    let text = document();
    let mut bad = vec![];
    for entry in std::fs::read_dir(top().join(PATCHES)).expect("the patches").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let patch = read(Path::new(&entry.path()));
        let tests: Vec<&str> = patch.lines().filter_map(|l| l.strip_prefix("Noticed-by: ")).collect();
        let begin = format!("| {} ", name.trim_end_matches(".patch"));
        let told = |test: &str| text.lines().any(|l| l.starts_with(&begin) && l.contains(test));
        bad.extend(tests.iter().filter(|t| !test_exists(t)).map(|t| format!("{name}: no test {t}")));
        bad.extend(tests.iter().filter(|t| !told(t)).map(|t| format!("{name}: {DOCUMENT} lacks {t}")));
        if tests.is_empty() {
            bad.push(format!("{name}: no line \"Noticed-by: TEST\""));
        }
    }
    none("tests/security/weaken:", bad);
}
