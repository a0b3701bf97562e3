//! `explain`: the score of bundles and of running containers, what is repaired, and that nothing hostile gets out.
//!
//! The judgement itself is pure and tested beside the code; here it meets real configs, real containers and real processes.

mod effective;
mod own;

use serde_json::Value;

use crate::support::*;

/// The tests of this module and of those below it.
pub fn tests() -> Vec<Test> {
    [own::tests(), effective::tests()].into_iter().flatten().collect()
}

/// The document of `explain --json`.
#[track_caller]
fn document(b: &Bundle, args: &[&str]) -> Value {
    let all = ["explain", "--json"].iter().chain(args).copied();
    serde_json::from_str(&b.write().rrun(all).ok()).expect("JSON")
}

/// The ids of what fails.
fn failing(document: &Value) -> Vec<&str> {
    document["findings"].as_array().expect("a list").iter().filter_map(|f| f["id"].as_str()).collect()
}
