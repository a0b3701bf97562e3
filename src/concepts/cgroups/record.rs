//! What the state keeps of a container's groups.
//!
//! Later commands act on what stands here, as whoever calls them: so only groups that were made are in it, and whether others
//! were in them already.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::paths::Group;
use super::{Driver, Join};

/// What later commands need to find the groups again; kept in the state.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Record {
    /// Who made them.
    pub driver: Driver,
    /// Directory of each group by the names of its controllers (`memory`, `name=systemd`; v2: the empty name).
    pub paths: BTreeMap<String, PathBuf>,
    /// `memory.checkBeforeUpdate` of the config: `update` obeys it.
    #[serde(default)]
    pub check_before_update: bool,
    /// The device rules in force: the default, and the exceptions to it. `update` changes what differs from them.
    #[serde(default)]
    pub devices: Vec<String>,
    /// Driver systemd: the unit, and whether the user's own manager has it.
    #[serde(default)]
    pub unit: Option<(String, bool)>,
    /// Others were in the groups before the container: nobody is killed for being there, and what is busy stays.
    #[serde(default)]
    pub shared: bool,
    /// The device rules are not in force: inside a user namespace the kernel takes no program (no device can be made there either).
    #[serde(default)]
    pub devices_skipped: bool,
}

impl Record {
    /// Takes note of what became of the groups.
    pub fn learn(&mut self, join: &Join) {
        self.shared = join.note.is_some();
        self.devices_skipped = join.devices_skipped;
        // What was not made is not to be looked for.
        self.paths.retain(|_, dir| !join.left_out.contains(dir));
    }

    /// Why the container has no group.
    pub fn why_none(&self) -> &'static str {
        match self.driver {
            Driver::Disabled => "it was made with --cgroup-manager disabled",
            _ => "none could be made for it without privilege: use the systemd driver",
        }
    }

    /// Each directory once, with the names of its controllers.
    pub(super) fn places(&self) -> Vec<(&std::path::Path, Vec<String>)> {
        let mut places: BTreeMap<&std::path::Path, Vec<String>> = BTreeMap::new();
        for (name, dir) in &self.paths {
            places.entry(dir).or_default().push(name.clone());
        }
        places.into_iter().collect()
    }

    pub(super) fn groups(&self) -> Vec<Group> {
        let group = |(dir, names): (&std::path::Path, Vec<String>)| Group {
            mountpoint: PathBuf::new(),
            dir: dir.to_owned(),
            controllers: names.into_iter().filter(|n| !n.is_empty()).collect(),
        };
        self.places().into_iter().map(group).collect()
    }
}
