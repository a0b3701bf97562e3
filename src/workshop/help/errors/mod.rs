//! The catalogue of errors: one table, from which `rrun help E-CODE` and rrun-errors(7) are made.
//!
//! A message names a failure in one line, with a code; the page behind the code says what lies behind it, for somebody who
//! has never seen it. The message itself is made where the failure is found out about: it knows the values. A unit test
//! compares the codes of both, so neither has one that the other lacks.

mod config;
mod container;
mod host;
mod kernel;
mod program;

use super::{Shelf, page};
use crate::cli::manual::roff;
use crate::style::Style;

/// One situation.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// `E-INTERP`.
    pub code: &'static str,
    /// What it is, as a heading.
    pub situation: &'static str,
    /// What lies behind it; one line for each cause that is kept apart.
    pub cause: &'static [&'static str],
    /// What to do, in the order of the causes where each has its own.
    pub fix: &'static [&'static str],
    /// What it looks like: a piece of config.json, or a command line; lines below each other.
    pub example: &'static str,
    /// The lab that shows it, if there is one.
    pub lab: Option<&'static str>,
    /// Where to read on: config keys, other codes, man pages.
    pub see: &'static [&'static str],
}

/// All of them.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    [program::ENTRIES, config::ENTRIES, kernel::ENTRIES, host::ENTRIES, container::ENTRIES].into_iter().flatten()
}

/// What `rrun help` finds here.
pub const SHELF: Shelf = Shelf { kind: "error code", names: || entries().map(|e| e.code).collect(), page: page_of };

fn page_of(code: &str, style: &Style) -> Option<String> {
    let entry = entries().find(|e| e.code.eq_ignore_ascii_case(code))?;
    let mut page = page::Page::new(entry.code, entry.situation);
    page.list("cause", entry.cause);
    page.list("fix", entry.fix);
    page.code("example", entry.example);
    if let Some(lab) = entry.lab {
        page.code("lab", &format!("rrun lab run {lab} --diff"));
    }
    page.list("see", &[&entry.see.join(", ")]);
    Some(page.show(style))
}

/// rrun-errors(7), in the language of man(7).
pub fn manual() -> String {
    let mut text = String::from(
        ".TH rrun-errors 7 \"\" rrun\n.SH NAME\nrrun-errors \\- what the codes in rrun's messages mean\n.SH DESCRIPTION\n\
         A message of rrun ends with a code in brackets. What lies behind it:\n",
    );
    for entry in entries() {
        text.push_str(&format!(".SS \"{}: {}\"\n", entry.code, roff(entry.situation)));
        for (name, lines) in [("Cause", entry.cause), ("Fix", entry.fix)] {
            for line in lines.iter().filter(|l| !l.is_empty()) {
                text.push_str(&format!(".TP\n{name}\n{}\n", roff(line)));
            }
        }
        text.push_str(&format!(".PP\n.EX\n{}\n.EE\n.PP\nSee {}.\n", roff(entry.example), roff(&entry.see.join(", "))));
    }
    text.push_str(".SH SEE ALSO\n.BR rrun (1)\n");
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_is_whole() {
        let mut codes = BTreeSet::new();
        for entry in entries() {
            assert!(codes.insert(entry.code), "{} stands there twice", entry.code);
            assert!(entry.code.starts_with("E-") && entry.code.bytes().all(|b| b == b'-' || b.is_ascii_uppercase()));
            assert!(!entry.cause.is_empty() && !entry.fix.is_empty() && !entry.see.is_empty(), "{} is not whole", entry.code);
            assert!(!entry.example.is_empty(), "{} has no example", entry.code);
            for line in entry.cause.iter().chain(entry.fix) {
                assert!(!line.ends_with('.') && !line.contains('\n') && line.len() <= 300, "{}: {line}", entry.code);
            }
        }
    }

    #[test]
    fn every_lab_that_is_named_exists() {
        let labs: Vec<&str> = crate::workshop::lab::table::labs().map(|lab| lab.name).collect();
        for entry in entries() {
            assert!(entry.lab.is_none_or(|lab| labs.contains(&lab)), "{} names the lab {:?}", entry.code, entry.lab);
        }
    }

    /// The codes in string literals of the runtime's sources, but for their unit tests.
    fn used() -> BTreeSet<String> {
        let mut rooms = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
        let mut found = BTreeSet::new();
        while let Some(path) = rooms.pop() {
            if path.is_dir() {
                rooms.extend(std::fs::read_dir(&path).expect("read src").flatten().map(|e| e.path()));
            } else if !path.ends_with("tests.rs") && !path.starts_with(concat!(env!("CARGO_MANIFEST_DIR"), "/src/workshop/help"))
            {
                let text = std::fs::read_to_string(&path).expect("read a source");
                let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                let literals = code.split("\"E-").skip(1).filter_map(|rest| rest.split('"').next());
                found.extend(literals.map(|rest| format!("E-{rest}")));
            }
        }
        found
    }

    #[test]
    fn every_code_has_a_page_and_every_page_a_code() {
        let pages: BTreeSet<String> = entries().map(|e| e.code.to_owned()).collect();
        let used = used();
        assert_eq!(used.difference(&pages).collect::<Vec<_>>(), [""; 0], "write its entry");
        assert_eq!(pages.difference(&used).collect::<Vec<_>>(), [""; 0], "no error has this code");
    }

    #[test]
    fn the_manual_has_every_code_and_no_line_that_man_would_obey() {
        let manual = manual();
        for entry in entries() {
            assert!(manual.contains(&format!(".SS \"{}: ", entry.code)));
        }
        assert_eq!(roff(".a\n'b\\c-d"), "\\&.a\n\\&'b\\ec\\-d");
    }

    #[test]
    fn a_page_says_cause_fix_and_where_to_read_on() {
        let page = page_of("e-interp", &Style::default()).expect("a page");
        for word in ["E-INTERP", "cause", "fix", "example", "see", "#!"] {
            assert!(page.contains(word), "{page}");
        }
        assert_eq!(page_of("E-NONSENSE", &Style::default()), None);
    }
}
