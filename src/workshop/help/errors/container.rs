//! The container is not there, not in the state that the command needs, or its record is damaged.
//!
//! Engines know these texts word by word (docs/engines.md): they tell a container that is gone from one that resists.

use super::Entry;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        code: "E-NOID",
        situation: "no such container",
        cause: &[
            "no container of this id is under this state root; root and a user have different ones, and --root names another",
        ],
        fix: &["rrun list shows those there are"],
        example: "$ rrun list\n$ rrun --root /run/other list",
        lab: None,
        see: &["E-STALE", "E-ROOTDIR"],
    },
    Entry {
        code: "E-EXISTS",
        situation: "the id is taken",
        cause: &["a container of this id is under this state root, even if its program has ended"],
        fix: &["choose another id, or remove it: rrun delete ID"],
        example: "$ rrun delete web && rrun create web",
        lab: None,
        see: &["E-NOTSTOPPED"],
    },
    Entry {
        code: "E-STALE",
        situation: "a container of an earlier boot",
        cause: &["the machine was started anew since: the process is gone, and only its record is left"],
        fix: &["rrun delete ID removes the record"],
        example: "$ rrun list\n$ rrun delete web",
        lab: None,
        see: &["E-NOID"],
    },
    Entry {
        code: "E-NOTSTOPPED",
        situation: "delete of a container that is not stopped",
        cause: &["its program runs, waits for start, or is paused"],
        fix: &["end it first (rrun kill ID KILL), or use delete --force"],
        example: "$ rrun kill web KILL && rrun delete web\n$ rrun delete --force web",
        lab: None,
        see: &["E-EXISTS"],
    },
    Entry {
        code: "E-STATE",
        situation: "the record of a container is damaged",
        cause: &["a file in the state directory is missing, cut short, or speaks of another container"],
        fix: &["rrun delete --force ID removes what is left of it"],
        example: "$ rrun delete --force web",
        lab: None,
        see: &["E-NOID", "E-ROOTDIR"],
    },
];
