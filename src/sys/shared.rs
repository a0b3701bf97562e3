//! A page of numbers that a process and its children see alike (mmap(2), `MAP_SHARED`).
//!
//! Init tells the time its steps took through it, without a message that would change what is measured. It holds numbers
//! only, never pointers: the two processes share no other memory.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many numbers fit.
pub const SLOTS: usize = 64;

/// The page; unmapped on drop.
#[derive(Debug)]
pub struct SharedNumbers(NonNull<[AtomicU64; SLOTS]>);

impl SharedNumbers {
    /// Maps a zeroed page.
    pub fn new() -> io::Result<Self> {
        let (read_write, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new anonymous mapping overlaps nothing.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), size_of::<[AtomicU64; SLOTS]>(), read_write, flags, -1, 0) };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(page.cast()).map(Self).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))
    }

    fn slots(&self) -> &[AtomicU64; SLOTS] {
        // SAFETY: the mapping lives as long as self; zeroed memory is a valid array of atomics.
        unsafe { self.0.as_ref() }
    }

    /// Stores a number; a slot out of range is ignored.
    pub fn set(&self, slot: usize, value: u64) {
        if let Some(number) = self.slots().get(slot) {
            number.store(value, Ordering::Release);
        }
    }

    /// Reads a number; 0 for a slot out of range.
    pub fn get(&self, slot: usize) -> u64 {
        self.slots().get(slot).map_or(0, |n| n.load(Ordering::Acquire))
    }
}

impl Drop for SharedNumbers {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in new; nothing borrows it any more.
        unsafe { libc::munmap(self.0.as_ptr().cast(), size_of::<[AtomicU64; SLOTS]>()) };
    }
}
