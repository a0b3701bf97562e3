//! A value of the wrong type, in plain words: which key, what was expected, what stands there.
//!
//! The parser's own words ("invalid type: string \"1000\", expected u32") name types of the programming language. Nothing is
//! ever replaced by a default: a limit that cannot be read is a limit that would not be set.

use serde_json::Value;

use super::keys;
use super::repair::SCHEDULER_FLAGS;
use super::strict::Step;
use crate::error::Error;
use crate::suggest::closest;

/// What is wrong at one place of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The sentence, without the place in the file.
    pub text: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The code of the situation.
    pub code: &'static str,
}

impl Diagnosis {
    fn new(text: String, hint: Option<String>, code: &'static str) -> Self {
        Self { text, hint, code }
    }

    /// The error; `place` is `config.json:9:14`, `field` the config path.
    pub fn error(self, place: Option<&str>, field: &str) -> Error {
        let text = place.map_or_else(|| self.text.clone(), |place| format!("{} ({place})", self.text));
        let error = Error::new(text).code(self.code).config(field);
        let error = if let Some(place) = place { error.file(place) } else { error };
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// Finds the value at the end of a way like `linux.seccomp.syscalls[3].action`.
pub fn at<'a>(document: &'a Value, way: &[Step]) -> Option<&'a Value> {
    way.iter().try_fold(document, |value, step| match step {
        Step::Index(index) => value.get(index),
        Step::Key(key) => value.get(key),
    })
}

/// Translates the parser's `message` about `found`, which stands at `field` (named from the top of config.json).
pub fn of(message: &str, field: &str, found: Option<&Value>) -> Diagnosis {
    let name = super::shown(if field.is_empty() { "the document" } else { field });
    if let Some(key) = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
        let present = found.and_then(Value::as_object).into_iter().flat_map(|o| o.keys());
        let hint = keys::misspelt(field, key, present).map(|p| format!("rename {} to {key}", super::shown(p)));
        return Diagnosis::new(format!("{name}: the key {key} is missing"), hint, "E-KEY");
    }
    let Some(found) = found else { return Diagnosis::new(format!("{name}: {message}"), None, "E-TYPE") };
    if message.starts_with("unknown variant") {
        return unknown_name(message, field, &name, found);
    }
    if message.starts_with("Invalid execCPUAffinity") {
        let text = format!("{name}: expected a list of CPUs such as \"0-3,7\", got {}", thing(found));
        return Diagnosis::new(text, None, "E-TYPE");
    }
    let expected = message.rsplit("expected ").next().unwrap_or_default();
    let hint = match (expected_thing(expected), found) {
        (Thing::Number, Value::String(s)) if s.trim().parse::<i128>().is_ok() => Some("remove the quotes".to_owned()),
        (Thing::Truth, Value::String(s)) if s == "true" || s == "false" => Some("remove the quotes".to_owned()),
        (Thing::Text, Value::Number(_) | Value::Bool(_)) => Some(format!("put it in double quotes: \"{found}\"")),
        (Thing::List, Value::String(s)) if s.len() < 60 => Some(format!("put it in brackets: [\"{}\"]", super::shown(s))),
        _ => None,
    };
    let expected = match (expected_thing(expected), found) {
        (Thing::Number, Value::Number(_)) => range(expected),
        (thing, _) => thing.name().to_owned(),
    };
    Diagnosis::new(format!("{name}: expected {expected}, got {}", thing(found)), hint, "E-TYPE")
}

/// A name that is none of those allowed here.
fn unknown_name(message: &str, field: &str, name: &str, found: &Value) -> Diagnosis {
    let given = found.as_str().unwrap_or_default();
    let allowed = message.rsplit("expected ").next().unwrap_or_default();
    let allowed: Vec<&str> = allowed
        .split('`')
        .skip(1)
        .step_by(2)
        .map(|a| SCHEDULER_FLAGS.iter().find(|(_, types)| *types == a).map_or(a, |(name, _)| name))
        .collect();
    let hint = closest(given, allowed.iter().copied()).map(|near| format!("did you mean {near}?"));
    let list = || format!("use one of {}", allowed.join(", "));
    let given = super::shown(given);
    if field.starts_with("linux.namespaces[") {
        return Diagnosis::new(format!("namespace \"{given}\" does not exist"), Some(hint.unwrap_or_else(list)), "E-TYPE");
    }
    if field.contains("rlimits[") {
        return Diagnosis::new(format!("invalid rlimit type: {given}"), Some(hint.unwrap_or_else(list)), "E-RLIMIT");
    }
    Diagnosis::new(format!("{name}: \"{given}\" is not one of {}", allowed.join(", ")), hint, "E-TYPE")
}

/// The kinds of values that JSON has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thing {
    Number,
    Text,
    Truth,
    List,
    Object,
    Other,
}

impl Thing {
    fn name(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Text => "a string",
            Self::Truth => "true or false",
            Self::List => "a list",
            Self::Object => "an object",
            Self::Other => "another kind of value",
        }
    }
}

/// What the parser wanted, by its words for it.
fn expected_thing(expected: &str) -> Thing {
    match expected {
        "a boolean" => Thing::Truth,
        "a sequence" => Thing::List,
        "a map" => Thing::Object,
        "a string" | "path string" | "string or map" => Thing::Text,
        "usize" | "u8" | "u16" | "u32" | "u64" | "i8" | "i16" | "i32" | "i64" => Thing::Number,
        // A unit variant of an enum is written as a string.
        _ if expected.starts_with("enum") || expected.starts_with("unit variant") || expected.starts_with("variant") => {
            Thing::Text
        }
        _ if expected.starts_with("struct") => Thing::Object,
        _ => Thing::Other,
    }
}

/// The numbers that fit.
fn range(number_type: &str) -> String {
    let limits = match number_type {
        "u16" => format!("0 to {}", u16::MAX),
        "u32" => format!("0 to {}", u32::MAX),
        "i32" => format!("{} to {}", i32::MIN, i32::MAX),
        "i64" => format!("{} to {}", i64::MIN, i64::MAX),
        _ => format!("0 to {}", u64::MAX),
    };
    format!("a whole number from {limits}")
}

/// What stands there.
fn thing(found: &Value) -> String {
    match found {
        Value::String(s) => format!("the string \"{}\"", super::shown(s)),
        Value::Number(n) => n.to_string(),
        Value::Bool(b) => b.to_string(),
        Value::Null => "null".into(),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
    }
}
