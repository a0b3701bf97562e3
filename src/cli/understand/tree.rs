//! The command line of `tree`.
//!
//! One view at a time: the picture, one of its parts in full, two containers compared, or the whole machine.

use crate::cli::go_flags::Split;
use crate::cli::table::{Command, Group, SAME, Takes, flag};
use crate::cli::typed::{Typed, id};
use crate::error::{Error, Result};

/// Its row.
pub const COMMAND: Command = Command {
    name: "tree",
    group: Group::Understand,
    operands: "[ID]",
    count: (0, 1),
    about: "Show the namespaces and processes of containers, and what they share",
    examples: ["@ tree", "@ tree --between web db"],
    flags: &[&[
        flag("mounts", None, Takes::Nothing, "Show what is mounted where, and what it is on the host"),
        flag("net", None, Takes::Nothing, "Show the network interfaces and addresses"),
        flag("users", None, Takes::Nothing, "Show who its users are on the host"),
        flag("nested", None, Takes::Nothing, "Show which namespaces nest, and who owns the others"),
        flag("between", None, Takes::Text("OTHER"), "Show what a container shares with OTHER: --between web db"),
        flag("host", None, Takes::Nothing, "Show all namespaces of this machine"),
        flag("json", None, Takes::Nothing, "As JSON"),
        SAME,
    ]],
};

/// What is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum View {
    /// The picture.
    Tree,
    /// `--mounts`.
    Mounts,
    /// `--net`.
    Network,
    /// `--users`.
    Users,
    /// `--nested`.
    Nested,
    /// `--between OTHER ID`: both.
    Between([String; 2]),
    /// `--host`.
    Host,
}

/// Its arguments.
#[derive(Debug, Clone)]
pub struct TreeArgs {
    /// The container; `None` for all.
    pub id: Option<String>,
    /// What is shown.
    pub view: View,
    /// `--json`.
    pub json: bool,
}

/// Reads them.
pub(super) fn read(flags: &Typed, split: &Split) -> Result<TreeArgs> {
    let views = [
        ("mounts", View::Mounts),
        ("net", View::Network),
        ("users", View::Users),
        ("nested", View::Nested),
        ("host", View::Host),
    ];
    let mut chosen: Vec<View> = views.into_iter().filter(|(name, _)| flags.on(name)).map(|(_, view)| view).collect();
    let other = flags.string("between")?;
    if chosen.len() + usize::from(other.is_some()) > 1 {
        return Err(
            Error::new("only one view can be shown").hint("rrun tree --json has the picture, mounts, net and users together")
        );
    }
    let id = split.operands.first().map(|operand| id(operand)).transpose()?;
    let view = match (other, &id) {
        (Some(other), Some(id)) => View::Between([other, id.clone()]),
        (Some(_), None) => {
            return Err(Error::new("--between compares two containers").hint("name both: rrun tree --between web db"));
        }
        (None, _) => chosen.pop().unwrap_or(View::Tree),
    };
    Ok(TreeArgs { id, view, json: flags.json() })
}
