//! `log`: the audit log, in sentences.
//!
//! Each line is compared with the hash that the next one carries: a line that was changed, added or taken out shows as a break, at
//! that place. What the environment claimed (ssh's address, sudo's user) is marked as unverified, as it was when it was written.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::audit::{FILE, sha256};
use crate::cli::{Global, LogArgs};
use crate::error::{At, Error, Result};
use crate::log::value;
use crate::style::{Paint, Style};
use crate::workshop::explain::{self, Exposure};

/// How often a followed log is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Reads lines one after the other, and remembers what later ones refer to.
struct Reader<'a> {
    args: &'a LogArgs,
    style: &'a Style,
    /// The hash of the line before.
    before: Option<String>,
    /// OOM kills at the start of each container.
    kills: HashMap<String, u64>,
    /// Of a bundle whose config.json has this SHA-256.
    exposure: &'a dyn Fn(&Path, &str) -> Exposure,
}

/// What is to be printed at last; with `--follow` all goes to `tell`, until nobody reads.
pub fn run(global: &Global, args: &LogArgs, style: &Style, tell: impl Fn(&str) -> Result<bool>) -> Result<String> {
    let no_log = || {
        Error::new("no audit log is kept")
            .hint("--audit names no directory, and /etc/rrun/audit is absent; name its directory: rrun --audit DIR log")
    };
    let path = global.audit.directory()?.ok_or_else(no_log)?.join(FILE);
    let mut file = open(&path)?;
    let exposure = |bundle: &Path, config: &str| explain::exposure_of(bundle, config, &global.root);
    let mut reader = Reader { args, style, before: None, kills: HashMap::new(), exposure: &exposure };
    let mut rest = Vec::new();
    loop {
        file.read_to_end(&mut rest).at(|| format!("read {}", path.display()))?;
        let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = rest.drain(..whole).collect();
        let text: String =
            lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| reader.line(line)).collect();
        if !args.follow {
            return Ok(text);
        }
        if !text.is_empty() && !tell(&text)? {
            return Ok(String::new());
        }
        std::thread::sleep(LOOK);
        // Another file of that name, or the same one emptied: from its begin on.
        if std::fs::metadata(&path).is_ok_and(|now| now.len() < file.stream_position().unwrap_or(0)) {
            file = open(&path)?;
            file.seek(SeekFrom::Start(0)).at(|| "seek in the audit log")?;
            (reader.before, rest) = (None, vec![]);
        }
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).at(|| format!("open {}", path.display())).map_err(|e| match e.errno() {
        Some(libc::ENOENT) => e.hint("nothing has been logged yet"),
        Some(libc::EACCES) => e.hint("the log is its owner's: read it as that user"),
        _ => e,
    })
}

impl Reader<'_> {
    /// One line as it is printed; nothing if it is about another container.
    fn line(&mut self, line: &[u8]) -> String {
        let record: Value = serde_json::from_slice(line).unwrap_or_default();
        let intact = record.is_object() && record["prev"].as_str().map(str::to_owned) == self.before;
        self.before = Some(sha256(line));
        let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
        let id = text("id");
        if record["eventName"] == "start" {
            self.kills.insert(id.clone(), record["details"]["oomKills"].as_u64().unwrap_or(0));
        }
        if self.args.id.as_ref().is_some_and(|wanted| *wanted != id) && intact {
            return String::new();
        }
        if self.args.json {
            return String::from_utf8_lossy(line).into_owned() + "\n";
        }
        let broken = "the chain is broken here: a line before this one was changed or removed";
        let broken = if intact { String::new() } else { format!("{}\n", self.style.paint(Paint::Bad, broken)) };
        // Seconds are enough for people.
        let time = text("eventTime").split('.').next().unwrap_or_default().to_owned() + "Z";
        let parts =
            [time, format!("{:<6}", text("eventName")), value(&id), who(&record, self.style), place(&record), self.what(&record)];
        let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.trim().is_empty()).collect();
        // Below the events, so that each line of the log begins with its time.
        broken + &self.style.hang(&parts.join("  "), &" ".repeat(22)) + "\n"
    }

    /// How open the container was that began: graded now, from the same config.json, if its bundle still has it.
    fn exposure(&self, record: &Value) -> Option<String> {
        let begins = ["create", "start"].iter().any(|name| record["eventName"] == *name);
        let (bundle, config) = (record["bundle"].as_str()?, record["config"].as_str()?.strip_prefix("sha256:")?);
        let (score, level) = if begins { (self.exposure)(Path::new(bundle), config)? } else { return None };
        Some(format!("exposure {} {level}", explain::tenths(score)))
    }

    /// What came of it.
    fn what(&self, record: &Value) -> String {
        let mut parts = vec![];
        let details = &record["details"];
        if record["eventName"] == "exit" {
            parts.push(details["status"].as_u64().map_or_else(|| "status unknown".into(), |status| status.to_string()));
            parts.extend(details["signal"].as_str().map(value));
            let (before, now) = (self.kills.get(record["id"].as_str().unwrap_or_default()), details["oomKills"].as_u64());
            if let (Some(cause), Some(now)) = (details["cause"].as_str(), now) {
                let before = before.copied().unwrap_or(0);
                parts.push(format!("cause {} (oom_kill {before}{}{now})", value(cause), self.style.arrow()));
            }
        }
        parts.extend(
            details["signal"]
                .as_str()
                .filter(|_| record["eventName"] == "kill")
                .map(|signal| format!("signal {}", value(signal))),
        );
        // What runs is said where it begins; the lines that follow are about the same.
        let begins = |names: &[&str]| names.iter().any(|name| record["eventName"] == *name);
        if let Some(config) = record["config"].as_str().filter(|_| begins(&["create", "start"])) {
            parts.push(format!(
                "config {}{}",
                &value(config.trim_start_matches("sha256:")).chars().take(8).collect::<String>(),
                self.style.ellipsis()
            ));
            parts.extend(self.exposure(record));
        }
        if record["argv"].is_array() && begins(&["create", "start", "exec"]) {
            parts.push(format!("argv {}", value(&record["argv"].to_string())));
        }
        if let Some(message) = record["errorMessage"].as_str() {
            parts.push(format!("{} {}", self.style.paint(Paint::Bad, "FAILED"), value(message)));
        }
        parts.join("  ")
    }
}

/// `by alice(1000)→root via sudo`.
fn who(record: &Value, style: &Style) -> String {
    let identity = &record["userIdentity"];
    let named = |user: &Value| Some(format!("{}({})", value(user["name"].as_str()?), user["uid"].as_u64()?));
    let sudo = named(&identity["sudo"]);
    let (login, how) = match (named(&identity["login"]), sudo) {
        (Some(login), Some(_)) => (login, " via sudo"),
        (Some(login), None) => (login, ""),
        (None, Some(sudo)) => (sudo, " via sudo, unverified"),
        (None, None) => ("unknown".into(), ""),
    };
    let acting = identity["name"].as_str().map(value).filter(|name| !login.starts_with(&format!("{name}(")));
    format!("by {login}{}{how}", acting.map_or_else(String::new, |name| format!("{}{name}", style.arrow())))
}

/// `from 10.0.0.7 (unverified) pts/1`.
fn place(record: &Value) -> String {
    let address = record["sourceIPAddress"].as_str().map(|address| format!("{} (unverified)", value(address)));
    let tty = record["userIdentity"]["tty"].as_str().map(value);
    let parts: Vec<String> = [address, tty].into_iter().flatten().collect();
    if parts.is_empty() { String::new() } else { format!("from {}", parts.join(" ")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const STYLE: Style = Style { color: false, utf8: true, width: None };

    #[test]
    fn the_person_and_the_place() {
        let user = |name: &str, uid: u32| json!({"name": name, "uid": uid});
        let record =
            |login: Value, sudo: Value| json!({"userIdentity": {"login": login, "sudo": sudo, "name": "root", "tty": "pts/1"}});
        let said = |login, sudo| who(&record(login, sudo), &STYLE);
        assert_eq!(said(user("alice", 1000), user("alice", 1000)), "by alice(1000)→root via sudo");
        assert_eq!(said(user("root", 0), Value::Null), "by root(0)");
        assert_eq!(said(Value::Null, user("bob", 1001)), "by bob(1001)→root via sudo, unverified");
        assert_eq!(said(Value::Null, Value::Null), "by unknown→root");
        let mut from = record(Value::Null, Value::Null);
        from["sourceIPAddress"] = json!("10.0.0.7\u{1b}[2J");
        assert_eq!(place(&from), "from 10.0.0.7\\x1b[2J (unverified) pts/1");
    }

    #[test]
    fn a_break_in_the_chain_is_told_where_it_is() {
        let args = LogArgs { id: None, follow: false, json: false };
        let mut reader =
            Reader { args: &args, style: &STYLE, before: None, kills: HashMap::new(), exposure: &|_, _| Some((28, "FAIR")) };
        let first =
            json!({"eventName": "start", "id": "web", "eventTime": "2026-01-15T10:29:08.123Z", "details": {"oomKills": 1}})
                .to_string();
        let exit = |prev: &str| {
            json!({"eventName": "exit", "id": "web", "eventTime": "2026-01-15T10:40:02.5Z", "prev": prev,
                   "details": {"status": 137, "signal": "SIGKILL", "cause": "memory limit", "oomKills": 4}})
            .to_string()
        };
        assert_eq!(reader.line(first.as_bytes()), "2026-01-15T10:29:08Z  start   web  by unknown\n");
        let good = reader.line(exit(&sha256(first.as_bytes())).as_bytes());
        assert_eq!(good, "2026-01-15T10:40:02Z  exit    web  by unknown  137  SIGKILL  cause memory limit (oom_kill 1→4)\n");
        let bundle = json!({"eventName": "start", "id": "db", "eventTime": "2026-01-15T10:41:00.5Z", "bundle": "/db",
                            "config": "sha256:3f9a0000111122223333", "prev": sha256(exit(&sha256(first.as_bytes())).as_bytes())});
        let said = reader.line(bundle.to_string().as_bytes());
        let kill = json!({"eventName": "kill", "id": "db", "eventTime": "2026-01-15T10:41:01.5Z", "config": "sha256:3f9a0000111122223333",
                          "argv": ["sh"], "details": {"signal": "KILL"}, "prev": sha256(bundle.to_string().as_bytes())});
        let killed = reader.line(kill.to_string().as_bytes());
        assert_eq!(killed, "2026-01-15T10:41:01Z  kill    db  by unknown  signal KILL\n");
        assert_eq!(said, "2026-01-15T10:41:00Z  start   db  by unknown  config 3f9a0000…  exposure 2.8 FAIR\n");
        assert!(reader.line(exit("0").as_bytes()).starts_with("the chain is broken here"));
        assert!(reader.line(b"no JSON").starts_with("the chain is broken here"));
    }
}
