//! The form of a page: a heading, then short parts with their names on the left.
//!
//! On a terminal the text is broken at its width; what is to be copied (examples, commands) never is.

use crate::style::{Paint, Style};

/// The column where the text begins.
const MARGIN: usize = 11;

/// A page that is being written.
#[derive(Debug, Clone)]
pub struct Page {
    title: String,
    about: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    /// Lines of text, each its own paragraph.
    Text(&'static str, Vec<String>),
    /// Lines to copy.
    Code(&'static str, String),
}

impl Page {
    /// A page with only its heading.
    pub fn new(title: &str, about: &str) -> Self {
        Self { title: title.to_owned(), about: about.to_owned(), parts: vec![] }
    }

    /// Adds a part: lines of text.
    pub fn list<S: AsRef<str>>(&mut self, name: &'static str, lines: &[S]) {
        self.parts.push(Part::Text(name, lines.iter().map(|l| l.as_ref().to_owned()).collect()));
    }

    /// Adds a part to copy from: its lines stay as they are.
    pub fn code(&mut self, name: &'static str, text: &str) {
        self.parts.push(Part::Code(name, text.to_owned()));
    }

    /// The page as text.
    pub fn show(&self, style: &Style) -> String {
        let heading = format!("{}  {}", style.paint(Paint::Strong, self.title.as_str()), self.about);
        let mut out = style.hang(&heading, "  ") + "\n";
        for part in &self.parts {
            out.push('\n');
            match part {
                Part::Text(name, lines) => {
                    for (n, line) in lines.iter().enumerate() {
                        let label = if n == 0 { *name } else { "" };
                        out.push_str(&labelled(style, label, &style.wrap(line, MARGIN)));
                    }
                }
                Part::Code(name, text) => {
                    let lines: String = text.lines().map(|line| format!("{}{line}\n", " ".repeat(MARGIN))).collect();
                    out.push_str(&labelled(style, name, &lines));
                }
            }
        }
        out
    }
}

/// Puts a name into the margin of the first line.
fn labelled(style: &Style, name: &str, lines: &str) -> String {
    let blank = " ".repeat((MARGIN - 2).saturating_sub(name.len()));
    format!("  {}{blank}{}", style.paint(Paint::Faint, name), lines.get(MARGIN..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_and_code_is_not() {
        let mut page = Page::new("E-X", "a situation");
        page.list("cause", &["one two three four five six seven", "eight"]);
        page.code("example", "$ a long command line that stays whole\n$ b");
        let style = Style { width: Some(31), ..Style::default() };
        let text =
            "E-X  a situation\n\n  cause    one two three four\n           five six seven\n           eight\n\n  example  $ a";
        assert!(page.show(&style).starts_with(text), "{}", page.show(&style));
        assert!(page.show(&style).contains("$ a long command line that stays whole\n           $ b\n"));
    }
}
