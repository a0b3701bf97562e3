//! What the kernel says of rrun itself in /proc/self/status (proc_pid_status(5)): capability sets, ignored signals.
//!
//! One file tells what would else take fifty calls: the bounding set has no other question than "this one?", and so have
//! ignored signals. Read once, before any process is made; procfs is the host's own there.

use std::io::{self, Read};

/// The lines that rrun needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OwnStatus {
    /// Signals that are ignored; bit n-1 stands for signal n.
    pub ignored: u64,
    /// The permitted capabilities.
    pub permitted: u64,
    /// The bounding set.
    pub bounding: u64,
}

impl OwnStatus {
    /// Asks.
    pub fn ask() -> io::Result<Self> {
        let text = read_short("/proc/self/status")?;
        Self::parse(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/self/status lacks a line"))
    }

    fn parse(text: &str) -> Option<Self> {
        let line = |key: &str| text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':'));
        let set = |key| u64::from_str_radix(line(key)?.trim(), 16).ok();
        Some(Self { ignored: set("SigIgn")?, permitted: set("CapPrm")?, bounding: set("CapBnd")? })
    }
}

/// The text of a small file of procfs, sysfs or cgroupfs. The kernel fills a page with as many whole records as fit, so a
/// read(2) that leaves half of it empty has reached the end: no second one has to say so.
pub fn read_short(path: impl AsRef<std::path::Path>) -> io::Result<String> {
    read_short_file(std::fs::File::open(path)?).map(|(text, _)| text)
}

/// The same for one that is open, which comes back with its text.
pub fn read_short_file(mut file: std::fs::File) -> io::Result<(String, std::fs::File)> {
    let mut page = [0; 4096];
    let n = file.read(&mut page)?;
    let mut text = page[..n].to_vec();
    if n > page.len() / 2 {
        file.read_to_end(&mut text)?;
    }
    String::from_utf8(text).map(|text| (text, file)).map_err(|_| io::Error::from_raw_os_error(libc::EILSEQ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_found() {
        let text = "Name:\tx\nSigIgn:\t0000000000001000\nCapPrm:\t00ff\nCapBnd:\t01ff\n";
        let wanted = OwnStatus { ignored: 0x1000, permitted: 0xff, bounding: 0x1ff };
        assert_eq!(OwnStatus::parse(text), Some(wanted));
        assert_eq!(OwnStatus::parse("CapBnd:\t01ff\n"), None);
    }

    #[test]
    fn a_long_text_comes_whole() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        for length in [0, 2000, 3000, 5000] {
            std::fs::write(file.path(), "x".repeat(length)).expect("write");
            assert_eq!(read_short(file.path()).expect("read").len(), length);
        }
    }
}
