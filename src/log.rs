//! What rrun says beside its data: the log file of `--log`, and the one error on stderr.
//!
//! Engines read both and decide by them whether a container is gone, was refused or never existed (conmon takes one read of
//! stderr; Podman decodes the whole log as one object; containerd takes the last record of level `error`). So a failure is
//! one record and one line, each in one write(2); warnings wait until the outcome is known.
//!
//! Names, arguments and hook output come from images. A terminal obeys control characters and hides text behind
//! direction marks, so none of them gets out of here unescaped (CVE-2021-25743 is that mistake in another tool).

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::error::{At, Error, Result, Warnings};

/// The most that one write to stderr may carry: conmon reads 8191 bytes, pipes promise 4096 in one piece (pipe(7)).
const ONE_WRITE: usize = 4096;
/// Warnings shown before "and N more".
const MOST_WARNINGS: usize = 10;

/// What the command line says about the log.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// `--log`.
    pub file: Option<&'a Path>,
    /// `--log-format json`.
    pub json: bool,
    /// `--debug`.
    pub debug: bool,
    /// `--log-level error`: no warnings.
    pub silent: bool,
    /// The verb prints data that callers read together with stderr: warnings go to a log or a person, never to a pipe.
    pub data: bool,
}

/// Where records go, and the warnings that wait for the outcome.
#[derive(Debug, Default)]
pub struct Journal {
    file: Option<File>,
    json: bool,
    debug: bool,
    silent: bool,
    data: bool,
    warnings: Warnings,
}

impl Journal {
    /// Opens the log file (appending, 0644), which may be absent.
    pub fn open(wanted: Wanted) -> Result<Self> {
        // /dev/stderr is runc's name for "no file": opened as one, each message would appear twice.
        let path = wanted.file.filter(|p| *p != Path::new("/dev/stderr"));
        let open = |path: &Path| {
            let file = OpenOptions::new().create(true).append(true).mode(0o644).open(path);
            file.at(|| format!("open log file {}", path.display()))
        };
        Ok(Self { file: path.map(open).transpose()?, ..Self::without_file(wanted) })
    }

    /// A journal that has only stderr.
    pub fn without_file(wanted: Wanted) -> Self {
        let Wanted { json, debug, silent, data, .. } = wanted;
        Self { json, debug, silent, data, ..Self::default() }
    }

    /// Writes a record of level `debug` at once, if `--debug` asks for them.
    pub fn debug(&mut self, text: impl AsRef<str>) {
        if self.debug {
            self.record("debug", text.as_ref(), Map::new());
        }
    }

    /// The warnings held until the outcome is known.
    pub fn warnings(&mut self) -> &mut Warnings {
        &mut self.warnings
    }

    /// As [`Journal::debug`], for several.
    pub fn debug_lines<S: AsRef<str>>(&mut self, lines: impl IntoIterator<Item = S>) {
        lines.into_iter().for_each(|line| self.debug(line));
    }

    /// With `--strict`, turns held warnings into an error. To be asked before anything is made.
    pub fn refuse_warnings(&self, strict: bool) -> Result<()> {
        let lines = self.warnings.lines();
        if !strict || lines.is_empty() {
            return Ok(());
        }
        let shown = some_of(lines).join("; ");
        Err(Error::new(shown).hint("--strict makes each warning an error; correct the configuration, or run without --strict"))
    }

    /// The work succeeded (or the container runs, and its end is not ours): writes the held warnings.
    pub fn succeed(&mut self) {
        let warnings = std::mem::take(&mut self.warnings);
        if warnings.lines().is_empty() || self.silent {
            return;
        }
        if self.file.is_none() && self.data && !std::io::stderr().is_terminal() {
            return;
        }
        if self.file.is_none() && !self.json {
            let lines: String = some_of(warnings.lines()).iter().map(|l| format!("warning: {}\n", escape(l))).collect();
            return to_stderr(&lines);
        }
        for line in some_of(warnings.lines()) {
            self.record("warning", &line, Map::new());
        }
    }

    /// The work failed: one error record with the held warnings in it, and one line on stderr. `usage` follows on a line
    /// of its own when the command line was at fault.
    pub fn fail(&mut self, error: &Error, usage: Option<&str>) {
        let warnings = std::mem::take(&mut self.warnings);
        let line = one_line(error);
        let usage = usage.map_or_else(String::new, |u| format!("usage: {u}\n"));
        if self.file.is_some() || self.json {
            self.record_failure(error, &line, warnings.lines());
        }
        if self.file.is_some() || !self.json {
            if std::io::stderr().is_terminal() {
                let said: String = some_of(warnings.lines()).iter().map(|l| format!("warning: {}\n", escape(l))).collect();
                return to_stderr(&format!("{said}{}{usage}", three_lines(error)));
            }
            to_stderr(&format!("{}\n{usage}", cut(&escape(&line), ONE_WRITE - 1 - usage.len())));
        }
    }

    fn record_failure(&mut self, error: &Error, line: &str, warnings: &[String]) {
        let mut keys = Map::new();
        let mut put = |key: &str, value: Option<&str>| value.map(|v| keys.insert(key.to_owned(), json!(escape(v))));
        put("code", error.code_text());
        put("hint", harmless_hint(error));
        put("config", error.config_text());
        if self.json && !warnings.is_empty() {
            let lines: Vec<String> = some_of(warnings).iter().map(|l| escape(l)).collect();
            keys.insert("warnings".to_owned(), json!(lines));
        } else {
            // Nobody decodes the text form as a whole, so there they may stand in records of their own.
            for warning in some_of(warnings) {
                self.record("warning", &warning, Map::new());
            }
        }
        self.record("error", line, keys);
    }

    /// One record, one write. A log that cannot be written must not stop a container, so its failure is not reported.
    fn record(&mut self, level: &str, text: &str, keys: Map<String, Value>) {
        let text = cut(&escape(text), ONE_WRITE - 512);
        let record = if self.json {
            let mut all = json!({"level": level, "msg": text, "time": now()});
            if let Value::Object(all) = &mut all {
                all.extend(keys);
            }
            format!("{all}\n")
        } else {
            // The keys are parts of the text form's line already.
            let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
            format!("time=\"{}\" level={level} msg=\"{quoted}\"\n", now())
        };
        match &mut self.file {
            Some(file) => file.write_all(record.as_bytes()).unwrap_or_default(),
            None => to_stderr(&record),
        }
    }
}

/// One write(2). stderr may be closed or full: there is nobody left to tell.
fn to_stderr(text: &str) {
    if !text.is_empty() {
        nix::unistd::write(std::io::stderr(), text.as_bytes()).ok();
    }
}

/// The first ten, then how many more there are.
fn some_of(lines: &[String]) -> Vec<String> {
    let mut shown: Vec<String> = lines.iter().take(MOST_WARNINGS).cloned().collect();
    if lines.len() > MOST_WARNINGS {
        shown.push(format!("and {} more", lines.len() - MOST_WARNINGS));
    }
    shown
}

/// The form for engines and pipes: the canonical text first, then what helps.
fn one_line(error: &Error) -> String {
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
fn three_lines(error: &Error) -> String {
    let mut text = format!("error: {}\n", escape(&error.to_string()));
    let hint = harmless_hint(error).unwrap_or_default();
    let (cause, fix) = hint.split_once("; ").unwrap_or(("", hint));
    let place = error.config_text().map(|place| format!("config.json, {place}"));
    let cause = match (place, cause) {
        (Some(place), "") => place,
        (Some(place), cause) => format!("{place}: {cause}"),
        (None, cause) => cause.to_owned(),
    };
    let code = error.code_text().map_or_else(String::new, |code| format!("   [{code}]"));
    for (name, value) in [("cause: ", cause.as_str()), ("fix:   ", fix)].iter().filter(|(_, value)| !value.is_empty()) {
        text.push_str(name);
        text.push_str(&escape(value));
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text + &code + "\n"
}

/// Phrases by which engines classify an error: gone, not found, not executable.
const MATCHED: [&str; 15] = [
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
fn harmless_hint(error: &Error) -> Option<&str> {
    let message = error.to_string().to_lowercase();
    let hint = error.hint_text()?;
    let folded = hint.to_lowercase();
    let changes = MATCHED.iter().any(|phrase| folded.contains(phrase) && !message.contains(phrase));
    if changes { None } else { Some(hint) }
}

/// `text` with control characters, direction marks and invisible characters written as escapes; it has one line after that.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => write!(out, "\\x{:02x}", u32::from(c)).expect("writing to memory"),
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {
                write!(out, "\\u{{{:x}}}", u32::from(c)).expect("writing to memory");
            }
            c => out.push(c),
        }
    }
    out
}

/// A value that an image or a caller chose, fit for a message: escaped, at most 200 bytes.
pub fn value(text: &str) -> String {
    cut(&escape(text), 200)
}

/// At most `most` bytes of `text`. The middle goes: the end holds the reason, and a long name must not push it out.
fn cut(text: &str, most: usize) -> String {
    const GAP: &str = " … ";
    if text.len() <= most {
        return text.to_owned();
    }
    let half = most.saturating_sub(GAP.len()) / 2;
    let head = text.floor_char_boundary(half);
    let tail = text.ceil_char_boundary(text.len() - half);
    format!("{}{GAP}{}", &text[..head], &text[tail..])
}

/// The wall clock, UTC, as RFC 3339 with nanoseconds: `2026-01-31T12:00:00.000000001Z`.
pub fn now() -> String {
    rfc3339(SystemTime::now())
}

/// A moment as RFC 3339 with nanoseconds, UTC.
fn rfc3339(moment: SystemTime) -> String {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, rest) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:09}Z", since.subsec_nanos())
}

/// The Gregorian date of a number of days since 1970-01-01. Years begin in March here, so that the leap day is the last day
/// of a year and months have lengths with a period of five (30.6 days on average).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01
    let (era, day) = (days / 146_097, days % 146_097); // 400 years
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let january = month >= 10;
    (era * 400 + year + u64::from(january), if january { month - 9 } else { month + 3 }, date)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn writes_moments_as_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_399, "2000-02-28T23:59:59"),
            (951_782_400, "2000-02-29T00:00:00"),
            (1_709_251_199, "2024-02-29T23:59:59"),
            (1_735_689_600, "2025-01-01T00:00:00"),
            (4_107_542_400, "2100-03-01T00:00:00"),
        ] {
            let moment = UNIX_EPOCH + Duration::new(seconds, 7);
            assert_eq!(rfc3339(moment), format!("{text}.000000007Z"));
        }
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
    fn people_get_error_cause_and_fix() {
        let error = Error::new("cannot start \"/app\"")
            .code("E-INTERP")
            .hint("its interpreter is absent; use /bin/sh")
            .config("process.args[0]");
        let text = "error: cannot start \"/app\"\ncause: config.json, process.args[0]: its interpreter is absent\nfix:   use /bin/sh   [E-INTERP]\n";
        assert_eq!(three_lines(&error), text);
        assert_eq!(three_lines(&Error::new("x\ny")), "error: x\\ny\n");
    }

    #[test]
    fn many_warnings_are_counted() {
        let lines: Vec<String> = (0..13).map(|n| n.to_string()).collect();
        assert_eq!(some_of(&lines).last().map(String::as_str), Some("and 3 more"));
        assert_eq!(some_of(&lines[..10]).len(), 10);
    }
}
