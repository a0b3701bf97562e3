//! Tables: a head, rows, and columns that line up.
//!
//! On a terminal a table fits its width: the columns that may give way are cut, the longest first, because a table that
//! wraps is no table. In a pipe every cell is whole: what reads it is a program, and a cut path is a wrong one.

use super::{Style, columns, shorten};

/// Where the text of a cell stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// One column.
#[derive(Debug, Clone, Copy)]
pub struct Column<'a> {
    /// Its head.
    pub head: &'a str,
    /// Where its text stands.
    pub side: Side,
    /// Whether it may be cut when the terminal is too narrow.
    pub gives: bool,
}

impl<'a> Column<'a> {
    /// A column of words that stays whole.
    pub const fn new(head: &'a str) -> Self {
        Self { head, side: Side::Left, gives: false }
    }

    /// A column of numbers.
    pub const fn number(head: &'a str) -> Self {
        Self { head, side: Side::Right, gives: false }
    }

    /// A column of words that may be cut.
    pub const fn long(head: &'a str) -> Self {
        Self { head, side: Side::Left, gives: true }
    }
}

/// Between two columns.
const GAP: &str = "  ";
/// Narrower than this a column says nothing.
const LEAST: usize = 8;

/// The rows under their heads, one line each. Cells may be painted, and must have been escaped. If all heads are empty there
/// is no line for them.
pub fn table(style: &Style, heads: &[Column], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = heads.iter().map(|c| c.head.to_owned()).collect();
    let headless = head.iter().all(String::is_empty);
    let all = || (!headless).then_some(&head).into_iter().chain(rows);
    let widest = |n: usize| all().filter_map(|row| row.get(n)).map(|cell| columns(cell)).max().unwrap_or(0);
    let widths = fitted(style, heads, (0..heads.len()).map(widest).collect());
    all().map(|row| line(style, heads, &widths, row)).collect()
}

/// The widths that the terminal has room for.
fn fitted(style: &Style, heads: &[Column], mut widths: Vec<usize>) -> Vec<usize> {
    let room = style.width.unwrap_or(usize::MAX).saturating_sub(GAP.len() * heads.len().saturating_sub(1));
    while widths.iter().sum::<usize>() > room {
        let least = |n: usize| LEAST.max(columns(heads[n].head));
        let longest = (0..heads.len()).filter(|n| heads[*n].gives && widths[*n] > least(*n)).max_by_key(|n| widths[*n]);
        // All that can give has given: the terminal wraps.
        let Some(longest) = longest else { break };
        widths[longest] -= 1;
    }
    widths
}

fn line(style: &Style, heads: &[Column], widths: &[usize], row: &[String]) -> String {
    let mut out = String::new();
    for (n, cell) in row.iter().enumerate().take(widths.len()) {
        let long = columns(cell);
        let cut = if long > widths[n] { shorten(cell, widths[n], style.ellipsis()) } else { cell.clone() };
        let blank = " ".repeat(widths[n].saturating_sub(long));
        match heads[n].side {
            Side::Left => out.extend([&cut, blank.as_str()]),
            Side::Right => out.extend([blank.as_str(), &cut]),
        }
        out.push_str(GAP);
    }
    out.truncate(out.trim_end().len());
    out + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::Paint;
    use super::*;

    const HEADS: [Column; 3] = [Column::new("ID"), Column::number("PIDS"), Column::long("BUNDLE")];

    fn rows() -> Vec<Vec<String>> {
        let row = |id: &str, pids: &str, bundle: &str| vec![id.to_owned(), pids.to_owned(), bundle.to_owned()];
        vec![row("web", "4", "/srv/web"), row("database", "12", "/srv/a/rather/long/path")]
    }

    #[test]
    fn columns_line_up() {
        let text = "ID        PIDS  BUNDLE\nweb          4  /srv/web\ndatabase    12  /srv/a/rather/long/path\n";
        assert_eq!(table(&Style::default(), &HEADS, &rows()), text);
    }

    #[test]
    fn a_terminal_cuts_the_longest_that_gives() {
        let style = Style { color: false, utf8: true, width: Some(28) };
        let text = "ID        PIDS  BUNDLE\nweb          4  /srv/web\ndatabase    12  /srv/a/rath…\n";
        assert_eq!(table(&style, &HEADS, &rows()), text);
        let narrow = Style { width: Some(5), ..style };
        assert!(table(&narrow, &HEADS, &rows()).ends_with("database    12  /srv/a/…\n"), "eight columns are left");
    }

    #[test]
    fn paint_takes_no_room_and_empty_heads_no_line() {
        let style = Style { color: true, utf8: true, width: None };
        let rows =
            [vec![style.yes().into_owned(), "a".to_owned()], vec![style.paint(Paint::Bad, "bad").into_owned(), "b".into()]];
        let heads = [Column::new(""), Column::new("")];
        assert_eq!(table(&style, &heads, &rows), "\x1b[32m✓\x1b[0m    a\n\x1b[31mbad\x1b[0m  b\n");
    }
}
