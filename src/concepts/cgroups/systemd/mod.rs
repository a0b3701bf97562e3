//! The group as a unit of systemd: a transient scope, which the service manager makes, shows, and hands over (`Delegate=yes`).
//!
//! Where systemd rules the hierarchy, it alone may make groups in its part of it (systemd.io, "Control Group APIs and Delegation"). A
//! scope cannot be made empty: it takes the pid of a process that exists. So init is cloned first, waits, and goes on when it is in.
//! Without privilege it is the user's own manager that is asked, and that may only give what was delegated to it.

mod bus;
mod gvariant;
pub(super) mod properties;
mod wire;

use std::path::Path;

use oci_spec::runtime::Spec;

pub use self::bus::count_messages;
use self::bus::{Bus, Refusal, refused};
pub(super) use self::wire::Value;
use super::{devices, values::Write};
use crate::error::{Error, Result};

/// The unit and what is said of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Unit {
    /// `prefix-name.scope`.
    pub name: String,
    /// The slice it lies in.
    pub slice: String,
    /// Whether the user's own manager is asked.
    pub user: bool,
    properties: Vec<(String, Value)>,
}

/// Reads `cgroupsPath`, here `slice:prefix:name`; any part but the name may be empty.
pub(super) fn plan(cgroups_path: Option<&Path>, id: &str, user: bool) -> Result<Unit> {
    let text = cgroups_path.map(Path::to_string_lossy).unwrap_or_default();
    let default = if user { "user.slice" } else { "system.slice" };
    let parts: Vec<&str> = if text.is_empty() { vec!["", "rrun", id] } else { text.split(':').collect() };
    let &[slice, prefix, name] = parts.as_slice() else {
        let op = format!("expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got {text:?} instead");
        return Err(Error::new(op).config("linux.cgroupsPath").hint("for example system.slice:rrun:web"));
    };
    let slice = if slice.is_empty() { default } else { slice };
    let refuse = |why: &str| Err(Error::new(format!("invalid cgroupsPath {text:?}: {why}")).config("linux.cgroupsPath"));
    if name.ends_with(".slice") {
        return refuse("a slice cannot hold processes");
    }
    let valid = |s: &str| s.bytes().all(|b| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b));
    let name = if prefix.is_empty() { format!("{name}.scope") } else { format!("{prefix}-{name}.scope") };
    // systemd's bound for unit names, and its letters: no slash, so the name is one component of a path.
    if name == ".scope" || name.len() > 255 || !valid(&name) {
        return refuse("unit names have letters, digits and : - _ . \\ @, 255 at most");
    }
    super::paths::slice_path(slice)?;
    Ok(Unit { name, slice: slice.to_owned(), user, properties: vec![] })
}

impl Unit {
    /// Adds what systemd is told: accounting, limits, on v1 the device rules, and last what annotations ask for.
    pub fn describe_to_systemd(&mut self, spec: &Spec, writes: &[Write], rules: Option<&devices::Rules>, id: &str) -> Result<()> {
        let on = |name: &str| (name.to_owned(), Value::Bool(true));
        self.properties = vec![
            ("Description".into(), Value::Str(format!("container {id}"))),
            ("Slice".into(), Value::Str(self.slice.clone())),
            // The groups below are the container's; systemd keeps its hands off.
            on("Delegate"),
            // Without accounting there are no statistics, and on v2 no files to write limits to.
            on("CPUAccounting"),
            on("MemoryAccounting"),
            on("IOAccounting"),
            on("TasksAccounting"),
            // Else a shutdown would stop it with the services it must outlive.
            ("DefaultDependencies".into(), Value::Bool(false)),
        ];
        self.properties.extend(properties::from_writes(writes)?);
        self.properties.extend(rules.map(properties::devices).unwrap_or_default());
        self.properties.extend(properties::from_annotations(spec.annotations().as_ref().unwrap_or(&Default::default()))?);
        Ok(())
    }

    /// The names and values, for `rrun plan`.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.properties.iter().map(|(name, value)| format!("property {name} = {value:?}"))
    }

    /// Makes the scope around the process `pid`, and waits until it is in.
    pub fn start(&self, pid: i32) -> Result<()> {
        let mut bus = Bus::connect(self.user)?;
        let mut properties = self.properties.clone();
        properties.push(("PIDs".into(), Value::Array("u".into(), vec![Value::U32(pid as u32)])));
        let Err(refusal) = self.ask(&mut bus, &properties)? else { return Ok(()) };
        if refusal.name == "org.freedesktop.systemd1.UnitExists" {
            // What is left of an earlier one that failed stands in the way until it is cleared.
            bus.manager("ResetFailedUnit", &[Value::Str(self.name.clone())])?.ok();
        } else if !drop_unknown(&mut bus, &mut properties)? {
            return Err(self.explain(refusal));
        }
        self.ask(&mut bus, &properties)?.map_err(|refusal| self.explain(refusal))
    }

    fn ask(&self, bus: &mut Bus, properties: &[(String, Value)]) -> Result<std::result::Result<(), Refusal>> {
        let text = |t: &str| Value::Str(t.into());
        let args = [text(&self.name), text("fail"), pairs(properties), Value::Array("(sa(sv))".into(), vec![])];
        bus.job("StartTransientUnit", &args)
    }

    fn explain(&self, refusal: Refusal) -> Error {
        let hint = match refusal.name.as_str() {
            "org.freedesktop.systemd1.UnitExists" => "the unit is in use by another container",
            "org.freedesktop.DBus.Error.AccessDenied" | "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired" => {
                "only root may make units of the system"
            }
            _ => "see the properties in the plan (rrun plan), and journalctl",
        };
        refused(&format!("StartTransientUnit {}", self.name))(refusal).config("linux.cgroupsPath").hint(hint)
    }
}

/// After a refusal: takes out what this systemd is too old to know, and says whether there was any. The files are written all the
/// same; what such a systemd was not told, it does not write over.
fn drop_unknown(bus: &mut Bus, properties: &mut Vec<(String, Value)>) -> Result<bool> {
    let before = properties.len();
    if properties.iter().any(|p| properties::known_since(p) > 0) {
        let version = bus.version()?;
        properties.retain(|p| properties::known_since(p) <= version);
    }
    Ok(properties.len() < before)
}

fn pairs(properties: &[(String, Value)]) -> Value {
    let pair =
        |(name, value): &(String, Value)| Value::Struct(vec![Value::Str(name.clone()), Value::Variant(Box::new(value.clone()))]);
    Value::Array("(sv)".into(), properties.iter().map(pair).collect())
}

/// Tells systemd of changed limits, and on v1 of changed device rules, until the next boot.
pub(super) fn update(unit: &str, user: bool, writes: &[Write], rules: Option<&devices::Rules>) -> Result<()> {
    let mut properties = properties::from_writes(writes)?;
    properties.extend(rules.map(properties::devices).unwrap_or_default());
    if properties.is_empty() {
        return Ok(());
    }
    let mut bus = Bus::connect(user)?;
    let set = |bus: &mut Bus, properties: &[(String, Value)]| {
        bus.manager("SetUnitProperties", &[Value::Str(unit.into()), Value::Bool(true), pairs(properties)])
    };
    let Err(refusal) = set(&mut bus, &properties)? else { return Ok(()) };
    if !drop_unknown(&mut bus, &mut properties)? {
        return Err(refused("SetUnitProperties")(refusal));
    }
    set(&mut bus, &properties)?.map(drop).map_err(refused("SetUnitProperties"))
}

/// Moves the process `pid` into the unit.
pub(super) fn attach(unit: &str, user: bool, pid: i32) -> Result<()> {
    let args = [Value::Str(unit.into()), Value::Str(String::new()), Value::Array("u".into(), vec![Value::U32(pid as u32)])];
    Bus::connect(user)?.manager("AttachProcessesToUnit", &args)?.map_err(refused("AttachProcessesToUnit"))?;
    Ok(())
}

/// Ends the unit; one that is gone already is no error.
pub(super) fn stop(unit: &str, user: bool) -> Result<()> {
    let mut bus = Bus::connect(user)?;
    let name = || Value::Str(unit.into());
    let unless_gone = |refusal: Refusal, method| match refusal.name.as_str() {
        "org.freedesktop.systemd1.NoSuchUnit" => Ok(()),
        _ => Err(refused(method)(refusal)),
    };
    bus.job("StopUnit", &[name(), Value::Str("replace".into())])?.or_else(|r| unless_gone(r, "StopUnit"))?;
    // A unit that failed (out of memory) stays listed until it is cleared.
    bus.manager("ResetFailedUnit", &[name()])?.map(drop).or_else(|r| unless_gone(r, "ResetFailedUnit"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, user: bool) -> Result<(String, String)> {
        plan(Some(Path::new(text)), "web", user).map(|u| (u.slice, u.name))
    }

    #[test]
    fn the_path_names_slice_prefix_and_name() {
        let is = |slice: &str, name: &str| (slice.to_owned(), name.to_owned());
        assert_eq!(parsed("machine.slice:libpod:abc", false), Ok(is("machine.slice", "libpod-abc.scope")));
        assert_eq!(parsed("a-b.slice::x", false), Ok(is("a-b.slice", "x.scope")));
        assert_eq!(parsed(":p:x", true), Ok(is("user.slice", "p-x.scope")));
        assert_eq!(parsed("", false), Ok(is("system.slice", "rrun-web.scope")));
    }

    #[test]
    fn other_paths_are_refused() {
        let e = parsed("/a/b", false).expect_err("a path of the other driver");
        assert_eq!(
            e.to_string(),
            "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got \"/a/b\" instead"
        );
        for bad in
            ["a:b", "a.slice:b:c:d", "a:b:c", "system.slice:b:../c", "system.slice:b:c.slice", "system.slice::", "a--b.slice:c:d"]
        {
            assert!(parsed(bad, false).is_err(), "{bad}");
        }
    }
}
