//! The audit log: who did what to which container, when, from where, and why it ended.
//!
//! It is for the question after the fact, so it is written for readers who do not trust each other: one line for each event, written by
//! one write(2) to a file that only its owner can change, and each line carries the hash of the one before, so that a line
//! which was taken out or changed later is missed (who can rewrite the whole file can forge the chain; send it elsewhere).
//! Off by default: then it costs one look for a file. A log that fails is a warning, and an error with `required`.

mod sha256;
mod who;

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde_json::{Value, json};

use crate::error::{At, Error, Result};
use crate::log::{now, value};
pub use sha256::hex as sha256;

/// If it exists, events are logged: into it if it is a directory, else into the directory that it names.
const SWITCH: &str = "/etc/rrun/audit";
/// Where an empty switch, or `required` alone, leads.
const DEFAULT: &str = "/var/log/rrun";
/// The file in that directory.
pub const FILE: &str = "audit.jsonl";
/// The longest line, its end included: pipes promise so much in one piece, and readers need a bound.
const LINE: usize = 4096;
/// The longest part of it that is the arguments.
const ARGUMENTS: usize = 1536;

/// What the command line asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// `--audit DIR`, `--audit required:DIR`.
    pub dir: Option<PathBuf>,
    /// `--audit required`: without the log nothing is done.
    pub required: bool,
}

impl Wanted {
    /// The directory of the log; `None` when there is to be none.
    pub fn directory(&self) -> Result<Option<PathBuf>> {
        if let Some(dir) = &self.dir {
            return Ok(Some(dir.clone()));
        }
        let switch = Path::new(SWITCH);
        match nix::unistd::access(switch, nix::unistd::AccessFlags::F_OK) {
            Err(_) => Ok(self.required.then(|| PathBuf::from(DEFAULT))),
            Ok(()) if switch.is_dir() => Ok(Some(switch.to_owned())),
            Ok(()) => std::fs::read_to_string(switch).at(|| format!("read {SWITCH}")).and_then(|text| named(&text).map(Some)),
        }
    }
}

/// The directory that the switch names.
fn named(text: &str) -> Result<PathBuf> {
    match text.trim() {
        "" => Ok(PathBuf::from(DEFAULT)),
        dir if dir.starts_with('/') && !dir.contains('\n') => Ok(PathBuf::from(dir)),
        dir => {
            Err(Error::new(format!("{SWITCH} names no directory: {}", value(dir)))
                .hint("write the absolute path of one, or nothing"))
        }
    }
}

/// One event.
#[derive(Debug, Clone, Default)]
pub struct Event {
    /// `create`, `start`, `exec`, `exit`, …
    pub name: &'static str,
    /// The container.
    pub id: String,
    /// Its bundle.
    pub bundle: Option<PathBuf>,
    /// Its config.json.
    pub config: Option<Vec<u8>>,
    /// The program.
    pub argv: Vec<String>,
    /// What more there is to know: the signal, or how it ended.
    pub details: Value,
}

/// The log, or none.
#[derive(Debug, Default)]
pub struct Audit {
    dir: Option<PathBuf>,
    required: bool,
}

impl Audit {
    /// Looks whether there is to be a log. With `required` it must be possible to write it now.
    pub fn open(wanted: &Wanted) -> Result<Self> {
        let audit = Self { dir: wanted.directory()?, required: wanted.required };
        if let (Some(dir), true) = (&audit.dir, audit.required) {
            open(dir)?;
        }
        Ok(audit)
    }

    /// Whether events are logged.
    pub fn is_on(&self) -> bool {
        self.dir.is_some()
    }

    /// Whether a failing log is an error.
    pub fn is_required(&self) -> bool {
        self.required
    }

    /// Writes one event that came to this result.
    pub fn write(&self, event: &Event, error: Option<&Error>) -> Result<()> {
        let Some(dir) = &self.dir else { return Ok(()) };
        let mut file = open(dir)?;
        let said = || format!("write {}", dir.join(FILE).display());
        let before = last_line(&mut file).at(said)?;
        let line = line(event, error, before.map(|line| sha256(&line)));
        file.write_all(line.as_bytes()).at(said)
    }
}

/// Opens the log, made if missing, for one writer at a time. It must be ours alone: what others can change proves nothing.
fn open(dir: &Path) -> Result<Flock<File>> {
    match std::fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => {
            return Err(e).at(|| format!("make the audit directory {}", dir.display()));
        }
        _ => {}
    }
    let path = dir.join(FILE);
    let said = || format!("open {}", path.display());
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).custom_flags(flags).open(&path).at(said)?;
    let found = file.metadata().at(said)?;
    // A second name would be that of another file of ours, to which somebody wants lines to be added.
    let others = found.mode() & 0o022 != 0 || found.uid() != nix::unistd::geteuid().as_raw() || found.nlink() > 1;
    if !found.is_file() || others {
        let error = Error::new(format!("{} is not a file of rrun's own that only it can change", path.display()));
        return Err(error.hint(format!("make it a plain file of uid {}, mode 0600", nix::unistd::geteuid())));
    }
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, e)| Error::os(format!("lock {}", path.display()), e))
}

/// The last line of the file without its end.
fn last_line(file: &mut File) -> std::io::Result<Option<Vec<u8>>> {
    let length = file.seek(SeekFrom::End(0))?;
    let from = length.saturating_sub(LINE as u64);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = vec![];
    file.take(LINE as u64).read_to_end(&mut tail)?;
    let text = tail.strip_suffix(b"\n").unwrap_or(&tail);
    let begin = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    Ok((!text.is_empty()).then(|| text[begin..].to_vec()))
}

/// The event as one line of JSON. Its keys are those of cloud audit trails where these have a word for it.
fn line(event: &Event, error: Option<&Error>, prev: Option<String>) -> String {
    let mut record = json!({
        "eventTime": now(), "eventName": event.name, "id": value(&event.id), "host": who::host(), "bootId": who::boot_id(),
        "monotonic": who::monotonic(), "userIdentity": who::identity(), "result": if error.is_some() { "failure" } else { "success" },
    });
    let mut put = |key: &str, value: Value| record[key] = value;
    if let Some(address) = who::address() {
        put("sourceIPAddress", json!(address));
        put("sourceIPAddressVerified", json!(false));
    }
    event.bundle.iter().for_each(|bundle| put("bundle", json!(value(&bundle.to_string_lossy()))));
    event.config.iter().for_each(|config| put("config", json!(format!("sha256:{}", sha256(config)))));
    if !event.argv.is_empty() {
        put("argv", arguments(&event.argv));
    }
    if !event.details.is_null() {
        put("details", event.details.clone());
    }
    if let Some(error) = error {
        put("errorCode", json!(error.errno().map(errno_name).or(error.code_text().map(str::to_owned))));
        put("errorMessage", json!(value(&error.to_string())));
    }
    prev.into_iter().for_each(|prev| put("prev", json!(prev)));
    let line = format!("{record}\n");
    // Every value is bounded, so this is longer only if somebody made a name of nothing but escapes.
    if line.len() <= LINE {
        line
    } else {
        format!(
            "{}\n",
            json!({"eventTime": record["eventTime"], "eventName": event.name, "id": record["id"], "userIdentity": {"login": record["userIdentity"]["login"]}, "result": record["result"], "cut": true, "prev": record["prev"]})
        )
    }
}

/// The arguments, escaped and cut: they may hold anything, and be as long as memory.
fn arguments(argv: &[String]) -> Value {
    let (mut kept, mut room) = (vec![], ARGUMENTS);
    for arg in argv {
        let arg = value(arg);
        if arg.len() + 4 > room {
            kept.push(format!("… {} more", argv.len() - kept.len()));
            break;
        }
        room -= arg.len() + 4;
        kept.push(arg);
    }
    json!(kept)
}

/// `ENOENT`.
fn errno_name(errno: i32) -> String {
    format!("{:?}", nix::errno::Errno::from_raw(errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(argv: &[&str]) -> Event {
        Event { name: "start", id: "web".into(), argv: argv.iter().map(|a| (*a).to_owned()).collect(), ..Event::default() }
    }

    #[test]
    fn a_line_is_bounded_and_has_no_control_characters() {
        let long = "\u{1b}\"\\\n".repeat(5000);
        let many: Vec<&str> = std::iter::repeat_n(long.as_str(), 500).collect();
        let text = line(&event(&many), Some(&Error::new(long.clone())), Some("0".repeat(64)));
        assert!(text.len() <= LINE && text.ends_with('\n') && text.matches('\n').count() == 1, "{}", text.len());
        let record: Value = serde_json::from_str(&text).expect("JSON");
        assert!(!record.to_string().contains("\\u001b") && record["argv"].is_array(), "{record}");
    }

    fn dir_file(dir: &Path) -> PathBuf {
        let file = dir.join("other");
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&file).expect("make a file");
        file
    }

    #[test]
    fn lines_are_chained_and_the_file_is_ours_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let audit = Audit { dir: Some(dir.path().join("log")), required: true };
        audit.write(&event(&["sh"]), None).expect("written");
        audit.write(&event(&[]), Some(&Error::os("x", nix::errno::Errno::ENOENT))).expect("written");
        let path = dir.path().join("log").join(FILE);
        let text = std::fs::read_to_string(&path).expect("read");
        let lines: Vec<&str> = text.lines().collect();
        let second: Value = serde_json::from_str(lines[1]).expect("JSON");
        assert_eq!(
            (second["prev"].as_str(), second["errorCode"].as_str()),
            (Some(sha256(lines[0].as_bytes()).as_str()), Some("ENOENT"))
        );
        assert_eq!(path.metadata().expect("a file").mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).expect("chmod");
        let refused = audit.write(&event(&[]), None).expect_err("others can change it");
        assert!(refused.to_string().contains("only it can change"), "{refused}");
        std::fs::remove_file(&path).expect("remove");
        std::fs::hard_link(dir_file(dir.path()), &path).expect("link");
        assert!(audit.write(&event(&[]), None).is_err(), "another file of ours gets no lines");
    }

    #[test]
    fn the_switch_names_a_directory() {
        assert_eq!((named("\n").ok(), named("/x/y\n").ok()), (Some(DEFAULT.into()), Some("/x/y".into())));
        assert!(named("x").is_err() && named("/a\n/b").is_err());
    }
}
