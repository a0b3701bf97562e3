//! `completion`: the script that teaches a shell to complete rrun's words, and the answers to its questions.
//!
//! The script is a few lines, since it asks rrun itself each time: ids and bundles change, and a list of flags in a script
//! of last year would be wrong.

use super::Understand;
use crate::cli::go_flags::Split;
use crate::cli::table::{Command, Group};
use crate::error::{Error, Result};

/// What it can be asked for.
const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

/// Its row.
pub const COMMAND: Command = Command {
    name: "completion",
    group: Group::Understand,
    operands: "bash|zsh|fish",
    count: (1, usize::MAX),
    about: "Print the script that completes rrun's words in a shell",
    examples: [
        "@ completion bash | sudo tee /etc/bash_completion.d/rrun",
        "@ completion fish | tee ~/.config/fish/completions/rrun.fish",
    ],
    flags: &[],
};

/// Its arguments: a shell, or `words` and the words typed so far, which is how the scripts ask.
pub fn read(split: &Split) -> Result<Understand> {
    let mut words = split.operands.iter().map(|w| w.to_string_lossy().into_owned());
    let first = words.next().unwrap_or_default();
    if first == "words" {
        return Ok(Understand::Complete { words: words.collect() });
    }
    match SHELLS.into_iter().find(|shell| *shell == first) {
        Some(shell) if split.operands.len() == 1 => Ok(Understand::Completion { shell }),
        Some(shell) => Err(Error::new(format!("nothing may stand behind {shell}"))),
        None => Err(Error::new(format!("no completion for \"{}\"", crate::log::value(&first))).hint("name bash, zsh or fish")),
    }
}
