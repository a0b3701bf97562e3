//! The split: one process outside, one inside, and what they say to each other.

pub mod announce;
pub mod end;
pub mod exec;
#[cfg(debug_assertions)]
pub mod fault;
pub mod foreground;
pub mod gate;
pub mod handshake;
pub mod init;
pub mod joiner;
pub mod laps;
pub mod mapped;
pub mod members;
pub mod notify;
pub mod parent;
pub mod stdio;
