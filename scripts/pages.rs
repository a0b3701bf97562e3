//! Writes the man pages and the shell completions: `cargo run --example pages -- DIR`.
//!
//! Both come from the table that the parser reads, so they cannot promise what is not there. They are made when rrun is
//! installed: the binary has no use for them.

use std::path::Path;

use clap_complete::Shell;

fn main() -> std::io::Result<()> {
    let dir = std::env::args_os().nth(1).unwrap_or_else(|| ".".into());
    let dir = Path::new(&dir);
    let man = dir.join("man");
    std::fs::create_dir_all(&man)?;
    clap_mangen::generate_to(rrun::cli::definition(), &man)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut rrun::cli::definition(), "rrun", dir)?;
    }
    Ok(())
}
