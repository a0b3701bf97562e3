//! The split: one process outside, one inside, and what they say to each other.
pub mod foreground;
pub mod stdio;
