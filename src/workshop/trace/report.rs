//! What `trace` prints: a table with the most frequent call first, or one JSON document with stable keys.
//!
//! "First by" is the name that a thread had when it first made the call: it shows which program of a container needs what,
//! and the runtime's own execve stands there under the runtime's name.

use serde_json::{Value, json};

use super::notes::{is_network, note};
use super::{Call, OTHERS};
use crate::concepts::seccomp::{call_count, call_of, native_name};
use crate::style::{Column, Paint, Style, table};

/// What nobody who reads the table may forget.
const BANNER: &str = "a trace proves what was used, not what is needed: exercise every feature before you rely on it";
const SHARED: &str = "routes, rules and connections belong to the network namespace; the code behind these calls, its memory and CPU are the host's";

/// The calls with their names, the most frequent first.
pub struct Report {
    rows: Vec<Row>,
    /// How they were watched.
    method: &'static str,
    network_only: bool,
}

struct Row {
    arch: &'static str,
    name: String,
    note: String,
    call: Call,
}

impl Report {
    /// Of these calls, or of those that concern the network.
    pub fn new(calls: Vec<Call>, method: &'static str, network_only: bool) -> Self {
        let row = |call: Call| {
            let (arch, name) = call_of(call.arch, call.number).unwrap_or(("unknown", None));
            let name = match name {
                Some(name) => name.to_owned(),
                None if call.number == OTHERS => "others".into(),
                None => format!("call {}", call.number),
            };
            Row { arch, note: note(&name, &call.args), name, call }
        };
        let mut rows: Vec<Row> = calls.into_iter().map(row).filter(|row| !network_only || is_network(&row.name)).collect();
        rows.sort_by(|a, b| b.call.count.cmp(&a.call.count).then_with(|| a.name.cmp(&b.name)));
        Self { rows, method, network_only }
    }

    fn total(&self) -> u64 {
        self.rows.iter().map(|row| row.call.count).sum()
    }

    fn unused(&self) -> usize {
        let native = self.rows.iter().filter(|row| row.arch == native_name()).count();
        call_count().saturating_sub(native)
    }

    /// The table.
    pub fn text(&self, style: &Style) -> String {
        let heads = [Column::number("COUNT"), Column::new("CALL"), Column::new("FIRST BY"), Column::long("NOTE")];
        let row = |row: &Row| vec![row.call.count.to_string(), row.label(), row.by(), row.note.clone()];
        let rows: Vec<Vec<String>> = self.rows.iter().map(row).collect();
        let kind = if self.network_only { " network" } else { "" };
        let unused = if self.network_only { String::new() } else { format!("; {} others never used", self.unused()) };
        let sum = format!("{} distinct of {}{kind} calls{unused}", rows.len(), self.total());
        let last = if self.network_only { SHARED } else { BANNER };
        let last = style.wrap(last, 0);
        format!(
            "{}{}\n{}\n",
            table(style, &heads, &rows),
            style.paint(Paint::Strong, sum),
            style.paint(Paint::Faint, last.trim_end())
        )
    }

    /// The document. `status` is the program's, if it was ours to run.
    pub fn json(&self, status: Option<i32>) -> String {
        let call = |row: &Row| {
            json!({
                "name": row.name, "arch": row.arch, "number": row.call.number, "count": row.call.count, "note": row.note,
                "first": {"comm": row.call.by, "pid": row.call.tid, "args": row.call.args},
            })
        };
        let document: Value = json!({
            "calls": self.rows.iter().map(call).collect::<Vec<_>>(),
            "distinct": self.rows.len(), "total": self.total(),
            "unused": (!self.network_only).then(|| self.unused()), "method": self.method, "network": self.network_only, "status": status, "warning": BANNER,
        });
        serde_json::to_string_pretty(&document).expect("JSON has a text") + "\n"
    }
}

impl Row {
    /// The name; with its architecture if that is not ours.
    fn label(&self) -> String {
        if self.arch == native_name() { self.name.clone() } else { format!("{}:{}", self.arch, self.name) }
    }

    fn by(&self) -> String {
        format!("{} ({})", self.call.by, self.call.tid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_below_the_table_fits_the_terminal() {
        for network_only in [false, true] {
            let text = |width| Report::new(vec![], "notify", network_only).text(&Style { width, ..Style::default() });
            assert!(text(Some(50)).lines().all(|line| line.len() <= 50), "{}", text(Some(50)));
            assert_eq!(text(None).lines().count(), 3, "{}", text(None));
        }
    }
}
