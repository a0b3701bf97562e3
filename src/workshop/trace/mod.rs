//! `trace`: which system calls does a program use?
//!
//! Everything a container can do to its host, it does by system calls of the one shared kernel; a filter (seccomp(2)) is as
//! good as the list it was made from. Here that list comes from watching. What starts under our eyes is watched by the filter
//! mechanism itself: a filter that reports each call, and a recorder that answers "continue" (`recorder`). What runs already
//! is stopped at each call (`attach`), which costs more. Numbers and arguments are recorded, never what arguments point to:
//! that can change after the look.

pub mod attach;
pub mod command;
mod notes;
pub mod profile;
pub mod recorder;
pub mod report;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::error::{At, Result};

/// One call that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// `AUDIT_ARCH_*`.
    pub arch: u32,
    /// Its number.
    pub number: u32,
    /// How often.
    pub count: u64,
    /// The name of the thread that made it first, as that thread chose it.
    pub by: String,
    /// That thread, as the host numbers it.
    pub tid: i32,
    /// The arguments of the first time.
    pub args: [u64; 6],
}

/// The most calls that are told apart: more than all architectures together have. Any number can be called, and the program
/// that is watched must not fill the memory of the one that watches.
const MOST: usize = 4096;

/// Stands for the numbers beyond.
const OTHERS: u32 = u32::MAX;

/// The calls so far, in the order in which they were first seen.
#[derive(Debug, Default)]
pub struct Tally {
    calls: Vec<Call>,
    places: HashMap<(u32, u32), usize>,
}

impl Tally {
    /// Counts one. The thread waits meanwhile, so that its name is still its own.
    pub fn count(&mut self, arch: u32, number: u32, tid: i32, args: [u64; 6]) {
        let is_new = !self.places.contains_key(&(arch, number));
        let (arch, number) = if is_new && self.calls.len() >= MOST { (0, OTHERS) } else { (arch, number) };
        if let Some(at) = self.places.get(&(arch, number)) {
            self.calls[*at].count += 1;
            return;
        }
        let name = std::fs::read(format!("/proc/{tid}/comm")).unwrap_or_default();
        let by = crate::log::value(String::from_utf8_lossy(&name).trim_end());
        self.places.insert((arch, number), self.calls.len());
        self.calls.push(Call { arch, number, count: 1, by, tid, args });
    }

    /// How many there were.
    pub fn total(&self) -> u64 {
        self.calls.iter().map(|call| call.count).sum()
    }

    /// How many different ones.
    pub fn distinct(&self) -> usize {
        self.calls.len()
    }

    /// As bytes, for another process.
    fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(&self.calls).expect("plain data has a JSON form")
    }
}

/// What [`Tally::encode`] wrote.
fn decode(bytes: &[u8]) -> Result<Vec<Call>> {
    serde_json::from_slice(bytes).map_err(std::io::Error::other).at(|| "the recorder ended without a report")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_without_end_are_counted_together() {
        let mut tally = Tally::default();
        (0..2 * MOST as u32).for_each(|number| tally.count(7, number, 0, [0; 6]));
        tally.count(7, 0, 0, [0; 6]);
        assert_eq!((tally.distinct(), tally.total()), (MOST + 1, 2 * MOST as u64 + 1));
        assert_eq!((tally.calls[MOST].number, tally.calls[MOST].count, tally.calls[0].count), (OTHERS, MOST as u64, 2));
    }
}
