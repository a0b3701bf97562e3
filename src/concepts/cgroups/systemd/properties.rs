//! Limits in systemd's language: what it is told, it keeps when it writes its units anew, and shows in `systemctl show`
//! (systemd.resource-control(5)).
//!
//! They follow from the same list of values that is written to the files; what systemd has no property for is only written.

use std::collections::HashMap;

use super::super::devices::Rules;
use super::super::values::Write;
use super::gvariant;
use super::wire::Value;
use crate::error::{Error, Result};

/// Annotations with this prefix are properties of the unit.
const PREFIX: &str = "org.systemd.property.";

/// No limit.
const INFINITY: u64 = u64::MAX;

/// systemd counts processor time in whole percents of a CPU: microseconds per second, rounded up so that it never gives less.
const PERCENT: u64 = 10_000;

/// The properties that follow from `writes`.
pub(in super::super) fn from_writes(writes: &[Write]) -> Result<Vec<(String, Value)>> {
    let mut found = Vec::new();
    let mut period = 100_000;
    for write in writes {
        let limit = || if matches!(write.text.as_str(), "max" | "-1") { Some(INFINITY) } else { write.text.parse().ok() };
        let name = match write.file.as_str() {
            "memory.max" => "MemoryMax",
            "memory.high" => "MemoryHigh",
            "memory.low" => "MemoryLow",
            "memory.min" => "MemoryMin",
            "memory.swap.max" => "MemorySwapMax",
            "memory.limit_in_bytes" => "MemoryLimit",
            "pids.max" => "TasksMax",
            "cpu.weight" => "CPUWeight",
            "cpu.shares" => "CPUShares",
            // A weight of its own kind, which systemd writes as 0.
            "cpu.idle" if write.text == "1" => {
                found.retain(|(name, _)| name != "CPUWeight");
                found.push(("CPUWeight".to_owned(), Value::U64(0)));
                continue;
            }
            "io.weight" if !write.text.contains(':') => "IOWeight",
            "cpuset.cpus" => {
                found.push(("AllowedCPUs".to_owned(), mask(write)?));
                continue;
            }
            "cpuset.mems" => {
                found.push(("AllowedMemoryNodes".to_owned(), mask(write)?));
                continue;
            }
            "cpu.max" => {
                let (quota, given) = write.text.split_once(' ').unwrap_or((&write.text, ""));
                found.extend(processor(quota, given.parse().unwrap_or(period)));
                continue;
            }
            "cpu.cfs_period_us" => {
                period = write.text.parse().unwrap_or(period);
                continue;
            }
            "cpu.cfs_quota_us" => {
                found.extend(processor(&write.text, period));
                continue;
            }
            _ => continue,
        };
        found.extend(limit().map(|n| (name.to_owned(), Value::U64(n))));
    }
    Ok(found)
}

/// Which version of systemd first knew it; 0 for what all that rrun meets know.
pub(super) fn known_since(property: &(String, Value)) -> u32 {
    match (property.0.as_str(), &property.1) {
        ("CPUQuotaPeriodUSec", _) => 242,
        ("AllowedCPUs" | "AllowedMemoryNodes", _) => 244,
        ("CPUWeight", Value::U64(0)) => 252,
        _ => 0,
    }
}

fn processor(quota: &str, period: u64) -> [(String, Value); 2] {
    let per_second = match quota.parse::<u64>() {
        Ok(quota) => (quota.saturating_mul(1_000_000) / period.max(1)).next_multiple_of(PERCENT),
        Err(_) => INFINITY,
    };
    [("CPUQuotaPerSecUSec".into(), Value::U64(per_second)), ("CPUQuotaPeriodUSec".into(), Value::U64(period))]
}

/// A list as of cpuset(7), `0-2,5`, as a bit mask, lowest byte first.
fn mask(write: &Write) -> Result<Value> {
    let invalid = || Error::new(format!("invalid list {:?}", write.text)).config(&write.field);
    let mut bits: Vec<u8> = Vec::new();
    for range in write.text.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let parse = |n: &str| n.trim().parse::<usize>().ok().filter(|n| *n < 1 << 16).ok_or_else(invalid);
        for n in parse(first)?..=parse(last)? {
            bits.resize(bits.len().max(n / 8 + 1), 0);
            bits[n / 8] |= 1 << (n % 8);
        }
    }
    Ok(Value::bytes(&bits))
}

/// The device rules for systemd on cgroup v1, where it would open all devices when it writes its units anew. On v2 our program stays
/// whatever systemd does, and systemd is not told: it would attach the same rules as a second program beside ours, attach that anew
/// at each reload, and so take back what was opened since by others (the NVIDIA tools lose their devices so with other runtimes), or
/// never allow what its language cannot say (one minor of all majors).
pub(in super::super) fn devices(rules: &Rules) -> Vec<(String, Value)> {
    let list = |lines: Vec<Value>| ("DeviceAllow".to_owned(), Value::Array("(ss)".into(), lines));
    let policy = |p: &str| ("DevicePolicy".to_owned(), Value::Str(p.into()));
    if rules.default_allow {
        return vec![policy("auto"), list(vec![])];
    }
    let lines = rules.lines().filter_map(|line| {
        // "c 1:3 rwm"
        let mut words = line.split(' ');
        let kind = if words.next()? == "b" { "block" } else { "char" };
        let (major, minor) = words.next()?.split_once(':')?;
        let name = match (major, minor) {
            ("*", "*") => format!("{kind}-*"),
            ("*", _) => return None,
            (major, "*") => format!("{kind}-{major}"),
            (major, minor) => format!("/dev/{kind}/{major}:{minor}"),
        };
        Some(Value::Struct(vec![Value::Str(name), Value::Str(words.next()?.into())]))
    });
    vec![policy("strict"), list(lines.collect())]
}

/// The properties that the annotations ask for, sorted by name.
pub(in super::super) fn from_annotations(annotations: &HashMap<String, String>) -> Result<Vec<(String, Value)>> {
    let mut found = Vec::new();
    for (key, text) in annotations {
        let Some(name) = key.strip_prefix(PREFIX) else { continue };
        let refuse = |why: String| Err(Error::new(format!("annotation {key}: {why}")).config(format!("annotations[{key:?}]")));
        if name.len() < 3 || !name.bytes().all(|b| b.is_ascii_alphabetic()) {
            return refuse("a property's name consists of at least three letters".into());
        }
        let value = match gvariant::parse(text) {
            Ok(value) => value,
            Err(why) => return refuse(format!("the value {text:?} cannot be parsed: {why}")),
        };
        found.push(match name.strip_suffix("Sec").filter(|n| !n.ends_with('U')) {
            Some(stem) => match microseconds(&value) {
                Some(usec) => (format!("{stem}USec"), Value::U64(usec)),
                None => return refuse("a time must be a number".into()),
            },
            None => (name.to_owned(), value),
        });
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

/// The manual speaks of `TimeoutStopSec`, the bus of `TimeoutStopUSec`.
fn microseconds(value: &Value) -> Option<u64> {
    let seconds = match value {
        Value::F64(n) if *n >= 0.0 => return Some((n * 1e6) as u64),
        Value::Byte(n) => u64::from(*n),
        Value::U16(n) => u64::from(*n),
        Value::U32(n) => u64::from(*n),
        Value::U64(n) => *n,
        Value::I16(n) => u64::try_from(*n).ok()?,
        Value::I32(n) => u64::try_from(*n).ok()?,
        Value::I64(n) => u64::try_from(*n).ok()?,
        _ => return None,
    };
    seconds.checked_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::super::super::devices;
    use super::super::super::paths::{cgroupfs, tests::unified};
    use super::super::super::values::{self, Occasion};
    use super::*;
    use crate::error::Warnings;
    use serde_json::json;

    fn properties(json: serde_json::Value) -> Vec<(String, Value)> {
        let groups = cgroupfs(&unified(), None, "web").expect("groups");
        let resources = serde_json::from_value(json).expect("resources");
        from_writes(&values::plan(&groups, &resources, Occasion::Create, &mut Warnings::default()).expect("plan"))
            .expect("properties")
    }

    #[test]
    fn limits_become_properties() {
        let n = |name: &str, n: u64| (name.to_owned(), Value::U64(n));
        let found = properties(
            json!({"memory": {"limit": 10, "swap": -1, "reservation": 5}, "pids": {"limit": 9}, "cpu": {"shares": 1024}}),
        );
        assert_eq!(
            found,
            [n("MemorySwapMax", INFINITY), n("MemoryMax", 10), n("MemoryLow", 5), n("CPUWeight", 100), n("TasksMax", 9)]
        );
        let found = properties(json!({"cpu": {"quota": 1005, "period": 10000}}));
        assert_eq!(found, [n("CPUQuotaPerSecUSec", 110_000), n("CPUQuotaPeriodUSec", 10_000)]);
        assert_eq!(properties(json!({"cpu": {"quota": -1}}))[0], n("CPUQuotaPerSecUSec", INFINITY));
        assert_eq!(properties(json!({"cpu": {"shares": 1024, "idle": 1}})), [n("CPUWeight", 0)]);
        assert_eq!(properties(json!({"blockIO": {"weight": 100}})), [n("IOWeight", 910)]);
    }

    #[test]
    fn lists_become_masks() {
        let found = properties(json!({"cpu": {"cpus": "0-2,9", "mems": "0"}}));
        assert_eq!(found, [("AllowedCPUs".into(), Value::bytes(&[7, 2])), ("AllowedMemoryNodes".into(), Value::bytes(&[1]))]);
    }

    #[test]
    fn device_rules_for_v1() {
        let found = super::devices(&devices::plan(&[]).expect("rules"));
        assert_eq!(found[0].1, Value::Str("strict".into()));
        let Value::Array(_, lines) = &found[1].1 else { panic!("an array") };
        let pair = |a: &str, b: &str| Value::Struct(vec![Value::Str(a.into()), Value::Str(b.into())]);
        for line in [pair("block-*", "m"), pair("char-136", "rwm"), pair("/dev/char/1:3", "rwm")] {
            assert!(lines.contains(&line), "{lines:?}");
        }
    }

    #[test]
    fn annotations_become_properties() {
        let map =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| (format!("org.{k}"), (*v).to_owned())).collect::<HashMap<_, _>>();
        let good =
            map(&[("systemd.property.TimeoutStopSec", "5"), ("systemd.property.CollectMode", "'inactive'"), ("other", "x")]);
        let expected =
            [("CollectMode".to_owned(), Value::Str("inactive".into())), ("TimeoutStopUSec".to_owned(), Value::U64(5_000_000))];
        assert_eq!(from_annotations(&good).expect("good"), expected);
        for bad in [
            ("systemd.property.X", "1"),
            ("systemd.property.A-B", "1"),
            ("systemd.property.After", "x"),
            ("systemd.property.StopSec", "'1'"),
        ] {
            let e = from_annotations(&map(&[bad])).expect_err(bad.0);
            assert_eq!(e.config_text(), Some(format!("annotations[\"org.{}\"]", bad.0).as_str()));
        }
    }
}
