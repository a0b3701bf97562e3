//! How text looks on one stream: colour, symbols, width.
//!
//! stdout and stderr are asked apart: one may be a terminal and the other a pipe. Colour is only ever an extra (some readers
//! do not see it, pipes do not carry it), so what it says stands in words and symbols too; symbols outside ASCII need a
//! UTF-8 locale (locale(7)); lines are fitted to a terminal and never cut in a pipe, where a program reads them.
//!
//! The environment is read once, in `src/verbs/mod.rs`, into [`Looks`]; nothing here asks it again.

mod table;

use std::borrow::Cow;
use std::io::IsTerminal;
use std::os::fd::AsFd;

pub use table::{Column, Side, table};

use crate::sys::tty;

/// `--color`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum When {
    /// If the stream is a terminal and the environment does not object.
    #[default]
    Auto,
    /// Also in a pipe.
    Always,
    /// Not even on a terminal.
    Never,
}

/// What the command line and the environment wish, for all streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looks {
    /// `--color`.
    pub when: When,
    /// `NO_COLOR` is set and not empty.
    pub no_color: bool,
    /// `CLICOLOR_FORCE` is set, and not to nothing or 0.
    pub force: bool,
    /// `TERM=dumb`: the terminal shows escape sequences as text.
    pub dumb: bool,
    /// The locale's letters are UTF-8.
    pub utf8: bool,
}

/// How text looks on one stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether to paint.
    pub color: bool,
    /// Whether ✓ and ─ may be used.
    pub utf8: bool,
    /// The columns of the terminal; `None` for a pipe or a file: nothing is cut there.
    pub width: Option<usize>,
}

/// What a colour means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// Passed, present, isolated: green.
    Good,
    /// Failed, absent, shared: red.
    Bad,
    /// To be looked at: yellow.
    Warn,
    /// A heading, a name: bold.
    Strong,
    /// Beside the point: dim.
    Faint,
}

/// The pieces that a tree is drawn with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lines {
    /// Before a child that has a sibling below it.
    pub child: &'static str,
    /// Before the last child.
    pub last: &'static str,
    /// Below a child that has a sibling.
    pub bar: &'static str,
    /// Below the last child.
    pub gap: &'static str,
    /// Between a node and its first child on one line, when there are more below.
    pub fork: &'static str,
    /// Between a node and its only child on one line.
    pub dash: &'static str,
}

impl Looks {
    /// Reads the environment through `get`, which returns a variable's value.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Self {
        let filled = |name: &str| get(name).filter(|v| !v.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| filled(name)).unwrap_or_default().to_lowercase();
        Self {
            when: When::Auto,
            no_color: filled("NO_COLOR").is_some(),
            force: filled("CLICOLOR_FORCE").is_some_and(|v| v != "0"),
            dumb: filled("TERM").is_some_and(|v| v == "dumb"),
            utf8: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }

    /// The style of a stream.
    pub fn on(&self, stream: impl AsFd + IsTerminal) -> Style {
        let terminal = stream.is_terminal();
        // 0 columns is what a pseudoterminal says that nobody gave a size.
        let columns = || tty::size(stream.as_fd()).map_or(80, |(_, columns)| usize::from(columns));
        let width = terminal.then(columns).map(|columns| if columns == 0 { 80 } else { columns });
        Style { color: self.colors(terminal), utf8: self.utf8, width }
    }

    /// The style of stdout.
    pub fn stdout(&self) -> Style {
        self.on(std::io::stdout())
    }

    /// The style of stderr.
    pub fn stderr(&self) -> Style {
        self.on(std::io::stderr())
    }

    fn colors(&self, terminal: bool) -> bool {
        match self.when {
            When::Always => true,
            When::Never => false,
            When::Auto => !self.no_color && (self.force || (terminal && !self.dumb)),
        }
    }
}

impl Style {
    /// `text` in a colour. It must have been escaped before: what is painted here is taken for our own.
    pub fn paint<'a>(&self, paint: Paint, text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
        let text = text.into();
        if !self.color || text.is_empty() {
            return text;
        }
        let number = match paint {
            Paint::Good => 32,
            Paint::Bad => 31,
            Paint::Warn => 33,
            Paint::Strong => 1,
            Paint::Faint => 2,
        };
        Cow::Owned(format!("\x1b[{number}m{text}\x1b[0m"))
    }

    /// ✓, or `ok`.
    pub fn yes(&self) -> Cow<'static, str> {
        self.paint(Paint::Good, if self.utf8 { "✓" } else { "ok" })
    }

    /// ✗, or `x`.
    pub fn no(&self) -> Cow<'static, str> {
        self.paint(Paint::Bad, if self.utf8 { "✗" } else { "x" })
    }

    /// `-`: does not apply, or is not known.
    pub fn none(&self) -> Cow<'static, str> {
        self.paint(Paint::Faint, "-")
    }

    /// What is put where text was cut off.
    pub fn ellipsis(&self) -> &'static str {
        if self.utf8 { "…" } else { "..." }
    }

    /// An arrow to the right.
    pub fn arrow(&self) -> &'static str {
        if self.utf8 { "→" } else { "->" }
    }

    /// A text with its own symbols as this stream shows them.
    pub fn symbols(&self, text: String) -> String {
        if self.utf8 { text } else { text.replace(" · ", ", ").replace('→', "->").replace('…', "...") }
    }

    /// What a tree is drawn with.
    pub fn lines(&self) -> Lines {
        if self.utf8 {
            Lines { child: "├─ ", last: "└─ ", bar: "│  ", gap: "   ", fork: "─┬─ ", dash: "─── " }
        } else {
            Lines { child: "|- ", last: "`- ", bar: "|  ", gap: "   ", fork: "-+- ", dash: "--- " }
        }
    }

    /// One line, cut so that it fits the terminal; whole in a pipe.
    pub fn fit<'a>(&self, line: &'a str) -> Cow<'a, str> {
        match self.width {
            Some(width) if columns(line) > width => Cow::Owned(shorten(line, width, self.ellipsis())),
            _ => Cow::Borrowed(line),
        }
    }

    /// `text` broken between words so that it fits the terminal, each line after `indent` spaces. In a pipe lines are as
    /// long as they come.
    pub fn wrap(&self, text: &str, indent: usize) -> String {
        let margin = " ".repeat(indent);
        text.lines().map(|paragraph| self.hang(&format!("{margin}{paragraph}"), &margin) + "\n").collect()
    }

    /// One line broken between words so that it fits the terminal; the lines that follow the first begin with `margin`. What
    /// is longer than a line (a path) stays whole, to be copied, and so does what is held together by [`TIE`].
    pub fn hang(&self, line: &str, margin: &str) -> String {
        let least = columns(margin);
        let room = self.width.map_or(usize::MAX, |width| width.max(least + 20));
        let (mut out, mut used, mut gap) = (String::with_capacity(line.len()), 0, 0);
        for (n, word) in line.split(' ').enumerate() {
            gap += usize::from(n > 0);
            let long = columns(word);
            if long == 0 {
                continue;
            }
            // Broken where it is only indented, a line would begin with an empty one.
            if used > least && used + gap + long > room {
                out.push('\n');
                out.push_str(margin);
                used = least;
            } else {
                out.push_str(&" ".repeat(gap));
                used += gap;
            }
            out.push_str(word);
            (used, gap) = (used + long, 0);
        }
        out.replace(TIE, " ")
    }
}

/// A blank at which [`Style::hang`] does not break a line.
pub const TIE: &str = "\u{a0}";

/// How many columns a line takes on a terminal: colours take none. A letter counts as one column, which is too few for
/// East Asian ones; such a line is cut by the terminal and not by us.
pub fn columns(line: &str) -> usize {
    strip(line).chars().count()
}

/// `text` without the colours that [`Style::paint`] put in.
pub fn strip(text: &str) -> Cow<'_, str> {
    if !text.contains('\x1b') {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        kept.push_str(before);
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    Cow::Owned(kept + rest)
}

/// The first `most` columns of a line, the mark that something is missing among them. Colours stay whole.
fn shorten(line: &str, most: usize, mark: &str) -> String {
    let room = most.saturating_sub(mark.chars().count());
    let (mut out, mut used, mut chars) = (String::new(), 0, line.chars());
    while let Some(c) = chars.next() {
        if c == '\x1b' {
            out.push(c);
            out.extend(chars.by_ref().take_while(|c| *c != 'm'));
            out.push('m');
        } else if used < room {
            out.push(c);
            used += 1;
        } else if used == room {
            out.push_str(mark);
            // What follows are only the ends of colours.
            used += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: Style = Style { color: true, utf8: true, width: Some(20) };
    const PLAIN: Style = Style { color: false, utf8: false, width: None };

    fn looks(variables: &[(&str, &str)]) -> Looks {
        Looks::read(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn colour_is_for_terminals_unless_somebody_says_otherwise() {
        let plain = looks(&[("TERM", "xterm")]);
        assert!(plain.colors(true) && !plain.colors(false));
        assert!(!looks(&[("NO_COLOR", "1")]).colors(true));
        assert!(looks(&[("NO_COLOR", "")]).colors(true));
        assert!(!looks(&[("TERM", "dumb")]).colors(true));
        assert!(looks(&[("CLICOLOR_FORCE", "1")]).colors(false));
        assert!(!looks(&[("CLICOLOR_FORCE", "0")]).colors(false));
        assert!(!looks(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]).colors(true));
        assert!(Looks { when: When::Always, ..looks(&[("NO_COLOR", "1")]) }.colors(false));
        assert!(!Looks { when: When::Never, ..looks(&[("CLICOLOR_FORCE", "1")]) }.colors(true));
    }

    #[test]
    fn the_first_variable_of_the_locale_counts() {
        assert!(looks(&[("LANG", "en_US.UTF-8")]).utf8 && looks(&[("LC_CTYPE", "C.utf8")]).utf8);
        assert!(!looks(&[("LANG", "en_US.UTF-8"), ("LC_ALL", "C")]).utf8 && !looks(&[]).utf8);
        assert!(looks(&[("LANG", "C.UTF-8"), ("LC_ALL", "")]).utf8);
    }

    #[test]
    fn symbols_are_words_where_the_locale_is_not_utf8() {
        assert_eq!((PLAIN.yes(), PLAIN.no(), PLAIN.none()), ("ok".into(), "x".into(), "-".into()));
        assert_eq!((strip(&WIDE.yes()), WIDE.no()), ("✓".into(), "\x1b[31m✗\x1b[0m".into()));
        assert!(PLAIN.lines().child.is_ascii() && PLAIN.ellipsis().is_ascii() && PLAIN.arrow().is_ascii());
    }

    #[test]
    fn lines_are_cut_on_a_terminal_only_and_colours_stay_whole() {
        let line = format!("{} and a long tail of words", WIDE.paint(Paint::Bad, "red"));
        let cut = WIDE.fit(&line);
        assert_eq!(cut, "\x1b[31mred\x1b[0m and a long tail…");
        assert_eq!(columns(&cut), 20);
        assert_eq!(PLAIN.fit(&line), line);
        let all_red = WIDE.paint(Paint::Bad, "x".repeat(30));
        assert_eq!(WIDE.fit(&all_red), format!("\x1b[31m{}…\x1b[0m", "x".repeat(19)));
    }

    #[test]
    fn text_is_broken_between_words() {
        assert_eq!(WIDE.wrap("one two three four five", 2), "  one two three four\n  five\n");
        assert_eq!(PLAIN.wrap("one two three four five\n\nsix", 2), "  one two three four five\n\n  six\n");
        assert_eq!(WIDE.hang("a:  one two three four five", "    "), "a:  one two three four\n    five");
        assert_eq!(WIDE.hang("a:  one\u{a0}two threefour\u{a0}five six", "    "), "a:  one two\n    threefour five six");
        assert_eq!(WIDE.hang("  /a/path/longer/than/a/line b", "| "), "  /a/path/longer/than/a/line\n| b");
        assert_eq!(PLAIN.hang("a:  one\u{a0}two three", "    "), "a:  one two three");
    }
}
