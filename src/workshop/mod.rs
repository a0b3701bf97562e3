//! What rrun shows in a workshop: what a container isolates, what it shares with the host, and why.
//!
//! One folder per verb. They read config.json, plans, states, /proc and /sys/fs/cgroup, and change nothing but what they are
//! asked to write. The runtime never calls them (`tests/house.rs` sees to it), and a build without the feature `workshop`
//! has none of them.

pub mod completion;
pub mod diff;
pub mod doctor;
pub mod explain;
pub mod help;
pub mod lab;
pub mod log;
pub mod observed;
pub mod progress;
pub mod stats;
pub mod trace;
pub mod tree;
