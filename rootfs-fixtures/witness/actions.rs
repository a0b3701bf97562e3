//! Small deeds whose outcome tests a restriction: opening a file, a raw system call, memory, processes.

use std::ffi::CString;
use std::fs::OpenOptions;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::slice::Iter;

use nix::errno::Errno;
use serde_json::{Value, json};

use crate::kernel::{self, Argument};

/// What the options ask for.
#[derive(Default)]
pub struct Actions {
    /// To be done in this order; each tells its outcome.
    pub outcomes: Vec<Box<dyn Fn() -> Value>>,
    /// Wait for a signal after printing.
    pub sleep: bool,
    /// The exit status.
    pub exit: i32,
}

/// Reads the options.
pub fn parse(options: &[String]) -> Result<Actions, String> {
    let mut actions = Actions::default();
    let mut words = options.iter();
    while let Some(option) = words.next() {
        match option.as_str() {
            "--sleep" => actions.sleep = true,
            "--exit" => actions.exit = number(&mut words, option)?,
            "--mem" => {
                let bytes = number(&mut words, option)?;
                actions.outcomes.push(Box::new(move || outcome(json!({ "mem": bytes }), kernel::touch(bytes).err())));
            }
            "--fork" => {
                let count = number(&mut words, option)?;
                actions.outcomes.push(Box::new(move || {
                    let (children, errno) = kernel::fork_children(count);
                    outcome(json!({ "fork": children }), errno)
                }));
            }
            "--open" => actions.outcomes.push(open(word(&mut words, option)?, &word(&mut words, option)?)?),
            "--call" => {
                let number: i64 = number(&mut words, option)?;
                let args = words.as_slice().iter().take_while(|w| !w.starts_with("--")).count();
                let args: Result<Vec<Argument>, String> = words.by_ref().take(args).map(|w| argument(w)).collect();
                actions.outcomes.push(call(number, args?));
            }
            "--connect" => actions.outcomes.push(connect(word(&mut words, option)?)),
            other => return Err(format!("unknown option {other}")),
        }
    }
    Ok(actions)
}

fn outcome(mut deed: Value, errno: Option<Errno>) -> Value {
    deed["errno"] = errno.map_or(Value::Null, |e| json!(format!("{e:?}")));
    deed
}

fn open(path: String, mode: &str) -> Result<Box<dyn Fn() -> Value>, String> {
    let mut options = OpenOptions::new();
    options.read(mode.contains('r')).write(mode.contains('w'));
    if !["r", "w", "rw"].contains(&mode) {
        return Err(format!("--open {path}: {mode} is neither r, w nor rw"));
    }
    Ok(Box::new(move || {
        let errno = options.open(&path).err().and_then(|e| e.raw_os_error()).map(Errno::from_raw);
        outcome(json!({ "open": path }), errno)
    }))
}

fn call(number: i64, args: Vec<Argument>) -> Box<dyn Fn() -> Value> {
    Box::new(move || {
        let result = kernel::call(number, &args);
        outcome(json!({ "call": number, "result": result.ok() }), result.err())
    })
}

/// Connects the abstract socket of this name.
fn connect(name: String) -> Box<dyn Fn() -> Value> {
    Box::new(move || {
        let connected = SocketAddr::from_abstract_name(&name).and_then(|address| UnixStream::connect_addr(&address));
        let errno = connected.err().and_then(|e| e.raw_os_error()).map(Errno::from_raw);
        outcome(json!({ "connect": name }), errno)
    })
}

fn argument(word: &str) -> Result<Argument, String> {
    match word.strip_prefix("str:") {
        Some(text) => CString::new(text).map(Argument::Text).map_err(|e| e.to_string()),
        None => parse_number(word).map(Argument::Number),
    }
}

/// Decimal or 0x hexadecimal.
fn parse_number(word: &str) -> Result<i64, String> {
    let parsed = match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).map(|n| n as i64),
        None => word.parse(),
    };
    parsed.map_err(|e| format!("{word}: {e}"))
}

fn word(words: &mut Iter<String>, option: &str) -> Result<String, String> {
    words.next().cloned().ok_or_else(|| format!("{option} needs an argument"))
}

fn number<T: TryFrom<i64>>(words: &mut Iter<String>, option: &str) -> Result<T, String> {
    let word = word(words, option)?;
    parse_number(&word)?.try_into().map_err(|_| format!("{option} {word}: out of range"))
}
