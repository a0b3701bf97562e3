//! The witness: prints what a process in a container sees.
fn main() {}
