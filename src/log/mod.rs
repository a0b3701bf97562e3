//! What rrun says beside its data: the log file of `--log`, and the one error on stderr.
//!
//! Engines read both and decide by them whether a container is gone, was refused or never existed (conmon takes one read of
//! stderr; Podman decodes the whole log as one object; containerd takes the last record of level `error`). So a failure is
//! one record and one line, each in one write(2); warnings wait until the outcome is known.
//!
//! Names, arguments and hook output come from images. A terminal obeys control characters and hides text behind
//! direction marks, so none of them gets out of here unescaped (CVE-2021-25743 is that mistake in another tool).

mod moment;
mod text;

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::audit::{Audit, Event};
use crate::error::{At, Error, Result, Warnings};
use crate::style::Looks;
pub use moment::now;
pub use text::{MATCHED, escape, for_screens, value};
use text::{cut, harmless_hint, one_line, some_of, three_lines, warning_lines};

/// The most that one write to stderr may carry: conmon reads 8191 bytes, pipes promise 4096 in one piece (pipe(7)).
const ONE_WRITE: usize = 4096;

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
    /// How stderr may look.
    pub looks: Looks,
}

/// Where records go, and the warnings that wait for the outcome.
#[derive(Debug, Default)]
pub struct Journal {
    file: Option<File>,
    json: bool,
    debug: bool,
    silent: bool,
    data: bool,
    looks: Looks,
    warnings: Warnings,
    audit: Audit,
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
        let Wanted { json, debug, silent, data, looks, .. } = wanted;
        Self { json, debug, silent, data, looks, ..Self::default() }
    }

    /// Has events logged from now on.
    pub fn keep_audit(&mut self, audit: Audit) {
        self.audit = audit;
    }

    /// Whether there is an audit log.
    pub fn audits(&self) -> bool {
        self.audit.is_on()
    }

    /// Logs an event, which is put together only if there is an audit log. That it cannot be written is a warning, and an error
    /// where the log is required.
    pub fn audit(&mut self, event: impl FnOnce() -> Event, error: Option<&Error>) -> Result<()> {
        if !self.audits() {
            return Ok(());
        }
        match self.audit.write(&event(), error) {
            Err(e) if !self.audit.is_required() => {
                self.warnings.add(format!("the audit log misses an event: {e}"));
                Ok(())
            }
            written => written,
        }
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
        let hint = "--strict makes each warning an error; correct the configuration, or run without --strict";
        Err(Error::new(shown).hint(hint).code(self.warnings.code().unwrap_or("E-STRICT")))
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
            return to_stderr(&warning_lines(&self.looks.stderr(), warnings.lines()));
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
                let style = self.looks.stderr();
                let said = warning_lines(&style, warnings.lines());
                let usage: String = usage.lines().map(|line| style.hang(line, "       ") + "\n").collect();
                return to_stderr(&format!("{said}{}{usage}", three_lines(&style, error)));
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
        put("file", error.file_text());
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
