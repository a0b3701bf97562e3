//! The forms of a message: one line for engines, three for people, and both harmless.
//!
//! Engines tell by phrases in a message whether a program was not found, may not be executed, or is gone; a hint must not say
//! one of them by chance. A terminal obeys control characters and hides text behind direction marks, and names come from
//! images: nothing gets out of here unescaped.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::RangeInclusive;

use crate::error::Error;
use crate::style::{Paint, Style, TIE, columns};

/// Warnings shown before "and N more".
const MOST_WARNINGS: usize = 10;

/// The first ten, then how many more there are.
pub(super) fn some_of(lines: &[String]) -> Vec<String> {
    let mut shown: Vec<String> = lines.iter().take(MOST_WARNINGS).cloned().collect();
    if lines.len() > MOST_WARNINGS {
        shown.push(format!("and {} more", lines.len() - MOST_WARNINGS));
    }
    shown
}

/// A line for each warning, for people.
pub(super) fn warning_lines(style: &Style, warnings: &[String]) -> String {
    let word = style.paint(Paint::Warn, "warning:");
    some_of(warnings).iter().map(|line| broken(style, format!("{word} {}", escape(line)), 9) + "\n").collect()
}

/// A line broken between words so that it fits the terminal; whole elsewhere. What stands in backticks is there to be copied:
/// it stays on one line, if it fits there.
fn broken(style: &Style, line: String, margin: usize) -> String {
    let Some(width) = style.width else { return line };
    let mut tied = String::with_capacity(line.len());
    for (n, part) in line.split('`').enumerate() {
        tied.push_str(if n > 0 { "`" } else { "" });
        let command = n % 2 == 1 && columns(part) + margin + 2 <= width;
        tied.push_str(&if command { part.replace(' ', TIE) } else { part.to_owned() });
    }
    style.hang(&tied, &" ".repeat(margin))
}

/// The form for engines and pipes: the canonical text first, then what helps.
pub(super) fn one_line(error: &Error) -> String {
    let mut line = error.to_string();
    if let Some(place) = error.config_text().filter(|place| !line.contains(place)) {
        write!(line, " (config.json: {place})").expect("writing to memory");
    }
    if let Some(hint) = harmless_hint(error) {
        write!(line, " (hint: {hint})").expect("writing to memory");
    }
    line
}

/// The form for people. A hint reads `cause; fix`, or is the fix alone.
pub(super) fn three_lines(style: &Style, error: &Error) -> String {
    let mut lines = vec![format!("{} {}", style.paint(Paint::Bad, "error:"), escape(&error.to_string()))];
    let hint = harmless_hint(error).unwrap_or_default();
    let (cause, fix) = hint.split_once("; ").unwrap_or(("", hint));
    let place = error.config_text().map(|place| format!("{}, {place}", error.file_text().unwrap_or("config.json")));
    // The hint may begin with the place in words; the line and column are what it lacks.
    let named = error.config_text().is_some_and(|place| cause.starts_with(place));
    let cause = match (place, cause) {
        (Some(_), cause) if named => format!("{}: {cause}", error.file_text().unwrap_or("config.json")),
        (Some(place), "") => place,
        (Some(place), cause) => format!("{place}: {cause}"),
        (None, cause) => cause.to_owned(),
    };
    let code = error.code_text().map_or_else(String::new, |code| match cfg!(feature = "workshop") {
        true => {
            format!("   [{code}{}{TIE}rrun{TIE}help{TIE}{code}]", if style.utf8 { TIE.to_owned() + "·" } else { ":".to_owned() })
        }
        false => format!("   [{code}]"),
    });
    for (name, value) in [("cause:", cause.as_str()), ("fix:", fix)].iter().filter(|(_, value)| !value.is_empty()) {
        let blank = " ".repeat(7 - name.len());
        lines.push(format!("{}{blank}{}", style.paint(Paint::Strong, *name), escape(value)));
    }
    let last = lines.pop().unwrap_or_default();
    lines.push(last.trim_end().to_owned() + &code);
    lines.into_iter().map(|line| broken(style, line, 7).replace(TIE, " ") + "\n").collect()
}

/// Phrases by which engines classify an error: gone, not found, not executable.
pub const MATCHED: [&str; 15] = [
    "permission denied",
    "operation not permitted",
    "is a directory",
    "executable file not found",
    "no such file or directory",
    "open executable",
    "system cannot find the file specified",
    "failed to run runc create/exec call",
    "not a directory",
    "os: process already finished",
    "container not running",
    "no such process",
    "invalid process",
    "does not exist",
    "`/proc/",
];

/// The hint, unless a value in it (a file name, a line of a script) would make an engine see another kind of error.
pub(super) fn harmless_hint(error: &Error) -> Option<&str> {
    let message = error.to_string().to_lowercase();
    let hint = error.hint_text()?;
    let folded = hint.to_lowercase();
    let changes = MATCHED.iter().any(|phrase| folded.contains(phrase) && !message.contains(phrase));
    if changes { None } else { Some(hint) }
}

/// Marks that turn the direction of writing, end a line or show nothing.
const HIDDEN: [RangeInclusive<char>; 4] =
    ['\u{200b}'..='\u{200f}', '\u{2028}'..='\u{202e}', '\u{2060}'..='\u{206f}', '\u{feff}'..='\u{feff}'];

/// `text` with control characters, direction marks and invisible characters written as escapes; it has one line after that.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => write!(out, "\\x{:02x}", u32::from(c)).expect("writing to memory"),
            c if HIDDEN.iter().any(|range| range.contains(&c)) => {
                write!(out, "\\u{{{:x}}}", u32::from(c)).expect("writing to memory");
            }
            c => out.push(c),
        }
    }
    out
}

/// A whole output as it may be shown. JSON leaves control characters from 0x7f on and direction marks as they are; its own way to
/// write them says the same to programs.
pub fn for_screens(text: &str) -> Cow<'_, str> {
    let speaks = |c: char| c >= '\u{7f}' && (c.is_control() || HIDDEN.iter().any(|range| range.contains(&c)));
    if !text.contains(speaks) {
        return text.into();
    }
    let written = |c: char| if speaks(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    text.chars().map(written).collect::<String>().into()
}

/// A value that an image or a caller chose, fit for a message: escaped, at most 200 bytes.
pub fn value(text: &str) -> String {
    cut(&escape(text), 200)
}

/// At most `most` bytes of `text`. The middle goes: the end holds the reason, and a long name must not push it out.
pub(super) fn cut(text: &str, most: usize) -> String {
    const GAP: &str = " … ";
    if text.len() <= most {
        return text.to_owned();
    }
    let half = most.saturating_sub(GAP.len()) / 2;
    let head = text.floor_char_boundary(half);
    let tail = text.ceil_char_boundary(text.len() - half);
    format!("{}{GAP}{}", &text[..head], &text[tail..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_says_the_same_without_speaking_to_a_terminal() {
        let value = serde_json::json!("\u{9b}2J\u{202e}\u{7f}ä");
        let shown = for_screens(&value.to_string()).into_owned();
        assert_eq!(shown, "\"\\u009b2J\\u202e\\u007fä\"");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("JSON"), value);
        assert!(matches!(for_screens("\u{1b}[1mé → ok\u{1b}[0m\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn no_control_character_gets_out() {
        assert_eq!(escape("a\x1b[2J\nb\u{202e}c\x7f"), "a\\x1b[2J\\nb\\u{202e}c\\x7f");
    }

    #[test]
    fn cutting_keeps_the_reason_at_the_end() {
        let text = format!("exec /{}: permission denied", "ä".repeat(4000));
        let short = cut(&text, 300);
        assert!(short.len() <= 300 && short.starts_with("exec /ä") && short.ends_with(": permission denied"), "{short}");
    }

    #[test]
    fn a_hint_never_changes_the_class_of_an_error() {
        let quoting = Error::new("mount fails").hint("the file says \"No Such File or Directory\"; read it");
        assert_eq!(one_line(&quoting), "mount fails");
        let same = Error::new("x: no such file or directory").hint("no such file or directory; make it");
        assert!(one_line(&same).contains("(hint: no such"));
    }

    #[test]
    #[cfg(feature = "workshop")]
    fn people_get_error_cause_and_fix() {
        let error = Error::new("cannot start \"/app\"")
            .code("E-INTERP")
            .hint("its interpreter is absent; use /bin/sh")
            .config("process.args[0]");
        let text = "error: cannot start \"/app\"\ncause: config.json, process.args[0]: its interpreter is absent\nfix:   use /bin/sh   [E-INTERP: rrun help E-INTERP]\n";
        assert_eq!(three_lines(&Style::default(), &error), text);
        assert_eq!(three_lines(&Style::default(), &Error::new("x\ny")), "error: x\\ny\n");
        let mount =
            Error::new("x").hint("mounts[7].source is absent; create it").config("mounts[7].source").file("config.json:9:3");
        let text = "error: x\ncause: config.json:9:3: mounts[7].source is absent\nfix:   create it\n";
        assert_eq!(three_lines(&Style::default(), &mount), text);
    }

    #[test]
    #[cfg(feature = "workshop")]
    fn a_terminal_gets_lines_broken_between_words() {
        let narrow = Style { width: Some(40), ..Style::default() };
        let error = Error::new("error mounting \"/srv/a/long/name\" to rootfs at \"/data\"")
            .code("E-MOUNT")
            .hint("the source is absent on the host; make it: `mkdir -p /srv/a/long`");
        let text = "error: error mounting \"/srv/a/long/name\"\n       to rootfs at \"/data\"\ncause: the source is absent on the host\nfix:   make it: `mkdir -p /srv/a/long`\n       [E-MOUNT: rrun help E-MOUNT]\n";
        assert_eq!(three_lines(&narrow, &error), text);
        let warned = warning_lines(&narrow, &["config.json:17:3: unknown key process.noNewPrivileged".into()]);
        assert_eq!(warned, "warning: config.json:17:3: unknown key\n         process.noNewPrivileged\n");
        let plain = three_lines(&Style::default(), &error);
        assert_eq!(plain.lines().count(), 3, "{plain}");
    }

    #[test]
    fn many_warnings_are_counted() {
        let lines: Vec<String> = (0..13).map(|n| n.to_string()).collect();
        assert_eq!(some_of(&lines).last().map(String::as_str), Some("and 3 more"));
        assert_eq!(some_of(&lines[..10]).len(), 10);
    }
}
