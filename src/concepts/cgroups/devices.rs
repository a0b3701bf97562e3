//! Device rules: which device numbers the processes of the group may open or make, whatever nodes lie in the image.
//!
//! A container that may make nodes (CAP_MKNOD) can make one for the host's disk and read it. The rules are what stands before
//! that. They are a list, read in order, as cgroup v1 has always read it: a default (deny) and exceptions to it; a later rule adds an
//! exception or takes one back. Here the list becomes that normal form, from which both the v1 files and the v2 program follow.
//! Kernel documentation: admin-guide/cgroup-v1/devices.rst.

use std::collections::BTreeMap;

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use crate::error::{Error, Result};

/// Making a node (mknod(2)).
pub(super) const MKNOD: u8 = 1;
/// Opening for reading.
pub(super) const READ: u8 = 2;
/// Opening for writing.
pub(super) const WRITE: u8 = 4;
/// All three.
pub(super) const ALL: u8 = MKNOD | READ | WRITE;

/// Block or character device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Block device.
    Block,
    /// Character device.
    Char,
}

/// The devices a rule speaks of; `None` is `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Devices {
    pub kind: Kind,
    pub major: Option<u32>,
    pub minor: Option<u32>,
}

impl Devices {
    fn contains(self, other: Self) -> bool {
        let wide = |a: Option<u32>, b: Option<u32>| a.is_none() || a == b;
        self.kind == other.kind && wide(self.major, other.major) && wide(self.minor, other.minor)
    }

    fn overlaps(self, other: Self) -> bool {
        let meet = |a: Option<u32>, b: Option<u32>| a.is_none() || b.is_none() || a == b;
        self.kind == other.kind && meet(self.major, other.major) && meet(self.minor, other.minor)
    }

    fn text(self) -> String {
        let number = |n: Option<u32>| n.map_or("*".to_owned(), |n| n.to_string());
        let kind = if self.kind == Kind::Block { 'b' } else { 'c' };
        format!("{kind} {}:{}", number(self.major), number(self.minor))
    }
}

/// The rules in normal form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rules {
    /// Whether devices without an exception may be used.
    pub default_allow: bool,
    /// The exceptions to the default, with the kinds of access they speak of.
    pub exceptions: BTreeMap<Devices, u8>,
}

/// What every container may use, as runc grants it: making any node (opening it is another matter), null, zero, full, random, urandom,
/// tty, ptmx, all pseudoterminals, and tun (which is useless without CAP_NET_ADMIN over a network namespace).
const DEFAULTS: [(Kind, Option<u32>, Option<u32>, u8); 11] = [
    (Kind::Char, None, None, MKNOD),
    (Kind::Block, None, None, MKNOD),
    (Kind::Char, Some(1), Some(3), ALL),
    (Kind::Char, Some(1), Some(5), ALL),
    (Kind::Char, Some(1), Some(7), ALL),
    (Kind::Char, Some(1), Some(8), ALL),
    (Kind::Char, Some(1), Some(9), ALL),
    (Kind::Char, Some(5), Some(0), ALL),
    (Kind::Char, Some(5), Some(2), ALL),
    (Kind::Char, Some(136), None, ALL),
    (Kind::Char, Some(10), Some(200), ALL),
];

/// Reads the config's rules in order, then grants the defaults. No rule at all means: the defaults only.
pub(super) fn plan(rules: &[LinuxDeviceCgroup]) -> Result<Rules> {
    let mut state = Rules::default();
    for (i, rule) in rules.iter().enumerate() {
        state.read(rule).map_err(|e| e.config(format!("linux.resources.devices[{i}]")))?;
    }
    for (kind, major, minor, access) in DEFAULTS {
        state.apply(true, Devices { kind, major, minor }, access).map_err(|e| e.config("linux.resources.devices"))?;
    }
    state.prune();
    Ok(state)
}

impl Rules {
    fn read(&mut self, rule: &LinuxDeviceCgroup) -> Result<()> {
        let access = access(rule.access().as_deref())?;
        let (major, minor) = (number(rule.major())?, number(rule.minor())?);
        let kinds: &[Kind] = match rule.typ().unwrap_or_default() {
            LinuxDeviceType::A => &[Kind::Block, Kind::Char],
            LinuxDeviceType::B => &[Kind::Block],
            LinuxDeviceType::C | LinuxDeviceType::U => &[Kind::Char],
            LinuxDeviceType::P => return Err(Error::new("invalid cgroup device type \"p\"")),
        };
        // A rule for everything sets the default and forgets what was said before.
        if kinds.len() == 2 && major.is_none() && minor.is_none() && access == ALL {
            *self = Self { default_allow: rule.allow(), exceptions: BTreeMap::new() };
            return Ok(());
        }
        kinds.iter().try_for_each(|&kind| self.apply(rule.allow(), Devices { kind, major, minor }, access))
    }

    fn apply(&mut self, allow: bool, devices: Devices, access: u8) -> Result<()> {
        if allow != self.default_allow {
            *self.exceptions.entry(devices).or_default() |= access;
            return Ok(());
        }
        // Back to the default: exceptions within the rule shrink. One that reaches beyond it would need a hole, which the
        // form cannot express; ignoring that (as others do) would leave the device open.
        for (exception, granted) in &mut self.exceptions {
            if *granted & access == 0 || !devices.overlaps(*exception) {
                continue;
            }
            if !devices.contains(*exception) {
                let word = if allow { "allow" } else { "deny" };
                return Err(Error::new(format!(
                    "cannot {word} devices {}: an earlier rule for {} reaches beyond it",
                    devices.text(),
                    exception.text()
                ))
                .hint("name the devices one by one in the earlier rule"));
            }
            *granted &= !access;
        }
        self.exceptions.retain(|_, access| *access != 0);
        Ok(())
    }

    /// Drops exceptions that a wider one includes: fewer writes, a shorter program, the same meaning.
    fn prune(&mut self) {
        let all: Vec<(Devices, u8)> = self.exceptions.iter().map(|(d, a)| (*d, *a)).collect();
        self.exceptions.retain(|d, a| !all.iter().any(|(wide, granted)| wide != d && wide.contains(*d) && *granted & *a == *a));
    }

    /// The writes of cgroup v1, in order: (file, text).
    pub(super) fn v1(&self) -> Vec<(&'static str, String)> {
        let (default, exception) = match self.default_allow {
            true => ("devices.allow", "devices.deny"),
            false => ("devices.deny", "devices.allow"),
        };
        let mut writes = vec![(default, "a".to_owned())];
        writes.extend(self.lines().map(|line| (exception, line)));
        writes
    }

    /// As the state keeps them: the default, then the exceptions.
    pub(super) fn record(&self) -> Vec<String> {
        [if self.default_allow { "allow" } else { "deny" }.to_owned()].into_iter().chain(self.lines()).collect()
    }

    /// The exceptions as cgroup v1 writes them: `c 1:3 rwm`.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.exceptions.iter().map(|(devices, access)| {
            let letters = [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')];
            let access: String = letters.iter().filter(|(bit, _)| access & bit != 0).map(|(_, c)| *c).collect();
            format!("{} {access}", devices.text())
        })
    }
}

/// The writes of cgroup v1 that lead from one list ([`Rules::record`]) to another. What both grant is not touched, so that a
/// program that opens /dev/null meanwhile is not refused; only another default starts anew.
pub(super) fn v1_changes(old: &[String], new: &[String]) -> Vec<(&'static str, String)> {
    let (exception, default) = match new.first().map(String::as_str) {
        Some("allow") => ("devices.deny", "devices.allow"),
        _ => ("devices.allow", "devices.deny"),
    };
    let lines = |list: &[String], other: &[String], file| -> Vec<(&'static str, String)> {
        list.iter().skip(1).filter(|l| !other.contains(l)).map(|l| (file, l.clone())).collect()
    };
    if old.first() != new.first() {
        return [(default, "a".to_owned())].into_iter().chain(lines(new, &[], exception)).collect();
    }
    // An exception is taken away by its opposite; one that shrinks goes and comes again.
    [lines(old, new, default), lines(new, old, exception)].concat()
}

fn access(text: Option<&str>) -> Result<u8> {
    let text = text.unwrap_or_default();
    if text.is_empty() {
        return Err(Error::new("device access cannot be empty"));
    }
    text.chars().try_fold(0, |bits, c| match c {
        'r' => Ok(bits | READ),
        'w' => Ok(bits | WRITE),
        'm' => Ok(bits | MKNOD),
        _ => Err(Error::new(format!("invalid device access {text:?}: only r, w and m exist"))),
    })
}

/// Absent and -1 are `*`. The program of v2 compares signed 32-bit numbers; the kernel's own are far smaller (12 and 20 bits).
fn number(number: Option<i64>) -> Result<Option<u32>> {
    match number {
        None | Some(-1) => Ok(None),
        Some(n) if (0..=i32::MAX as i64).contains(&n) => Ok(Some(n as u32)),
        Some(n) => Err(Error::new(format!("invalid device number {n}"))),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn rules(json: serde_json::Value) -> Vec<LinuxDeviceCgroup> {
        serde_json::from_value(json).expect("rules")
    }

    fn v1(json: serde_json::Value) -> Vec<String> {
        plan(&rules(json)).expect("plan").v1().into_iter().map(|(file, text)| format!("{} {text}", &file[8..])).collect()
    }

    #[test]
    fn the_defaults_are_those_of_runc() {
        let texts = v1(serde_json::json!([{"allow": false, "access": "rwm"}]));
        let expected = [
            "deny a",
            "allow b *:* m",
            "allow c *:* m",
            "allow c 1:3 rwm",
            "allow c 1:5 rwm",
            "allow c 1:7 rwm",
            "allow c 1:8 rwm",
            "allow c 1:9 rwm",
            "allow c 5:0 rwm",
            "allow c 5:2 rwm",
            "allow c 10:200 rwm",
            "allow c 136:* rwm",
        ];
        assert_eq!(texts, expected);
        assert_eq!(v1(serde_json::json!([])), expected, "no rule at all is no permission");
    }

    #[test]
    fn a_privileged_container_may_all_but_what_is_denied_later() {
        let texts =
            v1(serde_json::json!([{"allow": true, "access": "rwm"}, {"allow": false, "type": "b", "major": 8, "access": "w"}]));
        assert_eq!(texts, ["allow a", "deny b 8:* w"]);
    }

    #[test]
    fn a_later_deny_takes_back_what_it_includes() {
        let texts = v1(serde_json::json!([
            {"allow": true, "type": "b", "major": 7, "minor": 1, "access": "rw"},
            {"allow": true, "type": "c", "major": 254, "access": "rwm"},
            {"allow": false, "type": "b", "major": 7, "access": "w"},
        ]));
        assert!(texts.contains(&"allow b 7:1 r".to_owned()), "{texts:?}");
        assert!(texts.contains(&"allow c 254:* rwm".to_owned()), "{texts:?}");
    }

    #[test]
    fn a_deny_for_all_devices_of_one_access_keeps_the_others() {
        let texts =
            v1(serde_json::json!([{"allow": true, "type": "b", "major": 7, "access": "rw"}, {"allow": false, "access": "w"}]));
        assert!(texts.contains(&"allow b 7:* r".to_owned()), "{texts:?}");
    }

    #[test]
    fn an_allow_of_one_access_for_all_does_not_allow_the_rest() {
        let texts = v1(serde_json::json!([{"allow": true, "type": "a", "access": "r"}]));
        assert_eq!(texts[..3], ["deny a", "allow b *:* rm", "allow c *:* rm"]);
    }

    #[test]
    fn a_change_touches_only_what_differs() {
        let record = |json| plan(&rules(json)).expect("plan").record();
        let old = record(serde_json::json!([{"allow": true, "type": "b", "major": 7, "minor": 1, "access": "rw"}]));
        let new = record(serde_json::json!([{"allow": true, "type": "b", "major": 7, "minor": 1, "access": "r"},
                                            {"allow": true, "type": "b", "major": 7, "minor": 2, "access": "w"}]));
        let write = |file: &'static str, text: &str| (file, text.to_owned());
        let expected = [write("devices.deny", "b 7:1 rw"), write("devices.allow", "b 7:1 r"), write("devices.allow", "b 7:2 w")];
        assert_eq!(v1_changes(&old, &new), expected);
        assert_eq!(v1_changes(&old, &old), []);
        let all = record(
            serde_json::json!([{"allow": true, "access": "rwm"}, {"allow": false, "type": "b", "major": 7, "access": "w"}]),
        );
        assert_eq!(v1_changes(&old, &all), [write("devices.allow", "a"), write("devices.deny", "b 7:* w")]);
        assert_eq!(v1_changes(&all, &old)[..2], [write("devices.deny", "a"), write("devices.allow", "b *:* m")]);
    }

    #[test]
    fn a_hole_in_a_wider_rule_is_an_error() {
        let list = rules(serde_json::json!([
            {"allow": true, "type": "b", "major": 8, "access": "rw"},
            {"allow": false, "type": "b", "major": 8, "minor": 1, "access": "w"},
        ]));
        let e = plan(&list).expect_err("a hole");
        assert_eq!(e.config_text(), Some("linux.resources.devices[1]"));
    }

    #[test]
    fn nonsense_is_an_error() {
        for bad in [
            serde_json::json!({"allow": true, "type": "c", "major": 1, "minor": 3}),
            serde_json::json!({"allow": true, "type": "c", "access": "rx"}),
            serde_json::json!({"allow": true, "type": "p", "access": "r"}),
            serde_json::json!({"allow": true, "type": "c", "major": -2, "access": "r"}),
        ] {
            assert!(plan(&rules(serde_json::json!([bad.clone()]))).is_err(), "{bad}");
        }
    }
}
