//! `features`: every word of the document is a claim, and here each one is taken at its word: a config that uses it is accepted,
//! and one with a word that is not listed is refused.

mod claims;
mod document;
mod filters;

use std::process::Command;

use serde_json::Value;

use crate::support::*;

/// The tests of all parts.
pub fn tests() -> Vec<Test> {
    [document::tests(), claims::tests(), filters::tests()].into_iter().flatten().collect()
}

/// The document.
fn features() -> Value {
    let done: Done = Command::new(rrun_path()).arg("features").output().expect("start rrun").into();
    assert_eq!(done.err, "");
    serde_json::from_str(&done.ok()).expect("JSON")
}

/// The words of a list in it.
#[track_caller]
fn words(pointer: &str) -> Vec<String> {
    let document = features();
    let list = document.pointer(pointer).and_then(Value::as_array).unwrap_or_else(|| panic!("no list {pointer}"));
    assert!(!list.is_empty(), "{pointer}");
    list.iter().map(|word| word.as_str().expect("a word").to_owned()).collect()
}

/// A bundle whose config is changed in one place, planned, and as it was again.
struct Asked(Bundle);

impl Asked {
    fn new() -> Self {
        Self(Bundle::new(&["true"]))
    }

    /// `rrun --strict plan`: an unknown word is refused even where the specification only wants a warning.
    fn plan(&self, change: impl FnOnce(&mut Value)) -> Done {
        self.plan_with(&[], change)
    }

    fn plan_with(&self, global: &[&str], change: impl FnOnce(&mut Value)) -> Done {
        let mut config = self.0.config.clone();
        change(&mut config);
        std::fs::write(self.0.path().join("config.json"), config.to_string()).expect("write config.json");
        let path = self.0.path();
        let path = path.to_str().expect("UTF-8").to_owned();
        self.0.rrun(global.iter().copied().chain(["--strict", "plan", &path]))
    }
}
