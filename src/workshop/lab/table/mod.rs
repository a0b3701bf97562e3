//! The table of all labs. A lab is data: a small config, one change to it (the switch), a script that runs inside, a script
//! that runs on the host around it, and a sentence that says which line of output shows the effect.
//!
//! Both scripts print `name=value`. What differs between a run with the switch OFF and one with it ON is what the switch does.
//! Every lab is harmless: it writes back the value that was there, in its own directory, with its own children, under limits.

mod cgroups;
mod identity;
mod kernel;
mod namespaces;
mod tasks;

/// A demonstration of one boundary.
pub struct Lab {
    /// Its name on the command line.
    pub name: &'static str,
    /// One line for the index.
    pub about: &'static str,
    /// What to know before and after.
    pub text: &'static str,
    /// Where to read more: manual pages, CVEs, files of this project.
    pub refs: &'static [&'static str],
    /// What the host must offer.
    pub needs: &'static [Need],
    /// Why it belongs on a machine of its own: `None` where it does not matter.
    pub danger: Option<&'static str>,
    /// A JSON patch (RFC 6902) that makes the config of OFF out of the common one.
    pub base: &'static str,
    /// The only change between OFF and ON.
    pub switch: Switch,
    /// Runs in the container, by `sh`; its first argument is the container's role.
    pub inside: &'static str,
    /// Runs on the host, by the same `sh`; `container ROLE` runs a container.
    pub outside: &'static str,
    /// The line that shows the effect.
    pub effect: Effect,
    /// When it must be seen.
    pub expect: Expect,
}

/// The only change between OFF and ON.
pub enum Switch {
    /// A JSON patch of config.json. `"@seccomp@"` in it is the filter of `spec --profile hardened`.
    Patch(&'static str),
    /// Flags of `rrun`, and of its `run`.
    Flags {
        /// With the switch OFF.
        off: Flags,
        /// With the switch ON.
        on: Flags,
    },
    /// There is none: ON is a container as hardened as can be.
    None,
}

/// What stands before and behind the word `run`.
#[derive(Clone, Copy)]
pub struct Flags {
    /// `rrun --strict run`.
    pub global: &'static str,
    /// `rrun run --overlay`.
    pub run: &'static str,
}

/// None.
pub const NO_FLAGS: Flags = Flags { global: "", run: "" };

/// Flags of `run`.
pub const fn run_flags(run: &'static str) -> Flags {
    Flags { global: "", run }
}

/// A line of output, and how it must read to show the effect.
pub struct Effect {
    /// Its name.
    pub fact: &'static str,
    /// Its value.
    pub test: Test,
}

/// How a value must read.
pub enum Test {
    /// Just so.
    Is(&'static str),
    /// A number above this one.
    Above(u64),
}

/// When the effect must be seen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// With the switch OFF, and not with the switch ON.
    OffOnly,
    /// In both: no switch keeps containers apart here.
    Both,
}

/// What a host may lack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// This cgroup controller.
    Controller(&'static str),
    /// User namespaces.
    UserNamespaces,
    /// Programs that become another user when they are executed, where the lab's directory lies.
    Setuid,
    /// This program of the host.
    Program(&'static str),
    /// Two processors.
    TwoCpus,
    /// A directory for temporary files on a disk: what lies in memory is neither read from it nor written back.
    Disk,
    /// This file or directory.
    File(&'static str),
}

/// All labs, in the order of the index.
pub fn labs() -> impl Iterator<Item = &'static Lab> + Clone {
    [identity::LABS, kernel::LABS, namespaces::LABS, cgroups::LABS, tasks::LABS].into_iter().flatten()
}

/// The lab of this name.
pub fn lab(name: &str) -> Option<&'static Lab> {
    labs().find(|lab| lab.name == name)
}
