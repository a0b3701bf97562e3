//! The programs that the tests run.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The binary under test: `RRUN` overrides the one cargo built.
pub fn rrun_path() -> PathBuf {
    std::env::var_os("RRUN").map_or_else(|| env!("CARGO_BIN_EXE_rrun").into(), PathBuf::from)
}

/// The witness: `RRUN_WITNESS` overrides the one cargo built beside the tests.
pub fn witness_path() -> PathBuf {
    std::env::var_os("RRUN_WITNESS").map_or_else(
        || {
            let exe = std::env::current_exe().expect("own path");
            exe.parent().and_then(Path::parent).expect("target directory").join("examples/witness")
        },
        PathBuf::from,
    )
}

/// Copies a program by a process of its own: one that is written here is open in whatever a neighbour forks meanwhile, and
/// the kernel then refuses to run it (ETXTBSY).
#[track_caller]
pub fn copy_program(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    let (from, to) = (from.as_ref(), to.as_ref());
    assert!(Command::new("cp").args([from, to]).status().expect("run cp").success(), "copy {}", from.display());
}
