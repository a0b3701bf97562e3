//! `--help`: two examples first, then what there is.
//!
//! Most people who ask for help want a line to copy; the list of flags is for those who know what they look for. Both come
//! from the table that the parser reads, so the help cannot promise what is not there.

use super::table::{Command, GLOBAL, Group, HELP, commands};
use super::typed::with_flags;
use crate::style::Style;

/// The usage line of rrun itself.
pub fn usage(name: &str) -> String {
    format!("{name} [GLOBAL FLAGS] COMMAND [FLAGS] [OPERANDS]   (see {name} --help)")
}

/// The usage line of a command.
pub fn usage_of(name: &str, command: &Command) -> String {
    let flags = if command.all_flags().next().is_some() { " [FLAGS]" } else { "" };
    let operands = if command.operands.is_empty() { String::new() } else { format!(" {}", command.operands) };
    format!("{name} {}{flags}{operands}", command.name)
}

/// What `rrun` without a word prints.
pub fn short(name: &str) -> String {
    let names: Vec<&str> = commands().map(|c| c.name).collect();
    format!(
        "{name} COMMAND, where COMMAND is one of: {}\n{}try: {name} --help",
        names.join(" "),
        examples(name, ["@ run ./bundle", "@ list"])
    )
}

/// The whole of `rrun --help`.
pub fn all(name: &str) -> String {
    let mut text = examples(name, ["@ run ./bundle", "@ plan ./bundle"]);
    text.push_str(&format!("\nUsage: {name} [GLOBAL FLAGS] COMMAND [FLAGS] [OPERANDS]\n\nRuns containers from OCI bundles: a directory with config.json and a root filesystem.\n"));
    for (group, title) in [(Group::Runtime, "Runtime (runc-compatible)"), (Group::Understand, "Understand")] {
        text.push_str(&format!("\n{title}:\n"));
        for command in commands().filter(|c| c.group == group) {
            text.push_str(&format!("  {:<12}{}\n", command.name, command.about));
        }
    }
    let topics = if cfg!(feature = "workshop") { ", an error code, a finding, a lab, or a key of config.json" } else { "" };
    text.push_str(&format!("  {:<12}Print the help of a command{topics}\n", "help"));
    text.push_str("\nGlobal flags:\n");
    text.push_str(&options(GLOBAL.iter().chain(&HELP)));
    text
}

/// The help of one command.
pub fn of(name: &str, command: &'static Command) -> String {
    let usage = usage_of(name, command);
    let flags = options(command.all_flags().chain(&HELP));
    format!("{}\nUsage: {usage}\n\n{}\n\nFlags:\n{flags}", examples(name, command.examples), command.about)
}

/// Help as the terminal has room for it. What stands in the second column goes on there.
pub fn fitted(text: &str, style: &Style) -> String {
    let second = |line: &str| {
        let first = line.trim_start();
        let gap = first.find("  ").filter(|_| line.starts_with(' '));
        let behind = |at: usize| first[at..].len() - first[at..].trim_start().len() + at;
        gap.map_or(0, |at| line.len() - first.len() + behind(at))
    };
    text.lines().map(|line| style.hang(line, &" ".repeat(second(line))) + "\n").collect()
}

fn examples(name: &str, lines: [&str; 2]) -> String {
    format!("Examples:\n  {}\n  {}\n", lines[0].replace('@', name), lines[1].replace('@', name))
}

/// The flags as clap lays them out.
fn options<'a>(flags: impl Iterator<Item = &'a super::table::Flag>) -> String {
    with_flags(clap::Command::new("rrun").help_template("{options}"), flags).render_help().to_string()
}
