//! One error type for the whole house.
//!
//! An error reads `operation object: errno text` in lower case. Contexts are added from the inside out, so the outermost
//! stands first: `unable to start container process: error during container init: exec /app: permission denied`.
//! A hint says what to do about it; a code names the page of `rrun help`. Engines match some of these texts word by word,
//! so wording is part of the interface.

use std::fmt;
use std::io;

/// The result of everything that can fail for a reason a user should read.
pub type Result<T> = std::result::Result<T, Error>;

/// What failed, why, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The message without its cause, outermost context first: `error mounting "proc" to rootfs at "/proc"`.
    op: String,
    /// The kernel's reason, if the kernel gave one.
    errno: Option<i32>,
    /// What the user can do tonight; one line, without a final full stop.
    hint: Option<Box<str>>,
    /// The stable code of the situation, `E-MOUNT`.
    code: Option<&'static str>,
    /// The place in config.json at fault: `mounts[3].source`.
    config: Option<Box<str>>,
    /// Where that is: `config.json:12:15`.
    file: Option<Box<str>>,
}

impl Error {
    /// An error of rrun's own judgement, without a kernel's errno.
    pub fn new(op: impl Into<String>) -> Self {
        Self { op: op.into(), errno: None, hint: None, code: None, config: None, file: None }
    }

    /// An error whose cause is a failed system call. `err` without an errno (short reads, UTF-8) keeps its text.
    pub fn os(op: impl Into<String>, err: impl Into<io::Error>) -> Self {
        let err = err.into();
        match err.raw_os_error() {
            Some(errno) => Self { errno: Some(errno), ..Self::new(op) },
            None => Self::new(format!("{}: {err}", op.into())),
        }
    }

    /// Puts `outer: ` before the message.
    pub fn context(mut self, outer: impl fmt::Display) -> Self {
        self.op = format!("{outer}: {}", self.op);
        self
    }

    /// Adds what the user can do about it. The first hint, nearest to the cause, wins.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert_with(|| hint.into().into());
        self
    }

    /// Names the situation (`E-MOUNT`). The first code wins.
    pub fn code(mut self, code: &'static str) -> Self {
        self.code.get_or_insert(code);
        self
    }

    /// Names the place in config.json at fault. The first place wins.
    pub fn config(mut self, field: impl Into<String>) -> Self {
        self.config.get_or_insert_with(|| field.into().into());
        self
    }

    /// Names the line and column of that place. The first one wins.
    pub fn file(mut self, place: impl Into<String>) -> Self {
        self.file.get_or_insert_with(|| place.into().into());
        self
    }

    /// Forgets the place in config.json if it lies in `process`: that of `exec` comes from the command line.
    pub fn of_another_process(mut self) -> Self {
        self.config = self.config.filter(|place| !place.starts_with("process."));
        self
    }

    /// The line and column, if they are known.
    pub fn file_text(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The kernel's errno, if there is one.
    pub fn errno(&self) -> Option<i32> {
        self.errno
    }

    /// The hint, if there is one.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The code, if there is one.
    pub fn code_text(&self) -> Option<&'static str> {
        self.code
    }

    /// The place in config.json, if there is one.
    pub fn config_text(&self) -> Option<&str> {
        self.config.as_deref()
    }

    /// The message without errno text; with [`Error::errno`] all that crosses the handshake.
    pub fn op_text(&self) -> &str {
        &self.op
    }

    /// Rebuilds an error that crossed the handshake.
    pub fn from_parts(
        op: String,
        errno: Option<i32>,
        hint: Option<String>,
        code: Option<&'static str>,
        config: Option<String>,
    ) -> Self {
        Self { op, errno, hint: hint.map(Into::into), code, config: config.map(Into::into), file: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.op)?;
        match self.errno {
            Some(errno) => write!(f, ": {}", strerror(errno)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// The text of an errno as engines expect it: the C library's, with a lower-case first letter (`permission denied`).
pub fn strerror(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    // The standard library appends the number.
    let text = text.rsplit_once(" (os error").map_or(text.as_str(), |(text, _)| text);
    let mut chars = text.chars();
    match chars.next() {
        Some(first) if !text.starts_with("RFS") => first.to_lowercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}

/// Turns the result of a system call into ours, naming the operation.
pub trait At<T> {
    /// Names the operation and its object: `open("/x").at("open /x")`. The closure runs only on failure.
    fn at<S: Into<String>>(self, op: impl FnOnce() -> S) -> Result<T>;
}

impl<T> At<T> for io::Result<T> {
    fn at<S: Into<String>>(self, op: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|e| Error::os(op(), e))
    }
}

impl<T> At<T> for nix::Result<T> {
    fn at<S: Into<String>>(self, op: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|e| Error::os(op(), e))
    }
}

/// What does not stop the work but must not stay unsaid: unknown keys, unknown capabilities. Held until the outcome is
/// known (engines read the log as a whole); with `--strict` each one is an error.
#[derive(Debug, Default)]
pub struct Warnings {
    lines: Vec<String>,
    code: Option<&'static str>,
}

impl Warnings {
    /// Adds one line, unless it was said already.
    pub fn add(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.lines.contains(&text) {
            self.lines.push(text);
        }
    }

    /// Adds one line that has a page of `rrun help`.
    pub fn coded(&mut self, code: &'static str, text: impl Into<String>) {
        self.code.get_or_insert(code);
        self.add(text);
    }

    /// The code of the first line that has one.
    pub fn code(&self) -> Option<&'static str> {
        self.code
    }

    /// The lines, in the order they were added.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_operation_object_errno_text() {
        let e = Error::os("mkdir /x", io::Error::from_raw_os_error(libc::EACCES)).context("create");
        assert_eq!(e.to_string(), "create: mkdir /x: permission denied");
    }

    #[test]
    fn errno_texts_are_the_c_library_s() {
        assert_eq!(strerror(libc::EBADF), "bad file descriptor");
        assert_eq!(strerror(libc::ENOMEM), "cannot allocate memory");
        assert_eq!(strerror(libc::EIO), "input/output error");
    }

    #[test]
    fn what_exec_was_told_does_not_stand_in_config_json() {
        let at = |place: &str| Error::new("x").config(place).of_another_process().config_text().map(str::to_owned);
        assert_eq!((at("process.args[0]"), at("linux.seccomp")), (None, Some("linux.seccomp".into())));
    }

    #[test]
    fn the_hint_nearest_to_the_cause_wins() {
        let e = Error::new("x").hint("inner").hint("outer");
        assert_eq!(e.hint_text(), Some("inner"));
    }
}
