//! Writes the man pages and the shell completions: `cargo run --example pages -- DIR`.
//!
//! The pages come from the table that the parser reads and from the catalogue of errors, so they cannot promise what is not
//! there. They are made when rrun is installed; the completions are those of `rrun completion`.

use std::path::Path;

use rrun::cli::manual;
use rrun::workshop::{completion, help::errors};

fn main() -> std::io::Result<()> {
    let dir = std::env::args_os().nth(1).unwrap_or_else(|| ".".into());
    let dir = Path::new(&dir);
    let man = dir.join("man");
    std::fs::create_dir_all(&man)?;
    for (name, text) in manual::pages() {
        std::fs::write(man.join(name), text)?;
    }
    std::fs::write(man.join("rrun-errors.7"), errors::manual())?;
    for (shell, file) in [("bash", "rrun.bash"), ("zsh", "_rrun"), ("fish", "rrun.fish")] {
        std::fs::write(dir.join(file), completion::script(shell, "rrun"))?;
    }
    Ok(())
}
