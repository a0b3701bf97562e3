//! `--policy FILE`: what an organisation weighs otherwise, and what it accepts for a while, and why.
//!
//! ```json
//! {"weights": {"MEM": 20}, "exceptions": [{"finding": "NS-USER", "reason": "storage driver", "until": "2027-01-31"}]}
//! ```
//!
//! An exception without a reason or an end is refused: nobody would remember why it is there. After its last day it counts no more, and
//! the output says so.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::table::{CHECKS, Check, check};
use crate::error::{At, Error, Result};
use crate::suggest::did_you_mean;

/// What differs from the table.
#[derive(Debug, Default)]
pub struct Policy {
    weights: BTreeMap<&'static str, u32>,
    exceptions: BTreeMap<&'static str, String>,
    /// Exceptions whose last day has passed, for the output.
    pub expired: Vec<String>,
}

impl Policy {
    /// Reads the file; `today` is `2026-01-31`.
    pub fn read(path: &Path, today: &str) -> Result<Self> {
        let name = super::shown(path);
        let text = std::fs::read(path).at(|| format!("read {name}"))?;
        let value: Value = serde_json::from_slice(&text).map_err(|e| Error::new(format!("{name}: {e}")).code("E-JSON"))?;
        Self::of(&value, today).map_err(|e| e.context(name))
    }

    fn of(value: &Value, today: &str) -> Result<Self> {
        let mut policy = Self::default();
        let object = value.as_object().ok_or_else(|| Error::new("a policy is an object"))?;
        if let Some(key) = object.keys().find(|key| !["weights", "exceptions"].contains(&key.as_str())) {
            let near = did_you_mean(key, ["weights", "exceptions"]);
            return Err(Error::new(format!("unknown key {}{near}", crate::log::value(key))));
        }
        for (id, weight) in value.get("weights").and_then(Value::as_object).into_iter().flatten() {
            let known = find(id)?;
            let weight = weight
                .as_u64()
                .filter(|w| *w <= 100)
                .ok_or_else(|| Error::new(format!("weights.{}: a weight is a whole number from 0 to 100", known.id)))?;
            policy.weights.insert(known.id, weight as u32);
        }
        for (i, entry) in value.get("exceptions").and_then(Value::as_array).into_iter().flatten().enumerate() {
            policy.except(entry, today).map_err(|e| e.context(format!("exceptions[{i}]")))?;
        }
        Ok(policy)
    }

    fn except(&mut self, entry: &Value, today: &str) -> Result<()> {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).map(str::trim).filter(|t| !t.is_empty());
        let missing = |key: &str, hint: &str| Error::new(format!("{key} is missing")).hint(hint);
        let known = find(text("finding").ok_or_else(|| missing("finding", "name the check, as \"NS-USER\""))?)?;
        let reason = text("reason").ok_or_else(|| missing("reason", "say why it is accepted"))?;
        let until = text("until").ok_or_else(|| missing("until", "give the last day, as \"2027-01-31\""))?;
        if !is_date(until) {
            return Err(Error::new("until is no date").hint("write it as \"2027-01-31\""));
        }
        let reason = crate::log::value(reason);
        if until < today {
            self.expired.push(format!("{}: accepted until {until} ({reason}); it counts again", known.id));
        } else {
            self.exceptions.insert(known.id, format!("accepted until {until}: {reason}"));
        }
        Ok(())
    }

    /// The weight of a check.
    pub fn weight(&self, check: &Check) -> u32 {
        self.weights.get(check.id).copied().unwrap_or(check.weight)
    }

    /// Why a check is accepted as it is.
    pub fn accepted(&self, id: &str) -> Option<&str> {
        self.exceptions.get(id).map(String::as_str)
    }
}

/// The check of this name, or which one was probably meant.
pub fn find(id: &str) -> Result<&'static Check> {
    check(id).ok_or_else(|| {
        let near = did_you_mean(&id.to_uppercase(), CHECKS.iter().map(|c| c.id));
        Error::new(format!("there is no finding {}{near}", crate::log::value(id))).hint("`rrun explain -v BUNDLE` lists them")
    })
}

fn is_date(text: &str) -> bool {
    let part = |range: std::ops::Range<usize>| text.get(range).and_then(|t| t.parse::<u32>().ok()).unwrap_or(0);
    let shape = text.len() == 10
        && text.bytes().enumerate().all(|(i, b)| if [4, 7].contains(&i) { b == b'-' } else { b.is_ascii_digit() });
    shape && (1..=12).contains(&part(5..7)) && (1..=31).contains(&part(8..10))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn exceptions_have_a_reason_and_an_end() {
        let of = |value: Value| Policy::of(&value, "2026-11-27").map_err(|e| e.to_string());
        let entry = json!({"finding": "ns-user", "reason": "r\u{1b}", "until": "2026-11-27"});
        let policy = of(json!({"weights": {"MEM": 20}, "exceptions": [entry]})).expect("a policy");
        assert_eq!(policy.accepted("NS-USER"), Some("accepted until 2026-11-27: r\\x1b"));
        assert_eq!(policy.weight(check("MEM").expect("there")), 20);
        let late = of(json!({"exceptions": [{"finding": "MEM", "reason": "r", "until": "2026-11-26"}]})).expect("a policy");
        assert!(late.accepted("MEM").is_none() && late.expired.len() == 1);
        for (value, said) in [
            (json!([]), "a policy is an object"),
            (json!({"weight": {}}), "unknown key weight - did you mean weights?"),
            (json!({"weights": {"MEN": 1}}), "there is no finding MEN - did you mean MEM?"),
            (json!({"weights": {"MEM": 101}}), "weights.MEM: a weight is a whole number from 0 to 100"),
            (json!({"exceptions": [{"finding": "MEM", "until": "2027-01-01"}]}), "exceptions[0]: reason is missing"),
            (json!({"exceptions": [{"finding": "MEM", "reason": "r"}]}), "exceptions[0]: until is missing"),
            (json!({"exceptions": [{"finding": "MEM", "reason": "r", "until": "soon"}]}), "exceptions[0]: until is no date"),
        ] {
            assert_eq!(of(value).expect_err("refused"), said);
        }
    }
}
