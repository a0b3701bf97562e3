//! `--compare`: what is better and what is worse in one subject than in another.
//!
//! For reviews of a change ("what does this line cost us"), and for the question what an engine makes of a bundle.

use serde_json::{Value, json};

use super::report::{Report, pretty};
use super::tenths;
use crate::style::{Column, Paint, Style, table};

/// One check that differs.
struct Row {
    id: &'static str,
    before: (u32, String),
    after: (u32, String),
}

fn rows(before: &Report, after: &Report) -> Vec<Row> {
    let state = |f: &super::grade::Finding| match &f.verdict {
        Some(v) => (v.badness, v.state.clone()),
        None => (0, "unknown".to_owned()),
    };
    let pairs = before.grade.findings.iter().zip(&after.grade.findings);
    let all = pairs.map(|(a, b)| Row { id: a.check.id, before: state(a), after: state(b) });
    all.filter(|row| row.before != row.after).collect()
}

/// The differences as text or JSON.
pub fn text(before: &Report, after: &Report, as_json: bool, style: &Style) -> String {
    let rows = rows(before, after);
    if as_json {
        let side =
            |r: &Report| json!({"name": r.subject.name, "place": r.subject.place, "score": f64::from(r.grade.score) / 10.0});
        let difference = |row: &Row| -> Value {
            let point = |n: u32| f64::from(n) / 100.0;
            json!({"id": row.id, "from": row.before.1, "fromBadness": point(row.before.0), "to": row.after.1, "toBadness": point(row.after.0)})
        };
        return pretty(&json!({
            "from": side(before), "to": side(after), "differences": rows.iter().map(difference).collect::<Vec<_>>(),
        }));
    }
    let side = |r: &Report| format!("{} {} {}", r.subject.name, tenths(r.grade.score), r.grade.level());
    let mut out = format!("{} {} {}\n\n", side(before), style.arrow(), side(after));
    if rows.is_empty() {
        return out + "no check differs\n";
    }
    let word = |row: &Row| match row.before.0.cmp(&row.after.0) {
        std::cmp::Ordering::Less => style.paint(Paint::Bad, "worse"),
        std::cmp::Ordering::Greater => style.paint(Paint::Good, "better"),
        std::cmp::Ordering::Equal => "other".into(),
    };
    let row = |row: &Row| vec![word(row).into_owned(), row.id.to_owned(), row.before.1.clone(), row.after.1.clone()];
    let cells: Vec<Vec<String>> = rows.iter().map(row).collect();
    let (from, to) = (before.subject.name.as_str(), after.subject.name.as_str());
    out.push_str(&table(style, &[Column::new(""), Column::new("CHECK"), Column::long(from), Column::long(to)], &cells));
    out
}
