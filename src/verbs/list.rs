//! `list`: every container under the state root, as a table, as JSON, or ids alone.
//!
//! It takes no lock and skips what is just being made or removed: a container that hangs must not hide the others, nor
//! must a broken one.

use std::fmt::Write;

use super::Outcome;
use super::state::Document;
use crate::cli::{Format, Global, ListArgs};
use crate::error::Result;
use crate::log::Journal;
use crate::state::{MISSING, State, StateRoot, Status};

/// Prints the list. One broken container is a warning: it must not hide the others.
pub fn run(global: &Global, args: &ListArgs, journal: &mut Journal) -> Result<Outcome> {
    let root = match StateRoot::open(&global.root) {
        // The default root is made by the first container: before that there are none.
        Err(e) if e.errno() == Some(libc::ENOENT) && !global.root_given => return Ok(Outcome::print(show(&[], args))),
        root => root?,
    };
    let mut found = vec![];
    for id in root.ids()? {
        match look(&root, &id, args.quiet) {
            Ok(container) => found.extend(container),
            Err(error) => journal.warnings().add(format!("container {id}: {error}")),
        }
    }
    Ok(Outcome::print(show(&found, args)))
}

/// The state and status of one container; `None` for one that is just being made or removed. For ids alone the kernel is not asked.
fn look(root: &StateRoot, id: &str, quiet: bool) -> Result<Option<(State, Status)>> {
    let Ok(dir) = root.container(id) else { return Ok(None) };
    match dir.load() {
        Ok(state) => {
            let status = if quiet { Status::Stopped } else { state.status(&dir)? };
            Ok(Some((state, status)))
        }
        Err(e) if e.op_text() == MISSING => Ok(None),
        Err(error) => Err(error),
    }
}

fn show(found: &[(State, Status)], args: &ListArgs) -> String {
    let documents: Vec<Document> = found.iter().map(|(state, status)| Document::new(state, *status)).collect();
    if args.quiet {
        return found.iter().map(|(state, _)| format!("{}\n", state.id)).collect();
    }
    match args.format {
        // The word that Go's encoder has for a list without elements; callers compare with it.
        Format::Json if documents.is_empty() => "null\n".to_owned(),
        Format::Json => serde_json::to_string(&documents).expect("plain data has a JSON form") + "\n",
        Format::Table => table(&documents, found),
    }
}

fn table(documents: &[Document], found: &[(State, Status)]) -> String {
    let mut rows = vec![["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(String::from)];
    rows.extend(documents.iter().zip(found).map(|(document, (state, _))| {
        let bundle = crate::log::escape(&state.bundle.to_string_lossy());
        let owner = crate::log::escape(document.owner);
        [state.id.clone(), document.pid.to_string(), document.status.to_owned(), bundle, document.created.to_owned(), owner]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count() + 3).max().unwrap_or(0).max(12);
    let widths: Vec<usize> = (0..5).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        for (cell, width) in row.iter().zip(&widths) {
            write!(text, "{cell:<width$}").expect("writing to memory");
        }
        text.push_str(&row[5]);
        text.push('\n');
    }
    text
}
