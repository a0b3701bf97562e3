//! `rrun help TOPIC`: a page for each word that rrun's output may end with.
//!
//! A message names a code, a report a finding, a lesson a lab, a warning a key of config.json: each of these words can be
//! looked up in the same way. A [`Shelf`] is one kind of words with its pages; who has such a kind adds its shelf to the
//! list here, and completion and suggestions know it too.

pub mod errors;
mod keys;
mod page;

pub use page::Page;

use crate::cli::{Global, table};
use crate::error::{Error, Result};
use crate::style::Style;
use crate::suggest::closest;

/// One kind of topics.
#[derive(Debug, Clone, Copy)]
pub struct Shelf {
    /// What one of them is called: `error code`, `lab`.
    pub kind: &'static str,
    /// All of them.
    pub names: fn() -> Vec<&'static str>,
    /// The page of one; `None` if it is not of this kind.
    pub page: fn(&str, &Style) -> Option<String>,
}

/// All kinds.
pub const SHELVES: &[Shelf] = &[errors::SHELF, super::explain::SHELF, keys::SHELF, super::lab::SHELF];

/// The names of one kind; none if nobody has that kind.
pub fn names(kind: &str) -> Vec<&'static str> {
    SHELVES.iter().filter(|shelf| shelf.kind == kind).flat_map(|shelf| (shelf.names)()).collect()
}

/// Prints the page of a topic.
pub fn run(global: &Global, topic: &str) -> Result<String> {
    let style = global.looks.stdout();
    SHELVES.iter().find_map(|shelf| (shelf.page)(topic, &style)).map(|page| style.symbols(page)).ok_or_else(|| unknown(topic))
}

fn unknown(topic: &str) -> Error {
    let error = Error::new(format!("no help on \"{}\"", crate::log::value(topic))).code("E-USAGE");
    let known: Vec<&str> = table::commands().map(|c| c.name).chain(SHELVES.iter().flat_map(|shelf| (shelf.names)())).collect();
    match closest(topic, known.iter().copied()) {
        Some(near) => error.hint(format!("did you mean {near}?")),
        None => {
            let kinds: Vec<&str> = SHELVES.iter().map(|shelf| shelf.kind).collect();
            error.hint(format!("name a command, or one of: {}", kinds.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_has_a_page() {
        for shelf in SHELVES {
            for name in (shelf.names)() {
                let page = (shelf.page)(name, &Style::default());
                assert!(page.is_some_and(|page| page.contains(name)), "{name}");
            }
        }
    }

    #[test]
    fn a_misspelt_topic_is_suggested() {
        assert_eq!(unknown("E-INTREP").hint_text(), Some("did you mean E-INTERP?"));
        assert_eq!(unknown("process.noNewPrivileged").hint_text(), Some("did you mean process.noNewPrivileges?"));
        assert_eq!(unknown("creat").hint_text(), Some("did you mean create?"));
        assert!(unknown("xyzzy").hint_text().is_some_and(|hint| hint.contains("error code")));
    }
}
