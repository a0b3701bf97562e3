//! Capabilities: root's power in some forty pieces, each held or not (capabilities(7)).
//!
//! A process has five sets. Effective is what the kernel checks; permitted is what may become effective; inheritable and
//! ambient say what survives an execve; bounding is the ceiling that no execve gets above, not even of a setuid-root file.
//! The boundary: uid 0 in a container is root for the kernel, and only the missing capabilities keep it from loading
//! modules, mounting, or reading any file by handle. CVE-2022-29162 and CVE-2022-27650 are runtimes that filled the
//! inheritable set unasked: files with capabilities then gave them to everybody. Here each set is what the config says.
//!
//! Order in init: [`apply_bounding`] (needs CAP_SETPCAP), change of the user, [`apply`].

use std::collections::HashSet;

use oci_spec::runtime::{Capability, LinuxCapabilities, Process};

use crate::error::{At, Result, Warnings};
use crate::host;
use crate::sys::credentials::{Sets, capget, capset};
use crate::sys::process::prctl;

/// The five sets of the process, as bit masks: bit n is capability n.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CapabilitiesPlan {
    bounding: u64,
    effective: u64,
    permitted: u64,
    inheritable: u64,
    ambient: u64,
    /// The kernel's highest capability.
    last: u8,
    /// The user is not root: the change to it would empty the permitted set.
    keep: bool,
    /// process.noNewPrivileges: execve gives nothing more, by setuid bits or file capabilities, to anyone from here on.
    no_new_privileges: bool,
}

/// Decides the sets. No `capabilities` object means five empty sets.
///
/// What cannot be granted (the kernel or rrun lacks it, or a set above it lacks it) is left out with a warning, as the
/// specification orders. `available` is [`host::Capabilities::in_user_namespace`] where the container has a user namespace.
pub fn plan(process: &Process, available: &host::Capabilities, warnings: &mut Warnings) -> Result<CapabilitiesPlan> {
    let wanted = process.capabilities().as_ref();
    let set = |which: fn(&LinuxCapabilities) -> &Option<HashSet<Capability>>| wanted.map_or(0, |w| mask(which(w)));
    let (bounding, effective, permitted) =
        (set(LinuxCapabilities::bounding), set(LinuxCapabilities::effective), set(LinuxCapabilities::permitted));
    let (inheritable, ambient) = (set(LinuxCapabilities::inheritable), set(LinuxCapabilities::ambient));

    let above = bounding & !available.bounding
        | (effective | permitted | ambient) & !available.permitted
        | inheritable & !available.bounding;
    if above != 0 {
        warnings.add(format!("ignoring unknown or unavailable capabilities: [{}]", names(above)));
    }
    let plan = CapabilitiesPlan {
        bounding: bounding & available.bounding,
        permitted: permitted & available.permitted,
        inheritable: inheritable & available.bounding,
        effective: effective & permitted & available.permitted,
        ambient: ambient & permitted & inheritable & available.permitted & available.bounding,
        last: available.last,
        keep: process.user().uid() != 0,
        no_new_privileges: process.no_new_privileges().unwrap_or(false),
    };
    for (set, missing, needs) in [
        ("effective", effective & !permitted & !above, "permitted"),
        ("ambient", ambient & !(permitted & inheritable) & !above, "permitted and inheritable"),
    ] {
        if missing != 0 {
            warnings.add(format!("ignoring {set} capabilities that are not {needs}: [{}]", names(missing)));
        }
    }
    Ok(plan)
}

/// Before the user changes: sets the inheritable set, lowers the ceiling, asks to keep the permitted set across the change.
///
/// Inheritable comes first, because the kernel refuses to add to it what the bounding set no longer has.
pub fn apply_bounding(plan: &CapabilitiesPlan) -> Result<()> {
    let now = capget().at(|| "capget")?;
    if now.inheritable != plan.inheritable {
        capset(&Sets { inheritable: plan.inheritable, ..now }).at(|| "unable to apply inheritable caps")?;
    }
    for number in (0..=plan.last).filter(|n| plan.bounding & 1 << n == 0) {
        prctl(libc::PR_CAPBSET_DROP, u64::from(number), 0, 0)
            .at(|| format!("unable to drop {} from the bounding set", name(number)))?;
    }
    // Otherwise the change from uid 0 to another empties permitted and with it all that the config grants that user.
    if plan.keep { prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0).at(|| "unable to set keep caps").map(drop) } else { Ok(()) }
}

/// After the user changed: sets effective, permitted and ambient, and `no_new_privs`, without which none of this would bind
/// a setuid program. Every failure is fatal.
pub fn apply(plan: &CapabilitiesPlan) -> Result<()> {
    let sets = Sets { effective: plan.effective, permitted: plan.permitted, inheritable: plan.inheritable };
    capset(&sets).at(|| "unable to apply caps")?;
    if plan.keep {
        prctl(libc::PR_SET_KEEPCAPS, 0, 0, 0).at(|| "unable to clear keep caps")?;
    }
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as u64, 0, 0).at(|| "unable to clear ambient caps")?;
    for number in (0..=plan.last).filter(|n| plan.ambient & 1 << n != 0) {
        prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as u64, u64::from(number), 0)
            .at(|| format!("unable to raise ambient {}", name(number)))?;
    }
    if plan.no_new_privileges {
        prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0).at(|| "unable to set no_new_privs")?;
    }
    Ok(())
}

impl CapabilitiesPlan {
    /// How many are left, of how many the kernel has.
    pub fn count(&self) -> (u32, u32) {
        (self.bounding.count_ones(), u32::from(self.last) + 1)
    }

    /// The lines of `rrun plan`.
    pub fn describe(&self) -> Vec<String> {
        let all = u32::from(self.last) + 1;
        let mut lines = vec![format!("keep {} of {all} capabilities in the bounding set", self.bounding.count_ones())];
        for (set, mask) in [
            ("permitted", self.permitted),
            ("effective", self.effective),
            ("inheritable", self.inheritable),
            ("ambient", self.ambient),
        ] {
            lines.push(format!("{set} capabilities: {}", if mask == 0 { "none".to_owned() } else { names(mask) }));
        }
        lines
    }
}

/// The bits of a set of the config.
fn mask(set: &Option<HashSet<Capability>>) -> u64 {
    set.iter().flatten().fold(0, |mask, capability| mask | bit(*capability))
}

/// The kernel's bit for a capability of the specification. A name that the table lacks is refused by the config's reader,
/// so the two tables agree (there is a test).
fn bit(capability: Capability) -> u64 {
    format!("CAP_{capability}").parse::<caps::Capability>().map_or(0, |c| c.bitmask())
}

/// The name of a capability number, `CAP_KILL`.
fn name(number: u8) -> String {
    caps::all().into_iter().find(|c| c.index() == number).map_or_else(|| format!("capability {number}"), |c| c.to_string())
}

/// The names in a mask in the order of their numbers, separated by blanks.
fn names(mask: u64) -> String {
    (0..64).filter(|n| mask & 1 << n != 0).map(name).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: host::Capabilities = host::Capabilities { bounding: 0x1ff_ffff_ffff, permitted: 0x1ff_ffff_ffff, last: 40 };

    fn decide(capabilities: serde_json::Value, available: host::Capabilities) -> (CapabilitiesPlan, Vec<String>) {
        let process = serde_json::json!({"user": {"uid": 0, "gid": 0}, "cwd": "/", "capabilities": capabilities});
        let process: Process = serde_json::from_value(process).expect("a process");
        let mut warnings = Warnings::default();
        let plan = plan(&process, &available, &mut warnings).expect("a plan");
        (plan, warnings.lines().to_vec())
    }

    #[test]
    fn no_object_means_empty_sets() {
        let (plan, warnings) = decide(serde_json::Value::Null, FULL);
        assert_eq!(plan, CapabilitiesPlan { last: 40, ..Default::default() });
        assert!(warnings.is_empty());
    }

    #[test]
    fn sets_are_exactly_as_given() {
        let (plan, warnings) = decide(
            serde_json::json!({"bounding": ["CAP_KILL", "CAP_CHOWN"], "permitted": ["CAP_KILL"], "effective": ["CAP_KILL"]}),
            FULL,
        );
        assert_eq!((plan.bounding, plan.permitted, plan.effective), (0x21, 0x20, 0x20));
        assert_eq!((plan.inheritable, plan.ambient), (0, 0), "never filled unasked (CVE-2022-29162)");
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn the_unavailable_is_left_out_with_a_warning() {
        let lacking =
            host::Capabilities { bounding: FULL.bounding & !(1 << 24), permitted: FULL.permitted & !(1 << 24), last: 40 };
        let set = serde_json::json!(["CAP_SYS_RESOURCE", "CAP_KILL"]);
        let all = serde_json::json!({"bounding": set, "permitted": set, "effective": set, "inheritable": set, "ambient": set});
        let (plan, warnings) = decide(all.clone(), lacking);
        assert_eq!([plan.bounding, plan.permitted, plan.effective, plan.inheritable, plan.ambient], [0x20; 5]);
        assert_eq!(warnings, ["ignoring unknown or unavailable capabilities: [CAP_SYS_RESOURCE]"]);
        let (plan, warnings) = decide(all, lacking.in_user_namespace());
        assert_eq!(plan.effective, 0x100_0020);
        assert!(warnings.is_empty());
    }

    #[test]
    fn ambient_needs_inheritable_and_permitted() {
        let (plan, warnings) =
            decide(serde_json::json!({"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"], "ambient": ["CAP_KILL"]}), FULL);
        assert_eq!(plan.ambient, 0);
        assert_eq!(warnings, ["ignoring ambient capabilities that are not permitted and inheritable: [CAP_KILL]"]);
    }

    #[test]
    fn effective_needs_permitted() {
        let (plan, warnings) = decide(serde_json::json!({"permitted": ["CAP_KILL"], "effective": ["CAP_CHOWN"]}), FULL);
        assert_eq!(plan.effective, 0);
        assert_eq!(warnings, ["ignoring effective capabilities that are not permitted: [CAP_CHOWN]"]);
    }

    #[test]
    fn every_capability_of_the_kernel_has_its_bit() {
        for capability in caps::all() {
            let ours: Capability =
                serde_json::from_value(serde_json::json!(capability.to_string())).expect("known to the specification");
            assert_eq!(bit(ours), capability.bitmask(), "{capability}");
        }
    }
}
